"""`simsc slide`: free energy of layers that glide from one hollow to the next."""

import json
from pathlib import Path

import click

from simsc.cli.console import StageProgress
from simsc.cli.options import (
    INITIAL_D_NN,
    JOBS,
    JSON,
    PATH,
    PRESSURE,
    SEED_OF_ALL,
    TEMPERATURE,
    example,
    gathered,
    lateral_option,
    print_result,
)
from simsc.core.processes import available_cores
from simsc.core.shapes import SHAPES
from simsc.io.whole_files import csv_text, write_text
from simsc.models.coarse_grained import DEFAULT, coarse_grained_names
from simsc.models.heads import Dressing
from simsc.plot.sliding import sliding_profile
from simsc.plot.style import save
from simsc.sliding.free_energy import GlideProfile
from simsc.sliding.glide import Glide
from simsc.sliding.umbrella import sample_glide


@click.command(
    epilog=example(
        "simsc slide ABABAB --layer 2 --lateral 2 2 --d-nn 6.6 --radius 2 --temperature 600 -o slide_600",
        "simsc slide ABABAB --layer 2 --lateral 2 2 --d-nn 6.6 --radius 2 --temperature 600 \\\n"
        "    --force-field oleate_one_site --ns 20 -o slide_one_site",
    )
)
@click.argument("stacking")
@click.option("--layer", type=int, required=True, help="Number, from 0, of the layer that slides.")
@click.option(
    "--interfaces",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="1: all layers above slide with it, over one interface, and the cell tilts; 2: it slides alone, between two "
    "alike.",
)
@lateral_option((2, 2))
@INITIAL_D_NN
@click.option("--radius", "radius_nm", type=float, required=True, help="Core radius, nm.")
@TEMPERATURE
@PRESSURE
@click.option(
    "--force-field", type=click.Choice(coarse_grained_names()), default=DEFAULT, show_default=True, help="The model."
)
@click.option("--shape", type=click.Choice(list(SHAPES)), default="sphere", show_default=True, help="Of the cores.")
@click.option("--coverage", "coverage_per_nm2", type=float, help="Ligands per nm² of core; the default is the model's.")
@click.option("--aligned", is_flag=True, help="Cores lie alike, ⟨111⟩ across the layers; else each at random.")
@click.option(
    "--windows",
    type=click.IntRange(2, 100),
    default=40,
    show_default=True,
    help="Springs along the path; more for more NPs a layer or lower temperatures (2 at 600 K: 40, 8: 64). Up to as "
    "many are added where they hardly overlap.",
)
@click.option(
    "--equilibrate", "equilibration_ns", type=float, default=0.1, show_default=True, help="ns of each window."
)
@click.option(
    "--start-temperature",
    "start_K",
    type=float,
    help="K: the first half of each equilibration is at this temperature, and the second cools from it; for ligands "
    "that are slow at the temperature of the slide.",
)
@click.option("--ns", "duration_ns", type=float, default=2.0, show_default=True, help="Sampled in each window.")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Independent samples of each window; more of them in the same folder are added.",
)
@SEED_OF_ALL
@JOBS
@click.option("-o", "--output", "folder", type=PATH, required=True, help="Folder; the same command goes on there.")
@JSON
@gathered("dressing", Dressing)
@gathered("wanted", Glide)
def slide(wanted: Glide, folder: Path, jobs: int | None, as_json: bool) -> None:
    """Compute the free energy along the path of a layer of STACKING to its other hollow sites.

    All layers above it move along, as layers do in a run whose cell may tilt, or it moves alone. From umbrella windows
    between the hollows follow the barrier, the difference of the two stackings, and how often this happens by itself.
    """
    with StageProgress() as progress:
        profile = sample_glide(
            wanted, folder, jobs or available_cores(), lambda done, text: progress("windows", done, text)
        )
        progress("windows", 1.0, "")
    write_text(folder / "profile.csv", _table(profile))
    name = f"{wanted.stacking} to {wanted.stacking_after}, {wanted.temperature_K:g} K"
    save(sliding_profile({name: profile}), folder / "profile.svg")
    facts = _facts(wanted, profile)
    write_text(folder / "profile.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    print_result(as_json, facts, _text(wanted, profile, folder))


def _facts(wanted: Glide, profile: GlideProfile) -> dict[str, object]:
    barrier, error = profile.barrier
    return {
        "stacking": wanted.stacking,
        "stacking_after": wanted.stacking_after,
        "interfaces": wanted.interfaces,
        "force_field": wanted.force_field,
        "temperature_K": wanted.temperature_K,
        "start_temperature_K": wanted.start_K,
        "nps_a_layer": wanted.n_layer,
        "barrier_kT": barrier,
        "barrier_kT_error": error,
        "difference_kT": profile.basins,
        "difference_kT_error": profile.basins_error,
        "difference_kT_per_np": profile.basins / wanted.n_layer,
        "difference_kT_per_np_error": profile.basins_error / wanted.n_layer,
        "slides_per_ns": profile.rate_per_ns,
        "repeats": wanted.repeats,
        "least_overlap": profile.least_overlap,
        "least_independent_samples": profile.least_independent,
        "consistency": profile.consistency,
    }


def _text(wanted: Glide, profile: GlideProfile, folder: Path) -> str:
    barrier, error = profile.barrier
    per = wanted.n_layer
    place = "interface" if wanted.interfaces == 1 else "layer between two alike"
    return "\n".join(
        [
            f"{wanted.stacking} to {wanted.stacking_after} at {wanted.temperature_K:g} K, {per} NPs a layer",
            f"barrier          {barrier:8.2f} ± {error:.2f} kT, {barrier / per:.3f} ± {error / per:.3f} kT an NP",
            f"after − before   {profile.basins:8.2f} ± {profile.basins_error:.2f} kT, "
            f"{profile.basins / per:.4f} ± {profile.basins_error / per:.4f} kT an NP of a layer",
            f"slides           {profile.rate_per_ns:.3g} a ns of each {place}, "
            f"{160 * profile.rate_per_ns:.3g} in 160 ns",
            f"written: {folder}/profile.csv, profile.svg, profile.json",
        ]
    )


def _table(profile: GlideProfile) -> str:
    rows = zip(profile.fraction, profile.free_energy, profile.errors, strict=True)
    return csv_text(
        ["fraction_of_way", "free_energy_kT", "error_kT"],
        ([f"{x:.5f}", f"{value:.4f}", f"{error:.4f}"] for x, value, error in rows),
    )
