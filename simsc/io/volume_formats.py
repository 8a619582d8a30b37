"""The formats of 3D intensities that are read and written; other packages add theirs under `simsc.volume_formats`.

Files are told apart by how they begin, not by their names; simsc's own formats are asked first, then those of packages
(`simsc.io.plugins`). Whatever is damaged in a file, there is an `InputError`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io.hdf5 import HDF5_ENDINGS
from simsc.io.plugins import format_of, formats_of_packages, has_ending
from simsc.io.volume_hdf5 import has_nxdata, read_hdf5_volume
from simsc.io.volume_mrc import begins_as_mrc, read_mrc, write_mrc
from simsc.io.volume_numpy import begins_as_npy, begins_as_zip, read_npy, read_npz, write_npz
from simsc.io.volume_raw import ROLES, RawVolume
from simsc.io.volume_vtk import begins_as_vtk, read_vtk, write_vtk
from simsc.io.whole_files import PICTURES

GROUP = "simsc.volume_formats"


@dataclass(frozen=True)
class VolumeFormat:
    """A format of 3D intensities.

    Args:
        name: what it is called in messages.
        endings: of its files, in lower case; the output of an export that has one of them is written in this format.
        recognises: tells by how a file begins whether it is of this format.
        read: reads a file, in its own units and order (`RawVolume`), given the names of its arrays by their roles.
        write: writes a file, whole or not at all (`simsc.io.whole_files.whole_file`); None if that is not possible.
        named: whether such a file holds several arrays by their names, so that names may be given.
        package: filled in by `simsc.io.plugins`.
    """

    name: str
    endings: tuple[str, ...]
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Mapping[str, str]], RawVolume]
    write: Callable[[Path, IntensityVolume], None] | None = None
    named: bool = False
    package: str = ""


HDF5 = VolumeFormat("HDF5", HDF5_ENDINGS, has_nxdata, read_hdf5_volume, named=True)
VOLUME_FORMATS = (
    HDF5,
    VolumeFormat("MRC", (".mrc",), begins_as_mrc, read_mrc, write_mrc),
    VolumeFormat("legacy VTK", (".vtk",), begins_as_vtk, read_vtk, write_vtk),
    VolumeFormat(".npz", (".npz",), begins_as_zip, read_npz, write_npz, named=True),
    VolumeFormat(".npy", (".npy",), begins_as_npy, read_npy),
)
"""simsc's own, in the order in which they are asked."""
WRITTEN_VOLUMES = tuple(ending for known in VOLUME_FORMATS if known.write for ending in known.endings)
"""Endings of what simsc itself writes."""


def volume_format(path: Path) -> VolumeFormat | None:
    """Return the format that recognises a file as a 3D intensity of another program; None if none does."""
    return format_of(path, VOLUME_FORMATS, GROUP)


def read_raw(path: Path, names: Mapping[str, str]) -> RawVolume:
    """Read the arrays of a file.

    Args:
        path: HDF5, .npy, .npz (a `unit` in it is that of its axes), MRC file (also compressed by gzip or bzip2),
            legacy VTK file (binary structured points; other arrays than the first by their roles), or what a package
            adds.
        names: of arrays in HDF5 and .npz, by `ROLES`; without them NXdata, and arrays called as their roles.

    Raises:
        InputError: if the file is none of these, is damaged, takes data from elsewhere, or lacks what is needed.
    """
    if unknown := set(names) - set(ROLES):
        raise InputError(f"{path}: {sorted(unknown)[0]!r} is no role of an array; these are {', '.join(ROLES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    known = volume_format(path)
    if known is None and h5py.is_hdf5(path):
        known = HDF5  # without NXdata: the arrays are named, or the reader says that they have to be
    if known is None:
        *others, last = (one.name for one in VOLUME_FORMATS)
        raise InputError(f"{path}: is neither {', '.join(others)} nor {last}")
    if names and not known.named:
        raise InputError(f"{path}: holds one array, which needs no names")
    return known.read(path, names)


def write_volume(path: Path, volume: IntensityVolume) -> None:
    """Write an intensity in the format that the ending of the file names. Momentum transfers stay in nm⁻¹.

    What was not measured is NaN.

    Args:
        path: file to write, whole or not at all.
        volume: the intensity.

    Raises:
        InputError: for another ending, or a file that cannot be written.
        ResourceError: if the disk is full.
    """
    endings = list(WRITTEN_VOLUMES)
    for known in chain(VOLUME_FORMATS, formats_of_packages(VOLUME_FORMATS, GROUP)):
        if known.write is not None and has_ending(path, known.endings):
            known.write(path, volume)
            return
        endings += known.endings if known.write is not None and known.package else ()
    pictures = f"{', '.join(PICTURES[:-1])} or {PICTURES[-1]} for a picture"
    raise InputError(f"{path}: no volume is written with this ending; these are {', '.join(endings)}, and {pictures}")
