"""The command `simsc scatter`: the intensity of structures."""

from pathlib import Path

import click
import numpy as np

from simsc.builders.finite_crystal import with_normal_radii
from simsc.classify.neighbours import nearest_distance_nm
from simsc.cli.console import working
from simsc.cli.first_peak import (
    distance_nm,
)
from simsc.cli.options import (
    JSON,
    LENGTH_UNIT,
    OUTPUT,
    PATH,
    RADIUS,
    RADIUS_STD,
    SEED,
    example,
    origin,
    tell,
)
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.core.superlattice import Superlattice
from simsc.correlation.peaks import layer_momentum_transfer
from simsc.correlation.shells import (
    points_for,
    points_needed,
)
from simsc.io.native import (
    read_superlattice,
    write_intensity,
)
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.atoms import Atoms
from simsc.scattering.counting import counted
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.sphere import SPHERE
from simsc.scattering.form_factors.table import NEED_NOTHING, form_factor

_FARTHEST = 1.9  # times |q| of 111: as far as the paper goes
_SMALLEST_GRID, _LARGEST_GRID = 65, 321
_FINER = 1.4  # times what is needed at least: the map then differs by 5e-4 from the exact one, where that is 1 %
_FORM = click.option(
    "--form", "shape", type=click.Choice(NEED_NOTHING), default="sphere", show_default=True,
    help="Shape of the cores; polyhedra have the volume of the sphere, and the orientations of the file.",
)  # fmt: skip
_SHELL = click.option(
    "--shell", type=float, nargs=2, metavar="NM CONTRAST", help="Thickness of a shell around spheres, nm, and its "
    "contrast relative to that of the core.",
)  # fmt: skip
_SIGMA = click.option(
    "--sigma", "sigma_nm", type=float, default=0.0, show_default=True,
    help="Independent thermal displacements along each axis, standard deviation, nm (Debye–Waller).",
)  # fmt: skip
_RESOLUTION = click.option(
    "--resolution", "resolution_inv_nm", type=float, default=0.0, show_default=True,
    help="Gaussian resolution, standard deviation, nm⁻¹.",
)  # fmt: skip


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
@_FORM
@_SHELL
@_SIGMA
@_RESOLUTION
@click.option(
    "--q-max",
    "q_max_inv_nm",
    type=float,
    help="Grid from −q to q, nm⁻¹; of NPs by default 1.9 times that of 111 of fcc.",
)
@click.option(
    "--grid",
    type=click.IntRange(min=4, max=2048),
    help=f"Points an axis; by default fine enough for simsc correlate, but at most {_LARGEST_GRID}.",
)
@click.option("--photons", type=float, help="Count so many photons in all, under Poisson statistics.")
@SEED
@LENGTH_UNIT
@OUTPUT
@JSON
def scatter(
    file: Path,
    radius_nm: float | None,
    radius_std_nm: float,
    shape: str,
    shell: tuple[float, float] | None,
    sigma_nm: float,
    resolution_inv_nm: float,
    q_max_inv_nm: float | None,
    grid: int | None,
    photons: float | None,
    seed: int,
    length_unit: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Compute the 3D scattered intensity of the NPs in FILE, taken as one finite crystal.

    FILE may also be the folder of an all-atom run (anneal/): then all atoms of its last frame scatter, in vacuum.
    """
    scatterer: Superlattice | Atoms
    form = _form(shape, shell)
    if file.is_dir():
        if radius_nm is not None or radius_std_nm or form != SPHERE:
            raise InputError(f"{file}: its atoms scatter; --radius, --radius-std, --form and --shell are for NPs")
        scatterer, what = _last_atoms(file), "atoms"
        if q_max_inv_nm is None:
            raise InputError(f"{file}: its atoms scatter; give --q-max (nm⁻¹), such as 3")
    else:
        _check_distinct(file, output)
        superlattice = _with_radii(read_superlattice(file, length_unit), radius_nm, radius_std_nm, seed, file)
        scatterer, what = superlattice, "NPs"
        if q_max_inv_nm is None:
            q_max_inv_nm = _FARTHEST * layer_momentum_transfer(distance_nm(file, superlattice, "--q-max"))
    if grid is None:
        needed = int(_FINER * points_for(2 * q_max_inv_nm, scatterer.diameter_nm)) | 1  # odd: one point lies at 0
        grid = int(np.clip(needed, _SMALLEST_GRID, _LARGEST_GRID))
    with working("scatter"):
        volume = intensity_on_grid(
            scatterer,
            q_max_inv_nm,
            grid,
            threads=available_cores(),
            form=form,
            sigma_nm=sigma_nm,
            resolution_inv_nm=resolution_inv_nm,
        )
    if photons is not None:
        volume = counted(volume, photons, np.random.default_rng([seed, 1]))
    write_intensity(output, volume, origin())
    tell(
        as_json,
        {"output": output, "grid": grid, "q_max_inv_nm": q_max_inv_nm, "scatterers": what, "n": scatterer.n},
        f"{output}: {grid}³ points up to q = {q_max_inv_nm:g} nm⁻¹, {scatterer.n} {what}",
    )
    if isinstance(scatterer, Superlattice):
        _note_if_periodic(scatterer)
    if (needed := points_needed(volume)) > grid:
        click.echo(f"simsc: note: {output} is too coarse for simsc correlate; use --grid {needed}", err=True)


def _note_if_periodic(superlattice: Superlattice) -> None:
    if superlattice.cell is not None and superlattice.cell.periodic.any():
        click.echo("simsc: note: the periodic cell was taken as a finite crystal, without its images", err=True)


def _with_radii(
    superlattice: Superlattice, radius_nm: float | None, radius_std_nm: float, seed: int, file: Path
) -> Superlattice:
    if radius_nm is None:
        if superlattice.radii_nm is None:
            raise InputError(f"{file}: has no core radii; give --radius (nm)")
        if radius_std_nm:
            raise InputError("--radius-std needs --radius")
        return superlattice
    sized = with_normal_radii(superlattice, radius_nm, radius_std_nm, np.random.default_rng(seed))
    if (distance := nearest_distance_nm(superlattice)) < 2 * radius_nm:
        raise InputError(
            f"{file}: cores of diameter {2 * radius_nm:g} nm overlap at a distance of {distance:.4g} nm; "
            "check --radius (nm) and --length-unit"
        )
    return sized


def _form(shape: str, shell: tuple[float, float] | None) -> Form:
    if shell is not None:
        if shape != "sphere":
            raise InputError(f"--shell is for spheres, not for --form {shape}")
        return form_factor("core_shell", shell_nm=shell[0], shell_contrast=shell[1])
    return form_factor(shape)


def _last_atoms(folder: Path) -> Atoms:
    from simsc.models.universe import read_universe, scattering_atoms  # MDAnalysis takes a second to load

    universe = read_universe(folder)
    universe.trajectory[-1]
    return scattering_atoms(universe)


def _check_distinct(file: Path, output: Path) -> None:
    if output.exists() and file.exists() and output.samefile(file):
        raise InputError(f"{output}: is the input; give another name with -o")
