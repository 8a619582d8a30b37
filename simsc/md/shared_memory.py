"""What killed processes of MPICH leave in shared memory, and how to be rid of it.

MPICH names its segment after the job and step of Slurm, or after the process where there is no launcher. Both numbers
come back: a job that is queued again after it was killed, or a process of the same number, finds what is left of the
old one, fails in MPI_Init ("Out of memory"), or gets messages wrong.

    python -m simsc.md.shared_memory

removes such segments on this machine.
"""

import contextlib
import os
import re
import time
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 (MPICH's choice)
_NAME = re.compile(r"mpich_shm_[0-9a-f]+_\d+")
_STARTING_S = 2.0  # between the making of a segment and its use, at most


def remove_stale_segments() -> list[str]:
    """Remove segments of this user that no process has mapped; returns their names."""
    found = [path for path in _FOLDER.glob("mpich_shm_*") if _NAME.fullmatch(path.name)]
    if not found:
        return []
    mapped = _mapped()
    removed = []
    for path in found:
        with contextlib.suppress(OSError):
            state = path.stat()
            if state.st_uid == os.getuid() and time.time() - state.st_mtime > _STARTING_S and path.name not in mapped:
                path.unlink()
                removed.append(path.name)
    return removed


def _mapped() -> set[str]:
    names: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == os.getuid():
                names |= set(_NAME.findall((process / "maps").read_text(errors="replace")))
    return names


if __name__ == "__main__":
    remove_stale_segments()
