"""What several commands have in common: options, examples, and where a file came from."""

import functools
import inspect
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

import click
import numpy as np

from simsc.core.errors import InputError
from simsc.core.units import NM_PER_UNIT
from simsc.io.centres import Kind
from simsc.io.hdf5 import HDF5_ENDINGS
from simsc.io.provenance import provenance
from simsc.io.structure_files import Reading
from simsc.io.whole_files import PICTURES

_SMALLEST_ANGLE_DEG = 30.0  # no lattice needs three angles below it
_Command: TypeAlias = Callable[..., Any]
PATH = click.Path(path_type=Path)
# What X-rays, hutches and detectors have; a number outside is one in another unit.
KEV, METRES, MICROMETRES = click.FloatRange(1, 200), click.FloatRange(0.01, 100), click.FloatRange(1, 5000)
LENGTH_UNIT = click.option(
    "--length-unit", type=click.Choice(list(NM_PER_UNIT)),
    help="Unit of positions in files that are not simsc's own; the default is what the file states, else A.",
)  # fmt: skip
_READING = [
    click.option(
        "--topology", type=PATH, help="File that describes the atoms of FILE, such as a LAMMPS data file."
    ),
    click.option(
        "--select", "selection", help="Which atoms count, in MDAnalysis's language: 'type 1', 'resname CORE' …"
    ),
    click.option(
        "--centres", type=click.Choice(get_args(Kind)), default="site", show_default=True,
        help="What one NP is: each atom, or the centre of mass of all (selected) atoms of a molecule, residue or "
        "segment.",
    ),
    LENGTH_UNIT,
    click.option(
        "--every-ns", type=click.FloatRange(min=0, min_open=True), help="Time between two frames of FILE, ns."
    ),
    click.option("--periodic", help="Periodic cell vectors, as abc, ab or none, if FILE does not say (default: all)."),
]  # fmt: skip
FRAMES = click.option(
    "--frames", "frames_text", help="first:last:step from 0, the last included, or one number; -1 is the end."
)


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {path.parent}")


def _place_for_hdf5(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a place where nothing can be written before anything is computed."""
    if path is not None:
        if path.suffix.lower() not in HDF5_ENDINGS:
            raise InputError(
                f"{path}: is to be an HDF5 file, whose name ends in {HDF5_ENDINGS[0]}; simsc export makes others of it"
            )
        _check_folder(path)
    return path


def place_for_picture(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a place where no figure can be written before anything is computed."""
    if path is not None:
        if path.suffix.lower() not in PICTURES:
            raise InputError(f"{path}: a figure's name ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
        _check_folder(path)
    return path


OUTPUT = click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    callback=_place_for_hdf5,
    help="HDF5 file (.h5) to write; one that is there is replaced.",
)


RADIUS = click.option("--radius", "radius_nm", type=float, help="Core radius, nm; the default is the file's own.")
RADIUS_STD = click.option(
    "--radius-std", "radius_std_nm", type=float, default=0.0, show_default=True, help="Its standard deviation, nm."
)
SEED = click.option("--seed", type=int, default=1, show_default=True, help="Of the random radii.")


def sensible_cell(
    context: click.Context, parameter: click.Parameter, values: tuple[float, ...] | None
) -> tuple[float, ...] | None:
    """Refuse angles in radians, and edges where angles belong."""
    if values is not None and all(0 < angle < _SMALLEST_ANGLE_DEG for angle in values[3:]):
        shown = ", ".join(f"{angle:g}" for angle in values[3:])
        raise InputError(
            f"{parameter.opts[0]}: angles of {shown} are too small; three edges in nm come first, then three angles in "
            "degrees, not radians"
        )
    return values


CELL = click.option(
    "--cell",
    "parameters",
    type=float,
    nargs=6,
    metavar="A B C ALPHA BETA GAMMA",
    required=True,
    callback=sensible_cell,
    help="Edges, nm, and angles, degrees, of the cell.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
RUN_FOLDER = click.option("-o", "--output", type=PATH, help="Run folder; the default is STUDY_run in this folder.")
JOBS = click.option("--jobs", type=click.IntRange(min=1), help="Processes; the default is one a core.")
# Of commands that run dynamics on a crystal of their own.
INITIAL_D_NN = click.option(
    "--d-nn", "d_nn_nm", type=float, required=True, help="Initial nearest-neighbour distance, nm."
)
TEMPERATURE = click.option("--temperature", "temperature_K", type=float, required=True, help="K.")
PRESSURE = click.option("--pressure", "pressure_atm", type=float, default=1.0, show_default=True, help="atm.")
SEED_OF_ALL = click.option(
    "--seed", type=click.IntRange(1), default=1, show_default=True, help="Of all random numbers."
)


def lateral_option(default: tuple[int, int]) -> Callable[..., Any]:
    """Return the option --lateral with a default."""
    return click.option(
        "--lateral",
        type=click.IntRange(min=1),
        nargs=2,
        metavar="NX NY",
        default=default,
        show_default=True,
        help="Repeats of the 2-NP layer.",
    )


def gathered(argument: str, record: Callable[..., Any], **names: str) -> Callable[[_Command], _Command]:
    """Return what lets a command take the values of several options as one argument, a record.

    Args:
        argument: its name.
        record: what makes it of them, such as a dataclass; it may refuse them with an InputError.
        names: its parameters, and the parameters of the options; by default both have the same names.

    Example:
        >>> from simsc.md.hardware import Hardware
        >>> @gathered("hardware", Hardware, threads="n")
        ... def command(hardware): print(hardware.threads)
        >>> command(n=4)
        4
    """
    of_record = names or {name: name for name in inspect.signature(record).parameters}

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def wrapped(**values: Any) -> Any:
            made = record(**{name: values.pop(option) for name, option in of_record.items()})
            return command(**{argument: made}, **values)

        return wrapped

    return decorate


def reading(command: _Command) -> _Command:
    """Give a command the options on how to read files of other programs, as one argument `reading`."""
    wrapped = gathered("reading", Reading)(command)
    for option in reversed(_READING):
        wrapped = option(wrapped)
    return wrapped


def example(*lines: str) -> str:
    """Return the end of a command's help: lines to copy."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def check_distinct(file: Path, output: Path) -> None:
    """Refuse to write what is read.

    Raises:
        InputError: if both are the same file.
    """
    if output.exists() and file.exists() and output.samefile(file):
        raise InputError(f"{output}: is the input; give another name with -o")


def print_result(as_json: bool, facts: Mapping[str, Any], *lines: str) -> None:
    """Print what came of a command: lines for people, or with --json one object for programs.

    Args:
        as_json: whether --json was asked for.
        facts: names in snake case with their units, and values: what json can write, paths, NumPy arrays and numbers.
            What is not finite becomes null.
        lines: the same for people.
    """
    if as_json:
        click.echo(json.dumps(plain(facts), ensure_ascii=False, allow_nan=False))
    else:
        for line in lines:
            click.echo(line)


def plain(value: Any) -> Any:
    """Return a value as JSON can write it; numbers that are not finite are None."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def origin(**facts: Any) -> dict[str, Any]:
    """Return the provenance of a file that this command writes."""
    return provenance(command="simsc " + shlex.join(sys.argv[1:]), **facts)


def decimal_hint(text: str) -> str:
    """Return a hint for a number with a decimal comma; nothing for others."""
    return "; decimals have a point, not a comma" if re.search(r"\d,\d", text) else ""
