import csv
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import simsc, simsc_command, wait_for
from hypothesis import given
from hypothesis import strategies as st

from simsc.core.errors import InputError, StudyError
from simsc.core.nested import flat, replaced
from simsc.study.replicas import outcomes
from simsc.study.schema import LARGEST_SEED, Study, read_study

HEAT = """
[replicas]
seeds = 3
[[replicas.vary]]
keys = ["anneal.phases[heat].stop_K", "anneal.phases[hold].start_K"]
values = [550.0, 600.0]
[[replicas.vary]]
keys = ["superlattice.stacking"]
values = ["ABC", "AB"]
"""
# At such a tension the supercrystal comes apart.
ONE_FAILS = """
[replicas]
[[replicas.vary]]
keys = ["anneal.pressure_atm"]
values = [1.0, -4000.0, 2.0]
"""


def with_replicas(study: Path, text: str) -> Path:
    study.write_text(f"{study.read_text()}\n{text}")
    return study


def table(run: Path) -> list[dict[str, str]]:
    with open(run / "outcomes.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_combination_with_every_seed(short_study):
    study = read_study(with_replicas(short_study(), HEAT))
    variants = study.variants()
    assert [variant.number for variant in variants] == list(range(12))
    seen = {(v.study.anneal.phases[1].stop_K, v.study.superlattice.stacking, v.seed) for v in variants}
    assert len(seen) == 12
    for variant in variants:
        assert variant.study.seed == variant.seed
        assert variant.study.replicas is None
        heat, hold = variant.study.anneal.phases[1:3]
        assert heat.stop_K == hold.start_K == variant.values["anneal.phases[heat].stop_K"]
        assert hold.stop_K == study.anneal.phases[2].stop_K
    assert read_study(short_study("plain.toml")).variants() == []


def test_seeds_stay_in_range(short_study):
    study = read_study(with_replicas(short_study(seed=str(LARGEST_SEED)), "[replicas]\nseeds = 2"))
    assert [variant.seed for variant in study.variants()] == [LARGEST_SEED, 1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("heat]", "heet]", r"replicas.vary\[0\].keys: 'anneal.phases\[heet\].stop_K': there is no \[heet\]; allowed"),
        ("550.0", '"hot"', "with anneal.phases.*'hot'.*anneal.phases.heat..stop_K: input should be a valid number"),
        ("550.0", "5500.0", "outside 250 … 700 K"),
        ("superlattice.stacking", "superlattice.staking", r"vary\[1\].keys.*allowed: stacking"),
        ("superlattice.stacking", "seed", "'seed' cannot vary here"),
        ("superlattice.stacking", "superlattice.stacking.x", "nothing lies below"),
        ('"AB"]', '"ABA"]', "layers 3 and 1"),
        ("seeds = 3", "seeds = 0", "replicas.seeds: input should be greater"),
        ("seeds = 3", "seeds = [1, 1]", "the same seed twice"),
        ("values = [550.0, 600.0]", "values = []", r"replicas.vary\[0\].values"),
    ],
)
def test_bad_replicas_are_refused_before_anything_runs(old, new, says, short_study):
    with pytest.raises(StudyError, match=says):
        read_study(with_replicas(short_study(), HEAT.replace(old, new)))


nested = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@given(value=st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), nested, min_size=1), data=st.data())
def test_one_value_is_replaced_and_no_other(value, data):
    before = flat(value)
    key = data.draw(st.sampled_from(sorted(before)))
    after = flat(replaced(value, key, "new"))
    assert after == before | {key: "new"}
    assert flat(value) == before
    with pytest.raises(InputError):
        replaced(value, f"{key}.missing", 1)


def test_items_with_names_go_by_them():
    value = {"phases": [{"name": "heat", "stop_K": 1, "scale": [1, 2]}, {"name": "cool", "stop_K": 2}]}
    named = {"phases[heat].stop_K": 1, "phases[heat].scale[0]": 1, "phases[heat].scale[1]": 2, "phases[cool].stop_K": 2}
    assert flat(value) == {"phases": "heat, cool", **named}
    # The order counts.
    assert flat({"phases": value["phases"][::-1]}) == {"phases": "cool, heat", **named}
    assert flat(replaced(value, "phases[cool].stop_K", 5)) == {
        "phases": "heat, cool",
        **named,
        "phases[cool].stop_K": 5,
    }
    # Two of the same name, or one without, are counted.
    assert flat({"phases": [{"name": "a"}, {"name": "a"}]}) == {"phases[0].name": "a", "phases[1].name": "a"}
    assert flat({"phases": [{"name": "a"}, 2]}) == {"phases[0].name": "a", "phases[1]": 2}


