"""Whether runs healed: the slips of each, and what follows from the ends of one run or of a set of replicas."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.classify.order import ORDER_FILE, order_folder
from simsc.core.errors import InputError
from simsc.core.stacking import hcp_layers
from simsc.sliding.chance import (
    NULLS,
    HcpDistribution,
    Null,
    after_slips,
    null_distribution,
    p_value,
    reachable,
    remembers_start,
)
from simsc.sliding.energies import EnergyFit, SlipEnergy, energy_from_slips, fit_energy
from simsc.sliding.history import StackingHistory, read_history
from simsc.sliding.slips import (
    CONFIRM,
    Slips,
    find_slips,
    slip_rates,
)

_LOST = 0.5  # part of the frames
_FOLLOWED = 10  # slips a layer, after which a start is forgotten
_KEPT = 4096  # runs that are not read again as long as their files stay the same


@dataclass(frozen=True, eq=False)
class RunHealing:
    """What became of the stacking of one run.

    Args:
        name: name of the run.
        slips: the slips between the first and the last stacking that lasted.
        history: the stacking frame by frame.
    """

    name: str
    slips: Slips
    history: StackingHistory

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.slips.start)

    @property
    def h_start(self) -> int:
        """Number of hcp-like layers at the start."""
        return hcp_layers(self.slips.start)

    @property
    def h_end(self) -> int:
        """Number of hcp-like layers at the end."""
        return hcp_layers(self.slips.end)

    @property
    def n_slips(self) -> int:
        """Number of slips that were seen."""
        return len(self.slips.events)

    @property
    def read_at_end(self) -> float:
        """Part of the last fifth of the frames in which the layers were read."""
        read = self.history.read
        return float(read[-max(1, len(read) // 5) :].mean()) if len(read) else 0.0

    @property
    def lost(self) -> bool:
        """Whether the crystal did not end in close-packed layers, so that h_end is that of a passing stacking."""
        return self.read_at_end < _LOST

    @property
    def remembers_start(self) -> bool:
        """Whether there were fewer slips than layers."""
        return remembers_start(self.n_slips, self.n_layers)

    def chance(self, null: Null) -> HcpDistribution | None:
        """Return the distribution of h by chance; None if such slips cannot have led to the end."""
        possible = reachable(null, self.slips.start, self.slips.end)
        return null_distribution(null, self.slips.start) if possible else None

    @functools.cached_property
    def chance_after_slips(self) -> HcpDistribution | None:
        """Distribution of h after as many random slips as there were; None for too many to follow."""
        kinds = [slip.kind for slip in self.slips.events]
        if len(kinds) > _FOLLOWED * self.n_layers:
            return None
        try:
            return after_slips(self.slips.start, kinds)
        except InputError:
            return None


@dataclass(frozen=True, eq=False)
class SetHealing:
    """What follows from the ends of independent runs together; of a single run too.

    Args:
        runs: the runs, ≥ 1.
        p_values: probability of so few hcp-like layers, or fewer, by chance, for each null; None where the slips of a
            null cannot have led to all ends, or a run lost its layers.
        p_after_slips: the same after as many random slips from each start as there were; None where nothing slipped, or
            too much did to be followed.
        energies: energy per hcp-like layer for each null; None as above.
        energy_from_slips: the same from which interfaces slipped; None where none did, or a run lost its layers.
    """

    runs: tuple[RunHealing, ...]
    p_values: dict[Null, float | None]
    p_after_slips: float | None
    energies: dict[Null, EnergyFit | None]
    energy_from_slips: SlipEnergy | None

    @property
    def h_end(self) -> list[int]:
        """Number of hcp-like layers at the end of each run."""
        return [run.h_end for run in self.runs]

    @property
    def n_slips(self) -> list[int]:
        """Number of slips of each run."""
        return [run.n_slips for run in self.runs]

    @property
    def n_lost(self) -> int:
        """How many runs did not end in close-packed layers."""
        return sum(run.lost for run in self.runs)

    @property
    def informative(self) -> bool:
        """Whether p-values and energies belong to these runs: something slipped, and none lost its layers."""
        return any(self.n_slips) and not self.n_lost

    @property
    def n_remembering(self) -> int:
        """How many runs had fewer slips than layers."""
        return sum(run.remembers_start for run in self.runs)


def set_healing(runs: Sequence[RunHealing]) -> SetHealing:
    """Return what follows from the ends of independent runs together; their starts may differ.

    Raises:
        InputError: for no run.
    """
    h = [run.h_end for run in runs]
    p_values: dict[Null, float | None] = {}
    energies: dict[Null, EnergyFit | None] = {}
    lost = any(run.lost for run in runs)
    for null in NULLS:
        chances = None if lost else _all_of([run.chance(null) for run in runs])
        p_values[null] = None if chances is None else p_value(h, chances)
        energies[null] = None if chances is None else fit_energy(h, chances)
    slipped = any(run.n_slips for run in runs) and not lost
    chances = _all_of([run.chance_after_slips for run in runs]) if slipped else None
    from_slips = None if lost else energy_from_slips([run.slips for run in runs])
    return SetHealing(tuple(runs), p_values, None if chances is None else p_value(h, chances), energies, from_slips)


def _all_of(chances: list[HcpDistribution | None]) -> list[HcpDistribution] | None:
    """Return the distributions if none is missing."""
    found = [chance for chance in chances if chance is not None]
    return found if len(found) == len(chances) else None


def healing_of(name: str, history: StackingHistory, confirm: int = CONFIRM) -> RunHealing | None:
    """Return what became of a stacking; None if none lasted for so many frames in a row."""
    slips = find_slips(history, confirm)
    return None if slips is None else RunHealing(name, slips, history)


def run_healing(folder: Path, confirm: int = CONFIRM) -> RunHealing | None:
    """Return what became of the stacking of a run, from its folder or from one that `simsc classify -o` wrote.

    Args:
        folder: run folder whose order is known, or folder of an order.
        confirm: frames in a row that make a stacking more than a passing one.

    Returns:
        The outcome; None if no stacking lasted.

    Raises:
        InputError: if the folder holds no order, a damaged one, or that of a finite crystal.
    """
    order = order_folder(folder)
    try:
        stamp = (order / ORDER_FILE).stat().st_mtime_ns
    except OSError:
        raise InputError(
            f"{folder}: holds neither a run whose NPs are classified nor an order (no order.h5); "
            "let the run end (simsc status), or classify it first (simsc classify -o)"
        ) from None
    return _read(folder, order, stamp, confirm)


@functools.lru_cache(_KEPT)
def _read(folder: Path, order: Path, stamp: int, confirm: int) -> RunHealing | None:
    return healing_of(folder.name or str(folder), read_history(order), confirm)


def healing_facts(found: SetHealing) -> dict[str, Any]:
    """Return the results of a set of runs for JSON.

    Numbers that are not finite are None, and so are p-values and energies of runs without slips, or without
    close-packed layers at the end: nothing follows from these.
    """
    informative, from_slips = found.informative, found.energy_from_slips
    return {
        "runs": [_run_facts(run) for run in found.runs],
        "independent_runs": len(found.runs),
        "runs_with_fewer_slides_than_layers": found.n_remembering,
        "runs_that_lost_their_layers": found.n_lost,
        "p_values_one_sided_few_hcp": {null: p if informative else None for null, p in found.p_values.items()},
        "p_value_after_as_many_slides": found.p_after_slips if informative else None,
        "energy_per_hcp_layer_kT": {
            null: None if fit is None or not informative else _energy_facts(fit) for null, fit in found.energies.items()
        },
        "energy_per_hcp_layer_from_slides_kT": None
        if from_slips is None
        else _energy_facts(from_slips)
        | {
            "p_value_one_sided": from_slips.p_value,
            "slides_making_two": from_slips.making,
            "slides_keeping_h": from_slips.keeping,
            "slides_removing_two": from_slips.removing,
        },
    }


def _energy_facts(fit: EnergyFit | SlipEnergy) -> dict[str, float | None]:
    return {
        "value": _finite(fit.epsilon_kT),
        "low": _finite(fit.low_kT),
        "high": _finite(fit.high_kT),
        "confidence": fit.confidence,
    }


def _run_facts(run: RunHealing) -> dict[str, Any]:
    start, end = run.slips.sequences
    return {
        "run": run.name,
        "layers": run.n_layers,
        "start": start,
        "end": end,
        "end_lasts": run.slips.lasting,
        "h_start": run.h_start,
        "h_end": run.h_end,
        "frames_not_read": int((~run.history.read).sum()),
        "read_at_end": run.read_at_end,
        "slides": [
            {
                "time_ns": _finite(slip.time_ns),
                "since_ns": _finite(slip.since_ns),
                "phase": slip.phase,
                "kind": slip.kind,
                "layer": slip.layer,
                "before": list(slip.before),
                "after": list(slip.after),
                "h_before": slip.h_before,
                "h_after": slip.h_after,
            }
            for slip in run.slips.events
        ],
        "rates_per_ns": {
            phase: {
                kind: {
                    "slides": rate.slips,
                    "rate": rate.rate_per_ns,
                    "low": rate.low_per_ns,
                    "high": rate.high_per_ns,
                }
                for kind, rate in rates.items()
            }
            for phase, rates in slip_rates(run.slips).items()
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
