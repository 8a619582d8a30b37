"""Where a run is, read from its files alone: no daemon, no database, and from any machine that sees the folder."""

import fcntl
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simsc.study.journal import Progress, read_progress
from simsc.study.run_folder import RunFolder
from simsc.study.schema import Study
from simsc.study.stages import stage_named, stages_of

_SIGN_OF_LIFE_S = 900.0  # between two rows of output of a slow run

RunState = Literal["waiting", "running", "stopped", "interrupted", "failed", "done"]


@dataclass(frozen=True)
class StageStatus:
    """One stage of a run.

    Args:
        name: its name.
        state: `waiting`, `done`, or the state of the run whose current stage it is.
        fraction: part of it that is done, 0 to 1.
        seconds: how long it took, s; None if it is not done.
    """

    name: str
    state: RunState
    fraction: float
    seconds: float | None


@dataclass(frozen=True)
class RunStatus:
    """Where a run is.

    Args:
        folder: its folder.
        state: `waiting` (not begun), `running`, `stopped` (the same command goes on), `interrupted` (killed, or the
            machine went down; the same command goes on), `failed` or `done`.
        stages: its stages.
        progress: what it wrote down last; None if nothing.
        checkpoint_ns: time of the last checkpoint within the protocol, ns; None without one.
        total_ns: duration of the protocol, ns.
        jobs: numbers of its Slurm jobs, as submitted last, by what they do.
    """

    folder: Path
    state: RunState
    stages: tuple[StageStatus, ...]
    progress: Progress | None
    checkpoint_ns: float | None
    total_ns: float
    jobs: dict[str, str]

    @property
    def fraction(self) -> float:
        """Part of the run that is done, 0 to 1, by what the stages usually take."""
        shares = [stage_named(stage.name).share for stage in self.stages]
        return sum(share * stage.fraction for share, stage in zip(shares, self.stages, strict=True)) / sum(shares)


def run_status(folder: Path) -> RunStatus:
    """Read where a run is.

    Raises:
        StudyError: if the folder holds no run.
    """
    run = RunFolder(folder)
    study = run.study()
    progress = read_progress(folder)
    state = _state(run, progress)
    stages = tuple(_stage(run, stage.name, state, progress) for stage in stages_of(study))
    if state != "running" and all(stage.state == "done" for stage in stages) and progress is None:
        state = "done"
    checkpoint_ns, total_ns = _checkpoint(run, study)
    return RunStatus(folder, state, stages, progress, checkpoint_ns, total_ns, run.jobs())


def _state(run: RunFolder, progress: Progress | None) -> RunState:
    if _is_locked(run.lock):
        return "running"
    if progress is None:
        return "waiting"
    if progress.state != "running":
        return progress.state
    # Some networked file systems do not know of locks that another machine holds.
    elsewhere = progress.host != socket.gethostname()
    return "running" if elsewhere and time.time() - progress.updated < _SIGN_OF_LIFE_S else "interrupted"


def _stage(run: RunFolder, name: str, state: RunState, progress: Progress | None) -> StageStatus:
    record = run.record(name)
    if record is not None:
        return StageStatus(name, "done", 1.0, float(record["seconds"]))
    if progress is not None and progress.stage == name:
        return StageStatus(name, state, progress.fraction, None)
    return StageStatus(name, "waiting", 0.0, None)


def _checkpoint(run: RunFolder, study: Study) -> tuple[float | None, float]:
    """Return the times of the last checkpoint and of the end of the annealing, ns."""
    protocol, timestep_fs = study.protocol(), study.timestep_fs()
    total_ns = protocol.time_ns(protocol.total_steps(timestep_fs), timestep_fs)
    checkpoint = run.checkpoint()
    return None if checkpoint is None else protocol.time_ns(checkpoint.step, timestep_fs), total_ns


def _is_locked(lock: Path) -> bool:
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
