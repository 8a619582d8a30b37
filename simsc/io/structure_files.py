"""Structures of other programs as superlattices, frame by frame; `structure_formats` knows who reads which file."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsc.core.cell import Cell, cell_from_vectors
from simsc.core.errors import InputError, SimscWarning
from simsc.core.superlattice import Frame, Superlattice
from simsc.core.units import nm_per_unit
from simsc.io.centres import (
    AtomTable,
    Centres,
    Kind,
    choose_centres,
)
from simsc.io.structure_formats import open_source
from simsc.io.structure_source import RawFrame, superlattice_of_sites


@dataclass(frozen=True)
class Reading:
    """How to read files of other programs.

    Args:
        topology: a file that tells what the atoms are, for trajectories that hold positions only.
        selection: which atoms count, in MDAnalysis's language; None for all.
        centres: what is one NP: each "site", or the atoms of a "molecule", "residue" or "segment".
        length_unit: "A" or "nm", for files that do not tell. None is Å for LAMMPS (whose dumps tell with `dump_modify
            units yes`), DCD and XYZ; GSD, and dumps in units such as lj, have to be given.
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
        self._source = open_source(path, self.reading.topology)
        if len(self._source) == 0:
            raise InputError(f"{path}: holds no frame")
        self._nm_per_unit = nm_per_unit(self._unit())

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
                superlattice = self._superlattice(raw, centres)
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

    def _superlattice(self, raw: RawFrame, centres: Centres) -> Superlattice:
        """Return the NPs of a frame, with radii and orientations where each atom is one and the file tells them."""
        cell = self._cell(raw)
        found = centres(raw.positions * self._nm_per_unit, cell)
        if centres.groups is not None:
            return Superlattice(found, cell=cell)
        radii, orientations = (
            None if values is None else np.asarray(values)[centres.atoms] for values in (raw.radii, raw.orientations)
        )
        try:
            return superlattice_of_sites(found, radii, self._nm_per_unit, cell, orientations)
        except (InputError, TypeError, ValueError):  # columns of this name that are something else
            superlattice = Superlattice(found, cell=cell)
        warnings.warn(
            f"{self.path}: its radii or orientations are none of NPs (positive numbers, unit quaternions): left out",
            SimscWarning,
            stacklevel=2,
        )
        return superlattice

    def _unit(self) -> str:
        asked, told = self.reading.length_unit, self._source.unit
        if asked is not None:
            nm_per_unit(asked)  # raises for what is no unit
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


def last_frame(path: Path, length_unit: str | None = None) -> Superlattice:
    """Return the last frame of a file of another program, with each atom as one NP."""
    file = StructureFile(path, Reading(length_unit=length_unit))
    return next(file.frames(range(len(file) - 1, len(file)))).superlattice


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
    start = 0 if first is None else first + n * (first < 0)
    end = start if single else n - 1 if last is None else last + n * (last < 0)
    step = 1 if step is None else step
    if step < 1 or end < start:
        raise InputError(f"--frames {text!r}: needs first ≤ last and a step of at least 1")
    if not (0 <= start < n and 0 <= end < n):
        raise InputError(f"--frames {text!r}: {path} has {n} frame{'s' if n != 1 else ''}, 0 to {n - 1}")
    return range(start, end + 1, step)
