"""Carving of cores, and their hydroxylation."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from simsc.builders.nanoparticle import (
    CENTRES,
    carve,
    magnetite,
    read_crystal,
)
from simsc.builders.surface import hydroxylate
from simsc.core.errors import InputError
from simsc.core.shapes import SHAPES


def bonds(positions, elements):
    """Number of Fe–O contacts below 2.5 Å of every atom, by brute force."""
    iron = elements == "Fe"
    near = cdist(positions[iron], positions[~iron]) < 2.5
    counts = np.zeros(len(positions), dtype=int)
    counts[iron], counts[~iron] = near.sum(axis=1), near.sum(axis=0)
    return counts


def same_points(first, second):
    return len(first) == len(second) and cdist(first, second).min(axis=1).max() < 1e-6


def test_magnetite_has_the_sites_of_a_spinel():
    counts = np.bincount(neighbor_list("i", magnetite(), {("Fe", "O"): 2.5}), minlength=56)
    symbols = np.array(magnetite().get_chemical_symbols())
    assert sorted(counts[symbols == "Fe"]) == [4] * 8 + [6] * 16
    assert set(counts[symbols == "O"]) == {4}
    # Fleet 1981 gives 1.889 and 2.059 Å.
    distances = neighbor_list("d", magnetite(), {("Fe", "O"): 2.5})
    assert sorted({round(float(d), 2) for d in distances}) == [1.89, 2.06]


def test_published_cube_of_1466_atoms():
    # Reference core of the authors of DOI 10.1021/acs.jpclett.3c01290: 864 O, 602 Fe.
    core = carve(magnetite(), 3.0, "cube", "8b")
    assert (core.n, np.count_nonzero(~core.is_cation)) == (1466, 864)


@pytest.mark.parametrize(
    ("shape", "area_over_diameter2"),
    [
        ("sphere", np.pi),
        ("cube", 6 * (np.pi / 6) ** (2 / 3)),
        # Volume √2/3 a³, area 2√3 a².
        ("octahedron", 2 * np.sqrt(3) * (np.pi / 6 * 3 / np.sqrt(2)) ** (2 / 3)),
        # Archimedean truncated cuboctahedron of edge 2: V = 8 (22 + 14√2), A = 48 (2 + √2 + √3).
        (
            {"100": 1 + 2 * np.sqrt(2), "110": 3 + np.sqrt(2), "111": np.sqrt(3) * (1 + np.sqrt(2))},
            48 * (2 + np.sqrt(2) + np.sqrt(3)) * (np.pi / 6 / (8 * (22 + 14 * np.sqrt(2)))) ** (2 / 3),
        ),
    ],
)
def test_areas_are_those_of_the_solids(shape, area_over_diameter2):
    core = carve(magnetite(), 3.0, shape)
    assert core.area_nm2 == pytest.approx(area_over_diameter2 * 3.0**2, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_number_of_atoms_approaches_the_density_of_the_crystal(shape):
    core = carve(magnetite(), 9.0, shape)
    expected = np.pi / 6 * 90**3 * 56 / 8.396**3
    assert core.n == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("centre", CENTRES)
def test_coordination_agrees_with_brute_force(centre):
    core = carve(magnetite(), 3.0, centre=centre)
    counts = bonds(core.positions_angstrom, core.elements)
    assert (core.coordination == counts).all()
    assert (core.coordination <= core.ideal_coordination).all()
    assert core.coordination.min() >= 1
    assert set(core.ideal_coordination[core.is_cation]) == {4, 6}
    interior = np.linalg.norm(core.positions_angstrom, axis=1) < 10
    assert (core.coordination == core.ideal_coordination)[interior].all()


def test_vacant_sites_complete_the_coordination():
    core = carve(magnetite(), 4.0)
    elements = np.array([*core.elements, *["O"] * len(core.vacant_angstrom)])
    counts = bonds(np.concatenate([core.positions_angstrom, core.vacant_angstrom]), elements)[: core.n]
    assert (counts == core.ideal_coordination)[core.is_cation].all()


def test_core_has_the_symmetry_of_its_centre():
    core = carve(magnetite(), 4.0)  # 8a: Td
    for turned in (core.positions_angstrom[:, [1, 2, 0]], core.positions_angstrom * [-1, -1, 1]):
        assert same_points(core.positions_angstrom, turned)


@settings(max_examples=20, deadline=None)
@given(fractions=st.tuples(*[st.integers(-3, 3)] * 3))
def test_centres_a_lattice_vector_apart_give_the_same_core(fractions):
    base = np.array(CENTRES["8a"])
    first, second = (
        carve(magnetite(), 2.0, centre=tuple(point)).positions_angstrom for point in (base, base + fractions)
    )
    assert same_points(first, second)


def test_any_oxide_from_a_cif(tmp_path):
    path = tmp_path / "MgO.cif"
    write(path, bulk("MgO", "rocksalt", a=4.21, cubic=True))
    core = carve(read_crystal(path), 3.0, "sphere", (0.0, 0.0, 0.0))
    assert set(core.elements) == {"Mg", "O"}
    assert set(core.ideal_coordination) == {6}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"shape": "dodecahedron"}, "truncated_cuboctahedron"),
        ({"shape": {"11": 1.0}}, "three Miller indices"),
        ({"shape": {"abc": 1.0}}, "three Miller indices"),
        ({"shape": {"000": 1.0}}, "does not exist"),
        ({"shape": {"111": -1.0}}, "positive"),
        ({"shape": {}}, "at least one facet"),
        ({"centre": "9z"}, "8a"),
        ({"centre": (0.0, np.nan, 0.0)}, "fractional"),
        ({"diameter_nm": 0.0}, "between 0 and 30"),
        ({"diameter_nm": 0.1}, "no atoms"),
        ({"anion": "S"}, "no anion S"),
    ],
)
def test_bad_carves_are_refused_in_one_line(arguments, says):
    with pytest.raises(InputError, match=says) as caught:
        carve(**{"crystal": magnetite(), "diameter_nm": 4.0, **arguments})
    assert "\n" not in str(caught.value)


def test_facets_that_do_not_close_are_refused(tmp_path):
    path = tmp_path / "one.cif"
    triclinic = Atoms("MgO", [[0, 0, 0], [2.1, 0.1, 0]], cell=[[4.2, 0, 0], [0.3, 4.3, 0], [0.2, 0.1, 4.4]], pbc=True)
    write(path, triclinic)
    with pytest.raises(InputError, match="do not enclose"):
        carve(read_crystal(path), 3.0, {"100": 1.0, "010": 1.0}, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "text", ["", "data_x\n", "not a cif", "data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nFe 0\n"]
)
def test_cif_without_cell_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "broken.cif"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken\.cif") as caught:
        read_crystal(path)
    assert "\n" not in str(caught.value)


def test_missing_cif():
    with pytest.raises(InputError, match="No such file"):
        read_crystal(Path("no.cif"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("least", [0, 3, 4, "all"])
def test_every_cation_gets_its_oxygens(shape, least):
    core = carve(magnetite(), 4.0, shape)
    capped = hydroxylate(core, least)
    heavy = np.concatenate([core.positions_angstrom, capped.oxygens_angstrom])
    elements = np.array([*core.elements, *["O"] * len(capped.oxygens_angstrom)])
    counts = bonds(heavy, elements)[: core.n]
    wanted = core.ideal_coordination if least == "all" else np.minimum(core.ideal_coordination, least)
    assert (counts >= wanted)[core.is_cation].all()
    assert len(capped.oxygens_angstrom) + len(capped.vacant_angstrom) == len(core.vacant_angstrom)


def test_hydrogens_point_away_from_iron():
    core = carve(magnetite(), 4.0)
    capped = hydroxylate(core, "all")
    distance = np.linalg.norm(capped.oxygens_angstrom - capped.hydrogens_angstrom, axis=1)
    assert distance == pytest.approx(1.0)
    iron = core.positions_angstrom[core.is_cation]
    to_iron = np.linalg.norm(capped.hydrogens_angstrom[:, None] - iron, axis=2).min()
    assert to_iron > 2.2
    between = np.linalg.norm(capped.hydrogens_angstrom[:, None] - capped.hydrogens_angstrom, axis=2)
    assert between[~np.eye(len(between), dtype=bool)].min() > 1.0


def test_negative_number_of_oxygens_is_refused():
    with pytest.raises(InputError, match="0 or more"):
        hydroxylate(carve(magnetite(), 2.0), -1)
