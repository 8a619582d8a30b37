"""Frames as images, one a file: CBF, TIFF and whatever else fabio reads."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError
from simsc.experiment.frames import FrameSeries

_PIECE = re.compile(r"(\d+)")
_SUFFIXES = (".cbf", ".tif", ".tiff", ".edf", ".img", ".mccd")
_CBF_SECTION, _CBF_BINARY = b"--CIF-BINARY-FORMAT-SECTION--", b"\x0c\x1a\x04\xd5"
_VALUE = r"\s*[=:]?\s*([-+\d.eE]+)"
_MILLIMETRE, _MICRON = 1e-3, 1e-6
_LENGTH = {"m": 1.0, "mm": _MILLIMETRE, "um": _MICRON, "µm": _MICRON}
# The header lines of PILATUS and EIGER images in CBF and TIFF; numbers, then their unit.
_HEADER = {
    "start": re.compile(r"Start_angle" + _VALUE),
    "increment": re.compile(r"Angle_increment" + _VALUE),
    "exposure": re.compile(r"Exposure_time" + _VALUE),
    "distance": re.compile(r"Detector_distance" + _VALUE + r"\s*(\S*)"),
    "wavelength": re.compile(r"Wavelength" + _VALUE),
    "pixel": re.compile(r"Pixel_size" + _VALUE + r"\s*(\S*)\s*x" + _VALUE + r"\s*(\S*)"),
    "centre": re.compile(r"Beam_xy\s*\(?" + _VALUE + r"\s*,\s*([-+\d.eE]+)"),
}


@dataclass(frozen=True)
class _Reader:
    paths: tuple[Path, ...]
    shape: tuple[int, int]
    whole: bool

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for number in numbers:
            path = self.paths[number]
            with _image(path) as image:
                data = np.asarray(image.data)
            if data.shape != self.shape:
                raise InputError(f"{path}: has {data.shape} pixels, the first image {self.shape}")
            if self.whole:
                yield np.ascontiguousarray(data)
                continue
            missing = ~np.isfinite(data)
            counts = np.where(missing, -1, data)
            if not (counts == np.rint(counts)).all() or np.abs(counts).max() > 2**53:
                raise InputError(f"{path}: holds numbers that are no counts; give the images as they were counted")
            yield counts.astype(np.int64)


def image_files(path: Path) -> list[Path]:
    """Return the images of a folder, or those that a pattern such as `scan_*.cbf` names, in the order of their numbers.

    Raises:
        InputError: if there are none, or images of several kinds.
    """
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")]
        kinds = sorted({file.suffix.lower() for file in files})
        if len(kinds) > 1:
            raise InputError(
                f"{path}: holds images of several kinds ({', '.join(kinds)}); name those to read: *{kinds[0]}"
            )
    else:
        files = [file for file in path.parent.glob(path.name) if file.is_file()] if path.parent.is_dir() else []
    if not files:
        raise InputError(f"{path}: there are no images ({', '.join(_SUFFIXES)})")
    return sorted(files, key=lambda file: [int(part) if part.isdigit() else part for part in _PIECE.split(file.name)])


def read_image_series(paths: Sequence[Path]) -> FrameSeries:
    """Read what images tell of themselves.

    Args:
        paths: one file a frame.

    Raises:
        InputError: for an image that cannot be read, or images of different shapes.
    """
    first = paths[0]
    with _image(first) as image:
        data = np.asarray(image.data)
        text = _text(image.header)
    if data.ndim != 2:
        raise InputError(f"{first}: has shape {data.shape}; an image has rows and columns")
    whole = data.dtype.kind in "ui"
    shape = (int(data.shape[0]), int(data.shape[1]))
    angles = [_angle(text)]
    for path in paths[1:]:
        # Only what is needed for the angle and the shape; the pixels are looked at when they are read.
        other = _header(path)
        angles.append(_angle(_text(other.header)))
        told = getattr(other, "shape", None)
        if told and len(told) == 2 and tuple(told) != shape and min(told) > 0:
            raise InputError(f"{path}: has {tuple(told)} pixels, the first image {shape}")
    exposure, wavelength, distance = (_found(text, key) for key in ("exposure", "wavelength", "distance"))
    pixel, centre = _HEADER["pixel"].search(text), _HEADER["centre"].search(text)
    dtype = data.dtype if whole else np.dtype(np.int64)
    return FrameSeries(
        str(first.parent / f"{first.name} … {paths[-1].name}"),
        len(paths),
        shape,
        dtype,
        _Reader(tuple(paths), shape, whole),
        None,
        int(np.iinfo(dtype).max) if dtype.kind == "u" else None,
        None if any(angle is None for angle in angles) or len(set(angles)) < 2 else np.array(angles, dtype=float),
        None if exposure is None else np.full(len(paths), float(exposure[1])),
        None if pixel is None else (_length(first, pixel[3], pixel[4]), _length(first, pixel[1], pixel[2])),
        None if distance is None else _length(first, distance[1], distance[2]),
        None if wavelength is None else _number(first, wavelength[1]) / 10,
        None if centre is None else (_number(first, centre[2]), _number(first, centre[1])),
    )


def read_image(path: Path) -> np.ndarray:
    """Read the pixels (rows, columns) of one image, or of a .npy file: a mask, or a background.

    Raises:
        InputError: if it cannot be read.
    """
    if path.suffix == ".npy":
        try:
            data = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    else:
        with _image(path) as image:
            data = np.asarray(image.data)
    if data.ndim != 2 or data.dtype.kind not in "uifb":
        raise InputError(
            f"{path}: has shape {data.shape} and type {data.dtype}; numbers in rows and columns are needed"
        )
    return data


def _image(path: Path) -> Any:
    return _opened(path, "open")


def _header(path: Path) -> Any:
    return _opened(path, "openheader")


def _opened(path: Path, function: str) -> Any:
    import fabio  # slow to load

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    logging.getLogger("fabio").setLevel(logging.CRITICAL)
    if path.suffix.lower() == ".cbf":
        content = path.read_bytes()
        # fabio would look for ever for a binary section that is not where it belongs.
        if not 0 <= content.find(_CBF_SECTION) < content.find(_CBF_BINARY):
            raise InputError(f"{path}: has no binary section; it is cut, or no CBF")
    try:
        return getattr(fabio, function)(str(path))
    except Exception as error:  # fabio raises whatever its many parsers meet
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as an image ({reason})") from None


def _text(header: Any) -> str:
    return "\n".join(f"{key} {value}" for key, value in dict(header or {}).items())


def _found(text: str, key: str) -> re.Match[str] | None:
    return _HEADER[key].search(text)


def _angle(text: str) -> float | None:
    """Return the angle in the middle of the exposure."""
    start, increment = _found(text, "start"), _found(text, "increment")
    try:
        return None if start is None else float(start[1]) + (float(increment[1]) / 2 if increment else 0.0)
    except ValueError:
        return None


def _number(path: Path, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{path}: its header holds {text!r} where a number belongs") from None
    if not np.isfinite(value):
        raise InputError(f"{path}: its header holds {text!r} where a number belongs")
    return value


def _length(path: Path, text: str, unit: str) -> float:
    """Return a length, m; the headers are in metres unless they say otherwise."""
    value = _number(path, text) * _LENGTH.get(unit.strip(",;.").lower() or "m", 1.0)
    if not value > 0:
        raise InputError(f"{path}: its header holds a length of {text}")
    return value
