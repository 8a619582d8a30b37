"""simsc's own HDF5 files: what a file is, and how one is opened, and written whole or not at all."""

import contextlib
import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import h5py

from simsc.core.errors import InputError
from simsc.io.kinds import CORRELATION_MAP, INTENSITY, KINDS, SHELLS, Kind, kind_by_format
from simsc.io.whole_files import whole_file

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".nxs")
_MOST_NAMED = 4  # files of a folder, in an error


def kind_of(path: Path) -> Kind | None:
    """Return what a file of simsc is; None for files of other programs.

    Raises:
        InputError: if there is no such file, it is a folder or a study, or HDF5 that cannot be read.
    """
    check_file(path)
    if not h5py.is_hdf5(path):
        return None
    with open_hdf5(path) as file:
        return kind_of_open(file)


def kind_of_open(file: h5py.File) -> Kind | None:
    """Return what an open file of simsc is; None for files of other programs."""
    return kind_by_format(_format(file))


def is_shells(path: Path) -> bool:
    """Tell whether a file holds spheres of intensity of simsc (see `kind_of`)."""
    return kind_of(path) is SHELLS


def is_intensity(path: Path) -> bool:
    """Tell whether a file is an intensity volume of simsc (see `kind_of`)."""
    return kind_of(path) is INTENSITY


def is_map(path: Path) -> bool:
    """Tell whether a file is a correlation map of simsc (see `kind_of`)."""
    return kind_of(path) is CORRELATION_MAP


def check_kind(path: Path, file: h5py.File, wanted: Kind) -> None:
    """Raise an `InputError` unless an open file is of the kind wanted; it says what the file is."""
    found = kind_of_open(file)
    if found is not wanted:
        advice = "; simsc import or import-volume reads others" if wanted is INTENSITY and not _format(file) else ""
        raise InputError(f"{path}: is {_in_words(file)}; {wanted.name} of simsc is needed here{advice}")


def _in_words(file: h5py.File) -> str:
    """Return what an open file is; other formats of simsc are those of its earlier or later versions."""
    kind, text = kind_of_open(file), _format(file)
    if kind is not None:
        return kind.name
    return f"{text!r} of another version of simsc" if text.startswith("simsc ") else "HDF5 of another program"


def _format(file: h5py.File) -> str:
    return str(file.attrs.get("format", ""))


def check_file(path: Path, wanted: Collection[Kind] = KINDS) -> None:
    """Raise an `InputError` unless there is such a file, and it is no study.

    Args:
        path: what somebody gave.
        wanted: kinds that are of use here: of a folder, such as a run, the error names files of these in it.
    """
    if path.is_dir():
        found = _files_within(path, wanted)
        raise InputError(
            f"{path}: is a folder; a file is needed here" + (f", such as {' or '.join(found)} in it" if found else "")
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".toml":
        raise InputError(f"{path}: is a study; run it with simsc run, and give what that makes")


def _files_within(folder: Path, wanted: Collection[Kind]) -> list[str]:
    """Return the names of files in a folder and those below it, one of each kind wanted that is passed on."""
    found: dict[Kind, str] = {}
    for path in sorted([*folder.glob("*.h5"), *folder.glob("*/*.h5")]):
        with contextlib.suppress(InputError):
            kind = kind_of(path)
            if kind is not None and kind.passed_on and kind in wanted:
                found.setdefault(kind, str(path.relative_to(folder)))
    return sorted(found.values())[:_MOST_NAMED]


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


@contextlib.contextmanager
def new_hdf5(path: Path, kind: Kind, origin: dict[str, Any]) -> Iterator[h5py.File]:
    """Give an empty HDF5 file to fill, which is written, whole or not at all, at the end of the block.

    Args:
        path: file to write.
        kind: what it says of itself.
        origin: what made it (see `simsc.io.provenance.provenance`).

    Raises:
        InputError: if the folder does not exist or cannot be written.
        ResourceError: if the disk is full or fails.
    """
    # Laid out in memory: HDF5 itself crashes the process when a disk runs full under an open file.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        file.attrs["format"] = kind.format
        file.attrs["provenance"] = json.dumps(origin)
        yield file
        file.flush()
        image = file.id.get_file_image()
    with whole_file(path) as partial:
        partial.write_bytes(image)


@contextlib.contextmanager
def streamed_hdf5(path: Path, kind: Kind, origin: dict[str, Any]) -> Iterator[h5py.File]:
    """Give an empty HDF5 file to fill as `new_hdf5` does, but on disk all the time, for what does not fit in memory.

    Raises:
        InputError: if the folder does not exist or cannot be written.
        ResourceError: if the disk is full or fails.
    """
    with whole_file(path) as partial, open(partial, "w+b", buffering=0) as raw:
        patient = _PatientFile(raw)
        with h5py.File(patient, "w") as file:
            file.attrs["format"] = kind.format
            file.attrs["provenance"] = json.dumps(origin)
            try:
                yield file
            except Exception as error:
                # What HDF5 found odd may follow from what was not written.
                raise patient.error or error from None
        if patient.error is not None:
            raise patient.error


def link_nxdata(file: h5py.File, signal: str, axes: list[str]) -> None:
    """Link a signal and its axes into an NXdata group, so that silx, NeXpy and h5web plot them."""
    file.attrs["default"] = "entry"
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", "data"
    data = entry.create_group("data")
    data.attrs["NX_class"], data.attrs["signal"], data.attrs["axes"] = "NXdata", signal, axes
    for name in (signal, *axes):
        data[name] = file[name]


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
