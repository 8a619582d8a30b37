"""3D intensities as MRC files, which programs of electron microscopy read."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import IntensityVolume
from simsc.io.probe import damage_as_input_error
from simsc.io.volume_raw import (
    DAMAGED,
    MOST_VOXELS,
    RawAxis,
    RawVolume,
    beginning,
    check_array,
    first_and_step,
)
from simsc.io.whole_files import whole_file

_LABEL = "simsc: origin and voxel size are momentum transfers, 1/nm"


def begins_as_mrc(path: Path) -> bool:
    """Tell whether a file begins as MRC does, or as one that gzip or bzip2 compressed."""
    start = beginning(path)
    return start[208:211] == b"MAP" or start.startswith((b"\x1f\x8b", b"BZh"))


def read_mrc(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read a volume, compressed or not; only files that simsc wrote tell momentum transfers.

    Raises:
        InputError: if the file is damaged.

    Warns:
        SimscWarning: of what the library finds odd.
    """
    import mrcfile

    with damage_as_input_error(path, DAMAGED), warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        with mrcfile.open(path, header_only=True) as file:
            header = file.header
            counts = [int(header[name]) for name in ("nz", "ny", "nx")]
            axes = [int(header[name]) for name in ("maps", "mapr", "mapc")]
            told = _mrc_axes(file) if _LABEL in file.get_labels() else {}
            if min(counts) < 1 or math.prod(counts) > MOST_VOXELS:
                raise InputError(f"{path}: its header tells {counts} voxels: not a volume of up to 2048³")
            # Compressed data may be smaller, but not by more than deflate can.
            if math.prod(counts) > 2000 * path.stat().st_size:
                raise InputError(f"{path}: is cut short: its header tells {counts} voxels")
        with mrcfile.open(path) as file:
            data = np.array(file.data)
    if notes:
        warnings.warn(f"{path}: {' '.join(str(notes[0].message).split())}", SimscWarning, stacklevel=3)
    check_array(path, "the volume", data.shape, data.dtype, None)
    if axes != [0, 0, 0] and sorted(axes) != [1, 2, 3]:
        raise InputError(f"{path}: its header tells the axes {axes} of sections, rows and columns; they are 1, 2 and 3")
    order = None if axes == [0, 0, 0] else "".join("xyz"[k - 1] for k in axes)
    return RawVolume({"intensity": data}, told, order)


def _mrc_axes(file: Any) -> dict[int | str, RawAxis]:
    """Return the axes of a volume that simsc wrote: its origin and voxel size are momentum transfers."""
    counts = {letter: int(file.header[f"n{letter}"]) for letter in "xyz"}
    return {
        letter: RawAxis(
            float(file.header.origin[letter]) + float(file.voxel_size[letter]) * np.arange(n), "1/nm", f"q{letter}"
        )
        for letter, n in counts.items()
    }


def write_mrc(path: Path, volume: IntensityVolume) -> None:
    """Write MRC2014, single precision; voxel size and origin are momentum transfers in nm⁻¹, and a label says so.

    Programs call them Å.

    Raises:
        InputError: if the file cannot be written.
        ResourceError: if the disk is full.
    """
    import mrcfile

    origin, step = first_and_step(volume)
    with whole_file(path) as partial, mrcfile.new(partial, overwrite=True) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NaN
        file.set_data(np.ascontiguousarray(volume.intensity.transpose(2, 1, 0), dtype=np.float32))
        file.voxel_size = tuple(step)
        file.header.origin = tuple(origin)
        file.add_label(_LABEL)
