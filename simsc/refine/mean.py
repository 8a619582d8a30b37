"""The metric of Lapkin et al. (ACS Nano 2025, 19, 42881): the mean CCF where a crystal's peaks are expected.

Kept to compare with: where peaks overlap it is biased, for a cell whose peaks gather on the brightest ridges scores
higher than the true one. The forward model of `simsc.refine.fit` is not.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage, optimize

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.refine.model import CLEAR_OF_SELF_DEG

# From shape parameters: |g1|, and q2 (n,), nm⁻¹, and Δ (n,), degrees, of the peaks expected.
Positions = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]

_FEWEST = 3
_OFF_SHELL = 0.03  # how far |g1| may lie from q1, relative to it


def best_mean(
    correlation: CorrelationMap, positions: Positions, n: int, bound: float, seed: int
) -> tuple[np.ndarray, float]:
    """Return the shape parameters (n,) of the highest mean CCF, and that mean.

    By differential evolution, then a simplex.

    Args:
        correlation: the map to take the mean of.
        positions: where a crystal's peaks are expected.
        n: number of shape parameters.
        bound: they are looked for from −bound to bound.
        seed: of the evolution.

    Raises:
        InputError: if no crystal has peaks within the map.
    """

    def loss(shape: np.ndarray) -> float:
        g1, q2, delta = positions(shape)
        if abs(g1 / correlation.q1_inv_nm - 1) > _OFF_SHELL:
            return 0.0
        found = _values(correlation, q2, delta)
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


def _values(correlation: CorrelationMap, q2_inv_nm: np.ndarray, delta_deg: np.ndarray) -> np.ndarray:
    """Return the map where positions lie in it, clear of the self-correlation and measured, by linear interpolation."""
    q2, delta = correlation.q2_inv_nm, correlation.delta_deg
    inside = (q2_inv_nm >= q2[0]) & (q2_inv_nm <= q2[-1])
    inside &= (delta_deg > CLEAR_OF_SELF_DEG) & (delta_deg < 180 - CLEAR_OF_SELF_DEG)
    row = np.interp(q2_inv_nm[inside], q2, np.arange(len(q2)))
    column = np.interp(delta_deg[inside], delta, np.arange(len(delta)))
    values = ndimage.map_coordinates(correlation.ccf, [row, column], order=1)
    return values[np.isfinite(values)]
