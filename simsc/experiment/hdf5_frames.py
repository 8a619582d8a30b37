"""Frames in HDF5: master files of DECTRIS EIGER detectors, and NeXus NXmx.

Both keep frames in `entry/data`, as one dataset or as links `data_000001` … to files beside the master, and geometry in
`entry/instrument`. EIGER masters have `detectorSpecific`; NXmx has units with everything, and the angles in
`entry/sample/transformations` (https://manual.nexusformat.org/classes/applications/NXmx.html).
"""

import contextlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.errors import InputError, SimscWarning
from simsc.core.units import wavelength_nm
from simsc.experiment.angles import angles_of_frames
from simsc.experiment.bitshuffle import check_frame
from simsc.experiment.frames import FrameSeries
from simsc.experiment.hdf5_links import LinkedFiles, LinkedGroup, check_written
from simsc.io.hdf5 import open_hdf5
from simsc.io.probe import damage_as_input_error

_LENGTHS_M = {
    "m": 1.0,
    "metre": 1.0,
    "meter": 1.0,
    "mm": 1e-3,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,
    "micron": 1e-6,
    "nm": 1e-9,
}
_LENGTHS_M |= {"angstrom": 1e-10, "a": 1e-10, "å": 1e-10, "cm": 1e-2}
_ENERGIES_KEV = {"ev": 1e-3, "kev": 1.0}
_TURNS_DEG = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi, "radian": 180 / np.pi}
_TIMES_S = {"s": 1.0, "second": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_GONIOMETER = ("omega", "phi", "chi", "kappa")
_PIXELS = ("pixel", "pixels", "px")
_AGREE = 1e-3  # relative difference of wavelengths that is worth a word
_ALONG = 0.996  # cosine of 5°
# What h5py raises for damaged files, depending on what is damaged.
_DAMAGED = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError, MemoryError)


@dataclass(frozen=True)
class _Segment:
    """Frames of one dataset."""

    path: Path
    dataset: str
    n: int


@dataclass(frozen=True)
class _Reader:
    segments: tuple[_Segment, ...]

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for segment, group in groupby(map(self._place, numbers), key=lambda place: place[0]):
            with damage_as_input_error(segment.path, _DAMAGED), open_hdf5(segment.path) as file:
                data = file[segment.dataset]
                for _, own in group:
                    check_frame(segment.path, data, own)
                    try:
                        frame = data[own]
                    except _DAMAGED as error:
                        reason = " ".join(str(error).split())
                        raise InputError(
                            f"{segment.path}: frame {own + 1} of {segment.n} cannot be read ({reason})"
                        ) from None
                    # HDF5 keeps the order of bytes of the file; whoever adds frames counts on the machine's.
                    yield frame.astype(data.dtype.newbyteorder("="), copy=False)

    def file(self, number: int) -> Path:
        return self._place(number)[0].path

    def _place(self, number: int) -> tuple[_Segment, int]:
        """Return the segment of a frame, and its number there."""
        for segment in self.segments:
            if number < segment.n:
                return segment, number
            number -= segment.n
        raise IndexError(number)


def has_layout_of_frames(path: Path) -> bool:
    """Tell whether a file is HDF5 with the groups of an EIGER master or of NXmx, whatever they hold."""
    if not h5py.is_hdf5(path):
        return False
    try:
        with damage_as_input_error(path, _DAMAGED), contextlib.ExitStack() as stack:
            entry = _child(LinkedFiles(path, stack).root, "entry", "NXentry", path)
            _child(_child(entry, "instrument", "NXinstrument", path), "detector", "NXdetector", path)
            _child(entry, "data", "NXdata", path)
    except InputError:
        return False
    return True


