"""Cross-correlation of shells of intensity, exact by spherical harmonics.

With Ĩ(q) = (I(q) − ⟨I⟩) / ⟨I⟩, ⟨⟩ over the sphere, and its spherical-harmonic coefficients Ĩ_lm,

    C(q1, q2, Δ) = ⟨Ĩ(q1) Ĩ(q2) δ(q1·q2 / |q1||q2| − cos Δ)⟩ = (1/4π) Σ_l P_l(cos Δ) Σ_m Ĩ_lm(q1) Ĩ*_lm(q2),

normalised so that C(q, q, 0) = ⟨Ĩ²⟩ (eqs 1 and 2 of Lapkin et al., ACS Nano 2025, 19, 42881; DOI of the method
10.1107/S2052252522004250). There is no binning. Where a shell is incomplete, with M = 1 where measured and 0 elsewhere,

    C = ⟨M Ĩ(q1) M Ĩ(q2)⟩ / ⟨M M⟩,

both correlations over the same pairs of directions; ⟨M M⟩ is the coverage. Noise of the intensity is followed through
by samples of it, which go the same way as the intensity.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import ducc0
import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SamplingError
from simsc.core.intensity import ShellIntensity, shell_grid

_SMALLEST_COVERAGE = 1e-3


def correlate(
    first: ShellIntensity,
    second: Iterable[ShellIntensity],
    delta_deg: np.ndarray,
    threads: int = 0,
    on_shell: Callable[[], None] = lambda: None,
    bin_deg: float = 0.0,
) -> CorrelationMap:
    """Correlate one shell with many.

    Args:
        first: intensity on the sphere q1.
        second: intensities on the spheres q2; read one after the other, so that an iterator needs little memory.
        delta_deg: (n_delta,) angles Δ, degrees, 0 to 180.
        threads: of the harmonic transforms; 0 takes all cores.
        on_shell: called after each second shell, for progress.
        bin_deg: width of bins around the angles, degrees, over whose pairs of directions is averaged; 0 (default) for
            values at the angles themselves.

    Returns:
        The map with its coverage; with the variance of its values if the shells come with samples of their noise.
        From these the relative error of a standard deviation is 1 / √(2 (n_samples − 1)).

    Raises:
        SamplingError: if a shell holds no measured intensity, or its mean is not positive.
        InputError: for angles or bins out of range, or numbers of samples that differ.
    """
    return correlate_several([first], second, delta_deg, threads, on_shell, bin_deg)[0]


def correlate_several(
    firsts: Sequence[ShellIntensity],
    second: Iterable[ShellIntensity],
    delta_deg: np.ndarray,
    threads: int = 0,
    on_shell: Callable[[], None] = lambda: None,
    bin_deg: float = 0.0,
) -> list[CorrelationMap]:
    """Correlate each of some shells with many, of which each is read and transformed once.

    Args:
        firsts: intensities on spheres q1.
        second: as for `correlate`, as the other arguments; fine enough for the largest q1.
        delta_deg: (n_delta,) angles Δ, degrees, 0 to 180.
        threads: of the harmonic transforms.
        on_shell: called after each second shell.
        bin_deg: width of bins around the angles, degrees.

    Returns:
        The map of each first shell.

    Raises:
        SamplingError: as `correlate`.
        InputError: as `correlate`, and without a first shell.
    """
    if not firsts:
        raise InputError("there is no first shell to correlate with")
    ones = [_spectrum(first, first.intensity.shape[0] - 1, threads) for first in firsts]
    polynomials = _polynomials(delta_deg, bin_deg, max(one.lmax for one in ones))
    q2, profile = [], []
    rows: list[list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]] = [[] for _ in ones]
    for shell in second:
        two = _spectrum(shell, min(max(one.lmax for one in ones), shell.intensity.shape[0] - 1), threads)
        for one, own in zip(ones, rows, strict=True):
            own.append(_row(one, two, polynomials))
        q2.append(shell.q_inv_nm)
        profile.append(two.mean)
        on_shell()
    maps = []
    for first, own in zip(firsts, rows, strict=True):
        known = [variance for _, _, variance in own if variance is not None]
        maps.append(
            CorrelationMap(
                first.q_inv_nm,
                np.array(q2),
                np.array(delta_deg, dtype=float),
                np.array([ccf for ccf, _, _ in own]),
                np.array([coverage for _, coverage, _ in own]),
                np.array(profile),
                np.array(known) if known and len(known) == len(own) else None,
                bin_deg,
            )
        )
    return maps


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Harmonics of one shell: of M·Ĩ, of M (None if all was measured), and of M·Ĩ with each sample of noise."""

    lmax: int
    contrast: np.ndarray
    mask: np.ndarray | None
    noisy: list[np.ndarray]
    mean: float

    def cut(self, lmax: int) -> "_Spectrum":
        """Return the same up to a smaller degree."""
        if lmax == self.lmax:
            return self
        # Ordered by m, then l: of each m ≤ lmax the first lmax − m + 1 coefficients.
        firsts = [m * (self.lmax + 1) - m * (m - 1) // 2 for m in range(lmax + 1)]
        kept = np.concatenate([np.arange(first, first + lmax + 1 - m) for m, first in enumerate(firsts)])
        mask = None if self.mask is None else self.mask[kept]
        return _Spectrum(lmax, self.contrast[kept], mask, [noisy[kept] for noisy in self.noisy], self.mean)


def _spectrum(shell: ShellIntensity, lmax: int, threads: int) -> _Spectrum:
    n_theta, n_phi = shell.intensity.shape
    weights = shell_grid(n_theta, 1)[1][:, None] / n_phi
    measured = np.ones(shell.intensity.shape, dtype=bool) if shell.measured is None else shell.measured
    covered = float((weights * measured).sum())
    if covered <= 0:
        raise SamplingError(f"no intensity was measured on the sphere q = {shell.q_inv_nm:g} nm⁻¹")
    intensity = np.where(measured, shell.intensity, 0.0)
    mean = float((weights * intensity).sum()) / covered
    if not mean > 0:
        raise SamplingError(f"the mean intensity at q = {shell.q_inv_nm:g} nm⁻¹ is {mean:g}: it must be positive")
    contrast = _harmonics(np.where(measured, intensity / mean - 1, 0.0), lmax, threads)
    mask = None if measured.all() else _harmonics(measured.astype(np.float64), lmax, threads)
    noisy = []
    for sample in () if shell.noise is None else shell.noise:
        disturbed = np.where(measured, intensity + sample, 0.0)
        own_mean = float((weights * disturbed).sum()) / covered
        noisy.append(_harmonics(np.where(measured, disturbed / own_mean - 1, 0.0), lmax, threads))
    return _Spectrum(lmax, contrast, mask, noisy, mean)


def _row(one: _Spectrum, two: _Spectrum, polynomials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return C(Δ) of two shells, its coverage, and its variance if their noise is known."""
    lmax = min(one.lmax, two.lmax)
    one, two, legendre = one.cut(lmax), two.cut(lmax), polynomials[:, : lmax + 1]
    coverage = np.ones(len(legendre))
    if one.mask is not None or two.mask is not None:
        everywhere = np.zeros_like(one.contrast)
        everywhere[0] = np.sqrt(4 * np.pi)
        masks = (everywhere if spectrum.mask is None else spectrum.mask for spectrum in (one, two))
        coverage = np.clip(legendre @ _cross(*masks), 0.0, 1.0)

    def ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        values = legendre @ _cross(first, second) / np.maximum(coverage, _SMALLEST_COVERAGE)
        return np.where(coverage > _SMALLEST_COVERAGE, values, np.nan)

    row = ratio(one.contrast, two.contrast)
    samples = max(len(one.noisy), len(two.noisy))
    if samples < 2:
        return row, coverage, None
    if len(one.noisy) not in (0, samples) or len(two.noisy) not in (0, samples):
        raise InputError(f"shells have {len(one.noisy)} and {len(two.noisy)} samples of noise; they need as many")
    firsts, seconds = ([*(s.noisy or [s.contrast] * samples)] for s in (one, two))
    disturbed = [ratio(first, second) for first, second in zip(firsts, seconds, strict=True)]
    return row, coverage, np.var(disturbed, axis=0, ddof=1)


def _polynomials(delta_deg: np.ndarray, bin_deg: float, lmax: int) -> np.ndarray:
    """Return P_l(cos Δ), (n_delta, lmax + 1), or their means over bins of solid angle."""
    angles = np.asarray(delta_deg, dtype=float)
    if angles.ndim != 1 or len(angles) == 0 or not ((angles >= 0) & (angles <= 180)).all():
        raise InputError("angles Δ must lie in 0 … 180 degrees")
    if not 0 <= bin_deg <= 90:
        raise InputError(f"bins of Δ must be 0 … 90 degrees wide, got {bin_deg:g}")
    if bin_deg == 0:
        return np.polynomial.legendre.legvander(np.cos(np.radians(angles)), lmax)
    edges = np.cos(np.radians([np.maximum(angles - bin_deg / 2, 0), np.minimum(angles + bin_deg / 2, 180)]))
    # ∫ P_l dx = (P_{l+1} − P_{l−1}) / (2l + 1), with P_{−1} = 1.
    values = np.polynomial.legendre.legvander(edges.ravel(), lmax + 1).reshape(2, len(angles), -1)
    before = np.concatenate([np.ones((2, len(angles), 1)), values[:, :, :lmax]], axis=2)
    integrals = (values[:, :, 1:] - before) / (2 * np.arange(lmax + 1) + 1)
    return (integrals[0] - integrals[1]) / (edges[0] - edges[1])[:, None]


def _harmonics(values: np.ndarray, lmax: int, threads: int) -> np.ndarray:
    """Return spherical-harmonic coefficients for m ≥ 0, ordered by m, then l (length (lmax + 1)(lmax + 2)/2)."""
    return ducc0.sht.analysis_2d(
        map=np.ascontiguousarray(values)[None], spin=0, lmax=lmax, geometry="GL", nthreads=threads
    )[0]


def _cross(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return (1/4π) Σ_m a_lm b*_lm (lmax + 1,) for real fields, whose coefficients at −m follow from those at m."""
    lmax = int(np.sqrt(2 * len(one))) - 1
    degrees = np.concatenate([np.arange(m, lmax + 1) for m in range(lmax + 1)])
    products = (one * two.conj()).real
    products[lmax + 1 :] *= 2
    return np.bincount(degrees, products, minlength=lmax + 1) / (4 * np.pi)
