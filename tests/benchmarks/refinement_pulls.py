"""How far standard errors of a refined cell can be trusted: errors in units of them, over sizes and noise.

    python tests/benchmarks/refinement_pulls.py [--seeds 12] [--size 200] [--write]

Pillar 1 of `table_1.py`, cut in sizes that vary by 3 % and with other radii each time, refined from the map at its 100
reflection. A pull is an error over its standard error; pulls of errors that can be trusted scatter by 1 about 0.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from table_1 import RADIUS_NM, RADIUS_STD_NM, TABLE_1, counted, maps, perfect_shells

from simsc.core.cell import Cell
from simsc.refine.cell import refine_cell

RESULT = Path(__file__).with_suffix(".csv")
COUNTS = (3e3, 1e4, 1e5, 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--size", type=float, default=200.0, help="edge of the pillar, nm")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    truth = Cell.from_parameters(*TABLE_1["Pillar 1 (HT)"])
    g1 = float(2 * np.pi * np.linalg.norm(np.linalg.inv(truth.vectors_nm)[:, 0]))
    errors, sigmas = np.zeros((2, len(COUNTS), arguments.seeds, 6))
    for seed in range(arguments.seeds):
        rng = np.random.default_rng([23, seed])
        _, perfect = perfect_shells(truth, arguments.size * (1 + 0.03 * rng.normal()), rng)
        for k, counts in enumerate(COUNTS):
            several = maps(counted(perfect, counts, True, rng), [g1])
            fit = refine_cell(several, "forward", truth, RADIUS_NM, RADIUS_STD_NM, starts=1)
            errors[k, seed], sigmas[k, seed] = fit.parameters - truth.parameters, fit.standard_errors
    rows = []
    for k, counts in enumerate(COUNTS):
        pulls = errors[k] / sigmas[k]
        rows.append(
            {
                "size_nm": arguments.size,
                "counts": f"{counts:g}",
                "seeds": arguments.seeds,
                "rms_error_edges_nm": f"{np.sqrt((errors[k, :, :3] ** 2).mean()):.4f}",
                "rms_error_angles_deg": f"{np.sqrt((errors[k, :, 3:] ** 2).mean()):.4f}",
                "rms_sigma_edges_nm": f"{np.sqrt((sigmas[k, :, :3] ** 2).mean()):.4f}",
                "rms_sigma_angles_deg": f"{np.sqrt((sigmas[k, :, 3:] ** 2).mean()):.4f}",
                "rms_pull": f"{np.sqrt((pulls**2).mean()):.2f}",
                "pulls_within_2": f"{(np.abs(pulls) < 2).mean():.2f}",
            }
        )
        print(rows[-1], flush=True)
    if arguments.write:
        with RESULT.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
