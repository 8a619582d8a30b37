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
from itertools import groupby
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.core.files import open_hdf5
from simsc.core.units import wavelength_nm
from simsc.experiment.angles import angles_of_frames
from simsc.experiment.frames import FrameSeries

_LENGTHS_M = {"m": 1.0, "metre": 1.0, "meter": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "micron": 1e-6, "nm": 1e-9}
_LENGTHS_M |= {"angstrom": 1e-10, "a": 1e-10, "å": 1e-10, "cm": 1e-2}
_ENERGIES_KEV = {"ev": 1e-3, "kev": 1.0}
_TURNS_DEG = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi, "radian": 180 / np.pi}
_TIMES_S = {"s": 1.0, "second": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_GONIOMETER = ("omega", "phi", "chi", "kappa")
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
        begins = np.concatenate([[0], np.cumsum([segment.n for segment in self.segments])])
        where = [int(np.searchsorted(begins, number, side="right")) - 1 for number in numbers]
        for k, group in groupby(zip(where, numbers, strict=True), key=lambda pair: pair[0]):
            segment = self.segments[k]
            with _damage_told(segment.path), open_hdf5(segment.path) as file:
                data = file[segment.dataset]
                for _, number in group:
                    own = number - int(begins[k])
                    if data.chunks is not None and data.chunks[0] == 1 and not _is_stored(data, own):
                        raise InputError(f"{segment.path}: frame {own + 1} of {segment.n} was never written")
                    try:
                        frame = data[own]
                    except _DAMAGED as error:
                        reason = " ".join(str(error).split())
                        raise InputError(
                            f"{segment.path}: frame {own + 1} of {segment.n} cannot be read ({reason})"
                        ) from None
                    yield frame


def read_hdf5_series(path: Path) -> FrameSeries:
    """Read what an EIGER master or an NXmx file tells of its frames.

    Raises:
        InputError: if data files are missing, cut or outside of the folder of the master, if frames are fewer than
            promised, or for numbers, units or shapes that make no sense; the message names file and key.

    Warns:
        SimscWarning: if there is no pixel mask, or the rotation axis is not vertical.
    """
    with _damage_told(path), open_hdf5(path) as file:
        entry = _child(file, "entry", "NXentry", path)
        data = _child(entry, "data", "NXdata", path)
        instrument = _child(entry, "instrument", "NXinstrument", path)
        detector = _child(instrument, "detector", "NXdetector", path)
        special = detector.get("detectorSpecific")
        special = special if isinstance(special, h5py.Group) else detector
        segments = _segments(path, data)
        shapes, dtypes = zip(*(_shape(segment) for segment in segments), strict=True)
        if len(set(shapes)) > 1 or len(set(dtypes)) > 1:
            raise InputError(f"{path}: its data files hold frames of different shapes or types: {sorted(set(shapes))}")
        shape, dtype = shapes[0], dtypes[0]
        n = sum(segment.n for segment in segments)
        _check_number(path, special, n)
        for key, expected in zip(("y_pixels_in_detector", "x_pixels_in_detector"), shape, strict=True):
            told = _number(path, special, key)
            if told is not None and told != expected:
                raise InputError(
                    f"{path}: {key} is {told:g}, but frames have {shape[0]} rows and {shape[1]} columns: the axes may "
                    "be swapped"
                )
        bad = _mask(path, (special, detector), shape)
        if bad is None:
            warnings.warn(
                f"{path}: has no pixel_mask; only pixels with the largest number of their type are left out",
                SimscWarning,
                stacklevel=2,
            )
        centre = [_number(path, detector, f"beam_center_{axis}") for axis in "yx"]
        beam = instrument.get("beam")
        angles = _angles(path, entry)
        exposure = _number(path, detector, "count_time", _TIMES_S, "s")
        return FrameSeries(
            str(path),
            n,
            shape,
            dtype,
            _Reader(tuple(segments)),
            bad,
            _invalid(path, detector, dtype),
            None if angles is None else angles_of_frames(angles, n, str(path)),
            None if exposure is None else np.full(n, _positive(path, "count_time", exposure)),
            _pair(
                _positive(path, f"{axis}_pixel_size", _number(path, detector, f"{axis}_pixel_size", _LENGTHS_M, "m"))
                for axis in "yx"
            ),
            _positive(path, "detector_distance", _distance(path, detector)),
            _positive(path, "the wavelength", _wavelength(path, beam, special)),
            _pair(centre),
        )


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is damaged ({reason})") from None


def _child(parent: h5py.Group, name: str, kind: str, path: Path) -> h5py.Group:
    """Return a group by its name, or else the first of a NeXus class."""
    if isinstance(parent.get(name, getclass=True, default=None), type) and isinstance(parent.get(name), h5py.Group):
        return parent[name]
    for key in parent:
        if parent.get(key, getclass=True, default=None) is h5py.Group:
            group = parent.get(key)
            if isinstance(group, h5py.Group) and _text(group.attrs.get("NX_class", "")) == kind:
                return group
    raise InputError(f"{path}: has no group {parent.name.rstrip('/')}/{name} ({kind}); is it a master file of frames?")


def _segments(path: Path, data: h5py.Group) -> list[_Segment]:
    names = sorted((name for name in data if re.fullmatch(r"data_\d+", name)), key=lambda name: int(name[5:]))
    names = names or [name for name in ("data", _text(data.attrs.get("signal", ""))) if name and name in data][:1]
    if not names:
        raise InputError(f"{path}: {data.name} holds neither data_000001 … nor data")
    segments = []
    for name in names:
        link = data.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            target = path.parent / link.filename
            # A file is data: it does not decide what else is read.
            if not target.resolve().is_relative_to(path.parent.resolve()):
                raise InputError(
                    f"{path}: {name} links to {link.filename}, outside of its folder; put the file beside it"
                )
            if not target.is_file():
                raise InputError(f"{path}: {name} links to {link.filename}, which is missing in {path.parent}")
            segments.append((target, link.path))
        else:
            segments.append((path, f"{data.name}/{name}"))
    found = []
    for target, dataset in segments:
        with _damage_told(target), open_hdf5(target) as file:
            frames = file.get(dataset)
            if not isinstance(frames, h5py.Dataset):
                raise InputError(f"{target}: has no dataset {dataset}, to which {path.name} links")
            if frames.ndim != 3 or min(frames.shape) < 1:
                raise InputError(
                    f"{target}: {dataset} has shape {frames.shape}; frames need three dimensions: number, rows, columns"
                )
            if frames.dtype.kind not in "ui":
                raise InputError(f"{target}: {dataset} holds {frames.dtype}; counts are whole numbers")
            if frames.is_virtual:
                _check_sources(target, frames)
            found.append(_Segment(target, dataset, frames.shape[0]))
    return found


def _check_sources(path: Path, frames: h5py.Dataset) -> None:
    """Refuse a virtual dataset whose sources are missing, which would read as zeros."""
    for source in frames.virtual_sources():
        target = path if source.file_name == "." else path.parent / source.file_name
        if not target.resolve().is_relative_to(path.parent.resolve()):
            raise InputError(f"{path}: {frames.name} takes frames from {source.file_name}, outside of its folder")
        if not target.is_file():
            raise InputError(f"{path}: {frames.name} takes frames from {source.file_name}, which is missing")


def _shape(segment: _Segment) -> tuple[tuple[int, int], np.dtype]:
    with open_hdf5(segment.path) as file:
        frames = file[segment.dataset]
        return (int(frames.shape[1]), int(frames.shape[2])), frames.dtype


def _is_stored(data: h5py.Dataset, number: int) -> bool:
    rows, columns = data.chunks[1:]
    corners = ((number, r, c) for r in range(0, data.shape[1], rows) for c in range(0, data.shape[2], columns))
    return all(data.id.get_chunk_info_by_coord(corner).byte_offset is not None for corner in corners)


def _check_number(path: Path, special: h5py.Group, n: int) -> None:
    images, triggers = _number(path, special, "nimages"), _number(path, special, "ntrigger")
    if images is None:
        return
    promised = images * (1 if triggers is None else triggers)
    if promised != n:
        raise InputError(
            f"{path}: promises {promised:g} frames (nimages × ntrigger), its data files hold {n}; some are missing"
        )


def _mask(path: Path, groups: tuple[h5py.Group, ...], shape: tuple[int, int]) -> np.ndarray | None:
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


def _invalid(path: Path, detector: h5py.Group, dtype: np.dtype) -> int | None:
    """Return the smallest number that is no count."""
    limits = [int(np.iinfo(dtype).max)] if dtype.kind == "u" else []
    if (told := _number(path, detector, "saturation_value")) is not None and told >= 1:
        limits.append(int(told) + 1)
    if (told := _number(path, detector, "bit_depth_image")) is not None and dtype.kind == "u" and 1 <= told <= 64:
        limits.append(2 ** int(told) - 1)
    return min(limits, default=None)


def _distance(path: Path, detector: h5py.Group) -> float | None:
    for key in ("detector_distance", "distance"):
        if (value := _number(path, detector, key, _LENGTHS_M, "m")) is not None:
            return value
    return None


def _wavelength(path: Path, beam: Any, special: h5py.Group) -> float | None:
    if isinstance(beam, h5py.Group):
        for key in ("incident_wavelength", "wavelength"):
            if (value := _number(path, beam, key, _LENGTHS_M, "angstrom")) is not None:
                return value * 1e9
        if (value := _number(path, beam, "incident_energy", _ENERGIES_KEV, "eV")) is not None:
            return wavelength_nm(_positive(path, "incident_energy", value) or 1.0)
    if (value := _number(path, special, "photon_energy", _ENERGIES_KEV, "eV")) is not None:
        return wavelength_nm(_positive(path, "photon_energy", value) or 1.0)
    return None


def _angles(path: Path, entry: h5py.Group) -> np.ndarray | None:
    """Return the angles of the one axis that turns; None if the file tells none."""
    sample = entry.get("sample")
    if not isinstance(sample, h5py.Group):
        return None
    found: dict[str, np.ndarray] = {}
    for where in ("transformations", "goniometer"):
        group = sample.get(where)
        if not isinstance(group, h5py.Group):
            continue
        for name in group:
            axis = group.get(name)
            if not isinstance(axis, h5py.Dataset) or axis.ndim != 1 or len(axis) < 2 or axis.dtype.kind not in "fiu":
                continue
            turns = _text(axis.attrs.get("transformation_type", "")) == "rotation"
            if name not in _GONIOMETER and not turns:
                continue
            angles = axis[:].astype(float) * _factor(path, axis, _TURNS_DEG, "deg")
            end = group.get(f"{name}_end")
            if isinstance(end, h5py.Dataset) and end.shape == axis.shape:
                angles = (angles + end[:] * _factor(path, end, _TURNS_DEG, "deg")) / 2
            if not np.isfinite(angles).all():
                raise InputError(f"{path}: {axis.name} holds angles that are no numbers")
            if np.ptp(angles) > 0:
                found.setdefault(name, angles * _sense(path, axis))
    if len(found) > 1:
        raise InputError(
            f"{path}: {', '.join(sorted(found))} all change from frame to frame; give the angles (--angles)"
        )
    return next(iter(found.values()), None)


def _sense(path: Path, axis: h5py.Dataset) -> float:
    """Return 1 or −1, the sense about the upward direction, which is y in NeXus."""
    vector = np.asarray(axis.attrs.get("vector", (0.0, 1.0, 0.0)), dtype=float)
    if vector.shape != (3,) or not np.linalg.norm(vector) > 0:
        raise InputError(f"{path}: {axis.name} has a vector that is none: {vector}")
    up = vector[1] / np.linalg.norm(vector)
    if abs(up) < _ALONG:
        warnings.warn(
            f"{path}: {axis.name} turns about {vector.tolist()}, not about the vertical; frames have to be turned "
            "so that the axis stands upright (--orientation)",
            SimscWarning,
            stacklevel=2,
        )
        return 1.0
    return float(np.sign(up))


def _number(
    path: Path, group: h5py.Group, key: str, units: dict[str, float] | None = None, default: str = ""
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
    unit = _text(value.attrs.get("units", default)).strip() or default
    factor = units.get(unit) or units.get(unit.lower())
    if factor is None:
        raise InputError(f"{path}: {value.name} has the unit {unit!r}; known are {', '.join(units)}")
    return factor


def _positive(path: Path, key: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < np.inf:
        raise InputError(f"{path}: {key} must be positive, it is {value:g}")
    return value


def _pair(values: Any) -> tuple[float, float] | None:
    one, two = values
    return None if one is None or two is None else (one, two)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
