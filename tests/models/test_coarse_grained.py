"""The table of coarse-grained models: what each holds for, and a model that another package adds."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from simsc.builders.close_packed import close_packed
from simsc.core.errors import InputError, ResourceError
from simsc.md.anneal import anneal, dressed
from simsc.md.files import prepare
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.protocol import Phase, Protocol
from simsc.models.coarse_grained import ENTRY_POINTS, FAMILIES, coarse_grained, coarse_grained_names
from simsc.models.heads import SPHERES, Dressing
from simsc.study.schema import preset_text, study_from

OTHER_PACKAGE = Path(__file__).parent / "soft_spheres"
EVERY_KIND = (
    Phase("rest", kind="minimise"),
    Phase("warm", 300, 320, 0.01, kind="nvt"),
    Phase("squeeze", 320, 320, 0.01, kind="deform", scale=(1, 1, 0.99)),
    Phase("heat", 320, 400, 0.02),
)


@pytest.fixture
def soft_spheres(tmp_path, monkeypatch):
    """Let the model of another package be installed, as far as Python can see."""
    info = tmp_path / "installed" / "soft_spheres-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: soft-spheres\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{ENTRY_POINTS}]\nsoft_spheres = soft_spheres:model\nbroken = soft_spheres_that_are_not_there:model\n"
        "failing = json:loads\nwrong = builtins:dict\n"
    )
    monkeypatch.syspath_prepend(info.parent)
    monkeypatch.syspath_prepend(OTHER_PACKAGE)
    yield "soft_spheres"
    sys.modules.pop("soft_spheres", None)


def test_a_model_of_another_package_is_one_of_ours(soft_spheres):
    own = [name for family in FAMILIES for name in family.names()]
    assert coarse_grained_names() == [*own, "broken", "failing", "soft_spheres", "wrong"]
    assert [coarse_grained(name).name for name in own] == own
    assert coarse_grained(soft_spheres).core_radius_nm == (1.0, 3.0)
    with pytest.raises(ResourceError, match="'broken': soft_spheres_that_are_not_there:model cannot be loaded"):
        coarse_grained("broken")
    with pytest.raises(ResourceError, match=r"'failing': json:loads cannot be loaded \(TypeError"):
        coarse_grained("failing")
    with pytest.raises(ResourceError, match="'wrong': builtins:dict gives no CoarseGrained but a dict"):
        coarse_grained("wrong")
    with pytest.raises(InputError, match=r"available: .*oleate_one_site, broken, failing, soft_spheres, wrong"):
        coarse_grained("hard_spheres")


def test_a_model_of_another_package_anneals_and_stands_in_studies(soft_spheres, tmp_path):
    crystal = close_packed("ABC", 6.2, (2, 2), radius_nm=2.0)
    protocol = Protocol(EVERY_KIND, output_every_ns=0.01)
    trajectory = anneal(crystal, soft_spheres, protocol, tmp_path / "run", seed=3)
    assert trajectory.phase_names == ("rest", "warm", "squeeze", "heat")
    # At rest 12 neighbours lie in the minimum of Lennard-Jones, and 6 are √2 as far; the cutoff is at 1.5.
    nearest, next_nearest, cut = (2.0 * (r**-12 - 2 * r**-6) for r in (1.0, np.sqrt(2), 1.5))
    expected = crystal.n / 2 * (12 * (nearest - cut) + 6 * (next_nearest - cut))
    assert trajectory.thermo["potential_kcal_per_mol"][0] == pytest.approx(expected, rel=1e-6)
    assert trajectory.thermo["volume_nm3"][2] == pytest.approx(0.99 * trajectory.thermo["volume_nm3"][1], rel=1e-6)
    assert np.ptp(trajectory.positions_nm, axis=0).max() > 1e-3
    with pytest.raises(InputError, match="600 K: soft_spheres holds from 200 to 500 K"):
        anneal(crystal, soft_spheres, [Phase("hot", 600, 600, 0.01)], tmp_path / "hot")
    text = preset_text("preview").replace("oleate_super_ligand", soft_spheres).replace("600.0", "500.0")
    assert study_from(tomllib.loads(text)).timestep_fs() == 500.0


def test_its_scripts_run_alone(soft_spheres, tmp_path):
    crystal = close_packed("ABC", 6.2, (2, 2), radius_nm=2.0)
    protocol = Protocol(EVERY_KIND, output_every_ns=0.01)
    system = dressed(crystal, coarse_grained(soft_spheres), protocol, 3)
    prepare(system, tmp_path)
    lmp = shutil.which("lmp", path=str(Path(sys.executable).parent)) or shutil.which("lmp")
    subprocess.run([lmp, *plain_lammps_arguments(system, protocol, 3), "-screen", "none"], cwd=tmp_path, check=True)
    assert (tmp_path / "annealed.data").is_file()


def limits(model, *args, **options):
    return [breach.limit for breach in model.breaches(*args, **options)]


def test_every_limit_is_found():
    model = coarse_grained("oleate_one_site")
    assert limits(model, 2.0, {"a": 450.0, "b": 600.0}, SPHERES, 6.5) == []
    assert limits(model, 2.5, {"a": 449.0, "b": 601.0}, Dressing("cube"), 4.9) == [
        "core_radius",
        "dressing",
        "overlap",
        "temperature",
        "temperature",
    ]
    assert [breach.which for breach in model.breaches(2.0, {"a": 449.0, "b": 600.0})] == ["a"]
    assert limits(model, 2.0, {}, SPHERES, 4.0) == ["overlap"]
    assert limits(model, 2.0, {}, SPHERES, 20.0) == ["reach"]
    chains = coarse_grained("oleate_super_ligand")
    # Corners stand out: cubes reach farther than spheres of their volume.
    farthest_nm = 2 * np.sqrt(3) / 2 * (4 / 3 * np.pi * 8) ** (1 / 3) + chains.reach_nm
    assert limits(chains, 2.0, {}, Dressing("cube"), farthest_nm - 0.01) == []
    assert limits(chains, 2.0, {}, SPHERES, farthest_nm - 0.01) == ["reach"]
    with pytest.raises(InputError, match=r"core radius 5 nm: oleate_super_ligand holds for 1\.5 to 4 nm"):
        chains.check(5.0, [300.0])
