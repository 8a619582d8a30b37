"""What several commands have in common: options, examples, and where a file came from."""

import functools
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from simsc.core.correlation_map import MOST_Q2, CorrelationMap
from simsc.core.errors import InputError
from simsc.core.units import NM_PER_UNIT
from simsc.io.centres import Kind
from simsc.io.hdf5 import HDF5_ENDINGS
from simsc.io.native import write_map
from simsc.io.provenance import provenance
from simsc.io.structure_files import Reading
from simsc.io.whole_files import PICTURES

_SMALLEST_ANGLE_DEG = 30.0  # no lattice needs three angles below it
_POOR_COVERAGE = 0.5
PATH = click.Path(path_type=Path)
# What X-rays, hutches and detectors have; a number outside is one in another unit.
KEV, METRES, MICROMETRES = click.FloatRange(1, 200), click.FloatRange(0.01, 100), click.FloatRange(1, 5000)
LENGTH_UNIT = click.option(
    "--length-unit", type=click.Choice(list(NM_PER_UNIT)),
    help="Unit of positions in files that are not simsc's own; the default is what the file tells, else A.",
)  # fmt: skip
_READING = [
    click.option(
        "--topology", type=PATH, help="File that tells what the atoms of FILE are, such as a LAMMPS data file."
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
    click.option("--periodic", help="Periodic cell vectors, as abc, ab or none, if FILE does not tell (then: all)."),
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
INTENSITY = click.option(
    "--intensity",
    type=PATH,
    help="Volume or spheres that the map is of: what was not measured there is left out of simulations too.",
)


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
JSON = click.option("--json", "as_json", is_flag=True, help="Print what came of it as one JSON object.")
Q1 = click.option(
    "--q1",
    default="auto",
    show_default=True,
    help="Momentum transfer of the first sphere, nm⁻¹; auto is the first bright peak.",
)
SEED = click.option("--seed", type=int, default=1, show_default=True, help="Of the random radii.")


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


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that tell how to read files of other programs, as one argument `reading`."""

    @functools.wraps(command)
    def wrapped(
        topology: Path | None,
        selection: str | None,
        centres: Kind,
        length_unit: str | None,
        every_ns: float | None,
        periodic: str | None,
        **others: Any,
    ) -> None:
        command(reading=Reading(topology, selection, centres, length_unit, every_ns, periodic), **others)

    for option in reversed(_READING):
        wrapped = option(wrapped)
    return wrapped


def example(*lines: str) -> str:
    """Return the end of a command's help: lines to copy."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def tell(as_json: bool, facts: Mapping[str, Any], *lines: str) -> None:
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


def _comma(text: str) -> str:
    """Return a hint for a number with a decimal comma."""
    return "; decimals have a point, not a comma" if re.search(r"\d,\d", text) else ""


def q1_inv_nm(text: str) -> float | None:
    """Return the momentum transfer, nm⁻¹, of an option --q1; None for auto.

    Raises:
        InputError: for anything else.
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < np.inf:
        raise InputError(f"--q1 {text!r}: needs a positive number, nm⁻¹, or auto{_comma(text)}")
    return value


def axis_inv_nm(option: str, text: str) -> np.ndarray:
    """Return the momentum transfers, nm⁻¹, of an option first:last:step.

    Raises:
        InputError: for anything else.
    """
    try:
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise InputError(
            f"{option} {text!r}: needs first:last:step, three numbers in nm⁻¹, such as 0.4:0.9:0.005{_comma(text)}"
        ) from None
    if not (0 < first <= last < np.inf and step > 0):
        raise InputError(f"{option} {text!r}: needs 0 < first ≤ last and a positive step")
    if (n := (last - first) / step) > MOST_Q2:
        raise InputError(f"{option} {text!r}: these are {n:.3g} steps; must not be more than {MOST_Q2}")
    return np.arange(int((last - first) / step + 1e-6) + 1) * step + first


def save_map(path: Path, correlation: CorrelationMap, **facts: Any) -> tuple[dict[str, Any], str]:
    """Write a correlation map, and return what is to be told of it: facts, and a line."""
    write_map(path, correlation, origin(**facts))
    n_q2, n_delta = correlation.ccf.shape
    least = float(correlation.coverage.min())
    poor = correlation.q2_inv_nm[correlation.coverage.min(axis=1) < _POOR_COVERAGE]
    if len(poor):
        click.echo(
            f"simsc: note: from q2 = {poor.min():g} to {poor.max():g} nm⁻¹ less than half of the pairs were measured "
            "(of a scan in coarse steps more with fewer --rings, about 180° over the step)",
            err=True,
        )
    span = [float(correlation.q2_inv_nm[0]), float(correlation.q2_inv_nm[-1])]
    told = {
        "map": path,
        "q1_inv_nm": correlation.q1_inv_nm,
        "q2_inv_nm": span,
        "shape": [n_q2, n_delta],
        "smallest_coverage": least,
    }
    line = f"{path}: {n_q2} × {n_delta} values, q2 from {span[0]:.4g} to {span[1]:.4g} nm⁻¹"
    return told, f"{line}, smallest coverage {least:.3f}"
