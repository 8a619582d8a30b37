"""Cells by their parameters, primitive and face-centred ones, and pillars cut out of them."""

import numpy as np
import pytest
from ase.geometry import cell_to_cellpar, cellpar_to_cell
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simsc.builders.pillar import pillar
from simsc.builders.supraparticle import ball
from simsc.core.cell import Cell
from simsc.core.centring import face_centred_cell, primitive_cell
from simsc.core.errors import InputError

# Table 1 of Lapkin et al., ACS Nano 2025, 19, 42881: primitive cell, face-centred cell, its uncertainties; and which of
# our face-centred edges the table calls a, b and c.
TABLE_1 = {
    "Pillar 1 (HT)": (
        (16.8, 17.0, 17.8, 58.7, 60.8, 68.5),
        (22.2, 26.5, 25.6, 93.8, 91.1, 91.7),
        (0.3, 0.7, 0.6, 2.4, 2.0, 1.8),
        (2, 0, 1),
    ),
    "Pillar 2 (HT)": (
        (17.1, 17.4, 17.8, 57.0, 63.5, 60.9),
        (23.6, 26.2, 24.3, 93.3, 88.9, 89.0),
        (0.4, 0.4, 0.4, 1.5, 1.6, 1.5),
        (1, 0, 2),
    ),
    "Pillar 3 (before HT)": (
        (18.2, 16.9, 17.0, 61.3, 58.1, 61.3),
        (24.5, 23.7, 25.8, 93.1, 86.8, 91.1),
        (0.8, 0.9, 0.6, 2.5, 2.3, 2.0),
        (2, 0, 1),
    ),
    "Pillar 3 (after HT)": (
        (18.0, 16.8, 16.9, 61.5, 58.4, 61.6),
        (24.4, 23.7, 25.6, 93.1, 87.0, 91.1),
        (1.0, 0.8, 0.7, 2.4, 2.7, 2.6),
        (2, 0, 1),
    ),
}
PILLAR_1 = Cell.from_parameters(*TABLE_1["Pillar 1 (HT)"][0])
FCC = Cell.from_parameters(16.0, 16.0, 16.0, 60, 60, 60)

lengths = st.tuples(*[st.floats(5.0, 40.0)] * 3)
angles = st.tuples(*[st.floats(20.0, 150.0)] * 3)


def is_a_cell(alpha: float, beta: float, gamma: float) -> bool:
    """Tell whether three angles leave a volume: Gram's determinant of unit vectors."""
    cosines = np.cos(np.radians([alpha, beta, gamma]))
    return 1 - (cosines**2).sum() + 2 * cosines.prod() > 1e-3


@given(lengths, angles)
def test_cells_by_their_parameters_are_those_of_ase(edges, tilts):
    assume(is_a_cell(*tilts))
    cell = Cell.from_parameters(*edges, *tilts)
    assert np.allclose(cell.vectors_nm, cellpar_to_cell([*edges, *tilts]), atol=1e-8)
    assert np.allclose(cell.parameters, [*edges, *tilts])
    turned = Cell(cell.vectors_nm @ Rotation.random(rng=1).as_matrix())
    assert np.allclose(turned.parameters, cell_to_cellpar(cell.vectors_nm))


@pytest.mark.parametrize("name", TABLE_1)
def test_the_right_half_of_table_1_follows_from_the_left(name):
    primitive, face_centred, errors, order = TABLE_1[name]
    p1, p2, p3 = Cell.from_parameters(*primitive).vectors_nm
    found = face_centred_cell(Cell.from_parameters(*primitive))
    assert np.allclose(found.vectors_nm, [-p1 + p2 + p3, p1 - p2 + p3, p1 + p2 - p3])
    named = found.parameters.reshape(2, 3)[:, list(order)].ravel()
    assert (np.abs(named - face_centred) < 0.25 * np.array(errors)).all()


