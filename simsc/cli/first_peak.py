"""Where the first sphere of a map lies by default: the first bright peak of what it is made of."""

from pathlib import Path

import numpy as np

from simsc.classify.neighbours import nearest_distance_nm, nearest_distance_scale_nm, nearest_neighbours
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.core.processes import available_cores
from simsc.core.superlattice import Superlattice
from simsc.correlation.peaks import layer_momentum_transfer
from simsc.correlation.shells import first_bright_peak
from simsc.experiment.bragg import peak_of_profile, profile_of_spheres, radial_profile
from simsc.study.schema import CorrelationSection, q2_values

_FORWARD = 0.25  # of the largest |q|: what is nearer to the beam outshines the peaks
_ENOUGH = 13  # NPs that have 12 neighbours


def peak_of_volume(file: Path, volume: IntensityVolume) -> float:
    """Return the first bright peak of the radial profile of a volume, nm⁻¹.

    Raises:
        InputError: if it has none.
    """
    return _peak(file, *radial_profile(volume))


def peak_of_spheres(file: Path) -> float:
    """Return the first bright peak of the radial profile of a file of spheres, nm⁻¹.

    Raises:
        InputError: if it has none.
    """
    return _peak(file, *profile_of_spheres(file))


def peak_of_crystal(file: Path, superlattice: Superlattice) -> tuple[float, str]:
    """Return q1 of a crystal, nm⁻¹, and what it is.

    Raises:
        InputError: for a single NP.
    """
    expected = layer_momentum_transfer(distance_nm(file, superlattice, "--q1"))
    peak = first_bright_peak([superlattice], expected, available_cores())
    if peak is None:
        return expected, "where 111 of fcc would be; no peak stands out there"
    return peak, "the bright peak near 111 of fcc"


def distance_nm(file: Path, superlattice: Superlattice, option: str) -> float:
    """Return the nearest-neighbour distance of NPs, nm.

    Raises:
        InputError: for a single NP; it names the option that is needed instead.
    """
    if superlattice.n == 1:
        raise InputError(f"{file}: a single NP has no nearest neighbour; give {option} (nm⁻¹)")
    if superlattice.n < _ENOUGH:
        return nearest_distance_nm(superlattice)
    return nearest_distance_scale_nm(nearest_neighbours(superlattice))


def q2_around(q1_inv_nm: float, farthest_inv_nm: float = np.inf) -> np.ndarray:
    """Return momentum transfers of second spheres, nm⁻¹: those of the paper in units of q1, as far as there are any.

    Raises:
        InputError: if q1 is farther than the intensity reaches.
    """
    q2 = q2_values(q1_inv_nm, CorrelationSection())
    if q1_inv_nm > farthest_inv_nm:
        raise InputError(f"q1 = {q1_inv_nm:g} nm⁻¹ lies outside of the grid, which ends at {farthest_inv_nm:.4g} nm⁻¹")
    return q2[q2 <= farthest_inv_nm]


def told_q1(told: float | None, found: float, what: str, used: float) -> list[str]:
    """Return the line that tells where q1 of a map comes from; none if it was given."""
    if told is not None:
        return []
    nearest = "" if abs(used - found) < 1e-6 * found else f"; the nearest sphere lies at {used:.4f} nm⁻¹"
    return [f"q1: {found:.4f} nm⁻¹, {what}{nearest}"]


def _peak(file: Path, q_inv_nm: np.ndarray, profile: np.ndarray) -> float:
    """Return the first bright peak of a radial profile, nm⁻¹, away from the beam."""
    far = q_inv_nm > _FORWARD * q_inv_nm[-1]
    if (peak := peak_of_profile(q_inv_nm[far], profile[far])) is None:
        raise InputError(f"{file}: its radial profile has no bright peak; give --q1 (nm⁻¹)")
    return peak
