"""Supraparticles: finite crystals with the symmetry of the icosahedron, grown in spheres as NPs are in droplets.

A Mackay icosahedron is 20 tetrahedra of fcc that share a vertex; an anti-Mackay shell goes on with hcp stacking, on 20
mirrored tetrahedra over the faces, 30 over the edges and 60 around the vertices (Wang et al., Nat. Commun. 9 (2018)
5259, DOI 10.1038/s41467-018-07670-4).
"""

import itertools

import numpy as np
from scipy.spatial import ConvexHull

from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

_LARGEST_ORDER = 200  # 2·10⁸ NPs with all its layers
_SAME = 1e-6  # distance, in units of d_NN, of sites that are one


def icosahedral(
    order: int, d_nn_nm: float, layers: int = 0, ball_nm: float | None = None, radius_nm: float | None = None
) -> Superlattice:
    """Build a Mackay icosahedron with anti-Mackay layers around it, in free space.

    The distance along the twelve five-fold axes is d_nn; within the faces it is 1.0515 times as long, and in the wedges
    of anti-Mackay layers up to 1.27 times. No distance is shorter than d_nn.

    Args:
        order: shells of the Mackay icosahedron around its central NP, ≥ 1.
        d_nn_nm: nearest-neighbour distance, nm.
        layers: anti-Mackay layers, 0 … order. Default 0: a Mackay icosahedron.
        ball_nm: keep the NPs whose centres are within this distance of the centre, nm; None keeps all.
        radius_nm: core radius of every NP, nm; None leaves it open.

    Returns:
        The superlattice, from the centre outwards; the first axis of the icosahedron is (0, 1, φ).

    Raises:
        InputError: for numbers out of range, or cores that overlap.

    Example:
        >>> icosahedral(6, 6.2).n, icosahedral(3, 6.2, layers=1).n
        (923, 279)
    """
    if not 1 <= order <= _LARGEST_ORDER:
        raise InputError(f"the order of an icosahedron must be 1 … {_LARGEST_ORDER}, got {order}")
    if not 0 <= layers <= order:
        raise InputError(f"an icosahedron of order {order} takes 0 … {order} anti-Mackay layers, got {layers}")
    if not (np.isfinite(d_nn_nm) and d_nn_nm > 0):
        raise InputError(f"the nearest-neighbour distance must be a positive number (nm), got {d_nn_nm}")
    if ball_nm is not None and not ball_nm >= 0:
        raise InputError(f"the radius of the ball must not be negative (nm), got {ball_nm:g}")
    if radius_nm is not None and 2 * radius_nm >= d_nn_nm:
        raise InputError(f"cores of diameter {2 * radius_nm:g} nm overlap at a distance of {d_nn_nm:g} nm")
    sites = _sites(order, layers)
    distance = np.linalg.norm(sites, axis=1)
    inside = np.arange(len(sites)) if ball_nm is None else np.flatnonzero(distance * d_nn_nm <= ball_nm * (1 + 1e-12))
    chosen = inside[np.argsort(distance[inside], kind="stable")]
    return Superlattice(sites[chosen] * d_nn_nm, None if radius_nm is None else np.asarray(radius_nm))


def _sites(order: int, layers: int) -> np.ndarray:
    """Return the sites (N, 3) in units of d_NN, each once."""
    golden = (1 + np.sqrt(5)) / 2
    vertices = np.array(
        [np.roll([0.0, y, z], k) for k in range(3) for y in (1, -1) for z in (golden, -golden)]
    ) / np.hypot(1, golden)
    faces = [tuple(face) for face in ConvexHull(vertices).simplices]
    # The centre mirrored at each face.
    apex = {face: 2 * vertices[list(face)].mean(axis=0) for face in faces}
    zero = np.zeros(3)
    parts = [_filled(np.array([zero, *vertices[list(face)]]), order, order) for face in faces]
    if layers:
        parts += [_filled(np.array([*vertices[list(face)], apex[face]]), order, layers, {3}) for face in faces]
        for one, two in itertools.combinations(faces, 2):
            shared = sorted(set(one) & set(two))
            if len(shared) != 2:
                continue
            a, b = vertices[shared]
            parts.append(_filled(np.array([a, b, apex[one], apex[two]]), order, layers, {2, 3}))
            parts += [_filled(np.array([v, 2 * v, apex[one], apex[two]]), order, layers, {1, 2, 3}) for v in (a, b)]
    sites = np.concatenate(parts)
    return sites[np.unique(np.round(sites / _SAME).astype(np.int64), axis=0, return_index=True)[1]]


def _filled(corners: np.ndarray, order: int, layers: int, outer: set[int] | None = None) -> np.ndarray:
    """Return the sites in a tetrahedron of given corners (4, 3), at most some layers away from its inner corners."""
    k = np.stack(np.meshgrid(*[np.arange(order + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shares = np.column_stack([order - k.sum(axis=1), k])
    shares = shares[shares[:, 0] >= 0]
    if outer is not None:
        shares = shares[shares[:, sorted(outer)].sum(axis=1) <= layers]
    return shares @ corners
