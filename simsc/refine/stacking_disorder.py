"""Stacking disorder as numbers, from the profile along Bragg rods or from a correlation map.

Both are linear in the pair correlations Q_m of the layers (`simsc.scattering.layer_disorder`), which are fitted
first, with the scale and a background. They belong to the layers of this very crystal, the realised stacking:

    fraction of fcc-like layers f = 2/3 (1 − Re Q_2),    of fcc-like pairs of neighbours P_cc = (1 + 2 Re Q_3) / 3.

A crystal of twenty layers is a small sample of the process that stacked it. The probabilities of that process follow
in a second fit, of a Markov chain to Q_m, with the scatter of Q_m among crystals of this size as its error.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from simsc.core.close_packing import LAYER_SPACING
from simsc.core.errors import InputError
from simsc.scattering.layer_disorder import StackingModel, ball_weights, pair_correlations_of, rod_cosines
from simsc.scattering.rods import RodProfile

Process = Literal["growth", "jagodzinski", "deformation"]

_PRIOR = 0.5  # standard deviation of a Q_m that nothing is known of: between −1/2 and 1
_FEWEST_PAIRS = 0.15  # weight, relative to W_0, below which Q_m are not used for the process
_COPIES = 2000
_ROUNDS = 3
_FLOOR = 0.01  # least standard deviation of a Q_m, as measured on simulated balls
_WORST = {"rod": 0.35, "map": 0.5}  # relative residual; true models reach 0.1 and 0.2, a wrong axis 0.47 and 0.7
_BEYOND = 0.1  # what a fraction may lie outside of 0 … 1
_DISC = 9.0  # over the diameter: the first zero of a ball's transform, 2 · 4.49


@dataclass(frozen=True, eq=False)
class PairCorrelations:
    """Measured correlations of layers.

    Args:
        values: (n,) Re Q_0 … Re Q_{n−1}; the first two are 1 and −1/2 whatever the stacking.
        covariance: (n, n) of their errors of measurement; those of the first two are zero.
        diameter_nm: of the ball of NPs, nm.
        d_nn_nm: nearest-neighbour distance, nm.
        residual: root mean square of data minus fit, relative to that of the data, both without noise that is known.
        source: "rod" or "map".
        noise: root mean square of that noise, relative to the data without it.
    """

    values: np.ndarray
    covariance: np.ndarray
    diameter_nm: float
    d_nn_nm: float
    residual: float
    source: Literal["rod", "map"]
    noise: float = 0.0

    @property
    def fcc_fraction(self) -> tuple[float, float]:
        """Realised fraction of fcc-like layers, and its standard error.

        Layers are weighted by the overlap of the two layers around them: those at the ends of a ball count less than
        by their NPs.
        """
        return float(2 / 3 * (1 - self.values[2])), float(2 / 3 * np.sqrt(self.covariance[2, 2]))

    @property
    def fcc_pairs(self) -> tuple[float, float]:
        """Realised fraction of neighbouring layers that are both fcc-like, and its standard error."""
        return float((1 + 2 * self.values[3]) / 3), float(2 / 3 * np.sqrt(self.covariance[3, 3]))

    @property
    def layer_sizes(self) -> np.ndarray:
        """(n,) relative sizes of the layers of the ball."""
        spacing = LAYER_SPACING * self.d_nn_nm
        n = max(4, round(self.diameter_nm / spacing))
        height = (np.arange(n) - (n - 1) / 2) * spacing
        return np.maximum(1 - (2 * height / self.diameter_nm) ** 2, 0.0)


@dataclass(frozen=True, eq=False)
class StackingFit:
    """The stacking of a crystal, and the process that made it.

    Args:
        realised_fcc: fraction of fcc-like layers in this crystal, weighted by the overlap of those around them.
        realised_fcc_error: its standard error, of the measurement alone.
        process: kind of Markov chain: "growth", "jagodzinski" or "deformation".
        model: the fitted chain; its `fcc_fraction` is what many such crystals would have on average.
        parameters: its free parameters by name.
        formal_errors: their standard errors from the curvature of the fit.
        bootstrap_errors: their standard deviations over refits of simulated crystals of this size: the limit of one
            such crystal. None without a bootstrap.
        bootstrap_bias: mean of these refits minus the parameters that were simulated.
        chi_squared: of the fit of the chain, per degree of freedom.
        correlations: the pair correlations that it rests on.
    """

    realised_fcc: float
    realised_fcc_error: float
    process: Process
    model: StackingModel
    parameters: dict[str, float]
    formal_errors: dict[str, float]
    bootstrap_errors: dict[str, float] | None
    bootstrap_bias: dict[str, float] | None
    chi_squared: float
    correlations: PairCorrelations

    @property
    def simulated(self) -> StackingModel:
        """The chain to simulate such crystals with: the fitted one, but never without chance."""
        layers = len(self.correlations.layer_sizes)
        return _model(self.process, _random_enough(self.process, np.array(list(self.parameters.values())), layers))


def default_disc(diameter_nm: float) -> float:
    """Return the radius, nm⁻¹, of a disc that holds a rod of a ball of NPs: up to the first zero of its transform."""
    return _DISC / diameter_nm


def ball_diameter(n: int, d_nn_nm: float) -> float:
    """Return the diameter, nm, of a ball of n close-packed NPs."""
    return float(d_nn_nm * (6 * n / (np.sqrt(2) * np.pi)) ** (1 / 3))


def correlations_of_rod(profile: RodProfile, diameter_nm: float) -> PairCorrelations:
    """Fit pair correlations to the profile along a rod.

    The profile is a P(q) Σ_m (2 − δ_m0) W_m Re Q_m cos(π l m) + b, with the form factor P(q), W_m of a ball, and a
    scale a and a background b that are fitted too. Q_1 = −1/2 fixes a, Q_0 = 1 then b.

    Args:
        profile: along 10l or another rod with h − k ≠ 3n, with a form factor.
        diameter_nm: of the ball of NPs, nm.

    Raises:
        InputError: for a rod that does not depend on the stacking, without a form factor, or for less than a period
            (0 ≤ l ≤ 1) of measured points.
    """
    h, k = profile.hk
    if (h - k) % 3 == 0:
        raise InputError(f"the rod {h}{k}l does not depend on the stacking; take one with h − k ≠ 3n, such as 10l")
    if profile.form_factor is None or profile.incoherent is None:
        raise InputError("the form factor is not known: give the core radius (nm)")
    measured = np.isfinite(profile.intensity)
    height = np.abs(profile.l_hcp[measured])
    d = profile.frame.d_nn_nm
    weights = ball_weights(diameter_nm, d, profile.disc_inv_nm)
    # Intensities have the period 2 and are even: 0 … 1 is all there is to know.
    folded = np.abs((height + 1) % 2 - 1)
    gap = np.diff(np.concatenate([[0.0], np.unique(folded), [1.0]])).max() if len(folded) else 1.0
    if gap > 0.1:
        raise InputError(
            f"the rod was measured with gaps of up to {gap:.2g} in l; 0 … 1 is needed in steps of 0.1 or finer"
        )
    form = profile.form_factor[measured] / profile.form_factor[measured].max()
    data = profile.intensity[measured] - profile.incoherent[measured]
    cosines = rod_cosines(profile.l_hcp[measured], weights) * form[:, None]
    # Unequal NPs add noise where the form factor is small.
    floor = profile.incoherent[measured] / max(float(data.mean()), 1e-300) + 0.02
    sigma = form + floor
    known = cosines[:, 0] - cosines[:, 1] / 2
    design = np.column_stack([known, np.ones_like(known), cosines[:, 2:]]) / sigma[:, None]
    independent = min(len(height), max(1.0, np.ptp(height) * len(weights)))
    solution, covariance, rms = _bounded(design, data / sigma, independent)
    values = np.concatenate([[1.0, -0.5], solution[2:] / solution[0]])
    jacobian = np.zeros((len(values), len(solution)))
    jacobian[2:, 2:] = np.eye(len(values) - 2) / solution[0]
    jacobian[2:, 0] = -values[2:] / solution[0]
    covariance = with_floor(jacobian @ covariance @ jacobian.T, _FLOOR)
    return checked(
        PairCorrelations(values, covariance, diameter_nm, d, rms, "rod"), "d_nn, the diameter and the radius"
    )


def checked(correlations: PairCorrelations, advice: str) -> PairCorrelations:
    """Return the correlations if they can be those of close-packed layers.

    Raises:
        InputError: if the data were not fitted, or by fractions out of 0 … 1.
    """
    for fraction, _ in (correlations.fcc_fraction, correlations.fcc_pairs):
        if correlations.residual > _WORST[correlations.source] or not -_BEYOND < fraction < 1 + _BEYOND:
            raise InputError(
                f"no close-packed stacking of one axis fits the {correlations.source} (residual "
                f"{100 * correlations.residual:.0f} %, fcc fraction {correlations.fcc_fraction[0]:.2f}): check {advice}"
            )
    return correlations


def with_floor(covariance: np.ndarray, floor: float) -> np.ndarray:
    """Add to a covariance (n, n) an error of Q_2 and higher, of the model itself: discs in place of layers of NPs."""
    return covariance + np.diag(np.where(np.arange(len(covariance)) < 2, 0.0, floor**2))


def _bounded(design: np.ndarray, data: np.ndarray, independent: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit scale, background and scale times Q_m, which a priori scatter about 0 by 1/2.

    Returns:
        The solution, its covariance, and the relative root mean square residual.

    Raises:
        InputError: if no positive scale fits.
    """
    n, n_free = design.shape
    scale = np.abs(data).max() / np.abs(design[:, 0]).max()
    noise = 0.05 * float(np.sqrt((data**2).mean()))
    for _ in range(6):
        prior = np.zeros((n_free, n_free))
        prior[range(2, n_free), range(2, n_free)] = noise / (_PRIOR * scale)
        # Points closer than the intensity can vary are no independent measurements.
        prior *= np.sqrt(n / independent)
        solution = np.linalg.lstsq(np.vstack([design, prior]), np.concatenate([data, np.zeros(n_free)]), rcond=None)[0]
        misfit = data - design @ solution
        noise = float(np.sqrt((misfit**2).sum() / max(n * (1 - n_free / max(independent, n_free + 1)), 1)))
        if not solution[0] > 0:
            raise InputError("no close-packed stacking fits: the scale comes out negative; check d_nn and the diameter")
        scale = float(solution[0])
    covariance = np.linalg.pinv(design.T @ design + prior.T @ prior) * noise**2 * n / independent
    return solution, covariance, float(np.sqrt((misfit**2).sum() / (data**2).sum()))