def test_the_papers_names_of_the_edges_of_pillar_1():
    p1, p2, p3 = PILLAR_1.vectors_nm
    named = face_centred_cell(PILLAR_1).vectors_nm[[2, 0, 1]]
    assert np.allclose(named, [p1 + p2 - p3, -p1 + p2 + p3, p1 - p2 + p3])


@given(lengths, angles)
def test_primitive_and_face_centred_cells_are_of_one_lattice(edges, tilts):
    assume(is_a_cell(*tilts))
    primitive = Cell.from_parameters(*edges, *tilts)
    centred = face_centred_cell(primitive)
    assert centred.volume_nm3 == pytest.approx(4 * primitive.volume_nm3)
    assert np.allclose(primitive_cell(centred).vectors_nm, primitive.vectors_nm)
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) @ centred.vectors_nm
    fractional = primitive.fractional(sites)
    assert np.allclose(fractional, np.round(fractional), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.floats(12.0, 25.0)] * 3),
    st.tuples(*[st.floats(50.0, 120.0)] * 3),
    st.tuples(*[st.floats(30.0, 120.0)] * 3),
    st.tuples(*[st.integers(-2, 2)] * 6),
    st.tuples(*[st.floats(-2, 2)] * 3),
    st.sampled_from(["P", "F"]),
)
def test_a_pillar_holds_all_lattice_points_in_its_block(edges, tilts, size, directions, centre, centring):
    assume(is_a_cell(*tilts))
    cell = Cell.from_parameters(*edges, *tilts)
    axis, side = (np.array(part) @ cell.vectors_nm for part in (directions[:3], directions[3:]))
    assume(np.linalg.norm(np.cross(axis, side)) > 1e-3)
    built = pillar(cell, size, centring=centring, axis=directions[:3], side=directions[3:], centre=centre).positions_nm
    # Brute force: every point of a large lattice, projected on the directions.
    z = axis / np.linalg.norm(axis)
    x = side - (side @ z) * z
    x /= np.linalg.norm(x)
    frame = np.array([x, np.cross(z, x), z])
    primitive = cell if centring == "P" else primitive_cell(cell)
    reach = np.ceil(np.linalg.norm(size) / 2 / primitive.perpendicular_widths_nm).astype(int) + 1
    begin = np.round(primitive.fractional(np.array(centre) @ cell.vectors_nm))
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3) + begin
    points = (grid @ primitive.vectors_nm - np.array(centre) @ cell.vectors_nm) @ frame.T
    outside = np.abs(points) - np.array(size) / 2
    assume(np.abs(outside[(outside < 1e-3).all(axis=1)]).min(initial=1) > 1e-6)
    expected = points[(outside <= 0).all(axis=1)]
    assert len(built) == len(expected)
    assert cKDTree(expected).query(built)[0].max() < 1e-8


def test_counts_in_closed_form():
    """n cubic cells of fcc an edge, faces included: 4 n³ + 6 n² + 3 n + 1 NPs; a primitive cube (n + 1)³."""
    for n in (1, 2, 5, 20):
        cubic = Cell.orthorhombic(22.6, 22.6, 22.6)
        size = (22.6 * n,) * 3
        corner = (n / 2,) * 3
        assert pillar(cubic, size, centring="F", centre=corner).n == 4 * n**3 + 6 * n**2 + 3 * n + 1
        assert pillar(cubic, size, centre=corner).n == (n + 1) ** 3
        assert pillar(cubic, n=(n + 1) ** 3, centre=corner).n == (n + 1) ** 3


def test_faces_are_where_they_should_be():
    built = pillar(PILLAR_1, (400.0, 300.0, 700.0), axis=(1, 1, 1), side=(1, -1, 0)).positions_nm
    assert np.abs(built).max(axis=0) == pytest.approx([200, 150, 350], abs=10)
    assert (np.abs(built).max(axis=0) <= [200, 150, 350]).all()
    assert len(built) == pytest.approx(400 * 300 * 700 / PILLAR_1.volume_nm3, rel=0.02)
    along = PILLAR_1.vectors_nm.sum(axis=0)
    assert cKDTree(built).query([[0, 0, np.linalg.norm(along)]])[0][0] < 1e-9  # [111] stands along z
    side = PILLAR_1.vectors_nm[0] - PILLAR_1.vectors_nm[1]
    tilt = side @ along / np.linalg.norm(along)
    assert cKDTree(built).query([[np.sqrt(side @ side - tilt**2), 0, tilt]])[0][0] < 1e-9


