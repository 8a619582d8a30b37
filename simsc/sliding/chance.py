"""Whether a supercrystal of close-packed layers healed: exact statistics of its number h of hcp-like layers.

h is the number of sign changes in the ring of ± steps of a periodic stacking (`simsc.core.stacking`). Its distribution
by chance, when no stacking is preferred, depends on which slips (`simsc.sliding.slips`) are possible:

    free          any interface slips by itself, every ring of signs is equally likely: 2ⁿ rings.
    closed        as free, in a cell that stays orthogonal: only rings whose steps add up to a multiple of 3.
    single_layer  only single layers slip, + − ↔ − +, so that the number of + stays that of the start.

Each of them is the stationary distribution of its chain of slips if all possible slips are equally frequent. A slip
and its reverse then are, so that all rings that can be reached have the same weight. (Sampled after a number of slips,
instead of after some time, a ring of the single-layer chain has the weight h: so many slips lead out of it.) Pure fcc
has no single-layer slip at all. With n₊ steps + and n₋ steps −, of rings with h = 2r > 0 there are

    g(2r) = n/r · C(n₊ − 1, r − 1) · C(n₋ − 1, r − 1),

the count behind Ising's ring (Ising, Z. Phys. 31 (1925) 253, DOI 10.1007/BF02980577; the single-layer chain is the
symmetric exclusion process, Spitzer, Adv. Math. 5 (1970) 246, DOI 10.1016/0001-8708(70)90034-4). If each hcp-like layer
costs an energy ε, in units of kT, P(h) ∝ g(h) exp(−ε h).

These distributions have forgotten the start. A run in which few layers slipped has not: `after_slips` gives the
distribution of h after as many random slips from its own start.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from simsc.core.errors import InputError
from simsc.core.stacking import closes, lettered
from simsc.sliding.slips import SlipKind

Null = Literal["free", "closed", "single_layer"]
NULLS: tuple[Null, ...] = get_args(Null)
_MOST_LAYERS = 62  # bits of a ring, in `after_slips`
_MOST_RINGS = 300_000  # that are followed there: a second or so for each slip
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class HcpDistribution:
    """Distribution of the number h of hcp-like layers.

    Args:
        log_weights: (n + 1,) natural logarithm of the weight of h = 0 … n without an energy; −inf where h is
            impossible.
    """

    log_weights: np.ndarray

    def probabilities(self, epsilon_kT: float = 0.0) -> np.ndarray:
        """Return P(h) (n + 1,) if each hcp-like layer costs an energy, kT."""
        return np.exp(self.log_probabilities(epsilon_kT))

    def log_probabilities(self, epsilon_kT: float = 0.0) -> np.ndarray:
        """Return the natural logarithm of P(h) (n + 1,) if each hcp-like layer costs an energy, kT."""
        exponents = self.log_weights - epsilon_kT * np.arange(len(self.log_weights))
        return exponents - np.logaddexp.reduce(exponents)

    def mean(self, epsilon_kT: float = 0.0) -> float:
        """Return the mean of h if each hcp-like layer costs an energy, kT."""
        return float(self.probabilities(epsilon_kT) @ np.arange(len(self.log_weights)))

    @property
    def possible(self) -> np.ndarray:
        """The numbers h that are possible."""
        return np.flatnonzero(np.isfinite(self.log_weights))


def null_distribution(null: Null, start: np.ndarray) -> HcpDistribution:
    """Return the distribution of h by chance.

    Args:
        null: "free", "closed" or "single_layer"; see the module.
        start: (n,) steps ±1 of the start, n ≥ 2; only "single_layer" depends on more of it than n.

    Raises:
        InputError: for an unknown null, or steps that are none.

    Example:
        >>> from simsc.core.stacking import stacking_steps
        >>> start = stacking_steps("ABCABCABABAB")
        >>> [round(p_value([2], [null_distribution(null, start)]), 3) for null in NULLS]
        [0.033, 0.028, 0.055]
    """
    n = _checked(start)
    if null not in NULLS:
        raise InputError(f"null {null!r} is not known; available: {', '.join(NULLS)}")
    plus = int((np.asarray(start) == 1).sum())
    chosen = {
        "free": range(n + 1),
        "closed": [k for k in range(n + 1) if (2 * k - n) % 3 == 0],
        "single_layer": [plus],
    }[null]
    rings = [sum(_rings(n, k, h) for k in chosen) for h in range(n + 1)]
    return HcpDistribution(np.array([math.log(count) if count else -np.inf for count in rings]))


def _rings(n: int, plus: int, h: int) -> int:
    """Return how many rings of n steps, so many of them +, change sign h times."""
    if h == 0 or plus in (0, n):
        return int(h == 0 and plus in (0, n))
    if h % 2:
        return 0
    r = h // 2
    # Runs of + and of − alternate, r of each. The division leaves no rest: r rings of runs start at each of n places.
    return n * math.comb(plus - 1, r - 1) * math.comb(n - plus - 1, r - 1) // r


def reachable(null: Null, start: np.ndarray, end: np.ndarray) -> bool:
    """Return whether the slips of a null distribution lead from one ring of steps (n,) to another (n,).

    Example:
        >>> from simsc.core.stacking import stacking_steps
        >>> start, end = stacking_steps("ABCABCABABAB"), stacking_steps("ABCABCACBACB")
        >>> [reachable(null, start, end) for null in NULLS]
        [True, True, False]
    """
    if null == "single_layer":
        # What is called + may differ between the two.
        return abs(int(np.sum(start, dtype=int))) == abs(int(np.sum(end, dtype=int)))
    return null == "free" or (closes(start) and closes(end))


def after_slips(start: np.ndarray, kinds: Sequence[SlipKind]) -> HcpDistribution:
    """Return the distribution of h after some slips at random from a given start.

    It is what a run is to be compared with if its layers slipped a few times only. Each slip of an interface takes
    place at any of them with equal probability. Single layers slip by attempts: a layer is drawn at random, and slips
    if it can. For each of their slips so many attempts are made that one of them succeeds on average, because all
    possible slips are equally frequent in time, and runs that come to fewer hcp-like layers slip less from then on.

    Args:
        start: (n,) steps ±1 of the start, 2 ≤ n ≤ 62.
        kinds: "interface" or "layer" for each slip, in their order.

    Returns:
        The distribution, exact for this chain. Layers that cannot slip, in fcc, stay.

    Raises:
        InputError: for a kind that is unknown, too many layers, or more than 300 000 rings.

    Example:
        >>> from simsc.core.stacking import stacking_steps
        >>> start = stacking_steps("ABCABCABABAB")
        >>> [round(p_value([2], [after_slips(start, [kind] * 3)]), 3) for kind in ("interface", "layer")]
        [0.045, 0.074]
    """
    n = _checked(start)
    if n > _MOST_LAYERS:
        raise InputError(f"slides are followed in at most {_MOST_LAYERS} layers, these are {n}")
    rings = np.array([sum(1 << k for k in range(n) if start[k] == 1)], dtype=np.int64)
    weights = np.ones(1)
    for kind in kinds:
        if kind not in get_args(SlipKind):
            raise InputError(f"slide {kind!r} is not known; available: {', '.join(get_args(SlipKind))}")
        wanted = 1.0
        while wanted > _ROUNDING and (succeeds := _success(rings, weights, kind, n)) > 0:
            part = min(1.0, wanted / succeeds)
            rings, weights = _attempted(rings, weights, kind, n, part)
            wanted -= part * succeeds
            if len(rings) > _MOST_RINGS:
                raise InputError(f"{len(kinds)} slides of {n} layers lead to too many stackings to follow")
    with np.errstate(divide="ignore"):
        return HcpDistribution(np.log(np.bincount(np.bitwise_count(_hcp(rings, n)), weights, minlength=n + 1)))


def _success(rings: np.ndarray, weights: np.ndarray, kind: SlipKind, n: int) -> float:
    """Return the probability that an attempt at a random place is a slip."""
    return 1.0 if kind == "interface" else float(weights @ np.bitwise_count(_hcp(rings, n)) / n)


def _attempted(
    rings: np.ndarray, weights: np.ndarray, kind: SlipKind, n: int, part: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rings, as bits, and their weights after an attempt at a random place, made with a probability."""
    hcp = _hcp(rings, n)
    reached, shares = [rings], [weights * (1 - part)]
    for k in range(n):
        if kind == "interface":
            reached.append(rings ^ (1 << k))
        else:
            reached.append(np.where(hcp >> k & 1, rings ^ (1 << k | 1 << (k + 1) % n), rings))
        shares.append(weights * (part / n))
    unique, place = np.unique(np.concatenate(reached), return_inverse=True)
    summed = np.bincount(place, np.concatenate(shares))
    return unique[summed > 0], summed[summed > 0]


