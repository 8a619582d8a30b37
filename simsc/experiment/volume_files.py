"""Ready-made intensity volumes of other programs: HDF5 with NXdata, NumPy arrays, MRC.

What a file does not tell, the user has to: the unit of q and the axes are never guessed, and zeros are intensities
unless the user says that they are what was not measured.
"""

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.core.files import is_intensity, open_hdf5, read_intensity
from simsc.core.intensity import IntensityVolume
from simsc.core.probe import check_readable

# Factors to nm⁻¹ of the units that files and users name, without blanks, carets and braces, in lower case.
UNITS = {"1/nm": 1.0, "1/A": 10.0, "1/m": 1e-9}
_ALIASES = {
    "1/nm": "1/nm", "nm-1": "1/nm", "nm**-1": "1/nm", "1/nanometer": "1/nm", "1/nanometre": "1/nm",
    "1/a": "1/A", "a-1": "1/A", "1/å": "1/A", "å-1": "1/A", "1/angstrom": "1/A", "angstrom-1": "1/A",
    "1/ang": "1/A", "1/m": "1/m", "m-1": "1/m",
}  # fmt: skip
_MANY_ZEROS = 0.01
_EVEN = 1e-3  # relative scatter of the steps of an axis that rounding in a file may leave
_DAMAGED = (
    OSError, RuntimeError, ValueError, TypeError, LookupError, OverflowError, MemoryError, EOFError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True)
class VolumeOptions:
    """What the user tells of a volume; None leaves it to the file.

    Args:
        unit: of q, one of `UNITS`.
        q_max: the axes go from −q_max to q_max, in that unit.
        names: which arrays of a .npz file, or datasets of an HDF5 file, hold what: `intensity`, `qx`, `qy`, `qz`,
            `variance`, `measured`.
        order: of the axes of the array in the file, such as "xyz" or "zyx".
        zeros_missing: whether a zero means that nothing was measured.
    """

    unit: str | None = None
    q_max: float | None = None
    names: Mapping[str, str] | None = None
    order: str = "xyz"
    zeros_missing: bool = False


@dataclass(frozen=True, eq=False)
class _Content:
    """What a file holds, in its own unit and order."""

    intensity: np.ndarray
    axes: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    unit: str | None = None
    variance: np.ndarray | None = None
    measured: np.ndarray | None = None


def read_volume(path: Path, options: VolumeOptions | None = None) -> IntensityVolume:
    """Read an intensity volume.

    Args:
        path: HDF5 (of simsc, or with an NXdata group), .npy, .npz, or MRC (.mrc, .map, .ccp4).
        options: what the file does not tell.

    Returns:
        The volume in nm⁻¹; what is NaN, or masked, counts as not measured.

    Raises:
        InputError: if the file cannot be read, if it and the user tell different units, if nobody tells unit or axes,
            or for arrays that are no volume.

    Warns:
        SimscWarning: if many voxels are exactly 0, and nobody said what that means.
    """
    options = options or VolumeOptions()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if sorted(options.order) != ["x", "y", "z"]:
        raise InputError(f"--order {options.order!r}: needs x, y and z once each, such as zyx")
    try:
        check_readable(path, lambda: is_intensity(path) or _read(path, options.names or {}, options.order))
        if is_intensity(path):
            return read_intensity(path)
        content = _read(path, options.names or {}, options.order)
    except InputError:
        raise
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as a volume ({reason})") from None
    return _volume(path, content, options)


def _read(path: Path, names: Mapping[str, str], order: str) -> _Content:
    if h5py.is_hdf5(path):
        return _from_hdf5(path, names, order)
    if path.suffix == ".npy":
        return _Content(np.load(path, allow_pickle=False))
    if path.suffix == ".npz" or zipfile.is_zipfile(path):
        return _from_npz(path, names)
    if path.suffix.lower() in (".mrc", ".map", ".ccp4"):
        import mrcfile

        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                with mrcfile.open(path, permissive=False) as file:
                    # MRC keeps sections, rows, columns, that is z, y, x.
                    return _Content(np.array(file.data).transpose(2, 1, 0))
            except RuntimeWarning as warning:
                raise InputError(f"{path}: is damaged ({' '.join(str(warning).split())})") from None
    raise InputError(f"{path}: is of no kind that is known; volumes are HDF5, .npy, .npz or .mrc")