def fit_stacking(
    correlations: PairCorrelations, process: Process = "growth", bootstrap: int = 200, seed: int = 1
) -> StackingFit:
    """Fit the process that stacked the layers to their measured pair correlations.

    Generalised least squares over the Q_m with enough pairs of layers; their covariance is that of the measurement
    plus that among simulated crystals of the same size, found anew as the parameters change.

    Args:
        correlations: as `correlations_of_rod` or `simsc.refine.stacking_map.correlations_of_map` returns them.
        process: "growth": layers are fcc-like with one probability α; "jagodzinski": with one that depends on the
            layer below; "deformation": α, and deformation faults.
        bootstrap: simulated crystals to refit; 0 for none. Default 200.
        seed: of the simulations.

    Raises:
        InputError: for another process, or a negative number of simulations.
    """
    if process not in get_args(Process):
        raise InputError(f"process {process!r} is not known; it is one of {', '.join(get_args(Process))}")
    if bootstrap < 0 or bootstrap == 1:
        raise InputError(f"a bootstrap needs at least 2 refits, or 0 for none, got {bootstrap}")
    rng = np.random.default_rng(seed)
    weights = ball_weights(correlations.diameter_nm, correlations.d_nn_nm, default_disc(correlations.diameter_nm))
    n = min(len(correlations.values), int((weights > _FEWEST_PAIRS * weights[0]).sum()))
    used = slice(2, n)
    measured = correlations.covariance[used, used]
    sizes = correlations.layer_sizes
    start = float(np.clip(correlations.fcc_fraction[0], 0.05, 0.95))
    parameters = np.array([start, *([] if process == "growth" else [start if process == "jagodzinski" else 0.02])])
    for _ in range(_ROUNDS):
        sample = _sample(_model(process, _random_enough(process, parameters, len(sizes))), sizes, _COPIES, n, rng)
        root = np.linalg.inv(np.linalg.cholesky(measured + np.cov(sample.T)))
        parameters, formal, chi_squared = _fit_process(process, correlations.values[used], root, parameters)
    names = _NAMES[process]
    errors = bias = None
    if bootstrap:
        simulated = _random_enough(process, parameters, len(sizes))
        drawn = _sample(_model(process, simulated), sizes, bootstrap, n, rng)
        drawn = drawn + rng.multivariate_normal(np.zeros(n - 2), measured, bootstrap)
        refits = np.array([_fit_process(process, values, root, parameters)[0] for values in drawn])
        errors = dict(zip(names, refits.std(axis=0, ddof=1).tolist(), strict=True))
        bias = dict(zip(names, (refits.mean(axis=0) - simulated).tolist(), strict=True))
    return StackingFit(
        *correlations.fcc_fraction,
        process,
        _model(process, parameters),
        dict(zip(names, parameters.tolist(), strict=True)),
        dict(zip(names, formal.tolist(), strict=True)),
        errors,
        bias,
        chi_squared,
        correlations,
    )


