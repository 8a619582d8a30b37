"""Parameters of models with a rigid core and chains of beads on it, whatever a bead stands for."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator

from simsc.forcefield.parameter_file import load_parameters, names_of, read_parameters

DEFAULT = "oleate_super_ligand"
HEAD = "head"
_KINDS = ("super_ligand", "martini")


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Core(_Values):
    """Magnetite core; part of its mass sits on the heads, so that its moment of inertia is that of a solid sphere."""

    density_g_per_mol_angstrom3: PositiveFloat


class Head(_Values):
    """First bead of a chain, rigid with the core."""

    ligands_per_head: PositiveFloat
    height_above_core_angstrom: PositiveFloat
    area_per_head_angstrom2: PositiveFloat
    mass_per_head_g_per_mol: PositiveFloat


class Tail(_Values):
    """Beads of a chain from the head on, by name, and the mass of each kind of them."""

    beads: tuple[str, ...]
    mass_g_per_mol: dict[str, PositiveFloat]


class Bond(_Values):
    """Harmonic bond k (r − r0)²."""

    k_kcal_per_mol_angstrom2: PositiveFloat
    r0_angstrom: PositiveFloat


class Angle(_Values):
    """Angle energy k (cos θ − cos θ0)², or k (θ − θ0)² with θ in rad."""

    k_kcal_per_mol: PositiveFloat
    theta0_degree: PositiveFloat


class LennardJonesPair(_Values):
    """12-6 Lennard-Jones pair."""

    epsilon_kcal_per_mol: PositiveFloat
    sigma_angstrom: PositiveFloat


class LennardJones(_Values):
    """Pairs that interact, cut and shifted to zero: heads with each kind of bead, and these; heads do not interact."""

    cutoff_angstrom: PositiveFloat
    pairs: dict[str, LennardJonesPair]


class Dynamics(_Values):
    """Time step and couplings with which the model was checked; by how much lists of neighbours reach further."""

    timestep_fs: PositiveFloat
    temperature_damping_fs: PositiveFloat
    pressure_damping_fs: PositiveFloat
    skin_angstrom: PositiveFloat


class Validity(_Values):
    """Range in which the model may be used."""

    core_radius_nm: tuple[PositiveFloat, PositiveFloat]
    temperature_K: tuple[PositiveFloat, PositiveFloat]


class ChainParameters(_Values):
    """One parameter set, as in `forcefields/<name>/parameters.json`; see the README there for each number's origin.

    Bonds, angles and pairs are named after their beads, along the chain, with "_" between them: `head_c1`.
    """

    name: str
    units: str
    core: Core
    head: Head
    tail: Tail
    bonds: dict[str, Bond]
    angle_style: Literal["cosine/squared", "harmonic"]
    angles: dict[str, Angle]
    lennard_jones: LennardJones
    dynamics: Dynamics
    validity: Validity

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of beads, without heads, in the order in which they first come."""
        return tuple(dict.fromkeys(self.tail.beads))

    @property
    def chain(self) -> tuple[str, ...]:
        """Names of all beads of a chain, from the head on."""
        return (HEAD, *self.tail.beads)

    @property
    def chain_bonds(self) -> tuple[str, ...]:
        """Name of each bond along a chain."""
        return tuple("_".join(pair) for pair in pairwise(self.chain))

    @property
    def chain_angles(self) -> tuple[str, ...]:
        """Name of each angle along a chain."""
        beads = self.chain
        return tuple("_".join(three) for three in zip(beads, beads[1:], beads[2:], strict=False))

    @property
    def reach_angstrom(self) -> float:
        """How far beyond the core a stretched chain still attracts one of a neighbour, Å."""
        length = sum(self.bonds[name].r0_angstrom for name in self.chain_bonds)
        return self.head.height_above_core_angstrom + length + self.lennard_jones.cutoff_angstrom / 2

    @model_validator(mode="after")
    def _whole(self) -> "ChainParameters":
        """Check that what a chain needs is there, and nothing else."""
        pairs = [f"{HEAD}_{kind}" for kind in self.kinds]
        pairs += ["_".join(pair) for pair in combinations_with_replacement(self.kinds, 2)]
        needed: dict[str, tuple[Sequence[str], Mapping[str, object]]] = {
            "tail.mass_g_per_mol": (self.kinds, self.tail.mass_g_per_mol),
            "bonds": (self.chain_bonds, self.bonds),
            "angles": (self.chain_angles, self.angles),
            "lennard_jones.pairs": (pairs, self.lennard_jones.pairs),
        }
        if not self.tail.beads or any(not re.fullmatch("[a-z0-9]+", bead) or bead == HEAD for bead in self.tail.beads):
            raise ValueError(f"tail.beads: one or more, named with small letters and digits, and not {HEAD}")
        for where, (names, values) in needed.items():
            if set(names) != set(values):
                raise ValueError(f"{where}: must have {', '.join(dict.fromkeys(names))}; has {', '.join(values)}")
        return self


def chain_names() -> list[str]:
    """Return the names of the parameter sets that simsc comes with."""
    return [name for kind in _KINDS for name in names_of(kind)]


def load_chains(name: str = DEFAULT) -> ChainParameters:
    """Read a parameter set by its folder name in `forcefields/`.

    Raises:
        InputError: if there is no such set or its file does not hold what the model needs.
    """
    return load_parameters(ChainParameters, chain_names(), name)


def read_chains(path: Path) -> ChainParameters:
    """Read a parameter set from a JSON file.

    Raises:
        InputError: if the file cannot be read or does not hold what the model needs.
    """
    return read_parameters(ChainParameters, path)
