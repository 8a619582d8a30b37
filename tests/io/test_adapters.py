"""Structures of ASE, MDAnalysis, OVITO and plain arrays come in and go out as they are; nothing is lost in silence."""

import importlib.util
import subprocess
import sys
import warnings

import ase
import ase.build
import ase.io
import freud
import MDAnalysis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import ball
from simsc.classify.labels import label, label_thermal
from simsc.classify.stacking import stacking_sequence
from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning
from simsc.core.superlattice import Frame, Superlattice
from simsc.io.adapters import (
    as_cell,
    as_maps,
    as_superlattice,
    from_arrays,
    from_ase,
    from_mdanalysis,
    from_ovito,
    to_arrays,
    to_ase,
    to_mdanalysis,
    to_ovito,
)
from simsc.io.native import write_superlattice

LATTICE = close_packed("ABCABCABABAB", 6.2, (3, 2), radius_nm=2.0)


@st.composite
def superlattices(draw) -> Superlattice:
    """Draw NPs in any cell, periodic along at least one direction, or in free space; radii and orientations or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 12))
    cell = None
    if draw(st.booleans()):
        vectors = np.diag(rng.uniform(4.0, 90.0, 3)) @ (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
        cell = Cell(vectors, draw(st.lists(st.booleans(), min_size=3, max_size=3).filter(any)))
    return Superlattice(
        rng.uniform(-50.0, 150.0, (n, 3)),
        rng.uniform(0.5, 9.0, n) if draw(st.booleans()) else None,
        cell,
        Rotation.random(n, rng=rng).as_quat() if draw(st.booleans()) else None,
    )


def assert_same(found: Superlattice, expected: Superlattice, rtol: float = 1e-12, of_turns: float = 1e-12) -> None:
    assert np.allclose(found.positions_nm, expected.positions_nm, rtol=rtol, atol=1e-9)
    for name in ("radii_nm", "orientations"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        assert one is None or np.allclose(one, other, rtol=rtol, atol=of_turns), name
    assert (found.cell is None) == (expected.cell is None)
    if found.cell is not None and expected.cell is not None:
        assert np.allclose(found.cell.vectors_nm, expected.cell.vectors_nm, rtol=rtol, atol=1e-9)
        assert found.cell.periodic.tolist() == expected.cell.periodic.tolist()


@settings(max_examples=40, deadline=None)
@given(superlattices(), st.sampled_from(["A", "nm"]))
def test_there_and_back_through_ase(superlattice, unit):
    atoms = to_ase(superlattice, length_unit=unit)
    assert np.allclose(atoms.positions, superlattice.positions_nm * (10 if unit == "A" else 1))
    assert_same(from_ase(atoms, unit), superlattice)
    if unit == "A":
        assert_same(as_superlattice(atoms), superlattice)


@settings(max_examples=40, deadline=None)
@given(superlattices())
def test_there_and_back_through_arrays(superlattice):
    assert_same(from_arrays(**to_arrays(superlattice)), superlattice, rtol=0)


@settings(max_examples=40, deadline=None)
@given(superlattices(), st.sampled_from(["A", "nm"]))
def test_there_and_back_through_ovito(superlattice, unit):
    pytest.importorskip("ovito")
    data = to_ovito(superlattice, length_unit=unit)
    assert data.particles.count == superlattice.n
    assert_same(from_ovito(data, unit), superlattice, of_turns=1e-6)  # in single precision there


@settings(max_examples=40, deadline=None)
@given(superlattices())
@pytest.mark.filterwarnings("ignore::simsc.core.errors.SimscWarning")
def test_there_and_back_through_mdanalysis(superlattice):
    universe = to_mdanalysis(superlattice)
    found = from_mdanalysis(universe.atoms)
    assert found.n == superlattice.n
    if superlattice.radii_nm is not None:
        assert np.allclose(found.radii_nm, superlattice.radii_nm)
    if superlattice.cell is None:
        assert found.cell is None
        assert np.allclose(found.positions_nm, superlattice.positions_nm, atol=1e-4)
        return
    # The box is turned, so its edges and angles stay, and places in units of its vectors.
    assert np.allclose(found.cell.parameters, superlattice.cell.parameters, rtol=1e-5)
    places = superlattice.cell.fractional(superlattice.positions_nm)
    assert np.allclose(found.cell.fractional(found.positions_nm), places, atol=2e-4)


def test_other_packages_see_the_same_crystal():
    """freud finds the twelve neighbours of an NP, given each package's own box and positions, in its own unit."""

    def neighbours(box: freud.box.Box, points: np.ndarray, reach: float) -> int:
        query = freud.locality.AABBQuery(box, points).query(points, {"r_max": reach, "exclude_ii": True})
        return len(query.toNeighborList())

    expected = 12 * LATTICE.n
    atoms, universe = to_ase(LATTICE), to_mdanalysis(LATTICE)
    assert neighbours(freud.box.Box.from_matrix(np.array(atoms.cell).T), atoms.positions, 62.1) == expected
    matrix = universe.trajectory.ts.triclinic_dimensions.T
    assert neighbours(freud.box.Box.from_matrix(matrix), universe.atoms.positions, 62.1) == expected
    arrays = to_arrays(LATTICE)
    assert neighbours(freud.box.Box.from_matrix(arrays["cell_nm"].T), arrays["positions_nm"], 6.21) == expected


