"""Equilibrium of stackings: energies from drawn distributions, symmetry of what is sampled, and switching energies."""

import itertools
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pymbar
import pytest
from click.testing import CliRunner
from scipy.stats import chisquare

from simsc.builders.close_packed import close_packed
from simsc.cli.main import cli
from simsc.core.errors import InputError
from simsc.core.stacking import hcp_layers, stacking_steps
from simsc.core.units import KCAL_PER_MOL_K, angstrom_from_nm
from simsc.forcefield.one_site import load_one_site
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import world
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import coarse_grained
from simsc.models.heads import SPHERES
from simsc.models.lammps_system import DATA
from simsc.sliding.chance import null_distribution
from simsc.sliding.monte_carlo import StackingSample, _Moves, sample_stackings

PARAMETERS = load_one_site("oleate_one_site")


def drawn(epsilon, n, rng):
    """Return a sample of independent rings with a known energy."""
    start = stacking_steps("ABABABABABAB")
    chance = null_distribution("single_layer", start)
    h = rng.choice(len(chance.log_weights), size=n, p=chance.probabilities(epsilon))
    return StackingSample(h, np.tile(start, (n, 1)), 1.0, 600.0, 8, 6.6, chance)


@pytest.mark.parametrize("epsilon", [-0.4, 0.0, 0.7])
def test_a_known_energy_comes_back(epsilon, rng):
    found = np.array([drawn(epsilon, 2000, rng).energy_kT() for _ in range(30)])
    assert found[:, 0].mean() == pytest.approx(epsilon, abs=4 * found[:, 0].std() / np.sqrt(30))
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.4)


def test_no_energy_from_one_kind_of_stacking(rng):
    sample = drawn(60.0, 100, rng)
    assert set(sample.h) == {2}
    with pytest.raises(InputError, match="different numbers"):
        sample.energy_kT()


@pytest.mark.parametrize("lateral", [(1, 1), (3, 2)])
@pytest.mark.parametrize("stacking", ["ABCABCABABAB", "ABAC", "ACBACB"])
def test_steps_are_read_from_positions(stacking, lateral, rng):
    crystal = close_packed(stacking, 6.6, lateral)
    positions = angstrom_from_nm(crystal.positions_nm) + rng.normal(scale=1.5, size=(crystal.n, 3))
    moves = _Moves(PARAMETERS, positions, angstrom_from_nm(crystal.cell.vectors_nm), lateral, 600.0)
    assert (moves.steps == stacking_steps(stacking)).all()


def test_moves_of_a_perfect_crystal_lead_to_perfect_crystals(rng):
    """Whatever is accepted: all distances in a layer stay, and all layers lie in hollows."""
    crystal = close_packed("ABABCB", 6.61, (2, 2))
    cell = angstrom_from_nm(crystal.cell.vectors_nm)
    start = angstrom_from_nm(crystal.positions_nm)
    moves = _Moves(PARAMETERS, start, cell, (2, 2), 600.0)
    outcomes = [moves.one(rng) for _ in range(200)]
    assert {True, None} <= set(outcomes)
    assert moves.steps.sum() == stacking_steps("ABABCB").sum()
    moved = (start + moves.moved)[:, :2].reshape(6, 8, 2)
    lattice = moved - moved[:, :1]
    assert np.allclose(lattice, start[:, :2].reshape(6, 8, 2) - start[::8, None, :2])
    offsets = (np.roll(moved[:, 0], -1, axis=0) - moved[:, 0]) / np.diag(cell)[:2] * [2, 2]
    thirds = (offsets.sum(axis=1) * 3) % 3
    assert np.allclose(np.abs(np.exp(2j * np.pi * thirds / 3) - np.exp(2j * np.pi * moves.steps / 3)), 0, atol=1e-6)


@pytest.fixture(scope="module")
def sampled():
    return sample_stackings(PARAMETERS, "ABABAB", (1, 1), 6.61, 600.0, 1200, sweep_ns=0.05, equilibration_ns=2.0)


