"""3D intensities as NumPy writes arrays: .npy with one, .npz with several by their names."""

import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io.probe import damage_as_input_error
from simsc.io.volume_raw import (
    ARRAYS,
    DAMAGED,
    MOST_VOXELS,
    ROLES,
    RawAxis,
    RawVolume,
    beginning,
    check_array,
)
from simsc.io.whole_files import whole_file

NPY = b"\x93NUMPY"


def begins_as_npy(path: Path) -> bool:
    """Tell whether a file begins as a .npy file."""
    return beginning(path).startswith(NPY)


def read_npy(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read the one array of a .npy file, which has no name.

    Raises:
        InputError: if the file is damaged, or holds no real numbers.
    """
    with damage_as_input_error(path, DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Mapped, the size that the header tells is compared with that of the file.
        data = np.load(path, allow_pickle=False, mmap_mode="r")
        check_array(path, "the array", data.shape, data.dtype, None)
        return RawVolume({"intensity": np.array(data)})


def begins_as_zip(path: Path) -> bool:
    """Tell whether a file begins as a .npz file, which is a zip archive, does."""
    return beginning(path).startswith(b"PK")


def read_npz(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read the arrays of a .npz file, called as their roles unless they are named; `unit` is that of the axes.

    Raises:
        InputError: if the file is damaged, or lacks the intensity or an array that is named.
    """
    with damage_as_input_error(path, DAMAGED), warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
        warnings.simplefilter("ignore")
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = {role: names.get(role, role) for role in ROLES}
        for role, name in wanted.items():
            if name not in members and (role in names or role == "intensity"):
                held = ", ".join(" ".join(member.split()) for member in sorted(members)[:12])
                raise InputError(f"{path}: has no array {name}; it holds {held or 'nothing'}")
        found = {role: _member(path, archive, members[name]) for role, name in wanted.items() if name in members}
        unit = str(_member(path, archive, members["unit"])) if "unit" in members else None
    axes: dict[int | str, RawAxis] = {
        q[1]: RawAxis(found[q], unit, wanted[q]) for q in ("qx", "qy", "qz") if q in found
    }
    for axis in axes.values():
        if axis.values.ndim != 1 or axis.values.dtype.kind not in "fiu":
            raise InputError(f"{path}: the axis {axis.name} has shape {axis.values.shape} ({axis.values.dtype})")
    shape = found["intensity"].shape
    for role in found:
        if role in ARRAYS:
            check_array(path, wanted[role], found[role].shape, found[role].dtype, shape)
    return RawVolume({role: found[role] for role in ARRAYS if role in found}, axes)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if math.prod(shape) * dtype.itemsize > info.file_size:
            raise InputError(f"{path}: {info.filename} is cut short")
    if math.prod(shape) > MOST_VOXELS:
        raise InputError(f"{path}: {info.filename} has shape {shape}: more than 2048³ numbers")
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def write_npz(path: Path, volume: IntensityVolume) -> None:
    """Write the arrays `intensity`, `qx`, `qy`, `qz`, `measured`, `variance` and `unit`, with all digits.

    Raises:
        InputError: if the file cannot be written.
        ResourceError: if the disk is full.
    """
    arrays: dict[str, Any] = dict(zip(("qx", "qy", "qz"), volume.q_axes_inv_nm, strict=True))
    arrays["intensity"] = volume.intensity
    arrays |= {} if volume.measured is None else {"measured": volume.measured}
    arrays |= {} if volume.variance is None else {"variance": volume.variance}
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, unit=np.array("1/nm"), **arrays)


def read_axis(path: Path) -> np.ndarray:
    """Read the points (n,) of one axis from a .npy file, or from text with one number a line.

    Raises:
        InputError: if the file holds anything else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with damage_as_input_error(path, DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty files; their shape tells
        if begins_as_npy(path):
            values = np.array(np.load(path, allow_pickle=False, mmap_mode="r"))
        else:
            values = np.loadtxt(path, ndmin=1)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: an axis is a row of numbers, got an array of shape {values.shape} ({values.dtype})")
    return values.astype(float)
