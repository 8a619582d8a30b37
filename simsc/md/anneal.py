"""Annealing of a superlattice with a coarse-grained model, from NPs to a trajectory."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simsc.classify.neighbours import nearest_neighbours
from simsc.core.errors import InputError, SimscWarning, StudyError
from simsc.core.superlattice import Superlattice
from simsc.io.adapters import Structure, as_superlattice
from simsc.md.files import TRAJECTORY, prepare
from simsc.md.hardware import ONE_THREAD, Hardware
from simsc.md.parallel import on_first, world
from simsc.md.protocol import Phase, Protocol
from simsc.md.segments import AnnealProgress, anneal_system
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.models.coarse_grained import CoarseGrained, coarse_grained
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import DATA, LammpsSystem

_DRESSING = 1  # which random numbers of a seed are those of the dressing


def anneal(
    crystal: Structure,
    model: str | CoarseGrained,
    phases: Phase | Sequence[Phase] | Protocol,
    folder: str | Path,
    *,
    seed: int = 1,
    dressing: Dressing = SPHERES,
    comm: Any = None,
    hardware: Hardware = ONE_THREAD,
    report: Callable[[AnnealProgress], None] = lambda progress: None,
    stop: Callable[[float], bool] = lambda needed_s: False,
) -> Trajectory:
    """Anneal a superlattice with a coarse-grained model, as a study does: the same seed gives the same bits.

    Thermostat, time step and limits are those of the model. The same call in the same folder goes on where an earlier
    one was stopped or killed, and returns the trajectory where it had ended. Under MPI every rank has to call it.

    Args:
        crystal: NPs of one core radius in a fully periodic cell, as whatever `simsc.io.adapters.as_superlattice` takes.
        model: name of a model (see `coarse_grained_names`), or the model.
        phases: what is done, one phase, or several one after the other; or a whole protocol, where pressure, coupling,
            thermostat or intervals of output are to be others than its defaults.
        folder: for all files of the run; it is made if need be.
        seed: of the orientations of the NPs and of velocities, 1 … 2³¹ − 1.
        dressing: what the cores look like. Default spheres with the coverage of the model.
        comm: MPI communicator; by default that of all ranks.
        hardware: threads, accelerator and GPUs.
        report: called on rank 0 after every row of output.
        stop: asked now and then, with the seconds that the next piece takes; whether to stop before it.

    Returns:
        The trajectory, on every rank.

    Raises:
        InputError: if the model does not hold for the NPs, their distance or a temperature; for no phases.
        StudyError: if the folder holds another run.
        StoppedEarly: if it was asked to stop.
        SimulationError: if LAMMPS stops, or the system falls apart.
        ResourceError: if LAMMPS is missing, or the disk is full.

    Example:
        >>> import tempfile
        >>> from simsc.builders.close_packed import close_packed
        >>> crystal = close_packed("ABC", 6.5, (2, 2), radius_nm=2.0)
        >>> hot = Phase("hot", start_K=500, stop_K=500, duration_ns=0.05)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     anneal(crystal, "oleate_one_site", [hot], folder).phase_names
        ('hot',)
    """
    crystal = as_superlattice(crystal)
    chosen = coarse_grained(model) if isinstance(model, str) else model
    protocol = _protocol_of(phases)
    folder = Path(folder).absolute()
    comm = world() if comm is None else comm
    system = dressed(crystal, chosen, protocol, seed, dressing)
    on_first(comm, lambda: _lay_out(system, folder))
    trajectory = anneal_system(
        system, crystal.known_radii_nm, protocol, folder, seed, comm, hardware, report=report, stop=stop
    )
    if trajectory is None:  # on ranks other than 0
        return read_trajectory(folder / TRAJECTORY)
    warn_of_distances(trajectory, chosen)
    return trajectory


def dressed(
    crystal: Superlattice, model: CoarseGrained, protocol: Protocol, seed: int, dressing: Dressing = SPHERES
) -> LammpsSystem:
    """Dress a superlattice for a protocol, once it is sure that the model holds for both.

    Args:
        crystal: NPs of one core radius in a fully periodic cell.
        model: the model.
        protocol: what is going to be done.
        seed: of the orientations of the NPs.
        dressing: what the cores look like.

    Raises:
        InputError: if the model does not hold for the NPs, their distance or a temperature.
    """
    if crystal.cell is None or not crystal.cell.periodic.all():
        raise InputError("annealing needs a superlattice in a fully periodic cell")
    d_nn_nm = round(float(nearest_neighbours(crystal, 1).distances_nm.min()), 9)  # without rounding errors of sites
    ends_K = {
        f"phase {phase.name!r}, {end}": getattr(phase, end)
        for phase in protocol.phases
        for end in ("start_K", "stop_K")
    }
    for radius_nm in np.unique(crystal.known_radii_nm):
        for breach in model.breaches(float(radius_nm), ends_K, dressing, d_nn_nm):
            raise InputError(f"{breach.which}: {breach.message}" if breach.which else breach.message)
    return model.dress(crystal, np.random.default_rng([seed, _DRESSING]), dressing)


def warn_of_distances(trajectory: Trajectory, model: CoarseGrained) -> None:
    """Warn where neighbours were nearer or farther than where the model was derived."""
    if model.derived_d_nn_nm is None:
        return
    (low, high), d_nn_nm = model.derived_d_nn_nm, trajectory.thermo["d_nn_nm"]
    outside = (d_nn_nm < low) | (d_nn_nm > high)
    if outside.any():
        warnings.warn(
            f"anneal: the nearest-neighbour distance went from {d_nn_nm.min():.3f} to {d_nn_nm.max():.3f} nm; "
            f"{model.name} was derived from {low:g} to {high:g} nm, and {outside.mean():.0%} of the rows are outside",
            SimscWarning,
            stacklevel=2,
        )


def _protocol_of(phases: Any) -> Protocol:
    """Return a protocol, phases, or one phase alone as a protocol."""
    if isinstance(phases, Protocol):
        return phases
    if isinstance(phases, Phase):
        return Protocol((phases,))
    if not isinstance(phases, Iterable):
        raise InputError(f"a {type(phases).__name__} is neither a Phase, nor several of them, nor a Protocol")
    return Protocol(tuple(phases))


def _lay_out(system: LammpsSystem, folder: Path) -> None:
    """Prepare a folder, or check that it was prepared for the same system."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DATA).exists():
        prepare(system, folder)
    elif (folder / DATA).read_text(encoding="utf-8") != system.data:
        raise StudyError(f"{folder}: holds a run of another crystal or dressing; give a new folder")
