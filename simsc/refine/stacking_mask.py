"""The effect of an incomplete measurement on the stacking that is fitted to a correlation map.

The fit assumes that unmeasured directions are like the measured ones. How wrong that is depends on the orientation of
the crystal under the mask, which a map does not contain. So crystals are drawn from the fitted stacking process, in any
orientation, and refined as the measurement was: under its mask, with the number of photons that follows from its
variance (a parametric bootstrap). The deviation of the fitted values from the true ones has a mean and a scatter; the
mean is not subtracted, so that both are part of the error.
"""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball, layers_of_ball
from simsc.core.close_packing import LAYER_SPACING
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import ShellIntensity
from simsc.core.processes import lost, pool
from simsc.core.stacking import lettered
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.mask import Mask, masked
from simsc.correlation.shells import shells_of_crystal
from simsc.refine.stacking_disorder import PairCorrelations, StackingFit
from simsc.refine.stacking_map import correlations_of_map
from simsc.scattering.counting import counted_shell
from simsc.scattering.layer_disorder import StackingModel, pair_correlations_of
from simsc.scattering.rods import sphere_statistics

_TOLERANCE = 1e-5  # of amplitudes
_TRIAL_PHOTONS = 1e6
_PHOTONS = (1e2, 1e15)  # a sphere may count
_ROUNDS = 6
_NOISE_SAMPLES = 4  # of each of the many values of a map
_OTHER_MASK = 0.05  # mean difference of coverages beyond which the mask is not that of the map


@dataclass(frozen=True, eq=False)
class MaskEffect:
    """How far fitted pair correlations of simulated crystals are from those of their layers.

    Args:
        realised: (n_draws, n) Re Q_0 … Re Q_{n−1} of the layers of each crystal; 0 of layers farther apart than any.
        under_mask: (n_draws, n) those fitted to its map under the mask, less the realised ones.
        complete: (n_draws, n) those fitted to its map without a mask, less the realised ones.
        failed: number of further crystals that no stacking was fitted to, as they lay.
        photons: counted on all second spheres together; None without noise.
    """

    realised: np.ndarray
    under_mask: np.ndarray
    complete: np.ndarray
    failed: int
    photons: float | None

    @property
    def fcc_fraction(self) -> tuple[float, float]:
        """Mean and standard deviation of fitted less realised fcc fractions, under the mask."""
        return _mean_and_spread(self.under_mask)

    @property
    def fcc_fraction_complete(self) -> tuple[float, float]:
        """The same without a mask."""
        return _mean_and_spread(self.complete)

    def added_to(self, correlations: PairCorrelations) -> PairCorrelations:
        """Return pair correlations whose covariance holds, besides their own, the effect of the mask.

        That is the mean square of the differences: of their scatter and of their mean, which is not subtracted.
        """
        effect = self.under_mask.T @ self.under_mask / len(self.under_mask)
        return replace(correlations, covariance=correlations.covariance + effect)


def _mean_and_spread(differences: np.ndarray) -> tuple[float, float]:
    fractions = -2 / 3 * differences[:, 2]
    return float(fractions.mean()), float(fractions.std(ddof=1))


