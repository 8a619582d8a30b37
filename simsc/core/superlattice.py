"""The superlattice: centres, radii, orientations and cell of nanoparticles; what all parts of simsc exchange."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.cell import Cell
from simsc.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Superlattice:
    """Nanoparticles (NPs) at given centres, in a cell or in free space.

    Args:
        positions_nm: (N, 3) NP centres, nm.
        radii_nm: (N,) core radii, nm, or a single number for all; None where unknown.
        cell: the periodic cell, or None for free space.
        orientations: (N, 4) unit quaternions, scalar last, or a single one for all: the rotation from the frame of the
            body to that of the superlattice. None where all NPs stand as their shapes are defined, or shape is unknown.

    Raises:
        InputError: if arrays do not fit together or hold numbers that are not finite.

    Example:
        >>> Superlattice([[0, 0, 0], [6.2, 0, 0]], radii_nm=2.0).n
        2
    """

    positions_nm: np.ndarray
    radii_nm: np.ndarray | None = None
    cell: Cell | None = None
    orientations: np.ndarray | None = None

    def __post_init__(self) -> None:
        positions = np.array(self.positions_nm, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) == 0:
            raise InputError(f"NP centres need shape (N, 3) with N ≥ 1, got {positions.shape}")
        if not np.isfinite(positions).all():
            bad = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            raise InputError(f"the centre of NP {bad} is not a finite number")
        positions.setflags(write=False)
        object.__setattr__(self, "positions_nm", positions)
        if self.cell is not None and not isinstance(self.cell, Cell):
            raise InputError(
                f"the cell is a {type(self.cell).__name__}; it must be a Cell, such as Cell.orthorhombic(12, 12, 12), "
                "or None (simsc.from_arrays takes edges and vectors too)"
            )
        if self.radii_nm is not None:
            radii = np.array(np.broadcast_to(np.asarray(self.radii_nm, dtype=np.float64), (len(positions),)))
            if not (np.isfinite(radii).all() and (radii > 0).all()):
                raise InputError("core radii must be positive numbers (nm)")
            radii.setflags(write=False)
            object.__setattr__(self, "radii_nm", radii)
        if self.orientations is not None:
            given = np.asarray(self.orientations, dtype=np.float64)
            if given.shape not in ((4,), (len(positions), 4)):
                raise InputError(f"orientations need shape (N, 4) with N = {len(positions)}, got {given.shape}")
            lengths = np.linalg.norm(given, axis=-1, keepdims=True)
            if not (np.abs(lengths - 1) < 1e-6).all():
                raise InputError("orientations must be unit quaternions (x, y, z, w)")
            orientations = np.array(np.broadcast_to(given / lengths, (len(positions), 4)))
            orientations.setflags(write=False)
            object.__setattr__(self, "orientations", orientations)

    def __repr__(self) -> str:
        """Return what it is in one line, as notebooks show it."""
        parts = [f"{self.n} NP{'s' if self.n != 1 else ''}"]
        if self.cell is not None:
            parts.append(f"cell {self.cell.described}")
        else:
            parts[0] += " in free space"
            parts += [f"{self.diameter_nm:.4g} nm across"] if self.n > 1 else []
        if self.radii_nm is None:
            parts.append("radii unknown")
        else:
            spread = f" ± {self.radii_nm.std():.2g}" if np.ptp(self.radii_nm) > 0 else ""
            parts.append(f"radii {self.radii_nm.mean():.4g}{spread} nm")
        return f"Superlattice({', '.join(parts)}{', oriented' if self.orientations is not None else ''})"

    @property
    def n(self) -> int:
        """Number of NPs."""
        return len(self.positions_nm)

    @property
    def known_radii_nm(self) -> np.ndarray:
        """(N,) core radii, nm, for what cannot do without them.

        Raises:
            InputError: if they are unknown.
        """
        if self.radii_nm is None:
            raise InputError("the NPs have no radii; give a core radius (nm), in Python such as .with_radii(2.0)")
        return self.radii_nm

    def with_radii(self, radii_nm: np.ndarray | float) -> "Superlattice":
        """Return the same NPs with other core radii, (N,) or one number, nm."""
        return replace(self, radii_nm=np.asarray(radii_nm))

    def with_orientations(self, rotations: Rotation) -> "Superlattice":
        """Return the same NPs with other orientations, N rotations from the frame of the body or one for all."""
        return replace(self, orientations=rotations.as_quat())

    def rotated(self, rotation: Rotation) -> "Superlattice":
        """Return the superlattice turned as a whole about the origin: centres, cell and NPs."""
        turn = rotation.as_matrix().T
        cell = None if self.cell is None else Cell(self.cell.vectors_nm @ turn, self.cell.periodic)
        stood = Rotation.identity(self.n) if self.orientations is None else Rotation.from_quat(self.orientations)
        return Superlattice(self.positions_nm @ turn, self.radii_nm, cell, (rotation * stood).as_quat())

    def upper_triangular(self) -> "Superlattice":
        """Return the same NPs turned with their cell so that a lies along x and b in the xy plane.

        Raises:
            InputError: without a cell.
        """
        if self.cell is None:
            raise InputError("a superlattice without a cell has no axes to turn to x and y")
        turned = self.rotated(Rotation.from_matrix(self.cell.upper_triangular()[1].T))
        assert turned.cell is not None
        cell = Cell(np.tril(turned.cell.vectors_nm), turned.cell.periodic)
        orientations = None if self.orientations is None else turned.orientations
        return Superlattice(turned.positions_nm, turned.radii_nm, cell, orientations)

    def replicate(self, counts: Sequence[int]) -> "Superlattice":
        """Repeat the cell along a, b and c; copy k holds NPs k·N … (k+1)·N − 1 in the order of the original.

        Args:
            counts: how many copies along each of the three cell vectors, each ≥ 1.

        Raises:
            InputError: without a cell, for counts below 1, or for copies along a direction that is not periodic.
        """
        if self.cell is None:
            raise InputError("a superlattice without a cell cannot be replicated")
        if min(counts) < 1:
            raise InputError(f"replication needs counts ≥ 1, got {tuple(counts)}")
        if any(count > 1 and not periodic for count, periodic in zip(counts, self.cell.periodic, strict=True)):
            raise InputError("only periodic directions of a cell can be replicated")
        shifts = np.stack(np.meshgrid(*(np.arange(c) for c in counts), indexing="ij"), axis=-1).reshape(-1, 3)
        offsets = shifts @ self.cell.vectors_nm
        positions = (offsets[:, None, :] + self.positions_nm).reshape(-1, 3)
        radii = None if self.radii_nm is None else np.tile(self.radii_nm, len(shifts))
        orientations = None if self.orientations is None else np.tile(self.orientations, (len(shifts), 1))
        cell = Cell(self.cell.vectors_nm * np.array(counts)[:, None], self.cell.periodic)
        return Superlattice(positions, radii, cell, orientations)

    def chosen(self, which: np.ndarray) -> "Superlattice":
        """Return some of the NPs, by a mask (N,) or by their numbers, in this order; the cell stays."""
        return Superlattice(
            self.positions_nm[which],
            None if self.radii_nm is None else self.radii_nm[which],
            self.cell,
            None if self.orientations is None else self.orientations[which],
        )

    def in_free_space(self) -> "Superlattice":
        """Return the same NPs as a finite crystal: without a cell."""
        return replace(self, cell=None)

    def largest_ball(self) -> "Superlattice":
        """Cut the largest ball out of the cell, as a finite crystal in free space.

        The ball touches the nearest pair of cell faces; its centre is the centre of the cell.

        Raises:
            InputError: without a cell.
        """
        if self.cell is None:
            raise InputError("a superlattice without a cell has no largest ball")
        centre = self.cell.vectors_nm.sum(axis=0) / 2
        positions = self.cell.wrap(self.positions_nm)
        # Half-open, so that an NP on the surface and its periodic image are not both kept.
        inside = np.linalg.norm(positions - centre, axis=1) < self.cell.perpendicular_widths_nm.min() / 2 - 1e-9
        return replace(self, positions_nm=positions - centre, cell=None).chosen(inside)

    @property
    def diameter_nm(self) -> float:
        """Diameter in nm of a ball about the mean centre that holds all NP centres (no cell is looked at)."""
        return 2 * float(np.linalg.norm(self.positions_nm - self.positions_nm.mean(axis=0), axis=1).max())


@dataclass(frozen=True, eq=False)
class Frame:
    """A superlattice at a time.

    Args:
        superlattice: NPs.
        time_ns: time, ns; NaN where unknown.
        phase: name of the phase of a protocol; empty where there is none.
    """

    superlattice: Superlattice
    time_ns: float = float("nan")
    phase: str = ""
