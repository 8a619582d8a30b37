"""A trajectory: NP centres and thermodynamics over time, in HDF5, read back as superlattices."""

import contextlib
import csv
import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.files import whole_file, write_error
from simsc.core.superlattice import Superlattice

COLUMNS = {
    "time_ns": "ns",
    "temperature_K": "K",
    "target_K": "K",
    "pressure_atm": "atm",
    "potential_kcal_per_mol": "kcal/mol",
    "kinetic_kcal_per_mol": "kcal/mol",
    "volume_nm3": "nm^3",
    "d_nn_nm": "nm",
}
FORMAT = "simsc trajectory 1"


@dataclass(frozen=True, eq=False)
class Trajectory:
    """NP centres over time.

    Args:
        positions_nm: (F, N, 3) unwrapped NP centres, nm.
        cells_nm: (F, 3, 3) cell vectors as rows, nm.
        radii_nm: (N,) core radii, nm.
        phase: (F,) index into `phase_names`.
        phase_names: names of the phases.
        thermo: one array (F,) for each name of `COLUMNS`.
    """

    positions_nm: np.ndarray
    cells_nm: np.ndarray
    radii_nm: np.ndarray
    phase: np.ndarray
    phase_names: tuple[str, ...]
    thermo: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.positions_nm)

    def superlattice(self, frame: int) -> Superlattice:
        """Return one frame as a periodic superlattice (negative numbers count from the end)."""
        return Superlattice(self.positions_nm[frame], self.radii_nm, Cell(self.cells_nm[frame]))

    def last_frames(self, phase_name: str, n: int) -> list[int]:
        """Return the numbers of the last n frames (or fewer) of a phase.

        Raises:
            InputError: if there is no such phase or it has no frame.
        """
        if phase_name not in self.phase_names:
            raise InputError(f"phase {phase_name!r} is not in the trajectory; it has {', '.join(self.phase_names)}")
        frames = np.flatnonzero(self.phase == self.phase_names.index(phase_name))
        if len(frames) == 0:
            raise InputError(f"phase {phase_name!r} has no frame")
        return [int(f) for f in frames[-n:]]

    def write_csv(self, path: Path) -> None:
        """Write phase, time, temperature, pressure, energies, volume and spacing of every frame as CSV."""
        with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["phase", *COLUMNS])
            for k in range(len(self)):
                row = [f"{self.thermo[name][k]:.8g}" for name in COLUMNS]
                writer.writerow([self.phase_names[self.phase[k]], *row])


class TrajectoryWriter:
    """Append frames to an HDF5 file; every frame is on disk when `append` returns.

    Args:
        path: file to write; an older one is replaced.
        radii_nm: (N,) core radii, nm.
        phase_names: names of the phases.
    """

    def __init__(self, path: Path, radii_nm: np.ndarray, phase_names: tuple[str, ...]) -> None:
        self._path = path
        self._file = h5py.File(path, "w")
        self._file.attrs["format"] = FORMAT
        self._file.attrs["phase_names"] = list(phase_names)
        self._file["radii_nm"] = radii_nm
        n = len(radii_nm)
        self._series = {
            "positions_nm": self._file.create_dataset("positions_nm", (0, n, 3), "f8", maxshape=(None, n, 3)),
            "cells_nm": self._file.create_dataset("cells_nm", (0, 3, 3), "f8", maxshape=(None, 3, 3)),
            "phase": self._file.create_dataset("phase", (0,), "i4", maxshape=(None,)),
        }
        for name, unit in COLUMNS.items():
            dataset = self._file.create_dataset(f"thermo/{name}", (0,), "f8", maxshape=(None,))
            dataset.attrs["units"] = unit
            self._series[f"thermo/{name}"] = dataset

    def append(self, positions_nm: np.ndarray, cell_nm: np.ndarray, phase: int, thermo: dict[str, float]) -> None:
        """Append one frame; `thermo` holds a number for each name of `COLUMNS`.

        Raises:
            ResourceError: if it cannot be written, as on a full disk.
        """
        values = {"positions_nm": positions_nm, "cells_nm": cell_nm, "phase": phase}
        values |= {f"thermo/{name}": thermo[name] for name in COLUMNS}
        try:
            for name, dataset in self._series.items():
                dataset.resize(len(dataset) + 1, axis=0)
                dataset[-1] = values[name]
            self._file.flush()
            # HDF5 hands the data to the system; this hands them to the disk, and learns whether it had room.
            os.fsync(self._file.id.get_vfd_handle())
        except (OSError, RuntimeError) as error:
            raise write_error(self._path, OSError(*error.args)) from None

    def close(self) -> None:
        """Close the file; what cannot be written any more has been complained about by `append`."""
        with contextlib.suppress(OSError, RuntimeError):
            self._file.close()


def read_trajectory(path: Path) -> Trajectory:
    """Read a trajectory.

    Raises:
        InputError: if the file cannot be read or is no trajectory of simsc.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise InputError(f"{path}: is not a trajectory of simsc")
            return Trajectory(
                positions_nm=file["positions_nm"][:],
                cells_nm=file["cells_nm"][:],
                radii_nm=file["radii_nm"][:],
                phase=file["phase"][:],
                phase_names=tuple(str(name) for name in file.attrs["phase_names"]),
                thermo={name: file[f"thermo/{name}"][:] for name in COLUMNS},
            )
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a trajectory ({' '.join(str(error).split())})") from None
