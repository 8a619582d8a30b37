"""Supraparticles of the source paper's Table 2, simulated with its distances, and read back from their maps.

    python tests/benchmarks/table_2.py [--anti-mackay 22] [--figure sp2.png] [--threads 2] [--write]

SP 1 (d_NN = 16.0 nm) and SP 3 (15.9 nm) are balls of random layers, three fcc-like of four, of 280 nm; d_NN is
refined from a map. SP 2 (16.2 nm) is an anti-Mackay cluster of 10⁵ NPs, cut to a sphere, its contacts evened out:
maxima of its correlations at (q111, q111) and (q111, q220), how many of them fcc has, and the ranking against fcc.
Radii 7.4 ± 0.8 nm, NPs moved by 4 % of d_NN, 10⁶ photons a sphere (10⁷ for SP 2).

The tetrahedra of an icosahedron are flat: planes along its faces lie 0.795 d apart where fcc's lie 0.816 d, with d
along the five-fold axes. The paper's 16.2 nm are those of an fcc whose 111 lies where the first bright peak of SP 2
does. So the cluster is scaled until its own first peak lies there; its 220 is where its profile has a peak next to
that of fcc.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial import KDTree

from simsc.builders.close_packed import random_stacking
from simsc.builders.contacts import relax_contacts
from simsc.builders.defects import with_displacements
from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball, icosahedron, layers_of_ball
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.first_peak import first_bright_peak
from simsc.correlation.peaks import expected_peaks
from simsc.correlation.shells import shells_of_crystal
from simsc.refine.spacing import refine_spacing
from simsc.refine.stacking_disorder import ball_diameter
from simsc.refine.structure import crystal_candidate, rank_structures
from simsc.scattering.counting import counted_shell

RESULT = table_of(__file__)
SEED = 52
RADIUS_NM, RADIUS_STD_NM, DISPLACEMENT = 7.4, 0.8, 0.04
DELTA = np.linspace(0, 180, 721)


def measured(
    crystal: Superlattice, d_nm: float, q2: np.ndarray, photons: float, rng: np.random.Generator, threads: int
) -> CorrelationMap:
    """Return the map of a crystal with thermal motion, polydisperse radii and counting noise."""
    crystal = with_displacements(crystal, DISPLACEMENT * d_nm, rng)
    crystal = with_normal_radii(crystal, RADIUS_NM, RADIUS_STD_NM, rng)
    first, second = shells_of_crystal([crystal], layer_momentum_transfer(d_nm), q2, 1e-5, threads)
    counts = (counted_shell(shell, photons, rng) for shell in second)
    return correlate(counted_shell(first, photons, rng), counts, DELTA, threads)


def sized(crystal: Superlattice) -> Superlattice:
    """Return NPs of the mean radius."""
    return replace(crystal, radii_nm=np.full(crystal.n, RADIUS_NM))


def maxima(row: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return the angles, 10° … 170°, of maxima that stand out from noise and from half of the strongest tenth."""
    inner = (DELTA > 10) & (DELTA < 170)
    threshold = max(5 * float(np.median(deviation[inner])), 0.15 * float(row[inner].max()))
    top = np.flatnonzero((row[1:-1] > row[:-2]) & (row[1:-1] >= row[2:]) & (row[1:-1] > threshold)) + 1
    return DELTA[top[inner[top]]]


def spacings(threads: int) -> list[dict[str, str]]:
    """Return the refined distances of SP 1 and SP 3."""
    rows = []
    for name, d_nm in (("SP 1", 16.0), ("SP 3", 15.9)):
        rng = np.random.default_rng([SEED, round(10 * d_nm)])
        letters = random_stacking(layers_of_ball(d_nm, 280.0), 0.75, rng)
        crystal = ball(letters, d_nm, 280.0)
        seen = measured(crystal, d_nm, np.arange(0.42, 0.9, 0.005), 1e6, rng, threads)
        size = ball_diameter(crystal.n, d_nm)
        for title, method, diameter in (
            ("layers", "forward", size),
            ("peaks", "forward", None),
            ("mean", "mean", None),
        ):
            fit = refine_spacing([seen], "r-hcp", method, None, RADIUS_NM, RADIUS_STD_NM, diameter)
            error = "" if np.isnan(fit.standard_error_nm) else f" ± {fit.standard_error_nm:.4f}"
            found = f"{fit.d_nn_nm:.4f}{error}"
            rows.append({"what": f"{name}: d_NN, nm, {title}", "n": str(crystal.n), "true": f"{d_nm}", "found": found})
            print(*rows[-1].values(), sep="  ", flush=True)
    return rows


