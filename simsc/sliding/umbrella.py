"""Umbrella sampling of a layer that slides from a hollow of its neighbours to the next: alone, or with all above it."""

import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning, StudyError
from simsc.core.processes import lost, pool
from simsc.core.superlattice import Superlattice
from simsc.core.units import KCAL_PER_MOL_K, nm_from_angstrom, ns_from_steps, steps_from_ns
from simsc.io.resources import resource_folder
from simsc.io.whole_files import write_text
from simsc.md.files import DATA, prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import CoarseGrained, coarse_grained
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import LammpsSystem
from simsc.sliding.free_energy import (
    SlidingProfile,
    Window,
    gaps_between,
    sliding_profile,
)

_SETTINGS, _CELL, _ADDED = "slide.json", "cell.json", "added.json"
_BEYOND = 0.15  # of the way, beyond both hollows
_OVERLAP = 0.6  # standard deviation of the offset by the spring alone, in distances between windows
_TIE_KT = 30.0  # energy of the spring between the neighbours of the layer once they are half a way apart
_STIFFER = 4.0  # springs that are added, than the weaker of the two between which they are
_SAMPLES_A_WINDOW = 2000
_CELL_SAMPLES = 200


@dataclass(frozen=True)
class Slide:
    """What slides, and how it is sampled.

    Args:
        stacking: of the whole cell, one letter A, B or C a layer.
        layer: number, from 0, of the layer that slides.
        interfaces: 1 (default): all layers above slide with it, over one interface, and the cell leans as in a run with
            coupling "tri". 2: it slides by itself, over the layers below and above, which must be alike.
        lateral: repeats (NX, NY) of the 2-NP rectangle within a layer.
        d_nn_nm: nearest-neighbour distance at the begin, nm; the cell then comes to rest.
        radius_nm: core radius, nm.
        temperature_K: temperature, K.
        pressure_atm: pressure, atm.
        force_field: name of a coarse-grained parameter set.
        windows: number of springs along the way, at equal distances; up to as many are added where they hardly overlap.
        equilibration_ns: before samples are taken in each window, and before the size of the cell is.
        duration_ns: of the sampling of each window, ns.
        seed: of all chance.
        repeats: samples of each window, with starts of their own; more are added to those in a folder.
        start_K: temperature of the first half of each equilibration, K; the second half cools from it. Ligands that are
            too slow at the temperature of the slide find their places in this heat. Along the layers the cell keeps the
            size that it has when cold. None (default): no such start.
        dressing: shape, coverage and orientation of the cores.
    """

    stacking: str
    layer: int
    lateral: tuple[int, int]
    d_nn_nm: float
    radius_nm: float
    temperature_K: float
    pressure_atm: float = 1.0
    force_field: str = "oleate_super_ligand"
    windows: int = 40
    equilibration_ns: float = 0.1
    duration_ns: float = 2.0
    seed: int = 1
    dressing: Dressing = SPHERES
    interfaces: Literal[1, 2] = 1
    repeats: int = 1
    start_K: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.layer < len(self.stacking):
            raise InputError(f"layer {self.layer}: layers of {self.stacking} are 0 to {len(self.stacking) - 1}")
        if len(self.stacking) < 4:
            raise InputError(f"{self.stacking}: at least four layers are needed, so that two beside one differ")
        if self.interfaces not in (1, 2):
            raise InputError(f"a layer slides over 1 or 2 interfaces, got {self.interfaces}")
        if self.interfaces == 1 and self.layer == 0:
            raise InputError(
                f"layer 0 of {self.stacking}: has no layer of the cell below it to slide over; give another one"
            )
        if self.interfaces == 2 and self.below != self.above:
            raise InputError(
                f"layer {self.layer} of {self.stacking} lies between {self.below} and {self.above}: only a layer "
                "between two alike ones can slide by itself"
            )
        if self.windows < 2 or self.repeats < 1:
            raise InputError(f"at least two windows and one repeat are needed, got {self.windows} and {self.repeats}")
        if self.start_K is not None and self.start_K <= self.temperature_K:
            raise InputError(f"a start at {self.start_K:g} K: must be hotter than the slide, {self.temperature_K:g} K")

    @property
    def below(self) -> str:
        """Letter of the layer below."""
        return self.stacking[self.layer - 1]

    @property
    def above(self) -> str:
        """Letter of the layer above."""
        return self.stacking[(self.layer + 1) % len(self.stacking)]

    @property
    def moving(self) -> range:
        """Numbers of the layers that slide together."""
        return range(self.layer, len(self.stacking) if self.interfaces == 1 else self.layer + 1)

    @property
    def sense(self) -> int:
        """Whether the other hollow lies along +y (1) or −y (−1): the step over the interface below, +1 from A to B."""
        return 1 if ("ABC".index(self.stacking[self.layer]) - "ABC".index(self.below)) % 3 == 1 else -1

    @property
    def stacking_after(self) -> str:
        """The stacking afterwards; where all above slide too, the cell leans by a third of the rectangle of two NPs."""
        letters = ["ABC"[("ABC".index(letter) + self.sense) % 3] for letter in self.stacking]
        return "".join(letters[k] if k in self.moving else letter for k, letter in enumerate(self.stacking))

    @property
    def n_layer(self) -> int:
        """Number of NPs of a layer."""
        return 2 * self.lateral[0] * self.lateral[1]

    def fractions(self) -> np.ndarray:
        """Return where the springs of the windows are, as fractions of the way."""
        return np.linspace(-_BEYOND, 1 + _BEYOND, self.windows)


