"""The stages of a study: build, anneal, order, scattering and correlation, each from files to files."""

import contextlib
import csv
import json
import multiprocessing
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simsc.build.close_packed import close_packed
from simsc.build.finite_crystal import finite_crystal
from simsc.classify.over_time import (
    FrameOrder,
    averaged,
    change_frames,
    fractions,
    healing_time_ns,
    order_over_time,
    transitions,
    windows,
)
from simsc.core.errors import SimscWarning
from simsc.core.files import (
    new_hdf5,
    provenance,
    read_superlattice,
    whole_file,
    write_intensity,
    write_map,
    write_superlattice,
    write_text,
)
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.peaks import layer_momentum_transfer
from simsc.correlation.shells import first_bright_peak, shells_of_crystal
from simsc.forcefield.super_ligand import load_super_ligand
from simsc.md.anneal import DATA, SNAPSHOTS, TRAJECTORY, AnnealProgress, plain_lammps_arguments, prepare
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.models.super_ligand import dress_super_ligand
from simsc.scattering.amplitude import intensity_on_grid
from simsc.study.all_atom import crystal_stage, equilibrated_d_nn_nm, nanoparticle_stage, restacked
from simsc.study.context import Context, Stage
from simsc.study.schema import Study, q2_values

STATES = ("before", "after")
ORDER = "simsc order 2"
# Of the scattered amplitude, relative to the forward direction: for the 5700 NPs of the presets 1e-4 of the weak
# intensity between Bragg peaks, at half the time of the default.
_TOLERANCE = 1e-6
_WORTH_PROCESSES = 50_000  # NPs in all frames; a process takes two seconds to start, and 1000 of them one
_NEGLIGIBLE = 5e-4  # of an NP that changes class


def build_stage(context: Context, out: Path) -> None:
    """Build the superlattice."""
    study = context.study
    section = study.superlattice
    d_nn_nm = equilibrated_d_nn_nm(context.folder) if section.d_nn_nm is None else section.d_nn_nm
    superlattice = close_packed(section.stacking, d_nn_nm, section.lateral, study.nanoparticle.core_radius_nm)
    write_superlattice(out / "superlattice.h5", superlattice, provenance(study=study.title))


def anneal_stage(context: Context, out: Path) -> None:
    """Dress the superlattice, lay out everything that LAMMPS needs, and anneal on all ranks."""
    study = context.study
    superlattice = read_superlattice(context.folder / "build" / "superlattice.h5")
    if study.all_atom is not None:
        system = restacked(context, superlattice, out)
    else:
        system = dress_super_ligand(superlattice, load_super_ligand(study.anneal.force_field), context.rng(1))
    if not (out / DATA).exists():
        prepare(system, out)
    arguments = plain_lammps_arguments(system, study.protocol(), study.seed)
    write_text(out / "plain_lammps.txt", "lmp " + " ".join(arguments) + "\n")

    def report(progress: AnnealProgress) -> None:
        context.show("anneal", progress.fraction, progress.text)

    context.progress("anneal", 0.0, "pushing the tails apart")
    for jump in study.protocol().jumps:
        warnings.warn(f"anneal.phases: {jump}", SimscWarning, stacklevel=2)
    lean = replace(system, data="")
    trajectory = context.together(
        "anneal", lean, superlattice.radii_nm, study.protocol(), out.absolute(), study.seed, report=report
    )
    trajectory.write_csv(out / "thermo.csv")