def read_hdf5_series(path: Path) -> FrameSeries:
    """Read what an EIGER master or an NXmx file states of its frames.

    Raises:
        InputError: if data files are missing, cut or outside of the folder of the master, if frames are fewer than
            promised, or for numbers, units or shapes that make no sense; the message names file and key.

    Warns:
        SimscWarning: if there is no pixel mask, or the rotation axis is not vertical.
    """
    with damage_as_input_error(path, _DAMAGED), contextlib.ExitStack() as stack:
        entry = _child(LinkedFiles(path, stack).root, "entry", "NXentry", path)
        instrument = _child(entry, "instrument", "NXinstrument", path)
        detector = _child(instrument, "detector", "NXdetector", path)
        special = detector.get("detectorSpecific")
        special = special if isinstance(special, LinkedGroup) else detector
        segments, shape, dtype = _segments(path, _child(entry, "data", "NXdata", path))
        n = sum(segment.n for segment in segments)
        _check_number(path, special, n)
        for key, expected in zip(("y_pixels_in_detector", "x_pixels_in_detector"), shape, strict=True):
            value = _number(path, special, key)
            if value is not None and value != expected:
                raise InputError(
                    f"{path}: {key} is {value:g}, but frames have {shape[0]} rows and {shape[1]} columns: the axes may "
                    "be swapped"
                )
        bad = _mask(path, (special, detector), shape)
        if bad is None:
            warnings.warn(
                f"{path}: has no pixel_mask; only pixels with the largest number of their type are left out",
                SimscWarning,
                stacklevel=2,
            )
        angles = _angles(path, entry, n)
        pixel = _pair(
            _positive(path, f"{axis}_pixel_size", _number(path, detector, f"{axis}_pixel_size", _LENGTHS_M, "m"))
            for axis in "yx"
        )
        return FrameSeries(
            str(path),
            n,
            shape,
            dtype,
            _Reader(tuple(segments)),
            bad,
            _invalid(path, detector, dtype),
            None if angles is None else angles_of_frames(angles, n, str(path)),
            _exposure(path, detector, n),
            pixel,
            _distance(path, detector),
            _wavelength(path, instrument.get("beam"), special),
            _centre(path, detector, pixel),
        )


def _child(parent: LinkedGroup, name: str, kind: str, path: Path) -> LinkedGroup:
    """Return a group by its name, or else the one of a NeXus class."""
    if isinstance(group := parent.get(name), LinkedGroup):
        return group
    found = {key: group for key in parent if isinstance(group := parent.get(key), LinkedGroup)}
    found = {key: group for key, group in found.items() if _text(group.attrs.get("NX_class", "")) == kind}
    if len(found) > 1:
        raise InputError(f"{path}: {parent.name} has several groups {kind} ({', '.join(found)}); name one {name}")
    if not found:
        where = f"{parent.name.rstrip('/')}/{name}"
        raise InputError(f"{path}: has no group {where} ({kind}); is it a master file of frames?")
    return next(iter(found.values()))


def _segments(path: Path, data: LinkedGroup) -> tuple[list[_Segment], tuple[int, int], np.dtype]:
    """Return where the frames are, their shape, and their type."""
    names = sorted((name for name in data if re.fullmatch(r"data_[0-9]+", name)), key=lambda name: int(name[5:]))
    for one, two in pairwise(names):
        if int(two[5:]) != int(one[5:]) + 1:
            raise InputError(f"{path}: {data.name} goes on from {one} to {two}; what is between them is missing")
    names = names or [name for name in ("data", _text(data.attrs.get("signal", ""))) if name and name in data][:1]
    if not names:
        raise InputError(f"{path}: {data.name} holds neither data_000001 … nor data")
    segments = []
    kinds = set()
    for name in names:
        frames = data.get(name)
        if not isinstance(frames, h5py.Dataset):
            raise InputError(f"{path}: {data.name}/{name} leads to no dataset of frames")
        target = Path(frames.file.filename)
        if frames.ndim != 3 or min(frames.shape) < 1:
            raise InputError(
                f"{target}: {frames.name} has shape {frames.shape}; frames need three dimensions: number, rows, columns"
            )
        if frames.dtype.kind not in "ui":
            raise InputError(f"{target}: {frames.name} holds {frames.dtype}; counts are whole numbers")
        check_written(target, frames)
        segments.append(_Segment(target, str(frames.name), int(frames.shape[0])))
        kinds.add((int(frames.shape[1]), int(frames.shape[2]), frames.dtype))
    if len(kinds) > 1:
        shapes = ", ".join(sorted(f"{rows} × {columns} {dtype}" for rows, columns, dtype in kinds))
        raise InputError(f"{path}: its data files hold frames of different shapes or types: {shapes}")
    rows, columns, dtype = kinds.pop()
    return segments, (rows, columns), dtype.newbyteorder("=")


