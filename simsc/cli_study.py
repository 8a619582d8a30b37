"""The commands of a study: `simsc new`, `run`, `submit`, `status` and `report`."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from simsc.cli_options import JSON, PATH, example, tell
from simsc.console import StageProgress, StopRequest, working
from simsc.core.errors import InputError
from simsc.core.files import write_text
from simsc.core.processes import available_cores
from simsc.md.hardware import Accelerator, Hardware
from simsc.study.schema import Study, preset_names, preset_text, read_study


@click.command(epilog=example("simsc new --preset preview study.toml"))
@click.argument("file", type=PATH)
@click.option("--preset", type=click.Choice(preset_names()), default="preview", show_default=True, help="What kind.")
@JSON
def new(file: Path, preset: str, as_json: bool) -> None:
    """Write a commented study FILE to start from."""
    text = preset_text(preset)
    if file.exists():
        raise InputError(f"{file}: exists already; give another name")
    write_text(file, text)
    told = f"{file} written; run it with: simsc run {shlex.quote(str(file))}"
    tell(as_json, {"study": file, "preset": preset}, told)


@click.command(
    epilog=example("simsc run study.toml -o my_run", "mpiexec -n 4 python -m mpi4py -m simsc run study.toml")
)
@click.argument("study", type=PATH)
@click.option("-o", "--output", type=PATH, help="Run folder; the default is STUDY_run in this folder.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of each process; the default shares the cores.")
@click.option(
    "--max-hours", type=click.FloatRange(min=0), help="Stop at the last checkpoint before this, h, with exit status 85."
)
@click.option(
    "--accelerator",
    type=click.Choice(get_args(Accelerator)),
    default="auto",
    show_default=True,
    help="How LAMMPS uses the machine: auto takes GPUs if there are to be any, else threads (omp), else opt.",
)
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs a node, for LAMMPS.")
@click.option("--until", help="Last stage to run, such as anneal; the default runs all, and writes the report.")
@click.option("--replica", type=int, help="Run this one of the study's [replicas] only; they count from 0.")
@click.option("--jobs", type=click.IntRange(min=1), help="[replicas] at a time; the default is one a core.")
@JSON
def run(
    study: Path,
    output: Path | None,
    threads: int | None,
    max_hours: float | None,
    accelerator: Accelerator,
    gpus: int,
    until: str | None,
    replica: int | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Run a STUDY from its superlattice to its report; run it again to go on after a stop."""
    from simsc.md.parallel import patient_bcast, world
    from simsc.study.context import follow
    from simsc.study.replicas import replica as replica_of
    from simsc.study.replicas import replica_folder
    from simsc.study.run import run_study

    comm = world()
    stop = StopRequest(max_hours)
    hardware = Hardware(threads or max(1, available_cores() // comm.size), accelerator, gpus)
    if comm.rank > 0:
        follow(comm, hardware, stop)
        return
    try:
        folder = output or Path(f"{study.stem}_run")
        parsed = read_study(study)
        if parsed.replicas is not None and replica is None:
            if comm.size > 1:
                raise InputError(f"{study}: has [replicas]; on several ranks run one at a time, with --replica")
            _run_all_replicas(parsed, folder, hardware, until, jobs, stop, as_json)
            return
        if replica is not None:
            parsed = replica_of(parsed, folder, replica).study
            folder = replica_folder(folder, replica)
        if jobs is not None:
            raise InputError("--jobs: is for all [replicas] of a study")
        with StageProgress() as progress:
            result = run_study(parsed, folder, comm, hardware, progress, stop, until)
    finally:
        if comm.size > 1:
            patient_bcast(comm, "stop")
    report = None if result.report is None else result.report.resolve()
    tell(
        as_json,
        {"run": folder.resolve(), "finished_before": result.skipped, "until": until, "report": report},
        *(f"{name}: finished before" for name in result.skipped),
        f"{until}: done, in {folder}; without --until the same command goes on"
        if report is None
        else f"report: {report}",
    )


def _run_all_replicas(
    study: Study,
    folder: Path,
    hardware: Hardware,
    until: str | None,
    jobs: int | None,
    stop: StopRequest,
    as_json: bool,
) -> None:
    from simsc.report.replicas_page import write_replicas_report
    from simsc.study.replicas import OUTCOMES, run_replicas
    from simsc.study.run import REPORT

    jobs = min(jobs or available_cores(), len(study.variants()))
    threads = max(1, available_cores() // jobs)

    def arguments() -> list[str]:
        words = ["--threads", str(threads), "--accelerator", hardware.accelerator, "--gpus", str(hardware.gpus)]
        words += [] if until is None else ["--until", until]
        return words if stop.hours_left is None else [*words, "--max-hours", f"{stop.hours_left:.6f}"]

    try:
        with StageProgress() as progress:
            run_replicas(study, folder, jobs, arguments, progress, stop)
    finally:
        if (folder / OUTCOMES).is_file():
            write_replicas_report(folder, folder / REPORT)
    table, report = (folder / OUTCOMES).resolve(), (folder / REPORT).resolve()
    facts = {"run": folder.resolve(), "until": until, "table": table, "report": report}
    tell(as_json, facts, f"table: {table}", f"report: {report}")


@click.command(
    epilog=example("simsc submit study.toml --ranks 64 --nodes 2 --time 24:00:00", "simsc submit study.toml --dry-run")
)
@click.argument("study", type=PATH)
@click.option("-o", "--output", type=PATH, help="Run folder; the default is STUDY_run in this folder.")
@click.option("--ranks", type=click.IntRange(min=1), default=1, show_default=True, help="MPI ranks of the run.")
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes; by default Slurm decides.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each rank.")
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs a node, for LAMMPS.")
@click.option(
    "--accelerator",
    type=click.Choice(get_args(Accelerator)),
    default="auto",
    show_default=True,
    help="How LAMMPS uses the machine, as of simsc run.",
)
@click.option(
    "--time", "time_limit", default="24:00:00", show_default=True, help="Time limit of one job, as in sbatch."
)
@click.option("--memory", default="", help="Memory a node, such as 16G; the default is the site's.")
@click.option(
    "--analysis-threads",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Threads of the follow-up job, which analyses and writes the report.",
)
@click.option("--analysis-time", default="4:00:00", show_default=True, help="Time limit of the follow-up job.")
@click.option("--site", type=PATH, help="Profile of the cluster; default: $SIMSC_SITE, ~/.config/simsc/site.toml.")
@click.option("--rewrite", is_flag=True, help="Write batch files anew that were edited.")
@click.option("--dry-run", is_flag=True, help="Write the batch files, and submit nothing.")
@JSON
def submit(
    study: Path,
    output: Path | None,
    ranks: int,
    nodes: int | None,
    threads: int,
    gpus: int,
    accelerator: Accelerator,
    time_limit: str,
    memory: str,
    analysis_threads: int,
    analysis_time: str,
    site: Path | None,
    rewrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a STUDY as Slurm jobs, queued again until it is done; analysis and report follow as a job of their own.

    Of a study with [replicas] each one is a task of a job array.
    """
    from simsc.hpc.site import read_site
    from simsc.hpc.slurm import Resources, dependency, refuse_queued, write_jobs
    from simsc.hpc.slurm import submit as submit_jobs

    folder = (output or Path(f"{study.stem}_run")).absolute()
    parsed, hardware = read_study(study), Hardware(threads, accelerator, gpus)
    resources = Resources(ranks, nodes, hardware, time_limit, memory, analysis_threads, analysis_time)
    if not dry_run:
        refuse_queued(folder)  # and leave its batch file as it was submitted
    written = write_jobs(parsed, folder, resources, read_site(site), rewrite)
    facts: dict[str, object] = {"run": folder, "batch_files": [job.file for job in written]}
    lines = [
        f"{job.file}: " + ("kept as it was edited (--rewrite writes it anew)" if job.kept else "written")
        for job in written
    ]
    replicas = len(parsed.variants())
    if dry_run:
        run, follow_up = (shlex.quote(str(job.file)) for job in written)
        by_hand = [f"sbatch {run}", f"sbatch {' '.join(dependency('JOB', replicas))} {follow_up}"]
        facts["to_submit"] = by_hand
        lines += ["to submit by hand:", *(f"  {line}" for line in by_hand)]
    else:
        jobs = submit_jobs(folder, replicas)
        facts["jobs"] = jobs
        lines.append(f"submitted: {', '.join(f'{what} as job {number}' for what, number in jobs.items())}")
        lines.append(f"look on with: simsc status {shlex.quote(str(folder))}")
    tell(as_json, facts, *lines)


@click.command(epilog=example("simsc status study_run", "watch -n 60 simsc status study_run"))
@click.argument("folder", metavar="RUN", type=PATH)
@JSON
def status(folder: Path, as_json: bool) -> None:
    """Tell how far a RUN is, from its files: while it goes, after it was stopped, on any machine that sees them."""
    from simsc.report.status_text import replicas_text, run_text
    from simsc.study.replicas import outcomes
    from simsc.study.run import study_of
    from simsc.study.status import run_status

    if study_of(folder).replicas is not None:
        found = outcomes(folder)
        tell(as_json, {"replicas": [outcome.row for outcome in found]}, replicas_text(found))
    else:
        state = run_status(folder)
        tell(as_json, asdict(state), run_text(state))


@click.command(epilog=example("simsc report study_run", "simsc report one_run --beside other_run -o both.html"))
@click.argument("folder", metavar="RUN", type=PATH)
@click.option("--beside", "other", type=PATH, help="Another finished run: write one page of both.")
@click.option("-o", "--output", type=PATH, help="The page of both; the default is comparison.html.")
@JSON
def report(folder: Path, other: Path | None, output: Path | None, as_json: bool) -> None:
    """Write the report of a finished RUN anew, or the table and report of its replicas, or one page of two runs."""
    from simsc.report.page import write_report
    from simsc.report.replicas_page import write_replicas_report
    from simsc.study.replicas import OUTCOMES, outcomes, write_outcomes
    from simsc.study.run import REPORT, study_of

    if other is not None:
        from simsc.report.comparison_page import write_comparison

        page = output or Path("comparison.html")
        with working("report"):
            write_comparison(folder, other, page)
        tell(as_json, {"report": page.resolve()}, f"report: {page.resolve()}")
        return
    if output is not None:
        raise InputError("--output: is for a page of two runs, with --beside; that of one run is in its folder")
    facts = {"report": (folder / REPORT).resolve()}
    if study_of(folder).replicas is not None:
        write_outcomes(folder, outcomes(folder))
        write_replicas_report(folder, folder / REPORT)
        facts = {"table": (folder / OUTCOMES).resolve(), **facts}
    else:
        with working("report"):
            write_report(folder, folder / REPORT)
    tell(as_json, facts, *(f"{what}: {file}" for what, file in facts.items()))
