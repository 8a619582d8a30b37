"""The formats of detector frames that are read; other packages add theirs under `simsc.frame_formats`.

simsc's own are asked first, then those of packages (`simsc.io.plugins`); what nobody recognises is tried as HDF5 or as
an image all the same, since fabio knows many more images than have an ending here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from simsc.core.errors import InputError
from simsc.experiment.frames import FrameReader, FrameSeries
from simsc.experiment.hdf5_frames import has_layout_of_frames, read_hdf5_series
from simsc.experiment.image_frames import name_pieces, read_image_series
from simsc.io.hdf5 import HDF5_ENDINGS
from simsc.io.plugins import errors_of_package, format_of, formats_of_packages, has_ending
from simsc.io.probe import check_readable

GROUP = "simsc.frame_formats"
_COMPRESSED = (".gz", ".bz2")  # which fabio unpacks


@dataclass(frozen=True)
class FrameFormat:
    """A format of detector frames.

    Args:
        name: what it is called in messages.
        endings: of its files, in lower case.
        recognises: tells whether a file is of this format; it raises nothing.
        read: reads what files state of their frames, without the frames themselves: one master file, or where each file
            is one frame all of them, in the order of their numbers.
        one_frame_a_file: whether each file is one frame, so that a folder, or a pattern, stands for a series.
        package: filled in by `simsc.io.plugins`.
    """

    name: str
    endings: tuple[str, ...]
    recognises: Callable[[Path], bool]
    read: Callable[[Sequence[Path]], FrameSeries]
    one_frame_a_file: bool = False
    package: str = ""


def _is_image(path: Path) -> bool:
    name = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return has_ending(name, IMAGES.endings) and not h5py.is_hdf5(path)


HDF5 = FrameFormat(
    "EIGER or NeXus (NXmx) HDF5",
    HDF5_ENDINGS,
    has_layout_of_frames,
    lambda paths: read_hdf5_series(paths[0]),
)
IMAGES = FrameFormat(
    "images", (".cbf", ".tif", ".tiff", ".edf", ".img", ".mccd"), _is_image, read_image_series, one_frame_a_file=True
)
FRAME_FORMATS = (HDF5, IMAGES)
"""simsc's own, in the order in which they are asked."""


def holds_frames(path: Path) -> bool:
    """Tell whether a file, or the first one of a folder or pattern, is recognised as detector frames.

    Raises:
        InputError: if there is no such file, or it crashes the library that looks into it.
    """
    first = frame_files(path)[0]
    check_readable(first, lambda: format_of(first, FRAME_FORMATS, GROUP))
    return format_of(first, FRAME_FORMATS, GROUP) is not None


def read_frame_files(files: Sequence[Path]) -> FrameSeries:
    """Read what the files of one series state of their frames.

    Raises:
        InputError: if they cannot be read.
    """
    known = _format_to_read(files[0])
    if len(files) > 1 and not known.one_frame_a_file:
        raise InputError(f"{files[0]}: holds frames as {known.name}, not one image; give such a file alone")
    series = known.read(files)
    return replace(series, read=_PackageReader(series.read, known.package)) if known.package else series


def _format_to_read(path: Path) -> FrameFormat:
    """Return the format that recognises a file; else HDF5 or images, whose readers say what they lack."""
    known = format_of(path, FRAME_FORMATS, GROUP)
    if known is not None:
        return known
    if h5py.is_hdf5(path):
        return HDF5
    if has_ending(path, HDF5.endings):
        raise InputError(f"{path}: is no HDF5 file, or one that is cut")
    return IMAGES


def frame_files(path: Path) -> list[Path]:
    """Return the files of a series: a file alone, or the images of a folder or pattern, in the order of their numbers.

    Args:
        path: a file, a folder, or a pattern such as `scan_*.cbf`.

    Raises:
        InputError: if there are none, or, in a folder, images of several kinds.
    """
    if path.is_dir():
        files = images_in(path)
        if not files:
            raise InputError(
                f"{path}: holds no images ({', '.join(IMAGES.endings)}); of HDF5 files, name the master file"
            )
    elif path.is_file():
        files = [path]
    else:
        files = [file for file in path.parent.glob(path.name) if file.is_file()] if path.parent.is_dir() else []
        if not files:
            raise InputError(f"{path}: no such file or folder, and no images of which this is the pattern")
    return sorted(files, key=lambda file: [(int(part), "") if k % 2 else (0, part) for k, part in name_pieces(file)])


def images_in(folder: Path) -> list[Path]:
    """Return the images with endings of simsc's own formats in a folder, or if there are none, of those of packages.

    Raises:
        InputError: if they are of several kinds.
    """
    shown = [file for file in folder.iterdir() if not file.name.startswith(".")]
    files = [file for file in shown if file.suffix.lower() in IMAGES.endings]
    if not files:
        others = formats_of_packages(FRAME_FORMATS, GROUP)
        endings = [ending for known in others if known.one_frame_a_file for ending in known.endings]
        files = [file for file in shown if file.is_file() and has_ending(file, endings)]
    kinds = sorted({file.suffix.lower() for file in files})
    if len(kinds) > 1:
        raise InputError(
            f"{folder}: holds images of several kinds ({', '.join(kinds)}); name those to read: *{kinds[0]}"
        )
    return files


@dataclass(frozen=True)
class _PackageReader:
    """Reads frames by the reader of another package, whose errors name it."""

    read: FrameReader
    package: str

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        with errors_of_package(self.package, self.read.file(numbers[0]) if len(numbers) else "no frame"):
            yield from self.read(numbers)

    def file(self, number: int) -> Path:
        return self.read.file(number)
