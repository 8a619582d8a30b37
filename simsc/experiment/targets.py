"""Where the pixels of a scan go: voxels of a Cartesian grid, or points of spheres."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simsc.core.detector import Detector
from simsc.core.errors import InputError
from simsc.core.intensity import shell_grid

_PIECE = 1 << 15  # pixels at a time, so that what is computed of them stays in the cache


class Target(Protocol):
    """What is filled with pixels.

    Attributes:
        n_cells: number of voxels or points.
    """

    @property
    def n_cells(self) -> int:
        """Number of voxels or points."""

    def binning(self, detector: Detector, good: np.ndarray) -> "Binning":
        """Return where the good pixels (rows, columns) go, as a function of the angle of the sample."""


class Binning(Protocol):
    """Which cell each pixel belongs to.

    Attributes:
        pixels: (m,) numbers of the pixels that ever have a cell, in an order in which neighbours share one.
    """

    pixels: np.ndarray

    def cells(self, angle_deg: float) -> np.ndarray:
        """Return the cell (m,) of each of the pixels when the sample is at an angle; −1 for none.

        The next call writes into the same array.
        """


@dataclass(frozen=True)
class VoxelTarget:
    """Voxels of a cube about q = 0; a pixel belongs to the voxel that its middle lies in.

    Args:
        q_max_inv_nm: the middles of the outermost voxels lie at ± q_max along each axis, nm⁻¹.
        n: voxels along each axis.

    Raises:
        InputError: for a grid that is none.
    """

    q_max_inv_nm: float
    n: int = 256

    def __post_init__(self) -> None:
        if not (0 < self.q_max_inv_nm < np.inf and 4 <= self.n <= 1024):
            raise InputError(
                f"a grid needs q_max > 0 and 4 … 1024 voxels an axis, got {self.q_max_inv_nm} and {self.n}"
            )

    @property
    def n_cells(self) -> int:
        """Number of voxels."""
        return self.n**3

    @property
    def axis_inv_nm(self) -> np.ndarray:
        """(n,) middles of the voxels along each axis, nm⁻¹."""
        return np.linspace(-self.q_max_inv_nm, self.q_max_inv_nm, self.n)

    def binning(self, detector: Detector, good: np.ndarray) -> "VoxelBinning":
        """Return where the good pixels (rows, columns) go."""
        return VoxelBinning(self, detector, good)


class VoxelBinning:
    """The voxels of pixels: z stays, x and y turn."""

    def __init__(self, target: VoxelTarget, detector: Detector, good: np.ndarray) -> None:
        self._n = n = target.n
        step = 2 * target.q_max_inv_nm / (n - 1)
        q = detector.q_inv_nm.reshape(-1, 3)
        z = np.floor(q[:, 2] / step + n / 2).astype(np.int64)
        inside = good.ravel() & (z >= 0) & (z < n)
        inside &= np.hypot(q[:, 0], q[:, 1]) < (target.q_max_inv_nm + step / 2) * np.sqrt(2)
        pixels = np.flatnonzero(inside)
        # Layer by layer of voxels, and in a layer column by column.
        order = np.lexsort((pixels % detector.shape[1], z[pixels]))
        self.pixels = pixels[order]
        self._x, self._y = (np.ascontiguousarray(q[self.pixels, k]) / step for k in (0, 1))
        self._z = z[self.pixels].astype(np.int32)
        self._always_inside = bool(np.hypot(self._x, self._y).max(initial=0.0) < (n - 1) / 2)
        self._cells = np.empty(len(self.pixels), dtype=np.int32)

    def cells(self, angle_deg: float) -> np.ndarray:
        """Return the voxel (m,) of each of the pixels at an angle; −1 for none."""
        n = self._n
        cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        # Truncation is the floor of what is positive, and faster.
        shift = n / 2 + n
        for begin in range(0, len(self._cells), _PIECE):
            piece = slice(begin, begin + _PIECE)
            x, y = self._x[piece], self._y[piece]
            i = (cosine * x + sine * y + shift).astype(np.int32) - n
            j = (cosine * y - sine * x + shift).astype(np.int32) - n
            cells = self._cells[piece]
            np.multiply(i, n, out=cells)
            cells += j
            cells *= n
            cells += self._z[piece]
            if not self._always_inside:
                cells[(i < 0) | (i >= n) | (j < 0) | (j >= n)] = -1
        return self._cells


@dataclass(frozen=True, eq=False)
class ShellTarget:
    """Points of spheres; a pixel belongs to the point that it is nearest to in |q|, ring and longitude.

    Args:
        q_inv_nm: (k,) momentum transfers of the spheres, ascending, nm⁻¹.
        width_inv_nm: thickness of the shells about them, nm⁻¹.
        n_theta: rings of each sphere, at the Gauss–Legendre nodes.
        n_phi: points of each ring, even.

    Raises:
        InputError: for spheres that are none, or shells that overlap.
    """

    q_inv_nm: np.ndarray
    width_inv_nm: float
    n_theta: int = 540
    n_phi: int = 1080

    def __post_init__(self) -> None:
        q = np.asarray(self.q_inv_nm, dtype=float)
        if q.ndim != 1 or len(q) < 1 or not (np.isfinite(q).all() and q[0] > 0 and (np.diff(q) > 0).all()):
            raise InputError("spheres need ascending positive momentum transfers (nm⁻¹)")
        if not 0 < self.width_inv_nm < 2 * q[0]:
            raise InputError(f"shells need a positive thickness, got {self.width_inv_nm:g} nm⁻¹")
        if len(q) > 1 and self.width_inv_nm > np.diff(q).min() * (1 + 1e-9):
            raise InputError(
                f"shells {self.width_inv_nm:g} nm⁻¹ thick overlap; they lie {np.diff(q).min():g} nm⁻¹ apart"
            )
        if self.n_theta < 2 or self.n_phi < 2 or self.n_phi % 2:
            raise InputError(f"spheres need rings and an even number of points, got {self.n_theta} and {self.n_phi}")
        object.__setattr__(self, "q_inv_nm", q)

    @property
    def n_cells(self) -> int:
        """Number of points of all spheres."""
        return len(self.q_inv_nm) * self.n_theta * self.n_phi

    def binning(self, detector: Detector, good: np.ndarray) -> "ShellBinning":
        """Return where the good pixels (rows, columns) go."""
        return ShellBinning(self, detector, good)


class ShellBinning:
    """The points of pixels: sphere and ring stay, the longitude turns."""

    def __init__(self, target: ShellTarget, detector: Detector, good: np.ndarray) -> None:
        self._n_phi = target.n_phi
        q = detector.q_inv_nm.reshape(-1, 3)
        length = np.linalg.norm(q, axis=1)
        sphere = np.clip(np.searchsorted(target.q_inv_nm, length), 1, max(len(target.q_inv_nm) - 1, 1))
        if len(target.q_inv_nm) > 1:
            sphere -= length - target.q_inv_nm[sphere - 1] < target.q_inv_nm[sphere] - length
        else:
            sphere[:] = 0
        inside = good.ravel() & (np.abs(length - target.q_inv_nm[sphere]) <= target.width_inv_nm / 2)
        pixels = np.flatnonzero(inside)
        theta = np.arccos(np.clip(q[pixels, 2] / length[pixels], -1, 1))
        rings = np.arccos(shell_grid(target.n_theta, 2)[0][:, 0, 2])
        ring = np.searchsorted((rings[1:] + rings[:-1]) / 2, theta)
        group = sphere[pixels] * target.n_theta + ring
        longitude = np.arctan2(q[pixels, 1], q[pixels, 0]) * (target.n_phi / (2 * np.pi))
        order = np.lexsort((longitude, group))
        self.pixels = pixels[order]
        self._first = group[order] * target.n_phi
        self._cells = np.empty(len(self.pixels), dtype=np.int64)
        self._longitude = longitude[order]

    def cells(self, angle_deg: float) -> np.ndarray:
        """Return the point (m,) of each of the pixels at an angle."""
        n = self._n_phi
        # Between 0 and 2 n_phi, where truncation is the floor.
        shift = n / 2 + (n / 2 + 0.5 - angle_deg * n / 360) % n
        for begin in range(0, len(self._cells), _PIECE):
            piece = slice(begin, begin + _PIECE)
            point = (self._longitude[piece] + shift).astype(np.int32)
            point -= n * (point >= n)
            np.add(self._first[piece], point, out=self._cells[piece])
        return self._cells
