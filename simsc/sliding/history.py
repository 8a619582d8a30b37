"""The stacking of the same layers over time, from sequences of frames or from the files of an order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsc.classify.order import read_order
from simsc.core.errors import InputError
from simsc.core.stacking import stacking_steps


@dataclass(frozen=True, eq=False)
class StackingHistory:
    """The stacking of the same layers over time.

    Args:
        steps: (F, n) ±1 in each frame, step i from layer i to layer i + 1, the same layers in all frames, the first
            step +1 (the sense called + is a matter of the side); 0 where no stacking was read. n may be 0: none at all.
        time_ns: (F,) ns; NaN where unknown.
        phases: (F,) names.
    """

    steps: np.ndarray
    time_ns: np.ndarray
    phases: tuple[str, ...]

    @property
    def read(self) -> np.ndarray:
        """(F,) whether a stacking was read."""
        return np.any(self.steps != 0, axis=1)

    @property
    def hcp_layers(self) -> np.ndarray:
        """(F,) number h of hcp-like layers; NaN where no stacking was read."""
        return np.where(self.read, (self.steps != np.roll(self.steps, 1, axis=1)).sum(axis=1), np.nan)


def stacking_history(
    sequences: Sequence[str], layers: Iterable[np.ndarray], time_ns: np.ndarray, phases: Sequence[str]
) -> StackingHistory:
    """Follow the same layers through frames whose sequences start anywhere and run in either direction.

    Args:
        sequences: (F,) periodic sequences, as of `simsc.classify.stacking.Stacking`; empty where none was read. A
            cell that tilts by a third of a lattice vector has one of three times its layers.
        layers: (F, N) number of each NP's layer within the sequence, array or iterable of frames.
        time_ns: (F,) ns.
        phases: (F,) names.

    Returns:
        The history. Layers are numbered as in the first frame that was read. A frame in which they have mixed or
        changed their order counts as not read.

    Raises:
        InputError: for sequences that cannot repeat, or NPs beyond the first and the last layer, as in finite crystals.
    """
    first: np.ndarray | None = None
    found: list[np.ndarray | None] = []
    for sequence, layer in zip(sequences, layers, strict=True):
        if not sequence:
            found.append(None)
            continue
        if np.min(layer) < 0:
            raise InputError("this is a finite crystal; slides are followed in periodic ones")
        if first is None:
            first, n = np.asarray(layer), int(np.max(layer)) + 1
        found.append(_in_order(stacking_steps(sequence), first, np.asarray(layer), n))
    if first is None:
        return StackingHistory(np.zeros((len(found), 0), np.int8), np.asarray(time_ns, float), tuple(phases))
    unread = np.zeros(n, np.int8)
    steps = np.array([unread if steps is None else steps * steps[0] for steps in found], np.int8)
    return StackingHistory(steps, np.asarray(time_ns, float), tuple(phases))


def _in_order(steps: np.ndarray, first: np.ndarray, layer: np.ndarray, n: int) -> np.ndarray | None:
    """Return the steps (n,) of a frame in the order of the first frame's layers; None if they are not the same."""
    if len(steps) not in (n, 3 * n) or len(layer) != len(first) or layer.max() >= n:
        return None
    shared = np.zeros((n, n), int)
    np.add.at(shared, (first, layer), 1)
    place = shared.argmax(axis=1)
    onwards = (np.roll(place, -1) - place) % n
    if (onwards == 1 % n).all():
        return steps[place]
    if (onwards == n - 1).all():  # read from the other end
        return -steps[(place - 1) % n]
    return None


def read_history(folder: Path) -> StackingHistory:
    """Read the stacking over time of a periodic crystal from a folder that `write_order` wrote.

    Raises:
        InputError: if files are missing or damaged, or the crystal is finite.
    """
    try:
        order = read_order(folder)
        if not order.periodic:
            raise InputError("this is a finite crystal; slides are followed in periodic ones")
        return stacking_history(order.sequences, order.by_frame("layers"), order.time_ns, order.phases)
    except (ValueError, TypeError, RuntimeError, InputError) as error:
        raise InputError(f"{folder}: no stacking over time: {' '.join(str(error).split())}") from None
