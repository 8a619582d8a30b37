"""Photons: what a detector would count of a simulated intensity."""

from dataclasses import replace

import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid


def counted(
    volume: IntensityVolume, photons: float, rng: np.random.Generator, measured: np.ndarray | None = None
) -> IntensityVolume:
    """Return the counts of a simulated volume under Poisson statistics, with their variance.

    Args:
        volume: intensity, never negative.
        photons: how many fall on all measured voxels together, on average.
        rng: source of chance.
        measured: (nx, ny, nz) bool, voxels that are measured, besides the volume's own mask; None takes that alone.

    Returns:
        Counts, with the counts themselves as estimates of their variance, at least 1: a voxel without a photon tells
        that its intensity is below about one, not that it is exactly 0. NaN where not measured.

    Raises:
        InputError: for a negative intensity, or a number of photons that is not positive.

    Example:
        >>> axis = np.linspace(-1, 1, 8)
        >>> flat = IntensityVolume(np.ones((8, 8, 8)), (axis, axis, axis))
        >>> seen = counted(flat, 51200, np.random.default_rng(1))
        >>> print(round(seen.intensity.mean()), round(seen.intensity.var()))
        100 94
    """
    mask = np.ones(volume.intensity.shape, dtype=bool) if volume.measured is None else volume.measured
    mask = mask if measured is None else mask & measured
    counts = _poisson(np.where(mask, volume.intensity, 0.0), photons, rng)
    return replace(
        volume,
        intensity=np.where(mask, counts, np.nan),
        measured=None if mask.all() else mask,
        variance=np.where(mask, np.maximum(counts, 1.0), np.nan),
    )


def counted_shell(
    shell: ShellIntensity, photons: float, rng: np.random.Generator, noise_samples: int = 16
) -> ShellIntensity:
    """Return a shell as counted with photons, each point of its grid counting those of its own solid angle.

    Args:
        shell: intensity, never negative.
        photons: how many fall on what is measured of the sphere, on average.
        rng: source of chance.
        noise_samples: samples of the noise that go with the shell. Default 16.

    Returns:
        The intensity that follows from the counts, in the unit that it had, so that spheres can be compared; and the
        samples, with variances estimated as in `counted`.

    Raises:
        InputError: as in `counted`.
    """
    n_theta, n_phi = shell.intensity.shape
    solid_angle = np.broadcast_to(shell_grid(n_theta, 1)[1][:, None] / n_phi, shell.intensity.shape)
    mask = np.ones(shell.intensity.shape, dtype=bool) if shell.measured is None else shell.measured
    expected = np.where(mask, shell.intensity * solid_angle, 0.0)
    counts = _poisson(expected, photons, rng)
    per_count = expected.sum() / photons / solid_angle
    noise = np.where(mask, np.sqrt(np.maximum(counts, 1.0)), 0.0) * per_count
    noise = noise * rng.normal(size=(noise_samples, n_theta, n_phi))
    return replace(shell, intensity=np.where(mask, counts * per_count, np.nan), noise=noise)


def _poisson(expected: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Return counts that follow an intensity, with a given mean of their sum."""
    if not (np.isfinite(photons) and photons > 0):
        raise InputError(f"the number of photons must be positive, got {photons:g}")
    if (expected < 0).any():
        raise InputError("an intensity that is negative somewhere cannot be counted")
    if not (total := expected.sum()) > 0:
        raise InputError("there is no intensity where it is measured")
    return rng.poisson(expected * (photons / total)).astype(np.float64)
