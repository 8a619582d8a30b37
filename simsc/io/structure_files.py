"""Structures of other programs as superlattices, frame by frame, from whatever ASE, MDAnalysis or gsd can read.

How a file is read follows from its content and ending alone: text dumps of LAMMPS and GSD by readers of our own (others
mistake their boundaries, tilts or groups), what comes with a topology and what chemists call by residues by MDAnalysis,
and all else by ASE.
"""

import importlib
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from simsc.core.cell import Cell, cell_from_vectors
from simsc.core.errors import InputError, SimscError, SimscWarning
from simsc.core.superlattice import Frame, Superlattice
from simsc.core.units import NM_PER_UNIT
from simsc.io.centres import (
    AtomTable,
    Centres,
    Kind,
    choose_centres,
)
from simsc.io.lammps_dump import DumpFrame, LammpsDump, is_dump

_BARE = (".dcd", ".xtc", ".trr", ".nc", ".ncdf", ".mdcrd", ".tng", ".h5md")  # positions without a word about atoms
_BY_RESIDUE = (".gro", ".pdb", ".ent", ".mmcif")
_LAMMPS_DATA = (".data", ".lammps-data", ".lmp")
_STATES_UNIT = (".xtc", ".trr", ".nc", ".ncdf", ".tng", ".gro", ".pdb", ".ent", ".mmcif", ".cif")
_STATES_TIME = (".dcd", ".xtc", ".trr", ".nc", ".ncdf", ".tng", ".h5md")
_NS_PER_PS = 1e-3
MOLECULE_ARRAYS = ("mol-id", "mol_id", "molecule", "residuenumbers", "resid")  # arrays of ASE that number molecules


class RawFrame(NamedTuple):
    """Positions (n, 3) and vectors (3, 3) in a file's unit, which directions are periodic, and the time (ns or NaN)."""

    positions: np.ndarray
    vectors: np.ndarray | None
    periodic: np.ndarray
    time_ns: float


class _Source(Protocol):
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


@dataclass(frozen=True)
class Reading:
    """How to read files of other programs.

    Args:
        topology: a file that tells what the atoms are, for trajectories that hold positions only.
        selection: which atoms count, in MDAnalysis's language; None for all.
        centres: what is one NP: each "site", or the atoms of a "molecule", "residue" or "segment".
        length_unit: "A" or "nm", for files that do not tell. None is Å for LAMMPS (whose dumps tell with `dump_modify
            units yes`), DCD and XYZ; GSD, and dumps in units such as lj, have to be told.
        every_ns: time between two frames, ns, instead of what the file tells.
        periodic: letters of the periodic cell vectors, such as "ab", or "none"; None as the file tells, and all where
            it has a cell and does not tell.
    """

    topology: Path | None = None
    selection: str | None = None
    centres: Kind = "site"
    length_unit: str | None = None
    every_ns: float | None = None
    periodic: str | None = None


class StructureFile:
    """A file of another program, as frames of nanoparticles; one frame is in memory at a time.

    Args:
        path: file.
        reading: how to read it.

    Raises:
        InputError: if it is missing, holds no structure, cannot be read, or does not fit how it is to be read.
    """

    def __init__(self, path: Path, reading: Reading | None = None) -> None:
        self.path, self.reading = path, reading or Reading()
        if (letters := self.reading.periodic) != "none" and not set(letters or "a") <= set("abc"):
            raise InputError(f"--periodic {letters!r}: needs some of the letters abc, or none")
        for file in (path, self.reading.topology):
            if file is not None and not file.is_file():
                raise InputError(f"{file}: no such file")
        self._source = _source(path, self.reading.topology)
        if len(self._source) == 0:
            raise InputError(f"{path}: holds no frame")
        self._nm_per_unit = NM_PER_UNIT[self._unit()]

    def __len__(self) -> int:
        return len(self._source)

    def frames(self, numbers: Sequence[int]) -> Iterator[Frame]:
        """Read frames by their numbers from 0, in ascending order.

        The atoms that make NPs are chosen in the first of them.

        Raises:
            InputError: if a frame cannot be read, or has not the atoms of the first.
        """
        centres: Centres | None = None
        n_atoms = 0
        for number, raw in zip(numbers, self._source.frames(numbers), strict=False):
            if centres is None:
                n_atoms = len(raw.positions)
                centres = self._centres(raw)
            elif len(raw.positions) != n_atoms:
                raise InputError(
                    f"{self.path}: frame {number} has {len(raw.positions)} atoms, frame {numbers[0]} had {n_atoms}; "
                    "NPs cannot be followed"
                )
            try:
                cell = self._cell(raw)
                found = centres(raw.positions * self._nm_per_unit, cell)
                superlattice = Superlattice(found, cell=cell)
            except InputError as error:
                raise InputError(f"{self.path}: frame {number}: {error}") from None
            every_ns = self.reading.every_ns
            yield Frame(superlattice, raw.time_ns if every_ns is None else number * every_ns)

    def _centres(self, raw: RawFrame) -> Centres:
        atoms = self._source.atoms()
        try:
            given = (atoms, raw.positions) if isinstance(atoms, AtomTable) else atoms
            return choose_centres(given, self.reading.selection, self.reading.centres)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _unit(self) -> str:
        asked, told = self.reading.length_unit, self._source.unit
        if asked is not None and told and asked != told:
            raise InputError(f"{self.path}: tells its unit of length itself; leave --length-unit out")
        if asked is None and told is None:
            raise InputError(f"{self.path}: has a unit of length that is not known; say with --length-unit")
        return asked or told or "A"

    def _cell(self, raw: RawFrame) -> Cell | None:
        periodic = raw.periodic
        if self.reading.periodic is not None:
            if raw.vectors is None and self.reading.periodic != "none":
                raise InputError(f"--periodic {self.reading.periodic}: the file has no cell")
            periodic = np.array([letter in self.reading.periodic for letter in "abc"])
            periodic &= self.reading.periodic != "none"
        if raw.vectors is None:
            return None
        return cell_from_vectors(raw.vectors * self._nm_per_unit, periodic, raw.positions * self._nm_per_unit)


