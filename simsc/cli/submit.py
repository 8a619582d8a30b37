"""The command `simsc submit`: a study as Slurm jobs."""

import shlex
from pathlib import Path
from typing import get_args

import click

from simsc.cli.options import (
    JSON,
    PATH,
    RUN_FOLDER,
    example,
    gathered,
    print_result,
)
from simsc.md.hardware import Accelerator, Hardware
from simsc.study.schema import read_study


@click.command(
    epilog=example("simsc submit study.toml --ranks 64 --nodes 2 --time 24:00:00", "simsc submit study.toml --dry-run")
)
@click.argument("study", type=PATH)
@RUN_FOLDER
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
@gathered("hardware", Hardware)
def submit(
    study: Path,
    output: Path | None,
    ranks: int,
    nodes: int | None,
    hardware: Hardware,
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
    from simsc.study.run_folder import usual_folder

    folder = (output or usual_folder(study)).absolute()
    parsed = read_study(study)
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
    print_result(as_json, facts, *lines)
