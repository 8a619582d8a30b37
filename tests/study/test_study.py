import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import simsc, wait_for

import simsc.study.run as run_module
from simsc.builders.close_packed import close_packed
from simsc.core.errors import InputError, ResourceError, StoppedEarly, StudyError
from simsc.md.anneal import dressed
from simsc.md.hardware import Hardware
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.parallel import world
from simsc.md.protocol import Phase
from simsc.models.coarse_grained import coarse_grained
from simsc.models.heads import Dressing
from simsc.study.run import claimed, run_study
from simsc.study.run_folder import RunFolder
from simsc.study.schema import Study, preset_names, preset_text, read_study

STAGES = ["build", "anneal", "order", "scattering", "correlation"]


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(preset_text(name))
    study = read_study(path)
    assert study.superlattice.stacking == "ABCABCABABAB"
    assert [phase.name for phase in study.anneal.phases] == ["equilibrate", "heat", "hold", "cool"]
    # What is written into the run folder reads back as the same study.
    path.write_text(study.to_toml())
    assert read_study(path) == study


def test_the_paper_preset_has_the_papers_protocol(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(preset_text("paper"))
    study = read_study(path)
    heat, hold, cool = study.anneal.phases[1:]
    assert (heat.start_K, heat.stop_K, heat.duration_ns) == (300, 600, 75)
    assert (hold.start_K, hold.stop_K, hold.duration_ns) == (600, 600, 10)
    assert (cool.start_K, cool.stop_K, cool.duration_ns) == (600, 300, 75)
    assert (study.anneal.pressure_atm, study.anneal.coupling) == (1, "tri")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lateral = [1, 1]", "latteral = [1, 1]", "superlattice.latteral: unknown key; did you mean 'lateral'"),
        ("[scattering]", "[scatering]", "scatering: unknown key; did you mean 'scattering'"),
        (
            "start_K = 300.0",
            "start_K = -300.0",
            "phases[equilibrate].start_K: input should be greater than 0, got -300",
        ),
        ("start_K = 300.0", "start_K = 3.0", "anneal.phases[equilibrate].start_K: 3 is outside 250 … 700 K"),
        ("start_K = 300.0", "start_K = nan", "anneal.phases[equilibrate].start_K"),
        ('"ABCABCABABAB"  ', '"ABBA"', "superlattice.stacking: stacking 'ABBA': layers 2 and 3 are both B"),
        (
            "core_radius_nm = 2.0",
            'core_radius_nm = "2.0"',
            'nanoparticle.core_radius_nm: input should be a valid number, got "2.0"',
        ),
        ("core_radius_nm = 2.0", "core_radius_nm = true", "nanoparticle.core_radius_nm"),
        (
            "core_radius_nm = 2.0",
            'core_radius_nm = 2.0\nshape = "pyramid"',
            "nanoparticle.shape: input should be 'sphere', 'cube'",
        ),
        ("core_radius_nm = 2.0", "core_radius_nm = 20.0", "nanoparticle.core_radius_nm: 20 is outside 1.5 … 4 nm"),
        ("d_nn_nm = 6.3", "d_nn_nm = 3.9", "the cores overlap"),
        (
            "d_nn_nm = 6.3",
            "d_nn_nm = 63",
            "at 63 nm neighbours' ligands do not reach each other; it must not exceed 9.05 nm",
        ),
        ("duration_ns = 0.4", "duration_ns = 0.05", "scattering.frames: phase 'equilibrate' has 1 frame(s), not 3"),
        ("d_nn_nm = 6.3", "", "superlattice.d_nn_nm: is missing"),
        ('after = "cool"', 'after = "freeze"', "scattering.after: 'freeze' is not a phase; phases are equilibrate"),
        ('coupling = "tri"', 'coupling = "triclinic"', "anneal.coupling: input should be 'iso', 'aniso' or 'tri'"),
        ("oleate_super_ligand", "oleate", "force field 'oleate' is not known; available: oleate_super_ligand"),
        ("lateral = [1, 1]", "lateral = [1, 0]", "superlattice.lateral[1]"),
        ('name = "heat"', 'name = "hold"', "anneal.phases: each needs a name of its own"),
        ("seed = 20251217", "seed = 1.5", "seed"),
        ("[order]", "[order", "is not valid TOML"),
        ("core_radius_nm = 2.0", "core_radius_nm = 2,0", "decimals have a point, not a comma"),
        ('"ABCABCABABAB"', "ABCABC", "text stands in quotes"),
        ("[order]", "[replicas]\nvary = [1]\n[order]", "replicas.vary[0]: needs a table of keys and values, got 1"),
        ("[order]", "[replicas]\nvary = 1\n[order]", "replicas.vary: needs a list, got 1"),
        (
            "[20, 12, 2]",
            "[1000, 1000, 1000]",
            "scattering.replicate: 2.4e+10 NPs, of 24 in the cell; there must be no more",
        ),
    ],
)
def test_wrong_studies_get_one_line_that_names_the_key(tmp_path, old, new, says):
    text = preset_text("preview")
    assert old in text
    path = tmp_path / "study.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def thermostat(path):
    """Return what a study of 24 NPs would anneal with."""
    study = read_study(path)
    crystal = close_packed("ABC", study.superlattice.d_nn_nm, (2, 2), study.nanoparticle.core_radius_nm)
    system = dressed(crystal, coarse_grained(study.anneal.force_field), study.protocol(), study.seed)
    arguments = plain_lammps_arguments(system, study.protocol(), study.seed)
    return arguments[arguments.index("thermostat") + 1]


