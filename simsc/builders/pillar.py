"""Pillars: blocks cut out of a triclinic supercrystal, as a focused ion beam does."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.cell import Cell
from simsc.core.centring import primitive_cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.io.adapters import as_cell

_LARGEST_N = 200_000_000
_SAME = 1e-6  # distance, in units of the mean distance of NPs, of those that are equally far out
_ON_THE_RIM = 1 + 1e-9  # NPs whose centres lie on a face belong to the pillar


def pillar(
    cell: Cell | Sequence[float] | np.ndarray,
    size_nm: tuple[float, float, float] | None = None,
    n: int | None = None,
    proportions: tuple[float, float, float] = (1.0, 1.0, 1.0),
    centring: Literal["P", "F"] = "P",
    axis: Sequence[float] = (0, 0, 1),
    side: Sequence[float] = (1, 0, 0),
    rotation: Rotation | None = None,
    centre: Sequence[float] = (0, 0, 0),
    radius_nm: float | None = None,
) -> Superlattice:
    """Cut a rectangular pillar out of a crystal with one NP a primitive cell, in free space.

    Takes about 150 bytes of memory an NP: 10⁶ NPs fit anywhere, and take less than a second or two.

    Args:
        cell: of the crystal: a `Cell`; edges a, b, c, nm, and angles α, β, γ, degrees, such as
            `[16.8, 17.0, 17.8, 58.7, 60.8, 68.5]`; or its vectors as rows (3, 3), nm.
        size_nm: width (x), depth (y) and height (z) of the block that holds the NP centres, nm; NPs on its faces belong
            to it. Either this or `n`.
        n: exactly so many NPs, those in the smallest block of given proportions; of NPs on its faces the ones nearer
            the centre come first, then those lower in z, y, x.
        proportions: of width, depth and height of a pillar of `n` NPs.
        centring: "P" if the cell is primitive, "F" if it is face-centred (see `simsc.core.centring`).
        axis: direction u, v, w, in units of the edges of `cell`, that stands along the pillar, z.
        side: direction u, v, w that lies in the xz plane, as near to x as it can.
        rotation: instead of `axis` and `side`: the rotation that turns the cell's vectors into the pillar's x, y, z.
        centre: the point, in units of the edges of `cell`, at the centre of the pillar; the default is an NP.
        radius_nm: core radius of every NP, nm; None leaves it open.

    Returns:
        The superlattice, from the centre (at the origin) outwards.

    Raises:
        InputError: for sizes out of range, parallel directions, or cores that overlap.

    Example:
        >>> fcc = Cell.from_parameters(16.0, 16.0, 16.0, 60, 60, 60)
        >>> pillar(fcc, n=5000, proportions=(1, 1, 2), radius_nm=7.4).n
        5000
        >>> pillar(Cell.orthorhombic(2.0, 2.0, 2.0), (2.0, 2.0, 2.0), centring="F", radius_nm=0.5).n
        13
        >>> pillar([16.8, 17.0, 17.8, 58.7, 60.8, 68.5], (100.0, 100.0, 200.0), radius_nm=7.0).n
        537
    """
    crystal = as_cell(cell)
    if crystal is None:
        raise InputError("a pillar is cut out of a crystal, which needs a cell")
    if centring not in ("P", "F"):
        raise InputError(f"centring {centring!r} is not known; available: P (primitive), F (face-centred)")
    turn = _turn(crystal, axis, side) if rotation is None else rotation.as_matrix().T
    lattice = (primitive_cell(crystal) if centring == "F" else crystal).vectors_nm @ turn
    volume = float(np.linalg.det(lattice))
    if radius_nm is not None and 2 * radius_nm >= (nearest := _shortest_nm(lattice)):
        raise InputError(f"cores of diameter {2 * radius_nm:g} nm overlap at a distance of {nearest:.4g} nm")
    origin = _three(centre, "the centre of a pillar") @ crystal.vectors_nm @ turn
    if (size_nm is None) == (n is None):
        raise InputError("a pillar needs either a size (nm) or a number of NPs")
    if n is None:
        half = _three(size_nm, "the size of a pillar (nm)", positive=True) / 2
        scale, expected = _ON_THE_RIM, 8 * half.prod() / volume
    else:
        half = _three(proportions, "the proportions of a pillar", positive=True)
        half *= (volume / 8 / half.prod()) ** (1 / 3)  # a block for one NP
        scale, expected = n ** (1 / 3) + 1.0 if n > 0 else 0.0, n
        if n < 1:
            raise InputError(f"a pillar needs at least 1 NP, got {n}")
    if expected > _LARGEST_N:
        raise InputError(f"a pillar of about {expected:.2g} NPs is more than {_LARGEST_N:.0e}; choose less")
    positions = _inside(lattice, origin, scale * half)
    while n is not None and len(positions) < n:
        scale *= 1.1
        positions = _inside(lattice, origin, scale * half)
    if len(positions) == 0:
        raise InputError("the pillar holds no NP; choose a larger size, or an NP as its centre")
    outside = np.abs(positions / half).max(axis=1) * half.min()
    keys = np.column_stack([outside, np.linalg.norm(positions, axis=1), positions[:, ::-1]])
    chosen = np.lexsort(np.round(keys / (_SAME * volume ** (1 / 3))).astype(np.int64).T[::-1])[:n]
    return Superlattice(positions[chosen], None if radius_nm is None else np.asarray(radius_nm))


def _turn(cell: Cell, axis: Sequence[float], side: Sequence[float]) -> np.ndarray:
    """Return the matrix (3, 3) that turns row vectors so that `axis` is along z, and `side` in the xz plane."""
    z = _three(axis, "the axis of a pillar") @ cell.vectors_nm
    x = _three(side, "the side of a pillar") @ cell.vectors_nm
    y = np.cross(z, x)
    if np.linalg.norm(y) <= 1e-9 * np.linalg.norm(z) * np.linalg.norm(x):
        raise InputError(f"axis {list(axis)} and side {list(side)} of a pillar must be two different directions")
    y, z = y / np.linalg.norm(y), z / np.linalg.norm(z)
    return np.column_stack([np.cross(y, z), y, z])


def _inside(lattice: np.ndarray, origin: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the lattice points (N, 3) relative to an origin, nm, in a block about it of half sizes (3,), nm."""
    inverse = np.linalg.inv(lattice)
    centre, reach = origin @ inverse, np.abs(inverse).T @ half
    low, high = np.ceil(centre - reach).astype(int), np.floor(centre + reach).astype(int)
    i, j = (part.ravel() for part in np.meshgrid(*(np.arange(low[k], high[k] + 1) for k in (0, 1)), indexing="ij"))
    # Rows of NPs along the third vector: each enters the block and leaves it once.
    start = i[:, None] * lattice[0] + j[:, None] * lattice[1] - origin
    first, last = np.full(len(i), -np.inf), np.full(len(i), np.inf)
    for k in range(3):
        if abs(lattice[2, k]) > 1e-12 * np.linalg.norm(lattice[2]):
            ends = (np.array([-half[k], half[k]])[:, None] - start[:, k]) / lattice[2, k]
            first, last = np.maximum(first, ends.min(axis=0)), np.minimum(last, ends.max(axis=0))
        else:
            last = np.where(np.abs(start[:, k]) <= half[k], last, -np.inf)
    within = last >= first
    start, first, last = start[within], np.ceil(first[within]), np.floor(last[within])
    counts = np.maximum(last - first + 1, 0).astype(int)
    along = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(start + first[:, None] * lattice[2], counts, axis=0) + along[:, None] * lattice[2]


def _shortest_nm(lattice: np.ndarray) -> float:
    """Return the length, nm, of the shortest vector of a lattice."""
    from ase.geometry import minkowski_reduce  # slow to load

    return float(np.linalg.norm(minkowski_reduce(lattice)[0], axis=1).min())  # type: ignore[no-untyped-call]


def _three(values: Sequence[float] | np.ndarray | None, what: str, positive: bool = False) -> np.ndarray:
    array = np.array(values, dtype=float)
    if array.shape != (3,) or not np.isfinite(array).all() or (positive and not (array > 0).all()):
        raise InputError(f"{what} needs three {'positive' if positive else 'finite'} numbers, got {values}")
    return array
