"""What a run says about itself while it goes: `progress.json`, for `simsc status` and for whoever waits for it."""

import contextlib
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from simsc.core.errors import ResourceError, SimscError, SimscWarning, StoppedEarly
from simsc.io.whole_files import write_text
from simsc.study.run_folder import RunFolder

DONE_IN = "done in"  # begins the text of a finished stage
_INTERVAL_S = 2.0
_LEAST_GAIN = 0.02  # fraction done from which the time left can be estimated

State = Literal["running", "stopped", "failed", "done"]
Show = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Progress:
    """Where a run is, or how it ended.

    Args:
        state: `running`, `stopped` (the same command goes on), `failed` or `done`.
        stage: name of the stage.
        fraction: part of the stage that is done, 0 to 1.
        text: what it is doing, or why it ended.
        left_s: estimated time to the end of the stage, s; None where it cannot be estimated yet.
        updated: when this was written, seconds since 1970.
        host: name of the machine.
        pid: number of the process on it.
        job: number of the Slurm job; empty without one.
        idle: whether it stopped before it had achieved anything that lasts.
    """

    state: State
    stage: str
    fraction: float
    text: str
    left_s: float | None
    updated: float
    host: str
    pid: int
    job: str
    idle: bool = False


class Pace:
    """How long something still takes, estimated from how far it came since it was first looked at."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def left_s(self, fraction: float) -> float | None:
        """Return the time left, s, at a fraction done; None where it cannot be estimated yet."""
        now = time.monotonic()
        if fraction == 0:
            return None  # what comes first, such as a push-off, says nothing of the pace
        # What was done before (by an earlier run that this one goes on from) took none of this time.
        start_s, before = self._start = self._start or (now, fraction)
        gained = fraction - before
        return (now - start_s) * (1 - fraction) / gained if gained > _LEAST_GAIN * (1 - before) else None


class Journal:
    """Passes progress on, and writes it down every few seconds.

    Args:
        folder: run folder.
        show: called with the stage, the fraction done and a short text.
    """

    def __init__(self, folder: Path, show: Show) -> None:
        self._path = RunFolder(folder).progress.absolute()  # LAMMPS works in another folder
        self._show = show
        self.job = os.environ.get("SLURM_JOB_ID", "")
        self._stage, self._fraction = "", 0.0
        self._pace = Pace()
        self._written_s = -_INTERVAL_S
        self._warned = False

    def __call__(self, stage: str, fraction: float, text: str) -> None:
        """Show how far a stage is."""
        if stage != self._stage:
            self._stage, self._pace, self._written_s = stage, Pace(), -_INTERVAL_S
        self._fraction = fraction
        left_s = self._pace.left_s(fraction)
        if time.monotonic() - self._written_s > _INTERVAL_S:
            self._write("running", text, left_s)
        self._show(stage, fraction, text)

    def end(self, state: State, text: str, idle: bool = False) -> None:
        """Write down how the run ended."""
        self._write(state, text, None, idle)

    def _write(self, state: State, text: str, left_s: float | None, idle: bool = False) -> None:
        host, pid = socket.gethostname(), os.getpid()
        now = Progress(state, self._stage, self._fraction, text, left_s, time.time(), host, pid, self.job, idle)
        self._written_s = time.monotonic()
        try:
            write_text(self._path, json.dumps(asdict(now), indent=1))
        except SimscError as error:
            # Not worth ending a run for: what matters is checked where it is written.
            if not self._warned:
                warnings.warn(f"progress is not kept: {error}", SimscWarning, stacklevel=2)
            self._warned = True


@contextlib.contextmanager
def journal(folder: Path, show: Show) -> Iterator[Journal]:
    """Give a journal of a run, in which its end is written down too, however it comes."""
    before = read_progress(folder)
    kept = Journal(folder, show)
    try:
        yield kept
    except StoppedEarly as error:
        if error.idle and before is not None and before.idle and before.job and kept.job:
            # Else a job that is too short would be queued again for ever.
            message = (
                "twice a job ended before anything was finished that lasts; give it more time, or lower "
                "checkpoint_every_ns"
            )
            kept.end("failed", message)
            raise ResourceError(message) from None
        kept.end("stopped", str(error), error.idle)
        raise
    except SimscError as error:
        kept.end("failed", str(error))
        raise
    except BaseException as error:
        kept.end("failed", " ".join(f"{type(error).__name__}: {error}".split()))
        raise


def read_progress(folder: Path) -> Progress | None:
    """Return what a run wrote down last; None if there is nothing that can be read."""
    try:
        return Progress(**json.loads(RunFolder(folder).progress.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
