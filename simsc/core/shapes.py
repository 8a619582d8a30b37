"""Shapes of cores: the one table behind carved cores, form factors, sites of ligands, commands and study files."""

from collections.abc import Mapping
from dataclasses import dataclass

from simsc.core.errors import InputError


@dataclass(frozen=True)
class Shape:
    """A convex body with the symmetry of a cube, or a sphere.

    Args:
        description: what it is, in a few words.
        facets: distance of each family of facets from the centre, in any unit; none for a sphere.
        of_atoms: whether the core of an all-atom study may have it.
    """

    description: str
    facets: Mapping[str, float]
    of_atoms: bool = False


# Their unit of length decides about the last bits of corners.
SHAPES: Mapping[str, Shape] = {
    "sphere": Shape("a sphere", {}, of_atoms=True),
    "cube": Shape("a cube: {100} squares", {"100": 1.0}, of_atoms=True),
    "octahedron": Shape("a regular octahedron: {111} triangles", {"111": 1.0}, of_atoms=True),
    "truncated_octahedron": Shape(
        "the Archimedean truncated octahedron: {111} hexagons and {100} squares, all edges equal",
        {"111": 3**0.5 / 2, "100": 1.0},
    ),
    "cuboctahedron": Shape("the cuboctahedron: {111} triangles and {100} squares", {"111": 2 / 3**0.5, "100": 1.0}),
    # All 26 facets; of the ratios near the Archimedean solid's (1 : 1.09 : 1.15 for 100, 111, 110) these leave no Fe
    # with a single O at 4 nm about 8a.
    "truncated_cuboctahedron": Shape(
        "a truncated cuboctahedron: {100}, {111} and {110} facets", {"100": 1.0, "111": 1.0, "110": 1.03}, of_atoms=True
    ),
}
POLYHEDRA = tuple(name for name, shape in SHAPES.items() if shape.facets)


def miller_indices(facet: str) -> tuple[int, int, int]:
    """Return the Miller indices of a facet such as `111`, `1-10` or `1 0 12`.

    Raises:
        InputError: if they are not three whole numbers, or all zero.
    """
    words = facet.split() if " " in facet.strip() else _digits(facet.strip())
    try:
        h, k, l = (int(word) for word in words)  # noqa: E741
    except ValueError:
        raise InputError(f"facet {facet!r}: three Miller indices are needed, such as 111, 1-10 or '1 0 12'") from None
    if h == k == l == 0:
        raise InputError("facet '000' does not exist")
    return h, k, l


def _digits(facet: str) -> list[str]:
    words: list[str] = []
    sign = ""
    for letter in facet:
        if letter == "-":
            sign = "-"
        else:
            words.append(sign + letter)
            sign = ""
    return words
