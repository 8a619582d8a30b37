"""LAMMPS data files, as far as all that write them have it in common."""

import numpy as np


def box_lines(cell_angstrom: np.ndarray) -> list[str]:
    """Return the lines of a data file that tell a cell (3, 3) with lower triangular vectors, Å."""
    cell = cell_angstrom
    return [
        f"0.0 {cell[0, 0]:.12g} xlo xhi",
        f"0.0 {cell[1, 1]:.12g} ylo yhi",
        f"0.0 {cell[2, 2]:.12g} zlo zhi",
        f"{cell[1, 0]:.12g} {cell[2, 0]:.12g} {cell[2, 1]:.12g} xy xz yz",
    ]