def test_functions_take_what_people_have(tmp_path):
    expected = label_thermal(LATTICE).labels
    write_superlattice(tmp_path / "lattice.h5", LATTICE, {})
    universe = to_mdanalysis(LATTICE)
    box = freud.box.Box.from_matrix(LATTICE.cell.vectors_nm.T)
    ways = [
        LATTICE,
        Frame(LATTICE),
        tmp_path / "lattice.h5",
        str(tmp_path / "lattice.h5"),
        to_ase(LATTICE),
        universe,
        universe.atoms,
        (LATTICE.cell, LATTICE.positions_nm),
        (LATTICE.cell.vectors_nm, LATTICE.positions_nm.tolist()),
        (LATTICE.cell.parameters, LATTICE.positions_nm),
        (box, LATTICE.positions_nm),
    ]
    if importlib.util.find_spec("ovito") is not None:
        ways.append(to_ovito(LATTICE))
    for way in ways:
        assert label(way).labels.tolist() == expected.tolist(), type(way)
        assert stacking_sequence(way).sequence == "ABCABCABABAB"
    crystal = ball("fcc", 6.2, n=200)
    assert label(crystal.positions_nm).labels.tolist() == label(crystal).labels.tolist()


def test_a_crystal_that_ase_built():
    """Gold in Å becomes NPs at a tenth: fcc, whose stacking along [111] is ABC."""
    atoms = ase.build.fcc111("Au", (3, 3, 6), a=62 * 2**0.5, orthogonal=False, periodic=True)
    found = from_ase(atoms)
    assert found.cell.periodic.all()
    assert set(label(found).labels) == {"fcc"}
    assert stacking_sequence(atoms).kinds == "c" * 6
    slab = ase.build.fcc111("Au", (3, 3, 6), a=62 * 2**0.5)
    assert from_ase(slab).cell.periodic.tolist() == [True, True, False]
    assert as_superlattice(ase.build.molecule("CH4")).cell is None


