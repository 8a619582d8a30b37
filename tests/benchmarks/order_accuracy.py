"""How often labels of fcc and hcp, and stacking sequences, are right: simsc beside OVITO, in one run.

    python tests/benchmarks/order_accuracy.py [--seeds 20] [--figure reliability.png] [--write]

Crystals with known layers are strained (1 % in every component), turned and shaken: each NP by a Gaussian displacement
of σ per coordinate, in units of the nearest-neighbour distance. Seeds and strains are others than those of the
references (`simsc/classify/training`). Compared are simsc's two methods and, if OVITO is installed (https://www.ovito.org),
its polyhedral template matching, with its default cutoff of the RMSD and without any, and its adaptive common-neighbour
analysis; OVITO gets thin cells replicated, for its own search misses neighbours there. "average" is of ten frames.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmark_tables import table_of, write_table
from ovito_labels import Label, ovito_methods

from simsc.builders.close_packed import close_packed
from simsc.classify.labels import label_paper, label_thermal
from simsc.classify.stacking import stacking_sequence
from simsc.core.cell import Cell
from simsc.core.stacking import canonical, layer_kinds, lettered
from simsc.core.superlattice import Superlattice

SEED = 990017
RESULT = table_of(__file__)
SIGMAS = (0.02, 0.05, 0.08, 0.10, 0.12)
STRAIN = 0.01
FRAMES = 10
PAPER, HEALED = "ABCABCABABAB", "ABCABCACBACB"


def random_hcp(rng: np.random.Generator, n: int) -> str:
    """Return n layers, n a multiple of 3, whose steps are drawn at random, so that the sequence closes."""
    while (steps := rng.choice([-1, 1], n)).sum() % 3:
        pass
    return lettered(steps[:-1])


def twinned(n: int) -> str:
    """Return fcc with a twin boundary every n/2 layers."""
    return lettered(np.repeat([1, -1], n // 2)[:-1])


SYSTEMS: dict[str, tuple[Callable[[np.random.Generator], str], tuple[int, int]]] = {
    "fcc": (lambda rng: "ABC" * 4, (4, 3)),
    "random hcp": (lambda rng: random_hcp(rng, 12), (4, 3)),
    "twinned": (lambda rng: twinned(12), (4, 3)),
    "24-NP cell": (lambda rng: PAPER, (1, 1)),
}


def crystal(sequence: str, lateral: tuple[int, int], rng: np.random.Generator) -> tuple[Superlattice, np.ndarray]:
    """Return a strained crystal, turned at random, and the class of each NP."""
    perfect = close_packed(sequence, 1.0, lateral)
    assert perfect.cell is not None
    deformed = (np.eye(3) + rng.normal(scale=STRAIN, size=(3, 3))) @ Rotation.random(random_state=rng).as_matrix()
    kinds = np.array([dict(c="fcc", h="hcp")[kind] for kind in layer_kinds(sequence)])
    cell = Cell(perfect.cell.vectors_nm @ deformed)
    return Superlattice(perfect.positions_nm @ deformed, cell=cell), np.repeat(kinds, perfect.n // len(sequence))


def shaken(superlattice: Superlattice, sigma: float, rng: np.random.Generator, frames: int = 1) -> Superlattice:
    """Return a superlattice shaken once, or the mean of several frames."""
    moved = rng.normal(scale=sigma, size=(frames, *superlattice.positions_nm.shape)).mean(axis=0)
    return Superlattice(superlattice.positions_nm + moved, cell=superlattice.cell)


def methods() -> dict[str, Label]:
    """Return the methods that are at hand."""
    found: dict[str, Label] = {
        "simsc thermal": lambda x: label_thermal(x).labels,
        "simsc paper": lambda x: label_paper(x).labels,
    }
    try:
        return found | ovito_methods()
    except ImportError:
        print("OVITO cannot be loaded: simsc alone")
        return found


def labels(seeds: int) -> list[dict[str, str]]:
    """Return the part of NPs that each method labels right."""
    rows = []
    for name, (sequence, lateral) in SYSTEMS.items():
        repeats = seeds * (12 if lateral == (1, 1) else 1)
        for sigma in SIGMAS:
            for frames, title in ((1, "one frame"), (FRAMES, "average")):
                row = {"what": f"labels right, %: {name}, {title}", "sigma": f"{sigma:g}"}
                right = {method: 0 for method in METHODS}
                total = 0
                for seed in range(repeats):
                    rng = np.random.default_rng([SEED, seed, int(1000 * sigma)])
                    perfect, classes = crystal(sequence(rng), lateral, rng)
                    frame = shaken(perfect, sigma, rng, frames)
                    total += perfect.n
                    for method, label in METHODS.items():
                        right[method] += int((label(frame) == classes).sum())
                row |= {method: f"{100 * n / total:.1f}" for method, n in right.items()}
                rows.append(row)
                print(*row.values(), sep="  ", flush=True)
    return rows


def reliability(seeds: int, figure: Path | None) -> list[dict[str, str]]:
    """Return the expected calibration error of the probabilities, and how often labels of a certainty are right."""
    certain, right = [], []
    for name, (sequence, lateral) in SYSTEMS.items():
        for seed in range(seeds):
            rng = np.random.default_rng([SEED, seed, len(name)])
            perfect, classes = crystal(sequence(rng), lateral, rng)
            found = label_thermal(shaken(perfect, rng.uniform(0, SIGMAS[-1]), rng))
            certain.append(found.probability)
            right.append(found.labels == classes)
    certainty, correct = np.concatenate(certain), np.concatenate(right)
    edges = np.linspace(0.3, 1.0, 15)
    bins = np.clip(np.digitize(certainty, edges) - 1, 0, len(edges) - 2)
    n, p, share = (np.bincount(bins, x, len(edges) - 1) for x in (None, certainty, correct))
    error = np.abs(share - p).sum() / n.sum()
    kept = n > 0
    if figure is not None:
        draw(p[kept] / n[kept], share[kept] / n[kept], n[kept], error, figure)
    rows = [{"what": "expected calibration error", "sigma": "0 to 0.12", "simsc thermal": f"{error:.4f}"}]
    for k in np.flatnonzero(kept):
        what = f"right of {n[k]} labels with probability {edges[k]:.2f} to {edges[k + 1]:.2f}, mean {p[k] / n[k]:.3f}"
        rows.append({"what": what, "sigma": "0 to 0.12", "simsc thermal": f"{share[k] / n[k]:.3f}"})
    for row in rows:
        print(*row.values(), sep="  ", flush=True)
    return rows


def draw(p: np.ndarray, share: np.ndarray, n: np.ndarray, error: float, file: Path) -> None:
    """Draw a reliability diagram."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.plot([0.3, 1], [0.3, 1], color="grey", linewidth=0.8)
    ax.errorbar(p, share, np.sqrt(share * (1 - share) / n), fmt="o", color="#1f6fb4")
    ax.set(xlabel="probability of the label", ylabel="part of labels that are right")
    ax.set_title(f"expected calibration error {error:.3f}")
    ax.grid(alpha=0.3)
    figure.savefig(file, dpi=150)


