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

    @classmethod
    def from_parameters(
        cls, a_nm: float, b_nm: float, c_nm: float, alpha_deg: float, beta_deg: float, gamma_deg: float
    ) -> "Cell":
        """Return a fully periodic cell of given edges and angles, a along x and b in the xy plane.

        Args:
            a_nm: length of the first edge, nm.
            b_nm: of the second.
            c_nm: of the third.
            alpha_deg: angle between b and c, degrees.
            beta_deg: between a and c.
            gamma_deg: between a and b.

        Raises:
            InputError: for lengths that are not positive, or angles that no cell has.

        Example:
            >>> Cell.from_parameters(16.8, 17.0, 17.8, 58.7, 60.8, 68.5).parameters.round(1).tolist()
            [16.8, 17.0, 17.8, 58.7, 60.8, 68.5]
        """
        lengths, angles = np.array([a_nm, b_nm, c_nm]), np.array([alpha_deg, beta_deg, gamma_deg])
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise InputError(f"the edges a, b, c of a cell must be positive numbers (nm), got {lengths.tolist()}")
        if not ((angles > 0) & (angles < 180)).all():
            raise InputError(f"the angles α, β, γ of a cell must lie between 0 and 180 degrees, got {angles.tolist()}")
        cos_a, cos_b, cos_g = np.cos(np.radians(angles))
        sin_g = np.sqrt(1 - cos_g**2)
        y = (cos_a - cos_b * cos_g) / sin_g
        z2 = 1 - cos_b**2 - y**2
        if not z2 > 1e-9:
            raise InputError(
                f"no cell has the angles α, β, γ = {', '.join(f'{angle:g}' for angle in angles)} degrees: each must be "
                "less than the sum of the other two, and all together less than 360"
            )
        return cls(lengths[:, None] * np.array([[1, 0, 0], [cos_g, sin_g, 0], [cos_b, y, np.sqrt(z2)]]))

    @property
    def parameters(self) -> np.ndarray:
        """(6,) edges a, b, c, nm, and angles α, β, γ, degrees."""
        lengths = np.linalg.norm(self.vectors_nm, axis=1)
        a, b, c = self.vectors_nm / lengths[:, None]
        # By sine and cosine: the arc cosine alone loses half of the digits of small angles.
        angles = [np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v) for u, v in ((b, c), (a, c), (a, b))]
        return np.concatenate([lengths, np.degrees(angles)])

    def __repr__(self) -> str:
        """Return edges, and angles unless all are right ones, as people write them."""
        return f"Cell({self.described})"

    @property
    def described(self) -> str:
        """What the cell is, in words."""
        values = self.parameters
        text = " × ".join(f"{edge:.4g}" for edge in values[:3]) + " nm"
        if np.abs(values[3:] - 90).max() > 1e-6:
            text += ", " + " ".join(f"{angle:.4g}°" for angle in values[3:])
        along = "".join(letter for letter, repeats in zip("abc", self.periodic, strict=True) if repeats)
        return f"{text}, " + (f"periodic {along}" if along else "not periodic")

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


def cell_from_vectors(vectors_nm: np.ndarray, periodic: np.ndarray, positions_nm: np.ndarray) -> Cell | None:
    """Return the cell that vectors of other programs span; None where nothing repeats.

    A left-handed cell spans the same lattice with one of its vectors turned round; and slabs come without a vector
    along the direction that does not repeat, which is then normal to the others, with room for all.

    Args:
        vectors_nm: (3, 3) vectors a, b, c as rows, nm; those of directions that are not periodic may be 0.
        periodic: (3,) bool, whether the crystal repeats along each.
        positions_nm: (N, 3) what is in it, nm.

    Raises:
        InputError: if the vectors span no volume.
    """
    periodic = np.asarray(periodic, dtype=bool)
    if not periodic.any():
        return None
    vectors = np.array(vectors_nm, dtype=float)
    for axis in np.flatnonzero(~periodic & (np.linalg.norm(vectors, axis=1) == 0)):
        first, second = vectors[(axis + 1) % 3], vectors[(axis + 2) % 3]
        normal = np.cross(first, second) if first.any() and second.any() else _any_normal(first + second)
        normal = normal / np.linalg.norm(normal)
        vectors[axis] = normal * (np.ptp(positions_nm @ normal) + 1.0)
    return Cell(vectors * [[1], [1], [-1 if np.linalg.det(vectors) < 0 else 1]], periodic)


def _any_normal(vector: np.ndarray) -> np.ndarray:
    return np.cross(vector, np.eye(3)[np.abs(vector).argmin()])
