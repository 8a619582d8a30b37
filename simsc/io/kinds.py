"""The kinds of HDF5 files that simsc writes: what each says of itself, what it is in words, and which command takes it.

A file tells its kind by its attribute `format`. Whoever adds a kind adds a row to `KINDS`.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        format: what the attribute `format` of such a file says; its number grows when what is inside changes.
        name: what it is, in words that follow "is".
        next_command: the command that takes it; {file} stands for the file, {folder} for where it lies. None if there
            is none.
        passed_on: whether it is given to other commands as a file, so that one of a run may be what somebody wants.
    """

    format: str
    name: str
    next_command: str | None = None
    passed_on: bool = False

    def advice(self, path: Path) -> str | None:
        """Return the command that takes a file of this kind."""
        return None if self.next_command is None else self.next_command.format(file=path, folder=path.parent)


SUPERLATTICE = Kind("simsc superlattice 1", "a superlattice", "simsc export {file} -o picture.png", True)
TRAJECTORY = Kind("simsc trajectory 2", "a trajectory", "simsc classify {file} -o order", True)
INTENSITY = Kind("simsc intensity 1", "an intensity volume", "simsc correlate {file} -o map.h5", True)
SHELLS = Kind("simsc shells 1", "intensity on spheres", "simsc correlate {file} -o map.h5", True)
CORRELATION_MAP = Kind(
    "simsc correlation map 1",
    "a correlation map",
    "simsc refine cell {file}, or simsc export {file} -o map.png",
    True,
)
ORDER = Kind("simsc order 2", "the order of NPs", "simsc healing {folder}")
NANOPARTICLE = Kind("simsc nanoparticle 1", "a nanoparticle with all its atoms")
SIMULATED_SCAN = Kind("simsc virtual scan 1", "a simulated scan", "simsc import {file} -o intensity.h5")
SIMULATED_FRAMES = Kind("simsc virtual frames 1", "frames of a simulated scan, which its master file links to")
MERGE_CHECKPOINT = Kind("simsc merging 1", "the checkpoint of a merge that simsc import goes on from")
KINDS = (
    SUPERLATTICE, TRAJECTORY, INTENSITY, SHELLS, CORRELATION_MAP, ORDER, NANOPARTICLE, SIMULATED_SCAN,
    SIMULATED_FRAMES, MERGE_CHECKPOINT,
)  # fmt: skip
"""All of them; those that a run passes on first."""


def kind_by_format(text: str) -> Kind | None:
    """Return the kind whose files say this of themselves; None for none of simsc's.

    Example:
        >>> kind_by_format("simsc intensity 1").name
        'an intensity volume'
    """
    return next((kind for kind in KINDS if kind.format == text), None)
