"""Shapes of cores."""

# Distances of the facets from the centre. The truncated cuboctahedron has all 26 facets; of the ratios near the
# Archimedean solid's (1 : 1.09 : 1.15 for 100, 111, 110) these leave no Fe with a single O at 4 nm about 8a.
SHAPES: dict[str, dict[str, float]] = {
    "truncated_cuboctahedron": {"100": 1.0, "111": 1.0, "110": 1.03},
    "octahedron": {"111": 1.0},
    "cube": {"100": 1.0},
    "cuboctahedron": {"100": 1.0, "111": 2 / 3**0.5},
    "truncated_octahedron": {"100": 2 / 3**0.5, "111": 1.0},
    "sphere": {},
}