def test_centres_of_molecules():
    """Two dimers, one of them across the boundary; centres as MDAnalysis finds them for whole ones."""
    positions = np.array([[1.0, 1, 1], [3, 1, 1], [99, 50, 50], [1, 50, 50]])
    universe = MDAnalysis.Universe.empty(
        4, n_residues=2, atom_resindex=[0, 0, 1, 1], residue_segindex=[0, 0], trajectory=True
    )
    universe.add_TopologyAttr("masses", [3.0, 1.0, 1.0, 1.0])
    universe.atoms.positions, universe.dimensions = positions, [100, 100, 100, 90, 90, 90]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = from_mdanalysis(universe.atoms, centres="residue")
    whole = universe.residues[0].atoms.center_of_mass() / 10
    assert np.allclose(found.positions_nm[0], whole)
    assert np.allclose(found.cell.wrap(found.positions_nm)[1], [0, 5, 5], atol=1e-6) or np.allclose(
        found.cell.wrap(found.positions_nm)[1], [10, 5, 5], atol=1e-6
    )
    second = from_mdanalysis(universe.residues[1].atoms, centres="residue")
    assert second.n == 1
    assert np.allclose(second.positions_nm[0], found.positions_nm[1])
    one = from_mdanalysis(universe.atoms[3:])
    assert np.allclose(one.positions_nm, [[0.1, 5, 5]])
    atoms = ase.Atoms("H4", positions, cell=[100] * 3, pbc=True)
    atoms.set_array("mol-id", np.array([1, 1, 2, 2]))
    assert np.allclose(from_ase(atoms, centres="molecule").positions_nm[0], [0.2, 0.1, 0.1])


def test_what_ovito_reads_of_a_file(tmp_path):
    """OVITO's own reader, of a file that ASE wrote, whose cell does not begin at the origin."""
    pytest.importorskip("ovito")
    from ovito.io import import_file

    ase.io.write(tmp_path / "lattice.xyz", to_ase(LATTICE))
    data = import_file(str(tmp_path / "lattice.xyz")).compute()
    found = from_ovito(data)
    assert np.allclose(found.positions_nm, LATTICE.positions_nm, atol=1e-6)
    assert np.allclose(found.cell.vectors_nm, LATTICE.cell.vectors_nm)
    assert np.allclose(found.radii_nm, 2.0)
    moved = to_ovito(LATTICE)
    moved.cell_[:, 3] = [100.0, 0, 0]
    moved.particles_.positions_[:] += [100.0, 0, 0]
    assert_same(from_ovito(moved), LATTICE)