def chosen_frames(text: str | None, n: int, path: Path) -> range:
    """Return the frames that `first:last:step`, the last included, or a single number means; negative from the end.

    Raises:
        InputError: if it is none of these, or goes beyond the n frames of a file.

    Example:
        >>> list(chosen_frames("1:-1:2", 6, Path("dump.lammpstrj")))
        [1, 3, 5]
    """
    if text is None:
        return range(n)
    parts = text.split(":")
    single = len(parts) == 1
    try:
        first, last, step = (int(part) if part.strip() else None for part in parts + [""] * (3 - len(parts)))
        if single and first is None:
            raise ValueError
    except ValueError:
        raise InputError(f"--frames {text!r}: needs first:last:step, such as 0:-1:10, or one number") from None
    begin = 0 if first is None else first + n * (first < 0)
    end = begin if single else n - 1 if last is None else last + n * (last < 0)
    step = 1 if step is None else step
    if step < 1 or end < begin:
        raise InputError(f"--frames {text!r}: needs first ≤ last and a step of at least 1")
    if not (0 <= begin < n and 0 <= end < n):
        raise InputError(f"--frames {text!r}: {path} has {n} frame{'s' if n != 1 else ''}, 0 to {n - 1}")
    return range(begin, end + 1, step)


def _source(path: Path, topology: Path | None) -> _Source:
    ending = path.suffix.lower()
    if is_dump(path):
        return _DumpSource(path, topology)
    if ending == ".gsd":
        if topology is not None:
            raise InputError(f"{path}: tells itself what its atoms are; leave --topology out")
        return _GsdSource(path)
    if topology is not None:
        return _MdaSource(path, topology)
    if ending in _BARE:
        raise InputError(f"{path}: holds positions only; give --topology with a file that tells what the atoms are")
    return _MdaSource(path, path) if ending in _BY_RESIDUE else _AseSource(path)


class _AseSource:
    unit = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unit = "A" if path.suffix.lower() in _STATES_UNIT else ""
        if path.suffix.lower() in _LAMMPS_DATA:
            _check_style(path)
        self._n = 0
        self._first: Any = None
        for atoms in self._images(slice(None)):
            self._first = self._first or atoms
            self._n += 1

    def __len__(self) -> int:
        return self._n

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        for number, atoms in enumerate(self._images(slice(numbers[0], numbers[-1] + 1, _step(numbers)))):
            if number == 0:
                self._first = atoms
            known = atoms.pbc.any() or np.any(atoms.cell)
            yield RawFrame(atoms.positions, np.array(atoms.cell) if known else None, atoms.pbc, np.nan)

    def atoms(self) -> AtomTable:
        return table_of_ase(self._first)

    def _images(self, which: slice) -> Iterator[Any]:
        import ase.io

        options: dict[str, Any] = (
            {"format": "lammps-data", "units": "real"} if self.path.suffix.lower() in _LAMMPS_DATA else {}
        )
        try:
            # Without the last argument an "@" in a file name would be taken as an index.
            for atoms in ase.io.iread(self.path, index=which, do_not_split_by_at_sign=True, **options):
                if len(atoms) == 0:
                    raise InputError(f"{self.path}: holds no atoms")
                yield atoms
        except SimscError:
            raise
        except Exception as error:  # ASE's readers raise whatever their parsing met
            raise InputError(f"{self.path}: ASE cannot read it ({_reason(error)})") from None


