"""Distances of close-packed crystals of touching spheres, and where their reflections lie: what d_NN fixes.

Layers are hexagonal nets of lattice constant d_NN. Reflections 111 of fcc, which are 002 of hcp, lie along the stacking
axis; the Bragg rods 10l, whose intensity depends on the stacking, run along it at a distance.
"""

import math

import numpy as np

from simsc.core.errors import InputError

LAYER_SPACING = math.sqrt(2.0 / 3.0)  # distance of touching hexagonal layers, in units of d_NN
# Rows: the cubic directions that point along x, y and z of layers "ABC…": [1 -1 0], [1 1 -2] and [1 1 1]. Columns: the
# axes of a body that is aligned with the cubic ones, in the frame of the layers.
CUBIC_AXES = np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])


def layer_momentum_transfer(d_nn_nm: float) -> float:
    """Return |q| of the 111 reflection of fcc, which is 002 of hcp: 2π over the layer spacing, nm⁻¹."""
    return float(2 * np.pi / (LAYER_SPACING * d_nn_nm))


def d_nn_of_111_nm(q_inv_nm: float) -> float:
    """Return the nearest-neighbour distance, nm, of the fcc crystal whose 111 reflection lies at a |q|, nm⁻¹.

    Example:
        >>> round(d_nn_of_111_nm(layer_momentum_transfer(16.0)), 9)
        16.0
    """
    return float(2 * np.pi / (LAYER_SPACING * q_inv_nm))


def rod_momentum_transfer(d_nn_nm: float) -> float:
    """Return the distance of the Bragg rods 10l from the stacking axis, q100 = 4π / (√3 d), nm⁻¹."""
    return float(4 * np.pi / (np.sqrt(3) * d_nn_nm))


def check_distance(d_nn_nm: float, radius_nm: float | None = None) -> None:
    """Raise an `InputError` unless the nearest-neighbour distance is a length, with room for cores of a radius."""
    if not (np.isfinite(d_nn_nm) and d_nn_nm > 0):
        raise InputError(f"the nearest-neighbour distance must be a positive number (nm), got {d_nn_nm:g}")
    if radius_nm is not None and 2 * radius_nm >= d_nn_nm:
        raise InputError(f"cores of diameter {2 * radius_nm:g} nm overlap at a distance of {d_nn_nm:g} nm")
