"""What the order over a trajectory leaves behind: `order.h5`, `counts.csv` and `summary.json` in a folder."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsc.classify.over_time import TimedOrder, change_frames, fractions, healing_time_ns, transitions
from simsc.core.errors import InputError
from simsc.io.hdf5 import check_kind, open_hdf5, streamed_hdf5
from simsc.io.kinds import ORDER
from simsc.io.whole_files import whole_file, write_text

_NEGLIGIBLE = 5e-4  # of an NP that changes class
_BLOCK_BYTES = 16_000_000  # of probabilities in memory when changes of NPs are looked for
_FOLLOWED = ("hcp", "fcc")  # the change that heals: from, to


def write_order(
    out: Path,
    frames: Iterable[TimedOrder],
    n_frames: int,
    states: Mapping[str, int],
    origin: dict[str, Any],
    seed: int = 0,
    on_frame: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Write the order of frames as they come, and what follows from all; memory does not grow with their number.

    `order.h5` holds `q4`, `q6`, `w4`, `w6`, `labels` and `layers` (F, N; its attribute `periodic` tells of the last
    stacking that was read), `probabilities` (F, N, C), `time_ns` (F,), and `hcp_to_fcc_frame` (N,), −1 for NPs that do
    not change. `counts.csv` has a row for each frame: NPs of each
    class, fractions with standard errors, and the stacking sequence.

    Args:
        out: folder, which exists.
        frames: order of the frames.
        n_frames: how many there are.
        states: numbers of frames that stand in the summary by a name; NPs are counted that go over from the class in
            the first of them to that in the last.
        origin: see `simsc.io.provenance.provenance`.
        seed: of the uncertainty of the healing time.
        on_frame: called after each frame with the number of those that are done.

    Returns:
        What `summary.json` holds: the `states`; expected numbers of `transitions` by class before and after; and
        `healing`: how many NPs changed from hcp to fcc for good, and the median time with its 95 % interval, ns (or as
        numbers of frames where times are unknown).

    Raises:
        InputError: if there are other than n_frames frames, or the number of NPs changes.
        ResourceError: if the disk is full.
    """
    summary: dict[str, Any] = {}
    weights: dict[int, np.ndarray] = {}
    times_ns = np.full(n_frames, np.nan)
    classes: tuple[str, ...] = ()
    with (
        whole_file(out / "counts.csv") as partial,
        open(partial, "w", newline="", encoding="utf-8") as table,
        streamed_hdf5(out / "order.h5", ORDER, origin) as file,
    ):
        writer = csv.writer(table)
        done = 0
        for k, frame in enumerate(frames):
            labels, stacking = frame.order.labels, frame.order.stacking
            if k == 0:
                classes = labels.classes
                _lay_out(file, n_frames, len(labels.labels), classes)
                writer.writerow(_header(classes))
            elif len(labels.labels) != file["labels"].shape[1]:
                raise InputError(f"frame {k} has {len(labels.labels)} NPs, the first {file['labels'].shape[1]}")
            for name in ("q4", "q6", "w4", "w6"):
                file[name][k] = getattr(frame.order.bond_order, name)
            file["labels"][k], file["probabilities"][k] = labels.numbers, labels.probabilities
            file["layers"][k] = stacking.layers if stacking else -1
            if stacking:
                file["layers"].attrs["periodic"] = stacking.periodic
            file["time_ns"][k] = times_ns[k] = frame.time_ns
            writer.writerow(_row(frame))
            for state in (name for name, number in states.items() if number == k):
                weights[k] = labels.weights
                summary[state] = _summary(frame, k)
            done = k + 1
            on_frame(done)
        if done != n_frames:
            raise InputError(f"there were {done} frames instead of {n_frames}")
        changes = _changes(file, classes)
        file["hcp_to_fcc_frame"] = changes
    before, *_, after = (*states.values(), *states.values())
    moved = transitions(weights[before], weights[after])
    summary = {name: summary[name] for name in states}
    summary["transitions"] = {
        name: {other: round(float(moved[i, j]), 3) for j, other in enumerate(classes) if moved[i, j] > _NEGLIGIBLE}
        for i, name in enumerate(classes)
        if moved[i].sum() > _NEGLIGIBLE
    }
    summary["healing"] = _healing(times_ns, changes, seed)
    write_text(out / "summary.json", json.dumps(summary, indent=1))
    return summary