def test_rings_that_are_turned_are_equally_frequent(sampled):
    """The crystal is the same whichever layer is called the first: rings of the same h with three steps + each."""
    counts = Counter(tuple(ring) for ring in sampled.steps[::3])
    for h in (2, 4):
        rings = [ring for ring in itertools.product((-1, 1), repeat=6) if sum(ring) == 0 and hcp_layers(ring) == h]
        assert chisquare([counts[tuple(ring)] for ring in rings]).pvalue > 1e-4
    assert 0.2 < sampled.accepted < 1
    assert set(sampled.h) == {2, 4, 6}


def test_the_energy_agrees_with_that_of_switching(sampled):
    """Acceptance ratios of the switch ABABAB to ABCBAB and back, from two samples without moves (Bennett, 1976)."""
    rng = np.random.default_rng(5)
    works = []
    for stacking in ("ABABAB", "ABCBAB"):
        works.append(_switching(stacking, rng))
    found = pymbar.other_estimators.bar(*works)
    epsilon, error = sampled.energy_kT()
    # h goes from 6 to 4
    assert -found["Delta_f"] / 2 == pytest.approx(epsilon, abs=4 * np.hypot(error, 2 * found["dDelta_f"]))


def _switching(stacking, rng, n=150):
    """Return ΔU/kT of moving layer 2 to its other hollow, in n independent configurations."""
    crystal = close_packed(stacking, 6.61, (1, 1), 2.0)
    system = coarse_grained("oleate_one_site").dress(crystal, rng, SPHERES)
    result = []
    with tempfile.TemporaryDirectory() as temporary:
        prepare(system, Path(temporary))
        with LammpsSession(Path(temporary), world(), ONE_THREAD, system.packages) as session:
            session.set(**system.variables, data=DATA, thermostat=system.thermostat, seed=3, bath_seed=4, step=0)
            session.set(t_first=600, t_start=600, t_stop=600, coupling="aniso", pressure=1.0)
            for script in ("system.lmp", "push_off.lmp", "npt.lmp"):
                session.script(script)
            session.run(4000, 0, 4000, first=True)
            for _ in range(n):
                session.run(400, session.step, session.step + 400, first=False)
                cell = session.cell_angstrom()
                moves = _Moves(PARAMETERS, session.positions_angstrom(), cell, (1, 1), 600.0)
                shift = np.zeros((12, 3))
                shift[4:6] = moves.steps[1] * moves._ways[0]
                change = moves._energy_of(moves._positions + shift) - moves._energy
                result.append(change / (KCAL_PER_MOL_K * 600.0))
    return np.array(result)


def test_what_cannot_be_sampled_is_said():
    with pytest.raises(InputError, match="is fcc, of which no block"):
        sample_stackings(PARAMETERS, "ABCABC", (1, 1), 6.6, 600.0, 10)
    with pytest.raises(InputError, match="200 K: oleate_one_site holds from 450 to 600 K"):
        sample_stackings(PARAMETERS, "ABAB", (1, 1), 6.6, 200.0, 10)


def test_the_command_writes_a_table(tmp_path):
    output = tmp_path / "stackings.csv"
    command = [
        "stackings", "ABABAB", "--lateral", "1", "1", "--d-nn", "6.6", "--temperature", "600", "--sweeps", "60",
        "--sweep", "0.02", "--equilibrate", "0.5", "-o", str(output), "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])
    lines = output.read_text().splitlines()
    assert lines[0] == "sweep,hcp_layers,stacking"
    assert len(lines) == 61
    rows = [line.split(",") for line in lines[1:]]
    assert all(hcp_layers(stacking_steps(letters)) == int(h) for _, h, letters in rows)
    assert told["mean_hcp_layers"] == pytest.approx(np.mean([int(h) for _, h, _ in rows]))


def test_a_distance_of_other_nanoparticles_is_refused():
    with pytest.raises(
        InputError, match=r"d_NN 14 nm at the start: oleate_one_site was derived from 6\.32 to 6\.71 nm"
    ):
        sample_stackings(PARAMETERS, "ABAB", (1, 1), 14.0, 600.0, 20)
