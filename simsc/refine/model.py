"""Forward model of a correlation map: peaks of all pairs of reflections, with their widths.

A crystal gives I(q) = E(q) Σ_g s_g exp(−|q − g|² / 2σ²) + background: the same peak at every reflection g, times an
envelope that depends on |q| (form factor, displacements), times a strength (the structure factor). On a sphere a
peak is a von Mises–Fisher distribution of concentration κ = q |g| / σ²; a mosaic spread η adds to its angular variance.
Two of them, θ apart, correlate to

    K(Δ) = κ exp(κ (cos(Δ − θ) − 1)) I0e(κ sin Δ sin θ),    1/κ = 1/κ1 + 1/κ2 + 2 η²,

and the map is Σ K over all pairs (g1, g2), weighted by the distances of the spheres q1 and q2 from |g1| and |g2|, and
by the part of the sphere that a peak covers, σ² / (q |g|). Crystals with faces have tails that a Gaussian lacks: each
second peak is the sum of a narrow and a wide one, in the proportion that fits best. Fitted is C times the radial
profile: eq. 2 of Lapkin et al. (ACS Nano 2025, 19, 42881) divides by the mean intensity, which is nearly nothing at the
zeros of the form factor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, optimize, special

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.correlation.compare import CLEAR_OF_SELF_DEG
from simsc.scattering.form_factors.sphere import sphere_amplitude

METHODS = ("forward", "mean")  # this model of peaks, and the paper's metric
_KNOTS, _KNOTS_KNOWN = 6, 3
_FAR = 0.15  # relative distance from a reflection at which a start is no start
_REACH = 4.5  # widths to which a peak is followed
_TAILS = (1.0, 3.0)  # widths of the two parts of a peak, in units of σ


@dataclass(frozen=True, eq=False)
class Reflections:
    """Reflections of a model crystal.

    Args:
        g_inv_nm: (n, 3) reciprocal vectors, nm⁻¹, each with its Friedel mate.
        strength: (n,) intensity relative to one another.
        group: (n,) number of the group; each has an amplitude of its own with each first reflection.
        first: (n,) bool, which ones to take as the first of a pair. One of each Friedel pair is enough, and one of what
            looks alike.
    """

    g_inv_nm: np.ndarray
    strength: np.ndarray
    group: np.ndarray
    first: np.ndarray


@dataclass(frozen=True, eq=False)
class FitData:
    """What is fitted of one map.

    Args:
        q1_inv_nm: momentum transfer of the first sphere, nm⁻¹.
        q2_inv_nm: (n,) of the second spheres.
        delta: (m,) angles Δ, radians, clear of 0 and π.
        signal: (n, m) C times the radial profile over its largest value.
        weight: (n, m) one over the standard deviation of the signal, up to a factor; 0 where there is none.
        envelope: (n, k) functions of q2 that span the envelope.
        blur: (2,) widths in nm⁻¹ and radians by which the signal was blurred.
    """

    q1_inv_nm: float
    q2_inv_nm: np.ndarray
    delta: np.ndarray
    signal: np.ndarray
    weight: np.ndarray
    envelope: np.ndarray
    blur: tuple[float, float] = (0.0, 0.0)


def prepare(correlation: CorrelationMap, radius_nm: float | None = None, radius_std_nm: float = 0.0) -> FitData:
    """Turn a map into what is fitted.

    Args:
        correlation: the map.
        radius_nm: mean core radius, nm, whose form factor then is the envelope, up to slow changes; None if unknown.
        radius_std_nm: its standard deviation, nm.

    Raises:
        InputError: if the map leaves no points to fit, or for a radius that is none.
    """
    if radius_nm is None and radius_std_nm:
        raise InputError("a standard deviation of the core radius needs the radius itself")
    if radius_nm is not None and not (0 < radius_nm < np.inf and 0 <= radius_std_nm <= radius_nm / 4):
        raise InputError(
            f"the core radius must be positive and its standard deviation at most a quarter of it (nm), got "
            f"{radius_nm:g} and {radius_std_nm:g}"
        )
    delta = correlation.delta_deg
    clear = (delta > CLEAR_OF_SELF_DEG) & (delta < 180 - CLEAR_OF_SELF_DEG)
    angle = np.radians(delta[clear])
    ccf, coverage = correlation.ccf[:, clear], correlation.coverage[:, clear]
    profile = correlation.radial_profile / np.max(correlation.radial_profile)
    usable = np.isfinite(ccf) & (coverage > 0) & (profile > 0)[:, None]
    if usable.sum() < 100 or (usable.sum(axis=1) > 3).sum() < 4:
        raise InputError(
            f"the map at q1 = {correlation.q1_inv_nm:g} nm⁻¹ has {usable.sum()} usable points between "
            f"{CLEAR_OF_SELF_DEG:g} and {180 - CLEAR_OF_SELF_DEG:g} degrees: too few to refine"
        )
    variance = correlation.variance
    if variance is None:
        # Photon noise: Ĩ has a variance of 1 / ⟨I⟩; and there are sin Δ as many pairs of directions.
        precision = coverage * np.sin(angle) / np.maximum(profile, 1e-12)[:, None]
    else:
        with np.errstate(divide="ignore"):
            precision = 1 / (variance[:, clear] * profile[:, None] ** 2)
        usable &= np.isfinite(precision)
    weight = np.where(usable, np.sqrt(np.where(usable, precision, 0.0)), 0.0)
    weight *= np.sqrt(usable.sum() / (weight**2).sum())
    q2 = correlation.q2_inv_nm
    known = np.ones(len(q2)) if radius_nm is None else _mean_amplitude(q2, radius_nm, radius_std_nm) ** 2
    knots = np.linspace(q2[0], q2[-1], _KNOTS if radius_nm is None else _KNOTS_KNOWN)
    hats = np.array([np.interp(q2, knots, row) for row in np.eye(len(knots))]).T
    signal = np.where(usable, ccf * profile[:, None], 0.0)
    return FitData(correlation.q1_inv_nm, q2, angle, signal, weight, hats * (known / known.max())[:, None])


def check_maps(maps: Sequence[CorrelationMap], method: str) -> None:
    """Raise an `InputError` unless there are maps, and a method of that name."""
    if method not in METHODS:
        raise InputError(f"method {method!r} is not known; it is {' or '.join(METHODS)}")
    if not maps:
        raise InputError("at least one correlation map is needed")


def check_reach(maps: Sequence[CorrelationMap], g_inv_nm: np.ndarray) -> None:
    """Raise an `InputError` unless maps are where the reflections (n, 3), nm⁻¹, of a start are."""
    lengths = np.linalg.norm(g_inv_nm, axis=1)
    for one in maps:
        low, high = float(one.q2_inv_nm[0]), float(one.q2_inv_nm[-1])
        nearest = float(lengths[np.abs(lengths - one.q1_inv_nm).argmin()]) if len(lengths) else np.inf
        if not abs(nearest / one.q1_inv_nm - 1) < _FAR:
            raise InputError(
                f"q1 = {one.q1_inv_nm:g} nm⁻¹ is far from all reflections of the start, the nearest of which lies at "
                f"{nearest:.4g} nm⁻¹; give another start"
            )
        if not (low < lengths.max() and high > (1 - _FAR) * lengths.min()):
            raise InputError(
                f"the map goes from q2 = {low:g} to {high:g} nm⁻¹; the first reflection of the start lies at "
                f"{lengths.min():.4g} nm⁻¹"
            )


def blurred(data: FitData, width_q_inv_nm: float, width_delta: float) -> FitData:
    """Return coarser data, in which peaks are found from farther off.

    Args:
        data: what is fitted.
        width_q_inv_nm: standard deviation of the blur along q2, nm⁻¹.
        width_delta: along Δ, radians.
    """
    step_q, step = _step(data.q2_inv_nm), _step(data.delta)
    sigma = (width_q_inv_nm / step_q, width_delta / step)
    every = tuple(max(1, int(0.7 * s)) for s in sigma)
    smooth = [
        ndimage.gaussian_filter(values, sigma, mode="constant")[:: every[0], :: every[1]]
        for values in (data.weight * data.signal, data.weight, (data.weight > 0).astype(float))
    ]
    weight = np.where(smooth[2] > 0.3, smooth[1], 0.0)
    return replace(
        data,
        q2_inv_nm=data.q2_inv_nm[:: every[0]],
        delta=data.delta[:: every[1]],
        signal=np.where(weight > 0, smooth[0] / np.maximum(smooth[1], 1e-12), 0.0),
        weight=weight,
        envelope=data.envelope[:: every[0]],
        blur=(width_q_inv_nm, width_delta),
    )


def peaks(data: FitData, reflections: Reflections, width_inv_nm: float, mosaic: float) -> np.ndarray:
    """Return the model of the map (n_columns, n, m), without the envelope: a column for each amplitude.

    Sharp maps have two for each first reflection and group of second ones, of narrow and of wide second peaks; blurred
    maps have one for each pair of groups.

    Args:
        data: which q1, q2 and Δ.
        reflections: up to the largest q2 and a few widths more.
        width_inv_nm: σ of a Bragg peak, nm⁻¹.
        mosaic: standard deviation η of the orientation about each of two axes, radians.
    """
    near, far = _within_reach(data, reflections, width_inv_nm)
    if len(near) == 0 or len(far) == 0:
        return np.zeros((1, len(data.q2_inv_nm), len(data.delta)))
    sharp = not any(data.blur)
    columns = []
    for factor in _TAILS if sharp else (1.0,):
        wide = factor * width_inv_nm
        rows = _along_q2(data, reflections, far, wide)
        # How much of each first reflection the sphere q1 cuts hangs on tails of peaks, which are not Gaussian.
        each = np.arange(len(near)) if sharp else reflections.group[near]
        for one in np.unique(each):
            first = near[each == one]
            for two in np.unique(reflections.group[far]):
                second = far[reflections.group[far] == two]
                along = _along_delta(data, reflections, first, second, (width_inv_nm, wide), mosaic)
                columns.append(rows[:, reflections.group[far] == two] @ along)
    return np.array(columns)


def brightest(data: FitData, reflections: Reflections, width_inv_nm: float, mosaic: float) -> np.ndarray:
    """Return the number (n, m) of the second reflection that the model puts most of each point down to.

    Of a Friedel pair it is always the same one; other arguments as for `peaks`.
    """
    near, far = _within_reach(data, reflections, width_inv_nm)
    rows = _along_q2(data, reflections, far, width_inv_nm)
    columns = _along_delta(data, reflections, near, far, (width_inv_nm, width_inv_nm), mosaic)
    canonical = np.round(reflections.g_inv_nm, 6)
    canonical *= np.where(one_of_each_pair(canonical), 1, -1)[:, None]
    pair = np.unique(canonical, axis=0, return_inverse=True)[1].ravel()
    most = np.zeros((len(data.q2_inv_nm), len(data.delta)))
    label = np.zeros(most.shape, dtype=int)
    for row, column, number in zip(rows.T, columns, pair[far], strict=True):
        value = row[:, None] * column
        label[value > most] = number
        np.maximum(most, value, out=most)
    return label


def displaced(reflections: Reflections, distance: float, width_inv_nm: float, mosaic: float) -> Iterator[Reflections]:
    """Give the crystal with one reflection displaced, for each that can be a first one and each of three directions.

    Args:
        reflections: of the crystal.
        distance: in widths of a peak: of σ along the reflection, and of σ and the mosaic spread together across it.
        width_inv_nm: σ of a Bragg peak, nm⁻¹.
        mosaic: standard deviation η of the orientation about each of two axes, radians.
    """
    g = reflections.g_inv_nm
    for number in np.flatnonzero(reflections.first):
        mate = np.linalg.norm(g + g[number], axis=1).argmin()
        length = float(np.linalg.norm(g[number]))
        along = g[number] / length
        across = np.linalg.svd(along[None])[2][1:]
        for direction, width in (
            (along, width_inv_nm),
            *((one, np.hypot(width_inv_nm, mosaic * length)) for one in across),
        ):
            moved = g.copy()
            moved[number] += distance * width * direction
            moved[mate] = -moved[number]
            yield replace(reflections, g_inv_nm=moved)


def _within_reach(data: FitData, reflections: Reflections, width_inv_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the reflections that the spheres q1 and q2 see."""
    length = np.linalg.norm(reflections.g_inv_nm, axis=1)
    distance = np.where(reflections.first, np.abs(data.q1_inv_nm - length) / width_inv_nm, np.inf)
    # A sphere q1 that misses all reflections sees the nearest best.
    nearest = distance.min(initial=np.inf)
    near = np.isfinite(distance) & (distance**2 < nearest**2 + _REACH**2)
    return np.flatnonzero(near), np.flatnonzero(
        length < data.q2_inv_nm[-1] + _REACH * np.hypot(width_inv_nm, data.blur[0])
    )