def anti_mackay(order: int, threads: int, figure: Path | None) -> list[dict[str, str]]:
    """Return what the correlations of SP 2 show."""
    d_nm = 16.2
    rng = np.random.default_rng([SEED, order])
    q111 = layer_momentum_transfer(d_nm)
    q220 = q111 * np.sqrt(8 / 3)
    cluster = relax_contacts(icosahedron(order, d_nm, order, 2.5 * order * d_nm), d_nm).superlattice
    own_q111 = first_bright_peak([sized(cluster)], q111, threads)
    assert own_q111 is not None
    scale = own_q111 / q111
    cluster = replace(cluster, positions_nm=cluster.positions_nm * scale)
    nearest = KDTree(cluster.positions_nm).query(cluster.positions_nm, 2)[0][:, 1]
    own_q220 = first_bright_peak([sized(cluster)], q220, threads) or q220  # small clusters have no clear peak there
    found = f"{own_q220:.4f}; nearest neighbours {nearest.mean():.2f} ± {nearest.std():.2f} nm apart"
    rows = [{"what": "SP 2: q220, nm⁻¹", "n": str(cluster.n), "true": f"{q220:.4f} (fcc)", "found": found}]
    print(*rows[-1].values(), sep="  ", flush=True)
    q2 = np.array([q111, own_q220])
    fcc = ball("fcc", d_nm, n=cluster.n)
    fcc_q2 = np.array([q111, q220])
    maps = {
        "anti-Mackay": measured(cluster, d_nm, q2, 1e7, rng, threads),
        "fcc": measured(fcc, d_nm, fcc_q2, 1e7, rng, threads),
    }
    for k, pair in enumerate(("111, 111", "111, 220")):
        for name, seen in maps.items():
            assert seen.variance is not None
            found = maxima(seen.ccf[k], np.sqrt(seen.variance[k]))
            ideal = {round(p.delta_deg, 1) for p in expected_peaks("fcc", d_nm, (fcc_q2[k] - 1e-4, fcc_q2[k] + 1e-4))}
            own = sum(min(abs(angle - other) for other in ideal) < 1.5 for angle in found)
            text = " ".join(f"{angle:.1f}" for angle in found if angle <= 90)
            what = f"SP 2 as {name}: maxima at ({pair}), those of fcc among them, angles up to 90°"
            rows.append({"what": what, "n": str(cluster.n), "true": "", "found": f"{len(found)}, {own}: {text}"})
            print(*rows[-1].values(), sep="  ", flush=True)
    own = crystal_candidate("anti-Mackay", cluster, d_nm, q111)
    ranks = rank_structures(
        maps["anti-Mackay"],
        2.5 * order * d_nm,
        RADIUS_NM,
        RADIUS_STD_NM,
        [own, "fcc"],
        draws=2,
        seed=SEED,
        threads=threads,
    )
    for rank in ranks:
        found = f"ln likelihood {rank.log_likelihood:.0f}, best in {100 * rank.stability:.0f} % of resamples"
        found += f", correlation {rank.correlation:.2f}"
        rows.append({"what": f"SP 2, ranked as {rank.name}", "n": str(cluster.n), "true": "", "found": found})
        print(*rows[-1].values(), sep="  ", flush=True)
    if figure is not None:
        draw(figure, maps)
    return rows


def draw(file: Path, maps: dict[str, CorrelationMap]) -> None:
    """Draw both correlations of both clusters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    inner = (DELTA >= 15) & (DELTA <= 165)
    for k, (ax, pair) in enumerate(zip(figure.subplots(2, 1, sharex=True), ("111, 111", "111, 220"), strict=True)):
        for (name, seen), colour in zip(maps.items(), ("#1f6fb4", "#d1701c"), strict=True):
            ax.plot(DELTA[inner], seen.ccf[k][inner] / seen.ccf[k][inner].max(), color=colour, label=name, lw=1)
        ax.set(ylabel=f"C({pair}) / maximum")
        ax.legend(frameon=False, loc="lower left")
    ax.set(xlabel="Δ, degrees", xlim=(15, 165))
    figure.savefig(file, dpi=150)


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anti-mackay", type=int, default=22, help="order of the Mackay core of SP 2")
    parser.add_argument("--figure", type=Path, help="draw the correlations of SP 2 into this file")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    rows = spacings(arguments.threads) + anti_mackay(arguments.anti_mackay, arguments.threads, arguments.figure)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
