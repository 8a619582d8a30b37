"""Form factors of convex polyhedra, exact at every momentum transfer."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

from simsc.core.errors import InputError
from simsc.core.shapes import POLYHEDRA, SHAPES, miller_indices
from simsc.scattering.form_factors.form import Expansion
from simsc.scattering.form_factors.oriented import expand_oriented

_SMALL = 1e-3  # q times the unit of length, below which two terms of the series are exact to 1e-13
_CLOSE = 0.5  # phases, rad, within a triangle below which the divided difference is summed as a series
_TERMS = 13  # of that series: 0.5¹³ / 13! = 2e-14
_POINTS_A_PIECE = 4096


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """A homogeneous convex polyhedron of unit contrast, about its centre of mass.

    Its size comes from the core radius of its NP, which is that of the sphere of the same volume (as in
    `simsc.builders.nanoparticle.carve`); it is turned by the orientation of the NP.

    Args:
        vertices: (V, 3) corners in the frame of the body, in any unit of length.

    Attributes:
        vertices: the corners, moved and scaled: centre of mass at 0, volume 4π/3.

    Raises:
        InputError: if the corners span no volume.

    Example:
        >>> round(float(polyhedron("cube").amplitude(np.zeros(3), 1.0).real), 6)  # 4π/3
        4.18879
    """

    isotropic: ClassVar[bool] = False

    vertices: np.ndarray
    _triangles: np.ndarray = field(init=False, repr=False)
    _areas: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        vertices = np.array(self.vertices, dtype=np.float64)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
            raise InputError(f"a polyhedron needs corners of shape (V, 3), finite numbers, got {vertices.shape}")
        try:
            hull = ConvexHull(vertices)
        except (QhullError, ValueError):
            raise InputError("the corners of a polyhedron must span a volume") from None
        triangles = vertices[hull.simplices]
        cones = np.einsum("ti,ti->t", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))
        inward = np.einsum("ti,ti->t", np.cross(*_sides(triangles)), hull.equations[:, :3]) < 0
        triangles[inward] = triangles[inward][:, [0, 2, 1]]
        cones[inward] *= -1
        centre = (cones[:, None] * triangles.sum(axis=1)).sum(axis=0) / (4 * cones.sum())
        scale = (4 / 3 * np.pi / hull.volume) ** (1 / 3)
        triangles = (triangles - centre) * scale
        corners = (vertices[hull.vertices] - centre) * scale
        object.__setattr__(self, "vertices", corners)
        object.__setattr__(self, "_triangles", triangles)
        object.__setattr__(self, "_areas", np.cross(*_sides(triangles)))

    def reach_nm(self, radius_nm: float) -> float:
        """Return how far, nm, the scatterer reaches from its centre."""
        return radius_nm * float(np.linalg.norm(self.vertices, axis=1).max())

    def amplitude(self, q_inv_nm: np.ndarray, radius_nm: np.ndarray | float) -> np.ndarray:
        """Return F(q) = ∫ exp(−i q·r) dr over the body.

        With n the outward normals, F = (i / q²) Σ_faces (q·n) ∫_face exp(−i q·r) dA (divergence theorem), as in
        Wuttke, J. Appl. Cryst. 54 (2021) 580, DOI 10.1107/S1600576721001710. Here faces are cut into triangles, over
        which the integral is 2A times the second divided difference of exp at the phases of the corners
        (Hermite–Genocchi), which has no singular direction.

        Args:
            q_inv_nm: (…, 3) momentum transfers in the frame of the body, nm⁻¹.
            radius_nm: radius of the sphere of the same volume, nm; broadcast against (…).

        Returns:
            Complex amplitude, nm³, of the broadcast shape; the volume at q = 0. Real for bodies with a centre of
            inversion, up to rounding.
        """
        radius = np.asarray(radius_nm, dtype=np.float64)
        x = np.asarray(q_inv_nm, dtype=np.float64) * radius[..., None]
        flat = x.reshape(-1, 3)
        parts = [self._unit(flat[k : k + _POINTS_A_PIECE]) for k in range(0, len(flat), _POINTS_A_PIECE)]
        return radius**3 * np.concatenate([np.zeros(0, dtype=complex), *parts]).reshape(x.shape[:-1])

    def expansion(
        self, radii_nm: np.ndarray, orientations: np.ndarray | None, q_max_inv_nm: float, tolerance: float
    ) -> Expansion:
        """Return the amplitudes of many NPs, as they stand, as few products."""
        return expand_oriented(self, radii_nm, orientations, q_max_inv_nm, tolerance)

    def _unit(self, x: np.ndarray) -> np.ndarray:
        squares = (x**2).sum(axis=1)
        small = squares < _SMALL**2
        phases = np.einsum("qi,tvi->vtq", -x, self._triangles)
        faces = np.einsum("tq,ti->qi", _second_difference(phases), self._areas)
        far = 1j * np.einsum("qi,qi->q", x, faces) / np.where(small, 1.0, squares)
        near = 4 / 3 * np.pi - np.einsum("qi,ij,qj->q", x, self._second_moment(), x) / 2
        return np.where(small, near, far)

    def _second_moment(self) -> np.ndarray:
        """Return ∫ r rᵀ dr over the cones between the centre and the triangles."""
        cones = np.einsum("ti,ti->t", self._triangles[:, 0], self._areas)
        total = self._triangles.sum(axis=1)
        products = np.einsum("tvi,tvj->tij", self._triangles, self._triangles) + total[:, :, None] * total[:, None]
        return np.einsum("t,tij->ij", cones, products) / 120


def polyhedron(name: str) -> Polyhedron:
    """Return a polyhedron out of `simsc.core.shapes.SHAPES`, with the cubic axes along those of the body.

    Raises:
        InputError: for a name that is none.
    """
    if name not in POLYHEDRA:
        raise InputError(f"polyhedron {name!r} is not known; available: {', '.join(POLYHEDRA)}")
    halfspaces = []
    for facet, distance in SHAPES[name].facets.items():
        miller = miller_indices(facet)
        signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
        orders = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [2, 1, 0], [1, 0, 2]])
        normals = np.unique((signs[:, None] * np.array(miller)[orders]).reshape(-1, 3), axis=0)
        halfspaces.append(np.column_stack([normals / np.linalg.norm(miller), np.full(len(normals), -distance)]))
    corners = HalfspaceIntersection(np.concatenate(halfspaces), np.zeros(3)).intersections
    # Where more than three facets meet, each triple gives the same corner.
    return Polyhedron(corners[np.unique(np.round(corners, 9), axis=0, return_index=True)[1]])


def _sides(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]


def _second_difference(phases: np.ndarray) -> np.ndarray:
    """Return the second divided difference of exp at i times three phases (3, …)."""
    low, middle, high = np.sort(phases, axis=0)
    first = np.exp(0.5j * (low + middle)) * np.sinc((middle - low) / (2 * np.pi))
    second = np.exp(0.5j * (middle + high)) * np.sinc((high - middle) / (2 * np.pi))
    apart = high - low
    close = apart < _CLOSE
    differences = (second - first) / np.where(close, 1.0, 1j * apart)
    if close.any():
        differences[close] = _series(np.stack([low[close], middle[close], high[close]]))
    return differences


def _series(phases: np.ndarray) -> np.ndarray:
    """Return the same for close phases: exp at their mean times Σ h_k / (k + 2)!, h_k the complete polynomials."""
    mean = phases.mean(axis=0)
    a, b, c = 1j * (phases - mean)
    e2, e3 = a * b + b * c + c * a, a * b * c  # e1 = 0 about the mean
    h = [np.ones_like(a), np.zeros_like(a), -e2]
    total, factor = 0.5 * h[0] + h[2] / 24, 24.0
    for k in range(3, _TERMS):
        h.append(e3 * h[k - 3] - e2 * h[k - 2])
        factor *= k + 2
        total = total + h[k] / factor
    return np.exp(1j * mean) * total
