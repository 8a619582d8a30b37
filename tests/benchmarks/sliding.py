"""Free energy of gliding layers, and the stackings of equilibrium, by all coarse-grained models.

    python tests/benchmarks/sliding.py [--folder sliding] [--jobs 2] [--only oleate_martini]

Layers of hcp (ABABAB) glide at 1 atm, core radius 2 nm, in the paper's cell of 2 NPs a layer: all above an interface
(to ABCACA, the cell leans), or one alone (to ABCBAB); with sites at 600 K in a cell of 8 NPs a layer too. The stackings
of 12 layers are sampled with the one-site model alone, from hcp. What is in the table is not done again: delete its row
to have it measured anew. Windows in the folder are not sampled again. All of it takes four hours of one core, without
Martini, whose profiles take two hours each.

At 300 K ligands hardly rearrange within 1 ns. So each window begins at 600 K and is cooled, of super-ligands four times
from starts of their own.
"""

import argparse
import math
import warnings
from pathlib import Path
from typing import Literal

from benchmark_tables import read_table, table_of, write_table

from simsc.core.errors import InputError, SimscWarning
from simsc.forcefield.one_site import load_one_site
from simsc.sliding.glide import Glide
from simsc.sliding.monte_carlo import sample_stackings
from simsc.sliding.umbrella import sample_glide

RESULT = table_of(__file__)
SUPER, MARTINI, SITE = "oleate_super_ligand", "oleate_martini", "oleate_one_site"
# Model, temperature, interfaces, lateral cells, windows, ns to equilibrate and to sample in each, repeats of all that,
# and the temperature from which windows are cooled.
PATHS = [
    (SITE, 600.0, 1, (1, 1), 40, 1.0, 8.0, 1, None),
    (SITE, 600.0, 2, (1, 1), 40, 1.0, 8.0, 1, None),
    (SITE, 450.0, 1, (1, 1), 48, 1.0, 8.0, 1, None),
    (SITE, 600.0, 1, (2, 2), 64, 1.0, 8.0, 1, None),
    (SUPER, 600.0, 1, (1, 1), 32, 0.2, 1.5, 1, None),
    (SUPER, 300.0, 1, (1, 1), 20, 0.3, 0.6, 4, 600.0),
    (MARTINI, 600.0, 1, (1, 1), 24, 0.05, 0.25, 1, None),
    (MARTINI, 300.0, 1, (1, 1), 20, 0.1, 0.15, 1, 600.0),
]
STACKINGS = [(600.0, (1, 1)), (600.0, (2, 2)), (600.0, (3, 2)), (450.0, (2, 2))]
DISTANCES_NM = {300.0: 6.21, 450.0: 6.4, 600.0: 6.62}  # at the start; near those of each model (validity.csv)
OF_MARTINI_NM = {300.0: 6.31, 600.0: 6.85}
WHAT = {1: "all above one interface", 2: "one layer over both its interfaces"}
STACKED = "stackings of 12 layers"
FIELDS = [
    "what", "model", "temperature_K", "nps_a_layer", "barrier_kT", "barrier_kT_per_np",
    "energy_of_an_hcp_layer_kT_per_np", "slides_in_160_ns", "least_overlap", "least_independent_samples", "consistency",
]  # fmt: skip
SWEEPS = 1000


def is_known(what: str, model: str, temperature: float, n_layer: int) -> bool:
    """Tell whether the table has this already."""
    wanted = (model, f"{temperature:g}", str(n_layer))
    return any(
        row["what"].startswith(what) and (row["model"], row["temperature_K"], row["nps_a_layer"]) == wanted
        for row in read_table(RESULT)
    )


def add(row: dict[str, object]) -> None:
    """Add a row to the table."""
    print(row, flush=True)
    write_table(RESULT, [*read_table(RESULT), row], columns=FIELDS)


def glide_row(
    model: str,
    temperature: float,
    interfaces: Literal[1, 2],
    lateral: tuple[int, int],
    windows: int,
    equilibration_ns: float,
    ns: float,
    repeats: int,
    start_K: float | None,
    folder: Path,
    jobs: int,
) -> dict[str, object]:
    """Return the row of one path."""
    d_nn_nm = (OF_MARTINI_NM if model == MARTINI else DISTANCES_NM)[temperature]
    glide = Glide(
        "ABABAB", 2, lateral, d_nn_nm, 2.0, temperature, force_field=model, windows=windows,
        equilibration_ns=equilibration_ns, duration_ns=ns, interfaces=interfaces,
        repeats=repeats, start_K=start_K,
    )  # fmt: skip
    name = f"{model}_{temperature:g}_{interfaces}_{lateral[0]}x{lateral[1]}"
    profile = sample_glide(glide, folder / name, jobs, lambda done, text: print(f"{name}: {text}", flush=True))
    barrier, error = profile.barrier
    return {
        "what": WHAT[interfaces],
        "model": model,
        "temperature_K": f"{temperature:g}",
        "nps_a_layer": glide.n_layer,
        "barrier_kT": f"{barrier:.2f} ± {error:.2f}",
        "barrier_kT_per_np": f"{barrier / glide.n_layer:.2f} ± {error / glide.n_layer:.2f}",
        "energy_of_an_hcp_layer_kT_per_np": (
            f"{-profile.basins / 2 / glide.n_layer:.4f} ± {profile.basins_error / 2 / glide.n_layer:.4f}"
        ),
        "slides_in_160_ns": f"{160 * profile.rate_per_ns:.1e}",
        "least_overlap": f"{profile.least_overlap:.2f}",
        "least_independent_samples": profile.least_independent,
        "consistency": f"{profile.consistency:.2f}",
    }


def stacking_row(temperature: float, lateral: tuple[int, int]) -> dict[str, object]:
    """Return the row of one sample of stackings."""
    d_nn_nm = DISTANCES_NM[temperature]
    sample = sample_stackings(load_one_site(SITE), "AB" * 6, lateral, d_nn_nm, temperature, SWEEPS)
    epsilon, error = sample.energy_kT()
    return {
        "what": f"{STACKED}, {sample.accepted:.0%} of the moves accepted",
        "model": SITE,
        "temperature_K": f"{temperature:g}",
        "nps_a_layer": sample.n_layer,
        "energy_of_an_hcp_layer_kT_per_np": f"{epsilon / sample.n_layer:.4f} ± {error / sample.n_layer:.4f}",
    }


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("sliding"), help="for windows, which are kept")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="this model")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", SimscWarning)  # of few independent samples: the table has their number
    for temperature, lateral in STACKINGS:
        if arguments.only in (None, SITE) and not is_known(STACKED, SITE, temperature, 2 * math.prod(lateral)):
            add(stacking_row(temperature, lateral))
    for model, temperature, interfaces, lateral, *times in PATHS:
        if arguments.only in (None, model) and not is_known(
            WHAT[interfaces], model, temperature, 2 * math.prod(lateral)
        ):
            try:
                add(glide_row(model, temperature, interfaces, lateral, *times, arguments.folder, arguments.jobs))
            except InputError as refusal:
                what = f"{WHAT[interfaces]}; refused: {refusal}"
                cell = {"temperature_K": f"{temperature:g}", "nps_a_layer": 2 * math.prod(lateral)}
                add({"what": what, "model": model, **cell})


if __name__ == "__main__":
    main()
