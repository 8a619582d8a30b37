"""A run folder that no simulation made, whose study, phases and files bear hostile names."""

import csv
import json
import tomllib
from pathlib import Path

import h5py
import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.classify.steinhardt import IDEAL
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import IntensityVolume
from simsc.core.stacking import layer_kinds
from simsc.io.native import write_intensity, write_map, write_superlattice
from simsc.io.provenance import provenance
from simsc.io.whole_files import write_text
from simsc.md.trajectory import COLUMNS, Trajectory, write_trajectory
from simsc.study.schema import Study, preset_text

CLASSES = ("fcc", "hcp", "surface")
SEQUENCE, HEALED = "ABCABCABABAB", "ABCABCABCABC"
TITLE = "</script><img src=x onerror=alert(1)> & $\\frac{"
PHASE = '<b onclick="alert(2)">$\\frac{\'&amp;</b>'
FILE = "<svg onload=alert(3)>.csv"
FRAMES = 8
D_NM = 6.2


def write_fake_run(folder: Path, title: str = TITLE, phase: str = PHASE) -> Path:
    """Write a run folder by the package's own writers, without computing anything; fcc at the end, half hcp before."""
    values = tomllib.loads(preset_text("preview"))
    values["title"] = title
    values["anneal"]["phases"][1]["name"] = phase
    study = Study.model_validate_json(json.dumps(values))
    rng = np.random.default_rng(1)
    for name in ("build", "anneal", "order", "scattering", "correlation"):
        (folder / name).mkdir(parents=True)
        record = {"seconds": 1.25, "study": {}, "outputs": {FILE: "0" * 64}, "provenance": provenance(threads=1)}
        write_text(folder / name / "done.json", json.dumps(record))
    write_text(folder / "study.toml", study.to_toml())

    names = [p.name for p in study.anneal.phases]
    frames: list[tuple[np.ndarray, np.ndarray, dict[str, float]]] = []
    rows, q4, q6, labels = [], [], [], []
    for k in range(FRAMES):
        sequence = "" if k == 4 else SEQUENCE if k < 4 else HEALED
        crystal = close_packed(sequence or SEQUENCE, D_NM)
        temperature = 300 + 300 * np.sin(np.pi * k / (FRAMES - 1))
        thermo = dict.fromkeys(
            ("pressure_atm", "potential_kcal_per_mol", "kinetic_kcal_per_mol", "volume_nm3", "target_K"), 1.0 + k
        )
        thermo |= {"time_ns": 0.1 * (k + 1), "temperature_K": temperature, "target_K": temperature, "d_nn_nm": D_NM}
        assert crystal.cell is not None
        # Unwrapped, as in a simulation, and a little off the layers' ideal heights.
        drifted = crystal.positions_nm + [3, -2, 1] @ crystal.cell.vectors_nm + 0.4
        frames.append((drifted, crystal.cell.vectors_nm, thermo))
        kinds = [kind for kind in layer_kinds(sequence or SEQUENCE) for _ in range(2)]
        labels.append([CLASSES.index("hcp" if kind == "h" else "fcc") for kind in kinds])
        ideal = np.array([IDEAL[CLASSES[label]] for label in labels[-1]]) + rng.normal(scale=0.003, size=(24, 2))
        q4.append(ideal[:, 0])
        q6.append(ideal[:, 1])
        n_hcp = kinds.count("h")
        rows.append([f"{thermo['time_ns']:.6g}", names[k // 2], 24 - n_hcp, n_hcp, 0, sequence])
    trajectory = Trajectory(
        positions_nm=np.array([frame[0] for frame in frames]),
        orientations=np.tile([0.0, 0.0, 0.0, 1.0], (FRAMES, 24, 1)),
        cells_nm=np.array([frame[1] for frame in frames]),
        radii_nm=np.full(24, 2.0),
        rows=np.arange(FRAMES),
        series={name: np.array([frame[2][name] for frame in frames]) for name in COLUMNS},
        series_phase=np.arange(FRAMES) // 2,
        phase_names=tuple(names),
    )
    write_trajectory(folder / "anneal" / "trajectory.h5", trajectory, {})

    with h5py.File(folder / "order" / "order.h5", "w") as file:
        file.attrs["format"] = "simsc order 2"
        file["q4"], file["q6"], file["time_ns"] = q4, q6, 0.1 * np.arange(1, FRAMES + 1)
        file["labels"] = np.array(labels, dtype="i1")
        file["labels"].attrs["classes"] = list(CLASSES)
        file["layers"] = np.tile(np.repeat(np.arange(12), 2), (len(labels), 1))
    with open(folder / "order" / "counts.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["time_ns", "phase", *CLASSES, "sequence"], *rows])
    summary = {
        state: {
            "frame": k,
            "time_ns": 0.1 * (k + 1),
            "counts": dict(zip(CLASSES, rows[k][2:5], strict=True)),
            "sequence": rows[k][5],
        }
        for state, k in (("before", 1), ("after", FRAMES - 1))
    }
    write_text(folder / "order" / "summary.json", json.dumps(summary))

    axis = np.linspace(-2.4, 2.4, 16)
    q1 = layer_momentum_transfer(D_NM)
    q2, delta = q1 * np.linspace(0.83, 1.88, 12), np.linspace(0, 180, 37)
    for state in ("before", "after"):
        write_superlattice(folder / "scattering" / f"crystal_{state}.h5", crystal.in_free_space(), {})
        volume = IntensityVolume(rng.exponential(1e5, size=(16,) * 3), (axis,) * 3, diameter_nm=120.0)
        write_intensity(folder / "scattering" / f"intensity_{state}.h5", volume, {})
        ccf = rng.normal(size=(12, 37))
        ccf[3, 5] = np.nan
        correlation = CorrelationMap(q1, q2, delta, ccf, np.ones_like(ccf), rng.exponential(1e4, size=12))
        write_map(folder / "correlation" / f"map_{state}.h5", correlation, {})
    return folder
