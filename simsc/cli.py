"""The command line: one command a stage, plus `run`, `new` and `doctor`.

Exit status: 0 done, 2 bad input, 75 a resource is missing, 85 stopped early, 1 anything else.
"""

import contextlib
import json
import os
import shlex
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TextIO, get_args

import click

import simsc
from simsc.cli_build import build
from simsc.cli_classify import classify
from simsc.cli_compare import compare
from simsc.cli_experiment import import_volume
from simsc.cli_export import export
from simsc.cli_frames import beamline, import_frames, orient
from simsc.cli_healing import healing
from simsc.cli_options import PATH, example
from simsc.cli_refine import refine
from simsc.cli_scattering import correlate, scatter
from simsc.cli_slide import slide
from simsc.cli_stackings import stackings
from simsc.console import StageProgress, StopRequest
from simsc.core.errors import InputError, ResourceError, SimscError, SimscWarning, StoppedEarly
from simsc.core.files import write_error, write_text
from simsc.doctor import available_cores, run_checks
from simsc.md.hardware import Accelerator, Hardware
from simsc.study.schema import Study, preset_names, preset_text, read_study


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("simsc new study.toml", "simsc run study.toml"),
)
@click.version_option(simsc.__version__, prog_name="simsc")
def cli() -> None:
    """Build, anneal, classify and scatter supercrystals of ligand-capped nanoparticles."""


@cli.command(epilog=example("simsc new --preset preview study.toml"))
@click.argument("file", type=PATH)
@click.option("--preset", default="preview", show_default=True, help="One of: " + ", ".join(preset_names()) + ".")
def new(file: Path, preset: str) -> None:
    """Write a commented study FILE to start from."""
    text = preset_text(preset)
    if file.exists():
        raise InputError(f"{file}: exists already; give another name")
    write_text(file, text)
    click.echo(f"{file} written; run it with: simsc run {shlex.quote(str(file))}")