def mask_effect(
    correlation: CorrelationMap,
    fit: StackingFit,
    mask: Mask,
    radius_nm: float,
    radius_std_nm: float = 0.0,
    draws: int = 12,
    seed: int = 1,
    jobs: int = 1,
    threads: int = 1,
    on_draw: Callable[[int], None] = lambda done: None,
) -> MaskEffect:
    """Refine simulations of what was found, under the mask and with the noise of the measurement.

    Args:
        correlation: the map that was fitted; if it has a variance, photons are counted.
        fit: what was found, whose process the simulated crystals are drawn from.
        mask: which momentum transfers were measured; with several jobs one that can be pickled, as those of
            `simsc.correlation.mask` can.
        radius_nm: mean core radius, nm.
        radius_std_nm: its standard deviation, nm.
        draws: crystals, ≥ 2. Default 12: gives a standard deviation to a fifth.
        seed: of the draws, which do not depend on jobs.
        jobs: processes. Default 1: this one.
        threads: of the transforms, in each process; 0 takes all cores.
        on_draw: called with the number of draws that are done.

    Raises:
        InputError: for fewer than two draws, or if all but one of them cannot be fitted.
        SamplingError: if the mask leaves nothing of a sphere.
        ResourceError: if a process was killed.
    """
    if draws < 2:
        raise InputError(f"at least 2 draws are needed, got {draws}")
    found = fit.correlations
    simulation = _Simulation(
        correlation, mask, fit.simulated, found.diameter_nm, found.d_nn_nm, radius_nm, radius_std_nm, seed, threads
    )
    if correlation.variance is not None:
        simulation = replace(simulation, photons=simulation.photons_of_variance())
    on_draw(0)
    results: list[_Drawn | None] = [None] * draws
    for done, (number, drawn) in enumerate(_every(simulation, draws, jobs), 1):
        results[number] = drawn
        on_draw(done)
    good = [drawn for drawn in results if drawn is not None]
    if len(good) < 2:
        raise InputError(
            f"of {draws} simulated crystals {draws - len(good)} cannot be fitted under this mask: it leaves too little"
        )
    if (difference := float(np.mean([drawn.coverage for drawn in good]))) > _OTHER_MASK:
        warnings.warn(
            f"under the mask given, simulations cover other parts of the map than it says of itself (by "
            f"{difference:.2f} on average): is the mask that of the map?",
            SimscWarning,
            stacklevel=2,
        )
    return MaskEffect(
        np.array([drawn.realised for drawn in good]),
        np.array([drawn.under_mask - drawn.realised for drawn in good]),
        np.array([drawn.complete - drawn.realised for drawn in good]),
        draws - len(good),
        simulation.photons,
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    realised: np.ndarray
    under_mask: np.ndarray
    complete: np.ndarray
    coverage: float  # mean difference from that of the measured map


@dataclass(frozen=True, eq=False)
class _Simulation:
    """All that a draw needs; goes to other processes."""

    correlation: CorrelationMap
    mask: Mask
    model: StackingModel
    diameter_nm: float
    d_nn_nm: float
    radius_nm: float
    radius_std_nm: float
    seed: int
    threads: int
    photons: float | None = None

    def draw(self, number: int) -> _Drawn | None:
        """Simulate a crystal and fit it; None if it cannot be fitted."""
        rng = np.random.default_rng([self.seed, number])
        crystal, realised = self._crystal(rng)
        shells = self._shells(crystal)
        seen = self._map([masked(shell, self.mask) for shell in shells], rng)
        complete = self._map(shells, rng)
        form, _ = sphere_statistics(self.correlation.q2_inv_nm, self.radius_nm, self.radius_std_nm)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimscWarning)
            try:
                fits = [correlations_of_map(one, self.diameter_nm, self.d_nn_nm, form) for one in (seen, complete)]
            except InputError:
                return None
        # A ball may hold a layer less or more than the model of it.
        true = np.zeros(len(fits[0].values))
        true[: len(realised)] = realised[: len(true)]
        coverage = float(np.abs(seen.coverage - self.correlation.coverage).mean())
        return _Drawn(true, fits[0].values, fits[1].values, coverage)

    def photons_of_variance(self) -> float:
        """Return how many photons on the second spheres give a simulated map the variance of the measured one.

        Of another crystal it depends on how that is stacked: 10⁵ and 10⁷ photons came out as 0.8 and 0.7 of them.
        """
        rng = np.random.default_rng([self.seed, 0])
        shells = [masked(shell, self.mask) for shell in self._shells(self._crystal(rng)[0])]
        photons = _TRIAL_PHOTONS
        for _ in range(_ROUNDS):
            variance = replace(self, photons=photons)._map(shells, rng, _NOISE_SAMPLES).variance
            assert variance is not None
            assert self.correlation.variance is not None
            known = np.isfinite(variance) & (self.correlation.variance > 0)
            if not known.any():
                raise InputError("the map's variance is 0: it tells of no photons")
            # The variance falls as 1 / n, or as 1 / n² where most points count nothing: the power 2/3 suits both.
            photons *= float(np.median(variance[known] / self.correlation.variance[known])) ** (2 / 3)
        return photons

    def _crystal(self, rng: np.random.Generator) -> tuple[Superlattice, np.ndarray]:
        """Return a ball, in any orientation, and the pair correlations of its layers."""
        layers = layers_of_ball(self.d_nn_nm, self.diameter_nm)
        steps = self.model.steps(layers - 1, rng)[0]
        x, y, z = (float(part) for part in rng.uniform(-0.5, 0.5, 3) * self.d_nn_nm)
        crystal = ball(lettered(steps), self.d_nn_nm, self.diameter_nm, centre=(x, y, z))
        layer = np.round((crystal.positions_nm[:, 2] + z) / (LAYER_SPACING * self.d_nn_nm)).astype(int) + layers // 2
        low, high = int(layer.min()), int(layer.max())
        realised = pair_correlations_of(steps[low:high], np.bincount(layer - low)).real
        turned = crystal.rotated(Rotation.random(rng=rng))
        return with_normal_radii(turned, self.radius_nm, self.radius_std_nm, rng), realised

    def _shells(self, crystal: Superlattice) -> list[ShellIntensity]:
        """Return the shell at q1 and those at q2."""
        q1, q2 = self.correlation.q1_inv_nm, self.correlation.q2_inv_nm
        first, second = shells_of_crystal([crystal], q1, q2, _TOLERANCE, self.threads)
        return [first, *second]

    def _map(self, shells: list[ShellIntensity], rng: np.random.Generator, noise_samples: int = 0) -> CorrelationMap:
        """Return the map of shells, with photons counted if there are any; its variance is the measured one."""
        like = self.correlation
        if self.photons is not None:
            # As many photons on each sphere as follow from its mean intensity and its area.
            share = like.radial_profile * like.q2_inv_nm**2 / (like.radial_profile * like.q2_inv_nm**2).sum()
            counts = self.photons * np.array([np.interp(like.q1_inv_nm, like.q2_inv_nm, share), *share])
            counts = np.clip(counts, *_PHOTONS)
            pairs = zip(shells, counts, strict=True)
            shells = [counted_shell(shell, count, rng, noise_samples) for shell, count in pairs]
        result = correlate(shells[0], shells[1:], like.delta_deg, self.threads, bin_deg=like.bin_deg)
        return result if noise_samples else replace(result, variance=like.variance)


def _every(simulation: _Simulation, draws: int, jobs: int) -> Iterator[tuple[int, _Drawn | None]]:
    """Yield the number and the result of all draws as they end."""
    jobs = min(jobs, draws)
    if jobs < 2:
        yield from ((number, simulation.draw(number)) for number in range(draws))
        return
    running: dict[Future[_Drawn | None], int] = {}

    def at_work() -> str:
        return f"simulations {', '.join(str(number + 1) for number in lost(running, jobs))} of {draws}"

    with pool(jobs, at_work, _set_up, (simulation,)) as processes:
        for number in range(draws):
            running[processes.submit(_draw, number)] = number
        for future in as_completed(list(running)):
            drawn = future.result()
            yield running.pop(future), drawn


_own: _Simulation  # of a process of the pool


def _set_up(simulation: _Simulation) -> None:
    global _own
    _own = simulation


def _draw(number: int) -> _Drawn | None:
    return _own.draw(number)