def _along_q2(data: FitData, reflections: Reflections, far: np.ndarray, width_inv_nm: float) -> np.ndarray:
    """Return how much (n, n_far) of each second reflection the spheres q2 see."""
    length = np.linalg.norm(reflections.g_inv_nm[far], axis=1)
    radial = np.hypot(width_inv_nm, data.blur[0])
    q2 = data.q2_inv_nm[:, None]
    # Of a peak as wide as those of small crystals, 1 / q2 moves the maximum by σ² / q2.
    return np.exp(-((q2 - length) ** 2) / (2 * radial**2)) * reflections.strength[far] / (q2 * length)


def _along_delta(
    data: FitData,
    reflections: Reflections,
    near: np.ndarray,
    far: np.ndarray,
    widths_inv_nm: tuple[float, float],
    mosaic: float,
) -> np.ndarray:
    """Return the correlation (n_far, m) of each second reflection with the first ones, along Δ.

    Widths are those of the first reflections and of the second ones.
    """
    one, two = reflections.g_inv_nm[near], reflections.g_inv_nm[far]
    length_one, length_two = np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1)[:, None]
    exponent = (data.q1_inv_nm - length_one) ** 2 / (2 * widths_inv_nm[0] ** 2)
    seen = reflections.strength[near] * np.exp(exponent.min() - exponent)
    cosine = np.clip(two @ one.T / (length_two * length_one), -1, 1)
    variance = (widths_inv_nm[1] / length_two) ** 2 + (widths_inv_nm[0] / length_one) ** 2
    variance = variance + 2 * mosaic**2 + data.blur[1] ** 2
    return _ring(data.delta, cosine, 1 / variance) @ seen


