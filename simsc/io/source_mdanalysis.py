"""Structures that MDAnalysis reads: what comes with a topology, and what chemists call by residues."""

import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscWarning, reason
from simsc.io.centres import AtomTable
from simsc.io.source_ase import LAMMPS_DATA, AseSource
from simsc.io.structure_source import STATES_UNIT, RawFrame

_STATES_TIME = (".dcd", ".xtc", ".trr", ".nc", ".ncdf", ".tng", ".h5md")
_NS_PER_PS = 1e-3


class MdaSource:
    """A file that MDAnalysis reads.

    Args:
        path: file of positions.
        topology: file that tells what the atoms are; the same, if it tells both.

    Raises:
        InputError: if MDAnalysis cannot read them.

    Warns:
        SimscWarning: if the file ends before its time.
    """

    def __init__(self, path: Path, topology: Path) -> None:
        import MDAnalysis

        self.path = path
        self.unit = "A" if path.suffix.lower() in STATES_UNIT else ""  # MDAnalysis converts to Å where it knows
        self._topology = read_topology(topology)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if isinstance(self._topology, AtomTable):
                    assert self._topology.types is not None
                    self._universe = self._topology.universe(np.zeros((len(self._topology.types), 3)))
                else:
                    self._universe = self._topology
                self._universe.load_new(str(path))
                self._n = len(self._universe.trajectory)
                promised = _frames_promised(path)
                self._has_time = path.suffix.lower() in _STATES_TIME and not _is_dcd_of_lammps(path)
        except Exception as error:  # MDAnalysis's readers raise whatever their parsing met
            raise InputError(f"{path}: MDAnalysis {MDAnalysis.__version__} cannot read it ({reason(error)})") from None

        if promised > self._n:
            warnings.warn(
                f"{path}: ends before its time; its {self._n} whole frames are read", SimscWarning, stacklevel=2
            )

    def __len__(self) -> int:
        return self._n

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        """Read frames, in ascending order."""
        from MDAnalysis.lib.mdamath import triclinic_vectors

        for number in numbers:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ts = self._universe.trajectory[number]
                    sides = ts.dimensions
                    time_ns = float(ts.time) * _NS_PER_PS if self._has_time else np.nan
            except Exception as error:
                advice = f"; leave it out with --frames :{number - 1}" if number else ""
                raise InputError(f"{self.path}: frame {number} cannot be read ({reason(error)}){advice}") from None
            vectors = None
            if sides is not None and np.all(np.asarray(sides)[:3] > 0):
                vectors = np.asarray(triclinic_vectors(sides, dtype=np.float64), dtype=float)
            yield RawFrame(ts.positions.astype(float), vectors, np.ones(3, dtype=bool), time_ns)

    def atoms(self) -> Any:
        """Return what is known of the atoms."""
        return self._topology


def read_topology(path: Path) -> Any:
    """Read what atoms are: an `AtomTable` of a LAMMPS data file, else an `MDAnalysis.Universe`."""
    if path.suffix.lower() in LAMMPS_DATA:
        return AseSource(path).atoms()
    import MDAnalysis

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MDAnalysis.Universe(str(path))
    except Exception as error:
        raise InputError(f"{path}: MDAnalysis {MDAnalysis.__version__} cannot read it ({reason(error)})") from None


def _is_dcd_of_lammps(path: Path) -> bool:
    """Tell whether LAMMPS wrote a DCD file: in its own unit of time, whatever that was, where others expect AKMA's."""
    with open(path, "rb") as file:
        return path.suffix.lower() == ".dcd" and b"Written by LAMMPS" in file.read(256)


def _frames_promised(path: Path) -> int:
    """Return how many frames the head of a DCD file tells; 0 for others."""
    with open(path, "rb") as file:
        head = file.read(12)
    if path.suffix.lower() != ".dcd" or len(head) < 12:
        return 0
    _, _, n = struct.unpack("<i4si" if head[:4] == b"\x54\0\0\0" else ">i4si", head)
    return int(n)
