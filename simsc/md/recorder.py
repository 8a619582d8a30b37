"""What a run records: rows of thermodynamics, frames of centres that do not jump."""

import numpy as np

from simsc.core.superlattice import Superlattice
from simsc.md.trajectory import COLUMNS, Trajectory


class Recorder:
    """Rows and frames of one segment, as they come."""

    def __init__(self, radii_nm: np.ndarray, phase_names: tuple[str, ...], phase: int) -> None:
        self._radii_nm, self._phase_names, self._phase = radii_nm, phase_names, phase
        self.rows: list[dict[str, float]] = []
        self._frames: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []

    def add(
        self,
        lattice: Superlattice,
        orientations: np.ndarray | None,
        time_ns: float,
        thermo: dict[str, float],
        target_K: float,
        d_nn_nm: float,
    ) -> None:
        """Add a row, and a frame where there are orientations."""
        assert lattice.cell is not None
        vectors = lattice.cell.vectors_nm
        if orientations is not None:
            self._frames.append((lattice.positions_nm, orientations, vectors, len(self.rows)))
        self.rows.append(
            {
                "time_ns": time_ns,
                "temperature_K": thermo["temperature_K"],
                "target_K": target_K,
                "pressure_atm": thermo["pressure_atm"],
                "potential_kcal_per_mol": thermo["potential"],
                "kinetic_kcal_per_mol": thermo["kinetic"],
                "volume_nm3": float(abs(np.linalg.det(vectors))),
                "d_nn_nm": d_nn_nm,
            }
        )

    def trajectory(self) -> Trajectory:
        """Return what was added, as part of a trajectory."""
        n = len(self._radii_nm)
        positions, turns, cells, rows = zip(*self._frames, strict=True) if self._frames else ((), (), (), ())
        return Trajectory(
            positions_nm=np.array(positions).reshape(-1, n, 3),
            orientations=np.array(turns, dtype="f4").reshape(-1, n, 4),
            cells_nm=np.array(cells).reshape(-1, 3, 3),
            radii_nm=self._radii_nm,
            rows=np.array(rows, dtype="i8"),
            series={name: np.array([row[name] for row in self.rows]) for name in COLUMNS},
            series_phase=np.full(len(self.rows), self._phase, dtype="i4"),
            phase_names=self._phase_names,
        )


def continued(centres: np.ndarray, cell: np.ndarray, last_centres: np.ndarray, last_cell: np.ndarray) -> np.ndarray:
    """Return centres without the jumps by lattice vectors that they make when a leaning box is replaced.

    LAMMPS, or `LammpsSession.straighten` for rigid cores, replaces a box that has become too oblique by a less oblique
    one of the same lattice; and the image flags of rigid bodies do not survive a restart.

    Args:
        centres: (N, 3) unwrapped centres.
        cell: (3, 3) cell vectors as rows.
        last_centres: (N, 3) centres one frame before.
        last_cell: (3, 3) cell vectors one frame before.
    """
    moved = (centres - last_centres) @ np.linalg.inv(cell)
    jumps = np.round(moved)
    return centres - jumps @ cell if jumps.any() else centres
