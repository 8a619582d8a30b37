"""Frames as images, one a file: CBF, TIFF and whatever else fabio reads."""

import contextlib
import logging
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.experiment.frames import FrameSeries

_PIECE = re.compile(r"([0-9]+)")
_TIFF = (".tif", ".tiff")
_CBF_SECTION, _CBF_BINARY = b"--CIF-BINARY-FORMAT-SECTION--", b"\x0c\x1a\x04\xd5"
_LONGEST_HEAD = 1 << 20  # bytes
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LENGTHS_M = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6}
_WAVELENGTHS_NM = {"a": 0.1, "å": 0.1, "angstrom": 0.1, "nm": 1.0}
_TURNS_DEG = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi}
_TIMES_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_PIXELS = {"pixels": 1.0, "pixel": 1.0, "px": 1.0}
_IS, _NUMBER, _UNIT = r"(?:[ \t]*[=:][ \t]*|[ \t]+)", r"([^\s,;()]+)", r"[ \t]*([^\s,;()]*)"
# The header lines of PILATUS and EIGER images in CBF and TIFF: numbers, each before its unit.
_HEADER = {
    "Pixel_size": _IS + _NUMBER + _UNIT + r"[ \t]*x[ \t]*" + _NUMBER + _UNIT,
    "Beam_xy": _IS + r"\(?[ \t]*" + _NUMBER + r"()[ \t]*,[ \t]*" + _NUMBER + r"[ \t]*\)?" + _UNIT,
} | {
    key: _IS + _NUMBER + _UNIT
    for key in ("Start_angle", "Angle_increment", "Exposure_time", "Detector_distance", "Wavelength")
}


@dataclass(frozen=True)
class _Reader:
    paths: tuple[Path, ...]
    shape: tuple[int, int]
    dtype: np.dtype

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        for number in numbers:
            path = self.paths[number]
            data = _opened(path)
            if data.shape != self.shape or data.dtype != self.dtype:
                raise InputError(
                    f"{path}: has {data.shape} pixels of {data.dtype}, the first image {self.shape} of {self.dtype}"
                )
            if data.dtype.kind in "ui":
                yield np.ascontiguousarray(data)
                continue
            missing = ~np.isfinite(data)
            counts = np.where(missing, -1, data)
            if not (counts == np.rint(counts)).all() or np.abs(counts).max() > 2**53:
                raise InputError(f"{path}: holds numbers that are no counts; give the images as they were counted")
            yield counts.astype(np.int64)

    def file(self, number: int) -> Path:
        return self.paths[number]


