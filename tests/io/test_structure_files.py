"""Files of other programs as superlattices: written by those programs, read back, compared."""

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import ase.io
import MDAnalysis
import numpy as np
import pytest
from ase import Atoms
from brute_force import apart
from click.testing import CliRunner
from conftest import ENVIRONMENT, PAPER, displaced
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import ball
from simsc.cli.main import cli
from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning
from simsc.core.superlattice import Frame, Superlattice
from simsc.forcefield.chains import load_chains
from simsc.io.native import read_intensity, write_superlattice
from simsc.io.provenance import provenance
from simsc.io.structure_files import Reading, StructureFile, chosen_frames
from simsc.io.structure_formats import write_frames
from simsc.io.structure_writers import DescribedFrame
from simsc.md.frames import open_frames
from simsc.models.chains import dress_chains

N_FRAMES = 4


def read(path: Path, numbers=None, **reading) -> list[Frame]:
    file = StructureFile(path, Reading(**reading))
    return list(file.frames(range(len(file)) if numbers is None else numbers))


def deviation(found: Superlattice, expected: Superlattice) -> float:
    """Return the largest difference in cells or, up to a common shift and vectors of the lattice, in places, nm."""
    assert (found.cell is None) == (expected.cell is None)
    shift = found.positions_nm[0] - expected.positions_nm[0]
    moved = expected.positions_nm + shift
    if expected.cell is None:
        return float(np.abs(found.positions_nm - moved).max())
    assert (found.cell.periodic == expected.cell.periodic).all()
    of_cell = np.abs(found.cell.vectors_nm - expected.cell.vectors_nm).max()
    return max(float(of_cell), apart(found.positions_nm, moved, expected.cell))


@pytest.fixture(scope="module")
def truth() -> list[Superlattice]:
    """Frames of a crystal in a sheared cell that grows; NPs are wrapped."""
    rng = np.random.default_rng(5)
    built = close_packed(PAPER, 6.2, (2, 2))
    shear = np.eye(3) + np.array([[0, 0, 0], [0.2, 0, 0], [0.07, -0.05, 0]])
    frames = []
    for k in range(N_FRAMES):
        cell = Cell((1 + 0.01 * k) * built.cell.vectors_nm @ shear)
        places = displaced(Superlattice(built.positions_nm @ shear * (1 + 0.01 * k)), 0.1, rng).positions_nm
        frames.append(Superlattice(cell.wrap(places), cell=cell))
    return frames


def universe(truth: list[Superlattice]) -> MDAnalysis.Universe:
    """The same in MDAnalysis, every NP a residue of three atoms across the boundaries."""
    n = truth[0].n
    made = MDAnalysis.Universe.empty(
        3 * n,
        n_residues=n,
        atom_resindex=np.repeat(np.arange(n), 3),
        residue_segindex=np.arange(n) // 48,
        n_segments=2,
        trajectory=True,
    )
    made.add_TopologyAttr("names", np.tile(["FE", "O1", "O2"], n))
    made.add_TopologyAttr("elements", np.tile(["Fe", "O", "O"], n))
    made.add_TopologyAttr("resnames", ["NP"] * n)
    made.add_TopologyAttr("resids", np.arange(1, n + 1))
    made.add_TopologyAttr("segids", ["A", "B"])
    return made


