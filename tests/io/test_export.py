"""Exports, read back by the programs that they are for: ASE, OVITO, gsd, mrcfile, VTK, silx; and by simsc itself."""

import csv
import json
import math

import ase.io
import gsd.hoomd
import mrcfile
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.cli.main import cli
from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.superlattice import Frame, Superlattice
from simsc.io.map_table import write_map_table
from simsc.io.native import (
    write_intensity,
    write_map,
    write_shells,
    write_superlattice,
)
from simsc.io.structure_files import Reading, StructureFile
from simsc.io.structure_formats import write_frames
from simsc.io.structure_writers import DescribedFrame
from simsc.io.volume_files import read_volume
from simsc.io.volume_formats import write_volume

SEED = st.integers(0, 2**32 - 1)


def leaning(seed: int, periodic=(True, True, True)) -> Superlattice:
    """NPs anywhere, also outside of their cell, which leans and is turned in space."""
    rng = np.random.default_rng(seed)
    cell = np.tril(rng.uniform(-1.5, 1.5, (3, 3)), -1) + np.diag(rng.uniform(5, 9, 3))
    turn = Rotation.random(rng=rng)
    return Superlattice(
        rng.uniform(-12, 12, (7, 3)),
        rng.uniform(1.5, 2.5, 7),
        Cell(cell @ turn.as_matrix().T, periodic),
        Rotation.random(7, rng=rng).as_quat(),
    )


def frames_of(superlattice: Superlattice, n: int = 1) -> list[DescribedFrame]:
    names = np.array(["fcc", "hcp", "five-fold", "other", "fcc", "hcp", "surface"])[: superlattice.n]
    properties = {"label": names, "layer": np.arange(len(names)), "q4": np.linspace(0, 0.2, len(names))}
    return [DescribedFrame(Frame(superlattice, 0.25 * k, "hold"), properties) for k in range(n)]


def invariants(superlattice: Superlattice) -> np.ndarray:
    """Vectors between NPs in units of the cell, between 0 and 1: alike however cell and NPs are turned and moved."""
    assert superlattice.cell is not None
    places = superlattice.cell.fractional(superlattice.positions_nm)
    between = places[:, None] - places
    return between - np.floor(between + 1e-6)


@pytest.mark.parametrize("ending", ["xyz", "extxyz", "gsd", "data", "cif"])
@settings(max_examples=10, deadline=None)
@given(seed=SEED)
def test_structures_come_back(ending, seed, tmp_path_factory):
    there = leaning(seed)
    path = tmp_path_factory.mktemp("export") / f"frames.{ending}"
    assert write_frames(path, frames_of(there)) == 1
    found = next(StructureFile(path, Reading(length_unit="A" if ending == "gsd" else None)).frames([0]))
    back = found.superlattice
    assert back.cell is not None
    np.testing.assert_allclose(back.cell.parameters, there.cell.parameters, rtol=2e-6)
    difference = invariants(back) - invariants(there)
    np.testing.assert_allclose(difference - np.round(difference), 0, atol=1e-5)


def test_extended_xyz_holds_frames_times_and_directions(tmp_path):
    there = leaning(3, (True, True, False))
    path = tmp_path / "frames.xyz"
    assert write_frames(path, frames_of(there, 3)) == 3
    images = ase.io.read(path, ":")
    assert [image.info["time_ns"] for image in images] == [0, 0.25, 0.5]
    last = images[-1]
    assert last.pbc.tolist() == [True, True, False]
    np.testing.assert_allclose(last.positions, 10 * there.positions_nm, atol=1e-5)
    np.testing.assert_allclose(last.cell, 10 * there.cell.vectors_nm, atol=1e-7)
    np.testing.assert_allclose(last.arrays["radius"], 10 * there.radii_nm, rtol=1e-6)
    assert last.arrays["label"].tolist()[2] == "five-fold"


def test_names_of_phases_cannot_break_a_line(tmp_path):
    path = tmp_path / "frames.xyz"
    hostile = 'a" Lattice="0\nX 0 0 0'
    write_frames(path, [DescribedFrame(Frame(leaning(1), 0.0, hostile))])
    image = ase.io.read(path)
    assert len(image) == 7
    assert image.info["phase"] == "a_ Lattice__0_X 0 0 0"


