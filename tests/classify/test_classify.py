"""`simsc classify` over trajectories, and the files that it and the order stage of a study write."""

import csv
import json
import re
import subprocess
import sys

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from conftest import ENVIRONMENT, PAPER, displaced, simsc

from simsc.builders.close_packed import close_packed
from simsc.classify import order as order_module
from simsc.classify.order import Order, read_order, write_order
from simsc.classify.over_time import averages, change_frames, fractions, frame_order, timed_order, transitions
from simsc.cli.classify import _executor
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Frame, Superlattice
from simsc.io.provenance import provenance
from simsc.io.structure_files import Reading, StructureFile
from simsc.md.checkpoint import Checkpoint, write_checkpoint
from simsc.md.frames import open_frames
from simsc.md.trajectory import COLUMNS, Trajectory, write_trajectory

HEALED = "ABCABCABCABC"
N_FRAMES, CHANGE = 10, 6


def healing(sigma_nm: float = 0.2, lateral=(2, 1)) -> list[Superlattice]:
    """The paper's cell becomes fcc at once, in a frame that is known; NPs are wrapped into the cell."""
    frames = []
    for k in range(N_FRAMES):
        stacking = PAPER if k < CHANGE else HEALED
        moved = displaced(close_packed(stacking, 6.2, lateral), sigma_nm, np.random.default_rng([3, k]))
        frames.append(Superlattice(moved.cell.wrap(moved.positions_nm), 2.0, moved.cell))
    return frames


@pytest.fixture
def written(tmp_path):
    """The same as extended XYZ, in Å."""
    images = [
        Atoms(["Au"] * frame.n, 10 * frame.positions_nm, cell=10 * frame.cell.vectors_nm, pbc=True)
        for frame in healing()
    ]
    ase.io.write(tmp_path / "run.xyz", images, format="extxyz")
    return tmp_path


def test_a_trajectory_of_another_program_to_files(written):
    done = simsc(
        "classify",
        "run.xyz",
        "--every-ns",
        "0.5",
        "-o",
        "order",
        "--jobs",
        "2",
        "--json",
        cwd=written,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((written / "order" / "summary.json").read_text())
    assert json.loads(done.stdout) == {"frames": N_FRAMES, "n": 48} | summary
    assert summary["first"]["counts"]["hcp"] == summary["first"]["counts"]["fcc"] == 24
    assert summary["last"] | {"counts": {}} == {"frame": 9, "time_ns": 4.5, "counts": {}, "sequence": HEALED}
    assert summary["transitions"]["hcp"]["fcc"] == pytest.approx(24, abs=0.5)
    assert summary["healing"] == {"n": 24, "median_ns": 3.0, "lower_ns": 3.0, "upper_ns": 3.0}
    with h5py.File(written / "order" / "order.h5") as file:
        changes = file["hcp_to_fcc_frame"][:]
        assert sorted(set(changes)) == [-1, CHANGE]
        labels = np.array(file["labels"].attrs["classes"])[file["labels"][:]]
        assert (labels[0, changes == CHANGE] == "hcp").all()
        assert file["probabilities"].shape == (N_FRAMES, 48, 7)
        assert json.loads(file.attrs["provenance"])["command"].startswith("simsc classify run.xyz")
    rows = list(csv.DictReader((written / "order" / "counts.csv").open()))
    assert [float(row["time_ns"]) for row in rows] == pytest.approx(0.5 * np.arange(10))
    assert [row["sequence"] for row in rows] == [PAPER] * CHANGE + [HEALED] * 4
    assert float(rows[-1]["fcc_fraction"]) > 0.99 > float(rows[0]["fcc_fraction"])
    assert "classify: done in" in done.stderr
    (written / "here").mkdir()
    frames = StructureFile(written / "run.xyz", Reading(every_ns=0.5)).frames(range(N_FRAMES))
    here = write_order(written / "here", timed_order(frames), N_FRAMES, {"first": 0, "last": 9}, provenance())
    assert here == summary
    one, other = (contents(written / name / "order.h5") for name in ("here", "order"))
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)