def counts(seeds: int) -> list[dict[str, str]]:
    """Return the mean number of fcc NPs that is found in the two cells of the paper."""
    rows = []
    for sequence, true in ((PAPER, 12), (HEALED, 20)):
        for sigma in (0.05, 0.08):
            row = {"what": f"fcc of 24 NPs in {sequence}, {true} in truth", "sigma": f"{sigma:g}"}
            found: dict[str, list[int]] = {method: [] for method in METHODS}
            for seed in range(10 * seeds):
                rng = np.random.default_rng([SEED, seed, true])
                frame = shaken(crystal(sequence, (1, 1), rng)[0], sigma, rng)
                for method, label in METHODS.items():
                    found[method].append(int((label(frame) == "fcc").sum()))
            row |= {method: f"{np.mean(n):.2f} ± {np.std(n) / np.sqrt(len(n)):.2f}" for method, n in found.items()}
            rows.append(row)
            print(*row.values(), sep="  ", flush=True)
    return rows


def ball(rng: np.random.Generator) -> tuple[Superlattice, str]:
    """Return a ball of more than 3000 NPs cut out of random layers, turned at random, and its sequence."""
    sequence = lettered(rng.choice([-1, 1], 17))
    block = close_packed(sequence + "C" * (sequence[-1] == sequence[0]), 1.0, (20, 12))
    assert block.cell is not None
    layers = np.repeat(np.arange(len(sequence)), 480)
    positions = block.positions_nm[: len(layers)]
    centre = np.append(block.cell.vectors_nm.sum(axis=0)[:2] / 2, positions[:, 2].mean())
    inside = np.linalg.norm(positions - centre, axis=1) < 8.2
    kept = [k for k in range(len(sequence)) if (layers[inside] == k).sum() >= 3]
    turned = (positions[inside] - centre) @ Rotation.random(random_state=rng).as_matrix()
    return Superlattice(turned), "".join(sequence[k] for k in kept)


def sequences(seeds: int) -> list[dict[str, str]]:
    """Return how often the stacking sequence is read right."""

    def share(make: Callable[[np.random.Generator], tuple[Superlattice, str, bool]], n: int) -> str:
        right = 0
        for seed in range(n):
            frame, sequence, periodic = make(np.random.default_rng([SEED, seed, n]))
            found = stacking_sequence(frame)
            right += found is not None and canonical(found.sequence, periodic) == canonical(sequence, periodic)
        return f"{100 * right / n:.1f}"

    def cell(lateral: tuple[int, int], frames: int) -> Callable[[np.random.Generator], tuple[Superlattice, str, bool]]:
        def make(rng: np.random.Generator) -> tuple[Superlattice, str, bool]:
            sequence = random_hcp(rng, 12)
            return shaken(crystal(sequence, lateral, rng)[0], 0.10, rng, frames), sequence, True

        return make

    def finite(rng: np.random.Generator) -> tuple[Superlattice, str, bool]:
        cluster, sequence = ball(rng)
        return shaken(cluster, 0.10, rng), sequence, False

    rows = [
        {"what": "sequences right, %: 288 NPs, one frame", "simsc thermal": share(cell((4, 3), 1), 10 * seeds)},
        {"what": "sequences right, %: 24 NPs, average", "simsc thermal": share(cell((1, 1), FRAMES), 10 * seeds)},
        {"what": "sequences right, %: balls of random layers, one frame", "simsc thermal": share(finite, 2 * seeds)},
    ]
    for row in rows:
        row["sigma"] = "0.1"
        print(*row.values(), sep="  ", flush=True)
    return rows


METHODS = methods()


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--figure", type=Path, help="draw the reliability diagram into this file")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    rows = labels(arguments.seeds) + counts(arguments.seeds)
    rows += reliability(5 * arguments.seeds, arguments.figure) + sequences(arguments.seeds)
    if arguments.write:
        write_table(RESULT, rows, arguments, ["what", "sigma", *METHODS])


if __name__ == "__main__":
    main()
