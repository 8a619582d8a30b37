"""Where an intensity has its first bright peak, on which the first sphere of a map lies: radial profiles, crystals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simsc.classify.neighbours import nearest_distance_nm, nearest_distance_scale_nm, nearest_neighbours
from simsc.core.errors import NoFirstPeakError
from simsc.core.intensity import IntensityVolume, ShellIntensity, band_limit, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.io.native import read_shells
from simsc.scattering.amplitude import intensity_on_shells
from simsc.scattering.atoms import Atoms

_FRINGE = 0.1  # of the largest q⁴ I at a peak: fringes about the beam of balls of 55 NPs and more are lower
_PROMINENT = 0.5  # of the prominence of the most prominent peak
_OVER_THE_ENDS = 1.3  # times the intensity 5 % away
_FORWARD = 0.25  # of the largest |q|: what is nearer to the beam outshines the peaks
_ENOUGH = 13  # NPs that have 12 neighbours


def radial_profile(volume: IntensityVolume, step_inv_nm: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return momentum transfers (n,), nm⁻¹, and the mean measured intensity (n,) of the voxels about each.

    Args:
        volume: the intensity.
        step_inv_nm: of the momentum transfers; by default that of the grid.
    """
    step = step_inv_nm or float(max(axis[1] - axis[0] for axis in volume.q_axes_inv_nm))
    x, y, z = np.meshgrid(*volume.q_axes_inv_nm, indexing="ij", sparse=True)
    length = np.sqrt(x**2 + y**2 + z**2)
    measured = np.isfinite(volume.intensity) if volume.measured is None else volume.measured
    shell = np.rint(length[measured] / step).astype(int)
    count = np.bincount(shell)
    with np.errstate(invalid="ignore"):
        profile = np.bincount(shell, volume.intensity[measured]) / count
    n = int(volume.q_max_inv_nm / step) + 1
    return step * np.arange(n), profile[:n]


def profile_of_spheres(spheres: Path | Sequence[ShellIntensity]) -> tuple[np.ndarray, np.ndarray]:
    """Return momentum transfers (n,), nm⁻¹, and the mean measured intensity (n,) of spheres, or of those in a file."""
    if isinstance(spheres, Path):
        with read_shells(spheres) as (q, read):
            return q, np.array([_mean_measured(read(k)[0]) for k in range(len(q))])
    return np.array([shell.q_inv_nm for shell in spheres]), np.array([_mean_measured(shell) for shell in spheres])


def peak_away_from_beam(q_inv_nm: np.ndarray, profile: np.ndarray) -> float:
    """Return where a radial profile has its first bright peak, nm⁻¹, farther out than the light about the beam.

    Args:
        q_inv_nm: (n,) ascending momentum transfers, evenly spaced, nm⁻¹.
        profile: (n,) mean intensity; NaN or not positive where unknown.

    Raises:
        NoFirstPeakError: if it has none.
    """
    far = q_inv_nm > _FORWARD * q_inv_nm[-1]
    if (peak := peak_of_profile(q_inv_nm[far], profile[far])) is None:
        raise NoFirstPeakError("its radial profile has no bright peak")
    return peak


def peak_of_profile(q_inv_nm: np.ndarray, profile: np.ndarray) -> float | None:
    """Return where a radial profile has its first bright peak, nm⁻¹; None if it has none.

    A peak is bright if it stands out from its surroundings by half of what the most prominent one does, and by 20 % at
    least; and if q⁴ I there is a tenth of its largest at such peaks: that is small for the fringes that the shape of a
    small crystal has about the beam, as they follow Porod's law.

    Args:
        q_inv_nm: (n,) ascending momentum transfers, evenly spaced, nm⁻¹.
        profile: (n,) mean intensity; NaN or not positive where unknown.
    """
    from scipy import signal  # slow to load, and peaks of crystals do without

    known = np.isfinite(profile) & (profile > 0)
    if known.sum() < 5:
        return None
    logarithm = np.interp(q_inv_nm, q_inv_nm[known], np.log(profile[known]))
    # A peak no wider than a fifth of the range: the form factor is wider.
    tops, facts = signal.find_peaks(logarithm, prominence=np.log(1.2), wlen=max(5, len(q_inv_nm) // 5 | 1))
    if len(tops) == 0:
        return None
    porod = 4 * np.log(q_inv_nm[tops]) + logarithm[tops]
    own = porod >= porod.max() + np.log(_FRINGE)
    tops, prominences = tops[own], facts["prominences"][own]
    top = int(tops[prominences >= _PROMINENT * prominences.max()][0])
    left, middle, right = logarithm[top - 1 : top + 2]
    step = q_inv_nm[1] - q_inv_nm[0]
    return float(q_inv_nm[top] + step * 0.5 * (left - right) / (left - 2 * middle + right))


def first_bright_peak(frames: Sequence[Superlattice | Atoms], near_inv_nm: float, threads: int = 0) -> float | None:
    """Return the momentum transfer, nm⁻¹, at which the mean intensity peaks within 5 % of an expected value.

    None if no peak stands out there, as for crystals of a few NPs, whose peaks are wider than that.

    Args:
        frames: NPs with radii; the intensity is averaged over the frames.
        near_inv_nm: where the peak is expected, nm⁻¹.
        threads: of the transforms; 0 takes all cores.
    """
    q = near_inv_nm * np.linspace(0.95, 1.05, 41)
    limits = [band_limit(value * max(frame.diameter_nm for frame in frames)) for value in q]
    # A mean over the sphere needs half the rings that a correlation does.
    grids = [(limit // 2 + 1, 2 * (limit // 2 + 1)) for limit in limits]
    shells = intensity_on_shells(frames, q, grids, tolerance=1e-5, threads=threads)
    profile = np.array(
        [(shell_grid(*grid)[1] @ shell.intensity).sum() / grid[1] for shell, grid in zip(shells, grids, strict=True)]
    )
    top = int(profile.argmax())
    # Side lobes of a small crystal are maxima too, but no bright ones.
    if profile[top] < _OVER_THE_ENDS * max(profile[0], profile[-1]):
        return None
    left, middle, right = profile[top - 1 : top + 2]
    return float(q[top] + (q[1] - q[0]) * 0.5 * (left - right) / (left - 2 * middle + right))


def spacing_nm(superlattice: Superlattice) -> float:
    """Return the nearest-neighbour distance, nm, of NPs that may be few.

    Raises:
        NoFirstPeakError: for a single NP.
    """
    if superlattice.n == 1:
        raise NoFirstPeakError("a single NP has no nearest neighbour")
    if superlattice.n < _ENOUGH:
        return nearest_distance_nm(superlattice)
    return nearest_distance_scale_nm(nearest_neighbours(superlattice))


def _mean_measured(shell: ShellIntensity) -> float:
    values = shell.intensity if shell.measured is None else np.where(shell.measured, shell.intensity, np.nan)
    return float(np.nanmean(values))
