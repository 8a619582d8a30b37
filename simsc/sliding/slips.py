"""Slips of close-packed layers: which interface slipped when, and how often.

In a slip, layers glide over their neighbours from one set of hollow sites to the other: on a {111} plane of fcc by
a/6⟨112⟩, the Burgers vector of a Shockley partial dislocation, d_NN/√3 long (Hirth and Lothe, Theory of Dislocations,
2nd edition, Wiley 1982, chapter 10). Here it is an event between two stackings that both lasted, whether the layers
moved as a whole or a partial swept over the interface. Two kinds of slips change a ring of steps
(`simsc.core.stacking.stacking_steps`):

- All layers above an interface slip together. The step across the interface turns, and the number h of hcp-like layers
  changes by −2, 0 or 2.
- A single layer slips. The steps on both its sides turn. This needs an hcp-like layer, + − → − +: between different
  neighbours there is no other site for it. Such slips keep the numbers of + and −.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsc.core.errors import InputError
from simsc.core.stacking import closes, hcp_layers, lettered
from simsc.sliding.history import StackingHistory

SlipKind = Literal["interface", "layer"]
CONFIRM = 3  # frames in a row that make a stacking more than a passing one


@dataclass(frozen=True)
class Slip:
    """One slip: layers that glided to their other hollow sites.

    Args:
        kind: "interface": all layers above it slipped, the step between layers `layer` and `layer` + 1 turned; "layer":
            this layer alone slipped, the steps on both its sides turned.
        layer: number of the layer, from 0.
        time_ns: time of the first frame that shows it, ns.
        since_ns: time of the last frame that shows the stacking before, ns.
        phase: name of the phase of the first frame that shows it.
        before: the steps that turned, as they were: one for an interface, two for a layer.
        after: the same afterwards.
        h_before: number of hcp-like layers before.
        h_after: the same afterwards.
    """

    kind: SlipKind
    layer: int
    time_ns: float
    since_ns: float
    phase: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    h_before: int
    h_after: int


@dataclass(frozen=True, eq=False)
class Slips:
    """All slips between a first and a last stacking.

    Args:
        start: (n,) steps of the first stacking that lasted.
        end: (n,) steps of the last one that lasted.
        events: the slips in the order of their times; those between two frames in the order of their layers.
        exposure_ns: time watched in each phase, ns; NaN where times are unknown.
        lasting: whether the last frame still shows `end`.
    """

    start: np.ndarray
    end: np.ndarray
    events: tuple[Slip, ...]
    exposure_ns: dict[str, float]
    lasting: bool

    @property
    def sequences(self) -> tuple[str, str]:
        """First and last stacking as letters, from the same layer on; three cells of a tilted one."""
        first, last = (lettered(np.tile(x, 1 if closes(x) else 3)[:-1]) for x in (self.start, self.end))
        return first, last


def find_slips(history: StackingHistory, confirm: int = CONFIRM) -> Slips | None:
    """Find which layers slipped, and when.

    A stacking counts only when so many frames in a row show it: layers that are on their way, or read wrongly for a
    moment, are no slip. Layers that slip and slip back between two frames go unseen, so numbers of slips are lower
    bounds. Of the possible paths from one stacking to the next the one with the fewest slips is returned; several slips
    between two frames may have followed another.

    Args:
        history: stacking over time.
        confirm: frames in a row, ≥ 1.

    Returns:
        The slips between the first and the last stacking that lasted; None if none did.

    Raises:
        InputError: for confirm < 1.
    """
    if confirm < 1:
        raise InputError(f"at least one frame must show a stacking, got {confirm}")
    start: np.ndarray | None = None
    now = np.zeros(0, np.int8)
    shown = begun = 0  # frame that last showed `now`; frame that first showed the start
    found: list[Slip] = []
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
                # The sense called + may differ between frames, and layers seldom slip all at once.
                steps = min((steps, -steps), key=lambda signed: len(_fewest_slips(now, signed)))
                found += _between(history, now, steps, shown, k - row + 1)
            now, shown = steps, k
    if start is None:
        return None
    return Slips(start, now, tuple(found), _exposure_ns(history, begun), shown == len(history.steps) - 1)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one * one[0], other * other[0])


def _fewest_slips(before: np.ndarray, after: np.ndarray) -> list[tuple[SlipKind, list[int]]]:
    """Return the slips that lead from one ring of steps to another: kind, and numbers of the steps that turn."""
    n = len(before)
    turned = before != after
    first = next((k for k in range(n) if not turned[k - 1]), 0)
    order = [(first + k) % n for k in range(n)]
    slips: list[tuple[SlipKind, list[int]]] = []
    done: set[int] = set()
    for here, there in itertools.pairwise([*order, order[0]]):
        if not turned[here] or here in done:
            continue
        pair = here != there and turned[there] and there not in done and before[here] != before[there]
        slips.append(("layer", [here, there]) if pair else ("interface", [here]))
        done.update(slips[-1][1])
    return slips


def _between(history: StackingHistory, before: np.ndarray, after: np.ndarray, last: int, first: int) -> list[Slip]:
    """Return the slips between the frame that last showed one ring of steps and that which first showed another."""
    steps, found = before.copy(), []
    for kind, places in sorted(_fewest_slips(before, after), key=lambda slip: slip[1]):
        h_before = hcp_layers(steps)
        steps[places] = after[places]
        found.append(
            Slip(
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


def _exposure_ns(history: StackingHistory, first: int) -> dict[str, float]:
    """Return the time in each phase from a frame on, ns: that before a frame belongs to the frame's phase."""
    exposure: dict[str, float] = dict.fromkeys(history.phases[first:], 0.0)
    for k in range(first + 1, len(history.phases)):
        exposure[history.phases[k]] += float(history.time_ns[k] - history.time_ns[k - 1])
    return exposure


