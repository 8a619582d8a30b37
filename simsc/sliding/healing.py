"""Whether runs healed: what slid in each, and what the ends of one run or of a set of replicas are worth."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.classify.order import ORDER_FILE, order_folder
from simsc.core.errors import InputError
from simsc.sliding.chance import (
    NULLS,
    EnergyFit,
    HcpDistribution,
    Null,
    after_slides,
    fit_energy,
    null_distribution,
    p_value,
    reachable,
    remembers_start,
)
from simsc.sliding.energies import SlideEnergy, energy_of_slides
from simsc.sliding.history import read_history
from simsc.sliding.slips import (
    CONFIRM,
    Slides,
    StackingHistory,
    find_slides,
    hcp_layers,
    hopping_rates,
)

_LOST = 0.5  # part of the frames
_FOLLOWED = 10  # slides a layer, after which a start is forgotten
_KEPT = 4096  # runs that are not read again as long as their files stay the same


@dataclass(frozen=True, eq=False)
class RunHealing:
    """What became of the stacking of one run.

    Args:
        name: what to call the run.
        slides: what slid between the first and the last stacking that lasted.
        history: the stacking frame by frame.
    """

    name: str
    slides: Slides
    history: StackingHistory

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.slides.start)

    @property
    def h_start(self) -> int:
        """Number of hcp-like layers at the start."""
        return hcp_layers(self.slides.start)

    @property
    def h_end(self) -> int:
        """Number of hcp-like layers at the end."""
        return hcp_layers(self.slides.end)

    @property
    def n_slides(self) -> int:
        """Number of slides that were seen."""
        return len(self.slides.slides)

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
        """Whether there were fewer slides than layers."""
        return remembers_start(self.n_slides, self.n_layers)

    def chance(self, null: Null) -> HcpDistribution | None:
        """Return the distribution of h by chance; None if slides as these cannot have led to the end."""
        possible = reachable(null, self.slides.start, self.slides.end)
        return null_distribution(null, self.slides.start) if possible else None

    @functools.cached_property
    def chance_after_slides(self) -> HcpDistribution | None:
        """Distribution of h after as many random slides as there were; None for too many to follow."""
        kinds = [slide.kind for slide in self.slides.slides]
        if len(kinds) > _FOLLOWED * self.n_layers:
            return None
        try:
            return after_slides(self.slides.start, kinds)
        except InputError:
            return None


@dataclass(frozen=True, eq=False)
class SetHealing:
    """What the ends of independent runs are worth together; of a single run too.

    Args:
        runs: the runs, ≥ 1.
        p_values: probability of so few hcp-like layers, or fewer, by chance, for each null; None where the slides of a
            null cannot have led to all ends, or a run lost its layers.
        p_after_slides: the same after as many random slides from each start as there were; None where nothing slid, or
            too much did to be followed.
        energies: energy per hcp-like layer for each null; None as above.
        energy_of_slides: the same from which interfaces slid; None where none did, or a run lost its layers.
    """

    runs: tuple[RunHealing, ...]
    p_values: dict[Null, float | None]
    p_after_slides: float | None
    energies: dict[Null, EnergyFit | None]
    energy_of_slides: SlideEnergy | None

    @property
    def h_end(self) -> list[int]:
        """Number of hcp-like layers at the end of each run."""
        return [run.h_end for run in self.runs]

    @property
    def n_slides(self) -> list[int]:
        """Number of slides of each run."""
        return [run.n_slides for run in self.runs]

    @property
    def n_lost(self) -> int:
        """How many runs did not end in close-packed layers."""
        return sum(run.lost for run in self.runs)

    @property
    def says_something(self) -> bool:
        """Whether p-values and energies belong to these runs: something slid, and none lost its layers."""
        return any(self.n_slides) and not self.n_lost

    @property
    def n_remembering(self) -> int:
        """How many runs had fewer slides than layers."""
        return sum(run.remembers_start for run in self.runs)


def set_healing(runs: Sequence[RunHealing]) -> SetHealing:
    """Return what the ends of independent runs are worth together; their starts may differ.

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
    slid = any(run.n_slides for run in runs) and not lost
    chances = _all_of([run.chance_after_slides for run in runs]) if slid else None
    told = None if lost else energy_of_slides([run.slides for run in runs])
    return SetHealing(tuple(runs), p_values, None if chances is None else p_value(h, chances), energies, told)


def _all_of(chances: list[HcpDistribution | None]) -> list[HcpDistribution] | None:
    """Return the distributions if none is missing."""
    found = [chance for chance in chances if chance is not None]
    return found if len(found) == len(chances) else None


def healing_of(name: str, history: StackingHistory, confirm: int = CONFIRM) -> RunHealing | None:
    """Return what became of a stacking; None if none lasted for so many frames in a row."""
    slides = find_slides(history, confirm)
    return None if slides is None else RunHealing(name, slides, history)


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


def described(found: SetHealing) -> dict[str, Any]:
    """Return what is known of a set of runs as JSON holds it.

    Numbers that are not finite are None, and so are p-values and energies of runs without slides, or without
    close-packed layers at the end: these say nothing.
    """
    slid, told = found.says_something, found.energy_of_slides
    return {
        "runs": [_described_run(run) for run in found.runs],
        "independent_runs": len(found.runs),
        "runs_with_fewer_slides_than_layers": found.n_remembering,
        "runs_that_lost_their_layers": found.n_lost,
        "p_values_one_sided_few_hcp": {null: p if slid else None for null, p in found.p_values.items()},
        "p_value_after_as_many_slides": found.p_after_slides if slid else None,
        "energy_per_hcp_layer_kT": {
            null: None if fit is None or not slid else _described_energy(fit) for null, fit in found.energies.items()
        },
        "energy_per_hcp_layer_from_slides_kT": None
        if told is None
        else _described_energy(told)
        | {
            "p_value_one_sided": told.p_value,
            "slides_making_two": told.making,
            "slides_keeping_h": told.keeping,
            "slides_removing_two": told.removing,
        },
    }


def _described_energy(fit: EnergyFit | SlideEnergy) -> dict[str, float | None]:
    return {
        "value": _finite(fit.epsilon_kT),
        "low": _finite(fit.low_kT),
        "high": _finite(fit.high_kT),
        "confidence": fit.confidence,
    }


def _described_run(run: RunHealing) -> dict[str, Any]:
    start, end = run.slides.sequences
    return {
        "run": run.name,
        "layers": run.n_layers,
        "start": start,
        "end": end,
        "end_lasts": run.slides.lasting,
        "h_start": run.h_start,
        "h_end": run.h_end,
        "frames_not_read": int((~run.history.read).sum()),
        "read_at_end": run.read_at_end,
        "slides": [
            {
                "time_ns": _finite(slide.time_ns),
                "since_ns": _finite(slide.since_ns),
                "phase": slide.phase,
                "kind": slide.kind,
                "layer": slide.layer,
                "before": list(slide.before),
                "after": list(slide.after),
                "h_before": slide.h_before,
                "h_after": slide.h_after,
            }
            for slide in run.slides.slides
        ],
        "rates_per_ns": {
            phase: {
                kind: {
                    "slides": rate.slides,
                    "rate": rate.rate_per_ns,
                    "low": rate.low_per_ns,
                    "high": rate.high_per_ns,
                }
                for kind, rate in rates.items()
            }
            for phase, rates in hopping_rates(run.slides).items()
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
