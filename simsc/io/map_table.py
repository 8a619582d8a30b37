"""Correlation maps as tables for other programs."""

import csv
from pathlib import Path

import numpy as np

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.io.whole_files import whole_file

MAPS = (".csv",)
"""Endings of such tables."""


def write_map_table(path: Path, correlation: CorrelationMap) -> None:
    """Write a correlation map as CSV: a row for each pair of q2 (nm⁻¹) and Δ (degrees).

    Raises:
        InputError: for another ending than .csv, or a file that cannot be written.
        ResourceError: if the disk is full.
    """
    if path.suffix.lower() not in MAPS:
        raise InputError(f"{path}: no correlation map is written with this ending; it is .csv, or for pictures .png …")
    errors = None if correlation.variance is None else np.sqrt(correlation.variance)
    head = ["q1_inv_nm", "q2_inv_nm", "delta_deg", "ccf", "coverage"]
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head if errors is None else [*head, "standard_error"])
        for i, q2 in enumerate(correlation.q2_inv_nm):
            for j, delta in enumerate(correlation.delta_deg):
                row = [f"{x:.8g}" for x in (correlation.q1_inv_nm, q2, delta, correlation.ccf[i, j])]
                row.append(f"{correlation.coverage[i, j]:.6g}")
                writer.writerow(row if errors is None else [*row, f"{errors[i, j]:.4g}"])
