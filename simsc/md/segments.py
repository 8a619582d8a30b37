"""A prepared system through its protocol: push-off, then segment by segment, each from a checkpoint to the next.

Every segment begins by reading the checkpoint before it, also where nothing was interrupted. So a run that was killed
and started again is the same as one that was not, bit for bit (on the same numbers of ranks, threads and GPUs).
"""

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simsc.classify.neighbours import mean_nearest_distance_nm
from simsc.core.cell import Cell
from simsc.core.errors import ResourceError, SimscWarning, SimulationError, StoppedEarly
from simsc.core.nested import flat
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, nm_from_angstrom
from simsc.io.digests import file_digest
from simsc.io.hdf5 import open_hdf5
from simsc.io.provenance import provenance
from simsc.md.checkpoint import (
    Checkpoint,
    check_physics,
    check_whole,
    newest_checkpoint,
    sweep,
    write_checkpoint,
)
from simsc.md.files import TRAJECTORY
from simsc.md.hardware import ONE_THREAD, Hardware
from simsc.md.health import check_health, hottest_allowed
from simsc.md.inputs import phase_inputs, thermostat_of, tilt_inputs
from simsc.md.parallel import on_first
from simsc.md.protocol import Phase, Protocol, Segment
from simsc.md.recorder import Recorder, continued
from simsc.md.session import LammpsSession
from simsc.md.trajectory import Trajectory, joined, read_trajectory, write_trajectory
from simsc.models.lammps_system import DATA, FINAL, LammpsSystem

_S_PER_DAY = 86400.0
_PARTS = 64  # of the trajectory, until they are joined
_RESTART_BYTES_AN_ATOM = 500  # measured: 135 of super-ligands; all atoms have longer lists of neighbours by bonds
_SEED_STEP = 7919  # between the random numbers of one segment and the next


@dataclass(frozen=True)
class AnnealProgress:
    """Where an annealing run is.

    Args:
        phase: name of the phase.
        fraction: part of all steps that is done, 0 to 1.
        temperature_K: temperature now, K.
        d_nn_nm: mean distance of the 12 nearest neighbours, nm.
        ns_per_day: speed since the start.
        stopping: whether it will stop at the next checkpoint.
    """

    phase: str
    fraction: float
    temperature_K: float
    d_nn_nm: float
    ns_per_day: float
    stopping: bool = False

    @property
    def text(self) -> str:
        """The same in one line, for a progress bar."""
        text = f"{self.phase}  {self.temperature_K:.0f} K  d_NN {self.d_nn_nm:.3f} nm  {self.ns_per_day:.3g} ns/day"
        return text + "  (stopping at the next checkpoint)" if self.stopping else text


