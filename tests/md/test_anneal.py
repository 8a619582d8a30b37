import contextlib
import itertools
import mmap
import operator
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import PAPER, environment_of, mpi_python, ranks_of, same
from hypothesis import given
from hypothesis import strategies as st

from simsc.builders.close_packed import close_packed
from simsc.core.errors import InputError, ResourceError, SimulationError, StoppedEarly, StudyError
from simsc.forcefield.chains import load_chains
from simsc.md.checkpoint import last_checkpoint
from simsc.md.files import prepare
from simsc.md.hardware import Hardware
from simsc.md.health import check_health
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.parallel import world
from simsc.md.protocol import Phase, Protocol
from simsc.md.recorder import continued
from simsc.md.segments import anneal_system
from simsc.md.session import LammpsSession, is_whole_data_file
from simsc.md.shared_memory import remove_stale_segments
from simsc.md.trajectory import COLUMNS, Trajectory, joined, read_trajectory, write_trajectory
from simsc.models.chains import dress_chains
from simsc.models.universe import read_universe

PROTOCOL = Protocol((Phase("warm", 300, 300, 0.012), Phase("heat", 300, 340, 0.01)), output_every_ns=0.005)


@pytest.fixture(scope="module")
def annealed(crystal, system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("anneal")
    prepare(system, folder)
    seen = []
    trajectory = anneal_system(system, crystal.radii_nm, PROTOCOL, folder, 7, world(), report=seen.append)
    return folder, trajectory, seen


def test_frames_phases_and_progress(annealed):
    folder, trajectory, seen = annealed
    assert [trajectory.phase_names[k] for k in trajectory.phase] == ["warm"] * 3 + ["heat"] * 2
    assert np.allclose(trajectory.thermo["time_ns"], [0.005, 0.01, 0.012, 0.017, 0.022])
    assert np.allclose(trajectory.thermo["target_K"], [300, 300, 300, 320, 340])
    assert np.isclose(seen[-1].fraction, 1)
    assert (trajectory.thermo["d_nn_nm"] > 5.9).all()
    assert (trajectory.thermo["d_nn_nm"] < 6.6).all()
    assert not list(folder.glob("checkpoint_*"))
    assert not list(folder.glob("part_*"))
    assert trajectory.last_frames("warm", 2) == [1, 2]
    with pytest.raises(InputError, match="warm, heat"):
        trajectory.last_frames("cool", 1)


def test_plain_lammps_gives_the_same_trajectory(crystal, system, tmp_path):
    """The scripts alone, without checkpoints: the same, until chaos has multiplied rounding errors."""
    short = Protocol(
        (
            Phase("warm", 300, 300, 0.002),
            Phase("squeeze", 300, 310, 0.001, kind="deform", scale=(1, 1, 0.99)),
            Phase("hold", 300, 340, 0.001, kind="nvt", longest_timestep_fs=50.0),
            Phase("heat", 300, 340, 0.001, pressure_atm=100.0, coupling="iso"),
        ),
        output_every_ns=0.002,
    )
    ours, plain = tmp_path / "ours", tmp_path / "plain"
    for folder in (ours, plain):
        folder.mkdir()
        prepare(system, folder)
    trajectory = anneal_system(system, crystal.radii_nm, short, ours, 7, world())
    lmp = shutil.which("lmp", path=str(Path(sys.executable).parent)) or shutil.which("lmp")
    arguments = [lmp, *plain_lammps_arguments(system, short, 7), "-screen", "none"]
    subprocess.run(arguments, cwd=plain, check=True)
    log = (plain / "log.lammps").read_text().splitlines()
    rows = [log[k - 1].split() for k, line in enumerate(log) if line.startswith("Loop time") and "Yz" in log[k - 3]]
    assert [int(row[0]) for row in rows] == [20, 30, 50, 60]
    for row, frame in zip(rows, range(4), strict=True):
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
    parameters = load_chains()
    text = dress_chains(crystal, parameters, np.random.default_rng(1)).data
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
    with LammpsSession(tmp_path, world(), Hardware()) as session:
        session.set(**system.variables, data="system.data")
        session.script("system.lmp")
        found = session.centres_angstrom() / 10
    assert np.allclose(found, crystal.positions_nm, atol=1e-6)


def test_lammps_errors_are_ours(system, tmp_path):
    prepare(system, tmp_path)
    (tmp_path / "system.data").write_text(system.data.replace("3 atom types", "2 atom types"))
    with LammpsSession(tmp_path, world(), Hardware()) as session:
        session.set(**system.variables, data="system.data")
        with pytest.raises(SimulationError, match=r"LAMMPS stopped: ERROR.*log\.lammps"):
            session.script("system.lmp")


@pytest.mark.parametrize(
    ("thermo", "stretch", "says"),
    [
        ({"temperature_K": float("nan")}, (1, 1, 1), "not finite"),
        ({"temperature_K": 900.0}, (1, 1, 1), "ran away"),
        ({"temperature_K": 300.0}, (1.2, 1.2, 1.2), "falling apart"),
        ({"temperature_K": 300.0}, (0.95, 0.95, 1.5), "1.50-fold across c: layers come apart"),
        ({"temperature_K": 300.0}, (0.5, 0.5, 0.5), "collapsed"),
    ],
)
def test_unhealthy_runs_are_stopped(thermo, stretch, says):
    with pytest.raises(SimulationError, match=says):
        check_health(thermo, 300.0, np.array(stretch), Phase("heat", 300, 300, 1))


def test_models_refuse_what_they_cannot_hold(crystal):
    parameters, rng = load_chains(), np.random.default_rng(1)
    with pytest.raises(InputError, match="periodic cell"):
        dress_chains(crystal.in_free_space(), parameters, rng)
    with pytest.raises(InputError, match=r"0\.5 nm.*1\.5 to 4 nm"):
        dress_chains(crystal.with_radii(0.5), parameters, rng)
    with pytest.raises(InputError, match="one common"):
        dress_chains(crystal.with_radii(np.array([2.0, 2.1, 2.0, 2.0])), parameters, rng)
    with pytest.raises(InputError, match="oleate_super_ligand"):
        load_chains("oleat")


def test_flips_of_the_box_do_not_move_anything(rng):
    before = np.array([[62.0, 0, 0], [3.0, 108.0, 0], [34.5, 2.0, 600.0]])
    after = before - np.outer([0, 0, 1], before[0])
    last = rng.uniform(0, 60, (24, 3))
    now = last + rng.normal(scale=2.0, size=(24, 3))
    jumped = now + rng.integers(-1, 2, (24, 3)) @ after
    assert np.allclose(continued(jumped, after, last, before), now)
    assert continued(now, after, last, before) is now


def test_segments_cover_every_step_once():
    phases = (Phase("a", 1, 1, 0.0123), Phase("m", kind="minimise"), Phase("b", 1, 1, 0.001))
    protocol = Protocol(phases, output_every_ns=0.005, checkpoint_every_ns=0.01)
    segments = list(protocol.segments(100.0))
    assert [segment.rows for segment in segments] == [(50, 100), (123,), (123,), (133,)]
    assert [segment.is_last_of_phase for segment in segments] == [False, True, True, True]
    assert protocol.total_steps(100.0) == 133
    assert protocol.time_ns(133, 100.0) == pytest.approx(0.0133)


@given(
    every=st.integers(1, 40),
    finer=st.integers(1, 4),
    coarser=st.integers(1, 5),
    steps=st.lists(st.integers(1, 500), min_size=1, max_size=4),
    timestep=st.sampled_from([1.0, 2.0, 4.0, 100.0]),
)
def test_segments_and_outputs_of_any_protocol(every, finer, coarser, steps, timestep):
    unit = timestep * 1e-6
    phases = tuple(Phase(str(k), 1, 1, n * unit) for k, n in enumerate(steps))
    output = every * finer * unit
    protocol = Protocol(
        phases, output_every_ns=output, thermo_every_ns=every * unit, snapshot_every_ns=2 * output,
        checkpoint_every_ns=coarser * output,
    )  # fmt: skip
    end = 0
    for segment in protocol.segments(timestep):
        assert segment.first == end
        assert segment.rows[-1] == segment.end > segment.first
        assert segment.end - segment.first <= coarser * every * finer
        assert segment.snapshots <= segment.frames <= set(segment.rows)
        assert all(b - a <= every for a, b in itertools.pairwise((segment.first, *segment.rows)))
        end = segment.end
    assert end == sum(steps)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((500, 450, 0.1), 'phase 500: the name, a text such as "heat", comes first'),
        (("",), "phase '': the name"),
        (("a", 300, 300, 1, "nptx"), "phase 'a': kind is one of npt, nvt, deform, minimise, got 'nptx'"),
        (("a", 300, 300), "phase 'a': duration_ns must be a number above 0, got 0.0"),
        (("a", 300, 300, -1), "duration_ns must be a number above 0, got -1"),
        (("a", 300, 300, float("inf")), "duration_ns must be a number above 0, got inf"),
        (("a", 0, 300, 1), "start_K must be a number above 0, got 0"),
        (("a", 300, float("nan"), 1), "stop_K must be a number above 0, got nan"),
        (("a", "300", 300, 1), "start_K must be a number above 0, got '300'"),
        (("a", 300, 300, 1, "npt", "1"), "pressure_atm must be a number, got '1'"),
        (("a", 300, 300, 1, "npt", 1.0, "xyz"), "coupling is one of iso, aniso, tri, got 'xyz'"),
        (("a", 300, 300, 1, "npt", 1.0, "iso", "none"), "thermostat is one of nose_hoover, langevin, got 'none'"),
        (("a", 300, 300, 1, "deform", None, None, None, (1, 1, 0)), "scale must be a number above 0, got 0"),
        (("a", 300, 300, 1, "deform", None, None, None, 0.9), "scale must be three numbers, along x, y and z"),
        (("a", 300, 300, 1, "npt", None, None, None, (1, 1, 1), 0), "longest_timestep_fs must be a number above 0"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(given, says):
    with pytest.raises(InputError, match=re.escape(says)):
        Phase(*given)


def test_a_phase_takes_numbers_of_numpy_and_a_minimisation_no_duration():
    assert Phase("a", np.float32(300), np.int64(300), np.float64(1)).steps(100.0) == 10_000
    assert Phase("m", kind="minimise").steps(100.0) == 0


def test_intervals_have_to_fit():
    for changes, says in (
        ({"output_every_ns": 0.05, "thermo_every_ns": 0.02}, "output_every_ns: 0.05 ns must be a multiple of thermo"),
        ({"checkpoint_every_ns": 0.07}, "checkpoint_every_ns: 0.07 ns must be a multiple of output_every_ns, 0.05 ns"),
        ({"snapshot_every_ns": 0.01}, "snapshot_every_ns"),
    ):
        with pytest.raises(InputError, match=says):
            Protocol((Phase("a", 1, 1, 1),), **changes)


EVERYTHING = Protocol(
    (
        Phase("a", 300, 300, 0.01),
        Phase("squeeze", 300, 300, 0.006, kind="deform", scale=(1, 1, 0.98)),
        Phase("m", kind="minimise"),
        Phase("hold", 300, 320, 0.006, kind="nvt"),
        Phase("b", 300, 400, 0.01, thermostat="langevin"),
    ),
    output_every_ns=0.002,
    thermo_every_ns=0.001,
    snapshot_every_ns=0.004,
    checkpoint_every_ns=0.004,
)


@pytest.fixture(scope="module")
def uninterrupted(crystal, system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    prepare(system, folder)
    return folder, anneal_system(system, crystal.radii_nm, EVERYTHING, folder, 7, world())


def test_stopping_anywhere_changes_no_bit(uninterrupted, crystal, system, tmp_path, rng):
    """Asked to stop after a random number of rows, over and over; then once more, when all is done."""
    _, whole = uninterrupted
    prepare(system, tmp_path)
    calls = 0
    while not (tmp_path / "trajectory.h5").exists():
        calls += 1
        rows = itertools.repeat(None, int(rng.integers(1, 9)))
        with contextlib.suppress(StoppedEarly):
            anneal_system(
                system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(),
                report=lambda progress, rows=rows: next(rows, None),
                stop=lambda needed_s, rows=rows: not operator.length_hint(rows),
            )  # fmt: skip
        checkpoint = last_checkpoint(tmp_path)
        if checkpoint is not None and checkpoint.parts:
            so_far = joined([read_trajectory(tmp_path / name) for name in checkpoint.parts])
            assert np.array_equal(so_far.positions_nm, whole.positions_nm[: len(so_far)])
    assert calls > 2
    found = read_trajectory(tmp_path / "trajectory.h5")
    assert same(found, whole)
    again = anneal_system(
        system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(), report=lambda p: pytest.fail("ran")
    )
    assert same(again, whole)


def test_kinds_of_phases_do_what_they_say(uninterrupted, system):
    _, whole = uninterrupted
    phase = {name: np.flatnonzero(whole.phase == k) for k, name in enumerate(whole.phase_names)}
    before, after = whole.cells_nm[phase["a"][-1]], whole.cells_nm[phase["squeeze"][-1]]
    assert np.allclose(after, before * [1, 1, 0.98], atol=1e-9)
    assert np.allclose(whole.cells_nm[phase["hold"]], after)
    assert (
        whole.thermo["potential_kcal_per_mol"][phase["m"]]
        < whole.thermo["potential_kcal_per_mol"][phase["squeeze"]].min()
    ).all()
    assert np.ptp(whole.thermo["volume_nm3"][phase["b"]]) > 0
    assert whole.thermo["target_K"][phase["hold"]].tolist() == pytest.approx([300 + 20 / 3, 300 + 40 / 3, 320])


def test_snapshots_and_orientations_against_mdanalysis(uninterrupted, system):
    """All snapshots as one Universe: its times, cells and centres of mass, and its own superposition of the heads."""
    from MDAnalysis.analysis.align import rotation_matrix

    folder, whole = uninterrupted
    universe = read_universe(folder)
    assert len(universe.trajectory) == 10
    assert [segment.segid for segment in universe.segments] == ["NP1", "NP2", "NP3", "NP4"]
    cores = [universe.select_atoms(f"segid NP{k + 1} and not name TAIL") for k in range(4)]
    times_ps = 1000 * whole.thermo["time_ns"]
    found = []
    for frame in universe.trajectory:
        at = int(np.argmin(np.abs(times_ps - frame.time)))
        assert frame.time == pytest.approx(times_ps[at], rel=1e-5)
        found.append(at)
        cell = whole.cells_nm[at] * 10
        assert np.allclose(frame.triclinic_dimensions, cell, atol=1e-3)
        # Both are unwrapped, each in its own way: they may be whole cells apart.
        apart = np.array([core.center_of_mass() for core in cores]) - whole.positions_nm[at] * 10
        apart -= apart[0]
        shifts = apart @ np.linalg.inv(cell)
        assert np.allclose(shifts, np.round(shifts), atol=1e-3)
    assert found == sorted(set(found))
    assert found[-1] == len(whole) - 1
    universe.trajectory[-1]
    positions = universe.atoms.positions
    for k in range(4):
        arms = positions[system.core_ids[k] - 1].astype(float)
        reference = system.core_positions_angstrom[k]
        expected, _ = rotation_matrix(reference - reference.mean(axis=0), arms - arms.mean(axis=0))
        assert np.allclose(whole.rotations(-1)[k].as_matrix(), expected, atol=1e-4)
    assert np.linalg.norm(whole.rotations(-1).magnitude()) > 0.01


def test_a_universe_of_a_run_that_goes_on(crystal, system, tmp_path):
    """Before the first snapshot the positions are those of the start; a damaged snapshot is named."""
    prepare(system, tmp_path)
    universe = read_universe(str(tmp_path))
    assert len(universe.trajectory) == 1
    assert len(universe.atoms) == system.n_atoms
    with pytest.raises(StoppedEarly):
        anneal_system(
            system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(), stop=lambda s: any(tmp_path.glob("snapshot_*"))
        )
    universe = read_universe(tmp_path)
    assert universe.trajectory.time == pytest.approx(4.0, rel=1e-5)
    snapshot = next(tmp_path.glob("snapshot_*"))
    snapshot.write_bytes(snapshot.read_bytes()[:100])
    with pytest.raises(InputError, match=rf"{snapshot.name}: cannot be read"):
        read_universe(tmp_path)


DRIVER = """
from pathlib import Path
from conftest import small_crystal, small_system
from simsc.md.segments import anneal_system
from simsc.md.parallel import world
from test_anneal import EVERYTHING

anneal_system(small_system(), small_crystal().radii_nm, EVERYTHING, Path(sys.argv[1]), 7, world())
"""


@pytest.mark.parametrize(
    ("ranks", "kills"),
    [(1, 2), (2, 1), pytest.param(1, 20, marks=pytest.mark.slow), pytest.param(2, 20, marks=pytest.mark.slow)],
)
def test_kill_9_anywhere_changes_no_bit(ranks, kills, system, tmp_path, rng):
    """Killed at random moments over all phases, checkpoints and parts included; of two ranks, one is killed."""
    (tmp_path / "driver.py").write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{DRIVER}")
    command = [*mpi_python(ranks), str(tmp_path / "driver.py")]
    whole_s, done, whole = 0.0, 0, None
    # Runs are repeated until there were enough kills; the first one is left alone.
    for attempt in itertools.count():
        folder = tmp_path / f"run_{attempt}"
        folder.mkdir()
        prepare(system, folder)
        begin = time.monotonic()
        while not (folder / "trajectory.h5").exists():
            process = subprocess.Popen([*command, str(folder)], env=environment_of(__file__), stderr=subprocess.DEVNULL)
            try:
                process.wait(float(rng.uniform(0.1, 1.0)) * whole_s if whole is not None and done < kills else None)
            except subprocess.TimeoutExpired:
                workers = [process.pid] if ranks == 1 else ranks_of(process.pid, "driver.py")[-1:]
                for worker in workers:
                    os.kill(worker, signal.SIGKILL)
                done += len(workers)
                process.wait(60)
        found = read_trajectory(folder / "trajectory.h5")
        if whole is None:
            whole, whole_s = found, time.monotonic() - begin
        assert same(found, whole)
        if done >= kills:
            break
    assert len(whole) == len(set(zip(whole.phase, whole.thermo["time_ns"], strict=True)))


@pytest.mark.parametrize("damage", ["cut", "flip", "json", "missing"])
def test_a_damaged_checkpoint_is_not_believed(damage, uninterrupted, crystal, system, tmp_path):
    _, whole = uninterrupted
    prepare(system, tmp_path)
    seen = []
    with pytest.raises(StoppedEarly):
        anneal_system(
            system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(), report=seen.append, stop=lambda s: len(seen) > 5
        )
    newest = sorted(tmp_path.glob("checkpoint_*.restart"))[-1]
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 4
        newest.write_bytes(content)
    elif damage == "json":
        newest.with_suffix(".json").write_text("{}")
    else:
        newest.unlink()
    assert same(anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world()), whole)


def test_no_whole_checkpoint_is_an_error(crystal, system, tmp_path):
    prepare(system, tmp_path)
    with pytest.raises(StoppedEarly):
        anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(), stop=lambda s: True)
    for path in tmp_path.glob("checkpoint_*.restart"):
        path.write_bytes(b"")
    with pytest.raises(ResourceError, match="no whole checkpoint"):
        anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world())