def test_ovito_shows_labels_as_properties_of_particles(tmp_path):
    io = pytest.importorskip("ovito.io")
    there = leaning(5)
    write_frames(tmp_path / "frames.xyz", frames_of(there, 2))
    pipeline = io.import_file(str(tmp_path / "frames.xyz"))
    assert pipeline.num_frames == 2
    particles = pipeline.compute(1).particles
    assert list(particles["label"][...])[:3] == ["fcc", "hcp", "five-fold"]
    assert particles["Structure Type"][...].tolist() == [1, 2, 0, 0, 1, 2, 0]
    np.testing.assert_allclose(particles["Radius"][...], 10 * there.radii_nm, rtol=1e-6)
    np.testing.assert_allclose(np.abs((particles["Orientation"][...] * there.orientations).sum(axis=1)), 1, atol=1e-6)
    write_frames(tmp_path / "frames.gsd", frames_of(there, 2))
    particles = io.import_file(str(tmp_path / "frames.gsd")).compute(1).particles
    names = {kind.id: kind.name for kind in particles.particle_types.types}
    assert [names[k] for k in particles.particle_types[...]][:3] == ["fcc", "hcp", "five-fold"]
    np.testing.assert_allclose(particles["q4"][...], np.linspace(0, 0.2, 7), rtol=1e-6)


def test_gsd_holds_what_bodies_are_turned_by(tmp_path):
    there = leaning(8)
    path = tmp_path / "frames.gsd"
    write_frames(path, frames_of(there))
    with gsd.hoomd.open(path) as file:
        particles = file[0].particles
        x, y, z, xy, xz, yz = file[0].configuration.box
    vectors = np.array([[x, 0, 0], [xy * y, y, 0], [xz * z, yz * z, z]])
    # In the frame of the cell: a vector of each body, before and after, in units of the cell.
    axes = Rotation.from_quat(np.roll(particles.orientation, -1, axis=1)).apply([1, 0, 0]) @ np.linalg.inv(vectors)
    known = Rotation.from_quat(there.orientations).apply([1, 0, 0]) @ np.linalg.inv(10 * there.cell.vectors_nm)
    np.testing.assert_allclose(axes, known, atol=1e-6)
    places = particles.position @ np.linalg.inv(vectors)
    assert (np.abs(places) <= 0.5 + 1e-6).all()
    unwrapped = places + 0.5 + particles.image
    np.testing.assert_allclose(unwrapped, there.cell.fractional(there.positions_nm), atol=1e-5)


def test_crystals_in_free_space_say_what_a_format_cannot_tell(tmp_path):
    ball = Superlattice(leaning(2).positions_nm, 2.0)
    distances = np.linalg.norm(ball.positions_nm[:, None] - ball.positions_nm, axis=-1)
    for ending in ("gsd", "data"):
        path = tmp_path / f"ball.{ending}"
        with pytest.warns(SimscWarning, match="does not tell which directions are periodic"):
            write_frames(path, frames_of(ball))
        back = next(StructureFile(path, Reading(length_unit="A", periodic="none")).frames([0])).superlattice
        found = np.linalg.norm(back.positions_nm[:, None] - back.positions_nm, axis=-1)
        np.testing.assert_allclose(found, distances, atol=1e-5)
    write_frames(tmp_path / "ball.xyz", frames_of(ball))
    assert next(StructureFile(tmp_path / "ball.xyz").frames([0])).superlattice.cell is None
    with pytest.raises(InputError, match=r"ball\.cif: a CIF needs a cell"):
        write_frames(tmp_path / "ball.cif", frames_of(ball))


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no structure is written with this ending; these are \.xyz"):
        write_frames(tmp_path / "a.pdb", frames_of(leaning(1)))
    for ending in ("data", "cif"):
        with pytest.raises(InputError, match="this format holds one frame"):
            write_frames(tmp_path / f"a.{ending}", frames_of(leaning(1), 2))
    with pytest.raises(InputError, match="no frame"):
        write_frames(tmp_path / "a.xyz", [])
    with pytest.raises(InputError, match="no volume is written with this ending"):
        write_volume(tmp_path / "a.raw", volume())
    with pytest.raises(InputError, match="cannot be written"):
        write_frames(tmp_path / "nowhere" / "a.xyz", frames_of(leaning(1)))
    assert not list(tmp_path.iterdir())


def test_tables_hold_each_np_of_each_frame(tmp_path):
    there = leaning(6)
    write_frames(tmp_path / "a.csv", frames_of(there, 2))
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 14
    assert [rows[9][name] for name in ("frame", "time_ns", "np", "label", "layer")] == [
        "1",
        "0.25",
        "2",
        "five-fold",
        "2",
    ]
    np.testing.assert_allclose([float(rows[9][f"{x}_nm"]) for x in "xyz"], there.positions_nm[2], rtol=1e-8)


def volume(masked: bool = True) -> IntensityVolume:
    rng = np.random.default_rng(4)
    axes = tuple(np.linspace(-a, 1.1 * a, n) for a, n in ((0.5, 6), (0.6, 7), (0.7, 9)))
    measured = rng.random((6, 7, 9)) > 0.2 if masked else None
    values = rng.random((6, 7, 9)).astype("f4")
    return IntensityVolume(values if measured is None else np.where(measured, values, np.nan), axes, measured)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("ending", ["mrc", "vtk", "npz"])