def _from_npz(path: Path, names: Mapping[str, str]) -> _Content:
    with np.load(path, allow_pickle=False) as arrays:

        def get(what: str) -> np.ndarray | None:
            name = names.get(what, what)
            if name in arrays:
                return np.asarray(arrays[name])
            if what in names:
                raise InputError(f"{path}: has no array {name!r}; it has {', '.join(arrays.files)}")
            return None

        intensity = get("intensity")
        if intensity is None:
            raise InputError(f"{path}: has no array 'intensity', but {', '.join(arrays.files)}; name the one (--name)")
        axes = [get(f"q{axis}") for axis in "xyz"]
        unit = get("unit")
        told = str(unit) if unit is not None and unit.dtype.kind == "U" and unit.ndim == 0 else None
        return _Content(intensity, _triple(path, axes), told, get("variance"), get("measured"))


def _from_hdf5(path: Path, names: Mapping[str, str], order: str) -> _Content:
    with open_hdf5(path) as file:
        group = _default_data(file)

        def get(what: str, own: str | None) -> h5py.Dataset | None:
            name = names.get(what)
            found = file.get(name) if name else (None if group is None or not own else group.get(own))
            if name and not isinstance(found, h5py.Dataset):
                raise InputError(f"{path}: has no dataset {name!r}")
            return found if isinstance(found, h5py.Dataset) else None

        signal, axes = (None, []) if group is None else (_text(group.attrs.get("signal")), _axis_names(group))
        data = get("intensity", signal)
        if data is None:
            raise InputError(f"{path}: has no NXdata group with a signal; name the dataset (--name intensity=…)")
        if data.dtype.kind not in "uif":
            raise InputError(f"{path}: {data.name} holds {data.dtype}; intensities are numbers")
        own = dict(zip(order, axes if len(axes) == 3 else [None] * 3, strict=True))
        found = [get(f"q{axis}", own[axis]) for axis in "xyz"]
        units = {_text(axis.attrs.get("units")) for axis in found if axis is not None} - {""}
        if len(units) > 1:
            raise InputError(f"{path}: its axes have different units: {', '.join(sorted(units))}")
        errors = get("errors", f"{signal}_errors" if signal else None)
        variance = get("variance", "variance")
        measured = get("measured", "measured")
        return _Content(
            data[()],
            _triple(path, [None if axis is None else axis[()] for axis in found]),
            next(iter(units), None),
            errors[()].astype(float) ** 2 if errors is not None else (None if variance is None else variance[()]),
            None if measured is None else measured[()],
        )


def _default_data(file: h5py.File) -> h5py.Group | None:
    """Return the NXdata group that the file calls its default, or the only one there is."""
    group: Any = file
    for _ in range(8):
        if isinstance(group, h5py.Group) and _text(group.attrs.get("NX_class")) == "NXdata":
            return group
        name = _text(group.attrs.get("default")) if isinstance(group, h5py.Group) else ""
        if not name or not isinstance(group.get(name), h5py.Group):
            break
        group = group[name]
    found: list[h5py.Group] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _text(item.attrs.get("NX_class")) == "NXdata":
            found.append(item)

    file.visititems(visit)
    return found[0] if len(found) == 1 else None


def _axis_names(group: h5py.Group) -> list[str]:
    axes = group.attrs.get("axes", [])
    if isinstance(axes, str | bytes):
        return [part for part in _text(axes).replace(",", ":").split(":") if part]
    return [_text(axis) for axis in np.asarray(axes).ravel().tolist()]


