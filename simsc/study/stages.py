"""The stages of a study, each from files to files, and the table of them (`STAGES`), from which all else follows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.builders.finite_crystal import finite_crystal
from simsc.classify.neighbours import mean_nearest_distance_nm
from simsc.classify.order import COUNTS, ORDER_FILE, ORDER_FOLDER, SUMMARY, write_order
from simsc.classify.over_time import averages, processes, timed_order
from simsc.core.errors import ResourceError
from simsc.core.intensity import IntensityVolume
from simsc.core.processes import available_memory_gb
from simsc.core.superlattice import Frame, Superlattice
from simsc.correlation.maps import correlation_map, first_sphere, second_spheres
from simsc.io.native import (
    write_intensity,
    write_map,
    write_superlattice,
)
from simsc.io.provenance import provenance
from simsc.io.whole_files import write_text
from simsc.md.anneal import dressed, warn_of_distances
from simsc.md.files import TRAJECTORY, prepare
from simsc.md.frames import ANNEAL
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.trajectory import Trajectory
from simsc.models.coarse_grained import coarse_grained
from simsc.models.lammps_system import DATA, FINAL, SNAPSHOTS
from simsc.scattering.amplitude import intensity_on_grid
from simsc.study.all_atom import crystal_stage, nanoparticle_stage, restacked
from simsc.study.context import Context
from simsc.study.run_folder import (
    BUILD,
    CENSUS,
    CORE_XYZ,
    CORRELATION,
    CRYSTAL,
    HYDROXYLATED_XYZ,
    NANOPARTICLE,
    PLAIN_LAMMPS,
    SCATTERING,
    STATES,
    SUPERLATTICE,
    THERMO,
    census_file,
    crystal_file,
    intensity_file,
    map_file,
    nanoparticle_file,
    nanoparticle_xyz,
)
from simsc.study.schema import Study

# Of the scattered amplitude, relative to the forward direction: for the 5700 NPs of the presets 1e-4 of the weak
# intensity between Bragg peaks, at half the time of the default.
_TOLERANCE = 1e-6
_GB_A_VOXEL = 45e-9  # of the intensity of a state while it is summed over frames; 23 were measured for one frame


def build_stage(context: Context, out: Path) -> None:
    """Build the superlattice."""
    study = context.study
    section = study.superlattice
    d_nn_nm = section.d_nn_nm
    if d_nn_nm is None:
        d_nn_nm = mean_nearest_distance_nm(context.folder.fcc_crystal())
    superlattice = close_packed(section.stacking, d_nn_nm, section.lateral, study.nanoparticle.core_radius_nm)
    write_superlattice(out / SUPERLATTICE, superlattice, provenance(study=study.title))


def anneal_stage(context: Context, out: Path) -> None:
    """Dress the superlattice, lay out everything that LAMMPS needs, and anneal on all ranks."""
    study = context.study
    superlattice = context.folder.superlattice()
    if study.all_atom is not None:
        system = restacked(context, superlattice, out)
    else:
        model = coarse_grained(study.anneal.force_field)
        system = dressed(superlattice, model, study.protocol(), study.seed, study.nanoparticle.dressing)
    if not (out / DATA).exists():
        prepare(system, out)
    arguments = plain_lammps_arguments(system, study.protocol(), study.seed)
    write_text(out / PLAIN_LAMMPS, "lmp " + " ".join(arguments) + "\n")

    context.progress(0.0, "pushing overlapping ligands apart")
    lean = replace(system, data="", tables={})
    trajectory = context.together(
        "anneal",
        lean,
        superlattice.radii_nm,
        study.protocol(),
        out.absolute(),
        study.seed,
        report=context.anneal_progress,
    )
    trajectory.write_csv(out / THERMO)
    if study.all_atom is None:
        warn_of_distances(trajectory, model)


def order_stage(context: Context, out: Path) -> None:
    """Label every NP in every frame, read the stacking sequence, and find the NPs that changed."""
    trajectory = context.folder.trajectory()
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
            on_frame=lambda done: context.progress(done / n, f"frame {done} of {n}"),
        )


def scattering_stage(context: Context, out: Path) -> None:
    """Compute the 3D intensity of a finite crystal before and after annealing."""
    section = context.study.scattering
    trajectory = context.folder.trajectory()
    for s, state in enumerate(STATES):
        crystals = _crystals(context, trajectory, state)
        write_superlattice(out / crystal_file(state), crystals[-1], provenance(replicate=section.replicate))
        total: np.ndarray | None = None
        threads = context.hardware.threads
        for k, crystal in enumerate(crystals):
            volume = intensity_on_grid(crystal, section.q_max_inv_nm, section.grid, _TOLERANCE, threads)
            total = volume.intensity if total is None else total + volume.intensity
            done = (s + (k + 1) / len(crystals)) / len(STATES)
            context.progress(done, f"{state}: {crystal.n} NPs")
        assert total is not None
        diameter = max(crystal.diameter_nm for crystal in crystals)
        mean = IntensityVolume(total / len(crystals), volume.q_axes_inv_nm, diameter_nm=diameter)
        origin = provenance(frames=len(crystals), replicate=section.replicate, shape=section.shape)
        write_intensity(out / intensity_file(state), mean, origin)


def correlation_stage(context: Context, out: Path) -> None:
    """Correlate the intensity before and after annealing, directly from the crystals."""
    section = context.study.correlation
    trajectory = context.folder.trajectory()
    threads = context.hardware.threads
    for s, state in enumerate(STATES):
        crystals = _crystals(context, trajectory, state)
        d_nn_nm = float(np.mean([trajectory.thermo["d_nn_nm"][k] for k in _frames(context, trajectory, state)]))

        def report(done: int, n: int, s: int = s, state: str = state) -> None:
            context.progress((s + done / n) / len(STATES), f"{state}: q2 {done} of {n}")

        first = first_sphere(crystals, d_nn_nm, threads)
        correlation = correlation_map(
            crystals,
            first.q1_inv_nm,
            second_spheres(first.q1_inv_nm, crystals, q2_over_q1=section.q2_over_q1),
            n_delta=section.n_delta,
            tolerance=_TOLERANCE,
            threads=threads,
            progress=report,
        )
        found = first.origin != "expected 111"
        q1_from = "first bright peak" if found else "expected 111, as no peak stands out there"
        origin = provenance(d_nn_nm=d_nn_nm, frames=len(crystals), q1=q1_from)
        write_map(out / map_file(state), correlation, origin)


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


def check_grid(study: Study) -> None:
    """Raise a `ResourceError`, before hours of annealing, for a grid that would be killed after them."""
    n = study.scattering.grid
    needed_gb, gb = _GB_A_VOXEL * n**3, available_memory_gb()
    if needed_gb > gb:
        raise ResourceError(
            f"scattering.grid: {n}³ points need {needed_gb:.2g} GB of memory, and {gb:.2g} GB are free here; lower it, "
            "or end with --until order here and go on where there is more"
        )


@dataclass(frozen=True)
class Stage:
    """A step of a study, from the files of earlier ones to files of its own.

    Args:
        name: its name, that of its folder, and what messages call it.
        run: gets the context and a folder: empty, or, if resumable, as an earlier try left it.
        writes: files that are in the folder when it is done, whatever the study; there may be more.
        needs: the stages that it builds on.
        reads: sections of the study that may change afterwards: then it is run again. All others are fixed as soon as
            a run has begun.
        resumable: whether it takes long. Its results are never removed for those of another try.
        spare: pattern of files that may be removed from its results.
        share: of the time of a run, roughly, relative to the others.
        check: called before anything is computed, with the study; raises what would be raised too late.
        only_all_atom: whether it belongs to all-atom studies only.
    """

    name: str
    run: Callable[[Context, Path], None]
    writes: tuple[str, ...]
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    resumable: bool = False
    spare: str = ""
    share: float = 0.5
    check: Callable[[Study], None] | None = None
    only_all_atom: bool = False


STAGES = (
    Stage(
        NANOPARTICLE,
        nanoparticle_stage,
        writes=(CORE_XYZ, HYDROXYLATED_XYZ, nanoparticle_file(0), nanoparticle_xyz(0), census_file(0)),
        share=1.0,
        only_all_atom=True,
    ),
    Stage(
        CRYSTAL,
        crystal_stage,
        writes=(TRAJECTORY, THERMO, FINAL, SUPERLATTICE, nanoparticle_file(0), CENSUS),
        needs=(NANOPARTICLE,),
        resumable=True,
        spare=SNAPSHOTS,
        share=4.0,
        only_all_atom=True,
    ),
    Stage(BUILD, build_stage, writes=(SUPERLATTICE,), needs=(CRYSTAL,)),
    Stage(
        ANNEAL,
        anneal_stage,
        writes=(TRAJECTORY, THERMO, FINAL, PLAIN_LAMMPS),
        needs=(CRYSTAL, BUILD),
        resumable=True,
        spare=SNAPSHOTS,
        share=10.0,
    ),
    Stage(
        ORDER_FOLDER,
        order_stage,
        writes=(ORDER_FILE, COUNTS, SUMMARY),
        needs=(ANNEAL,),
        reads=("order", "scattering"),
    ),
    Stage(
        SCATTERING,
        scattering_stage,
        writes=tuple(file(state) for state in STATES for file in (crystal_file, intensity_file)),
        needs=(ANNEAL,),
        reads=("scattering",),
        check=check_grid,
    ),
    Stage(
        CORRELATION,
        correlation_stage,
        writes=tuple(map_file(state) for state in STATES),
        needs=(ANNEAL,),
        reads=("scattering", "correlation"),
    ),
)


def stages_of(study: Study) -> tuple[Stage, ...]:
    """Return the stages of a study in their order."""
    return tuple(stage for stage in STAGES if study.all_atom is not None or not stage.only_all_atom)


def stage_named(name: str) -> Stage:
    """Return a stage by its name.

    Raises:
        KeyError: if there is none.
    """
    return {stage.name: stage for stage in STAGES}[name]


def may_change(study: Study) -> set[str]:
    """Return what of a study may change after its run has begun: the title, and the sections that stages read anew."""
    return {"title", *(section for stage in stages_of(study) for section in stage.reads)}
