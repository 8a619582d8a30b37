"""Run a study stage by stage in a folder; a finished stage is not run again, a changed study is refused."""

import fcntl
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from simsc.core.errors import InputError, ResourceError, SimscError, SimscWarning, StoppedEarly, StudyError
from simsc.io.digests import file_digest
from simsc.io.provenance import provenance
from simsc.io.whole_files import write_error, write_text
from simsc.md.frames import ANNEAL, PARTIAL
from simsc.md.hardware import Hardware
from simsc.study.context import Context
from simsc.study.journal import DONE_IN, journal
from simsc.study.run_folder import DONE, INPUTS, LEGS, LOCK, PROGRESS, SLURM, STUDY_FILE, RunFolder
from simsc.study.schema import Study, read_study
from simsc.study.stages import Stage, may_change, stages_of

ReportWriter = Callable[[Path, Path], None]  # gets the run folder and the file to write

_LOCK_PATIENCE_S = 1.0  # who only looks (`simsc status`) holds the lock for a moment


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Args:
        folder: the run folder.
        report: the report page; None if the run was to end before, or nobody writes it.
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
    write_report: ReportWriter | None = None,
) -> RunResult:
    """Run the stages of a study that are not finished yet; only rank 0 of the communicator calls this.

    The title and what belongs to the analysis may change afterwards: the stages that read it are run again. Replicas
    may be added. What takes long to compute is never removed.

    Args:
        study: the study.
        folder: run folder; created if needed.
        comm: MPI communicator; the other ranks wait in `simsc.study.context.follow`.
        hardware: threads of this process, and what LAMMPS may use besides.
        progress: called with the stage, the fraction done and a short text.
        stop: asked with the seconds that the next piece of work takes, whether to stop before it.
        until: last stage to run; None for all, and the report.
        write_report: writes the page of the run folder to a file, such as `simsc.report.page.write_report`; None for a
            run without one.

    Raises:
        StoppedEarly: if it was asked to stop; the same call goes on.
        StudyError: if the folder holds a run of another study (naming what differs), or another run works in it.
        InputError: if the folder cannot be written, or the study has no such stage.
        ResourceError: if the intensity does not fit into memory.
    """
    run, stages = RunFolder(folder), stages_of(study)
    names = [stage.name for stage in stages]
    if until is not None and until not in names:
        raise InputError(f"--until {until}: the study has no such stage; its stages are {', '.join(names)}")
    stages = stages if until is None else stages[: names.index(until) + 1]
    for stage in stages:
        if stage.check is not None and not run.stage(stage.name).exists():
            stage.check(study)
    with claimed(folder, study), journal(folder, progress) as kept:
        context = Context(study, run, comm, hardware, kept, stop)
        result = _run_stages(stages, context, write_report if until is None else None)
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


def _run_stages(stages: tuple[Stage, ...], context: Context, write_report: ReportWriter | None) -> RunResult:
    study, run = context.study, context.folder
    skipped = []
    seconds: dict[str, float] = {}
    inputs: dict[str, Any] = {}
    stale: set[str] = set()
    _check_nothing_is_lost(stages_of(study), run)
    if not run.stage(ANNEAL).exists():
        for jump in study.protocol().jumps:
            warnings.warn(f"anneal.phases: {jump}", SimscWarning, stacklevel=2)
    for stage in stages:
        record = None if stale & set(stage.needs) else _finished(stage, run, study)
        if record is not None:
            skipped.append(stage.name)
        else:
            try:
                record = _run_stage(stage, replace(context, stage=stage.name), inputs)
            except StoppedEarly as error:
                error.idle = error.idle and not stale
                raise
            # What builds on it was computed from a result that is gone.
            stale.add(stage.name)
            run.report.unlink(missing_ok=True)  # it shows that result
        seconds[stage.name], inputs[stage.name] = record["seconds"], record["outputs"]
    if write_report is None:
        return RunResult(run.path, None, tuple(skipped), seconds)
    if stale or not run.report.is_file():
        context.show("report", 0.0, "")
        write_report(run.path, run.report)
        context.show("report", 1.0, "")
    return RunResult(run.path, run.report, tuple(skipped), seconds)


