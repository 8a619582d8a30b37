"""The correlation map by spherical harmonics beside histograms of pairs of directions, in one run.

    python tests/benchmarks/correlation_speed.py [--nps 2000] [--threads 2] [--write]

A ball of fcc, 101 shells q2 from 0.4 to 0.9 nm⁻¹, 721 angles Δ. All methods get their shells in memory. A histogram
adds up Ĩ(q1) Ĩ(q2) of all pairs of grid points in bins of Δ, weighted by their solid angles, and divides by the sum
of weights. Once it gets the same shells as the harmonics, whose points lie further apart than its bins are wide; once
shells with points every 0.5°, which two of its bins are wide. Compared are one compiled by numba (on all threads;
half a sphere of q1, by Friedel's law; the bin looked up by the cosine), and the routine of the package bcdi
(`bcdi.xcca.xcca_utils.calc_ccf_polar`, one process a core as in its scripts), each where it is installed. Their time
is proportional to the number of pairs, so it is measured on some of these and scaled; the rows say on which part. The
error is the root of the mean square difference from the harmonics at Δ = 15° … 165° over that of the map itself: the
harmonics agree with brute force to 1e-10 (tests/test_correlation.py).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from benchmark_tables import table_of, write_table

from simsc.builders.close_packed import close_packed
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.intensity import ShellIntensity, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_crystal
from simsc.scattering.amplitude import intensity_on_shells

RESULT = table_of(__file__)
D_NM, RADIUS_NM = 16.0, 7.4
DELTA = np.linspace(0, 180, 721)
Q2 = np.linspace(0.4, 0.9, 101)
HISTOGRAM_SHELLS = (31, 76)  # of the 101, for the histograms: near 200 and 220
FINE = (361, 722)  # grid with points every 0.5°
BCDI_POINTS = 40  # of the first shell


def ball(n: int) -> Superlattice:
    """Return the n NPs of an fcc crystal nearest to its centre."""
    across = int(np.ceil((n / 0.74) ** (1 / 3))) + 3
    crystal = close_packed("ABC" * (across // 3 + 1), D_NM, (across, across // 2 + 1), RADIUS_NM)
    distance = np.linalg.norm(crystal.positions_nm - crystal.positions_nm.mean(axis=0), axis=1)
    return Superlattice(crystal.positions_nm[np.argsort(distance)[:n]], RADIUS_NM)


def points(shell: ShellIntensity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return directions (n, 3), Ĩ (n,) and solid angles (n,) of a shell."""
    n_theta, n_phi = shell.intensity.shape
    directions, rings = shell_grid(n_theta, n_phi)
    weights = np.repeat(rings / n_phi, n_phi)
    intensity = shell.intensity.ravel()
    mean = weights @ intensity
    return directions.reshape(-1, 3), intensity / mean - 1, weights


