"""Free energy along the way of a layer from one hollow of its neighbours to the next, and the rate of such slides.

From windows of umbrella sampling (harmonic springs), put together by MBAR (Shirts and Chodera, J. Chem. Phys. 129,
124105 (2008), DOI 10.1063/1.2978177). The rate follows from the profile and from how fast the layer diffuses in each
window, D = ⟨δy²⟩² / ∫⟨δy(0) δy(t)⟩ dt (Hummer, New J. Phys. 7, 34 (2005), DOI 10.1088/1367-2630/7/1/034), as the
inverse of the mean first passage time (Hänggi, Talkner and Borkovec, Rev. Mod. Phys. 62, 251 (1990),
DOI 10.1103/RevModPhys.62.251).
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.core.units import KCAL_PER_MOL_K

_SHORTEST = 50  # samples of a window
_FEW = 20  # independent ones
_NEVER = 1e4  # kT
# Of neighbouring windows, off the diagonal of MBAR's overlap matrix: Klimovich, Shirts and Mobley, J. Comput. Aided
# Mol. Des. 29, 397 (2015), DOI 10.1007/s10822-015-9840-9.
_LEAST_OVERLAP = 0.03


@dataclass(frozen=True, eq=False)
class Window:
    """What was sampled with one spring.

    Args:
        target_angstrom: offset at which the spring is relaxed, Å.
        spring: its constant K of the energy K/2 (y − target)², kcal/mol/Å².
        offsets_angstrom: (n,) offsets at equal intervals, Å.
        interval_ns: that interval, ns.
    """

    target_angstrom: float
    spring: float
    offsets_angstrom: np.ndarray
    interval_ns: float


@dataclass(frozen=True, eq=False)
class SlidingProfile:
    """Free energy of a layer along its way.

    Args:
        temperature_K: temperature, K.
        n_layer: number of NPs of the layer.
        way_angstrom: from hollow to hollow, Å.
        fraction: (n,) middle of each bin, as a fraction of the way: 0 is the hollow from which the layer came.
        free_energy: (n,) free energy of the layer, kT, 0 in its first hollow.
        errors: (n,) their standard errors, kT.
        basins: free energy of the second hollow less that of the first, each that of its whole half of the way, kT.
        basins_error: its standard error, kT.
        diffusion: (n_windows, 2) fraction of the way, and diffusion constant there, Å²/ns.
        least_overlap: smallest overlap of two neighbouring windows, 0 to 1.
        least_independent: smallest number of independent samples of a window.
    """

    temperature_K: float
    n_layer: int
    way_angstrom: float
    fraction: np.ndarray
    free_energy: np.ndarray
    errors: np.ndarray
    basins: float
    basins_error: float
    diffusion: np.ndarray
    least_overlap: float
    least_independent: int

    @property
    def barrier(self) -> tuple[float, float]:
        """Highest free energy between the hollows, and its standard error, kT of the layer."""
        inside = np.flatnonzero((self.fraction > 0) & (self.fraction < 1))
        top = inside[int(np.argmax(self.free_energy[inside]))]
        return float(self.free_energy[top]), float(self.errors[top])

    @property
    def passage_ns(self) -> float:
        """Mean time until a layer in its first hollow comes to the second, ns, in this one direction."""
        first, last = (int(np.argmin(np.abs(self.fraction - end))) for end in (0.0, 1.0))
        width = (self.fraction[1] - self.fraction[0]) * self.way_angstrom
        diffusion = np.interp(self.fraction, *self.diffusion.T)
        filled = np.cumsum(np.exp(-self.free_energy)) * width
        steps = np.exp(self.free_energy) / diffusion * filled * width
        return float(steps[first : last + 1].sum())

    @property
    def rate_per_ns(self) -> float:
        """Rate at which a layer between two alike ones slides, 1/ns: there are three hollows around its own."""
        return 3 / self.passage_ns


def sliding_profile(
    windows: Sequence[Window], temperature_K: float, n_layer: int, way_angstrom: float, bins: int = 48
) -> SlidingProfile:
    """Put windows together.

    Args:
        windows: of springs along the way; offset 0 is the first hollow, `way_angstrom` the second.
        temperature_K: temperature, K.
        n_layer: number of NPs of the layer.
        way_angstrom: from hollow to hollow, Å.
        bins: of the profile, over what all windows reach.

    Raises:
        InputError: for fewer than two windows, too few samples, windows that do not overlap, or a way that they do not
            cover.

    Warns:
        SimscWarning: if a window holds few independent samples.
    """
    if len(windows) < 2:
        raise InputError(f"a profile needs at least two windows, got {len(windows)}")
    for k, window in enumerate(windows):
        if len(window.offsets_angstrom) < _SHORTEST:
            raise InputError(f"window {k}: has {len(window.offsets_angstrom)} samples, fewer than {_SHORTEST}")
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # which tells, at its import, how it could be faster
    import pymbar  # its import takes a second, and only this needs it

    thermal = KCAL_PER_MOL_K * temperature_K
    kept = [_independent(window.offsets_angstrom) for window in windows]
    offsets = np.concatenate(kept)
    numbers = np.array([len(part) for part in kept])
    if numbers.min() < _FEW:
        warnings.warn(
            f"window {numbers.argmin()} holds {numbers.min()} independent samples, and {_FEW} are wanted: ligands may "
            "remember how they were put, and errors are too small; sample longer, in another folder",
            SimscWarning,
            stacklevel=2,
        )
    biases = np.array([w.spring / 2 * (offsets - w.target_angstrom) ** 2 for w in windows]) / thermal
    edges = np.linspace(*_covered(offsets, windows, way_angstrom), bins + 1)
    estimate = pymbar.FES(biases, numbers, verbose=False)
    inside = (offsets > edges[0]) & (offsets < edges[-1])
    if (counts := np.histogram(offsets[inside], edges)[0]).min() == 0:
        gap = (edges[int(counts.argmin())] + edges[int(counts.argmin()) + 1]) / 2 / way_angstrom
        raise InputError(
            f"nothing was sampled at {gap:.2f} of the way: use more windows, or longer ones, in another folder"
        )
    estimate.generate_fes(
        np.zeros(len(offsets)), offsets, fes_type="histogram", histogram_parameters={"bin_edges": edges}
    )
    middles = (edges[:-1] + edges[1:]) / 2
    first = int(np.argmin(np.abs(middles)))
    found = estimate.get_fes(
        middles, reference_point="from-specified", fes_reference=middles[first], uncertainty_method="analytical"
    )
    mbar = estimate.get_mbar()
    overlap = mbar.compute_overlap()["matrix"]
    least = float(min(np.diag(overlap, 1).min(), np.diag(overlap, -1).min()))
    if least < _LEAST_OVERLAP:
        k = int(np.argmin(np.minimum(np.diag(overlap, 1), np.diag(overlap, -1))))
        raise InputError(
            f"windows {k} and {k + 1} overlap by {least:.3f} only, and {_LEAST_OVERLAP} are needed: use more windows, "
            "in another folder"
        )
    far = offsets > way_angstrom / 2
    basins = mbar.compute_perturbed_free_energies(np.where([~far, far], 0.0, _NEVER))
    return SlidingProfile(
        temperature_K=temperature_K,
        n_layer=n_layer,
        way_angstrom=way_angstrom,
        fraction=middles / way_angstrom,
        free_energy=np.asarray(found["f_i"]),
        errors=np.asarray(found["df_i"]),
        basins=float(basins["Delta_f"][0, 1]),
        basins_error=float(basins["dDelta_f"][0, 1]),
        diffusion=np.array([_diffusion(window, way_angstrom) for window in windows]),
        least_overlap=least,
        least_independent=int(numbers.min()),
    )


def _independent(offsets: np.ndarray) -> np.ndarray:
    """Return every so many-th sample, so that they are independent."""
    from pymbar import timeseries

    if np.ptp(offsets) == 0:
        raise InputError("the offset of the layer does not change")
    return offsets[timeseries.subsample_correlated_data(offsets, g=timeseries.statistical_inefficiency(offsets))]


def _covered(offsets: np.ndarray, windows: Sequence[Window], way_angstrom: float) -> tuple[float, float]:
    """Return the range of the profile: as far beyond both hollows as the outermost windows were sampled well."""
    low, high = (np.quantile(w.offsets_angstrom, q) for w, q in ((windows[0], 0.1), (windows[-1], 0.9)))
    if low > 0 or high < way_angstrom:
        raise InputError(
            f"the windows reach from {low / way_angstrom:.2f} to {high / way_angstrom:.2f} of the way, not over all"
        )
    return float(low), float(high)


def _diffusion(window: Window, way_angstrom: float) -> tuple[float, float]:
    """Return where a window was on the way, and the diffusion constant there, Å²/ns."""
    offsets = window.offsets_angstrom
    moved = offsets - offsets.mean()
    n = len(moved)
    power = np.abs(np.fft.rfft(moved, 2 * n)) ** 2
    correlation = np.fft.irfft(power)[:n] / np.arange(n, 0, -1)
    # Up to where noise takes over: the integral would wander from there on.
    positive = correlation > 0.05 * correlation[0]
    end = n if positive.all() else int(np.argmin(positive))
    time = (correlation[:end].sum() / correlation[0] - 0.5) * window.interval_ns
    return float(offsets.mean() / way_angstrom), float(correlation[0] / time)
