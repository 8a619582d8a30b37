"""Four nanoparticles, each with its own chance and orientation, brought together: what binds, and how far apart.

    simsc run tests/benchmarks/independent_nanoparticles.toml --output RUN     (two hours and a half on two cores)
    python tests/benchmarks/independent_nanoparticles.py RUN [--write]

The NPs come together rigidly, as a whole, from beyond the reach of their ligands (the cores never deform), are pressed,
and rest at 300 K and 600 K. Only the crystal of the run is needed: it may be stopped when its annealing begins. Tells
the counts of each NP as built, relaxed alone, and after all phases; and the distance of nearest neighbours in the
second half of each phase at a constant temperature, with its drift: the slope of a straight line, and the standard
error of both from the means of five blocks.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table

RESULT = table_of(__file__)
COUNTED = ("bound", "cis", "double_bonds", "closest_angstrom", "interior_ideal")
BLOCKS = 5


def censuses(run: Path) -> list[dict[str, str]]:
    """Return a row for each NP and each of its three states."""
    rows = []
    last = json.loads((run / "crystal" / "census.json").read_text())
    for k, final in enumerate(last):
        states = json.loads((run / "nanoparticle" / f"census_{k}.json").read_text()) | {"after all phases": final}
        for state, census in states.items():
            counts = {name: census[name] for name in COUNTED} | census["binding"]
            rows += [
                {"what": f"NP {k}, {state}: {name}", "value": f"{value:.4g}", "standard_error": ""}
                for name, value in counts.items()
            ]
    return rows


def rests(run: Path) -> list[dict[str, str]]:
    """Return d_NN and its drift for each phase at a constant temperature."""
    with open(run / "crystal" / "thermo.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    rows = []
    for phase in dict.fromkeys(row["phase"] for row in table):
        chosen = [row for row in table if row["phase"] == phase]
        targets = {float(row["target_K"]) for row in chosen}
        chosen = chosen[len(chosen) // 2 :]
        if len(targets) > 1 or phase == "compress":
            continue
        time_ps = 1000 * np.array([float(row["time_ns"]) for row in chosen])
        d_nn_nm = np.array([float(row["d_nn_nm"]) for row in chosen])
        times, means = (np.array([b.mean() for b in np.array_split(x, BLOCKS)]) for x in (time_ps, d_nn_nm))
        (slope, _), covariance = np.polyfit(times, means, 1, cov=True)
        name = f"{phase}, {targets.pop():g} K, last {np.ptp(time_ps):.0f} ps"
        for what, value, error in (
            ("d_NN, nm", d_nn_nm.mean(), means.std(ddof=1) / np.sqrt(BLOCKS)),
            ("drift, nm/ns", 1000 * slope, 1000 * np.sqrt(covariance[0, 0])),
        ):
            rows.append({"what": f"{name}: {what}", "value": f"{value:.3f}", "standard_error": f"{error:.3f}"})
    return rows


def main() -> None:
    """Print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    rows = rests(arguments.run) + censuses(arguments.run)
    for row in rows:
        print(*row.values(), sep="  ")
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
