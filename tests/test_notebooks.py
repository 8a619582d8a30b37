"""Notebooks run from top to bottom, and what they say is so."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def check_stacking_to_map(names: dict) -> None:
    assert names["arc_strength"]["faulted"] > 0.05
    assert names["arc_strength"]["faulted"] > 3 * abs(names["arc_strength"]["fcc"])


def check_does_it_heal(names: dict) -> None:
    assert sorted(round(p, 3) for p in names["one_run"].values()) == [0.028, 0.033, 0.055]
    assert names["slides_in_a_run"] < 0.1
    epsilon, error = names["sample"].energy_kT()
    assert abs(epsilon) < 4 * error + 0.2
    assert 0.8 < names["needed"] < 1.1


CHECKS = {"stacking_to_map": check_stacking_to_map, "does_it_heal": check_does_it_heal}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    cells = json.loads(path.read_text())["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(path), "exec"), names)
    CHECKS.get(path.stem, lambda names: None)(names)


def test_there_is_a_notebook_for_each_check():
    assert set(CHECKS) <= {path.stem for path in NOTEBOOKS}
