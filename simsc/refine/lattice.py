"""One lattice, many cells: the reduced cell, the basis nearest to given parameters, and uncertainties in each.

A nearly face-centred cubic lattice has 24 equivalent primitive bases, with 12 different sets of a, b, c, α, β, γ:
cells are compared after a change of basis, never number by number.
"""

from itertools import product

import numpy as np
from ase.build.niggli import niggli_reduce_cell

from simsc.core.cell import Cell

_EDGE_NM, _ANGLE_DEG = 0.3, 1.0  # what counts as equally far from the reference: about 1 degree in direction
_UNIMODULAR = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
_UNIMODULAR = _UNIMODULAR[np.rint(np.linalg.det(_UNIMODULAR)) == 1]


def reduced_basis(cell: Cell) -> np.ndarray:
    """Return the integer matrix (3, 3) that makes the Niggli-reduced cell: `reduced = matrix @ vectors`.

    The reduced cell has the shortest three edges that span the lattice (International Tables A, ch. 3.1.3). Where two
    edges nearly agree, noise decides which cell it is.
    """
    _, operation = niggli_reduce_cell(cell.vectors_nm)  # type: ignore[no-untyped-call]
    matrix = np.rint(operation).astype(int).T
    return matrix if np.linalg.det(matrix) > 0 else -matrix


def nearest_basis(cell: Cell, reference: Cell) -> np.ndarray:
    """Return the integer matrix (3, 3) of the basis whose parameters are nearest to those of a reference.

    Args:
        cell: any primitive cell of the lattice.
        reference: the cell to look like; lattices have no handedness, so six parameters are all there is to compare.

    Example:
        >>> cell = Cell.from_parameters(16.8, 17.0, 17.8, 58.7, 60.8, 68.5)
        >>> other = Cell(np.array([[0, 1, 0], [-1, 0, 1], [1, 0, 0]]) @ cell.vectors_nm)
        >>> print(Cell(nearest_basis(other, cell) @ other.vectors_nm).parameters.round(1))
        [16.8 17.  17.8 58.7 60.8 68.5]
    """
    reduced = reduced_basis(cell)
    # All bases with indices up to 1 of a reduced cell: near-fcc cells and their like are among them.
    candidates = _UNIMODULAR @ reduced
    found = _parameters(candidates @ cell.vectors_nm)
    far = (((found - reference.parameters) / np.repeat([_EDGE_NM, _ANGLE_DEG], 3)) ** 2).sum(axis=1)
    # Of equals the one with the shorter first edges, so that the choice does not hang on rounding.
    best = np.flatnonzero(far < far.min() + 1e-6)
    return candidates[best[np.lexsort(np.round(found[best, :3], 6).T[::-1])[0]]]


def in_basis(cell: Cell, covariance: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameters (6,) of a lattice in another basis, and their covariance (6, 6).

    Args:
        cell: the cell.
        covariance: (6, 6) of its a, b, c, α, β, γ, nm and degrees.
        matrix: (3, 3), so that the other cell is `matrix @ vectors`; any whole numbers.
    """
    own = cell.parameters

    def transformed(parameters: np.ndarray) -> np.ndarray:
        return _parameters((matrix @ Cell.from_parameters(*parameters).vectors_nm)[None])[0]

    steps = np.repeat([1e-4, 1e-3], 3)
    jacobian = np.array(
        [(transformed(own + step) - transformed(own - step)) / (2 * step.sum()) for step in np.diag(steps)]
    ).T
    return transformed(own), jacobian @ covariance @ jacobian.T


def _parameters(vectors: np.ndarray) -> np.ndarray:
    """Return a, b, c, α, β, γ (n, 6) of edges (n, 3, 3), right-handed or not."""
    length = np.linalg.norm(vectors, axis=2)
    unit = vectors / length[:, :, None]
    cosines = [np.einsum("ni,ni->n", unit[:, i], unit[:, j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    return np.column_stack([length, np.degrees(np.arccos(np.clip(cosines, -1, 1))).T])
