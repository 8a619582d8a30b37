"""Steinhardt's bond-orientational order parameters q_l and w_l, and their averaged and weighted forms, by freud.

q_l and w_l: Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28 (1983) 784, DOI 10.1103/PhysRevB.28.784. Averaged over
the first shell: Lechner and Dellago, J. Chem. Phys. 129 (2008) 114707, DOI 10.1063/1.2977970. Weighted by the faces of
Voronoi cells: Mickel et al., J. Chem. Phys. 138 (2013) 044501, DOI 10.1063/1.4774084.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simsc.classify.neighbours import Neighbours, given_or_estimated_d_nn_nm, nearest_neighbours
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

# Exact for 12 neighbours of the perfect lattices (Mickel et al., Table I).
IDEAL = {"fcc": (0.190941, 0.574524), "hcp": (0.097223, 0.484762)}
# First-shell neighbours lie at d, the next at √2 d: halfway between.
_FIRST_SHELL = (1 + np.sqrt(2)) / 2
# |Σ unit vectors| / 12 is 0 in a perfect bulk and at least 0.064 where neighbours are missing. Motion adds about as
# much as it spreads the distances; the 6 shortest are there on a surface too.
_ASYMMETRY = 0.04
_ASYMMETRY_PER_SPREAD = 3.0
_LARGEST_DEGREE = 20  # of w_l, whose sum grows as l³; freud's recursion is exact far beyond


@dataclass(frozen=True, eq=False)
class BondOrder:
    """Bond-orientational order of each NP.

    Args:
        q4, q6: (N,) second-order invariants.
        w4, w6: (N,) third-order invariants, normalised.
        bulk: (N,) bool; false for NPs without a full shell of neighbours.
        spread: (N,) standard deviation of the 12 distances over their mean.
        d_nn_nm: nearest-neighbour distance used as scale, nm.
    """

    q4: np.ndarray
    q6: np.ndarray
    w4: np.ndarray
    w6: np.ndarray
    bulk: np.ndarray
    spread: np.ndarray
    d_nn_nm: float


def steinhardt(
    neighbours: Neighbours,
    degrees: Sequence[int],
    third_order: bool = False,
    average: bool = False,
    weighted: bool = False,
) -> np.ndarray:
    """Compute q_l, or w_l, of each NP over any kind of neighbours.

    Args:
        neighbours: from `nearest_neighbours`, `neighbours_within` or `voronoi_neighbours`.
        degrees: the degrees l, 1 … 20.
        third_order: w_l, normalised by |q_l|³, instead of q_l.
        average: average q_lm over an NP and its neighbours first (Lechner and Dellago).
        weighted: weight neighbours by `neighbours.weights`: Minkowski structure metrics with Voronoi neighbours.

    Returns:
        (N, len(degrees)); NaN for NPs without neighbours.

    Raises:
        InputError: for a degree out of range.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> print(steinhardt(nearest_neighbours(close_packed("ABC", 6.2)), [4, 6])[0].round(6))
        [0.190941 0.574524]
    """
    import freud  # takes a second to load, with Matplotlib

    if not degrees or min(degrees) < 1 or max(degrees) > _LARGEST_DEGREE:
        raise InputError(f"degrees of bond order must lie in 1 … {_LARGEST_DEGREE}, got {list(degrees)}")
    compute = freud.order.Steinhardt(
        l=list(degrees), wl=third_order, wl_normalize=third_order, average=average, weighted=weighted
    )
    compute.compute((neighbours.box, neighbours.points), neighbors=neighbours.freud_list(everywhere=average))
    return np.array(compute.particle_order, dtype=np.float64).reshape(-1, len(degrees))[: neighbours.n]


def bond_order(superlattice: Superlattice, d_nn_nm: float | None = None) -> BondOrder:
    """Compute q4, q6, w4 and w6 over the 12 nearest neighbours, right in thin cells too.

    Args:
        superlattice: NPs, periodic or in free space.
        d_nn_nm: nearest-neighbour distance, nm, that separates full from incomplete shells; None estimates it.

    Raises:
        InputError: for fewer than 13 NPs in free space, NPs at the same place, or a distance that neighbours do not
            have.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> order = bond_order(close_packed("ABC", 6.2))
        >>> print(f"{order.q4[0]:.3f} {order.q6[0]:.3f}")
        0.191 0.575
    """
    neighbours = nearest_neighbours(superlattice)
    scale = given_or_estimated_d_nn_nm(d_nn_nm, neighbours)
    q4, q6 = steinhardt(neighbours, [4, 6]).T
    w4, w6 = steinhardt(neighbours, [4, 6], third_order=True).T
    distances = neighbours.distances_nm.reshape(superlattice.n, 12)
    units = neighbours.vectors_nm.reshape(superlattice.n, 12, 3) / distances[:, :, None]
    asymmetry = np.linalg.norm(units.mean(axis=1), axis=1)
    shortest = distances[:, :6]
    motion = float(np.median(shortest.std(axis=1) / shortest.mean(axis=1)))
    lopsided = asymmetry > _ASYMMETRY + _ASYMMETRY_PER_SPREAD * motion
    incomplete = distances[:, -1] > _FIRST_SHELL * scale
    return BondOrder(
        q4,
        q6,
        w4,
        w6,
        ~(incomplete & lopsided),
        distances.std(axis=1) / distances.mean(axis=1),
        scale,
    )
