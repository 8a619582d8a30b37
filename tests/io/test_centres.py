"""Centres of groups of atoms across periodic boundaries, against groups that were whole before they were wrapped."""

import numpy as np
import pytest
from brute_force import apart
from hypothesis import given
from hypothesis import strategies as st

from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning
from simsc.io.centres import AtomTable, choose_centres, group_centres


def skewed(tilts: list[float], sides: list[float], periodic: list[bool]) -> Cell:
    x, y, z = sides
    return Cell([[x, 0, 0], [tilts[0] * x, y, 0], [tilts[1] * x, tilts[2] * y, z]], periodic)


@given(
    tilts=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
    sides=st.lists(st.floats(2, 20), min_size=3, max_size=3),
    periodic=st.lists(st.booleans(), min_size=3, max_size=3),
    width=st.floats(0, 0.49),
    seed=st.integers(0, 2**32 - 1),
)
def test_wrapped_groups_have_the_centres_of_whole_ones(tilts, sides, periodic, width, seed):
    rng = np.random.default_rng(seed)
    cell = skewed(tilts, sides, periodic)
    groups = rng.permutation(np.concatenate([np.arange(7), rng.integers(7, size=60)]))
    weights = rng.uniform(0.1, 50, len(groups))
    # Atoms anywhere in a parallelepiped of less than half the cell, which is where the rule holds.
    whole = (rng.uniform(-2, 2, (7, 3))[groups] + width * rng.random((len(groups), 3))) @ cell.vectors_nm
    expected = np.array([np.average(whole[groups == g], axis=0, weights=weights[groups == g]) for g in range(7)])
    assert apart(group_centres(cell.wrap(whole), groups, weights, cell), expected, cell) < 1e-8
    images = rng.integers(-3, 4, whole.shape) * cell.periodic
    assert apart(group_centres(whole + images @ cell.vectors_nm, groups, weights, cell), expected, cell) < 1e-8


@pytest.mark.parametrize("diameter", [0.3, 0.6, 0.85])
def test_dense_cores_may_be_wider_than_half_the_cell(diameter, rng):
    """As 4 nm cores in the paper's cell, which is one NP wide."""
    cell = Cell([[6.2, 0, 0], [3.1, 5.37, 0], [3.1, 1.79, 5.06]])
    ball = rng.normal(size=(4000, 3))
    radius = diameter / 2 * cell.perpendicular_widths_nm.min()
    ball *= radius * rng.random((4000, 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1, keepdims=True)
    for _ in range(5):
        middle = rng.uniform(0, 6, 3)
        found = group_centres(cell.wrap(middle + ball), np.zeros(4000, int), np.ones(4000), cell)
        assert apart(found, (middle + ball).mean(axis=0)[None], cell) < 1e-9


@pytest.mark.parametrize(
    "places",
    [[0.0, 0.5], [0.1, 0.4, 0.75], list(np.arange(10) / 10)],
    ids=["half a cell apart", "spread over it", "all around"],
)
def test_groups_that_can_be_whole_in_two_ways_are_refused(places):
    cell = Cell.orthorhombic(5.0, 5.0, 5.0)
    positions = np.zeros((len(places), 3))
    positions[:, 1] = 5 * np.array(places)
    arguments = (positions, np.zeros(len(places), int), np.ones(len(places)))
    with pytest.raises(InputError, match="molecule 4: is wider than half the cell along b"):
        group_centres(*arguments, cell, ("molecule 4",))
    for harmless in (None, Cell(cell.vectors_nm, [True, False, True])):
        assert np.allclose(group_centres(*arguments, harmless), positions.mean(axis=0))


def table(**values) -> AtomTable:
    return AtomTable(
        **{"types": np.array(["C", "S", "S", "C"]), "masses": np.array([2.0, 1, 1, 2]), "molecules": [7, 7, 9, 9]}
        | {"molecules": np.array([7, 7, 9, 9])}
        | values
    )


PLACES = np.array([[0.0, 0, 0], [3, 0, 0], [0, 6, 0], [0, 0, 9]])


def test_molecules_are_put_together_by_mass_or_geometry():
    centres = choose_centres((table(), PLACES), None, "molecule")
    assert centres.names == ("molecule 7", "molecule 9")
    assert centres(PLACES, None).tolist() == [[1, 0, 0], [0, 2, 6]]
    assert choose_centres((table(), PLACES), "type S", "site")(PLACES, None).tolist() == PLACES[1:3].tolist()
    assert choose_centres((table(), PLACES), "type S", "molecule")(PLACES, None).tolist() == PLACES[1:3].tolist()
    assert choose_centres((table(), PLACES), "prop y > 1", "site").atoms.tolist() == [2]
    for masses in (None, np.array([2.0, 0, 1, 2])):
        with pytest.warns(SimscWarning, match="geometric"):
            centres = choose_centres((table(masses=masses), PLACES), None, "molecule")
        assert centres(PLACES, None).tolist() == [[1.5, 0, 0], [0, 3, 4.5]]


@pytest.mark.parametrize(
    ("values", "selection", "kind", "says"),
    [
        ({}, "type X", "site", "--select 'type X': matches none of 4 atoms"),
        ({}, "tipe X", "site", "--select 'tipe X': Unknown selection token"),
        ({}, "type", "site", "--select 'type'"),
        ({}, "resname A", "site", "the file does not tell that of its atoms"),
        ({"molecules": None}, None, "molecule", "--centres molecule: the file has no molecule numbers"),
        ({"molecules": np.array([7, 7, -1, 9])}, None, "molecule", "some atoms belong to no molecule"),
        ({}, None, "segment", "--centres segment: the file knows no segments"),
    ],
)
def test_what_cannot_be_chosen_is_told_in_one_line(values, selection, kind, says):
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        choose_centres((table(**values), PLACES), selection, kind)
    assert says in str(error.value)
