"""Runs as Slurm jobs: batch files that can be read and edited, queued again until the run is done."""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from simsc.core.errors import InputError, ResourceError
from simsc.hpc.site import Site
from simsc.io.digests import text_digest
from simsc.io.whole_files import write_text
from simsc.md.frames import ANNEAL
from simsc.md.hardware import ONE_THREAD, Hardware
from simsc.study.run import claimed
from simsc.study.run_folder import RunFolder
from simsc.study.schema import Study

RUN = "run.sbatch"
FOLLOW_UP = "follow_up.sbatch"
_WRITTEN = "written.json"  # SHA-256 of the batch files as simsc wrote them
_LONGEST_GRACE_S = 300  # between the signal, or the last checkpoint, and the end of a job
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


@dataclass(frozen=True)
class Resources:
    """What a job asks for.

    Args:
        ranks: MPI ranks.
        nodes: nodes; None leaves it to Slurm.
        hardware: threads a rank, accelerator, and GPUs a node.
        time: time limit, as sbatch reads it: minutes, hours:minutes:seconds or days-hours.
        memory: memory a node, as sbatch reads it, such as 16G; empty for the default of the site.
        analysis_threads: threads of the follow-up job.
        analysis_time: its time limit.

    Raises:
        InputError: for a time that sbatch would not read.
    """

    ranks: int = 1
    nodes: int | None = None
    hardware: Hardware = ONE_THREAD
    time: str = "24:00:00"
    memory: str = ""
    analysis_threads: int = 4
    analysis_time: str = "4:00:00"

    def __post_init__(self) -> None:
        for key, text in (("--time", self.time), ("--analysis-time", self.analysis_time)):
            seconds_of(text, key)
        if self.memory and not re.fullmatch(r"\d+[KMGT]?", self.memory):
            raise InputError(f"--memory {self.memory!r}: needs a number and K, M, G or T, such as 16G")


@dataclass(frozen=True)
class Job:
    """A batch file.

    Args:
        file: where it lies.
        kept: whether somebody edited the one that was there, so that it is used as it is.
    """

    file: Path
    kept: bool


def seconds_of(time: str, key: str = "time") -> int:
    """Return a time limit of sbatch in seconds.

    Example:
        >>> seconds_of("90"), seconds_of("1:30:00"), seconds_of("2-12"), seconds_of("10:30")
        (5400, 5400, 216000, 630)

    Raises:
        InputError: for a text that is none.
    """
    match = _TIME.fullmatch(time)
    if not match:
        raise InputError(f"{key} {time!r}: needs minutes, hours:minutes:seconds or days-hours, such as 24:00:00")
    days, *rest = match.groups()
    numbers = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, minutes, seconds = numbers + [0] * (3 - len(numbers))
    else:
        hours, minutes, seconds = {1: (0, *numbers, 0), 2: (0, *numbers), 3: tuple(numbers)}[len(numbers)]
    total = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 1:
        raise InputError(f"{key} {time!r}: must be above 0")
    return total


def write_jobs(study: Study, folder: Path, resources: Resources, site: Site, rewrite: bool = False) -> list[Job]:
    """Write the batch files of a study into its run folder: the run, and what follows it.

    A study without replicas is annealed by the first job; a second one analyses and writes the report. With replicas
    the first is a job array that does everything, and the second one writes their table and report.

    Args:
        study: the study; a copy is put into the run folder.
        folder: run folder.
        resources: what the jobs ask for.
        site: the cluster.
        rewrite: whether to replace batch files that were edited.

    Raises:
        StudyError: if the folder holds a run of another study.
        InputError: if the folder cannot be written.
    """
    folder = folder.absolute()
    slurm = RunFolder(folder).slurm
    with claimed(folder, study, alone=False):
        with contextlib.suppress(FileExistsError):
            slurm.mkdir()
        jobs = []
        written: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            written = json.loads((slurm / _WRITTEN).read_text(encoding="utf-8"))
        texts = {RUN: _run_job(study, folder, resources, site)}
        texts[FOLLOW_UP] = _follow_up_job(study, folder, resources, site)
        for name, text in texts.items():
            file = slurm / name
            edited = file.is_file() and text_digest(file.read_text(encoding="utf-8")) != written.get(name)
            jobs.append(Job(file, edited and not rewrite))
            if not jobs[-1].kept:
                write_text(file, text)
                written[name] = text_digest(text)
        write_text(slurm / _WRITTEN, json.dumps(written, indent=1))
        return jobs


def submit(folder: Path, replicas: int) -> dict[str, str]:
    """Submit the batch files of a run folder: the run, and what depends on it.

    Args:
        folder: run folder with batch files.
        replicas: how many replicas it has; 0 for a single run.

    Returns:
        Numbers of the jobs, by `run` and `follow_up`.

    Raises:
        ResourceError: if Slurm is not there, or refuses a job; with its own words.
        InputError: if jobs of this folder are in the queue already.
    """
    if shutil.which("sbatch") is None:
        raise ResourceError("Slurm is not here (no sbatch); submit on a login node, or use simsc run")
    refuse_queued(folder)
    slurm = RunFolder(folder).slurm
    run = _sbatch(slurm / RUN)
    jobs = {"run": run}
    try:
        jobs["follow_up"] = _sbatch(slurm / FOLLOW_UP, *dependency(run, replicas))
    finally:
        write_text(RunFolder(folder).jobs_file, json.dumps(jobs, indent=1))
    return jobs


def refuse_queued(folder: Path) -> None:
    """Raise InputError if jobs of a run folder are in the queue already."""
    if queued := _queued(folder):
        raise InputError(f"{folder}: job {', '.join(queued)} of it is in the queue already; scancel it first")


