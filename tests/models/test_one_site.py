"""The one-site model: energies in LAMMPS against the formula, its range, and a run of a study."""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import chi2

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning, StoppedEarly, StudyError
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm
from simsc.forcefield.one_site import OneSiteParameters, load_one_site
from simsc.forcefield.parameter_file import read_parameters
from simsc.md.anneal import warn_of_distances
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.health import hottest_allowed
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.parallel import world
from simsc.md.protocol import Phase, Protocol
from simsc.md.segments import anneal_system
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import coarse_grained, coarse_grained_names
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import DATA
from simsc.models.one_site import energy_kcal_per_mol

NAME = "oleate_one_site"
FOLDER = Path(__file__).resolve().parents[2] / "forcefields" / NAME
ATM = 68568.415  # from kcal/mol/Å³


@pytest.fixture(scope="module")
def parameters():
    return load_one_site(NAME)


def shaken(rng, stacking="ABAC", d_nm=6.5, sigma_nm=0.1):
    """Return a crystal with cores about their sites."""
    crystal = close_packed(stacking, d_nm, (2, 2), 2.0)
    moved = crystal.positions_nm + rng.normal(scale=sigma_nm, size=(crystal.n, 3))
    return replace(crystal, positions_nm=crystal.cell.wrap(moved))


def in_angstrom(crystal: Superlattice) -> tuple[np.ndarray, Cell]:
    return angstrom_from_nm(crystal.positions_nm), Cell(angstrom_from_nm(crystal.cell.vectors_nm))


def session_of(crystal, folder, start_K, stop_K):
    """Return an open session of a crystal, and its system, before its first step."""
    model = coarse_grained(NAME)
    system = model.dress(crystal, np.random.default_rng(1), SPHERES)
    prepare(system, folder)
    session = LammpsSession(folder, world(), ONE_THREAD, system.packages)
    session.__enter__()
    session.set(**system.variables, data=DATA, thermostat=system.thermostat, seed=1, bath_seed=3, t_first=start_K)
    session.set(t_start=start_K, t_stop=stop_K, coupling="tri", pressure=1.0, step=0)
    session.script("system.lmp")
    return session


@pytest.mark.parametrize("temperature_K", [450, 520, 600])
def test_energy_and_pressure_are_those_of_the_formula(temperature_K, parameters, rng, tmp_path):
    crystal = shaken(rng)
    positions, cell = in_angstrom(crystal)
    session = session_of(crystal, tmp_path, temperature_K, temperature_K)
    try:
        session.script("push_off.lmp")
        session.script("nvt.lmp")
        session.run(0, 0, 1, first=True)
        thermo = session.thermo()
    finally:
        session.__exit__()
    assert thermo["potential"] == pytest.approx(
        energy_kcal_per_mol(parameters, positions, cell, temperature_K), rel=1e-7
    )

    def scaled(factor):
        grown = Cell(cell.vectors_nm * factor[0])
        return energy_kcal_per_mol(parameters, positions * factor[0], grown, temperature_K)

    # P = (2 K / 3 − dU/dlnV) / V
    slope = approx_fprime([1.0], scaled, 1e-6)[0] / 3
    volume = np.linalg.det(cell.vectors_nm)
    assert thermo["pressure_atm"] == pytest.approx(ATM * (2 / 3 * thermo["kinetic"] - slope) / volume, abs=0.5)


def test_the_potential_follows_the_temperature_of_the_bath(parameters, rng, tmp_path):
    crystal = shaken(rng)
    positions, cell = in_angstrom(crystal)
    session = session_of(crystal, tmp_path, 450, 600)
    try:
        session.script("push_off.lmp")
        session.script("nvt.lmp")
        session.run(10, 0, 20, first=True)
        halfway = session.positions_angstrom()
        energy = session.thermo()["potential"]
    finally:
        session.__exit__()
    assert np.abs(halfway - positions).max() > 1e-3
    assert energy == pytest.approx(energy_kcal_per_mol(parameters, halfway, cell, 525.0), rel=1e-7)


