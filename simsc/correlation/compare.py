"""The similarity of two correlation maps, simulated or measured: under their common mask, with uncertainties.

Maps are functions that were sampled finely: neighbouring points are not independent, and by Friedel's law neither are
those at Δ and 180° − Δ. Uncertainties therefore come from a bootstrap over blocks in (q2, Δ) that are larger than a
peak (Künsch, Ann. Stat. 1989, 17, 1217, DOI 10.1214/aos/1176347265), each with its mirror image. They state how
much a number would change with other peaks and other noise of the same kind; with the same peaks it changes less.
"""

from dataclasses import dataclass, replace

import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SamplingError

CLEAR_OF_SELF_DEG = 15.0  # where q2 = q1, the correlation of a peak with itself outshines everything near 0° and 180°
_LEAST_BLOCKS = 6
# Half widths at half height of the autocorrelation. Of random maps with 2 of them errors of r come out up to 18 % too
# small, with 3 and 4 right to 10 %; the fewer blocks, the worse is an error known.
_BLOCK = 3.0
_ON_A_POINT = 1e-9
_STENCIL = 4


@dataclass(frozen=True, eq=False)
class MapComparison:
    """Two maps on common axes, and their similarity.

    Args:
        first: one map, on the common axes; NaN where it has no value, or too little coverage.
        second: the other one.
        used: (n_q2, n_delta) bool, where both have values and Δ is clear of 0° and 180°.
        pearson: correlation coefficient over all points used, each weighted by sin Δ.
        pearson_error: its standard error; NaN with too few blocks.
        pearson_noiseless: what it would be without the noise that the variances state: the same over the geometric
            mean of the parts of either map that are not noise (Spearman, Am. J. Psychol. 1904, 15, 72, DOI
            10.2307/1412159). None without variances; NaN if one map is all noise.
        pearson_noiseless_error: its standard error.
        row_pearson: (n_q2,) the same coefficient in each row; NaN where nothing was measured.
        row_pearson_error: (n_q2,) standard errors, (1 − r²) / √n of n independent angles (Bartlett, J. R. Stat. Soc.
            1935, 98, 536, DOI 10.2307/2342284), as a row has too few blocks.
        scale: the second map is that many times the first: by least squares that know both variances, or without
            them √(Σ b² sin Δ / Σ a² sin Δ), with the sign of the correlation. Exchange of the maps gives 1 / scale.
        scale_error: its standard error.
        reduced_chi_squared: mean of (b − scale · a)² / (σ_b² + scale² σ_a²); 1 for maps that differ by their noise
            and a factor only. None without variances.
        reduced_chi_squared_error: its standard error.
        block: rows of q2 and degrees of Δ of a block.
        n_blocks: how many there are.
        interpolated: whether the maps had different grids.
    """

    first: CorrelationMap
    second: CorrelationMap
    used: np.ndarray
    pearson: float
    pearson_error: float
    pearson_noiseless: float | None
    pearson_noiseless_error: float | None
    row_pearson: np.ndarray
    row_pearson_error: np.ndarray
    scale: float
    scale_error: float
    reduced_chi_squared: float | None
    reduced_chi_squared_error: float | None
    block: tuple[float, float]
    n_blocks: int
    interpolated: bool

    def difference(self, scaled: bool = False) -> np.ndarray:
        """Return second − first, or second / scale − first, (n_q2, n_delta); NaN where either is."""
        return self.second.ccf / (self.scale if scaled else 1.0) - self.first.ccf

    @property
    def coverage_difference(self) -> float:
        """Largest difference between the coverages where both maps are used.

        What was not measured changes the mean on a sphere, and with it the map: compare data with a simulation of which
        the same was left out.
        """
        return float(np.abs(self.first.coverage - self.second.coverage)[self.used].max())


