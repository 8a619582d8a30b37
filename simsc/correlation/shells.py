"""Shells for a correlation, of a finite crystal, an intensity volume or merged spheres; how fine each has to be."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from simsc.core.errors import InputError, SamplingError
from simsc.core.intensity import IntensityVolume, ShellIntensity, band_limit, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.io.native import read_shells
from simsc.scattering.amplitude import extent_nm, intensity_on_shells
from simsc.scattering.atoms import Atoms
from simsc.scattering.scattering_model import SHARP_SPHERES, ScatteringModel

_SPLINE_ORDER = 5
_COARSEST = 0.7  # of the Nyquist step π / D: errors of the map of an fcc ball are 1 % of its maximum there, 5e-4 at 0.5


def shells_of_crystal(
    frames: Sequence[Superlattice | Atoms],
    q1_inv_nm: float,
    q2_inv_nm: np.ndarray,
    tolerance: float = 1e-8,
    threads: int = 0,
    *,
    scattering: ScatteringModel = SHARP_SPHERES,
    weights: Sequence[float] | None = None,
) -> tuple[ShellIntensity, Iterator[ShellIntensity]]:
    """Return the first shell and an iterator over the second shells of a finite crystal, without interpolation.

    Args:
        frames: NPs with radii, or atoms; the intensity is averaged over the frames.
        q1_inv_nm: momentum transfer of the first shell, nm⁻¹.
        q2_inv_nm: (n_q2,) momentum transfers of the second shells, nm⁻¹.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-8.
        threads: of the transforms; 0 takes all cores.
        scattering: form, thermal motion and resolution. Default spheres that stand still, seen sharply.
        weights: of the frames in the sum; default 1 / their number.
    """
    diameter = max(extent_nm(frame, scattering.form) for frame in frames)
    grids = _grids(diameter, q1_inv_nm, q2_inv_nm)
    shells = intensity_on_shells(
        frames,
        np.array([q1_inv_nm, *q2_inv_nm]),
        grids,
        tolerance,
        threads,
        scattering=scattering,
        weights=weights,
    )
    return next(shells), shells


def shells_of_volume(
    volume: IntensityVolume, q1_inv_nm: float, q2_inv_nm: np.ndarray, noise_samples: int = 16, seed: int = 0
) -> tuple[ShellIntensity, Iterator[ShellIntensity]]:
    """Return the first shell and an iterator over the second shells, interpolated from a Cartesian grid.

    A quintic spline; what lies outside the grid or next to something unmeasured counts as unmeasured.

    Args:
        volume: simulated or measured intensity.
        q1_inv_nm: momentum transfer of the first shell, nm⁻¹.
        q2_inv_nm: (n_q2,) momentum transfers of the second shells, nm⁻¹.
        noise_samples: samples of the noise on each shell, where the volume has a variance. Voxels have independent
            noise; neighbouring points of a shell share voxels, and so do the samples. Default 16.
        seed: of the samples.

    Raises:
        SamplingError: if the grid is too coarse for the size of the crystal, so that interpolation would invent
            intensity, or if a shell lies outside the grid.
    """
    q_inv_nm = np.array([q1_inv_nm, *q2_inv_nm])
    corner = float(np.linalg.norm([np.abs(axis).max() for axis in volume.q_axes_inv_nm]))
    if (outside := q_inv_nm[q_inv_nm > corner]).size:
        raise SamplingError(
            f"no intensity was measured at q = {outside[0]:.4g} nm⁻¹; the grid ends at "
            f"{volume.q_max_inv_nm:.4g}, and its corners at {corner:.4g}"
        )
    grids = _grids(_resolved_diameter_nm(volume), q1_inv_nm, q2_inv_nm)
    shells = _shells_of_volume(volume, q_inv_nm, grids, noise_samples, seed)
    return next(shells), shells


def shells_of_spheres(
    spheres: Path | Sequence[ShellIntensity],
    q1_inv_nm: float,
    q2_inv_nm: np.ndarray,
    noise_samples: int = 16,
    seed: int = 0,
) -> tuple[ShellIntensity, Iterator[ShellIntensity]]:
    """Return the first shell and an iterator over the second shells, as they were merged from detector frames.

    Of each momentum transfer the nearest sphere is taken, which lies within half of their distance.

    Args:
        spheres: a file of them, or shells with momentum transfers in ascending order, whose noise, if they have any, is
            taken as it stands.
        q1_inv_nm: momentum transfer of the first shell, nm⁻¹.
        q2_inv_nm: (n_q2,) momentum transfers of the second shells, nm⁻¹.
        noise_samples: samples of the noise on each shell of a file, whose points have independent noise. Default 16.
        seed: of the samples.

    Raises:
        InputError: if the file is not one of spheres.
        SamplingError: if a momentum transfer is not among those of the spheres.
    """
    q = momentum_transfers_of_spheres(spheres)
    step = float(np.diff(q).min()) if len(q) > 1 else 0.0
    wanted = np.array([q1_inv_nm, *q2_inv_nm])
    nearest = np.abs(q - wanted[:, None]).argmin(axis=1)
    far = np.abs(q[nearest] - wanted) > 0.5 * step * (1 + 1e-6) + 1e-9
    if far.any():
        name = f"{spheres}: has spheres" if isinstance(spheres, Path) else "there are spheres"
        raise SamplingError(f"{name} from q = {q[0]:g} to {q[-1]:g} nm⁻¹, {step:g} apart; none at {wanted[far][0]:g}")

    def shells() -> Iterator[ShellIntensity]:
        if not isinstance(spheres, Path):
            yield from (spheres[k] for k in nearest.tolist())
            return
        with read_shells(spheres) as (_, read):
            for k in nearest.tolist():
                shell, variance = read(k)
                yield shell if variance is None else _with_noise(shell, variance, noise_samples, seed, k)

    every = shells()
    return next(every), every


def momentum_transfers_of_spheres(spheres: Path | Sequence[ShellIntensity]) -> np.ndarray:
    """Return the momentum transfers (n_q,), nm⁻¹, of spheres, or of those in a file.

    Raises:
        InputError: if the file is not one of spheres.
    """
    if not isinstance(spheres, Path):
        return np.array([shell.q_inv_nm for shell in spheres])
    with read_shells(spheres) as (q, _):
        return q


def _with_noise(shell: ShellIntensity, variance: np.ndarray, samples: int, seed: int, number: int) -> ShellIntensity:
    # The same sphere has the same noise, as q1 and as q2.
    rng = np.random.default_rng([seed, number])
    deviation = np.sqrt(np.nan_to_num(variance)).astype(np.float32)
    return replace(shell, noise=deviation * rng.standard_normal((samples, *deviation.shape), dtype=np.float32))


def _resolved_diameter_nm(volume: IntensityVolume) -> float:
    """Return the size of the scatterer, nm, that the grid resolves.

    Raises:
        SamplingError: if the grid is too coarse for the size of the crystal.
    """
    step = max(float(axis[1] - axis[0]) for axis in volume.q_axes_inv_nm)
    if (needed := points_needed(volume)) > max(volume.intensity.shape):
        raise SamplingError(
            f"the intensity grid (step {step:.4g} nm⁻¹) is too coarse for a crystal of {volume.diameter_nm:.4g} nm: "
            f"it needs {needed} points an axis (scatter --grid, or scattering.grid of a study); or correlate the "
            "structure itself, which needs no grid"
        )
    # Without a known size the grid itself limits what can be resolved: half a period a step.
    return volume.diameter_nm if volume.diameter_nm is not None else float(np.pi / step)


def _shells_of_volume(
    volume: IntensityVolume, q_inv_nm: np.ndarray, grids: list[tuple[int, int]], noise_samples: int, seed: int
) -> Iterator[ShellIntensity]:
    values = volume.intensity
    if volume.measured is not None:
        values = np.where(volume.measured, values, values[volume.measured].mean())
    from scipy import ndimage  # slow to load, and shells of crystals do without

    splines = [ndimage.spline_filter(values, order=_SPLINE_ORDER)]
    if volume.variance is not None:
        rng = np.random.default_rng(seed)
        deviation = np.sqrt(
            volume.variance if volume.measured is None else np.where(volume.measured, volume.variance, 0)
        )
        for _ in range(noise_samples):
            noise = (deviation * rng.normal(size=deviation.shape)).astype(np.float32)
            splines.append(ndimage.spline_filter(noise, order=_SPLINE_ORDER, output=np.float32))
    for q, grid in zip(q_inv_nm, grids, strict=True):
        yield _interpolate(volume, splines, float(q), grid)


def points_needed(volume: IntensityVolume) -> int:
    """Return how many points along its longest axis a volume needs to be interpolated; 0 if its size is unknown."""
    if volume.diameter_nm is None:
        return 0
    return points_for(max(float(axis[-1] - axis[0]) for axis in volume.q_axes_inv_nm), volume.diameter_nm)


def points_for(extent_inv_nm: float, diameter_nm: float) -> int:
    """Return how many points an axis of some length, nm⁻¹, needs for the intensity of a crystal to be interpolated."""
    return int(np.ceil(extent_inv_nm * diameter_nm / (_COARSEST * np.pi))) + 1


def _grids(diameter_nm: float, q1_inv_nm: float, q2_inv_nm: np.ndarray) -> list[tuple[int, int]]:
    """Return (n_theta, n_phi) of the first and the second shells.

    Only degrees up to the smaller band limit meet in a correlation; a second shell has to integrate its own degrees
    against them exactly, which takes (l1 + l2) / 2 rings.
    """
    if not (q1_inv_nm > 0 and np.min(q2_inv_nm) > 0):
        raise InputError("momentum transfers of a correlation must be positive (nm⁻¹)")
    first = band_limit(q1_inv_nm * diameter_nm)
    totals = [2 * first] + [first + band_limit(q * diameter_nm) for q in q2_inv_nm]
    return [(total // 2 + 1, 2 * (total // 2 + 1)) for total in totals]


def _interpolate(
    volume: IntensityVolume, splines: list[np.ndarray], q_inv_nm: float, grid: tuple[int, int]
) -> ShellIntensity:
    from scipy import ndimage

    points = q_inv_nm * shell_grid(*grid)[0]
    origin = np.array([axis[0] for axis in volume.q_axes_inv_nm])
    steps = np.array([axis[1] - axis[0] for axis in volume.q_axes_inv_nm])
    index = np.moveaxis((points - origin) / steps, -1, 0)
    last = np.array(volume.intensity.shape).reshape(3, 1, 1) - 1
    # Rounding may put a point of the outermost shell a hair outside.
    inside = ((index >= -1e-6) & (index <= last + 1e-6)).all(axis=0)
    measured = inside
    if volume.measured is not None:
        support = ndimage.map_coordinates(volume.measured.astype(np.float32), index, order=1, mode="nearest")
        measured = inside & (support > 1 - 1e-5)
    if not measured.any():
        raise SamplingError(f"no intensity was measured at q = {q_inv_nm:g} nm⁻¹; the grid ends at {-origin.max():g}")
    intensity, *noise = (
        ndimage.map_coordinates(spline, index, order=_SPLINE_ORDER, mode="nearest", prefilter=False)
        for spline in splines
    )
    return ShellIntensity(q_inv_nm, intensity, None if measured.all() else measured, np.array(noise) if noise else None)
