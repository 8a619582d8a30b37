"""The stages of a study: build, anneal, order, scattering and correlation, each from files to files."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simsc.build.close_packed import close_packed
from simsc.build.finite_crystal import finite_crystal
from simsc.classify.stacking import stacking_sequence
from simsc.classify.steinhardt import CLASSES, METHODS, bond_order
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
from simsc.md.anneal import TRAJECTORY, AnnealProgress, anneal, plain_lammps_arguments, prepare
from simsc.md.parallel import patient_bcast
from simsc.md.protocol import Phase, Protocol
from simsc.md.trajectory import COLUMNS, Trajectory, read_trajectory
from simsc.models.super_ligand import dress_super_ligand
from simsc.scattering.amplitude import intensity_on_grid
from simsc.study.schema import Study, q2_values

STATES = ("before", "after")
ORDER = "simsc order 1"
# Of the scattered amplitude, relative to the forward direction: for the 5700 NPs of the presets 1e-4 of the weak
# intensity between Bragg peaks, at half the time of the default.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Context:
    """What a stage may need.

    Args:
        study: the study.
        folder: the run folder, with one folder for each finished stage.
        comm: MPI communicator.
        threads: threads of this process.
        progress: called with the stage, the fraction done and a short text.
    """

    study: Study
    folder: Path
    comm: Any
    threads: int
    progress: Callable[[str, float, str], None]

    def rng(self, purpose: int) -> np.random.Generator:
        """Return the random numbers of one purpose, the same for the same study."""
        return np.random.default_rng([self.study.seed, purpose])


@dataclass(frozen=True)
class Stage:
    """A named step; `run` gets the context and an empty folder for its files."""

    name: str
    run: Callable[[Context, Path], None]


def build_stage(context: Context, out: Path) -> None:
    """Build the superlattice."""
    study = context.study
    section = study.superlattice
    superlattice = close_packed(section.stacking, section.d_nn_nm, section.lateral, study.nanoparticle.core_radius_nm)
    write_superlattice(out / "superlattice.h5", superlattice, provenance(study=study.title))


def anneal_stage(context: Context, out: Path) -> None:
    """Dress the superlattice, lay out everything that LAMMPS needs, and anneal on all ranks."""
    study = context.study
    superlattice = read_superlattice(context.folder / "build" / "superlattice.h5")
    system = dress_super_ligand(superlattice, load_super_ligand(study.anneal.force_field), context.rng(1))
    prepare(system, out)
    arguments = plain_lammps_arguments(system, _protocol(study), study.seed)
    write_text(out / "plain_lammps.txt", "lmp " + " ".join(arguments) + "\n")

    def report(progress: AnnealProgress) -> None:
        context.progress(
            "anneal",
            progress.fraction,
            f"{progress.phase}  {progress.temperature_K:.0f} K  d_NN {progress.d_nn_nm:.3f} nm  "
            f"{progress.ns_per_day:.0f} ns/day",
        )

    context.progress("anneal", 0.0, "pushing the tails apart")
    task = (replace(system, data=""), superlattice.radii_nm, _protocol(study), str(out.absolute()), study.seed)
    if context.comm.size > 1:
        patient_bcast(context.comm, "anneal")
        context.comm.bcast(task, root=0)
    trajectory = _anneal_together(task, context.comm, context.threads, report)
    assert trajectory is not None
    with whole_file(out / "thermo.csv") as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["phase", *COLUMNS])
        for k in range(len(trajectory)):
            row = [f"{trajectory.thermo[name][k]:.8g}" for name in COLUMNS]
            writer.writerow([trajectory.phase_names[trajectory.phase[k]], *row])


def follow(comm: Any, threads: int) -> None:
    """What ranks other than 0 do: wait, anneal when asked to, until told to stop."""
    while patient_bcast(comm) == "anneal":
        _anneal_together(comm.bcast(None, root=0), comm, threads, lambda progress: None)


def _anneal_together(
    task: tuple[Any, ...], comm: Any, threads: int, report: Callable[[AnnealProgress], None]
) -> Trajectory | None:
    system, radii_nm, protocol, folder, seed = task
    return anneal(system, radii_nm, protocol, Path(folder), seed, comm, threads, report)


def order_stage(context: Context, out: Path) -> None:
    """Label every NP in every frame, and read the stacking sequence."""
    trajectory = read_trajectory(context.folder / "anneal" / TRAJECTORY)
    label = METHODS[context.study.order.method]
    orders, labels, sequences, layers = [], [], [], []
    for k in range(len(trajectory)):
        frame = trajectory.superlattice(k)
        orders.append(bond_order(frame))
        labels.append(label(orders[-1]))
        stacking = stacking_sequence(frame)
        sequences.append(None if stacking is None else stacking.sequence)
        layers.append(np.full(frame.n, -1) if stacking is None else stacking.layers)
        context.progress("order", (k + 1) / len(trajectory), f"frame {k + 1} of {len(trajectory)}")
    with new_hdf5(out / "order.h5", ORDER, provenance(method=context.study.order.method)) as file:
        for name in ("q4", "q6", "w4", "w6"):
            file[name] = np.array([getattr(order, name) for order in orders])
        file["labels"] = np.array([[CLASSES.index(name) for name in frame.labels] for frame in labels], dtype="i1")
        file["labels"].attrs["classes"] = list(CLASSES)
        file["layers"] = np.array(layers, dtype="i4")
        file["time_ns"] = trajectory.thermo["time_ns"]
    with whole_file(out / "counts.csv") as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_ns", "phase", *CLASSES, "sequence"])
        for k, frame_labels in enumerate(labels):
            time_ns, phase = trajectory.thermo["time_ns"][k], trajectory.phase_names[trajectory.phase[k]]
            writer.writerow([f"{time_ns:.6g}", phase, *frame_labels.counts.values(), sequences[k] or ""])
    frames = {state: _frames(context, trajectory, state)[-1] for state in STATES}
    summary = {
        state: {
            "frame": k,
            "time_ns": float(trajectory.thermo["time_ns"][k]),
            "counts": labels[k].counts,
            "sequence": sequences[k],
        }
        for state, k in frames.items()
    }
    write_text(out / "summary.json", json.dumps(summary, indent=1))


def scattering_stage(context: Context, out: Path) -> None:
    """Compute the 3D intensity of a finite crystal before and after annealing."""
    section = context.study.scattering
    trajectory = read_trajectory(context.folder / "anneal" / TRAJECTORY)
    for s, state in enumerate(STATES):
        crystals = _crystals(context, trajectory, state)
        write_superlattice(out / f"crystal_{state}.h5", crystals[-1], provenance(replicate=section.replicate))
        total: np.ndarray | None = None
        for k, crystal in enumerate(crystals):
            volume = intensity_on_grid(crystal, section.q_max_inv_nm, section.grid, _TOLERANCE, context.threads)
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
        peak = first_bright_peak(crystals, expected, threads=context.threads)
        q1 = expected if peak is None else peak
        q2 = q2_values(q1, section)
        first, second = shells_of_crystal(crystals, q1, q2, _TOLERANCE, context.threads)
        done = 0

        def on_shell(s: int = s, state: str = state, n: int = len(q2)) -> None:
            nonlocal done
            done += 1
            context.progress("correlation", (s + done / n) / len(STATES), f"{state}: q2 {done} of {n}")

        correlation = correlate(first, second, delta_deg, threads=context.threads, on_shell=on_shell)
        q1_from = "expected 111, as no peak stands out there" if peak is None else "first bright peak"
        origin = provenance(d_nn_nm=d_nn_nm, frames=len(crystals), q1=q1_from)
        write_map(out / f"map_{state}.h5", correlation, origin)


STAGES = (
    Stage("build", build_stage),
    Stage("anneal", anneal_stage),
    Stage("order", order_stage),
    Stage("scattering", scattering_stage),
    Stage("correlation", correlation_stage),
)


def _protocol(study: Study) -> Protocol:
    section = study.anneal
    phases = tuple(Phase(**phase.model_dump()) for phase in section.phases)
    return Protocol(phases, section.pressure_atm, section.coupling, section.output_every_ns)


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