@dataclass(frozen=True)
class _Spring:
    """A spring that holds what slides.

    Args:
        number: from 0.
        target_angstrom: where on the way it is relaxed, Å.
        constant: kcal/mol/Å².
    """

    number: int
    target_angstrom: float
    constant: float

    def file(self, folder: Path, repeat: int) -> Path:
        """Return the file of what is sampled with it; repeats count from 0."""
        return folder / (
            f"window_{self.number:02d}.csv" if repeat == 0 else f"window_{self.number:02d}_{repeat + 1}.csv"
        )


def sample_slide(
    slide: Slide, folder: Path, jobs: int = 1, progress: Callable[[float, str], None] = lambda done, text: None
) -> SlidingProfile:
    """Sample all windows of a slide, or those that are not there yet, and put them together.

    The cell comes to rest at constant pressure first. Then it keeps its size along the layers, and follows the pressure
    across them; with one interface it also leans freely, and the force of the spring counts in its stress.

    Args:
        slide: what to sample.
        folder: where `cell.json` and `window_00.csv` (offset of the layer, Å, over time) … are kept; those of other
            repeats are `window_00_2.csv` ….
        jobs: processes.
        progress: called with the part that is done, 0 to 1, and a line of text.

    Raises:
        InputError: if the model does not hold for the NPs or the temperature, or windows do not make a profile.
        StudyError: if the folder holds another slide.
        SimulationError: if LAMMPS stops.
        ResourceError: if a process is killed.
    """
    model = coarse_grained(slide.force_field)
    temperatures_K = (slide.temperature_K, slide.start_K or slide.temperature_K)
    model.check(slide.radius_nm, temperatures_K, slide.dressing, slide.d_nn_nm)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, slide)
    if not (folder / _CELL).is_file():
        progress(0.0, "letting the cell come to rest")
        write_text(folder / _CELL, json.dumps({"cell_angstrom": _rest(slide, model).tolist()}) + "\n")
    cell = np.array(json.loads((folder / _CELL).read_text(encoding="utf-8"))["cell_angstrom"])
    _warn_of_distance(cell, slide, model)
    while True:
        springs = _springs(slide, cell, folder)
        _sample_windows(slide, cell, springs, folder, jobs, progress)
        windows = [_read_window(spring, folder, slide.repeats) for spring in springs]
        # Where the free energy falls steeply, layers slide off their springs, and leave a gap that nobody sampled.
        gaps = gaps_between(windows, slide.temperature_K)
        if not gaps or len(springs) + len(gaps) > 2 * slide.windows:
            return sliding_profile(windows, slide.temperature_K, slide.n_layer, _way(slide, cell))
        _add_springs(folder, gaps)


def _sample_windows(
    slide: Slide,
    cell: np.ndarray,
    springs: list[_Spring],
    folder: Path,
    jobs: int,
    progress: Callable[[float, str], None],
) -> None:
    """Sample the windows that are not there yet."""
    all_files = [(spring, repeat, spring.file(folder, repeat)) for repeat in range(slide.repeats) for spring in springs]
    todo = [(spring, repeat, path) for spring, repeat, path in all_files if not path.is_file()]
    if not todo:
        return
    done = len(all_files) - len(todo)
    running: dict[Future[None], str] = {}

    def at_work() -> str:
        return ", ".join(lost(running, jobs))

    with pool(min(jobs, len(todo)), at_work) as processes:
        for spring, repeat, path in todo:
            running[processes.submit(_sample_window, slide, cell, spring, repeat, path)] = path.stem.replace("_", " ")
        progress(done / len(all_files), f"{done} of {len(all_files)} windows")
        for future in as_completed(list(running)):
            future.result()
            running.pop(future)
            done += 1
            progress(done / len(all_files), f"{done} of {len(all_files)} windows")


