"""The formats of structures that are read and written; other packages add theirs under `simsc.structure_formats`.

How a file is read follows from its content and ending alone: text dumps of LAMMPS and GSD by readers of our own (others
mistake their boundaries, tilts or groups), what comes with a topology and what chemists call by residues by MDAnalysis,
and all else by ASE. simsc's own formats are asked first, then those of packages (`simsc.io.plugins`), then ASE.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from simsc.core.errors import InputError
from simsc.io.hdf5 import HDF5_ENDINGS
from simsc.io.lammps_dump import is_dump
from simsc.io.plugins import errors_of_package, format_of, formats_of_packages, has_ending
from simsc.io.source_ase import LAMMPS_DATA, AseSource
from simsc.io.source_dump import DumpSource
from simsc.io.source_gsd import GsdSource
from simsc.io.source_mdanalysis import MdaSource
from simsc.io.structure_source import RawFrame, Source
from simsc.io.structure_writers import DescribedFrame, write_cif, write_csv, write_data, write_gsd, write_xyz

GROUP = "simsc.structure_formats"


@dataclass(frozen=True)
class StructureFormat:
    """A format of structures.

    Args:
        name: what it is called in messages.
        endings: of its files, in lower case; the output of an export that has one of them is written in this format.
        recognises: tells whether a file is of this format.
        read: opens a file, with another that tells what its atoms are or None (`simsc.io.structure_source.Source`);
            None if it is not read.
        write: writes frames, whole or not at all (`simsc.io.whole_files.whole_file`); None if that is not possible.
        package: filled in by `simsc.io.plugins`.
    """

    name: str
    endings: tuple[str, ...]
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Path | None], Source] | None = None
    write: Callable[[Path, Iterator[DescribedFrame]], None] | None = None
    package: str = ""


def _ending(*endings: str) -> Callable[[Path], bool]:
    return lambda path: has_ending(path, endings)


def _by_ase(path: Path, topology: Path | None) -> Source:
    return AseSource(path) if topology is None else MdaSource(path, topology)


def _by_residue(path: Path, topology: Path | None) -> Source:
    return MdaSource(path, path if topology is None else topology)


def _bare(path: Path, topology: Path | None) -> Source:
    """Open positions without a word about atoms."""
    if topology is None:
        raise InputError(f"{path}: holds positions only; give --topology with a file that tells what the atoms are")
    return MdaSource(path, topology)


def _gsd(path: Path, topology: Path | None) -> Source:
    if topology is not None:
        raise InputError(f"{path}: tells itself what its atoms are; leave --topology out")
    return GsdSource(path)


_XYZ, _RESIDUES = (".xyz", ".extxyz"), (".gro", ".pdb", ".ent", ".mmcif")
_BARE = (".dcd", ".xtc", ".trr", ".nc", ".ncdf", ".mdcrd", ".tng", ".h5md")
STRUCTURE_FORMATS = (
    StructureFormat("LAMMPS dump", (".lammpstrj", ".dump"), is_dump, DumpSource),
    StructureFormat("extended XYZ", _XYZ, _ending(*_XYZ), _by_ase, write_xyz),
    StructureFormat("GSD", (".gsd",), _ending(".gsd"), _gsd, write_gsd),
    StructureFormat("LAMMPS data", (".data",), _ending(*LAMMPS_DATA), _by_ase, write_data),
    StructureFormat("CIF", (".cif",), _ending(".cif"), _by_ase, write_cif),
    StructureFormat("CSV", (".csv",), lambda path: False, None, write_csv),
    StructureFormat("residues", _RESIDUES, _ending(*_RESIDUES), _by_residue),
    StructureFormat("a trajectory of positions", _BARE, _ending(*_BARE), _bare),
)
"""simsc's own, in the order in which they are asked."""
WRITTEN_STRUCTURES = tuple(ending for known in STRUCTURE_FORMATS if known.write for ending in known.endings)
"""Endings of what simsc itself writes."""


def open_source(path: Path, topology: Path | None) -> Source:
    """Open a file by the format that recognises it, or else by ASE, which knows many more.

    Args:
        path: a file of another program.
        topology: a file that tells what its atoms are.

    Raises:
        InputError: if it cannot be read.
    """
    known = format_of(path, STRUCTURE_FORMATS, GROUP)
    if known is None and has_ending(path, HDF5_ENDINGS):
        raise InputError(f"{path}: is no HDF5 file, or one that is damaged or cut")
    if known is None or known.read is None:
        return _by_ase(path, topology)
    source = known.read(path, topology)
    return _PackageSource(source, path, known.package) if known.package else source


def write_frames(path: Path, frames: Iterable[DescribedFrame]) -> int:
    """Write frames in the format that the ending of the file names; one frame is in memory at a time.

    Args:
        path: file to write, whole or not at all.
        frames: at least one frame, all with the same properties.

    Returns:
        The number of frames written.

    Raises:
        InputError: for an unknown ending, no frame, several frames in a format for one, a CIF without a cell, or a
            file that cannot be written.
        ResourceError: if the disk is full.

    Warns:
        SimscWarning: if the format cannot tell that directions of a cell are not periodic.
    """
    endings = list(WRITTEN_STRUCTURES)
    for known in chain(STRUCTURE_FORMATS, formats_of_packages(STRUCTURE_FORMATS, GROUP)):
        if known.write is not None and has_ending(path, known.endings):
            counted = _Counted(frames)
            known.write(path, iter(counted))
            return counted.n
        endings += known.endings if known.write is not None and known.package else ()
    raise InputError(f"{path}: no structure is written with this ending; these are {', '.join(endings)}")


class _Counted:
    """Frames that are counted as they pass."""

    def __init__(self, frames: Iterable[DescribedFrame]) -> None:
        self.n, self._frames = 0, frames

    def __iter__(self) -> Iterator[DescribedFrame]:
        for frame in self._frames:
            self.n += 1
            yield frame
        if self.n == 0:
            raise InputError("there is no frame to write")


class _PackageSource:
    """A source of another package, whose errors name it."""

    def __init__(self, source: Source, path: Path, package: str) -> None:
        self._source, self._path, self._package = source, path, package

    @property
    def unit(self) -> str | None:
        return self._source.unit

    def __len__(self) -> int:
        with errors_of_package(self._package, self._path):
            return len(self._source)

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        with errors_of_package(self._package, self._path):
            yield from self._source.frames(numbers)

    def atoms(self) -> Any:
        with errors_of_package(self._package, self._path):
            return self._source.atoms()
