"""Slides of close-packed layers over time: which interface slid when, and how often.

From each layer to the next a stacking steps by +1 (A → B → C → A) or by −1: Hägg's notation (International Tables for
Crystallography C, chapter 9.2, DOI 10.1107/97809553602060000618). In a periodic crystal of n layers these steps form a
ring; step i leads from layer i to layer i + 1. A layer is hcp-like where the steps on its two sides differ, so the
number h of hcp-like layers is the number of sign changes along the ring, which is even. All signs may be turned at
once: which of the two senses is called + is a matter of the side that one looks from.

Two kinds of slides change it. If all layers above an interface slide together onto the other hollow sites, the step
across that interface turns, and h changes by −2, 0 or 2. If a single layer slides, the steps on both its sides turn.
This needs an hcp-like layer, + − → − +: between different neighbours there is no other site for it. Such slides keep
the numbers of + and −.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsc.core.errors import InputError
from simsc.core.stacking import check_stacking, lettered

SlideKind = Literal["interface", "layer"]
CONFIRM = 3  # frames in a row that make a stacking more than a passing one


def stacking_steps(sequence: str) -> np.ndarray:
    """Return the steps (n,) ±1 of a periodic sequence; the last leads back to its begin.

    Letters that repeat close by themselves: the steps of a sequence add up to a multiple of 3. Those of a cell need
    not, if the cell leans by the rest, a third of a lattice vector of the layer; its sequence then takes three cells.

    Raises:
        InputError: for a sequence that is not close-packed.

    Example:
        >>> stacking_steps("ABCABCABABAB")
        array([ 1,  1,  1,  1,  1,  1,  1, -1,  1, -1,  1, -1], dtype=int8)
    """
    check_stacking(sequence)
    numbers = np.array(["ABC".index(letter) for letter in sequence])
    return np.where((np.roll(numbers, -1) - numbers) % 3 == 1, 1, -1).astype(np.int8)


def hcp_layers(steps: np.ndarray) -> int:
    """Return h, the number of hcp-like layers of a ring of steps: its sign changes.

    Example:
        >>> hcp_layers(stacking_steps("ABCABCABABAB")), hcp_layers(stacking_steps("ABCABCACBACB"))
        (6, 2)
    """
    return int(np.count_nonzero(steps != np.roll(steps, 1)))


def closes(steps: np.ndarray) -> bool:
    """Tell whether a ring of steps fits an orthogonal cell: the last layer then stands right below the next first."""
    return int(np.sum(steps, dtype=int)) % 3 == 0


@dataclass(frozen=True, eq=False)
class StackingHistory:
    """The stacking of the same layers over time.

    Args:
        steps: (F, n) ±1 in each frame, step i from layer i to layer i + 1, the same layers in all frames, the first
            step +1 (signs are told but for all at once); 0 where no stacking was read. n may be 0: none at all.
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
    """Follow the same layers through frames whose sequences begin anywhere and run in any direction.

    Args:
        sequences: (F,) periodic sequences, as of `simsc.classify.stacking.Stacking`; empty where none was read. A
            cell that leans by a third of a lattice vector has one of three times its layers.
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


@dataclass(frozen=True)
class Slide:
    """A slide of layers.

    Args:
        kind: "interface": all layers above slid, the step between layers `layer` and `layer` + 1 turned; "layer":
            this layer alone slid, the steps on both its sides turned.
        layer: number of the layer, from 0.
        time_ns: time of the first frame that shows it, ns.
        since_ns: time of the last frame that shows the stacking before, ns.
        phase: name of the phase of the first frame that shows it.
        before: the steps that turned, as they were: one for an interface, two for a layer.
        after: the same afterwards.
        h_before: number of hcp-like layers before.
        h_after: the same afterwards.
    """

    kind: SlideKind
    layer: int
    time_ns: float
    since_ns: float
    phase: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    h_before: int
    h_after: int


@dataclass(frozen=True, eq=False)
class Slides:
    """What slid between a first and a last stacking.

    Args:
        start: (n,) steps of the first stacking that lasted.
        end: (n,) steps of the last one that lasted.
        slides: in the order of their times. Those between two frames stand in the order of their layers.
        exposure_ns: time watched in each phase, ns; NaN where times are unknown.
        lasting: whether the last frame still shows `end`.
    """

    start: np.ndarray
    end: np.ndarray
    slides: tuple[Slide, ...]
    exposure_ns: dict[str, float]
    lasting: bool

    @property
    def sequences(self) -> tuple[str, str]:
        """First and last stacking as letters, from the same layer on; three cells of one that leans."""
        first, last = (lettered(np.tile(x, 1 if closes(x) else 3)[:-1]) for x in (self.start, self.end))
        return first, last


def find_slides(history: StackingHistory, confirm: int = CONFIRM) -> Slides | None:
    """Find which layers slid, and when.

    A stacking counts only when so many frames in a row show it: layers that are on their way, or read wrongly for a
    moment, are no slide. What slides to and fro between two frames goes unseen, so numbers of slides are lower bounds.
    Of the possible ways from one stacking to the next the one with the fewest slides is told; several slides between
    two frames may have come in another way.

    Args:
        history: stacking over time.
        confirm: frames in a row, ≥ 1.

    Returns:
        Slides between the first and the last stacking that lasted; None if none did.

    Raises:
        InputError: for confirm < 1.
    """
    if confirm < 1:
        raise InputError(f"at least one frame must show a stacking, got {confirm}")
    start: np.ndarray | None = None
    now = np.zeros(0, np.int8)
    shown = begun = 0  # frame that last showed `now`; frame that first showed the start
    found: list[Slide] = []
    row = 0
    for k, steps in enumerate(history.steps):
        read = bool(steps.any())
        row = row + 1 if read and k and np.array_equal(steps, history.steps[k - 1]) else int(read)
        if start is not None and read and _same(steps, now):
            shown = k
        elif row >= confirm:
            if start is None:
                start, begun = steps, k - row + 1
            else:
                # What is called + may differ between frames, and layers seldom slide all at once.
                steps = min((steps, -steps), key=lambda turned: len(_ways(now, turned)))
                found += _between(history, now, steps, shown, k - row + 1)
            now, shown = steps, k
    if start is None:
        return None
    return Slides(start, now, tuple(found), _exposure_ns(history, begun), shown == len(history.steps) - 1)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one * one[0], other * other[0])


def _ways(before: np.ndarray, after: np.ndarray) -> list[tuple[SlideKind, list[int]]]:
    """Return the slides that lead from one ring of steps to another: kind, and numbers of the steps that turn."""
    n = len(before)
    turned = before != after
    begin = next((k for k in range(n) if not turned[k - 1]), 0)
    order = [(begin + k) % n for k in range(n)]
    ways: list[tuple[SlideKind, list[int]]] = []
    done: set[int] = set()
    for here, there in itertools.pairwise([*order, order[0]]):
        if not turned[here] or here in done:
            continue
        pair = here != there and turned[there] and there not in done and before[here] != before[there]
        ways.append(("layer", [here, there]) if pair else ("interface", [here]))
        done.update(ways[-1][1])
    return ways


def _between(history: StackingHistory, before: np.ndarray, after: np.ndarray, last: int, first: int) -> list[Slide]:
    """Return the slides between the frame that last showed one ring of steps and that which first showed another."""
    steps, found = before.copy(), []
    for kind, places in sorted(_ways(before, after), key=lambda way: way[1]):
        h_before = hcp_layers(steps)
        steps[places] = after[places]
        found.append(
            Slide(
                kind,
                places[-1],
                float(history.time_ns[first]),
                float(history.time_ns[last]),
                history.phases[first],
                tuple(int(step) for step in before[places]),
                tuple(int(step) for step in after[places]),
                h_before,
                hcp_layers(steps),
            )
        )
    return found


def _exposure_ns(history: StackingHistory, begin: int) -> dict[str, float]:
    """Return the time in each phase from a frame on, ns: that before a frame belongs to the frame's phase."""
    exposure: dict[str, float] = dict.fromkeys(history.phases[begin:], 0.0)
    for k in range(begin + 1, len(history.phases)):
        exposure[history.phases[k]] += float(history.time_ns[k] - history.time_ns[k - 1])
    return exposure


