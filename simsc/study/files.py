"""Files by what they are: `read` gives what is in one, `write` chooses the format by the name."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, TypeVar, overload

from simsc.builders.nanoparticle_file import read_nanoparticle
from simsc.classify.order import read_order
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, in_other_words
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.core.superlattice import Frame, Superlattice
from simsc.experiment.frame_formats import holds_frames
from simsc.experiment.series import read_series
from simsc.io.adapters import Structure, as_superlattice, described_by
from simsc.io.hdf5 import HDF5_ENDINGS, kind_of
from simsc.io.kinds import CORRELATION_MAP, INTENSITY, NANOPARTICLE, ORDER, SHELLS, SUPERLATTICE, TRAJECTORY, Kind
from simsc.io.map_table import write_map_table
from simsc.io.native import (
    read_intensity,
    read_map,
    read_superlattice,
    write_intensity,
    write_map,
    write_shells,
    write_superlattice,
)
from simsc.io.provenance import provenance
from simsc.io.spheres import Spheres
from simsc.io.structure_files import Reading
from simsc.io.structure_formats import write_frames
from simsc.io.structure_writers import DescribedFrame
from simsc.io.volume_files import VolumeMetadata, read_volume
from simsc.io.volume_formats import write_volume
from simsc.io.whole_files import PICTURES
from simsc.md.frames import Frames, open_frames, trajectory_files
from simsc.md.trajectory import Trajectory, joined, read_trajectory, write_trajectory
from simsc.study.contents import Contents, contents_of
from simsc.study.results import read_results
from simsc.study.schema import read_study

Writable: TypeAlias = Structure | Trajectory | IntensityVolume | CorrelationMap | Sequence[Any]


# Options of the commands, by which readers name what a file does not tell, as arguments of `read`.
_ARGUMENTS = {
    "--topology": "topology",
    "--select": "selection",
    "--centres": "centres",
    "--length-unit": "length_unit",
    "--every-ns": "every_ns",
    "--periodic": "periodic",
}
_Record = TypeVar("_Record", Reading, VolumeMetadata)


class FrameSequence(Sequence[Frame]):
    """Frames of a structure over time, read when they are asked for; `frames[-1]` is the last one.

    Args:
        path: where they are.
        opened: what reads them.
    """

    def __init__(self, path: Path, opened: Frames) -> None:
        self.path, self._opened = path, opened

    def __len__(self) -> int:
        return len(self._opened)

    def __iter__(self) -> Iterator[Frame]:
        return self._opened.frames(range(len(self)))

    @overload
    def __getitem__(self, number: int) -> Frame: ...
    @overload
    def __getitem__(self, number: slice) -> list[Frame]: ...
    def __getitem__(self, number: int | slice) -> Frame | list[Frame]:
        numbers = range(len(self))[number]
        if isinstance(numbers, int):
            return next(self._opened.frames([numbers]))
        found = list(self._opened.frames(sorted(numbers))) if len(numbers) else []
        return found if numbers.step > 0 else found[::-1]

    def __repr__(self) -> str:
        """Return what it is in one line, as notebooks show it."""
        return f"FrameSequence({len(self)} frames of {self[0].superlattice.n} NPs, {self.path.name})"


def read(path: str | Path, **how: Any) -> Any:
    """Read a file or a folder, whatever simsc reads.

    Args:
        path: a file of simsc; a structure or trajectory of another program (LAMMPS, GSD, XYZ, what ASE reads, with a
            topology what MDAnalysis reads); a volume of intensity (HDF5 with NXdata, .npz, .npy, MRC, VTK); detector
            frames; a study (.toml); or the folder of a run, of its order, or of an annealing, finished or not.
        how: what a file of another program does not say itself. Of a structure what `simsc.io.structure_files.Reading`
            takes: `topology`, `selection`, `centres` (what one NP is), `length_unit`, `every_ns`, `periodic`. Of a
            volume what `simsc.io.volume_files.VolumeMetadata` takes: `unit`, `q_max`, `q_step`, `order`, `zeros` …

    Returns:
        What is in it: a `Superlattice` (of several frames a `FrameSequence`, of simsc's own a `Trajectory`), an
        `IntensityVolume`, `Spheres`, a `CorrelationMap`, an `Order`, a `Nanoparticle`, a `FrameSeries` of detector
        frames, a `Study`, the `Results` of a finished run, or the `Trajectory` of an annealing, which ends at the last
        checkpoint until it is finished.

    Raises:
        InputError: if there is no such file, or it holds nothing of this, or is damaged.

    Example:
        >>> write("lattice.h5", Superlattice([[0, 0, 0], [6.2, 0, 0]], radii_nm=2.0))  # doctest: +SKIP
        >>> read("lattice.h5")  # doctest: +SKIP
        Superlattice(2 NPs in free space, 6.2 nm across, radii 2 nm)
    """
    path = _path(path, "read(path)")
    contents = contents_of(path)
    if contents == "HDF5 of another program":
        contents = "frames" if holds_frames(path) else "volume"
    if contents == "volume":
        return read_volume(path, _record(VolumeMetadata, path, how))
    if contents != "structure":
        if how:
            raise InputError(f"{path}: says everything itself; leave out {', '.join(how)}")
        return _READERS[contents](path)
    with in_other_words(_ARGUMENTS):
        opened = open_frames(path, _record(Reading, path, how))
        return next(opened.frames([0])).superlattice if len(opened) == 1 else FrameSequence(path, opened)


def write(path: str | Path, value: Writable, labels: Any = None, **facts: Any) -> None:
    """Write a value to a file, in the format that the ending names, whole or not at all.

    `.h5` (or .hdf5, .hdf, .nxs) is simsc's own and keeps everything, with what made it. Structures and trajectories
    also go to .xyz, .extxyz, .gsd, .data (LAMMPS), .cif and .csv; intensities to .mrc, .vtk and .npz; correlation maps
    to .csv.

    Args:
        path: file to write; one that is there is replaced.
        value: a structure (what `simsc.io.adapters.as_superlattice` takes), a `Trajectory`, several structures or
            frames, an `IntensityVolume`, several `ShellIntensity`, or a `CorrelationMap`.
        labels: of a single structure: `simsc.classify.labels.Labels` or (N,) classes, which go along in the formats of
            other programs.
        facts: what else is to be kept of where it comes from, in simsc's own files (`simsc info` shows it).

    Raises:
        InputError: for an ending that does not go with the value, or a file that cannot be written.
        ResourceError: if the disk is full.

    Example:
        >>> write("lattice.xyz", Superlattice([[0, 0, 0], [6.2, 0, 0]], radii_nm=2.0))  # doctest: +SKIP
    """
    path = _path(path, "write(path, value)")
    if path.suffix.lower() in PICTURES:
        raise InputError(f"{path}: is a picture; draw it by a function of simsc.plot, and simsc.plot.save writes it")
    own = path.suffix.lower() in HDF5_ENDINGS
    if labels is not None and (own or isinstance(value, Trajectory | IntensityVolume | CorrelationMap)):
        raise InputError(f"{path}: labels go along with a structure in a format of other programs")
    if isinstance(value, IntensityVolume):
        with in_other_words(_WRITTEN):
            write_intensity(path, value, provenance(**facts)) if own else write_volume(path, value)
    elif isinstance(value, CorrelationMap):
        with in_other_words(_WRITTEN):
            write_map(path, value, provenance(**facts)) if own else write_map_table(path, value)
    elif isinstance(value, Trajectory) and own:
        write_trajectory(path, value, provenance(**facts))
    elif _are_spheres(value):
        if not own:
            raise InputError(f"{path}: spheres of intensity are written to {', '.join(HDF5_ENDINGS)} only")
        write_shells(path, ((one, None) for one in value), provenance(**facts))
    elif own:
        write_superlattice(path, as_superlattice(value), provenance(**facts))
    else:
        with in_other_words(_WRITTEN):
            write_frames(path, _described(value, labels))


def _path(path: Any, call: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a {type(path).__name__} is not the path of a file; the path comes first: simsc.{call}")
    return Path(path)


def _own(path: Path) -> Any:
    kind = kind_of(path)
    assert kind is not None
    return _OWN[kind](path)


def _annealing(folder: Path) -> Trajectory:
    return joined([read_trajectory(file) for file in trajectory_files(folder)])


def _record(record: type[_Record], path: Path, how: dict[str, Any]) -> _Record:
    if unknown := sorted(set(how) - {field.name for field in fields(record)}):
        known = ", ".join(field.name for field in fields(record))
        raise InputError(f"{path}: {unknown[0]} says nothing of such a file; what may be said is {known}")
    values: dict[str, Any] = {name: Path(value) if name == "topology" else value for name, value in how.items()}
    return record(**values)


def _are_spheres(value: Any) -> TypeGuard[Sequence[ShellIntensity]]:
    return isinstance(value, Spheres) or (
        isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(one, ShellIntensity) for one in value)
    )


def _described(value: Any, labels: Any) -> Iterator[DescribedFrame]:
    """Give the frames of a structure or of several, in nm, with what is known of their NPs."""
    if isinstance(value, Trajectory):
        yield from map(DescribedFrame, value)
        return
    several = isinstance(value, FrameSequence) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Superlattice | Frame) for one in value)
    )
    if several and labels is not None:
        raise InputError("labels are of one structure, and these are several")
    for one in value if several else [value]:
        frame = one if isinstance(one, Frame) else Frame(as_superlattice(one))
        yield DescribedFrame(frame, described_by(labels, frame.superlattice.n))


# What the writers of formats of other programs say, with simsc's own format, which they do not know.
_WRITTEN = {
    "with this ending; these are": "with this ending; these are .h5 (simsc's own),",
    "with this ending; it is .csv": "with this ending; it is .h5 (simsc's own) or .csv",
    "for a picture": "for a picture (simsc.plot.save)",
}
_OWN: dict[Kind, Callable[[Path], Any]] = {
    SUPERLATTICE: read_superlattice,
    INTENSITY: read_intensity,
    SHELLS: Spheres,
    CORRELATION_MAP: read_map,
    TRAJECTORY: read_trajectory,
    NANOPARTICLE: read_nanoparticle,
    ORDER: lambda path: read_order(path.parent),
}
_READERS: dict[Contents, Callable[[Path], Any]] = {
    "run": read_results,
    "order": read_order,
    "annealing": _annealing,
    "study": read_study,
    "own HDF5": _own,
    "frames": read_series,
}
