"""Conversion between the units of LAMMPS (`real`: Å, fs) and those of simsc (nm, ns); nowhere else.

Inside `simsc.md`, `simsc.models` and `simsc.forcefield` lengths are Å, times fs, energies kcal/mol and masses
g/mol, as in the LAMMPS unit style `real`. Everywhere else lengths are nm and momentum transfers nm⁻¹; files of others
may have their axes in other units, which `inv_nm_per` reads.
"""

import re
import unicodedata
from typing import TypeVar

import numpy as np

from simsc.core.errors import InputError

ANGSTROM_PER_NM = 10.0
FS_PER_NS = 1.0e6
KCAL_PER_MOL_K = 0.0019872067  # Boltzmann constant, as in LAMMPS (units real)
_KEV_NM = 1.2398419843320026  # h c
NM_PER_UNIT = {"nm": 1.0, "A": 1.0 / ANGSTROM_PER_NM}

# Symbols as they are written, since 1/mm and 1/Mm differ; words in any case.
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "μm": 1e-6, "nm": 1e-9, "pm": 1e-12}
_METRES |= {"A": 1e-10, "Å": 1e-10}
_METRES_OF_WORDS = {"angstrom": 1e-10, "ångström": 1e-10, "ångstrom": 1e-10, "ang": 1e-10, "metre": 1.0, "meter": 1.0}
_METRES_OF_WORDS |= {"nanometre": 1e-9, "nanometer": 1e-9, "micron": 1e-6, "micrometre": 1e-6, "micrometer": 1e-6}

Number = TypeVar("Number", float, np.ndarray)


def nm_from_angstrom(length_angstrom: Number) -> Number:
    """Convert a length from Å to nm."""
    return length_angstrom / ANGSTROM_PER_NM


def angstrom_from_nm(length_nm: Number) -> Number:
    """Convert a length from nm to Å."""
    return length_nm * ANGSTROM_PER_NM


def nm_per_unit(length_unit: str) -> float:
    """Return how many nm a unit of length of other programs, "A" or "nm", is.

    Raises:
        InputError: for any other.
    """
    if length_unit not in NM_PER_UNIT:
        raise InputError(f"length_unit {length_unit!r} is not known; it is {' or '.join(NM_PER_UNIT)}")
    return NM_PER_UNIT[length_unit]


def steps_from_ns(duration_ns: float, timestep_fs: float) -> int:
    """Return the number of time steps (at least 1) nearest to a duration in ns."""
    return max(1, round(duration_ns * FS_PER_NS / timestep_fs))


def ns_from_steps(steps: Number, timestep_fs: float) -> Number:
    """Convert a number of time steps to ns."""
    return steps * timestep_fs / FS_PER_NS


def wavelength_nm(energy_kev: float) -> float:
    """Return the wavelength, nm, of photons of some energy, keV: h c / E (CODATA 2018, exact)."""
    return _KEV_NM / energy_kev


def photon_energy_kev(wavelength_nm: float) -> float:
    """Return the energy, keV, of photons of some wavelength, nm."""
    return _KEV_NM / wavelength_nm


def inv_nm_per(unit: str) -> float:
    """Return how many nm⁻¹ a unit of momentum transfer is: "1/A", "nm^-1", "1/angstrom", "m-1" and so on.

    Raises:
        InputError: for anything that is not an inverse length, such as reciprocal lattice units.

    Example:
        >>> round(inv_nm_per("1/angstrom"), 6), round(inv_nm_per("m^-1"), 12)
        (10.0, 1e-09)
    """
    text = unicodedata.normalize("NFKC", unit).strip().replace("−", "-").replace("**", "^")
    text = text.replace("{-1}", "-1").replace("(-1)", "-1")
    found = re.fullmatch(r"1\s*/\s*(\w+)", text) or re.fullmatch(r"(\w+?)\s*\^?\s*-1", text)
    if found:
        name, word = found[1], found[1].lower()
        metres = _METRES.get(name) or _METRES_OF_WORDS.get(word) or _METRES_OF_WORDS.get(word.removesuffix("s"))
        if metres is not None:
            return 1e-9 / metres
    raise InputError(f"{unit!r} is no unit of momentum transfer; known are 1/nm, 1/A, 1/m and their spellings")
