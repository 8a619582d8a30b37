"""Where ligands are bound on the surface of a core: spread evenly over a sphere, or over the facets of a polyhedron."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from simsc.core.directions import fibonacci_sphere
from simsc.core.errors import InputError
from simsc.core.shapes import SHAPES
from simsc.scattering.form_factors.polyhedron import polyhedron

_CANDIDATES = 150  # for each head
_ROUNDS = 40


@dataclass(frozen=True)
class Dressing:
    """What cores look like, and how they lie.

    Args:
        shape: sphere (default), or a polyhedron out of `simsc.core.shapes.SHAPES`, of the same volume.
        coverage_per_nm2: ligands per nm² of the core's surface; None (default) for that of the parameter set.
        aligned: whether all cores lie like the cubic axes of an fcc superlattice whose layers ABC are stacked along z,
            with rows of NPs along x, as `simsc.builders.close_packed` builds it: ⟨111⟩ of the cores along z, ⟨110⟩
            along x. Default: each is turned at random.
    """

    shape: str = "sphere"
    coverage_per_nm2: float | None = None
    aligned: bool = False

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(f"shape {self.shape!r} is not known; available: {', '.join(SHAPES)}")
        if self.coverage_per_nm2 is not None and not 0 < self.coverage_per_nm2 < np.inf:
            raise InputError(f"a coverage is positive (ligands per nm²), got {self.coverage_per_nm2:g}")

    def circumradius(self, radius: float) -> float:
        """Return the distance of the farthest corner of a core from its centre, in the unit of its radius."""
        return radius if self.shape == "sphere" else polyhedron(self.shape).reach_nm(radius)

    def area(self, radius: float) -> float:
        """Return the area of a core of the volume of a sphere of a radius, in the squared unit of it."""
        if self.shape == "sphere":
            return 4 * np.pi * radius**2
        return float(ConvexHull(polyhedron(self.shape).vertices * radius).area)


SPHERES = Dressing()


def heads(shape: str, radius: float, height: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Spread heads over the surface of a core.

    On a sphere they are a Fibonacci lattice. On a polyhedron they come from a centroidal Voronoi tessellation of its
    facets (Lloyd's algorithm, DOI 10.1109/TIT.1982.1056489), moved outward; the same for the same arguments.

    Args:
        shape: of the core.
        radius: of the sphere of the same volume.
        height: of the heads above the surface, along its normal.
        n: number of heads.

    Returns:
        Positions about the centre, and outward normals, both (n, 3).
    """
    if shape == "sphere":
        directions = fibonacci_sphere(n)
        return (radius + height) * directions, directions
    points, normals = _on_facets(polyhedron(shape).vertices * radius, _CANDIDATES * n)
    chosen = _farthest(points, n)
    for _ in range(_ROUNDS):
        owner = cKDTree(points[chosen]).query(points)[1]
        counts = np.bincount(owner, minlength=n)
        centres = np.stack([np.bincount(owner, points[:, axis], n) for axis in range(3)], axis=1) / counts[:, None]
        moved = cKDTree(points).query(centres)[1]
        if (moved == chosen).all() or len(set(moved.tolist())) < n:
            break
        chosen = moved
    return points[chosen] + height * normals[chosen], normals[chosen]


def _on_facets(vertices: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return about n points (M, 3), evenly at random on a convex body, and the normals there."""
    hull = ConvexHull(vertices)
    triangles, normals = vertices[hull.simplices], hull.equations[:, :3]
    areas = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1) / 2
    rng = np.random.default_rng(0)
    counts = np.maximum(1, np.round(n * areas / areas.sum()).astype(int))
    of = np.repeat(np.arange(len(triangles)), counts)
    weights = rng.dirichlet(np.ones(3), len(of))
    return np.einsum("pv,pvi->pi", weights, triangles[of]), normals[of]


def _farthest(points: np.ndarray, n: int) -> np.ndarray:
    """Return the numbers of n points, each as far from those before it as can be."""
    chosen = [0]
    distances = np.linalg.norm(points - points[0], axis=1)
    for _ in range(n - 1):
        chosen.append(int(np.argmax(distances)))
        distances = np.minimum(distances, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
