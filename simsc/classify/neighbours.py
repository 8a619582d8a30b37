"""Nearest neighbours that are right in thin periodic cells too.

Neighbour searches of common libraries take the nearest image only, or silently miss images, once a cell is thinner
than a few distances; the paper's cell is one nearest-neighbour distance wide. So the cell is replicated until the
neighbours found are provably distinct, and an error says so where that cannot be reached.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simsc.core.errors import InputError, ThinCellError
from simsc.core.superlattice import Superlattice

if TYPE_CHECKING:
    import freud

_LARGEST_REPLICA = 50_000_000  # NPs; above it memory, not geometry, is what fails


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest neighbours of each NP.

    Args:
        system: freud box and points (of the replicated cell) for freud's own computes.
        neighbour_list: freud neighbour list for all those points, sorted by distance; the NPs come first.
        distances_nm: (N, k) distances, nm, ascending.
        vectors_nm: (N, k, 3) vectors from the NP to its neighbours, nm, in the frame of freud's box.
    """

    system: "tuple[freud.box.Box, np.ndarray]"
    neighbour_list: "freud.locality.NeighborList"
    distances_nm: np.ndarray
    vectors_nm: np.ndarray


def nearest_neighbours(superlattice: Superlattice, k: int = 12) -> Neighbours:
    """Find the k nearest neighbours of every NP.

    Args:
        superlattice: periodic in any directions, or in free space.
        k: number of neighbours. Default 12.

    Returns:
        Neighbours of the NPs of the original cell.

    Raises:
        InputError: if a finite superlattice has fewer than k + 1 NPs.
        ThinCellError: if a cell would have to be replicated beyond memory.

    Example:
        >>> from simsc.build.close_packed import close_packed
        >>> bool(np.allclose(nearest_neighbours(close_packed("ABCABCABABAB", 6.2)).distances_nm, 6.2))
        True
    """
    import freud  # takes a second to load, with Matplotlib

    periodic = superlattice.cell is not None and bool(superlattice.cell.periodic.any())
    if not periodic and superlattice.n <= k:
        raise InputError(f"{superlattice.n} NPs in free space: {k} neighbours each need at least {k + 1}")
    counts = np.ones(3, dtype=int)
    while True:
        box, points = _freud_system(superlattice, counts)
        # freud widens its search from here; its own guess takes the room around a finite crystal for its density.
        extent = np.maximum(np.ptp(points, axis=0), 1e-3 * np.ptp(points))
        volume = box.volume if superlattice.cell is not None and superlattice.cell.periodic.all() else extent.prod()
        guess = min(1.1 * float(k * volume / len(points)) ** (1 / 3), 0.49 * min(box.L))
        arguments = {"num_neighbors": k, "exclude_ii": True, "r_guess": guess, "scale": 1.2}
        query = freud.locality.AABBQuery(box, points).query(points, arguments)
        found = query.toNeighborList(sort_by_distance=True)
        complete = len(found) == k * len(points)
        if superlattice.cell is None or not superlattice.cell.periodic.any():
            break
        # Two images of one NP are at least one width apart, so neighbours nearer than half of it are distinct and
        # nearest images are enough.
        widths = superlattice.cell.perpendicular_widths_nm * counts
        largest = found.distances.max() if complete else np.inf
        thin = superlattice.cell.periodic & (widths <= 2 * largest * (1 + 1e-5))
        if not thin.any():
            break
        reach = largest if np.isfinite(largest) else widths[superlattice.cell.periodic].min()
        wanted = np.ceil(np.minimum(2.2 * reach, 2 * widths.max()) / superlattice.cell.perpendicular_widths_nm)
        counts = np.where(thin, np.maximum(counts + 1, wanted.astype(int)), counts)
        if superlattice.n * int(np.prod(counts)) > _LARGEST_REPLICA:
            raise ThinCellError(
                "the periodic cell is so thin that its neighbours cannot be told from their images; replicate it"
            )
    if not complete:
        raise InputError(f"fewer than {k} neighbours were found for some NPs; are positions in nm, and distinct?")
    distances = found.distances.reshape(-1, k)[: superlattice.n].astype(np.float64)
    vectors = found.vectors.reshape(-1, k, 3)[: superlattice.n].astype(np.float64)
    if distances[:, 0].min() <= 0:
        raise InputError("two NPs lie at the same place")
    return Neighbours((box, points), found, distances, vectors)


def nearest_distance_nm(superlattice: Superlattice) -> float:
    """Return the median distance, nm, to the nearest other NP as the positions stand; infinite for a single NP.

    Periodic images are not looked at, so that it holds for a cell taken as a finite crystal.
    """
    from scipy.spatial import cKDTree  # slow to load

    return float(np.median(cKDTree(superlattice.positions_nm).query(superlattice.positions_nm, 2)[0][:, 1]))


def mean_nearest_distance_nm(superlattice: Superlattice) -> float:
    """Return the mean distance, nm, of the 12 nearest neighbours over all NPs."""
    return float(nearest_neighbours(superlattice).distances_nm.mean())


def nearest_distance_scale_nm(neighbours: Neighbours) -> float:
    """Estimate d_NN, nm, in the presence of surfaces: the median over NPs of the distance to the 6th neighbour.

    NPs on a close-packed surface have at least 6 touching neighbours, so their vacancies do not enter.
    """
    return float(np.median(neighbours.distances_nm[:, 5]))


def _freud_system(superlattice: Superlattice, counts: np.ndarray) -> "tuple[freud.box.Box, np.ndarray]":
    """Return freud's box and points; the original NPs come first. freud works in single precision.

    freud searches periodic boxes only, so directions that are not periodic get so much room that no image comes near.
    """
    import freud

    positions = superlattice.positions_nm
    room = 4 * float(np.linalg.norm(np.ptp(positions, axis=0))) + 1.0
    if superlattice.cell is None:
        return freud.box.Box.cube(2 * room), (positions - positions.mean(axis=0)).astype(np.float32)
    cell, rotation = superlattice.cell.upper_triangular()
    wrapped = Superlattice(cell.wrap(positions @ rotation), cell=cell)
    replica = wrapped.replicate(counts.tolist())
    assert replica.cell is not None
    stretch = np.where(cell.periodic, 1.0, 1.0 + room / cell.perpendicular_widths_nm)
    box = freud.box.Box.from_matrix((replica.cell.vectors_nm * stretch[:, None]).T)
    return box, box.wrap(replica.positions_nm - replica.positions_nm.mean(axis=0)).astype(np.float32)