@dataclass(frozen=True)
class SlipRate:
    """How often layers slip.

    Args:
        slips: how many were seen.
        exposure_ns: places where they can happen times the time watched, ns.
        rate_per_ns: slips per place and ns.
        low_per_ns: lower bound of its interval.
        high_per_ns: upper bound.
    """

    slips: int
    exposure_ns: float
    rate_per_ns: float
    low_per_ns: float
    high_per_ns: float


def slip_rate(slips: int, exposure_ns: float, confidence: float = 0.95) -> SlipRate:
    """Return a rate with Garwood's exact central interval of a Poisson process.

    Garwood, Biometrika 28 (1936) 437, DOI 10.1093/biomet/28.3-4.437. It covers the truth at least as often as it says,
    if slips are independent and none goes unseen.

    Args:
        slips: number of slips, ≥ 0.
        exposure_ns: number of interfaces (or layers) times the time watched, ns, > 0.
        confidence: of the interval, in 0 … 1.

    Raises:
        InputError: for values outside of these bounds.

    Example:
        >>> rate = slip_rate(0, 12 * 10.0)
        >>> rate.rate_per_ns, rate.low_per_ns, round(rate.high_per_ns * 120, 3)
        (0.0, 0.0, 3.689)
    """
    from scipy.stats import chi2  # slow to load

    if slips < 0 or not 0 < exposure_ns < np.inf or not 0 < confidence < 1:
        raise InputError(f"no rate follows from {slips} slides in {exposure_ns:g} ns at a confidence of {confidence:g}")
    tail = (1 - confidence) / 2
    low = chi2.ppf(tail, 2 * slips) / 2 if slips else 0.0
    high = chi2.ppf(1 - tail, 2 * slips + 2) / 2
    return SlipRate(slips, exposure_ns, slips / exposure_ns, float(low / exposure_ns), float(high / exposure_ns))


def slip_rates(slips: Slips, confidence: float = 0.95) -> dict[str, dict[SlipKind, SlipRate]]:
    """Return, for each phase that was watched, the rate of slips per interface and that of single layers per layer.

    Both numbers of places are n, the number of layers. Phases of unknown length are left out.
    """
    n = len(slips.start)
    return {
        phase: {
            kind: slip_rate(
                sum(slip.kind == kind and slip.phase == phase for slip in slips.events), n * time_ns, confidence
            )
            for kind in ("interface", "layer")
        }
        for phase, time_ns in slips.exposure_ns.items()
        if time_ns > 0
    }
