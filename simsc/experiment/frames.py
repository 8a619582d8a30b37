"""A series of detector frames from files, whatever their format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


class FrameReader(Protocol):
    """What reads frames; it can be sent to another process, and opens files only while it reads."""

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Give the frames (rows, columns) of some numbers, as the file has them.

        Raises:
            InputError: if a frame is missing or cannot be read; it names the file and the frame.
        """

    def file(self, number: int) -> Path:
        """Return which file a frame is in."""


@dataclass(frozen=True, eq=False)
class FrameSeries:
    """Detector frames, and what their files state about them.

    What files do not state is None: then the study has to.

    Args:
        name: of the files, for messages.
        n: number of frames.
        shape: (rows, columns); columns go to the right as seen along the beam, and rows go down.
        dtype: of the counts.
        read: reads frames.
        bad: (rows, columns) bool, what the pixel mask of the files excludes.
        invalid: this value and larger ones are no counts but mark pixels without a measurement, as do negative ones.
        angles_deg: (n,) of the sample at each frame, in the middle of the exposure, degrees.
        exposure_s: (n,) exposure times, s.
        pixel_m: height and width of a pixel, m.
        distance_m: from sample to detector, m.
        wavelength_nm: nm.
        beam_centre_px: row and column; whole numbers are the middles of pixels.
    """

    name: str
    n: int
    shape: tuple[int, int]
    dtype: np.dtype
    read: FrameReader
    bad: np.ndarray | None = None
    invalid: int | None = None
    angles_deg: np.ndarray | None = None
    exposure_s: np.ndarray | None = None
    pixel_m: tuple[float, float] | None = None
    distance_m: float | None = None
    wavelength_nm: float | None = None
    beam_centre_px: tuple[float, float] | None = None