class OrderFile:
    """The order of NPs, frame by frame, from a folder that `write_order` wrote.

    Args:
        folder: the folder.

    Raises:
        InputError: if it holds no order.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "order.h5"
        with open_hdf5(self._path) as file:
            check_kind(self._path, file, ORDER)
            self.time_ns: np.ndarray = file["time_ns"][:]
            self.n: int = file["labels"].shape[1]
            self._classes = np.array([str(name) for name in file["labels"].attrs["classes"]])

    def __len__(self) -> int:
        return len(self.time_ns)

    def properties(self, number: int) -> dict[str, np.ndarray]:
        """Return what is known of the NPs of a frame: `label` and its `probability`, `layer`, `q4`, `q6`, `w4`, `w6`.

        Arrays (N,); a layer of −1 is that of no stacking.
        """
        with open_hdf5(self._path) as file:
            labels = file["labels"][number]
            probabilities = file["probabilities"][number]
            found = {"label": self._classes[labels], "probability": probabilities[np.arange(self.n), labels]}
            found["layer"] = file["layers"][number]
            return found | {name: file[name][number] for name in ("q4", "q6", "w4", "w6")}


def _lay_out(file: h5py.File, n_frames: int, n: int, classes: tuple[str, ...]) -> None:
    for name in ("q4", "q6", "w4", "w6"):
        file.create_dataset(name, (n_frames, n), "f8")
    file.create_dataset("labels", (n_frames, n), "i1").attrs["classes"] = list(classes)
    file.create_dataset("probabilities", (n_frames, n, len(classes)), "f4")
    file.create_dataset("layers", (n_frames, n), "i4")
    file.create_dataset("time_ns", (n_frames,), "f8")


def _header(classes: tuple[str, ...]) -> list[str]:
    estimates = [f"{name}_{what}" for name in ("fcc", "hcp") for what in ("fraction", "standard_error")]
    return ["time_ns", "phase", *classes, *estimates, "sequence", "sequence_probability"]


def _row(frame: TimedOrder) -> list[str]:
    labels, stacking = frame.order.labels, frame.order.stacking
    mean, error = (x[0] for x in fractions(labels.weights[None]))
    places = [labels.classes.index(name) for name in ("fcc", "hcp")]
    return [
        "" if np.isnan(frame.time_ns) else f"{frame.time_ns:.6g}",
        frame.phase,
        *(str(count) for count in labels.counts.values()),
        *(f"{x[place]:.4f}" for place in places for x in (mean, error)),
        stacking.sequence if stacking else "",
        f"{stacking.probability.prod():.4f}" if stacking else "",
    ]


def _summary(frame: TimedOrder, number: int) -> dict[str, Any]:
    return {
        "frame": number,
        "time_ns": None if np.isnan(frame.time_ns) else frame.time_ns,
        "counts": frame.order.labels.counts,
        "sequence": frame.order.stacking.sequence if frame.order.stacking else None,
    }


def _changes(file: h5py.File, classes: tuple[str, ...]) -> np.ndarray:
    """Return for each NP the frame in which it changes, from what was written, some NPs at a time."""
    n_frames, n, n_classes = file["probabilities"].shape
    step = max(1, _BLOCK_BYTES // (4 * n_frames * n_classes))
    start, end = (classes.index(name) for name in _FOLLOWED)
    found = []
    for begin in range(0, n, step):
        block = np.s_[:, begin : begin + step]
        probabilities, numbers = file["probabilities"][block], file["labels"][block]
        certain = np.eye(n_classes, dtype="f4")[numbers]
        found.append(change_frames(np.where(np.isnan(probabilities), certain, probabilities), start, end))
    return np.concatenate(found)


def _healing(times_ns: np.ndarray, changes: np.ndarray, seed: int) -> dict[str, Any]:
    healed = int((changes >= 0).sum())
    if not healed:
        return {"n": 0}
    known = bool(np.isfinite(times_ns).all())
    when = healing_time_ns(times_ns if known else np.arange(len(times_ns)), changes, seed)
    unit = "ns" if known else "frame"
    return {"n": healed} | dict(zip((f"{name}_{unit}" for name in ("median", "lower", "upper")), when, strict=True))
