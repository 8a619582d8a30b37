"""Does the shape of the cores, or the coverage, make fcc preferred? Slip of super-ligand NPs over one interface.

    python tests/benchmarks/facets.py [--folder facets] [--jobs 2] [--write]

All layers above an interface of hcp glide to their other hollow (ABABAB to ABCACA) at 600 K and 1 atm, 2 NPs a layer:
spheres of radius 2 nm, and truncated cuboctahedra of their volume that all lie like the cubic axes of fcc at the start,
each with the coverage of the model and with less. Of the six hcp-like layers four are left: half of what this costs is
the energy of an hcp-like layer. Two hours on one core; windows in the folder are not sampled again.
"""

import argparse
import json
import math
import warnings
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table

from simsc.core.errors import SimscWarning
from simsc.core.units import nm_from_angstrom
from simsc.models.heads import Dressing
from simsc.sliding.glide import Glide
from simsc.sliding.umbrella import sample_glide

RESULT = table_of(__file__)
SPHERE, FACETED = "sphere", "truncated_cuboctahedron"
# Folder, core, ligands per nm², d_NN at the start (nm), ns to equilibrate and to sample in each window.
CASES = [
    ("long_sl_600", Dressing(), 6.62, 0.2, 1.5),
    ("sph_350", Dressing(SPHERE, 3.5), 6.2, 0.1, 0.6),
    ("tc_507", Dressing(FACETED, 5.07, aligned=True), 6.8, 0.1, 0.6),
    ("tc_350", Dressing(FACETED, 3.5, aligned=True), 6.4, 0.1, 0.6),
]


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("facets"), help="for windows, which are kept")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", SimscWarning)  # of few independent samples: the table has their number
    rows = []
    for name, dressing, d_nm, equilibration_ns, duration_ns in CASES:
        glide = Glide(
            "ABABAB", 2, (1, 1), d_nm, 2.0, 600.0, windows=32, equilibration_ns=equilibration_ns,
            duration_ns=duration_ns, dressing=dressing,
        )  # fmt: skip
        folder = arguments.folder / name
        profile = sample_glide(glide, folder, arguments.jobs, lambda done, text, name=name: print(f"{name}: {text}"))
        cell = np.array(json.loads((folder / "cell.json").read_text())["cell_angstrom"])
        volume = np.linalg.det(nm_from_angstrom(cell)) / (glide.n_layer * len(glide.stacking))
        barrier, error = profile.barrier
        rows.append(
            {
                "core": dressing.shape + (", aligned" if dressing.aligned else ""),
                "ligands_per_nm2": f"{dressing.coverage_per_nm2 or 5.07:g}",
                "d_nn_nm": f"{(math.sqrt(2) * volume) ** (1 / 3):.3f}",
                "barrier_kT_per_np_of_a_layer": f"{barrier / glide.n_layer:.2f} ± {error / glide.n_layer:.2f}",
                "energy_of_an_hcp_layer_kT_per_np": (
                    f"{-profile.basins / 2 / glide.n_layer:.2f} ± {profile.basins_error / 2 / glide.n_layer:.2f}"
                ),
                "slides_in_160_ns_of_an_interface": f"{160 * profile.rate_per_ns:.1g}",
                "least_independent_samples": profile.least_independent,
            }
        )
        print(rows[-1], flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