def anneal_system(
    system: LammpsSystem,
    radii_nm: np.ndarray,
    protocol: Protocol,
    folder: Path,
    seed: int,
    comm: Any,
    hardware: Hardware = ONE_THREAD,
    report: Callable[[AnnealProgress], None] = lambda progress: None,
    stop: Callable[[float], bool] = lambda needed_s: False,
) -> Trajectory | None:
    """Anneal a system that `prepare` laid out, or go on where an earlier call in the same folder stopped.

    Every rank of the communicator has to call it. The trajectory grows in parts, which become `trajectory.h5` at the
    end; the last state is written to `annealed.data`, positions of all atoms to `snapshot_*.dcd`.

    Args:
        system: what `simsc.models` made.
        radii_nm: (N,) core radii, nm, for the trajectory.
        protocol: phases, pressure, output intervals.
        folder: prepared folder.
        seed: of the random velocities, 1 … 2³¹ − 1.
        comm: MPI communicator.
        hardware: threads (a small system gets fewer), accelerator and GPUs.
        report: called on rank 0 after every row of output.
        stop: asked on every rank, with the seconds that the next segment will take; if it says yes on any, the run
            stops at the next checkpoint.

    Returns:
        The trajectory on rank 0, None on the others.

    Raises:
        StoppedEarly: if it was asked to stop; the same call goes on.
        SimulationError: if LAMMPS stops, the system heats up by itself or falls apart.
        StudyError: if the folder holds a run with other physics; names what differs.
        ResourceError: if LAMMPS is missing or incomplete, the disk is full, or no checkpoint is whole.
    """
    folder = folder.absolute()  # LAMMPS works inside it, and a relative path would lead elsewhere from there
    physics = on_first(comm, lambda: _physics(system, protocol, seed, folder))
    segments = list(protocol.segments(system.timestep_fs))
    checkpoint, finished = on_first(comm, lambda: _resumption(folder, physics))
    if finished:
        return read_trajectory(folder / TRAJECTORY) if comm.rank == 0 else None
    run = _Run(system, np.asarray(radii_nm, dtype=float), protocol, folder, seed, comm, physics, report)
    with LammpsSession(folder, comm, hardware.for_system(system.n_atoms, comm.size), system.packages) as session:
        if checkpoint is None:
            checkpoint = run.push_off(session)
        elif comm.rank == 0:
            _warn_of_differences(checkpoint.history[-1], session.runs_on)
        took_s, segments_before = 0.0, checkpoint.segments
        for number in range(checkpoint.segments, len(segments)):
            if run.agreed(stop(took_s)):
                done_ns = protocol.time_ns(checkpoint.step, system.timestep_fs)
                raise StoppedEarly(
                    f"stopped at a checkpoint at {done_ns:.6g} ns; the same command goes on from there",
                    idle=checkpoint.segments == segments_before,
                )
            started_s = time.monotonic()
            checkpoint = run.segment(session, checkpoint, segments[number], stop)
            took_s = max(took_s, time.monotonic() - started_s)
        session.hint = "all phases are done; the last checkpoint is whole"
        run.restore(session, checkpoint, protocol.phases[-1])
        session.write_data(FINAL)
    on_first(comm, lambda: _finish(folder, checkpoint, physics))
    return read_trajectory(folder / TRAJECTORY) if comm.rank == 0 else None


