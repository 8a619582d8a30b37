"""The stages of a study: build, anneal, order, scattering and correlation, each from files to files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.builders.finite_crystal import finite_crystal
from simsc.classify.order_file import write_order
from simsc.classify.over_time import averages, processes, timed_order
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Frame, Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.peaks import layer_momentum_transfer
from simsc.correlation.shells import first_bright_peak, shells_of_crystal
from simsc.io.native import (
    read_superlattice,
    write_intensity,
    write_map,
    write_superlattice,
)
from simsc.io.provenance import provenance
from simsc.io.whole_files import write_text
from simsc.md.anneal import dressed, warn_of_distances
from simsc.md.files import DATA, SNAPSHOTS, TRAJECTORY, prepare
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.segments import AnnealProgress
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.models.coarse_grained import coarse_grained
from simsc.scattering.amplitude import intensity_on_grid
from simsc.study.all_atom import crystal_stage, equilibrated_d_nn_nm, nanoparticle_stage, restacked
from simsc.study.context import Context, Stage
from simsc.study.schema import Study, q2_values

STATES = ("before", "after")
# Of the scattered amplitude, relative to the forward direction: for the 5700 NPs of the presets 1e-4 of the weak
# intensity between Bragg peaks, at half the time of the default.
_TOLERANCE = 1e-6


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
        model = coarse_grained(study.anneal.force_field)
        system = dressed(superlattice, model, study.protocol(), study.seed, study.nanoparticle.dressing)
    if not (out / DATA).exists():
        prepare(system, out)
    arguments = plain_lammps_arguments(system, study.protocol(), study.seed)
    write_text(out / "plain_lammps.txt", "lmp " + " ".join(arguments) + "\n")

    def report(progress: AnnealProgress) -> None:
        context.show("anneal", progress.fraction, progress.text)

    context.progress("anneal", 0.0, "pushing overlapping ligands apart")
    lean = replace(system, data="", tables={})
    trajectory = context.together(
        "anneal", lean, superlattice.radii_nm, study.protocol(), out.absolute(), study.seed, report=report
    )
    trajectory.write_csv(out / "thermo.csv")
    if study.all_atom is None:
        warn_of_distances(trajectory, model)


def order_stage(context: Context, out: Path) -> None:
    """Label every NP in every frame, read the stacking sequence, and tell which NPs changed."""
    trajectory = read_trajectory(context.folder / "anneal" / TRAJECTORY)
    section, n = context.study.order, len(trajectory)
    frames = (
        Frame(trajectory.superlattice(k), float(trajectory.thermo["time_ns"][k]), trajectory.phase_names[phase])
        for k, phase in enumerate(trajectory.phase)
    )
    states = {state: _frames(context, trajectory, state)[-1] for state in STATES}
    with processes(context.hardware.threads, n, trajectory.n) as executor:
        ordered = timed_order(averages(frames, section.average_frames), section.method, executor)
        write_order(
            out,
            ordered,
            n,
            states,
            provenance(**section.model_dump()),
            seed=context.study.seed,
            on_frame=lambda done: context.progress("order", done / n, f"frame {done} of {n}"),
        )


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