def test_a_trajectory_to_the_terminal(written):
    done = simsc("classify", "run.xyz", "--frames", "2:", "--average", "2", cwd=written)
    assert done.returncode == 0, done.stderr
    assert "48 NPs, 8 frames\n" in done.stdout
    assert "        fcc:         24         48\n" in done.stdout
    assert f"sequence, first: {PAPER}\nsequence, last: {HEALED}\n" in done.stdout
    # Of windows of two frames one holds both structures.
    assert re.search(r"hcp to fcc for good: 24 NPs, median frame [45] \([45] to [45]\)\n", done.stdout)
    assert [path.name for path in written.iterdir()] == ["run.xyz"]
    one = simsc("classify", "run.xyz", "--frames", "-1", cwd=written)
    assert one.stdout.startswith("48 NPs, d_NN 6.")
    assert f"sequence: {HEALED}" in one.stdout


def test_a_full_disk_is_told_and_leaves_nothing(written):
    """A limit on the size of files stands for it."""
    command = f"ulimit -f 24; exec {sys.executable} -m simsc classify run.xyz -o order"
    done = subprocess.run(["bash", "-c", command], cwd=written, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 75, done.stderr
    assert "order.h5: writing failed: File too large; free some disk space" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((written / "order").iterdir()) == []


def as_frames(superlattices) -> list[Frame]:
    return [Frame(superlattice, 0.1 * k, "hold") for k, superlattice in enumerate(superlattices)]


def contents(path):
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


@pytest.mark.parametrize("method", ["thermal", "paper"])
def test_what_is_written_is_what_follows_from_all_frames_at_once(tmp_path, monkeypatch, method):
    monkeypatch.setattr(order_module, "_BLOCK_BYTES", 1000)  # a few NPs at a time
    superlattices = healing()
    orders = [frame_order(superlattice, method) for superlattice in superlattices]
    classes = orders[0].labels.classes
    weights = np.array([order.labels.weights for order in orders])
    expected = {name: np.array([getattr(o.bond_order, name) for o in orders]) for name in ("q4", "q6", "w4", "w6")}
    expected["labels"] = np.array([order.labels.numbers for order in orders])
    expected["probabilities"] = np.array([order.labels.probabilities for order in orders], dtype="f4")
    expected["layers"] = np.array([order.stacking.layers for order in orders])
    expected["time_ns"] = 0.1 * np.arange(N_FRAMES)
    expected["hcp_to_fcc_frame"] = change_frames(weights, classes.index("hcp"), classes.index("fcc"))
    seen = []
    states = {"before": 2, "after": 8}
    frames = timed_order(as_frames(superlattices), method)
    summary = write_order(tmp_path, frames, N_FRAMES, states, provenance(), on_frame=seen.append)
    assert seen == list(range(1, N_FRAMES + 1))
    found = contents(tmp_path / "order.h5")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values, equal_nan=True), name
    moved = transitions(weights[2], weights[8])
    hcp, fcc = classes.index("hcp"), classes.index("fcc")
    assert summary["transitions"]["hcp"]["fcc"] == pytest.approx(moved[hcp, fcc], abs=1e-3)
    mean, error = fractions(weights)
    rows = list(csv.DictReader((tmp_path / "counts.csv").open()))
    assert [float(row["hcp_fraction"]) for row in rows] == pytest.approx(mean[:, hcp], abs=1e-4)
    assert [float(row["hcp_standard_error"]) for row in rows] == pytest.approx(error[:, hcp], abs=1e-4)
    assert {row["phase"] for row in rows} == {"hold"}


def test_a_dask_cluster_writes_the_same(written):
    distributed = pytest.importorskip("distributed", reason="the extra hpc is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        done = simsc("classify", "run.xyz", "--dask", cluster.scheduler_address, "-o", "there", cwd=written)
    assert done.returncode == 0, done.stderr
    assert simsc("classify", "run.xyz", "-o", "here", cwd=written).returncode == 0
    one, other = (contents(written / name / "order.h5") for name in ("here", "there"))
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)


