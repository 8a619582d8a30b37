"""What files hold of a 3D intensity, as they hold it: arrays by their roles, and axes. Nothing is decided here."""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io.probe import damage_as_input_error

ROLES = ("intensity", "qx", "qy", "qz", "variance", "errors", "counts", "measured", "mask")
ARRAYS = tuple(role for role in ROLES if role not in ("qx", "qy", "qz"))
MOST_VOXELS = 2048**3
_BEGINNING = 1024  # bytes
# What NumPy, zipfile, zlib, mrcfile and h5py raise for damaged files, depending on what is damaged.
DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError,
    ArithmeticError, MemoryError, AssertionError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RawAxis:
    """One axis of an array, as a file tells it.

    Args:
        values: (n,) positions of the points, or (n + 1,) edges of bins.
        unit: as the file spells it; None if it does not tell.
        name: of the axis in the file.
    """

    values: np.ndarray
    unit: str | None
    name: str


@dataclass(frozen=True, eq=False)
class RawVolume:
    """What a file holds of an intensity, in its own units and order.

    Args:
        arrays: by their roles: "intensity", and "variance", "errors" (standard deviations), "counts" (how many pixels
            are averaged in a voxel), "measured" and "mask", all of one shape, if the file has them.
        axes: those that the file tells, by their dimensions 0, 1, 2 or by what they are, "x", "y", "z".
        order: which of x, y and z the dimensions are, such as "zyx"; None if the file does not tell.
    """

    arrays: Mapping[str, np.ndarray]
    axes: Mapping[int | str, RawAxis] = field(default_factory=dict)
    order: str | None = None


def check_array(
    path: Path, name: str, shape: tuple[int, ...] | None, dtype: np.dtype, expected: tuple[int, ...] | None
) -> None:
    """Refuse an array of other things than real numbers, of another shape than expected, or too large.

    Raises:
        InputError: for such an array.
    """
    if dtype.kind not in "fiub" or shape is None:
        raise InputError(f"{path}: {name} holds {dtype}; real numbers are needed")
    if expected is not None and shape != expected:
        raise InputError(f"{path}: {name} has shape {shape}, the intensity {expected}")
    if math.prod(shape) > MOST_VOXELS:
        raise InputError(f"{path}: {name} has shape {shape}: more than 2048³ numbers")


def beginning(path: Path) -> bytes:
    """Return how a file begins, which tells most formats.

    Raises:
        InputError: if it cannot be read.
    """
    with damage_as_input_error(path, (OSError,)), open(path, "rb") as file:
        return file.read(_BEGINNING)


def first_and_step(volume: IntensityVolume) -> tuple[list[float], list[float]]:
    """Return the first point and the step of each axis, nm⁻¹."""
    axes = volume.q_axes_inv_nm
    return [float(axis[0]) for axis in axes], [float((axis[-1] - axis[0]) / (len(axis) - 1)) for axis in axes]
