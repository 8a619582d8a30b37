"""Free energy along the path of a layer from one hollow of its neighbours to the next, and the rate of such slips.

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
from itertools import pairwise
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.core.units import KCAL_PER_MOL_K

_SHORTEST = 50  # samples of a window
_FEW = 20  # independent ones
# Variance of the offset in a window over that which all windows imply under its spring, in the mean: 1 in equilibrium.
# Chosen: drawn windows that keep to 0.6 of their standard deviation have 0.47 of it, and to 0.4 of it 0.24.
_FROZEN, _EQUILIBRATED = 0.4, 0.7
_NEVER = 1e4  # kT
_FEWEST_BINS = 12
# Of neighbouring windows, off the diagonal of MBAR's overlap matrix: Klimovich, Shirts and Mobley, J. Comput. Aided
# Mol. Des. 29, 397 (2015), DOI 10.1007/s10822-015-9840-9.
_LEAST_OVERLAP = 0.03


@dataclass(frozen=True, eq=False)
class Window:
    """The samples of one spring.

    Args:
        target_angstrom: offset at which the spring is relaxed, Å.
        spring: its constant K of the energy K/2 (y − target)², kcal/mol/Å².
        offsets_angstrom: (n,) offsets at equal intervals, Å; or (n_repeats, n), of independent repeats.
        interval_ns: that interval, ns.
    """

    target_angstrom: float
    spring: float
    offsets_angstrom: np.ndarray
    interval_ns: float


@dataclass(frozen=True, eq=False)
class GlideProfile:
    """Free energy of a layer along its path.

    Args:
        temperature_K: temperature, K.
        n_layer: number of NPs of the layer.
        way_angstrom: length of the path, from hollow to hollow, Å.
        fraction: (n,) middle of each bin, as a fraction of the path: 0 is the hollow from which the layer came.
        free_energy: (n,) free energy of the layer, kT, 0 in its first hollow.
        errors: (n,) their standard errors, kT.
        basins: free energy of the second hollow less that of the first, each that of its whole half of the path, kT.
        basins_error: its standard error, kT.
        diffusion: (n_windows, 2) fraction of the path, and diffusion constant there, Å²/ns.
        least_overlap: smallest overlap of two neighbouring windows, 0 to 1.
        least_independent: smallest number of independent samples of a window.
        consistency: variance of the offset in a window over that which all windows imply there, mean of the windows: 1
            in equilibrium, less where windows stay where they started.
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
    consistency: float

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
        """Rate at which a layer between two alike ones slips, 1/ns: there are three hollows around its own."""
        return 3 / self.passage_ns