def test_dask_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(InputError, match=r"--dask: needs the extra hpc; .*simsc\[hpc\]"),
        _executor("tcp://x", None, 1, 1),
    ):
        pass


def test_other_numbers_of_frames_or_nps_are_refused(tmp_path):
    orders = list(timed_order(as_frames(healing()[:2])))
    with pytest.raises(InputError, match="there were 2 frames instead of 3"):
        write_order(tmp_path, orders, 3, {"first": 0, "last": 1}, provenance())
    wider = next(timed_order(as_frames([close_packed(PAPER, 6.2, (3, 1))])))
    with pytest.raises(InputError, match="frame 1 has 72 NPs, the first 48"):
        write_order(tmp_path, [orders[0], wider], 2, {"first": 0, "last": 1}, provenance())
    assert list(tmp_path.iterdir()) == []


def trajectory(superlattices: list[Superlattice], first: int, phases: list[int]) -> Trajectory:
    n = len(superlattices)
    return Trajectory(
        positions_nm=np.array([frame.positions_nm for frame in superlattices]),
        orientations=np.tile([0.0, 0, 0, 1], (n, superlattices[0].n, 1)),
        cells_nm=np.array([frame.cell.vectors_nm for frame in superlattices]),
        radii_nm=superlattices[0].radii_nm,
        rows=2 * np.arange(n) + 1,  # every other row of output has a frame
        series={name: 0.05 * (np.arange(2 * n) + 2 * first) for name in COLUMNS},
        series_phase=np.repeat(phases, 2),
        phase_names=("heat", "hold"),
    )


