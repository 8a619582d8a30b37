"""The stacking over time, from the order of NPs that a trajectory left behind."""

import csv
from pathlib import Path

import h5py

from simsc.core.errors import InputError
from simsc.sliding.slips import StackingHistory, stacking_history


def read_history(folder: Path) -> StackingHistory:
    """Read the stacking over time of a periodic crystal from a folder that `write_order` wrote.

    Raises:
        InputError: if files are missing or damaged, or the crystal is finite.
    """
    try:
        with open(folder / "counts.csv", newline="", encoding="utf-8") as table:
            rows = [(row["sequence"], row["phase"]) for row in csv.DictReader(table)]
        with h5py.File(folder / "order.h5", "r") as file:
            layers, time_ns = file["layers"], file["time_ns"][:]
            if len(rows) != len(layers):
                raise InputError(f"counts.csv has {len(rows)} frames, order.h5 {len(layers)}")
            if not layers.attrs.get("periodic", True):
                raise InputError("this is a finite crystal; slides are followed in periodic ones")
            sequences, phases = ([row[k] for row in rows] for k in (0, 1))
            return stacking_history(sequences, layers, time_ns, phases)
    except (OSError, KeyError, ValueError, TypeError, csv.Error, RuntimeError, InputError) as error:
        raise InputError(f"{folder}: no stacking over time: {' '.join(str(error).split())}") from None
