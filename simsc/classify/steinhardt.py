"""Steinhardt's bond-orientational order parameters of the 12 nearest neighbours, and labels from them.

q_l and w_l: Steinhardt, Nelson and Ronchetti, Phys. Rev. B 28 (1983) 784, DOI 10.1103/PhysRevB.28.784; by freud.
"""

import functools
from dataclasses import dataclass

import numpy as np

from simsc.build.close_packed import close_packed
from simsc.classify.neighbours import Neighbours, nearest_distance_scale_nm, nearest_neighbours
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

CLASSES = ("fcc", "hcp", "surface")
# Exact for 12 neighbours of the perfect lattices (Mickel et al., J. Chem. Phys. 138 (2013) 044501, Table I).
IDEAL = {"fcc": (0.190941, 0.574524), "hcp": (0.097223, 0.484762)}
# First-shell neighbours lie at d, the next at √2 d: halfway between.
_FIRST_SHELL = (1 + np.sqrt(2)) / 2
# |Σ unit vectors| / 12 is 0 in a perfect bulk and at least 0.064 where neighbours are missing. Motion adds about as
# much as it spreads the distances; the 6 shortest are there on a surface too.
_ASYMMETRY = 0.04
_ASYMMETRY_PER_SPREAD = 3.0
_REFERENCE_NOISE = np.array([0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15])
_REFERENCE_LATERAL = (6, 4)


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


@dataclass(frozen=True, eq=False)
class Labels:
    """A class for each NP.

    Args:
        labels: (N,) out of "fcc", "hcp" and "surface".
        probability: (N,) probability of the label as the method sees it; NaN where the method has none.
    """

    labels: np.ndarray
    probability: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """How many NPs each class has."""
        return {name: int((self.labels == name).sum()) for name in CLASSES}


def bond_order(superlattice: Superlattice, d_nn_nm: float | None = None) -> BondOrder:
    """Compute q4, q6, w4 and w6 over the 12 nearest neighbours, right in thin cells too.

    Args:
        superlattice: NPs, periodic or in free space.
        d_nn_nm: nearest-neighbour distance, nm, that tells full from incomplete shells; None estimates it.

    Raises:
        InputError: for fewer than 13 NPs in free space, NPs at the same place, or a distance that is not positive.

    Example:
        >>> order = bond_order(close_packed("ABC", 6.2))
        >>> print(f"{order.q4[0]:.3f} {order.q6[0]:.3f}")
        0.191 0.575
    """
    if d_nn_nm is not None and not d_nn_nm > 0:
        raise InputError(f"the nearest-neighbour distance must be positive (nm), got {d_nn_nm:g}")
    neighbours = nearest_neighbours(superlattice)
    scale = nearest_distance_scale_nm(neighbours) if d_nn_nm is None else d_nn_nm
    q4, q6 = _invariants(neighbours, superlattice.n, third_order=False)
    w4, w6 = _invariants(neighbours, superlattice.n, third_order=True)
    units = neighbours.vectors_nm / neighbours.distances_nm[:, :, None]
    asymmetry = np.linalg.norm(units.mean(axis=1), axis=1)
    shortest = neighbours.distances_nm[:, :6]
    motion = float(np.median(shortest.std(axis=1) / shortest.mean(axis=1)))
    lopsided = asymmetry > _ASYMMETRY + _ASYMMETRY_PER_SPREAD * motion
    incomplete = neighbours.distances_nm[:, -1] > _FIRST_SHELL * scale
    mean = neighbours.distances_nm.mean(axis=1)
    return BondOrder(
        q4,
        q6,
        w4,
        w6,
        ~(incomplete & lopsided),
        neighbours.distances_nm.std(axis=1) / mean,
        scale,
    )


def label_paper(order: BondOrder) -> Labels:
    """Label each NP by the nearest ideal (q4, q6), as in the paper's Fig. 5d; exact for cold crystals only.

    Nearest-ideal labels lean towards hcp once NPs vibrate (from a displacement of about 5 % of d_NN).
    """
    names = np.array(list(IDEAL))
    points = np.array(list(IDEAL.values()))
    distances = np.hypot(order.q4[:, None] - points[:, 0], order.q6[:, None] - points[:, 1])
    labels = np.where(order.bulk, names[distances.argmin(axis=1)], "surface")
    return Labels(labels, np.full(len(labels), np.nan))


def label_thermal(order: BondOrder, seed: int = 0) -> Labels:
    """Label each NP by the likelihood of (q4, q6, w4, w6) in fcc and hcp crystals that vibrate as the data do.

    The noise level is the one at which the 12 distances of reference crystals spread as those of the bulk NPs; at this
    level the references are simulated and each class taken as a Gaussian.

    Args:
        order: bond order of the NPs.
        seed: of the simulated references.
    """
    if not order.bulk.any():
        return Labels(np.full(len(order.q4), "surface"), np.full(len(order.q4), np.nan))
    noise = float(np.interp(np.median(order.spread[order.bulk]), _reference_spreads(seed), _REFERENCE_NOISE))
    rng = np.random.default_rng(seed)
    data = _features(order)
    log_likelihood = []
    for stacking in ("ABC" * 4, "AB" * 6):
        crystal = close_packed(stacking, 1.0, _REFERENCE_LATERAL)
        sample = np.concatenate([_features(_vibrating(crystal, noise, rng)) for _ in range(4)])
        mean, covariance = sample.mean(axis=0), np.cov(sample.T) + 1e-12 * np.eye(4)
        deviation = data - mean
        chi2 = np.einsum("ni,ij,nj->n", deviation, np.linalg.inv(covariance), deviation)
        log_likelihood.append(-0.5 * (chi2 + np.linalg.slogdet(covariance)[1]))
    difference = np.clip(log_likelihood[0] - log_likelihood[1], -700, 700)
    probability_fcc = 1 / (1 + np.exp(-difference))
    labels = np.where(order.bulk, np.where(difference > 0, "fcc", "hcp"), "surface")
    probability = np.where(order.bulk, np.maximum(probability_fcc, 1 - probability_fcc), np.nan)
    return Labels(labels, probability)


METHODS = {"paper": label_paper, "thermal": label_thermal}


def _invariants(neighbours: Neighbours, n: int, third_order: bool) -> tuple[np.ndarray, np.ndarray]:
    import freud

    steinhardt = freud.order.Steinhardt(l=[4, 6], wl=third_order, wl_normalize=third_order)
    steinhardt.compute(neighbours.system, neighbors=neighbours.neighbour_list)
    values = np.array(steinhardt.particle_order, dtype=np.float64)[:n]
    return values[:, 0], values[:, 1]


@functools.cache
def _reference_spreads(seed: int) -> tuple[float, ...]:
    """Return the median spread of the 12 distances at each level of `_REFERENCE_NOISE`; fcc and hcp agree in it."""
    rng, crystal = np.random.default_rng(seed), close_packed("ABC" * 4, 1.0, _REFERENCE_LATERAL)
    return tuple(float(np.median(_vibrating(crystal, noise, rng).spread)) for noise in _REFERENCE_NOISE)


def _features(order: BondOrder) -> np.ndarray:
    return np.stack([order.q4, order.q6, order.w4, order.w6], axis=1)


def _vibrating(crystal: Superlattice, noise: float, rng: np.random.Generator) -> BondOrder:
    shifted = crystal.positions_nm + rng.normal(scale=noise, size=crystal.positions_nm.shape)
    return bond_order(Superlattice(shifted, cell=crystal.cell))
