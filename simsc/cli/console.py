"""What a long command has to do with its terminal: progress, and wishes to stop."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from simsc.core.errors import StoppedEarly
from simsc.study.journal import DONE_IN, Pace

_PLAIN_INTERVAL_S = 20.0
_PATIENCE_S = 1.0  # launchers send the same signal twice


class StopRequest:
    """SIGINT (Ctrl-C), SIGTERM, SIGUSR1 (of Slurm) or a time limit, as a wish that is looked at between pieces of work.

    An exception out of the signal handler itself could come up anywhere, and be swallowed: extension modules drop
    exceptions that arise in some of their callbacks. A second signal ends the process at once.

    Args:
        max_hours: wall time after which no further piece of work is begun, h.
    """

    def __init__(self, max_hours: float | None = None) -> None:
        self._wished = False
        self._since_s = 0.0
        self._end_s = None if max_hours is None else time.monotonic() + 3600 * max_hours
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._wish)

    def __call__(self, needed_s: float) -> bool:
        """Tell whether to stop before a piece of work that takes some seconds."""
        return self._wished or (self._end_s is not None and time.monotonic() + needed_s > self._end_s)

    @property
    def hours_left(self) -> float | None:
        """Wall time left, h; None without a limit."""
        return None if self._end_s is None else max(0.0, (self._end_s - time.monotonic()) / 3600)

    def _wish(self, number: int, frame: object) -> None:
        if self._wished and time.monotonic() - self._since_s > _PATIENCE_S:
            os._exit(StoppedEarly.exit_status)
        if not self._wished:
            self._since_s = time.monotonic()
            with contextlib.suppress(OSError):
                os.write(2, b"simsc: stopping at the next checkpoint; once more to stop at once\n")
        self._wished = True


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something is at work whose end cannot be told, and for how long."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description:<12}"), SpinnerColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bars.add_task(what, total=None)
        yield


def counting(show: Callable[[str, float, str], None], stage: str, each: str) -> Callable[[int, int], None]:
    """Return what shows a stage after each of its steps, by the word for one step, such as "angle 3 of 90"."""

    def step(done: int, n: int) -> None:
        show(stage, done / n, f"{each} {done} of {n}" if done < n else "")

    return step


class StageProgress:
    """Progress of stages on standard error: bars on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=False),
                TextColumn("{task.fields[detail]}", markup=False),
                console=console,
            )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._paces: dict[str, Pace] = {}
        self._last = 0.0

    def __enter__(self) -> Callable[[str, float, str], None]:
        if self._bars is not None:
            self._bars.start()
        return self._update

    def __exit__(self, *exception: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _update(self, stage: str, fraction: float, detail: str) -> None:
        # Weeks of work do not end because the disk under a log file is full.
        with contextlib.suppress(OSError):
            self._show(stage, fraction, detail)

    def _show(self, stage: str, fraction: float, detail: str) -> None:
        now = time.monotonic()
        is_new = stage not in self._began
        began = self._began.setdefault(stage, now)
        left_s = self._paces.setdefault(stage, Pace()).left_s(fraction)
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=1.0, detail=detail)
            self._bars.update(self._tasks[stage], completed=fraction, detail=detail)
        elif fraction >= 1.0 and (not detail or detail.startswith(DONE_IN)):
            click.echo(f"{stage}: {detail or f'{DONE_IN} {now - began:.0f} s'}", err=True)
        elif is_new and fraction == 0 and detail:
            click.echo(f"{stage}: {detail}", err=True)
        elif now - self._last > _PLAIN_INTERVAL_S and fraction > 0:
            self._last = now
            left = f", {left_s:.0f} s left" if left_s is not None else ""
            click.echo(f"{stage}: {100 * fraction:.0f} %{left}  {detail}", err=True)