_NAMES: dict[Process, tuple[str, ...]] = {
    "growth": ("alpha",),
    "jagodzinski": ("alpha_after_fcc", "alpha_after_hcp"),
    "deformation": ("alpha", "deformation"),
}


def _model(process: Process, parameters: np.ndarray) -> StackingModel:
    """Return the chain of some parameters."""
    first, *more = (float(value) for value in parameters)
    if process == "growth":
        return StackingModel(first)
    return StackingModel(first, more[0]) if process == "jagodzinski" else StackingModel(first, None, more[0])


def _random_enough(process: Process, parameters: np.ndarray, layers: int) -> np.ndarray:
    """Return the parameters to simulate crystals with: those of the fit, but never a process without randomness.

    A crystal of n layers of one kind does not show that there is no other: Laplace's rule of succession, 1 / (n + 2).
    """
    least = 1 / (layers + 2)
    inside = np.clip(parameters, least, 1 - least)
    if process == "deformation":
        inside[1] = min(parameters[1], 0.5)
    return inside


def _sample(model: StackingModel, sizes: np.ndarray, copies: int, largest: int, rng: np.random.Generator) -> np.ndarray:
    """Return Re Q_2 … (copies, largest − 2) of simulated crystals."""
    return pair_correlations_of(model.steps(len(sizes) - 1, rng, copies), sizes, largest - 1).real[:, 2:]


def _fit_process(
    process: Process, values: np.ndarray, root: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the parameters, their formal errors and χ² per degree of freedom, for Q_2 … and their whitening."""
    from scipy.optimize import least_squares  # slow to load

    high = np.array([1.0, 0.5 if process == "deformation" else 1.0][: len(start)])

    def misfit(parameters: np.ndarray) -> np.ndarray:
        return root @ (_model(process, parameters).pair_correlations(len(values) + 1)[2:] - values)

    fit = least_squares(misfit, np.clip(start, 1e-3, high - 1e-3), bounds=(np.zeros(len(start)), high), diff_step=1e-4)
    # Where a parameter changes nothing, it is uncertain by all of its range.
    covariance = np.linalg.inv(fit.jac.T @ fit.jac + np.diag(1 / high**2))
    return fit.x, np.sqrt(np.diag(covariance)), float(2 * fit.cost / max(len(values) - len(start), 1))
