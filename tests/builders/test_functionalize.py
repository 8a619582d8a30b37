"""Ligands on cores: numbers, neutrality, geometry; and the LAMMPS system of all atoms."""

import json

import MDAnalysis
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.spatial.transform import Rotation

from simsc.builders.census import closest_contact_angstrom, take_census
from simsc.builders.close_packed import close_packed
from simsc.builders.conformers import chain_conformers, dihedral_radian, double_bonds
from simsc.builders.functionalize import functionalize
from simsc.builders.nanoparticle import carve, magnetite
from simsc.builders.nanoparticle_file import read_nanoparticle, write_nanoparticle
from simsc.builders.restack import cubic_fcc, fcc_orientation, primitive_fcc
from simsc.builders.surface import hydroxylate
from simsc.core.errors import InputError
from simsc.forcefield.ligand import load_ligand
from simsc.forcefield.magnetite import load_magnetite
from simsc.io.structure_files import Reading, StructureFile
from simsc.md.parallel import world
from simsc.md.relax import relax
from simsc.models.all_atom import atom_map, dress_all_atom, read_positions, taken_apart, topology, write_data
from simsc.models.universe import read_universe

LIGANDS = ["oleate_gaff_resp/gaff", "stearate_gaff_am1bcc/gaff"]


@pytest.fixture(scope="module")
def small():
    """A 2 nm core with as many stearates as a 4 nm one would have on its area."""
    capped = hydroxylate(carve(magnetite(), 2.0, centre="8b"))
    return functionalize(capped, load_ligand(LIGANDS[1]), load_magnetite(), np.random.default_rng(2), 3.5)


@pytest.mark.parametrize("name", LIGANDS)
def test_conformers_keep_bonds_angles_and_double_bonds(name, rng):
    ligand = load_ligand(name)
    conformers = chain_conformers(ligand, 50, rng)
    near = np.zeros((ligand.n, ligand.n), dtype=int)
    for bond in ligand.bonds:
        near[bond.atoms[0], bond.atoms[1]] = near[bond.atoms[1], bond.atoms[0]] = 1
    rigid = (near + near @ near) > 0
    reference = cdist(ligand.geometry, ligand.geometry)
    for conformer in conformers:
        assert np.abs(cdist(conformer, conformer) - reference)[rigid].max() < 1e-9
    for torsion in double_bonds(ligand):
        angles = dihedral_radian(*(conformers[:, i] for i in torsion))
        assert np.abs(angles).max() < np.radians(20)
    assert len(double_bonds(ligand)) == (1 if "oleate" in name else 0)
    # They differ, and none is folded into itself.
    assert np.ptp(np.linalg.norm(conformers[:, 0] - conformers[:, -1], axis=1)) > 0.5
    assert min(pdist(conformer).min() for conformer in conformers) > 0.9


def test_dihedrals_agree_with_mdanalysis(rng):
    points = rng.normal(size=(100, 4, 3))
    expected = MDAnalysis.lib.distances.calc_dihedrals(*points.transpose(1, 0, 2))
    assert np.allclose(dihedral_radian(*points.transpose(1, 0, 2)), expected, atol=1e-5)


def test_default_nanoparticle_is_the_papers(tmp_path):
    ligand = load_ligand(LIGANDS[0])
    nanoparticle = functionalize(
        hydroxylate(carve(magnetite(), 4.0)), ligand, load_magnetite(), np.random.default_rng(1)
    )
    census = take_census(nanoparticle, load_magnetite())
    assert 16_000 <= census.atoms <= 18_000
    assert abs(census.charge_e) < 1e-9
    assert census.coverage_per_nm2 == pytest.approx(4.8, abs=0.02)
    assert census.bound == census.ligands == census.protons
    assert census.cis == census.double_bonds == census.ligands
    assert census.closest_angstrom >= 0.8
    assert census.interior_ideal == 1.0
    assert census.fe2 + census.fe3 == 1421
    assert not np.isin(nanoparticle.core_kinds, ["FeT2"]).any()
    path = tmp_path / "np.h5"
    write_nanoparticle(path, nanoparticle, {})
    again = read_nanoparticle(path)
    assert (again.positions_angstrom == nanoparticle.positions_angstrom).all()
    assert (again.core_kinds == nanoparticle.core_kinds).all()
    assert again.ligand == nanoparticle.ligand


@settings(max_examples=8, deadline=None)
@given(
    count=st.integers(1, 40),
    centre=st.sampled_from(["8a", "8b", "32e"]),
    least=st.sampled_from([0, 3]),
    seed=st.integers(0, 5),
)
@example(count=1, centre="32e", least=0, seed=0)
def test_every_nanoparticle_is_neutral_and_has_no_overlaps(count, centre, least, seed):
    core = hydroxylate(carve(magnetite(), 2.0, centre=centre), least)
    ligand = load_ligand(LIGANDS[1])
    try:
        built = functionalize(core, ligand, load_magnetite(), np.random.default_rng(seed), count=count)
    except InputError as error:
        assert "ligands or OH" in str(error)  # noqa: PT017
        return
    census = take_census(built, load_magnetite())
    assert abs(census.charge_e) < 1e-9
    assert census.ligands == count
    assert census.closest_angstrom >= 0.8
    assert built.n == len(built.elements) == len(built.positions_angstrom)