def test_other_physics_is_refused_by_name(crystal, system, tmp_path):
    prepare(system, tmp_path)
    with pytest.raises(StoppedEarly):
        anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(), stop=lambda s: True)
    hotter = replace(EVERYTHING, phases=(replace(EVERYTHING.phases[0], stop_K=310), *EVERYTHING.phases[1:]))
    with pytest.raises(StudyError, match=r"protocol\.phases\[a\]\.stop_K: 300 there, 310 asked"):
        anneal_system(system, crystal.radii_nm, hotter, tmp_path, 7, world())
    with pytest.raises(StudyError, match="another seed: 7 there, 8 asked"):
        anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 8, world())


def test_orphans_are_swept_away(uninterrupted, crystal, system, tmp_path):
    """What a crash left between a file and the checkpoint that would have named it."""
    _, whole = uninterrupted
    prepare(system, tmp_path)
    seen = []
    with pytest.raises(StoppedEarly):
        anneal_system(
            system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(), report=seen.append, stop=lambda s: len(seen) > 5
        )
    part = sorted(tmp_path.glob("part_*.h5"))[-1]
    shutil.copy(part, tmp_path / "part_000099.h5")
    (tmp_path / "snapshot_000009999.dcd").write_bytes(b"half")
    assert same(anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world()), whole)
    assert not (tmp_path / "snapshot_000009999.dcd").exists()