def write_mda(truth: list[Superlattice], folder: Path, name: str) -> None:
    from MDAnalysis.lib.mdamath import triclinic_box

    made = universe(truth)
    bond = np.array([[0, 0, 0], [6, 4, 3], [-6, -4, -3]])  # the centre of mass is that of FE
    with (
        MDAnalysis.Writer(
            str(folder / name), n_atoms=len(made.atoms), **({"dt": 500.0} if name.endswith("dcd") else {})
        ) as writer,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for k, frame in enumerate(truth):
            atoms = (10 * frame.positions_nm[:, None] + bond).reshape(-1, 3)
            made.atoms.positions = 10 * frame.cell.wrap(atoms / 10)
            made.dimensions = triclinic_box(*(10 * frame.cell.vectors_nm))
            made.trajectory.ts.time = 500.0 * k  # ps
            made.trajectory.ts.dt = 500.0
            made.trajectory.ts.frame = k
            writer.write(made.atoms)


@pytest.mark.parametrize("ending", ["xtc", "trr", "dcd", "nc"])
@pytest.mark.parametrize(("kind", "selection"), [("site", "name FE"), ("residue", None)])
def test_trajectories_with_a_topology(truth, tmp_path, ending, kind, selection):
    write_mda(truth[:1], tmp_path, "top.gro")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_mda(truth, tmp_path, f"run.{ending}")
    frames = read(tmp_path / f"run.{ending}", topology=tmp_path / "top.gro", selection=selection, centres=kind)
    assert len(frames) == N_FRAMES
    for k, (frame, expected) in enumerate(zip(frames, truth, strict=True)):
        assert deviation(frame.superlattice, expected) < 3e-3  # XTC and GRO keep 0.001 nm
        assert frame.time_ns == pytest.approx(0.5 * k, abs=1e-5)


@pytest.mark.parametrize("ending", ["xtc", "dcd"])
def test_trajectories_that_are_cut(truth, tmp_path, ending):
    write_mda(truth[:1], tmp_path, "top.gro")
    write_mda(truth, tmp_path, f"run.{ending}")
    whole = (tmp_path / f"run.{ending}").read_bytes()
    (tmp_path / f"cut.{ending}").write_bytes(whole[: int(0.6 * len(whole))])
    reading = {"topology": tmp_path / "top.gro", "selection": "name FE"}
    if ending == "dcd":
        with pytest.warns(SimscWarning, match="ends before its time; its 2 whole frames are read"):
            frames = read(tmp_path / "cut.dcd", **reading)
    else:
        with pytest.raises(InputError, match=r"frame 2 cannot be read .*; leave it out with --frames :1$"):
            read(tmp_path / "cut.xtc", **reading)
        frames = read(tmp_path / "cut.xtc", [0, 1], **reading)
    assert max(deviation(f.superlattice, t) for f, t in zip(frames, truth[:2], strict=True)) < 3e-3


def test_files_that_have_a_topology_of_their_own(truth, tmp_path):
    for name in ("one.gro", "one.pdb"):
        write_mda(truth[:1], tmp_path, name)
        for reading in ({"selection": "name FE"}, {"centres": "residue"}):
            (frame,) = read(tmp_path / name, **reading)
            assert deviation(frame.superlattice, truth[0]) < 1e-2  # angles of PDB have two digits
            assert np.isnan(frame.time_ns)
    with pytest.raises(InputError, match="--centres molecule: the topology has neither"):
        read(tmp_path / "one.gro", centres="molecule")
    with pytest.raises(InputError, match="tells its unit of length itself; leave --length-unit out"):
        read(tmp_path / "one.gro", length_unit="nm")


@pytest.mark.parametrize("turn", [False, True], ids=["right-handed", "left-handed"])
@pytest.mark.parametrize("unit", [None, "A", "nm"])
def test_extended_xyz(truth, tmp_path, unit, turn):
    scale = 1 if unit == "nm" else 10
    images = []
    for frame in truth:
        vectors = frame.cell.vectors_nm.copy()
        vectors[2] *= -1 if turn else 1
        images.append(Atoms(["Au"] * frame.n, scale * frame.positions_nm, cell=scale * vectors, pbc=True))
    ase.io.write(tmp_path / "run@2.extxyz", images)
    frames = read(tmp_path / "run@2.extxyz", length_unit=unit)
    assert max(deviation(f.superlattice, t) for f, t in zip(frames, truth, strict=True)) < 1e-7
    frames = read(tmp_path / "run@2.extxyz", [1, 3], length_unit=unit, every_ns=0.5)
    assert [frame.time_ns for frame in frames] == [0.5, 1.5]
    assert max(deviation(f.superlattice, truth[k]) for f, k in zip(frames, [1, 3], strict=True)) < 1e-7


def test_free_space_slabs_and_molecules_in_xyz(truth, tmp_path):
    ball = truth[0].in_free_space()
    ase.io.write(tmp_path / "ball.xyz", Atoms(["Au"] * ball.n, 10 * ball.positions_nm))
    assert deviation(read(tmp_path / "ball.xyz")[0].superlattice, ball) < 1e-7
    with pytest.raises(InputError, match="--periodic abc: the file has no cell"):
        read(tmp_path / "ball.xyz", periodic="abc")
    vectors = 10 * truth[0].cell.vectors_nm
    atoms = Atoms(["Au"] * ball.n, 10 * ball.positions_nm, cell=[*vectors[:2], [0, 0, 0]], pbc=[True, True, False])
    atoms.arrays["molecule"] = np.arange(ball.n) // 4 + 1
    ase.io.write(tmp_path / "slab.extxyz", atoms)
    slab = read(tmp_path / "slab.extxyz")[0].superlattice
    assert slab.cell.periodic.tolist() == [True, True, False]
    assert np.allclose(slab.cell.vectors_nm[:2], truth[0].cell.vectors_nm[:2])
    assert np.allclose(slab.cell.vectors_nm[2] @ truth[0].cell.vectors_nm[:2].T, 0)
    assert slab.cell.perpendicular_widths_nm[2] > np.ptp(ball.positions_nm[:, 2])
    whole = Atoms(["Au"] * ball.n, 10 * ball.positions_nm, cell=vectors, pbc=True)
    ase.io.write(tmp_path / "whole.extxyz", whole)
    assert read(tmp_path / "whole.extxyz", periodic="ab")[0].superlattice.cell.periodic.tolist() == [True, True, False]
    assert read(tmp_path / "whole.extxyz", periodic="none")[0].superlattice.cell is None
    with pytest.raises(InputError, match="letters abc, or none"):
        read(tmp_path / "whole.extxyz", periodic="xy")


def test_gsd(truth, tmp_path):
    """HOOMD's boxes have tilts where others have angles; bodies are numbered by their central particle."""
    hoomd = pytest.importorskip("gsd.hoomd", reason="gsd is not installed")
    n = truth[0].n
    bond = np.array([[0.6, 0.4, 0.3], [0, 0, 0], [-0.6, -0.4, -0.3]])
    with hoomd.open(str(tmp_path / "run.gsd"), "w") as file:
        for k, expected in enumerate(truth):
            frame = hoomd.Frame()
            a, b, c = expected.cell.vectors_nm
            frame.configuration.box = [a[0], b[1], c[2], b[0] / b[1], c[0] / c[2], c[1] / c[2]]
            frame.configuration.step = k
            within = expected.cell.wrap((expected.positions_nm[:, None] + bond).reshape(-1, 3))
            frame.particles.N = 3 * n + 1
            # HOOMD's origin is the middle of the box.
            frame.particles.position = np.concatenate([within, [[0, 0, 0]]]) - (a + b + c) / 2
            frame.particles.types = ["ligand", "core"]
            frame.particles.typeid = [*np.tile([0, 1, 0], n), 0]
            frame.particles.mass = [*np.tile([2.0, 5.0, 2.0], n), 1.0]
            frame.particles.body = [*np.repeat(3 * np.arange(n) + 1, 3), -1]
            file.append(frame)
    for reading in ({"selection": "type core"}, {"selection": f"not index {3 * n}", "centres": "molecule"}):
        frames = read(tmp_path / "run.gsd", length_unit="nm", **reading)
        assert max(deviation(f.superlattice, t) for f, t in zip(frames, truth, strict=True)) < 1e-5
        assert np.isnan([frame.time_ns for frame in frames]).all()
    with pytest.raises(InputError, match="some atoms belong to no molecule; leave them out with --select"):
        read(tmp_path / "run.gsd", centres="molecule", length_unit="nm")
    with pytest.raises(InputError, match="not known; say with --length-unit"):
        read(tmp_path / "run.gsd")
    (tmp_path / "cut.gsd").write_bytes((tmp_path / "run.gsd").read_bytes()[:300])
    with pytest.raises(InputError, match=r"cut.gsd: gsd cannot read it|cut.gsd: frame 0 cannot be read"):
        read(tmp_path / "cut.gsd", length_unit="nm")


@pytest.fixture(scope="module")
def lammps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lammps")
    script = Path(__file__).parents[1] / "lammps_frames.py"
    subprocess.run([sys.executable, script, folder], check=True, env=ENVIRONMENT, timeout=120)
    truth = np.load(folder / "truth.npz")
    cells = [Cell(vectors / 10, [True, True, False]) for vectors in truth["cells"]]
    places = [Superlattice(x / 10, cell=cell) for x, cell in zip(truth["positions"], cells, strict=True)]
    return folder, places, truth["masses"]


@pytest.mark.parametrize("name", ["scaled.lammpstrj", "wrapped.dump", "unwrapped.txt", "both.lammpstrj"])
def test_dumps_are_as_in_the_memory_of_lammps(lammps, name):
    folder, places, _ = lammps
    frames = read(folder / name)
    assert [frame.superlattice.n for frame in frames] == [30] * N_FRAMES
    # Six digits are in the dumps.
    assert max(deviation(f.superlattice, t) for f, t in zip(frames, places, strict=True)) < 1e-4
    if name.startswith("scaled"):
        assert [frame.time_ns for frame in frames] == pytest.approx([0, 1e-5, 2e-5, 3e-5])


def test_units_of_dumps(lammps, tmp_path):
    folder, places, _ = lammps
    text = (folder / "scaled.lammpstrj").read_text()
    for units, scale, time_ns in (("metal", 1, 1e-2), ("nano", 10, 10.0)):
        (tmp_path / "run.dump").write_text(text.replace("real", units, 1))
        frame = read(tmp_path / "run.dump")[1]
        assert frame.superlattice.cell.vectors_nm == pytest.approx(scale * places[1].cell.vectors_nm, rel=1e-5)
        assert frame.time_ns == pytest.approx(time_ns)
        with pytest.raises(InputError, match="tells its unit of length itself"):
            read(tmp_path / "run.dump", length_unit="A" if units == "nano" else "nm")
    (tmp_path / "run.dump").write_text(text.replace("real", "lj", 1))
    with pytest.raises(InputError, match="not known; say with --length-unit"):
        read(tmp_path / "run.dump")
    frame = read(tmp_path / "run.dump", length_unit="nm")[1]
    assert frame.superlattice.cell.vectors_nm == pytest.approx(10 * places[1].cell.vectors_nm, rel=1e-5)
    assert np.isnan(frame.time_ns)


def test_dcd_and_data_of_lammps(lammps):
    folder, places, _ = lammps
    frames = read(folder / "run.dcd", topology=folder / "end.data", periodic="ab")
    assert max(deviation(f.superlattice, t) for f, t in zip(frames, places, strict=True)) < 1e-4
    assert np.isnan([frame.time_ns for frame in frames]).all()  # they are fs there, and AKMA units elsewhere
    (last,) = read(folder / "end.data", periodic="ab")
    assert deviation(last.superlattice, places[-1]) < 1e-9
    assert read(folder / "end.data")[0].superlattice.cell.periodic.all()


def test_a_dump_takes_what_it_does_not_tell_from_a_data_file(lammps):
    folder, places, masses = lammps
    heavy = np.arange(10, 20)
    of_type = read(folder / "wrapped.dump", selection="type 2")
    with_topology = read(folder / "both.lammpstrj", topology=folder / "end.data", selection="type 2")
    for one, other, whole in zip(of_type, with_topology, places, strict=True):
        expected = Superlattice(whole.positions_nm[heavy], cell=whole.cell)
        assert deviation(one.superlattice, expected) < 1e-4
        assert deviation(other.superlattice, expected) < 1e-4
    assert masses[heavy].tolist() == [30] * 10
    with pytest.raises(InputError, match="the file does not tell that of its atoms"):
        read(folder / "both.lammpstrj", selection="type 2")


def test_damaged_dumps(lammps, tmp_path):
    folder = lammps[0]
    text = (folder / "wrapped.dump").read_text()
    (tmp_path / "cut.dump").write_text(text[:-100])
    with pytest.warns(SimscWarning, match="ends in the middle of a frame; its 3 whole ones are read"):
        frames = read(tmp_path / "cut.dump")
    assert len(frames) == 3
    (tmp_path / "stub.dump").write_text(text[:300])
    with pytest.raises(InputError, match="has not one whole frame"):
        read(tmp_path / "stub.dump")
    lines = text.splitlines(keepends=True)
    del lines[12]
    (tmp_path / "lost.dump").write_text("".join(lines))
    with pytest.raises(InputError, match="frame 0 cannot be read \\(has fewer than 30 atoms\\)"):
        read(tmp_path / "lost.dump")
    (tmp_path / "twice.dump").write_text(text.replace("\n1 1 ", "\n1 2 "))
    with pytest.raises(InputError, match="the same id twice"):
        read(tmp_path / "twice.dump")
    frame = text[: text.index("ITEM: TIMESTEP", 10)]
    fewer = frame.replace("ATOMS\n30", "ATOMS\n29")
    (tmp_path / "fewer.dump").write_text(frame + fewer[: fewer.rindex("\n", 0, -1) + 1])
    with pytest.raises(InputError, match="frame 1 has 29 atoms, frame 0 had 30; NPs cannot be followed"):
        read(tmp_path / "fewer.dump")
    (tmp_path / "other.dump").write_text(frame + frame.replace("\n1 7 ", "\n1 77 "))
    with pytest.raises(InputError, match="frame 1 has other atoms than the first"):
        read(tmp_path / "other.dump")
    (tmp_path / "nameless.dump").write_text((frame * 2).replace("type id x", "type i x"))
    with pytest.raises(InputError, match="has no column id"):
        read(tmp_path / "nameless.dump")
    assert len(read(tmp_path / "nameless.dump", [1])) == 1
    (tmp_path / "placeless.dump").write_text(frame.replace("id x", "id vx"))
    with pytest.raises(InputError, match="no columns x y z"):
        read(tmp_path / "placeless.dump")


def test_nps_of_our_own_data_files(tmp_path, rng):
    """One NP wide, cores wider than half the cell, all atoms wrapped into it."""
    cell = close_packed(PAPER, 6.2, radius_nm=2.0)
    (tmp_path / "system.data").write_text(dress_chains(cell, load_chains(), rng).data)
    (centres,) = read(tmp_path / "system.data", selection="type 1")
    assert deviation(centres.superlattice, cell) < 1e-5
    atoms = ase.io.read(tmp_path / "system.data", format="lammps-data", units="real")
    core = np.isin(atoms.arrays["type"], [1, 2])
    expected = [
        np.average(atoms.positions[chosen], axis=0, weights=atoms.get_masses()[chosen]) / 10
        for chosen in (core & (atoms.arrays["mol-id"] == k + 1) for k in range(24))
    ]
    atoms.wrap()
    table = np.column_stack([np.arange(1, len(atoms) + 1), atoms.arrays["mol-id"], atoms.arrays["type"]])
    rows = [f"{i} {m} {t} {x:.9f} {y:.9f} {z:.9f}" for (i, m, t), (x, y, z) in zip(table, atoms.positions, strict=True)]
    head = (tmp_path / "system.data").read_text().split("Atoms")[0]
    (tmp_path / "wrapped.data").write_text(f"{head}Atoms # angle\n\n" + "\n".join(rows) + "\n")
    (found,) = read(tmp_path / "wrapped.data", selection="type 1 2", centres="molecule")
    assert deviation(found.superlattice, Superlattice(expected, cell=cell.cell)) < 1e-5
    assert deviation(found.superlattice, cell) < 0.05  # heads do not lie about their centre evenly
    with pytest.raises(InputError, match=r"wrapped.data: frame 0: molecule \d+: is wider than half the cell along a"):
        read(tmp_path / "wrapped.data", centres="molecule")
    (tmp_path / "mute.data").write_text(f"{head}Atoms\n\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match="its line Atoms needs the atom style, such as: Atoms # full"):
        read(tmp_path / "mute.data")


@pytest.mark.parametrize(
    ("name", "reading", "says"),
    [
        ("missing.xyz", {}, "missing.xyz: no such file"),
        ("a.xyz", {"topology": "missing.gro"}, "missing.gro: no such file"),
        ("a.xyz", {"topology": "text.psf"}, "text.psf: MDAnalysis"),
        ("text.xyz", {}, "text.xyz: ASE cannot read it"),
        ("text.dcd", {}, "holds positions only; give --topology"),
        ("text.dcd", {"topology": "a.pdb"}, "text.dcd: MDAnalysis"),
        ("text.gro", {}, "text.gro: MDAnalysis"),
        ("a.xyz", {"centres": "molecule"}, "a.xyz: --centres molecule: the file has no molecule numbers"),
        ("a.xyz", {"selection": "type Xx"}, "a.xyz: --select 'type Xx': matches none of 1 atoms"),
        ("grows.xyz", {}, "frame 1 has 2 atoms, frame 0 had 1; NPs cannot be followed"),
        ("empty.xyz", {}, "empty.xyz:"),
        ("cut.xyz", {}, "cut.xyz: ASE cannot read it"),
    ],
)
def test_bad_files_are_told_in_one_line(tmp_path, name, reading, says):
    (tmp_path / "a.xyz").write_text("1\n\nAu 1 2 3\n")
    (tmp_path / "grows.xyz").write_text("1\n\nAu 1 2 3\n2\n\nAu 1 2 3\nAu 4 5 6\n")
    (tmp_path / "cut.xyz").write_text("1\n\nAu 1 2 3\n2\n\nAu 1 2 3\n")
    (tmp_path / "empty.xyz").write_text("")
    ase.io.write(tmp_path / "a.pdb", Atoms("Au", [[1, 2, 3]]))
    for ending in ("xyz", "psf", "dcd", "gro"):
        (tmp_path / f"text.{ending}").write_text("no structure")
    if "topology" in reading:
        reading = reading | {"topology": tmp_path / reading["topology"]}
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        read(tmp_path / name, **reading)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ("2", [2]),
        ("-1", [5]),
        ("1:3", [1, 2, 3]),
        (":2", [0, 1, 2]),
        ("-2:", [4, 5]),
        ("::2", [0, 2, 4]),
        ("1:-1:3", [1, 4]),
    ],
)
def test_frames_are_chosen(text, expected):
    assert list(chosen_frames(text, 6, Path("x"))) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("6", "x has 6 frames, 0 to 5"),
        ("-7:", "x has 6 frames"),
        ("0:6", "x has 6 frames"),
        ("3:1", "first ≤ last"),
        ("::0", "step of at least 1"),
        ("a:b", "needs first:last:step"),
        ("0:1:1:1", "needs first:last:step"),
        ("", "needs first:last:step"),
    ],
)
def test_frames_that_are_not_there(text, says):
    with pytest.raises(InputError, match=says):
        chosen_frames(text, 6, Path("x"))


