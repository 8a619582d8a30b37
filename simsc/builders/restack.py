"""Orientations of nanoparticles in close-packed superlattices, and other stackings of the same nanoparticles."""

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.cell import Cell
from simsc.core.close_packing import CUBIC_AXES
from simsc.core.stacking import stacking_steps
from simsc.core.superlattice import Superlattice


def fcc_orientation(stacking: str) -> Rotation:
    """Return the rotation that lays cubic axes along those of the fcc crystal that a stacking is made of.

    Truncated cuboctahedra whose axes are so aligned face their neighbours in an fcc crystal with {110} facets. In a
    stacking with faults the axes follow the more frequent of the two twins, ABC or ACB.

    Args:
        stacking: as for `simsc.builders.close_packed.close_packed`.

    Raises:
        InputError: for a stacking that is not close-packed.
    """
    steps = stacking_steps(stacking)
    forward = np.count_nonzero(steps == 1) >= len(steps) / 2
    return Rotation.from_matrix(CUBIC_AXES if forward else np.diag([-1.0, -1.0, 1.0]) @ CUBIC_AXES)


def primitive_fcc(d_nn_nm: float) -> Superlattice:
    """Return one NP in the primitive cell of fcc, cubic axes along x, y and z; d_nn in nm."""
    return Superlattice(np.zeros((1, 3)), cell=Cell(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]]) * d_nn_nm / np.sqrt(2)))


def cubic_fcc(d_nn_nm: float) -> Superlattice:
    """Return four NPs in the cubic cell of fcc; d_nn in nm."""
    edge = np.sqrt(2) * d_nn_nm
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return Superlattice(sites * edge, cell=Cell(np.eye(3) * edge))