def test_many_parts_are_joined_on_the_way(uninterrupted, crystal, system, tmp_path, monkeypatch):
    monkeypatch.setattr("simsc.md.segments._PARTS", 3)
    prepare(system, tmp_path)
    seen = []
    with pytest.raises(StoppedEarly):
        anneal_system(
            system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world(),
            report=seen.append, stop=lambda needed_s: len(seen) > 20,
        )  # fmt: skip
    assert list(tmp_path.glob("part_*j.h5"))
    assert same(anneal_system(system, crystal.radii_nm, EVERYTHING, tmp_path, 7, world()), uninterrupted[1])


def test_a_finished_run_of_other_physics_is_refused(uninterrupted, crystal, system):
    with pytest.raises(StudyError, match="another seed: 7 there, 8 asked"):
        anneal_system(system, crystal.radii_nm, EVERYTHING, uninterrupted[0], 8, world())


def random_trajectory(rng, frames: int) -> Trajectory:
    return Trajectory(
        positions_nm=rng.normal(size=(frames, 4, 3)),
        orientations=rng.normal(size=(frames, 4, 4)).astype("f4"),
        cells_nm=rng.normal(size=(frames, 3, 3)),
        radii_nm=np.full(4, 2.0),
        rows=2 * np.arange(frames),
        series={name: rng.normal(size=2 * frames) for name in COLUMNS},
        series_phase=rng.integers(0, 2, 2 * frames),
        phase_names=("one", "two"),
    )


