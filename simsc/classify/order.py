"""The order of NPs over time: how it is written to a folder frame by frame, and how it is read back.

The folder holds `order.h5`, `counts.csv` and `summary.json`.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsc.classify.over_time import TimedOrder, change_frames, fractions, healing_time_ns, transitions
from simsc.classify.steinhardt import IDEAL
from simsc.core.errors import InputError
from simsc.io.hdf5 import check_kind, open_hdf5, streamed_hdf5
from simsc.io.kinds import ORDER
from simsc.io.whole_files import whole_file, write_text

ORDER_FOLDER = "order"  # of a run
ORDER_FILE = "order.h5"
COUNTS = "counts.csv"
SUMMARY = "summary.json"
BOND_ORDER = ("q4", "q6", "w4", "w6")
_NEGLIGIBLE = 5e-4  # of an NP that changes class
_BLOCK_BYTES = 16_000_000  # of a file in memory at a time
_FOLLOWED = ("hcp", "fcc")  # the change that heals: from, to


class Order:
    """Bond order and labels of each NP in each frame.

    They lie in memory (`Order.of`) or in the files of a folder (`read_order`). Of files, `properties` and `by_frame`
    hold a frame or some at a time; `q4`, `q6`, `labels` and `layers` are those of all frames, read once and kept.

    Args:
        read: gives the values of a name (as in `order.h5`) for the frames chosen by a number or a slice.
        table: gives the phase and the stacking sequence of each frame.
        all_classes: names of the classes that `labels` counts.
        time_ns: (F,) time, ns; NaN where unknown.
        n: number of NPs.
        periodic: whether the stackings that were read repeat for ever.
    """

    def __init__(
        self,
        read: Callable[[str, int | slice], np.ndarray],
        table: Callable[[], tuple[tuple[str, ...], tuple[str, ...]]],
        all_classes: tuple[str, ...],
        time_ns: np.ndarray,
        n: int,
        periodic: bool = True,
    ) -> None:
        self._read, self._table = read, table
        self._names = np.array(all_classes)
        self.time_ns, self.n, self.periodic = time_ns, n, periodic

    @classmethod
    def of(cls, frames: Iterable[TimedOrder]) -> "Order":
        """Return the order of frames, at least one, from `simsc.classify.over_time.timed_order`, all in memory."""
        timed = list(frames)
        n = len(timed[0].order.labels.labels)
        orders = [one.order for one in timed]
        stackings = [order.stacking for order in orders]
        values = {name: np.array([getattr(order.bond_order, name) for order in orders]) for name in BOND_ORDER}
        values["labels"] = np.array([order.labels.numbers for order in orders])
        values["probabilities"] = np.array([order.labels.probabilities for order in orders])
        values["layers"] = np.array([np.full(n, -1) if one is None else one.layers for one in stackings])
        phases = tuple(one.phase for one in timed)
        sequences = tuple("" if one is None else one.sequence for one in stackings)
        return cls(
            lambda name, rows: values[name][rows],
            lambda: (phases, sequences),
            orders[0].labels.classes,
            np.array([one.time_ns for one in timed]),
            n,
            next((one.periodic for one in reversed(stackings) if one is not None), True),
        )

    def __len__(self) -> int:
        return len(self.time_ns)

    @cached_property
    def q4(self) -> np.ndarray:
        """Steinhardt's q4, (F, N)."""
        return self._read("q4", slice(None))

    @cached_property
    def q6(self) -> np.ndarray:
        """Steinhardt's q6, (F, N)."""
        return self._read("q6", slice(None))

    @cached_property
    def labels(self) -> np.ndarray:
        """Names of classes, (F, N)."""
        return np.asarray(self._names[self._read("labels", slice(None))])

    @cached_property
    def layers(self) -> np.ndarray:
        """Number of each NP's layer within the sequence, (F, N); −1 where it could not be read."""
        return self._read("layers", slice(None))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of fcc and hcp, and of what else there is in any frame."""
        return tuple(str(name) for name in self._names if name in IDEAL or (self.labels == name).any())

    @property
    def phases(self) -> tuple[str, ...]:
        """Name of the phase of each frame; empty where there is none."""
        return self._phases_and_sequences[0]

    @property
    def sequences(self) -> tuple[str, ...]:
        """Stacking sequence of each frame; empty where it could not be read."""
        return self._phases_and_sequences[1]

    @cached_property
    def _phases_and_sequences(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self._table()

    def counts(self, frame: int) -> dict[str, int]:
        """Return how many NPs of each class a frame has."""
        return {name: int((self.labels[frame] == name).sum()) for name in self.classes}

    def by_frame(self, name: str) -> Iterator[np.ndarray]:
        """Yield the values (N,) of one name, such as "layers", frame by frame."""
        step = max(1, _BLOCK_BYTES // (8 * max(self.n, 1)))
        for first in range(0, len(self), step):
            yield from self._read(name, slice(first, first + step))

    def properties(self, frame: int) -> dict[str, np.ndarray]:
        """Return what is known of the NPs of a frame: `label` and its `probability`, `layer`, `q4`, `q6`, `w4`, `w6`.

        Arrays (N,); a layer of −1 is that of no stacking.
        """
        labels = self._read("labels", frame)
        probabilities = self._read("probabilities", frame)
        found = {"label": self._names[labels], "probability": probabilities[np.arange(self.n), labels]}
        found["layer"] = self._read("layers", frame)
        return found | {name: self._read(name, frame) for name in BOND_ORDER}


def read_order(folder: Path) -> Order:
    """Read the order of NPs from a folder that `write_order` wrote.

    Values come from the files when they are asked for; so does the `InputError` about a file that is damaged.

    Raises:
        InputError: if the folder holds no order.
    """
    path = folder / ORDER_FILE

    def read(name: str, rows: int | slice) -> np.ndarray:
        with open_hdf5(path) as file:
            return np.asarray(file[name][rows])

    with open_hdf5(path) as file:
        check_kind(path, file, ORDER)
        classes = tuple(str(name) for name in file["labels"].attrs["classes"])
        periodic = bool(file["layers"].attrs.get("periodic", True))
        n, time_ns = file["labels"].shape[1], file["time_ns"][:]
    return Order(read, lambda: _read_counts(folder / COUNTS, len(time_ns)), classes, time_ns, n, periodic)


def order_folder(folder: Path) -> Path:
    """Return where the order of a run lies: in its folder, or this is it."""
    return folder / ORDER_FOLDER if (folder / ORDER_FOLDER).is_dir() else folder


def _read_counts(path: Path, n_frames: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the phase and the stacking sequence of each frame."""
    try:
        with open(path, newline="", encoding="utf-8") as table:
            rows = [(row["phase"], row["sequence"]) for row in csv.DictReader(table)]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: is no table of phases and sequences ({' '.join(str(error).split())})") from None
    if len(rows) != n_frames:
        raise InputError(f"{path}: has {len(rows)} frames, {ORDER_FILE} has {n_frames}")
    return tuple(phase for phase, _ in rows), tuple(sequence for _, sequence in rows)


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
        whole_file(out / COUNTS) as partial,
        open(partial, "w", newline="", encoding="utf-8") as table,
        streamed_hdf5(out / ORDER_FILE, ORDER, origin) as file,
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
            for name in BOND_ORDER:
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
    write_text(out / SUMMARY, json.dumps(summary, indent=1))
    return summary


def _lay_out(file: h5py.File, n_frames: int, n: int, classes: tuple[str, ...]) -> None:
    for name in BOND_ORDER:
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
    for start_np in range(0, n, step):
        block = np.s_[:, start_np : start_np + step]
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
