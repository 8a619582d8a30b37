"""Robust least squares of the forward model, from a blurred map to the sharp one, with standard errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from simsc.core.errors import InputError
from simsc.refine.model import FitData, Reflections, blurred, brightest, displaced, peaks, residuals

# Widths of Bragg peaks (nm⁻¹) and mosaic spreads (radians) that are looked for, and those to start from.
_WIDTHS, _START = np.array([[3e-4, 0.1], [1e-4, 0.2]]), (0.01, 0.005)
_BLUR = (0.012, np.radians(3.0))
_MIDDLE_BLUR = 0.3  # of the above
_KEPT = 3
# Chosen on 8 simulated cubes of 200 and 250 nm in the cells of Table 1. The 24 of tests/benchmarks/refinement_pulls.csv
# have other sizes and radii, but partly the same orientations. Their errors are as large as their standard errors say,
# the smallest cubes' by a third larger; the scatter of residuals alone gives a third of them. Only cubes were tried.
MISPLACED = 0.06

# From shape parameters, the largest |g| and the width of peaks, both nm⁻¹.
Crystal = Callable[[np.ndarray, float, float], Reflections]


@dataclass(frozen=True, eq=False)
class ForwardFit:
    """Where the forward model agrees best with the maps.

    Args:
        shape: (n,) parameters of the crystal.
        covariance: (n, n) theirs, from the scatter of the residuals and from what the model misses.
        width_inv_nm: standard deviation σ of a Bragg peak, nm⁻¹.
        mosaic_deg: standard deviation η of orientations, degrees.
        explained: part of the weighted variance of the signal that the model explains, up to 1.
    """

    shape: np.ndarray
    covariance: np.ndarray
    width_inv_nm: float
    mosaic_deg: float
    explained: float


def fit(
    data: Sequence[FitData],
    crystal: Crystal,
    starts: np.ndarray,
    step: float,
    bound: float,
    misplaced: float = MISPLACED,
) -> ForwardFit:
    """Find the crystal whose maps are most like the measured ones.

    From each start to the nearest optimum for blurred maps; from the best of those for sharper ones, at last with a
    soft-L1 loss.

    Args:
        data: maps to fit together.
        crystal: gives the reflections for shape parameters, a largest |g| and a width of peaks, nm⁻¹.
        starts: (n_starts, n) shape parameters.
        step: typical change of a shape parameter.
        bound: shape parameters are looked for from −bound to bound.
        misplaced: apparent displacement of each reflection, since peaks have not quite the shape of the model:
            standard deviation along each direction, in widths of a peak.

    Raises:
        InputError: if nothing fits.
    """
    problem = _Problem(crystal, step, bound)
    coarse = [blurred(one, *_BLUR) for one in data]
    found = [problem.solve(coarse, np.concatenate([start, np.log(_START)]), 20) for start in starts]
    middle = [blurred(one, *(_MIDDLE_BLUR * width for width in _BLUR)) for one in data]
    found = [problem.solve(middle, result.x, 20) for result in _different(found, step)]
    found = [problem.solve(data, result.x, 30) for result in _different(found, step)]
    best = min(found, key=lambda result: float(result.cost))
    for _ in range(2):
        scale = _scale(best.fun)
        best = problem.solve(data, best.x, 50, scale)
    total = sum(float((_row_centred(one) ** 2).sum()) for one in data)
    explained = 1 - float((best.fun**2).sum()) / total
    if not explained > 0.05:
        raise InputError(
            f"no crystal of one kind explains more than {100 * explained:.0f} % of the map: check q1, the q2 range and "
            "the start"
        )
    width, mosaic = np.exp(best.x[-2:])
    covariance = problem.covariance(data, best.x, scale, misplaced)
    size = starts.shape[1]
    return ForwardFit(best.x[:size], covariance[:size, :size], float(width), float(np.degrees(mosaic)), explained)


class _Problem:
    """Least squares in the shape parameters and the logarithms of the two widths."""

    def __init__(self, crystal: Crystal, step: float, bound: float) -> None:
        self._crystal, self._step, self._bound = crystal, step, bound

    def solve(
        self, data: Sequence[FitData], start: np.ndarray, evaluations: int, scale: float | None = None
    ) -> optimize.OptimizeResult:
        n = len(start) - 2
        low = np.concatenate([np.full(n, -self._bound), np.log(_WIDTHS[:, 0])])
        high = np.concatenate([np.full(n, self._bound), np.log(_WIDTHS[:, 1])])
        robust = {} if scale is None else {"loss": "soft_l1", "f_scale": scale}
        inside = np.clip(start, low + 1e-6, high - 1e-6)
        return optimize.least_squares(
            lambda x: np.concatenate([r.ravel() for r in self.residuals(data, x)]),
            inside,
            bounds=(low, high),
            x_scale=np.concatenate([np.full(n, self._step), [0.1, 0.1]]),
            max_nfev=evaluations,
            **robust,
        )

    def residuals(self, data: Sequence[FitData], x: np.ndarray) -> list[np.ndarray]:
        width, mosaic = np.exp(x[-2:])
        reflections = self._crystal(x[:-2], _largest(data, width), width)
        return [residuals(one, peaks(one, reflections, width, mosaic))[0] for one in data]

    def covariance(self, data: Sequence[FitData], x: np.ndarray, scale: float, misplaced: float) -> np.ndarray:
        """Return the covariance from the scatter of the residuals and from reflections that seem displaced.

        The sandwich A⁻¹ B A⁻¹ of a robust estimate. B has one sum of scores a reflection g2, over all Δ and maps, whose
        residuals go together, and the scores of what moves each reflection by itself: the fit follows such moves, so
        that residuals do not show them.
        """
        at, steps = self.residuals(data, x), np.concatenate([np.full(len(x) - 2, 1e-2 * self._step), [0.01, 0.01]])
        plus = [self.residuals(data, x + step) for step in np.diag(steps)]
        minus = [self.residuals(data, x - step) for step in np.diag(steps)]
        width, mosaic = np.exp(x[-2:])
        reflections = self._crystal(x[:-2], _largest(data, width), width)
        curvature, scores = np.zeros((len(x), len(x))), np.zeros((len(x), len(reflections.g_inv_nm)))
        moved = list(displaced(reflections, misplaced, width, mosaic)) if misplaced else []
        shifts = np.zeros((len(x), len(moved)))
        for k, one in enumerate(data):
            jacobian = np.array([(p[k] - m[k]) / (2 * s) for p, m, s in zip(plus, minus, steps, strict=True)])
            weighted = jacobian / np.sqrt(1 + (at[k] / scale) ** 2)
            curvature += np.einsum("inm,jnm->ij", weighted, jacobian)
            label = brightest(one, reflections, width, mosaic).ravel()
            scores += [np.bincount(label, (row * at[k]).ravel(), scores.shape[1]) for row in weighted]
            for column, other in enumerate(moved):
                change = residuals(one, peaks(one, other, width, mosaic))[0] - at[k]
                shifts[:, column] += np.einsum("inm,nm->i", weighted, change)
        inverse = np.linalg.pinv(curvature, hermitian=True)
        number = int((scores != 0).any(axis=0).sum())
        middle = scores @ scores.T * number / max(number - len(x), 1) + shifts @ shifts.T
        return inverse @ middle @ inverse


def _largest(data: Sequence[FitData], width_inv_nm: float) -> float:
    """Return the largest |g|, nm⁻¹, of reflections that some map sees."""
    return max(
        max(one.q2_inv_nm[-1] + 5 * np.hypot(width_inv_nm, one.blur[0]), one.q1_inv_nm + 5 * width_inv_nm)
        for one in data
    )


def _different(found: list[optimize.OptimizeResult], step: float) -> list[optimize.OptimizeResult]:
    """Return the best few, leaving out those that arrived at the same value of the model."""
    kept: list[optimize.OptimizeResult] = []
    for result in sorted(found, key=lambda result: float(result.cost)):
        if len(kept) < _KEPT and not any(abs(result.cost / other.cost - 1) < 1e-3 for other in kept):
            kept.append(result)
    return kept


def _scale(values: np.ndarray) -> float:
    """Return the standard deviation of the residuals, whatever the outliers; most of a map lies between peaks."""
    used = np.abs(values[values != 0])
    return float(max(1.48 * np.median(used[used >= np.median(used)]), 1e-12))


def _row_centred(data: FitData) -> np.ndarray:
    weight2 = data.weight**2
    mean = (weight2 * data.signal).sum(axis=1) / np.maximum(weight2.sum(axis=1), 1e-12)
    return data.weight * (data.signal - mean[:, None])
