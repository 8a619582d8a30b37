"""Order over a trajectory: frame by frame, on several processes if wished; which NPs change class, and when."""

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.classify.labels import METHODS, Labels
from simsc.classify.stacking import Stacking, stacking_sequence
from simsc.classify.steinhardt import BondOrder, bond_order
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.processes import pool
from simsc.core.superlattice import Frame, Superlattice

_AHEAD = 64  # frames that are being worked on at a time; bounds memory
_WORTH_PROCESSES = 50_000  # NPs in all frames; a process takes two seconds to start, and 1000 of them one
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


def frame_order(superlattice: Superlattice, method: str = "thermal", d_nn_nm: float | None = None) -> FrameOrder:
    """Compute bond order, labels and stacking of one frame.

    Args:
        superlattice: NPs, periodic or in free space.
        method: of the labels, a key of `simsc.classify.labels.METHODS`.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Raises:
        InputError: for an unknown method, fewer than 13 NPs in free space, or NPs at the same place.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is not known; available: {', '.join(METHODS)}")
    return FrameOrder(
        bond_order(superlattice, d_nn_nm),
        METHODS[method](superlattice, d_nn_nm),
        stacking_sequence(superlattice, d_nn_nm),
    )


def order_over_time(
    frames: Iterable[Superlattice],
    method: str = "thermal",
    executor: Executor | None = None,
    d_nn_nm: float | None = None,
) -> Iterator[FrameOrder]:
    """Compute the order of frames, one after another as they are asked for.

    Args:
        frames: superlattices; a generator is read only as far as needed.
        method: of the labels.
        executor: where to compute: a `concurrent.futures` pool of processes, or that of a Dask cluster
            (`distributed.Client(…).get_executor()`); None computes here.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it in each frame.

    Yields:
        The order of each frame, in their sequence. At most 64 frames are under way at a time.
    """
    if executor is None:
        yield from (frame_order(frame, method, d_nn_nm) for frame in frames)
        return
    waiting: deque[Future[FrameOrder]] = deque()
    iterator = iter(frames)
    try:
        while True:
            for frame in itertools.islice(iterator, _AHEAD - len(waiting)):
                waiting.append(executor.submit(frame_order, frame, method, d_nn_nm))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@dataclass(frozen=True, eq=False)
class TimedOrder:
    """The order of a frame at its time.

    Args:
        order: order.
        time_ns: time, ns; NaN where unknown.
        phase: name of the phase; empty where there is none.
    """

    order: FrameOrder
    time_ns: float
    phase: str


def timed_order(
    frames: Iterable[Frame], method: str = "thermal", executor: Executor | None = None, d_nn_nm: float | None = None
) -> Iterator[TimedOrder]:
    """Compute the order of frames with times, as `order_over_time` does."""
    passed: deque[tuple[float, str]] = deque()

    def superlattices() -> Iterator[Superlattice]:
        for frame in frames:
            passed.append((frame.time_ns, frame.phase))
            yield frame.superlattice

    for order in order_over_time(superlattices(), method, executor, d_nn_nm):
        yield TimedOrder(order, *passed.popleft())


def averages(frames: Iterable[Frame], n: int) -> Iterator[Frame]:
    """Replace each frame by the mean of up to n frames around it that belong to the same phase.

    Args:
        frames: frames, one after another; a phase is without gaps.
        n: width; 1 for the frames as they are. Windows at an end of a phase are shifted inwards, not shortened.

    Yields:
        As many frames, with their own times. At most n are in memory.

    Raises:
        InputError: as in `averaged`.
    """
    if n == 1:
        yield from frames
        return
    for _, of_phase in itertools.groupby(frames, key=lambda frame: frame.phase):
        window: deque[Frame] = deque(maxlen=n)
        waiting: deque[Frame] = deque()  # frames of which the window is not yet whole
        mean: Superlattice | None = None
        for frame in of_phase:
            window.append(frame)
            waiting.append(frame)
            if len(window) == n:
                # The first whole window serves the start of the phase too; each later one serves its middle.
                mean = averaged([frame.superlattice for frame in window])
                while len(waiting) >= n - n // 2:
                    yield replace(waiting.popleft(), superlattice=mean)
        if waiting:
            if mean is None:
                mean = averaged([frame.superlattice for frame in window])
            yield from (replace(frame, superlattice=mean) for frame in waiting)


def averaged(frames: Sequence[Superlattice]) -> Superlattice:
    """Return the mean of some frames: thermal motion averages out, the structure remains.

    Averaged are the places within the cell, and the cell itself, so that a cell that breathes blurs nothing; drift of
    all NPs together is taken off, and in free space rotation too. Cells that differ by a choice of vectors only, as
    after a flip of a sheared box, are written alike first. NPs may be wrapped into the cell or not; where one moves by
    half the cell or more meanwhile, as when a layer slides, its mean place means nothing.

    Args:
        frames: the same NPs, in cells with the same periodic directions, or all in free space.

    Raises:
        InputError: if there is not the same number of NPs, or the cell changes beyond recognition.
    """
    first = frames[0]
    if any(frame.n != first.n for frame in frames):
        raise InputError(f"frames of {sorted({frame.n for frame in frames})} NPs cannot be averaged")
    if any((frame.cell is None) != (first.cell is None) for frame in frames):
        raise InputError("frames with a cell and without one cannot be averaged")
    if first.cell is None:
        return _averaged_ball(frames)
    periodic = first.cell.periodic
    inverse = np.linalg.inv(first.cell.vectors_nm)
    cells = []
    for frame in frames:
        assert frame.cell is not None
        choice = np.rint(frame.cell.vectors_nm @ inverse)
        if round(np.linalg.det(choice)) != 1:
            raise InputError("the cell changes too much within the frames that are averaged; average over fewer")
        cells.append(np.linalg.solve(choice, frame.cell.vectors_nm))
    places = np.array([np.linalg.solve(c.T, f.positions_nm.T).T for c, f in zip(cells, frames, strict=True)])
    moved = places - places[0]
    turns = np.exp(2j * np.pi * moved)
    drift = np.where(periodic, np.angle(turns.mean(axis=1)) / (2 * np.pi), moved.mean(axis=1))
    moved -= drift[:, None]
    mean_turn = np.exp(2j * np.pi * moved).mean(axis=0)
    # Each NP's moves are counted from the middle of where it is, the nearest way round.
    middle = np.where(periodic, np.angle(mean_turn) / (2 * np.pi), 0.0)
    moved -= middle + np.rint(moved - middle) * periodic
    within = places[0] + middle + moved.mean(axis=0)
    cell = Cell(np.mean(cells, axis=0), periodic)
    return Superlattice(within @ cell.vectors_nm, first.radii_nm, cell)


def _averaged_ball(frames: Sequence[Superlattice]) -> Superlattice:
    """Return the mean of frames in free space, each moved and turned onto the first."""
    centred = [frame.positions_nm - frame.positions_nm.mean(axis=0) for frame in frames]
    turned = [Rotation.align_vectors(centred[0], places)[0].apply(places) for places in centred]
    return Superlattice(np.mean(turned, axis=0), frames[0].radii_nm)


@contextlib.contextmanager
def processes(workers: int, n_frames: int, n_nps: int | None = None) -> Iterator[Executor | None]:
    """Give a pool of processes where there is enough work for them; else None.

    Args:
        workers: how many may be used.
        n_frames: number of frames.
        n_nps: number of NPs in each; None for processes however little there is to do.
    """
    workers = min(workers, n_frames)
    if workers < 2 or (n_nps is not None and n_frames * n_nps < _WORTH_PROCESSES):
        yield None
        return
    with pool(workers, lambda: f"{n_frames} frames") as executor:
        yield executor


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
