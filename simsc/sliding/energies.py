"""The energy per hcp-like layer: from where runs ended, or from the order in which interfaces slipped.

It is the coupling of neighbouring steps in the simplest Ising-like model of stacking faults (Ruffino et al., Proc. R.
Soc. A 476, 20200319 (2020), DOI 10.1098/rspa.2020.0319). An intrinsic fault in fcc is two hcp-like layers, so that its
energy is 2 ε here. Two fits of ε:

- `fit_energy`: from the number h of hcp-like layers at the end of runs that have forgotten their starts.
- `energy_from_slips`: from which interface slipped next, whatever the start and however few the slips. If the energy
  of a stacking is that of its h hcp-like layers, ε kT each, slips that make two of them and slips that remove two are
  each other's reverse, and by detailed balance their rates have the ratio exp(−2 ε). Which interface slips next then
  depends on these rates and on how many interfaces of each kind there are: with n₊ interfaces whose slip makes two
  hcp-like layers, n₋ whose slip removes two and n₀ that leave h as it is,

      P(a given one that makes two) = exp(s − ε) / (n₊ exp(s − ε) + n₋ exp(s + ε) + n₀),

  and so on: the conditional logit of McFadden (in: Frontiers in Econometrics, Academic Press 1974, p. 105). How fast
  interfaces slip cancels, and so do time and, as far as ε and s do not depend on it, temperature. s, not known in
  advance, is how a change of h moves the barrier beyond half of its energy.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simsc.core.errors import InputError, SimscWarning
from simsc.sliding.chance import HcpDistribution, check_runs, remembers_start
from simsc.sliding.slips import Slips

# Largest energy per hcp-like layer that is looked for from ends; the same, and largest s, from slips.
_LARGEST_FROM_ENDS_KT, _LARGEST_FROM_SLIPS_KT = 100.0, 20.0
_FLAT = 1e-3  # of a logarithm of a likelihood
_MAKES, _KEEPS, _REMOVES = 2, 0, -2  # hcp-like layers


@dataclass(frozen=True)
class EnergyFit:
    """Energy per hcp-like layer, in units of kT; positive where fcc is preferred.

    Args:
        epsilon_kT: of largest likelihood; infinite if every run has as few (−: many) hcp-like layers as it can have;
            NaN if none could have another number.
        low_kT: lower bound of the likelihood interval.
        high_kT: upper bound.
        confidence: of the interval.
        runs: number of independent runs.
    """

    epsilon_kT: float
    low_kT: float
    high_kT: float
    confidence: float
    runs: int


def fit_energy(
    h: Sequence[int],
    chances: Sequence[HcpDistribution],
    n_slips: Sequence[int] | None = None,
    confidence: float = 0.95,
) -> EnergyFit:
    """Fit the energy per hcp-like layer to the end states of independent runs, by largest likelihood.

    P(h) ∝ g(h) exp(−ε h) in each run. The interval holds all ε whose likelihood is within the χ² limit of one degree
    of freedom of the largest (Wilks, Ann. Math. Stat. 9 (1938) 60, DOI 10.1214/aoms/1177732360); with few runs its
    coverage is near its confidence, not equal to it.

    End states must have forgotten their start: an end like its start is evidence of the start, not of an energy. The
    energy is that at the temperature where layers stopped slipping, which in a run that is cooled is not the last one.

    Args:
        h: number of hcp-like layers at the end of each run.
        chances: stationary distribution of each without an energy (`null_distribution`).
        n_slips: how many slips each run had; warns of runs with fewer than layers. None for no warning.
        confidence: of the interval, in 0 … 1.

    Raises:
        InputError: for no run, other than one distribution a run, an impossible h, or a confidence outside 0 … 1.

    Warns:
        SimscWarning: if runs had fewer slips than layers.

    Example:
        >>> from simsc.core.stacking import stacking_steps
        >>> from simsc.sliding.chance import null_distribution
        >>> chance = null_distribution("free", stacking_steps("ABCABCABABAB"))
        >>> fit = fit_energy([2, 4, 2, 4], [chance] * 4)
        >>> f"{fit.epsilon_kT:.2f} ({fit.low_kT:.2f} to {fit.high_kT:.2f})"
        '1.10 (0.47 to 1.78)'
    """
    from scipy.optimize import brentq  # slow to load
    from scipy.stats import chi2

    check_runs(h, chances)
    if not 0 < confidence < 1:
        raise InputError(f"a confidence lies between 0 and 1, not at {confidence:g}")
    for count, chance in zip(h, chances, strict=True):
        if count not in chance.possible:
            raise InputError(f"{count} hcp-like layers are impossible here; possible: {chance.possible.tolist()}")
    if n_slips is not None:
        _warn_of_memory(n_slips, chances)
    total = sum(h)
    fewest, most = (sum(int(end(chance.possible)) for chance in chances) for end in (np.min, np.max))
    if fewest == most:
        return EnergyFit(math.nan, -math.inf, math.inf, confidence, len(h))

    def excess(epsilon: float) -> float:
        return sum(chance.mean(epsilon) for chance in chances) - total

    def log_likelihood(epsilon: float) -> float:
        pairs = zip(h, chances, strict=True)
        return float(sum(chance.log_probabilities(epsilon)[count] for count, chance in pairs))

    best, largest = math.copysign(math.inf, (fewest + most) / 2 - total), 0.0
    if fewest < total < most:
        best = float(brentq(excess, -_LARGEST_FROM_ENDS_KT, _LARGEST_FROM_ENDS_KT, xtol=1e-10))
        largest = log_likelihood(best)
    limit = chi2.ppf(confidence, 1) / 2

    def beyond(epsilon: float) -> float:
        return largest - log_likelihood(epsilon) - limit

    middle = min(max(best, -_LARGEST_FROM_ENDS_KT), _LARGEST_FROM_ENDS_KT)
    low = -math.inf if total == most else float(brentq(beyond, -_LARGEST_FROM_ENDS_KT, middle, xtol=1e-10))
    high = math.inf if total == fewest else float(brentq(beyond, middle, _LARGEST_FROM_ENDS_KT, xtol=1e-10))
    return EnergyFit(best, low, high, confidence, len(h))


def _warn_of_memory(n_slips: Sequence[int], chances: Sequence[HcpDistribution]) -> None:
    n_layers = [len(chance.log_weights) - 1 for chance in chances]
    few = sum(remembers_start(count, n) for count, n in zip(n_slips, n_layers, strict=True))
    if few:
        warnings.warn(
            f"{few} of {len(n_slips)} runs had fewer slides than layers: their ends still remember their starts, and "
            "the energy per hcp-like layer is not to be trusted",
            SimscWarning,
            stacklevel=3,
        )


@dataclass(frozen=True)
class SlipEnergy:
    """Energy per hcp-like layer, in units of kT, from which interfaces slipped; positive where fcc is preferred.

    Args:
        epsilon_kT: of largest likelihood; infinite if the likelihood rises without end.
        low_kT: lower bound of the likelihood interval; −inf if the slips set none.
        high_kT: upper bound; inf if they set none.
        confidence: of the interval.
        p_value: one-sided: probability of slips that favour fcc as much, or more, if ε were 0; s is free. From the
            signed root of the likelihood ratio, which is nearly normal.
        making: number of slips that made two hcp-like layers.
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