class _DumpSource:
    def __init__(self, path: Path, topology: Path | None) -> None:
        self._dump = LammpsDump(path)
        self._first: DumpFrame | None = None
        self._topology = None if topology is None else _topology(topology)
        self.path, self.unit = path, self._dump.read(0).unit

    def __len__(self) -> int:
        return len(self._dump)

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
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


class _GsdSource:
    """GSD by its own package: MDAnalysis takes tilts for cosines, and stumbles over rigid bodies with gaps."""

    unit = None

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            hoomd = importlib.import_module("gsd.hoomd")
        except ImportError:
            raise InputError(f"{path}: needs the package gsd; install it with: pip install gsd") from None
        try:
            self._file = hoomd.open(str(path), "r")
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: gsd cannot read it ({_reason(error)})") from None

    def __len__(self) -> int:
        return len(self._file)

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        for number in numbers:
            frame = self._frame(number)
            x, y, z, xy, xz, yz = np.asarray(frame.configuration.box, dtype=float)
            flat = frame.configuration.dimensions == 2
            vectors = np.array([[x, 0, 0], [xy * y, y, 0], [xz * z, yz * z, z]])
            yield RawFrame(
                np.asarray(frame.particles.position, dtype=float), vectors, np.array([True, True, not flat]), np.nan
            )

    def atoms(self) -> AtomTable:
        particles = self._frame(0).particles
        bodies = np.asarray(particles.body, dtype=np.int64)
        return AtomTable(
            np.array(particles.types)[particles.typeid],
            np.asarray(particles.mass, dtype=float),
            np.where((bodies >= 0) & (bodies < 2**31), bodies, -1) if (bodies >= 0).any() else None,
        )

    def _frame(self, number: int) -> Any:
        try:
            return self._file[number]
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(f"{self.path}: frame {number} cannot be read ({_reason(error)})") from None


class _MdaSource:
    def __init__(self, path: Path, topology: Path) -> None:
        import MDAnalysis

        self.path = path
        self.unit = "A" if path.suffix.lower() in _STATES_UNIT else ""  # MDAnalysis converts to Å where it knows
        self._topology = _topology(topology)
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
            raise InputError(f"{path}: MDAnalysis {MDAnalysis.__version__} cannot read it ({_reason(error)})") from None

        if promised > self._n:
            warnings.warn(
                f"{path}: ends before its time; its {self._n} whole frames are read", SimscWarning, stacklevel=2
            )

    def __len__(self) -> int:
        return self._n

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
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
                raise InputError(f"{self.path}: frame {number} cannot be read ({_reason(error)}){advice}") from None
            vectors = None
            if sides is not None and np.all(np.asarray(sides)[:3] > 0):
                vectors = np.asarray(triclinic_vectors(sides, dtype=np.float64), dtype=float)
            yield RawFrame(ts.positions.astype(float), vectors, np.ones(3, dtype=bool), time_ns)

    def atoms(self) -> Any:
        return self._topology


def _topology(path: Path) -> Any:
    """Read what atoms are: an `AtomTable` of a LAMMPS data file, else an `MDAnalysis.Universe`."""
    if path.suffix.lower() in _LAMMPS_DATA:
        return _AseSource(path).atoms()
    import MDAnalysis

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MDAnalysis.Universe(str(path))
    except Exception as error:
        raise InputError(f"{path}: MDAnalysis {MDAnalysis.__version__} cannot read it ({_reason(error)})") from None


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


def _check_style(path: Path) -> None:
    """Refuse a LAMMPS data file that does not say what its columns are: some styles differ in nothing else."""
    with open(path, encoding="utf-8", errors="replace") as file:
        line = next((line for line in file if line.split("#")[0].strip() == "Atoms"), None)
    if line is not None and not line.partition("#")[2].strip():
        raise InputError(f"{path}: its line Atoms needs the atom style, such as: Atoms # full")


def table_of_ase(atoms: Any) -> AtomTable:
    """Return what an `ase.Atoms` tells about its atoms."""
    molecules = next((atoms.arrays[name] for name in MOLECULE_ARRAYS if name in atoms.arrays), None)
    symbols = np.array(atoms.get_chemical_symbols())
    by_lammps = "type" in atoms.arrays  # where elements are guesses
    return AtomTable(
        atoms.arrays["type"] if by_lammps else symbols,
        atoms.get_masses(),
        None if molecules is None else np.where(np.asarray(molecules) > 0, molecules, -1),
        None if by_lammps else symbols,
        atoms.arrays.get("id"),
    )


def _step(numbers: Sequence[int]) -> int:
    return numbers[1] - numbers[0] if len(numbers) > 1 else 1


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def last_frame(path: Path, length_unit: str | None = None) -> Superlattice:
    """Return the last frame of a file of another program, with each atom as one NP."""
    file = StructureFile(path, Reading(length_unit=length_unit))
    return next(file.frames(range(len(file) - 1, len(file)))).superlattice
