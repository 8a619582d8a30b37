"""Replicas of a study: each a run in a folder of its own, and one table of what came out."""

import contextlib
import csv
import ctypes
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simsc.core.errors import InputError, SimulationError, StoppedEarly, StudyError
from simsc.io.whole_files import write_text
from simsc.sliding.healing import RunHealing, run_healing
from simsc.study.run import claimed
from simsc.study.run_folder import STATES, RunFolder
from simsc.study.schema import Study, Variant
from simsc.study.status import RunStatus, run_status

_POLL_S = 0.5
_LOOK_S = 5.0  # at the files of all replicas
_PR_SET_PDEATHSIG = 1
_NAMED = 3  # failures in a message


@dataclass(frozen=True)
class Outcome:
    """What is known of a replica, finished or not.

    Args:
        variant: which replica.
        status: where its run is; None if it has not begun.
        counts: of NPs by class, for the states "before" and "after"; empty until then.
        sequences: stacking sequences of both; empty where none could be read.
        d_nn_nm: mean distance of nearest neighbours at the end, nm; None until then.
        healing: what became of the stacking; None until then, or where none lasted.
    """

    variant: Variant
    status: RunStatus | None
    counts: dict[str, dict[str, int]]
    sequences: dict[str, str]
    d_nn_nm: float | None
    healing: RunHealing | None = None

    @property
    def state(self) -> str:
        """The state of its run."""
        return "waiting" if self.status is None else self.status.state

    @property
    def fraction(self) -> float:
        """Part of it that is done, 0 to 1."""
        return 0.0 if self.status is None else self.status.fraction

    @property
    def row(self) -> dict[str, Any]:
        """The same as a row of a table."""
        progress = None if self.status is None else self.status.progress
        return {
            "replica": self.variant.number,
            "seed": self.variant.seed,
            **self.variant.values,
            "state": self.state,
            "fraction": f"{self.fraction:.3f}",
            **{f"sequence_{state}": self.sequences.get(state, "") for state in STATES},
            **{
                f"{name}_{state}": number
                for state in STATES
                for name, number in _fcc_hcp_neither(self.counts.get(state)).items()
            },
            "hcp_layers_start": "" if self.healing is None else self.healing.h_start,
            "hcp_layers_end": "" if self.healing is None else self.healing.h_end,
            "slides": "" if self.healing is None else self.healing.n_slips,
            "d_nn_nm": "" if self.d_nn_nm is None else f"{self.d_nn_nm:.4f}",
            "error": progress.text if progress is not None and self.state == "failed" else "",
        }


def _fcc_hcp_neither(counts: dict[str, int] | None) -> dict[str, int | str]:
    if counts is None:
        return {"fcc": "", "hcp": "", "neither": ""}
    fcc, hcp = counts["fcc"], counts["hcp"]
    return {"fcc": fcc, "hcp": hcp, "neither": sum(counts.values()) - fcc - hcp}


def replica(study: Study, folder: Path, number: int) -> Variant:
    """Return one replica of a study, and say in the folder whose replicas lie there.

    Raises:
        InputError: if the study has no such replica.
        StudyError: if the folder belongs to another study.
    """
    variants = study.variants()
    if not 0 <= number < len(variants):
        has = f"its replicas are 0 to {len(variants) - 1}" if variants else "it has no [replicas]"
        raise InputError(f"--replica {number}: the study has no such replica; {has}")
    with claimed(folder, study, alone=False):
        return variants[number]