def test_same_seed_same_nanoparticle(small):
    capped = hydroxylate(carve(magnetite(), 2.0, centre="8b"))
    again = functionalize(capped, load_ligand(LIGANDS[1]), load_magnetite(), np.random.default_rng(2), 3.5)
    assert (again.positions_angstrom == small.positions_angstrom).all()
    assert (again.core_kinds == small.core_kinds).all()


def test_tails_point_outward(small):
    carbon = small.ligand.carboxylate[0]
    positions = small.ligand_positions_angstrom
    assert (np.linalg.norm(positions, axis=2).max(axis=1) > np.linalg.norm(positions[:, carbon], axis=1) + 8).all()


def test_bridging_heads_lie_on_two_iron():
    capped = hydroxylate(carve(magnetite(), 3.0))
    built = functionalize(
        capped, load_ligand(LIGANDS[1]), load_magnetite(), np.random.default_rng(1), count=40, binding="bridging"
    )
    assert take_census(built, load_magnetite()).binding["bridging"] == 40


def test_heads_are_spread_more_evenly_than_at_random(rng):
    from simsc.builders.functionalize import _spread

    sites = hydroxylate(carve(magnetite(), 4.0)).vacant_angstrom
    found = sites[_spread(sites[:, None], 120, rng)]
    random = [sites[rng.permutation(len(sites))[:120]] for _ in range(20)]
    assert (pdist(found) ** -6).sum() < 0.5 * min((pdist(points) ** -6).sum() for points in random)
    assert pdist(found).min() > 3.5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"coverage_per_nm2": 40.0}, "do not fit"),
        ({"count": 0}, "do not fit"),
        ({"coverage_per_nm2": 8.2}, "ligands or OH are too many"),
        ({"binding": "tridentate"}, "monodentate, bridging"),
        ({"binding": "bridging", "coverage_per_nm2": 4.8}, "of its own"),
    ],
)
def test_ligands_that_cannot_fit_are_refused_in_one_line(arguments, says):
    capped = hydroxylate(carve(magnetite(), 4.0))
    with pytest.raises(InputError, match=says) as caught:
        functionalize(capped, load_ligand(LIGANDS[1]), load_magnetite(), np.random.default_rng(1), **arguments)
    assert "\n" not in str(caught.value)


def test_closest_contact_is_that_of_brute_force(small):
    positions = small.positions_angstrom
    distances = cdist(positions, positions)
    np.fill_diagonal(distances, 9)
    system = topology([small], np.zeros((1, 3)), Rotation.identity(1), load_magnetite())
    for kind in ("bonds", "angles"):
        i, j = system.terms[kind][:, 1], system.terms[kind][:, -1]
        distances[i, j] = distances[j, i] = 9
    assert closest_contact_angstrom(small) == pytest.approx(min(distances.min(), 2.0), abs=1e-9)


@pytest.mark.parametrize(("heavy", "name"), [(False, "atom_map.json"), (True, "what_is_what.json")])  # new and former
def test_data_file_reads_back_with_mdanalysis(small, tmp_path, heavy, name):
    path = tmp_path / "system.data"
    cell = np.diag([90.0, 90.0, 200.0])
    centres = np.array([[45.0, 45.0, 50.0], [45.0, 45.0, 150.0]])
    turned = Rotation.from_rotvec([[0, 0, 0], [0.3, 0.4, 0.5]])
    system = topology([small, small], centres, turned, load_magnetite(), heavy)
    write_data(path, system, cell, "two")
    numbers = atom_map([small, small], load_magnetite(), "heavy_hydrogens" if heavy else "hydrogens")
    (tmp_path / name).write_text(json.dumps(numbers))
    universe = read_universe(tmp_path)
    assert len(universe.atoms) == 2 * small.n
    assert np.allclose(universe.atoms.positions, system.positions_angstrom, atol=1e-4)
    assert np.allclose(universe.atoms.charges, system.charges_e, atol=1e-6)
    assert len(universe.bonds) == 2 * (small.n_ligands * len(small.ligand.bonds) + len(small.core_bonds))
    total = 2 * (small.n_ligands * sum(atom.mass_g_per_mol for atom in small.ligand.atoms))
    total += 2 * sum(load_magnetite().species[kind].mass_g_per_mol for kind in small.core_kinds)
    assert universe.atoms.masses.sum() == pytest.approx(total, rel=1e-6)
    assert list(universe.segments.segids) == ["NP1", "NP2"]
    assert all((segment.atoms.elements == small.elements).all() for segment in universe.segments)
    ligands = universe.select_atoms("segid NP2 and resname LIG").residues
    assert len(ligands) == small.n_ligands
    assert (ligands[3].atoms.names == [atom.name for atom in small.ligand.atoms]).all()
    assert (ligands.atoms.indices >= small.n + len(small.core_kinds)).all()
    assert (universe.select_atoms("segid NP1 and resname CORE").names == small.core_kinds).all()
    # Every ligand is one connected fragment.
    assert all(len(residue.atoms.fragments) == 1 for residue in ligands)


