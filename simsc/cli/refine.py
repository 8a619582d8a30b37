"""The commands `simsc refine …`: cell, nearest-neighbour distance, stacking and structure from scattering."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from simsc.cli.console import StageProgress, working
from simsc.cli.options import (
    JSON,
    PATH,
    RADIUS_STD,
    example,
    print_result,
    sensible_cell,
)
from simsc.cli.refine_stacking import stacking
from simsc.cli.scattering_options import INTENSITY
from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, in_other_words
from simsc.core.processes import available_cores, one_blas_thread
from simsc.io.native import read_map
from simsc.refine.cell import CellFit, more_symmetric, refine_cell
from simsc.refine.model import METHODS
from simsc.refine.spacing import STRUCTURES, Structure, refine_spacing
from simsc.refine.structure import CANDIDATES, candidate_named, cell_candidate, rank_structures
from simsc.refine.uncertainty import split

_MAPS = click.argument("maps", metavar="MAP...", type=PATH, nargs=-1, required=True)
_METHOD = click.option(
    "--method",
    type=click.Choice(METHODS),
    default="forward",
    show_default=True,
    help="forward fits all peaks; mean maximises the mean CCF at the expected positions, which is biased.",
)
_RADIUS = click.option("--radius", "radius_nm", type=float, help="Mean core radius, nm: needed for small crystals.")
_PARTS = click.option(
    "--parts",
    is_flag=True,
    help="The maps are of independent parts of the data: add standard errors from refining each alone.",
)
_WELL_EXPLAINED = 0.9  # part of the map
_POOR_COVERAGE, _MUCH = 0.5, 0.25  # part of the pairs of a value, and of the values
_DECISIVE = 0.9  # part of resamples in which a structure is the best one
_NAMES = ("a", "b", "c", "α", "β", "γ")


@click.group(epilog=example("simsc refine cell map.h5 --radius 7.4 --radius-std 0.8"))
def refine() -> None:
    """Refine parameters of a structure, with their uncertainties, or rank structures."""
    one_blas_thread()


refine.add_command(stacking)


@refine.command(
    epilog=example(
        "simsc refine cell map.h5 --radius 7.4 --radius-std 0.8",
        "simsc refine cell q1_0.435.h5 q1_0.46.h5 --reference 16.8 17.0 17.8 58.7 60.8 68.5 --json",
    )
)
@_MAPS
@_METHOD
@click.option(
    "--reference",
    type=float,
    nargs=6,
    metavar="A B C ALPHA BETA GAMMA",
    callback=sensible_cell,
    help="Of a primitive cell to start from, in whose basis the result is given; the default is fcc.",
)
@click.option(
    "--order",
    default="abc",
    show_default=True,
    help="Of the edges of the face-centred cell; those of Table 1 of the paper are cab or bac.",
)
@_RADIUS
@RADIUS_STD
@click.option("--starts", type=click.IntRange(min=1), default=24, show_default=True, help="Strained cells to start at.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the starts.")
@_PARTS
@JSON
def cell(
    maps: tuple[Path, ...],
    method: Literal["forward", "mean"],
    reference: tuple[float, float, float, float, float, float] | None,
    order: str,
    radius_nm: float | None,
    radius_std_nm: float,
    starts: int,
    seed: int,
    parts: bool,
    as_json: bool,
) -> None:
    """Refine the primitive cell of a crystal from one MAP or several, such as with different q1."""
    start = None if reference is None else Cell.from_parameters(*reference)
    if sorted(order) != ["a", "b", "c"]:
        raise InputError(f"--order: is one of a, b and c each, such as cab, got {order!r}")
    read = [read_map(path) for path in maps]
    with working("cell"):
        fit = refine_cell(read, method, start, radius_nm, radius_std_nm, starts, seed)
    symmetric = None
    if method == "forward":
        with working("symmetry"):
            symmetric = more_symmetric(fit, read, radius_nm, radius_std_nm)
    cells = {
        "primitive": (fit.parameters, fit.standard_errors),
        "reduced": fit.reduced,
        "face_centred": fit.face_centred(order),
    }
    if symmetric is not None:
        # What breaks the symmetry enters a map by its square: the errors, of a linear model, do not hold.
        cells = {name: (values, np.full(6, np.nan)) for name, (values, _) in cells.items()}
    result: dict[str, Any] = {"method": method, "score": fit.score}
    result |= {"width_inv_nm": fit.width_inv_nm, "mosaic_deg": fit.mosaic_deg}
    result |= {name: _with_errors(*values) for name, values in cells.items()}
    result["more_symmetric"] = None if symmetric is None else _symmetric(*symmetric, order)
    if parts:
        with working("parts"):
            spread = split(
                [[one] for one in read],
                lambda part: refine_cell(part, method, fit.cell, radius_nm, radius_std_nm, starts=1),
            )
        result["primitive"]["standard_errors_of_parts"] = spread.standard_errors.tolist()
    if as_json:
        print_result(as_json, result)
        return
    click.echo(_summary(fit))
    _warn(method, fit.score, read)
    if radius_nm is None and method == "forward":
        click.echo(
            "simsc: note: without --radius the peaks of a small crystal are displaced, and its cell with them", err=True
        )
    for name, values in cells.items():
        click.echo(f"{name.replace('_', '-'):>13}: {_row(*values)}")
    if symmetric is not None:
        system, other = symmetric
        click.echo(
            f"simsc: note: a {system} cell explains {100 * other.score:.1f} % of the map instead of "
            f"{100 * fit.score:.1f} %: what breaks this symmetry is not shown by the map, and may come from the model; "
            "the cell above has no errors therefore",
            err=True,
        )
        click.echo(f"{system:>13}: {_row(other.face_centred(order)[0], np.full(6, np.nan))} (face-centred)")
    if parts:
        click.echo(f"errors, parts: {_row(spread.standard_errors, None)}")


@refine.command(
    epilog=example("simsc refine spacing map.h5 --structure r-hcp --diameter 280 --radius 7.4 --radius-std 0.8"),
)
@_MAPS
@click.option("--structure", type=click.Choice(STRUCTURES), required=True, help="How layers are stacked.")
@_METHOD
@click.option("--start", "start_nm", type=float, help="Distance to start from, nm; the default has 111 at q1.")
@_RADIUS
@RADIUS_STD
@click.option("--diameter", "diameter_nm", type=float, help="Of a ball of r-hcp, nm: for a better model.")
@_PARTS
@JSON
def spacing(
    maps: tuple[Path, ...],
    structure: Structure,
    method: Literal["forward", "mean"],
    start_nm: float | None,
    radius_nm: float | None,
    radius_std_nm: float,
    diameter_nm: float | None,
    parts: bool,
    as_json: bool,
) -> None:
    """Refine the nearest-neighbour distance of a close-packed crystal from one MAP or several."""
    read = [read_map(path) for path in maps]
    with working("spacing"):
        fit = refine_spacing(read, structure, method, start_nm, radius_nm, radius_std_nm, diameter_nm)
    result: dict[str, Any] = {
        "method": method,
        "score": fit.score,
        "structure": structure,
        "d_nn_nm": fit.d_nn_nm,
        "standard_error_nm": None if np.isnan(fit.standard_error_nm) else fit.standard_error_nm,
        "a_fcc_nm": fit.a_fcc_nm,
        "c_hcp_nm": fit.c_hcp_nm,
        "width_inv_nm": fit.width_inv_nm,
    }
    if parts:
        spread = split(
            [[one] for one in read],
            lambda part: refine_spacing(part, structure, method, fit.d_nn_nm, radius_nm, radius_std_nm, diameter_nm),
        )
        result["standard_error_of_parts_nm"] = float(spread.standard_errors[0])
    if as_json:
        print_result(as_json, result)
        return
    error = "" if result["standard_error_nm"] is None else f" ± {fit.standard_error_nm:.2g}"
    click.echo(f"d_NN {fit.d_nn_nm:.4f}{error} nm ({structure}; a_fcc {fit.a_fcc_nm:.4f}, c_hcp {fit.c_hcp_nm:.4f} nm)")
    if parts:
        click.echo(f"standard error from the parts: {spread.standard_errors[0]:.2g} nm")
    click.echo(_score(method, fit.score))
    _warn(method, fit.score, read)


@refine.command(
    epilog=example(
        "simsc refine structure map.h5 --diameter 320 --radius 7.4 --radius-std 0.8",
        "simsc refine structure map.h5 --diameter 320 --radius 7.4 --candidates fcc,hcp --cell mine 18 17 17 61 58 61",
    )
)
@click.argument("file", metavar="MAP", type=PATH)
@click.option(
    "--diameter",
    "diameter_nm",
    type=float,
    required=True,
    help="Of the crystal, nm: its peaks are as wide. Of a pillar, that of a ball of the same volume.",
)
@click.option("--radius", "radius_nm", type=float, required=True, help="Mean core radius, nm.")
@RADIUS_STD
@click.option("--candidates", default=",".join(CANDIDATES), show_default=True, help="Names, with commas between.")
@click.option(
    "--cell",
    "cells",
    type=(str, *[float] * 6),
    multiple=True,
    metavar="NAME a b c α β γ",
    help="A ball of this primitive cell as a candidate of its own, nm and degrees.",
)
@INTENSITY
@click.option("--displacement", type=float, default=0.03, show_default=True, help="Of NPs, in units of d_NN.")
@click.option("--draws", type=click.IntRange(min=2), default=4, show_default=True, help="Crystals of each candidate.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the draws.")
@JSON
def structure(
    file: Path,
    diameter_nm: float,
    radius_nm: float,
    radius_std_nm: float,
    candidates: str,
    cells: tuple[tuple[str, float, float, float, float, float, float], ...],
    intensity: Path | None,
    displacement: float,
    draws: int,
    seed: int,
    as_json: bool,
) -> None:
    """Rank candidate structures by how well they explain a MAP."""
    with in_other_words({"candidates:": "--candidates:"}):
        chosen = [candidate_named(name) for name in filter(None, (part.strip() for part in candidates.split(",")))]
    for name, *parameters in cells:
        own = Cell.from_parameters(*parameters)
        chosen.append(cell_candidate(name, own, float(np.mean(parameters[:3]))))
    with StageProgress() as progress:
        ranks = rank_structures(
            file,
            diameter_nm,
            radius_nm,
            radius_std_nm,
            chosen,
            displacement=displacement,
            draws=draws,
            mask=intensity,
            seed=seed,
            threads=available_cores(),
            on_candidate=lambda name, done: progress("structure", done, name),
        )
    if as_json:
        print_result(as_json, {"structures": [asdict(rank) for rank in ranks]})
        return
    click.echo(f"{'structure':>16}  ln likelihood  best in  d_NN, nm  correlation")
    for rank in ranks:
        click.echo(
            f"{rank.name:>16}  {rank.log_likelihood:13.1f}  {100 * rank.stability:5.0f} %  {rank.d_nn_nm:8.3f}"
            f"  {rank.correlation:11.3f}"
        )
    click.echo("d_NN is that at which q1 of the map is bright; simsc refine spacing fits it, with its error")
    if ranks[0].stability < _DECISIVE:
        click.echo("simsc: note: the first does not stand out: the map tells some of these hardly apart", err=True)


def _warn(method: str, score: float, maps: Sequence[CorrelationMap]) -> None:
    """Say where errors cannot be believed: where the model is not that of the crystal, or peaks may be cut."""
    if method == "forward" and score < _WELL_EXPLAINED:
        click.echo(
            f"simsc: note: {100 * (1 - score):.0f} % of the map are not explained: noise, another structure, or peaks "
            "that gaps of the detector cut; the errors hold for noise alone. Look at both with simsc compare",
            err=True,
        )
    poor = float(np.mean([(one.coverage < _POOR_COVERAGE).mean() for one in maps]))
    if poor > _MUCH:
        click.echo(
            f"simsc: note: at {100 * poor:.0f} % of the map less than half of the pairs were measured; peaks that gaps "
            "cut shift what is refined",
            err=True,
        )


def _symmetric(system: str, fit: CellFit, order: str) -> dict[str, Any]:
    parameters = {"primitive": fit.parameters, "reduced": fit.reduced[0], "face_centred": fit.face_centred(order)[0]}
    return {"system": system, "score": fit.score, **{name: values.tolist() for name, values in parameters.items()}}


def _with_errors(parameters: np.ndarray, errors: np.ndarray) -> dict[str, list[float | None]]:
    return {
        "parameters": parameters.tolist(),
        "standard_errors": [None if np.isnan(error) else float(error) for error in errors],
    }


def _row(parameters: np.ndarray, errors: np.ndarray | None) -> str:
    words = []
    for k, name in enumerate(_NAMES):
        digits, unit = (3, " nm") if k < 3 else (2, "°")
        error = "" if errors is None or np.isnan(errors[k]) else f" ± {errors[k]:.{digits}f}"
        words.append(f"{name} {parameters[k]:.{digits}f}{error}{unit}")
    return ", ".join(words)


def _summary(fit: CellFit) -> str:
    if fit.width_inv_nm is None:
        return _score(fit.method, fit.score)
    return f"{_score(fit.method, fit.score)}; σ of peaks {fit.width_inv_nm:.4f} nm⁻¹, mosaic {fit.mosaic_deg:.2f}°"


def _score(method: str, score: float) -> str:
    return f"{100 * score:.1f} % of the map explained" if method == "forward" else f"mean CCF {score:.3f}"
