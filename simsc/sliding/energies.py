"""The energy of an hcp-like layer from which interfaces slid, whatever the start and however few the slides.

If the energy of a stacking is that of its h hcp-like layers, ε kT each, slides that make two of them and slides that
remove two are each other's reverse, and detailed balance wants their rates to have the ratio exp(−2 ε). Which interface
slides next is then a matter of these rates and of how many interfaces of each kind there are: with n₊ interfaces whose
slide makes two hcp-like layers, n₋ whose slide removes two and n₀ that leave h as it is,

    P(a given one that makes two) = exp(s − ε) / (n₊ exp(s − ε) + n₋ exp(s + ε) + n₀),

and so on: the conditional logit of McFadden (in: Frontiers in Econometrics, Academic Press 1974, p. 105). How fast all
interfaces slide drops out, and so do time and, as far as ε and s do not depend on it, temperature. s, which nobody
knows in advance, is how a change of h moves the barrier beyond half of its energy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simsc.core.errors import InputError
from simsc.sliding.slips import Slides

_LARGEST_KT = 20.0  # of an energy per hcp-like layer, and of s, that is looked for
_FLAT = 1e-3  # of a logarithm of a likelihood
_MAKES, _KEEPS, _REMOVES = 2, 0, -2  # hcp-like layers


@dataclass(frozen=True)
class SlideEnergy:
    """Energy per hcp-like layer, in units of kT, from which interfaces slid; positive where fcc is preferred.

    Args:
        epsilon_kT: of largest likelihood; infinite if the likelihood rises without end.
        low_kT: lower bound of the likelihood interval; −inf if the slides set none.
        high_kT: upper bound; inf if they set none.
        confidence: of the interval.
        p_value: one-sided: probability of slides that speak as much for fcc, or more, if ε were 0; s is free. From the
            signed root of the likelihood ratio, which is nearly normal.
        making: number of slides that made two hcp-like layers.
        keeping: number of those that left as many as there were.
        removing: number of those that removed two.
    """

    epsilon_kT: float
    low_kT: float
    high_kT: float
    confidence: float
    p_value: float
    making: int
    keeping: int
    removing: int


def energy_of_slides(runs: Sequence[Slides], confidence: float = 0.95) -> SlideEnergy | None:
    """Fit the energy per hcp-like layer to the order in which interfaces slid, by largest likelihood.

    The interval holds all ε whose likelihood, with the best s for each, is within the χ² limit of one degree of freedom
    of the largest (Wilks, Ann. Math. Stat. 9 (1938) 60, DOI 10.1214/aoms/1177732360). Slides of single layers are
    followed, and not counted. Unlike `fit_energy` this does not need ends that have forgotten their starts; but it
    takes slides to be elementary and seen: what slides to and fro between two frames draws ε towards 0.

    Args:
        runs: what slid in each independent run.
        confidence: of the interval, in 0 … 1.

    Returns:
        The energy; None if no interface slid where another kind of slide was possible too.

    Raises:
        InputError: for a confidence outside 0 … 1.

    Example:
        >>> from simsc.sliding.slips import Slide, stacking_steps
        >>> hcp = stacking_steps("ABABABABABAB")
        >>> slid = [Slide("interface", k, 1.0 + k, k, "hold", (), (), -1, -1) for k in (1, 5, 9)]
        >>> found = energy_of_slides([Slides(hcp, hcp, tuple(slid), {}, True)])
        >>> found.removing, round(found.low_kT, 1), found.high_kT
        (2, -1.0, inf)
    """
    from scipy.optimize import brentq, minimize_scalar  # slow to load
    from scipy.stats import chi2, norm

    if not 0 < confidence < 1:
        raise InputError(f"a confidence lies between 0 and 1, not at {confidence:g}")
    changes, choices = _choices(runs)
    # Where all interfaces are alike nothing is chosen.
    told = (choices > 0).sum(axis=1) > 1
    if not told.any():
        return None
    changes, choices = changes[told], choices[told]
    counts = [int((changes == kind).sum()) for kind in (_MAKES, _KEEPS, _REMOVES)]

    def log_likelihood(epsilon: float, s: float) -> float:
        theta = np.array([s - epsilon, 0.0, s + epsilon])
        return float(theta @ counts - np.log(choices @ np.exp(theta)).sum())

    def profile(epsilon: float) -> float:
        # Concave in s.
        bounds = (-2 * _LARGEST_KT, 2 * _LARGEST_KT)
        return -float(minimize_scalar(lambda s: -log_likelihood(epsilon, s), bounds=bounds, method="bounded").fun)

    best = float(minimize_scalar(lambda e: -profile(e), bounds=(-_LARGEST_KT, _LARGEST_KT), method="bounded").x)
    largest = profile(best)
    limit = largest - chi2.ppf(confidence, 1) / 2

    def bound(end: float) -> float:
        if profile(end) > limit:
            return math.copysign(math.inf, end)
        return float(brentq(lambda e: profile(e) - limit, min(best, end), max(best, end), xtol=1e-4))

    low, high = bound(-_LARGEST_KT), bound(_LARGEST_KT)
    for end in (low, high):
        if math.isinf(end) and profile(math.copysign(_LARGEST_KT, end)) > largest - _FLAT:
            best = end  # the likelihood rises without end
    root = math.copysign(math.sqrt(2 * max(largest - profile(0.0), 0.0)), best)
    return SlideEnergy(best, low, high, confidence, float(norm.sf(root)), *counts)


def _choices(runs: Sequence[Slides]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each slide of an interface did to h (m,), and how many could have done +2, 0 and −2 (m, 3)."""
    changes, choices = [], []
    for run in runs:
        steps = run.start.astype(int)
        if len(steps) < 3:
            continue  # every interface is its own neighbour
        for slide in run.slides:
            if slide.kind == "interface":
                possible = 2 - 2 * ((steps != np.roll(steps, 1)).astype(int) + (steps != np.roll(steps, -1)))
                changes.append(int(possible[slide.layer]))
                choices.append([int((possible == kind).sum()) for kind in (_MAKES, _KEEPS, _REMOVES)])
                steps[slide.layer] *= -1
            else:
                steps[[slide.layer - 1, slide.layer]] *= -1
    return np.array(changes, int), np.array(choices, float).reshape(-1, 3)