def test_own_files_tell_themselves_what_they_are(tmp_path, truth):
    write_superlattice(tmp_path / "one.h5", truth[0], provenance())
    opened = open_frames(tmp_path / "one.h5")
    assert len(opened) == 1
    assert deviation(next(opened.frames([0])).superlattice, truth[0]) == 0
    for reading in (Reading(centres="molecule"), Reading(length_unit="nm"), replace(Reading(), selection="all")):
        with pytest.raises(InputError, match="is simsc's own"):
            open_frames(tmp_path / "one.h5", reading)
    with pytest.raises(InputError, match="is no run folder, or its annealing has no frame yet"):
        open_frames(tmp_path)


TURNED = Rotation.random(24, rng=np.random.default_rng(3))
KNOWN = close_packed("ABCABCABABAB", 6.2, radius_nm=2.0)
KNOWN = KNOWN.with_radii(np.linspace(1.9, 2.1, KNOWN.n)).with_orientations(TURNED)


@pytest.mark.parametrize("name", ["np.xyz", "np.gsd"])
def test_radii_and_orientations_of_files_are_taken_over(name, tmp_path):
    if name == "np.gsd":
        pytest.importorskip("gsd")
    write_frames(tmp_path / name, [DescribedFrame(Frame(KNOWN))] * 2)
    for frame in read(tmp_path / name, length_unit="A"):
        assert np.allclose(frame.superlattice.radii_nm, KNOWN.radii_nm, rtol=1e-6)
        assert np.allclose(frame.superlattice.orientations, KNOWN.orientations, atol=1e-5)
    (of_nm,) = read(tmp_path / name, [0], length_unit="nm")
    assert np.allclose(of_nm.superlattice.radii_nm, 10 * KNOWN.radii_nm, rtol=1e-6)
    (some,) = read(tmp_path / name, [0], selection="index 3:5", length_unit="A")
    assert np.allclose(some.superlattice.radii_nm, KNOWN.radii_nm[3:6], rtol=1e-6)
    assert len(some.superlattice.orientations) == 3


