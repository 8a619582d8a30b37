"""Imports point one way: a folder never imports one that stands later in the list of layers, lazily either."""

import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs" / "contributing"
sys.path.append(str(DOCS))

from layers import LAYERS, PACKAGE, circles, draw, graph, imported, layer, modules, upward  # noqa: E402


def test_every_module_has_a_layer():
    assert {layer(module) for module in modules()} == set(LAYERS)


def test_imports_point_down():
    assert upward(graph()) == []


def test_core_imports_core_alone():
    assert {layer(target) for module, targets in graph().items() if layer(module) == "core" for target in targets} == {
        "core"
    }


def test_no_module_imports_itself_by_way_of_others():
    assert circles(graph()) == []


def test_no_private_name_is_imported_by_another_module():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith("simsc") and "import" in words:
                names = " ".join(words[words.index("import") + 1 :]).split(",")
                wrong += [f"{path}: {line}" for name in names if name.strip().startswith("_") and "__" not in name]
    assert wrong == []


def test_an_upward_import_and_a_circle_are_found(tmp_path):
    """However they are written, and wherever in a file they stand."""
    for name in LAYERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f'"""What {name} is."""\n')
    (tmp_path / "core" / "cell.py").write_text("import numpy\nfrom simsc.core.units import nm\n")
    (tmp_path / "core" / "units.py").write_text("def f():\n    from simsc.io import files\n")
    (tmp_path / "io" / "files.py").write_text("import simsc.core.cell\nfrom simsc import core\n")
    assert imported(tmp_path / "io" / "files.py", modules(tmp_path)) == {"core.cell", "core"}
    edges = graph(tmp_path)
    assert upward(edges) == ["core.units imports io.files"]
    assert circles(edges) == [["core.cell", "core.units", "io.files"]]
    drawn = draw(tmp_path)
    assert drawn.count("url(#up)") == 1
    assert drawn.count("url(#down)") == 1
    assert "What io is" in drawn