def _hcp(rings: np.ndarray, n: int) -> np.ndarray:
    """Return, as bits, where each of some rings, as bits, changes sign from one step to the next."""
    return rings ^ (rings >> 1 | (rings & 1) << n - 1)


def p_value(h: Sequence[int], chances: Sequence[HcpDistribution]) -> float:
    """Return the probability that so few hcp-like layers, or fewer, come out by chance: one-sided, of one run or a set.

    Of several independent runs, which may have different starts, it is the probability that their numbers h add up to
    no more than they did, exactly, by convolution. It is not the probability that a crystal healed by chance, and it
    means what it says only if the set was chosen before its outcome was known.

    Args:
        h: number of hcp-like layers at the end of each run, ≥ 1 runs.
        chances: distribution by chance of each run.

    Raises:
        InputError: for no run, or other than one distribution a run.

    Example:
        >>> from simsc.core.stacking import stacking_steps
        >>> chance = null_distribution("closed", stacking_steps("ABCABCABABAB"))
        >>> round(p_value([2, 4, 2], [chance] * 3), 5)
        0.00099
    """
    check_runs(h, chances)
    total = np.ones(1)
    for chance in chances:
        total = np.convolve(total, chance.probabilities())
    return float(min(1.0, total[: sum(h) + 1].sum()))