def test_each_model_has_its_own_thermostat_and_cores(tmp_path):
    path = tmp_path / "study.toml"
    super_ligands = preset_text("preview")
    path.write_text(super_ligands)
    assert thermostat(path) == "nose_hoover"
    sites = super_ligands.replace("oleate_super_ligand", "oleate_one_site").replace("_K = 300.0", "_K = 450.0")
    path.write_text(sites)
    assert thermostat(path) == "langevin"
    assert read_study(path).timestep_fs() == 500.0
    path.write_text(sites.replace("[anneal]", '[anneal]\nthermostat = "nose_hoover"'))
    assert thermostat(path) == "nose_hoover"
    cubes = ("core_radius_nm = 2.0", 'core_radius_nm = 2.0\nshape = "cube"\norientation = "aligned"')
    path.write_text(super_ligands.replace(*cubes))
    assert read_study(path).nanoparticle.dressing == Dressing("cube", None, True)
    path.write_text(sites.replace(*cubes))
    with pytest.raises(StudyError, match="nanoparticle: oleate_one_site holds for spheres with its own coverage alone"):
        read_study(path)


def test_a_run_from_study_to_report_and_again(short_study, tmp_path):
    study = short_study()
    first = simsc("run", str(study), "--output", "run", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    run = tmp_path / "run"
    assert f"report: {run / 'report.html'}" in first.stdout
    counts = list(csv.DictReader((run / "order" / "counts.csv").read_text().splitlines()))
    assert (counts[0]["phase"], counts[0]["sequence"]) == ("equilibrate", "ABCB")
    assert counts[0]["fcc"] == counts[0]["hcp"] == "4"
    assert float(counts[0]["fcc_fraction"]) == pytest.approx(0.5, abs=0.05)
    assert float(counts[0]["sequence_probability"]) > 0.9
    summary = json.loads((run / "order" / "summary.json").read_text())
    assert summary["before"]["sequence"] == "ABCB"
    assert summary["transitions"]["hcp"]["hcp"] == pytest.approx(4, abs=0.2)
    assert summary["healing"] == {"n": 0}
    stamps = {name: (run / name / "done.json").stat().st_mtime_ns for name in STAGES}

    again = simsc("run", str(study), "--output", "run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert [f"{name}: finished before" in again.stdout for name in STAGES] == [True] * 5
    assert stamps == {name: (run / name / "done.json").stat().st_mtime_ns for name in STAGES}

    # A result that was changed afterwards is made again, and nothing that does not follow from it.
    (run / "order" / "counts.csv").write_text("changed")
    assert redone(study, run, stamps) == ["order"]
    # So is what reads a section of the study that was changed.
    study.write_text(
        study.read_text().replace("n_delta = 91", "n_delta = 61").replace('title = "', 'title = "Renamed ')
    )
    assert redone(study, run, stamps) == ["correlation"]
    assert "Renamed" in (run / "report.html").read_text()
    assert redone(study, run, stamps) == []

    # Another study does not overwrite it.
    other = short_study("other.toml", seed="5", d_nn_nm="6.4")
    refused = simsc("run", str(other), "--output", "run", cwd=tmp_path)
    assert refused.returncode == 2
    assert "seed: 20251217 → 5; superlattice.d_nn_nm: 6.3 → 6.4; give a new folder" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1

    # What took long is not removed, whatever it was computed from.
    for file in ("build/superlattice.h5", "anneal/thermo.csv"):
        content = (run / file).read_bytes()
        (run / file).write_bytes(content[:-1])
        kept = simsc("run", str(study), "--output", "run", cwd=tmp_path)
        assert kept.returncode == 75
        assert f"{file}: was changed or lost since anneal was computed; bring it back, or remove run/anneal" in (
            kept.stderr
        )
        (run / file).write_bytes(content)
        assert redone(study, run, stamps) == []


def redone(study: Path, run: Path, stamps: dict[str, int]) -> list[str]:
    """Run a study again; return which stages were run, and keep their times in `stamps`."""
    done = simsc("run", str(study), "--output", str(run), cwd=run.parent)
    assert done.returncode == 0, done.stderr
    now = {name: (run / name / "done.json").stat().st_mtime_ns for name in STAGES}
    changed = [name for name in STAGES if now[name] != stamps[name]]
    stamps |= now
    return changed


def test_replicas_may_be_added_but_not_renumbered(short_study, tmp_path):
    def with_seeds(text: str) -> Study:
        study = short_study()
        study.write_text(f"{study.read_text()}\n[replicas]\nseeds = {text}")
        return read_study(study)

    folder = tmp_path / "run"
    with claimed(folder, with_seeds("[3, 4]")):
        (folder / "replica_0000").mkdir()
    with claimed(folder, with_seeds("[3, 4, 9]")):
        pass
    assert RunFolder(folder).study().replicas.seeds == [3, 4, 9]
    for other in ("[3, 4]", "[4, 3, 9]", "[2, 3, 4, 9]"):
        with pytest.raises(StudyError, match="another study: replicas"), claimed(folder, with_seeds(other)):
            pass
    with pytest.raises(StudyError, match="another study: replicas"), claimed(folder, read_study(short_study())):
        pass


def test_a_grid_that_does_not_fit_is_refused_before_annealing(short_study, tmp_path, monkeypatch):
    monkeypatch.setattr("simsc.study.stages.available_memory_gb", lambda: 0.0001)
    with pytest.raises(ResourceError, match=r"scattering.grid: \d+³ points need .* GB of memory, and 0.0001 GB"):
        run_study(read_study(short_study()), tmp_path / "run", None, Hardware())
    assert not (tmp_path / "run").exists()


def test_jumps_of_temperature_are_told(short_study):
    protocol = read_study(short_study()).protocol()
    assert protocol.jumps == ()
    still = Phase("still", kind="minimise")
    hot = replace(protocol.phases[-1], name="hot", start_K=400.0)
    jumps = replace(protocol, phases=(*protocol.phases, still, hot)).jumps
    last = protocol.phases[-1]
    assert jumps == (
        f"the target temperature jumps from {last.stop_K:g} K (end of {last.name!r}) to 400 K (start of 'hot')",
    )


def test_all_tries_of_a_stage_count(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(run_module.time, "monotonic", lambda: clock[0])
    with suppress(StoppedEarly), run_module._timed(tmp_path):
        clock[0] += 50
        raise StoppedEarly("stopped")
    with suppress(KeyError), run_module._timed(tmp_path) as seconds:
        clock[0] += 7
        assert seconds() == pytest.approx(57)
        # Killed: what it wrote last tells when.
        killed = (tmp_path / "legs.json").read_text()
        raise KeyError
    (tmp_path / "legs.json").write_text(killed)
    (tmp_path / "log").write_text("last words")
    begin = json.loads(killed)[-1][0]
    os.utime(tmp_path / "legs.json", (begin, begin))
    os.utime(tmp_path / "log", (begin + 30, begin + 30))
    with run_module._timed(tmp_path) as seconds:
        assert seconds() == pytest.approx(80)


def test_a_killed_run_goes_on_from_its_checkpoint(short_study, tmp_path):
    study = short_study(duration_ns="0.3")
    command = [sys.executable, "-m", "simsc", "run", str(study), "--output", "run", "--threads", "1"]
    partial = tmp_path / "run" / "anneal.partial"
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(partial.glob("checkpoint_*1.json")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    built = tmp_path / "run" / "build" / "done.json"
    stamps = built.stat().st_mtime_ns, (partial / "system.data").stat().st_mtime_ns
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    # Two runs in one folder: the second is refused while the first works.
    time.sleep(3)
    refused = simsc("run", str(study), "--output", "run", cwd=tmp_path)
    assert refused.returncode == 2
    assert "another simsc works in it" in refused.stderr
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 85
    said = process.stderr.read()
    assert "stopping at the next checkpoint" in said
    assert "the same command goes on" in said
    process.stderr.close()
    assert stamps == (built.stat().st_mtime_ns, (partial / "system.data").stat().st_mtime_ns)
    assert not (tmp_path / "run" / "anneal").exists()
    limited = simsc("run", str(study), "--output", "run", "--max-hours", "0.0001", cwd=tmp_path)
    assert limited.returncode == 85


def test_foreign_folders_are_left_alone(short_study, tmp_path):
    study = read_study(short_study())
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="other files"):
        run_study(study, folder, world(), Hardware())
    with pytest.raises(InputError, match="not a folder"):
        run_study(study, folder / "thesis.tex", world(), Hardware())
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_full_disk_is_a_missing_resource(tmp_path):
    from simsc.core.errors import ResourceError
    from simsc.io.whole_files import write_error

    assert isinstance(write_error(tmp_path, OSError(28, "No space left on device")), ResourceError)
    assert isinstance(write_error(tmp_path, PermissionError(13, "Permission denied")), InputError)


def test_two_ranks_share_one_run(short_study, tmp_path):
    mpiexec = Path(sys.executable).parent / "mpiexec"
    if not mpiexec.exists():
        pytest.skip("no mpiexec beside this Python")
    prefix = [str(mpiexec), "-n", "2", sys.executable, "-m", "mpi4py", "-m", "simsc", "run"]
    done = subprocess.run([*prefix, str(short_study()), "-o", "run"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1
    record = json.loads((tmp_path / "run" / "anneal" / "done.json").read_text())
    assert record["provenance"]["ranks"] == 2
    log = (tmp_path / "run" / "anneal" / "log.lammps").read_text()
    assert "by 1 MPI processor grid" in log or "MPI processor grid" in log
    bad = short_study("bad.toml", seed="-1")
    failed = subprocess.run([*prefix, str(bad), "--output", "bad"], cwd=tmp_path, capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.count("simsc: error:") == 1