def test_energy_does_not_know_cells_turns_or_order(parameters, rng):
    crystal = shaken(rng)
    positions, cell = in_angstrom(crystal)
    energy = energy_kcal_per_mol(parameters, positions, cell, 500.0)
    double = in_angstrom(crystal.replicate((2, 1, 1)))
    assert energy_kcal_per_mol(parameters, *double, 500.0) == pytest.approx(2 * energy, rel=1e-10)
    mixed = rng.permutation(positions) + np.array([13.0, -7.0, 200.0])
    assert energy_kcal_per_mol(parameters, mixed, cell, 500.0) == pytest.approx(energy, rel=1e-10)


def test_a_pair_alone_has_the_energy_of_the_tables(parameters):
    """Two sites in free space: the pair energy at a node of the table, and each embedded in the other's density."""
    potential, embedding = parameters.potential, parameters.embedding
    k = next(k for k, r in enumerate(potential.r_angstrom) if r > 60)
    r = potential.r_angstrom[k]
    x = r / embedding.reach_angstrom
    density = (1 - x) ** 3 * (1 + 3 * x) / embedding.norm
    inner = np.interp(density, embedding.density, embedding.energy_kcal_per_mol)
    found = energy_kcal_per_mol(parameters, np.array([[0.0, 0, 0], [0, 0, r]]), None, potential.reference_K)
    assert found == pytest.approx(potential.energy_kcal_per_mol[k] + 2 * inner, abs=0.05)


def test_what_it_was_not_derived_for_is_refused(parameters, rng):
    model = coarse_grained(NAME)
    with pytest.raises(InputError, match="of radius 2 nm alone"):
        model.dress(close_packed("ABC", 7.5, (3, 2), 2.5), rng, SPHERES)
    with pytest.raises(InputError, match="fully periodic cell"):
        model.dress(Superlattice(np.zeros((1, 3)), np.array([2.0])), rng, SPHERES)
    with pytest.raises(InputError, match="spheres with its own coverage alone"):
        model.dress(close_packed("ABC", 6.4, (2, 2), 2.0), rng, Dressing("cube"))
    with pytest.raises(InputError, match=f"available: .*{NAME}"):
        coarse_grained("oleate")
    assert NAME in coarse_grained_names()


