"""How time and memory of a correlation map grow with the number of NPs and with the band limit.

    python tests/benchmarks/scaling.py [--largest 1000000] [--write]

Balls of fcc, 16 nm between neighbours, cores of 7.4 ± 0.8 nm. Their intensity is computed on the sphere of the first
bright peak and on 101 spheres from 0.4 to 0.9 nm⁻¹, to 10⁻⁸ of the amplitude at q = 0, then correlated at 721 angles,
all on one thread; times are those of the processor. Beside the correlation stands what the bare harmonic transforms
(ducc0) of them take. Each size runs in a process of its own, so that the peak of memory is its own; spheres are
correlated and forgotten one by one. Slopes are those of the logarithms from each size to the next.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import ducc0
import matplotlib.pyplot as plt
import numpy as np
from benchmark_tables import table_of, write_table
from matplotlib.ticker import NullFormatter

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.intensity import band_limit
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_crystal

RESULT = table_of(__file__)
D_NM, RADIUS_NM, RADIUS_STD_NM = 16.0, 7.4, 0.8
Q2 = np.linspace(0.4, 0.9, 101)
DELTA = np.linspace(0, 180, 721)


def case(n: int) -> dict[str, object]:
    """Measure one size."""
    crystal = with_normal_radii(
        ball("ABC", D_NM, n=n, radius_nm=RADIUS_NM), RADIUS_NM, RADIUS_STD_NM, np.random.default_rng(n)
    )
    begin = time.process_time()
    first, second = shells_of_crystal([crystal], layer_momentum_transfer(D_NM), Q2, threads=1)
    first_s, others_s, bare_s, points = time.process_time() - begin, 0.0, 0.0, first.intensity.size
    lmax = first.intensity.shape[0] - 1

    def watched():  # type: ignore[no-untyped-def]
        nonlocal others_s, bare_s, points
        shells = iter(second)
        while True:
            start = time.process_time()
            shell = next(shells, None)
            others_s += time.process_time() - start
            if shell is None:
                return
            points += shell.intensity.size
            start = time.process_time()
            degree = min(lmax, shell.intensity.shape[0] - 1)
            ducc0.sht.analysis_2d(map=shell.intensity[None], spin=0, lmax=degree, geometry="GL", nthreads=1)
            bare_s += time.process_time() - start
            yield shell

    begin = time.process_time()
    correlate(first, watched(), DELTA, threads=1)
    correlation_s = time.process_time() - begin - others_s - bare_s
    return {
        "n": n,
        "diameter_nm": round(crystal.diameter_nm),
        "lmax": band_limit(layer_momentum_transfer(D_NM) * crystal.diameter_nm),
        "points": points,
        "intensity_s": f"{first_s + others_s:.3g}",
        "correlation_s": f"{correlation_s:.3g}",
        "bare_harmonics_s": f"{bare_s:.3g}",
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def slope(before: dict[str, object], now: dict[str, object], key: str) -> str:
    """Return the slope of the logarithm of a time against that of the number of NPs."""
    logs = [np.log([float(str(row[name])) for name in (key, "n")]) for row in (before, now)]
    rise, run = logs[1] - logs[0]
    return f"{rise / run:.2f}"


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Draw the times against the number of NPs and against the band limit."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=True, layout="constrained")
    lines = [
        ("intensity_s", "intensity on 102 spheres", "o-", "#0072b2"),
        ("correlation_s", "correlation at 721 angles", "s-", "#d55e00"),
        ("bare_harmonics_s", "bare harmonic transforms", "^--", "#999999"),
    ]
    for axis, name, label in zip(axes, ("n", "lmax"), ("NPs", "band limit of the first sphere, $l$"), strict=True):
        x = np.array([float(str(row[name])) for row in rows])
        for key, title, style, colour in lines:
            axis.loglog(x, [float(str(row[key])) for row in rows], style, color=colour, label=title, ms=4)
        power = 1 if name == "n" else 3
        last = float(str(rows[-1]["intensity_s"]))
        axis.loglog(x, last * (x / x[-1]) ** power, ":", color="black", lw=1, label="in proportion to NPs, $l^3$")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    axes[1].xaxis.set_minor_formatter(NullFormatter())
    axes[1].set_xticks([125, 250, 500, 1000], ["125", "250", "500", "1000"])
    axes[0].set_ylabel("processor time of a map, s")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, print, and with --write keep table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1_000_000, help="NPs of the largest crystal")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} and a figure beside it")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(case(arguments.case)))
        return
    sizes = [n for n in (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000) if n <= arguments.largest]
    rows: list[dict[str, object]] = []
    for n in sizes:
        command = [sys.executable, *sys.argv, "--case", str(n)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for key in ("intensity_s", "correlation_s"):
            row[f"slope_of_{key[:-2]}"] = slope(rows[-1], row, key) if rows else ""
        rows.append(row)
        print(*(f"{name} {value}" for name, value in row.items()), sep="  ", flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)
        draw(rows, RESULT.with_suffix(".svg"))


if __name__ == "__main__":
    main()
