"""The surroundings of a nanoparticle as numbers that do not change when the crystal is turned.

Neighbours are sorted softly into shells, so that thermal motion moves none of them in or out at once. For each shell n

    c_nlm = Σ_j w_n(r_j) Y_lm(r_j) / Σ_j w_n(r_j)

and from these the second-order invariants within and between shells

    p_nn'l = 4π / (2l + 1) · Σ_m c*_nlm c_n'lm,

whose diagonal is Steinhardt's q_l² (DOI 10.1103/PhysRevB.28.784) and whose whole is the power spectrum of Bartók,
Kondor and Csányi (DOI 10.1103/PhysRevB.87.184115). Spherical harmonics by freud.

A crystal that is strained as a whole is looked at without its strain, so that the cells of pillars, a tenth longer one
way than another, are labelled as well as cubic ones.
"""

from dataclasses import dataclass

import numpy as np

from simsc.classify.neighbours import CutoffSearch, Neighbours, nearest_distance_scale_nm, nearest_neighbours
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

_PART = 10_000  # NPs at a time, so that memory stays bounded
_NO_WEIGHT = 1e-4  # of a neighbour at the edge of a shell
_FULL_SHELL = 1.3  # largest distance to the 12th neighbour, in units of their mean, of an NP that counts for the strain
_GAP = 1.01  # least distance to the 13th neighbour, in units of that to the 12th: in bcc it is chance which ones count
# Root of the sum of squares of the logarithmic strains. Less is learned from, and in a cell of 24 NPs thermal motion
# can look like it: taking it out would do harm there.
_SMALL_STRAIN = 0.03
_LARGEST_STRAIN = 0.15  # logarithmic; from 0.17 on fcc is on its way to bcc


@dataclass(frozen=True)
class Shells:
    """Soft shells of neighbours, and the degrees of the invariants.

    The weight of a neighbour at distance r in the shell around r_n is cos²(π/2 · (r − r_n)/h) for |r − r_n| < h. The
    first shell holds all that is nearer, too.

    Args:
        centres: r_n, in units of the nearest-neighbour distance, ascending.
        half_width: h, in the same units.
        degrees: degrees l of the second-order invariants.
        third_order: degrees of the third-order invariants w_l of each shell.
    """

    centres: tuple[float, ...]
    half_width: float
    degrees: tuple[int, ...]
    third_order: tuple[int, ...]

    @property
    def cutoff(self) -> float:
        """Distance beyond which no neighbour counts, in units of the nearest-neighbour distance."""
        return self.centres[-1] + self.half_width

    @property
    def n_features(self) -> int:
        """Number of features of an NP."""
        n = len(self.centres)
        return n + n * (n + 1) // 2 * len(self.degrees) + n * len(self.third_order) + 2

    def weights(self, distances: np.ndarray) -> np.ndarray:
        """Return the weights (M, n) of distances (M,), in units of the nearest-neighbour distance, in each shell."""
        place = np.clip((distances[:, None] - self.centres) / self.half_width, -1, 1)
        place[:, 0] = np.maximum(place[:, 0], 0)
        return np.cos(np.pi / 2 * place) ** 2


def environments(superlattice: Superlattice, shells: Shells, d_nn_nm: float | None = None) -> np.ndarray:
    """Compute the features of the surroundings of each NP.

    Args:
        superlattice: NPs, periodic or in free space.
        shells: shells and degrees.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Returns:
        (N, shells.n_features), float32: for each NP the weight in each shell, √|p_nn'l| with the sign of p_nn'l, w_l;
        then, alike for all NPs, how much the 12 and the 6 shortest distances of the median NP spread, a measure of how
        much NPs vibrate.

    Raises:
        InputError: for fewer than 13 NPs in free space, NPs at the same place, or a distance that is not positive.
    """
    if d_nn_nm is not None and not d_nn_nm > 0:
        raise InputError(f"the nearest-neighbour distance must be positive (nm), got {d_nn_nm:g}")
    superlattice = unstrained(superlattice)
    neighbours = nearest_neighbours(superlattice)
    d = nearest_distance_scale_nm(neighbours) if d_nn_nm is None else d_nn_nm
    distances = neighbours.distances_nm.reshape(superlattice.n, -1)
    del neighbours
    features = np.empty((superlattice.n, shells.n_features), dtype=np.float32)
    for k, nearest in enumerate((12, 6)):
        near = distances[:, :nearest]
        features[:, k - 2] = np.median(near.std(axis=1) / near.mean(axis=1))
    search = CutoffSearch(superlattice, shells.cutoff * d)
    for part in search.parts(_PART):
        features[part, :-2] = _invariants(search.neighbours(part), d, shells)
    return features


