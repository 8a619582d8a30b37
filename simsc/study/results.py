"""Read what a finished run left behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.classify.order import Order
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.md.trajectory import Trajectory
from simsc.study.run_folder import DONE, STATES, RunFolder
from simsc.study.schema import Study
from simsc.study.stages import stages_of


@dataclass(frozen=True, eq=False)
class State:
    """The system before or after annealing.

    Args:
        frame: number of the frame that is shown.
        time_ns: its time, ns.
        counts: NPs of each class.
        sequence: stacking sequence; empty where it could not be read.
        layers: number of each NP's layer within `sequence`; empty where it could not be read.
        intensity: 3D intensity of the finite crystal.
        n_scatterers: NPs in the finite crystal.
        correlation: correlation map.
    """

    frame: int
    time_ns: float
    counts: dict[str, int]
    sequence: str
    layers: tuple[int, ...]
    intensity: IntensityVolume
    n_scatterers: int
    correlation: CorrelationMap


@dataclass(frozen=True, eq=False)
class AllAtom:
    """What an all-atom study has besides.

    Attributes:
        structures: title, elements (n,) and positions (n, 3) in Å of the first NP: bare, hydroxylated, relaxed.
        censuses: by state, `simsc.builders.census.Census` as a mapping.
        crystal: equilibration of the fcc crystal.
    """

    structures: list[tuple[str, np.ndarray, np.ndarray]]
    censuses: dict[str, dict[str, Any]]
    crystal: Trajectory


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that the report shows.

    Args:
        study: the study with all defaults.
        trajectory: NP centres and thermodynamics.
        order: bond order and labels.
        states: the states "before" and "after".
        records: what each stage wrote down when it was done (seconds, outputs, provenance).
    """

    study: Study
    trajectory: Trajectory
    order: Order
    states: dict[str, State]
    records: dict[str, dict[str, Any]]
    all_atom: AllAtom | None = None


def read_results(folder: Path) -> Results:
    """Read a run folder.

    Raises:
        InputError: naming a file that is missing or cannot be read.
    """
    run = RunFolder(folder)
    try:
        study = run.study()
        stages = [stage.name for stage in stages_of(study)]
        if missing := [name for name in stages if not run.stage(name).is_dir()]:
            raise InputError(f"{folder}: is no finished run, {missing[0]} is still to come; see simsc status")
        records = {name: record for name in stages if (record := run.record(name)) is not None}
        if missing := [name for name in stages if name not in records]:
            raise ValueError(run.stage(missing[0]) / DONE)
        order = run.order()
        _ = order.q4, order.q6, order.labels, order.layers, order.sequences  # now, so that damage is found here
        summary = run.summary()
        return Results(
            study,
            run.trajectory(),
            order,
            {name: _read_state(run, name, summary[name], order) for name in STATES},
            records,
            None if study.all_atom is None else AllAtom(run.structures(), run.censuses(), run.fcc_trajectory()),
        )
    except (OSError, KeyError, ValueError) as error:
        what = error.filename if isinstance(error, OSError) and error.filename else " ".join(str(error).split())
        raise InputError(f"{folder}: is no finished run ({what} is missing or damaged); see simsc status") from None


def _read_state(run: RunFolder, name: str, summary: dict[str, Any], order: Order) -> State:
    return State(
        frame=int(summary["frame"]),
        time_ns=float(summary["time_ns"]),
        counts={str(key): int(value) for key, value in summary["counts"].items()},
        sequence=str(summary["sequence"] or ""),
        layers=tuple(int(k) for k in order.layers[int(summary["frame"])]) if summary["sequence"] else (),
        intensity=run.intensity(name),
        n_scatterers=run.crystal(name).n,
        correlation=run.correlation(name),
    )