def read_image_series(paths: Sequence[Path]) -> FrameSeries:
    """Read what images state of themselves.

    Args:
        paths: one file a frame.

    Raises:
        InputError: for an image that cannot be read, or images of different shapes.
    """
    first = paths[0]
    data = _opened(first)
    if data.ndim != 2 or data.dtype.kind not in "uif":
        raise InputError(
            f"{first}: has shape {data.shape} of type {data.dtype}; an image has rows and columns of numbers"
        )
    shape = (int(data.shape[0]), int(data.shape[1]))
    # The pixels of the others are looked at when they are read.
    headers = [_header(path) for path in paths]
    angles, exposures = [], []
    for path, header in zip(paths, headers, strict=True):
        if header.shape not in (None, shape):
            raise InputError(f"{path}: has {header.shape} pixels, the first image {shape}")
        if header.kind != headers[0].kind:
            raise InputError(f"{path}: has pixels of type {header.kind}, the first image {headers[0].kind}")
        for key in ("Detector_distance", "Wavelength", "Pixel_size", "Beam_xy"):
            if _found(path, header.text, key) != _found(first, headers[0].text, key):
                raise InputError(f"{path}: its header has another {key} than {first.name}")
        angles.append(_angle(path, header.text))
        exposures.append(_measured(path, header.text, "Exposure_time", _TIMES_S, "s"))
        if (angles[-1] is None) != (angles[0] is None) or (exposures[-1] is None) != (exposures[0] is None):
            raise InputError(
                f"{path}: of this image and {first.name}, only one tells its Start_angle and Exposure_time"
            )
    angles_deg = None if None in angles or len(set(angles)) < 2 else np.array(angles, dtype=float)
    if angles_deg is None:
        _warn_of_gaps(paths)
    text = headers[0].text
    distance = _measured(first, text, "Detector_distance", _LENGTHS_M, "m")
    wavelength = _measured(first, text, "Wavelength", _WAVELENGTHS_NM, "a")
    pixel, centre = _two(first, text, "Pixel_size", _LENGTHS_M, "m"), _two(first, text, "Beam_xy", _PIXELS, "pixels")
    for key, value in (("Pixel_size", pixel), ("Detector_distance", (distance,)), ("Wavelength", (wavelength,))):
        if value is not None and any(number is not None and number <= 0 for number in value):
            raise InputError(f"{first}: its header has a {key} that is not positive")
    dtype = data.dtype if data.dtype.kind in "ui" else np.dtype(np.int64)
    return FrameSeries(
        str(first.parent / f"{first.name} … {paths[-1].name}"),
        len(paths),
        shape,
        dtype,
        _Reader(tuple(paths), shape, data.dtype),
        None,
        int(np.iinfo(dtype).max) if dtype.kind == "u" else None,
        angles_deg,
        None if None in exposures else np.array(exposures, dtype=float),
        pixel,
        distance,
        wavelength,
        centre,
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
        data = _opened(path)
    if data.ndim != 2 or data.dtype.kind not in "uifb":
        raise InputError(
            f"{path}: has shape {data.shape} and type {data.dtype}; numbers in rows and columns are needed"
        )
    return data


@dataclass(frozen=True)
class _Header:
    """What the header of an image states: text, and shape and type of the pixels if it does."""

    text: str
    shape: tuple[int, ...] | None
    kind: str


def _header(path: Path) -> _Header:
    import fabio  # slow to load
    from fabio.TiffIO import TiffIO

    suffix = path.suffix.lower()
    if suffix == ".cbf":
        # fabio would read the whole file.
        text = _cbf_head(path).decode("latin-1")
        sizes = [re.search(rf"X-Binary-Size-{which}-Dimension:\s*([0-9]+)", text) for which in ("Second", "Fastest")]
        kind = re.search(r'X-Binary-Element-Type:\s*"?([^"\r\n]*)', text)
        return _Header(text, tuple(int(match[1]) for match in sizes if match), kind[1] if kind else "")
    with _failures_as_input_error(path):
        if suffix in _TIFF:
            # What fabio's openheader says of the shape of a TIFF is only right for some.
            with contextlib.closing(TiffIO(str(path))) as tiff:
                header = tiff.getInfo(0)
            return _Header(_text(header), (header["nRows"], header["nColumns"]), f"{header['nBits']} bits")
        image = fabio.openheader(str(path))
        shape = getattr(image, "shape", None)
        return _Header(_text(image.header), tuple(shape) if shape and len(shape) == 2 and min(shape) > 0 else None, "")


def _cbf_head(path: Path) -> bytes:
    """Return what is before the binary section of a CBF."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as file:
        head = file.read(_LONGEST_HEAD)
    # Where there is none in its place, fabio would look for it for ever.
    if not 0 <= head.find(_CBF_SECTION) < head.find(_CBF_BINARY):
        raise InputError(f"{path}: has no binary section; it is cut, or no CBF")
    return head[: head.find(_CBF_BINARY)]


def _check_directory(path: Path) -> None:
    """Refuse a TIFF of several images, or whose directories go in a circle, in which fabio would go for ever.

    A TIFF (6.0, section 2) begins with the order of bytes, 42, and the place of its first directory; a directory is the
    number of its entries of 12 bytes, these, and the place of the next one, or 0.
    """
    with open(path, "rb") as file:
        head = file.read(8)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
        if order is None:
            return  # whatever it is, fabio has to tell
        place, n = struct.unpack(order + "I", head[4:].rjust(4, b"\0"))[0], 0
        while place:
            if (n := n + 1) > 1:
                raise InputError(f"{path}: holds several images, or is damaged; give one file for each image")
            file.seek(place)
            entries = int.from_bytes(file.read(2), "little" if order == "<" else "big")
            file.seek(place + 2 + 12 * entries)
            following = file.read(4)
            if len(following) < 4:
                raise InputError(f"{path}: is cut, or damaged: its directory does not end within the file")
            place = struct.unpack(order + "I", following)[0]


def _opened(path: Path) -> np.ndarray:
    """Return the pixels of an image."""
    import fabio

    with _failures_as_input_error(path), fabio.open(str(path)) as image:
        data = np.asarray(image.data)
        n = int(getattr(image, "nframes", 1))
        if n > 1:
            raise InputError(f"{path}: holds {n} images; give one file for each")
        return data.astype(data.dtype.newbyteorder("="), copy=False)


class _Complaints(logging.Handler):
    """Keeps what a library logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _failures_as_input_error(path: Path) -> Iterator[None]:
    """Turn whatever fabio raises, or only logs, into an error: it goes on after a wrong checksum."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as file:
        if file.read(len(_HDF5)) == _HDF5:
            raise InputError(f"{path}: is an HDF5 file, not an image; give the master file alone")
    if path.suffix.lower() == ".cbf":
        _cbf_head(path)
    elif path.suffix.lower() in _TIFF:
        _check_directory(path)
    logger, complaints = logging.getLogger("fabio"), _Complaints()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(complaints)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # fabio raises whatever its many parsers meet
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as an image ({reason})") from None
    finally:
        logger.removeHandler(complaints)
        logger.setLevel(level)
        logger.propagate = propagate
    if complaints.messages:
        raise InputError(f"{path}: is damaged ({' '.join(complaints.messages[0].split())})")


def _text(header: Any) -> str:
    return "\n".join(f"{key} {value}" for key, value in dict(header or {}).items())


def _found(path: Path, text: str, key: str) -> tuple[str, ...] | None:
    """Return numbers and units of a line of a header, as they stand there."""
    if not (place := re.search(rf"\b{key}\b", text)):
        return None
    match = re.compile(_HEADER[key]).match(text, place.end())
    if match is None:
        line = text[place.start() :].splitlines()[0][:60]
        raise InputError(f"{path}: its header has a line that cannot be understood: {line!r}")
    return match.groups()


def _number(path: Path, key: str, text: str, unit: str, units: dict[str, float], default: str) -> float:
    factor = units.get(unit.strip(".").lower() or default)
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{path}: its header holds {text!r} where the number of {key} belongs")
    if factor is None:
        raise InputError(f"{path}: its header has {key} in {unit!r}; known are {', '.join(units)}")
    return value * factor


def _measured(path: Path, text: str, key: str, units: dict[str, float], default: str) -> float | None:
    """Return a positive quantity; None if it is not there, or 0, which detectors write that were not given it."""
    if (found := _found(path, text, key)) is None:
        return None
    value = _number(path, key, found[0], found[1], units, default)
    if value < 0:
        raise InputError(f"{path}: its header has a negative {key}: {found[0]}")
    return value or None


def _two(path: Path, text: str, key: str, units: dict[str, float], default: str) -> tuple[float, float] | None:
    """Return two quantities, the vertical one first; None as above."""
    if (found := _found(path, text, key)) is None:
        return None
    x, y = (_number(path, key, found[k], found[k + 1], units, default) for k in (0, 2))
    return None if x == y == 0 else (y, x)


def _angle(path: Path, text: str) -> float | None:
    """Return the angle in the middle of the exposure, degrees."""
    start, increment = (_found(path, text, key) for key in ("Start_angle", "Angle_increment"))
    if start is None:
        return None
    angle = _number(path, "Start_angle", start[0], start[1], _TURNS_DEG, "deg")
    if increment is not None:
        angle += _number(path, "Angle_increment", increment[0], increment[1], _TURNS_DEG, "deg") / 2
    return angle


def name_pieces(path: Path) -> list[tuple[int, str]]:
    """Return the parts of the name of a file, each with its place; those at odd places are numbers.

    Example:
        >>> name_pieces(Path("ball_08.cbf"))
        [(0, 'ball_'), (1, '08'), (2, '.cbf')]
    """
    return list(enumerate(_PIECE.split(path.name)))


def _warn_of_gaps(paths: Sequence[Path]) -> None:
    """Say so if numbers are missing in the names of images that do not tell their angles."""
    numbers = [tuple(int(part) for k, part in name_pieces(path) if k % 2) for path in paths]
    if len({len(own) for own in numbers}) != 1:
        return
    changing = [own for own in zip(*numbers, strict=True) if len(set(own)) > 1]
    if len(changing) != 1:
        return
    steps = [two - one for one, two in pairwise(changing[0])]
    if len(set(steps)) > 1:
        k = steps.index(max(steps))
        warnings.warn(
            f"{paths[k]}: after it comes {paths[k + 1].name}; if an image is missing between them, angles that you "
            "give by start and step, or from a table, are wrong",
            SimscWarning,
            stacklevel=3,
        )