def glide_profile(
    windows: Sequence[Window], temperature_K: float, n_layer: int, way_angstrom: float, bins: int = 48
) -> GlideProfile:
    """Put windows together.

    Args:
        windows: of springs along the path; offset 0 is the first hollow, `way_angstrom` the second.
        temperature_K: temperature, K.
        n_layer: number of NPs of the layer.
        way_angstrom: length of the path, from hollow to hollow, Å.
        bins: of the profile, over the range of all windows; fewer, not below 12, where few samples leave bins empty.

    Raises:
        InputError: for fewer than two windows, too few samples, windows that do not overlap, a path that they do not
            cover, or windows that stay where they started.

    Warns:
        SimscWarning: if a window holds few independent samples, or windows sampled less than they imply together.
    """
    if len(windows) < 2:
        raise InputError(f"a profile needs at least two windows, got {len(windows)}")
    pymbar = _pymbar()
    windows = _along_the_way(windows)
    offsets, numbers, biases = _pooled(windows, temperature_K)
    if numbers.min() < _FEW:
        at = windows[int(numbers.argmin())].target_angstrom / way_angstrom
        warnings.warn(
            f"the window at {at:.2f} of the way holds {numbers.min()} independent samples, and {_FEW} are wanted: "
            "ligands may remember how they were put, and errors are too small; sample with more repeats",
            SimscWarning,
            stacklevel=2,
        )
    estimate = pymbar.FES(biases, numbers, verbose=False)
    mbar = estimate.get_mbar()
    consistency = _consistency(windows, offsets, mbar)
    if consistency < _EQUILIBRATED:
        warnings.warn(
            f"windows sampled {consistency:.0%} of the variance that they imply together: they are not quite in "
            "equilibrium, and errors are too small; sample with more repeats",
            SimscWarning,
            stacklevel=2,
        )
    edges = _edges(offsets, windows, way_angstrom, bins)
    estimate.generate_fes(
        np.zeros(len(offsets)), offsets, fes_type="histogram", histogram_parameters={"bin_edges": edges}
    )
    middles = (edges[:-1] + edges[1:]) / 2
    first = int(np.argmin(np.abs(middles)))
    found = estimate.get_fes(
        middles, reference_point="from-specified", fes_reference=middles[first], uncertainty_method="analytical"
    )
    overlaps = _overlaps(mbar)
    least = float(overlaps.min())
    if least < _LEAST_OVERLAP:
        k = int(overlaps.argmin())
        one, two = (window.target_angstrom / way_angstrom for window in windows[k : k + 2])
        raise InputError(
            f"the windows at {one:.2f} and {two:.2f} of the way overlap by {least:.3f} only, and {_LEAST_OVERLAP} are "
            "needed: use more repeats, or more windows in another folder"
        )
    far = offsets > way_angstrom / 2
    basins = mbar.compute_perturbed_free_energies(np.where([~far, far], 0.0, _NEVER))
    return GlideProfile(
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
        consistency=consistency,
    )


def _along_the_way(windows: Sequence[Window]) -> list[Window]:
    """Return windows in the order of their mean offsets, which is not always that of their springs.

    Raises:
        InputError: if one has too few samples.
    """
    for window in windows:
        if (n := window.offsets_angstrom.shape[-1]) < _SHORTEST:
            raise InputError(f"the window at {window.target_angstrom:.1f} Å has {n} samples, fewer than {_SHORTEST}")
    return sorted(windows, key=lambda window: float(window.offsets_angstrom.mean()))


def gaps_between(windows: Sequence[Window], temperature_K: float) -> list[tuple[Window, Window]]:
    """Return the neighbouring windows that overlap too little to be put together, or leave a bin between them empty.

    Args:
        windows: of springs along the path.
        temperature_K: temperature, K.

    Returns:
        pairs, in the order of their mean offsets along the path.

    Raises:
        InputError: if a window has too few samples, its offset does not change, or windows stay where they started.
    """
    windows = _along_the_way(windows)
    offsets, numbers, biases = _pooled(windows, temperature_K)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge where windows lie apart, which is to be found out here
        mbar = _pymbar().MBAR(biases, numbers)
        overlaps = _overlaps(mbar)
        _consistency(windows, offsets, mbar)  # more windows would be as frozen
    means = np.array([window.offsets_angstrom.mean() for window in windows])
    holes = [np.diff(np.sort([*offsets[(offsets > a) & (offsets < b)], a, b])).max() for a, b in pairwise(means)]
    far = ~(overlaps >= _LEAST_OVERLAP) | (np.array(holes) > np.ptp(means) / _FEWEST_BINS)
    return [pair for pair, is_far in zip(pairwise(windows), far, strict=True) if is_far]


def _pymbar() -> Any:
    """Return pymbar: its import takes a second, and only this needs it."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # which says, at its import, how it could be faster
    import pymbar

    return pymbar


def _pooled(windows: Sequence[Window], temperature_K: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return independent offsets (n,), their number in each window, and energies (n_windows, n) of all springs, kT."""
    kept = [_independent(window.offsets_angstrom) for window in windows]
    offsets = np.concatenate(kept)
    energies = np.array([w.spring / 2 * (offsets - w.target_angstrom) ** 2 for w in windows])
    return offsets, np.array([len(part) for part in kept]), energies / (KCAL_PER_MOL_K * temperature_K)


