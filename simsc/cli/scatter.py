"""The command `simsc scatter`: the intensity of structures."""

from pathlib import Path

import click
import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.cli.console import working
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
    origin,
    print_result,
)
from simsc.cli.scattering_options import (
    FORM,
    RESOLUTION,
    SHELL,
    SIGMA,
    asking_for,
    core_radii,
    note_if_periodic,
    scattering_model,
    with_apart_radii,
)
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.core.superlattice import Superlattice
from simsc.correlation.first_peak import spacing_nm
from simsc.correlation.intensity import LARGEST_GRID, farthest_inv_nm, grid_points
from simsc.correlation.shells import points_needed
from simsc.io.native import read_superlattice, write_intensity
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.atoms import Atoms
from simsc.scattering.counting import counted
from simsc.scattering.form_factors.sphere import SPHERE
from simsc.scattering.scattering_model import ScatteringModel


@click.command(
    epilog=example(
        "simsc scatter ball.xyz --radius 7.4 --radius-std 0.8 --q-max 0.9 -o intensity.h5",
        "simsc scatter lattice.h5 --form truncated_cuboctahedron --sigma 0.3 --resolution 0.002 -o intensity.h5",
        "simsc scatter all_atom_run/anneal --q-max 3 -o intensity.h5",
    )
)
@click.argument("file", type=PATH)
@RADIUS
@RADIUS_STD
@FORM
@SHELL
@SIGMA
@RESOLUTION
@click.option(
    "--q-max",
    "q_max_inv_nm",
    type=float,
    help="Grid from −q to q, nm⁻¹; of NPs by default 1.9 times that of 111 of fcc.",
)
@click.option(
    "--grid",
    type=click.IntRange(min=4, max=2048),
    help=f"Points an axis; by default fine enough for simsc correlate, but at most {LARGEST_GRID}.",
)
@click.option("--photons", type=float, help="Count so many photons in all, under Poisson statistics.")
@SEED
@LENGTH_UNIT
@OUTPUT
@JSON
@core_radii
@scattering_model
def scatter(
    file: Path,
    radii: CoreRadii,
    scattering: ScatteringModel,
    q_max_inv_nm: float | None,
    grid: int | None,
    photons: float | None,
    length_unit: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Compute the 3D scattered intensity of the NPs in FILE, taken as one finite crystal.

    FILE may also be the folder of an all-atom run (anneal/): then all atoms of its last frame scatter, in vacuum.
    """
    scatterer: Superlattice | Atoms
    if file.is_dir():
        if radii.mean_nm is not None or radii.std_nm or scattering.form != SPHERE:
            raise InputError(f"{file}: its atoms scatter; --radius, --radius-std, --form and --shell are for NPs")
        scatterer, what = _last_atoms(file), "atoms"
        if q_max_inv_nm is None:
            raise InputError(f"{file}: its atoms scatter; give --q-max (nm⁻¹), such as 3")
    else:
        check_distinct(file, output)
        superlattice = with_apart_radii(file, read_superlattice(file, length_unit), radii)
        scatterer, what = superlattice, "NPs"
        if q_max_inv_nm is None:
            with asking_for("--q-max", file):
                q_max_inv_nm = farthest_inv_nm(spacing_nm(superlattice))
    if grid is None:
        grid = grid_points(q_max_inv_nm, scatterer.diameter_nm)
    with working("scatter"):
        volume = intensity_on_grid(scatterer, q_max_inv_nm, grid, threads=available_cores(), scattering=scattering)
    if photons is not None:
        volume = counted(volume, photons, np.random.default_rng([radii.seed, 1]))
    write_intensity(output, volume, origin())
    print_result(
        as_json,
        {"output": output, "grid": grid, "q_max_inv_nm": q_max_inv_nm, "scatterers": what, "n": scatterer.n},
        f"{output}: {grid}³ points up to q = {q_max_inv_nm:g} nm⁻¹, {scatterer.n} {what}",
    )
    if isinstance(scatterer, Superlattice):
        note_if_periodic(scatterer)
    if (needed := points_needed(volume)) > grid:
        click.echo(f"simsc: note: {output} is too coarse for simsc correlate; use --grid {needed}", err=True)


def _last_atoms(folder: Path) -> Atoms:
    from simsc.models.universe import read_universe, scattering_atoms  # MDAnalysis takes a second to load

    universe = read_universe(folder)
    universe.trajectory[-1]
    return scattering_atoms(universe)
