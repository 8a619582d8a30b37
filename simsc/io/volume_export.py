"""Intensity volumes and correlation maps in the files of other programs: MRC, VTK, NumPy and CSV.

Momentum transfers stay in nm⁻¹. What was not measured is NaN.
"""

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io.whole_files import whole_file

MRC_LABEL = "simsc: origin and voxel size are momentum transfers, 1/nm"
VTK_TITLE = "intensity by simsc; momentum transfer in 1/nm"


def write_volume(path: Path, volume: IntensityVolume) -> None:
    """Write an intensity in the format that the ending of the file names.

    `.mrc`: MRC2014, single precision; voxel size and origin are momentum transfers in nm⁻¹ (programs call them Å), and
    a label says so. `.vtk`: legacy VTK, as ParaView reads it, with `intensity` and, where not all was measured,
    `measured`. `.npz`: the arrays `intensity`, `qx`, `qy`, `qz`, `measured`, `variance` and `unit`, all digits.

    Args:
        path: file to write, whole or not at all.
        volume: the intensity.

    Raises:
        InputError: for another ending, or a file that cannot be written.
        ResourceError: if the disk is full.
    """
    write = VOLUMES.get(path.suffix.lower())
    if write is None:
        raise InputError(
            f"{path}: no volume is written with this ending; these are {', '.join(VOLUMES)}, and .png, .svg or .pdf "
            "for a picture"
        )
    write(path, volume)


def _spacing(volume: IntensityVolume) -> tuple[list[float], list[float]]:
    """Return the first point and the step of each axis, nm⁻¹."""
    axes = volume.q_axes_inv_nm
    return [float(axis[0]) for axis in axes], [float((axis[-1] - axis[0]) / (len(axis) - 1)) for axis in axes]


def _write_mrc(path: Path, volume: IntensityVolume) -> None:
    import mrcfile

    origin, step = _spacing(volume)
    with whole_file(path) as partial, mrcfile.new(partial, overwrite=True) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NaN
        file.set_data(np.ascontiguousarray(volume.intensity.transpose(2, 1, 0), dtype=np.float32))
        file.voxel_size = tuple(step)
        file.header.origin = tuple(origin)
        file.add_label(MRC_LABEL)


def _write_vtk(path: Path, volume: IntensityVolume) -> None:
    origin, step = _spacing(volume)
    head = [
        "# vtk DataFile Version 3.0",
        VTK_TITLE,
        "BINARY",
        "DATASET STRUCTURED_POINTS",
        "DIMENSIONS {} {} {}".format(*volume.intensity.shape),
        "ORIGIN {!r} {!r} {!r}".format(*origin),
        "SPACING {!r} {!r} {!r}".format(*step),
        f"POINT_DATA {volume.intensity.size}",
    ]
    with whole_file(path) as partial, open(partial, "wb") as file:
        file.write(("\n".join(head) + "\n").encode())
        _vtk_array(file, "intensity", "float", volume.intensity.astype(">f4"))
        if volume.measured is not None:
            _vtk_array(file, "measured", "unsigned_char", volume.measured.astype("u1"))


def _vtk_array(file: BinaryIO, name: str, kind: str, values: np.ndarray) -> None:
    file.write(f"SCALARS {name} {kind} 1\nLOOKUP_TABLE default\n".encode())
    file.write(values.tobytes(order="F"))  # x runs fastest
    file.write(b"\n")


def _write_npz(path: Path, volume: IntensityVolume) -> None:
    arrays: dict[str, Any] = dict(zip(("qx", "qy", "qz"), volume.q_axes_inv_nm, strict=True))
    arrays["intensity"] = volume.intensity
    arrays |= {} if volume.measured is None else {"measured": volume.measured}
    arrays |= {} if volume.variance is None else {"variance": volume.variance}
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, unit=np.array("1/nm"), **arrays)


VOLUMES: dict[str, Callable[[Path, IntensityVolume], None]] = {
    ".mrc": _write_mrc,
    ".vtk": _write_vtk,
    ".npz": _write_npz,
}
"""What writes volumes, by the endings of files."""
MAPS = (".csv",)


def write_map_table(path: Path, correlation: CorrelationMap) -> None:
    """Write a correlation map as CSV: a row for each pair of q2 (nm⁻¹) and Δ (degrees).

    Raises:
        InputError: for another ending than .csv, or a file that cannot be written.
        ResourceError: if the disk is full.
    """
    if path.suffix.lower() not in MAPS:
        raise InputError(f"{path}: no correlation map is written with this ending; it is .csv, or for pictures .png …")
    errors = None if correlation.variance is None else np.sqrt(correlation.variance)
    head = ["q1_inv_nm", "q2_inv_nm", "delta_deg", "ccf", "coverage"]
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head if errors is None else [*head, "standard_error"])
        for i, q2 in enumerate(correlation.q2_inv_nm):
            for j, delta in enumerate(correlation.delta_deg):
                row = [f"{x:.8g}" for x in (correlation.q1_inv_nm, q2, delta, correlation.ccf[i, j])]
                row.append(f"{correlation.coverage[i, j]:.6g}")
                writer.writerow(row if errors is None else [*row, f"{errors[i, j]:.4g}"])
