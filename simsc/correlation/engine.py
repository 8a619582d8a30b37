"""Cross-correlation of shells of intensity, exact by spherical harmonics.

With Ĩ(q) = (I(q) − ⟨I⟩) / ⟨I⟩, ⟨⟩ over the sphere, and its spherical-harmonic coefficients Ĩ_lm,

    C(q1, q2, Δ) = ⟨Ĩ(q1) Ĩ(q2) δ(q1·q2 / |q1||q2| − cos Δ)⟩ = (1/4π) Σ_l P_l(cos Δ) Σ_m Ĩ_lm(q1) Ĩ*_lm(q2),

normalised so that C(q, q, 0) = ⟨Ĩ²⟩ (eqs 1 and 2 of Lapkin et al., ACS Nano 2025, 19, 42881; DOI of the method
10.1107/S2052252522004250). There is no binning. Where a shell is incomplete, with M = 1 where measured and 0 elsewhere,

    C = ⟨M Ĩ(q1) M Ĩ(q2)⟩ / ⟨M M⟩,

both correlations over the same pairs of directions; ⟨M M⟩ is the coverage.
"""

from collections.abc import Callable, Iterable

import ducc0
import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import SamplingError
from simsc.core.intensity import ShellIntensity, shell_grid

_SMALLEST_COVERAGE = 1e-3


def correlate(
    first: ShellIntensity,
    second: Iterable[ShellIntensity],
    delta_deg: np.ndarray,
    threads: int = 0,
    on_shell: Callable[[], None] = lambda: None,
) -> CorrelationMap:
    """Correlate one shell with many.

    Args:
        first: intensity on the sphere q1.
        second: intensities on the spheres q2; read one after the other, so that an iterator needs little memory.
        delta_deg: (n_delta,) angles Δ, degrees, 0 to 180.
        threads: of the harmonic transforms; 0 takes all cores.
        on_shell: called after each second shell, for progress.

    Returns:
        The map with its coverage.

    Raises:
        SamplingError: if a shell holds no measured intensity, or its mean is not positive.
    """
    one, weight_one, _ = _contrast(first)
    harmonics: dict[tuple[str, int], np.ndarray] = {}
    cosines = np.cos(np.radians(delta_deg))
    legendre = np.polynomial.legendre.legvander(cosines, first.intensity.shape[0] - 1)
    q2, rows, coverages, profile = [], [], [], []
    for shell in second:
        two, weight_two, mean = _contrast(shell)
        lmax = min(first.intensity.shape[0], shell.intensity.shape[0]) - 1
        polynomials = legendre[:, : lmax + 1]
        row = polynomials @ _cross(_cached(harmonics, "contrast", one, lmax, threads), _harmonics(two, lmax, threads))
        coverage = np.ones_like(row)
        if weight_one is not None or weight_two is not None:
            mask_one = np.ones_like(one) if weight_one is None else weight_one
            mask_two = np.ones_like(two) if weight_two is None else weight_two
            coverage = polynomials @ _cross(
                _cached(harmonics, "mask", mask_one, lmax, threads), _harmonics(mask_two, lmax, threads)
            )
            coverage = np.clip(coverage, 0.0, 1.0)
            row = np.where(coverage > _SMALLEST_COVERAGE, row / np.maximum(coverage, _SMALLEST_COVERAGE), np.nan)
        q2.append(shell.q_inv_nm)
        rows.append(row)
        coverages.append(coverage)
        profile.append(mean)
        on_shell()
    return CorrelationMap(
        first.q_inv_nm,
        np.array(q2),
        np.array(delta_deg, dtype=float),
        np.array(rows),
        np.array(coverages),
        np.array(profile),
    )


def _contrast(shell: ShellIntensity) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Return M·Ĩ, M (None if all was measured) and ⟨I⟩."""
    n_theta, n_phi = shell.intensity.shape
    ring_weights = shell_grid(n_theta, 1)[1][:, None]
    if shell.measured is None:
        mean = float((ring_weights * shell.intensity).sum() / n_phi)
    else:
        covered = float((ring_weights * shell.measured).sum() / n_phi)
        if covered <= 0:
            raise SamplingError(f"no intensity was measured on the sphere q = {shell.q_inv_nm:g} nm⁻¹")
        mean = float((ring_weights * np.where(shell.measured, shell.intensity, 0.0)).sum() / n_phi / covered)
    if not mean > 0:
        raise SamplingError(f"the mean intensity at q = {shell.q_inv_nm:g} nm⁻¹ is {mean:g}: it must be positive")
    contrast = shell.intensity / mean - 1
    if shell.measured is None:
        return contrast, None, mean
    return np.where(shell.measured, contrast, 0.0), shell.measured.astype(np.float64), mean


def _cached(
    store: dict[tuple[str, int], np.ndarray], name: str, values: np.ndarray, lmax: int, threads: int
) -> np.ndarray:
    """Return the harmonics of the first shell, computed once for each band limit."""
    if (name, lmax) not in store:
        store[name, lmax] = _harmonics(values, lmax, threads)
    return store[name, lmax]


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
