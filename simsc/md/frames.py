"""Frames of nanoparticles from whatever there is: files of simsc, a run folder at any time, files of other programs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Frame, Superlattice
from simsc.io.hdf5 import kind_of, kind_of_open, open_hdf5
from simsc.io.kinds import SUPERLATTICE, TRAJECTORY
from simsc.io.native import read_superlattice
from simsc.io.structure_files import Reading, StructureFile
from simsc.md.checkpoint import last_checkpoint
from simsc.md.files import TRAJECTORY as TRAJECTORY_FILE

ANNEAL = "anneal"  # where a study anneals, in its run folder
PARTIAL = ".partial"  # ends the name of a stage's folder until the stage is done


class Frames(Protocol):
    """Frames that are read one at a time."""

    def __len__(self) -> int:
        """Number of frames."""

    def frames(self, numbers: Sequence[int]) -> Iterator[Frame]:
        """Read frames by their numbers from 0, in ascending order."""


def open_frames(path: Path, reading: Reading | None = None) -> Frames:
    """Open a file or a run folder to read its frames.

    Args:
        path: a superlattice or a trajectory of simsc, a file of another program, or a run folder, finished or not (its
            annealing, up to the last checkpoint).
        reading: how to read files of other programs; for simsc's own there is nothing to say.

    Raises:
        InputError: if it is missing, holds no frame, or cannot be read.
    """
    reading = reading or Reading()
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        files = trajectory_files(path)
        if not files:
            raise InputError(f"{path}: is no run folder, or its annealing has no frame yet")
    elif h5py.is_hdf5(path) and path.suffix != ".h5md":
        files = [path]
    else:
        return StructureFile(path, reading)
    if reading != Reading():
        raise InputError(
            f"{path}: is simsc's own and tells itself what its NPs are; leave out --topology, --select, --centres, "
            "--length-unit, --every-ns and --periodic"
        )
    if len(files) == 1 and kind_of(files[0]) is SUPERLATTICE:
        return _OneFrame(read_superlattice(path))
    return _OwnTrajectory(files)


def trajectory_files(folder: Path) -> list[Path]:
    """Return the files of the trajectory of a run folder, or of its `anneal/`, in their order; none if it has none."""
    for place in (folder / ANNEAL, folder / (ANNEAL + PARTIAL), folder):
        if (place / TRAJECTORY_FILE).is_file():
            return [place / TRAJECTORY_FILE]
        checkpoint = last_checkpoint(place) if place.is_dir() else None
        if checkpoint is not None and checkpoint.parts:
            return [place / name for name in checkpoint.parts]
    return []


@dataclass(frozen=True, eq=False)
class _OneFrame:
    superlattice: Superlattice

    def __len__(self) -> int:
        return 1

    def frames(self, numbers: Sequence[int]) -> Iterator[Frame]:
        yield from (Frame(self.superlattice) for _ in numbers)


class _OwnTrajectory:
    """A trajectory of simsc in one or more files, of which one frame is in memory at a time."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        lengths = []
        for path in files:
            with open_hdf5(path) as file:
                if kind_of_open(file) is not TRAJECTORY:
                    raise InputError(f"{path}: is HDF5, but neither a superlattice nor a trajectory of simsc")
                lengths.append(len(file["positions_nm"]))
        self._ends = np.cumsum(lengths)
        if self._ends[-1] == 0:
            raise InputError(f"{files[0]}: the trajectory has no frame")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def frames(self, numbers: Sequence[int]) -> Iterator[Frame]:
        of_file = np.searchsorted(self._ends, numbers, side="right")
        for part in np.unique(of_file):
            first = int(self._ends[part - 1]) if part else 0
            with open_hdf5(self._files[part]) as file:
                radii_nm, rows = file["radii_nm"][:], file["rows"][:]
                time_ns, phase = file["thermo/time_ns"][:], file["phase"][:]
                names = [str(name) for name in file.attrs["phase_names"]]
                for k in np.asarray(numbers)[of_file == part] - first:
                    superlattice = Superlattice(file["positions_nm"][k], radii_nm, Cell(file["cells_nm"][k]))
                    yield Frame(superlattice, float(time_ns[rows[k]]), names[phase[rows[k]]])
