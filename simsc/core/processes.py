"""Cores, and pools of processes that end with the one that began them and tell what was at work when one was killed."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from simsc.core.errors import ResourceError

_Task = TypeVar("_Task")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_blas_thread() -> None:
    """Multiply matrices with one thread from now on.

    On the small ones of a fit more threads gain nothing, and where other work shares the cores they wait for one
    another: it then takes three to ten times as long.
    """
    import scipy.linalg  # noqa: F401 - only the BLAS of libraries that are there can be limited, and SciPy has its own
    import threadpoolctl

    threadpoolctl.threadpool_limits(1, user_api="blas")


def is_alive(pid: int) -> bool:
    """Tell whether this machine has a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def available_memory_gb() -> float:
    """Return how much memory of this machine is not in use, GB."""
    meminfo = Path("/proc/meminfo")
    for line in meminfo.read_text().splitlines() if meminfo.exists() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1e6
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


@contextlib.contextmanager
def pool(
    jobs: int, at_work: Callable[[], str], set_up: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of processes; at the end of the block, what has not begun is given up, after an error all of it.

    Ctrl-C reaches the process that calls this, not those of the pool. Each multiplies matrices with one thread: threads
    of all processes on all cores would wait for one another.

    Args:
        jobs: processes.
        at_work: says what they were at work on, "" if on nothing; it is asked if one was killed, and may raise an
            error of its own.
        set_up: each process calls it first.
        arguments: of that.

    Raises:
        ResourceError: if a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(jobs, context, _set_up, (os.getpid(), set_up, arguments))
    done = False
    try:
        yield executor
        done = True
    except BaseException as error:
        # Nobody waits for results that nobody looks at; and a process that began while another was killed would be
        # forgotten by the pool, which then waits for it without end.
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        if not isinstance(error, BrokenProcessPool):
            raise
        what = at_work()
        raise ResourceError(
            f"a process was killed{' while at work on ' if what else ''}{what}: for want of memory, then start again "
            "with fewer processes (--jobs), or because a library crashed"
        ) from None
    finally:
        executor.shutdown(wait=done, cancel_futures=True)


def lost(running: Mapping[Future[Any], _Task], jobs: int) -> list[_Task]:
    """Return those of some tasks, in the order in which they were submitted, that processes had when one was killed."""
    # Tasks begin in their order, and a process has one of them.
    return [task for future, task in running.items() if future.exception() is not None][:jobs]


def _set_up(parent: int, set_up: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    # Ctrl-C reaches all processes of a terminal; the one that began these ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    one_blas_thread()
    if set_up is not None:
        set_up(*arguments)


def _end_with(parent: int) -> None:
    """End when the parent does, however it ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
