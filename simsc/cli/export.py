"""The command `simsc export`: structures, frames, intensities and maps in the files of other programs."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np

from simsc import plot
from simsc.classify.order import ORDER_FILE, ORDER_FOLDER, Order, read_order
from simsc.cli.console import StageProgress
from simsc.cli.options import (
    FRAMES,
    JSON,
    PATH,
    check_distinct,
    example,
    print_result,
    reading,
)
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.correlation.first_peak import peak_of_profile, profile_of_spheres
from simsc.io.hdf5 import is_intensity, is_map, is_shells
from simsc.io.map_table import MAPS, write_map_table
from simsc.io.native import read_intensity, read_map, read_shells
from simsc.io.structure_files import Reading, chosen_frames
from simsc.io.structure_formats import WRITTEN_STRUCTURES, write_frames
from simsc.io.structure_writers import LABEL, DescribedFrame
from simsc.io.volume_formats import WRITTEN_VOLUMES, write_volume
from simsc.io.whole_files import PICTURES
from simsc.md.frames import Frames, open_frames

_SAME_TIME_NS = 1e-9


@click.command(
    epilog=example(
        "simsc export study_run -o frames.xyz                # for OVITO; with labels, layers and bond order",
        "simsc export study_run --frames -1 -o last.data     # for LAMMPS",
        "simsc export lattice.h5 -o lattice.cif",
        "simsc export intensity.h5 -o intensity.vtk          # for ParaView; .mrc for ChimeraX",
        "simsc export map.h5 -o map.csv                      # .png, .svg or .pdf draw it",
        "simsc export study_run --frames -1 -o last.png      # NPs by their labels; --frames 0 is the first",
    )
)
@click.argument("file", metavar="FILE_OR_RUN", type=PATH)
@reading
@FRAMES
@click.option("--order", type=PATH, help="Folder that `simsc classify -o` wrote; the default is that of the run.")
@click.option(
    "-o", "--output", type=PATH, required=True,
    help=f"File to write. Structures: {', '.join(WRITTEN_STRUCTURES)}; intensities: "
    f"{', '.join(WRITTEN_VOLUMES)}; maps: {', '.join(MAPS)}; pictures of all: {', '.join(PICTURES)}.",
)  # fmt: skip
@JSON
def export(
    file: Path, reading: Reading, frames_text: str | None, order: Path | None, output: Path, as_json: bool
) -> None:
    """Write a structure, all frames of a run, an intensity or a map in a format of other programs, or draw them.

    What it is follows from FILE, and the format from the ending of the output. Labels, layers and bond order go along
    as properties of the particles where they are known. Lengths are A, in .csv nm; momentum transfers 1/nm.
    """
    check_distinct(file, output)
    if file.is_file() and h5py.is_hdf5(file) and (is_intensity(file) or is_map(file) or is_shells(file)):
        if reading != Reading() or frames_text is not None or order is not None:
            raise InputError(f"{file}: is no structure; leave out the options that tell how to read one")
        print_result(as_json, *_export_field(file, output))
        return
    opened = open_frames(file, reading)
    numbers = chosen_frames(frames_text, len(opened), file)
    known = _order(file, order)
    if _is_picture(output):
        _draw_structure(output, opened, numbers, known, file)
        print_result(as_json, {"output": output, "frames": 1, "labels": known is not None}, f"{output}: 1 frame")
        return
    with StageProgress() as progress:

        def described() -> Iterator[DescribedFrame]:
            for done, frame in enumerate(_described(opened, numbers, known, file)):
                progress("export", done / len(numbers), f"frame {done + 1} of {len(numbers)}")
                yield frame

        n = write_frames(output, described())
    what = "with labels" if known is not None else "without labels (simsc classify -o gives them)"
    facts = {"output": output, "frames": n, "labels": known is not None}
    print_result(as_json, facts, f"{output}: {n} frame{'s' if n != 1 else ''}, {what}")


def _export_field(file: Path, output: Path) -> tuple[dict[str, Any], str]:
    """Write an intensity or a map, and return what is to be printed of it."""
    if is_shells(file):
        if not _is_picture(output):
            raise InputError(
                f"{output}: of spheres of intensity only pictures are written ({', '.join(PICTURES)}); other programs "
                "read volumes and maps"
            )
        n = _draw_spheres(output, file)
        return {"output": output, "spheres": n}, f"{output}: {n} spheres"
    if is_map(file):
        correlation = read_map(file)
        if _is_picture(output):
            _draw(output, {file.stem: correlation}, {})
        else:
            write_map_table(output, correlation)
        return {"output": output, "shape": correlation.ccf.shape}, f"{output}: {correlation.ccf.size} values"
    volume = read_intensity(file)
    if _is_picture(output):
        _draw(output, {}, {file.stem: volume})
    else:
        write_volume(output, volume)
    shape = volume.intensity.shape
    return {"output": output, "shape": shape}, f"{output}: {' × '.join(map(str, shape))} voxels"


def _is_picture(output: Path) -> bool:
    return output.suffix.lower() in PICTURES


def _draw(output: Path, maps: dict[str, CorrelationMap], volumes: dict[str, IntensityVolume]) -> None:
    plot.save(plot.correlation_maps(maps) if maps else plot.intensity(volumes), output)


def _draw_structure(output: Path, opened: Frames, numbers: range, known: Order | None, file: Path) -> None:
    if len(numbers) != 1:
        raise InputError(f"{output}: a picture shows one frame of {len(numbers)}; choose it, such as --frames -1")
    described = next(_described(opened, numbers, known, file))
    labels = described.properties.get(LABEL)
    name = file.name if file.is_dir() else file.stem
    plot.save(plot.structure(described.frame.superlattice, labels, name), output)


def _draw_spheres(output: Path, file: Path) -> int:
    """Draw the spheres at 111, 220 and 311 of fcc, were the first bright peak 111; return how many there are."""
    q, profile = profile_of_spheres(file)
    first = peak_of_profile(q, profile) or float(q[len(q) // 2])
    with read_shells(file) as (_, read):
        wanted = [first * math.sqrt(squares / 3) for squares in (3, 8, 11)]
        shown = sorted({int(np.abs(q - value).argmin()) for value in wanted if q[0] <= value <= q[-1]})
        plot.save(plot.spheres([read(k)[0] for k in shown], q, profile), output)
    return len(q)


def _order(file: Path, order: Path | None) -> Order | None:
    """Return the order that belongs to a run, or that was asked for; None if there is none."""
    if order is not None:
        return read_order(order)
    of_run = file / ORDER_FOLDER
    return read_order(of_run) if (of_run / ORDER_FILE).is_file() else None


def _described(opened: Frames, numbers: range, known: Order | None, file: Path) -> Iterator[DescribedFrame]:
    for number, frame in zip(numbers, opened.frames(numbers), strict=True):
        if known is None:
            yield DescribedFrame(frame)
            continue
        if frame.superlattice.n != known.n:
            raise InputError(f"{file}: has {frame.superlattice.n} NPs, and the order is that of {known.n}")
        place = number
        if len(known) != len(opened):
            # Of some of the frames: they are found by their times.
            same = np.flatnonzero(np.abs(known.time_ns - frame.time_ns) < _SAME_TIME_NS)
            if len(same) != 1:
                raise InputError(
                    f"{file}: frame {number} is none of the {len(known)} frames whose order is known; classify all of "
                    "them, or choose others with --frames"
                )
            place = int(same[0])
        yield DescribedFrame(frame, known.properties(place))