def order_stage(context: Context, out: Path) -> None:
    """Label every NP in every frame, read the stacking sequence, and tell which NPs changed."""
    trajectory = read_trajectory(context.folder / "anneal" / TRAJECTORY)
    section = context.study.order
    near = windows(trajectory.phase, section.average_frames)
    superlattices = (averaged(trajectory.positions_nm, trajectory.cells_nm, window) for window in near)
    frames: list[FrameOrder] = []
    with _processes(context, trajectory) as executor:
        for frame in order_over_time(superlattices, section.method, executor):
            frames.append(frame)
            context.progress("order", len(frames) / len(near), f"frame {len(frames)} of {len(near)}")
    time_ns, classes = trajectory.thermo["time_ns"], frames[0].labels.classes
    weights = np.array([frame.labels.weights for frame in frames], dtype="f4")
    changes = change_frames(weights, classes.index("hcp"), classes.index("fcc"))
    nowhere = np.full(trajectory.n, -1)
    with new_hdf5(out / "order.h5", ORDER, provenance(**section.model_dump())) as file:
        for name in ("q4", "q6", "w4", "w6"):
            file[name] = np.array([getattr(frame.bond_order, name) for frame in frames])
        file["labels"] = np.array([frame.labels.numbers for frame in frames], dtype="i1")
        file["labels"].attrs["classes"] = list(classes)
        file["probabilities"] = np.array([frame.labels.probabilities for frame in frames], dtype="f4")
        file["layers"] = np.array([f.stacking.layers if f.stacking else nowhere for f in frames], dtype="i4")
        file["time_ns"] = time_ns
        file["hcp_to_fcc_frame"] = changes
    mean, error = fractions(weights)
    sequences = [frame.stacking.sequence if frame.stacking else "" for frame in frames]
    with whole_file(out / "counts.csv") as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        estimates = [f"{name}_{what}" for name in ("fcc", "hcp") for what in ("fraction", "standard_error")]
        writer.writerow(["time_ns", "phase", *classes, *estimates, "sequence", "sequence_probability"])
        for k, frame in enumerate(frames):
            values = [f"{x[k, classes.index(name)]:.4f}" for name in ("fcc", "hcp") for x in (mean, error)]
            certainty = f"{frame.stacking.probability.prod():.4f}" if frame.stacking else ""
            phase = trajectory.phase_names[trajectory.phase[k]]
            counts = frame.labels.counts.values()
            writer.writerow([f"{time_ns[k]:.6g}", phase, *counts, *values, sequences[k], certainty])
    last = {state: _frames(context, trajectory, state)[-1] for state in STATES}
    summary: dict[str, Any] = {
        state: {
            "frame": k,
            "time_ns": float(time_ns[k]),
            "counts": frames[k].labels.counts,
            "sequence": sequences[k] or None,
        }
        for state, k in last.items()
    }
    moved = transitions(weights[last["before"]], weights[last["after"]])
    summary["transitions"] = {
        name: {other: round(float(moved[i, j]), 3) for j, other in enumerate(classes) if moved[i, j] > _NEGLIGIBLE}
        for i, name in enumerate(classes)
        if moved[i].sum() > _NEGLIGIBLE
    }
    median, low, high = healing_time_ns(time_ns, changes, context.study.seed)
    healed = int((changes >= 0).sum())
    summary["healing"] = {"n": healed} | ({"median_ns": median, "lower_ns": low, "upper_ns": high} if healed else {})
    write_text(out / "summary.json", json.dumps(summary, indent=1))


@contextlib.contextmanager
def _processes(context: Context, trajectory: Trajectory) -> Iterator[ProcessPoolExecutor | None]:
    """Give as many processes as there are threads, where there is enough work for them; else none."""
    workers = min(context.hardware.threads, len(trajectory))
    if workers < 2 or len(trajectory) * trajectory.n < _WORTH_PROCESSES:
        yield None
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as executor:
        yield executor


