"""Conversion between the units of LAMMPS (`real`: Å, fs) and those of simsc (nm, ns); nowhere else.

Inside `simsc.md`, `simsc.models` and `simsc.forcefield` lengths are Å, times fs, energies kcal/mol and masses
g/mol, as in the LAMMPS unit style `real`. Everywhere else lengths are nm and momentum transfers nm⁻¹.
"""

from typing import TypeVar

import numpy as np

ANGSTROM_PER_NM = 10.0
FS_PER_NS = 1.0e6
NM_PER_UNIT = {"nm": 1.0, "A": 1.0 / ANGSTROM_PER_NM}

Number = TypeVar("Number", float, np.ndarray)


def nm_from_angstrom(length_angstrom: Number) -> Number:
    """Convert a length from Å to nm."""
    return length_angstrom / ANGSTROM_PER_NM


def angstrom_from_nm(length_nm: Number) -> Number:
    """Convert a length from nm to Å."""
    return length_nm * ANGSTROM_PER_NM


def steps_from_ns(duration_ns: float, timestep_fs: float) -> int:
    """Return the number of time steps (at least 1) nearest to a duration in ns."""
    return max(1, round(duration_ns * FS_PER_NS / timestep_fs))


def ns_from_steps(steps: Number, timestep_fs: float) -> Number:
    """Convert a number of time steps to ns."""
    return steps * timestep_fs / FS_PER_NS


def wavelength_nm(energy_kev: float) -> float:
    """Return the wavelength, nm, of photons of some energy, keV: h c / E (CODATA 2018, exact)."""
    return 1.2398419843320026 / energy_kev
