"""A format of detector frames that simsc reads through an entry point: counts as text, one file a frame.

The first line of a file tells where the detector stood, as JSON; each line after it is a row of pixels.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError
from simsc.experiment.frame_formats import FrameFormat
from simsc.experiment.frames import FrameSeries

MAGIC = "# counts "


@dataclass(frozen=True)
class CountsReader:
    """Reads frames when they are asked for; it can be sent to another process."""

    paths: tuple[Path, ...]

    def __call__(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Give the frames of some numbers."""
        for number in numbers:
            yield counts(self.paths[number])

    def file(self, number: int) -> Path:
        """Return which file a frame is in."""
        return self.paths[number]


def counts(path: Path) -> np.ndarray:
    """Return the pixels (rows, columns) of a file."""
    try:
        return np.loadtxt(path, dtype=np.int32, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: holds other things than counts ({error})") from None


def recognises(path: Path) -> bool:
    """Tell whether a file is of this format."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC.encode()


def read(paths: Sequence[Path]) -> FrameSeries:
    """Read what the files tell; the frames themselves are read later."""
    heads = [_head(path) for path in paths]
    first = counts(paths[0])
    return FrameSeries(
        f"{paths[0]} …",
        len(paths),
        (first.shape[0], first.shape[1]),
        first.dtype,
        CountsReader(tuple(paths)),
        angles_deg=np.array([head["angle_deg"] for head in heads]),
        pixel_m=tuple(heads[0]["pixel_m"]),
        distance_m=heads[0]["distance_m"],
        wavelength_nm=heads[0]["wavelength_nm"],
        beam_centre_px=tuple(heads[0]["beam_centre_px"]),
    )


def _head(path: Path) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        return json.loads(file.readline().removeprefix(MAGIC))


COUNTS = FrameFormat("text counts", (".counts",), recognises, read, one_frame_a_file=True)
