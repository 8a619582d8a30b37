"""Notebooks run from top to bottom, and what they say is so."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def check_stacking_to_map(names: dict) -> None:
    assert names["arc_strength"]["faulted"] > 0.05
    assert names["arc_strength"]["faulted"] > 3 * abs(names["arc_strength"]["fcc"])


def check_does_it_heal(names: dict) -> None:
    assert sorted(round(p, 3) for p in names["one_run"].values()) == [0.028, 0.033, 0.055]
    assert names["slips_in_a_run"] < 0.1
    epsilon, error = names["sample"].energy_kT()
    assert abs(epsilon) < 4 * error + 0.2
    assert 0.8 < names["needed"] < 1.1


CHECKS = {"stacking_to_map": check_stacking_to_map, "does_it_heal": check_does_it_heal}


def run(path: Path, *changes: tuple[str, str]) -> dict:
    """Run the code of a notebook, with some lines changed as its reader would, and return its names."""
    cells = json.loads(path.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for old, new in changes:
        assert sum(source.count(old) for source in sources) == 1
        sources = [source.replace(old, new) for source in sources]
    names: dict = {}
    for source in sources:
        exec(compile(source, str(path), "exec"), names)
    return names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    CHECKS.get(path.stem, lambda names: None)(run(path))


@pytest.mark.slow
def test_detector_files_of_ones_own(tmp_path):
    """The scan that the notebook simulates, given to it as files of which it knows nothing: the same cell comes out."""
    path = ROOT / "notebooks" / "your_detector_files.ipynb"
    simulated = run(path)
    master = Path(shutil.copytree(simulated["MASTER"].parent, tmp_path / "own")) / simulated["MASTER"].name
    own = run(
        path, ("MASTER = None ", f"MASTER = Path({str(master)!r}) "), ("TOLD = {} ", f"TOLD = {simulated['TOLD']!r} ")
    )
    assert not own["simulated"]
    assert own["fit"].parameters == pytest.approx(simulated["fit"].parameters, rel=0.01)
    assert own["comparison"].pearson > 0.85


def test_there_is_a_notebook_for_each_check():
    assert set(CHECKS) <= {path.stem for path in NOTEBOOKS}
