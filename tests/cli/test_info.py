"""What `simsc info` tells of every kind of file, in words and as JSON, against what was written."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner
from fake_run import write_fake_run
from frame_files import change, write_cbf, write_eiger

from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import ball
from simsc.cli.main import cli
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.io.native import (
    write_intensity,
    write_map,
    write_shells,
    write_superlattice,
)
from simsc.io.provenance import provenance


def told(file) -> dict:
    done = CliRunner().invoke(cli, ["info", str(file), "--json"])
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_structures(tmp_path):
    write_superlattice(tmp_path / "l.h5", close_packed("ABC", 6.2), provenance(command="simsc build"))
    lattice = told(tmp_path / "l.h5")
    assert (lattice["kind"], lattice["n_nps"], lattice["core_radius_nm"]) == ("a superlattice", 6, None)
    assert lattice["cell_nm_and_degrees"] == pytest.approx([6.2, 6.2 * 3**0.5, 6.2 * 6**0.5, 90, 90, 90])
    assert lattice["periodic"] == "abc"
    assert lattice["provenance"]["command"] == "simsc build"
    write_superlattice(tmp_path / "b.h5", ball("fcc", 16, n=13, radius_nm=7.4), {})
    sphere = told(tmp_path / "b.h5")
    assert sphere["core_radius_nm"] == pytest.approx(7.4)
    assert max(sphere["extent_nm"]) == pytest.approx(32, rel=0.2)
    ase.io.write(tmp_path / "two.xyz", [Atoms("Au2", [[0, 0, 0], [0, 0, 30]])] * 2)
    other = told(tmp_path / "two.xyz")
    assert (other["kind"], other["frames"], other["n_nps"]) == ("a structure of another program", 2, 2)
    assert other["extent_nm"] == pytest.approx([0, 0, 3])
    assert other["provenance"] == {}


def test_intensities_and_maps(tmp_path):
    axis = np.linspace(-0.9, 0.9, 7)
    measured = np.arange(343).reshape(7, 7, 7) % 7 != 0
    write_intensity(tmp_path / "i.h5", IntensityVolume(np.ones((7, 7, 7)), (axis, axis, axis), measured), {})
    volume = told(tmp_path / "i.h5")
    assert volume["voxels"] == [7, 7, 7]
    assert volume["step_inv_nm"] == pytest.approx([0.3, 0.3, 0.3])
    assert volume["measured_part"] == pytest.approx(6 / 7)
    shells = [(ShellIntensity(q, np.ones((5, 10))), None) for q in (0.4, 0.5)]
    write_shells(tmp_path / "s.h5", shells, {})
    spheres = told(tmp_path / "s.h5")
    assert [spheres[x] for x in ("spheres", "rings", "points_a_ring")] == [2, 5, 10]
    ccf, coverage = np.zeros((3, 5)), np.linspace(0.2, 1, 15).reshape(3, 5)
    map_ = CorrelationMap(0.48, np.array([0.4, 0.5, 0.6]), np.linspace(0, 180, 5), ccf, coverage, np.ones(3))
    write_map(tmp_path / "m.h5", map_, {})
    found = told(tmp_path / "m.h5")
    assert (found["kind"], found["q1_inv_nm"], found["values"]) == ("a correlation map", 0.48, [3, 5])
    assert found["coverage"] == pytest.approx([0.2, 1])
    words = CliRunner().invoke(cli, ["info", str(tmp_path / "m.h5")]).stdout
    assert "  q1 (nm⁻¹): 0.48\n" in words
    assert "  next: simsc refine cell" in words


def test_detector_frames_tell_what_import_has_to_be_told(tmp_path):
    master = write_eiger(tmp_path)
    scan = told(master)
    assert (scan["kind"], scan["frames"]) == ("detector frames", 6)
    assert scan["energy_kev"] > 1
    change(master, "entry/instrument/detector/detector_distance", 0.0)
    with pytest.warns(SimscWarning, match="never set"):
        assert told(master)["distance_m"] is None
    with pytest.warns(SimscWarning, match="never set"):
        assert "  distance (m): not told" in CliRunner().invoke(cli, ["info", str(master)]).stdout
    images = tmp_path / "images"
    images.mkdir()
    write_cbf(images)
    assert told(images)["frames"] == 3
    assert told(images / "*.cbf")["frames"] == 3


def test_runs_and_orders(tmp_path):
    run = write_fake_run(tmp_path / "run", "a run", "at 600 K")
    found = told(run)
    assert (found["kind"], found["title"], found["next"]) == ("a run of a study", "a run", f"simsc status {run}")
    write_superlattice(tmp_path / "l.h5", close_packed("ABCAB", 6.2, (2, 2)), {})
    classified = CliRunner().invoke(cli, ["classify", str(tmp_path / "l.h5"), "-o", str(tmp_path / "order")])
    assert classified.exit_code == 0
    assert (told(tmp_path / "order")["kind"], told(tmp_path / "order")["n_nps"]) == ("the order of NPs", 40)
    trajectory = told(run / "anneal" / "trajectory.h5")
    assert trajectory["frames"] > 1
    assert trajectory["last_phase"]
    assert told(run / "study.toml")["next"] == f"simsc run {run / 'study.toml'}"


def test_what_it_does_not_know(tmp_path):
    (tmp_path / "scan_master.h5").write_bytes(b"")
    for name, says in ((".", "take the master file"), ("none.h5", "no such file"), ("scan_master.h5", "no HDF5 file")):
        done = CliRunner().invoke(cli, ["info", str(tmp_path / name)])
        assert isinstance(done.exception, InputError)
        assert says in str(done.exception)