def test_replicas_run_side_by_side_and_one_may_fail(short_study, tmp_path):
    study = with_replicas(short_study(stacking='"AB"'), ONE_FAILS)
    first = simsc("run", str(study), "--output", "run", "--jobs", "2", cwd=tmp_path)
    assert first.returncode == 1
    assert len(first.stderr.strip().splitlines()[-1:]) == 1
    assert "1 of 3 replicas failed: 1: " in first.stderr
    assert "phase equilibrate: " in first.stderr
    rows = table(tmp_path / "run")
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert [row["anneal.pressure_atm"] for row in rows] == ["1.0", "-4000.0", "2.0"]
    assert [row["sequence_before"] for row in rows] == ["AB", "", "AB"]
    assert [(row["fcc_after"], row["hcp_after"]) for row in rows] == [("0", "4"), ("", ""), ("0", "4")]
    assert "phase equilibrate: " in rows[1]["error"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'href="replica_0000/report.html"' in page
    assert 'href="replica_0001' not in page
    # What is done is not done again; what failed is tried again.
    stamp = (tmp_path / "run" / "replica_0000" / "anneal" / "done.json").stat().st_mtime_ns
    assert simsc("run", str(study), "--output", "run", cwd=tmp_path).returncode == 1
    assert stamp == (tmp_path / "run" / "replica_0000" / "anneal" / "done.json").stat().st_mtime_ns
    told = simsc("status", "run", cwd=tmp_path)
    assert told.returncode == 0
    assert [line.split()[3] for line in told.stdout.splitlines()[1:4]] == ["done", "failed", "done"]
    # The table can be made again at any time.
    (tmp_path / "run" / "outcomes.csv").unlink()
    assert simsc("report", "run", cwd=tmp_path).returncode == 0
    assert table(tmp_path / "run") == rows


def test_replicas_stop_and_go_on(short_study, tmp_path):
    """Asked to stop; then the parent is killed: its replicas stop by themselves, at a checkpoint."""
    study = with_replicas(short_study(stacking='"AB"', duration_ns="0.3"), "[replicas]\nseeds = 2")
    command = [*simsc_command(), "run", str(study), "--output", "run"]
    run = tmp_path / "run"
    for number in (signal.SIGUSR1, signal.SIGKILL):
        before = newest_checkpoints(run)
        parent = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        wait_for(lambda before=before: all(a > b for a, b in zip(newest_checkpoints(run), before, strict=True)))
        parent.send_signal(number)
        assert parent.wait(120) == (85 if number == signal.SIGUSR1 else -signal.SIGKILL)
        if number == signal.SIGUSR1:
            assert "2 stopped" in parent.stderr.read()
        parent.stderr.close()
        wait_for(lambda: [outcome.state for outcome in outcomes(run)] == ["stopped"] * 2)
    limited = simsc("run", str(study), "--output", "run", "--max-hours", "0.00001", cwd=tmp_path)
    assert limited.returncode == 85


def newest_checkpoints(run: Path) -> list[int]:
    return [
        max((int(path.stem[11:]) for path in run.glob(f"replica_{k:04d}/anneal.partial/checkpoint_*.json")), default=0)
        for k in range(2)
    ]


def test_what_cannot_be_asked_for(short_study, tmp_path):
    plain, many = short_study("plain.toml"), with_replicas(short_study("many.toml"), "[replicas]\nseeds = 2")
    for arguments, says in (
        (("run", str(plain), "--replica", "0"), "it has no [replicas]"),
        (("run", str(plain), "--jobs", "2"), "is for all [replicas]"),
        (("run", str(many), "--replica", "2"), "its replicas are 0 to 1"),
        (("run", str(plain), "--until", "annealing"), "its stages are build, anneal"),
        (("status", str(tmp_path)), "holds no run"),
        (("report", str(tmp_path)), "holds no run"),
    ):
        done = simsc(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "many_run").exists()
    done = simsc("run", str(many), cwd=tmp_path, ranks=2)
    assert done.returncode == 2
    assert "with --replica" in done.stderr


def test_a_study_with_replicas_reads_back(short_study, tmp_path):
    study = read_study(with_replicas(short_study(), HEAT))
    (tmp_path / "again.toml").write_text(study.to_toml())
    again = read_study(tmp_path / "again.toml")
    assert isinstance(again, Study)
    assert again == study
