"""`simsc stackings`: the stackings that a crystal has in equilibrium."""

from pathlib import Path

import click
import numpy as np

from simsc.cli.console import StageProgress
from simsc.cli.options import (
    INITIAL_D_NN,
    JSON,
    PATH,
    PRESSURE,
    SEED_OF_ALL,
    TEMPERATURE,
    example,
    lateral_option,
    print_result,
)
from simsc.core.stacking import lettered
from simsc.forcefield.one_site import load_one_site, one_site_names
from simsc.io.whole_files import csv_text, write_text
from simsc.sliding.monte_carlo import StackingSample, sample_stackings


@click.command(
    epilog=example("simsc stackings ABABABABABAB --lateral 2 2 --d-nn 6.6 --temperature 600 -o stackings_600.csv")
)
@click.argument("stacking")
@lateral_option((2, 2))
@INITIAL_D_NN
@TEMPERATURE
@PRESSURE
@click.option(
    "--force-field",
    type=click.Choice(one_site_names()),
    default=one_site_names()[0],
    show_default=True,
    help="A one-site model.",
)
@click.option("--sweeps", type=click.IntRange(20), default=2000, show_default=True, help="Pieces of dynamics.")
@click.option("--sweep", "sweep_ns", type=float, default=0.1, show_default=True, help="Dynamics of each, ns.")
@click.option("--equilibrate", "equilibration_ns", type=float, default=5.0, show_default=True, help="ns before them.")
@SEED_OF_ALL
@click.option("-o", "--output", type=PATH, required=True, help="Table (CSV) of all sweeps.")
@JSON
def stackings(stacking: str, force_field: str, output: Path, as_json: bool, **settings: object) -> None:
    """Sample the stackings that a periodic crystal of one-site NPs, initially STACKING, has in equilibrium.

    Dynamics alone do not get there: layers slide over barriers of tens of kT. Here they slide by Monte Carlo moves. In
    a cell that stays closed, the numbers of steps + (AB, BC, CA) and − stay those of the start.
    """
    with StageProgress() as progress:
        sample = sample_stackings(
            load_one_site(force_field),
            stacking,
            progress=lambda done, text: progress("sweeps", done, text),
            **settings,  # type: ignore[arg-type]
        )
        progress("sweeps", 1.0, "")
    write_text(output, _table(sample))
    print_result(as_json, _facts(sample), _text(sample, output))


def _facts(sample: StackingSample) -> dict[str, object]:
    epsilon, error = sample.energy_kT()
    return {
        "temperature_K": sample.temperature_K,
        "nps_a_layer": sample.n_layer,
        "d_nn_nm": sample.d_nn_nm,
        "accepted": sample.accepted,
        "mean_hcp_layers": float(sample.h.mean()),
        "mean_hcp_layers_by_chance": sample.chance.mean(),
        "energy_of_an_hcp_layer_kT": epsilon,
        "energy_of_an_hcp_layer_kT_error": error,
        "energy_of_an_hcp_layer_kT_per_np": epsilon / sample.n_layer,
        "energy_of_an_hcp_layer_kT_per_np_error": error / sample.n_layer,
    }


def _text(sample: StackingSample, output: Path) -> str:
    epsilon, error = sample.energy_kT()
    n = sample.n_layer
    seen = np.bincount(sample.h, minlength=len(sample.chance.log_weights)) / len(sample.h)
    chance = sample.chance.probabilities()
    return "\n".join(
        [
            f"{len(sample.h)} sweeps at {sample.temperature_K:g} K, {n} NPs a layer, d_NN {sample.d_nn_nm:.3f} nm; "
            f"{sample.accepted:.0%} of the moves accepted",
            "hcp-like layers  sampled  if no stacking were better",
            *(f"{h:15d}  {seen[h]:7.3f}  {chance[h]:.3f}" for h in sample.chance.possible),
            f"free energy of an hcp-like layer: {epsilon:.3f} ± {error:.3f} kT, "
            f"{epsilon / n:.4f} ± {error / n:.4f} kT an NP (below 0: hcp is preferred)",
            f"written: {output}",
        ]
    )


def _table(sample: StackingSample) -> str:
    # The last step leads back to the start.
    rows = zip(sample.h, sample.steps, strict=True)
    return csv_text(
        ["sweep", "hcp_layers", "stacking"], ([k, h, lettered(steps[:-1])] for k, (h, steps) in enumerate(rows))
    )
