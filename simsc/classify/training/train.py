"""Derives `network.npz`, which labels nanoparticles by their surroundings, and `quality.csv`.

    python simsc/classify/training/train.py [--frames 1600] [--workers 2] [--write]

needs scikit-learn besides simsc (extra `train`). Takes about an hour of one core; the same seed gives the same network
on the same machine.
"""

import argparse
import csv
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
from crystals import (
    CLASSES,
    ball,
    bcc,
    classes_of_cluster,
    decahedron,
    liquid,
    random_stacking,
    shaken,
    stacked,
    with_vacancies,
)

from simsc.builders.supraparticle import icosahedron
from simsc.classify.environment import Shells, environments
from simsc.core.superlattice import Superlattice

SEED = 20251217
HERE = Path(__file__).parent
SHELLS = Shells((1.0, 1.35, 1.7, 2.05), 0.35, tuple(range(1, 11)), (4, 6))
LARGEST_SIGMA = 0.16
STRAIN = 0.012  # standard deviation of each component; of larger strains `environments` leaves as much
HIDDEN = (128, 64)
Sample = tuple[Superlattice, np.ndarray]


def periodic(rng: np.random.Generator) -> Sample:
    """Stackings of all kinds, as many hcp-like as fcc-like layers on average; now and then with vacancies."""
    layers, lateral = [(12, (1, 1)), (12, (4, 2)), (12, (5, 3)), (9, (6, 3)), (14, (4, 3))][rng.integers(5)]
    alpha = rng.choice([0.0, 0.2, 0.5, 0.8, 1.0])
    if layers == 12 and alpha in (0.0, 1.0):
        sequence = {0.0: "AB" * 6, 1.0: "ABC" * 4}[alpha]
    else:
        sequence = random_stacking(rng, layers, min(max(alpha, 0.1), 0.9))
    crystal, classes = stacked(sequence, lateral)
    return with_vacancies(crystal, classes, 0.01, rng) if rng.random() < 0.2 and crystal.n > 24 else (crystal, classes)