def _triple(path: Path, axes: list[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    known = [axis for axis in axes if axis is not None]
    if not known:
        return None
    if len(known) != 3 or any(axis.ndim != 1 or axis.dtype.kind not in "uif" for axis in known):
        raise InputError(f"{path}: needs three axes qx, qy, qz of numbers, or none of them")
    x, y, z = (axis.astype(float) for axis in known)
    return x, y, z


def _volume(path: Path, content: _Content, options: VolumeOptions) -> IntensityVolume:
    intensity = np.asarray(content.intensity)
    if intensity.ndim != 3 or intensity.dtype.kind not in "uif" or min(intensity.shape) < 4:
        raise InputError(
            f"{path}: holds an array of shape {intensity.shape} and type {intensity.dtype}; a volume has three "
            "dimensions of at least 4 numbers"
        )
    factor = UNITS[_unit(path, content.unit, options.unit)]
    extras = {"variance": content.variance, "mask of what was measured": content.measured}
    for name, array in extras.items():
        if array is not None and array.shape != intensity.shape:
            raise InputError(f"{path}: the {name} has shape {array.shape}, the intensity {intensity.shape}")
    # Along x, y, z from here on.
    order = [options.order.index(axis) for axis in "xyz"]
    intensity = np.asarray(intensity.transpose(order), dtype=float)
    variance, measured = (
        None if array is None else np.asarray(array).transpose(order) for array in (content.variance, content.measured)
    )
    own = _axes(path, content.axes, options, intensity.shape, factor)
    flips = tuple(slice(None, None, -1 if axis[0] > axis[-1] else 1) for axis in own)
    axes = (own[0][flips[0]], own[1][flips[1]], own[2][flips[2]])
    intensity = intensity[flips]
    seen = np.isfinite(intensity)
    if measured is not None:
        seen &= measured[flips].astype(bool)
    zeros = seen & (intensity == 0)
    if options.zeros_missing:
        seen &= ~zeros
    elif zeros.mean() > _MANY_ZEROS:
        warnings.warn(
            f"{path}: {100 * zeros.mean():.0f} % of the intensities are exactly 0; if that means that nothing was "
            "measured there, say so with --zeros-missing",
            SimscWarning,
            stacklevel=3,
        )
    if variance is not None:
        variance = np.where(seen, variance[flips].astype(float), np.nan)
    if not seen.any():
        raise InputError(f"{path}: holds no intensity that was measured")
    return IntensityVolume(np.where(seen, intensity, np.nan), axes, None if seen.all() else seen, None, variance)


def _axes(
    path: Path,
    own: tuple[np.ndarray, ...] | None,
    options: VolumeOptions,
    shape: tuple[int, ...],
    factor: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if own is None:
        if options.q_max is None:
            raise InputError(f"{path}: does not tell its axes; give --q-max, if they go from −q to q")
        if not 0 < options.q_max < np.inf:
            raise InputError(f"--q-max {options.q_max:g}: must be a positive number")
        x, y, z = (np.linspace(-options.q_max, options.q_max, n) * factor for n in shape)
        return x, y, z
    if options.q_max is not None:
        raise InputError(f"{path}: has axes of its own; leave --q-max out")
    axes = []
    for name, axis, n in zip("xyz", own, shape, strict=True):
        steps = np.diff(axis)
        if len(axis) != n:
            raise InputError(f"{path}: q{name} has {len(axis)} numbers, the intensity {n} along {name}; check --order")
        if not np.isfinite(axis).all() or steps.mean() == 0 or np.ptp(steps) > _EVEN * abs(steps.mean()):
            raise InputError(f"{path}: q{name} must be evenly spaced finite numbers")
        axes.append(np.linspace(axis[0], axis[-1], n) * factor)
    return axes[0], axes[1], axes[2]


def _unit(path: Path, own: str | None, told: str | None) -> str:
    if told is not None and told not in UNITS:
        raise InputError(f"--unit {told!r}: is one of {', '.join(UNITS)}")
    named = None
    if own:
        named = _ALIASES.get(own.strip().lower().translate(str.maketrans("", "", " ^{}()")).replace("⁻¹", "-1"))
        if named is None and told is None:
            raise InputError(
                f"{path}: its axes have the unit {own!r}; say which one of {', '.join(UNITS)} that is (--unit)"
            )
    if named and told and named != told:
        raise InputError(f"{path}: says that q is in {own}, --unit says {told}")
    if not (named or told):
        raise InputError(f"{path}: does not tell the unit of q; give --unit, one of {', '.join(UNITS)}")
    return str(named or told)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
