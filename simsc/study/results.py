"""Read what a finished run left behind."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsc.builders.nanoparticle_file import read_xyz
from simsc.classify.order import Order
from simsc.classify.steinhardt import IDEAL
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.io.native import read_intensity, read_map, read_superlattice
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.study.run import study_of
from simsc.study.schema import Study
from simsc.study.stages import stages_of

STATES = ("before", "after")


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


def _read_all_atom(folder: Path) -> AllAtom:
    structures = [
        (title, *read_xyz(folder / "nanoparticle" / f"{name}.xyz"))
        for title, name in (("core", "core"), ("with OH", "hydroxylated"), ("with ligands", "nanoparticle_0"))
    ]
    censuses = json.loads((folder / "nanoparticle" / "census_0.json").read_text(encoding="utf-8"))
    crystal = json.loads((folder / "crystal" / "census.json").read_text(encoding="utf-8"))
    censuses["in the fcc crystal"] = crystal[0]
    return AllAtom(structures, censuses, read_trajectory(folder / "crystal" / "trajectory.h5"))


def read_results(folder: Path) -> Results:
    """Read a run folder.

    Raises:
        InputError: naming a file that is missing or cannot be read.
    """
    try:
        study = study_of(folder)
        stages = [stage.name for stage in stages_of(study)]
        if missing := [name for name in stages if not (folder / name).is_dir()]:
            raise InputError(f"{folder}: is no finished run, {missing[0]} is still to come; see simsc status")
        trajectory = read_trajectory(folder / "anneal" / "trajectory.h5")
        summary = json.loads((folder / "order" / "summary.json").read_text(encoding="utf-8"))
        records = {name: json.loads((folder / name / "done.json").read_text(encoding="utf-8")) for name in stages}
        order = _read_order(folder / "order")
        return Results(
            study,
            trajectory,
            order,
            {name: _read_state(folder, name, summary[name], order) for name in STATES},
            records,
            None if study.all_atom is None else _read_all_atom(folder),
        )
    except (OSError, KeyError, ValueError) as error:
        what = error.filename if isinstance(error, OSError) and error.filename else " ".join(str(error).split())
        raise InputError(f"{folder}: is no finished run ({what} is missing or damaged); see simsc status") from None


def _read_order(folder: Path) -> Order:
    with h5py.File(folder / "order.h5", "r") as file:
        classes = tuple(str(name) for name in file["labels"].attrs["classes"])
        values = [file[name][:] for name in ("q4", "q6", "labels", "layers", "time_ns")]
    with open(folder / "counts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != len(values[0]):
        raise InputError(f"{folder}: counts.csv has {len(rows)} frames, order.h5 {len(values[0])}")
    q4, q6, labels, layers, time_ns = values
    named = np.array(classes)[labels]
    classes = tuple(name for name in classes if name in IDEAL or (named == name).any())
    phases, sequences = (tuple(row[key] for row in rows) for key in ("phase", "sequence"))
    return Order(q4, q6, named, layers, time_ns, phases, sequences, classes)


def _read_state(folder: Path, name: str, summary: dict[str, Any], order: Order) -> State:
    return State(
        frame=int(summary["frame"]),
        time_ns=float(summary["time_ns"]),
        counts={str(key): int(value) for key, value in summary["counts"].items()},
        sequence=str(summary["sequence"] or ""),
        layers=tuple(int(k) for k in order.layers[int(summary["frame"])]) if summary["sequence"] else (),
        intensity=read_intensity(folder / "scattering" / f"intensity_{name}.h5"),
        n_scatterers=read_superlattice(folder / "scattering" / f"crystal_{name}.h5").n,
        correlation=read_map(folder / "correlation" / f"map_{name}.h5"),
    )