def compare_maps(
    first: CorrelationMap,
    second: CorrelationMap,
    least_coverage: float = 0.3,
    clear_deg: float = CLEAR_OF_SELF_DEG,
    q1_tolerance_inv_nm: float = 0.01,
    resamples: int = 1000,
    seed: int = 0,
) -> MapComparison:
    """Compare two correlation maps where both were measured.

    Where grids differ, the maps are brought to the coarser one in q2 and in Δ, over the common range, by polynomials
    through four points.

    Args:
        first: one map.
        second: the other one.
        least_coverage: of pairs of directions, 0 to 1, that a point needs in both maps.
        clear_deg: angles nearer to 0° or 180° are left out.
        q1_tolerance_inv_nm: by which the first spheres may differ, nm⁻¹.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        InputError: for maps of different q1, or arrays that are no map.
        SamplingError: if the maps have no range or no measured point in common, or one does not vary.
    """
    for number, one in (("first", first), ("second", second)):
        _check(number, one)
    if not (0 <= least_coverage <= 1 and 0 <= clear_deg < 90 and resamples >= 2):
        raise InputError(
            f"coverage in 0 … 1, a clear angle in 0 … 90° and 2 resamples are needed, got {least_coverage:g}, "
            f"{clear_deg:g} and {resamples}"
        )
    if not abs(first.q1_inv_nm - second.q1_inv_nm) <= q1_tolerance_inv_nm:
        raise InputError(
            f"the maps have different q1: {first.q1_inv_nm:.4f} and {second.q1_inv_nm:.4f} nm⁻¹ differ by more than "
            f"{q1_tolerance_inv_nm:g}; compare them at equal q2 / q1 (--relative), or make both with one q1"
        )
    q2 = _common_axis("q2", first.q2_inv_nm, second.q2_inv_nm, "nm⁻¹")
    delta = _common_axis("Δ", first.delta_deg, second.delta_deg, "degrees")
    a, b = (_on_axes(one, q2, delta, least_coverage) for one in (first, second))
    clear = (delta > clear_deg) & (delta < 180 - clear_deg)
    used = np.isfinite(a.ccf) & np.isfinite(b.ccf) & clear
    if used.sum() < 3:
        raise SamplingError(
            f"the maps have no measured points in common: none with a coverage of {least_coverage:g} in both"
        )
    # Numbers near 1, whatever the units of intensity.
    size = [float(np.sqrt(np.mean(one.ccf[used] ** 2))) for one in (a, b)]
    if min(float(np.std(one.ccf[used])) / max(s, 1e-300) for one, s in zip((a, b), size, strict=True)) < 1e-12:
        raise SamplingError("one of the maps is the same everywhere, so that nothing can be compared")
    block = _block(a, b, used, delta)
    points = _Points.of(a, b, used, delta, size)
    blocks, n_blocks = _blocks(q2, delta, used, block, clear_deg)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), resamples)

    def error(values: np.ndarray) -> float:
        if n_blocks < _LEAST_BLOCKS:
            return float("nan")
        return float(np.std(values[np.isfinite(values)]) * np.sqrt(n_blocks / (n_blocks - 1)))

    sums = points.sums(blocks, n_blocks)
    whole, resampled = sums.sum(axis=0), draws @ sums
    scale, scales, chi_squared, chis = _scale(points, blocks, n_blocks, draws, whole, resampled)
    known = points.variance_a is not None
    rows, row_errors = _by_row(points, used, delta, block[1] / _BLOCK)
    return MapComparison(
        a,
        b,
        used,
        float(_pearson(whole)),
        error(_pearson(resampled)),
        float(_noiseless(whole)) if known else None,
        error(_noiseless(resampled)) if known else None,
        rows,
        row_errors,
        scale * size[1] / size[0],
        error(scales) * size[1] / size[0],
        chi_squared,
        None if chis is None else error(chis),
        block,
        n_blocks,
        not (np.array_equal(first.ccf.shape, second.ccf.shape) and _same(first, second)),
    )


