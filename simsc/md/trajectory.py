"""A trajectory: NP centres, orientations and thermodynamics over time, in HDF5, read back as superlattices."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Frame, Superlattice
from simsc.io.hdf5 import check_kind, new_hdf5, open_hdf5
from simsc.io.kinds import TRAJECTORY
from simsc.io.whole_files import whole_file

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


@dataclass(frozen=True, eq=False)
class Trajectory:
    """NP centres and orientations over time, and thermodynamics at the same times or more often.

    Its items are frames: `trajectory[-1]` is the last one, and a loop goes over all.

    Args:
        positions_nm: (F, N, 3) unwrapped NP centres, nm.
        orientations: (F, N, 4) quaternions, scalar last, that turn each NP from how it stood in the data file.
        cells_nm: (F, 3, 3) cell vectors as rows, nm.
        radii_nm: (N,) core radii, nm.
        rows: (F,) the row of `series` that belongs to each frame.
        series: one array (R,) for each name of `COLUMNS`.
        series_phase: (R,) index into `phase_names`.
        phase_names: names of the phases.
    """

    positions_nm: np.ndarray
    orientations: np.ndarray
    cells_nm: np.ndarray
    radii_nm: np.ndarray
    rows: np.ndarray
    series: dict[str, np.ndarray]
    series_phase: np.ndarray
    phase_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions_nm)

    def __iter__(self) -> Iterator[Frame]:
        return (self[k] for k in range(len(self)))

    @overload
    def __getitem__(self, number: int) -> Frame: ...
    @overload
    def __getitem__(self, number: slice) -> list[Frame]: ...
    def __getitem__(self, number: int | slice) -> Frame | list[Frame]:
        numbers = range(len(self))[number]
        if isinstance(numbers, range):
            return [self[k] for k in numbers]
        phase = self.phase_names[int(self.phase[numbers])]
        return Frame(self.superlattice(numbers), float(self.thermo["time_ns"][numbers]), phase)

    def __repr__(self) -> str:
        """Return what it is in one line, as notebooks show it."""
        times = self.thermo["time_ns"]
        span = f", {times[0]:.4g} … {times[-1]:.4g} ns" if len(self) else ""
        return f"Trajectory({len(self)} frames of {self.n} NPs{span}, phases {', '.join(self.phase_names)})"

    @property
    def n(self) -> int:
        """Number of NPs."""
        return self.positions_nm.shape[1]

    @cached_property
    def thermo(self) -> dict[str, np.ndarray]:
        """The thermodynamics of the frames: one array (F,) for each name of `COLUMNS`."""
        return {name: values[self.rows] for name, values in self.series.items()}

    @cached_property
    def phase(self) -> np.ndarray:
        """The phase of each frame, (F,), as an index into `phase_names`."""
        return self.series_phase[self.rows]

    def superlattice(self, frame: int, start: Rotation | None = None) -> Superlattice:
        """Return one frame as a periodic superlattice.

        Args:
            frame: its number; negative numbers count from the end.
            start: how the NPs stood in the data file, from the frames of their bodies, N rotations or one for all;
                without it the superlattice has no orientations, as a trajectory knows only how they have turned since.
        """
        orientations = None if start is None else (self.rotations(frame) * start).as_quat()
        return Superlattice(self.positions_nm[frame], self.radii_nm, Cell(self.cells_nm[frame]), orientations)

    def rotations(self, frame: int) -> Rotation:
        """Return the N rotations that turn the NPs of one frame from how they stood in the data file."""
        return Rotation.from_quat(self.orientations[frame])

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
        """Write phase, time, temperature, pressure, energies, volume and spacing, all rows of `series`, as CSV."""
        with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["phase", *COLUMNS])
            for k, phase in enumerate(self.series_phase):
                writer.writerow([self.phase_names[phase], *(f"{self.series[name][k]:.8g}" for name in COLUMNS)])


def joined(parts: Sequence[Trajectory]) -> Trajectory:
    """Return parts of one trajectory, one or more, as one, in the order given."""
    offsets = np.cumsum([0] + [len(part.series_phase) for part in parts[:-1]])
    return Trajectory(
        positions_nm=np.concatenate([part.positions_nm for part in parts]),
        orientations=np.concatenate([part.orientations for part in parts]),
        cells_nm=np.concatenate([part.cells_nm for part in parts]),
        radii_nm=parts[0].radii_nm,
        rows=np.concatenate([part.rows + offset for part, offset in zip(parts, offsets, strict=True)]),
        series={name: np.concatenate([part.series[name] for part in parts]) for name in COLUMNS},
        series_phase=np.concatenate([part.series_phase for part in parts]),
        phase_names=parts[0].phase_names,
    )


def write_trajectory(path: Path, trajectory: Trajectory, origin: dict[str, Any]) -> None:
    """Write a trajectory, whole or not at all; `origin` (see `simsc.io.provenance.provenance`) goes with it.

    Raises:
        InputError: if the folder cannot be written.
        ResourceError: if the disk is full.
    """
    with new_hdf5(path, TRAJECTORY, origin) as file:
        file.attrs["phase_names"] = list(trajectory.phase_names)
        for name, unit in (("positions_nm", "nm"), ("cells_nm", "nm"), ("radii_nm", "nm"), ("orientations", "")):
            file[name] = getattr(trajectory, name)
            file[name].attrs["units"] = unit
        file["rows"], file["phase"] = trajectory.rows, trajectory.series_phase
        for name, unit in COLUMNS.items():
            file[f"thermo/{name}"] = trajectory.series[name]
            file[f"thermo/{name}"].attrs["units"] = unit


def read_trajectory(path: Path) -> Trajectory:
    """Read a trajectory.

    Raises:
        InputError: if the file cannot be read or is no trajectory of simsc.
    """
    with open_hdf5(path) as file:
        check_kind(path, file, TRAJECTORY)
        return Trajectory(
            positions_nm=file["positions_nm"][:],
            orientations=file["orientations"][:],
            cells_nm=file["cells_nm"][:],
            radii_nm=file["radii_nm"][:],
            rows=file["rows"][:],
            series={name: file[f"thermo/{name}"][:] for name in COLUMNS},
            series_phase=file["phase"][:],
            phase_names=tuple(str(name) for name in file.attrs["phase_names"]),
        )
