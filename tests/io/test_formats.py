"""Formats of volumes and structures that other packages add, and what simsc tells of files that it does not read."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from fake_packages import install

from simsc.builders.supraparticle import ball
from simsc.cli.main import cli
from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import IntensityVolume
from simsc.io.native import read_intensity, read_superlattice, write_intensity, write_superlattice
from simsc.io.structure_formats import STRUCTURE_FORMATS
from simsc.io.volume_formats import VOLUME_FORMATS

VOLUME = """
import json
import numpy as np
from simsc.io.volume_formats import VolumeFormat
from simsc.io.volume_raw import RawAxis, RawVolume
from simsc.io.whole_files import write_text

def read(path, names):
    held = json.loads(path.read_text())
    axes = {x: RawAxis(np.array(held["q"]), "1/nm", x) for x in "xyz"}
    return RawVolume({"intensity": np.array(held["volume"])}, axes)

def write(path, volume):
    write_text(path, json.dumps({"volume": volume.intensity.tolist(), "q": volume.q_axes_inv_nm[0].tolist()}))

FORMAT = VolumeFormat("JSON", (".vol",), lambda path: path.read_bytes()[:10] == b'{"volume":', read, write)
"""
STRUCTURE = r"""
import numpy as np
from simsc.io.centres import AtomTable
from simsc.io.structure_formats import StructureFormat
from simsc.io.structure_source import RawFrame
from simsc.io.whole_files import write_text

class Source:
    unit = "nm"
    def __init__(self, path, topology):
        self.positions = np.loadtxt(path, ndmin=2)
    def __len__(self):
        return 1
    def frames(self, numbers):
        for _ in numbers:
            yield RawFrame(self.positions, None, np.zeros(3, bool), np.nan)
    def atoms(self):
        return AtomTable()

def write(path, frames):
    for described in frames:
        rows = described.frame.superlattice.positions_nm
        write_text(path, "\n".join(" ".join(f"{x:.6f}" for x in row) for row in rows))

FORMAT = StructureFormat("points", (".points",), lambda path: path.suffix == ".points", Source, write)
"""
VOLUMES, STRUCTURES = (f"[simsc.{kind}_formats]\nmine = added:FORMAT\n" for kind in ("volume", "structure"))


def invoke(*arguments: object) -> dict:
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


@pytest.mark.parametrize("formats", [VOLUME_FORMATS, STRUCTURE_FORMATS])
def test_names_and_endings_are_those_of_one_format(formats):
    for values in ([known.name for known in formats], [x for known in formats for x in known.endings]):
        assert len(set(values)) == len(values)


def test_a_volume_format_of_another_package(tmp_path, monkeypatch):
    axis = np.linspace(-0.5, 0.5, 5)
    values = np.random.default_rng(2).random((5, 5, 5))
    write_intensity(tmp_path / "i.h5", IntensityVolume(values, (axis, axis, axis)), {})
    out = tmp_path / "i.vol"
    refused = CliRunner().invoke(cli, ["export", str(tmp_path / "i.h5"), "-o", str(out)])
    assert isinstance(refused.exception, InputError)
    install(monkeypatch, tmp_path / "site", "added", VOLUME, VOLUMES)
    assert invoke("export", tmp_path / "i.h5", "-o", out)["shape"] == [5, 5, 5]
    found = invoke("info", out)
    assert (found["kind"], found["voxels"]) == ("a volume of another program", [5, 5, 5])
    invoke("import-volume", out, "-o", tmp_path / "back.h5")
    assert (read_intensity(tmp_path / "back.h5").intensity == values).all()
    out.write_text('{"volume": 3}')
    done = CliRunner().invoke(cli, ["import-volume", str(out), "-o", str(tmp_path / "b.h5")])
    with pytest.raises(InputError, match=r"i\.vol: the package added.*KeyError"):
        raise done.exception


def test_a_structure_format_of_another_package(tmp_path, monkeypatch):
    lattice = ball("fcc", 16, n=13, radius_nm=7.4)
    write_superlattice(tmp_path / "ball.h5", lattice, {})
    install(monkeypatch, tmp_path / "site", "added", STRUCTURE, STRUCTURES)
    out = tmp_path / "ball.points"
    assert invoke("export", tmp_path / "ball.h5", "-o", out)["frames"] == 1
    assert read_superlattice(out).positions_nm == pytest.approx(lattice.positions_nm, abs=1e-5)
    found = invoke("info", out)
    assert (found["kind"], found["n_nps"]) == ("a structure of another program", 13)
    out.write_text("no numbers")
    with pytest.raises(InputError, match=r"ball\.points: the package added.*ValueError"):
        read_superlattice(out)


def test_a_broken_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.points").write_text("1 2 3")
    install(monkeypatch, tmp_path / "site", "added", "import no_such_module", STRUCTURES)
    with pytest.warns(SimscWarning, match="package added.*no_such_module"), pytest.raises(InputError):
        read_superlattice(tmp_path / "a.points")


def test_info_recommends_no_command_that_refuses_the_file(tmp_path):
    xml = '<?xml version="1.0"?>\n<VTKFile type="ImageData" version="0.1"></VTKFile>\n'
    (tmp_path / "a.vti").write_text(xml)
    np.save(tmp_path / "mask.npy", np.zeros((4, 5)))
    (tmp_path / "text.vtk").write_text("# vtk DataFile Version 3.0\na\nASCII\nDATASET STRUCTURED_POINTS\n")
    for name, says in (
        ("a.vti", "ASE cannot read it.*; nor is it known as detector frames .* or a volume .*legacy VTK"),
        ("mask.npy", r"has three dimensions"),
        ("text.vtk", "needs BINARY"),
    ):
        done = CliRunner().invoke(cli, ["info", str(tmp_path / name)])
        assert isinstance(done.exception, InputError)
        assert "next" not in done.output
        with pytest.raises(InputError, match=says):
            raise done.exception
