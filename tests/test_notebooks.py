"""Notebooks and the README's example run from top to bottom."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


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


def test_the_readmes_example_runs():
    example = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["correlation"].ccf.shape == (100, 721)
