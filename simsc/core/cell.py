"""The periodic cell of a superlattice."""

from dataclasses import dataclass

import numpy as np

from simsc.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Cell:
    """A parallelepiped with a choice of periodic directions.

    Args:
        vectors_nm: (3, 3) edge vectors a, b, c as rows, nm; right-handed and not flat.
        periodic: (3,) bool, whether the crystal repeats along a, b and c. Default: along all.

    Raises:
        InputError: if the vectors are not finite, span no volume or are left-handed.

    Example:
        >>> round(Cell.orthorhombic(2.0, 3.0, 4.0).volume_nm3, 6)
        24.0
    """

    vectors_nm: np.ndarray
    periodic: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        vectors = np.array(self.vectors_nm, dtype=np.float64)
        periodic = np.array([True] * 3 if self.periodic is None else self.periodic, dtype=bool)
        if vectors.shape != (3, 3) or not np.isfinite(vectors).all():
            raise InputError(f"a cell needs 3 × 3 finite numbers (nm), got shape {vectors.shape}")
        if periodic.shape != (3,):
            raise InputError(f"periodic needs 3 truth values, got shape {periodic.shape}")
        if not np.linalg.det(vectors) > 1e-9 * np.linalg.norm(vectors, axis=1).prod():
            raise InputError("the cell vectors a, b, c must span a volume and be right-handed")
        for array in (vectors, periodic):
            array.setflags(write=False)
        object.__setattr__(self, "vectors_nm", vectors)
        object.__setattr__(self, "periodic", periodic)

    @classmethod
    def orthorhombic(cls, x_nm: float, y_nm: float, z_nm: float) -> "Cell":
        """Return a fully periodic cell with edges (nm) along x, y and z."""
        return cls(np.diag([x_nm, y_nm, z_nm]))

    @property
    def volume_nm3(self) -> float:
        """Volume in nm³."""
        return float(np.linalg.det(self.vectors_nm))

    @property
    def perpendicular_widths_nm(self) -> np.ndarray:
        """Distances (3,) in nm between opposite faces, normal to the faces."""
        return 1.0 / np.linalg.norm(np.linalg.inv(self.vectors_nm), axis=0)

    def fractional(self, positions_nm: np.ndarray) -> np.ndarray:
        """Return positions (N, 3), nm, in units of the cell vectors."""
        return positions_nm @ np.linalg.inv(self.vectors_nm)

    def wrap(self, positions_nm: np.ndarray) -> np.ndarray:
        """Return positions (N, 3), nm, moved into the cell along its periodic directions."""
        fractional = self.fractional(positions_nm)
        fractional -= np.floor(fractional) * self.periodic
        return fractional @ self.vectors_nm

    def upper_triangular(self) -> tuple["Cell", np.ndarray]:
        """Turn the cell so that a lies along x and b in the xy plane, as LAMMPS and freud ask for.

        Returns:
            The turned cell and the rotation (3, 3) with `turned = positions @ rotation`.
        """
        q, r = np.linalg.qr(self.vectors_nm.T)
        signs = np.sign(np.diag(r))
        rotation = q * signs
        turned = np.tril(self.vectors_nm @ rotation)
        return Cell(turned, self.periodic), rotation
