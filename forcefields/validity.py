"""What a model of chains on rigid cores does, measured, and held against what is known: writes its VALIDITY.md.

    python forcefields/validity.py oleate_martini

Six NPs of core radius 2 nm in fcc, each interacting with the images of its neighbours, at 300, 450 and 600 K and 1 atm:
nearest-neighbour distance, density of the ligand shell against that of liquid oleic acid, thermal expansion, where the
beads of the chains are, how long chains remember how they lay, elastic constants, whether core and chains keep their
temperature, drift of the energy, speed. `validity.csv` and `VALIDITY.md` are written into the folder of the model; rows
that are in the file are not measured again. With one thread it takes 10 minutes for super-ligands, 40 for Martini.
"""

import argparse
import csv
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice
from simsc.core.units import KCAL_PER_MOL_K, angstrom_from_nm, nm_from_angstrom, steps_from_ns
from simsc.forcefield.chains import ChainParameters, chain_names, load_chains
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.chains import HEAD, TAIL
from simsc.models.coarse_grained import chain_model
from simsc.models.heads import SPHERES
from simsc.models.lammps_system import DATA, LammpsSystem

HERE = Path(__file__).resolve().parent
RADIUS_NM = 2.0
TEMPERATURES_K = (300.0, 450.0, 600.0)
ELASTIC_K, ALONE_K = (450.0, 600.0), (300.0, 600.0)  # colder, stresses do not relax in the time that is given
START_NM = {300.0: 6.25, 450.0: 6.45, 600.0: 6.7}
EQUILIBRATION_NS, MEASUREMENT_NS, STRESS_NS, DRIFT_NS = 0.2, 0.4, 0.2, 0.05
SAMPLES = 200
STRAIN = 0.02
ATM_PER_GPA = 9869.23
GRAM_PER_CM3 = 1.66053907  # from g/mol/Å³
OLEATE_G_PER_MOL = 281.460  # C18H33O2; the masses of a model may be others
COLUMNS = ("what", "temperature_K", "value", "error", "unit")
Row = dict[str, str]


def row(what: str, temperature_K: float, value: float, error: float | None, unit: str) -> Row:
    """Return a row of the table."""
    spread = "" if error is None else f"{error:.2g}"
    return dict(zip(COLUMNS, (what, f"{temperature_K:g}", f"{value:.5g}", spread, unit), strict=True))


def mean_of(series: np.ndarray, blocks: int = 8) -> tuple[float, float]:
    """Return the mean of a series, and its standard error from blocks."""
    means = np.array([part.mean() for part in np.array_split(series, blocks)])
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks))


