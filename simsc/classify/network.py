"""The network that turns the surroundings of a nanoparticle into probabilities of classes."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsc.classify.environment import Shells

_CHUNK = 50_000  # NPs at a time, so that memory stays bounded


@dataclass(frozen=True, eq=False)
class Network:
    """A multilayer perceptron with rectified linear units.

    Args:
        classes: names of the C classes.
        shells: what its features are made of.
        mean, scale: (F,) of the features, by which they are standardised.
        weights: matrices from one layer to the next.
        biases: as many vectors.
    """

    classes: tuple[str, ...]
    shells: Shells
    mean: np.ndarray
    scale: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probabilities (N, C) of the classes, from features (N, F)."""
        parts = [self._probabilities(features[k : k + _CHUNK]) for k in range(0, len(features), _CHUNK)]
        return np.concatenate(parts)

    def _probabilities(self, features: np.ndarray) -> np.ndarray:
        values = (features - self.mean) / self.scale
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = np.maximum(values @ weight + bias, 0)
        values = (values @ self.weights[-1] + self.biases[-1]).astype(np.float64)
        values = np.exp(values - values.max(axis=1, keepdims=True))
        return values / values.sum(axis=1, keepdims=True)


@functools.cache
def load_network() -> Network:
    """Return the network that comes with simsc; see `simsc/classify/training/README.md` for how it was made."""
    with np.load(Path(__file__).parent / "training" / "network.npz", allow_pickle=False) as file:
        layers = range(sum(name.startswith("weight") for name in file.files))
        return Network(
            tuple(str(name) for name in file["classes"]),
            Shells(
                tuple(file["centres"].tolist()),
                float(file["half_width"]),
                tuple(file["degrees"].tolist()),
                tuple(file["third_order"].tolist()),
            ),
            file["mean"],
            file["scale"],
            tuple(file[f"weight{k}"] for k in layers),
            tuple(file[f"bias{k}"] for k in layers),
        )
