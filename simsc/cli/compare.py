"""The command `simsc compare`: two correlation maps, of any origin, under their common mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.classify.stacking import layer_frame
from simsc.cli.console import StageProgress, counting
from simsc.cli.options import (
    JSON,
    LENGTH_UNIT,
    PATH,
    RADIUS,
    RADIUS_STD,
    SEED,
    example,
    gathered,
    place_for_picture,
    print_result,
)
from simsc.cli.scattering_options import asking_for, axis_inv_nm, core_radii, with_radii
from simsc.core.correlation_map import Q2_OVER_Q1, CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Superlattice
from simsc.correlation.compare import CLEAR_OF_SELF_DEG, MapComparison, compare_maps
from simsc.correlation.maps import correlation_map, first_sphere, read_source, second_spheres
from simsc.io.hdf5 import is_map, is_shells
from simsc.io.native import read_map
from simsc.scattering.rods import RodProfile, layers_of_volume, rod_profile, rod_profile_of_volume

_ROD_POINTS, _LARGEST_L = 161, 3.2
_OTHER_COVERAGE = 0.05


_Source: TypeAlias = CorrelationMap | IntensityVolume | Superlattice | Path  # a path is that of spheres


@dataclass(frozen=True)
class _Drawing:
    """What of a comparison is drawn and printed, and where the figure goes."""

    lines: str | None
    names: tuple[str, str] | None
    scaled: bool
    output: Path | None


@click.command(
    epilog=example(
        "simsc compare before.h5 after.h5 --names before after --relative -o compare.png",
        "simsc compare measured_map.h5 simulated_map.h5 --scaled --lines 0.475,0.775 -o compare.svg",
        "simsc compare measured.h5 ball.xyz --q1 0.481 --radius 7.4 --d-nn 16 -o compare.png",
    )
)
@click.argument("a", metavar="A", type=PATH)
@click.argument("b", metavar="B", type=PATH)
@click.option("--lines", metavar="Q2,Q2,…", help="Where to draw and report lines, nm⁻¹; default: q1, and 220 of fcc.")
@click.option("--names", nargs=2, metavar="A B", help="What to call them; default: the names of the files.")
@click.option("--coverage", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Least, of both maps.")
@click.option("--q1-tolerance", type=float, default=0.01, show_default=True, help="Of unequal q1, nm⁻¹.")
@click.option("--scaled", is_flag=True, help="Draw B divided by the scale factor.")
@click.option("--relative", is_flag=True, help="Compare at equal q2 / q1: expansion of the lattice does not show.")
@click.option(
    "--q1",
    "q1_inv_nm",
    type=click.FloatRange(min=0, min_open=True),
    help="Of maps to be computed from intensities or structures, nm⁻¹; default: that of the other, if it is a map, or "
    "the first bright peak of A.",
)
@click.option(
    "--q2",
    help="Of them, first:last:step, nm⁻¹; default: that of the other map, or "
    f"{Q2_OVER_Q1[0]} to {Q2_OVER_Q1[1]} times q1.",
)
@click.option("--d-nn", "d_nn_nm", type=float, help="Of them, nm: draws their Bragg rods 10l too.")
@RADIUS
@RADIUS_STD
@SEED
@LENGTH_UNIT
@click.option("-o", "--output", type=PATH, callback=place_for_picture, help="Figure to write: .png, .svg or .pdf.")
@JSON
@core_radii
@gathered("drawing", _Drawing)
def compare(
    a: Path,
    b: Path,
    drawing: _Drawing,
    coverage: float,
    q1_tolerance: float,
    relative: bool,
    q1_inv_nm: float | None,
    q2: str | None,
    d_nn_nm: float | None,
    radii: CoreRadii,
    length_unit: str | None,
    as_json: bool,
) -> None:
    """Compare the correlation maps A and B, simulated or measured, where both were measured.

    A and B may also be intensities or structures, of which maps are computed first (--q1, --q2, --radius).
    """
    q2_inv_nm = None if q2 is None else axis_inv_nm("--q2", q2)
    if d_nn_nm is not None and any(is_map(file) or is_shells(file) for file in (a, b)):
        raise InputError("--d-nn draws rods of intensity volumes and structures; maps and spheres do not hold them")
    wanted = _lines(drawing.lines)
    sources = [_source(file, radii, length_unit) for file in (a, b)]
    if all(isinstance(source, CorrelationMap) for source in sources) and (q1_inv_nm or radii.mean_nm or d_nn_nm):
        raise InputError("A and B are maps already; --q1, --radius and --d-nn are for intensities and structures")
    maps = _maps((a, b), sources, q1_inv_nm, q2_inv_nm)
    if relative:
        own = maps[1].q1_inv_nm
        maps[1] = maps[1].at_q1(maps[0].q1_inv_nm)
        click.echo(
            f"simsc: note: q1 of {b} is {own:.4f} nm⁻¹; its q2 are told and drawn times {maps[0].q1_inv_nm / own:.4f}, "
            "so that q1 are equal",
            err=True,
        )
    result = compare_maps(maps[0], maps[1], coverage, q1_tolerance_inv_nm=q1_tolerance)
    called = drawing.names or _names(a, b)
    rods = None if d_nn_nm is None else _rods(sources, d_nn_nm)
    if drawing.output is not None or wanted or not as_json:
        # Matplotlib takes a second to load.
        from simsc.plot.side_by_side import comparison, lines_of
        from simsc.plot.style import save

        rows = lines_of(result, wanted)
        if drawing.output is not None:
            save(comparison(result, called, wanted, drawing.scaled, rods), drawing.output)
    else:
        rows = []
    if as_json:
        print_result(as_json, _as_dict(result, called, rows))
    else:
        _print(result, called, rows, coverage)
        if drawing.output is not None:
            click.echo(f"{drawing.output}")
    if result.coverage_difference > _OTHER_COVERAGE:
        click.echo(
            f"simsc: note: the coverages differ by up to {result.coverage_difference:.2f}, which changes the maps; "
            "compare data with a simulation of which the same was left out",
            err=True,
        )
    if maps[0].bin_deg != maps[1].bin_deg:
        click.echo(
            f"simsc: note: one map is averaged over bins of {maps[0].bin_deg:g}°, the other of {maps[1].bin_deg:g}°",
            err=True,
        )


def _lines(text: str | None) -> list[float]:
    if text is None:
        return []
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--lines {text!r}: needs numbers with commas between, nm⁻¹, such as 0.475,0.775") from None


def _names(a: Path, b: Path) -> tuple[str, str]:
    return (a.stem, b.stem) if a.stem != b.stem else (str(a), str(b))


def _source(file: Path, radii: CoreRadii, length_unit: str | None) -> _Source:
    """Return a map, or what one is to be computed from."""
    if is_map(file):
        return read_map(file)
    source = read_source(file, length_unit)
    return with_radii(file, source.in_free_space(), radii) if isinstance(source, Superlattice) else source


def _maps(
    files: tuple[Path, Path], sources: list[_Source], q1_inv_nm: float | None, q2_inv_nm: np.ndarray | None
) -> list[CorrelationMap]:
    """Return two maps; q1 and q2 of what is not one yet are those of the other, unless they are given."""
    known = [source for source in sources if isinstance(source, CorrelationMap)]
    others = [source for source in sources if not isinstance(source, CorrelationMap)]
    if not others:
        return known
    if known:
        q1_inv_nm = known[0].q1_inv_nm if q1_inv_nm is None else q1_inv_nm
        q2_inv_nm = known[0].q2_inv_nm if q2_inv_nm is None else q2_inv_nm
    if q1_inv_nm is None:
        with asking_for("--q1", files[0]):
            q1_inv_nm = first_sphere(others[0]).q1_inv_nm
        click.echo(f"simsc: note: q1 is {q1_inv_nm:.4f} nm⁻¹, the first bright peak of {files[0]}", err=True)
    if q2_inv_nm is None:
        q2_inv_nm = second_spheres(q1_inv_nm, *others)
    maps = []
    for file, source in zip(files, sources, strict=True):
        if isinstance(source, CorrelationMap):
            maps.append(source)
        else:
            with StageProgress() as show:
                maps.append(correlation_map(source, q1_inv_nm, q2_inv_nm, progress=counting(show, file.name, "q2")))
    return maps


def _rods(sources: list[_Source], d_nn_nm: float) -> tuple[RodProfile, RodProfile] | None:
    heights = np.linspace(0, _LARGEST_L, _ROD_POINTS)
    profiles = []
    for source in sources:
        if isinstance(source, IntensityVolume):
            layers = layers_of_volume(source, d_nn_nm)
            profiles.append(rod_profile_of_volume(source, layers, heights))
        elif isinstance(source, Superlattice):
            found = layer_frame(source, d_nn_nm)
            if found is None:
                raise InputError("no close-packed layers of one axis were found in a structure; leave --d-nn out")
            profiles.append(rod_profile([source], found, heights))
    return profiles[0], profiles[1]


def _print(result: MapComparison, names: tuple[str, str], rows: list[int], coverage: float) -> None:
    q2 = result.first.q2_inv_nm
    n, of = int(result.used.sum()), result.used.size
    q1 = " and ".join(f"{one.q1_inv_nm:.4f}" for one in (result.first, result.second))
    moved = ", interpolated" if result.interpolated else ""
    click.echo(f"q1 {q1} nm⁻¹, q2 {q2[0]:.4g} … {q2[-1]:.4g} nm⁻¹{moved}")
    click.echo(
        f"{n} of {of} points have a coverage of {coverage:g} in both, {CLEAR_OF_SELF_DEG:g}° clear of 0° and 180°"
    )
    click.echo(f"correlation coefficient     {_plus_minus(result.pearson, result.pearson_error)}")
    if result.pearson_noiseless is not None:
        click.echo(
            f"  were there no noise       {_plus_minus(result.pearson_noiseless, result.pearson_noiseless_error)}"
        )
    for row in rows:
        own = _plus_minus(float(result.row_pearson[row]), float(result.row_pearson_error[row]))
        click.echo(f"  at q2 = {q2[row]:.4f} nm⁻¹     {own}")
    click.echo(f"{'scale factor B / A':<27} {_plus_minus(result.scale, result.scale_error)}")
    if result.reduced_chi_squared is not None:
        click.echo(
            f"reduced χ²                  {_plus_minus(result.reduced_chi_squared, result.reduced_chi_squared_error)}"
        )
    where, angle, value = _largest(result)
    click.echo(
        f"largest difference          {value:+.4g} at q2 = {where:.4f} nm⁻¹, Δ = {angle:.1f}° ({names[1]} − {names[0]})"
    )


def _plus_minus(value: float, error: float | None) -> str:
    if not np.isfinite(value):
        return "too little was measured"
    if error is None or not np.isfinite(error):
        return f"{value:.4g} (too few independent blocks for an uncertainty)"
    if max(abs(value), error) >= 1000:
        return f"{value:.3g} ± {error:.2g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 6)) if error > 0 else 4
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _largest(result: MapComparison) -> tuple[float, float, float]:
    difference = np.where(result.used, result.difference(), 0.0)
    row, column = np.unravel_index(np.abs(difference).argmax(), difference.shape)
    return float(result.first.q2_inv_nm[row]), float(result.first.delta_deg[column]), float(difference[row, column])


def _as_dict(result: MapComparison, names: tuple[str, str], rows: list[int]) -> dict[str, Any]:
    q2, angle, value = _largest(result)
    return {
        "names": list(names),
        "q1_inv_nm": [result.first.q1_inv_nm, result.second.q1_inv_nm],
        "q2_inv_nm": result.first.q2_inv_nm.tolist(),
        "points": int(result.used.sum()),
        "blocks": result.n_blocks,
        "block": {"rows": result.block[0], "delta_deg": result.block[1]},
        "interpolated": result.interpolated,
        "pearson": _number(result.pearson),
        "pearson_error": _number(result.pearson_error),
        "pearson_noiseless": _number(result.pearson_noiseless),
        "pearson_noiseless_error": _number(result.pearson_noiseless_error),
        "scale": _number(result.scale),
        "scale_error": _number(result.scale_error),
        "reduced_chi_squared": _number(result.reduced_chi_squared),
        "reduced_chi_squared_error": _number(result.reduced_chi_squared_error),
        "row_pearson": [_number(r) for r in result.row_pearson],
        "row_pearson_error": [_number(r) for r in result.row_pearson_error],
        "lines": [
            {"q2_inv_nm": float(result.first.q2_inv_nm[row]), "pearson": _number(result.row_pearson[row])}
            for row in rows
        ],
        "largest_difference": {"q2_inv_nm": q2, "delta_deg": angle, "value": value},
        "coverage_difference": result.coverage_difference,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
