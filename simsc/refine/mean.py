"""The metric of Lapkin et al. (ACS Nano 2025, 19, 42881): the mean CCF where a crystal's peaks are expected.

Kept to compare with: where peaks overlap it is biased, for a cell whose peaks gather on the brightest ridges scores
higher than the true one. The forward model of `simsc.refine.fit` is not.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage, optimize

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.correlation.compare import CLEAR_OF_SELF_DEG

# From shape parameters: |g1|, and q2 (n,), nm⁻¹, and Δ (n,), degrees, of the peaks expected.
Positions = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]

_FEWEST = 3
_BLUR = 0.25  # of the bound: standard deviation of the Gaussian that the search starts with
_OFF_SHELL = 0.03  # largest distance of |g1| from q1, relative to it


def only_map(maps: Sequence[CorrelationMap]) -> CorrelationMap:
    """Return the one map that a mean CCF can be taken of.

    Raises:
        InputError: for several.
    """
    if len(maps) > 1:
        raise InputError(f"the mean CCF is a metric for one map, got {len(maps)}; take method forward for several")
    return maps[0]


def best_mean(
    correlation: CorrelationMap, positions: Positions, n: int, bound: float, seed: int
) -> tuple[np.ndarray, float]:
    """Return the shape parameters (n,) of the highest mean CCF, and that mean.

    By differential evolution on a map blurred so much that its peaks cannot be missed, then by simplexes on less and
    less blurred ones; another starts at 0. Whichever ends higher on the map itself is taken.

    Args:
        correlation: the map to take the mean of.
        positions: where a crystal's peaks are expected.
        n: number of shape parameters.
        bound: they are looked for from −bound to bound.
        seed: of the evolution.

    Raises:
        InputError: if no crystal has peaks within the map.
    """

    def loss(shape: np.ndarray, ccf: np.ndarray) -> float:
        g1, q2, delta = positions(shape)
        if abs(g1 / correlation.q1_inv_nm - 1) > _OFF_SHELL:
            return 0.0
        found = _values(correlation, ccf, q2, delta)
        return -float(found.mean()) if len(found) >= _FEWEST else 0.0

    def simplex(start: np.ndarray, ccf: np.ndarray, step: float) -> optimize.OptimizeResult:
        corners = start + np.vstack([np.zeros(n), step * np.eye(n)])
        options = {"initial_simplex": corners, "xatol": 1e-6, "fatol": 1e-9, "maxiter": 400 * n}
        return optimize.minimize(loss, start, (ccf,), "Nelder-Mead", options=options)

    coarse = optimize.differential_evolution(
        loss,
        [(-bound, bound)] * n,
        (_blurred(correlation, _BLUR * bound),),
        rng=np.random.default_rng(seed),
        popsize=20,
        maxiter=250,
        tol=1e-6,
        polish=False,
    )
    shape = coarse.x
    for part in (0.5, 0.25, 0.1):
        shape = simplex(shape, _blurred(correlation, part * _BLUR * bound), part * _BLUR * bound).x
    ends = [simplex(start, correlation.ccf, 2e-3) for start in (shape, np.zeros(n))]
    fine = min(ends, key=lambda end: float(end.fun))
    if not fine.fun < 0:
        raise InputError("no peak is expected within the map: check q1, the q2 range and the start")
    return fine.x, -float(fine.fun)


def _blurred(correlation: CorrelationMap, strain: float) -> np.ndarray:
    """Return the map blurred by a Gaussian whose standard deviation is what a strain shifts its peaks by."""
    q2, delta = correlation.q2_inv_nm, np.radians(correlation.delta_deg)
    widths = strain * q2.mean() * (len(q2) - 1) / max(np.ptp(q2), 1e-9), strain * (len(delta) - 1) / np.ptp(delta)
    measured = np.isfinite(correlation.ccf)
    sums, weights = (
        ndimage.gaussian_filter(values, widths, mode="nearest")
        for values in (np.where(measured, correlation.ccf, 0.0), measured.astype(float))
    )
    return np.where(measured, sums / np.maximum(weights, 1e-9), np.nan)


def _values(correlation: CorrelationMap, ccf: np.ndarray, q2_inv_nm: np.ndarray, delta_deg: np.ndarray) -> np.ndarray:
    """Return a map where positions lie in it, clear of the self-correlation and measured, by linear interpolation."""
    q2, delta = correlation.q2_inv_nm, correlation.delta_deg
    inside = (q2_inv_nm >= q2[0]) & (q2_inv_nm <= q2[-1])
    inside &= (delta_deg > CLEAR_OF_SELF_DEG) & (delta_deg < 180 - CLEAR_OF_SELF_DEG)
    row = np.interp(q2_inv_nm[inside], q2, np.arange(len(q2)))
    column = np.interp(delta_deg[inside], delta, np.arange(len(delta)))
    values = ndimage.map_coordinates(ccf, [row, column], order=1)
    return values[np.isfinite(values)]
