"""The layers of simsc: their order, who imports whom, and the picture of both.

    python docs/contributing/layers.py    draws layers.svg, as `make docs` does

The order stands here and nowhere else; `tests/test_imports.py` holds the package to it, and the picture to the package.
Everything is read from the sources: nothing of simsc is imported.
"""

import ast
import textwrap
from collections import Counter
from html import escape
from pathlib import Path

# The lowest first: a folder imports those that stand before it, and none that stand after it.
LAYERS = (
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
)
HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "simsc"
PICTURE = HERE / "layers.svg"
# What stands above all folders: the face of the package, and `python -m simsc`.
FACE = ("__init__", "__main__")

ROW, COLUMN, BOX, MARGIN, HEAD = 40, 38, 420, 14, 34  # pixels
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
DOWN, UP, GUIDE = "#33658a", "#c1121f", "#b8c6d1"


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the files of all modules by their names within the package, as `core.cell`; a folder is its `__init__`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        words = path.relative_to(package).with_suffix("").parts
        if words[0] not in FACE:
            found[".".join(words).removesuffix(".__init__")] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a file imports, anywhere in it, by their names within the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from simsc.plot import structure` is of a module, `from simsc.plot.structure import views` is of a name.
            inner = {f"{node.module}.{name.name}" for name in node.names}
            submodules = {name for name in inner if name.removeprefix("simsc.") in known}
            found |= submodules or {node.module}
    return {name.removeprefix("simsc.") for name in found if name.startswith("simsc.")}


def graph(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Return what each module imports of the package."""
    known = modules(package)
    return {name: imported(path, known) for name, path in known.items()}


def layer(module: str) -> str:
    """Return the folder that a module is in."""
    return module.split(".")[0]


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Return the imports that do not point down, each as `a.x imports b.y`."""
    rank = {name: k for k, name in enumerate(LAYERS)}
    return [
        f"{module} imports {target}"
        for module, targets in edges.items()
        for target in sorted(targets)
        if layer(target) != layer(module) and rank[layer(target)] > rank[layer(module)]
    ]


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of modules each of which imports all the others, directly or through one another."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = list(edges.get(start, ()))
        while ahead:
            module = ahead.pop()
            if module not in seen:
                seen.add(module)
                ahead += edges.get(module, ())
        return seen

    below = {module: reached(module) for module in edges}
    found = {frozenset({other for other in below[one] if one in below.get(other, ())}) for one in edges}
    return sorted(sorted(circle) for circle in found if circle)


def between_layers(edges: dict[str, set[str]]) -> Counter[tuple[str, str]]:
    """Return how many imports of modules there are from one layer to another."""
    pairs = ((layer(module), layer(target)) for module, targets in edges.items() for target in targets)
    return Counter((one, other) for one, other in pairs if one != other)


def purpose(name: str, package: Path = PACKAGE) -> str:
    """Return the first sentence of a folder's docstring."""
    text = ast.get_docstring(ast.parse((package / name / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].split(". ")[0].rstrip(".").replace("`", "")


def draw(package: Path = PACKAGE) -> str:
    """Return the picture as SVG: a box a layer, the highest above; from each, arrows down to what it imports."""
    counts = between_layers(graph(package))
    names = LAYERS[::-1]
    place = {name: k for k, name in enumerate(names)}
    width, height = 2 * MARGIN + BOX + COLUMN * len(names), 2 * MARGIN + HEAD + ROW * len(names)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        f"{FONT}>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
        f"<defs>{_arrowhead('down', DOWN)}{_arrowhead('up', UP)}</defs>",
        f"<text x='{MARGIN}' y='{MARGIN + 14}' font-size='12' fill='#444'>"
        "A row: what a folder imports, and how many times. A column: who imports a folder.</text>",
    ]
    for one in names:
        y = _middle(place[one])
        parts.append(_line(BOX + MARGIN, y, _column(place[one]), y, GUIDE))
        reach = [place[other] for other in names if counts[one, other]]
        for end in {min([*reach, place[one]]), max([*reach, place[one]])} - {place[one]}:
            parts.append(_line(_column(place[one]), y, _column(end), y, DOWN if end > place[one] else UP))
    for other in names:
        from_above = [place[one] for one in names if counts[one, other] and place[one] < place[other]]
        from_below = [place[one] for one in names if counts[one, other] and place[one] > place[other]]
        x, y = _column(place[other]), _middle(place[other])
        if from_above:
            parts.append(_line(x, _middle(min(from_above)), x, y - 12, DOWN, "down"))
        if from_below:
            parts.append(_line(x, _middle(max(from_below)), x, y + 12, UP, "up"))
    for (one, other), count in sorted(counts.items(), key=lambda item: [place[name] for name in item[0]]):
        colour = DOWN if place[one] < place[other] else UP
        x, y = _column(place[other]), _middle(place[one])
        parts.append(f"<circle cx='{x}' cy='{y}' r='10.5' fill='white' stroke='{colour}'/>")
        parts.append(f"<text x='{x}' y='{y + 4}' font-size='11' text-anchor='middle' fill='{colour}'>{count}</text>")
    for name in names:
        parts += _box(name, place[name], purpose(name, package))
    return "\n".join([*parts, "</svg>\n"])


def _box(name: str, row: int, text: str) -> list[str]:
    """Return the box of a layer with its name and what it is, and its place on the diagonal."""
    y = MARGIN + HEAD + ROW * row
    lines = textwrap.wrap(text, 56, max_lines=2, placeholder=" …")
    return [
        f"<rect x='{MARGIN}' y='{y + 3}' width='{BOX}' height='{ROW - 6}' rx='5' fill='#eef3f7' stroke='#9db4c5'/>",
        f"<text x='{MARGIN + 8}' y='{y + ROW / 2 + 5}' font-size='13' font-weight='bold'>{name}</text>",
        *(
            f"<text x='{MARGIN + 98}' y='{y + ROW / 2 + 4 + 13 * (k - (len(lines) - 1) / 2)}' font-size='10.5' "
            f"fill='#333'>{escape(line)}</text>"
            for k, line in enumerate(lines)
        ),
        f"<rect x='{_column(row) - 12}' y='{_middle(row) - 12}' width='24' height='24' rx='4' fill='{DOWN}'/>",
        # Of the highest rows the box itself is that near.
        f"<text x='{_column(row) - 17}' y='{_middle(row) + 4}' font-size='10.5' text-anchor='end' fill='#333' "
        f"stroke='white' stroke-width='4' paint-order='stroke'>{name if row > 2 else ''}</text>",
    ]


def _column(k: int) -> float:
    return MARGIN + BOX + COLUMN * (k + 0.5)


def _middle(k: int) -> float:
    return MARGIN + HEAD + ROW * (k + 0.5)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, head: str = "") -> str:
    end = f" marker-end='url(#{head})'" if head else ""
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-opacity='0.45'{end}/>"


def _arrowhead(name: str, colour: str) -> str:
    return (
        f"<marker id='{name}' viewBox='0 0 8 8' refX='8' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        f"<path d='M0 0 8 4 0 8z' fill='{colour}'/></marker>"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