def compiled(threads: int) -> Callable[..., np.ndarray]:
    """Return a histogram of pairs that numba has compiled."""
    import numba

    numba.set_num_threads(threads)
    cells = 1 << 16

    @numba.njit(parallel=True, fastmath=True)
    def histogram(d1, v1, w1, d2, v2, w2, table, n_bins):  # type: ignore[no-untyped-def]
        n_threads = numba.get_num_threads()
        sums = np.zeros((n_threads, 2, n_bins))
        for i in numba.prange(len(d1)):
            own = sums[numba.get_thread_id()]
            for j in range(len(d2)):
                cosine = d1[i, 0] * d2[j, 0] + d1[i, 1] * d2[j, 1] + d1[i, 2] * d2[j, 2]
                k = table[int((cosine + 1.0) * scale)]
                own[0, k] += v1[i] * v2[j]
                own[1, k] += w1[i] * w2[j]
        return sums.sum(axis=0)

    scale = (cells - 1) / 2.0000001
    step = DELTA[1] - DELTA[0]
    cosines = np.clip((np.arange(cells) + 0.5) / scale - 1, -1, 1)
    table = np.round(np.degrees(np.arccos(cosines)) / step).astype(np.int32)

    def measure(first: ShellIntensity, second: ShellIntensity) -> np.ndarray:
        d1, i1, w1 = points(first)
        half = slice(0, (first.intensity.shape[0] + 1) // 2 * first.intensity.shape[1])
        d2, i2, w2 = points(second)
        single = [np.ascontiguousarray(x, dtype=np.float32) for x in (d1[half], (i1 * w1)[half], w1[half])]
        single += [np.ascontiguousarray(x, dtype=np.float32) for x in (d2, i2 * w2, w2)]
        sums = histogram(*single, table, len(DELTA))
        # The southern half adds the same at 180° − Δ.
        sums += sums[:, ::-1]
        return sums[0] / np.maximum(sums[1], 1e-30)

    return measure


def bcdi_seconds(first: ShellIntensity, second: ShellIntensity, threads: int) -> float:
    """Return the seconds that bcdi's routine takes for one second shell, from some points of the first."""
    from bcdi.xcca.xcca_utils import calc_ccf_polar

    polar = {}
    for name, shell in (("q1", first), ("q2", second)):
        directions, contrast, _ = points(shell)
        theta = np.arccos(directions[:, 2])
        phi = np.arctan2(directions[:, 1], directions[:, 0])
        polar[name] = np.stack([theta, phi, contrast], axis=1)
    bins = np.radians(DELTA)
    chosen = np.linspace(0, len(polar["q1"]) - 1, BCDI_POINTS).astype(int)
    begin = time.perf_counter()
    for point in chosen:
        calc_ccf_polar(int(point), "q1", "q2", bins, polar)
    # Points are shared out to one process a core, perfectly at best.
    return (time.perf_counter() - begin) / BCDI_POINTS * len(polar["q1"]) / threads


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nps", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    crystal = ball(arguments.nps)
    begin = time.perf_counter()
    first, others = shells_of_crystal([crystal], layer_momentum_transfer(D_NM), Q2, threads=arguments.threads)
    shells = list(others)
    shells_s = time.perf_counter() - begin
    correlate(first, shells[:1], DELTA, arguments.threads)
    begin = time.perf_counter()
    exact = correlate(first, shells, DELTA, arguments.threads)
    own_s = time.perf_counter() - begin
    rows = [row("simsc, map from shells", own_s, own_s, 0.0, "all"), row("simsc, shells", shells_s, own_s, 0.0, "all")]
    inner = (DELTA >= 15) & (DELTA <= 165)
    try:
        measure = compiled(arguments.threads)
    except ImportError:
        print("numba is not installed: no histogram of ours")
    else:
        small = ShellIntensity(0.1, first.intensity[:4, :4])
        measure(small, small)
        fine = list(intensity_on_shells([crystal], np.array([first.q_inv_nm, Q2[HISTOGRAM_SHELLS[0]]]), [FINE] * 2))
        for title, one, some in (
            ("histogram by numba, same shells", first, {k: shells[k] for k in HISTOGRAM_SHELLS}),
            ("histogram by numba, points every 0.5°", fine[0], {HISTOGRAM_SHELLS[0]: fine[1]}),
        ):
            begin = time.perf_counter()
            maps = [measure(one, shell) for shell in some.values()]
            seconds = time.perf_counter() - begin
            total = sum(s.intensity.size for s in shells) if one is first else len(Q2) * fine[1].intensity.size
            seconds *= total / sum(s.intensity.size for s in some.values())
            wrong = [m[inner] - exact.ccf[k][inner] for m, k in zip(maps, some, strict=True)]
            error = float(np.sqrt(np.mean(np.square(wrong)) / np.mean([exact.ccf[k][inner] ** 2 for k in some])))
            rows.append(row(title, seconds, own_s, error, f"{len(some)} of {len(Q2)} shells"))
    try:
        seconds = bcdi_seconds(first, shells[HISTOGRAM_SHELLS[0]], arguments.threads)
        seconds *= sum(s.intensity.size for s in shells) / shells[HISTOGRAM_SHELLS[0]].intensity.size
        part = f"{BCDI_POINTS} of {first.intensity.size} points, 1 of {len(Q2)} shells"
        rows.append(row("histogram by bcdi, same shells", seconds, own_s, None, part))
    except ImportError as error:
        print(f"bcdi cannot be loaded ({error}): its routine is left out")
    for one in rows:
        print(*one.values(), sep="  ", flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)


def row(method: str, seconds: float, own_s: float, error: float | None, part: str) -> dict[str, str]:
    """Return a row of the table."""
    return {
        "method": method,
        "seconds": f"{seconds:.3g}",
        "ratio": f"{seconds / own_s:.3g}",
        "error": "" if error is None else f"{error:.2g}",
        "measured on": part,
    }


if __name__ == "__main__":
    main()
