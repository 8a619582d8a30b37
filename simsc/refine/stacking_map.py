"""Pair correlations of close-packed layers from a correlation map at q1 = 002 of hcp, 111 of fcc.

A ball of layers scatters along rods only: I(q) / P(q) = I_00 + I_11 + Σ_m (Re Q_m E_m + Im Q_m O_m), where P is the
form factor, the rods 00l and 11l do not depend on the stacking, and

    E_m = (2 − δ_m0) cos(m q_z s) Σ_rods W_m(κ),    O_m = 2 sin(m q_z s) Σ_rods ± W_m(κ),

with κ the distance of q from a rod 10l or 20l; O_m changes its sign from one rod to the next. The numerator of eq. 2 of
Lapkin et al., ACS Nano 2025, 19, 42881, is then bilinear in the Q_m on both spheres,

    C(q1, q2, Δ) = a P(q2) / ⟨I⟩(q2) Σ_kn c_k G_kn(q1, q2, Δ) c_n,    c = (1, Q_0, Q_1, …),

where G_kn is the covariance of two of these patterns at the angle Δ. Its part with I_00 on q1 is the central arc,
cos Δ = √(1 − q100² / q2²): the mean of the rods 10l around the 002 reflection. Its part with E_m and O_m on q1 is the
arcs of the other 111 reflections, which cross the central arc where fcc has its Bragg peaks, and cannot be separated
from it there but by such a model. q1's own form factor and mean are part of a. If the form factor is not given,
P(q2) / ⟨I⟩(q2) is taken from the model itself: P cancels, provided that equal NPs scatter, without background.
"""

import warnings
from collections.abc import Callable

import numpy as np

from simsc.core.close_packing import (
    LAYER_SPACING,
    d_nn_of_111_nm,
    layer_momentum_transfer,
    rod_momentum_transfer,
)
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import band_limit
from simsc.refine.stacking_disorder import PairCorrelations, checked, with_floor
from simsc.scattering.layer_disorder import pair_weights

_SMALLEST_DELTA_DEG = 15.0  # below, the map is about q1 with itself
_LEAST_COVERAGE = 0.02
_WIDEST = 40.0  # over the diameter: distance from a rod beyond which its tails are left out
_TABLE = 600
_FLOOR = 0.02  # least standard deviation of a Q_m, as measured on simulated balls
_WIDEST_BIN_DEG = 1.5  # of angles; peaks of a ball of twenty layers are 3° wide
_POOR_COVERAGE = 0.9  # of an unmeasured wedge of 25°: 0.74
_POOR_SHARE = 0.01
_RELATIVE = 0.1  # error of the model relative to the map
_PRIOR = 0.5
_SCALE_PRIOR = 10.0
_ITERATIONS = 60
_AXIS_TOLERANCE = 0.03
_LEAST_SIGNAL = 0.02  # part of a map that is not taken for noise, however noisy it is
_SHIFTS = (0.01, 0.003, 0.001)  # steps of the search for the distance, relative
_SPACING_FLOOR = 5e-4  # least relative error of a distance, as measured on simulated balls