@dataclass(eq=False)
class _Run:
    """What stays the same from segment to segment."""

    system: LammpsSystem
    radii_nm: np.ndarray
    protocol: Protocol
    folder: Path
    seed: int
    comm: Any
    physics: dict[str, Any]
    report: Callable[[AnnealProgress], None]
    started_s: float = field(default_factory=time.monotonic)
    done_ns: float = 0.0

    def push_off(self, session: LammpsSession) -> Checkpoint:
        """Lay out the system, push apart what overlaps, and keep the first checkpoint."""
        system, first = self.system, self.protocol.phases[0]
        session.hint = "in the push-off, before the first checkpoint"
        session.set(**system.variables | phase_inputs(system, self.protocol, first))
        session.set(data=DATA, seed=self.seed, t_first=f"{first.start_K:.10g}")
        session.script("system.lmp")
        session.script("push_off.lmp")
        self.started_s = time.monotonic()  # the push-off is no part of the speed
        cell = session.cell_angstrom()
        start = Checkpoint(0, 0, "", (), (), {}, self.physics, cell.tolist(), cell.tolist(), ())
        return self._keep(session, start, None, [])

    def restore(self, session: LammpsSession, checkpoint: Checkpoint, phase: Phase) -> None:
        """Bring LAMMPS to the state of a checkpoint."""
        system = self.system
        session.clear()
        session.set(**system.variables | phase_inputs(system, self.protocol, phase))
        session.set(restart=checkpoint.restart, data=DATA, seed=self.seed)
        session.script("system.lmp")
        if session.step != checkpoint.step:
            raise SimulationError(f"{checkpoint.restart}: is of step {session.step}, not {checkpoint.step}")

    def segment(
        self, session: LammpsSession, checkpoint: Checkpoint, segment: Segment, stop: Callable[[float], bool]
    ) -> Checkpoint:
        """Do one segment, and keep the checkpoint at its end."""
        protocol, system = self.protocol, self.system
        phase = protocol.phases[segment.phase]
        model_fs = system.timestep_fs
        done_ns = protocol.time_ns(checkpoint.step, model_fs)
        whole = f"the checkpoint at {done_ns:.6g} ns is whole"
        session.hint = f"in phase {phase.name}; {whole}"
        on_first(self.comm, self._check_disk)
        self.restore(session, checkpoint, phase)
        first_cell = np.array(checkpoint.phase_cell_angstrom)
        session.set(**tilt_inputs(phase, first_cell), step=checkpoint.step)
        session.set(bath_seed=(self.seed + _SEED_STEP * (checkpoint.segments + 1)) % (2**31 - 1) + 1)
        session.script(f"{phase.kind}.lmp")
        first_widths = Cell(np.array(checkpoint.first_cell_angstrom)).perpendicular_widths_nm
        frames = Recorder(self.radii_nm, tuple(p.name for p in protocol.phases), segment.phase)
        snapshots = []
        last = self._last_frame(checkpoint)
        step, anew = segment.first, True
        for row in segment.rows:
            if row > step:
                session.run(row - step, segment.start, segment.stop, first=anew)
                anew = False
                self.done_ns += protocol.time_ns(row, model_fs) - protocol.time_ns(step, model_fs)
            step, time_ns = row, protocol.time_ns(row, model_fs)
            thermo, centres, cell = session.thermo(), session.centres_angstrom(), session.cell_angstrom()
            fraction = (row - segment.start) / max(1, segment.stop - segment.start)
            target_K = phase.temperature_K(fraction)
            asked = 1 + (np.array(phase.scale) - 1) * fraction if phase.kind == "deform" else np.ones(3)
            try:
                stretch = Cell(cell).perpendicular_widths_nm / first_widths / asked
                check_health(thermo, target_K, stretch, phase, hottest_allowed(system.n_atoms))
            except SimulationError as error:
                raise SimulationError(f"{error} ({whole})") from None
            if last is not None:
                centres = continued(centres, cell, *last)
            last = (centres, cell)
            turns = None
            if row in segment.frames:
                turns = session.orientations(system.core_ids, system.core_positions_angstrom)
            if row in segment.snapshots:
                name = f"snapshot_{row:09d}.dcd"
                session.write_snapshot(name, system.n_atoms, time_ns)
                snapshots.append(name)
            lattice = Superlattice(nm_from_angstrom(centres), self.radii_nm, Cell(nm_from_angstrom(cell)))
            d_nn_nm = on_first(self.comm, partial(mean_nearest_distance_nm, lattice))
            frames.add(lattice, turns, time_ns, thermo, target_K, d_nn_nm)
            if phase.kind == "npt" and session.straighten():
                anew, cell = True, session.cell_angstrom()
            if self.comm.rank == 0:
                elapsed = time.monotonic() - self.started_s
                total = max(1, protocol.total_steps(model_fs))
                self.report(
                    AnnealProgress(
                        phase=phase.name,
                        fraction=row / total,
                        temperature_K=thermo["temperature_K"],
                        d_nn_nm=d_nn_nm,
                        ns_per_day=self.done_ns / elapsed * _S_PER_DAY,
                        stopping=stop(0.0),
                    )
                )
        if segment.is_last_of_phase:
            session.script("phase_end.lmp")
        after = replace(
            checkpoint,
            segments=checkpoint.segments + 1,
            step=step,
            phase_cell_angstrom=cell.tolist() if segment.is_last_of_phase else checkpoint.phase_cell_angstrom,
            first_cell_angstrom=cell.tolist()
            if phase.kind == "deform" and segment.is_last_of_phase
            else checkpoint.first_cell_angstrom,
        )
        return self._keep(session, after, frames, snapshots)

    def agreed(self, wish: bool) -> bool:
        """Tell whether any rank wishes to stop, the same on all."""
        return any(self.comm.allgather(bool(wish)))

    def _keep(
        self, session: LammpsSession, checkpoint: Checkpoint, frames: Recorder | None, snapshots: list[str]
    ) -> Checkpoint:
        """Write the restart file and the part of the trajectory, then the checkpoint that names them."""
        restart = f"checkpoint_{checkpoint.segments:06d}.restart"
        session.write_restart(restart)
        runs = (session.runs_on,)

        def write() -> Checkpoint:
            parts, digests = list(checkpoint.parts), dict(checkpoint.digests)
            if frames is not None and frames.rows:
                name = f"part_{checkpoint.segments:06d}.h5"
                write_trajectory(self.folder / name, frames.trajectory(), {})
                parts.append(name)
            if len(parts) >= _PARTS:
                check_whole(self.folder, checkpoint, checkpoint.parts)
                whole = joined([read_trajectory(self.folder / name) for name in parts])
                parts = [f"part_{checkpoint.segments:06d}j.h5"]
                write_trajectory(self.folder / parts[0], whole, {})
            kept = replace(
                checkpoint,
                restart=restart,
                parts=tuple(parts),
                snapshots=(*checkpoint.snapshots, *snapshots),
                history=checkpoint.history + (() if runs == checkpoint.history[-1:] else runs),
            )
            digests = {name: digests.get(name) or file_digest(self.folder / name) for name in kept.files}
            kept = replace(kept, digests=digests)
            write_checkpoint(self.folder, kept)
            return kept

        kept: Checkpoint = on_first(self.comm, write)
        return kept

    def _last_frame(self, checkpoint: Checkpoint) -> tuple[np.ndarray, np.ndarray] | None:
        """Return centres and cell, Å, of the last frame before a checkpoint."""
        if not checkpoint.parts:
            return None

        def read() -> tuple[np.ndarray, np.ndarray]:
            part = read_trajectory(self.folder / checkpoint.parts[-1])
            return angstrom_from_nm(part.positions_nm[-1]), angstrom_from_nm(part.cells_nm[-1])

        found: tuple[np.ndarray, np.ndarray] = on_first(self.comm, read)
        return found

    def _check_disk(self) -> None:
        needed = 3 * _RESTART_BYTES_AN_ATOM * self.system.n_atoms
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise ResourceError(
                f"{self.folder}: only {free / 1e6:.0f} MB are free, and the next checkpoint needs "
                f"{needed / 1e6:.0f} MB; free some disk space and start again"
            )


