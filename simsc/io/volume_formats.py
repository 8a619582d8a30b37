"""What files of 3D arrays hold: HDF5 with NXdata, NumPy's .npy and .npz, MRC and VTK. Only reading; nothing is decided.

Files are told apart by how they begin, not by their names. Whatever is damaged in a file, there is an `InputError`.
"""

import math
import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.io.hdf5 import open_hdf5
from simsc.io.probe import check_readable, damage_told
from simsc.io.volume_export import MRC_LABEL, VTK_TITLE

ROLES = ("intensity", "qx", "qy", "qz", "variance", "errors", "counts", "measured", "mask")
_ARRAYS = tuple(role for role in ROLES if role not in ("qx", "qy", "qz"))
_MOST_VOXELS = 2048**3
_LONGEST_LINE = 4096
_VTK_TYPES = {
    "unsigned_char": "u1", "char": "i1", "unsigned_short": ">u2", "short": ">i2", "unsigned_int": ">u4", "int": ">i4",
    "float": ">f4", "double": ">f8",
}  # fmt: skip
# What NumPy, zipfile, zlib, mrcfile and h5py raise for damaged files, depending on what is damaged.
_DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError,
    ArithmeticError, MemoryError, AssertionError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RawAxis:
    """One axis of an array, as a file tells it.

    Args:
        values: (n,) positions of the points, or (n + 1,) edges of bins.
        unit: as the file spells it; None if it does not tell.
        name: of the axis in the file.
    """

    values: np.ndarray
    unit: str | None
    name: str


@dataclass(frozen=True, eq=False)
class RawVolume:
    """What a file holds of an intensity, in its own units and order.

    Args:
        arrays: by their roles: "intensity", and "variance", "errors" (standard deviations), "counts" (how many pixels
            are averaged in a voxel), "measured" and "mask", all of one shape, if the file has them.
        axes: those that the file tells, by their dimensions 0, 1, 2 or by what they are, "x", "y", "z".
        order: which of x, y and z the dimensions are, such as "zyx"; None if the file does not tell.
    """

    arrays: Mapping[str, np.ndarray]
    axes: Mapping[int | str, RawAxis] = field(default_factory=dict)
    order: str | None = None