def _check_number(path: Path, special: LinkedGroup, n: int) -> None:
    images, triggers = _number(path, special, "nimages"), _number(path, special, "ntrigger")
    if images is None:
        return
    promised = images * (1 if triggers is None else triggers)
    if promised != n:
        what = "some are missing" if n < promised else "some belong to another scan, or nimages and ntrigger are wrong"
        raise InputError(
            f"{path}: promises {promised:g} frames (nimages × ntrigger), its data files hold {n} whole ones; {what}"
        )


def _mask(path: Path, groups: tuple[LinkedGroup, ...], shape: tuple[int, int]) -> np.ndarray | None:
    for group in groups:
        mask = group.get("pixel_mask")
        if isinstance(mask, h5py.Dataset):
            if mask.shape != shape or mask.dtype.kind not in "uib":
                raise InputError(f"{path}: pixel_mask has shape {mask.shape} ({mask.dtype}), frames have {shape}")
            bad = mask[:] != 0
            if bad.all():
                raise InputError(f"{path}: pixel_mask excludes every pixel")
            return bad
    return None


def _invalid(path: Path, detector: LinkedGroup, dtype: np.dtype) -> int | None:
    """Return the smallest number that is no count."""
    limits = [int(np.iinfo(dtype).max)] if dtype.kind == "u" else []
    if (stated := _number(path, detector, "saturation_value")) is not None and stated >= 1:
        limits.append(int(stated) + 1)
    stated = _number(path, detector, "bit_depth_image")
    if stated is not None and stated not in (8, 16, 32, 64):
        raise InputError(f"{path}: bit_depth_image is {stated:g}; it is one of 8, 16, 32, 64")
    if stated is not None and dtype.kind == "u":
        limits.append(2 ** int(stated) - 1)
    return min(limits, default=None)


def _distance(path: Path, detector: LinkedGroup) -> float | None:
    for key in ("detector_distance", "distance"):
        if (value := _number(path, detector, key, _LENGTHS_M, "m")) is not None:
            if value == 0:
                _never_set(path, key)
                return None
            return _positive(path, key, value)
    return None


