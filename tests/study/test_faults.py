"""Real faults: full and unwritable disks, flipped bits, LAMMPS stopping, killed ranks.

Each time: one line that says what to do, the checkpoint before is whole, and once the fault is gone the same call goes
on to the same result, bit for bit.
"""

import contextlib
import json
import os
import pkgutil
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import (
    ENVIRONMENT,
    environment_of,
    mpi_python,
    ranks_of,
    same,
    simsc,
    simsc_command,
    small_crystal,
    small_system,
    write_short_study,
)

import simsc.md.segments as segments
from simsc.cli.console import StageProgress
from simsc.core.errors import InputError, ResourceError, SimscError, SimscWarning, SimulationError, StoppedEarly
from simsc.io.whole_files import write_error
from simsc.md.checkpoint import first_damaged, last_checkpoint
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import on_first, world
from simsc.md.protocol import Phase, Protocol
from simsc.md.segments import anneal_system
from simsc.md.session import LammpsSession
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.models.lammps_system import LammpsSystem
from simsc.report.page import write_report
from simsc.study.run import RunResult, _locked, run_study
from simsc.study.schema import Study, read_study

# On a full disk the file that tells of progress is not written either, which is said but ends nothing.
pytestmark = pytest.mark.filterwarnings("ignore:progress is not kept")

# Six segments, each of which writes a snapshot, a restart file, a part of the trajectory and a checkpoint.
SHORT = Protocol(
    (Phase("first", 300, 300, 0.003), Phase("second", 300, 320, 0.003)),
    output_every_ns=0.001,
    snapshot_every_ns=0.001,
    checkpoint_every_ns=0.001,
)
_DCD_HEADER = 276  # bytes; the date is among them
_PAGE = 4096


def quick_system() -> LammpsSystem:
    """Return the small system, with a push-off that takes no second."""
    system = small_system()
    return replace(system, variables={**system.variables, "push_steps": "400"})


def run(folder: Path, protocol: Protocol = SHORT, **options) -> Trajectory | None:
    """Anneal in a prepared folder, or go on there."""
    return anneal_system(quick_system(), small_crystal().radii_nm, protocol, folder, 7, world(), **options)


def fill(disk: Path, left: int = 0) -> None:
    """Fill a disk, but for some bytes."""
    state = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        file.write(bytes(max(0, state.f_bavail * state.f_frsize - left)))


def full_before(name: str, disk: Path, left: int, patch: Callable[..., None]) -> None:
    """Let the disk be full, but for some bytes, when the file of this name is about to be written."""

    def wrap(owner: object, function: str, name_of: Callable[..., str]) -> None:
        original = getattr(owner, function)

        def wrapper(*arguments):
            if world().rank == 0 and name_of(*arguments) == name:
                fill(disk, left)
            return original(*arguments)

        patch(owner, function, wrapper)

    wrap(LammpsSession, "write_snapshot", lambda session, name, *rest: name)
    wrap(LammpsSession, "write_restart", lambda session, name: name)
    wrap(LammpsSession, "write_data", lambda session, name: name)
    wrap(segments, "write_trajectory", lambda path, *rest: path.name)
    wrap(segments, "write_checkpoint", lambda folder, checkpoint: f"checkpoint_{checkpoint.segments:06d}.json")


