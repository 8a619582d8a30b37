"""Gaussian resolution in three dimensions, which damps the correlation of pairs at a distance r by exp(−σ²r²/2).

A finite crystal has no pairs beyond its extent, so its intensity is band-limited, and both convolutions here are exact
for what is left: sums over samples that converge exponentially.
"""

import ducc0
import numpy as np
from scipy.special import erfc, ive

from simsc.core.errors import SamplingError
from simsc.core.intensity import ShellIntensity

_FINEST = 0.8  # of the Nyquist step π / extent, at which a kernel for any σ is still short


def grid_kernel(sigma_inv_nm: float, step_inv_nm: float, extent_nm: float, tolerance: float) -> np.ndarray:
    """Return weights with which samples along one axis are convolved.

    The sum over the samples k of w_k exp(i k h r) is exp(−σ²r²/2) for all |r| up to the extent.

    Args:
        sigma_inv_nm: standard deviation of the resolution, nm⁻¹.
        step_inv_nm: step h of the samples, nm⁻¹.
        extent_nm: largest distance of a pair along this axis, nm.
        tolerance: largest error of the damping.

    Returns:
        (2 P + 1,) weights about k = 0.

    Raises:
        SamplingError: if the step is too coarse for a crystal of this extent.
    """
    period = 2 * np.pi / step_inv_nm  # distances that the samples cannot tell apart
    if sigma_inv_nm * (period - extent_nm) >= reach(0.1 * tolerance):
        k = np.arange(int(np.ceil(reach(0.1 * tolerance) * sigma_inv_nm / step_inv_nm)) + 1)
        half = np.exp(-((k * step_inv_nm / sigma_inv_nm) ** 2) / 2) * step_inv_nm / (np.sqrt(2 * np.pi) * sigma_inv_nm)
    elif extent_nm <= _FINEST * period / 2:
        # Distances that do not occur are cut away smoothly before they meet the next period.
        width = (period / 2 - extent_nm) / reach(0.1 * tolerance) * np.sqrt(2)
        r = np.linspace(0, period, 8193)
        damping = np.exp(-((sigma_inv_nm * r) ** 2) / 2) * 0.5 * erfc((r - period / 2) / width)
        damping[0] /= 2
        k = np.arange(2049)
        half = 2 / 8192 * np.cos(np.pi * np.outer(k, np.arange(8193)) / 4096) @ damping
        left_out = 2 * np.cumsum(np.abs(half)[::-1])[::-1]
        half = half[: int((left_out > 0.1 * tolerance).sum())]
    else:
        needed = max(_FINEST * np.pi / extent_nm, 2 * np.pi / (extent_nm + reach(0.1 * tolerance) / sigma_inv_nm))
        raise SamplingError(
            f"a grid step of {step_inv_nm:.4g} nm⁻¹ is too coarse to apply a resolution to a crystal of "
            f"{extent_nm:.4g} nm; it takes {needed:.4g} nm⁻¹ or less, or shells instead of a grid"
        )
    return np.concatenate([half[:0:-1], half])


def shell_nodes(sigma_inv_nm: float, q_inv_nm: np.ndarray, extent_nm: float, tolerance: float) -> np.ndarray:
    """Return the momentum transfers of the shells that a resolution mixes into shells q, evenly spaced, nm⁻¹.

    The integral over |q'| becomes a sum over midpoints: its integrand is even in |q'| and analytic, and the step is so
    fine that the error, a Gaussian in the distance by which 2π / step exceeds the extent, is below the tolerance.
    """
    tail = reach(tolerance)
    step = 2 * np.pi / (extent_nm + tail / sigma_inv_nm)
    nodes = (np.arange(int(np.ceil((q_inv_nm.max() + tail * sigma_inv_nm) / step)) + 1) + 0.5) * step
    near = np.abs(nodes[:, None] - np.sort(q_inv_nm)).min(axis=1) if len(q_inv_nm) < 10_000 else nodes * 0
    return nodes[near <= tail * sigma_inv_nm + step]


def smeared_shell(
    sigma_inv_nm: float,
    q_inv_nm: float,
    grid: tuple[int, int],
    nodes: np.ndarray,
    harmonics: list[np.ndarray],
    tolerance: float,
    threads: int,
) -> ShellIntensity:
    """Return a shell as it is seen with a resolution.

    I_lm(q) = Σ_q' q'² K_l(q, q') I_lm(q') Δq' with K_l = 4π (2πσ²)^(−3/2) exp(−(q² + q'²) / 2σ²) i_l(q q' / σ²), i_l
    the modified spherical Bessel function of the first kind (expansion of exp in plane waves, DLMF 10.60.8).

    Args:
        sigma_inv_nm: standard deviation of the resolution, nm⁻¹.
        q_inv_nm: momentum transfer of the shell, nm⁻¹.
        grid: (n_theta, n_phi) of the shell.
        nodes: (M,) momentum transfers q', evenly spaced where they are neighbours, nm⁻¹.
        harmonics: M arrays of I_lm for m ≥ 0, ordered by m, then l.
        tolerance: of the sum.
        threads: of the transform; 0 takes all cores.
    """
    variance = sigma_inv_nm**2
    step = float(np.diff(nodes).min()) if len(nodes) > 1 else 1.0
    used = np.flatnonzero(np.abs(nodes - q_inv_nm) <= reach(tolerance) * sigma_inv_nm + step)
    limit = max(degree_of(harmonics[k]) for k in used.tolist())
    total = np.zeros((limit + 1) * (limit + 2) // 2, dtype=complex)
    for k in used.tolist():
        own = degree_of(harmonics[k])
        x = q_inv_nm * nodes[k] / variance
        bessel = np.sqrt(np.pi / (2 * x)) * ive(np.arange(own + 1) + 0.5, x)
        weight = step * nodes[k] ** 2 * 4 * np.pi * (2 * np.pi * variance) ** -1.5
        kernel = weight * np.exp(-((q_inv_nm - nodes[k]) ** 2) / (2 * variance)) * bessel
        # Coefficients of order m begin at m (2L + 3 − m) / 2 − m with l = m.
        for m in range(own + 1):
            start, end = m * (2 * limit + 3 - m) // 2, m * (2 * own + 3 - m) // 2
            total[start : start + own + 1 - m] += kernel[m:] * harmonics[k][end : end + own + 1 - m]
    intensity = ducc0.sht.synthesis_2d(
        alm=total[None], spin=0, lmax=limit, geometry="GL", ntheta=grid[0], nphi=grid[1], nthreads=threads
    )[0]
    return ShellIntensity(q_inv_nm, intensity)


def shell_harmonics(shell: ShellIntensity, limit: int, threads: int) -> np.ndarray:
    """Return I_lm of a shell up to degree `limit`, for m ≥ 0, ordered by m, then l."""
    return ducc0.sht.analysis_2d(map=shell.intensity[None], spin=0, lmax=limit, geometry="GL", nthreads=threads)[0]


def degree_of(harmonics: np.ndarray) -> int:
    """Return the largest degree of coefficients for m ≥ 0."""
    return (int(np.sqrt(8 * len(harmonics) + 1)) - 3) // 2


def reach(tolerance: float) -> float:
    """Return how many standard deviations a Gaussian takes to fall to the tolerance."""
    return float(np.sqrt(2 * np.log(1 / tolerance)))
