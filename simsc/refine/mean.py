"""The metric of Lapkin et al. (ACS Nano 2025, 19, 42881): the mean CCF where a crystal's peaks are expected.

Kept to compare with: where peaks overlap it is biased, for a cell whose peaks gather on the brightest ridges scores
higher than the true one. The forward model of `simsc.refine.fit` is not.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage, optimize

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.refine.model import CLEAR_OF_SELF_DEG

# From shape parameters and q1: |g1|, and q2 (n,), nm⁻¹, and Δ (n,), degrees, of the peaks expected.
Positions = Callable[[np.ndarray, float], tuple[float, np.ndarray, np.ndarray]]

_FEWEST = 3
_OFF_SHELL = 0.03  # how far |g1| may lie from q1, relative to it


def best_mean(
    maps: Sequence[CorrelationMap], positions: Positions, n: int, bound: float, seed: int
) -> tuple[np.ndarray, float]:
    """Return the shape parameters (n,) of the highest mean CCF, and that mean.

    By differential evolution, then a simplex.

    Args:
        maps: to take the mean over.
        positions: where a crystal's peaks are expected.
        n: number of shape parameters.
        bound: they are looked for from −bound to bound.
        seed: of the evolution.

    Raises:
        InputError: if no crystal has peaks within the map.
    """
    lookups = [_Lookup(one) for one in maps]

    def loss(shape: np.ndarray) -> float:
        values = []
        for lookup in lookups:
            g1, q2, delta = positions(shape, lookup.q1_inv_nm)
            if abs(g1 / lookup.q1_inv_nm - 1) > _OFF_SHELL:
                return 0.0
            values.append(lookup.at(q2, delta))
        found = np.concatenate(values)
        return -float(found.mean()) if len(found) >= _FEWEST else 0.0

    coarse = optimize.differential_evolution(
        loss, [(-bound, bound)] * n, rng=np.random.default_rng(seed), popsize=20, maxiter=250, tol=1e-6, polish=False
    )
    simplex = coarse.x + np.vstack([np.zeros(n), 2e-3 * np.eye(n)])
    fine = optimize.minimize(
        loss, coarse.x, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 1e-6, "fatol": 1e-9}
    )
    if not fine.fun < 0:
        raise InputError("no peak is expected within the map: check q1, the q2 range and the start")
    return fine.x, -float(fine.fun)


class _Lookup:
    """Values of a map at any q2 and Δ clear of the self-correlation, by linear interpolation."""

    def __init__(self, correlation: CorrelationMap) -> None:
        self.q1_inv_nm = correlation.q1_inv_nm
        self._q2, self._delta = correlation.q2_inv_nm, correlation.delta_deg
        self._ccf = correlation.ccf

    def at(self, q2_inv_nm: np.ndarray, delta_deg: np.ndarray) -> np.ndarray:
        inside = (q2_inv_nm >= self._q2[0]) & (q2_inv_nm <= self._q2[-1])
        inside &= (delta_deg > CLEAR_OF_SELF_DEG) & (delta_deg < 180 - CLEAR_OF_SELF_DEG)
        row = np.interp(q2_inv_nm[inside], self._q2, np.arange(len(self._q2)))
        column = np.interp(delta_deg[inside], self._delta, np.arange(len(self._delta)))
        values = ndimage.map_coordinates(self._ccf, [row, column], order=1)
        return values[np.isfinite(values)]
