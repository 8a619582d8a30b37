"""Order over a trajectory: frame by frame, on several processes if wished; which NPs change class, and when."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

from simsc.classify.labels import METHODS, Labels
from simsc.classify.stacking import Stacking, stacking_sequence
from simsc.classify.steinhardt import BondOrder, bond_order
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

_AHEAD = 64  # frames that are being worked on at a time; bounds memory
_FLOOR = 1e-6  # of a probability, so that no single frame decides
_LEAST_EVIDENCE = 3.0  # log-likelihood of a change against none, beyond log F for the choice of its frame


@dataclass(frozen=True, eq=False)
class FrameOrder:
    """The order of one frame.

    Args:
        bond_order: q4, q6, w4, w6 of each NP.
        labels: class of each NP, with probabilities.
        stacking: the stacking sequence; None where no layers are found.
    """

    bond_order: BondOrder
    labels: Labels
    stacking: Stacking | None


def frame_order(superlattice: Superlattice, method: str = "thermal") -> FrameOrder:
    """Compute bond order, labels and stacking of one frame.

    Args:
        superlattice: NPs, periodic or in free space.
        method: of the labels, a key of `simsc.classify.labels.METHODS`.

    Raises:
        InputError: for an unknown method, fewer than 13 NPs in free space, or NPs at the same place.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is not known; available: {', '.join(METHODS)}")
    return FrameOrder(bond_order(superlattice), METHODS[method](superlattice), stacking_sequence(superlattice))


def order_over_time(
    frames: Iterable[Superlattice], method: str = "thermal", executor: Executor | None = None
) -> Iterator[FrameOrder]:
    """Compute the order of frames, one after another as they are asked for.

    Args:
        frames: superlattices; a generator is read only as far as needed.
        method: of the labels.
        executor: where to compute: a `concurrent.futures` pool of processes, or that of a Dask cluster
            (`distributed.Client(…).get_executor()`); None computes here.

    Yields:
        The order of each frame, in their sequence. At most 64 frames are under way at a time.
    """
    if executor is None:
        yield from (frame_order(frame, method) for frame in frames)
        return
    waiting: deque[Future[FrameOrder]] = deque()
    iterator = iter(frames)
    try:
        while True:
            for frame in itertools.islice(iterator, _AHEAD - len(waiting)):
                waiting.append(executor.submit(frame_order, frame, method))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def averaged(positions_nm: np.ndarray, cells_nm: np.ndarray, window: Sequence[int] | np.ndarray) -> Superlattice:
    """Return the mean of some frames: thermal motion averages out, the structure remains.

    Averaged are the places within the cell, and the cell itself, so that a cell that breathes blurs nothing. Cells that
    differ by a choice of vectors only, as after a flip of a sheared box, are written alike first.

    Args:
        positions_nm: (F, N, 3) unwrapped centres, nm.
        cells_nm: (F, 3, 3) cell vectors as rows, nm.
        window: numbers of the frames.
    """
    first = np.linalg.inv(cells_nm[window[0]])
    cells = {k: np.linalg.solve(np.rint(cells_nm[k] @ first), cells_nm[k]) for k in window}
    within = np.mean([np.linalg.solve(cells[k].T, positions_nm[k].T).T for k in window], axis=0)
    cell = Cell(np.mean(list(cells.values()), axis=0))
    return Superlattice(within @ cell.vectors_nm, cell=cell)


def windows(phase: np.ndarray, n: int) -> list[np.ndarray]:
    """Return for each frame the numbers of up to n frames around it that belong to the same phase.

    Args:
        phase: (F,) number of the phase of each frame; a phase is without gaps.
        n: width; 1 for the frame alone. Windows at an end of a phase are shifted inwards, not shortened.
    """
    found = []
    for k, own in enumerate(phase):
        members = np.flatnonzero(phase == own)
        begin = np.clip(k - n // 2, members[0], max(members[-1] + 1 - n, members[0]))
        found.append(np.arange(begin, min(begin + n, members[-1] + 1)))
    return found


def fractions(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fraction of NPs of each class, and its standard error, over time.

    Args:
        probabilities: (F, N, C) of the classes of each NP.

    Returns:
        Two arrays (F, C): mean probability, and the standard error that follows from NPs whose class is uncertain. It
        does not tell how much another sample would differ: replicas do.
    """
    variance = (probabilities * (1 - probabilities)).sum(axis=1) / probabilities.shape[1] ** 2
    return probabilities.mean(axis=1), np.sqrt(variance)


def transitions(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the expected number of NPs that go from each class to each other.

    Args:
        first: (N, C) probabilities of each NP, or ones and zeros for labels, at one time.
        last: the same at another time.

    Returns:
        (C, C): from the class of a row to that of a column. All elements add up to N.
    """
    return first.T @ last


def change_frames(probabilities: np.ndarray, start: int, end: int) -> np.ndarray:
    """Find when each NP changes from one class to another, once and for good.

    The frame of a change is where the likelihood of "class `start` before, `end` from here on" is largest. It counts
    as a change only where this is likelier than no change at all by e³ times the number of frames.

    Args:
        probabilities: (F, N, C) of the classes of each NP over time.
        start: number of the class before, as that of hcp.
        end: number of the class after, as that of fcc.

    Returns:
        (N,) number of the first frame of the new class; −1 for NPs that do not change so.
    """
    logarithms = np.log(np.maximum(probabilities, _FLOOR))
    before, after = logarithms[:, :, start], logarithms[:, :, end]
    zero = np.zeros((1, before.shape[1]))
    ahead = np.concatenate([zero, np.cumsum(before, axis=0)])  # of the frames before frame k
    behind = after.sum(axis=0) - np.concatenate([zero, np.cumsum(after, axis=0)])  # of frame k and all later ones
    likelihood = ahead + behind
    unchanged = logarithms.sum(axis=0).max(axis=1)
    best = likelihood[1:-1].argmax(axis=0) + 1 if len(likelihood) > 2 else np.zeros(before.shape[1], dtype=int)
    gain = likelihood[best, np.arange(before.shape[1])] - unchanged
    return np.where(gain > _LEAST_EVIDENCE + np.log(max(len(before), 1)), best, -1)


def healing_time_ns(
    time_ns: np.ndarray, changes: np.ndarray, seed: int = 0, samples: int = 1000
) -> tuple[float, float, float]:
    """Return the median time at which NPs changed, and the bounds of its 95 % interval by resampling NPs.

    Args:
        time_ns: (F,) times of the frames, ns.
        changes: (N,) from `change_frames`.
        seed: of the resampling.
        samples: number of resamplings.

    Returns:
        Median, lower and upper bound, ns; NaN where no NP changed.
    """
    times = np.asarray(time_ns)[changes[changes >= 0]]
    if len(times) == 0:
        return float("nan"), float("nan"), float("nan")
    chosen = np.random.default_rng(seed).integers(len(times), size=(samples, len(times)))
    low, high = np.quantile(np.median(times[chosen], axis=1), [0.025, 0.975])
    return float(np.median(times)), float(low), float(high)
