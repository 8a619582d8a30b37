"""Umbrella sampling of the free energy of layers along their path (`simsc.sliding.glide`), by LAMMPS."""

import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning, StudyError
from simsc.core.processes import lost, pool
from simsc.core.superlattice import Superlattice
from simsc.core.units import nm_from_angstrom, ns_from_steps, steps_from_ns
from simsc.io.resources import resource_folder
from simsc.io.whole_files import write_text
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import CoarseGrained, coarse_grained
from simsc.models.lammps_system import DATA, LammpsSystem
from simsc.sliding.free_energy import (
    GlideProfile,
    Window,
    gaps_between,
    glide_profile,
)
from simsc.sliding.glide import Glide

_SETTINGS, _CELL, _ADDED = "slide.json", "cell.json", "added.json"
_STIFFER = 4.0  # springs that are added, than the weaker of the two between which they are
_SAMPLES_A_WINDOW = 2000
_CELL_SAMPLES = 200


@dataclass(frozen=True)
class _Spring:
    """A spring that holds the layer.

    Args:
        number: from 0.
        target_angstrom: where on the path it is relaxed, Å.
        constant: kcal/mol/Å².
    """

    number: int
    target_angstrom: float
    constant: float

    def file(self, folder: Path, repeat: int) -> Path:
        """Return the file of its samples; repeats count from 0."""
        return folder / (
            f"window_{self.number:02d}.csv" if repeat == 0 else f"window_{self.number:02d}_{repeat + 1}.csv"
        )


def sample_glide(
    glide: Glide, folder: Path, jobs: int = 1, progress: Callable[[float, str], None] = lambda done, text: None
) -> GlideProfile:
    """Sample all windows along a path, or those that are missing, and put them together.

    The cell is equilibrated at constant pressure first. Then it keeps its size along the layers, and follows the
    pressure across them; with one interface it also tilts freely, and the force of the spring counts in its stress.

    Args:
        glide: the path, and how to sample it.
        folder: where `cell.json` and `window_00.csv` (offset of the layer, Å, over time) … are kept; those of other
            repeats are `window_00_2.csv` ….
        jobs: processes.
        progress: called with the part that is done, 0 to 1, and a line of text.

    Raises:
        InputError: if the model does not hold for the NPs or the temperature, or windows do not make a profile.
        StudyError: if the folder holds samples of another path.
        SimulationError: if LAMMPS stops.
        ResourceError: if a process is killed.
    """
    model = coarse_grained(glide.force_field)
    temperatures_K = (glide.temperature_K, glide.start_K or glide.temperature_K)
    model.check(glide.radius_nm, temperatures_K, glide.dressing, glide.d_nn_nm)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, glide)
    if not (folder / _CELL).is_file():
        progress(0.0, "letting the cell come to rest")
        write_text(folder / _CELL, json.dumps({"cell_angstrom": _rest(glide, model).tolist()}) + "\n")
    cell = np.array(json.loads((folder / _CELL).read_text(encoding="utf-8"))["cell_angstrom"])
    _warn_of_distance(cell, glide, model)
    while True:
        springs = _springs(glide, cell, folder)
        _sample_windows(glide, cell, springs, folder, jobs, progress)
        windows = [_read_window(spring, folder, glide.repeats) for spring in springs]
        # Where the free energy falls steeply, layers slip off their springs, and leave a gap that no window samples.
        gaps = gaps_between(windows, glide.temperature_K)
        if not gaps or len(springs) + len(gaps) > 2 * glide.windows:
            return glide_profile(windows, glide.temperature_K, glide.n_layer, glide.way_angstrom(cell))
        _add_springs(folder, gaps)


def _sample_windows(
    glide: Glide,
    cell: np.ndarray,
    springs: list[_Spring],
    folder: Path,
    jobs: int,
    progress: Callable[[float, str], None],
) -> None:
    """Sample the windows that are not there yet."""
    all_files = [(spring, repeat, spring.file(folder, repeat)) for repeat in range(glide.repeats) for spring in springs]
    todo = [(spring, repeat, path) for spring, repeat, path in all_files if not path.is_file()]
    if not todo:
        return
    done = len(all_files) - len(todo)
    running: dict[Future[None], str] = {}

    def at_work() -> str:
        return ", ".join(lost(running, jobs))

    with pool(min(jobs, len(todo)), at_work) as processes:
        for spring, repeat, path in todo:
            running[processes.submit(_sample_window, glide, cell, spring, repeat, path)] = path.stem.replace("_", " ")
        progress(done / len(all_files), f"{done} of {len(all_files)} windows")
        for future in as_completed(list(running)):
            future.result()
            running.pop(future)
            done += 1
            progress(done / len(all_files), f"{done} of {len(all_files)} windows")


