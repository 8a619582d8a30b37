"""One ligand with every parameter that molecular dynamics needs, in one file."""

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from simsc.core.errors import InputError
from simsc.forcefield.parameter_file import read_parameters
from simsc.io.resources import resource_folder

Index = Annotated[int, Field(ge=0)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Atom(_Values):
    """An atom: its unique name, element, force-field type, charge and mass."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9*']{1,6}$")]
    element: Annotated[str, Field(pattern=r"^[A-Z][a-z]?$")]
    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9*+]{1,4}$")]
    charge_e: float
    mass_g_per_mol: PositiveFloat


class LennardJones(_Values):
    """12-6 Lennard-Jones of one atom type; unlike pairs by Lorentz–Berthelot."""

    epsilon_kcal_per_mol: NonNegativeFloat
    sigma_angstrom: NonNegativeFloat


class Bond(_Values):
    """Harmonic bond k (r − r0)² between two atoms."""

    atoms: tuple[Index, Index]
    k_kcal_per_mol_angstrom2: PositiveFloat
    r0_angstrom: PositiveFloat


class Angle(_Values):
    """Harmonic angle k (θ − θ0)²."""

    atoms: tuple[Index, Index, Index]
    k_kcal_per_mol_rad2: PositiveFloat
    theta0_degree: PositiveFloat


class FourierTerm(_Values):
    """One term k (1 + cos(n φ − φ0)) of a torsion."""

    k_kcal_per_mol: float
    periodicity: Annotated[int, Field(ge=1, le=6)]
    phase_degree: float


class Dihedral(_Values):
    """Proper torsion: all its terms."""

    atoms: tuple[Index, Index, Index, Index]
    terms: Annotated[list[FourierTerm], Field(min_length=1)]


class Improper(_Values):
    """Improper torsion k (1 + cos(n φ − φ0)) in AMBER's order: the third atom is the centre."""

    atoms: tuple[Index, Index, Index, Index]
    k_kcal_per_mol: float
    periodicity: Annotated[int, Field(ge=1, le=6)]
    phase_degree: float


class Ligand(_Values):
    """A carboxylate ligand with all its parameters, atoms counted from 0.

    Attributes:
        name: what it is called, such as `oleate`.
        smiles: the molecule, with its charge and its double bonds' configuration.
        force_field: origin of the bonded and Lennard-Jones parameters, such as `GAFF 1.81`.
        charge_model: how the charges were derived.
        atoms: in the order of all other lists.
        lennard_jones: by force-field type.
        bonds, angles, dihedrals, impropers: each listed once.
        positions_angstrom: one optimised geometry, (n, 3), Å.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    smiles: str
    force_field: str
    charge_model: str
    atoms: list[Atom]
    lennard_jones: dict[str, LennardJones]
    bonds: list[Bond]
    angles: list[Angle]
    dihedrals: list[Dihedral]
    impropers: list[Improper]
    positions_angstrom: list[tuple[float, float, float]]

    @model_validator(mode="after")
    def _fits_together(self) -> "Ligand":
        n = len(self.atoms)
        if len({atom.name for atom in self.atoms}) < n:
            raise ValueError("atom names are not unique")
        for kind in (self.bonds, self.angles, self.dihedrals, self.impropers):
            for term in kind:
                if max(term.atoms) >= n or len(set(term.atoms)) < len(term.atoms):
                    raise ValueError(f"{type(term).__name__.lower()} of atoms {term.atoms} among {n} atoms")
        for atom in self.atoms:
            if atom.type not in self.lennard_jones:
                raise ValueError(f"no Lennard-Jones parameters of type {atom.type}")
        if len(self.positions_angstrom) != n:
            raise ValueError(f"{len(self.positions_angstrom)} positions for {n} atoms")
        total = sum(atom.charge_e for atom in self.atoms)
        if abs(total - round(total)) > 1e-6:
            raise ValueError(f"the charges sum to {total:.6f} e, which is no whole number")
        if len(self._carboxylates) != 1:
            raise ValueError(f"{len(self._carboxylates)} carboxylate groups; a ligand needs exactly one")
        return self

    @property
    def n(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    @property
    def charge_e(self) -> int:
        """Net charge, e."""
        return round(sum(atom.charge_e for atom in self.atoms))

    @cached_property
    def charges(self) -> np.ndarray:
        """Charges (n,), e, to nine decimals; the carboxylate carbon takes what they lack of the whole net charge."""
        quanta = np.round([1e9 * atom.charge_e for atom in self.atoms]).astype(np.int64)
        quanta[self.carboxylate[0]] += 10**9 * self.charge_e - quanta.sum()
        return quanta / 1e9

    @cached_property
    def elements(self) -> np.ndarray:
        """Elements (n,)."""
        return np.array([atom.element for atom in self.atoms])

    @cached_property
    def geometry(self) -> np.ndarray:
        """The optimised geometry (n, 3), Å."""
        return np.array(self.positions_angstrom, dtype=np.float64)

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """Bonded atoms of each atom."""
        found: list[list[int]] = [[] for _ in self.atoms]
        for bond in self.bonds:
            i, j = bond.atoms
            found[i].append(j)
            found[j].append(i)
        return found

    @property
    def carboxylate(self) -> tuple[int, int, int]:
        """Indices of the carbon and the two oxygens that bind."""
        return self._carboxylates[0]

    @cached_property
    def _carboxylates(self) -> list[tuple[int, int, int]]:
        found = []
        for c, atom in enumerate(self.atoms):
            oxygens = [i for i in self.neighbours[c] if self.atoms[i].element == "O" and len(self.neighbours[i]) == 1]
            if atom.element == "C" and len(oxygens) == 2:
                found.append((c, oxygens[0], oxygens[1]))
        return found


def load_ligand(name: str) -> Ligand:
    """Read a ligand that ships with simsc, by folder and file in `forcefields/`, such as `oleate_gaff_resp/gaff`.

    Raises:
        InputError: if there is no such ligand.
    """
    folder = resource_folder("forcefields")
    available = sorted(
        f"{path.parent.name}/{path.stem}" for path in folder.glob("*_gaff_*/*.json") if path.stem in ("gaff", "gaff2")
    )
    if name not in available:
        raise InputError(
            f"ligand {name!r} is not known; available: {', '.join(available)}, or the path of a .json file"
        )
    return read_ligand(folder / f"{name}.json")


def read_ligand(path: Path) -> Ligand:
    """Read a ligand file.

    Raises:
        InputError: if the file cannot be read or does not hold a whole ligand.
    """
    return read_parameters(Ligand, path)


def write_ligand(path: Path, ligand: Ligand) -> None:
    """Write a ligand file, one atom or term a line."""
    values = ligand.model_dump(mode="json")
    lines = []
    for key, value in values.items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(row) for row in value)
            lines.append(f'"{key}": [\n{rows}\n ]')
        elif isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f'"{key}": {{\n{rows}\n }}')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    path.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")
