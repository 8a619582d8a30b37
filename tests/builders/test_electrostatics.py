"""Coulomb sums: exact constants, invariances, brute force."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import simsc.builders.electrostatics
from simsc.builders.electrostatics import COULOMB_KCAL_ANGSTROM, inverse_distances, potential_at
from simsc.core.errors import InputError

TRICLINIC = np.array([[8.0, 0, 0], [2, 7, 0], [-3, 1, 9]])
CUBE = np.array(list(itertools.product((0, 1), repeat=3)), dtype=float)


def matrix(positions, cell=None):
    return inverse_distances(positions, positions, np.arange(len(positions)), cell)


@pytest.mark.parametrize(
    ("positions", "charges", "cell", "constant"),
    [
        # Madelung constants in units of the nearest distance: CODATA-independent, e.g. DOI 10.1103/RevModPhys.35.37
        (CUBE, (-1.0) ** CUBE.sum(axis=1), 2 * np.eye(3), 1.7475645946331822),  # NaCl
        (np.array([[0.0, 0, 0], [1, 1, 1]]) / np.sqrt(3), [1, -1], np.eye(3) * 2 / np.sqrt(3), 1.7626747730709884),
        # zincblende, in its primitive cell
        (
            np.array([[0.0, 0, 0], [1, 1, 1]]) / np.sqrt(3),
            [1, -1],
            (1 - np.eye(3)) * 2 / np.sqrt(3),
            1.6380550533887890,
        ),
    ],
)
def test_madelung_constants(positions, charges, cell, constant):
    assert -matrix(positions, cell)[0] @ np.array(charges) * charges[0] == pytest.approx(constant, rel=1e-12)


def test_sum_does_not_depend_on_how_it_is_split(rng, monkeypatch):
    positions = rng.uniform(-20, 20, (15, 3))
    first = matrix(positions, TRICLINIC)
    for balance in (3.0, 7.0):
        monkeypatch.setattr(simsc.builders.electrostatics, "_BALANCE", balance)
        assert matrix(positions, TRICLINIC) == pytest.approx(first, abs=1e-13)


def test_pieces_make_the_whole(rng, monkeypatch):
    positions, charges = rng.uniform(0, 9, (15, 3)), rng.normal(size=15)
    expected = [potential_at(positions, charges, np.arange(15), cell) for cell in (None, TRICLINIC)]
    monkeypatch.setattr(simsc.builders.electrostatics, "_ROWS_A_PIECE", 40)
    for cell, potential in zip((None, TRICLINIC), expected, strict=True):
        assert potential_at(positions, charges, np.arange(15), cell) == pytest.approx(potential, abs=1e-11)


def test_images_and_other_cells_of_the_same_crystal_change_nothing(rng):
    positions = rng.uniform(0, 9, (6, 3))
    charges = np.array([1, -1, 2, -2, 0.5, -0.5])
    expected = potential_at(positions, charges, np.arange(6), TRICLINIC)
    moved = positions + rng.integers(-3, 4, (6, 3)) @ TRICLINIC
    assert potential_at(moved, charges, np.arange(6), TRICLINIC) == pytest.approx(expected, abs=1e-10)
    sheared = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ TRICLINIC
    assert potential_at(positions, charges, np.arange(6), sheared) == pytest.approx(expected, abs=1e-10)
    doubled = np.concatenate([positions, positions + TRICLINIC[1]])
    larger = TRICLINIC * np.array([[1], [2], [1]])
    assert potential_at(doubled, np.tile(charges, 2), np.arange(6), larger) == pytest.approx(expected, abs=1e-10)


def test_a_large_cell_is_nearly_free(rng):
    positions = rng.uniform(0, 5, (4, 3))
    charges = np.array([1.0, -1, 1, -1])
    free = potential_at(positions, charges, np.arange(4))
    assert potential_at(positions, charges, np.arange(4), 2000 * np.eye(3)) == pytest.approx(free, abs=1e-5)


def test_finite_potential_is_the_plain_sum(rng):
    positions, charges = rng.uniform(0, 9, (15, 3)), rng.normal(size=15)
    distance = cdist(positions, positions) + np.diag(np.full(15, np.inf))
    expected = COULOMB_KCAL_ANGSTROM * (charges / distance).sum(axis=1)[[3, 8]]
    assert potential_at(positions, charges, np.array([3, 8])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cell", [None, TRICLINIC])
def test_atoms_on_one_another_are_infinite(cell):
    assert np.isinf(matrix(np.ones((2, 3)), cell)[0, 1])


def test_flat_cell_is_refused():
    with pytest.raises(InputError, match="no volume"):
        matrix(np.ones((1, 3)), np.ones((3, 3)))
