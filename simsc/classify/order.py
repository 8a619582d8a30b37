"""Bond order and labels over time as arrays."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simsc.classify.over_time import TimedOrder
from simsc.classify.steinhardt import IDEAL


@dataclass(frozen=True, eq=False)
class Order:
    """Bond order and labels of each NP in each frame.

    Args:
        q4, q6: (F, N) Steinhardt's invariants.
        labels: (F, N) names of classes.
        layers: (F, N) number of each NP's layer within the sequence; −1 where it could not be read.
        time_ns: (F,) time, ns.
        phases: (F,) name of the phase.
        sequences: (F,) stacking sequence; empty where it could not be read.
        classes: fcc, hcp, and what else there is in any frame.
    """

    q4: np.ndarray
    q6: np.ndarray
    labels: np.ndarray
    layers: np.ndarray
    time_ns: np.ndarray
    phases: tuple[str, ...]
    sequences: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, frames: Iterable[TimedOrder]) -> "Order":
        """Return the order of frames, at least one, from `simsc.classify.over_time.timed_order`."""
        found = list(frames)
        labels = np.array([one.order.labels.labels for one in found])
        read = [one.order.stacking for one in found]
        return cls(
            q4=np.array([one.order.bond_order.q4 for one in found]),
            q6=np.array([one.order.bond_order.q6 for one in found]),
            labels=labels,
            layers=np.array([np.full(labels.shape[1], -1) if one is None else one.layers for one in read]),
            time_ns=np.array([one.time_ns for one in found]),
            phases=tuple(one.phase for one in found),
            sequences=tuple("" if one is None else one.sequence for one in read),
            classes=tuple(name for name in found[0].order.labels.classes if name in IDEAL or (labels == name).any()),
        )

    def counts(self, frame: int) -> dict[str, int]:
        """Return how many NPs of each class a frame has."""
        return {name: int((self.labels[frame] == name).sum()) for name in self.classes}