def _claim(folder: Path, glide: Glide) -> None:
    """Keep what is sampled in the folder, or check that it is the same, but for the number of repeats."""
    path, settings = folder / _SETTINGS, json.loads(json.dumps(asdict(glide)))
    settings.pop("repeats")
    if not path.is_file():
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        different = [key for key in settings if there.get(key) != settings[key]]
    except (ValueError, AttributeError):
        raise StudyError(f"{path}: cannot be read; remove the folder, or give another one") from None
    if different:
        key = different[0]
        raise StudyError(
            f"{folder}: holds another slide ({key} is {there.get(key)!r}, not {settings[key]!r}); give another folder"
        )


def _springs(glide: Glide, cell: np.ndarray, folder: Path) -> list[_Spring]:
    """Return the springs along a path, and those that were added."""
    way, constant = glide.way_angstrom(cell), glide.spring_constant(cell)
    targets = [(float(fraction * way), constant) for fraction in glide.fractions()]
    targets += _added_springs(folder)
    return [_Spring(number, target, constant) for number, (target, constant) in enumerate(targets)]


def _added_springs(folder: Path) -> list[tuple[float, float]]:
    """Return where springs were added, Å, and their constants, kcal/mol/Å²."""
    path = folder / _ADDED
    if not path.is_file():
        return []
    try:
        return [(float(target), float(constant)) for target, constant in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError):
        raise StudyError(f"{path}: cannot be read; remove the folder, or give another one") from None


def _add_springs(folder: Path, gaps: list[tuple[Window, Window]]) -> None:
    """Note springs to be added between windows, in the middle of what these sampled."""
    new = [
        (
            float(one.offsets_angstrom.mean() + two.offsets_angstrom.mean()) / 2,
            _STIFFER * min(one.spring, two.spring),
        )
        for one, two in gaps
    ]
    write_text(folder / _ADDED, json.dumps([*_added_springs(folder), *new]) + "\n")


def _warn_of_distance(cell: np.ndarray, glide: Glide, model: CoarseGrained) -> None:
    volume = np.linalg.det(nm_from_angstrom(cell)) / (glide.n_layer * len(glide.stacking))
    d_nn_nm = (math.sqrt(2) * volume) ** (1 / 3)
    if model.derived_d_nn_nm is not None and not model.derived_d_nn_nm[0] <= d_nn_nm <= model.derived_d_nn_nm[1]:
        low, high = model.derived_d_nn_nm
        warnings.warn(
            f"neighbours are {d_nn_nm:.3f} nm apart at rest; {model.name} was derived from {low:g} to {high:g} nm",
            SimscWarning,
            stacklevel=3,
        )


