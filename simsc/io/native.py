"""Superlattices, intensities, spheres and correlation maps in simsc's own HDF5 files.

They lie as plain datasets at the root of a file; intensities and maps are linked into an NXdata group too, so that
silx, NeXpy and h5web plot them.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.io.hdf5 import check_file, check_kind, kind_of_open, link_nxdata, new_hdf5, open_hdf5, streamed_hdf5
from simsc.io.kinds import CORRELATION_MAP, INTENSITY, SHELLS, SUPERLATTICE, TRAJECTORY
from simsc.io.structure_files import last_frame


def write_superlattice(path: Path, superlattice: Superlattice, origin: dict[str, Any]) -> None:
    """Write a superlattice to HDF5; `origin` (see `provenance`) goes with it."""
    with new_hdf5(path, SUPERLATTICE, origin) as file:
        file["positions_nm"] = superlattice.positions_nm
        if superlattice.radii_nm is not None:
            file["radii_nm"] = superlattice.radii_nm
        if superlattice.orientations is not None:
            file["orientations"] = superlattice.orientations
        if superlattice.cell is not None:
            file["cell_nm"] = superlattice.cell.vectors_nm
            file["periodic"] = superlattice.cell.periodic


def read_superlattice(path: Path, length_unit: str | None = None) -> Superlattice:
    """Read NP centres from HDF5 of simsc (a superlattice, or the last frame of a trajectory) or of another program.

    Args:
        path: file; every atom in a file of another format counts as one NP centre.
        length_unit: unit of files of other formats, "A" or "nm"; None for what they tell, else Å.

    Raises:
        InputError: if the file is missing or holds no structure.
    """
    check_file(path, [SUPERLATTICE, TRAJECTORY])
    if not h5py.is_hdf5(path):
        return last_frame(path, length_unit)
    with open_hdf5(path) as file:
        kind = kind_of_open(file)
        if kind is SUPERLATTICE:
            cell = Cell(file["cell_nm"][:], file["periodic"][:]) if "cell_nm" in file else None
            radii = file["radii_nm"][:] if "radii_nm" in file else None
            orientations = file["orientations"][:] if "orientations" in file else None
            return Superlattice(file["positions_nm"][:], radii, cell, orientations)
        if "cells_nm" in file and "positions_nm" in file:
            if len(file["positions_nm"]) == 0:
                raise InputError(f"{path}: the trajectory has no frame")
            return Superlattice(file["positions_nm"][-1], file["radii_nm"][:], Cell(file["cells_nm"][-1]))
        if kind is not None:
            raise InputError(f"{path}: is {kind.name}; a structure is needed here: a superlattice or a trajectory")
    raise InputError(f"{path}: is HDF5, but neither a superlattice nor a trajectory of simsc")


def write_intensity(path: Path, volume: IntensityVolume, origin: dict[str, Any]) -> None:
    """Write an intensity volume to HDF5."""
    with new_hdf5(path, INTENSITY, origin) as file:
        file.create_dataset("intensity", data=volume.intensity, compression="gzip", compression_opts=1, shuffle=True)
        for name, axis in zip(("qx", "qy", "qz"), volume.q_axes_inv_nm, strict=True):
            file[name] = axis
            file[name].attrs["units"] = "1/nm"
        if volume.measured is not None:
            file.create_dataset("measured", data=volume.measured, compression="gzip")
        if volume.variance is not None:
            file.create_dataset("variance", data=volume.variance, compression="gzip", compression_opts=1, shuffle=True)
        if volume.diameter_nm is not None:
            file.attrs["diameter_nm"] = volume.diameter_nm
        link_nxdata(file, "intensity", ["qx", "qy", "qz"])


def read_intensity(path: Path) -> IntensityVolume:
    """Read an intensity volume that simsc wrote.

    Raises:
        InputError: if the file is not an intensity volume of simsc.
    """
    check_file(path, [INTENSITY])
    with open_hdf5(path) as file:
        check_kind(path, file, INTENSITY)
        return IntensityVolume(
            file["intensity"][:],
            (file["qx"][:], file["qy"][:], file["qz"][:]),
            file["measured"][:].astype(bool) if "measured" in file else None,
            float(file.attrs["diameter_nm"]) if "diameter_nm" in file.attrs else None,
            file["variance"][:] if "variance" in file else None,
        )


def write_shells(
    path: Path, shells: Iterable[tuple[ShellIntensity, np.ndarray | None]], origin: dict[str, Any]
) -> None:
    """Write spheres of intensity, each with its variance or None, one after the other, to HDF5.

    `intensity` and `variance` are (n_q, n_theta, n_phi), NaN where nothing was measured, at the Gauss–Legendre nodes
    `cos_theta` and at even `phi`.

    Raises:
        InputError: for no sphere, or for spheres of different grids.
    """
    with streamed_hdf5(path, SHELLS, origin) as file:
        q: list[float] = []
        for shell, variance in shells:
            shape = shell.intensity.shape
            if not q:
                for name in ("intensity", "variance")[: 1 if variance is None else 2]:
                    file.create_dataset(
                        name, (0, *shape), np.float32, maxshape=(None, *shape), chunks=(1, *shape), compression="lzf"
                    )
            elif shape != file["intensity"].shape[1:] or (variance is None) == ("variance" in file):
                raise InputError(f"{path}: spheres of one file need the same grid, and all of them a variance or none")
            measured = True if shell.measured is None else shell.measured
            for name, values in (("intensity", shell.intensity), ("variance", variance)):
                if values is not None:
                    file[name].resize(len(q) + 1, axis=0)
                    file[name][len(q)] = np.where(measured, values, np.nan)
            q.append(shell.q_inv_nm)
        if not q:
            raise InputError(f"{path}: there is no sphere to write")
        n_theta, n_phi = file["intensity"].shape[1:]
        file["q"], file["phi"] = q, 360 * np.arange(n_phi) / n_phi
        file["cos_theta"] = shell_grid(n_theta, 2)[0][:, 0, 2]
        file["q"].attrs["units"], file["phi"].attrs["units"] = "1/nm", "degree"
        link_nxdata(file, "intensity", ["q", "cos_theta", "phi"])


@contextlib.contextmanager
def read_shells(path: Path) -> Iterator[tuple[np.ndarray, Callable[[int], tuple[ShellIntensity, np.ndarray | None]]]]:
    """Give the momentum transfers (n_q,) of a file of spheres, and what reads one of them with its variance.

    Raises:
        InputError: if the file is not one of spheres.
    """
    check_file(path, [SHELLS])
    with open_hdf5(path) as file:
        check_kind(path, file, SHELLS)

        def read(k: int) -> tuple[ShellIntensity, np.ndarray | None]:
            intensity = file["intensity"][k].astype(float)
            variance = file["variance"][k].astype(float) if "variance" in file else None
            measured = np.isfinite(intensity)
            return ShellIntensity(float(file["q"][k]), intensity, None if measured.all() else measured), variance

        yield file["q"][:], read


def write_map(path: Path, correlation: CorrelationMap, origin: dict[str, Any]) -> None:
    """Write a correlation map to HDF5: `q2` (nm⁻¹), `delta` (degrees), `ccf`, `variance`, `coverage`, the profile."""
    with new_hdf5(path, CORRELATION_MAP, origin) as file:
        file.attrs["q1_inv_nm"] = correlation.q1_inv_nm
        file["q2"], file["delta"] = correlation.q2_inv_nm, correlation.delta_deg
        file["q2"].attrs["units"], file["delta"].attrs["units"] = "1/nm", "degree"
        file["ccf"], file["coverage"] = correlation.ccf, correlation.coverage
        file["radial_profile"] = correlation.radial_profile
        file.attrs["bin_deg"] = correlation.bin_deg
        if correlation.variance is not None:
            file["variance"] = correlation.variance
        link_nxdata(file, "ccf", ["q2", "delta"])


def read_map(path: Path) -> CorrelationMap:
    """Read a correlation map.

    Raises:
        InputError: if the file is not a correlation map of simsc.
    """
    check_file(path, [CORRELATION_MAP])
    with open_hdf5(path) as file:
        check_kind(path, file, CORRELATION_MAP)
        return CorrelationMap(
            q1_inv_nm=float(file.attrs["q1_inv_nm"]),
            q2_inv_nm=file["q2"][:],
            delta_deg=file["delta"][:],
            ccf=file["ccf"][:],
            coverage=file["coverage"][:],
            radial_profile=file["radial_profile"][:],
            variance=file["variance"][:] if "variance" in file else None,
            bin_deg=float(file.attrs.get("bin_deg", 0.0)),
        )
