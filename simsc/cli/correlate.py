"""The command `simsc correlate`: correlation maps of intensities and structures."""

from pathlib import Path

import click

from simsc.builders.finite_crystal import CoreRadii
from simsc.cli.console import StageProgress, counting
from simsc.cli.options import (
    JSON,
    LENGTH_UNIT,
    OUTPUT,
    PATH,
    RADIUS,
    RADIUS_STD,
    SEED,
    check_distinct,
    example,
    print_result,
)
from simsc.cli.scattering_options import (
    FORM,
    Q1,
    RESOLUTION,
    SHELL,
    SIGMA,
    asking_for,
    axis_inv_nm,
    core_radii,
    lines_of_q1,
    note_if_periodic,
    q1_inv_nm,
    save_map,
    scattering_model,
    with_apart_radii,
)
from simsc.core.correlation_map import N_DELTA, Q2_OVER_Q1
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.correlation.maps import FirstSphere, correlation_map, first_sphere, read_source
from simsc.scattering.scattering_model import SHARP_SPHERES, ScatteringModel


@click.command(
    epilog=example(
        "simsc correlate intensity.h5 --q1 0.481 --q2 0.4:0.9:0.005 -o map.h5",
        "simsc correlate study_run/scattering/crystal_after.h5 -o map.h5",
        "simsc export map.h5 -o map.png",
    )
)
@click.argument("file", type=PATH)
@Q1
@click.option(
    "--q2", help=f"first:last:step of the second, nm⁻¹; by default from {Q2_OVER_Q1[0]} to {Q2_OVER_Q1[1]} times q1."
)
@click.option(
    "--n-delta", type=click.IntRange(2, 100_000), default=N_DELTA, show_default=True, help="Angles from 0° to 180°."
)
@click.option(
    "--bin", "bin_deg", type=float, default=0.0, show_default=True, help="Average over bins so wide, degrees."
)
@RADIUS
@RADIUS_STD
@FORM
@SHELL
@SIGMA
@RESOLUTION
@SEED
@LENGTH_UNIT
@OUTPUT
@JSON
@core_radii
@scattering_model
def correlate(
    file: Path,
    q1: str,
    q2: str | None,
    n_delta: int,
    bin_deg: float,
    radii: CoreRadii,
    scattering: ScatteringModel,
    length_unit: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Compute the correlation map C(q1, q2, Δ) of FILE: an intensity, or a structure (exact, no grid).

    An intensity is a volume, or the spheres that simsc import merged; of these the nearest ones are taken. Of an
    intensity with a variance, such as counts, the values of the map have one too.
    """
    check_distinct(file, output)
    given = q1_inv_nm(q1)
    q2_inv_nm = None if q2 is None else axis_inv_nm("--q2", q2)
    source = read_source(file, length_unit)
    if isinstance(source, Superlattice):
        source = with_apart_radii(file, source, radii)
        note_if_periodic(source)
    elif radii.mean_nm is not None or radii.std_nm or scattering != SHARP_SPHERES:
        raise InputError(
            f"{file}: is an intensity; --radius, --radius-std, --form, --shell, --sigma and --resolution are for "
            "structures"
        )
    with asking_for("--q1", file):
        first = first_sphere(source) if given is None else FirstSphere(given, "given")
    with StageProgress() as show:
        result = correlation_map(
            source,
            first.q1_inv_nm,
            q2_inv_nm,
            n_delta=n_delta,
            bin_deg=bin_deg,
            scattering=scattering,
            progress=counting(show, "correlate", "q2"),
        )
    facts, line = save_map(output, result)
    print_result(as_json, facts, *lines_of_q1(first, result), line)
