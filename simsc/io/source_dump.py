"""Text dumps of LAMMPS as a source of structures; `lammps_dump` reads the text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError
from simsc.io.centres import AtomTable
from simsc.io.lammps_dump import DumpFrame, LammpsDump
from simsc.io.source_mdanalysis import read_topology
from simsc.io.structure_source import RawFrame


class DumpSource:
    """A text dump.

    Args:
        path: file.
        topology: file that tells what the atoms are, with the same numbers; None for what the columns tell.

    Raises:
        InputError: if it has not one whole frame.
    """

    def __init__(self, path: Path, topology: Path | None) -> None:
        self._dump = LammpsDump(path)
        self._first: DumpFrame | None = None
        self._topology = None if topology is None else read_topology(topology)
        self.path, self.unit = path, self._dump.read(0).unit

    def __len__(self) -> int:
        return len(self._dump)

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        """Read frames, in ascending order."""
        for number in numbers:
            frame = self._dump.read(number)
            if self._first is None:
                self._first = frame
            if len(numbers) > 1 and "id" not in frame.columns:
                raise InputError(f"{self.path}: has no column id, without which atoms cannot be followed")
            if not self._same(frame):
                raise InputError(f"{self.path}: frame {number} has other atoms than the first")
            yield RawFrame(frame.positions, frame.vectors, frame.periodic, frame.time_ns)

    def _same(self, frame: DumpFrame) -> bool:
        """Tell whether a frame has the atoms of the first one; what has another number of them is told elsewhere."""
        assert self._first is not None
        one, other = (f.columns.get("id", np.empty(0)).astype(int) for f in (self._first, frame))
        return len(one) != len(other) or np.array_equal(one, other)

    def atoms(self) -> Any:
        """Return what is known of the atoms."""
        assert self._first is not None
        columns = self._first.columns
        n = len(self._first.positions)
        ids = columns["id"].astype(int) if "id" in columns else np.arange(1, n + 1)
        if self._topology is not None:
            known = self._topology
            there = known.ids if isinstance(known, AtomTable) else getattr(known.atoms, "ids", None)
            if there is None or not np.array_equal(there, ids):
                raise InputError("the atoms of --topology have other numbers than those of the dump")
            if not isinstance(known, AtomTable):
                known.load_new(self._first.positions[None].astype("f4"))
            return known
        molecules = columns["mol"].astype(int) if "mol" in columns else None
        return AtomTable(
            columns.get("type"),
            columns["mass"].astype(float) if "mass" in columns else None,
            None if molecules is None else np.where(molecules > 0, molecules, -1),
            columns.get("element"),
            ids,
        )
