"""Neighbours that are right in thin periodic cells too: the k nearest, all within a cutoff, or Voronoi neighbours.

Neighbour searches of common libraries take the nearest image only, or silently miss images, once a cell is thinner
than a few distances; the paper's cell is one nearest-neighbour distance wide. So the cell is replicated until the
neighbours found are provably distinct, and an error says so where that cannot be reached.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simsc.core.errors import InputError, ThinCellError
from simsc.core.superlattice import Superlattice

if TYPE_CHECKING:
    import freud

_LARGEST_REPLICA = 50_000_000  # NPs; above it memory, not geometry, is what fails
_ROUNDING = 1e-5  # freud works in single precision
_OTHER_UNIT = 2.0  # times the distance of neighbours: a surface or a hot crystal is nowhere near


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Bonds from NPs to their neighbours, sorted by NP and then by distance.

    Args:
        n: number of NPs.
        first: (M,) number of the NP a bond belongs to, ascending.
        second: (M,) number of the neighbour in `points`; `second % n` is the NP of which it is an image.
        vectors_nm: (M, 3) from the NP to the neighbour, nm.
        weights: (M,) share of the Voronoi cell's surface, for Voronoi neighbours; else 1.
        box: freud's box of the replicated cell.
        points: (P, 3) NPs of the replicated cell in the frame of this box; copy k holds numbers k·n … (k+1)·n − 1.
        replicas: (3,) copies of the cell along its vectors.
    """

    n: int
    first: np.ndarray
    second: np.ndarray
    vectors_nm: np.ndarray
    weights: np.ndarray
    box: "freud.box.Box"
    points: np.ndarray
    replicas: tuple[int, int, int]

    @property
    def distances_nm(self) -> np.ndarray:
        """(M,) lengths of the bonds, nm."""
        return np.linalg.norm(self.vectors_nm, axis=1)

    @property
    def counts(self) -> np.ndarray:
        """(N,) number of neighbours of each NP."""
        return np.bincount(self.first, minlength=self.n)

    def chosen(self, which: np.ndarray) -> "Neighbours":
        """Return some of the bonds, by a mask (M,) or by their numbers, in this order."""
        names = ("first", "second", "vectors_nm", "weights")
        return replace(self, **{name: getattr(self, name)[which] for name in names})

    def freud_list(self, everywhere: bool = False) -> "freud.locality.NeighborList":
        """Return the bonds as freud takes them, to go with `box` and `points`.

        Args:
            everywhere: with the bonds of all copies of the cell, not of the first only.
        """
        import freud  # takes a second to load, with Matplotlib

        first, second, vectors, weights = self.first, self.second, self.vectors_nm, self.weights
        if everywhere and len(self.points) > self.n:
            copies = np.stack(np.unravel_index(np.arange(len(self.points) // self.n), self.replicas), axis=1)
            to = copies[second // self.n] + copies[:, None]  # (copies, M, 3)
            image = np.ravel_multi_index(tuple(np.moveaxis(to, -1, 0)), self.replicas, mode="wrap")
            second = (image * self.n + second % self.n).ravel()
            first = (np.arange(len(copies))[:, None] * self.n + first).ravel()
            vectors, weights = np.tile(vectors, (len(copies), 1)), np.tile(weights, len(copies))
        p = len(self.points)
        return freud.locality.NeighborList.from_arrays(p, p, first, second, vectors, weights)


def nearest_neighbours(superlattice: Superlattice, k: int = 12) -> Neighbours:
    """Find the k nearest neighbours of every NP.

    Args:
        superlattice: periodic in any directions, or in free space.
        k: number of neighbours. Default 12.

    Returns:
        Exactly k bonds for each NP, so that its arrays can be reshaped to (N, k).

    Raises:
        InputError: if a finite superlattice has fewer than k + 1 NPs, or two NPs lie at the same place.
        ThinCellError: if a cell would have to be replicated beyond memory.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> bool(np.allclose(nearest_neighbours(close_packed("ABCABCABABAB", 6.2)).distances_nm, 6.2))
        True
    """
    import freud

    periodic = _periodic(superlattice)
    if not periodic.any() and superlattice.n <= k:
        raise InputError(f"{superlattice.n} NPs in free space: {k} neighbours each need at least {k + 1}")
    if superlattice.n > 1 and not np.ptp(superlattice.positions_nm, axis=0).any():
        raise InputError("all NPs lie at the same place")  # where freud has no box to search in
    counts = np.ones(3, dtype=int)
    while True:
        room = _Room(superlattice, counts)
        arguments = {"num_neighbors": k, "exclude_ii": True, "r_guess": room.guess_nm(k), "scale": 1.2}
        points = room.points[: superlattice.n]
        found = freud.locality.AABBQuery(room.box, room.points).query(points, arguments).toNeighborList(True)
        complete = len(found) == k * superlattice.n
        # Two images of one NP are at least one width apart, so neighbours nearer than half of it are distinct and
        # nearest images are enough.
        largest = found.distances.max() if complete else np.inf
        if not periodic.any() or not room.thinner_than(2 * largest).any():
            break
        widths = room.widths_nm / counts
        reach = largest if complete else room.widths_nm[periodic].min()
        wanted = np.ceil(np.minimum(2.2 * reach, 2 * room.widths_nm.max()) / widths)
        counts = np.where(room.thinner_than(2 * largest), np.maximum(counts + 1, wanted.astype(int)), counts)
    if not complete:
        raise InputError(f"fewer than {k} neighbours were found for some NPs; are positions in nm, and distinct?")
    if found.distances.min() <= 0:
        raise InputError("two NPs lie at the same place")
    return room.bonds(found)


def neighbours_within(superlattice: Superlattice, cutoff_nm: float) -> Neighbours:
    """Find all neighbours within a cutoff.

    Args:
        superlattice: periodic in any directions, or in free space.
        cutoff_nm: longest distance, nm.

    Raises:
        InputError: for a cutoff that is not positive.
        ThinCellError: if a cell would have to be replicated beyond memory.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> neighbours_within(close_packed("AB", 6.2), 7.0).counts.tolist()
        [12, 12, 12, 12]
    """
    return CutoffSearch(superlattice, cutoff_nm).neighbours()


class CutoffSearch:
    """A search for all neighbours within a cutoff, to be asked for some NPs after others, so that memory is bounded.

    Args:
        superlattice: as for `neighbours_within`.
        cutoff_nm: longest distance, nm.
    """

    def __init__(self, superlattice: Superlattice, cutoff_nm: float):
        import freud

        if not cutoff_nm > 0:
            raise InputError(f"a cutoff must be positive (nm), got {cutoff_nm:g}")
        counts = np.ones(3, dtype=int)
        periodic = _periodic(superlattice)
        if periodic.any():
            assert superlattice.cell is not None
            needed = np.ceil(2 * cutoff_nm * (1 + _ROUNDING) / superlattice.cell.perpendicular_widths_nm)
            counts = np.where(periodic, np.minimum(np.maximum(needed, 1), 1e6), 1).astype(int)
        self._room = _Room(superlattice, counts, 2 * cutoff_nm)
        self._query = freud.locality.AABBQuery(self._room.box, self._room.points)
        self._cutoff_nm = cutoff_nm
        self._n = superlattice.n

    def parts(self, size: int) -> Iterator[np.ndarray]:
        """Return the numbers of the NPs in parts of about a size, each compact in space."""
        points = self._room.points[: self._n]
        low, extent = points.min(axis=0), np.ptp(points, axis=0) + 1e-6
        edge = (size * float(np.prod(extent)) / self._n) ** (1 / 3)
        boxes = np.maximum(np.round(extent / edge), 1).astype(int)
        box = np.ravel_multi_index(tuple(((points - low) / extent * boxes).astype(int).T), boxes.tolist(), mode="clip")
        yield from np.split(order := np.argsort(box, kind="stable"), np.flatnonzero(np.diff(box[order])) + 1)

    def neighbours(self, nps: np.ndarray | None = None) -> Neighbours:
        """Return the neighbours of some NPs, (n,) numbers.

        The bonds' `first` is the place of an NP in `nps`, and `points` holds these first and what they touch after.
        """
        room, n = self._room, self._n
        nps = np.arange(n) if nps is None else nps
        found = self._query.query(room.points[nps], {"r_max": self._cutoff_nm}).toNeighborList(True)
        bonds = room.bonds(found)
        bonds = bonds.chosen(bonds.second != nps[bonds.first])
        if len(nps) == n:
            return bonds
        place = np.full(len(room.points), -1)
        place[nps] = np.arange(len(nps))
        others = np.unique(bonds.second[place[bonds.second] < 0])
        place[others] = len(nps) + np.arange(len(others))
        points = room.points[np.concatenate([nps, others])]
        return replace(bonds, n=len(nps), second=place[bonds.second], points=points)


def voronoi_neighbours(superlattice: Superlattice, k: int | None = None) -> Neighbours:
    """Find the neighbours whose Voronoi cells share a face.

    Args:
        superlattice: periodic in all directions.
        k: keep only the k neighbours of largest face; None keeps all.

    Returns:
        Bonds, weighted by the share of the face in the surface of the cell.

    Raises:
        InputError: for a superlattice that is not periodic in all directions (outer cells would not be closed), or
            if an NP has fewer than k neighbours.
        ThinCellError: if a cell would have to be replicated beyond memory.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> bonds = voronoi_neighbours(close_packed("ABC", 6.2), k=12)
        >>> print(bonds.counts[0], f"{bonds.weights[0]:.4f}")
        12 0.0833
    """
    if not _periodic(superlattice).all():
        raise InputError("Voronoi neighbours need a superlattice that is periodic in all directions")
    assert superlattice.cell is not None
    first, second, copy, areas, reach_nm = _voronoi_faces(superlattice)
    cell, rotation = superlattice.cell.upper_triangular()
    room = _Room(superlattice, np.floor(2 * reach_nm / cell.perpendicular_widths_nm).astype(int) + 1)
    wrapped = cell.wrap(superlattice.positions_nm @ rotation)
    vectors = (wrapped[second] + copy @ cell.vectors_nm - wrapped[first]) @ rotation.T
    image = np.ravel_multi_index(tuple(copy.T), room.replicas, mode="wrap")
    second = image * superlattice.n + second
    bonds = Neighbours(superlattice.n, first, second, vectors, areas, room.box, room.points, room.replicas)
    if k is not None:
        if bonds.counts.min() < k:
            raise InputError(f"an NP has {bonds.counts.min()} Voronoi neighbours, {k} were asked for")
        bonds = bonds.chosen(np.lexsort((-bonds.weights, bonds.first)))
        begins = np.cumsum(bonds.counts) - bonds.counts
        bonds = bonds.chosen(np.arange(len(bonds.first)) - begins[bonds.first] < k)
    bonds = bonds.chosen(np.lexsort((bonds.distances_nm, bonds.first)))
    return replace(bonds, weights=bonds.weights / np.bincount(bonds.first, bonds.weights)[bonds.first])


def _voronoi_faces(superlattice: Superlattice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Return for each face its NP, the one behind it, in which copy of the cell that lies, the area, the longest bond.

    By Qhull, with as many copies around as are needed: freud's Voronoi cells ended the process now and then.
    """
    from scipy.spatial import Voronoi  # slow to load

    assert superlattice.cell is not None
    cell, rotation = superlattice.cell.upper_triangular()
    n, widths = superlattice.n, cell.perpendicular_widths_nm
    fractional = cell.fractional(cell.wrap(superlattice.positions_nm @ rotation))
    margin = 3 * (cell.volume_nm3 / n) ** (1 / 3)
    while True:
        reach = np.ceil(margin / widths).astype(int)
        if n * np.prod(1 + 2.0 * margin / widths) > _LARGEST_REPLICA:
            raise ThinCellError("the cell is so thin or empty that Voronoi cells cannot be found; replicate it")
        shifts = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
        shifts = shifts[np.argsort(np.abs(shifts).sum(axis=1), kind="stable")]  # the cell itself first
        places = (fractional + shifts[:, None]).reshape(-1, 3)
        near = np.flatnonzero((np.abs(places - 0.5) <= 0.5 + margin / widths).all(axis=1))
        points = places[near] @ cell.vectors_nm
        voronoi = Voronoi(points)
        pairs = np.concatenate([voronoi.ridge_points, voronoi.ridge_points[:, ::-1]])
        ridges = np.tile(np.arange(len(voronoi.ridge_points)), 2)
        own = pairs[:, 0] < n
        pairs, ridges = pairs[own], ridges[own]
        corners = [voronoi.ridge_vertices[ridge] for ridge in ridges]
        lengths = np.array([len(corner) for corner in corners])
        flat, face = np.concatenate(corners), np.repeat(np.arange(len(corners)), lengths)
        # The sphere around a corner through its NPs is empty: as long as all of it was filled with copies.
        radius = np.linalg.norm(voronoi.vertices[flat] - points[pairs[face, 0]], axis=1).max()
        if flat.min() >= 0 and 2 * radius <= margin:
            break
        margin *= 2
    ends = np.cumsum(lengths)
    following = np.arange(len(flat)) + 1
    following[ends - 1] = ends - lengths
    relative = voronoi.vertices[flat] - points[pairs[face, 0]]
    crossed = np.cross(relative, relative[following])
    sums = [np.bincount(face, component, len(corners)) for component in crossed.T]
    areas = np.linalg.norm(sums, axis=0) / 2
    kept = areas > _ROUNDING * areas.mean()
    first, behind = pairs[kept, 0], near[pairs[kept, 1]]
    longest = np.linalg.norm(points[pairs[kept, 1]] - points[first], axis=1).max()
    order = np.argsort(first, kind="stable")
    return first[order], (behind % n)[order], shifts[behind // n][order], areas[kept][order], float(longest)


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
    """Estimate d_NN, nm, in the presence of surfaces: the median over NPs of the distance to the 6th of 12 neighbours.

    NPs on a close-packed surface have at least 6 touching neighbours, so their vacancies do not enter.
    """
    return float(np.median(neighbours.distances_nm.reshape(neighbours.n, -1)[:, 5]))


def given_or_estimated_d_nn_nm(given_nm: float | None, neighbours: Neighbours) -> float:
    """Return the nearest-neighbour distance that was given, nm, or else the estimated one.

    Raises:
        InputError: if the given one is no length, or far from where neighbours are, as in another unit.
    """
    estimated = nearest_distance_scale_nm(neighbours)
    if given_nm is None:
        return estimated
    if not (np.isfinite(given_nm) and given_nm > 0):
        raise InputError(f"the nearest-neighbour distance must be positive (nm), got {given_nm:g}")
    if not 1 / _OTHER_UNIT < given_nm / estimated < _OTHER_UNIT:
        raise InputError(
            f"the nearest-neighbour distance cannot be {given_nm:g} nm: neighbours lie {estimated:.4g} nm apart; check "
            "units (nm), and --length-unit of the file"
        )
    return given_nm


def _periodic(superlattice: Superlattice) -> np.ndarray:
    return np.zeros(3, dtype=bool) if superlattice.cell is None else superlattice.cell.periodic


class _Room:
    """freud's box and points of a replicated cell; the NPs of the original come first.

    freud searches periodic boxes only, so directions that are not periodic get so much room that no image comes near.
    """

    def __init__(self, superlattice: Superlattice, counts: np.ndarray, least_nm: float = 0.0):
        import freud

        if superlattice.n * int(np.prod(counts)) > _LARGEST_REPLICA:
            raise ThinCellError(
                "the periodic cell is so thin that its neighbours cannot be told from their images; replicate it"
            )
        positions = superlattice.positions_nm
        self.n, self.replicas = superlattice.n, (int(counts[0]), int(counts[1]), int(counts[2]))
        room = 4 * float(np.linalg.norm(np.ptp(positions, axis=0))) + 1.0 + least_nm
        if superlattice.cell is None:
            self.rotation, self.periodic, self.widths_nm = np.eye(3), np.zeros(3, dtype=bool), np.full(3, np.inf)
            self.box = freud.box.Box.cube(2 * room)
            self.points = (positions - positions.mean(axis=0)).astype(np.float32)
        else:
            cell, self.rotation = superlattice.cell.upper_triangular()
            self.periodic, self.widths_nm = cell.periodic, cell.perpendicular_widths_nm * counts
            replica = Superlattice(cell.wrap(positions @ self.rotation), cell=cell).replicate(counts.tolist())
            assert replica.cell is not None
            stretch = np.where(cell.periodic, 1.0, 1.0 + room / cell.perpendicular_widths_nm)
            self.box = freud.box.Box.from_matrix((replica.cell.vectors_nm * stretch[:, None]).T)
            self.points = self.box.wrap(replica.positions_nm - replica.positions_nm.mean(axis=0)).astype(np.float32)

    def guess_nm(self, k: int) -> float:
        """Return a radius, nm, that holds about k neighbours, from where freud widens its search.

        freud's own guess takes the room around a finite crystal for its density.
        """
        extent = np.maximum(np.ptp(self.points, axis=0), 1e-3 * np.ptp(self.points))
        volume = self.box.volume if self.periodic.all() else extent.prod()
        return min(1.1 * float(k * volume / len(self.points)) ** (1 / 3), 0.49 * min(self.box.L))

    def thinner_than(self, length_nm: float) -> np.ndarray:
        """Return a mask (3,) of the periodic directions that are not wider than a length, nm."""
        return self.periodic & (self.widths_nm <= length_nm * (1 + _ROUNDING))

    def bonds(self, found: "freud.locality.NeighborList") -> Neighbours:
        """Return freud's bonds in the frame of the superlattice."""
        return Neighbours(
            self.n,
            found.query_point_indices.astype(np.int64),
            found.point_indices.astype(np.int64),
            found.vectors @ self.rotation.T.astype(np.float32),
            found.weights,
            self.box,
            self.points,
            self.replicas,
        )
