"""Sites of icosahedra and decahedra: tetrahedra of fcc, slightly strained, that share a vertex or an edge."""

import itertools

import numpy as np
from scipy.spatial import ConvexHull

_SAME = 1e-6  # distance, in units of d_NN, of sites that are one


def icosahedron_sites(order: int, layers: int) -> np.ndarray:
    """Return the sites of a Mackay icosahedron with anti-Mackay layers.

    Args:
        order: shells around the central site.
        layers: anti-Mackay layers, 0 … order.

    Returns:
        (N, 3) sites, each once, in units of the distance along the five-fold axes.
    """
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


def decahedron_sites(across: int, along: int, notch: int) -> np.ndarray:
    """Return the sites of a decahedron about its centre, with the five-fold axis along z.

    Args:
        across: sites along the edges of the {100} facets normal to the axis.
        along: sites along those parallel to it.
        notch: depth of the notches of Marks.

    Returns:
        (N, 3) sites, each once, in units of the distance along the axis.
    """
    on_axis = across + along + 2 * notch - 1
    # Columns of sites parallel to the axis: ring by ring, in each of five sectors from one twin plane to the next.
    ring, place = np.nonzero(np.tri(across + 2 * notch, k=-1, dtype=bool))
    kept = np.maximum(ring - place, place) < across + notch
    ring, place = ring[kept], place[kept]
    angles = 2 * np.pi / 5 * np.arange(6)
    twin_planes = np.sqrt(3) / 2 * np.column_stack([np.cos(angles), np.sin(angles)])
    columns = [np.zeros((1, 2))]
    for one, other in itertools.pairwise(twin_planes):
        columns.append((ring - place)[:, None] * one + place[:, None] * other)
    lengths = on_axis - np.concatenate([[0], *[ring] * 5])
    heights = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.column_stack(
        [np.repeat(np.concatenate(columns), lengths, axis=0), heights - np.repeat((lengths - 1) / 2, lengths)]
    )


def _filled(corners: np.ndarray, order: int, layers: int, outer: set[int] | None = None) -> np.ndarray:
    """Return the sites in a tetrahedron of given corners (4, 3), at most some layers away from its inner corners."""
    k = np.stack(np.meshgrid(*[np.arange(order + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shares = np.column_stack([order - k.sum(axis=1), k])
    shares = shares[shares[:, 0] >= 0]
    if outer is not None:
        shares = shares[shares[:, sorted(outer)].sum(axis=1) <= layers]
    return shares @ corners
