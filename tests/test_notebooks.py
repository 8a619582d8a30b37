"""Notebooks run from top to bottom."""

import json
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@cache
def run_notebook(path: Path) -> dict:
    cells = json.loads(path.read_text())["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(path), "exec"), names)
    return names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path):
    run_notebook(path)


def test_what_the_stacking_notebook_says_is_so():
    names = run_notebook(ROOT / "notebooks" / "stacking_to_map.ipynb")
    assert names["arc_strength"]["faulted"] > 0.05
    assert names["arc_strength"]["faulted"] > 3 * abs(names["arc_strength"]["fcc"])


def test_what_the_notebook_on_healing_says_is_so():
    names = run_notebook(ROOT / "notebooks" / "does_it_heal.ipynb")
    assert sorted(round(p, 3) for p in names["one_run"].values()) == [0.028, 0.033, 0.055]
    assert names["slides_in_a_run"] < 0.1
    epsilon, error = names["sample"].energy_kT()
    assert abs(epsilon) < 4 * error + 0.2
    assert 0.8 < names["needed"] < 1.1