def test_labels_go_along():
    labels = label(LATTICE)
    atoms, universe = to_ase(LATTICE, labels), to_mdanalysis(LATTICE, labels)
    assert atoms.arrays["label"].tolist() == labels.labels.tolist() == universe.atoms.names.tolist()
    assert np.allclose(atoms.arrays["probability"], labels.probability)
    assert len(universe.select_atoms("name hcp")) == labels.counts["hcp"]
    assert to_ase(LATTICE, ["fcc"] * LATTICE.n).arrays["label"].tolist() == ["fcc"] * LATTICE.n
    with pytest.raises(InputError, match="one for each of 144 NPs"):
        to_ase(LATTICE, ["fcc"])
    pytest.importorskip("ovito")
    types = to_ovito(LATTICE, labels).particles["Particle Type"]
    names = [types.type_by_id(number).name for number in types[...]]
    assert names == labels.labels.tolist()


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda atoms: atoms.set_momenta(np.ones((2, 3))), "momenta"),
        (lambda atoms: atoms.set_masses([1.0, 2.0]), "masses"),
        (lambda atoms: atoms.set_chemical_symbols(["Au", "Ag"]), "elements"),
        (lambda atoms: atoms.set_constraint(ase.constraints.FixAtoms([0])), "constraints"),
    ],
)
def test_what_ase_has_besides_is_named(make, left):
    atoms = ase.Atoms("X2", [[0, 0, 0], [62, 0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_ase(atoms)
        make(atoms)
        as_superlattice(atoms)  # takes what it needs
    with pytest.warns(SimscWarning, match=f"{left} of ase.Atoms: not held"):
        from_ase(atoms)


def test_what_does_not_fit_is_named():
    turned = LATTICE.with_orientations(Rotation.identity())
    with pytest.warns(SimscWarning, match="does not hold orientations: left out"):
        to_mdanalysis(turned)
    slab = Superlattice(LATTICE.positions_nm, cell=Cell(LATTICE.cell.vectors_nm, [True, True, False]))
    with pytest.warns(SimscWarning, match="which directions of the cell are periodic"):
        to_mdanalysis(slab)
    universe = to_mdanalysis(LATTICE)
    universe.add_TopologyAttr("charges", np.zeros(LATTICE.n))
    with pytest.warns(SimscWarning, match="charges of MDAnalysis: not held"):
        from_mdanalysis(universe)
    pytest.importorskip("ovito")
    data = to_ovito(LATTICE)
    data.particles_.create_property("Velocity", data=np.zeros((LATTICE.n, 3)))
    with pytest.warns(SimscWarning, match="Velocity of OVITO: not held"):
        from_ovito(data)


def test_radii_of_zero_are_unknown():
    """OVITO and MDAnalysis have zeros where nobody said how large a particle is."""
    atoms = ase.Atoms("X2", [[0, 0, 0], [62, 0, 0]])
    atoms.set_array("radius", np.zeros(2))
    assert from_ase(atoms).radii_nm is None
    atoms.arrays["radius"][0] = 20.0
    with pytest.raises(InputError, match="positive"):
        from_ase(atoms)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: as_superlattice(3.0), "a float is no structure; it is a Superlattice"),
        (lambda: as_superlattice({"positions": 1}), "a dict is no structure"),
        (lambda: as_superlattice(np.zeros((3, 2))), r"shape \(N, 3\)"),
        (lambda: as_superlattice(["a", "b"]), "numbers in nm, got a list"),
        (lambda: as_superlattice("no_such_file.h5"), "no such file"),
        (lambda: as_cell([1.0, 2.0]), "three edges"),
        (lambda: as_cell("abc"), "a str is no cell"),
        (lambda: from_arrays(np.zeros((1, 3)), periodic=[True] * 3), "periodic goes with a cell"),
        (lambda: from_ase(LATTICE), "a Superlattice is not an ase.Atoms"),
        (lambda: from_ase(ase.Atoms("X"), length_unit="pm"), "'pm' is not known; it is nm or A"),
        (lambda: from_mdanalysis(ase.Atoms("X")), "a Atoms is not an MDAnalysis"),
        (lambda: from_ovito(ase.Atoms("X")), "not an OVITO DataCollection"),
        (lambda: as_maps([LATTICE]), "a Superlattice is no correlation map"),
    ],
)
def test_what_is_none_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_many_frames_are_refused_with_advice():
    class Many:
        def superlattice(self, frame: int) -> None: ...

    with pytest.raises(InputError, match=r"take one, such as the last: \.superlattice\(-1\)"):
        as_superlattice(Many())


def test_ovito_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "ovito.data", None)
    with pytest.raises(InputError, match="pip install ovito"):
        to_ovito(LATTICE)


def test_other_packages_are_not_loaded_before_they_are_needed():
    program = "import sys, simsc.io.adapters; print({'ase', 'MDAnalysis', 'ovito', 'freud'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (LATTICE, "Superlattice(144 NPs, cell 18.6 × 21.48 × 60.75 nm, periodic abc, radii 2 nm)"),
        (Superlattice(np.zeros((1, 3))), "Superlattice(1 NP in free space, radii unknown)"),
        (
            Superlattice([[0, 0, 0], [6.2, 0, 0]], [2.0, 2.4], orientations=[0, 0, 0, 1]),
            "Superlattice(2 NPs in free space, 6.2 nm across, radii 2.2 ± 0.2 nm, oriented)",
        ),
        (Cell(np.eye(3), [True, True, False]), "Cell(1 × 1 × 1 nm, periodic ab)"),
        (Cell(np.eye(3), [False] * 3), "Cell(1 × 1 × 1 nm, not periodic)"),
    ],
)
def test_values_show_what_they_are(value, shown):
    assert repr(value) == shown
