"""Force field of the magnetite core and its hydroxyl groups."""

from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, ValidationError

from simsc.core.errors import InputError
from simsc.io.resources import resource_folder

CHARGE_QUANTUM_E = 0.025  # all charges of the core and of a whole ligand are multiples: neutrality is exact in integers
QUANTA_PER_OXIDATION = 21  # Fe3+ − Fe2+, 0.525 e

SETS = ("A", "B")
# Kinds of core atoms: iron by its site (tetrahedral, octahedral) and state; O of the lattice, of a hydroxyl group (OH)
# and of the lattice with a proton of the ligand's acid (OP); H of both.
KINDS = ("FeT2", "FeT3", "FeO2", "FeO3", "O", "OH", "OP", "H")


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LennardJones(_Values):
    """12-6 Lennard-Jones of one element; unlike pairs by Lorentz–Berthelot."""

    epsilon_kcal_per_mol: NonNegativeFloat
    sigma_angstrom: NonNegativeFloat


class HydroxylBond(_Values):
    """Harmonic O–H bond k (r − r0)²."""

    k_kcal_per_mol_angstrom2: PositiveFloat
    r0_angstrom: PositiveFloat


class HydroxylAngle(_Values):
    """Harmonic Fe–O–H angle k (θ − θ0)²."""

    k_kcal_per_mol_rad2: PositiveFloat
    theta0_degree: PositiveFloat


class Species(_Values):
    """One kind of core atom."""

    charge_quanta: int
    mass_g_per_mol: PositiveFloat
    epsilon_kcal_per_mol: NonNegativeFloat
    sigma_angstrom: NonNegativeFloat


class _File(_Values):
    name: str
    units: str
    iron_lennard_jones: dict[str, LennardJones]
    oxygen_lennard_jones: LennardJones
    hydrogen_lennard_jones: LennardJones
    charge_quanta: dict[str, int]
    masses_g_per_mol: dict[str, PositiveFloat]
    hydroxyl_bond: HydroxylBond
    hydroxyl_angle: HydroxylAngle


class MagnetiteParameters(_Values):
    """Parameters of all kinds of core atoms, as in `forcefields/magnetite`; see the README there for their origin.

    Attributes:
        species: by kind, a word out of `KINDS`.
        hydroxyl_bond: the O–H bond.
        hydroxyl_angle: the Fe–O–H angle of ClayFF. Optional, and not used by simsc: it needs a fixed list of Fe–O
            neighbours, and an Fe–O bond beside it would switch off the forces that hold the core together.
    """

    species: dict[str, Species]
    hydroxyl_bond: HydroxylBond
    hydroxyl_angle: HydroxylAngle

    @cached_property
    def quanta(self) -> dict[str, int]:
        """Charge of each kind, in units of 0.025 e."""
        return {kind: species.charge_quanta for kind, species in self.species.items()}

    def charges_e(self, kinds: np.ndarray) -> np.ndarray:
        """Return the charges (n,) of core atoms of given kinds (n,), e."""
        return CHARGE_QUANTUM_E * np.array([self.quanta[kind] for kind in kinds], dtype=np.float64)


def load_magnetite(
    iron_set: Literal["A", "B"] = "A", hydroxyl: Literal["clayff", "2025"] = "clayff"
) -> MagnetiteParameters:
    """Read the force field of the core.

    Args:
        iron_set: Lennard-Jones set of Fe. A (default) gives bulk magnetite a lattice constant of 8.49 Å, B of 8.40 Å.
        hydroxyl: charge of the O in OH groups: ClayFF's −0.950 e (default), or −1.000 e.

    Raises:
        InputError: for a set or charge that is not known.

    Example:
        >>> load_magnetite().quanta["FeO3"]
        63
    """
    if iron_set not in SETS:
        raise InputError(f"iron parameters {iron_set!r} are not known; available: {', '.join(SETS)}")
    if hydroxyl not in ("clayff", "2025"):
        raise InputError(f"hydroxyl charges {hydroxyl!r} are not known; available: clayff, 2025")
    path = resource_folder("forcefields") / "magnetite" / "parameters.json"
    try:
        file = _File.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    quanta = {**file.charge_quanta, "FeT2": file.charge_quanta["Fe2+"], "FeO2": file.charge_quanta["Fe2+"]}
    quanta |= {"FeT3": file.charge_quanta["Fe3+"], "FeO3": file.charge_quanta["Fe3+"]}
    if hydroxyl == "2025":
        quanta["OH"] = quanta["OP"]
    lennard_jones = {
        "Fe": file.iron_lennard_jones[iron_set],
        "O": file.oxygen_lennard_jones,
        "H": file.hydrogen_lennard_jones,
    }
    species = {}
    for kind in KINDS:
        element = "Fe" if kind.startswith("Fe") else kind[0]
        species[kind] = Species(
            charge_quanta=quanta[kind],
            mass_g_per_mol=file.masses_g_per_mol[element],
            epsilon_kcal_per_mol=lennard_jones[element].epsilon_kcal_per_mol,
            sigma_angstrom=lennard_jones[element].sigma_angstrom,
        )
    return MagnetiteParameters(species=species, hydroxyl_bond=file.hydroxyl_bond, hydroxyl_angle=file.hydroxyl_angle)