@cli.command(
    epilog=example("simsc run study.toml --out my_run", "mpiexec -n 4 python -m mpi4py -m simsc run study.toml")
)
@click.argument("study", type=PATH)
@click.option("--out", type=PATH, help="Run folder; the default is STUDY without its ending, plus _run.")
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
def run(
    study: Path,
    out: Path | None,
    threads: int | None,
    max_hours: float | None,
    accelerator: Accelerator,
    gpus: int,
    until: str | None,
    replica: int | None,
    jobs: int | None,
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
        folder = out or Path(f"{study.stem}_run")
        parsed = read_study(study)
        if parsed.replicas is not None and replica is None:
            if comm.size > 1:
                raise InputError(f"{study}: has [replicas]; on several ranks run one at a time, with --replica")
            _run_all_replicas(parsed, folder, hardware, until, jobs, stop)
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
    for name in result.skipped:
        click.echo(f"{name}: finished before")
    if result.report is None:
        click.echo(f"{until}: done; without --until the same command goes on")
    else:
        click.echo(f"report: {result.report.resolve()}")


def _run_all_replicas(
    study: Study, folder: Path, hardware: Hardware, until: str | None, jobs: int | None, stop: StopRequest
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
    click.echo(f"table: {(folder / OUTCOMES).resolve()}\nreport: {(folder / REPORT).resolve()}")


@cli.command(
    epilog=example("simsc submit study.toml --ranks 64 --nodes 2 --time 24:00:00", "simsc submit study.toml --dry-run")
)
@click.argument("study", type=PATH)
@click.option("--out", type=PATH, help="Run folder; the default is STUDY without its ending, plus _run.")
@click.option("--ranks", type=click.IntRange(min=1), default=1, show_default=True, help="MPI ranks of the run.")
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes; by default Slurm decides.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each rank.")
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs a node, for LAMMPS.")
@click.option("--accelerator", type=click.Choice(get_args(Accelerator)), default="auto", show_default=True)
@click.option(
    "--time", "time_limit", default="24:00:00", show_default=True, help="Time limit of one job, as in sbatch."
)
@click.option("--memory", default="", help="Memory a node, such as 16G; the default is the site's.")
@click.option("--analysis-threads", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--analysis-time", default="4:00:00", show_default=True, help="Time limit of the follow-up job.")
@click.option("--site", type=PATH, help="Profile of the cluster; default: $SIMSC_SITE, ~/.config/simsc/site.toml.")
@click.option("--rewrite", is_flag=True, help="Write batch files anew that were edited.")
@click.option("--dry-run", is_flag=True, help="Write the batch files, and submit nothing.")
def submit(
    study: Path,
    out: Path | None,
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
) -> None:
    """Run a STUDY as Slurm jobs, queued again until it is done; analysis and report follow as a job of their own.

    Of a study with [replicas] each one is a task of a job array.
    """
    from simsc.hpc.site import read_site
    from simsc.hpc.slurm import Resources, dependency, refuse_queued, write_jobs
    from simsc.hpc.slurm import submit as submit_jobs

    folder = (out or Path(f"{study.stem}_run")).absolute()
    parsed, hardware = read_study(study), Hardware(threads, accelerator, gpus)
    resources = Resources(ranks, nodes, hardware, time_limit, memory, analysis_threads, analysis_time)
    if not dry_run:
        refuse_queued(folder)  # and leave its batch file as it was submitted
    written = write_jobs(parsed, folder, resources, read_site(site), rewrite)
    for job in written:
        click.echo(f"{job.file}: " + ("kept as it was edited (--rewrite writes it anew)" if job.kept else "written"))
    replicas = len(parsed.variants())
    if dry_run:
        run, follow_up = (shlex.quote(str(job.file)) for job in written)
        click.echo(f"to submit by hand:\n  sbatch {run}\n  sbatch {' '.join(dependency('JOB', replicas))} {follow_up}")
        return
    jobs = submit_jobs(folder, replicas)
    click.echo(f"submitted: {', '.join(f'{what} as job {number}' for what, number in jobs.items())}")
    click.echo(f"look on with: simsc status {shlex.quote(str(folder))}")


@cli.command(epilog=example("simsc status study_run", "watch -n 60 simsc status study_run"))
@click.argument("folder", metavar="RUN", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(folder: Path, as_json: bool) -> None:
    """Tell how far a RUN is, from its files: while it goes, after it was stopped, on any machine that sees them."""
    from simsc.report.status_text import replicas_text, run_text
    from simsc.study.replicas import outcomes
    from simsc.study.run import study_of
    from simsc.study.status import run_status

    if study_of(folder).replicas is not None:
        found = outcomes(folder)
        click.echo(json.dumps([outcome.row for outcome in found], indent=1) if as_json else replicas_text(found))
    else:
        state = run_status(folder)
        click.echo(json.dumps(asdict(state), indent=1, default=str) if as_json else run_text(state))


@cli.command(epilog=example("simsc report study_run"))
@click.argument("folder", metavar="RUN", type=PATH)
def report(folder: Path) -> None:
    """Write the report of a finished RUN anew, or the table and report of its replicas, finished or not."""
    from simsc.report.page import write_report
    from simsc.report.replicas_page import write_replicas_report
    from simsc.study.replicas import OUTCOMES, outcomes, write_outcomes
    from simsc.study.run import REPORT, study_of

    if study_of(folder).replicas is not None:
        write_outcomes(folder, outcomes(folder))
        write_replicas_report(folder, folder / REPORT)
        click.echo(f"table: {(folder / OUTCOMES).resolve()}")
    else:
        write_report(folder, folder / REPORT)
    click.echo(f"report: {(folder / REPORT).resolve()}")


@cli.command(epilog=example("simsc doctor"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check LAMMPS, MPI, freud, disk and memory, and say how to mend what is wrong."""
    checks = run_checks(Path.cwd())
    if as_json:
        click.echo(json.dumps([vars(check) for check in checks], indent=1))
    else:
        for check in checks:
            click.echo(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.finding}")
            if not check.passed:
                click.echo(f"      → {check.remedy}")
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise ResourceError(f"not in order: {', '.join(failed)}")


for command in (
    build,
    classify,
    healing,
    slide,
    stackings,
    scatter,
    correlate,
    refine,
    beamline,
    import_frames,
    orient,
    import_volume,
    export,
    compare,
):
    cli.add_command(command)


@cli.command(
    "parameterise",
    epilog=example(
        "simsc parameterise 'CCCCCCCCCCCCCCCCCC(=O)[O-]' --name stearate --charges am1bcc --out stearate.json",
        "simsc parameterise oleate.mol2 --name oleate --force-field gaff2 --out oleate.json",
    ),
)
@click.argument("molecule", metavar="SMILES_OR_MOL2")
@click.option("--name", required=True, help="What to call the ligand.")
@click.option("--charges", help="resp (RHF/6-31G*, the default) or am1bcc (quick); a mol2 file keeps its own.")
@click.option("--force-field", default="gaff", show_default=True, help="gaff or gaff2.")
@click.option("--conformers", default=4, show_default=True, help="How many RESP fits together.")
@click.option("--work", type=PATH, help="Folder where RESP keeps what is finished, to go on from after a stop.")
@click.option("-o", "--out", "output", type=PATH, required=True, help="Ligand file (JSON) to write.")
def parameterise_command(
    molecule: str, name: str, charges: str | None, force_field: str, conformers: int, work: Path | None, output: Path
) -> None:
    """Give a carboxylate, by SMILES with its charge or as a .mol2 file, all parameters of GAFF or GAFF2.

    RESP charges of a C18 chain take hours: an RHF/6-31G* geometry and potential for each conformer.
    """
    from simsc.forcefield.ligand import write_ligand
    from simsc.forcefield.parameterise import parameterise

    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}")
    ligand = parameterise(
        molecule, name, charges, force_field, conformers, work, progress=lambda line: click.echo(line, err=True)
    )
    write_ligand(output, ligand)
    click.echo(f"{output}: {ligand.n} atoms, {ligand.force_field}, charges {ligand.charge_model}")


def main() -> NoReturn:
    """Run the command line and end with its exit status; errors of simsc are one line, without traceback."""
    warnings.showwarning = _note
    try:
        status = cli.main(standalone_mode=False) or 0
    except StoppedEarly as error:
        _fail(str(error), error.exit_status, together=True, label="")
    except SimscError as error:
        _fail(str(error), error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(InputError.exit_status)
    except click.ClickException as error:
        _fail(f"{error.format_message()} (see --help)", InputError.exit_status)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped", StoppedEarly.exit_status, label="")
    except OSError as error:
        failure = write_error(Path(error.filename or Path.cwd()), error)
        _fail(str(failure), failure.exit_status, alone=True)
    except MemoryError:
        _fail("not enough memory; use a smaller --grid or fewer replicas", ResourceError.exit_status)
    sys.exit(status)


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, SimscWarning):
        click.echo(f"simsc: note: {message}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def _fail(message: str, status: int, together: bool = False, alone: bool = False, label: str = "error: ") -> NoReturn:
    """Say why in one line and end at once, whatever libraries would still like to do.

    Args:
        message: what is wrong, or what was stopped.
        status: exit status.
        together: whether the other ranks know, and end by themselves.
        alone: whether the other ranks may not know, whatever the status.
        label: what stands before the message.
    """
    # What is printed may go to the same full disk; the status is still to be told.
    with contextlib.suppress(OSError):
        click.echo(f"simsc: {label}{message}", err=True)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    if "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        from simsc.md.parallel import abort

        several = MPI.COMM_WORLD.size > 1
        if several and (alone or (not together and status in (StoppedEarly.exit_status, SimscError.exit_status))):
            # The other ranks may be in the middle of a step that this one has left.
            abort(MPI.COMM_WORLD, status)
        # mpi4py's own runner would take an exit for a reason to abort, and lose the status. And without this every
        # error would leave a segment of shared memory behind.
        MPI.Finalize()
    # No tidying up: HDF5 crashes in it after a full disk did not let it close a file.
    os._exit(status)