def test_run_folders_finished_and_not(tmp_path):
    frames, phases = healing(), [0] * 4 + [1] * 6
    (tmp_path / "done" / "anneal").mkdir(parents=True)
    write_trajectory(tmp_path / "done" / "anneal" / "trajectory.h5", trajectory(frames, 0, phases), {})
    partial = tmp_path / "half" / "anneal.partial"
    partial.mkdir(parents=True)
    for name, part in (
        ("part_000001.h5", slice(0, 3)),
        ("part_000002.h5", slice(3, 8)),
        ("part_000003.h5", slice(8, 9)),
    ):
        write_trajectory(partial / name, trajectory(frames[part], part.start, phases[part]), {})
    parts = ("part_000001.h5", "part_000002.h5")  # the third belongs to no checkpoint yet
    write_checkpoint(partial, Checkpoint(2, 9, "checkpoint_000002.restart", parts, (), {}, {}, [], [], ()))
    write_trajectory(partial / "part_000003.h5", trajectory(frames[8:9], 8, phases[8:9]), {})
    for place, n in (("done", 10), ("done/anneal", 10), ("done/anneal/trajectory.h5", 10), ("half", 8)):
        opened = open_frames(tmp_path / place)
        assert len(opened) == n
        chosen = [1, 3, 6, 7]
        for k, frame in zip(chosen, opened.frames(chosen), strict=True):
            assert np.array_equal(frame.superlattice.positions_nm, frames[k].positions_nm)
            assert np.array_equal(frame.superlattice.cell.vectors_nm, frames[k].cell.vectors_nm)
            assert frame.superlattice.radii_nm[0] == 2.0
            assert frame.time_ns == pytest.approx(0.05 * (2 * k + 1))
            assert frame.phase == ("heat" if k < 4 else "hold")
    done = simsc("classify", "half", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["frames"] == 8
    assert json.loads(done.stdout)["healing"]["median_ns"] == pytest.approx(0.05 * (2 * CHANGE + 1))


def test_averages_of_wrapped_frames_of_a_hot_crystal(written):
    """NPs cross the boundaries all the time; the mean is that of NPs which never did."""
    rng = np.random.default_rng(1)
    built = close_packed(PAPER, 6.2)
    moves = rng.normal(scale=0.5, size=(20, built.n, 3))
    images = []
    for move in moves:
        places = built.cell.wrap(built.positions_nm + move + rng.normal(size=3))  # and all drift together
        images.append(Atoms(["Au"] * built.n, 10 * places, cell=10 * built.cell.vectors_nm, pbc=True))
    ase.io.write(written / "hot.xyz", images, format="extxyz")
    file = StructureFile(written / "hot.xyz", Reading())
    mean = next(averages(file.frames(range(20)), 20)).superlattice
    expected = built.positions_nm + moves.mean(axis=0)
    shift = built.cell.fractional(mean.positions_nm - expected)
    shift -= shift[0]
    shift = (shift - np.rint(shift)) @ built.cell.vectors_nm
    # The common drift is taken off as NPs show it, so by 0.5 nm / √24 of each frame off, all alike.
    assert np.abs(shift).max() < 1e-6
    grows = [Frame(Superlattice(built.positions_nm, cell=Cell(k * built.cell.vectors_nm))) for k in (1, 2)]
    with pytest.raises(InputError, match="the cell changes too much within the frames that are averaged"):
        list(averages(grows, 2))


def test_averages_of_a_ball_that_turns(rng):
    from scipy.spatial.transform import Rotation

    ball = close_packed("ABCABC", 6.2, (6, 4)).largest_ball()
    noise = rng.normal(scale=0.5, size=(16, ball.n, 3))
    turns = Rotation.from_rotvec(np.outer(np.arange(16), [0.1, 0.2, -0.1]))
    frames = [Superlattice(turns[k].apply(ball.positions_nm + noise[k] + [k, 2, 0])) for k in range(16)]
    mean = next(averages([Frame(frame) for frame in frames], 16)).superlattice
    centred = ball.positions_nm - ball.positions_nm.mean(axis=0)
    _, rssd = Rotation.align_vectors(centred, mean.positions_nm)
    assert rssd / np.sqrt(3 * ball.n) == pytest.approx(0.5 / 4, rel=0.15)


def test_one_order_in_memory_and_in_files(tmp_path, rng, monkeypatch):
    """What is read back is what was written, whole or some frames at a time."""
    monkeypatch.setattr(order_module, "_BLOCK_BYTES", 8 * 48 * 2)  # two frames
    sequences = (PAPER, PAPER, HEALED, PAPER, HEALED)
    frames = as_frames([displaced(close_packed(sequence, 6.2, (2, 1)), 0.05, rng) for sequence in sequences])
    ordered = list(timed_order(frames, "thermal"))
    write_order(tmp_path, ordered, len(ordered), {"first": 0, "last": 4}, provenance())
    here, there = Order.of(ordered), read_order(tmp_path)
    assert (len(there), there.n, there.periodic) == (len(here), here.n, here.periodic) == (5, 48, True)
    assert there.sequences == here.sequences == sequences
    assert there.phases == here.phases == ("hold",) * 5
    assert there.classes == here.classes == ("fcc", "hcp")
    for name in ("q4", "q6", "labels", "layers", "time_ns"):
        assert np.array_equal(getattr(here, name), getattr(there, name))
    assert np.array_equal(list(there.by_frame("layers")), here.layers)
    assert there.counts(2) == here.counts(2) == {"fcc": 48, "hcp": 0}
    for name, values in there.properties(3).items():
        # Probabilities are kept in single precision.
        expected = here.properties(3)[name]
        assert np.array_equal(values, expected) if name != "probability" else np.allclose(values, expected, atol=1e-6)
    # Files that do not belong to each other.
    counts = tmp_path / "counts.csv"
    counts.write_text("".join(counts.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"counts\.csv: has 4 frames, order\.h5 has 5"):
        _ = read_order(tmp_path).sequences
    counts.write_text("time_ns\n1\n")
    with pytest.raises(InputError, match=r"counts\.csv: is no table of phases and sequences"):
        _ = read_order(tmp_path).phases