def _run_stage(stage: Stage, context: Context, inputs: dict[str, Any]) -> dict[str, Any]:
    """Run a stage in a folder of its own, which takes its final name when everything in it is whole."""
    partial, final = context.folder.partial(stage.name), context.folder.stage(stage.name)
    shutil.rmtree(final, ignore_errors=True)
    text = json.dumps(inputs, indent=1, sort_keys=True)
    if stage.resumable and (partial / INPUTS).is_file():
        if (partial / INPUTS).read_text(encoding="utf-8") != text:
            raise ResourceError(f"{partial}: was begun from other results; remove it to compute it from these")
    else:
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
        except OSError as error:
            raise write_error(partial, error) from None
        write_text(partial / INPUTS, text)
    with _timed(partial) as seconds_so_far:
        context.progress(0.0, "")
        stage.run(context, partial)
        seconds = seconds_so_far()
    if missing := [name for name in stage.writes if not (partial / name).is_file()]:
        raise RuntimeError(f"stage {stage.name} did not write {', '.join(missing)}")
    (partial / LEGS).unlink()
    outputs = {path.name: file_digest(path) for path in sorted(partial.iterdir()) if path.is_file()}
    record: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "study": context.study.sections(stage.reads),
        "outputs": outputs,
        "provenance": provenance(threads=context.hardware.threads, ranks=context.comm.size),
    }
    write_text(partial / DONE, json.dumps(record, indent=1))
    os.replace(partial, final)
    context.show(stage.name, 1.0, f"{DONE_IN} {seconds:.0f} s")
    return record


@contextmanager
def _timed(partial: Path) -> Iterator[Callable[[], float]]:
    """Give a function that returns how long all tries of a stage took together, s."""
    try:
        legs = json.loads((partial / LEGS).read_text(encoding="utf-8"))
        if legs[-1][1] is None:  # killed: it wrote something now and then
            legs[-1][1] = max([path.stat().st_mtime for path in partial.iterdir()])
        before_s = sum(end - start for start, end in legs)
    except (OSError, ValueError, TypeError, IndexError):
        legs, before_s = [], 0.0
    start_s, start = time.monotonic(), time.time()

    def seconds() -> float:
        return before_s + time.monotonic() - start_s

    write_text(partial / LEGS, json.dumps([*legs, [start, None]]))
    try:
        yield seconds
    except BaseException:
        with suppress(SimscError):  # what ends it is worth more
            write_text(partial / LEGS, json.dumps([*legs, [start, start + time.monotonic() - start_s]]))
        raise


def _check_nothing_is_lost(stages: tuple[Stage, ...], run: RunFolder) -> None:
    """Raise a `ResourceError` if something changed on which a long computation is built that is there."""
    for k, stage in enumerate(stages):
        damaged = _first_damaged(stage, run)
        if damaged is None:
            continue
        for later in (stage, *(other for other in stages[k + 1 :] if stage.name in other.needs)):
            for held in (run.stage(later.name), run.partial(later.name)):
                is_its_own_try = later is stage and held.suffix
                if later.resumable and not is_its_own_try and (held / INPUTS).is_file():
                    raise ResourceError(
                        f"{damaged}: was changed or lost since {later.name} was computed; bring it back, or remove "
                        f"{held} to compute that again"
                    )


def _finished(stage: Stage, run: RunFolder, study: Study) -> dict[str, Any] | None:
    """Return a stage's record if all its outputs are there, unchanged, and so is what it read of the study."""
    record = run.record(stage.name)
    if record is None or _first_damaged(stage, run) is not None:
        return None
    return record if record["study"] == study.sections(stage.reads) else None


def _first_damaged(stage: Stage, run: RunFolder) -> Path | None:
    """Return the first file of a stage's results that is not as it was written, None if all are."""
    results, record = run.stage(stage.name), run.record(stage.name)
    if record is None:
        return results / DONE
    for name, digest in record["outputs"].items():
        if stage.spare and fnmatch(name, stage.spare) and not (results / name).exists():
            continue
        try:
            if file_digest(results / name) != digest:
                return results / name
        except OSError:
            return results / name
    return None


def _prepare(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give another one with --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from None
    if not (folder / STUDY_FILE).exists() and any(
        path.name != LOCK and path.suffix != PARTIAL for path in folder.iterdir()
    ):
        raise InputError(f"{folder}: holds other files and no run; give another folder with --output")


def _claim(folder: Path, study: Study) -> None:
    run = RunFolder(folder)
    path = run.study_file
    begun = {entry.name for entry in folder.iterdir()} - {STUDY_FILE, LOCK, PROGRESS, SLURM}
    # As long as nothing was computed or submitted (`simsc submit --dry-run`), the study may still change.
    if not path.exists() or not (begun or run.jobs_file.exists()):
        write_text(path, study.to_toml())
        return
    before = read_study(path)
    differences = before.differences(study)
    changeable = may_change(study) | ({"replicas"} if study.has_replicas_of(before) else set())
    fixed = [f"{key}: {text}" for key, text in differences.items() if re.split(r"[.\[]", key)[0] not in changeable]
    if fixed:
        more = f" (and {len(fixed) - 3} more)" if len(fixed) > 3 else ""
        raise StudyError(
            f"{folder}: holds a run of another study: {'; '.join(fixed[:3])}{more}; give a new folder with --output"
        )
    if differences:
        try:
            run.report.unlink(missing_ok=True)  # it shows the study as it was
        except OSError as error:
            raise write_error(run.report, error) from None
        write_text(path, study.to_toml())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with open(RunFolder(folder).lock, "w") as file:
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
