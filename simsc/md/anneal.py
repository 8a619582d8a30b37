"""Annealing: push-off, then the phases of the protocol, in chunks, with progress and NP centres to HDF5."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.classify.neighbours import mean_nearest_distance_nm
from simsc.core.cell import Cell
from simsc.core.errors import SimulationError
from simsc.core.resources import resource_folder
from simsc.core.superlattice import Superlattice
from simsc.core.units import nm_from_angstrom, ns_from_steps
from simsc.md.protocol import Protocol
from simsc.md.session import LammpsSession
from simsc.md.trajectory import Trajectory, TrajectoryWriter, read_trajectory
from simsc.models.lammps_system import LammpsSystem

TRAJECTORY = "trajectory.h5"
DATA = "system.data"
FINAL = "annealed.data"
_S_PER_DAY = 86400.0
_LARGEST_EXPANSION = 1.6  # of the volume, against the begin; thermal expansion up to 600 K gives 1.22
_ATOMS_A_THREAD = 2000  # with fewer, threads mostly wait for each other
_HOTTEST = 2.0  # times the target temperature


@dataclass(frozen=True)
class AnnealProgress:
    """Where an annealing run is.

    Args:
        phase: name of the phase.
        fraction: part of all steps that is done, 0 to 1.
        temperature_K: temperature now, K.
        d_nn_nm: mean distance of the 12 nearest neighbours, nm.
        ns_per_day: speed so far.
    """

    phase: str
    fraction: float
    temperature_K: float
    d_nn_nm: float
    ns_per_day: float

    @property
    def text(self) -> str:
        """The same in one line, for a progress bar."""
        return f"{self.phase}  {self.temperature_K:.0f} K  d_NN {self.d_nn_nm:.3f} nm  {self.ns_per_day:.3g} ns/day"


def useful_threads(system: LammpsSystem, comm: Any, threads: int) -> int:
    """Return how many of the threads of a rank a system can use."""
    return max(1, min(threads, system.n_atoms // (_ATOMS_A_THREAD * comm.size)))


def prepare(system: LammpsSystem, folder: Path) -> None:
    """Lay the LAMMPS scripts and the data file of a system into a folder, where plain `lmp` can run them too."""
    for script in sorted(resource_folder(system.scripts).glob("*.lmp")):
        shutil.copyfile(script, folder / script.name)
    (folder / DATA).write_text(system.data, encoding="ascii")


def plain_lammps_arguments(system: LammpsSystem, protocol: Protocol, seed: int) -> list[str]:
    """Return the arguments with which `lmp` alone runs the same protocol in a prepared folder."""
    steps = [str(sum(chunks)) for chunks in protocol.chunks(system.timestep_fs)]
    inputs: dict[str, list[str]] = {
        "seed": [str(seed)],
        **{name: [value] for name, value in system.variables.items()},
        "pressure": [f"{protocol.pressure_of(phase):.10g}" for phase in protocol.phases],
        "coupling": [protocol.coupling],
        "t_start": [f"{phase.start_K:.10g}" for phase in protocol.phases],
        "t_stop": [f"{phase.stop_K:.10g}" for phase in protocol.phases],
        "steps": steps,
    }
    return ["-in", "anneal.lmp"] + [word for name, values in inputs.items() for word in ("-var", name, *values)]


def anneal(
    system: LammpsSystem,
    radii_nm: np.ndarray,
    protocol: Protocol,
    folder: Path,
    seed: int,
    comm: Any,
    threads: int = 1,
    report: Callable[[AnnealProgress], None] = lambda progress: None,
) -> Trajectory | None:
    """Anneal a prepared system (see `prepare`); every rank of the communicator has to call it.

    Frames go to `trajectory.partial.h5`, which becomes `trajectory.h5` at the end; the last state is written to
    `annealed.data`.

    Args:
        system: what `simsc.models` made.
        radii_nm: (N,) core radii, nm, for the trajectory.
        protocol: phases, pressure, output interval.
        folder: prepared folder.
        seed: of the random velocities, 1 … 2³¹ − 1.
        comm: MPI communicator.
        threads: OpenMP threads a rank, at most; a small system gets fewer.
        report: called on rank 0 after every chunk.

    Returns:
        The trajectory on rank 0, None on the others.

    Raises:
        SimulationError: if LAMMPS stops, the system heats up by itself or falls apart.
        ResourceError: if LAMMPS is missing or incomplete.
    """
    partial = folder / "trajectory.partial.h5"
    names = tuple(phase.name for phase in protocol.phases)
    chunks = protocol.chunks(system.timestep_fs)
    total = sum(map(sum, chunks))
    writer = TrajectoryWriter(partial, radii_nm, names) if comm.rank == 0 else None
    try:
        with LammpsSession(folder, comm, useful_threads(system, comm, threads)) as session:
            first = protocol.phases[0].start_K
            session.set(**system.variables, data=DATA, seed=seed, t_first=f"{first:.10g}")
            session.script("system.lmp")
            session.script("push_off.lmp")
            session.set(coupling=protocol.coupling)
            begin = time.monotonic()
            last: tuple[np.ndarray, np.ndarray] | None = None
            first_volume = abs(np.linalg.det(session.cell_angstrom()))
            for k, phase in enumerate(protocol.phases):
                pressure = f"{protocol.pressure_of(phase):.10g}"
                session.set(t_start=f"{phase.start_K:.10g}", t_stop=f"{phase.stop_K:.10g}", pressure=pressure)
                session.script("npt.lmp")
                start = session.step
                stop = start + sum(chunks[k])
                for steps in chunks[k]:
                    session.run(steps, start, stop, first=session.step == start)
                    done = session.step
                    target = phase.start_K + (phase.stop_K - phase.start_K) * (done - start) / (stop - start)
                    thermo = session.thermo()
                    centres = session.centres_angstrom()
                    cell = session.cell_angstrom()
                    check_health(thermo, target, abs(np.linalg.det(cell)) / first_volume, phase.name)
                    if writer is None:
                        continue
                    if last is not None:
                        centres = continued(centres, cell, *last)
                    last = (centres, cell)
                    frame = Superlattice(nm_from_angstrom(centres), radii_nm, Cell(nm_from_angstrom(cell)))
                    d_nn = mean_nearest_distance_nm(frame)
                    time_ns = ns_from_steps(float(done), system.timestep_fs)
                    writer.append(
                        frame.positions_nm,
                        nm_from_angstrom(cell),
                        k,
                        {
                            "time_ns": time_ns,
                            "temperature_K": thermo["temperature_K"],
                            "target_K": target,
                            "pressure_atm": thermo["pressure_atm"],
                            "potential_kcal_per_mol": thermo["potential"],
                            "kinetic_kcal_per_mol": thermo["kinetic"],
                            "volume_nm3": float(abs(np.linalg.det(nm_from_angstrom(cell)))),
                            "d_nn_nm": d_nn,
                        },
                    )
                    elapsed = time.monotonic() - begin
                    report(
                        AnnealProgress(
                            phase=phase.name,
                            fraction=done / total,
                            temperature_K=thermo["temperature_K"],
                            d_nn_nm=d_nn,
                            ns_per_day=time_ns / elapsed * _S_PER_DAY,
                        )
                    )
                session.script("npt_end.lmp")
            session.write_data(FINAL)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        return None
    os.replace(partial, folder / TRAJECTORY)
    return read_trajectory(folder / TRAJECTORY)


def continued(centres: np.ndarray, cell: np.ndarray, last_centres: np.ndarray, last_cell: np.ndarray) -> np.ndarray:
    """Return centres without the jumps by lattice vectors that they make when LAMMPS flips a tilted box.

    LAMMPS replaces a box that has become too oblique by a less oblique one of the same lattice; the image flags of
    rigid bodies do not follow.

    Args:
        centres: (N, 3) unwrapped centres.
        cell: (3, 3) cell vectors as rows.
        last_centres: (N, 3) centres one frame before.
        last_cell: (3, 3) cell vectors one frame before.
    """
    flipped = np.abs(cell - last_cell) > 0.5 * np.diag(cell)
    if not flipped.any():
        return centres
    moved = (centres - last_centres) @ np.linalg.inv(cell)
    return centres - np.round(moved) @ cell


def check_health(thermo: dict[str, float], target_K: float, expansion: float, phase: str) -> None:
    """Raise a `SimulationError` with a diagnosis if a state cannot be physical.

    Args:
        thermo: `LammpsSession.thermo()`.
        target_K: target temperature, K.
        expansion: volume over the volume at the begin.
        phase: name of the phase, for the message.
    """
    if not np.isfinite(list(thermo.values())).all():
        raise SimulationError(f"phase {phase}: energy, temperature or pressure is not finite; try a smaller time step")
    if thermo["temperature_K"] > _HOTTEST * target_K:
        raise SimulationError(
            f"phase {phase}: the temperature ran away to {thermo['temperature_K']:.0f} K at a target of "
            f"{target_K:.0f} K; try a smaller time step"
        )
    if expansion > _LARGEST_EXPANSION:
        raise SimulationError(
            f"phase {phase}: the volume grew {expansion:.2f}-fold: the superlattice is falling apart; "
            "lower the temperature or raise the pressure"
        )
