"""The command `simsc refine stacking`: how much of a crystal is fcc, from rods or from a correlation map."""

import warnings
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.classify.stacking import layer_frame, stacking_sequence
from simsc.cli.console import StageProgress, working
from simsc.cli.options import (
    JSON,
    LENGTH_UNIT,
    PATH,
    RADIUS,
    RADIUS_STD,
    example,
    print_result,
)
from simsc.cli.scattering_options import INTENSITY, core_radii, with_radii
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.core.processes import available_cores
from simsc.correlation.mask import mask_of_file
from simsc.io.hdf5 import is_intensity, is_map
from simsc.io.native import read_intensity, read_map, read_superlattice
from simsc.refine.stacking_disorder import (
    PairCorrelations,
    Process,
    StackingFit,
    ball_diameter,
    correlations_of_rod,
    default_disc,
    fit_stacking,
)
from simsc.refine.stacking_map import correlations_of_map
from simsc.refine.stacking_mask import MaskEffect, mask_effect
from simsc.scattering.rods import layers_of_volume, rod_profile, rod_profile_of_volume, sphere_statistics

_ROD_POINTS = 201
_LARGEST_L = 3.2


@click.command(
    "stacking",
    epilog=example(
        "simsc refine stacking ball.xyz --radius 7.4 --radius-std 0.8",
        "simsc refine stacking map.h5 --d-nn 15.9 --diameter 260 --radius 7.4 --radius-std 0.8 --json",
        "simsc refine stacking map.h5 --diameter 260 --radius 7.4 --radius-std 0.8 --intensity spheres.h5",
    ),
)
@click.argument("file", type=PATH)
@click.option(
    "--d-nn",
    "d_nn_nm",
    type=float,
    help="Nearest-neighbour distance, nm; an intensity volume needs it, and --radius, and a measured one --diameter.",
)
@click.option(
    "--diameter",
    "diameter_nm",
    type=float,
    help="Of the crystal, nm: of a pillar, of a ball of the same volume; the default is that of a structure.",
)
@RADIUS
@RADIUS_STD
@click.option(
    "--process",
    type=click.Choice(get_args(Process)),
    default="growth",
    show_default=True,
    help="How layers follow one another; see the page on scattering.",
)
@click.option("--bootstrap", type=click.IntRange(min=0), default=200, show_default=True, help="Refits for errors.")
@INTENSITY
@click.option(
    "--draws",
    type=click.IntRange(min=2),
    default=12,
    show_default=True,
    help="Crystals to simulate, with --intensity, for what an incomplete measurement adds to the errors.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes for them; the default is one a core.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of random radii and simulations."
)
@LENGTH_UNIT
@JSON
@core_radii
def stacking(
    file: Path,
    d_nn_nm: float | None,
    diameter_nm: float | None,
    radii: CoreRadii,
    process: Process,
    bootstrap: int,
    intensity: Path | None,
    draws: int,
    jobs: int | None,
    length_unit: str | None,
    as_json: bool,
) -> None:
    """Fit the stacking disorder of FILE: a structure or an intensity volume (rods 10l), or a correlation map (arcs).

    The fcc fraction of this crystal counts each layer by the overlap of the layers around it: in a ball those in its
    middle count most. That of the process is the one of an endless crystal.
    """
    if radii.std_nm and radii.mean_nm is None:
        raise InputError("--radius-std needs --radius")
    if intensity is not None and radii.mean_nm is None:
        raise InputError("--intensity needs --radius, for simulations")
    sequence = effect = None
    if is_map(file):
        correlation = read_map(file)
        nearest_nm = np.pi * np.sqrt(6) / correlation.q1_inv_nm  # if 111 lies at q1
        if radii.mean_nm is not None and 2 * radii.mean_nm > 1.3 * nearest_nm:
            raise InputError(
                f"--radius {radii.mean_nm:g}: with 111 at q1 = {correlation.q1_inv_nm:.4g} nm⁻¹ neighbours are "
                f"{nearest_nm:.3g} nm apart, and cores of this radius overlap (nm)"
            )
        with working("map"), warnings.catch_warnings():
            if intensity is not None:  # which is what the warning about poor coverage asks for
                warnings.simplefilter("ignore", SimscWarning)
            found = _of_map(file, correlation, d_nn_nm, diameter_nm, radii)
    elif intensity is not None:
        raise InputError(f"--intensity: is for correlation maps, which {file} is not")
    elif is_intensity(file):
        found = _of_volume(file, d_nn_nm, diameter_nm, radii)
    else:
        found, sequence = _of_structure(file, d_nn_nm, diameter_nm, radii, length_unit)
    with working("stacking"):
        fit = fit_stacking(found, process, bootstrap, radii.seed)
    alone = fit.realised_fcc_error
    if intensity is not None:
        effect = _effect(correlation, fit, intensity, radii, draws, jobs or available_cores())
        fit = fit_stacking(effect.added_to(found), process, bootstrap, radii.seed)
    if as_json:
        print_result(as_json, _as_dict(fit, sequence) | {"mask": _mask_as_dict(effect, alone)})
        return
    click.echo(f"from the {found.source}: d_NN {found.d_nn_nm:.4g} nm, ball of {found.diameter_nm:.4g} nm")
    click.echo(f"this crystal: fcc fraction {fit.realised_fcc:.3f} ± {fit.realised_fcc_error:.3f}")
    if effect is not None:
        (bias, spread), (bias_complete, spread_complete) = effect.fcc_fraction, effect.fcc_fraction_complete
        click.echo(
            f"  of the fit alone ± {alone:.3f}; fitted − true of {len(effect.realised)} simulated crystals under the "
            f"same mask: mean {bias:+.3f}, scatter {spread:.3f} (without a mask {bias_complete:+.3f}, "
            f"{spread_complete:.3f}), which all errors here hold"
        )
        if effect.failed:
            click.echo(f"  {effect.failed} more could not be fitted as they lay under the mask, and are left out")
    for name, value in fit.parameters.items():
        errors = f"± {fit.formal_errors[name]:.3f} (formal)"
        if fit.bootstrap_errors is not None and fit.bootstrap_bias is not None:
            errors += f", ± {fit.bootstrap_errors[name]:.3f} among crystals, bias {fit.bootstrap_bias[name]:+.3f}"
        click.echo(f"process ({process}): {name} {value:.3f} {errors}")
    click.echo(f"process ({process}): fcc fraction {fit.model.fcc_fraction:.3f}, χ² {fit.chi_squared:.2f}")
    if sequence is not None:
        click.echo(f"sequence, read from the positions: {sequence}")