def remembers_start(n_slips: int, n_layers: int) -> bool:
    """Return whether a run had fewer slips than layers: its end then still remembers its start.

    As many slips as layers are the least that is needed, not a proof: interfaces that slip one by one forget a sign
    change e-fold in n/4 slips, but single layers have to carry + and − around the ring, in about n³/80.
    """
    return n_slips < n_layers


def check_runs(h: Sequence[int], chances: Sequence[HcpDistribution]) -> None:
    """Raise an `InputError` unless there is at least one run, and one distribution for each."""
    if not h or len(h) != len(chances):
        raise InputError(f"{len(h)} runs and {len(chances)} distributions: one a run is needed, and at least one run")


def control_starts(n_layers: int, seeds: Iterable[int] = (1,)) -> dict[str, str]:
    """Return starts whose outcome a claim of healing has to be compared with, as periodic sequences.

    Args:
        n_layers: a multiple of 6, so that each of them closes.
        seeds: of random stackings, each drawn from all that close with equal probability.

    Returns:
        By name: "fcc", "hcp", "twin" (two twin planes, as far apart as can be) and "random SEED".

    Raises:
        InputError: for another number of layers.

    Example:
        >>> control_starts(6, seeds=())
        {'fcc': 'ABCABC', 'hcp': 'ABABAB', 'twin': 'ABCACB'}
    """
    if n_layers < 6 or n_layers % 6:
        raise InputError(f"fcc, hcp and twins all close only with a multiple of 6 layers, not with {n_layers}")
    signs = {
        "fcc": np.ones(n_layers, int),
        "hcp": np.tile([1, -1], n_layers // 2),
        "twin": np.repeat([1, -1], n_layers // 2),
    }
    for seed in seeds:
        rng = np.random.default_rng(seed)
        steps = rng.choice([1, -1], n_layers)
        while not closes(steps):
            steps = rng.choice([1, -1], n_layers)
        signs[f"random {seed}"] = steps
    return {name: lettered(steps[:-1]) for name, steps in signs.items()}


def _checked(steps: np.ndarray) -> int:
    """Return the number of steps; raise an `InputError` unless all are ±1."""
    if np.ndim(steps) != 1 or len(steps) < 2 or not np.isin(steps, (1, -1)).all():
        raise InputError("a periodic stacking has two or more steps, each +1 or −1")
    return len(steps)