def finite(rng: np.random.Generator) -> Sample:
    """Balls of stackings, icosahedra of both kinds, decahedra."""
    kind = rng.integers(3)
    if kind == 0:
        cluster = ball(random_stacking(rng, 12, rng.choice([0.2, 0.5, 0.8])), rng.uniform(2.8, 4.8), rng)
    elif kind == 1:
        order = int(rng.integers(2, 9))
        layers = int(rng.integers(0, order + 1)) if rng.random() < 0.5 else 0
        cluster = icosahedron(order, 1.0, layers, 2 * rng.uniform(3.0, 7.0))
    else:
        cluster = decahedron(int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    return cluster, classes_of_cluster(cluster)


def icosahedra(rng: np.random.Generator) -> Sample:
    """Mackay icosahedra: many centres and five-fold axes. Each has one centre, in surroundings of all its sizes."""
    cluster = icosahedron(int(rng.integers(2, 8)), 1.0)
    return cluster, classes_of_cluster(cluster)


def others(rng: np.random.Generator) -> Sample:
    """Bcc, disordered packings, gas."""
    kind = rng.integers(3)
    if kind == 0:
        crystal = bcc(4)
        return crystal, np.full(crystal.n, CLASSES.index("bcc"))
    crystal = liquid(rng, 150, 400 if kind == 1 else int(rng.integers(10)))
    return crystal, np.full(crystal.n, CLASSES.index("other"))


MIX: list[Callable[[np.random.Generator], Sample]] = [periodic] * 7 + [finite] * 3 + [icosahedra] * 3 + [others]


def frame(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, classes and displacements of the NPs of one frame."""
    rng = np.random.default_rng([SEED, number])
    crystal, classes = MIX[number % len(MIX)](rng)
    sigma = rng.uniform(0.0, LARGEST_SIGMA if rng.random() < 0.9 else 0.02) * (rng.random() < 0.96)
    collective = rng.choice([0.0, 0.0, 0.3])
    strain = STRAIN * (rng.random() < 0.9)
    return environments(shaken(crystal, sigma, strain, rng, collective), SHELLS), classes, np.full(crystal.n, sigma)


def main() -> None:
    """Make the samples, train, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="replace network.npz and quality.csv")
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        parts = []
        for part in pool.imap(frame, range(options.frames)):
            parts.append(part)
            if len(parts) % 50 == 0:
                print(f"{len(parts)} of {options.frames} frames", flush=True)
    held_out = np.concatenate([np.full(len(part[1]), k % 25 >= 23) for k, part in enumerate(parts)])
    features, classes, sigmas = (np.concatenate(column) for column in zip(*parts, strict=True))
    network = trained(features[~held_out], classes[~held_out])
    probabilities = forward(network, features[held_out])
    rows = quality(probabilities, classes[held_out], sigmas[held_out])
    for row in rows:
        print(*row)
    if options.write:
        np.savez_compressed(HERE / "network.npz", **network)
        with open(HERE / "quality.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("sigma", "class", "n", "recall", "calibration_error"), *rows])


def trained(features: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
    """Train the network; every third frame or so has few fcc or hcp, so these two are made equally frequent."""
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(SEED)
    fcc, hcp = (np.flatnonzero(classes == CLASSES.index(name)) for name in ("fcc", "hcp"))
    n = min(len(fcc), len(hcp))
    kept = np.concatenate([rng.permutation(fcc)[:n], rng.permutation(hcp)[:n], np.flatnonzero(classes > 1)])
    kept = rng.permutation(kept)
    mean = features[kept].mean(axis=0)
    scale = features[kept].std(axis=0) + 1e-6
    model = MLPClassifier(HIDDEN, alpha=1e-5, batch_size=256, random_state=SEED % 2**31, max_iter=1, warm_start=True)
    inputs, targets = ((features[kept] - mean) / scale).astype(np.float32), classes[kept]
    for rate, epochs in ((2e-3, 12), (1e-3, 8), (5e-4, 6), (2e-4, 5), (5e-5, 4)):
        model.set_params(learning_rate_init=rate)
        for _ in range(epochs):
            model.partial_fit(inputs, targets, classes=np.arange(len(CLASSES)))
            model._optimizer.learning_rate = model._optimizer.learning_rate_init = rate
        print(f"rate {rate:g}: loss {model.loss_:.5f}", flush=True)
    network = {"classes": np.array(CLASSES), "mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}
    network |= {f"weight{k}": w.astype(np.float32) for k, w in enumerate(model.coefs_)}
    network |= {f"bias{k}": b.astype(np.float32) for k, b in enumerate(model.intercepts_)}
    shells = {
        "centres": np.array(SHELLS.centres),
        "half_width": np.array(SHELLS.half_width),
        "degrees": np.array(SHELLS.degrees),
        "third_order": np.array(SHELLS.third_order),
    }
    return network | shells


def forward(network: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, C) of a network."""
    from simsc.classify.network import Network

    n = sum(name.startswith("weight") for name in network)
    layers = [tuple(network[f"{name}{k}"] for k in range(n)) for name in ("weight", "bias")]
    return Network(CLASSES, SHELLS, network["mean"], network["scale"], *layers).probabilities(features)


def quality(probabilities: np.ndarray, classes: np.ndarray, sigmas: np.ndarray) -> list[tuple[object, ...]]:
    """Return rows of recall and expected calibration error on frames that were not learned from."""
    rows: list[tuple[object, ...]] = []
    labels = probabilities.argmax(axis=1)
    certainty = probabilities.max(axis=1)
    for low in np.arange(0, LARGEST_SIGMA, 0.02):
        inside = (sigmas >= low) & (sigmas < low + 0.02)
        bins = np.minimum((certainty[inside] * 15).astype(int), 14)
        right = labels[inside] == classes[inside]
        gaps = [abs((right - certainty[inside])[bins == k].sum()) for k in range(15)]
        for number, name in enumerate(CLASSES):
            own = inside & (classes == number)
            if own.any():
                recall = float((labels[own] == number).mean())
                rows.append((f"{low:.2f}", name, int(own.sum()), f"{recall:.4f}", f"{sum(gaps) / inside.sum():.4f}"))
    return rows


if __name__ == "__main__":
    main()