def test_radii_of_ase_go_by_either_name_and_not_to_groups(tmp_path):
    atoms = Atoms("X4", np.diag([0, 62, 124])[[0, 1, 2, 0]] + np.arange(4)[:, None])
    atoms.set_array("radii", np.full(4, 20.0))
    atoms.set_array("mol-id", np.array([1, 1, 2, 2]))
    ase.io.write(tmp_path / "np.extxyz", atoms)
    assert read(tmp_path / "np.extxyz")[0].superlattice.radii_nm.tolist() == [2.0] * 4
    assert read(tmp_path / "np.extxyz", centres="molecule")[0].superlattice.radii_nm is None


@pytest.mark.parametrize("radii", [[0, 20, 20], [-1, -1, -1], [np.nan, 20, 20]])
def test_radii_that_are_none_are_left_out_with_a_note(radii, tmp_path):
    atoms = Atoms("X3", np.diag([0, 62, 124]))
    atoms.set_array("radius", np.array(radii, dtype=float))
    ase.io.write(tmp_path / "np.extxyz", atoms)
    with pytest.warns(SimscWarning, match="none of NPs .* left out"):
        assert read(tmp_path / "np.extxyz")[0].superlattice.radii_nm is None


def test_defaults_of_gsd_are_no_radii(tmp_path):
    pytest.importorskip("gsd")
    write_frames(tmp_path / "np.gsd", [DescribedFrame(Frame(close_packed("ABC", 6.2)))])
    (frame,) = read(tmp_path / "np.gsd", length_unit="A")
    assert frame.superlattice.radii_nm is None
    assert frame.superlattice.orientations is None


def test_commands_take_the_radii_of_a_file_unless_others_are_asked_for(tmp_path):
    write_frames(tmp_path / "ball.xyz", [DescribedFrame(Frame(ball("fcc", 16.0, n=55, radius_nm=7.4)))])
    for radius, options in ((7.4, []), (6.0, ["--radius", "6"])):
        words = ["scatter", str(tmp_path / "ball.xyz"), *options, "--grid", "65", "-o", str(tmp_path / "i.h5")]
        assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
        brightest = np.nanmax(read_intensity(tmp_path / "i.h5").intensity)
        assert brightest == pytest.approx((55 * 4 / 3 * np.pi * radius**3) ** 2, rel=1e-4)


def test_units_of_length_are_known_ones(tmp_path):
    ase.io.write(tmp_path / "np.xyz", Atoms("X"))
    with pytest.raises(InputError, match="'angstrom' is not known; it is nm or A"):
        read(tmp_path / "np.xyz", length_unit="angstrom")
