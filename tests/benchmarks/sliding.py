"""Free energy of sliding layers, and the stackings of equilibrium, by both coarse-grained models.

    python tests/benchmarks/sliding.py [--folder sliding] [--jobs 2] [--write]

Layers of hcp (ABABAB) slide at 1 atm, core radius 2 nm, in the paper's cell of 2 NPs a layer: all above an interface
(to ABCACA, the cell leans), or one alone (to ABCBAB); with sites at 600 K in a cell of 8 NPs a layer too. At 300 K
windows of super-ligands hold too few independent samples to be believed; their number is in the table. The stackings
of 12 layers are sampled with the one-site model alone, from hcp. All of it takes two hours on one core; what is
finished in the folder is not done again.
"""

import argparse
import csv
import json
import warnings
from pathlib import Path
from typing import Literal

from simsc.core.errors import SimscWarning
from simsc.core.files import write_text
from simsc.forcefield.one_site import load_one_site
from simsc.md.slide import Slide, sample_slide
from simsc.md.slide_moves import sample_stackings

RESULT = Path(__file__).with_suffix(".csv")
SUPER, SITE = "oleate_super_ligand", "oleate_one_site"
# Model, temperature, interfaces, repeats, windows, ns to equilibrate and to sample in each.
SLIDES = [
    (SITE, 600.0, 1, (1, 1), 40, 1.0, 8.0),
    (SITE, 600.0, 2, (1, 1), 40, 1.0, 8.0),
    (SITE, 450.0, 1, (1, 1), 48, 1.0, 8.0),
    (SITE, 600.0, 1, (2, 2), 64, 1.0, 8.0),
    (SUPER, 600.0, 1, (1, 1), 32, 0.2, 1.5),
    (SUPER, 300.0, 1, (1, 1), 40, 0.1, 0.3),
]
STACKINGS = [(600.0, (1, 1)), (600.0, (2, 2)), (600.0, (3, 2)), (450.0, (2, 2))]
DISTANCES_NM = {300.0: 6.21, 450.0: 6.4, 600.0: 6.62}
SWEEPS = 1000


def slide_row(
    model: str,
    temperature: float,
    interfaces: Literal[1, 2],
    lateral: tuple[int, int],
    windows: int,
    equilibration_ns: float,
    ns: float,
    folder: Path,
    jobs: int,
) -> dict[str, object]:
    """Return the row of one slide."""
    slide = Slide(
        "ABABAB", 2, lateral, DISTANCES_NM[temperature], 2.0, temperature, force_field=model, windows=windows,
        equilibration_ns=equilibration_ns, duration_ns=ns, interfaces=interfaces,
    )  # fmt: skip
    name = f"{model}_{temperature:g}_{interfaces}_{lateral[0]}x{lateral[1]}"
    profile = sample_slide(slide, folder / name, jobs, lambda done, text: print(f"{name}: {text}", flush=True))
    barrier, error = profile.barrier
    return {
        "what": "all above one interface" if interfaces == 1 else "one layer over both its interfaces",
        "model": model,
        "temperature_K": f"{temperature:g}",
        "nps_a_layer": slide.n_layer,
        "barrier_kT": f"{barrier:.2f} ± {error:.2f}",
        "barrier_kT_per_np": f"{barrier / slide.n_layer:.2f} ± {error / slide.n_layer:.2f}",
        "energy_of_an_hcp_layer_kT_per_np": (
            f"{-profile.basins / 2 / slide.n_layer:.4f} ± {profile.basins_error / 2 / slide.n_layer:.4f}"
        ),
        "slides_in_160_ns": f"{160 * profile.rate_per_ns:.1e}",
        "least_overlap": f"{profile.least_overlap:.2f}",
        "least_independent_samples": profile.least_independent,
    }


def stacking_row(temperature: float, lateral: tuple[int, int], folder: Path) -> dict[str, object]:
    """Return the row of one sample of stackings."""
    path = folder / f"stackings_{temperature:g}_{lateral[0]}x{lateral[1]}.json"
    if not path.exists():
        d_nn_nm = DISTANCES_NM[temperature]
        sample = sample_stackings(load_one_site(SITE), "AB" * 6, lateral, d_nn_nm, temperature, SWEEPS)
        epsilon, error = sample.energy_kT()
        facts = [sample.n_layer, epsilon, error, sample.accepted]
        write_text(path, json.dumps(facts) + "\n")
    n_layer, epsilon, error, accepted = json.loads(path.read_text())
    return {
        "what": f"stackings of 12 layers, {accepted:.0%} of the moves accepted",
        "model": SITE,
        "temperature_K": f"{temperature:g}",
        "nps_a_layer": n_layer,
        "energy_of_an_hcp_layer_kT_per_np": f"{epsilon / n_layer:.4f} ± {error / n_layer:.4f}",
    }


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("sliding"), help="for windows, which are kept")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", SimscWarning)  # of few independent samples: the table has their number
    rows = []
    for temperature, lateral in STACKINGS:
        rows.append(stacking_row(temperature, lateral, arguments.folder))
        print(rows[-1], flush=True)
    for settings in SLIDES:
        rows.append(slide_row(*settings, arguments.folder, arguments.jobs))
        print(rows[-1], flush=True)
    if arguments.write:
        fields = list(max(rows, key=len))
        with RESULT.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fields, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
