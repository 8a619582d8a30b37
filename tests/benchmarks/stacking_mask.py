"""Whether the error of a fitted fcc fraction holds what an incomplete measurement does to it.

    python tests/benchmarks/stacking_mask.py [--balls 4] [--draws 12] [--jobs 1] [--write]

Balls of about 17 layers (d = 15.9 nm, core radii 7.4 ± 0.8 nm) with many faults and with fewer, turned at random, as in
`stacking_disorder.py`, seen by a detector with its reach and its gaps (that of `structure_ranking.py`), or with a wedge
of 25° left out of the rotation; 10⁶ photons between the smallest and the largest q2. From each map the fcc fraction,
its error by the fit alone, and the error with the effect of the mask (`simsc.refine.stacking_mask`). A pull is fitted
less true over the error; those of errors that can be trusted scatter by 1.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation
from stacking_disorder import ALPHA, D_NN, RADIUS, SPREAD
from structure_ranking import measured

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball, layers_of_ball
from simsc.core.close_packing import LAYER_SPACING, layer_momentum_transfer
from simsc.core.errors import InputError
from simsc.core.stacking import lettered
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.mask import masked
from simsc.correlation.shells import shells_of_crystal
from simsc.refine.stacking_disorder import fit_stacking
from simsc.refine.stacking_map import correlations_of_map
from simsc.refine.stacking_mask import mask_effect
from simsc.scattering.counting import counted_shell
from simsc.scattering.layer_disorder import StackingModel, pair_correlations_of
from simsc.scattering.rods import sphere_statistics

RESULT = table_of(__file__)
Q2, DELTA = np.arange(0.4, 0.9001, 0.01), np.linspace(0, 90, 181)
DIAMETER = 17 * LAYER_SPACING * D_NN
PHOTONS, WEDGE_DEG, SEED = 1e6, 25.0, 20251126


def outside_wedge(q_inv_nm: np.ndarray) -> np.ndarray:
    """Tell which momentum transfers (n, 3) lie outside a wedge about the vertical axis of rotation."""
    azimuth = np.degrees(np.arctan2(q_inv_nm[:, 1], q_inv_nm[:, 0])) % 180
    return np.minimum(azimuth, 180 - azimuth) > WEDGE_DEG / 2


MASKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"detector": measured, "wedge": outside_wedge}


def supraparticle(alpha: float, rng: np.random.Generator) -> tuple[Superlattice, float]:
    """Return a ball and its fraction of fcc-like layers, weighted by their overlap."""
    n = layers_of_ball(D_NN, DIAMETER)
    steps = StackingModel(alpha).steps(n - 1, rng)[0]
    built = with_normal_radii(ball(lettered(steps), D_NN, DIAMETER), RADIUS, SPREAD, rng)
    layer = np.round(built.positions_nm[:, 2] / (LAYER_SPACING * D_NN)).astype(int) + n // 2
    between = steps[layer.min() : layer.max()]
    true = 2 / 3 * (1 - pair_correlations_of(between, np.bincount(layer - layer.min()))[2].real)
    return built.rotated(Rotation.random(rng=rng)), float(true)


def measure(balls: int, draws: int, jobs: int) -> Iterator[dict[str, str]]:
    """Yield a row for each ball under each mask."""
    form = sphere_statistics(Q2, RADIUS, SPREAD)[0]
    for state, alpha in ALPHA.items():
        for seed in range(balls):
            rng = np.random.default_rng([SEED, seed, int(100 * alpha)])
            crystal, true = supraparticle(alpha, rng)
            first, second = shells_of_crystal([crystal], layer_momentum_transfer(D_NN), Q2, 1e-5, jobs)
            shells = [first, *second]
            share = correlate(shells[0], shells[1:], DELTA, jobs).radial_profile * Q2**2
            share /= share.sum()
            counts = PHOTONS * np.array([np.interp(first.q_inv_nm, Q2, share), *share])
            for name, mask in MASKS.items():
                row = {"mask": name, "state": state, "seed": str(seed), "true fcc": f"{true:.3f}"}
                seen = [counted_shell(masked(s, mask), n, rng) for s, n in zip(shells, counts, strict=True)]
                correlation = correlate(seen[0], seen[1:], DELTA, jobs)
                try:
                    found = correlations_of_map(correlation, DIAMETER, D_NN, form)
                except InputError:
                    yield row | {"fitted": "refused"}
                    continue
                fit = fit_stacking(found, bootstrap=0)
                effect = mask_effect(correlation, fit, mask, RADIUS, SPREAD, draws, seed, jobs)
                value, alone = found.fcc_fraction
                _, error = effect.added_to(found).fcc_fraction
                bias, spread = effect.fcc_fraction
                yield row | {
                    "fitted": f"{value:.3f}",
                    "fitted - true": f"{value - true:+.4f}",
                    "error of the fit": f"{alone:.4f}",
                    "error with mask": f"{error:.4f}",
                    "pull of the fit": f"{(value - true) / alone:+.2f}",
                    "pull with mask": f"{(value - true) / error:+.2f}",
                    "bias": f"{bias:+.4f}",
                    "spread": f"{spread:.4f}",
                    "spread without mask": f"{effect.fcc_fraction_complete[1]:.4f}",
                    "draws not fitted": str(effect.failed),
                }


def summary(rows: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield root mean squares under each mask."""
    for name in MASKS:
        chosen = [row for row in rows if row["mask"] == name and row["fitted"] != "refused"]
        if chosen:
            row = {"mask": name, "state": "root mean square", "seed": f"{len(chosen)} balls"}
            for key in ("fitted - true", "error of the fit", "error with mask", "pull of the fit", "pull with mask"):
                row[key] = f"{np.sqrt(np.mean([float(one[key]) ** 2 for one in chosen])):.4f}"
            yield row


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--balls", type=int, default=4, help="of each fault density")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    rows = []
    for row in measure(arguments.balls, arguments.draws, arguments.jobs):
        rows.append(row)
        print(*row.values(), sep="  ", flush=True)
    rows += summary(rows[:])
    for row in rows[-len(MASKS) :]:
        print(*row.values(), sep="  ", flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
