"""The command `simsc refine stacking`: how much of a crystal is fcc, from rods or from a correlation map."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click

from simsc.builders.finite_crystal import CoreRadii
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
from simsc.cli.scattering_options import INTENSITY, core_radii
from simsc.core.errors import in_other_words
from simsc.refine.stacking import refine_stacking
from simsc.refine.stacking_disorder import Process, StackingFit
from simsc.refine.stacking_mask import MaskEffect

# What errors of `refine_stacking` call by its arguments; of "mask" only where that is the argument.
_OPTIONS = {
    "d_nn_nm": "--d-nn",
    "diameter_nm": "--diameter",
    "radius_nm": "--radius",
    "radius_std_nm": "--radius-std",
    "mask needs": "--intensity needs",
    "mask: is": "--intensity: is",
    "length_unit": "--length-unit",
}


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
    with in_other_words(_OPTIONS), _progress(draws if intensity is not None else 0) as on_draw:
        found = refine_stacking(
            file, d_nn_nm, diameter_nm, radii.mean_nm, radii.std_nm, process, bootstrap=bootstrap, mask=intensity,
            draws=draws, seed=radii.seed, jobs=jobs, length_unit=length_unit, on_draw=on_draw,
        )  # fmt: skip
    fit, effect, sequence, alone = found.fit, found.mask_effect, found.sequence, found.error_alone
    if as_json:
        print_result(as_json, _as_dict(fit, sequence) | {"mask": _mask_as_dict(effect, alone)})
        return
    source = fit.correlations
    click.echo(f"from the {source.source}: d_NN {source.d_nn_nm:.4g} nm, ball of {source.diameter_nm:.4g} nm")
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


@contextlib.contextmanager
def _progress(draws: int) -> Iterator[Callable[[int], None]]:
    """Show that something is at work, or how many of some simulated crystals are done."""
    if not draws:
        with working("stacking"):
            yield lambda done: None
        return
    with StageProgress() as progress:
        yield lambda done: progress("draws", done / draws, f"{done} of {draws}" if done < draws else "")


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