def test_trajectories_come_back_and_join(tmp_path, rng):
    parts = [random_trajectory(rng, frames) for frames in (3, 1, 2)]
    for k, part in enumerate(parts):
        write_trajectory(tmp_path / f"{k}.h5", part, {})
    whole = joined([read_trajectory(tmp_path / f"{k}.h5") for k in range(3)])
    assert len(whole) == 6
    assert np.array_equal(whole.superlattice(3).positions_nm, parts[1].positions_nm[0])
    assert whole.thermo["pressure_atm"][4] == parts[2].series["pressure_atm"][0]
    assert whole.phase[5] == parts[2].series_phase[2]
    (tmp_path / "0.h5").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no HDF5 file"):
        read_trajectory(tmp_path / "0.h5")


def test_frames_are_the_items_of_a_trajectory(rng):
    trajectory = replace(random_trajectory(rng, 3), cells_nm=np.array([np.eye(3)] * 3))
    last = trajectory[-1]
    assert np.array_equal(last.superlattice.positions_nm, trajectory.positions_nm[2])
    assert last.time_ns == trajectory.thermo["time_ns"][2]
    assert last.phase == trajectory.phase_names[trajectory.phase[2]]
    assert [frame.time_ns for frame in trajectory] == trajectory.thermo["time_ns"].tolist()
    assert [frame.time_ns for frame in trajectory[::-2]] == trajectory.thermo["time_ns"][::-2].tolist()
    with pytest.raises(IndexError):
        trajectory[3]


