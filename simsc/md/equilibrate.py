"""From single nanoparticles to an equilibrated fcc supercrystal: expanded, brought together, held at pressure."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simsc.build.functionalize import Nanoparticle
from simsc.build.restack import cubic_fcc, primitive_fcc
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, nm_from_angstrom, steps_from_ns
from simsc.forcefield.magnetite import MagnetiteParameters
from simsc.md.anneal import DATA, prepare, useful_threads
from simsc.md.session import LammpsSession
from simsc.models.all_atom import Constraints, dress_all_atom, taken_apart

LIGAND_VOLUME_NM3_PER_G_PER_MOL = 1.86e-3  # of a liquid of 0.89 g/cm³, such as oleic acid
_GAP_NM = 0.3  # beyond the estimated distance, from where the barostat takes over
_LONGEST_STEP_FS = 2.0  # of `compress.lmp`
_CLEARANCE_ANGSTROM = 2.5  # between atoms of different NPs at the start


def estimated_d_nn_nm(nanoparticle: Nanoparticle) -> float:
    """Estimate the nearest-neighbour distance in a dense fcc crystal, nm, from the volumes of core and ligands."""
    ligand_mass = sum(atom.mass_g_per_mol for atom in nanoparticle.ligand.atoms)
    ligands = nanoparticle.n_ligands * ligand_mass * LIGAND_VOLUME_NM3_PER_G_PER_MOL
    return float((np.sqrt(2) * (np.pi / 6 * nanoparticle.diameter_nm**3 + ligands)) ** (1 / 3))


def bring_together(
    nanoparticles: Sequence[Nanoparticle],
    parameters: MagnetiteParameters,
    folder: Path,
    seed: int,
    orientations: Rotation | None = None,
    constraints: Constraints = "hydrogens",
    duration_ns: float = 0.02,
    temperature_K: float = 450.0,
    *,
    comm: Any,
    threads: int = 1,
) -> tuple[Superlattice, list[Nanoparticle]]:
    """Bring relaxed NPs from far apart into an fcc crystal, cores rigid, while their ligands find room.

    Every rank of the communicator has to call it.

    Args:
        nanoparticles: one (primitive cell) or four (cubic cell), relaxed.
        parameters: force field of the core.
        folder: empty folder for LAMMPS's files.
        seed: of the random velocities, 1 … 2³¹ − 1.
        orientations: one for each NP; by default all cubic axes lie along those of the crystal.
        constraints: see `simsc.models.all_atom.dress_all_atom`.
        duration_ns: how long the compression takes, ns.
        temperature_K: temperature in it, K.
        comm: MPI communicator.
        threads: OpenMP threads a rank.

    Returns:
        The sites, a little further apart than in the dense crystal, and the NPs as they stand there, turned and about
        their own centres; `simsc.md.anneal.anneal` then takes them to a pressure.

    Raises:
        InputError: for another number of NPs.
        SimulationError: if LAMMPS stops.
    """
    n = len(nanoparticles)
    if n not in (1, 4):
        raise InputError(f"an fcc cell holds 1 or 4 independent nanoparticles, got {n}")
    build = primitive_fcc if n == 1 else cubic_fcc
    if orientations is None:
        orientations = Rotation.identity(n)
    atoms = [
        turn.apply(nanoparticle.positions_angstrom)
        for turn, nanoparticle in zip(orientations, nanoparticles, strict=True)
    ]
    stop_nm = max(map(estimated_d_nn_nm, nanoparticles)) + _GAP_NM
    start_nm = max(stop_nm, _contact_nm(build, atoms))
    lattice = build(start_nm)
    system = dress_all_atom(lattice, nanoparticles, orientations, parameters, constraints)
    if comm.rank == 0:
        prepare(system, folder)
    comm.barrier()
    with LammpsSession(folder, comm, useful_threads(system, comm, threads)) as session:
        session.set(**system.variables, data=DATA, seed=seed, t_first=f"{temperature_K:.10g}")
        session.set(
            scale=f"{min(1.0, stop_nm / start_nm):.10g}",
            squeeze_steps=steps_from_ns(duration_ns, min(system.timestep_fs, _LONGEST_STEP_FS)),
        )
        session.set(t_squeeze=f"{temperature_K:.10g}")
        session.script("system.lmp")
        session.script("push_off.lmp")
        session.script("compress.lmp")
        return taken_apart(session.positions_angstrom(), session.cell_angstrom(), nanoparticles, parameters)


def _contact_nm(build: Callable[[float], Superlattice], atoms: list[np.ndarray]) -> float:
    """Return the smallest distance of sites, nm, to 0.1 nm, from which on NPs (their atoms in Å) do not touch."""
    trees = [cKDTree(positions) for positions in atoms]
    radius = max(float(np.linalg.norm(positions, axis=1).max()) for positions in atoms)
    d_nn_nm = 2 * nm_from_angstrom(radius) + 0.3
    while d_nn_nm > 0.2 and not _touch(build(d_nn_nm - 0.1), atoms, trees):
        d_nn_nm -= 0.1
    return d_nn_nm


def _touch(lattice: Superlattice, atoms: list[np.ndarray], trees: list[cKDTree]) -> bool:
    assert lattice.cell is not None
    sites = angstrom_from_nm(lattice.positions_nm)
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ angstrom_from_nm(lattice.cell.vectors_nm)
    for i, j in itertools.product(range(lattice.n), repeat=2):
        for shift in shifts:
            offset = sites[j] + shift - sites[i]
            if i <= j and np.linalg.norm(offset) > 1e-6:
                near = trees[i].query(atoms[j] + offset, distance_upper_bound=_CLEARANCE_ANGSTROM)[0]
                if np.isfinite(near).any():
                    return True
    return False