def _centre(path: Path, detector: LinkedGroup, pixel_m: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return row and column of the beam centre, which NeXus has in pixels or as a length."""
    centre = []
    for key, side_m in zip(("beam_center_y", "beam_center_x"), pixel_m or (None, None), strict=True):
        value, dataset = _number(path, detector, key), detector.get(key)
        if value is not None and isinstance(dataset, h5py.Dataset):
            unit = _unit(path, dataset, "pixel")
            if unit not in _PIXELS:
                if side_m is None:
                    raise InputError(f"{path}: {dataset.name} is in {unit}, but the file does not tell the pixel size")
                value *= _factor(path, dataset, _LENGTHS_M, "m") / side_m
        centre.append(value)
    if centre == [0, 0]:
        _never_set(path, "beam_center")
        return None
    return _pair(centre)


def _never_set(path: Path, key: str) -> None:
    # What detectors write that were not given it.
    warnings.warn(f"{path}: {key} is 0, so it was never set; it is not used", SimscWarning, stacklevel=2)


def _exposure(path: Path, detector: LinkedGroup, n: int) -> np.ndarray | None:
    times = detector.get("count_time")
    if isinstance(times, h5py.Dataset) and times.shape == (n,) and times.dtype.kind in "fiu":
        exposure = times[:].astype(float) * _factor(path, times, _TIMES_S, "s")
        if not (np.isfinite(exposure).all() and (exposure > 0).all()):
            raise InputError(f"{path}: {times.name} must be positive numbers")
        return exposure
    stated = _positive(path, "count_time", _number(path, detector, "count_time", _TIMES_S, "s"))
    return None if stated is None else np.full(n, stated)


def _wavelength(path: Path, beam: Any, special: LinkedGroup) -> float | None:
    """Return the wavelength, nm; a file may state it more than once."""
    stated: dict[str, float] = {}
    if isinstance(beam, LinkedGroup):
        for key in ("incident_wavelength", "wavelength"):
            if (value := _number(path, beam, key, _LENGTHS_M, "angstrom")) is not None:
                stated[key] = 1e9 * value
    for group, key in ((beam, "incident_energy"), (special, "photon_energy")):
        if isinstance(group, LinkedGroup) and (value := _number(path, group, key, _ENERGIES_KEV, "eV")) is not None:
            stated[key] = wavelength_nm(_positive(path, key, value) or 1.0)
    for key, value in stated.items():
        _positive(path, key, value)
    if stated and max(stated.values()) > (1 + _AGREE) * min(stated.values()):
        words = ", ".join(f"{key} {value:.6g} nm" for key, value in stated.items())
        warnings.warn(
            f"{path}: tells different wavelengths: {words}; the first is used, unless you give the energy",
            SimscWarning,
            stacklevel=2,
        )
    return next(iter(stated.values()), None)


def _angles(path: Path, entry: LinkedGroup, n: int) -> np.ndarray | None:
    """Return the angles of the one axis that turns; None if the file states none."""
    sample = entry.get("sample")
    if not isinstance(sample, LinkedGroup):
        return None
    found: dict[str, np.ndarray] = {}
    transformations, goniometer = sample.get("transformations"), sample.get("goniometer")
    if isinstance(transformations, LinkedGroup):
        for name in transformations:
            axis = transformations.get(name)
            if isinstance(axis, h5py.Dataset) and (
                name in _GONIOMETER or _text(axis.attrs.get("transformation_type", "")) == "rotation"
            ):
                angles = _turning(path, transformations, name, axis)
                if angles is not None:
                    found[name] = angles * _sense(path, transformations, axis)
    if isinstance(goniometer, LinkedGroup):
        for name in _GONIOMETER:
            axis = goniometer.get(name)
            angles = None
            if isinstance(axis, h5py.Dataset):
                angles = _turning(path, goniometer, name, axis)
                sense = 1.0 if angles is None else _sense(path, goniometer, axis)
            else:
                start, step = (
                    _number(path, goniometer, f"{name}_{what}", _TURNS_DEG, "deg") for what in ("start", "increment")
                )
                sense = 1.0
                if start is not None and step:
                    angles = start + step * (np.arange(n) + 0.5)
            if angles is not None:
                found.setdefault(name, angles * sense)
    if len(found) > 1:
        raise InputError(
            f"{path}: {', '.join(sorted(found))} all change from frame to frame; give the angles (--angles)"
        )
    return next(iter(found.values()), None)


def _turning(path: Path, group: LinkedGroup, name: str, axis: h5py.Dataset) -> np.ndarray | None:
    """Return angles in the middle of exposures, degrees; None for an axis that stands still."""
    if axis.dtype.kind not in "fiu" or axis.shape is None or axis.ndim > 1:
        raise InputError(f"{path}: {axis.name} must be a list of angles, it has shape {axis.shape} ({axis.dtype})")
    angles = axis[()].reshape(-1).astype(float) * _factor(path, axis, _TURNS_DEG, "deg")
    if not np.isfinite(angles).all():
        raise InputError(f"{path}: {axis.name} holds angles that are no numbers")
    if len(angles) < 2 or np.ptp(angles) == 0:
        return None
    end = group.get(f"{name}_end")
    if isinstance(end, h5py.Dataset) and end.shape == axis.shape and end.dtype.kind in "fiu":
        angles = (angles + end[:] * _factor(path, end, _TURNS_DEG, "deg")) / 2
    else:
        for key in (f"{name}_increment_set", f"{name}_range_average"):
            if (width := _number(path, group, key, _TURNS_DEG, "deg")) is not None:
                angles = angles + width / 2
                break
    if not np.isfinite(angles).all():
        raise InputError(f"{path}: {axis.name} holds angles that are no numbers")
    return angles


def _sense(path: Path, group: LinkedGroup, axis: h5py.Dataset) -> float:
    """Return 1 or −1, the sense about the upward direction, which is y in NeXus."""
    vector = _vector(path, axis)
    # The axes on which it is mounted turn its own.
    seen, base = {axis.name}, axis
    while (name := _text(base.attrs.get("depends_on", "."))) not in ("", "."):
        found = group.get(name)
        if not isinstance(found, h5py.Dataset) or found.name in seen:
            raise InputError(f"{path}: {base.name} depends on {name!r}, which is missing or depends on it in turn")
        base = found
        seen.add(base.name)
        if _text(base.attrs.get("transformation_type", "")) == "rotation":
            if base.dtype.kind not in "fiu" or not base.size:
                raise InputError(f"{path}: {base.name} must be an angle")
            angle_deg = float(base[()].reshape(-1)[0]) * _factor(path, base, _TURNS_DEG, "deg")
            if not np.isfinite(angle_deg):
                raise InputError(f"{path}: {base.name} is {angle_deg}")
            vector = Rotation.from_rotvec(angle_deg * _vector(path, base), degrees=True).apply(vector)
    if not abs(vector[1]) >= _ALONG:
        warnings.warn(
            f"{path}: {axis.name} turns about {np.round(vector, 4).tolist()}, not about the vertical; frames have to "
            "be turned so that the axis stands upright (--orientation)",
            SimscWarning,
            stacklevel=2,
        )
        return 1.0
    return float(np.sign(vector[1]))


def _vector(path: Path, axis: h5py.Dataset) -> np.ndarray:
    vector = np.asarray(axis.attrs.get("vector", (0.0, 1.0, 0.0)), dtype=float)
    if vector.shape != (3,) or not 0 < np.linalg.norm(vector) < np.inf:
        raise InputError(f"{path}: {axis.name} has a vector that is not three finite numbers")
    return vector / np.linalg.norm(vector)


def _number(
    path: Path, group: LinkedGroup, key: str, units: dict[str, float] | None = None, default: str = ""
) -> float | None:
    value = group.get(key)
    if not isinstance(value, h5py.Dataset):
        return None
    if value.dtype.kind not in "fiu" or value.size != 1:
        raise InputError(f"{path}: {value.name} must be one number, it holds {value.size} of type {value.dtype}")
    number = float(value[()] if value.ndim == 0 else value[:].ravel()[0])
    if not np.isfinite(number):
        raise InputError(f"{path}: {value.name} is {number}")
    return number * (1.0 if units is None else _factor(path, value, units, default))


def _factor(path: Path, value: h5py.Dataset, units: dict[str, float], default: str) -> float:
    unit = _unit(path, value, default)
    factor = units.get(unit) or units.get(unit.lower())
    if factor is None:
        raise InputError(f"{path}: {value.name} has the unit {unit!r}; known are {', '.join(units)}")
    return factor


def _unit(path: Path, value: h5py.Dataset, default: str) -> str:
    unit = value.attrs.get("units", default)
    text = _text(unit)
    if not text and np.size(unit) and not isinstance(unit, str | bytes):
        raise InputError(f"{path}: {value.name} has a unit that is no text ({type(unit).__name__})")
    return text.strip() or default


def _positive(path: Path, key: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < np.inf:
        raise InputError(f"{path}: {key} must be positive, it is {value:g}")
    return value


def _pair(values: Any) -> tuple[float, float] | None:
    one, two = values
    return None if one is None or two is None else (one, two)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
