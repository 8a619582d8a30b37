"""What labels cost beyond the calls of freud that they need, and how much memory, up to a million NPs.

    python tests/benchmarks/order_speed.py [--sizes 10000 100000 1000000] [--write]

Each size is a shaken crystal of random layers (σ = 5 % of the nearest-neighbour distance), labelled in a process of its
own. There every call of freud (neighbour searches, neighbour lists, Steinhardt's invariants) is timed; the ratio is the
time of all over the time in these calls, in the same run. Memory is the peak of that process, with Python, NumPy and
freud (about 0.15 GB) and the crystal.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
from benchmark_tables import table_of, write_table

from simsc.builders.close_packed import close_packed
from simsc.classify.labels import METHODS
from simsc.core.stacking import lettered
from simsc.core.superlattice import Superlattice

RESULT = table_of(__file__)
LAYERS = 24
SIGMA = 0.05


class Stopwatch:
    """Adds up the time within some functions; of calls within calls only the outer one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watch(self, owner: type, name: str) -> None:
        """Time a method of a class from now on."""
        inner = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            if self._inside:
                return inner(*arguments, **options)
            self._inside, begin = True, time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                self._inside = False
                self.seconds += time.perf_counter() - begin

        setattr(owner, name, timed)


def crystal(n: int, rng: np.random.Generator) -> Superlattice:
    """Return a shaken crystal of about n NPs in random layers."""
    while (steps := rng.choice([-1, 1], LAYERS)).sum() % 3:
        pass
    across = max(1, round(np.sqrt(n / LAYERS / 2 * np.sqrt(3))))
    perfect = close_packed(lettered(steps[:-1]), 1.0, (across, max(1, round(across / np.sqrt(3)))))
    moved = perfect.positions_nm + rng.normal(scale=SIGMA, size=perfect.positions_nm.shape)
    return Superlattice(moved, cell=perfect.cell)


def measure(method: str, n: int) -> dict[str, str]:
    """Label once, with every call of freud timed."""
    import freud

    superlattice = crystal(n, np.random.default_rng(7))
    METHODS[method](crystal(2000, np.random.default_rng(8)))  # what is imported and read once
    watch = Stopwatch()
    for owner, names in (
        (freud.locality.AABBQuery, ("__init__", "query")),
        (freud.locality.NeighborQueryResult, ("toNeighborList",)),
        (freud.locality.NeighborList, ("from_arrays",)),
        (freud.order.Steinhardt, ("__init__", "compute")),
    ):
        for name in names:
            watch.watch(owner, name)
    begin = time.perf_counter()
    METHODS[method](superlattice)
    seconds = time.perf_counter() - begin
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "method": method,
        "n": str(superlattice.n),
        "ratio_to_freud": f"{seconds / watch.seconds:.2f}",
        "microseconds_per_np": f"{1e6 * seconds / superlattice.n:.1f}",
        "peak_memory_gb": f"{peak_gb:.2f}",
    }


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "N"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]))))
        return
    rows = []
    for method in ("thermal", "paper"):
        for n in arguments.sizes:
            command = [sys.executable, __file__, "--one", method, str(n)]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(*rows[-1].values(), sep="  ", flush=True)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
