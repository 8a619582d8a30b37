"""Files that are whole or absent."""

import contextlib
import csv
import errno
import glob
import io
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from simsc.core.errors import InputError, ResourceError
from simsc.core.processes import is_alive

_LONG_AGO_S = 30.0  # since a file was last written to: who writes it is gone
_BROKEN = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE)  # what says that a disk or its server is gone
PICTURES = (".png", ".svg", ".pdf")  # endings of figures


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to, which takes the place of `path` only when everything is on disk.

    Raises:
        InputError: if the folder does not exist or cannot be written.
        ResourceError: if the disk is full or fails.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _remove_leftovers(path)
        try:
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from None


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed had begun to write to a file."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        pid = leftover.name.split(".")[-2]
        with contextlib.suppress(OSError):  # another process was faster, or it is not ours to remove
            # Of a file that was touched just now another machine may be the writer.
            if pid.isdecimal() and not is_alive(int(pid)) and time.time() - leftover.stat().st_mtime > _LONG_AGO_S:
                leftover.unlink()


def write_error(path: Path, error: OSError) -> InputError | ResourceError:
    """Turn a failed write into an error of simsc."""
    # HDF5 wraps the system's words in its own.
    inner = re.search(r"error message = '([^']*)'", str(error))
    reason = inner[1] if inner else error.strerror or " ".join(str(error).split())
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR):
        return InputError(f"{path}: cannot be written: {reason}")
    advice = "check the disk" if error.errno in _BROKEN else "free some disk space"
    return ResourceError(f"{path}: writing failed: {reason}; {advice} and start again")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