def test_exactly_n():
    for n in (1, 2, 137, 5000):
        built = pillar(PILLAR_1, n=n, proportions=(1, 2, 3)).positions_nm
        assert len(built) == n
        block = np.abs(built / [1, 2, 3]).max()
        more = pillar(PILLAR_1, tuple(2 * 1.000001 * max(block, 0.1) * np.array([1, 2, 3])))
        fewer = pillar(PILLAR_1, tuple(2 * 0.999999 * max(block, 0.1) * np.array([1, 2, 3])))
        assert fewer.n <= n <= more.n
        assert np.allclose(built, pillar(PILLAR_1, n=7000, proportions=(1, 2, 3)).positions_nm[:n])


def test_rotation_instead_of_directions():
    turn = Rotation.random(rng=4)
    built = pillar(PILLAR_1, (150.0, 100.0, 200.0), rotation=turn)
    lattice = np.linalg.inv(turn.apply(PILLAR_1.vectors_nm.copy()))
    assert np.allclose(built.positions_nm @ lattice, np.round(built.positions_nm @ lattice), atol=1e-9)
    assert built.n == pytest.approx(150 * 100 * 200 / PILLAR_1.volume_nm3, rel=0.05)


def test_a_pillar_of_fcc_is_fcc():
    """Along [111] of the cubic cell, [1-10] to the side, as balls stand: the same sites near the centre."""
    cubic = Cell.orthorhombic(*[16.0 * np.sqrt(2)] * 3)
    built = pillar(cubic, (200.0, 200.0, 200.0), centring="F", axis=(1, 1, 1), side=(1, -1, 0)).positions_nm
    assert cKDTree(built).query(ball("fcc", 16.0, diameter_nm=190.0).positions_nm)[0].max() < 1e-9


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Cell.from_parameters(0, 1, 1, 90, 90, 90), "edges a, b, c"),
        (lambda: Cell.from_parameters(1, 1, float("nan"), 90, 90, 90), "edges a, b, c"),
        (lambda: Cell.from_parameters(1, 1, 1, 90, 180, 90), "between 0 and 180"),
        (lambda: Cell.from_parameters(1, 1, 1, 30, 30, 70), "no cell has the angles"),
        (lambda: Cell.from_parameters(1, 1, 1, 120, 120, 120), "no cell has the angles"),
        (lambda: pillar(FCC), "either a size"),
        (lambda: pillar(FCC, (10, 10, 10), 5), "either a size"),
        (lambda: pillar(FCC, (10, -1, 10)), "three positive numbers"),
        (lambda: pillar(FCC, (10, 10)), "three positive numbers"),
        (lambda: pillar(FCC, n=0), "at least 1 NP"),
        (lambda: pillar(FCC, n=10, proportions=(1, 0, 1)), "three positive numbers"),
        (lambda: pillar(FCC, (1e7, 1e7, 1e7)), "is more than"),
        (lambda: pillar(FCC, n=10, axis=(0, 0, 0)), "two different directions"),
        (lambda: pillar(FCC, n=10, axis=(1, 1, 0), side=(2, 2, 0)), "two different directions"),
        (lambda: pillar(FCC, n=10, axis=(1, float("inf"), 0)), "three finite numbers"),
        (lambda: pillar(FCC, n=10, centring="I"), "P \\(primitive\\)"),
        (lambda: pillar(FCC, n=10, radius_nm=8.0), "overlap at a distance of 16 nm"),
        (lambda: pillar(FCC, (1.0, 1.0, 1.0), centre=(0.5, 0.5, 0.5)), "holds no NP"),
    ],
)
def test_bad_input_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