def _check(number: str, one: CorrelationMap) -> None:
    shape = (len(one.q2_inv_nm), len(one.delta_deg))
    arrays = [one.ccf, one.coverage] + ([] if one.variance is None else [one.variance])
    if any(array.shape != shape for array in arrays) or one.radial_profile.shape != shape[:1] or min(shape) < 1:
        raise InputError(f"the {number} map has arrays of different shapes, or none: its axes have {shape} points")
    for name, axis in (("q2", one.q2_inv_nm), ("Δ", one.delta_deg)):
        if not (np.isfinite(axis).all() and (np.diff(axis) > 0).all()):
            raise InputError(f"the {number} map needs an axis {name} of ascending numbers")
    if np.isinf(one.ccf).any() or not np.isfinite(one.coverage).all():
        raise InputError(f"the {number} map holds values or a coverage that are infinite or no numbers")
    if one.variance is not None and not (one.variance[np.isfinite(one.ccf)] >= 0).all():
        raise InputError(f"the {number} map holds a variance that is negative or no number")


def _same(first: CorrelationMap, second: CorrelationMap) -> bool:
    pairs = ((first.q2_inv_nm, second.q2_inv_nm), (first.delta_deg, second.delta_deg))
    return all(np.allclose(one, other, rtol=0, atol=_ON_A_POINT) for one, other in pairs)


def _common_axis(name: str, one: np.ndarray, other: np.ndarray, unit: str) -> np.ndarray:
    """Return the points of the coarser axis within the range of both; which is given first does not matter."""
    low, high = max(one[0], other[0]) - _ON_A_POINT, min(one[-1], other[-1]) + _ON_A_POINT
    candidates = [axis[(axis >= low) & (axis <= high)] for axis in (one, other)]
    if any(len(axis) == 0 for axis in candidates) or (low > high):
        raise SamplingError(
            f"the maps have no {name} in common: {one[0]:g} … {one[-1]:g} and {other[0]:g} … {other[-1]:g} {unit}"
        )
    return min(candidates, key=lambda axis: (len(axis), axis[0]))


def _on_axes(one: CorrelationMap, q2: np.ndarray, delta: np.ndarray, least_coverage: float) -> CorrelationMap:
    along_q2, along_delta = _weights(one.q2_inv_nm, q2), _weights(one.delta_deg, delta)

    def moved(values: np.ndarray) -> np.ndarray:
        return along_q2 @ values @ along_delta.T

    missing = ~np.isfinite(one.ccf) | (one.coverage < least_coverage - 1e-9)
    touched = np.abs(along_q2) @ missing.astype(float) @ np.abs(along_delta).T > 1e-9
    ccf = np.where(touched, np.nan, moved(np.where(missing, 0.0, one.ccf)))
    variance = None
    if one.variance is not None:
        # Neighbours have much of their noise in common, so that deviations are averaged and not variances.
        variance = np.where(touched, np.nan, moved(np.sqrt(np.where(missing, 0.0, one.variance))) ** 2)
    return replace(
        one,
        q2_inv_nm=q2,
        delta_deg=delta,
        ccf=ccf,
        coverage=np.clip(moved(one.coverage), 0, 1),
        radial_profile=along_q2 @ np.nan_to_num(one.radial_profile),
        variance=variance,
    )


