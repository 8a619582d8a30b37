"""Jobs of a real Slurm, on this machine alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import wait_for
from slurm_node import clear_queue, said, slurm

from simsc.core.errors import InputError
from simsc.hpc.site import read_site
from simsc.hpc.slurm import seconds_of
from simsc.md.trajectory import read_trajectory

# Beside other tests two ranks that wait for each other on two cores take ten times as long.
pytestmark = pytest.mark.alone
PATIENCE_S = 900  # ends a test that hangs; how fast a machine is decides nothing


@pytest.fixture(scope="module")
def running_slurm(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture
def cluster(running_slurm):
    """Give Slurm with an empty queue, and leave it so: what one test left would keep the next one waiting."""
    yield
    clear_queue()


def simsc(*arguments: str, cwd: Path, status: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "simsc", *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def state(job: str) -> str:
    for word in said("scontrol", "--oneliner", "show", "job", job).split():
        if word.startswith("JobState="):
            return word.removeprefix("JobState=")
    return ""


def logs(run: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted((run / "slurm").glob("*.log")))


KILLER = """\
if [ -z "$SLURM_RESTART_COUNT" ]; then
  (until [ -e {run}/anneal.partial/checkpoint_000003.json ]; do sleep 0.1; done;
   pkill -KILL -f "^[^ ]*python[^ ]* -m mpi4py .*{run}") &