@contextmanager
def session_of(
    parameters: ChainParameters, crystal: Superlattice, temperature_K: float
) -> Iterator[tuple[LammpsSession, LammpsSystem]]:
    """Open a LAMMPS with a crystal whose chains are pushed apart; until it is left, its folder is the working one."""
    assert crystal.radii_nm is not None
    model = chain_model(parameters)
    model.check(float(crystal.radii_nm[0]), [temperature_K])
    system = model.dress(crystal, np.random.default_rng(1), SPHERES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(system, folder)
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            session.set(**system.variables, data=DATA, thermostat=system.thermostat, seed=5, bath_seed=6, step=0)
            session.set(t_first=temperature_K, t_start=temperature_K, t_stop=temperature_K)
            session.set(coupling="tri", pressure=1.0)
            session.script("system.lmp")
            session.script("push_off.lmp")
            yield session, system


def section(system: LammpsSystem, title: str) -> list[list[str]]:
    """Return the words of the lines of a section of the data file."""
    return [line.split() for line in system.data.split(f"\n{title}\n\n")[1].split("\n\n")[0].splitlines()]


def run(session: LammpsSession, system: LammpsSystem, ns: float, first: bool = False) -> None:
    """Go on for some time."""
    steps = steps_from_ns(ns, system.timestep_fs)
    session.run(steps, session.step, session.step + steps, first=first)


def relaxation_ns(ends: np.ndarray, interval_ns: float) -> float:
    """Return when the deviation of chain ends from their mean has lost all but 1/e of its correlation, ns.

    Args:
        ends: (n_samples, n, 3) positions in the frame of their core.
        interval_ns: of the samples.

    Returns:
        The time, infinite if the samples end before.
    """
    moved = ends - ends.mean(axis=0)
    n = len(moved)
    power = np.abs(np.fft.rfft(moved, 2 * n, axis=0)) ** 2
    correlation = np.fft.irfft(power.sum(axis=(1, 2)))[:n] / np.arange(n, 0, -1)
    below = np.flatnonzero(correlation < correlation[0] / np.e)
    return float(below[0] * interval_ns) if len(below) else float("inf")


def at_pressure(parameters: ChainParameters, temperature_K: float) -> list[Row]:
    """Measure the crystal at 1 atm."""
    crystal = close_packed("ABC", START_NM[temperature_K], radius_nm=RADIUS_NM)
    volumes, temperatures, ends, radii = [], [], [], []
    with session_of(parameters, crystal, temperature_K) as (session, system):
        kinds = np.array([int(words[2]) for words in section(system, "Atoms # angle")]).reshape(crystal.n, -1)[0]
        molecules = crystal.n
        n_chains, length = int((kinds == HEAD).sum()), len(parameters.tail.beads)
        ligands = n_chains * parameters.head.ligands_per_head * OLEATE_G_PER_MOL
        session.script("npt.lmp")
        run(session, system, EQUILIBRATION_NS, first=True)
        begun = None
        took_s = 0.0
        for _ in range(SAMPLES):
            before = time.process_time()
            run(session, system, MEASUREMENT_NS / SAMPLES)
            took_s += time.process_time() - before
            positions = session.positions_angstrom().reshape(molecules, -1, 3)
            about = positions - positions[:, :1]
            heads, tails = about[:, 1 : 1 + n_chains], about[:, 1 + n_chains :].reshape(molecules, n_chains, length, 3)
            begun = heads if begun is None else begun
            turns = [Rotation.align_vectors(begun[k], heads[k])[0] for k in range(molecules)]
            ends.append(np.concatenate([turn.apply(tails[k, :, -1]) for k, turn in enumerate(turns)]))
            radii.append(np.linalg.norm(tails, axis=-1))
            volumes.append(abs(np.linalg.det(session.cell_angstrom())) / crystal.n)
            temperatures.append(session.thermo()["temperature_K"])
    volume = np.array(volumes)
    d, error = mean_of(np.cbrt(np.sqrt(2) * nm_from_angstrom(1.0) ** 3 * volume))
    core = 4 / 3 * np.pi * angstrom_from_nm(RADIUS_NM) ** 3
    shell, shell_error = mean_of(ligands / (volume - core) * GRAM_PER_CM3)
    distance = np.array(radii)
    steps = steps_from_ns(MEASUREMENT_NS, system.timestep_fs)
    relaxed_ns = relaxation_ns(np.array(ends), MEASUREMENT_NS / SAMPLES)
    found = [
        row("d_NN, from the volume", temperature_K, d, error, "nm"),
        row("density of the shell of ligands", temperature_K, shell, shell_error, "g/cm³"),
        row("temperature", temperature_K, *mean_of(np.array(temperatures)), "K"),
        row("relaxation of chain ends, of what changes in that time", temperature_K, relaxed_ns, None, "ns"),
        row("speed, one core", temperature_K, steps * system.n_atoms / took_s / 1e6, None, "10⁶ beads × steps/s"),
    ]
    for k, name in enumerate(bead_names(parameters)):
        found.append(row(f"{name} from the centre", temperature_K, distance[..., k].mean(), None, "Å"))
        found.append(row(f"{name}, deviation", temperature_K, distance[..., k].std(), None, "Å"))
    beyond = (distance[..., -1] > 5 * d).mean()
    found.append(row("chain ends beyond half of d_NN", temperature_K, float(beyond), None, ""))
    return found


def stress_gpa(parameters: ChainParameters, temperature_K: float, d_nm: float, strain: np.ndarray) -> np.ndarray:
    """Return the mean stress (8, 3) xx, yy, zz, GPa, of fcc in a strained cell, by blocks of time."""
    crystal = close_packed("ABC", d_nm, radius_nm=RADIUS_NM)
    assert crystal.cell is not None
    shape = np.diag(1 + strain)
    strained = replace(crystal, positions_nm=crystal.positions_nm @ shape, cell=Cell(crystal.cell.vectors_nm @ shape))
    with session_of(parameters, strained, temperature_K) as (session, system):
        session.script("nvt.lmp")
        run(session, system, EQUILIBRATION_NS / 2, first=True)
        Path("record.lmp").write_text(
            'fix press all ave/time 1 1 1 c_thermo_press[*] file pressure.txt format " %.10g"\n', encoding="ascii"
        )
        session.script("record.lmp")
        run(session, system, STRESS_NS, first=True)
        pressure = np.loadtxt("pressure.txt")[1:, 1:4]
    return -np.array([part.mean(axis=0) for part in np.array_split(pressure, 8)]) / ATM_PER_GPA


def elastic(parameters: ChainParameters, temperature_K: float, d_nm: float) -> list[Row]:
    """Measure bulk modulus and stiffness along ⟨111⟩ at constant volume."""
    volume, shape = STRAIN * np.ones(3) / 3, STRAIN * np.array([-0.5, -0.5, 1.0])
    found = []
    for what, strain in (("bulk modulus", volume), ("stiffness along 111 at constant volume", shape)):
        longer, shorter = (stress_gpa(parameters, temperature_K, d_nm, sign * strain) for sign in (1, -1))
        if what == "bulk modulus":
            slopes = (longer - shorter).mean(axis=1) / (2 * STRAIN)
        else:
            slopes = np.diff([(s[:, 2] - s[:, :2].mean(axis=1)) for s in (shorter, longer)], axis=0)[0] / (2 * STRAIN)
        found.append(row(what, temperature_K, *mean_of(slopes), "GPa"))
    return found


def alone(parameters: ChainParameters, temperature_K: float) -> list[Row]:
    """Measure where the beads of one NP in vacuum are."""
    box = Superlattice(np.full((1, 3), 10.0), np.array([RADIUS_NM]), Cell(np.eye(3) * 20.0))
    radii = []
    with session_of(parameters, box, temperature_K) as (session, system):
        kinds = np.array([int(words[2]) for words in section(system, "Atoms # angle")])
        n_chains, length = int((kinds == HEAD).sum()), len(parameters.tail.beads)
        session.script("nvt.lmp")
        run(session, system, EQUILIBRATION_NS / 2, first=True)
        for _ in range(SAMPLES):
            run(session, system, MEASUREMENT_NS / 2 / SAMPLES)
            positions = session.positions_angstrom()
            tails = (positions[1 + n_chains :] - positions[0]).reshape(n_chains, length, 3)
            radii.append(np.linalg.norm(tails, axis=-1))
    found = []
    for k, name in enumerate(bead_names(parameters)):
        r = np.array(radii)[..., k]
        found.append(row(f"one NP in vacuum: {name} from the centre", temperature_K, *mean_of(r.mean(axis=1)), "Å"))
        found.append(row(f"one NP in vacuum: {name}, deviation", temperature_K, r.std(), None, "Å"))
    return found


def bead_names(parameters: ChainParameters) -> list[str]:
    """Return the names of the beads along a chain, with their place."""
    return [f"{bead} ({k + 1})" for k, bead in enumerate(parameters.tail.beads)]


_NVE = """
fix cores core rigid/nve molecule
fix tails tail nve
compute slow core ke/rigid cores
compute spin core erotate/rigid cores
compute fast tail ke
variable kinetic equal c_slow+c_spin
fix record all ave/time 1 20 20 v_kinetic c_fast c_thermo_pe file record.txt
"""


def drift(parameters: ChainParameters, temperature_K: float) -> list[Row]:
    """Measure how fast the whole would heat up without a thermostat, and the temperatures of cores and chains then."""
    crystal = close_packed("ABC", START_NM[temperature_K], radius_nm=RADIUS_NM)
    with session_of(parameters, crystal, temperature_K) as (session, system):
        session.script("nvt.lmp")
        run(session, system, EQUILIBRATION_NS / 2, first=True)
        Path("nve.lmp").write_text("unfix cores\nunfix tails\n" + _NVE, encoding="ascii")
        session.script("nve.lmp")
        run(session, system, DRIFT_NS, first=True)
        step, core, tail, potential = np.loadtxt("record.txt").T
    n_tails = sum(int(words[2]) >= TAIL for words in section(system, "Atoms # angle"))
    freedom = np.array([6 * crystal.n, 3 * n_tails])
    time_ns = (step - step[0]) * system.timestep_fs * 1e-6
    slope = np.polyfit(time_ns, core + tail + potential, 1)[0]
    per_K = freedom * KCAL_PER_MOL_K / 2
    return [
        row("drift without thermostat", temperature_K, float(slope / per_K.sum()), None, "K/ns"),
        row("chains without thermostat", temperature_K, float((tail / per_K[1]).mean()), None, "K"),
    ]


def _super_ligand_targets() -> tuple[Callable[[float], tuple[float, float]], Callable[[float], tuple[float, float]]]:
    """Return d_NN and density of oleic acid by temperature, as `oleate_super_ligand/derive.py` has them."""
    spec = importlib.util.spec_from_file_location("derive", HERE / "oleate_super_ligand" / "derive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.target_nm, module.oleic_acid_density


def all_atom(name: str) -> dict[tuple[str, str], str]:
    """Return what runs with all atoms gave, by what and temperature."""
    found = {}
    with (HERE / "all_atom_shell.csv").open(newline="", encoding="utf-8") as file:
        for one in csv.DictReader(file):
            if one["model"] == name:
                what = f"one NP in vacuum: {one['bead']}"
                found[f"{what} from the centre", one["temperature_K"]] = one["distance_angstrom"]
                found[f"{what}, deviation", one["temperature_K"]] = one["deviation_angstrom"]
    crystal = HERE.parent / "tests" / "benchmarks" / "independent_nanoparticles.csv"
    with crystal.open(newline="", encoding="utf-8") as file:
        rows = {one["what"]: one["value"] for one in csv.DictReader(file)}
    for temperature in ("300", "600"):
        d, drift_ = (
            next(value for what, value in rows.items() if f", {temperature} K" in what and what.endswith(unit))
            for unit in ("d_NN, nm", "drift, nm/ns")
        )
        found["d_NN, from the volume", temperature] = f"{d} (drift {drift_} nm/ns)"
    return found


def page(parameters: ChainParameters, rows: list[Row]) -> str:
    """Return the page."""
    target_nm, density = _super_ligand_targets()
    known = {}
    for temperature in (300.0, 600.0):
        (d, span), both = target_nm(temperature), density(temperature)
        known["d_NN, from the volume", f"{temperature:g}"] = f"{d:.3f} ± {span:.3f}"
        known["density of the shell of ligands", f"{temperature:g}"] = f"{min(both):.3f} to {max(both):.3f}"
    atoms = all_atom(parameters.name)

    def at_both(values: dict[tuple[str, str], str], what: str) -> str:
        return "; ".join(values[what, f"{t:g}"] for t in (300.0, 600.0)) if (what, "300") in values else ""

    by = {(r["what"], r["temperature_K"]): r for r in rows}
    lines = [
        f"# Validity of {parameters.name}",
        "",
        f"Written by `python forcefields/validity.py {parameters.name}` from `validity.csv`: six NPs of core radius "
        f"2 nm in fcc, {EQUILIBRATION_NS:g} ns to equilibrate, {MEASUREMENT_NS:g} ns measured, time step "
        f"{parameters.dynamics.timestep_fs:g} fs. ± is the standard error from 8 blocks. Known: where a core sphere "
        "and molecules of liquid oleic acid fill space (README of oleate_super_ligand; 600 K is extrapolated there). "
        "All atoms: the crystal of `tests/benchmarks/independent_nanoparticles.py`, which was still drifting, and one "
        "NP in vacuum (`all_atom_shell.py`; beads are groups of carbons).",
        "",
        f"| | {' | '.join(f'{t:g} K' for t in TEMPERATURES_K)} | unit | known, 300; 600 K | all atoms, 300; 600 K |",
        f"|---|{'---|' * (len(TEMPERATURES_K) + 3)}",
    ]
    for what in dict.fromkeys(r["what"] for r in rows):
        cells, unit = [], ""
        for temperature in TEMPERATURES_K:
            found = by.get((what, f"{temperature:g}"))
            unit = found["unit"] if found else unit
            cells.append(f"{found['value']}{' ± ' + found['error'] if found['error'] else ''}" if found else "")
        lines.append(f"| {what} | {' | '.join(cells)} | {unit} | {at_both(known, what)} | {at_both(atoms, what)} |")
    d = {t: float(by["d_NN, from the volume", f"{t:g}"]["value"]) for t in TEMPERATURES_K}
    expansion = [
        f"{1e4 * (d[high] / d[low] - 1) / (high - low):.2f}·10⁻⁴ /K from {low:g} to {high:g} K"
        for low, high in pairwise(TEMPERATURES_K)
    ]
    lines += ["", f"Linear thermal expansion of d_NN: {', '.join(expansion)}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, and write table and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=chain_names())
    arguments = parser.parse_args()
    parameters, path = load_chains(arguments.name), HERE / arguments.name / "validity.csv"
    rows: list[Row] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))

    def there(what: str, temperature_K: float) -> bool:
        return any(r["what"] == what and r["temperature_K"] == f"{temperature_K:g}" for r in rows)

    def add(new: list[Row]) -> None:
        rows.extend(new)
        for one in new:
            print(*one.values(), flush=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    for temperature in TEMPERATURES_K:
        if not there("d_NN, from the volume", temperature):
            add(at_pressure(parameters, temperature))
        if not there("drift without thermostat", temperature):
            add(drift(parameters, temperature))
    for temperature in ALONE_K:
        if not any(r["what"].startswith("one NP") and r["temperature_K"] == f"{temperature:g}" for r in rows):
            add(alone(parameters, temperature))
    for temperature in ELASTIC_K:
        if not there("bulk modulus", temperature):
            measured = next(
                r for r in rows if r["what"].startswith("d_NN") and r["temperature_K"] == f"{temperature:g}"
            )
            add(elastic(parameters, temperature, float(measured["value"])))
    (path.parent / "VALIDITY.md").write_text(page(parameters, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