def test_volumes_come_back_by_themselves(ending, masked, tmp_path):
    there, path = volume(masked), tmp_path / f"volume.{ending}"
    write_volume(path, there)
    back = read_volume(path)
    np.testing.assert_array_equal(back.intensity, there.intensity)
    for one, other in zip(back.q_axes_inv_nm, there.q_axes_inv_nm, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert (back.measured is None) == (not masked)
    if masked:
        np.testing.assert_array_equal(back.measured, there.measured)


def test_paraview_reads_volumes(tmp_path):
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    there = volume()
    write_volume(tmp_path / "volume.vtk", there)
    reader = vtk.vtkStructuredPointsReader()
    reader.SetFileName(str(tmp_path / "volume.vtk"))
    reader.ReadAllScalarsOn()
    reader.Update()
    found = reader.GetOutput()
    assert found.GetDimensions() == there.intensity.shape
    np.testing.assert_allclose(found.GetOrigin(), [axis[0] for axis in there.q_axes_inv_nm])
    np.testing.assert_allclose(found.GetSpacing(), [np.diff(axis).mean() for axis in there.q_axes_inv_nm])
    arrays = {found.GetPointData().GetArrayName(k): found.GetPointData().GetArray(k) for k in range(2)}
    values = vtk_to_numpy(arrays["intensity"]).reshape(there.intensity.shape, order="F")
    np.testing.assert_array_equal(values, there.intensity)
    measured = vtk_to_numpy(arrays["measured"]).reshape(there.intensity.shape, order="F")
    np.testing.assert_array_equal(measured, there.measured)


def test_mrcfile_finds_nothing_wrong(tmp_path):
    there = volume(masked=False)
    write_volume(tmp_path / "volume.mrc", there)
    assert mrcfile.validate(tmp_path / "volume.mrc")
    with mrcfile.open(tmp_path / "volume.mrc") as file:
        np.testing.assert_array_equal(file.data.T, there.intensity)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-300], "measured is cut short"),
        (lambda text: text.replace(b"DIMENSIONS 6 7 9", b"DIMENSIONS 2000 2000 2000"), "intensity is cut short"),
        (lambda text: text.replace(b"BINARY", b"ASCII"), "needs BINARY"),
        (lambda text: text.replace(b"STRUCTURED_POINTS", b"POLYDATA"), "needs BINARY and DATASET STRUCTURED_POINTS"),
        (lambda text: text.replace(b"SCALARS", b"VECTORS"), "only single SCALARS"),
        (lambda text: text.replace(b"DIMENSIONS 6", b"DIMENSIONS 0"), "not a volume"),
        (lambda text: text.replace(b"SPACING", b"SPACES!"), "volume.vtk: "),
    ],
)
def test_damaged_vtk_is_told(damage, says, tmp_path):
    path = tmp_path / "volume.vtk"
    write_volume(path, volume())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=says):
        read_volume(path)


def test_vtk_of_others_has_to_be_told_its_unit(tmp_path):
    path = tmp_path / "volume.vtk"
    write_volume(path, volume(masked=False))
    path.write_bytes(path.read_bytes().replace(b"intensity by simsc", b"intensity by other"))
    with pytest.raises(InputError, match="does not tell the unit"):
        read_volume(path)


def test_silx_plots_volumes_and_maps(tmp_path):
    io = pytest.importorskip("silx.io")
    nxdata = pytest.importorskip("silx.io.nxdata")
    write_intensity(tmp_path / "volume.h5", volume(), {})
    write_map(tmp_path / "map.h5", correlation(), {})
    for name, axes in (("volume", ["qx", "qy", "qz"]), ("map", ["q2", "delta"])):
        with io.open(str(tmp_path / f"{name}.h5")) as file:
            data = nxdata.get_default(file)
            assert data.is_valid
            assert list(data.axes_dataset_names) == axes


def correlation() -> CorrelationMap:
    q2, delta = np.array([0.4, 0.5]), np.array([0.0, 45.0, 90.0])
    ccf = np.array([[1.0, 0.5, np.nan], [0.1, 0.2, 0.3]])
    return CorrelationMap(0.48, q2, delta, ccf, np.isfinite(ccf) * 0.9, np.ones(2), np.full((2, 3), 0.04))


def test_maps_become_tables(tmp_path):
    write_map_table(tmp_path / "map.csv", correlation())
    rows = list(csv.DictReader((tmp_path / "map.csv").open()))
    assert [row["delta_deg"] for row in rows] == ["0", "45", "90"] * 2
    assert [float(rows[1][name]) for name in ("q1_inv_nm", "q2_inv_nm", "ccf", "coverage", "standard_error")] == [
        0.48, 0.4, 0.5, 0.9, 0.2,
    ]  # fmt: skip
    assert math.isnan(float(rows[2]["ccf"]))