def test_a_file_of_parameters_is_checked(parameters, tmp_path):
    values = parameters.model_dump(mode="json")
    values["embedding"]["density"][3] += 0.001
    (tmp_path / "parameters.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"embedding: .*equal steps"):
        read_parameters(OneSiteParameters, tmp_path / "parameters.json")
    values = parameters.model_dump(mode="json")
    values["potential"]["r_angstrom"][3:5] = values["potential"]["r_angstrom"][4:2:-1]
    (tmp_path / "parameters.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"potential: .*ascend"):
        read_parameters(OneSiteParameters, tmp_path / "parameters.json")


def test_distances_outside_of_the_range_are_warned_of(parameters):
    model = coarse_grained(NAME)
    low, high = model.derived_d_nn_nm
    middle = SimpleNamespace(thermo={"d_nn_nm": np.linspace(low + 0.01, high - 0.01, 5)})
    warn_of_distances(middle, model)
    wide = SimpleNamespace(thermo={"d_nn_nm": np.array([low - 0.1, low + 0.01, low + 0.02, high])})
    with pytest.warns(SimscWarning, match="25% of the rows are outside"):
        warn_of_distances(wide, model)


@pytest.fixture(scope="module")
def derive():
    spec = importlib.util.spec_from_file_location("oleate_one_site_derive", FOLDER / "derive.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def random_design(derive, rng, d_nm=6.4):
    """Return what each coefficient adds to a shaken crystal, the crystal, and coefficients of some potential."""
    crystal = close_packed("ABC", d_nm, (2, 2))
    positions = angstrom_from_nm(crystal.positions_nm) + rng.normal(scale=1.5, size=(crystal.n, 3))
    cell = angstrom_from_nm(crystal.cell.vectors_nm)
    zeros = np.zeros(3 * crystal.n)
    one = derive.Crystal("600_6.4_1", 600.0, 10 * d_nm, positions, cell, zeros, 0.3, np.zeros(6), np.ones(6), 1.0)
    return derive.design(one, 80.0, 1.2), rng.normal(size=(2, derive.ALL))


def test_the_fit_has_the_forces_and_pressures_of_its_energy(derive, rng):
    """Designs against differences of the energy that they are of."""
    one, coefficients = random_design(derive, rng)
    crystal = one.crystal
    u = crystal.scale @ coefficients

    def energy(positions, cell):
        i, _, _, r = derive.pairs(positions, cell)
        rho = np.bincount(i, derive.phi(r, 80.0)[0], len(positions)) / 1.2
        pair = derive.BASIS(r)[:, : derive.FREE] @ u[: derive.FREE]
        powers = zip(derive.POWERS, u[derive.FREE :], strict=True)
        return pair.sum() / 2 + sum(c * ((rho - 1) ** p).sum() for p, c in powers)

    force, pressure = derive.predicted(one, coefficients)
    for k in rng.integers(0, crystal.positions.size, 8):
        step = np.zeros(crystal.positions.size)
        step[k] = 1e-4
        step = step.reshape(-1, 3)
        slope = energy(crystal.positions + step, crystal.cell) - energy(crystal.positions - step, crystal.cell)
        assert force[k] == pytest.approx(-slope / 2e-4, rel=1e-5, abs=1e-6)
    for k, (a, b) in enumerate(derive.COMPONENTS):
        grown, shrunk = np.eye(3), np.eye(3)
        grown[a, b] += 1e-6
        shrunk[a, b] -= 1e-6
        slope = energy(crystal.positions @ grown, crystal.cell @ grown) - energy(
            crystal.positions @ shrunk, crystal.cell @ shrunk
        )
        expected = -slope / 2e-6 / np.linalg.det(crystal.cell) * ATM
        assert pressure[k] == pytest.approx(expected, rel=1e-5, abs=1e-3)


def test_a_known_potential_is_found_again(derive, rng):
    """Forces of a smooth potential with noise: what the fit predicts of another crystal is better than the noise."""
    knots = np.arange(derive.FREE)
    truth = np.vstack([np.append(scale * np.exp(-knots / 6), [90.0, -30.0]) for scale in (40.0, 10.0)])
    designs = []
    for k in range(12):
        one, _ = random_design(derive, rng, 6.2 + 0.02 * k)
        one = replace(one, crystal=replace(one.crystal, temperature_K=(450.0, 525.0, 600.0)[k % 3]))
        force, pressure = derive.predicted(one, truth)
        noisy = {"force": force + rng.normal(scale=0.3, size=len(force)), "pressure": pressure + rng.normal(size=6)}
        designs.append(replace(one, crystal=replace(one.crystal, **noisy)))
    misfits = {t: (0.0, 0.0) for t in (450.0, 525.0, 600.0)}
    each = [derive.normal_equations(one, misfits) for one in designs]
    found = derive.solve(*(sum(part) for part in zip(*each, strict=True)), 1e-2)
    new, _ = random_design(derive, rng, 6.33)
    error = derive.predicted(new, found)[0] - derive.predicted(new, truth)[0]
    assert np.sqrt((error**2).mean()) < 0.15


def test_every_number_has_its_line_in_the_readme(parameters):
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    keys = [
        f"{section}.{key}" if isinstance(value, dict) else section
        for section, value in parameters.model_dump().items()
        for key in (value if isinstance(value, dict) else [section])
    ]
    assert [key for key in keys if f"`{key}`" not in readme] == []


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path, rng):
    """The potential is not in the restart files of LAMMPS, and follows the temperature across checkpoints."""
    crystal = close_packed("ABAC", 6.4, (2, 1), 2.0)
    system = coarse_grained(NAME).dress(crystal, rng, SPHERES)
    phases = (Phase("heat", 400, 500, 2.0), Phase("cool", 500, 400, 2.0))
    protocol = Protocol(phases, output_every_ns=0.25, checkpoint_every_ns=0.5)
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
        prepare(system, tmp_path / name)
    once = anneal_system(system, crystal.radii_nm, protocol, tmp_path / "once", 7, world())
    stops = iter([False] * 9 + [True])
    with pytest.raises(StoppedEarly):
        anneal_system(
            system, crystal.radii_nm, protocol, tmp_path / "twice", 7, world(), stop=lambda s: next(stops, False)
        )
    twice = anneal_system(system, crystal.radii_nm, protocol, tmp_path / "twice", 7, world())
    assert np.array_equal(once.positions_nm, twice.positions_nm)
    assert np.array_equal(once.thermo["potential_kcal_per_mol"], twice.thermo["potential_kcal_per_mol"])
    middle = int(np.argmax(once.thermo["target_K"]))
    positions, cell = angstrom_from_nm(once.positions_nm[middle]), Cell(angstrom_from_nm(once.cells_nm[middle]))
    expected = energy_kcal_per_mol(load_one_site(NAME), positions, cell, once.thermo["target_K"][middle])
    assert once.thermo["potential_kcal_per_mol"][middle] == pytest.approx(expected, rel=1e-6)
    changed = replace(system, tables={name: text.replace("e-", "E-") for name, text in system.tables.items()})
    prepare(changed, tmp_path / "twice")
    with pytest.raises(StudyError, match="scripts"):
        anneal_system(changed, crystal.radii_nm, protocol, tmp_path / "twice", 7, world())


def test_plain_lammps_gives_the_same_through_all_kinds_of_phases(tmp_path, rng):
    crystal = close_packed("ABAC", 6.4, (2, 1), 2.0)
    system = coarse_grained(NAME).dress(crystal, rng, SPHERES)
    phases = (
        Phase("rest", kind="minimise"),
        Phase("warm", 400, 420, 0.02, kind="nvt"),
        Phase("squeeze", 420, 420, 0.01, kind="deform", scale=(1, 1, 0.99)),
        Phase("heat", 420, 500, 0.02, pressure_atm=10.0, coupling="iso"),
    )
    protocol = Protocol(phases, output_every_ns=0.01, thermostat="nose_hoover")
    ours, plain = tmp_path / "ours", tmp_path / "plain"
    for folder in (ours, plain):
        folder.mkdir()
        prepare(system, folder)
    trajectory = anneal_system(system, crystal.radii_nm, protocol, ours, 7, world())
    lmp = shutil.which("lmp", path=str(Path(sys.executable).parent)) or shutil.which("lmp")
    command = [lmp, *plain_lammps_arguments(system, protocol, 7), "-screen", "none"]
    subprocess.run(command, cwd=plain, check=True)
    log = (plain / "log.lammps").read_text().splitlines()
    rows = [log[k - 1].split() for k, line in enumerate(log) if line.startswith("Loop time") and "Yz" in log[k - 3]]
    assert [int(row[0]) for row in rows][-3:] == [40, 60, 100]
    ends = [1000 * trajectory.thermo["volume_nm3"][k] for k in (-5, -3, -1)]
    assert [float(row[5]) for row in rows[-3:]] == pytest.approx(ends, rel=1e-6)
    assert float(rows[-1][3]) == pytest.approx(trajectory.thermo["potential_kcal_per_mol"][-1], rel=1e-4)


@pytest.mark.parametrize("n", [4, 8, 24, 1000])
def test_few_sites_may_be_hotter_for_a_moment(n):
    """A kinetic energy of 3N degrees of freedom follows χ²: no run of ten million rows ends by chance."""
    assert chi2.sf(3 * n * hottest_allowed(n), 3 * n) < 1e-7
    assert 2.0 <= hottest_allowed(n) < 6.0
    assert hottest_allowed(1000) == 2.0
