"""Imports point one way: a folder never imports one that stands later in the list of layers."""

import ast
from pathlib import Path

import simsc

LAYERS = [
    "core",
    "io",
    "forcefield",
    "scattering",
    "builders",
    "classify",
    "correlation",
    "experiment",
    "models",
    "md",
    "refine",
    "sliding",
    "study",
    "plot",
    "report",
    "hpc",
    "cli",
]
RANK = {name: rank for rank, name in enumerate(LAYERS)}
ROOT = Path(simsc.__file__).parent
# `run` ends with the report; it is loaded there and then only, so that a study can be read without Matplotlib.
ALLOWED = {("study.run", "report.page")}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.removeprefix("simsc.") for name in found if name.startswith("simsc.")}


def test_every_module_has_a_layer_and_looks_down_only():
    wrong = []
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module in ("__init__", "__main__"):
            continue
        own = module.split(".")[0]
        for target in imports(path):
            other = target.split(".")[0]
            if (module, target) not in ALLOWED and other != own and RANK[other] >= RANK[own]:
                wrong.append(f"{module} imports {target}")
    assert wrong == []
