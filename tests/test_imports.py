"""Imports point one way: a folder never imports one that stands later in the list of layers."""

import ast
import graphlib
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


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names} if node.module == "simsc" else {node.module}
    return {name.removeprefix("simsc.") for name in found if name.startswith("simsc.")}


def modules() -> dict[str, set[str]]:
    """Return what each module of a layer imports, at its top or inside a function."""
    found = {}
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module not in ("__init__", "__main__"):
            found[module] = imports(path)
    return found


def folder(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_a_layer_and_looks_down_only():
    wrong = [
        f"{module} imports {target}"
        for module, targets in modules().items()
        for target in targets
        if folder(target) != folder(module) and RANK[folder(target)] >= RANK[folder(module)]
    ]
    assert wrong == []


def test_folders_form_no_circle():
    """Found by sorting them, without the list of layers."""
    needs: dict[str, set[str]] = {}
    for module, targets in modules().items():
        needs.setdefault(folder(module), set()).update({folder(target) for target in targets} - {folder(module)})
    assert set(needs) == set(LAYERS)
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError


def test_core_imports_nothing_of_simsc_but_core():
    wrong = [
        f"{module} imports {target}"
        for module, targets in modules().items()
        for target in targets
        if folder(module) == "core" and folder(target) != "core"
    ]
    assert wrong == []
