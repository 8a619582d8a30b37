import json
import os
import signal
import subprocess
import time
import warnings
from pathlib import Path

import pytest
from conftest import simsc, simsc_command, wait_for

from simsc.core.errors import ResourceError, SimscWarning, SimulationError, StoppedEarly, StudyError
from simsc.report.status_text import run_text
from simsc.study import journal as journal_module
from simsc.study.journal import Journal, Pace, journal, read_progress
from simsc.study.status import run_status


def test_a_run_from_its_begin_to_its_end(short_study, tmp_path):
    """Running, killed, stopped, part of the stages only, done: what each looks like from outside."""
    study = short_study(stacking='"AB"', duration_ns="0.2")
    run = tmp_path / "run"
    with pytest.raises(StudyError, match="holds no run"):
        run_status(run)
    command = [*simsc_command(), "run", str(study), "--output", "run", "--until", "anneal", "--threads", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: (run / "study.toml").exists() and (run_status(run).checkpoint_ns or 0) > 0)
    now = run_status(run)
    assert now.state == "running"
    assert [stage.state for stage in now.stages] == ["done", "running", "waiting", "waiting", "waiting"]
    assert now.total_ns == pytest.approx(0.8)
    wait_for(lambda: run_status(run).stages[1].fraction > 0)
    assert "checkpoint at" in run_text(run_status(run))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run_status(run).state == "interrupted"
    assert "the same command goes on" in run_text(run_status(run))
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    begun = read_progress(run).pid
    wait_for(lambda: read_progress(run).pid != begun and read_progress(run).stage == "anneal")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 85
    assert run_status(run).state == "stopped"
    assert "the same command goes on" in run_text(run_status(run))
    done = simsc(*command[3:], cwd=tmp_path)
    assert done.returncode == 0
    assert "anneal: done, in run; without --until the same command goes on" in done.stdout
    assert not (run / "order").exists()
    assert not (run / "report.html").exists()
    now = run_status(run)
    assert (now.state, now.stages[1].state, now.stages[2].state) == ("stopped", "done", "waiting")
    assert simsc("run", str(study), "--output", "run", cwd=tmp_path).returncode == 0
    told = json.loads(simsc("status", "run", "--json", cwd=tmp_path).stdout)
    assert told["state"] == "done"
    assert all(stage["state"] == "done" for stage in told["stages"])
    assert run_status(run).fraction == 1.0
    told = json.loads(simsc("doctor", "run", "--json", cwd=tmp_path).stdout)
    assert told["run"]["state"] == "done"
    assert Path(told["log"]["file"]).name == "log.lammps"
    assert told["log"]["end"][-1].startswith("Total wall time")


def failed(folder: Path) -> None:
    with journal(folder, lambda *_: None) as kept:
        kept("anneal", 0.5, "300 K")
        raise SimulationError("the cell collapsed")


def test_a_failed_run_says_why(tmp_path):
    with pytest.raises(SimulationError):
        failed(tmp_path)
    found = read_progress(tmp_path)
    assert (found.state, found.stage, found.text, found.fraction) == ("failed", "anneal", "the cell collapsed", 0.5)


def stopped(folder: Path, idle: bool) -> None:
    with journal(folder, lambda *_: None):
        raise StoppedEarly("stopped", idle=idle)


def test_a_job_that_is_too_short_is_not_queued_for_ever(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for idle in (False, True, False, True):
        with pytest.raises(StoppedEarly):
            stopped(tmp_path, idle)
    with pytest.raises(ResourceError, match="give it more time"):
        stopped(tmp_path, True)
    monkeypatch.delenv("SLURM_JOB_ID")
    for _ in range(3):
        with pytest.raises(StoppedEarly):
            stopped(tmp_path, True)


def test_progress_that_cannot_be_written_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_INTERVAL_S", 0.0)
    kept = Journal(tmp_path / "nowhere", lambda *_: None)
    with pytest.warns(SimscWarning, match="progress is not kept"):
        kept("anneal", 0.1, "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept("anneal", 0.2, "")


def test_time_left_counts_from_where_this_process_began(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace()
    assert pace.left_s(0.8) is None
    now += 10
    assert pace.left_s(0.9) == pytest.approx(10)
    now += 10
    assert pace.left_s(1.0) == pytest.approx(0)


def test_damaged_progress_is_no_progress(tmp_path):
    for text in ("", "{}", "[]", '{"state": "done"'):
        (tmp_path / "progress.json").write_text(text)
        assert read_progress(tmp_path) is None
