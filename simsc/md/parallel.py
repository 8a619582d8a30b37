"""The MPI communicator: checked against the launcher, and waited for without burning a core."""

import array
import contextlib
import fcntl
import os
import stat
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from simsc.core.errors import ResourceError, SimscError
from simsc.io.whole_files import write_error
from simsc.md.shared_memory import remove_stale_segments

# How many tasks each launcher says it has started.
_LAUNCHER_SIZES = ("SLURM_STEP_NUM_TASKS", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
_POLL_S = 0.05
_HEARD_S = 5.0


def world() -> Any:
    """Return MPI's world communicator.

    Raises:
        ResourceError: if mpi4py cannot be loaded, or if the launcher started more copies than MPI knows of: then
            each copy would run the whole study alone, in the same folder.
    """
    if "mpi4py.MPI" not in sys.modules:
        remove_stale_segments()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ResourceError(
            f"MPI cannot be loaded ({error}); install simsc with its packages mpich and mpi4py"
        ) from None
    comm = MPI.COMM_WORLD
    for name in _LAUNCHER_SIZES:
        tasks = os.environ.get(name, "")
        if tasks.isdigit() and int(tasks) != comm.size:
            raise ResourceError(
                f"the launcher started {tasks} tasks ({name}) but MPI sees {comm.size}: launcher and MPI do not "
                "match; with the packaged MPICH use its own mpiexec, or srun --mpi=pmi2"
            )
    return comm


def on_first(comm: Any, work: Callable[[], Any]) -> Any:
    """Do something on rank 0; every rank gets what it returned, or its error.

    Raises:
        SimscError: what the work raised; an error of the operating system becomes one too.
    """
    result, failure = None, None
    if comm.rank == 0:
        try:
            result = work()
        except SimscError as error:
            failure = error
        except OSError as error:
            # Left alone it would be known to rank 0 only, and the others would wait for ever.
            failure = write_error(Path(error.filename or Path.cwd()), error)
    if comm.size > 1:
        result, failure = comm.bcast((result, failure), root=0)
    if failure is not None:
        raise failure
    return result


def patient_bcast(comm: Any, value: Any = None) -> Any:
    """Broadcast a string from rank 0; the others wait asleep, because MPI's own wait takes a whole core.

    Args:
        comm: communicator.
        value: the string to send; only looked at on rank 0.

    Returns:
        The string of rank 0, on every rank.
    """
    text = bytearray(256)
    if comm.rank == 0:
        encoded = value.encode()
        text[: len(encoded)] = encoded
    request = comm.Ibcast([text, len(text)], root=0)
    while not request.Test():
        time.sleep(_POLL_S)
    return bytes(text).rstrip(b"\0").decode()


def abort(comm: Any, status: int) -> NoReturn:
    """End all ranks with an exit status, after the launcher has read what this rank said last.

    MPICH's launcher drops what still lies in the pipe from a rank's standard error when it is told to abort: on a
    busy machine one message in twenty.
    """
    end_s = time.monotonic() + _HEARD_S
    unread = array.array("i", [0])
    with contextlib.suppress(OSError):
        while stat.S_ISFIFO(os.fstat(2).st_mode) and time.monotonic() < end_s:
            fcntl.ioctl(2, termios.FIONREAD, unread)
            if unread[0] == 0:
                break
            time.sleep(_POLL_S / 10)
    comm.Abort(status)
    os._exit(status)  # MPICH's abort may return before it strikes
