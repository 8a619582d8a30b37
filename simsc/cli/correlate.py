"""The command `simsc correlate`: correlation maps of intensities and structures."""

from pathlib import Path

import click
import numpy as np

from simsc.builders.finite_crystal import with_normal_radii
from simsc.classify.neighbours import nearest_distance_nm
from simsc.cli.console import StageProgress
from simsc.cli.first_peak import (
    peak_of_crystal,
    peak_of_spheres,
    peak_of_volume,
    q2_around,
    told_q1,
)
from simsc.cli.options import (
    JSON,
    LENGTH_UNIT,
    OUTPUT,
    PATH,
    Q1,
    RADIUS,
    RADIUS_STD,
    SEED,
    axis_inv_nm,
    example,
    q1_inv_nm,
    save_map,
    tell,
)
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate as correlate_shells
from simsc.correlation.shells import (
    shells_of_crystal,
    shells_of_file,
    shells_of_volume,
)
from simsc.io.hdf5 import is_intensity, is_shells
from simsc.io.native import (
    read_intensity,
    read_shells,
    read_superlattice,
)
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.sphere import SPHERE
from simsc.scattering.form_factors.table import NEED_NOTHING, form_factor

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
        "simsc correlate intensity.h5 --q1 0.481 --q2 0.4:0.9:0.005 -o map.h5",
        "simsc correlate study_run/scattering/crystal_after.h5 -o map.h5",
        "simsc export map.h5 -o map.png",
    )
)
@click.argument("file", type=PATH)
@Q1
@click.option("--q2", help="first:last:step of the second, nm⁻¹; by default from 0.83 to 1.88 times q1.")
@click.option(
    "--n-delta", type=click.IntRange(2, 100_000), default=721, show_default=True, help="Angles from 0° to 180°."
)
@click.option(
    "--bin", "bin_deg", type=float, default=0.0, show_default=True, help="Average over bins so wide, degrees."
)
@RADIUS
@RADIUS_STD
@_FORM
@_SHELL
@_SIGMA
@_RESOLUTION
@SEED
@LENGTH_UNIT
@OUTPUT
@JSON
def correlate(
    file: Path,
    q1: str,
    q2: str | None,
    n_delta: int,
    bin_deg: float,
    radius_nm: float | None,
    radius_std_nm: float,
    shape: str,
    shell: tuple[float, float] | None,
    sigma_nm: float,
    resolution_inv_nm: float,
    seed: int,
    length_unit: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Compute the correlation map C(q1, q2, Δ) of FILE: an intensity, or a structure (exact, no grid).

    An intensity is a volume, or the spheres that simsc import merged; of these the nearest ones are taken. Of an
    intensity with a variance, such as counts, the values of the map have one too.
    """
    _check_distinct(file, output)
    told, what, form = q1_inv_nm(q1), "the first bright peak", _form(shape, shell)
    q2_inv_nm = None if q2 is None else axis_inv_nm("--q2", q2)
    if is_intensity(file) or is_shells(file):
        if radius_nm is not None or radius_std_nm or form != SPHERE or sigma_nm or resolution_inv_nm:
            raise InputError(
                f"{file}: is an intensity; --radius, --radius-std, --form, --shell, --sigma and --resolution are for "
                "structures"
            )
        if is_shells(file):
            at = told or peak_of_spheres(file)
            if q2_inv_nm is None:
                with read_shells(file) as (q2_inv_nm, _):
                    pass
            first, second = shells_of_file(file, at, q2_inv_nm)
        else:
            volume = read_intensity(file)
            at = told or peak_of_volume(file, volume)
            q2_inv_nm = q2_around(at, volume.q_max_inv_nm) if q2_inv_nm is None else q2_inv_nm
            first, second = shells_of_volume(volume, at, q2_inv_nm)
    else:
        superlattice = _with_radii(read_superlattice(file, length_unit), radius_nm, radius_std_nm, seed, file)
        _note_if_periodic(superlattice)
        at, what = (told, "") if told else peak_of_crystal(file, superlattice)
        q2_inv_nm = q2_around(at) if q2_inv_nm is None else q2_inv_nm
        first, second = shells_of_crystal(
            [superlattice],
            at,
            q2_inv_nm,
            threads=available_cores(),
            form=form,
            sigma_nm=sigma_nm,
            resolution_inv_nm=resolution_inv_nm,
        )
    with StageProgress() as progress:
        done, n = 0, len(q2_inv_nm)

        def on_shell() -> None:
            nonlocal done
            done += 1
            progress("correlate", done / n, f"q2 {done} of {n}" if done < n else "")

        angles = np.linspace(0, 180, n_delta)
        result = correlate_shells(first, second, angles, available_cores(), on_shell, bin_deg)
    facts, line = save_map(output, result)
    tell(as_json, facts, *told_q1(told, at, what, result.q1_inv_nm), line)


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


def _check_distinct(file: Path, output: Path) -> None:
    if output.exists() and file.exists() and output.samefile(file):
        raise InputError(f"{output}: is the input; give another name with -o")
