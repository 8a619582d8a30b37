"""Parameters of the super-ligand model: a rigid core with chains of soft beads, each standing for several oleates."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from simsc.forcefield.parameter_file import load_parameters, names_of, read_parameters

DEFAULT = "oleate_super_ligand"


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Core(_Values):
    """Magnetite core; part of its mass sits on the heads, so that its moment of inertia is that of a solid sphere."""

    density_g_per_mol_angstrom3: PositiveFloat


class Head(_Values):
    """Carboxylate group of one super-ligand, rigid with the core."""

    ligands_per_head: PositiveFloat
    height_above_core_angstrom: PositiveFloat
    area_per_head_angstrom2: PositiveFloat
    mass_per_head_g_per_mol: PositiveFloat


class Tail(_Values):
    """Beads of the hydrocarbon tail."""

    beads_per_head: PositiveInt
    mass_g_per_mol: PositiveFloat


class Bond(_Values):
    """Harmonic bond k (r − r0)²."""

    k_kcal_per_mol_angstrom2: PositiveFloat
    r0_angstrom: PositiveFloat


class Bonds(_Values):
    """Bonds along the chain."""

    head_tail: Bond
    tail_tail: Bond


class Angle(_Values):
    """Angle energy k (cos θ − cos θ0)²."""

    k_kcal_per_mol: PositiveFloat
    theta0_degree: PositiveFloat


class LennardJonesPair(_Values):
    """12-6 Lennard-Jones pair."""

    epsilon_kcal_per_mol: PositiveFloat
    sigma_angstrom: PositiveFloat


class LennardJones(_Values):
    """Pairs that attract; all others do not interact."""

    cutoff_angstrom: PositiveFloat
    head_tail: LennardJonesPair
    tail_tail: LennardJonesPair


class Dynamics(_Values):
    """Time step and couplings with which the model was checked."""

    timestep_fs: PositiveFloat
    temperature_damping_fs: PositiveFloat
    pressure_damping_fs: PositiveFloat


class Validity(_Values):
    """Range in which the model may be used."""

    core_radius_nm: tuple[PositiveFloat, PositiveFloat]
    temperature_K: tuple[PositiveFloat, PositiveFloat]


class SuperLigandParameters(_Values):
    """One parameter set, as in `forcefields/<name>/parameters.json`; see the README there for each number's origin."""

    name: str
    units: str
    core: Core
    head: Head
    tail: Tail
    bonds: Bonds
    angle: Angle
    lennard_jones: LennardJones
    dynamics: Dynamics
    validity: Validity

    @property
    def reach_angstrom(self) -> float:
        """How far beyond the core a stretched super-ligand still attracts one of a neighbour, Å."""
        chain = self.bonds.head_tail.r0_angstrom + (self.tail.beads_per_head - 1) * self.bonds.tail_tail.r0_angstrom
        return self.head.height_above_core_angstrom + chain + self.lennard_jones.cutoff_angstrom / 2


def super_ligand_names() -> list[str]:
    """Return the names of the parameter sets that simsc comes with."""
    return names_of("super_ligand")


def load_super_ligand(name: str = DEFAULT) -> SuperLigandParameters:
    """Read a parameter set by its folder name in `forcefields/`.

    Raises:
        InputError: if there is no such set or its file does not hold what the model needs.
    """
    return load_parameters(SuperLigandParameters, "super_ligand", name)


def read_super_ligand(path: Path) -> SuperLigandParameters:
    """Read a parameter set from a JSON file.

    Raises:
        InputError: if the file cannot be read or does not hold what the model needs.
    """
    return read_parameters(SuperLigandParameters, path)