def test_files_that_make_no_universe_are_refused(small, tmp_path):
    data, numbers = tmp_path / "system.data", tmp_path / "atom_map.json"
    system = topology([small], np.full((1, 3), 45.0), Rotation.identity(1), load_magnetite())
    with pytest.raises(InputError, match=r"neither annealed\.data nor system\.data"):
        read_universe(tmp_path)
    write_data(data, system, np.eye(3) * 90.0, "one")
    numbers.write_text("{")
    with pytest.raises(InputError, match=r"atom_map\.json: line 1 is no JSON"):
        read_universe(tmp_path)
    numbers.write_text(json.dumps(atom_map([small, small], load_magnetite(), "hydrogens")))
    with pytest.raises(InputError, match=r"atom_map\.json: does not belong to .*system\.data"):
        read_universe(tmp_path)
    data.write_text("2 atoms\n\nAtoms # full\n\n1 1 1 0 0 0 0\n")
    with pytest.raises(InputError, match=r"system\.data: is no whole LAMMPS data file"):
        read_universe(tmp_path)


def test_positions_come_back_from_a_data_file(small, tmp_path):
    lattice = cubic_fcc(6.0)
    turned = Rotation.random(4, rng=np.random.default_rng(1))
    system = dress_all_atom(lattice, [small], turned, load_magnetite())
    (tmp_path / "s.data").write_text(system.data)
    positions, cell = read_positions(tmp_path / "s.data")
    _, apart = taken_apart(positions, cell, [small] * 4, load_magnetite())
    assert np.allclose(cell, lattice.cell.vectors_nm * 10)
    core = small.core_positions_angstrom
    masses = [load_magnetite().species[kind].mass_g_per_mol for kind in small.core_kinds]
    centre = np.average(core, axis=0, weights=masses)
    for k in range(4):
        assert np.allclose(apart[k].positions_angstrom, turned[k].apply(small.positions_angstrom - centre), atol=1e-5)


def test_nps_of_all_atoms_are_read_from_a_data_file(small, tmp_path):
    """Molecules of cores come first; their centres of mass lie near the sites, and atoms cross the boundaries."""
    lattice, turned = cubic_fcc(6.0), Rotation.random(4, rng=np.random.default_rng(1))
    (tmp_path / "s.data").write_text(dress_all_atom(lattice, [small], turned, load_magnetite()).data)
    file = StructureFile(tmp_path / "s.data", Reading(selection="resid 1:4", centres="molecule"))
    found = next(file.frames([0])).superlattice
    assert np.allclose(found.cell.vectors_nm, lattice.cell.vectors_nm)
    masses = [load_magnetite().species[kind].mass_g_per_mol for kind in small.core_kinds]
    off_nm = turned.apply(np.average(small.core_positions_angstrom, axis=0, weights=masses)) / 10
    moved = lattice.cell.fractional(found.positions_nm - lattice.positions_nm - off_nm)
    assert np.abs(moved - np.rint(moved)).max() < 1e-7


@pytest.mark.parametrize("damage", ["", "2 atoms\n\nAtoms # full\n\n1 1 1 0 0 0 0\n", "Atoms # full\n\n"])
def test_data_files_that_are_cut_are_refused(tmp_path, damage):
    (tmp_path / "cut.data").write_text(damage)
    with pytest.raises(InputError, match="cut"):
        read_positions(tmp_path / "cut.data")


def test_aligned_cores_face_their_neighbours_with_110():
    directions = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]) / np.sqrt(2)
    directions = np.concatenate([directions, -directions])
    for stacking in ("ABC", "ACB"):
        crystal = close_packed(stacking, 1.0, (3, 2)).replicate((2, 2, 2))
        middle = crystal.positions_nm[
            np.linalg.norm(crystal.positions_nm - crystal.positions_nm.mean(axis=0), axis=1).argmin()
        ]
        bonds = crystal.positions_nm - middle
        bonds = bonds[(np.linalg.norm(bonds, axis=1) > 0.1) & (np.linalg.norm(bonds, axis=1) < 1.1)]
        turned = fcc_orientation(stacking).apply(directions)
        assert len(bonds) == 12
        assert cdist(bonds, turned).min(axis=1).max() < 1e-9
    for lattice in (primitive_fcc(1.0), cubic_fcc(1.0)):
        copies = lattice.replicate((5, 5, 5)).positions_nm
        bonds = copies - copies[np.linalg.norm(copies - copies.mean(axis=0), axis=1).argmin()]
        bonds = bonds[(np.linalg.norm(bonds, axis=1) > 0.1) & (np.linalg.norm(bonds, axis=1) < 1.1)]
        assert len(bonds) == 12
        assert cdist(bonds, directions).min(axis=1).max() < 1e-9


def test_relaxation_keeps_ligands_and_core(small, tmp_path):
    relaxed = relax(small, load_magnetite(), tmp_path, 1, world())
    census = take_census(relaxed, load_magnetite())
    assert census.closest_angstrom >= 1.2
    assert census.bound == census.ligands
    assert census.interior_ideal >= 0.9
