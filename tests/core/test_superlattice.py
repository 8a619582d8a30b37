import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.io.native import read_superlattice, write_superlattice
from simsc.md.trajectory import Trajectory

entries = hnp.arrays(np.float64, (3, 3), elements=st.floats(-1, 1))
points = hnp.arrays(np.float64, (5, 3), elements=st.floats(-50, 50))


def some_cell(noise: np.ndarray) -> Cell:
    return Cell(5 * np.eye(3) + 1.5 * noise)


@given(entries, points)
def test_wrapping_keeps_the_lattice_site(noise, positions):
    cell = some_cell(noise)
    wrapped = cell.wrap(positions)
    shift = cell.fractional(wrapped - positions)
    assert np.allclose(shift, np.round(shift), atol=1e-9)
    assert (cell.fractional(wrapped) > -1e-9).all()
    assert (cell.fractional(wrapped) < 1 + 1e-9).all()


@given(entries, points)
def test_upper_triangular_is_a_rotation(noise, positions):
    cell = some_cell(noise)
    turned, rotation = cell.upper_triangular()
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(rotation), 1)
    assert np.allclose(turned.vectors_nm, np.tril(turned.vectors_nm))
    assert np.isclose(turned.volume_nm3, cell.volume_nm3)
    assert np.allclose(turned.fractional(positions @ rotation), cell.fractional(positions), atol=1e-9)


def test_perpendicular_widths_of_a_known_cell():
    cell = Cell(np.array([[2.0, 0, 0], [1.0, 3.0, 0], [0, 0, 4.0]]))
    assert np.allclose(cell.perpendicular_widths_nm, [2 * 3 / np.hypot(1, 3), 3, 4])


@given(st.tuples(*[st.integers(1, 4)] * 3))
def test_replication_keeps_density_and_order(counts):
    original = close_packed("ABAC", 6.0, radius_nm=2.0)
    replica = original.replicate(counts)
    assert replica.n == original.n * np.prod(counts)
    assert np.isclose(replica.cell.volume_nm3 / replica.n, original.cell.volume_nm3 / original.n)
    assert np.allclose(replica.positions_nm[: original.n], original.positions_nm)


def test_largest_ball_touches_the_cell_and_nothing_more():
    crystal = close_packed("ABC", 1.0, (8, 5)).replicate((1, 1, 3))
    ball = crystal.largest_ball()
    radius = crystal.cell.perpendicular_widths_nm.min() / 2
    assert np.linalg.norm(ball.positions_nm, axis=1).max() < radius
    expected = 4 / 3 * np.pi * radius**3 * np.sqrt(2)
    assert abs(ball.n - expected) < 0.1 * expected


def test_orientations_go_where_their_nps_go(tmp_path):
    crystal = close_packed("ABC", 6.0, (3, 2), radius_nm=2.0)
    crystal = crystal.with_orientations(Rotation.random(crystal.n, rng=1))
    replica = crystal.replicate((2, 1, 2))
    assert np.array_equal(replica.orientations, np.tile(crystal.orientations, (4, 1)))
    ball = replica.largest_ball()
    moved = ball.positions_nm + replica.cell.vectors_nm.sum(axis=0) / 2
    difference = replica.cell.fractional(moved[:, None] - replica.positions_nm)
    source = np.linalg.norm(difference - np.round(difference), axis=-1).argmin(axis=1)
    assert np.array_equal(ball.orientations, replica.orientations[source])
    assert np.array_equal(ball.with_radii(1.0).in_free_space().orientations, ball.orientations)
    write_superlattice(tmp_path / "s.h5", ball, {})
    again = read_superlattice(tmp_path / "s.h5")
    assert np.array_equal(again.orientations, ball.orientations)
    turn = Rotation.random(rng=2)
    turned = crystal.rotated(turn)
    before, after = Rotation.from_quat(crystal.orientations), Rotation.from_quat(turned.orientations)
    assert np.allclose(after.apply([1.0, 2, 3]), turn.apply(before.apply([1.0, 2, 3])))
    assert np.allclose(turned.cell.fractional(turned.positions_nm), crystal.cell.fractional(crystal.positions_nm))
    assert np.allclose(Superlattice(np.eye(3)).rotated(turn).orientations, turn.as_quat())


def test_frames_of_a_trajectory_take_their_start():
    start, moved = Rotation.random(3, rng=1), Rotation.random(3, rng=2)
    trajectory = Trajectory(
        np.zeros((1, 3, 3)),
        moved.as_quat()[None],
        np.eye(3)[None] * 5,
        np.ones(3),
        np.zeros(1, int),
        {},
        np.zeros(1),
        (),
    )
    assert trajectory.superlattice(0).orientations is None
    found = Rotation.from_quat(trajectory.superlattice(0, start).orientations)
    assert np.allclose(found.as_matrix(), moved.as_matrix() @ start.as_matrix())


@pytest.mark.parametrize("stacking", ["AB", "ABC", PAPER, "ABACBC"])
def test_close_packed_has_twelve_neighbours_at_d(stacking):
    """ASE's neighbour list is right in thin cells (it counts images one by one)."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    built = close_packed(stacking, 6.2)
    atoms = Atoms("Au" * built.n, built.positions_nm, cell=built.cell.vectors_nm, pbc=True)
    first, distance = neighbor_list("id", atoms, 1.2 * 6.2)
    assert (np.bincount(first) == 12).all()
    assert np.allclose(distance, 6.2)


@pytest.mark.parametrize(
    ("stacking", "says"),
    [
        ("ABBA", "layers 2 and 3 are both B"),
        ("ABCA", "layers 4 and 1"),
        ("ABD", "layer 3 is 'D'; layers are A, B or C"),
        ("A", "two letters"),
        ("", "two"),
    ],
)
def test_impossible_stackings_are_refused(stacking, says):
    with pytest.raises(InputError, match=says):
        close_packed(stacking, 6.2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: close_packed("AB", 0.0),
        lambda: close_packed("AB", float("nan")),
        lambda: close_packed("AB", 1.0, (0, 1)),
        lambda: Superlattice(np.full((2, 3), np.nan)),
        lambda: Superlattice(np.zeros((0, 3))),
        lambda: Superlattice(np.zeros((2, 3)), radii_nm=np.array([1.0, -1.0])),
        lambda: Cell(np.zeros((3, 3))),
        lambda: Cell(-np.eye(3)),
        lambda: Superlattice(np.zeros((2, 3)), orientations=np.zeros((2, 4))),
        lambda: Superlattice(np.zeros((2, 3)), orientations=np.eye(4)[:3]),
        lambda: Superlattice(np.zeros((2, 3)), orientations=[0.0, 0.0, 0.0, np.nan]),
        lambda: Superlattice(np.zeros((1, 3))).replicate((1, 1, 1)),
        lambda: Superlattice(np.zeros((1, 3)), cell=Cell(np.eye(3), np.array([True, True, False]))).replicate(
            (1, 1, 2)
        ),
    ],
)
def test_bad_input_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_values_cannot_be_changed():
    built = close_packed("AB", 1.0, radius_nm=0.3)
    for array in (built.positions_nm, built.radii_nm, built.cell.vectors_nm):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_rotation_helper_agrees_with_scipy():
    """`upper_triangular` of a turned cell gives back the unturned one."""
    cell = close_packed(PAPER, 1.0).cell
    turned = Cell(cell.vectors_nm @ Rotation.random(rng=3).as_matrix())
    assert np.allclose(turned.upper_triangular()[0].vectors_nm, cell.vectors_nm)