def _weights(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the weights (n_wanted, n_points) of Lagrange polynomials through the nearest points."""
    n = min(_STENCIL, len(points))
    begins = np.clip(np.searchsorted(points, wanted) - n // 2, 0, len(points) - n)
    stencil = begins[:, None] + np.arange(n)
    own = points[stencil]
    values = np.ones((len(wanted), n))
    for k in range(n):
        for j in range(n):
            if j != k:
                values[:, k] *= (wanted - own[:, j]) / (own[:, k] - own[:, j])
    exact = np.abs(own - wanted[:, None]) < _ON_A_POINT
    values = np.where(exact.any(axis=1)[:, None], exact, values)
    weights = np.zeros((len(wanted), len(points)))
    np.put_along_axis(weights, stencil, values, axis=1)
    return weights


def _block(a: CorrelationMap, b: CorrelationMap, used: np.ndarray, delta: np.ndarray) -> tuple[float, float]:
    """Return rows and degrees of a block: some widths of the autocorrelation of the map that has the wider peaks."""
    rows, columns = 1.0, 1.0
    for one in (a, b):
        values = np.where(used, one.ccf, 0.0)
        values = np.where(used, values - values[used].mean(), 0.0)
        rows, columns = max(rows, _half_width(values, used)), max(columns, _half_width(values.T, used.T))
    step = float(np.median(np.diff(delta))) if len(delta) > 1 else 1.0
    return _BLOCK * rows, _BLOCK * columns * step


def _half_width(values: np.ndarray, used: np.ndarray) -> float:
    """Return the lag, in rows, at which the autocorrelation falls to one half."""
    mean_square = float((values**2).sum() / used.sum())
    before = 1.0
    for lag in range(1, len(values)):
        pairs = (used[lag:] & used[:-lag]).sum()
        if pairs == 0:
            break
        now = float((values[lag:] * values[:-lag]).sum() / pairs / mean_square)
        if now < 0.5:
            return lag - 1 + (before - 0.5) / (before - now)
        before = now
    return float(len(values))


def _blocks(
    q2: np.ndarray, delta: np.ndarray, used: np.ndarray, block: tuple[float, float], clear_deg: float
) -> tuple[np.ndarray, int]:
    """Return the number (n_points,) of the block of each point used, and how many there are."""
    rows = max(1, int(len(q2) / block[0]))
    columns = max(1, int((90 - clear_deg) / block[1]))
    row = np.arange(len(q2)) * rows // len(q2)
    folded = np.minimum(delta, 180 - delta) - clear_deg
    column = np.clip((folded / (90 - clear_deg) * columns).astype(int), 0, columns - 1)
    _, numbers = np.unique((row[:, None] * columns + column)[used], return_inverse=True)
    return numbers, int(numbers.max()) + 1


@dataclass(frozen=True, eq=False)
class _Points:
    """The points used of both maps, (n,) each, in units of their root mean squares."""

    a: np.ndarray
    b: np.ndarray
    weight: np.ndarray
    variance_a: np.ndarray | None
    variance_b: np.ndarray | None

    @classmethod
    def of(
        cls, a: CorrelationMap, b: CorrelationMap, used: np.ndarray, delta: np.ndarray, size: list[float]
    ) -> "_Points":
        weight = np.broadcast_to(np.sin(np.radians(delta)), used.shape)[used]
        variances = None, None
        if a.variance is not None and b.variance is not None:
            variances = a.variance[used] / size[0] ** 2, b.variance[used] / size[1] ** 2
        return cls(a.ccf[used] / size[0], b.ccf[used] / size[1], weight, *variances)

    def sums(self, blocks: np.ndarray, n: int) -> np.ndarray:
        """Return the sums (n_blocks, 8) over the points of each block that all coefficients are made of."""
        # About the mean, for the sake of rounding.
        a, b = self.a - np.average(self.a, weights=self.weight), self.b - np.average(self.b, weights=self.weight)
        one = np.ones_like(a)
        noise = [np.zeros_like(a) if v is None else v for v in (self.variance_a, self.variance_b)]
        terms = [one, a, b, a * a, b * b, a * b, *noise, self.a**2, self.b**2, self.a * self.b]
        return np.stack([np.bincount(blocks, self.weight * term, n) for term in terms], axis=1)


def _moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    total = np.where(sums[..., 0] > 0, sums[..., 0], np.nan)
    mean_a, mean_b = sums[..., 1] / total, sums[..., 2] / total
    return (
        sums[..., 3] / total - mean_a**2,
        sums[..., 4] / total - mean_b**2,
        sums[..., 5] / total - mean_a * mean_b,
    )


def _pearson(sums: np.ndarray) -> np.ndarray:
    var_a, var_b, cov = _moments(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(cov / np.sqrt(np.where((var_a > 0) & (var_b > 0), var_a * var_b, np.nan)), -1, 1)


def _noiseless(sums: np.ndarray) -> np.ndarray:
    var_a, var_b, cov = _moments(sums)
    var_a, var_b = var_a - sums[..., 6] / sums[..., 0], var_b - sums[..., 7] / sums[..., 0]
    return cov / np.sqrt(np.where((var_a > 0) & (var_b > 0), var_a * var_b, np.nan))


def _scale(
    points: _Points, blocks: np.ndarray, n: int, draws: np.ndarray, whole: np.ndarray, resampled: np.ndarray
) -> tuple[float, np.ndarray, float | None, np.ndarray | None]:
    """Return the factor b / a, its resamples, the reduced χ², and the resamples of it (None without variances)."""
    sign = np.where(whole[10] < 0, -1.0, 1.0)
    scale = float(sign * np.sqrt(whole[9] / whole[8]))
    scales = sign * np.sqrt(resampled[:, 9] / resampled[:, 8])
    if points.variance_a is None or points.variance_b is None:
        return scale, scales, None, None
    noisy = points.variance_a + points.variance_b > 0
    if not noisy.any():
        return scale, scales, None, None
    a, b, blocks = points.a[noisy], points.b[noisy], blocks[noisy]
    variance_a, variance_b = points.variance_a[noisy], points.variance_b[noisy]

    def chi_squared(factors: np.ndarray) -> np.ndarray:
        terms = ((b - k * a) ** 2 / (variance_b + k**2 * variance_a) for k in factors)
        return np.stack([np.bincount(blocks, term, n) for term in terms], axis=1)

    from scipy.optimize import minimize_scalar  # slow to load

    start = scale
    found = minimize_scalar(
        lambda x: float(chi_squared(start * np.exp([x])).sum()),
        bounds=(-3, 3),
        method="bounded",
        options={"xatol": 1e-9},
    )
    scale = start * float(np.exp(found.x))
    # The same factors for all resamples: their sums over blocks are added up, and the lowest is found by a parabola.
    width = 2.0
    for _ in range(2):
        factors = scale * np.exp(np.linspace(-np.log(width), np.log(width), 41))
        scales = _lowest(factors, draws @ chi_squared(factors))
        width = float(np.clip(1 + 8 * np.std(scales / scale), 1 + 1e-6, width))
    counts = np.bincount(blocks, minlength=n)
    best = chi_squared(np.array([scale]))[:, 0]
    return scale, scales, float(best.sum() / counts.sum()), draws @ best / np.maximum(draws @ counts, 1)


def _lowest(factors: np.ndarray, chi_squared: np.ndarray) -> np.ndarray:
    """Return where χ² (n, n_factors) is lowest, (n,)."""
    k = np.clip(chi_squared.argmin(axis=1), 1, len(factors) - 2)
    left, middle, right = (np.take_along_axis(chi_squared, (k + step)[:, None], 1)[:, 0] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1), 0)
    return factors[k] * (factors[1] / factors[0]) ** np.clip(shift, -1, 1)


def _by_row(
    points: _Points, used: np.ndarray, delta: np.ndarray, half_width_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficient in each row and its standard error, (n_q2,) each."""
    row_of = np.broadcast_to(np.arange(len(used))[:, None], used.shape)[used]
    n = len(used)
    values = _pearson(points.sums(row_of, n))
    values = np.where(used.sum(axis=1) > 2, values, np.nan)
    step = float(np.median(np.diff(delta))) if len(delta) > 1 else 1.0
    weight = np.where(used, np.sin(np.radians(delta)), 0.0)
    # Δ and 180° − Δ count once; unequal weights count as fewer angles.
    folded = np.rint(np.minimum(delta, 180 - delta) / step).astype(int)
    seen = np.zeros((n, folded.max() + 1), dtype=bool)
    for k, place in enumerate(folded):
        seen[:, place] |= used[:, k]
    span = step * seen.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        span = span * weight.sum(axis=1) ** 2 / (used.sum(axis=1) * (weight**2).sum(axis=1))
        # ∫ ρ² of a Gaussian autocorrelation ρ.
        independent = span / (half_width_deg * np.sqrt(np.pi / (2 * np.log(2))))
        return values, (1 - values**2) / np.sqrt(np.where(independent > 2, independent - 1, np.nan))
