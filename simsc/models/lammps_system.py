"""A system ready for LAMMPS, whatever its resolution."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

# Files of a folder in which LAMMPS runs.
DATA = "system.data"
FINAL = "annealed.data"
SNAPSHOTS = "snapshot_*.dcd"

Thermostat = Literal["nose_hoover", "langevin"]


@dataclass(frozen=True, eq=False)
class LammpsSystem:
    """A system ready for LAMMPS.

    Args:
        data: text of the LAMMPS data file, units `real`.
        variables: values of the `variable … index` inputs that belong to the model.
        scripts: folder of the LAMMPS scripts, such as `lammps_inputs/chains`, or the absolute path of one of another
            package; its `system.lmp` defines the compute `centres`, whose rows are the unwrapped centres of the NPs.
        timestep_fs: time step, fs.
        thermostat: the one that gives the model its own dynamics, where a protocol asks for no other.
        n_atoms: number of atoms or beads.
        packages: packages that LAMMPS must have been built with.
        core_ids: (N, m) numbers, from 1, of m atoms that are rigid or nearly so with each core; m = 0 for NPs
            without an orientation.
        core_positions_angstrom: (N, m, 3) where the data file has them, about a point of their core, Å.
        tables: other files that the scripts read, by name.
    """

    data: str
    variables: dict[str, str]
    scripts: str
    timestep_fs: float
    thermostat: Thermostat
    n_atoms: int
    packages: tuple[str, ...]
    core_ids: np.ndarray
    core_positions_angstrom: np.ndarray
    tables: dict[str, str] = field(default_factory=dict)
