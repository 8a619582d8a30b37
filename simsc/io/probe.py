"""A look at a foreign file from a process of its own, because a damaged one may crash the library that reads it."""

import contextlib
import faulthandler
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from simsc.core.errors import InputError, SimscError

_PATIENCE_S, _SLOWEST_PER_S = 20.0, 5e6  # and bytes
_FOLDER = 1e9  # bytes, as a guess


@contextlib.contextmanager
def damage_as_input_error(path: Path, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what libraries raise for damaged files into an `InputError` of one line."""
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is damaged, or too large ({reason})") from None


def check_readable(path: Path, read: Callable[[], object], part: str = "") -> None:
    """Read a file in a forked process first.

    Whatever exception comes up there will come up again when the file is read here.

    Args:
        path: the file, for the message.
        read: reads it.
        part: what is read of it, for the message.

    Raises:
        InputError: if that process crashed, or did not come to an end.
    """
    with warnings.catch_warnings():
        # Threads of libraries do not come along; what runs here is reading only.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            faulthandler.disable()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            warnings.simplefilter("ignore")
            with contextlib.suppress(SimscError):
                read()
        os._exit(0)
    what = f"{path}: {part}" if part else f"{path}:"
    size = path.stat().st_size if path.is_file() else _FOLDER
    end_s, wait_s = time.monotonic() + _PATIENCE_S + size / _SLOWEST_PER_S, 0.001
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > end_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise InputError(f"{what} does not come to an end when it is read; it is damaged")
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, 0.05)
    if os.WIFSIGNALED(status):
        reason = signal.Signals(os.WTERMSIG(status)).name
        raise InputError(f"{what} is damaged, reading it crashes the library that does ({reason})")
