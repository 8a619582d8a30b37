"""Supraparticles before and after heat treatment: how well the fcc fraction of one is known from its scattering.

    python tests/benchmarks/stacking_disorder.py [--seeds 5] [--photons 1e5] [--write]

As SP 3 of the paper (d = 15.9 nm, core radii 7.4 ± 0.8 nm; balls of 3000 to 8000 NPs in one stack of layers, turned at
random), stacked with many growth faults (α = 0.6) and with fewer (α = 0.85). From each: the fcc fraction by the rods
10l and by the correlation map at q1 = 002, without noise and with photons counted; what is true of this ball; and the
mean of the map on the central arc, away from the Bragg peaks of fcc.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball, layers_of_ball
from simsc.classify.stacking import layer_frame
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import ShellIntensity
from simsc.core.stacking import layer_kinds, lettered
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_crystal
from simsc.refine.stacking_disorder import ball_diameter, correlations_of_rod, default_disc, fit_stacking
from simsc.refine.stacking_map import correlations_of_map
from simsc.scattering.counting import counted_shell
from simsc.scattering.layer_disorder import StackingModel, pair_correlations_of
from simsc.scattering.rods import RodProfile, rod_profile, sphere_statistics

RESULT = table_of(__file__)
D_NN = 15.9
RADIUS, SPREAD = 7.4, 0.8
NUMBERS = (3000, 8000)
ALPHA = {"before": 0.6, "after": 0.85}
Q2 = np.arange(0.4, 0.9001, 0.005)
DELTA = np.linspace(0, 90, 181)
L_HCP = np.linspace(0, 3.2, 201)
ARC = (0.85, 1.15)  # heights l on the central arc, where hcp has a peak and fcc has none
SEED = 20251107


def supraparticle(alpha: float, rng: np.random.Generator) -> tuple[Superlattice, float, float]:
    """Return a ball and two fractions of what is fcc-like in it.

    Of layers weighted by the overlap of those below and above, which is what scattering tells; and of NPs with a layer
    on either side.
    """
    n = int(rng.integers(*NUMBERS, endpoint=True))
    layers = layers_of_ball(D_NN, n=n)
    steps = StackingModel(alpha).steps(layers - 1, rng)[0]
    built = with_normal_radii(ball(lettered(steps), D_NN, n=n), RADIUS, SPREAD, rng)
    place = np.round(built.positions_nm[:, 2] / (np.sqrt(2 / 3) * D_NN)).astype(int)
    kinds = np.array(list(layer_kinds(lettered(steps), periodic=False)))[place + layers // 2]
    inner = (place > place.min()) & (place < place.max())
    turned = Superlattice(built.positions_nm @ Rotation.random(random_state=rng).as_matrix().T, built.radii_nm)
    low, high = place.min(), place.max()
    between = steps[low + layers // 2 : high + layers // 2]
    overlap = 2 / 3 * (1 - pair_correlations_of(between, np.bincount(place - low))[2].real)
    return turned, float(overlap), float((kinds[inner] == "c").mean())


def counted_map(
    first: ShellIntensity, second: list[ShellIntensity], profile: np.ndarray, photons: float, rng: np.random.Generator
) -> CorrelationMap:
    """Return the map that so many photons between the smallest and the largest q2 give."""
    share = profile * Q2**2
    density = photons / share.sum()
    at_q1 = np.interp(first.q_inv_nm, Q2, share)
    one = counted_shell(first, density * at_q1, rng)
    noisy = (counted_shell(shell, density * value, rng) for shell, value in zip(second, share, strict=True))
    result = correlate(one, noisy, DELTA)
    return replace(result, radial_profile=result.radial_profile / Q2**2)


def counted_rod(rod: RodProfile, profile: np.ndarray, photons: float, rng: np.random.Generator) -> RodProfile:
    """Return the rod that so many photons between the smallest and the largest q2 give."""
    volume = 4 * np.pi * (profile * Q2**2).sum() * (Q2[1] - Q2[0])
    cylinder = 6 * np.pi * rod.disc_inv_nm**2 * rod.frame.c_star_inv_nm * (L_HCP[1] - L_HCP[0])
    per_intensity = photons / volume * cylinder
    return replace(rod, intensity=rng.poisson(rod.intensity * per_intensity) / per_intensity)


def on_arc(correlation: CorrelationMap) -> float:
    """Return the mean of the map on the central arc between the Bragg peaks of fcc."""
    l_hcp = np.linspace(*ARC, 13)
    height = l_hcp * np.pi / (np.sqrt(2 / 3) * D_NN)
    q = np.hypot(4 * np.pi / (np.sqrt(3) * D_NN), height)
    delta = np.degrees(np.arccos(height / q))
    rows = np.clip(np.searchsorted(Q2, q), 1, len(Q2) - 1)
    part = (q - Q2[rows - 1]) / (Q2[1] - Q2[0])
    lines = (1 - part)[:, None] * correlation.ccf[rows - 1] + part[:, None] * correlation.ccf[rows]
    return float(np.mean([np.interp(angle, DELTA, line) for angle, line in zip(delta, lines, strict=True)]))


def measure(seeds: int, photons: float) -> Iterator[dict[str, str]]:
    """Yield a row for each ball."""
    for state, alpha in ALPHA.items():
        for seed in range(seeds):
            rng = np.random.default_rng([SEED, seed, int(100 * alpha)])
            crystal, true, of_nps = supraparticle(alpha, rng)
            layers = layer_frame(crystal)
            assert layers is not None
            diameter = ball_diameter(crystal.n, D_NN)
            rod = rod_profile([crystal], layers, L_HCP, disc_inv_nm=default_disc(diameter))
            first, second = shells_of_crystal([crystal], layer_momentum_transfer(D_NN), Q2, 1e-6)
            shells = list(second)
            form, _ = sphere_statistics(Q2, RADIUS, SPREAD)
            clean = correlate(first, shells, DELTA)
            noisy = counted_map(first, shells, clean.radial_profile, photons, rng)
            found = {
                "rod": correlations_of_rod(rod, diameter),
                "map": correlations_of_map(clean, diameter, D_NN, form),
                "rod, photons": correlations_of_rod(counted_rod(rod, clean.radial_profile, photons, rng), diameter),
                "map, photons": correlations_of_map(noisy, diameter, D_NN, form),
            }
            row = {
                "state": state,
                "seed": str(seed),
                "n": str(crystal.n),
                "true fcc": f"{true:.3f}",
                "of NPs": f"{of_nps:.3f}",
            }
            for name, correlations in found.items():
                row[name], row[f"{name}, error"] = (f"{value:.3f}" for value in correlations.fcc_fraction)
            fit = fit_stacking(found["map"], seed=seed)
            assert fit.bootstrap_errors is not None
            row["alpha of the process"] = f"{fit.parameters['alpha']:.2f} ± {fit.bootstrap_errors['alpha']:.2f}"
            row["central arc"] = f"{on_arc(clean):.3f}"
            row["central arc, photons"] = f"{on_arc(noisy):.3f}"
            yield row


def summary(rows: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the bias and the spread of each way, and the means before and after."""
    true = np.array([float(row["true fcc"]) for row in rows])
    ways = ("rod", "map", "rod, photons", "map, photons")
    error = {way: np.array([float(row[way]) for row in rows]) - true for way in ways}
    yield {"state": "found − true: mean"} | {way: f"{error[way].mean():+.3f}" for way in ways}
    yield {"state": "found − true: standard deviation"} | {way: f"{error[way].std(ddof=1):.3f}" for way in ways}
    for state in ALPHA:
        part = [row for row in rows if row["state"] == state]
        names = ("true fcc", *ways, "central arc", "central arc, photons")
        yield {"state": f"{state}: mean"} | {
            name: f"{np.mean([float(row[name]) for row in part]):.3f}" for name in names
        }


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--photons", type=float, default=1e5, help="from q = 0.4 to 0.9 nm⁻¹")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    rows = []
    for row in measure(arguments.seeds, arguments.photons):
        rows.append(row)
        print(*row.values(), sep="  ", flush=True)
    names = list(rows[0])
    for row in summary(rows[:]):
        rows.append(row)
        print(*row.values(), sep="  ", flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments, names)


if __name__ == "__main__":
    main()
