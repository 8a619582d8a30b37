"""A system ready for LAMMPS, whatever its resolution."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LammpsSystem:
    """A system ready for LAMMPS.

    Args:
        data: text of the LAMMPS data file, units `real`.
        variables: values of the `variable … index` inputs that belong to the model.
        scripts: folder of the LAMMPS scripts, below `lammps_inputs/`; its `system.lmp` defines the compute `centres`,
            whose rows are the unwrapped centres of the NPs.
        timestep_fs: time step, fs.
        n_atoms: number of atoms or beads.
    """

    data: str
    variables: dict[str, str]
    scripts: str
    timestep_fs: float
    n_atoms: int