def energy_from_slips(runs: Sequence[Slips], confidence: float = 0.95) -> SlipEnergy | None:
    """Fit the energy per hcp-like layer to the order in which interfaces slipped, by largest likelihood.

    The interval holds all ε whose likelihood, with the best s for each, is within the χ² limit of one degree of freedom
    of the largest (Wilks, Ann. Math. Stat. 9 (1938) 60, DOI 10.1214/aoms/1177732360). Slips of single layers are
    followed, and not counted. Unlike `fit_energy` this does not need ends that have forgotten their starts; but it
    takes slips to be elementary and all of them seen: slips that are undone between two frames draw ε towards 0.

    Args:
        runs: the slips of each independent run.
        confidence: of the interval, in 0 … 1.

    Returns:
        The energy; None if no interface slipped where another kind of slip was possible too.

    Raises:
        InputError: for a confidence outside 0 … 1.

    Example:
        >>> from simsc.core.stacking import stacking_steps
        >>> from simsc.sliding.slips import Slip
        >>> hcp = stacking_steps("ABABABABABAB")
        >>> slipped = [Slip("interface", k, 1.0 + k, k, "hold", (), (), -1, -1) for k in (1, 5, 9)]
        >>> found = energy_from_slips([Slips(hcp, hcp, tuple(slipped), {}, True)])
        >>> found.removing, round(found.low_kT, 1), found.high_kT
        (2, -1.0, inf)
    """
    from scipy.optimize import brentq, minimize_scalar  # slow to load
    from scipy.stats import chi2, norm

    if not 0 < confidence < 1:
        raise InputError(f"a confidence lies between 0 and 1, not at {confidence:g}")
    changes, choices = _choices(runs)
    # Where all interfaces are alike nothing is chosen.
    free = (choices > 0).sum(axis=1) > 1
    if not free.any():
        return None
    changes, choices = changes[free], choices[free]
    counts = [int((changes == kind).sum()) for kind in (_MAKES, _KEEPS, _REMOVES)]

    def log_likelihood(epsilon: float, s: float) -> float:
        theta = np.array([s - epsilon, 0.0, s + epsilon])
        return float(theta @ counts - np.log(choices @ np.exp(theta)).sum())

    def profile(epsilon: float) -> float:
        # Concave in s.
        reach = (-2 * _LARGEST_FROM_SLIPS_KT, 2 * _LARGEST_FROM_SLIPS_KT)
        return -float(minimize_scalar(lambda s: -log_likelihood(epsilon, s), bounds=reach, method="bounded").fun)

    bounds = (-_LARGEST_FROM_SLIPS_KT, _LARGEST_FROM_SLIPS_KT)
    best = float(minimize_scalar(lambda e: -profile(e), bounds=bounds, method="bounded").x)
    largest = profile(best)
    limit = largest - chi2.ppf(confidence, 1) / 2

    def bound(end: float) -> float:
        if profile(end) > limit:
            return math.copysign(math.inf, end)
        return float(brentq(lambda e: profile(e) - limit, min(best, end), max(best, end), xtol=1e-4))

    low, high = bound(-_LARGEST_FROM_SLIPS_KT), bound(_LARGEST_FROM_SLIPS_KT)
    for end in (low, high):
        if math.isinf(end) and profile(math.copysign(_LARGEST_FROM_SLIPS_KT, end)) > largest - _FLAT:
            best = end  # the likelihood rises without end
    root = math.copysign(math.sqrt(2 * max(largest - profile(0.0), 0.0)), best)
    return SlipEnergy(best, low, high, confidence, float(norm.sf(root)), *counts)


def _choices(runs: Sequence[Slips]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each slip of an interface did to h (m,), and how many could have done +2, 0 and −2 (m, 3)."""
    changes, choices = [], []
    for run in runs:
        steps = run.start.astype(int)
        if len(steps) < 3:
            continue  # every interface is its own neighbour
        for slip in run.events:
            if slip.kind == "interface":
                possible = 2 - 2 * ((steps != np.roll(steps, 1)).astype(int) + (steps != np.roll(steps, -1)))
                changes.append(int(possible[slip.layer]))
                choices.append([int((possible == kind).sum()) for kind in (_MAKES, _KEEPS, _REMOVES)])
                steps[slip.layer] *= -1
            else:
                steps[[slip.layer - 1, slip.layer]] *= -1
    return np.array(changes, int), np.array(choices, float).reshape(-1, 3)
