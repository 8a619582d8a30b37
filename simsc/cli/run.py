"""The command `simsc run`: a study, from its superlattice to its report."""

from pathlib import Path
from typing import get_args

import click

from simsc.cli.console import StageProgress, StopRequest
from simsc.cli.options import (
    JSON,
    PATH,
    RUN_FOLDER,
    example,
    print_result,
)
from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.md.hardware import Accelerator, Hardware
from simsc.study.schema import Study, read_study


@click.command(
    epilog=example("simsc run study.toml -o my_run", "mpiexec -n 4 python -m mpi4py -m simsc run study.toml")
)
@click.argument("study", type=PATH)
@RUN_FOLDER
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
    from simsc.study.run import run_study
    from simsc.study.run_folder import RunFolder, usual_folder

    comm = world()
    stop = StopRequest(max_hours)
    hardware = Hardware(threads or max(1, available_cores() // comm.size), accelerator, gpus)
    if comm.rank > 0:
        follow(comm, hardware, stop)
        return
    try:
        folder = output or usual_folder(study)
        parsed = read_study(study)
        if parsed.replicas is not None and replica is None:
            if comm.size > 1:
                raise InputError(f"{study}: has [replicas]; on several ranks run one at a time, with --replica")
            _run_all_replicas(parsed, folder, hardware, until, jobs, stop, as_json)
            return
        if replica is not None:
            parsed = replica_of(parsed, folder, replica).study
            folder = RunFolder(folder).replica(replica).path
        if jobs is not None:
            raise InputError("--jobs: is for all [replicas] of a study")
        with StageProgress() as progress:
            result = run_study(parsed, folder, comm, hardware, progress, stop, until, _write_report)
    finally:
        if comm.size > 1:
            patient_bcast(comm, "stop")
    report = None if result.report is None else result.report.resolve()
    print_result(
        as_json,
        {"run": folder.resolve(), "finished_before": result.skipped, "until": until, "report": report},
        *(f"{name}: finished before" for name in result.skipped),
        f"{until}: done, in {folder}; without --until the same command goes on"
        if report is None
        else f"report: {report}",
    )


def _write_report(folder: Path, page: Path) -> None:
    from simsc.report.page import write_report  # Matplotlib takes a second to load: at the end, not on every rank

    write_report(folder, page)


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
    from simsc.study.replicas import run_replicas
    from simsc.study.run_folder import RunFolder

    of_all = RunFolder(folder)
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
        if of_all.outcomes.is_file():
            write_replicas_report(folder, of_all.report)
    table, report = of_all.outcomes.resolve(), of_all.report.resolve()
    facts = {"run": folder.resolve(), "until": until, "table": table, "report": report}
    print_result(as_json, facts, f"table: {table}", f"report: {report}")
