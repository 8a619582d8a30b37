"""Masks: which momentum transfers were measured, and what that does to a fitted stacking."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import simsc
from scipy.spatial.transform import Rotation

from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball, layers_of_ball
from simsc.cli.main import cli
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning
from simsc.core.intensity import ShellIntensity, shell_grid
from simsc.core.stacking import lettered
from simsc.correlation.engine import correlate
from simsc.correlation.mask import mask_of_shells, masked
from simsc.correlation.shells import shells_of_crystal
from simsc.io.native import write_map, write_shells
from simsc.io.provenance import provenance
from simsc.refine.stacking_disorder import StackingFit, fit_stacking
from simsc.refine.stacking_map import correlations_of_map
from simsc.refine.stacking_mask import _Simulation, mask_effect
from simsc.scattering.counting import counted_shell
from simsc.scattering.layer_disorder import StackingModel
from simsc.scattering.rods import sphere_statistics

D, DIAMETER = 15.9, 150.0
Q1 = layer_momentum_transfer(D)
Q2, DELTA = np.arange(0.4, 0.9001, 0.02), np.linspace(0, 90, 91)


def outside_wedge(q_inv_nm: np.ndarray) -> np.ndarray:
    azimuth = np.degrees(np.arctan2(q_inv_nm[:, 1], q_inv_nm[:, 0])) % 180
    return np.minimum(azimuth, 180 - azimuth) > 10


def everywhere(q_inv_nm: np.ndarray) -> np.ndarray:
    return np.ones(len(q_inv_nm), dtype=bool)


@pytest.fixture(scope="module")
def shells() -> list[ShellIntensity]:
    rng = np.random.default_rng(4)
    steps = StackingModel(0.75).steps(layers_of_ball(D, DIAMETER) - 1, rng)[0]
    crystal = ball(lettered(steps), D, DIAMETER).rotated(Rotation.from_euler("xyz", [1.0, 0.9, 0.2]))
    first, second = shells_of_crystal([with_normal_radii(crystal, 7.4, 0.8, rng)], Q1, Q2, 1e-5)
    return [first, *second]


@pytest.fixture(scope="module")
def seen(shells) -> CorrelationMap:
    part = [masked(shell, outside_wedge) for shell in shells]
    return correlate(part[0], part[1:], DELTA)


@pytest.fixture(scope="module")
def fit(seen) -> StackingFit:
    form, _ = sphere_statistics(Q2, 7.4, 0.8)
    with pytest.warns(SimscWarning, match="--intensity"):
        found = correlations_of_map(seen, DIAMETER, D, form)
    return fit_stacking(found, bootstrap=0)


def test_spheres_tell_what_was_measured(rng):
    measured = rng.random((3, 12, 24)) < 0.7
    shells = [ShellIntensity(q, np.ones((12, 24)), m) for q, m in zip((0.5, 0.4, 0.6), measured, strict=True)]
    mask = mask_of_shells(shells)
    for shell in shells:
        assert (masked(shell, mask).measured == shell.measured).all()
    points = shell_grid(12, 24)[0].reshape(-1, 3)
    assert (mask(0.445 * points) == measured[1].ravel()).all()
    assert (mask(0.455 * points) == measured[0].ravel()).all()
    assert not mask(0.34 * points).any()
    assert not mask(0.66 * points).any()
    # Between the points the nearest one counts, by brute force.
    directions = Rotation.random(200, random_state=1).apply([0.0, 0, 1])
    theta, phi = np.arccos(directions[:, 2]), np.arctan2(directions[:, 1], directions[:, 0])
    rings = np.arccos(points[::24, 2])
    ring = np.abs(theta[:, None] - rings).argmin(axis=1)
    turn = np.cos(phi[:, None] - 2 * np.pi * np.arange(24) / 24).argmax(axis=1)
    assert (mask(0.5 * directions) == measured[0][ring, turn]).all()
    with pytest.raises(InputError, match="same grid"):
        mask_of_shells([shells[0], ShellIntensity(0.7, np.ones((6, 12)))])


def test_a_mask_that_leaves_all_changes_nothing(seen, fit):
    """What is fitted with and without it is the same, and near the layers of the crystals drawn."""
    complete = replace(seen, coverage=np.ones_like(seen.coverage))
    effect = mask_effect(complete, fit, everywhere, 7.4, 0.8, draws=3)
    assert np.allclose(effect.under_mask, effect.complete, atol=1e-6)
    assert np.abs(effect.complete[:, 2]).max() < 0.05
    assert np.ptp(effect.realised[:, 2]) > 0.05  # not one crystal three times
    assert effect.photons is None
    with pytest.warns(SimscWarning, match="mask that of the map"):
        mask_effect(seen, fit, everywhere, 7.4, 0.8, draws=2)


def test_the_mask_adds_to_all_errors_whatever_the_number_of_processes(seen, fit):
    effect = mask_effect(seen, fit, outside_wedge, 7.4, 0.8, draws=3, seed=2)
    again = mask_effect(seen, fit, outside_wedge, 7.4, 0.8, draws=3, seed=2, jobs=2)
    assert np.allclose(effect.under_mask, again.under_mask, atol=1e-9)
    bias, spread = effect.fcc_fraction
    shifts = -2 / 3 * effect.under_mask[:, 2]
    assert bias == pytest.approx(shifts.mean())
    found = effect.added_to(fit.correlations)
    alone, total = fit.realised_fcc_error, found.fcc_fraction[1]
    n = len(shifts)
    assert total**2 == pytest.approx(alone**2 + bias**2 + spread**2 * (n - 1) / n)
    wider = fit_stacking(found, bootstrap=0)
    assert wider.formal_errors["alpha"] > fit.formal_errors["alpha"]
    with pytest.raises(InputError, match="at least 2"):
        mask_effect(seen, fit, outside_wedge, 7.4, draws=1)


@pytest.mark.parametrize("photons", [1e5, 1e7])
def test_photons_follow_from_the_variance(shells, seen, fit, photons):
    """Also where most points count none; another stacking has another variance, so within a factor of two."""
    rng = np.random.default_rng(1)
    share = seen.radial_profile * Q2**2 / (seen.radial_profile * Q2**2).sum()
    counts = photons * np.array([np.interp(Q1, Q2, share), *share])
    noisy = [counted_shell(masked(s, outside_wedge), n, rng) for s, n in zip(shells, counts, strict=True)]
    counted = correlate(noisy[0], noisy[1:], DELTA)
    simulation = _Simulation(counted, outside_wedge, fit.simulated, DIAMETER, D, 7.4, 0.8, 1, 1)
    assert 0.5 < simulation.photons_of_variance() / photons < 2


def test_the_command_takes_a_mask(shells, seen, tmp_path):
    write_map(tmp_path / "map.h5", seen, provenance())
    n_theta, n_phi = 90, 180
    spheres = (masked(ShellIntensity(float(q), np.ones((n_theta, n_phi))), outside_wedge) for q in (Q1, *Q2))
    write_shells(tmp_path / "spheres.h5", ((sphere, None) for sphere in spheres), provenance())
    words = ["refine", "stacking", "map.h5", "--d-nn", str(D), "--diameter", str(DIAMETER), "--bootstrap", "2"]
    more = ["--radius", "7.4", "--radius-std", "0.8", "--intensity", "spheres.h5", "--draws", "4"]
    text = simsc(*words, *more, "--jobs", "1", cwd=tmp_path)
    assert text.returncode == 0, text.stderr
    assert "under the same mask" in text.stdout.replace("\n", " ")
    assert "less than 90 %" not in text.stderr  # which would ask for what was given
    # The mask goes to other processes too, and both say the same.
    told = json.loads(simsc(*words, *more, "--jobs", "2", "--json", cwd=tmp_path).stdout)
    assert told["mask"]["draws"] + told["mask"]["not_fitted"] == 4
    assert told["realised"]["fcc_fraction_error"] > told["mask"]["fcc_fraction_error_without"]
    assert f"± {told['realised']['fcc_fraction_error']:.3f}" in text.stdout
    words[2] = str(tmp_path / "map.h5")
    error = CliRunner().invoke(cli, [*words, "--intensity", str(tmp_path / "spheres.h5")]).exception
    assert isinstance(error, InputError)
    assert "--radius" in str(error)
