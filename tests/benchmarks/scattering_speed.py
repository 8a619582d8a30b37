"""How long the intensity of polydisperse NPs takes, against the bare transforms that it needs, and how much memory.

    python tests/benchmarks/scattering_speed.py [--largest 1000000] [--grid 256] [--threads 1] [--write]

NPs are random (a transform does not care) at a density of one in 16³ nm³, of 7.4 ± 0.8 nm; q up to 0.9 nm⁻¹. The bare
transforms are those of ducc0 (type 1, double precision) with the same points, weights, tolerance and half grid, one for
each term of the expansion; what is on top of them is simsc's own. Each case runs in a process of its own, so that the
peak of memory is its own. Accuracy is that of the amplitude at 20 random points, relative to the forward direction.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time

import ducc0
import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.core.superlattice import Superlattice
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.table import form_factor
from simsc.scattering.scattering_model import ScatteringModel

RESULT = table_of(__file__)
Q_MAX = 0.9
KINDS = ("spheres", "aligned", "random")


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=1_000_000, help="NPs of the largest case")
    parser.add_argument("--grid", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["spheres", "aligned"])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        kind, n = arguments.case
        print(json.dumps(case(kind, int(n), arguments.grid, arguments.tolerance, arguments.threads)))
        return
    rows = []
    for kind in arguments.kinds:
        n = 1000
        while n <= arguments.largest:
            command = [sys.executable, *sys.argv, "--case", kind, str(n)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rows.append(row)
            print(*(f"{name} {value}" for name, value in row.items()), sep="  ", flush=True)
            n *= 10
    if arguments.write:
        note = f"{platform.machine()}, {arguments.threads} thread(s), ducc0 {ducc0.__version__}"
        write_table(RESULT, rows, arguments, note=note)


def case(kind: str, n: int, grid: int, tolerance: float, threads: int) -> dict[str, object]:
    """Measure one case."""
    rng = np.random.default_rng(n)
    crystal = Superlattice(16.0 * n ** (1 / 3) * rng.uniform(size=(n, 3)), np.clip(rng.normal(7.4, 0.8, n), 4.5, 10.5))
    form = form_factor("sphere" if kind == "spheres" else "truncated_cuboctahedron")
    if kind == "random":
        crystal = crystal.with_orientations(Rotation.random(n, rng=rng))
    q_corner = np.sqrt(3) * Q_MAX * (1 + 1e-12)
    begin = time.perf_counter()
    rank = len(form.expansion(crystal.radii_nm, crystal.orientations, q_corner, tolerance).coefficients)
    expansion = time.perf_counter() - begin
    base = peak_gb()
    begin, cpu = time.perf_counter(), time.process_time()
    volume = intensity_on_grid(crystal, Q_MAX, grid, tolerance, threads, scattering=ScatteringModel(form))
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    peak = peak_gb()
    bare, bare_cpu = bare_transforms(crystal.positions_nm, rank, grid, tolerance, threads)
    return {
        "kind": kind,
        "n": n,
        "grid": grid,
        "tolerance": tolerance,
        "transforms": rank,
        "seconds": round(seconds, 2),
        "bare_seconds": round(bare, 2),
        "ratio": round(seconds / bare, 2),
        "cpu_ratio": round(cpu_seconds / bare_cpu, 2),
        "expansion_seconds": round(expansion, 2),
        "peak_gb": round(peak, 2),
        "before_gb": round(base, 2),
        "error": f"{error(crystal, form, volume.intensity, volume.q_axes_inv_nm[0]):.1e}",
    }


def bare_transforms(positions: np.ndarray, rank: int, grid: int, tolerance: float, threads: int) -> tuple[float, float]:
    """Return wall and CPU seconds of the transforms alone; at most 20 are run, and scaled."""
    centred = (positions - positions.mean(axis=0)) * (2 * Q_MAX / (grid - 1))
    out = np.empty((grid - grid // 2, grid, grid), dtype=np.complex128)
    points = np.exp(1j * np.arange(len(positions)))
    runs = min(rank, 20)
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(runs):
        ducc0.nufft.nu2u(points=points, coord=centred, forward=True, epsilon=tolerance, nthreads=threads, out=out)
    return (time.perf_counter() - begin) * rank / runs, (time.process_time() - cpu) * rank / runs


def error(crystal: Superlattice, form: Form, intensity: np.ndarray, axis: np.ndarray) -> float:
    """Return the largest error of |A| at some points, relative to the forward direction."""
    some = np.random.default_rng(1).integers(0, len(axis), (20, 3))
    found, worst = np.sqrt(intensity[tuple(some.T)]), 0.0
    turns = None if crystal.orientations is None else Rotation.from_quat(crystal.orientations).inv()
    forward = 4 / 3 * np.pi * (crystal.radii_nm**3).sum()
    for q, value in zip(axis[some], found, strict=True):
        if not form.isotropic:
            in_body = np.tile(q, (crystal.n, 1)) if turns is None else turns.apply(q)
            piece = slice(0, crystal.n, max(1, crystal.n // 20_000))
            if piece.step > 1:  # exact amplitudes of so many polyhedra take too long
                return float("nan")
            amplitudes = form.amplitude(in_body, crystal.radii_nm)
        else:
            amplitudes = form.amplitude(np.linalg.norm(q), crystal.radii_nm)
        exact = np.abs(np.exp(-1j * crystal.positions_nm @ q) @ amplitudes)
        worst = max(worst, abs(value - exact) / forward)
    return worst


def peak_gb() -> float:
    """Return the peak of resident memory so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