def correlations_of_map(
    correlation: CorrelationMap,
    diameter_nm: float,
    d_nn_nm: float | None = None,
    form_factor: np.ndarray | None = None,
) -> PairCorrelations:
    """Fit pair correlations to a correlation map.

    The model knows of no mask, and its errors hold nothing of it: see `simsc.refine.stacking_mask`.

    Args:
        correlation: a map at q1 = 002 of hcp, which is 111 of fcc, with q2 over at least q100 … 1.9 q100.
        diameter_nm: of the ball of NPs, nm.
        d_nn_nm: nearest-neighbour distance, nm; None takes it from q1.
        form_factor: (n_q2,) squared mean amplitude of an NP at each q2, as `simsc.scattering.rods.sphere_statistics`
            returns it; None: it cancels, without background.

    Raises:
        InputError: for a map at another q1, with too few q2 or angles, or which no stacking fits.
    """
    d = d_nn_nm if d_nn_nm is not None else d_nn_of_111_nm(correlation.q1_inv_nm)
    q111, q100 = layer_momentum_transfer(d), rod_momentum_transfer(d)
    if abs(correlation.q1_inv_nm / q111 - 1) > _AXIS_TOLERANCE:
        raise InputError(
            f"the map is at q1 = {correlation.q1_inv_nm:.4g} nm⁻¹, but 002 of hcp at d = {d:.4g} nm is {q111:.4g} nm⁻¹"
        )
    q2 = correlation.q2_inv_nm
    folded = np.where(correlation.delta_deg > 90, 180 - correlation.delta_deg, correlation.delta_deg)
    angles = np.flatnonzero((folded >= _SMALLEST_DELTA_DEG) & (correlation.delta_deg <= 90))
    if q2.min() > q100 or q2.max() < 1.9 * q100 or len(q2) < 20 or len(angles) < 30:
        raise InputError(
            f"the map needs q2 from {q100:.3g} to {1.9 * q100:.3g} nm⁻¹ in 20 steps or more, and 30 angles between "
            f"{_SMALLEST_DELTA_DEG:g} and 90°; it has q2 = {q2.min():.3g} … {q2.max():.3g} in {len(q2)} steps, "
            f"{len(angles)} angles"
        )
    if form_factor is not None and (form_factor.shape != q2.shape or not (form_factor >= 0).all()):
        raise InputError(f"the form factor needs one number ≥ 0 for each of {len(q2)} q2, got {form_factor.shape}")
    if correlation.bin_deg > _WIDEST_BIN_DEG:
        raise InputError(f"the map's bins of {correlation.bin_deg:g}° smear its arcs; use {_WIDEST_BIN_DEG:g}° or less")
    data = correlation.ccf[:, angles]
    coverage = correlation.coverage[:, angles]
    usable = np.isfinite(data) & (coverage > _LEAST_COVERAGE)
    if (poor := (coverage < _POOR_COVERAGE).mean()) > _POOR_SHARE:
        warnings.warn(
            f"{100 * poor:.0f} % of the map rest on less than {100 * _POOR_COVERAGE:.0f} % of the pairs of directions: "
            "what the rest of the sphere holds is not known, and the fit takes both for alike; simulations under the "
            "same mask show what that does to the stacking (simsc refine stacking --intensity)",
            SimscWarning,
            stacklevel=2,
        )
    variance = np.zeros(data.shape) if correlation.variance is None else correlation.variance[:, angles]
    patterns = _Patterns(correlation.q1_inv_nm, q2, diameter_nm, d)
    ratio = np.ones(len(q2)) if form_factor is None else form_factor / correlation.radial_profile
    data, variance = np.where(usable, data, 0.0), np.where(usable, variance, 0.0)
    return _fit(patterns, data, variance, usable, ratio, correlation.delta_deg[angles], form_factor is None)


def spacing_of_map(
    correlation: CorrelationMap,
    diameter_nm: float,
    start_nm: float | None = None,
    form_factor: np.ndarray | None = None,
) -> tuple[PairCorrelations, float]:
    """Fit the nearest-neighbour distance of a ball of layers, however they are stacked, with its pair correlations.

    Broad peaks and rods of a faulted crystal have their centres anywhere, and fits of peaks follow them by up to
    0.1 nm. The layers know better: what is left of the map has a sharp minimum at their distance.

    Args:
        correlation: as for `correlations_of_map`.
        diameter_nm: of the ball of NPs, nm.
        start_nm: distance to start from, nm, within 3 % of the truth. Default: q1 at 002 of hcp.
        form_factor: as for `correlations_of_map`.

    Returns:
        The pair correlations at the best distance, and the standard error of this distance, nm.

    Raises:
        InputError: as `correlations_of_map`, or if no distance near the start fits.
    """
    start = start_nm if start_nm is not None else d_nn_of_111_nm(correlation.q1_inv_nm)
    found: dict[float, PairCorrelations] = {}
    reasons = []

    def squared(shift: float) -> float:
        """Return the square of the residual for a relative shift of the distance."""
        shift = round(shift, 6)
        if shift not in found:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore" if found else "default", SimscWarning)
                    found[shift] = correlations_of_map(correlation, diameter_nm, start * (1 + shift), form_factor)
            except InputError as error:
                reasons.append(error)
                return np.inf
        return found[shift].residual ** 2

    middle = 0.0
    for step in _SHIFTS:
        around = middle + step * np.arange(-2, 3)
        values = np.array([squared(float(shift)) for shift in around])
        if not np.isfinite(values).any():
            raise reasons[-1]
        middle = float(around[values.argmin()])
    left, least, right = (squared(middle + step * side) for side in (-1, 0, 1))
    curvature = (left - 2 * least + right) / step**2
    if not (np.isfinite(curvature) and curvature > 0) or abs(middle) > 2 * _SHIFTS[0] + 1e-9:
        raise InputError(f"no distance near {start:.4g} nm fits the map; give a start, or another diameter")
    best = middle + float(np.clip(0.5 * step * (left - right) / (left - 2 * least + right), -step, step))
    squared(best)
    correlations = found[round(best, 6)]
    angles = np.ptp(np.clip(correlation.delta_deg, _SMALLEST_DELTA_DEG, 90))
    independent = _resolved(correlation.q2_inv_nm, angles, diameter_nm)
    error = np.hypot(np.sqrt(2 * (least + correlations.noise**2) / (curvature * independent)), _SPACING_FLOOR)
    return correlations, float(error * correlations.d_nn_nm)