def _rest(glide: Glide, model: CoarseGrained) -> np.ndarray:
    """Return the mean cell (3, 3), Å, at the pressure of the path, before the layer has moved."""
    crystal = close_packed(glide.stacking, glide.d_nn_nm, glide.lateral, glide.radius_nm)
    rng = np.random.default_rng([glide.seed, glide.windows])
    cells = []

    def run(session: LammpsSession, system: LammpsSystem) -> None:
        session.set(coupling="aniso")
        _equilibrate(glide, session, system)
        chunk = max(1, steps_from_ns(glide.duration_ns, system.timestep_fs) // _CELL_SAMPLES)
        for _ in range(_CELL_SAMPLES):
            session.run(chunk, session.step, session.step + chunk, first=False)
            cells.append(session.cell_angstrom())

    _with_session(glide, model, crystal, rng, run)
    return np.mean(cells, axis=0)


def _equilibrate(glide: Glide, session: LammpsSession, system: LammpsSystem) -> None:
    """Equilibrate in the ensemble that is set, and stay in it."""
    steps = steps_from_ns(glide.equilibration_ns, system.timestep_fs)
    ramps = [(glide.temperature_K, glide.temperature_K, steps)]
    if glide.start_K is not None:
        hot, cooling = steps // 2, steps - steps // 2
        ramps = [(glide.start_K, glide.start_K, hot), (glide.start_K, glide.temperature_K, cooling), (*ramps[0][:2], 0)]
    for number, (first_K, last_K, steps) in enumerate(ramps):
        if number:
            session.script("phase_end.lmp")
        session.set(t_start=f"{first_K:.10g}", t_stop=f"{last_K:.10g}")
        session.script("npt.lmp")
        session.run(steps, session.step, session.step + steps, first=True)


def _sample_window(glide: Glide, cell: np.ndarray, spring: _Spring, repeat: int, path: Path) -> None:
    """Sample one window into a file."""
    model = coarse_grained(glide.force_field)
    crystal = close_packed(glide.stacking, glide.d_nn_nm, glide.lateral, glide.radius_nm)
    assert crystal.cell is not None
    # Half a layer up, so that no layer lies on the end of the cell.
    layers = (crystal.cell.fractional(crystal.positions_nm) @ nm_from_angstrom(cell)).reshape(-1, glide.n_layer, 3)
    layers[..., 2] += nm_from_angstrom(cell[2, 2]) / len(layers) / 2
    moved = np.array([0.0, nm_from_angstrom(spring.target_angstrom * glide.sense), 0.0])
    layers[glide.moving.start : glide.moving.stop] += moved
    vectors = nm_from_angstrom(cell)
    if glide.interfaces == 1:
        vectors[2] += moved
    crystal = replace(crystal, positions_nm=layers.reshape(-1, 3), cell=Cell(vectors))
    rng = np.random.default_rng([glide.seed, glide.windows, spring.number, *([repeat] if repeat else [])])
    offsets: list[np.ndarray] = []

    def run(session: LammpsSession, system: LammpsSystem) -> None:
        centres = session.centres_angstrom().reshape(-1, glide.n_layer, 3).mean(axis=1)
        numbers = [(glide.layer + k) % len(centres) for k in (0, -1, 1)]
        ranges = [f"{k * glide.n_layer + 1}:{(k + 1) * glide.n_layer}" for k in numbers]
        moving, below, above = centres[numbers]
        session.set(moving=ranges[0], below=ranges[1], spring=f"{spring.constant:.10g}")
        # Where it is now is where its spring is relaxed, whichever images LAMMPS counts from.
        if glide.interfaces == 1:
            target = float(moving[1] - below[1])
            no_shear = f"0.0 0.0 {system.variables['p_damp']}"
            session.set(target=f"{target:.10g}", coupling=f"yz {no_shear} xz {no_shear} z")
            session.script("slip.lmp")
        else:
            target, apart = float(moving[1] - (below[1] + above[1]) / 2), above - below
            session.set(above=ranges[2], target=f"{target:.10g}", coupling="z")
            session.set(tie=f"{glide.tie_constant(cell):.10g}", apart_x=f"{apart[0]:.10g}", apart_y=f"{apart[1]:.10g}")
            session.script("slide.lmp")
        _equilibrate(glide, session, system)
        every = _every(glide, system.timestep_fs)
        session.set(every=every, offsets="offsets.txt")
        session.script("record.lmp")
        steps = every * _SAMPLES_A_WINDOW
        session.run(steps, session.step, session.step + steps, first=True)
        recorded = np.loadtxt("offsets.txt", ndmin=2)[:, 1]
        offsets.append((recorded - target) * glide.sense + spring.target_angstrom)

    _with_session(glide, model, crystal, rng, run)
    interval_ns = ns_from_steps(_every(glide, model.timestep_fs), model.timestep_fs)
    lines = [f"{k * interval_ns:.8g},{value:.6f}" for k, value in enumerate(offsets[0])]
    write_text(path, "\n".join(["time_ns,offset_angstrom", *lines, ""]))


def _read_window(spring: _Spring, folder: Path, repeats: int) -> Window:
    offsets = []
    for repeat in range(repeats):
        path = spring.file(folder, repeat)
        try:
            table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
            interval_ns = float(table[1, 0] - table[0, 0])
        except (OSError, ValueError, IndexError):
            raise InputError(f"{path}: cannot be read; remove it, and the window is sampled again") from None
        offsets.append(table[:, 1])
        if len(table) != len(offsets[0]):
            raise InputError(f"{path}: has {len(table)} samples, not {len(offsets[0])} as others; remove it")
    return Window(spring.target_angstrom, spring.constant, np.array(offsets), interval_ns)


def _every(glide: Glide, timestep_fs: float) -> int:
    return max(1, steps_from_ns(glide.duration_ns, timestep_fs) // _SAMPLES_A_WINDOW)


def _with_session(
    glide: Glide,
    model: CoarseGrained,
    crystal: Superlattice,
    rng: np.random.Generator,
    run: Callable[[LammpsSession, LammpsSystem], None],
) -> None:
    """Call a function with a crystal in a LAMMPS of its own, once its ligands are pushed apart."""
    from mpi4py import MPI

    system = model.dress(crystal, rng, glide.dressing)
    chance: dict[str, Any] = dict.fromkeys(("seed", "bath_seed"), int(rng.integers(1, 10**8)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.path.realpath(temporary))
        prepare(system, folder)
        for script in resource_folder("lammps_inputs/slide").glob("*.lmp"):
            write_text(folder / script.name, script.read_text(encoding="utf-8"))
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            session.set(**system.variables, **chance, data=DATA, thermostat=system.thermostat, step=0)
            temperature = f"{glide.temperature_K:.10g}"
            session.set(t_first=f"{glide.start_K or glide.temperature_K:.10g}", t_start=temperature, t_stop=temperature)
            session.set(pressure=f"{glide.pressure_atm:.10g}", coupling="aniso")
            session.script("system.lmp")
            session.script("push_off.lmp")
            run(session, system)