def _claim(folder: Path, slide: Slide) -> None:
    """Keep what is sampled in the folder, or check that it is the same, but for the number of repeats."""
    path, settings = folder / _SETTINGS, json.loads(json.dumps(asdict(slide)))
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


def _springs(slide: Slide, cell: np.ndarray, folder: Path) -> list[_Spring]:
    """Return the springs of a slide, and those that were added."""
    way, constant = _way(slide, cell), _constant(slide, cell)
    targets = [(float(fraction * way), constant) for fraction in slide.fractions()]
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


def _way(slide: Slide, cell: np.ndarray) -> float:
    """Return the distance of two hollows, Å: a third of the height of the rectangle of two NPs."""
    return float(cell[1, 1]) / slide.lateral[1] / 3


def _warn_of_distance(cell: np.ndarray, slide: Slide, model: CoarseGrained) -> None:
    volume = np.linalg.det(nm_from_angstrom(cell)) / (slide.n_layer * len(slide.stacking))
    d_nn_nm = (math.sqrt(2) * volume) ** (1 / 3)
    if model.derived_d_nn_nm is not None and not model.derived_d_nn_nm[0] <= d_nn_nm <= model.derived_d_nn_nm[1]:
        low, high = model.derived_d_nn_nm
        warnings.warn(
            f"neighbours are {d_nn_nm:.3f} nm apart at rest; {model.name} was derived from {low:g} to {high:g} nm",
            SimscWarning,
            stacklevel=3,
        )


