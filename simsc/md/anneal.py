"""Annealing: push-off, then the phases of the protocol, segment by segment, each from a checkpoint to the next.

Every segment begins by reading the checkpoint before it, also where nothing was interrupted. So a run that was killed
and started again is the same as one that was not, bit for bit (on the same numbers of ranks, threads and GPUs).
"""

import hashlib
import json
import math
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
from simsc.io.hdf5 import open_hdf5
from simsc.io.provenance import provenance
from simsc.io.resources import resource_folder
from simsc.io.whole_files import write_text
from simsc.md.checkpoint import (
    Checkpoint,
    check_physics,
    check_whole,
    digest,
    last_checkpoint,
    newest_checkpoint,
    sweep,
    write_checkpoint,
)
from simsc.md.hardware import ONE_THREAD, Hardware
from simsc.md.parallel import on_first
from simsc.md.protocol import Phase, Protocol, Segment
from simsc.md.session import LammpsSession
from simsc.md.trajectory import COLUMNS, Trajectory, joined, read_trajectory, write_trajectory
from simsc.models.lammps_system import LammpsSystem

TRAJECTORY = "trajectory.h5"
DATA = "system.data"
FINAL = "annealed.data"
SNAPSHOTS = "snapshot_*.dcd"
_S_PER_DAY = 86400.0
_LARGEST_EXPANSION = 1.6  # of the volume, against the begin; thermal expansion up to 600 K gives 1.22
_LARGEST_STRETCH = 1.4  # of one width of the cell; thermal expansion gives 1.07
_SMALLEST_VOLUME = 0.2  # of that at the begin: supercrystals are set up loose, but not that loose
_HOTTEST = 2.0  # times the target temperature
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


def prepare(system: LammpsSystem, folder: Path) -> None:
    """Lay the LAMMPS scripts and the data file of a system into a folder, where plain `lmp` can run them too."""
    for script in sorted(resource_folder(system.scripts).glob("*.lmp")):
        write_text(folder / script.name, script.read_text(encoding="utf-8"))
    for name, text in system.tables.items():
        write_text(folder / name, text)
    write_text(folder / DATA, system.data)  # last, and whole: where it lies, everything does


def plain_lammps_arguments(system: LammpsSystem, protocol: Protocol, seed: int) -> list[str]:
    """Return the arguments with which `lmp` alone runs the same protocol in a prepared folder."""
    inputs: dict[str, list[str]] = {"seed": [str(seed)], **{name: [value] for name, value in system.variables.items()}}
    each = [_phase_variables(system, protocol, phase) for phase in protocol.phases]
    inputs |= {name: [variables[name] for variables in each] for name in each[0]}
    inputs["steps"] = [str(phase.steps(system.timestep_fs)) for phase in protocol.phases]
    words = [word for name, values in inputs.items() for word in ("-var", name, *values)]
    return ["-in", "anneal.lmp", "-sf", "opt", *words]


