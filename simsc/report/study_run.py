"""A study run from Python, in one process: from its superlattice to its report."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simsc.core.errors import InputError
from simsc.core.processes import available_cores
from simsc.md.hardware import Hardware
from simsc.md.parallel import world
from simsc.report.page import write_report
from simsc.study.run import RunResult
from simsc.study.run import run_study as run_stages
from simsc.study.run_folder import usual_folder
from simsc.study.schema import Study, read_study, study_from

_NEVER = float("inf")


def print_progress(stage: str, fraction: float, detail: str) -> None:
    """Print a line when a stage begins and when it is done."""
    if fraction in (0.0, 1.0):
        print(f"{stage}: {detail or ('done' if fraction else 'begins')}", flush=True)


def run_study(
    study: Study | str | Path | Mapping[str, Any],
    folder: str | Path | None = None,
    *,
    threads: int | None = None,
    until: str | None = None,
    max_hours: float = _NEVER,
    progress: Callable[[str, float, str], None] | None = print_progress,
) -> RunResult:
    """Run a study stage by stage, as `simsc run` does; what is finished is not run again.

    The same call goes on where an earlier one stopped. On several ranks, and for studies with replicas, there is the
    command `simsc run`.

    Args:
        study: a `Study`, its file, or its sections as a mapping.
        folder: run folder; created if needed. Default that of `simsc run`: NAME_run for NAME.toml, in this folder.
        threads: for LAMMPS. Default one a core.
        until: last stage to run, such as "anneal"; None for all, and the report.
        max_hours: stop at the last checkpoint before this, h. Default never.
        progress: called with the stage, the fraction done and a short text; None for silence. Default prints a line for
            each stage.

    Returns:
        The folder (`simsc.read` reads its results), the report and the wall time of every stage, s.

    Raises:
        StoppedEarly: if the time is over; the same call goes on.
        StudyError: if the study is none, or the folder holds a run of another one (naming what differs).
        InputError: if the folder cannot be written, is not named, or the study has replicas.
        ResourceError: if something that the machine should provide is missing.

    Example:
        >>> run_study("study.toml").report  # doctest: +SKIP
        PosixPath('study_run/report.html')
    """
    if isinstance(study, str | Path):
        folder = folder or usual_folder(Path(study))
        study = read_study(Path(study))
    elif not isinstance(study, Study):
        study = study_from(dict(study))
    if folder is None:
        raise InputError("a study that comes from no file needs a folder to run in")
    if study.replicas is not None:
        raise InputError("a study with [replicas] runs in several processes: write it to a file, and take simsc run")
    comm = world()
    if comm.size > 1:
        raise InputError(f"here are {comm.size} ranks: take mpiexec -n {comm.size} python -m mpi4py -m simsc run")
    end_s = time.monotonic() + 3600 * max_hours
    hardware = Hardware(available_cores() if threads is None else threads)
    return run_stages(
        study,
        Path(folder),
        comm,
        hardware,
        (lambda stage, fraction, detail: None) if progress is None else progress,
        lambda needed_s: time.monotonic() + needed_s > end_s,
        until,
        write_report,
    )
