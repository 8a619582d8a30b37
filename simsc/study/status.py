"""Where a run is, read from its files alone: no daemon, no database, and from any machine that sees the folder."""

import fcntl
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simsc.md.checkpoint import last_checkpoint
from simsc.study.journal import Progress, read_progress
from simsc.study.run import JOBS, LOCK, finished_seconds, study_of
from simsc.study.schema import Study
from simsc.study.stages import stages_of

_SIGN_OF_LIFE_S = 900.0  # between two rows of output of a slow run
# What the stages take, roughly: all atoms and annealing are what users wait for.
_SHARES = {"nanoparticle": 1.0, "crystal": 4.0, "anneal": 10.0}

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
        shares = [_SHARES.get(stage.name, 0.5) for stage in self.stages]
        return sum(share * stage.fraction for share, stage in zip(shares, self.stages, strict=True)) / sum(shares)


def run_status(folder: Path) -> RunStatus:
    """Read where a run is.

    Raises:
        StudyError: if the folder holds no run.
    """
    study = study_of(folder)
    progress = read_progress(folder)
    state = _state(folder, progress)
    stages = tuple(_stage(folder, stage.name, state, progress) for stage in stages_of(study))
    if state != "running" and all(stage.state == "done" for stage in stages) and progress is None:
        state = "done"
    checkpoint_ns, total_ns = _checkpoint(folder, study)
    return RunStatus(folder, state, stages, progress, checkpoint_ns, total_ns, slurm_jobs(folder))


def _state(folder: Path, progress: Progress | None) -> RunState:
    if _is_locked(folder):
        return "running"
    if progress is None:
        return "waiting"
    if progress.state != "running":
        return progress.state
    # Some networked file systems do not tell of locks that another machine holds.
    elsewhere = progress.host != socket.gethostname()
    return "running" if elsewhere and time.time() - progress.updated < _SIGN_OF_LIFE_S else "interrupted"


def _stage(folder: Path, name: str, state: RunState, progress: Progress | None) -> StageStatus:
    seconds = finished_seconds(folder / name)
    if seconds is not None:
        return StageStatus(name, "done", 1.0, seconds)
    if progress is not None and progress.stage == name:
        return StageStatus(name, state, progress.fraction, None)
    return StageStatus(name, "waiting", 0.0, None)


def _checkpoint(folder: Path, study: Study) -> tuple[float | None, float]:
    """Return the times of the last checkpoint and of the end of the annealing, ns."""
    protocol, timestep_fs = study.protocol(), study.timestep_fs()
    total_ns = protocol.time_ns(protocol.total_steps(timestep_fs), timestep_fs)
    partial = folder / "anneal.partial"
    checkpoint = last_checkpoint(partial) if partial.is_dir() else None
    return None if checkpoint is None else protocol.time_ns(checkpoint.step, timestep_fs), total_ns


def slurm_jobs(folder: Path) -> dict[str, str]:
    """Return the numbers of a run's Slurm jobs, as submitted last, by what they do."""
    try:
        return dict(json.loads((folder / JOBS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _is_locked(folder: Path) -> bool:
    try:
        with open(folder / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