def run_replicas(
    study: Study,
    folder: Path,
    jobs: int,
    arguments: Callable[[], list[str]],
    progress: Callable[[str, float, str], None],
    stop: Callable[[float], bool],
) -> list[Outcome]:
    """Run all replicas of a study that are not finished yet, several at a time, each in a process of its own.

    Args:
        study: a study with replicas.
        folder: folder for all of them.
        jobs: processes at a time.
        arguments: gives further arguments for `simsc run` of the process that is about to start.
        progress: called with "replicas", the fraction done and a short text.
        stop: asked whether to stop.

    Raises:
        StoppedEarly: if it was asked to stop; the same call goes on.
        SimulationError: if a replica failed; the others are finished first.
    """
    with claimed(folder, study):
        variants = study.variants()
        found = outcomes(folder, variants)
        waiting = [outcome.variant.number for outcome in found if outcome.state != "done"]
        looked_s = time.monotonic()
        statuses: dict[int, int] = {}
        running: dict[int, subprocess.Popen[bytes]] = {}
        asked = False
        while running or (waiting and not stop(0.0)):
            while waiting and len(running) < jobs and not stop(0.0):
                number = waiting.pop(0)
                running[number] = _start(folder, number, arguments())
            if stop(0.0) and not asked:
                asked = True
                for process in running.values():
                    process.send_signal(signal.SIGUSR1)
            time.sleep(_POLL_S)
            ended = {number: process.returncode for number, process in running.items() if process.poll() is not None}
            statuses |= ended
            for number in ended:
                del running[number]
            if ended or time.monotonic() - looked_s > _LOOK_S:
                found, looked_s = outcomes(folder, variants), time.monotonic()
                write_outcomes(folder, found)
                progress("replicas", sum(outcome.fraction for outcome in found) / len(found), _counted(found))
        found = outcomes(folder, variants)
        write_outcomes(folder, found)
    if waiting or StoppedEarly.exit_status in statuses.values():
        raise StoppedEarly(f"stopped ({_counted(found)}); the same command goes on from there")
    failed = [number for number, status in statuses.items() if status != 0]
    if failed:
        named = "; ".join(f"{number}: {_last_words(folder, number)}" for number in sorted(failed)[:_NAMED])
        more = f" (and {len(failed) - _NAMED} more)" if len(failed) > _NAMED else ""
        raise SimulationError(
            f"{len(failed)} of {len(found)} replicas failed: {named}{more}; see {RunFolder(folder).outcomes}"
        )
    progress("replicas", 1.0, "")
    return found


def outcomes(folder: Path, variants: list[Variant] | None = None) -> list[Outcome]:
    """Return what is known of each replica in a folder, finished or not.

    Args:
        folder: folder of the replicas.
        variants: the replicas, if they are known; None reads them from the folder's study.

    Raises:
        StudyError: if the folder holds no replicas.
    """
    variants = RunFolder(folder).study().variants() if variants is None else variants
    if not variants:
        raise StudyError(f"{folder}: holds one run, without [replicas]")
    return [_outcome(variant, RunFolder(folder).replica(variant.number)) for variant in variants]


def write_outcomes(folder: Path, found: list[Outcome]) -> None:
    """Write the table of outcomes, `outcomes.csv`."""
    text = io.StringIO()
    rows = [outcome.row for outcome in found]
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(RunFolder(folder).outcomes, text.getvalue())


def _outcome(variant: Variant, run: RunFolder) -> Outcome:
    if not run.is_begun:
        return Outcome(variant, None, {}, {}, None)
    counts: dict[str, dict[str, int]] = {}
    sequences: dict[str, str] = {}
    d_nn_nm = None
    healing = None
    with contextlib.suppress(OSError, ValueError, KeyError):
        summary = run.summary()
        counts = {state: summary[state]["counts"] for state in STATES}
        sequences = {state: summary[state]["sequence"] or "" for state in STATES}
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
        d_nn_nm = run.last_d_nn_nm()
    if counts:
        with contextlib.suppress(InputError):
            healing = run_healing(run.path)
    return Outcome(variant, run_status(run.path), counts, sequences, d_nn_nm, healing)


def _start(folder: Path, number: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    run = RunFolder(folder)
    command = [sys.executable, "-m", "simsc", "run", str(run.study_file), "--output", str(folder)]
    with open(run.replica_log(number), "ab") as log:
        return subprocess.Popen(  # noqa: S603 (a list of our own words, no shell)
            [*command, "--replica", str(number), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is passed on as one signal; a second one would end them at once.
            start_new_session=True,
            preexec_fn=_stop_with_parent,
        )


def _stop_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies: a replica then stops at its next checkpoint."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def _counted(found: list[Outcome]) -> str:
    states = [outcome.state for outcome in found]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))


def _last_words(folder: Path, number: int) -> str:
    """Return the last line that a replica said."""
    try:
        lines = RunFolder(folder).replica_log(number).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    said = [line for line in lines if line.strip()]
    return said[-1].removeprefix("simsc: error: ")[:200] if said else "said nothing"
