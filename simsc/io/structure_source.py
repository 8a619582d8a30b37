"""What readers of structures of other programs give: frames of positions, and what is known of the atoms."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

STATES_UNIT = (".xtc", ".trr", ".nc", ".ncdf", ".tng", ".gro", ".pdb", ".ent", ".mmcif", ".cif")
"""Endings of files whose unit of length is fixed, and which libraries convert to Å."""


class RawFrame(NamedTuple):
    """Positions (n, 3) and vectors (3, 3) in a file's unit, which directions are periodic, and the time (ns or NaN)."""

    positions: np.ndarray
    vectors: np.ndarray | None
    periodic: np.ndarray
    time_ns: float


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
