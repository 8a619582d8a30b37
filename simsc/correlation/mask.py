"""Which momentum transfers a measurement reached, so that a simulation can be correlated under the same mask."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.io.hdf5 import is_shells
from simsc.io.native import read_intensity, read_shells

Mask = Callable[[np.ndarray], np.ndarray]  # momentum transfers (n, 3), nm⁻¹ → (n,) bool, whether measured


def mask_of_file(path: Path) -> Mask:
    """Return which momentum transfers a file measured: a volume of intensity, or spheres.

    Raises:
        InputError: if it holds neither.
    """
    if is_shells(path):
        with read_shells(path) as (q, read):
            return mask_of_shells([read(k)[0] for k in range(len(q))])
    return mask_of_volume(read_intensity(path))


def mask_of_volume(volume: IntensityVolume) -> Mask:
    """Return which momentum transfers a volume measured: those between voxels that were all measured.

    Args:
        volume: intensity, with or without a mask of its own.
    """
    origin = np.array([axis[0] for axis in volume.q_axes_inv_nm])
    steps = np.array([axis[1] - axis[0] for axis in volume.q_axes_inv_nm])
    # Masks go to other processes, which functions inside functions do not.
    return partial(_between_voxels, origin, steps, np.array(volume.intensity.shape) - 1, volume.measured)


def mask_of_shells(shells: list[ShellIntensity]) -> Mask:
    """Return which momentum transfers spheres measured, by the nearest point of the nearest sphere.

    Args:
        shells: spheres of one grid; between them as far as half of their distance counts, and no farther.

    Raises:
        InputError: for no sphere, or spheres of different grids.
    """
    if not shells or len({shell.intensity.shape for shell in shells}) > 1:
        raise InputError("a mask needs spheres, all of the same grid")
    q = np.array([shell.q_inv_nm for shell in shells])
    order = np.argsort(q)
    everywhere = np.ones(shells[0].intensity.shape, dtype=bool)
    measured = np.array([everywhere if shells[k].measured is None else shells[k].measured for k in order])
    return partial(_near_points, q[order], measured)


def masked(shell: ShellIntensity, mask: Mask) -> ShellIntensity:
    """Return what of a shell is measured."""
    directions = shell_grid(*shell.intensity.shape)[0].reshape(-1, 3)
    measured = mask(shell.q_inv_nm * directions).reshape(shell.intensity.shape)
    return ShellIntensity(shell.q_inv_nm, np.where(measured, shell.intensity, np.nan), measured)


def _between_voxels(
    origin: np.ndarray, steps: np.ndarray, last: np.ndarray, measured: np.ndarray | None, q_inv_nm: np.ndarray
) -> np.ndarray:
    places = (q_inv_nm - origin) / steps
    inside: np.ndarray = ((places >= -1e-6) & (places <= last + 1e-6)).all(axis=1)
    if measured is not None:
        low = np.clip(np.floor(places).astype(int), 0, np.maximum(last - 1, 0))
        for corner in np.ndindex(2, 2, 2):
            at = np.minimum(low + corner, last)
            inside &= measured[at[:, 0], at[:, 1], at[:, 2]]
    return inside


def _near_points(q: np.ndarray, measured: np.ndarray, q_inv_nm: np.ndarray) -> np.ndarray:
    _, n_theta, n_phi = measured.shape
    length = np.linalg.norm(q_inv_nm, axis=1)
    cosine = q_inv_nm[:, 2] / np.maximum(length, 1e-300)
    middles = (q[1:] + q[:-1]) / 2
    sphere = np.searchsorted(middles, length)
    half = np.diff(q).min() / 2 * (1 + 1e-6) if len(q) > 1 else 0.0
    near = np.abs(q[sphere] - length) <= half + 1e-9
    rings = np.arccos(shell_grid(n_theta, 1)[0][:, 0, 2])  # from north to south
    ring = np.searchsorted((rings[1:] + rings[:-1]) / 2, np.arccos(np.clip(cosine, -1, 1)))
    turn = np.arctan2(q_inv_nm[:, 1], q_inv_nm[:, 0]) / (2 * np.pi) * n_phi
    return near & measured[sphere, ring, np.round(turn).astype(int) % n_phi]