def unstrained(superlattice: Superlattice) -> Superlattice:
    """Take the mean strain out of a close-packed crystal, but for its volume.

    Σ r rᵀ over the 12 neighbours is 4 d² times the unit tensor in fcc and in hcp, however the layers are stacked, and
    thermal motion adds nothing to it in first order: so its mean over all NPs with full shells gives the deformation.
    Small strains are left alone, and the larger one is, the less of it is left: 1.5 % of 6 %, 0.9 % of 10 %.

    Args:
        superlattice: NPs, periodic or in free space.

    Returns:
        The NPs, and their cell, after a symmetric deformation of determinant 1.

    Raises:
        InputError: as in `environments`.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> cubic = close_packed("ABC", 6.2, (3, 2))
        >>> stretch = np.diag([1.08, 1.0, 1 / 1.08])
        >>> strained = Superlattice(cubic.positions_nm @ stretch, cell=Cell(cubic.cell.vectors_nm @ stretch))
        >>> lengths = unstrained(strained).cell.vectors_nm.diagonal() / cubic.cell.vectors_nm.diagonal()
        >>> print(lengths.round(3))
        [1.006 1.    0.994]
    """
    periodic = superlattice.cell is not None and superlattice.cell.periodic.any()
    if not periodic and superlattice.n < 14:
        return superlattice
    neighbours = nearest_neighbours(superlattice, 13)
    distances = neighbours.distances_nm.reshape(superlattice.n, -1)
    full = distances[:, 11] < _FULL_SHELL * distances[:, :12].mean(axis=1)
    full &= distances[:, -1] > _GAP * distances[:, 11]
    if not full.any():
        return superlattice
    vectors = neighbours.vectors_nm.reshape(superlattice.n, -1, 3)[full, :12]
    values, axes = np.linalg.eigh(np.einsum("nki,nkj->ij", vectors, vectors))
    logarithms = -0.5 * np.log(values)
    logarithms -= logarithms.mean()
    size = float(np.linalg.norm(logarithms))
    if size <= _SMALL_STRAIN or np.abs(logarithms).max() > _LARGEST_STRAIN:
        return superlattice  # as it was learned from, or no strained close packing
    logarithms *= 1 - (_SMALL_STRAIN / size) ** 2
    back = (axes * np.exp(logarithms)) @ axes.T
    cell = superlattice.cell
    return Superlattice(
        superlattice.positions_nm @ back,
        superlattice.radii_nm,
        None if cell is None else Cell(cell.vectors_nm @ back, cell.periodic),
    )


def _invariants(neighbours: Neighbours, d_nn_nm: float, shells: Shells) -> np.ndarray:
    import freud  # takes a second to load, with Matplotlib

    n, points = neighbours.n, neighbours.points
    weights = shells.weights(neighbours.distances_nm / d_nn_nm)
    columns, harmonics = [], []
    for shell_weights in weights.T:
        inside = np.flatnonzero(shell_weights > _NO_WEIGHT)
        first, weight = neighbours.first[inside], shell_weights[inside].astype(np.float32)
        bonds = freud.locality.NeighborList.from_arrays(
            len(points), len(points), first, neighbours.second[inside], neighbours.vectors_nm[inside], weight
        )
        columns.append(np.bincount(first, weight, minlength=n))
        compute = freud.order.Steinhardt(l=list(shells.degrees), weighted=True)
        compute.compute((neighbours.box, points), neighbors=bonds)
        harmonics.append([c_lm[:n] for c_lm in compute.particle_harmonics])
        if shells.third_order:
            compute = freud.order.Steinhardt(l=list(shells.third_order), weighted=True, wl=True, wl_normalize=True)
            compute.compute((neighbours.box, points), neighbors=bonds)
            columns.extend(compute.particle_order.reshape(len(points), -1)[:n].T)
    for k, one in enumerate(harmonics):
        for other in harmonics[k:]:
            for degree, c_lm, other_lm in zip(shells.degrees, one, other, strict=True):
                p = 4 * np.pi / (2 * degree + 1) * np.einsum("nm,nm->n", c_lm.conj(), other_lm).real
                columns.append(np.sign(p) * np.sqrt(np.abs(p)))
    return np.nan_to_num(np.column_stack(columns))  # a shell without neighbours has no order
