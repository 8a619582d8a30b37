import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from simsc.build.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

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
        ("ABD", "A, B and C"),
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
