"""The two cells of one lattice with a particle in every face: primitive (P, one NP) and face-centred (F, four NPs).

International Tables for Crystallography A, Table 5.1.3.1. Which of the three edges is called a is a choice: the a, b, c
in Table 1 of Lapkin et al. (ACS Nano 2025, 19, 42881) are the c, a, b of this module for pillars 1 and 3, and its b, a,
c for pillar 2.
"""

import numpy as np

from simsc.core.cell import Cell

# Rows: a = −p1 + p2 + p3 and so on.
FACE_CENTRED = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])


def face_centred_cell(primitive: Cell) -> Cell:
    """Return the face-centred cell of four times the volume: a = −p1 + p2 + p3, b = p1 − p2 + p3, c = p1 + p2 − p3.

    Args:
        primitive: the primitive cell p1, p2, p3.

    Example:
        >>> cell = face_centred_cell(Cell.from_parameters(16.0, 16.0, 16.0, 60, 60, 60))
        >>> print(cell.parameters.round(3))
        [22.627 22.627 22.627 90.    90.    90.   ]
    """
    return Cell(FACE_CENTRED @ primitive.vectors_nm, primitive.periodic)


def primitive_cell(face_centred: Cell) -> Cell:
    """Return the primitive cell of a quarter of the volume: p1 = (b + c) / 2, p2 = (a + c) / 2, p3 = (a + b) / 2.

    Args:
        face_centred: the face-centred cell a, b, c.

    Example:
        >>> print(primitive_cell(Cell.orthorhombic(22.6, 22.6, 22.6)).parameters.round(2))
        [15.98 15.98 15.98 60.   60.   60.  ]
    """
    return Cell((1 - np.eye(3)) / 2 @ face_centred.vectors_nm, face_centred.periodic)