def full_before_call(name: str, disk: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the disk be full when a function is called."""
    original = pkgutil.resolve_name(name)

    def wrapper(*arguments, **options):
        fill(disk)
        return original(*arguments, **options)

    patch.setattr(name, wrapper)


def assert_kept(folder: Path, segments: int) -> None:
    """Assert that a checkpoint of so many segments, or more, is whole, and that nothing lies about half written."""
    checkpoint = last_checkpoint(folder)
    assert checkpoint is not None
    assert checkpoint.segments >= segments
    assert first_damaged(folder, checkpoint, checkpoint.files) is None
    assert [path.name for path in folder.iterdir() if path.suffix == ".partial"] == []


def assert_same_results(folder: Path, expected: Path) -> None:
    """Assert that two folders hold the same files, and the same results bit for bit."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in expected.iterdir())
    assert same(read_trajectory(folder / "trajectory.h5"), read_trajectory(expected / "trajectory.h5"))
    assert (folder / "annealed.data").read_bytes() == (expected / "annealed.data").read_bytes()
    for path in expected.glob("snapshot_*.dcd"):
        assert (folder / path.name).read_bytes()[_DCD_HEADER:] == path.read_bytes()[_DCD_HEADER:]


def assert_one_line(done: subprocess.CompletedProcess, status: int, *says: str) -> None:
    """Assert how a command ended, and that it said why in one line."""
    assert done.returncode == status, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("simsc: error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for words in says:
        assert words in lines[0]


def flip_a_bit(path: Path) -> bytes:
    """Flip a bit in the middle of a file; return what was there."""
    before = path.read_bytes()
    content = bytearray(before)
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    return before


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """Give a function that mounts a disk of a size."""
    mounted = []

    def mount(size: str) -> Path:
        disk = tmp_path / f"disk_{len(mounted)}"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "simsc", str(disk)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("cannot mount a small disk here: needs root")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@contextlib.contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Let no file be made in a folder; root is kept out by nothing less than an immutable folder."""
    root = os.geteuid() == 0
    if not root:
        folder.chmod(0o500)
    elif shutil.which("chattr") is None or subprocess.run(["chattr", "+i", folder], capture_output=True).returncode:
        pytest.skip("cannot keep root out of a folder here: chattr +i does not work")
    try:
        yield
    finally:
        if root:
            subprocess.run(["chattr", "-i", folder], check=True)
        else:
            folder.chmod(0o700)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(quick_system(), folder)
    run(folder)
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A run that was stopped after two segments; for copying."""
    folder = tmp_path_factory.mktemp("begun")
    prepare(quick_system(), folder)
    stop_after(folder, 2)
    return folder


def stop_after(folder: Path, rows: int) -> None:
    seen: list = []
    with pytest.raises(StoppedEarly):
        run(folder, report=seen.append, stop=lambda needed_s: len(seen) >= rows)


@pytest.fixture
def endless_disk(monkeypatch) -> None:
    """Let the look at the free space find plenty, so that it is the writes that fail."""
    usage = shutil.disk_usage("/")._replace(free=2**60)
    monkeypatch.setattr("simsc.md.segments.shutil.disk_usage", lambda path: usage)


@pytest.mark.usefixtures("endless_disk")
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("snapshot_000000030.dcd", 0),
        ("snapshot_000000030.dcd", 2 * _PAGE),
        ("checkpoint_000003.restart", 0),
        ("checkpoint_000003.restart", 2 * _PAGE),
        ("part_000003.h5", 0),
        ("part_000003.h5", 2 * _PAGE),
        ("checkpoint_000003.json", 0),
        ("annealed.data", 0),
        ("annealed.data", 2 * _PAGE),
        ("trajectory.h5", 0),
        ("trajectory.h5", 2 * _PAGE),
    ],
)
def test_full_disk_at_any_write(name, left, begun, undisturbed, small_disk, monkeypatch):
    disk = small_disk("8m")
    folder = disk / "run"
    shutil.copytree(begun, folder)
    with monkeypatch.context() as patch:
        full_before(name, disk, left, patch.setattr)
        with pytest.raises(ResourceError, match=rf"^{folder}/{name}: .*; free some disk space and start again$"):
            run(folder)
    assert_kept(folder, 2)
    # Nothing has changed: the same again, and no harm done by what a first try left.
    with pytest.raises(ResourceError, match="free some disk space"):
        run(folder)
    assert_kept(folder, 2)
    (disk / "filler").unlink()
    run(folder)
    assert_same_results(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.usefixtures("endless_disk")
def test_disk_full_at_every_page(begun, undisturbed, small_disk):
    """From a full disk to one that suffices, page by page: the writes themselves find each way to fail."""
    disk = small_disk("8m")
    failed = []
    for left in range(0, 1 << 20, _PAGE):
        folder = disk / "run"
        shutil.copytree(begun, folder)
        fill(disk, left)
        try:
            run(folder)
        except ResourceError as error:
            failed.append(Path(str(error).split(": ")[0]).name)
            assert_kept(folder, 2)
            (disk / "filler").unlink()
            run(folder)
        else:
            (disk / "filler").unlink()
            if left > 512 * 1024:
                break
        assert_same_results(folder, undisturbed)
        shutil.rmtree(folder)
    assert {Path(name).suffix for name in failed} == {".dcd", ".restart", ".h5", ".json", ".data"}


def test_full_disk_is_seen_before_a_segment_begins(begun, undisturbed, small_disk):
    disk = small_disk("8m")
    folder = disk / "run"
    shutil.copytree(begun, folder)
    fill(disk, 1_000_000)
    with pytest.raises(ResourceError, match=r"only 1 MB are free, and the next checkpoint needs 2 MB; free some disk"):
        run(folder)
    assert_kept(folder, 2)
    (disk / "filler").unlink()
    run(folder)
    assert_same_results(folder, undisturbed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_that_cannot_be_written_costs_nothing_but_the_log(begun, undisturbed, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    (folder / "log.lammps").unlink()
    (folder / "log.lammps").symlink_to("/dev/full")
    run(folder)
    assert_same_results(folder, undisturbed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_progress_on_a_full_disk_stops_nothing(monkeypatch, tmp_path):
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        with StageProgress() as progress:
            progress("anneal", 1.0, "")
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    with open("/dev/full", "w") as full:
        done = subprocess.run([*simsc_command(), "run", "absent.toml"], cwd=tmp_path, stderr=full)
        assert done.returncode == 2
        done = subprocess.run([*simsc_command(), "new", "study.toml"], cwd=tmp_path, stdout=full, stderr=-1, text=True)
    assert_one_line(done, 75, "No space left on device; free some disk space")


@pytest.mark.parametrize("code", [5, 13, 28, 30])
def test_errors_of_the_system_become_ours_on_every_rank(code, tmp_path):
    def fail() -> None:
        raise OSError(code, os.strerror(code), str(tmp_path / "file"))

    with pytest.raises(SimscError, match=rf"{tmp_path}/file: .*{os.strerror(code)}"):
        on_first(world(), fail)
    advice = "check the disk" if code == 5 else "free some disk space"
    error = write_error(tmp_path, OSError(code, os.strerror(code)))
    assert isinstance(error, InputError) or advice in str(error)


def test_a_folder_that_becomes_unwritable_in_the_middle(begun, undisturbed, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    with contextlib.ExitStack() as stack:
        rows = iter([lambda: None, lambda: stack.enter_context(unwritable(folder))])
        with pytest.raises(InputError, match=r"\.restart: cannot be written: .*(denied|not permitted)$"):
            run(folder, report=lambda progress: next(rows)())
    assert_kept(folder, 3)
    run(folder)
    assert_same_results(folder, undisturbed)


def test_a_folder_that_is_unwritable_from_the_begin(begun, undisturbed, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    (folder / "log.lammps").unlink()
    before = Path.cwd()
    with (
        unwritable(folder),
        pytest.raises(InputError, match=r"log\.lammps: cannot be written: .*(denied|not permitted)$"),
    ):
        run(folder)
    assert Path.cwd() == before  # LAMMPS had gone elsewhere
    run(folder)
    assert_same_results(folder, undisturbed)


HOT = Phase("hot", 1e9, 1e9, 0.01, kind="nvt", thermostat="langevin")  # bonds break at once
PULL = Phase("pull", 300, 300, 0.05, pressure_atm=-1e4)  # bonds stretch, step by step
COLLAPSE = 'kind = "deform"\nscale = [0.3, 0.3, 0.3]'  # what it comes to in a study, where no 1e9 K are allowed


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        (HOT, r"^LAMMPS stopped: .*Bond atoms .* missing.*try a smaller time step.*\(in phase hot; .*log\.lammps\)$"),
        (PULL, "^phase pull: the temperature ran away to .* try a smaller time step"),
    ],
)
def test_lammps_stopping_in_a_phase(phase, says, tmp_path):
    prepare(quick_system(), tmp_path)
    gentle = replace(SHORT, phases=(SHORT.phases[0], phase))
    with pytest.raises(SimulationError, match=says) as caught:
        run(tmp_path, gentle)
    checkpoint = last_checkpoint(tmp_path)
    assert_kept(tmp_path, 3)
    assert f"the checkpoint at {gentle.time_ns(checkpoint.step, 100.0):.6g} ns is whole" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SimulationError) as again:
        run(tmp_path, gentle)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_lammps_stopping_ends_the_command_line(ranks, tmp_path):
    study = write_short_study(tmp_path / "study.toml", stacking='"AB"')
    study.write_text(study.read_text().replace('name = "heat"', 'name = "heat"\n' + COLLAPSE))
    done = simsc("run", "study.toml", cwd=tmp_path, ranks=ranks, env=ENVIRONMENT, timeout=120)
    assert_one_line(done, 1, "LAMMPS stopped: ", "in phase heat; the checkpoint at 0.01 ns is whole", "log.lammps")
    assert_kept(tmp_path / "study_run" / "anneal.partial", 1)


DRIVER = """
import shutil
import sys
from pathlib import Path

import test_faults
from simsc.cli.main import _fail
from simsc.core.errors import SimscError
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import world

folder, name = Path(sys.argv[1]), sys.argv[2]
usage = shutil.disk_usage("/")._replace(free=2**60)
shutil.disk_usage = lambda path: usage
test_faults.full_before(name, folder.parent, 0, setattr)
try:
    test_faults.run(folder)
except SimscError as error:
    if world().rank == 0:
        _fail(str(error), error.exit_status)
"""


@pytest.mark.parametrize(
    "name",
    [
        "snapshot_000000030.dcd",  # LAMMPS tells one rank only
        pytest.param("checkpoint_000003.restart", marks=pytest.mark.slow),  # LAMMPS tells all ranks
        pytest.param("part_000003.h5", marks=pytest.mark.slow),
        pytest.param("annealed.data", marks=pytest.mark.slow),  # LAMMPS tells nobody
        pytest.param("trajectory.h5", marks=pytest.mark.slow),
    ],
)
def test_full_disk_under_two_ranks(name, small_disk, tmp_path, undisturbed_by_two):
    disk = small_disk("8m")
    folder = disk / "run"
    folder.mkdir()
    prepare(quick_system(), folder)
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    command = [*mpi_python(2), str(driver), str(folder)]
    options = {"env": environment_of(__file__), "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*command, name], **options)
    assert_one_line(done, 75, f"{folder}/{name}: ", "free some disk space and start again")
    checkpoint = last_checkpoint(folder)
    assert first_damaged(folder, checkpoint, checkpoint.files) is None
    (disk / "filler").unlink()
    done = subprocess.run([*command, "nothing"], **options)
    assert done.returncode == 0, done.stderr
    assert_same_results(folder, undisturbed_by_two)


def test_what_is_said_last_is_heard_before_the_launcher_ends_all_ranks():
    script = (
        "import os, sys, types; from simsc.md.parallel import abort; "
        "print('why', file=sys.stderr, flush=True); abort(types.SimpleNamespace(Abort=os._exit), 75)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        select.select([child.stderr], [], [])  # said, but not yet read
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.5)
        assert child.stderr.read() == "why\n"
    assert child.returncode == 75


@pytest.fixture(scope="module")
def undisturbed_by_two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    prepare(quick_system(), folder)
    driver = folder.parent / "driver.py"
    driver.write_text(DRIVER)
    command = [*mpi_python(2), str(driver), str(folder), "nothing"]
    subprocess.run(command, env=environment_of(__file__), check=True, timeout=120)
    return folder


def test_a_bit_flipped_in_the_newest_part_or_snapshot(begun, undisturbed, tmp_path):
    for pattern in ("part_*.h5", "snapshot_*.dcd"):
        folder = shutil.copytree(begun, tmp_path / pattern[:4])
        flip_a_bit(max(folder.glob(pattern)))
        run(folder)
        assert_same_results(folder, undisturbed)


@pytest.mark.parametrize("pattern", ["part_*.h5", "snapshot_*.dcd"])
def test_a_bit_flipped_in_what_all_generations_share(pattern, begun, undisturbed, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    first = min(folder.glob(pattern))
    content = flip_a_bit(first)
    with pytest.raises(ResourceError, match=rf"no whole checkpoint \({first.name} is damaged; .*restore these files"):
        run(folder)
    first.write_bytes(content)
    run(folder)
    assert_same_results(folder, undisturbed)


def test_a_run_goes_on_without_snapshots_that_were_removed(begun, undisturbed, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    first = min(folder.glob("snapshot_*.dcd"))
    flip_a_bit(first)
    with pytest.raises(ResourceError, match="remove the snapshot to go on without it"):
        run(folder)
    first.unlink()
    with pytest.warns(SimscWarning, match=f"goes on without {first.name}, removed"):
        run(folder)
    assert not first.exists()
    (folder / first.name).write_bytes((undisturbed / first.name).read_bytes())
    assert_same_results(folder, undisturbed)


@pytest.mark.parametrize(("parts", "rows"), [(64, 3), (3, 1)])
def test_a_bit_flipped_while_the_run_goes_on(parts, rows, begun, undisturbed, tmp_path, monkeypatch):
    """A part that was whole when it was written, and is not when it is joined with the others."""
    monkeypatch.setattr("simsc.md.segments._PARTS", parts)
    folder = shutil.copytree(begun, tmp_path / "run")
    damaged, content = folder / "part_000001.h5", []

    def flip(progress: object) -> None:
        if not content:
            content.append(flip_a_bit(damaged))

    with pytest.raises(ResourceError, match=r"part_000001\.h5: was damaged after it had been written; check the disk"):
        run(folder, report=flip)
    assert not (folder / "trajectory.h5").exists()
    damaged.write_bytes(content[0])
    run(folder)
    assert_same_results(folder, undisturbed)


def test_what_a_killed_process_was_writing_is_swept_away(begun, undisturbed, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    for name in (
        ".part_000003.h5.4711.partial",
        ".checkpoint_000003.json.4711.partial",
        ".trajectory.h5.4711.partial",
        "checkpoint_000003.restart.partial",
        "snapshot_000000070.dcd.partial",
        "annealed.data.partial",
    ):
        (folder / name).write_bytes(b"half")
    run(folder)
    assert_same_results(folder, undisturbed)


def test_a_relative_folder_is_found_from_inside_it(begun, undisturbed, tmp_path, monkeypatch):
    folder = shutil.copytree(begun, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    run(Path("run"))
    assert_same_results(folder, undisturbed)


def run_with_report(study: Study, folder: Path) -> RunResult:
    return run_study(study, folder, world(), ONE_THREAD, write_report=write_report)


@pytest.fixture(scope="module")
def finished_study(tmp_path_factory) -> Path:
    """A run folder of a study, beside its study file."""
    path = write_short_study(tmp_path_factory.mktemp("study") / "study.toml", stacking='"AB"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simsc.report.page.page", blank_page)
        run_with_report(read_study(path), path.parent / "run")
    return path.parent / "run"


def blank_page(results: object) -> str:
    """Stand in for the report, whose figures take longer than all the rest."""
    return " " * 600_000


@pytest.fixture
def blank_report(monkeypatch) -> None:
    monkeypatch.setattr("simsc.report.page.page", blank_page)


def assert_same_study(folder: Path, expected: Path) -> None:
    """Assert that two run folders hold the same numbers."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in expected.iterdir())
    for path in expected.glob("*/*.h5"):
        with h5py.File(path) as one, h5py.File(folder / path.relative_to(expected)) as other:
            for name in one:
                if isinstance(one[name], h5py.Dataset):
                    assert np.array_equal(one[name][:], other[name][:]), f"{path}: {name}"
    assert same(read_trajectory(folder / "anneal/trajectory.h5"), read_trajectory(expected / "anneal/trajectory.h5"))


@pytest.mark.usefixtures("blank_report")
def test_a_study_on_a_disk_that_is_too_small(finished_study, small_disk):
    disk = small_disk("1m")
    shutil.copy(finished_study.parent / "study.toml", disk)
    command = ("run", "study.toml", "--output", "run", "--threads", "1")
    done = simsc(*command, cwd=disk, env=ENVIRONMENT)
    assert_one_line(done, 75, "only 1 MB are free, and the next checkpoint needs 2 MB; free some disk space")
    assert_kept(disk / "run" / "anneal.partial", 0)
    remount(disk, "size=16m")
    result = run_with_report(read_study(disk / "study.toml"), disk / "run")
    assert result.skipped == ("build",)
    assert_same_study(disk / "run", finished_study)


@pytest.mark.usefixtures("blank_report")
def test_later_stages_on_a_full_disk(finished_study, small_disk, monkeypatch):
    disk = small_disk("8m")
    folder, study = disk / "run", read_study(finished_study.parent / "study.toml")
    shutil.copytree(finished_study, folder)
    for name in ("order", "scattering", "correlation"):
        shutil.rmtree(folder / name)
    (folder / "report.html").unlink()
    written = {
        "order": "classify.order.streamed_hdf5",
        "scattering": "study.stages.write_intensity",
        "correlation": "study.stages.write_map",
    }
    for stage, writer in written.items():
        with monkeypatch.context() as patch:
            full_before_call(f"simsc.{writer}", disk, patch)
            with pytest.raises(
                ResourceError, match=rf"/{stage}\.partial/.*: writing failed: .*; free some disk"
            ) as caught:
                run_with_report(study, folder)
        assert len(str(caught.value).splitlines()) == 1
        assert not list(folder.rglob(".*.partial"))
        if stage == "scattering":
            command = ("run", str(finished_study.parent / "study.toml"), "--output", "run", "--threads", "1")
            assert_one_line(simsc(*command, cwd=disk, env=ENVIRONMENT), 75, "scattering.partial", "free some disk")
        (disk / "filler").unlink()
    with monkeypatch.context() as patch:
        full_before_call("simsc.report.page.write_text", disk, patch)
        with pytest.raises(
            ResourceError, match=r"report\.html: writing failed: No space left on device; free some disk"
        ):
            run_with_report(study, folder)
    (disk / "filler").unlink()
    run_with_report(study, folder)
    assert_same_study(folder, finished_study)


@pytest.mark.usefixtures("blank_report")
def test_a_run_folder_that_is_read_only(finished_study, small_disk):
    disk = small_disk("8m")
    shutil.copytree(finished_study, disk / "run")
    shutil.rmtree(disk / "run" / "correlation")
    study = finished_study.parent / "study.toml"
    remount(disk, "ro")
    command = ("run", str(study), "--output", "run")
    assert_one_line(simsc(*command, cwd=disk, env=ENVIRONMENT), 2, "cannot be written: Read-only file system")
    with pytest.raises(InputError, match=r"run/\.lock: cannot be written: Read-only file system"):
        run_with_report(read_study(study), disk / "run")
    with pytest.raises(InputError, match="new_run: cannot be written: Read-only file system"):
        run_study(read_study(study), disk / "new_run", world(), ONE_THREAD)
    remount(disk, "rw")
    run_with_report(read_study(study), disk / "run")
    assert_same_study(disk / "run", finished_study)


def test_what_a_killed_study_was_writing_does_not_look_foreign(finished_study, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".study.toml.4711.partial").write_text("half")
    with pytest.raises(StoppedEarly):
        run_study(
            read_study(finished_study.parent / "study.toml"), folder, world(), ONE_THREAD, stop=lambda needed_s: True
        )
    assert (folder / "study.toml").exists()


def test_one_run_in_a_folder_at_a_time_and_none_after_kill_9(tmp_path):
    """Two ranks at work; a second pair is refused; one rank is killed, and the folder is free."""
    study = write_short_study(tmp_path / "study.toml", stacking='"AB"', duration_ns="1.0")
    command = [*simsc_command(2), "run", str(study), "--output", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "run").glob("anneal.partial/system.data")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        refused = simsc("run", str(study), "--output", "run", cwd=tmp_path, ranks=2, env=ENVIRONMENT, timeout=120)
        assert_one_line(refused, 2, "another simsc works in it")
    finally:
        for rank in ranks_of(process.pid, str(study))[-1:]:
            os.kill(rank, signal.SIGKILL)
        assert process.wait(60) != 0
    with _locked(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / "build" / "done.json").read_text())["provenance"]["ranks"] == 2