def _resolved(q2_inv_nm: np.ndarray, angles_deg: float, diameter_nm: float) -> float:
    """Return how many values of a map are independent: it varies no faster than the size of the crystal allows."""
    area = np.ptp(q2_inv_nm) * q2_inv_nm.mean() * np.radians(angles_deg)
    return float(area * (diameter_nm / np.pi) ** 2)


class _Patterns:
    """Covariances of the patterns of a ball on the sphere q1 with those on spheres q2.

    Args:
        q1_inv_nm: momentum transfer of the first sphere, nm⁻¹.
        q2_inv_nm: (n_q2,) of the second spheres.
        diameter_nm: of the ball, nm.
        d_nn_nm: nearest-neighbour distance, nm.

    Patterns are numbered 0: rods that do not depend on the stacking; 1 … n: E_0 … E_{n−1}; n + 1 … : O_1 … O_{n−1}.
    """

    def __init__(self, q1_inv_nm: float, q2_inv_nm: np.ndarray, diameter_nm: float, d_nn_nm: float) -> None:
        self.diameter_nm, self.d_nn_nm, self.q2_inv_nm = diameter_nm, d_nn_nm, q2_inv_nm
        self._off = np.linspace(0, _WIDEST / diameter_nm, _TABLE)
        self._weights = pair_weights(diameter_nm, d_nn_nm, self._off)
        self.n = len(self._weights)
        first, last = (band_limit(q * diameter_nm, 1e-4) for q in (q1_inv_nm, float(q2_inv_nm.max())))
        # Even degrees and orders that are multiples of 3: patterns are even under inversion and have a threefold axis.
        self.degrees = np.arange(0, first + 1, 2)
        self._rings = (first + last) // 2 + 1
        self._sector = (first + last) // 12 + 2
        cosines, weights = np.polynomial.legendre.leggauss(2 * self._rings)
        self._cosines, ring_weights = cosines[self._rings :], 2 * weights[self._rings :]
        self._orders = 3 * np.arange(first // 3 + 1)
        self._legendre = _legendre(self._cosines, self._orders, self.degrees) * ring_weights
        one = self._harmonics(q1_inv_nm)
        even, odd = [], []
        means = []
        for q in q2_inv_nm:
            two = self._harmonics(float(q))
            # Orders m > 0 stand for −m too.
            double = np.where(self._orders == 0, 1.0, 2.0)
            products = np.einsum("lmb,m,lmc->lbc", one, double, two, optimize=True) / (4 * np.pi)
            split = self.n + 1
            even.append(products[1:, :split, :split])
            odd.append(products[1:, split:, split:])
            means.append(two[0, 0, :split] / np.sqrt(4 * np.pi))
        self.even, self.odd = np.array(even), np.array(odd)
        self.means = np.array(means)

    def _harmonics(self, q_inv_nm: float) -> np.ndarray:
        """Return spherical-harmonic coefficients (n_l, n_m, n_patterns) of all patterns on a sphere."""
        # A twelfth of the circle suffices: mirrors at 0 and 30°, even ones for E, even and odd for O.
        phi = np.pi / 6 * (np.arange(self._sector) + 0.5) / self._sector
        across = q_inv_nm * np.sqrt(1 - self._cosines**2)[:, None] * np.exp(1j * phi)
        height = q_inv_nm * self._cosines[:, None] * np.ones(len(phi))
        q100 = rod_momentum_transfer(self.d_nn_nm)
        m = np.arange(self.n)
        factor = np.where(m == 0, 1.0, 2.0)
        layer = LAYER_SPACING * self.d_nn_nm
        result = np.zeros((len(self.degrees), len(self._orders), 2 * self.n))
        fields = np.zeros((*across.shape, 2 * self.n))
        rods = [(0j, 0), (q100 * np.sqrt(3) * np.exp(1j * np.pi / 6), 0), (q100 + 0j, 1), (2 * q100 + 0j, -1)]
        for place, sense in rods:
            off = np.abs(across - place)
            near = off < self._off[-1]
            if not near.any():
                continue
            position = off[near] / self._off[1]
            low = np.minimum(position.astype(int), _TABLE - 2)
            part = (position - low)[:, None]
            weights = self._weights.T[low] * (1 - part) + self._weights.T[low + 1] * part
            turns = np.multiply.outer(height[near] * layer, m)
            even = factor * weights * np.cos(turns)
            if sense == 0:
                fields[near, 0] += even.sum(axis=1)
            else:
                fields[near, 1 : self.n + 1] += even
                fields[near, self.n + 1 :] += sense * 2 * (weights * np.sin(turns))[:, 1:]
        waves = np.cos(np.multiply.outer(self._orders, phi)) / self._sector
        is_even = self._orders % 6 == 0
        split = self.n + 1
        # ∫ f cos(Mφ) dφ over the circle is 2π times the mean over the sector, as f has the symmetry of the wave.
        even_part = np.einsum("mp,tpb->mtb", waves[is_even], fields[..., :split], optimize=True) * 2 * np.pi
        odd_part = np.einsum("mp,tpb->mtb", waves[~is_even], fields[..., split:], optimize=True) * 2 * np.pi
        result[:, is_even, :split] = np.einsum("mlt,mtb->lmb", self._legendre[is_even], even_part, optimize=True)
        result[:, ~is_even, split:] = np.einsum("mlt,mtb->lmb", self._legendre[~is_even], odd_part, optimize=True)
        return result


def _legendre(cosines: np.ndarray, orders: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Return orthonormal associated Legendre functions (n_m, n_l, n): Y_lm without its exp(imφ)."""
    lmax = int(degrees.max())
    sines = np.sqrt(1 - cosines**2)
    result = np.zeros((len(orders), lmax + 1, len(cosines)))
    diagonal = np.full(len(cosines), np.sqrt(1 / (4 * np.pi)))
    for m in range(lmax + 1):
        if m > 0:
            diagonal = -np.sqrt((2 * m + 1) / (2 * m)) * sines * diagonal
        if m not in orders:
            continue
        row = result[np.flatnonzero(orders == m)[0]]
        row[m] = diagonal
        if m < lmax:
            row[m + 1] = np.sqrt(2 * m + 3) * cosines * diagonal
        for degree in range(m + 2, lmax + 1):
            a = np.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
            b = np.sqrt(((degree - 1) ** 2 - m**2) / (4 * (degree - 1) ** 2 - 1))
            row[degree] = a * (cosines * row[degree - 1] - b * row[degree - 2])
    return result[:, degrees]


def _fit(
    patterns: _Patterns,
    data: np.ndarray,
    variance: np.ndarray,
    usable: np.ndarray,
    ratio: np.ndarray,
    delta_deg: np.ndarray,
    cancels: bool,
) -> PairCorrelations:
    """Fit scale, Re Q_2 … and Im Q_1 … by Gauss and Newton's method with Levenberg's damping."""
    n = patterns.n
    polynomials = np.polynomial.legendre.legvander(np.cos(np.radians(delta_deg)), int(patterns.degrees[-1]))
    polynomials = polynomials[:, patterns.degrees[1:]]
    sigma = np.sqrt((0.02 * np.sqrt((data**2).mean()) + _RELATIVE * np.abs(data)) ** 2 + variance)
    weight = np.where(usable, 1 / sigma, 0.0)
    prior = np.concatenate([[1 / _SCALE_PRIOR], np.full(2 * n - 3, 1 / _PRIOR)])

    def model(unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the map, and its derivatives after the logarithm of the scale, Re Q_2 … and Im Q_1 …."""
        even = np.concatenate([[1.0, 1.0, -0.5], unknown[1 : n - 1]])
        odd = unknown[n - 1 :]
        row = np.exp(unknown[0]) * (ratio if not cancels else 1 / (patterns.means @ even))[:, None]
        derivatives = []
        value = np.zeros(data.shape)
        for part, tensor in ((even, patterns.even), (odd, patterns.odd)):
            by_two = np.einsum("qlbc,b->qlc", tensor, part, optimize=True)
            by_one = np.einsum("qlbc,c->qlb", tensor, part, optimize=True)
            value += (by_two @ part) @ polynomials.T * row
            derivatives.append(np.einsum("qlc,dl->qdc", by_two + by_one, polynomials, optimize=True) * row[..., None])
        if cancels:
            derivatives[0] -= value[..., None] * (patterns.means / (patterns.means @ even)[:, None])[:, None]
        return value, np.concatenate([value[..., None], derivatives[0][..., 3:], derivatives[1]], axis=-1)

    count = int(usable.sum())
    resolved = _resolved(patterns.q2_inv_nm, float(np.ptp(delta_deg)), patterns.diameter_nm)
    independent = min(float(count), resolved * count / usable.size)
    fits = []
    for sense in (0.9, 0.3):
        unknown = _start(n, sense)
        value = model(unknown)[0]
        unknown[0] = np.log(max(float((value * data * weight**2).sum() / ((value * weight) ** 2).sum()), 1e-3))
        scatter = 1.0
        for _ in range(3):
            unknown, normal, misfit = _descend(
                model, unknown, data, weight, prior * np.sqrt(scatter * count / independent)
            )
            scatter = (misfit**2).sum() / count * independent / max(independent - len(unknown), 1)
        fits.append(((misfit**2).sum(), unknown, normal, scatter))
    cost, unknown, normal, scatter = min(fits, key=lambda fit: fit[0])
    covariance = np.zeros((n, n))
    covariance[2:, 2:] = np.linalg.inv(normal)[1 : n - 1, 1 : n - 1] * scatter * count / independent
    values = np.concatenate([[1.0, -0.5], unknown[1 : n - 1]])
    covariance = with_floor(covariance, _FLOOR)
    # What noise adds to the map, and to what is left of it, says nothing about the model.
    total, noise = ((data * weight) ** 2).sum(), (variance * weight**2).sum()
    signal = max(total - noise, _LEAST_SIGNAL * total)
    rms, noisy = (float(np.sqrt(max(part, 0.0) / signal)) for part in (cost - noise, noise))
    found = PairCorrelations(values, covariance, patterns.diameter_nm, patterns.d_nn_nm, rms, "map", noisy)
    missing = "d_nn and the diameter, and give the core radius and its spread"
    return checked(found, missing if cancels else "d_nn, the diameter and the core radius")


def _start(n: int, sense: float) -> np.ndarray:
    """Return where to start: random stacking, with more layers of one sense than of the other."""
    m = np.arange(n)
    real, imaginary = (-0.5) ** m, sense * np.sin(2 * np.pi * m / 3) * 0.9**m
    return np.concatenate([[0.0], real[2:], imaginary[1:]])


def _descend(
    model: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    unknown: np.ndarray,
    data: np.ndarray,
    weight: np.ndarray,
    prior: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise |weight (data − model)|² + |prior x|²; return x, the normal matrix and the weighted misfit.

    Raises:
        InputError: if it does not come to rest.
    """
    damping = 1e-3
    value, derivatives = model(unknown)
    misfit = (data - value) * weight
    cost = (misfit**2).sum() + ((prior * unknown) ** 2).sum()
    for _ in range(_ITERATIONS):
        slopes = (derivatives * weight[..., None]).reshape(-1, len(unknown))
        normal = slopes.T @ slopes + np.diag(prior**2)
        gradient = slopes.T @ misfit.ravel() - prior**2 * unknown
        while True:
            trial = unknown + np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            value, derivatives = model(trial)
            new_misfit = (data - value) * weight
            new_cost = (new_misfit**2).sum() + ((prior * trial) ** 2).sum()
            if new_cost <= cost or damping > 1e8:
                break
            damping *= 10
        settled = cost - new_cost < 1e-5 * cost
        if new_cost <= cost:
            unknown, misfit, cost = trial, new_misfit, new_cost
        if settled:
            return unknown, normal, misfit
        damping = max(damping / 10, 1e-9)
    raise InputError("the fit of the map does not come to rest: no close-packed stacking of one axis fits it")