def dependency(run: str, replicas: int) -> list[str]:
    """Return the options of sbatch with which the follow-up waits for the job of a run.

    A run that failed takes its follow-up with it; of replicas, those that did not fail are worth a table.
    """
    return [f"--dependency={'afterany' if replicas else 'afterok'}:{run}", "--kill-on-invalid-dep=yes"]


def _run_job(study: Study, folder: Path, resources: Resources, site: Site) -> str:
    n, hardware = len(study.variants()), resources.hardware
    options: dict[str, str | int] = {
        "job-name": _job_name(folder),
        "output": _log(folder, "run-%A_%a.log" if n else "run-%j.log"),
        "open-mode": "append",
        "time": resources.time,
        "ntasks": resources.ranks,
        "cpus-per-task": hardware.threads,
        # To the ranks, not to this script: they stop at their next checkpoint.
        "signal": f"USR1@{_grace_s(resources.time)}",
    }
    options |= {} if resources.nodes is None else {"nodes": resources.nodes}
    options |= {"gpus-per-node": hardware.gpus} if hardware.gpus else {}
    options |= {"mem": resources.memory} if resources.memory else {}
    options |= {"array": f"0-{n - 1}"} if n else {}
    words = ["-m", "mpi4py", "-m", "simsc", "run", str(RunFolder(folder).study_file), "--output", str(folder)]
    words += ["--threads", str(hardware.threads), "--accelerator", hardware.accelerator, "--gpus", str(hardware.gpus)]
    # The signal may come too late for the next checkpoint. From this the run itself knows, by its speed.
    words += ["--max-hours", f"{(seconds_of(resources.time) - _grace_s(resources.time)) / 3600:.4f}"]
    # The shell puts in the number of the array's task.
    command = f"{_launcher(site)} {_python(site)} {shlex.join(words)} " + (
        '--replica "$SLURM_ARRAY_TASK_ID"' if n else f"--until {ANNEAL}"
    )
    return _batch_file(options | site.sbatch, site, command)


def _follow_up_job(study: Study, folder: Path, resources: Resources, site: Site) -> str:
    options: dict[str, str | int] = {
        "job-name": f"{_job_name(folder)}-follow-up",
        "output": _log(folder, "follow_up-%j.log"),
        "open-mode": "append",
        "time": resources.analysis_time,
        "ntasks": 1,
        "cpus-per-task": resources.analysis_threads,
        "signal": f"USR1@{_grace_s(resources.analysis_time)}",
    }
    words = ["-m", "simsc", "report", str(folder)]
    if study.replicas is None:
        words = ["-m", "simsc", "run", str(RunFolder(folder).study_file), "--output", str(folder)]
        words += ["--threads", str(resources.analysis_threads)]
    # Through srun too, without MPI: signals of Slurm reach what it started.
    command = f"srun --ntasks=1 --mpi=none {_python(site)} {shlex.join(words)}"
    return _batch_file(options | site.sbatch | site.analysis, site, command)


def _grace_s(time: str) -> int:
    return min(_LONGEST_GRACE_S, seconds_of(time) // 4)


def _batch_file(options: dict[str, str | int], site: Site, command: str) -> str:
    lines = [
        "#!/bin/bash",
        "# Written by simsc submit. Change it as you like: an edited file is kept (--rewrite writes it anew).",
        "# With --time, change --max-hours too.",
        *(f"#SBATCH --{name}={_option(value)}" for name, value in options.items()),
        "#SBATCH --requeue",
        "",
        *([f"module load {shlex.join(site.modules)}"] if site.modules else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in site.environment.items()),
        "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun does not take it over by itself",
        *site.setup,
        "",
        "# Queued again after it was killed, a job would stumble over what is left of it in shared memory.",
        f"srun --ntasks=$SLURM_JOB_NUM_NODES --ntasks-per-node=1 --mpi=none {_python(site)} -m simsc.md.shared_memory",
        command,
        "status=$?",
        "# Stopped at a checkpoint, because the time is over or somebody asked for it: queue this job again.",
        'if [ $status -eq 85 ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
        "exit $status",
    ]
    return "\n".join(lines) + "\n"


def _option(value: str | int) -> str:
    text = str(value)
    return f'"{text}"' if re.search(r"\s", text) else text


def _log(folder: Path, name: str) -> str:
    path = str(RunFolder(folder).slurm)
    if '"' in path or "\\" in path or "\n" in path:
        raise InputError(f"{folder}: Slurm cannot write logs to a folder with quotes or backslashes in its name")
    return path.replace("%", "%%") + f"/{name}"


def _job_name(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", folder.name)[:40] or "simsc"


def _launcher(site: Site) -> str:
    return shlex.join(shlex.split(site.launcher))


def _python(site: Site) -> str:
    return shlex.quote(site.python or sys.executable)


def _sbatch(file: Path, *options: str) -> str:
    done = subprocess.run(  # noqa: S603 (a list of our own words, no shell)
        ["sbatch", "--parsable", *options, str(file)],  # noqa: S607 (as the user's PATH has it)
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ResourceError(f"{file}: Slurm refuses it: {' '.join(done.stderr.split())}")
    return done.stdout.strip().split(";")[0]


def _queued(folder: Path) -> list[str]:
    """Return those of the folder's jobs that wait or run."""
    if shutil.which("squeue") is None:
        return []
    found = []
    for job in RunFolder(folder).jobs().values():
        listed = subprocess.run(  # noqa: S603
            ["squeue", "--noheader", "--format=%T", f"--jobs={job}"],  # noqa: S607
            capture_output=True,
            text=True,
        )
        # Of a job that it has forgotten, squeue says that its number is invalid.
        active = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED"}
        if listed.returncode == 0 and active & set(listed.stdout.split()):
            found.append(str(job))
    return found