def invoke(*words: object):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_command_finds_out_what_a_file_holds(tmp_path):
    lattice = close_packed("ABCABCABABAB", d_nn_nm=6.2, lateral=(2, 2), radius_nm=2.0)
    write_superlattice(tmp_path / "lattice.h5", lattice, {})
    write_intensity(tmp_path / "volume.h5", volume(), {})
    write_map(tmp_path / "map.h5", correlation(), {})
    for source, output, says in (
        ("lattice.h5", "a.xyz", "1 frame, without labels"),
        ("a.xyz", "a.cif", "1 frame, without labels"),
        ("volume.h5", "a.vtk", "6 × 7 × 9 voxels"),
        ("map.h5", "a.csv", "6 values"),
    ):
        result = invoke("export", tmp_path / source, "-o", tmp_path / output)
        assert result.exit_code == 0, result.output
        assert says in result.output
    assert invoke("classify", tmp_path / "lattice.h5", "--frames", "0:0", "-o", tmp_path / "order").exit_code == 0
    result = invoke("export", tmp_path / "a.xyz", "--order", tmp_path / "order", "-o", tmp_path / "b.xyz")
    assert "with labels" in result.output
    labels = ase.io.read(tmp_path / "b.xyz").arrays["label"]
    assert sorted(np.unique(labels, return_counts=True)[1]) == [48, 48]
    for source, output, option, says in (
        ("volume.h5", "b.vtk", ("--frames", "0"), "is no structure; leave out the options"),
        ("lattice.h5", "lattice.h5", (), "is the input"),
        ("a.vtk", "b.xyz", (), "a.vtk"),
        ("lattice.h5", "b.xyz", ("--order", tmp_path), "no such file"),
    ):
        result = invoke("export", tmp_path / source, *option, "-o", tmp_path / output)
        assert isinstance(result.exception, InputError), result.output
        assert says in str(result.exception)


def test_an_order_of_other_nps_is_refused(tmp_path):
    for name, lateral in (("small", (1, 1)), ("large", (2, 2))):
        lattice = close_packed("ABCABC", d_nn_nm=6.2, lateral=lateral, radius_nm=2.0)
        write_superlattice(tmp_path / f"{name}.h5", lattice, {})
    invoke("classify", tmp_path / "small.h5", "--frames", "0:0", "-o", tmp_path / "order")
    result = invoke("export", tmp_path / "large.h5", "--order", tmp_path / "order", "-o", tmp_path / "b.xyz")
    assert "has 48 NPs, and the order is that of 12" in str(result.exception)


def test_pictures_of_structures(tmp_path):
    """One frame of a run, with labels of its order or without; several frames are no picture."""
    lattice, order, picture = tmp_path / "l.h5", tmp_path / "order", tmp_path / "l.svg"
    write_superlattice(lattice, close_packed("ABCAB", 6.2, (2, 2)), {})
    assert CliRunner().invoke(cli, ["classify", str(lattice), "-o", str(order)]).exit_code == 0
    told = CliRunner().invoke(cli, ["export", str(lattice), "--order", str(order), "-o", str(picture), "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["labels"] is True
    drawn = picture.read_text()
    assert "<!-- l: 40 NPs -->" in drawn
    assert "<!-- hcp: " in drawn
    two = tmp_path / "two.xyz"
    write_frames(two, iter(frames_of(leaning(1), 2)))
    told = CliRunner().invoke(cli, ["export", str(two), "-o", str(picture)])
    assert "a picture shows one frame of 2" in str(told.exception)


def test_pictures_of_spheres(tmp_path):
    """The spheres nearest to 111, 220 and 311, were the first bright peak 111; nothing else is written of them."""
    q = np.linspace(0.4, 0.9, 51)
    bright = np.exp(-0.5 * ((q - 0.5) / 0.01) ** 2) + 0.01
    directions, _ = shell_grid(12, 24)
    shells = [(ShellIntensity(x, b * (1 + directions[..., 0] ** 2)), None) for x, b in zip(q, bright, strict=True)]
    write_shells(tmp_path / "s.h5", shells, {})
    told = CliRunner().invoke(cli, ["export", str(tmp_path / "s.h5"), "-o", str(tmp_path / "s.svg")])
    assert told.exit_code == 0, told.output
    drawn = (tmp_path / "s.svg").read_text()
    assert "q = 0.500 nm" in drawn
    assert "q = 0.820 nm" in drawn
    told = CliRunner().invoke(cli, ["export", str(tmp_path / "s.h5"), "-o", str(tmp_path / "s.vtk")])
    assert "only pictures are written" in str(told.exception)
