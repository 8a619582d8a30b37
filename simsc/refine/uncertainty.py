"""Uncertainties beyond those of one fit: from independent parts of the data, and from refits of simulations.

The standard errors of a fit include noise, the scatter from reflection to reflection, and the apparent displacement of
reflections since peaks have not the shape of the model. The last is a number that was measured on simulated
pillars (tests/benchmarks/refinement_pulls.csv). Parts of the data show the noise alone; refits of simulations show all
of it for crystals of another kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError


class Fit(Protocol):
    """What a refinement returns, such as `CellFit` or `SpacingFit`."""

    @property
    def parameters(self) -> np.ndarray:
        """(n,) refined parameters."""
        ...


Refine = Callable[[Sequence[CorrelationMap]], Fit]


@dataclass(frozen=True, eq=False)
class Spread:
    """Refined parameters of several sets of maps.

    Args:
        parameters: (n_sets, n) parameters of each.
        standard_errors: (n,) of what they estimate.
        bias: (n,) mean of the parameters less the true ones; NaN where these are unknown.
    """

    parameters: np.ndarray
    standard_errors: np.ndarray
    bias: np.ndarray


def split(parts: Sequence[Sequence[CorrelationMap]], refine: Refine) -> Spread:
    """Return the standard errors of a refinement of all data, from its independent parts.

    With two halves they are half of the difference: the right size on average, yet a single draw of it.

    Args:
        parts: the maps of each part, such as even and odd frames, or two halves of the exposure.
        refine: refines the maps of one part, in the same basis each time: give `refine_cell` a reference.

    Raises:
        InputError: for fewer than two parts.
    """
    if len(parts) < 2:
        raise InputError(f"at least two independent parts of the data are needed, got {len(parts)}")
    found = np.array([refine(part).parameters for part in parts])
    return Spread(found, found.std(axis=0, ddof=1) / np.sqrt(len(parts)), np.full(found.shape[1], np.nan))


def bootstrap(
    truth: Fit,
    simulate: Callable[[np.random.Generator], Sequence[CorrelationMap]],
    refine: Refine,
    n: int = 20,
    seed: int = 1,
) -> Spread:
    """Return spread and bias of a refinement, by refining simulations of what was found (parametric bootstrap).

    Args:
        truth: what the simulations are of.
        simulate: makes the maps of such a crystal, under the mask and with the noise of the measurement.
        refine: as the measurement was refined, in the same basis.
        n: number of simulations.
        seed: of their noise.

    Raises:
        InputError: for fewer than two simulations.
    """
    if n < 2:
        raise InputError(f"at least two simulations are needed, got {n}")
    streams = np.random.default_rng(seed).spawn(n)
    found = np.array([refine(simulate(rng)).parameters for rng in streams])
    return Spread(found, found.std(axis=0, ddof=1), found.mean(axis=0) - truth.parameters)