def anneal(
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
    """Anneal a prepared system (see `prepare`), or go on where an earlier call in the same folder stopped.

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
    checkpoint, finished = on_first(comm, lambda: _begin(folder, physics))
    if finished:
        return read_trajectory(folder / TRAJECTORY) if comm.rank == 0 else None
    run = _Run(system, np.asarray(radii_nm, dtype=float), protocol, folder, seed, comm, physics, report)
    with LammpsSession(folder, comm, hardware.for_system(system.n_atoms, comm.size), system.packages) as session:
        if checkpoint is None:
            checkpoint = run.push_off(session)
        elif comm.rank == 0:
            _tell_differences(checkpoint.history[-1], session.what_runs)
        took_s, begun_at = 0.0, checkpoint.segments
        for number in range(checkpoint.segments, len(segments)):
            if run.agreed(stop(took_s)):
                done_ns = protocol.time_ns(checkpoint.step, system.timestep_fs)
                raise StoppedEarly(
                    f"stopped at a checkpoint at {done_ns:.6g} ns; the same command goes on from there",
                    idle=checkpoint.segments == begun_at,
                )
            begin = time.monotonic()
            checkpoint = run.segment(session, checkpoint, segments[number], stop)
            took_s = max(took_s, time.monotonic() - begin)
        session.hint = "all phases are done; the last checkpoint is whole"
        run.restore(session, checkpoint, protocol.phases[-1])
        session.write_data(FINAL)
    on_first(comm, lambda: _end(folder, checkpoint, physics))
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
    begin_s: float = field(default_factory=time.monotonic)
    done_ns: float = 0.0

    def push_off(self, session: LammpsSession) -> Checkpoint:
        """Lay out the system, push apart what overlaps, and keep the first checkpoint."""
        system, first = self.system, self.protocol.phases[0]
        session.hint = "in the push-off, before the first checkpoint"
        session.set(**system.variables | _phase_variables(system, self.protocol, first))
        session.set(data=DATA, seed=self.seed, t_first=f"{first.start_K:.10g}")
        session.script("system.lmp")
        session.script("push_off.lmp")
        self.begin_s = time.monotonic()  # the push-off is no part of the speed
        cell = session.cell_angstrom()
        start = Checkpoint(0, 0, "", (), (), {}, self.physics, cell.tolist(), cell.tolist(), ())
        return self._keep(session, start, None, [])

    def restore(self, session: LammpsSession, checkpoint: Checkpoint, phase: Phase) -> None:
        """Bring LAMMPS to the state of a checkpoint."""
        system = self.system
        session.clear()
        session.set(**system.variables | _phase_variables(system, self.protocol, phase))
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
        begin_cell = np.array(checkpoint.phase_cell_angstrom)
        session.set(**_deformation(phase, begin_cell), step=checkpoint.step)
        session.set(bath_seed=(self.seed + _SEED_STEP * (checkpoint.segments + 1)) % (2**31 - 1) + 1)
        session.script(f"{phase.kind}.lmp")
        first_widths = Cell(np.array(checkpoint.first_cell_angstrom)).perpendicular_widths_nm
        frames = _Frames(self.radii_nm, tuple(p.name for p in protocol.phases), segment.phase)
        snapshots = []
        last = self._last_frame(checkpoint)
        step, anew = segment.begin, True
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
                check_health(thermo, target_K, stretch, phase, _hottest(system.n_atoms))
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
                elapsed = time.monotonic() - self.begin_s
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
        self, session: LammpsSession, checkpoint: Checkpoint, frames: "_Frames | None", snapshots: list[str]
    ) -> Checkpoint:
        """Write the restart file and the part of the trajectory, then the checkpoint that names them."""
        restart = f"checkpoint_{checkpoint.segments:06d}.restart"
        session.write_restart(restart)
        runs = (session.what_runs,)

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
            digests = {name: digests[name] if name in digests else digest(self.folder / name) for name in kept.files}
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


class _Frames:
    """Rows and frames of one segment, as they come."""

    def __init__(self, radii_nm: np.ndarray, phase_names: tuple[str, ...], phase: int) -> None:
        self._radii_nm, self._phase_names, self._phase = radii_nm, phase_names, phase
        self.rows: list[dict[str, float]] = []
        self._frames: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []

    def add(
        self,
        lattice: Superlattice,
        orientations: np.ndarray | None,
        time_ns: float,
        thermo: dict[str, float],
        target_K: float,
        d_nn_nm: float,
    ) -> None:
        assert lattice.cell is not None
        vectors = lattice.cell.vectors_nm
        if orientations is not None:
            self._frames.append((lattice.positions_nm, orientations, vectors, len(self.rows)))
        self.rows.append(
            {
                "time_ns": time_ns,
                "temperature_K": thermo["temperature_K"],
                "target_K": target_K,
                "pressure_atm": thermo["pressure_atm"],
                "potential_kcal_per_mol": thermo["potential"],
                "kinetic_kcal_per_mol": thermo["kinetic"],
                "volume_nm3": float(abs(np.linalg.det(vectors))),
                "d_nn_nm": d_nn_nm,
            }
        )

    def trajectory(self) -> Trajectory:
        n = len(self._radii_nm)
        positions, turns, cells, rows = zip(*self._frames, strict=True) if self._frames else ((), (), (), ())
        return Trajectory(
            positions_nm=np.array(positions).reshape(-1, n, 3),
            orientations=np.array(turns, dtype="f4").reshape(-1, n, 4),
            cells_nm=np.array(cells).reshape(-1, 3, 3),
            radii_nm=self._radii_nm,
            rows=np.array(rows, dtype="i8"),
            series={name: np.array([row[name] for row in self.rows]) for name in COLUMNS},
            series_phase=np.full(len(self.rows), self._phase, dtype="i4"),
            phase_names=self._phase_names,
        )


def trajectory_so_far(folder: Path) -> Trajectory | None:
    """Return what a run has written until now, finished or not; None before its first frame."""
    if (folder / TRAJECTORY).is_file():
        return read_trajectory(folder / TRAJECTORY)
    checkpoint = last_checkpoint(folder)
    if checkpoint is None or not checkpoint.parts:
        return None
    return joined([read_trajectory(folder / name) for name in checkpoint.parts])


def continued(centres: np.ndarray, cell: np.ndarray, last_centres: np.ndarray, last_cell: np.ndarray) -> np.ndarray:
    """Return centres without the jumps by lattice vectors that they make when a leaning box is replaced.

    LAMMPS, or `LammpsSession.straighten` for rigid cores, replaces a box that has become too oblique by a less oblique
    one of the same lattice; and the image flags of rigid bodies do not survive a restart.

    Args:
        centres: (N, 3) unwrapped centres.
        cell: (3, 3) cell vectors as rows.
        last_centres: (N, 3) centres one frame before.
        last_cell: (3, 3) cell vectors one frame before.
    """
    moved = (centres - last_centres) @ np.linalg.inv(cell)
    jumps = np.round(moved)
    return centres - jumps @ cell if jumps.any() else centres


def _hottest(n_atoms: int) -> float:
    """Return how many times the target a temperature may be: that of few sites fluctuates by √(2/3N)."""
    return 1 + max(_HOTTEST - 1, 10 * math.sqrt(2 / (3 * n_atoms)))


def check_health(
    thermo: dict[str, float], target_K: float, stretch: np.ndarray, phase: Phase, hottest: float = _HOTTEST
) -> None:
    """Raise a `SimulationError` with a diagnosis if a state cannot be physical.

    Args:
        thermo: `LammpsSession.thermo()`.
        target_K: target temperature, K.
        stretch: (3,) perpendicular widths of the cell over those at the begin.
        phase: the phase.
        hottest: times the target temperature.
    """
    if not np.isfinite(list(thermo.values())).all():
        raise SimulationError(
            f"phase {phase.name}: energy, temperature or pressure is not finite; try a smaller time step"
        )
    if phase.kind != "minimise" and thermo["temperature_K"] > hottest * target_K:
        raise SimulationError(
            f"phase {phase.name}: the temperature ran away to {thermo['temperature_K']:.0f} K at a target of "
            f"{target_K:.0f} K; try a smaller time step"
        )
    expansion = float(np.prod(stretch))
    if expansion > _LARGEST_EXPANSION:
        raise SimulationError(
            f"phase {phase.name}: the volume grew {expansion:.2f}-fold: the superlattice is falling apart; "
            "lower the temperature or raise the pressure"
        )
    if expansion < _SMALLEST_VOLUME:
        raise SimulationError(
            f"phase {phase.name}: the volume shrank to {expansion:.2f} of that at the begin: the cell collapsed; "
            "start nearer to the density, or compress in a `deform` phase first"
        )
    axis = int(np.argmax(stretch))
    if stretch[axis] > _LARGEST_STRETCH:
        raise SimulationError(
            f"phase {phase.name}: the cell grew {stretch[axis]:.2f}-fold across {'abc'[axis]}: layers come apart; "
            'lower the temperature, raise the pressure or couple the axes (coupling = "iso")'
        )


def _phase_variables(system: LammpsSystem, protocol: Protocol, phase: Phase) -> dict[str, str]:
    """Return the values of the inputs of the scripts that may change from phase to phase."""
    return {
        "kind": phase.kind,
        "t_start": f"{phase.start_K:.10g}",
        "t_stop": f"{phase.stop_K:.10g}",
        "pressure": f"{protocol.pressure_of(phase):.10g}",
        "coupling": phase.coupling or protocol.coupling,
        "thermostat": phase.thermostat or protocol.thermostat,
        "timestep": f"{phase.timestep_fs(system.timestep_fs):.10g}",
        **{f"scale_{axis}": f"{factor:.10g}" for axis, factor in zip("xyz", phase.scale, strict=True)},
    }


def _deformation(phase: Phase, begin_cell: np.ndarray) -> dict[str, str]:
    """Return the tilts at the end of a deformation; each goes with the axis along which it leans."""
    x, y, _ = phase.scale
    tilts = {"final_xy": begin_cell[1, 0] * x, "final_xz": begin_cell[2, 0] * x, "final_yz": begin_cell[2, 1] * y}
    return {name: f"{value:.15g}" for name, value in tilts.items()}


def _physics(system: LammpsSystem, protocol: Protocol, seed: int, folder: Path) -> dict[str, Any]:
    """Return all that decides about the trajectory."""
    scripts = hashlib.sha256()
    for script in sorted([*folder.glob("*.lmp"), *folder.glob("*.table")]):
        scripts.update(script.read_bytes())
    return {
        "seed": seed,
        "timestep_fs": system.timestep_fs,
        **flat(asdict(protocol), "protocol"),
        **flat(dict(system.variables), "model"),
        DATA: digest(folder / DATA),
        "scripts": scripts.hexdigest(),
    }


def _begin(folder: Path, physics: dict[str, Any]) -> tuple[Checkpoint | None, bool]:
    """Return the checkpoint to go on from, and whether everything is done already."""
    checkpoint = newest_checkpoint(folder, physics)
    if checkpoint is None and (folder / TRAJECTORY).is_file() and (folder / FINAL).is_file():
        with open_hdf5(folder / TRAJECTORY) as file:
            check_physics(folder, json.loads(file.attrs["provenance"])["physics"], physics)
        return None, True
    sweep(folder)
    return checkpoint, False


def _tell_differences(before: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [f"{key} {before.get(key)} → {now[key]}" for key in now if before.get(key) != now[key]]
    if changed:
        warnings.warn(
            f"goes on with other {', '.join(changed)}: the same physics, but not bit for bit",
            SimscWarning,
            stacklevel=3,
        )


def _end(folder: Path, checkpoint: Checkpoint, physics: dict[str, Any]) -> None:
    """Join the parts of the trajectory, and remove what only a resumption needs."""
    # HDF5 reads a part with a flipped bit without a word, as LAMMPS does a restart file.
    check_whole(folder, checkpoint, checkpoint.files)
    trajectory = joined([read_trajectory(folder / name) for name in checkpoint.parts])
    write_trajectory(folder / TRAJECTORY, trajectory, provenance(physics=physics, history=checkpoint.history))
    # What names the other files goes first: without it, what is left of them is nobody's.
    for pattern in ("checkpoint_*.json", "checkpoint_*.restart", "part_*.h5"):
        for path in folder.glob(pattern):
            os.unlink(path)
