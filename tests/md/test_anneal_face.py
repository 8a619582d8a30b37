"""`anneal`: the same as a study, from the crystal and the model alone."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from conftest import ENVIRONMENT, mpi_python, same, write_short_study

from simsc.builders.close_packed import close_packed
from simsc.core.errors import InputError, SimscWarning, StoppedEarly, StudyError
from simsc.md.anneal import anneal
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import world
from simsc.md.protocol import Phase, Protocol
from simsc.md.trajectory import read_trajectory
from simsc.models.coarse_grained import coarse_grained
from simsc.models.heads import Dressing
from simsc.study.context import Context
from simsc.study.run_folder import RunFolder
from simsc.study.schema import read_study
from simsc.study.stages import stages_of

HOT = Phase("hot", 500.0, 500.0, 0.01)


def of_a_study(path, folder):
    """Return the trajectory of the annealing of a study."""
    study = read_study(path)
    context = Context(study, RunFolder(folder), world(), ONE_THREAD, lambda *progress: None, lambda needed_s: False)
    for stage in stages_of(study)[:2]:
        (folder / stage.name).mkdir(parents=True)
        stage.run(context, folder / stage.name)
    return read_trajectory(folder / "anneal" / "trajectory.h5")


@pytest.mark.filterwarnings("ignore:anneal. the nearest:simsc.core.errors.SimscWarning")
@pytest.mark.parametrize("model", ["oleate_one_site", "oleate_super_ligand"])
def test_it_is_what_a_study_does(model, tmp_path):
    temperatures = {"start_K": "460.0", "stop_K": "480.0"}
    study = write_short_study(
        tmp_path / "study.toml", force_field=f'"{model}"', seed="11", duration_ns="0.005", **temperatures
    )
    phases = [Phase(name, 460.0, 480.0, 0.005) for name in ("equilibrate", "heat", "hold", "cool")]
    crystal = close_packed("ABCB", 6.3, (1, 1), radius_nm=2.0)
    protocol = Protocol(tuple(phases), output_every_ns=0.005)
    ours = anneal(crystal, model, protocol, tmp_path / "ours", seed=11)
    assert same(ours, of_a_study(study, tmp_path / "run"))
    if model == "oleate_one_site":  # what a script would have got before: not the dynamics of the model
        other = anneal(crystal, model, replace(protocol, thermostat="nose_hoover"), tmp_path / "other", seed=11)
        assert not same(ours, other)


def test_it_goes_on_where_it_stopped_and_knows_its_folder(tmp_path):
    crystal = close_packed("ABAC", 6.5, (1, 1), radius_nm=2.0)
    protocol = Protocol((HOT,), output_every_ns=0.002, checkpoint_every_ns=0.004)
    first = tmp_path / "run" / "checkpoint_000001.json"
    with pytest.raises(StoppedEarly):
        anneal(crystal, "oleate_one_site", protocol, tmp_path / "run", stop=lambda needed_s: first.exists())
    whole = anneal(crystal, coarse_grained("oleate_one_site"), protocol, tmp_path / "whole")
    assert same(anneal(crystal, "oleate_one_site", protocol, tmp_path / "run"), whole)
    with pytest.raises(StudyError, match="another crystal or dressing"):
        anneal(close_packed("ABCB", 6.5, (1, 1), 2.0), "oleate_one_site", protocol, tmp_path / "run")
    with pytest.raises(StudyError, match="thermostat"):
        anneal(crystal, "oleate_one_site", replace(protocol, thermostat="nose_hoover"), tmp_path / "run")


def test_one_phase_is_a_list_of_one(tmp_path):
    crystal = close_packed("ABC", 6.5, (1, 1), radius_nm=2.0)
    short = replace(HOT, duration_ns=0.002)
    assert same(
        anneal(crystal, "oleate_one_site", short, tmp_path / "one"),
        anneal(crystal, "oleate_one_site", [short], tmp_path / "list"),
    )


def test_distances_that_the_model_was_not_derived_from_are_warned_of(tmp_path):
    crystal = close_packed("ABC", 7.2, (2, 2), radius_nm=2.0)
    with pytest.warns(SimscWarning, match="oleate_one_site was derived from"):
        anneal(crystal, "oleate_one_site", [replace(HOT, kind="nvt")], tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"crystal": close_packed("ABC", 6.4, radius_nm=1.2)}, r"core radius 1\.2 nm"),
        ({"crystal": close_packed("ABC", 4.0).with_radii(2.0)}, "cores of radius 2 nm overlap"),
        ({"crystal": close_packed("ABC", 12.0, radius_nm=2.0)}, "do not reach each other"),
        (
            {"crystal": close_packed("ABC", 6.4)},
            r"no radii; give a core radius .* such as \.with_radii\(2\.0\)",
        ),
        ({"crystal": close_packed("ABC", 6.4, radius_nm=2.0).in_free_space()}, "fully periodic cell"),
        (
            {"phases": [replace(HOT, stop_K=800.0)]},
            "phase 'hot', stop_K: 800 K: oleate_super_ligand holds from 250 to 700 K",
        ),
        ({"phases": []}, "at least one is needed"),
        ({"phases": [(500, 500, 0.02)]}, r"each is a Phase, such as Phase\(.*got \(500, 500, 0\.02\)"),
        ({"phases": "hot"}, "each is a Phase"),
        ({"phases": 500}, "a int is neither a Phase, nor several of them, nor a Protocol"),
        ({"crystal": close_packed("ABC", 6.4, radius_nm=1.9), "model": "oleate_one_site"}, "holds for 2 nm only"),
        ({"model": "oleate"}, "available: "),
        ({"model": "oleate_one_site", "dressing": Dressing("cube")}, "spheres with its own coverage alone"),
    ],
)
def test_what_the_model_does_not_hold_for_is_refused_before_anything_is_written(changes, says, tmp_path):
    crystal = close_packed("ABC", 6.4, radius_nm=2.0)
    arguments = {"crystal": crystal, "model": "oleate_super_ligand", "phases": [HOT], "folder": tmp_path / "run"}
    with pytest.raises(InputError, match=says):
        anneal(**arguments | changes)
    assert not (tmp_path / "run").exists()


TWO_RANKS = """
import sys
import numpy as np
from mpi4py import MPI
from simsc.builders.close_packed import close_packed
from simsc.md.anneal import anneal
from simsc.md.protocol import Phase
crystal = close_packed("ABC", 6.5, (2, 2), radius_nm=2.0)
found = anneal(crystal, "oleate_one_site", [Phase("hot", 500.0, 500.0, 0.05)], sys.argv[1])
same = MPI.COMM_WORLD.allgather(found.positions_nm.tobytes())
assert len(same) == 2 and same[0] == same[1]
"""


def test_every_rank_gets_the_trajectory(tmp_path):
    (tmp_path / "script.py").write_text(TWO_RANKS)
    command = [*mpi_python(2), str(tmp_path / "script.py"), str(tmp_path / "run")]
    subprocess.run(command, check=True, env=ENVIRONMENT, timeout=120)
    assert np.isfinite(read_trajectory(tmp_path / "run" / "trajectory.h5").positions_nm).all()