fi"""


@pytest.mark.parametrize("by", ["request", pytest.param("time limit", marks=pytest.mark.slow)])
def test_a_job_is_queued_again_until_it_is_done(by, cluster, short_study, tmp_path):
    """Two ranks; killed and queued again; stopped by the signal of Slurm; then analysis and report."""
    # Long enough for two interruptions, with a checkpoint every second or so. A life of a minute makes thirty of them,
    # and on a busy machine three: then it lasts the better part of an hour.
    frames = 20 if by == "request" else 40
    study = short_study(
        stacking='"AB"', duration_ns=f"{0.02 * frames:g}", output_every_ns="0.02\ncheckpoint_every_ns = 0.02"
    )
    limit = "10" if by == "request" else "1"
    arguments = ["--output", "run", "--ranks", "2", "--time", limit, "--analysis-threads", "1"]
    run = tmp_path / "run"
    if by == "request":
        # Killed in its first life, without a chance to tidy up, as by a node that is taken away.
        simsc("submit", str(study), *arguments, "--dry-run", cwd=tmp_path)
        file = run / "slurm" / "run.sbatch"
        lines = file.read_text().replace("status=$?", "status=$?; [ $status -eq 137 ] && status=85")
        file.write_text(lines.replace("\nexport ", f"\n{KILLER.format(run=run)}\nexport ", 1))
    said_first = simsc("submit", str(study), *arguments, cwd=tmp_path)
    jobs = json.loads((run / "slurm" / "jobs.json").read_text())
    assert f"run as job {jobs['run']}, follow_up as job {jobs['follow_up']}" in said_first
    submitted = (run / "slurm" / "run.sbatch").read_text()
    again = simsc("submit", str(study), "--output", "run", "--ranks", "2", cwd=tmp_path, status=2)
    assert "is in the queue already" in again
    assert (run / "slurm" / "run.sbatch").read_text() == submitted
    for restart in range(2):
        seen = newest_checkpoint(run)
        wait_for(lambda seen=seen: newest_checkpoint(run) > seen, PATIENCE_S)
        if by == "request" and restart == 1:
            assert "running" in simsc("status", "run", cwd=tmp_path)
            subprocess.run(["scancel", "--signal=USR1", jobs["run"]], check=True)
        wait_for(lambda k=restart: f"Restarts={k + 1} " in said("scontrol", "show", "job", jobs["run"]), PATIENCE_S)
    wait_for(lambda: state(jobs["run"]) == "COMPLETED", PATIENCE_S if by == "request" else 3000)
    wait_for(lambda: state(jobs["follow_up"]) == "COMPLETED", PATIENCE_S)
    assert (run / "report.html").is_file(), logs(run)
    assert "stopped at a checkpoint" in logs(run)
    trajectory = read_trajectory(run / "anneal" / "trajectory.h5")
    assert len(trajectory) == len(set(trajectory.thermo["time_ns"])) == 4 * frames
    record = json.loads((run / "anneal" / "done.json").read_text())
    assert record["provenance"]["ranks"] == 2
    told = simsc("status", "run", cwd=tmp_path)
    assert told.startswith("run: done")
    assert told.count("done") == 6


TWO_LIVES = """\
#!/bin/bash
#SBATCH --ntasks=2
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --output={log}
{clean}
srun --mpi=pmi2 {python} -c "
import os
from mpi4py import MPI
MPI.COMM_WORLD.barrier()
os.environ.get('SLURM_RESTART_COUNT') or os.kill(os.getpid(), 9)
print('rank', MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1))"
[ -z "$SLURM_RESTART_COUNT" ] && scontrol requeue $SLURM_JOB_ID
"""


def test_a_job_starts_where_its_killed_life_left_shared_memory(cluster, short_study, tmp_path):
    """MPICH names the segment after job and step, which are the same in the next life."""
    simsc("submit", str(short_study()), "--output", "run", "--dry-run", cwd=tmp_path)
    lines = (tmp_path / "run" / "slurm" / "run.sbatch").read_text().splitlines()
    (clean,) = [line for line in lines if "shared_memory" in line and not line.startswith("#")]
    log = tmp_path / "log"
    (tmp_path / "lives.sbatch").write_text(TWO_LIVES.format(log=log, clean=clean, python=sys.executable))
    job = said("sbatch", "--parsable", str(tmp_path / "lives.sbatch"))
    wait_for(lambda: "Restarts=1 " in said("scontrol", "show", "job", job), PATIENCE_S)
    wait_for(lambda: state(job) not in ("RUNNING", "PENDING", "COMPLETING"), PATIENCE_S)
    assert sorted(line for line in log.read_text().splitlines() if line.startswith("rank")) == ["rank 0 2", "rank 1 2"]


def test_an_error_leaves_no_shared_memory(tmp_path, short_study):
    """Without a launcher the segment is named after the process."""
    command = [sys.executable, "-m", "simsc", "run", str(short_study(pressure_atm="-4000.0"))]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert process.wait(120) == 1
    assert not list(Path("/dev/shm").glob(f"mpich_shm_{process.pid:x}_*"))


def newest_checkpoint(run: Path) -> int:
    return max((int(path.stem[11:]) for path in (run / "anneal.partial").glob("checkpoint_*.json")), default=0)


def test_an_array_of_replicas_of_which_one_fails(cluster, short_study, tmp_path):
    study = short_study()
    # At such a tension the supercrystal comes apart.
    study.write_text(
        study.read_text()
        + '\n[replicas]\nseeds = 3\n[[replicas.vary]]\nkeys = ["anneal.pressure_atm"]\nvalues = [1.0, -4000.0]\n'
    )
    simsc("submit", str(study), "--output", "run", "--time", "10", "--analysis-threads", "1", cwd=tmp_path)
    run = tmp_path / "run"
    jobs = json.loads((run / "slurm" / "jobs.json").read_text())
    wait_for(lambda: state(jobs["follow_up"]) in ("COMPLETED", "FAILED", "CANCELLED"), PATIENCE_S)
    assert state(jobs["follow_up"]) == "COMPLETED", logs(run)
    rows = (run / "outcomes.csv").read_text().splitlines()[1:]
    assert [row.split(",")[3] for row in rows] == ["done"] * 3 + ["failed"] * 3


def test_what_depends_on_a_failed_run_is_not_left_in_the_queue(cluster, short_study, tmp_path):
    study = short_study(pressure_atm="-4000.0")
    simsc("submit", str(study), "--output", "run", "--time", "10", "--analysis-threads", "1", cwd=tmp_path)
    jobs = json.loads((tmp_path / "run" / "slurm" / "jobs.json").read_text())
    wait_for(lambda: state(jobs["run"]) == "FAILED", PATIENCE_S)
    wait_for(lambda: state(jobs["follow_up"]) == "CANCELLED", PATIENCE_S)
    assert "failed" in simsc("status", "run", cwd=tmp_path)


def test_srun_without_mpi_is_refused(cluster, short_study, tmp_path):
    """Two copies instead of two ranks would both write the same files."""
    command = ["srun", "--ntasks=2", "--mpi=none", sys.executable, "-m", "simsc", "run", str(short_study())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 75
    assert "launcher and MPI do not match" in done.stderr
    assert not (tmp_path / "study_run").exists()


SITE = """
launcher = "mpiexec -n 4"
python = "/opt/my python/bin/python"
modules = ["LAMMPS/2025", "odd; rm -rf x"]
setup = ["source activate simsc"]
environment = { OMP_PLACES = "cores", TEXT = "two words; $HOME" }
[sbatch]
account = "hpc-7"
partition = "small"
[analysis]
partition = "tiny"
mem-per-cpu = 2000
"""


def test_batch_files_follow_the_site_and_can_be_edited(short_study, tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    study = short_study()
    arguments = ["submit", str(study), "--output", "my run", "--site", "site.toml", "--dry-run"]
    simsc(*arguments, "--gpus", "2", cwd=tmp_path)
    run, follow_up = ((tmp_path / "my run" / "slurm" / f"{name}.sbatch").read_text() for name in ("run", "follow_up"))
    for line in (
        "#SBATCH --account=hpc-7",
        "#SBATCH --partition=small",
        "#SBATCH --gpus-per-node=2",
        "module load LAMMPS/2025 'odd; rm -rf x'",
        "export TEXT='two words; $HOME'",
        "source activate simsc",
        f'#SBATCH --output="{tmp_path}/my run/slurm/run-%j.log"',
    ):
        assert line in run.splitlines()
    assert f"\nmpiexec -n 4 '/opt/my python/bin/python' -m mpi4py -m simsc run '{tmp_path}/my run/study.toml'" in run
    assert "#SBATCH --partition=tiny" in follow_up
    assert "#SBATCH --mem-per-cpu=2000" in follow_up
    for text in (run, follow_up):
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    # An hour and a half, less what is kept for the last checkpoint.
    simsc(*arguments, "--time", "90", cwd=tmp_path)
    assert " --max-hours 1.4167 " in (tmp_path / "my run" / "slurm" / "run.sbatch").read_text()
    # Nothing was submitted: the study may change, and the commands are shown.
    changed = short_study(seed="5")
    told = simsc("submit", str(changed), *arguments[2:], cwd=tmp_path)
    assert "--dependency=afterok:JOB --kill-on-invalid-dep=yes" in told
    assert "seed = 5" in (tmp_path / "my run" / "study.toml").read_text()
    # Other options change a file that nobody edited; an edited one stays, unless it is to be written anew.
    file = tmp_path / "my run" / "slurm" / "run.sbatch"
    simsc(*arguments, "--time", "99", cwd=tmp_path)
    assert "#SBATCH --time=99" in file.read_text()
    file.write_text(file.read_text().replace("--time=99", "--time=98"))
    assert "kept as it was edited" in simsc(*arguments, "--time", "97", cwd=tmp_path)
    assert "--time=98" in file.read_text()
    simsc(*arguments, "--time", "97", "--rewrite", cwd=tmp_path)
    assert "--time=97" in file.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("launcher = 3", "launcher: input should be a valid string"),
        ("partition = 'x'", "partition: unknown key; allowed: launcher, python"),
        ("[sbatch]\n'account x' = 'y'", "is no option of sbatch"),
        ("[sbatch]\naccount = 'y\\nz'", "quotes and backslashes"),
        ("[environment]\n'A B' = 'y'", "cannot be the name of a variable"),
        ('launcher = "a\\nb"', "launcher"),
        ("nonsense", "not valid TOML"),
    ],
)
def test_bad_profiles_are_refused_in_one_line(text, says, tmp_path):
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_site(tmp_path / "site.toml")


def test_profiles_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SIMSC_SITE", raising=False)
    assert read_site(None).launcher == "srun --mpi=pmi2"
    (tmp_path / ".config" / "simsc").mkdir(parents=True)
    (tmp_path / ".config" / "simsc" / "site.toml").write_text("launcher = 'here'")
    assert read_site(None).launcher == "here"
    (tmp_path / "other.toml").write_text("launcher = 'there'")
    monkeypatch.setenv("SIMSC_SITE", str(tmp_path / "other.toml"))
    assert read_site(None).launcher == "there"
    monkeypatch.setenv("SIMSC_SITE", str(tmp_path / "nowhere.toml"))
    with pytest.raises(InputError, match="No such file"):
        read_site(None)


@pytest.mark.parametrize("time", ["", "soon", "1:2:3:4", "0", "-5", "1 day"])
def test_bad_times_are_refused(time):
    with pytest.raises(InputError, match="time"):
        seconds_of(time)


def test_without_slurm_it_is_said(short_study, tmp_path):
    environment = {**os.environ, "PATH": "/nowhere"}
    command = [sys.executable, "-m", "simsc", "submit", str(short_study())]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 75
    assert "no sbatch" in done.stderr