def _overlaps(mbar: Any) -> np.ndarray:
    """Return the overlaps of neighbouring windows (n_windows − 1,)."""
    overlap = mbar.compute_overlap()["matrix"]
    return np.minimum(np.diag(overlap, 1), np.diag(overlap, -1))


def _consistency(windows: Sequence[Window], offsets: np.ndarray, mbar: Any) -> float:
    """Return the variance of the offset in a window over that which all windows imply under its spring, in the mean.

    Where ligands hold a layer, windows lie apart, each narrower than its spring and the slopes between windows allow:
    what is computed from them is wrong by more than its error. Histograms of windows against those that all imply: Zhu
    and Hummer, J. Comput. Chem. 33, 453 (2012), DOI 10.1002/jcc.21989.

    Raises:
        InputError: if they sampled little of it.
    """
    weights = mbar.weights()  # (n, n_windows)
    implied = offsets**2 @ weights - (offsets @ weights) ** 2
    consistency = float(np.mean([window.offsets_angstrom.var() for window in windows] / implied))
    if consistency < _FROZEN:
        raise InputError(
            f"windows sampled {consistency:.0%} of the variance that they imply together: the layer stays where each "
            "of them began. Sample more repeats (--repeats), or, in another folder, from hotter starts "
            "(--start-temperature) or longer"
        )
    return consistency


def _edges(offsets: np.ndarray, windows: Sequence[Window], way_angstrom: float, bins: int) -> np.ndarray:
    """Return edges of bins none of which is empty."""
    low, high = _covered(windows, way_angstrom)
    while True:
        edges = np.linspace(low, high, bins + 1)
        counts = np.histogram(offsets, edges)[0]
        if counts.min() > 0:
            return edges
        if bins <= _FEWEST_BINS:
            gap = edges[int(counts.argmin()) :][:2].mean() / way_angstrom
            raise InputError(
                f"nothing was sampled at {gap:.2f} of the way: use more repeats, or more windows or longer ones in "
                "another folder"
            )
        bins = max(_FEWEST_BINS, bins * 3 // 4)


def _independent(offsets: np.ndarray) -> np.ndarray:
    """Return a subsample of each repeat at a spacing of its correlation time, so that samples are independent."""
    from pymbar import timeseries

    repeats = np.atleast_2d(offsets)
    if np.ptp(repeats) == 0:
        raise InputError("the offset of the layer does not change")
    # About the mean of all repeats, so that a difference between them that outlasts them counts as correlation.
    apart = timeseries.statistical_inefficiency_multiple(list(repeats))
    return np.concatenate([part[timeseries.subsample_correlated_data(part, g=apart)] for part in repeats])


def _covered(windows: Sequence[Window], way_angstrom: float) -> tuple[float, float]:
    """Return the range of the profile: as far beyond both hollows as the outermost windows were sampled well."""
    low, high = (np.quantile(w.offsets_angstrom, q) for w, q in ((windows[0], 0.1), (windows[-1], 0.9)))
    if low > 0 or high < way_angstrom:
        raise InputError(
            f"the windows reach from {low / way_angstrom:.2f} to {high / way_angstrom:.2f} of the way, not over all"
        )
    return float(low), float(high)


def _diffusion(window: Window, way_angstrom: float) -> tuple[float, float]:
    """Return where a window was on the path, and the diffusion constant there, Å²/ns."""
    offsets = np.atleast_2d(window.offsets_angstrom)
    moved = offsets - offsets.mean()
    n = moved.shape[1]
    power = (np.abs(np.fft.rfft(moved, 2 * n)) ** 2).mean(axis=0)
    correlation = np.fft.irfft(power)[:n] / np.arange(n, 0, -1)
    # Up to where noise takes over: the integral would wander from there on.
    positive = correlation > 0.05 * correlation[0]
    end = n if positive.all() else int(np.argmin(positive))
    time = (correlation[:end].sum() / correlation[0] - 0.5) * window.interval_ns
    return float(offsets.mean() / way_angstrom), float(correlation[0] / time)