def residuals(data: FitData, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted residuals (n, m) of the best model, and its amplitudes, none of them negative.

    Each row's own constant is fitted too: incomplete coverage and diffuse intensity shift it.
    """
    weight2 = data.weight**2
    total = np.maximum(weight2.sum(axis=1), 1e-12)

    def centred(values: np.ndarray) -> np.ndarray:
        return values - ((weight2 * values).sum(axis=-1) / total)[..., None]

    signal, shapes = centred(data.signal), centred(columns)
    weighted = shapes * weight2
    # Sums over Δ first: columns that differ by the envelope only share them.
    gram = np.einsum("anm,bnm->nab", weighted, shapes, optimize=True)
    right = np.einsum("anm,nm->na", weighted, signal)
    hats = data.envelope
    size = columns.shape[0] * hats.shape[1]
    normal = np.einsum("nab,nk,nl->akbl", gram, hats, hats, optimize=True).reshape(size, size)
    target = np.einsum("na,nk->ak", right, hats).ravel()
    amplitude = _non_negative(normal, target).reshape(columns.shape[0], hats.shape[1])
    model = np.einsum("an,anm->nm", amplitude @ hats.T, shapes)
    return data.weight * (signal - model), amplitude


def _non_negative(normal: np.ndarray, target: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    matrix = normal / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
    factor = np.linalg.cholesky(matrix)
    return optimize.nnls(factor.T, np.linalg.solve(factor, target / scale))[0] / scale


def _ring(delta: np.ndarray, cosine: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """Return K(Δ) (n_delta, …) → (n_far, n_delta, n_near) of pairs at the angles arccos(cosine)."""
    k = kappa[:, None, :]
    along = (k * cosine[:, None, :]) * np.cos(delta)[:, None] - k
    across = (k * np.sqrt(1 - cosine**2)[:, None, :]) * np.sin(delta)[:, None]
    exponent = along + across
    near = exponent > -(_REACH**2)
    result = np.zeros(exponent.shape)
    result[near] = np.exp(exponent[near]) * special.i0e(across[near])
    return result * k


def one_of_each_pair(g: np.ndarray) -> np.ndarray:
    """Return a mask (n,) of the reflections (n, 3) that keeps one of each Friedel pair."""
    return (g[:, 2] > 1e-9) | (
        (np.abs(g[:, 2]) <= 1e-9) & ((g[:, 1] > 1e-9) | ((np.abs(g[:, 1]) <= 1e-9) & (g[:, 0] > 0)))
    )


def _mean_amplitude(q_inv_nm: np.ndarray, radius_nm: float, radius_std_nm: float) -> np.ndarray:
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    return sphere_amplitude(q_inv_nm[:, None], np.abs(radius_nm + radius_std_nm * nodes)) @ weights / weights.sum()


def _step(axis: np.ndarray) -> float:
    return float(np.median(np.diff(axis)))
