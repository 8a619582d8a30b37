"""Ready-made 3D intensities of other programs as `IntensityVolume`.

The user says what a file does not: the unit of q, where q = 0 lies, whether 0 means "nothing was scattered" or
"nothing was measured", what a mask marks. Nothing is guessed; where file and user disagree, an error says so. Momentum
transfers are q = 4π sin θ / λ, with the 2π. NaN means "not measured"; nothing is filled with zeros.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import IntensityVolume
from simsc.core.units import inv_nm_per
from simsc.io.hdf5 import is_intensity
from simsc.io.native import read_intensity
from simsc.io.probe import check_readable
from simsc.io.volume_formats import read_raw
from simsc.io.volume_numpy import read_axis
from simsc.io.volume_raw import RawAxis, RawVolume

Meaning = Literal["measured", "missing"]
_SUSPICIOUS = 0.01  # part of voxels of one and the same value
_UNEVEN = 0.01  # steps: rounding of printed axes; a point is off by no more than that


@dataclass(frozen=True)
class VolumeMetadata:
    """What the user says about a volume that its file does not.

    Args:
        unit: of momentum transfers, in the file and here: "1/nm", "1/A" …; None: the file tells.
        q_max: the first point of each axis is at −q_max, the last at q_max.
        q_step: between points along each axis, instead.
        centre: of the grid with a q_step: the number, from 0, of the voxel at q = 0 along x, y and z; it may be
            fractional. None: the middle one, which an even number of points lacks.
        q_axes: three files of axes, of x, y and z, instead (`read_axis`).
        order: which of x, y and z the dimensions of the array are; None for what the file tells, else "xyz".
        names: of arrays in the file by their roles (`simsc.io.volume_raw.ROLES`).
        mask_true: what a 1 in an array called mask means; one called measured tells by its name.
        zeros: what an intensity of exactly 0 means; None: it is measured, with a warning if there are many.
        missing: other values that mean "not measured", such as −1.
    """

    unit: str | None = None
    q_max: float | None = None
    q_step: float | None = None
    centre: tuple[float, float, float] | None = None
    q_axes: tuple[Path, Path, Path] | None = None
    order: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    mask_true: Meaning | None = None
    zeros: Meaning | None = None
    missing: Sequence[float] = ()

    def __post_init__(self) -> None:
        if sum(way is not None for way in (self.q_max, self.q_step, self.q_axes)) > 1:
            raise InputError("the axes are given in more than one way: give q_max, or q_step, or files of axes")
        for name, value in (("q_max", self.q_max), ("q_step", self.q_step)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value:g}")
        if self.centre is not None and (self.q_step is None or not np.isfinite(self.centre).all()):
            raise InputError("a centre is three numbers of voxels, and goes with a q_step")
        if self.order is not None and sorted(self.order) != ["x", "y", "z"]:
            raise InputError(f"order {self.order!r}: is x, y and z in some order, such as zyx")


def read_volume(path: Path, metadata: VolumeMetadata | None = None) -> IntensityVolume:
    """Read a 3D intensity from HDF5 (of simsc, or with NXdata), .npy, .npz, MRC or legacy VTK.

    In .npz, and beside the signal of NXdata, arrays are called `intensity`, `qx`, `qy`, `qz`, `variance`, `errors`
    (standard deviations), `counts` (how many pixels were averaged in a voxel; 0 is not measured), `measured` and
    `mask`, unless other names are given.

    Args:
        path: file.
        metadata: what the file does not tell.

    Raises:
        InputError: if the file is damaged, if neither file nor user say what is needed, or both say different things,
            for axes that are not even, or values that are infinite.

    Warns:
        SimscWarning: if more than 1 % of the voxels are exactly 0, or of one same negative value, and nobody said
            what that means.
    """
    metadata = metadata or VolumeMetadata()
    if _is_own(path):
        return _own(path, metadata)
    raw = read_raw(path, metadata.names)
    intensity = raw.arrays["intensity"]
    if intensity.ndim != 3:
        raise InputError(f"{path}: the intensity has shape {intensity.shape}; three dimensions are needed")
    order = _order(path, raw, metadata)
    axes = [_axis(path, raw, metadata, k, order[k]) for k in range(3)]
    to_xyz = tuple(order.index(letter) for letter in "xyz")
    # Descending axes are turned round, with all arrays.
    turned = tuple(slice(None, None, -1 if axes[k][0] > axes[k][-1] else 1) for k in to_xyz)
    arrays = {role: array.transpose(to_xyz)[turned] for role, array in raw.arrays.items()}
    one, two, three = (axes[k][turn] for k, turn in zip(to_xyz, turned, strict=True))
    values = _floats(arrays["intensity"])
    measured = _measured(path, arrays, values, metadata)
    variance = _variance(path, arrays)
    try:
        return IntensityVolume(
            np.where(measured, values, np.nan).astype(values.dtype),
            (one, two, three),
            None if measured.all() else measured,
            variance=None if variance is None else np.where(measured, variance, np.nan),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _is_own(path: Path) -> bool:
    if path.is_file() and h5py.is_hdf5(path):
        check_readable(path, lambda: is_intensity(path))
    return is_intensity(path)


def _own(path: Path, metadata: VolumeMetadata) -> IntensityVolume:
    if metadata != VolumeMetadata():
        raise InputError(f"{path}: is an intensity of simsc, which tells everything itself; leave the options out")
    try:
        check_readable(path, lambda: read_intensity(path))
        return read_intensity(path)
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: is damaged ({' '.join(str(error).split())})") from None
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None


def _order(path: Path, raw: RawVolume, metadata: VolumeMetadata) -> str:
    if raw.order and metadata.order and raw.order != metadata.order:
        raise InputError(f"{path}: the file tells the order {raw.order} of its axes, the option {metadata.order}")
    return raw.order or metadata.order or "xyz"


def _axis(path: Path, raw: RawVolume, metadata: VolumeMetadata, dimension: int, letter: str) -> np.ndarray:
    """Return the points (n,) of a dimension, nm⁻¹, evenly spaced."""
    n = raw.arrays["intensity"].shape[dimension]
    if n < 4:
        raise InputError(f"{path}: has {n} points along {letter}; at least 4 are needed")
    own = raw.axes.get(dimension) or raw.axes.get(letter)
    by_user = _axis_of_user(path, metadata, letter, n)
    if own is None and by_user is None:
        raise InputError(f"{path}: does not tell q along {letter}: give its range, its step or a file of the axis")
    found = None if own is None else _even(path, own, n) * _factor(path, own, metadata)
    if by_user is not None:
        if metadata.unit is None:
            raise InputError(f"{path}: does not tell the unit of q; give it, 1/nm or 1/A")
        by_user = by_user * _known_unit(path, metadata.unit)
        if found is not None and np.abs(found - by_user).max() > 0.01 * abs(found[1] - found[0]):
            raise InputError(
                f"{path}: the file tells q from {found[0]:g} to {found[-1]:g} nm⁻¹ along {letter}, the options "
                f"{by_user[0]:g} to {by_user[-1]:g}"
            )
    result = found if found is not None else by_user
    assert result is not None
    return result


def _factor(path: Path, axis: RawAxis, metadata: VolumeMetadata) -> float:
    if axis.unit is None and metadata.unit is None:
        raise InputError(f"{path}: does not tell the unit of its axis {axis.name}; give it, 1/nm or 1/A")
    own, by_user = (None if unit is None else _known_unit(path, unit) for unit in (axis.unit, metadata.unit))
    if own is not None and by_user is not None and not np.isclose(own, by_user, rtol=1e-6):
        raise InputError(
            f"{path}: the file tells the unit {axis.unit} of its axis {axis.name}, the option {metadata.unit}"
        )
    factor = own if own is not None else by_user
    assert factor is not None
    return factor


def _known_unit(path: Path, unit: str) -> float:
    try:
        return inv_nm_per(unit)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _axis_of_user(path: Path, metadata: VolumeMetadata, letter: str, n: int) -> np.ndarray | None:
    if metadata.q_axes is not None:
        file = metadata.q_axes["xyz".index(letter)]
        return _even(file, RawAxis(read_axis(file), None, f"q{letter}"), n)
    if metadata.q_max is not None:
        return np.linspace(-metadata.q_max, metadata.q_max, n)
    if metadata.q_step is None:
        return None
    if metadata.centre is None and n % 2 == 0:
        raise InputError(f"{path}: {n} points along {letter} have no middle one: tell the centre, where q = 0 is")
    middle = (n - 1) / 2 if metadata.centre is None else metadata.centre["xyz".index(letter)]
    return metadata.q_step * (np.arange(n) - middle)


def _even(path: Path, axis: RawAxis, n: int) -> np.ndarray:
    """Return exactly even points (n,), of points that are even but for their rounding, or of the edges of bins."""
    values = axis.values.astype(float)
    if len(values) == n + 1:
        values = (values[1:] + values[:-1]) / 2
    if len(values) != n or not np.isfinite(values).all():
        raise InputError(f"{path}: the axis {axis.name} has {len(axis.values)} points, the intensity {n}; all finite")
    line = np.linspace(values[0], values[-1], n)
    step = abs(float(line[1] - line[0]))
    if not step > 0 or np.abs(values - line).max() > _UNEVEN * step:
        raise InputError(f"{path}: the axis {axis.name} is not evenly spaced; bring the intensity onto an even grid")
    return line


def _floats(values: np.ndarray) -> np.ndarray:
    """Return floating-point numbers that hold all values exactly, of at most 64 bits."""
    kind = np.result_type(values.dtype, np.float32)
    return np.ascontiguousarray(values, dtype=kind if kind.itemsize <= 8 else np.float64)


def _measured(path: Path, arrays: Mapping[str, np.ndarray], values: np.ndarray, metadata: VolumeMetadata) -> np.ndarray:
    """Return what was measured, (nx, ny, nz) bool."""
    measured = ~np.isnan(values)
    for value in (*metadata.missing, *((0.0,) if metadata.zeros == "missing" else ())):
        measured &= values != np.asarray(value, dtype=values.dtype)
    if "measured" in arrays:
        measured &= _truth(path, "measured", arrays["measured"])
    if "mask" in arrays:
        if metadata.mask_true is None:
            raise InputError(f"{path}: has a mask: tell whether a 1 in it means measured or missing")
        measured &= _truth(path, "mask", arrays["mask"]) == (metadata.mask_true == "measured")
    elif metadata.mask_true is not None:
        raise InputError(f"{path}: has no mask of which to tell what a 1 means")
    if "counts" in arrays:
        if not (arrays["counts"] >= 0).all():
            raise InputError(f"{path}: counts of averaged pixels cannot be negative")
        measured &= arrays["counts"] > 0
    if np.isinf(values[measured]).any():
        raise InputError(f"{path}: the intensity is infinite in some voxels; NaN means not measured")
    is_stated = bool({"measured", "mask", "counts"} & arrays.keys()) or bool(np.isnan(values).any())
    _warn_of_fillers(path, values[measured], metadata, is_stated)
    return measured


def _truth(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    if not np.isin(values, (0, 1)).all():
        raise InputError(f"{path}: {name} holds other numbers than 0 and 1")
    return values != 0


def _warn_of_fillers(path: Path, values: np.ndarray, metadata: VolumeMetadata, is_stated: bool) -> None:
    """Warn of one value that many measured voxels share; zeros are counts if it is stated what was not."""
    if values.size == 0:
        return
    suspects = [0.0] if metadata.zeros is None and not is_stated else []
    if (lowest := float(values.min())) < 0:
        suspects.append(lowest)
    for value in suspects:
        part = float(np.mean(values == value))
        if part > _SUSPICIOUS:
            advice = "--zeros missing or measured" if value == 0 else f"--missing {value:g}"
            warnings.warn(
                f"{path}: {100 * part:.1f} % of the intensity is exactly {value:g}: if that means not measured, say so "
                f"({advice})",
                SimscWarning,
                stacklevel=4,
            )


def _variance(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    if "variance" in arrays and "errors" in arrays:
        raise InputError(f"{path}: has both a variance and standard deviations (errors); name one of them")
    if "variance" in arrays:
        return _floats(arrays["variance"])
    if "errors" in arrays:
        errors = _floats(arrays["errors"])
        if (errors < 0).any():
            raise InputError(f"{path}: standard deviations cannot be negative")
        return errors**2
    return None