@dataclass(frozen=True)
class HoppingRate:
    """How often something slides.

    Args:
        slides: how many were seen.
        exposure_ns: places where they can happen times the time watched, ns.
        rate_per_ns: slides per place and ns.
        low_per_ns: lower bound of its interval.
        high_per_ns: upper bound.
    """

    slides: int
    exposure_ns: float
    rate_per_ns: float
    low_per_ns: float
    high_per_ns: float


def hopping_rate(slides: int, exposure_ns: float, confidence: float = 0.95) -> HoppingRate:
    """Return a rate with Garwood's exact central interval of a Poisson process.

    Garwood, Biometrika 28 (1936) 437, DOI 10.1093/biomet/28.3-4.437. It covers the truth at least as often as it says,
    if slides are independent and none goes unseen.

    Args:
        slides: number of slides, ≥ 0.
        exposure_ns: number of interfaces (or layers) times the time watched, ns, > 0.
        confidence: of the interval, in 0 … 1.

    Raises:
        InputError: for values outside of these bounds.

    Example:
        >>> rate = hopping_rate(0, 12 * 10.0)
        >>> rate.rate_per_ns, rate.low_per_ns, round(rate.high_per_ns * 120, 3)
        (0.0, 0.0, 3.689)
    """
    from scipy.stats import chi2  # slow to load

    if slides < 0 or not 0 < exposure_ns < np.inf or not 0 < confidence < 1:
        raise InputError(
            f"no rate follows from {slides} slides in {exposure_ns:g} ns at a confidence of {confidence:g}"
        )
    tail = (1 - confidence) / 2
    low = chi2.ppf(tail, 2 * slides) / 2 if slides else 0.0
    high = chi2.ppf(1 - tail, 2 * slides + 2) / 2
    return HoppingRate(slides, exposure_ns, slides / exposure_ns, float(low / exposure_ns), float(high / exposure_ns))


def hopping_rates(slides: Slides, confidence: float = 0.95) -> dict[str, dict[SlideKind, HoppingRate]]:
    """Return, for each phase that was watched, the rate of slides per interface and that of single layers per layer.

    Both numbers of places are n, the number of layers. Phases of unknown length are left out.
    """
    n = len(slides.start)
    return {
        phase: {
            kind: hopping_rate(
                sum(slide.kind == kind and slide.phase == phase for slide in slides.slides), n * time_ns, confidence
            )
            for kind in ("interface", "layer")
        }
        for phase, time_ns in slides.exposure_ns.items()
        if time_ns > 0
    }
