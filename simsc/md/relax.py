"""A short relaxation of a nanoparticle that was just built, in a periodic box much larger than itself."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.builders.census import binding_modes, closest_contact_angstrom
from simsc.builders.functionalize import Nanoparticle
from simsc.core.cell import Cell
from simsc.core.errors import SimulationError
from simsc.core.superlattice import Superlattice
from simsc.core.units import nm_from_angstrom
from simsc.forcefield.magnetite import MagnetiteParameters
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD, Hardware
from simsc.md.parallel import on_first
from simsc.md.session import LammpsSession
from simsc.models.all_atom import Constraints, dress_all_atom
from simsc.models.lammps_system import DATA, LammpsSystem

LEAST_DISTANCE_ANGSTROM = 1.2  # of atoms that share neither a bond nor a bonded neighbour, after relaxation
_MARGIN_ANGSTROM = 30.0  # of vacuum between the NP and its periodic images


def relax(
    nanoparticle: Nanoparticle,
    parameters: MagnetiteParameters,
    folder: Path,
    seed: int,
    comm: Any,
    hardware: Hardware = ONE_THREAD,
    temperature_K: float = 300.0,
) -> Nanoparticle:
    """Minimise the energy of an NP and bring it to a temperature, in vacuum.

    Every rank of the communicator has to call it.

    Args:
        nanoparticle: from `simsc.builders.functionalize`.
        parameters: force field of the core.
        folder: empty folder for LAMMPS's files.
        seed: of the random velocities, 1 … 2³¹ − 1.
        comm: MPI communicator.
        hardware: threads, accelerator and GPUs.
        temperature_K: temperature at the end, K.

    Returns:
        The NP, its core's centre of mass at the origin.

    Raises:
        SimulationError: if two atoms are still nearer than 1.2 Å, or a ligand left.
    """
    system = in_vacuum(nanoparticle, parameters)
    on_first(comm, lambda: prepare(system, folder))
    with LammpsSession(folder, comm, hardware.for_system(system.n_atoms, comm.size), system.packages) as session:
        session.set(**system.variables, data=DATA, seed=seed, t_first=f"{temperature_K:.10g}")
        session.script("system.lmp")
        session.script("push_off.lmp")
        positions = session.positions_angstrom() - session.centres_angstrom()[0]
    relaxed = nanoparticle.with_positions(positions)
    if comm.rank > 0:
        return relaxed
    closest, free = closest_contact_angstrom(relaxed), binding_modes(relaxed)["free"]
    if closest < LEAST_DISTANCE_ANGSTROM:
        raise SimulationError(f"two atoms are {closest:.2f} Å apart after relaxation; lower the coverage")
    if free:
        raise SimulationError(f"{free} of {relaxed.n_ligands} ligands left the surface in relaxation")
    return relaxed


def in_vacuum(
    nanoparticle: Nanoparticle, parameters: MagnetiteParameters, constraints: Constraints = "hydrogens"
) -> LammpsSystem:
    """Return one NP in the middle of a cubic box, with 30 Å of vacuum to its images."""
    edge = 2 * np.linalg.norm(nanoparticle.positions_angstrom, axis=1).max() + _MARGIN_ANGSTROM
    box = Superlattice(np.full((1, 3), nm_from_angstrom(edge / 2)), cell=Cell(np.eye(3) * nm_from_angstrom(edge)))
    return dress_all_atom(box, [nanoparticle], Rotation.identity(1), parameters, constraints, triclinic=False)