def test_a_launcher_that_disagrees_with_mpi_is_refused(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", str(world().size + 1))
    with pytest.raises(ResourceError, match="do not match"):
        world()


def test_what_killed_processes_left_in_shared_memory_is_removed():
    """A segment is stale if nobody has it mapped; one that is just being made is left alone."""
    folder = Path("/dev/shm")
    stale, fresh, used = (folder / f"mpich_shm_{k}{os.getpid():x}_0" for k in "abc")
    try:
        for path in (stale, fresh, used):
            path.write_bytes(b"x" * 4096)
        for path in (stale, used):
            os.utime(path, (0, 0))
        with open(used, "r+b") as file, mmap.mmap(file.fileno(), 0):
            removed = remove_stale_segments()
        assert stale.name in removed
        assert not stale.exists()
        assert fresh.exists()
        assert used.exists()
    finally:
        for path in (stale, fresh, used):
            path.unlink(missing_ok=True)


def test_a_process_starts_where_a_killed_one_of_its_number_was():
    code = (
        "import os, pathlib; path = pathlib.Path(f'/dev/shm/mpich_shm_{os.getpid():x}_0'); path.write_bytes(b'x');"
        "os.utime(path, (0, 0)); from simsc.md.parallel import world; assert world().size == 1"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_spacing_follows_the_volumes(tmp_path):
    """d_NN of the paper's cell at 300 K against closely packed cores and liquid oleic acid, 6.195 nm."""
    crystal = close_packed(PAPER, 6.3, radius_nm=2.0)
    system = dress_chains(crystal, load_chains(), np.random.default_rng(2))
    prepare(system, tmp_path)
    protocol = Protocol((Phase("hold", 300, 300, 1.0),), output_every_ns=0.02)
    trajectory = anneal_system(system, crystal.radii_nm, protocol, tmp_path, 3, world(), Hardware(threads=2))
    assert trajectory.thermo["d_nn_nm"][25:].mean() == pytest.approx(6.195, rel=0.01)


def test_cut_data_files_are_noticed(annealed, tmp_path):
    folder, _, _ = annealed
    whole = (folder / "annealed.data").read_bytes()
    assert is_whole_data_file(folder / "annealed.data")
    for length in (0, 10, 500, len(whole) // 2, len(whole) - 40, len(whole) - 1):
        (tmp_path / "cut.data").write_bytes(whole[:length])
        assert not is_whole_data_file(tmp_path / "cut.data"), length
