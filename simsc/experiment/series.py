"""A series of frames from files of any format, turned so that columns go to the right and rows go down."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simsc.core.errors import InputError
from simsc.experiment.frame_formats import frame_files, read_frame_files
from simsc.experiment.frames import FrameReader, FrameSeries
from simsc.io.probe import check_readable

ORIENTATIONS = [
    transposed + columns + "-" + rows
    for transposed in ("", "transposed-")
    for rows in ("down", "up")
    for columns in ("right", "left")
]


def read_series(path: Path, orientation: str = "right-down") -> FrameSeries:
    """Read what files of frames state of them.

    Args:
        path: a master file (HDF5), a folder of images, or a pattern such as `scan_*.cbf`, in one of the formats of
            `simsc.experiment.frame_formats`.
        orientation: where columns and rows of the frames in the files go, as seen along the beam: one of
            `ORIENTATIONS`; "transposed-" where the first index of a frame is horizontal.

    Raises:
        InputError: for an unknown orientation, or files that cannot be read.
    """
    if orientation not in ORIENTATIONS:
        raise InputError(f"orientation {orientation!r} is not known; it is one of {', '.join(ORIENTATIONS)}")
    files = frame_files(path)
    check_readable(path, lambda: list(read_frame_files(files).read([0])))
    return oriented(read_frame_files(files), orientation)


def oriented(series: FrameSeries, orientation: str) -> FrameSeries:
    """Return the series with columns to the right and rows down, from one that is otherwise."""
    if orientation == "right-down":
        return series
    transpose, left, up = (word in orientation for word in ("transposed", "left", "up"))
    turn = _Turn(transpose, up, left)
    rows, columns = series.shape[::-1] if transpose else series.shape
    pixel, centre = series.pixel_m, series.beam_centre_px
    if transpose:
        pixel = None if pixel is None else pixel[::-1]
        centre = None if centre is None else centre[::-1]
    if centre is not None:
        centre = (rows - 1 - centre[0] if up else centre[0], columns - 1 - centre[1] if left else centre[1])
    return replace(
        series,
        shape=(rows, columns),
        read=_TurnedReader(series.read, turn),
        bad=None if series.bad is None else turn(series.bad),
        pixel_m=pixel,
        beam_centre_px=centre,
    )


@dataclass(frozen=True)
class _Turn:
    transpose: bool
    up: bool
    left: bool

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        frame = frame.T if self.transpose else frame
        return np.ascontiguousarray(frame[:: -1 if self.up else 1, :: -1 if self.left else 1])


@dataclass(frozen=True)
class _TurnedReader:
    read: FrameReader
    turn: _Turn

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        return (self.turn(frame) for frame in self.read(numbers))

    def file(self, number: int) -> Path:
        return self.read.file(number)