def read_raw(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read the arrays of a file.

    Args:
        path: HDF5, .npy, .npz (a `unit` in it is that of its axes), MRC file (also compressed by gzip or bzip2), or
            legacy VTK file (binary structured points; other arrays than the first by their roles).
        names: of arrays in HDF5 and .npz, by `ROLES`; without them NXdata, and arrays called as their roles.

    Raises:
        InputError: if the file is none of these, is damaged, takes data from elsewhere, or lacks what is needed.
    """
    if unknown := set(names) - set(ROLES):
        raise InputError(f"{path}: {sorted(unknown)[0]!r} is no role of an array; these are {', '.join(ROLES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with damage_told(path, _DAMAGED), open(path, "rb") as file:
        start = file.read(1024)
    if h5py.is_hdf5(path):
        check_readable(path, lambda: _read_hdf5(path, names))
        return _read_hdf5(path, names)
    if start.startswith(b"PK"):
        return _read_npz(path, names)
    if names:
        raise InputError(f"{path}: holds one array, which needs no names")
    if start.startswith(b"\x93NUMPY"):
        return _read_npy(path)
    if start[208:211] == b"MAP" or start.startswith((b"\x1f\x8b", b"BZh")):
        return _read_mrc(path)
    if start.startswith(b"# vtk DataFile"):
        return _read_vtk(path)
    raise InputError(f"{path}: is neither HDF5, .npy, .npz, MRC nor legacy VTK")


def read_axis(path: Path) -> np.ndarray:
    """Read the points (n,) of one axis from a .npy file, or from text with one number a line.

    Raises:
        InputError: if the file holds anything else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with damage_told(path, _DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty files; their shape tells
        if path.read_bytes()[:6] == b"\x93NUMPY":
            values = np.array(np.load(path, allow_pickle=False, mmap_mode="r"))
        else:
            values = np.loadtxt(path, ndmin=1)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: an axis is a row of numbers, got an array of shape {values.shape} ({values.dtype})")
    return values.astype(float)


def _read_hdf5(path: Path, names: Mapping[str, str]) -> RawVolume:
    with damage_told(path, _DAMAGED), open_hdf5(path) as file:
        group, signal = _nxdata(path, file, names)
        wanted: dict[str, Any] = {role: _named(path, file, group, name) for role, name in names.items()}
        if "intensity" not in wanted and signal is not None:
            assert group is not None
            wanted["intensity"] = group[signal]
        if "intensity" not in wanted:
            raise InputError(f"{path}: has no NXdata; name the arrays, such as intensity=entry/data")
        if group is not None:
            for role, name in _usual_names(str(signal)):
                if role not in wanted and isinstance(group.get(name), h5py.Dataset):
                    wanted[role] = group[name]
        if not all(isinstance(found, h5py.Dataset) for found in wanted.values()):
            raise InputError(f"{path}: {next(n for n in names.values())} is not an array")
        shape = wanted["intensity"].shape
        arrays = {role: _values(path, data, shape) for role, data in wanted.items() if role in _ARRAYS}
        told: dict[int | str, RawAxis] = {
            role[1]: _axis(path, wanted[role]) for role in ("qx", "qy", "qz") if role in wanted
        }
        if told:
            return RawVolume(arrays, told)
        axes = {} if group is None else _nxdata_axes(path, group, wanted["intensity"])
    return RawVolume(arrays, {k: axes[k] for k in axes}, _order_of(axes))


def _named(path: Path, file: h5py.File, group: h5py.Group | None, name: str) -> Any:
    for place in (file, group):
        if place is not None and name in place and isinstance(place.get(name), h5py.Dataset):
            return place[name]
    raise InputError(f"{path}: has no array {name}")


def _nxdata(path: Path, file: h5py.File, names: Mapping[str, str]) -> tuple[h5py.Group | None, str | None]:
    """Return the NXdata group to read, and the name of its signal; None where the user names the intensity instead."""
    found: list[h5py.Group] = []
    group: Any = file
    for _ in range(4):  # the chain of defaults: root, entry, maybe a process, data
        if _text(group.attrs.get("NX_class", "")) == "NXdata":
            return group, _signal(path, group)
        default = _text(group.attrs.get("default", ""))
        if not default or not isinstance(group.get(default), h5py.Group):
            break
        group = group[default]

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _text(item.attrs.get("NX_class", "")) == "NXdata":
            found.append(item)

    file.visititems(visit)
    if "intensity" in names or not found:
        home = names.get("intensity", "").rpartition("/")[0]
        own = [group for group in found if group.name.strip("/") == home.strip("/")]
        return (own[0], names["intensity"].rpartition("/")[2]) if own else (None, None)
    if len(found) > 1:
        places = ", ".join(group.name.lstrip("/") for group in found[:8])
        raise InputError(f"{path}: has several NXdata ({places}) and no default; name the intensity")
    return found[0], _signal(path, found[0])


def _signal(path: Path, group: h5py.Group) -> str:
    name = _text(group.attrs.get("signal", ""))
    # Before 2014 the signal was marked at the dataset.
    old = [key for key in group if isinstance(group.get(key), h5py.Dataset) and "signal" in group[key].attrs]
    for candidate in (name, *old):
        if candidate and isinstance(group.get(candidate), h5py.Dataset):
            return candidate
    raise InputError(f"{path}: {group.name} is NXdata without its signal {name}".rstrip())


def _usual_names(signal: str) -> list[tuple[str, str]]:
    """Return the roles and names of what may lie beside a signal."""
    own = [("errors", f"{signal}_errors"), ("errors", "errors"), ("errors", f"{signal}_uncertainties")]
    own += [("variance", f"{signal}_variance"), ("mask", f"{signal}_mask")]
    return own + [(role, role) for role in ("variance", "counts", "measured", "mask")]


def _nxdata_axes(path: Path, group: h5py.Group, signal: h5py.Dataset) -> dict[int, RawAxis]:
    told = group.attrs.get("axes", signal.attrs.get("axes"))
    if told is None:
        return {}
    names = [_text(name) for name in np.atleast_1d(told)] if not isinstance(told, str | bytes) else _split(_text(told))
    if len(names) != signal.ndim:
        raise InputError(f"{path}: {group.name} tells {len(names)} axes of an array of {signal.ndim} dimensions")
    axes: dict[int, RawAxis] = {}
    for k, name in enumerate(names):
        if name == ".":
            continue
        values = group.get(name)
        if not isinstance(values, h5py.Dataset):
            raise InputError(f"{path}: {group.name} lacks its axis {name}")
        place = np.atleast_1d(group.attrs.get(f"{name}_indices", k))
        if place.shape != (1,) or not 0 <= int(place[0]) < signal.ndim or int(place[0]) in axes:
            raise InputError(f"{path}: {group.name}: {name}_indices is {place.tolist()}; an axis has one dimension")
        axes[int(place[0])] = _axis(path, values)
    return axes


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split("[:,]", text.strip("[]")) if part.strip()]


def _axis(path: Path, values: h5py.Dataset) -> RawAxis:
    unit = values.attrs.get("units")
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: the axis {values.name} has shape {values.shape} ({values.dtype})")
    points = _values(path, values, values.shape).astype(float)
    return RawAxis(points, None if unit is None else _text(unit), values.name.rpartition("/")[2])


def _order_of(axes: Mapping[int, RawAxis]) -> str | None:
    """Return which of x, y and z the dimensions are, if their names tell: qx or Q_x or x, in any case."""
    found = [re.fullmatch(r"q?_?([xyz])", axes[k].name.lower()) for k in sorted(axes)]
    letters = "".join(match[1] for match in found if match)
    return letters if sorted(letters) == ["x", "y", "z"] else None


def _values(path: Path, data: h5py.Dataset, shape: tuple[int, ...]) -> np.ndarray:
    """Read an array, all of which was written, and into this file or one beside it."""
    _check_array(path, data.name, data.shape, data.dtype, shape)
    _check_home(path, data)
    if not data.is_virtual and 0 not in shape:
        if data.chunks is None:
            whole = data.id.get_storage_size() >= math.prod(shape) * data.dtype.itemsize
        else:
            blocks = math.prod(int(np.ceil(n / m)) for n, m in zip(shape, data.chunks, strict=True))
            whole = data.id.get_num_chunks() == blocks
        # HDF5 would give its fill value for the rest, mostly zeros.
        if not whole and not (data.dtype.kind == "f" and np.isnan(data.fillvalue)):
            raise InputError(f"{path}: {data.name} was not written to its end; HDF5 would fill in {data.fillvalue}")
    return data[...]


def _check_home(path: Path, data: h5py.Dataset) -> None:
    """Refuse data outside of the folder: a file does not decide what else is read."""
    sources = [Path(data.file.filename)]
    if data.external:
        raise InputError(f"{path}: {data.name} lies in other files, which are not HDF5")
    if data.is_virtual:
        sources += [path if s.file_name == "." else path.parent / s.file_name for s in data.virtual_sources()]
    for source in sources:
        if not source.resolve().is_relative_to(path.parent.resolve()):
            raise InputError(f"{path}: {data.name} takes data from {source}, outside of its folder")
        if not source.is_file():
            raise InputError(f"{path}: {data.name} takes data from {source}, which is missing")


def _read_npy(path: Path) -> RawVolume:
    with damage_told(path, _DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Mapped, the size that the header tells is compared with that of the file.
        data = np.load(path, allow_pickle=False, mmap_mode="r")
        _check_array(path, "the array", data.shape, data.dtype, None)
        return RawVolume({"intensity": np.array(data)})


def _read_npz(path: Path, names: Mapping[str, str]) -> RawVolume:
    with damage_told(path, _DAMAGED), warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
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
        if role in _ARRAYS:
            _check_array(path, wanted[role], found[role].shape, found[role].dtype, shape)
    return RawVolume({role: found[role] for role in _ARRAYS if role in found}, axes)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if math.prod(shape) * dtype.itemsize > info.file_size:
            raise InputError(f"{path}: {info.filename} is cut short")
    if math.prod(shape) > _MOST_VOXELS:
        raise InputError(f"{path}: {info.filename} has shape {shape}: more than 2048³ numbers")
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_mrc(path: Path) -> RawVolume:
    import mrcfile

    with damage_told(path, _DAMAGED), warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        with mrcfile.open(path, header_only=True) as file:
            header = file.header
            counts = [int(header[name]) for name in ("nz", "ny", "nx")]
            axes = [int(header[name]) for name in ("maps", "mapr", "mapc")]
            told = _mrc_axes(file) if MRC_LABEL in file.get_labels() else {}
            if min(counts) < 1 or math.prod(counts) > _MOST_VOXELS:
                raise InputError(f"{path}: its header tells {counts} voxels: not a volume of up to 2048³")
            # Compressed data may be smaller, but not by more than deflate can.
            if math.prod(counts) > 2000 * path.stat().st_size:
                raise InputError(f"{path}: is cut short: its header tells {counts} voxels")
        with mrcfile.open(path) as file:
            data = np.array(file.data)
    if notes:
        warnings.warn(f"{path}: {' '.join(str(notes[0].message).split())}", SimscWarning, stacklevel=3)
    _check_array(path, "the volume", data.shape, data.dtype, None)
    if axes != [0, 0, 0] and sorted(axes) != [1, 2, 3]:
        raise InputError(f"{path}: its header tells the axes {axes} of sections, rows and columns; they are 1, 2 and 3")
    order = None if axes == [0, 0, 0] else "".join("xyz"[k - 1] for k in axes)
    return RawVolume({"intensity": data}, told, order)


def _mrc_axes(file: Any) -> dict[int | str, RawAxis]:
    """Return the axes of a volume that simsc wrote: its origin and voxel size are momentum transfers."""
    counts = {letter: int(file.header[f"n{letter}"]) for letter in "xyz"}
    return {
        letter: RawAxis(
            float(file.header.origin[letter]) + float(file.voxel_size[letter]) * np.arange(n), "1/nm", f"q{letter}"
        )
        for letter, n in counts.items()
    }


def _read_vtk(path: Path) -> RawVolume:
    """Read binary structured points, the first array as the intensity unless one is called so."""
    with damage_told(path, _DAMAGED), open(path, "rb") as file:
        head = [file.readline(_LONGEST_LINE).decode("ascii").strip() for _ in range(4)]
        if head[2] != "BINARY" or head[3].split() != ["DATASET", "STRUCTURED_POINTS"]:
            raise InputError(f"{path}: needs BINARY and DATASET STRUCTURED_POINTS; it has {head[2]!r}, {head[3]!r}")
        facts: dict[str, list[str]] = {}
        while "POINT_DATA" not in facts:
            words = file.readline(_LONGEST_LINE).decode("ascii").split()
            facts[words[0].upper()] = words[1:]
        shape = tuple(int(word) for word in facts["DIMENSIONS"])
        if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > _MOST_VOXELS:
            raise InputError(f"{path}: its header tells {shape} points: not a volume of up to 2048³")
        origin, step = ([float(word) for word in facts[key]][:3] for key in ("ORIGIN", "SPACING"))
        arrays: dict[str, np.ndarray] = {}
        while line := file.readline(_LONGEST_LINE).strip():
            kind, name, what, *parts = line.decode("ascii").split()
            if kind != "SCALARS" or what not in _VTK_TYPES or parts not in ([], ["1"]):
                raise InputError(f"{path}: {line.decode('ascii')!r}: only single SCALARS of numbers are read")
            if file.readline(_LONGEST_LINE).split()[:1] != [b"LOOKUP_TABLE"]:
                raise InputError(f"{path}: {name}: needs a line LOOKUP_TABLE")
            dtype = np.dtype(_VTK_TYPES[what])
            size = math.prod(shape) * dtype.itemsize
            # Looked at first: a header may tell any size, and memory is taken for what is asked for.
            data = file.read(size) if size <= path.stat().st_size else b""
            if len(data) < size:
                raise InputError(f"{path}: {name} is cut short")
            native = np.frombuffer(data, dtype).reshape(shape, order="F").astype(dtype.newbyteorder("="))
            arrays[name if name in _ARRAYS else "intensity" if not arrays else name] = native
            file.readline(_LONGEST_LINE)
    if "intensity" not in arrays:
        raise InputError(f"{path}: holds no SCALARS")
    unit = "1/nm" if head[1] == VTK_TITLE else None
    axes: dict[int | str, RawAxis] = {
        letter: RawAxis(origin[k] + step[k] * np.arange(shape[k]), unit, f"q{letter}") for k, letter in enumerate("xyz")
    }
    return RawVolume({role: array for role, array in arrays.items() if role in _ARRAYS}, axes, "xyz")


def _check_array(
    path: Path, name: str, shape: tuple[int, ...] | None, dtype: np.dtype, expected: tuple[int, ...] | None
) -> None:
    if dtype.kind not in "fiub" or shape is None:
        raise InputError(f"{path}: {name} holds {dtype}; real numbers are needed")
    if expected is not None and shape != expected:
        raise InputError(f"{path}: {name} has shape {shape}, the intensity {expected}")
    if math.prod(shape) > _MOST_VOXELS:
        raise InputError(f"{path}: {name} has shape {shape}: more than 2048³ numbers")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