def _physics(system: LammpsSystem, protocol: Protocol, seed: int, folder: Path) -> dict[str, Any]:
    """Return all that decides about the trajectory."""
    scripts = hashlib.sha256()
    for script in sorted([*folder.glob("*.lmp"), *folder.glob("*.table")]):
        scripts.update(script.read_bytes())
    protocol = replace(protocol, thermostat=thermostat_of(system, protocol))
    return {
        "seed": seed,
        "timestep_fs": system.timestep_fs,
        **flat(asdict(protocol), "protocol"),
        **flat(dict(system.variables), "model"),
        DATA: file_digest(folder / DATA),
        "scripts": scripts.hexdigest(),
    }


def _resumption(folder: Path, physics: dict[str, Any]) -> tuple[Checkpoint | None, bool]:
    """Return the checkpoint to go on from, and whether everything is done already."""
    checkpoint = newest_checkpoint(folder, physics)
    if checkpoint is None and (folder / TRAJECTORY).is_file() and (folder / FINAL).is_file():
        with open_hdf5(folder / TRAJECTORY) as file:
            check_physics(folder, json.loads(file.attrs["provenance"])["physics"], physics)
        return None, True
    sweep(folder)
    return checkpoint, False


def _warn_of_differences(before: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [f"{key} {before.get(key)} → {now[key]}" for key in now if before.get(key) != now[key]]
    if changed:
        warnings.warn(
            f"goes on with other {', '.join(changed)}: the same physics, but not bit for bit",
            SimscWarning,
            stacklevel=3,
        )


def _finish(folder: Path, checkpoint: Checkpoint, physics: dict[str, Any]) -> None:
    """Join the parts of the trajectory, and remove what only a resumption needs."""
    # HDF5 reads a part with a flipped bit without a word, as LAMMPS does a restart file.
    check_whole(folder, checkpoint, checkpoint.files)
    trajectory = joined([read_trajectory(folder / name) for name in checkpoint.parts])
    write_trajectory(folder / TRAJECTORY, trajectory, provenance(physics=physics, history=checkpoint.history))
    # What names the other files goes first: without it, what is left of them is nobody's.
    for pattern in ("checkpoint_*.json", "checkpoint_*.restart", "part_*.h5"):
        for path in folder.glob(pattern):
            os.unlink(path)