def scattering_stage(context: Context, out: Path) -> None:
    """Compute the 3D intensity of a finite crystal before and after annealing."""
    section = context.study.scattering
    trajectory = read_trajectory(context.folder / "anneal" / TRAJECTORY)
    for s, state in enumerate(STATES):
        crystals = _crystals(context, trajectory, state)
        write_superlattice(out / f"crystal_{state}.h5", crystals[-1], provenance(replicate=section.replicate))
        total: np.ndarray | None = None
        threads = context.hardware.threads
        for k, crystal in enumerate(crystals):
            volume = intensity_on_grid(crystal, section.q_max_inv_nm, section.grid, _TOLERANCE, threads)
            total = volume.intensity if total is None else total + volume.intensity
            done = (s + (k + 1) / len(crystals)) / len(STATES)
            context.progress("scattering", done, f"{state}: {crystal.n} NPs")
        assert total is not None
        diameter = max(crystal.diameter_nm for crystal in crystals)
        mean = IntensityVolume(total / len(crystals), volume.q_axes_inv_nm, diameter_nm=diameter)
        origin = provenance(frames=len(crystals), replicate=section.replicate, shape=section.shape)
        write_intensity(out / f"intensity_{state}.h5", mean, origin)


def correlation_stage(context: Context, out: Path) -> None:
    """Correlate the intensity before and after annealing, directly from the crystals."""
    section = context.study.correlation
    trajectory = read_trajectory(context.folder / "anneal" / TRAJECTORY)
    delta_deg = np.linspace(0.0, 180.0, section.n_delta)
    for s, state in enumerate(STATES):
        crystals = _crystals(context, trajectory, state)
        d_nn_nm = float(np.mean([trajectory.thermo["d_nn_nm"][k] for k in _frames(context, trajectory, state)]))
        expected = layer_momentum_transfer(d_nn_nm)
        peak = first_bright_peak(crystals, expected, threads=context.hardware.threads)
        q1 = expected if peak is None else peak
        q2 = q2_values(q1, section)
        first, second = shells_of_crystal(crystals, q1, q2, _TOLERANCE, context.hardware.threads)
        done = 0

        def on_shell(s: int = s, state: str = state, n: int = len(q2)) -> None:
            nonlocal done
            done += 1
            context.progress("correlation", (s + done / n) / len(STATES), f"{state}: q2 {done} of {n}")

        correlation = correlate(first, second, delta_deg, threads=context.hardware.threads, on_shell=on_shell)
        q1_from = "expected 111, as no peak stands out there" if peak is None else "first bright peak"
        origin = provenance(d_nn_nm=d_nn_nm, frames=len(crystals), q1=q1_from)
        write_map(out / f"map_{state}.h5", correlation, origin)


ALL_ATOM_STAGES = (
    Stage("nanoparticle", nanoparticle_stage),
    Stage("crystal", crystal_stage, needs=("nanoparticle",), resumable=True, spare=SNAPSHOTS),
)
STAGES = (
    Stage("build", build_stage, needs=("crystal",)),
    Stage("anneal", anneal_stage, needs=("crystal", "build"), resumable=True, spare=SNAPSHOTS),
    Stage("order", order_stage, needs=("anneal",), reads=("order", "scattering")),
    Stage("scattering", scattering_stage, needs=("anneal",), reads=("scattering",)),
    Stage("correlation", correlation_stage, needs=("anneal",), reads=("scattering", "correlation")),
)


def stages_of(study: Study) -> tuple[Stage, ...]:
    """Return the stages of a study in their order."""
    return STAGES if study.all_atom is None else ALL_ATOM_STAGES + STAGES


def _frames(context: Context, trajectory: Trajectory, state: str) -> list[int]:
    section = context.study.scattering
    return trajectory.last_frames(getattr(section, state), section.frames)


def _crystals(context: Context, trajectory: Trajectory, state: str) -> list[Superlattice]:
    """Return the finite crystals of a state, one a frame."""
    section, radius_nm = context.study.scattering, context.study.nanoparticle.core_radius_nm
    return [
        finite_crystal(
            trajectory.superlattice(k),
            section.replicate,
            section.shape,
            radius_nm,
            section.core_radius_std_nm,
            context.rng(2),
        )
        for k in _frames(context, trajectory, state)
    ]
