"""3D intensities in HDF5: NXdata (https://manual.nexusformat.org/classes/base_classes/NXdata.html), or named arrays."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np

from simsc.core.errors import InputError
from simsc.io.hdf5 import open_hdf5
from simsc.io.probe import check_readable, damage_as_input_error
from simsc.io.volume_raw import ARRAYS, DAMAGED, RawAxis, RawVolume, check_array


def has_nxdata(path: Path) -> bool:
    """Tell whether a file is HDF5 with NXdata in it."""
    if not h5py.is_hdf5(path):
        return False

    def is_nxdata(_: str, item: Any) -> bool | None:
        return (isinstance(item, h5py.Group) and _text(item.attrs.get("NX_class", "")) == "NXdata") or None

    def look() -> bool:
        with damage_as_input_error(path, DAMAGED), open_hdf5(path) as file:
            return bool(file.visititems(is_nxdata)) or bool(is_nxdata("", file["/"]))

    try:
        check_readable(path, look)
        return look()
    except InputError:
        return False


def read_hdf5_volume(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read the arrays of an HDF5 file: of its NXdata, or those that are named.

    A damaged file may crash the library, so that it is read in a process of its own first.

    Raises:
        InputError: if the file is damaged, takes data from elsewhere, or lacks what is needed.
    """
    check_readable(path, lambda: _read(path, names))
    return _read(path, names)


def _read(path: Path, names: Mapping[str, str]) -> RawVolume:
    with damage_as_input_error(path, DAMAGED), open_hdf5(path) as file:
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
        arrays = {role: _values(path, data, shape) for role, data in wanted.items() if role in ARRAYS}
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
    check_array(path, data.name, data.shape, data.dtype, shape)
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


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
