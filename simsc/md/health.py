"""Whether a state of a run can be physical."""

import math

import numpy as np

from simsc.core.errors import SimulationError
from simsc.md.protocol import Phase

_LARGEST_EXPANSION = 1.6  # of the volume, against the start; thermal expansion up to 600 K gives 1.22
_LARGEST_STRETCH = 1.4  # of one width of the cell; thermal expansion gives 1.07
_SMALLEST_VOLUME = 0.2  # of that at the start: supercrystals are set up loose, but not that loose
_HOTTEST = 2.0  # times the target temperature


def hottest_allowed(n_atoms: int) -> float:
    """Return how many times the target a temperature may be: that of few sites fluctuates by √(2/3N)."""
    return 1 + max(_HOTTEST - 1, 10 * math.sqrt(2 / (3 * n_atoms)))


def check_health(
    thermo: dict[str, float], target_K: float, stretch: np.ndarray, phase: Phase, hottest: float = _HOTTEST
) -> None:
    """Raise a `SimulationError` with a diagnosis if a state cannot be physical.

    Args:
        thermo: `LammpsSession.thermo()`.
        target_K: target temperature, K.
        stretch: (3,) perpendicular widths of the cell over those at the start.
        phase: the phase.
        hottest: times the target temperature.
    """
    if not np.isfinite(list(thermo.values())).all():
        raise SimulationError(
            f"phase {phase.name}: energy, temperature or pressure is not finite; try a smaller time step"
        )
    if phase.kind != "minimise" and thermo["temperature_K"] > hottest * target_K:
        raise SimulationError(
            f"phase {phase.name}: the temperature ran away to {thermo['temperature_K']:.0f} K at a target of "
            f"{target_K:.0f} K; try a smaller time step"
        )
    expansion = float(np.prod(stretch))
    if expansion > _LARGEST_EXPANSION:
        raise SimulationError(
            f"phase {phase.name}: the volume grew {expansion:.2f}-fold: the superlattice is falling apart; "
            "lower the temperature or raise the pressure"
        )
    if expansion < _SMALLEST_VOLUME:
        raise SimulationError(
            f"phase {phase.name}: the volume shrank to {expansion:.2f} of that at its start: the cell collapsed; "
            "start nearer to the density, or compress in a `deform` phase first"
        )
    axis = int(np.argmax(stretch))
    if stretch[axis] > _LARGEST_STRETCH:
        raise SimulationError(
            f"phase {phase.name}: the cell grew {stretch[axis]:.2f}-fold across {'abc'[axis]}: layers come apart; "
            'lower the temperature, raise the pressure or couple the axes (coupling = "iso")'
        )
