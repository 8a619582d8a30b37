"""Whether the standard errors of a refined cell can be trusted: errors in units of them, over many pillars.

    python tests/benchmarks/refinement_pulls.py [--crystals 24] [--write]

Cubes of three sizes (150, 200 and 250 nm, each varied by 3 %), in the cells of Table 1 in turn, turned at random, with
other radii each time, measured as in `table_1.py`, and refined from the map at 100. A pull is an error over its
standard error; pulls of errors that can be trusted scatter by 1 about 0. Beside them those without the term for
reflections that seem displaced (`misplaced` of `refine_cell`), from the scatter of residuals alone.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation
from table_1 import RADIUS_NM, RADIUS_STD_NM, TABLE_1, Scan, first_spheres

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.pillar import pillar
from simsc.core.cell import Cell
from simsc.refine.cell import CellFit, refine_cell

RESULT = table_of(__file__)
SIZES_NM, PHOTONS = (150.0, 200.0, 250.0), (1e4, 1e6)
DELTA_DEG = np.linspace(0, 180, 721)


def fits(number: int) -> list[tuple[float, float, np.ndarray, CellFit, CellFit]]:
    """Return size, photons, true parameters (6,) and fits with and without displaced reflections of one crystal."""
    rng = np.random.default_rng([23, number])
    truth = Cell.from_parameters(*list(TABLE_1.values())[number % 4])
    nominal = SIZES_NM[number // 4 % 3]
    size = nominal * (1 + 0.03 * rng.normal())
    crystal = pillar(truth, (size,) * 3, radius_nm=RADIUS_NM, rotation=Rotation.random(random_state=number))
    crystal = with_normal_radii(crystal, RADIUS_NM, RADIUS_STD_NM, rng)
    q1, at_100 = first_spheres(truth)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        scan = Scan.of(crystal, size, q1, Path(folder))
        for photons in PHOTONS:
            (one,) = scan.maps(photons, [at_100], DELTA_DEG, number)
            fit = refine_cell(one, "forward", truth, RADIUS_NM, RADIUS_STD_NM, starts=1)
            bare = refine_cell(one, "forward", truth, RADIUS_NM, RADIUS_STD_NM, starts=1, misplaced=0)
            results.append((nominal, photons, truth.parameters, fit, bare))
    return results


def row(size_nm: str, photons: float, errors: np.ndarray, sigmas: np.ndarray, bare: np.ndarray) -> dict[str, object]:
    """Return the row of the table for errors (n, 6) and both standard errors (n, 6)."""

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt((values**2).mean()))

    return {
        "size_nm": size_nm,
        "photons": f"{photons:g}",
        "crystals": len(errors),
        "rms_error_edges_nm": f"{rms(errors[:, :3]):.4f}",
        "rms_error_angles_deg": f"{rms(errors[:, 3:]):.4f}",
        "rms_sigma_edges_nm": f"{rms(sigmas[:, :3]):.4f}",
        "rms_sigma_angles_deg": f"{rms(sigmas[:, 3:]):.4f}",
        "rms_pull": f"{rms(errors / sigmas):.2f}",
        "pulls_within_2": f"{(np.abs(errors / sigmas) < 2).mean():.2f}",
        "rms_pull_of_residuals_alone": f"{rms(errors / bare):.2f}",
        "pulls_within_2_of_residuals_alone": f"{(np.abs(errors / bare) < 2).mean():.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystals", type=int, default=24)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    found = []
    for number in range(arguments.crystals):
        found += fits(number)
        print(number, [(fit.parameters - truth).round(3) for _, _, truth, fit, _ in found[-2:]], flush=True)
    rows = []
    for size in (*SIZES_NM, None):
        for photons in PHOTONS:
            chosen = [one for one in found if one[1] == photons and size in (None, one[0])]
            if chosen:
                errors = np.array([fit.parameters - truth for _, _, truth, fit, _ in chosen])
                sigmas = np.array([fit.standard_errors for *_, fit, _ in chosen])
                bare = np.array([fit.standard_errors for *_, fit in chosen])
                rows.append(row("all" if size is None else f"{size:g}", photons, errors, sigmas, bare))
                print(rows[-1], flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
