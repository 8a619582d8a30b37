"""simsc's own HDF5 files: their kinds, and how they are opened and written whole or not at all."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from simsc.core.errors import InputError
from simsc.io.whole_files import whole_file

SUPERLATTICE = "simsc superlattice 1"
INTENSITY = "simsc intensity 1"
SHELLS = "simsc shells 1"
CORRELATION_MAP = "simsc correlation map 1"
# What the folder of a finished run holds.
_OF_RUNS = ("scattering/crystal_after.h5", "scattering/intensity_after.h5", "correlation/map_after.h5")
_KINDS = {
    SUPERLATTICE: "a superlattice",
    INTENSITY: "an intensity volume",
    SHELLS: "intensity on spheres",
    CORRELATION_MAP: "a correlation map",
}


def is_shells(path: Path) -> bool:
    """Tell whether a file holds spheres of intensity of simsc.

    Raises:
        InputError: if there is no such file.
    """
    return _has_format(path, SHELLS)


def is_intensity(path: Path) -> bool:
    """Tell whether a file is an intensity volume of simsc.

    Raises:
        InputError: if there is no such file.
    """
    return _has_format(path, INTENSITY)


def is_map(path: Path) -> bool:
    """Tell whether a file is a correlation map of simsc.

    Raises:
        InputError: if there is no such file.
    """
    return _has_format(path, CORRELATION_MAP)


def _has_format(path: Path, file_format: str) -> bool:
    check_file(path)
    if not h5py.is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return format_of(file) == file_format


def file_format(path: Path) -> str:
    """Return what an HDF5 file of simsc says that it holds, such as "simsc intensity 1"; of other files "".

    Raises:
        InputError: if it cannot be read.
    """
    with open_hdf5(path) as file:
        return format_of(file)


def read_provenance(path: Path) -> dict[str, Any]:
    """Return what made an HDF5 file of simsc (see `provenance`); empty if it does not tell.

    Raises:
        InputError: if it cannot be read.
    """
    with open_hdf5(path) as file:
        try:
            made = json.loads(file.attrs.get("provenance", "{}"))
        except (ValueError, TypeError):
            return {}
    return made if isinstance(made, dict) else {}


def check_kind(path: Path, file: h5py.File, wanted: str) -> None:
    """Raise an `InputError` unless an open file is of the format wanted; it says what the file is."""
    found = format_of(file)
    if found != wanted:
        what = _KINDS.get(found) or (
            f"simsc's {found.removeprefix('simsc ')[:-2]}" if found else "HDF5 of another program"
        )
        advice = "; simsc import or import-volume reads others" if not found and wanted == INTENSITY else ""
        raise InputError(f"{path}: is {what}; {_KINDS[wanted]} of simsc is needed here{advice}")


def check_file(path: Path) -> None:
    """Raise an `InputError` unless there is such a file, and it is no study."""
    if path.is_dir():
        # Of a run there is more than one thing that could be meant.
        found = [name for name in _OF_RUNS if (path / name).is_file()]
        raise InputError(
            f"{path}: is a folder; a file is needed here" + (f", such as {' or '.join(found)} in it" if found else "")
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".toml":
        raise InputError(f"{path}: is a study; run it with simsc run, and give what that makes")


@contextlib.contextmanager
def new_hdf5(path: Path, file_format: str, origin: dict[str, Any]) -> Iterator[h5py.File]:
    """Give an empty HDF5 file to fill, which is written, whole or not at all, at the end of the block.

    Raises:
        InputError: if the folder does not exist or cannot be written.
        ResourceError: if the disk is full or fails.
    """
    # Laid out in memory: HDF5 itself crashes the process when a disk runs full under an open file.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        file.attrs["format"] = file_format
        file.attrs["provenance"] = json.dumps(origin)
        yield file
        file.flush()
        image = file.id.get_file_image()
    with whole_file(path) as partial:
        partial.write_bytes(image)


@contextlib.contextmanager
def streamed_hdf5(path: Path, file_format: str, origin: dict[str, Any]) -> Iterator[h5py.File]:
    """Give an empty HDF5 file to fill as `new_hdf5` does, but on disk all the time, for what does not fit in memory.

    Raises:
        InputError: if the folder does not exist or cannot be written.
        ResourceError: if the disk is full or fails.
    """
    with whole_file(path) as partial, open(partial, "w+b", buffering=0) as raw:
        patient = _PatientFile(raw)
        with h5py.File(patient, "w") as file:
            file.attrs["format"] = file_format
            file.attrs["provenance"] = json.dumps(origin)
            try:
                yield file
            except Exception as error:
                # What HDF5 found odd may follow from what was not written.
                raise patient.error or error from None
        if patient.error is not None:
            raise patient.error


class _PatientFile(io.RawIOBase):
    """A file that keeps to itself that its disk is full: HDF5 crashes the process if it cannot write in closing."""

    def __init__(self, file: io.FileIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def readinto(self, buffer: Any) -> int:
        n = self.file.readinto(buffer) or 0
        buffer[n:] = bytes(len(buffer) - n)  # not yet written, or it could not be
        return len(buffer)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        with self._patience():
            done = 0
            while done < len(view):
                done += self.file.write(view[done:])
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def truncate(self, size: int | None = None) -> int:
        with self._patience():
            return self.file.truncate(size)
        return size or 0

    def flush(self) -> None:
        with self._patience():
            self.file.flush()

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; whatever goes wrong in reading is an `InputError`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path}: is no HDF5 file, or one that is damaged or cut")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None


def kind_name(file_format: str) -> str | None:
    """Return what files of a format hold, in words; None for none of simsc's."""
    return _KINDS.get(file_format)


def format_of(file: h5py.File) -> str:
    """Return what an open HDF5 file says that it holds; "" for files of other programs."""
    return str(file.attrs.get("format", ""))


def link_nxdata(file: h5py.File, signal: str, axes: list[str]) -> None:
    """Link a signal and its axes into an NXdata group, so that silx, NeXpy and h5web plot them."""
    file.attrs["default"] = "entry"
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", "data"
    data = entry.create_group("data")
    data.attrs["NX_class"], data.attrs["signal"], data.attrs["axes"] = "NXdata", signal, axes
    for name in (signal, *axes):
        data[name] = file[name]
