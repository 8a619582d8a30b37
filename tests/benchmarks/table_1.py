"""The cells of Table 1 of Lapkin et al. (ACS Nano 2025, 19, 42881) from simulated scans: forward model and mean CCF.

    python tests/benchmarks/table_1.py [--size 300] [--pillars 4] [--seeds 1] [--counts 1e6] [--mask] [--refits 3]
        [--write]

For each row of the table a pillar of its primitive cell is cut (a cube, cores of 7.4 ± 0.8 nm), and its intensity
computed on spheres. Photons are counted: so many on the brightest sphere, others in proportion to their mean intensity.
With `--mask` only what an EIGER X 4M sees 5 m behind the sample at 10 keV is measured (|q_z| ≤ 0.823, horizontally up
to 0.786 nm⁻¹) in a rotation of 180 degrees about z. There are maps at three q1 that are 111 reflections; the mean CCF
takes the one at 100. The cell is fitted without knowing it, except for the mean CCF, which starts from the true one.
With `--refits` the fit at 100 gets its standard errors from simulations of what it found (`simsc.refine.uncertainty`).
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from simsc.build.finite_crystal import with_normal_radii
from simsc.build.pillar import pillar
from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import ShellIntensity, band_limit, shell_grid
from simsc.correlation.engine import correlate
from simsc.correlation.peaks import cell_reflections
from simsc.refine.cell import CellFit, refine_cell
from simsc.refine.lattice import nearest_basis
from simsc.refine.uncertainty import bootstrap
from simsc.scattering.amplitude import intensity_on_shells

RESULT = Path(__file__).with_suffix(".csv")
RADIUS_NM, RADIUS_STD_NM = 7.4, 0.8
Q2_INV_NM = (0.4, 0.9)
REACH_INV_NM = (0.786, 0.823)  # of the detector, horizontal and vertical
DELTA_DEG = np.linspace(0, 180, 721)
TABLE_1 = {
    "Pillar 1 (HT)": (16.8, 17.0, 17.8, 58.7, 60.8, 68.5),
    "Pillar 2 (HT)": (17.1, 17.4, 17.8, 57.0, 63.5, 60.9),
    "Pillar 3 (before HT)": (18.2, 16.9, 17.0, 61.3, 58.1, 61.3),
    "Pillar 3 (after HT)": (18.0, 16.8, 16.9, 61.5, 58.4, 61.6),
}
FIELDS = ["size_nm", "n", "counts", "mask", "pillar", "seed", "method", "a", "b", "c", "alpha", "beta", "gamma"]
FIELDS += [f"{what}_{name}" for what in ("error", "sigma") for name in FIELDS[7:13]]
FIELDS += ["explained", "largest_pull"]


def perfect_shells(cell: Cell, size_nm: float, rng: np.random.Generator) -> tuple[int, list[ShellIntensity]]:
    """Return the number of NPs of a pillar and its intensity on all spheres."""
    crystal = pillar(cell, (size_nm,) * 3, radius_nm=RADIUS_NM)
    crystal = with_normal_radii(crystal, RADIUS_NM, RADIUS_STD_NM, rng)
    # Peaks are 2.4 / size wide.
    step = min(0.005, 2.0 / size_nm)
    q = np.linspace(*Q2_INV_NM, int(np.ceil((Q2_INV_NM[1] - Q2_INV_NM[0]) / step)) + 1)
    limits = [band_limit(value * crystal.diameter_nm, 1e-4) for value in q]
    # The first spheres lie at q ≤ 0.5, and only degrees up to their limit meet.
    first = band_limit(0.5 * crystal.diameter_nm, 1e-4)
    grids = [(total // 2 + 1, 2 * (total // 2 + 1)) for total in (first + limit for limit in limits)]
    return crystal.n, list(intensity_on_shells([crystal], q, grids, tolerance=1e-5, threads=1))


def counted(shells: list[ShellIntensity], counts: float, mask: bool, rng: np.random.Generator) -> list[ShellIntensity]:
    """Return shells of counted photons, per solid angle."""
    weights = [shell_grid(len(one.intensity), 1)[1][:, None] / one.intensity.shape[1] for one in shells]
    brightest = max(float((w * one.intensity).sum()) for w, one in zip(weights, shells, strict=True))
    results = []
    for w, one in zip(weights, shells, strict=True):
        exposure = w * counts / brightest
        intensity = rng.poisson(one.intensity * exposure) / exposure
        measured = None
        if mask:
            directions = one.q_inv_nm * shell_grid(*one.intensity.shape)[0]
            horizontal = np.linalg.norm(directions[..., :2], axis=-1)
            measured = (np.abs(directions[..., 2]) <= REACH_INV_NM[1]) & (horizontal <= REACH_INV_NM[0])
        results.append(ShellIntensity(one.q_inv_nm, intensity, measured))
    return results


def maps(shells: list[ShellIntensity], q1_inv_nm: list[float]) -> list[CorrelationMap]:
    """Return a map for each of the spheres nearest to some q1."""
    q = np.array([one.q_inv_nm for one in shells])
    return [correlate(shells[int(np.abs(q - q1).argmin())], shells, DELTA_DEG, threads=1) for q1 in q1_inv_nm]


def row(fit: CellFit, truth: Cell, facts: dict[str, object]) -> dict[str, object]:
    """Return the row of the table for a fit."""
    matrix = nearest_basis(fit.cell, truth)
    parameters, sigma = fit.in_basis(matrix)
    error = parameters - truth.parameters
    names = FIELDS[7:13]
    result = facts | {"method": fit.method, "explained": f"{fit.score:.3f}"}
    result |= {name: f"{value:.4f}" for name, value in zip(names, parameters, strict=True)}
    result |= {f"error_{name}": f"{value:.4f}" for name, value in zip(names, error, strict=True)}
    result |= {f"sigma_{name}": f"{value:.4f}" for name, value in zip(names, sigma, strict=True)}
    result["largest_pull"] = "" if np.isnan(sigma).any() else f"{np.abs(error / sigma).max():.2f}"
    return result


def with_refits(fit: CellFit, q1_inv_nm: float, arguments: argparse.Namespace) -> CellFit:
    """Return a fit with standard errors from refits of simulations: their scatter and their bias together.

    Sizes vary, since fringes of flat faces reach other peaks, with phases that change from one size to the next.
    """

    def simulate(rng: np.random.Generator) -> list[CorrelationMap]:
        _, perfect = perfect_shells(fit.cell, arguments.size * (1 + 0.03 * rng.normal()), rng)
        return maps(counted(perfect, arguments.counts, arguments.mask, rng), [q1_inv_nm])

    def refine(several: Sequence[CorrelationMap]) -> CellFit:
        return refine_cell(several, "forward", fit.cell, RADIUS_NM, RADIUS_STD_NM, starts=1)

    spread = bootstrap(fit, simulate, refine, arguments.refits)
    return replace(
        fit, covariance=np.diag(spread.total_errors**2), method=f"forward at one q1 with {arguments.refits} refits"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=300.0, help="edge of the pillar, nm")
    parser.add_argument("--pillars", type=int, default=4, help="rows of the table")
    parser.add_argument("--seeds", type=int, default=1, help="repeats of the noise")
    parser.add_argument("--counts", type=float, default=1e6, help="photons on the brightest sphere")
    parser.add_argument("--refits", type=int, default=0, help="simulations of what was found")
    parser.add_argument("--mask", action="store_true", help="measure what the detector sees only")
    parser.add_argument("--write", action="store_true", help=f"add the rows to {RESULT.name}")
    arguments = parser.parse_args()
    for name, parameters in list(TABLE_1.items())[: arguments.pillars]:
        truth = Cell.from_parameters(*parameters)
        n, perfect = perfect_shells(truth, arguments.size, np.random.default_rng(1))
        lengths = np.sort(np.linalg.norm(cell_reflections(truth, np.zeros((1, 3)), 0.5)[0], axis=1))[:8:2]
        g1 = float(2 * np.pi * np.linalg.norm(np.linalg.inv(truth.vectors_nm)[:, 0]))
        for seed in range(arguments.seeds):
            shells = counted(perfect, arguments.counts, arguments.mask, np.random.default_rng([7, seed]))
            several = maps(shells, [g1, float(lengths[1]), float(lengths[3])])
            facts = {"size_nm": arguments.size, "n": n, "counts": f"{arguments.counts:g}", "mask": arguments.mask}
            facts |= {"pillar": name, "seed": seed}
            fits = [
                refine_cell(several, radius_nm=RADIUS_NM, radius_std_nm=RADIUS_STD_NM),
                replace(
                    refine_cell(several[0], radius_nm=RADIUS_NM, radius_std_nm=RADIUS_STD_NM),
                    method="forward at one q1",
                ),
                refine_cell(several[0], method="mean", reference=truth),
            ]
            if arguments.refits:
                fits.append(with_refits(fits[1], g1, arguments))
            rows = [row(fit, truth, facts) for fit in fits]
            for one in rows:
                print({key: one[key] for key in FIELDS if not key.startswith("sigma")}, flush=True)
            if arguments.write:
                new = not RESULT.exists()
                with RESULT.open("a", newline="") as file:
                    writer = csv.DictWriter(file, FIELDS)
                    if new:
                        writer.writeheader()
                    writer.writerows(rows)


if __name__ == "__main__":
    main()