def _effect(
    correlation: CorrelationMap,
    fit: StackingFit,
    intensity: Path,
    radii: CoreRadii,
    draws: int,
    jobs: int,
) -> MaskEffect:
    assert radii.mean_nm is not None
    jobs = min(jobs, draws)
    with StageProgress() as progress:

        def show(done: int) -> None:
            progress("draws", done / draws, f"{done} of {draws}" if done < draws else "")

        return mask_effect(
            correlation, fit, mask_of_file(intensity), radii.mean_nm, radii.std_nm, draws, radii.seed, jobs,
            max(1, available_cores() // jobs), show,
        )  # fmt: skip


def _of_map(
    file: Path,
    correlation: CorrelationMap,
    d_nn_nm: float | None,
    diameter_nm: float | None,
    radii: CoreRadii,
) -> PairCorrelations:
    if diameter_nm is None:
        raise InputError(f"{file}: is a map; give the --diameter of the crystal (nm)")
    form = None
    if radii.mean_nm is not None:
        form = sphere_statistics(correlation.q2_inv_nm, radii.mean_nm, radii.std_nm)[0]
    return correlations_of_map(correlation, diameter_nm, d_nn_nm, form)


def _of_volume(file: Path, d_nn_nm: float | None, diameter_nm: float | None, radii: CoreRadii) -> PairCorrelations:
    volume = read_intensity(file)
    diameter_nm = diameter_nm if diameter_nm is not None else volume.diameter_nm
    if d_nn_nm is None or diameter_nm is None or radii.mean_nm is None:
        raise InputError(f"{file}: is an intensity; give --d-nn, --radius and, if it is measured, --diameter (nm)")
    layers = layers_of_volume(volume, d_nn_nm)
    profile = rod_profile_of_volume(volume, layers, _heights(), disc_inv_nm=default_disc(diameter_nm))
    return correlations_of_rod(profile.with_spheres(radii.mean_nm, radii.std_nm), diameter_nm)


def _of_structure(
    file: Path,
    d_nn_nm: float | None,
    diameter_nm: float | None,
    radii: CoreRadii,
    length_unit: str | None,
) -> tuple[PairCorrelations, str]:
    superlattice = read_superlattice(file, length_unit)
    if superlattice.cell is not None and superlattice.cell.periodic.any():
        raise InputError(f"{file}: is periodic; rods are those of a finite crystal; simsc classify reads its sequence")
    superlattice = with_radii(file, superlattice.in_free_space(), radii)
    layers, read = layer_frame(superlattice, d_nn_nm), stacking_sequence(superlattice, d_nn_nm)
    if layers is None or read is None:
        raise InputError(f"{file}: no close-packed layers of one axis were found")
    diameter = diameter_nm if diameter_nm is not None else ball_diameter(superlattice.n, layers.d_nn_nm)
    profile = rod_profile([superlattice], layers, _heights(), disc_inv_nm=default_disc(diameter))
    return correlations_of_rod(profile, diameter), read.sequence


def _heights() -> np.ndarray:
    return np.linspace(0, _LARGEST_L, _ROD_POINTS)


def _as_dict(fit: StackingFit, sequence: str | None) -> dict[str, Any]:
    pairs, pairs_error = fit.correlations.fcc_pairs
    return {
        "source": fit.correlations.source,
        "d_nn_nm": fit.correlations.d_nn_nm,
        "diameter_nm": fit.correlations.diameter_nm,
        "realised": {
            "fcc_fraction": fit.realised_fcc,
            "fcc_fraction_error": fit.realised_fcc_error,
            "fcc_pairs": pairs,
            "fcc_pairs_error": pairs_error,
        },
        "process": {
            "name": fit.process,
            "fcc_fraction": fit.model.fcc_fraction,
            "parameters": fit.parameters,
            "formal_errors": fit.formal_errors,
            "bootstrap_errors": fit.bootstrap_errors,
            "bootstrap_bias": fit.bootstrap_bias,
            "chi_squared": fit.chi_squared,
        },
        "pair_correlations": fit.correlations.values.tolist(),
        "residual": fit.correlations.residual,
        "sequence": sequence,
    }


def _mask_as_dict(effect: MaskEffect | None, error_alone: float) -> dict[str, Any] | None:
    """Return what `realised` and `process` hold for the mask; None where they hold nothing for it."""
    if effect is None:
        return None
    (bias, spread), (bias_complete, spread_complete) = effect.fcc_fraction, effect.fcc_fraction_complete
    return {
        "draws": len(effect.realised),
        "not_fitted": effect.failed,
        "photons": effect.photons,
        "fcc_fraction_error_without": error_alone,
        "fcc_fraction_bias": bias,
        "fcc_fraction_spread": spread,
        "fcc_fraction_bias_complete": bias_complete,
        "fcc_fraction_spread_complete": spread_complete,
    }
