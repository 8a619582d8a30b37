"""What readers of structures of other programs give: frames of positions, and what is known of the atoms."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice

STATES_UNIT = (".xtc", ".trr", ".nc", ".ncdf", ".tng", ".gro", ".pdb", ".ent", ".mmcif", ".cif")
"""Endings of files whose unit of length is fixed, and which libraries convert to Å."""


_UNIT_LENGTH = 1e-6  # of a quaternion, how far its length may lie from 1


class RawFrame(NamedTuple):
    """A frame, in a file's unit of length.

    Args:
        positions: (n, 3) of the atoms.
        vectors: (3, 3) of the cell; None without one.
        periodic: (3,) which of them are periodic.
        time_ns: ns, or NaN.
        radii: (n,) of the atoms; None if the file tells none.
        orientations: (n, 4) quaternions, scalar last; None if the file tells none.
    """

    positions: np.ndarray
    vectors: np.ndarray | None
    periodic: np.ndarray
    time_ns: float
    radii: np.ndarray | None = None
    orientations: np.ndarray | None = None


class Source(Protocol):
    """A file of other programs."""

    @property
    def unit(self) -> str | None:
        """Unit of length: "A" or "nm" where the file tells, "" where Å is usual, None where nothing is."""

    def __len__(self) -> int:
        """Number of frames."""

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        """Read frames, in ascending order."""

    def atoms(self) -> Any:
        """What is known of the atoms: an `AtomTable`, or an `MDAnalysis.Universe`."""


def superlattice_of_sites(
    positions_nm: np.ndarray, radii: Any, nm_per_unit: float, cell: Cell | None, orientations: Any
) -> Superlattice:
    """Return a superlattice; radii and quaternions that are 0 throughout are those of programs that know none.

    Args:
        positions_nm: (N, 3) NP centres, nm.
        radii: (N,) in a program's unit of length, or None.
        nm_per_unit: that unit, nm.
        cell: nm; None for free space.
        orientations: (N, 4) quaternions, scalar last, or None.

    Raises:
        InputError: for radii that are not positive, or quaternions of another length than 1.
    """
    if radii is not None and not np.any(radii):
        radii = None
    if orientations is not None:
        orientations = np.asarray(orientations, dtype=float)
        lengths = np.linalg.norm(orientations, axis=-1, keepdims=True)
        if not lengths.any():
            orientations = None
        elif (np.abs(lengths - 1) < _UNIT_LENGTH).all():
            orientations = orientations / lengths
    radii_nm = None if radii is None else np.asarray(radii, dtype=float) * nm_per_unit
    return Superlattice(positions_nm, radii_nm, cell, orientations)
