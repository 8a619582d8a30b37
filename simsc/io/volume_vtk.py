"""3D intensities as legacy VTK files (binary structured points), which ParaView reads."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io.probe import damage_as_input_error
from simsc.io.volume_raw import (
    ARRAYS,
    DAMAGED,
    MOST_VOXELS,
    RawAxis,
    RawVolume,
    beginning,
    first_and_step,
)
from simsc.io.whole_files import whole_file

_TITLE = "intensity by simsc; momentum transfer in 1/nm"
_LONGEST_LINE = 4096
_TYPES = {
    "unsigned_char": "u1", "char": "i1", "unsigned_short": ">u2", "short": ">i2", "unsigned_int": ">u4", "int": ">i4",
    "float": ">f4", "double": ">f8",
}  # fmt: skip


def begins_as_vtk(path: Path) -> bool:
    """Tell whether a file begins as legacy VTK."""
    return beginning(path).startswith(b"# vtk DataFile")


def read_vtk(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read binary structured points, the first array as the intensity unless one is called so.

    Raises:
        InputError: if the file is damaged, or holds anything else.
    """
    with damage_as_input_error(path, DAMAGED), open(path, "rb") as file:
        head = [file.readline(_LONGEST_LINE).decode("ascii").strip() for _ in range(4)]
        if head[2] != "BINARY" or head[3].split() != ["DATASET", "STRUCTURED_POINTS"]:
            raise InputError(f"{path}: needs BINARY and DATASET STRUCTURED_POINTS; it has {head[2]!r}, {head[3]!r}")
        facts: dict[str, list[str]] = {}
        while "POINT_DATA" not in facts:
            words = file.readline(_LONGEST_LINE).decode("ascii").split()
            facts[words[0].upper()] = words[1:]
        shape = tuple(int(word) for word in facts["DIMENSIONS"])
        if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > MOST_VOXELS:
            raise InputError(f"{path}: its header tells {shape} points: not a volume of up to 2048³")
        origin, step = ([float(word) for word in facts[key]][:3] for key in ("ORIGIN", "SPACING"))
        arrays: dict[str, np.ndarray] = {}
        while line := file.readline(_LONGEST_LINE).strip():
            kind, name, what, *parts = line.decode("ascii").split()
            if kind != "SCALARS" or what not in _TYPES or parts not in ([], ["1"]):
                raise InputError(f"{path}: {line.decode('ascii')!r}: only single SCALARS of numbers are read")
            if file.readline(_LONGEST_LINE).split()[:1] != [b"LOOKUP_TABLE"]:
                raise InputError(f"{path}: {name}: needs a line LOOKUP_TABLE")
            dtype = np.dtype(_TYPES[what])
            size = math.prod(shape) * dtype.itemsize
            # Looked at first: a header may tell any size, and memory is taken for what is asked for.
            data = file.read(size) if size <= path.stat().st_size else b""
            if len(data) < size:
                raise InputError(f"{path}: {name} is cut short")
            native = np.frombuffer(data, dtype).reshape(shape, order="F").astype(dtype.newbyteorder("="))
            arrays[name if name in ARRAYS else "intensity" if not arrays else name] = native
            file.readline(_LONGEST_LINE)
    if "intensity" not in arrays:
        raise InputError(f"{path}: holds no SCALARS")
    unit = "1/nm" if head[1] == _TITLE else None
    axes: dict[int | str, RawAxis] = {
        letter: RawAxis(origin[k] + step[k] * np.arange(shape[k]), unit, f"q{letter}") for k, letter in enumerate("xyz")
    }
    return RawVolume({role: array for role, array in arrays.items() if role in ARRAYS}, axes, "xyz")


def write_vtk(path: Path, volume: IntensityVolume) -> None:
    """Write legacy VTK with `intensity` and, where not all was measured, `measured`; coordinates are in nm⁻¹.

    Raises:
        InputError: if the file cannot be written.
        ResourceError: if the disk is full.
    """
    origin, step = first_and_step(volume)
    head = [
        "# vtk DataFile Version 3.0",
        _TITLE,
        "BINARY",
        "DATASET STRUCTURED_POINTS",
        "DIMENSIONS {} {} {}".format(*volume.intensity.shape),
        "ORIGIN {!r} {!r} {!r}".format(*origin),
        "SPACING {!r} {!r} {!r}".format(*step),
        f"POINT_DATA {volume.intensity.size}",
    ]
    with whole_file(path) as partial, open(partial, "wb") as file:
        file.write(("\n".join(head) + "\n").encode())
        _write_array(file, "intensity", "float", volume.intensity.astype(">f4"))
        if volume.measured is not None:
            _write_array(file, "measured", "unsigned_char", volume.measured.astype("u1"))


def _write_array(file: BinaryIO, name: str, kind: str, values: np.ndarray) -> None:
    file.write(f"SCALARS {name} {kind} 1\nLOOKUP_TABLE default\n".encode())
    file.write(values.tobytes(order="F"))  # x runs fastest
    file.write(b"\n")
