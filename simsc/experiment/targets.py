"""Where the pixels of a scan go: voxels of a Cartesian grid, or points of spheres."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simsc.core.detector import Detector
from simsc.core.errors import InputError
from simsc.core.intensity import shell_grid

_LONGEST = 1 << 7  # pixels of a segment
_ROUNDING = 1e-6  # of the grid: what positions in single precision are surely right to


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

    Neighbouring pixels are put together in segments that have, at most angles of the sample, one cell.

    Attributes:
        pixels: (m,) numbers of the pixels that ever have a cell, segment by segment.
        begins: (k,) where among them each segment begins; none is longer than 128 pixels.
    """

    pixels: np.ndarray
    begins: np.ndarray

    def cells(self, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the cell (k,) of each segment at an angle, −1 for none, and (k,) bool, whether it may have others."""

    def cells_at(self, angle_deg: float, places: np.ndarray) -> np.ndarray:
        """Return the cell (n,) of each of the pixels at some places (n,) among them, −1 for none."""


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
    """The voxels of pixels: z stays, x and y turn.

    A segment is what lies in one layer of voxels of one column. Its pixels lie within a small fraction of a voxel of
    one another, since x and y change with the row in the second order only.
    """

    def __init__(self, target: VoxelTarget, detector: Detector, good: np.ndarray) -> None:
        self._n = n = target.n
        step = 2 * target.q_max_inv_nm / (n - 1)
        q = detector.q_inv_nm.reshape(-1, 3)
        z = np.floor(q[:, 2] / step + n / 2).astype(np.int32)
        inside = good.ravel() & (z >= 0) & (z < n)
        inside &= np.hypot(q[:, 0], q[:, 1]) < (target.q_max_inv_nm + step / 2) * np.sqrt(2)
        pixels = np.flatnonzero(inside)
        # Layer by layer of voxels, and in a layer column by column.
        label = z[pixels] * detector.shape[1] + pixels % detector.shape[1]
        order = np.argsort(label, kind="stable")
        self.pixels = pixels[order]
        self.begins = _begins(label[order])
        self._x, self._y = (q[self.pixels, k] / step for k in (0, 1))
        self._z = z[self.pixels]
        # The middle of each segment, and how far its farthest pixel is from there.
        lengths = np.diff(self.begins, append=len(self.pixels))
        x, y = (np.add.reduceat(part, self.begins) / lengths for part in (self._x, self._y))
        away = np.hypot(self._x - np.repeat(x, lengths), self._y - np.repeat(y, lengths))
        reach = np.maximum.reduceat(away, self.begins) + n * _ROUNDING
        # Single precision is twice as fast here, and what is near a face is looked at again.
        self._middle_x, self._middle_y, self._reach = (part.astype(np.float32) for part in (x, y, reach))
        self._layer = self._z[self.begins]

    def cells(self, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the voxel (k,) of each segment at an angle, and (k,) bool, whether a face may cut through it."""
        near = np.zeros(len(self.begins), dtype=bool)
        return self._voxels(angle_deg, self._middle_x, self._middle_y, self._layer, near), near

    def cells_at(self, angle_deg: float, places: np.ndarray) -> np.ndarray:
        """Return the voxel (n,) of each of the pixels at some places (n,), −1 for none."""
        return self._voxels(angle_deg, self._x[places], self._y[places], self._z[places])

    def _voxels(
        self, angle_deg: float, x: np.ndarray, y: np.ndarray, z: np.ndarray, near: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the voxels (n,) of points, and mark those `near` a face, nearer than the reach of their segment."""
        n = self._n
        cosine, sine = (x.dtype.type(part(np.radians(angle_deg))) for part in (np.cos, np.sin))
        outside = np.zeros(len(x), dtype=bool)
        cells = np.zeros(len(x), dtype=np.int32)
        for position in (cosine * x + sine * y, cosine * y - sine * x):
            position += n / 2
            floor = np.floor(position)
            if near is not None:
                position -= floor
                near |= np.minimum(position, 1 - position) < self._reach
            index = floor.astype(np.int32)
            outside |= (index < 0) | (index >= n)
            cells *= n
            cells += index
        cells *= n
        cells += z
        cells[outside] = -1
        return cells


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
    """The points of pixels: sphere and ring stay, the longitude turns.

    A segment is what lies on one ring of one sphere, and at angle 0 at one of its points.
    """

    def __init__(self, target: ShellTarget, detector: Detector, good: np.ndarray) -> None:
        self._n_phi = target.n_phi
        q = detector.q_inv_nm.reshape(-1, 3)
        length = np.linalg.norm(q, axis=1)
        n = len(target.q_inv_nm)
        sphere = np.clip(np.searchsorted(target.q_inv_nm, length), 1, max(n - 1, 1))
        if n > 1:
            sphere -= length - target.q_inv_nm[sphere - 1] < target.q_inv_nm[sphere] - length
        else:
            sphere[:] = 0
        inside = good.ravel() & (np.abs(length - target.q_inv_nm[sphere]) <= target.width_inv_nm / 2)
        pixels = np.flatnonzero(inside)
        theta = np.arccos(np.clip(q[pixels, 2] / length[pixels], -1, 1))
        rings = np.arccos(shell_grid(target.n_theta, 2)[0][:, 0, 2])
        ring = np.searchsorted((rings[1:] + rings[:-1]) / 2, theta)
        sphere = sphere[pixels]
        longitude = np.arctan2(q[pixels, 1], q[pixels, 0]) * (target.n_phi / (2 * np.pi))
        # Ring by ring, which are rays on the detector, so that pixels that are read together lie together.
        label = (ring * n + sphere) * (target.n_phi + 1) + np.rint(longitude).astype(np.int64)
        order = np.argsort(label, kind="stable")
        self.pixels = pixels[order]
        self.begins = _begins(label[order])
        self._first = ((sphere * target.n_theta + ring) * target.n_phi)[order]
        self._longitude = longitude[order]
        self._ends = tuple(part.reduceat(self._longitude, self.begins) for part in (np.minimum, np.maximum))
        self._ring = self._first[self.begins]

    def cells(self, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Return a point (k,) of each segment at an angle, and (k,) bool, whether it has pixels of others too."""
        low, high = (self._points(angle_deg, end) for end in self._ends)
        return self._ring + low, low != high

    def cells_at(self, angle_deg: float, places: np.ndarray) -> np.ndarray:
        """Return the point (n,) of each of the pixels at some places (n,)."""
        return self._first[places] + self._points(angle_deg, self._longitude[places])

    def _points(self, angle_deg: float, longitude: np.ndarray) -> np.ndarray:
        """Return which point of its ring is nearest; the larger the longitude, the further on, until it begins anew."""
        n = self._n_phi
        # Between 0 and 2 n_phi, where truncation is the floor.
        point = (longitude + (n / 2 + (n / 2 + 0.5 - angle_deg * n / 360) % n)).astype(np.int32)
        point -= n * (point >= n)
        return point


def _begins(labels: np.ndarray) -> np.ndarray:
    """Return where (k,) segments of pixels of one label begin, of which none is longer than `_LONGEST`."""
    begins = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
    lengths = np.diff(begins, append=len(labels))
    if (lengths > _LONGEST).any():
        pieces = -(-lengths // _LONGEST)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        begins = np.repeat(begins, pieces) + _LONGEST * number
    return begins