def _rest(slide: Slide, model: CoarseGrained) -> np.ndarray:
    """Return the mean cell (3, 3), Å, at the pressure of the slide, before the layer has moved."""
    crystal = close_packed(slide.stacking, slide.d_nn_nm, slide.lateral, slide.radius_nm)
    rng = np.random.default_rng([slide.seed, slide.windows])
    cells = []

    def run(session: LammpsSession, system: LammpsSystem) -> None:
        session.set(coupling="aniso")
        _equilibrate(slide, session, system)
        chunk = max(1, steps_from_ns(slide.duration_ns, system.timestep_fs) // _CELL_SAMPLES)
        for _ in range(_CELL_SAMPLES):
            session.run(chunk, session.step, session.step + chunk, first=False)
            cells.append(session.cell_angstrom())

    _with_session(slide, model, crystal, rng, run)
    return np.mean(cells, axis=0)


def _equilibrate(slide: Slide, session: LammpsSession, system: LammpsSystem) -> None:
    """Equilibrate in the ensemble that is set, and stay in it."""
    steps = steps_from_ns(slide.equilibration_ns, system.timestep_fs)
    ramps = [(slide.temperature_K, slide.temperature_K, steps)]
    if slide.start_K is not None:
        hot, cooling = steps // 2, steps - steps // 2
        ramps = [(slide.start_K, slide.start_K, hot), (slide.start_K, slide.temperature_K, cooling), (*ramps[0][:2], 0)]
    for number, (first_K, last_K, steps) in enumerate(ramps):
        if number:
            session.script("phase_end.lmp")
        session.set(t_start=f"{first_K:.10g}", t_stop=f"{last_K:.10g}")
        session.script("npt.lmp")
        session.run(steps, session.step, session.step + steps, first=True)


def _sample_window(slide: Slide, cell: np.ndarray, spring: _Spring, repeat: int, path: Path) -> None:
    """Sample one window into a file."""
    model = coarse_grained(slide.force_field)
    crystal = close_packed(slide.stacking, slide.d_nn_nm, slide.lateral, slide.radius_nm)
    assert crystal.cell is not None
    # Half a layer up, so that no layer lies on the end of the cell.
    layers = (crystal.cell.fractional(crystal.positions_nm) @ nm_from_angstrom(cell)).reshape(-1, slide.n_layer, 3)
    layers[..., 2] += nm_from_angstrom(cell[2, 2]) / len(layers) / 2
    moved = np.array([0.0, nm_from_angstrom(spring.target_angstrom * slide.sense), 0.0])
    layers[slide.moving.start : slide.moving.stop] += moved
    vectors = nm_from_angstrom(cell)
    if slide.interfaces == 1:
        vectors[2] += moved
    crystal = replace(crystal, positions_nm=layers.reshape(-1, 3), cell=Cell(vectors))
    rng = np.random.default_rng([slide.seed, slide.windows, spring.number, *([repeat] if repeat else [])])
    offsets: list[np.ndarray] = []

    def run(session: LammpsSession, system: LammpsSystem) -> None:
        centres = session.centres_angstrom().reshape(-1, slide.n_layer, 3).mean(axis=1)
        numbers = [(slide.layer + k) % len(centres) for k in (0, -1, 1)]
        ranges = [f"{k * slide.n_layer + 1}:{(k + 1) * slide.n_layer}" for k in numbers]
        moving, below, above = centres[numbers]
        session.set(moving=ranges[0], below=ranges[1], spring=f"{spring.constant:.10g}")
        # Where it is now is where its spring is relaxed, whichever images LAMMPS counts from.
        if slide.interfaces == 1:
            target = float(moving[1] - below[1])
            no_shear = f"0.0 0.0 {system.variables['p_damp']}"
            session.set(target=f"{target:.10g}", coupling=f"yz {no_shear} xz {no_shear} z")
            session.script("slip.lmp")
        else:
            target, apart = float(moving[1] - (below[1] + above[1]) / 2), above - below
            session.set(above=ranges[2], target=f"{target:.10g}", coupling="z")
            session.set(tie=f"{_tie(slide, cell):.10g}", apart_x=f"{apart[0]:.10g}", apart_y=f"{apart[1]:.10g}")
            session.script("slide.lmp")
        _equilibrate(slide, session, system)
        every = _every(slide, system.timestep_fs)
        session.set(every=every, offsets="offsets.txt")
        session.script("record.lmp")
        steps = every * _SAMPLES_A_WINDOW
        session.run(steps, session.step, session.step + steps, first=True)
        recorded = np.loadtxt("offsets.txt", ndmin=2)[:, 1]
        offsets.append((recorded - target) * slide.sense + spring.target_angstrom)

    _with_session(slide, model, crystal, rng, run)
    interval_ns = ns_from_steps(_every(slide, model.timestep_fs), model.timestep_fs)
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


def _constant(slide: Slide, cell: np.ndarray) -> float:
    """Return the constant of the springs, kcal/mol/Å²."""
    spacing = float(np.diff(slide.fractions())[0]) * _way(slide, cell)
    return KCAL_PER_MOL_K * slide.temperature_K / (_OVERLAP * spacing) ** 2


def _tie(slide: Slide, cell: np.ndarray) -> float:
    """Return the constant of the spring between the neighbours, kcal/mol/Å²: hardly felt, but not overcome either."""
    return 2 * _TIE_KT * KCAL_PER_MOL_K * slide.temperature_K / (_way(slide, cell) / 2) ** 2


def _every(slide: Slide, timestep_fs: float) -> int:
    return max(1, steps_from_ns(slide.duration_ns, timestep_fs) // _SAMPLES_A_WINDOW)


def _with_session(
    slide: Slide,
    model: CoarseGrained,
    crystal: Superlattice,
    rng: np.random.Generator,
    run: Callable[[LammpsSession, LammpsSystem], None],
) -> None:
    """Do something with a crystal in a LAMMPS of its own, once its ligands are pushed apart."""
    from mpi4py import MPI

    system = model.dress(crystal, rng, slide.dressing)
    chance: dict[str, Any] = dict.fromkeys(("seed", "bath_seed"), int(rng.integers(1, 10**8)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.path.realpath(temporary))
        prepare(system, folder)
        for script in resource_folder("lammps_inputs/slide").glob("*.lmp"):
            write_text(folder / script.name, script.read_text(encoding="utf-8"))
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            session.set(**system.variables, **chance, data=DATA, thermostat=system.thermostat, step=0)
            temperature = f"{slide.temperature_K:.10g}"
            session.set(t_first=f"{slide.start_K or slide.temperature_K:.10g}", t_start=temperature, t_stop=temperature)
            session.set(pressure=f"{slide.pressure_atm:.10g}", coupling="aniso")
            session.script("system.lmp")
            session.script("push_off.lmp")
            run(session, system)
