"""The table of stages: what follows from it, and a stage that is added by one function and one row."""

import json
from pathlib import Path

import pytest

from simsc.core.errors import StudyError
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import world
from simsc.study import stages as stages_module
from simsc.study.context import Context
from simsc.study.run import run_study
from simsc.study.run_folder import BUILD, RunFolder
from simsc.study.schema import read_study
from simsc.study.stages import STAGES, Stage, may_change
from simsc.study.status import run_status


def volume_stage(context: Context, out: Path) -> None:
    """Write the volume of the cell."""
    cell = context.folder.superlattice().cell
    assert cell is not None
    context.progress(0.5, "measuring")
    (out / "volume.json").write_text(json.dumps(cell.volume_nm3))


def build_alone(monkeypatch, *more: Stage) -> None:
    monkeypatch.setattr(stages_module, "STAGES", (*(stage for stage in STAGES if stage.name == BUILD), *more))


def test_each_stage_needs_only_what_comes_before():
    for k, stage in enumerate(STAGES):
        assert set(stage.needs) <= {earlier.name for earlier in STAGES[:k]}


def test_a_stage_is_one_function_and_one_row(short_study, tmp_path, monkeypatch):
    row = Stage("volume", volume_stage, writes=("volume.json",), needs=(BUILD,), reads=("order",), share=3.0)
    build_alone(monkeypatch, row)
    study, shown = read_study(short_study()), []
    assert may_change(study) == {"title", "order"}
    run_study(study, tmp_path / "run", world(), ONE_THREAD, lambda *what: shown.append(what))
    assert ("volume", 0.5, "measuring") in shown
    volume = json.loads((tmp_path / "run" / "volume" / "volume.json").read_text())
    assert volume == pytest.approx(8 * 6.3**3 / 2**0.5, rel=1e-9)  # 8 spheres in contact
    assert RunFolder(tmp_path / "run").record("volume")["study"] == {"order": study.order.model_dump()}
    assert [stage.state for stage in run_status(tmp_path / "run").stages] == ["done", "done"]
    # What it reads may change, and it alone is run again; all else is fixed.
    changed = study.model_copy(update={"order": study.order.model_copy(update={"method": "paper"})})
    assert run_study(changed, tmp_path / "run", world(), ONE_THREAD).skipped == (BUILD,)
    other = study.model_copy(update={"correlation": study.correlation.model_copy(update={"n_delta": 61})})
    with pytest.raises(StudyError, match=r"another study: correlation\.n_delta"):
        run_study(other, tmp_path / "run", world(), ONE_THREAD)


def test_shares_weigh_the_progress(short_study, tmp_path, monkeypatch):
    build_alone(monkeypatch, Stage("volume", volume_stage, writes=("volume.json",), needs=(BUILD,), share=3.0))
    run_study(read_study(short_study()), tmp_path / "run", world(), ONE_THREAD, until=BUILD)
    assert run_status(tmp_path / "run").fraction == pytest.approx(0.5 / 3.5)


def test_a_stage_that_forgets_a_file_is_a_bug(short_study, tmp_path, monkeypatch):
    build_alone(monkeypatch, Stage("volume", volume_stage, writes=("volume.json", "mass.json"), needs=(BUILD,)))
    with pytest.raises(RuntimeError, match=r"stage volume did not write mass\.json"):
        run_study(read_study(short_study()), tmp_path / "run", world(), ONE_THREAD)
    assert not (tmp_path / "run" / "volume").exists()


def test_a_page_of_results_that_are_gone_does_not_stay(short_study, tmp_path, monkeypatch):
    build_alone(monkeypatch)
    study, run, written = read_study(short_study()), RunFolder(tmp_path / "run"), []

    def write_report(folder: Path, page: Path) -> None:
        written.append(folder)
        page.write_text("page")

    def go(**options) -> None:
        run_study(study, run.path, world(), ONE_THREAD, **options)

    go(write_report=write_report)
    go(write_report=write_report)
    assert (written, run.report.read_text()) == ([run.path], "page")
    (run.stage(BUILD) / "superlattice.h5").write_bytes(b"damaged")
    go()
    assert not run.report.exists()
    go(write_report=write_report)
    assert len(written) == 2
