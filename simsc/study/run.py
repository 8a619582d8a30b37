"""Run a study stage by stage in a folder; a finished stage is not run again, a changed study is refused."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simsc.core.errors import InputError, StoppedEarly, StudyError
from simsc.core.files import provenance, write_error, write_text
from simsc.md.hardware import Hardware
from simsc.study.context import Context, Stage
from simsc.study.journal import PROGRESS, journal
from simsc.study.schema import Study, read_study
from simsc.study.stages import stages_of

STUDY_FILE = "study.toml"
REPORT = "report.html"
LOCK = ".lock"
JOBS = Path("slurm") / "jobs.json"  # numbers of its Slurm jobs; batch files and logs lie beside it
_DONE = "done.json"
_INPUTS = "inputs.json"  # SHA-256 of all that earlier stages made
_LOCK_PATIENCE_S = 1.0  # who only looks (`simsc status`) holds the lock for a moment


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Args:
        folder: the run folder.
        report: the report page; None if the run was to end before.
        skipped: names of stages that were finished before.
        seconds: wall time of every stage, by name, s.
    """

    folder: Path
    report: Path | None
    skipped: tuple[str, ...]
    seconds: dict[str, float]


def run_study(
    study: Study,
    folder: Path,
    comm: Any,
    hardware: Hardware,
    progress: Callable[[str, float, str], None] = lambda stage, fraction, detail: None,
    stop: Callable[[float], bool] = lambda needed_s: False,
    until: str | None = None,
) -> RunResult:
    """Run the stages of a study that are not finished yet; only rank 0 of the communicator calls this.

    Args:
        study: the study.
        folder: run folder; created if needed.
        comm: MPI communicator; the other ranks wait in `simsc.study.context.follow`.
        hardware: threads of this process, and what LAMMPS may use besides.
        progress: called with the stage, the fraction done and a short text.
        stop: asked with the seconds that the next piece of work takes; tells whether to stop before it.
        until: last stage to run; None for all, and the report.

    Raises:
        StoppedEarly: if it was asked to stop; the same call goes on.
        StudyError: if the folder holds a run of another study (naming what differs), or another run works in it.
        InputError: if the folder cannot be written, or the study has no such stage.
    """
    names = [stage.name for stage in stages_of(study)]
    if until is not None and until not in names:
        raise InputError(f"--until {until}: the study has no such stage; its stages are {', '.join(names)}")
    with claimed(folder, study), journal(folder, progress) as kept:
        result = _run_stages(study, folder, Context(study, folder, comm, hardware, kept, stop), until)
        kept.end("done" if until is None else "stopped", "" if until is None else f"{until} is done, as asked")
        return result


@contextmanager
def claimed(folder: Path, study: Study, alone: bool = True) -> Iterator[None]:
    """Make a folder that of a study; while the block lasts, no other simsc works in it, unless `alone` is false.

    Raises:
        StudyError: if the folder holds a run of another study (naming what differs), or another run works in it.
        InputError: if the folder cannot be written, or holds other files.
    """
    _prepare(folder)
    with _locked(folder) if alone else nullcontext():
        _claim(folder, study)
        yield


def study_of(folder: Path) -> Study:
    """Return the study of a run folder.

    Raises:
        StudyError: if the folder holds no run.
    """
    if not (folder / STUDY_FILE).is_file():
        raise StudyError(f"{folder}: holds no run (no {STUDY_FILE})")
    return read_study(folder / STUDY_FILE)


def _run_stages(study: Study, folder: Path, context: Context, until: str | None) -> RunResult:
    skipped = []
    seconds: dict[str, float] = {}
    inputs: dict[str, Any] = {}
    stale = False
    for stage in stages_of(study):
        record = None if stale else _finished(folder / stage.name)
        if record is not None:
            skipped.append(stage.name)
        else:
            try:
                record = _run_stage(stage, folder, context, inputs)
            except StoppedEarly as error:
                error.idle = error.idle and not stale
                raise
            # What builds on it was computed from a result that is gone.
            stale = True
        seconds[stage.name], inputs[stage.name] = record["seconds"], record["outputs"]
        if stage.name == until:
            return RunResult(folder, None, tuple(skipped), seconds)
    from simsc.report.page import write_report

    report = folder / REPORT
    if stale or not report.is_file():
        context.show("report", 0.0, "")
        write_report(folder, report)
        context.show("report", 1.0, "")
    return RunResult(folder, report, tuple(skipped), seconds)


def _run_stage(stage: Stage, folder: Path, context: Context, inputs: dict[str, Any]) -> dict[str, Any]:
    """Run a stage in a folder of its own, which takes its final name when everything in it is whole."""
    partial, final = folder / f"{stage.name}.partial", folder / stage.name
    shutil.rmtree(final, ignore_errors=True)
    begin = time.monotonic()
    text = json.dumps(inputs, indent=1, sort_keys=True)
    if not (stage.resumable and _begun(partial) == text):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
        except OSError as error:
            raise write_error(partial, error) from None
        write_text(partial / _INPUTS, text)
    context.progress(stage.name, 0.0, "")
    stage.run(context, partial)
    seconds = time.monotonic() - begin
    outputs = {path.name: _digest(path) for path in sorted(partial.iterdir()) if path.is_file()}
    record: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "outputs": outputs,
        "provenance": provenance(threads=context.hardware.threads, ranks=context.comm.size),
    }
    write_text(partial / _DONE, json.dumps(record, indent=1))
    os.replace(partial, final)
    context.show(stage.name, 1.0, "")
    return record


def _begun(partial: Path) -> str | None:
    """Return the inputs from which a stage was begun."""
    try:
        return (partial / _INPUTS).read_text(encoding="utf-8")
    except OSError:
        return None


def _finished(folder: Path) -> dict[str, Any] | None:
    """Return a stage's record if all its outputs are there, unchanged."""
    try:
        record: dict[str, Any] = json.loads((folder / _DONE).read_text())
        whole = all(_digest(folder / name) == digest for name, digest in record["outputs"].items())
        return record if whole and isinstance(record["seconds"], float | int) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def finished_seconds(folder: Path) -> float | None:
    """Return how long a finished stage took, s, without verifying its outputs; None if it is not finished."""
    try:
        return float(json.loads((folder / _DONE).read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _prepare(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give another one with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from None
    if not (folder / STUDY_FILE).exists() and any(
        path.name != LOCK and path.suffix != ".partial" for path in folder.iterdir()
    ):
        raise InputError(f"{folder}: holds other files and no run; give another folder with --out")


def _claim(folder: Path, study: Study) -> None:
    path = folder / STUDY_FILE
    begun = {entry.name for entry in folder.iterdir()} - {STUDY_FILE, LOCK, PROGRESS, JOBS.parent.name}
    # As long as nothing was computed or submitted (`simsc submit --dry-run`), the study may still change.
    if not path.exists() or not (begun or (folder / JOBS).exists()):
        write_text(path, study.to_toml())
        return
    differences = read_study(path).differences(study)
    if differences:
        more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
        raise StudyError(
            f"{folder}: holds a run of another study: {'; '.join(differences[:3])}{more}; give a new folder with --out"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with open(folder / LOCK, "w") as file:
            deadline = time.monotonic() + _LOCK_PATIENCE_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StudyError(
                            f"{folder}: another simsc works in it; wait for it or give another folder"
                        ) from None
                    time.sleep(0.05)
            yield
    except OSError as error:
        raise write_error(Path(error.filename or folder), error) from None
