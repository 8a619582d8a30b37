import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PAPER

from simsc.build.close_packed import close_packed
from simsc.core.errors import InputError, ResourceError, SimulationError
from simsc.core.superlattice import Superlattice
from simsc.forcefield.super_ligand import load_super_ligand
from simsc.md.anneal import anneal, check_health, continued, plain_lammps_arguments, prepare
from simsc.md.parallel import world
from simsc.md.protocol import Phase, Protocol
from simsc.md.session import LammpsSession, is_whole_data_file
from simsc.md.trajectory import COLUMNS, TrajectoryWriter, read_trajectory
from simsc.models.lammps_system import LammpsSystem
from simsc.models.super_ligand import dress_super_ligand

PROTOCOL = Protocol((Phase("warm", 300, 300, 0.012), Phase("heat", 300, 340, 0.01)), output_every_ns=0.005)


@pytest.fixture(scope="module")
def crystal() -> Superlattice:
    return close_packed("AB", 6.3, radius_nm=2.0)


@pytest.fixture(scope="module")
def system(crystal) -> LammpsSystem:
    return dress_super_ligand(crystal, load_super_ligand(), np.random.default_rng(1))


@pytest.fixture(scope="module")
def annealed(crystal, system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("anneal")
    prepare(system, folder)
    seen = []
    trajectory = anneal(system, crystal.radii_nm, PROTOCOL, folder, 7, world(), report=seen.append)
    return folder, trajectory, seen


def test_frames_phases_and_progress(annealed):
    folder, trajectory, seen = annealed
    assert [trajectory.phase_names[k] for k in trajectory.phase] == ["warm"] * 3 + ["heat"] * 2
    assert np.allclose(trajectory.thermo["time_ns"], [0.005, 0.01, 0.012, 0.017, 0.022])
    assert np.allclose(trajectory.thermo["target_K"], [300, 300, 300, 320, 340])
    assert np.isclose(seen[-1].fraction, 1)
    assert (trajectory.thermo["d_nn_nm"] > 5.9).all()
    assert (trajectory.thermo["d_nn_nm"] < 6.6).all()
    assert not (folder / "trajectory.partial.h5").exists()
    assert trajectory.last_frames("warm", 2) == [1, 2]
    with pytest.raises(InputError, match="warm, heat"):
        trajectory.last_frames("cool", 1)


def test_plain_lammps_gives_the_same_trajectory(annealed, system, tmp_path):
    """The scripts alone, without chunks: bitwise the same energies at the end of each phase."""
    _, trajectory, _ = annealed
    prepare(system, tmp_path)
    lmp = shutil.which("lmp", path=str(Path(sys.executable).parent)) or shutil.which("lmp")
    arguments = [lmp, *plain_lammps_arguments(system, PROTOCOL, 7), "-screen", "none"]
    subprocess.run(arguments, cwd=tmp_path, check=True)
    log = (tmp_path / "log.lammps").read_text().splitlines()
    rows = [log[k - 1].split() for k, line in enumerate(log) if line.startswith("Loop time") and "Yz" in log[k - 3]]
    assert [int(row[0]) for row in rows] == [120, 220]
    for row, frame in zip(rows, (2, 4), strict=True):
        assert float(row[1]) == pytest.approx(trajectory.thermo["temperature_K"][frame], rel=1e-7)
        assert float(row[3]) == pytest.approx(trajectory.thermo["potential_kcal_per_mol"][frame], rel=1e-7)
        assert float(row[5]) == pytest.approx(1000 * trajectory.thermo["volume_nm3"][frame], rel=1e-7)


def test_degrees_of_freedom(annealed, system):
    """Rigid cores have 6 each, tail beads 3, less 3 for the momentum: kinetic energy over temperature tells."""
    _, trajectory, _ = annealed
    tails = system.n_atoms - 4 * (1 + 96)
    freedom = 3 * tails + 6 * 4 - 3
    kinetic = trajectory.thermo["kinetic_kcal_per_mol"] / trajectory.thermo["temperature_K"]
    assert np.allclose(kinetic, freedom / 2 * 0.0019872067, rtol=1e-5)


def test_dressed_nanoparticle_has_the_mass_and_inertia_of_the_real_one(crystal):
    """A magnetite sphere: M = ρV and I = 2/5 M R², of the core without its carboxylates."""
    parameters = load_super_ligand()
    text = dress_super_ligand(crystal, parameters, np.random.default_rng(1)).data
    masses = [float(line.split()[1]) for line in text.split("Masses\n\n")[1].splitlines()[:3]]
    atoms = np.array(
        [line.split() for line in text.split("Atoms # angle\n\n")[1].split("\n\nBonds")[0].splitlines()], float
    )
    first = atoms[atoms[:, 1] == 1]
    heads = first[first[:, 2] == 2]
    core_mass = masses[0] + len(heads) * (masses[1] - parameters.head.mass_per_head_g_per_mol)
    density = 8 * 231.531 / 8.396**3  # 8 Fe3O4 in a cell of 8.396 Å
    assert core_mass == pytest.approx(density * 4 / 3 * np.pi * 20**3, rel=1e-4)
    arms = heads[:, 3:] - first[first[:, 2] == 1][:, 3:]
    inertia = (masses[1] - parameters.head.mass_per_head_g_per_mol) * ((arms**2).sum() * np.eye(3) - arms.T @ arms)
    assert np.allclose(inertia, 0.4 * core_mass * 20**2 * np.eye(3), rtol=0.01, atol=0.003 * inertia[0, 0])
    assert len(heads) == 96


def test_centres_come_back_unwrapped_and_in_order(crystal, system, tmp_path):
    prepare(system, tmp_path)
    with LammpsSession(tmp_path, world()) as session:
        session.set(**system.variables, data="system.data")
        session.script("system.lmp")
        found = session.centres_angstrom() / 10
    assert np.allclose(found, crystal.positions_nm, atol=1e-6)


def test_lammps_errors_are_ours(system, tmp_path):
    prepare(system, tmp_path)
    (tmp_path / "system.data").write_text(system.data.replace("3 atom types", "2 atom types"))
    with LammpsSession(tmp_path, world()) as session:
        session.set(**system.variables, data="system.data")
        with pytest.raises(SimulationError, match=r"LAMMPS stopped: ERROR.*log\.lammps"):
            session.script("system.lmp")


@pytest.mark.parametrize(
    ("thermo", "expansion", "says"),
    [
        ({"temperature_K": float("nan")}, 1.0, "not finite"),
        ({"temperature_K": 900.0}, 1.0, "ran away"),
        ({"temperature_K": 300.0}, 1.7, "falling apart"),
    ],
)
def test_unhealthy_runs_are_stopped(thermo, expansion, says):
    with pytest.raises(SimulationError, match=says):
        check_health(thermo, 300.0, expansion, "heat")


def test_models_refuse_what_they_cannot_hold(crystal):
    parameters, rng = load_super_ligand(), np.random.default_rng(1)
    with pytest.raises(InputError, match="periodic cell"):
        dress_super_ligand(crystal.in_free_space(), parameters, rng)
    with pytest.raises(InputError, match=r"0\.5 nm.*1\.5 to 4 nm"):
        dress_super_ligand(crystal.with_radii(0.5), parameters, rng)
    with pytest.raises(InputError, match="one common"):
        dress_super_ligand(crystal.with_radii(np.array([2.0, 2.1, 2.0, 2.0])), parameters, rng)
    with pytest.raises(InputError, match="oleate_super_ligand"):
        load_super_ligand("oleat")


def test_flips_of_the_box_do_not_move_anything(rng):
    before = np.array([[62.0, 0, 0], [3.0, 108.0, 0], [34.5, 2.0, 600.0]])
    after = before - np.outer([0, 0, 1], before[0])
    last = rng.uniform(0, 60, (24, 3))
    now = last + rng.normal(scale=2.0, size=(24, 3))
    jumped = now + rng.integers(-1, 2, (24, 3)) @ after
    assert np.allclose(continued(jumped, after, last, before), now)
    assert continued(jumped, before, last, before) is jumped


def test_chunks_add_up():
    chunks = Protocol((Phase("a", 1, 1, 0.0123), Phase("b", 1, 1, 0.001)), output_every_ns=0.005).chunks(100.0)
    assert chunks == [[50, 50, 23], [10]]


def test_trajectories_survive_a_writer_that_dies(tmp_path, rng):
    """Every frame is on disk when `append` returns."""
    path = tmp_path / "trajectory.h5"
    script = f"""
import os, numpy as np
from pathlib import Path
from simsc.md.trajectory import COLUMNS, TrajectoryWriter
writer = TrajectoryWriter(Path({str(path)!r}), np.full(4, 2.0), ("only",))
for k in range(3):
    writer.append(np.full((4, 3), float(k)), np.eye(3), 0, dict.fromkeys(COLUMNS, float(k)))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    found = read_trajectory(path)
    assert len(found) == 3
    assert (found.positions_nm[2] == 2).all()
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_trajectory(path)


def test_writer_and_reader_agree(tmp_path, rng):
    path = tmp_path / "trajectory.h5"
    writer = TrajectoryWriter(path, np.full(4, 2.0), ("one", "two"))
    positions, cells = rng.normal(size=(2, 4, 3)), np.stack([np.eye(3), 2 * np.eye(3)])
    for k in range(2):
        writer.append(positions[k], cells[k], k, {name: k + 0.5 for name in COLUMNS})
    writer.close()
    found = read_trajectory(path)
    assert np.array_equal(found.positions_nm, positions)
    assert np.array_equal(found.superlattice(1).cell.vectors_nm, cells[1])
    assert found.phase_names == ("one", "two")
    assert found.thermo["pressure_atm"].tolist() == [0.5, 1.5]


def test_a_launcher_that_disagrees_with_mpi_is_refused(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", str(world().size + 1))
    with pytest.raises(ResourceError, match="do not match"):
        world()


@pytest.mark.slow
def test_spacing_follows_the_volumes(tmp_path):
    """d_NN of the paper's cell at 300 K against closely packed cores and liquid oleic acid, 6.195 nm."""
    crystal = close_packed(PAPER, 6.3, radius_nm=2.0)
    system = dress_super_ligand(crystal, load_super_ligand(), np.random.default_rng(2))
    prepare(system, tmp_path)
    protocol = Protocol((Phase("hold", 300, 300, 1.0),), output_every_ns=0.02)
    trajectory = anneal(system, crystal.radii_nm, protocol, tmp_path, 3, world(), threads=2)
    assert trajectory.thermo["d_nn_nm"][25:].mean() == pytest.approx(6.195, rel=0.01)


def test_cut_data_files_are_noticed(annealed, tmp_path):
    folder, _, _ = annealed
    whole = (folder / "annealed.data").read_bytes()
    assert is_whole_data_file(folder / "annealed.data")
    for length in (0, 10, 500, len(whole) // 2, len(whole) - 40, len(whole) - 1):
        (tmp_path / "cut.data").write_bytes(whole[:length])
        assert not is_whole_data_file(tmp_path / "cut.data"), length
