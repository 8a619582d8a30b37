"""Read what a finished run left behind, and tell stackings apart as the report needs it."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsc.classify.stacking import stacking_sequence
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.files import read_intensity, read_map, read_superlattice
from simsc.core.intensity import IntensityVolume
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.study.schema import Study, read_study

STAGES = ("build", "anneal", "order", "scattering", "correlation")
STATES = ("before", "after")


@dataclass(frozen=True, eq=False)
class Order:
    """Bond order and labels of each NP in each frame.

    Args:
        q4, q6: (F, N) Steinhardt's invariants.
        labels: (F, N) names of classes.
        time_ns: (F,) time, ns.
        phases: (F,) name of the phase.
        sequences: (F,) stacking sequence; empty where it could not be read.
        classes: names of all classes.
    """

    q4: np.ndarray
    q6: np.ndarray
    labels: np.ndarray
    time_ns: np.ndarray
    phases: tuple[str, ...]
    sequences: tuple[str, ...]
    classes: tuple[str, ...]

    def counts(self, frame: int) -> dict[str, int]:
        """Return how many NPs of each class a frame has."""
        return {name: int((self.labels[frame] == name).sum()) for name in self.classes}


@dataclass(frozen=True, eq=False)
class State:
    """The system before or after annealing.

    Args:
        frame: number of the frame that is shown.
        time_ns: its time, ns.
        counts: NPs of each class.
        sequence: stacking sequence; empty where it could not be read.
        layers: number of each NP's layer within `sequence`; empty where it is not clear.
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


def read_results(folder: Path) -> Results:
    """Read a run folder.

    Raises:
        InputError: naming a file that is missing or cannot be read.
    """
    try:
        study = read_study(folder / "study.toml")
        trajectory = read_trajectory(folder / "anneal" / "trajectory.h5")
        summary = json.loads((folder / "order" / "summary.json").read_text(encoding="utf-8"))
        records = {name: json.loads((folder / name / "done.json").read_text(encoding="utf-8")) for name in STAGES}
        return Results(
            study,
            trajectory,
            _read_order(folder / "order"),
            {name: _read_state(folder, name, summary[name], trajectory) for name in STATES},
            records,
        )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{folder}: is not a finished run ({' '.join(str(error).split())}); run it again") from None


def layer_kinds(sequence: str) -> str:
    """Return "h" for each layer of a periodic sequence whose two neighbours are alike (hcp-like), else "c" (fcc-like).

    Example:
        >>> layer_kinds("ABCABCABABAB")
        'hcccccchhhhh'
    """
    n = len(sequence)
    return "".join("h" if sequence[k - 1] == sequence[(k + 1) % n] else "c" for k in range(n))


def same_stacking(first: str, second: str) -> bool:
    """Tell whether two periodic sequences are the same crystal: alike but for start, letters and direction.

    Example:
        >>> same_stacking("ABCABCABABAB", "ABCABCACACAC"), same_stacking("ABCABC", "ABABAB")
        (True, False)
    """
    a, b = layer_kinds(first), layer_kinds(second)
    return len(a) == len(b) and (b in a + a or b[::-1] in a + a)


def layer_numbers(trajectory: Trajectory, frame: int, sequence: str) -> tuple[int, ...]:
    """Return the place within a stacking sequence of each NP's layer.

    The layers are numbered along the stacking axis, then the numbers shifted until hcp-like layers, whose neighbours
    lie above each other, fall on those of the sequence.

    Args:
        trajectory: NP centres.
        frame: number of the frame.
        sequence: its stacking sequence.

    Returns:
        (N,) numbers, or () where they are not clear: no sequence fits, or its layers are not spanned by the first two
        cell vectors.
    """
    superlattice = trajectory.superlattice(frame)
    stacking = stacking_sequence(superlattice)
    assert superlattice.cell is not None
    if stacking is None or len(stacking.sequence) != len(sequence):
        return ()
    vectors, n_layers = superlattice.cell.vectors_nm, len(sequence)
    along = vectors @ stacking.axis
    if np.abs(along[:2]).max() > 0.05 * abs(along[2]):
        return ()
    phase = 2 * np.pi * n_layers * (superlattice.positions_nm @ stacking.axis) / along[2]
    layer = np.round((phase - np.angle(np.exp(1j * phase).sum())) / (2 * np.pi)).astype(int) % n_layers
    d_nn_nm = float(trajectory.thermo["d_nn_nm"][frame])
    positions = superlattice.positions_nm
    kinds = ""
    for k in range(n_layers):
        below, above = positions[layer == (k - 1) % n_layers], positions[layer == (k + 1) % n_layers]
        if len(below) == 0 or len(above) == 0:
            return ()
        fractional = superlattice.cell.fractional((above[None, :] - below[:, None]).reshape(-1, 3))
        lateral = (fractional[:, :2] - np.round(fractional[:, :2])) @ vectors[:2]
        nearest = np.linalg.norm(lateral, axis=1).reshape(len(below), len(above)).min(axis=1)
        # 0 where the layers lie above each other, d / √3 where they do not.
        kinds += "h" if nearest.mean() < d_nn_nm / (2 * np.sqrt(3)) else "c"
    begin = (kinds + kinds).find(layer_kinds(sequence))
    return () if begin < 0 else tuple(int(k - begin) % n_layers for k in layer)


def _read_order(folder: Path) -> Order:
    with h5py.File(folder / "order.h5", "r") as file:
        classes = tuple(str(name) for name in file["labels"].attrs["classes"])
        values = [file[name][:] for name in ("q4", "q6", "labels", "time_ns")]
    with open(folder / "counts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != len(values[0]):
        raise InputError(f"{folder}: counts.csv has {len(rows)} frames, order.h5 {len(values[0])}")
    q4, q6, labels, time_ns = values
    phases, sequences = (tuple(row[key] for row in rows) for key in ("phase", "sequence"))
    return Order(q4, q6, np.array(classes)[labels], time_ns, phases, sequences, classes)


def _read_state(folder: Path, name: str, summary: dict[str, Any], trajectory: Trajectory) -> State:
    return State(
        frame=int(summary["frame"]),
        time_ns=float(summary["time_ns"]),
        counts={str(key): int(value) for key, value in summary["counts"].items()},
        sequence=str(summary["sequence"] or ""),
        layers=layer_numbers(trajectory, int(summary["frame"]), str(summary["sequence"] or "")),
        intensity=read_intensity(folder / "scattering" / f"intensity_{name}.h5"),
        n_scatterers=read_superlattice(folder / "scattering" / f"crystal_{name}.h5").n,
        correlation=read_map(folder / "correlation" / f"map_{name}.h5"),
    )
