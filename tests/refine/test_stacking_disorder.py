import itertools
import json

import numpy as np
import pytest
from brute_force import direct_intensity
from click.testing import CliRunner
from conftest import simsc
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed, random_stacking
from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import ball, icosahedron, layers_of_ball
from simsc.classify.stacking import layer_frame
from simsc.cli.main import cli
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SamplingError
from simsc.core.intensity import IntensityVolume
from simsc.core.stacking import layer_kinds, lettered
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_crystal
from simsc.io.native import write_intensity, write_map, write_superlattice
from simsc.io.provenance import provenance
from simsc.refine.spacing import refine_spacing
from simsc.refine.stacking_disorder import (
    PairCorrelations,
    ball_diameter,
    correlations_of_rod,
    default_disc,
    fit_stacking,
)
from simsc.refine.stacking_map import _Patterns, correlations_of_map
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.counting import counted_shell
from simsc.scattering.layer_disorder import (
    StackingModel,
    ball_weights,
    pair_correlations_of,
    pair_weights,
    rod_intensity,
    slab_weights,
)
from simsc.scattering.rods import (
    LayerFrame,
    layers_of_volume,
    rod_profile,
    rod_profile_of_volume,
    sphere_statistics,
)

D = 15.9
L_HCP = np.linspace(0, 3.2, 161)
FRAME = LayerFrame(np.array([0.0, 0, 1]), np.array([0.0, 1, 0]), D)


def rhcp(steps: np.ndarray, diameter: float, spread: float = 0.8, seed: int = 1) -> Superlattice:
    return with_normal_radii(ball(lettered(steps), D, diameter), 7.4, spread, np.random.default_rng(seed))


def fcc_by_size(superlattice: Superlattice, steps: np.ndarray) -> float:
    """Return the fraction of fcc-like NPs, by their layers' kinds."""
    kinds = np.array(list(layer_kinds(lettered(steps), periodic=False)))
    layer = np.round(superlattice.positions_nm[:, 2] / (np.sqrt(2 / 3) * D) + (len(steps)) / 2).astype(int)
    found = kinds[layer]
    return float((found == "c").sum() / (found != "-").sum())


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, Superlattice]:
    """A ball of 17 random layers, three in four of them fcc-like."""
    steps = StackingModel(0.75).steps(16, np.random.default_rng(5))[0]
    return steps, rhcp(steps, 13.5 * D)


@pytest.fixture(scope="module")
def sample_map(sample) -> CorrelationMap:
    q2 = np.arange(0.4, 0.9001, 0.01)
    shells = shells_of_crystal([sample[1]], layer_momentum_transfer(D), q2, 1e-6)
    return correlate(*shells, np.linspace(0, 90, 91))


# Theory


@pytest.mark.parametrize("model", [StackingModel(0.7), StackingModel(0.9, 0.3), StackingModel(0.8, None, 0.1)])
def test_theory_is_the_mean_over_all_stackings(model):
    """Σ over all 2⁷ stackings of eight layers, each with its probability, of |Σ_j exp(2πi X_j / 3 − iπ l j)|²."""
    n, l_hcp = 7, np.array([0.0, 0.31, 2 / 3, 1.0, 1.5])
    mean, total = np.zeros(len(l_hcp)), 0.0
    for grown in itertools.product([-1, 1], repeat=n):
        cubic = np.array(grown[1:]) == np.array(grown[:-1])
        start = model._share()
        # Probability that the layer before the first step was fcc-like, which the first layer may depend on.
        chance = 0.0
        for first in (True, False):
            p, last = 0.5 * (start if first else 1 - start), first
            for c in cubic:
                after = model.cubic_after_cubic if last else model.cubic_after_hexagonal
                p, last = p * (after if c else 1 - after), c
            chance += p
        for flips in itertools.product([1, -1], repeat=n) if model.deformation else [(1,) * n]:
            weight = chance * np.prod([model.deformation if f < 0 else 1 - model.deformation for f in flips])
            position = np.concatenate([[0], np.cumsum(np.array(grown) * flips)])
            waves = np.exp(2j * np.pi * position / 3 - 1j * np.pi * np.multiply.outer(l_hcp, np.arange(n + 1)))
            mean += weight * np.abs(waves.sum(axis=1)) ** 2
            total += weight
    assert abs(total - 1) < 1e-12
    theory = rod_intensity(l_hcp, model.pair_correlations(n), slab_weights(n + 1))
    assert np.abs(theory - mean).max() < 1e-10


def test_random_stacking_in_closed_form():
    """Q_m = (−1/2)^m, so I = (1 − 1/4) / (1 + cos πl + 1/4): a broad maximum at l = 1, 9 times the minimum at 0."""
    exact = 0.75 / (1.25 + np.cos(np.pi * L_HCP))
    assert np.abs(StackingModel(0.5).infinite_rod(L_HCP) - exact).max() < 1e-12
    assert np.allclose(StackingModel(0.5, None, 0.3).infinite_rod(L_HCP), exact)
    # Deformation faults alone, in fcc: Q_m = Re [(1 − δ) ω + δ ω*]^m, a geometric series.
    z = (0.9 * np.exp(2j * np.pi / 3) + 0.1 * np.exp(-2j * np.pi / 3)) * np.exp(-1j * np.pi * np.array([L_HCP, -L_HCP]))
    deformed = (1 + 2 * (z / (1 - z)).real).mean(axis=0)
    assert np.allclose(StackingModel(1.0, None, 0.1).infinite_rod(L_HCP), deformed)


def test_limits():
    fine = np.linspace(-2, 2, 1201)
    hcp = rod_intensity(fine, StackingModel(0.0).pair_correlations(59), slab_weights(60))
    assert hcp[900] / hcp[600] == pytest.approx(3)  # I(1) / I(0)
    fcc = rod_intensity(fine, StackingModel(1.0).pair_correlations(59), slab_weights(60))
    tops = fine[1:-1][(fcc[1:-1] > fcc[:-2]) & (fcc[1:-1] > fcc[2:]) & (fcc[1:-1] > 0.5 * fcc.max())]
    assert np.allclose(tops, [-4 / 3, -2 / 3, 2 / 3, 4 / 3], atol=0.005)
    with pytest.raises(InputError, match="finite number"):
        StackingModel(1.0).infinite_rod(fine)


def test_many_layers_approach_infinitely_many():
    model = StackingModel(0.8, 0.4, 0.05)
    finite = rod_intensity(L_HCP, model.pair_correlations(2999), slab_weights(3000)) / 3000
    assert np.abs(finite / model.infinite_rod(L_HCP) - 1).max() < 0.02


@pytest.mark.parametrize("model", [StackingModel(0.3), StackingModel(0.9, 0.2, 0.1)])
def test_simulated_stackings_have_the_chains_statistics(model):
    steps = model.steps(30, np.random.default_rng(1), 4000)
    kinds = steps[:, 1:] == steps[:, :-1]
    assert abs(kinds.mean() - model.fcc_fraction) < 0.01
    assert np.abs(pair_correlations_of(steps).real.mean(axis=0)[:12] - model.pair_correlations(11)).max() < 0.02


def test_pairs_in_a_disc_count_by_product_then_by_overlap():
    narrow = ball_weights(260.0, D, 1e-6)
    assert np.allclose(narrow, ball_weights(260.0, D), rtol=1e-6, atol=1e-6 * narrow[0])
    # ∫ W_m(κ) d²κ / 4π² is the sum of overlaps over the squared area of an NP, here from the discs' areas.
    wide = 1.2
    integral = ball_weights(260.0, D, wide) * wide**2 / (4 * np.pi)
    spacing, area = np.sqrt(2 / 3) * D, np.sqrt(3) / 2 * D**2
    offsets = (np.arange(8) + 0.5) / 8 - 0.5
    discs = np.pi * np.maximum(130.0**2 - ((np.arange(-12, 13)[:, None] + offsets) * spacing) ** 2, 0)
    for m in (0, 1, 5, 12):
        overlap = np.minimum(discs[m:], discs[: len(discs) - m]).sum(axis=0).mean() / area**2
        assert integral[m] == pytest.approx(overlap, rel=0.03)


# Rods


def test_rod_against_the_direct_sum_and_known_layers(sample):
    steps, crystal = sample
    profile = rod_profile([crystal], FRAME, L_HCP[::20])
    for h, l_hcp in enumerate(L_HCP[::20]):
        q = FRAME.rods((1, 0)) + l_hcp * FRAME.c_star_inv_nm * FRAME.axis
        assert profile.intensity[h] == pytest.approx(direct_intensity(crystal, q).mean(), rel=1e-5)
        assert profile.q_inv_nm[h] == pytest.approx(np.linalg.norm(q, axis=1).mean())
    # With equal NPs, the rod is that of layers weighted by their numbers of NPs, for which nothing is left out.
    equal = crystal.with_radii(7.4)
    layer = np.round(equal.positions_nm[:, 2] / (np.sqrt(2 / 3) * D) + 8).astype(int)
    sizes = np.bincount(layer, minlength=17)
    phases = np.exp(2j * np.pi * np.concatenate([[0], np.cumsum(steps)]) / 3)
    waves = np.exp(-1j * np.pi * np.multiply.outer(L_HCP, np.arange(17)))
    expected = (
        np.abs((sizes * phases * waves).sum(axis=1)) ** 2 + np.abs((sizes * phases.conj() * waves).sum(axis=1)) ** 2
    ) / 2
    found = rod_profile([equal], FRAME, L_HCP)
    assert np.abs(found.corrected - expected).max() < 1e-4 * expected.max()


def test_six_and_twelve_equivalent_rods():
    assert len(FRAME.rods((1, 0))) == 6
    assert len(FRAME.rods((1, 1))) == 6
    assert len(FRAME.rods((2, 1))) == 12
    assert np.allclose(np.linalg.norm(FRAME.rods((1, 0)), axis=1), 4 * np.pi / (np.sqrt(3) * D))
    assert np.allclose(np.linalg.norm(FRAME.rods((1, 1)), axis=1), 4 * np.pi / D)


def test_layers_are_found_in_a_turned_crystal_and_in_its_volume(sample):
    small = rhcp(sample[0][3:13], 8.9 * D, 0.0)
    turn = Rotation.from_euler("xyz", [20, 35, 50], degrees=True).as_matrix()
    turned = Superlattice(small.positions_nm @ turn.T, small.radii_nm)
    volume = intensity_on_grid(turned, 0.75, 128)
    for found in (layer_frame(turned), layers_of_volume(volume, 1.01 * D)):
        assert abs(abs(found.axis @ turn[:, 2]) - 1) < 2e-4
        azimuth = np.degrees(np.arctan2(found.in_plane @ turn[:, 0], found.in_plane @ turn[:, 1]))
        assert abs((azimuth + 30) % 60 - 30) < 0.5
        assert found.d_nn_nm == pytest.approx(D, rel=0.011)
    assert layer_frame(turned).d_nn_nm == pytest.approx(D, rel=1e-4)
    assert layer_frame(turned).spacing_nm == pytest.approx(np.sqrt(2 / 3) * D, rel=1e-4)


def test_rod_of_a_volume_is_that_of_the_crystal_where_measured(sample):
    small = rhcp(sample[0][3:13], 8.9 * D, 0.0)
    volume = intensity_on_grid(small, 0.75, 128)
    exact = rod_profile([small], FRAME, L_HCP[:100], disc_inv_nm=0.02)
    found = rod_profile_of_volume(volume, FRAME, L_HCP[:100], disc_inv_nm=0.02)
    assert np.abs(found.intensity - exact.intensity).max() < 2e-3 * exact.intensity.max()
    measured = np.ones(volume.intensity.shape, dtype=bool)
    measured[:, :50] = False  # q_y < −0.16: of three rods of one kind one is left, of the other kind two
    holed = IntensityVolume(np.where(measured, volume.intensity, np.nan), volume.q_axes_inv_nm, measured, 142.0)
    masked = rod_profile_of_volume(holed, FRAME, L_HCP[:100], disc_inv_nm=0.02)
    assert np.abs(masked.intensity - exact.intensity).max() < 2e-3 * exact.intensity.max()
    one, other = direct_intensity(small, FRAME.rods((1, 0))[[3, 5]] + 2 / 3 * FRAME.c_star_inv_nm * FRAME.axis)
    assert abs(one - other) > 0.1 * max(one, other)  # the two kinds differ, so that their weights matter


# Fits


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.85])
def test_rod_tells_the_realised_fraction(alpha):
    steps = StackingModel(alpha).steps(20, np.random.default_rng(3))[0]
    crystal = rhcp(steps, 16.4 * D)
    diameter = ball_diameter(crystal.n, D)
    assert diameter == pytest.approx(16.4 * D, rel=0.01)
    profile = rod_profile([crystal], FRAME, L_HCP, disc_inv_nm=default_disc(diameter))
    found = correlations_of_rod(profile, diameter)
    assert abs(found.fcc_fraction[0] - fcc_by_size(crystal, steps)) < 0.03
    assert found.residual < 0.05
    kinds = layer_kinds(lettered(steps), periodic=False)[1:-1]
    pairs = np.mean([a == b == "c" for a, b in itertools.pairwise(kinds)])
    assert abs(found.fcc_pairs[0] - pairs) < 0.1  # of equal weights, which those of the ball are not


def test_fit_recovers_the_process_of_many_layers():
    """A crystal of 300 layers is sample enough: within four of the fit's own errors, which are then small."""
    diameter = 300 * np.sqrt(2 / 3) * D
    for process, model in (
        ("growth", StackingModel(0.7)),
        ("jagodzinski", StackingModel(0.85, 0.4)),
        ("deformation", StackingModel(0.9, None, 0.06)),
    ):
        steps = model.steps(299, np.random.default_rng(2))[0]
        height = np.arange(300) - 149.5
        values = pair_correlations_of(steps, 1 - (height / 150) ** 2).real[:40]
        covariance = np.diag(np.where(np.arange(40) < 2, 0.0, 1e-4))
        fit = fit_stacking(PairCorrelations(values, covariance, diameter, D, 0.0, "rod"), process, bootstrap=20)
        true = {"alpha": model.cubic_after_cubic, "alpha_after_fcc": model.cubic_after_cubic}
        true |= {"alpha_after_hcp": model.cubic_after_hexagonal, "deformation": model.deformation}
        for name, value in fit.parameters.items():
            assert abs(value - true[name]) < 4 * max(fit.formal_errors[name], fit.bootstrap_errors[name])
            assert fit.bootstrap_errors[name] < 0.12
        assert fit.chi_squared < 2


def test_errors_of_the_process_cover_the_scatter_among_crystals():
    """α of small balls scatters about the truth as the bootstrap of each says."""
    estimates, errors = [], []
    for seed in range(12):
        steps = StackingModel(0.7).steps(20, np.random.default_rng([7, seed]))[0]
        sizes = 1 - ((np.arange(21) - 10) / 10.5) ** 2
        values = pair_correlations_of(steps, sizes).real
        covariance = np.diag(np.where(np.arange(21) < 2, 0.0, 1e-4))
        found = PairCorrelations(values, covariance, 21 * np.sqrt(2 / 3) * D, D, 0.0, "rod")
        fit = fit_stacking(found, bootstrap=30)
        estimates.append(fit.parameters["alpha"])
        errors.append(fit.bootstrap_errors["alpha"])
    assert abs(np.mean(estimates) - 0.7) < 3 * np.mean(errors) / np.sqrt(12)
    assert 0.5 < np.std(estimates) / np.mean(errors) < 1.6


def test_patterns_correlate_as_the_engine_does_on_their_field():
    """Fields of the ball's rods, put together on the engine's own grid, without symmetry."""
    from simsc.core.intensity import ShellIntensity, shell_grid

    diameter, q1, q2 = 150.0, layer_momentum_transfer(D), 0.62
    patterns = _Patterns(q1, np.array([q2]), diameter, D)
    n = patterns.n
    correlations = pair_correlations_of(np.array([1, 1, -1, 1, 1, 1, -1, -1, 1, 1, 1]))[:n]
    off = np.linspace(0, 40 / diameter, 600)
    table = pair_weights(diameter, D, off)

    def shell(q: float) -> ShellIntensity:
        directions = q * shell_grid(160, 320)[0]
        total = np.zeros(directions.shape[:2])
        turn = directions[..., 2] * np.sqrt(2 / 3) * D
        double, conjugate = FRAME.rods((2, 0)), FRAME.rods((1, 0))
        # Azimuths alternate between the two senses, and 20l has the sense of −(10l).
        azimuth = np.round(np.degrees(np.arctan2(conjugate[:, 1], conjugate[:, 0])) / 60 - 0.5).astype(int)
        senses = np.where(azimuth % 2 == 0, 1, -1)
        far = np.round(np.degrees(np.arctan2(double[:, 1], double[:, 0])) / 60 - 0.5).astype(int)
        rods = [(np.zeros(3), 0), *((g, 0) for g in FRAME.rods((1, 1)))]
        rods += list(zip(conjugate, senses, strict=True))
        rods += list(zip(double, np.where(far % 2 == 0, -1, 1), strict=True))
        for place, sense in rods:
            kappa = np.linalg.norm((directions - place)[..., :2], axis=-1)
            for m in range(n):
                weight = np.interp(kappa, off, table[m], right=0.0) * (1 if m == 0 else 2)
                phase = 1.0 if sense == 0 else correlations[m]
                total += weight * (phase * np.exp(-1j * (sense or 1) * m * turn)).real
        return ShellIntensity(q, total)

    first, second = shell(q1), shell(q2)
    delta = np.linspace(15, 90, 40)
    exact = correlate(first, [second], delta)
    even = np.concatenate([[1.0], correlations.real])
    odd = correlations.imag[1:]
    c = np.einsum("b,qlbc,c->ql", even, patterns.even, even) + np.einsum("b,qlbc,c->ql", odd, patterns.odd, odd)
    means = [(shell_grid(160, 1)[1] @ s.intensity).sum() / 320 for s in (first, second)]
    assert patterns.means[0] @ even == pytest.approx(means[1], rel=5e-3)
    polynomials = np.polynomial.legendre.legvander(np.cos(np.radians(delta)), int(patterns.degrees[-1]))
    found = polynomials[:, patterns.degrees[1:]] @ c[0] / means[0] / means[1]
    assert np.abs(found - exact.ccf[0]).max() < 0.01 * np.abs(exact.ccf[0]).max()


def test_map_and_rod_tell_the_same_fraction(sample, sample_map):
    steps, crystal = sample
    diameter = ball_diameter(crystal.n, D)
    form, _ = sphere_statistics(sample_map.q2_inv_nm, 7.4, 0.8)
    of_map = correlations_of_map(sample_map, diameter, D, form)
    profile = rod_profile([crystal], FRAME, L_HCP, disc_inv_nm=default_disc(diameter))
    of_rod = correlations_of_rod(profile, diameter)
    true = fcc_by_size(crystal, steps)
    assert abs(of_map.fcc_fraction[0] - true) < 0.04
    assert abs(of_map.fcc_fraction[0] - of_rod.fcc_fraction[0]) < 0.04
    assert np.abs(of_map.values[2:8] - of_rod.values[2:8]).max() < 0.12
    # The form factor does not cancel where unequal NPs add to the mean: this must not pass for a result.
    with pytest.raises(InputError, match="core radius"):
        correlations_of_map(sample_map, diameter, D)


def test_form_factor_cancels_for_equal_nps(sample):
    steps, crystal = sample
    equal = crystal.with_radii(7.4)
    q2 = np.arange(0.4, 0.9001, 0.01)
    shells = shells_of_crystal([equal], layer_momentum_transfer(D), q2, 1e-6)
    found = correlations_of_map(correlate(*shells, np.linspace(0, 90, 91)), ball_diameter(equal.n, D), D)
    assert abs(found.fcc_fraction[0] - fcc_by_size(crystal, steps)) < 0.05


@pytest.mark.parametrize(("stacking", "fraction", "pairs"), [("fcc", 1.0, 1.0), ("hcp", 0.0, 0.0), ("ABAC", 0.5, 0.0)])
def test_perfect_crystals_in_maps(stacking, fraction, pairs):
    crystal = with_normal_radii(ball(stacking, D, 12 * D), 7.4, 0.8, np.random.default_rng(1))
    found = map_fit(crystal)
    assert found.fcc_fraction[0] == pytest.approx(fraction, abs=0.03)
    assert found.fcc_pairs[0] == pytest.approx(pairs, abs=0.03)


def map_fit(crystal: Superlattice) -> PairCorrelations:
    q2 = np.arange(0.4, 0.9001, 0.015)
    shells = shells_of_crystal([crystal], layer_momentum_transfer(D), q2, 1e-5)
    form, _ = sphere_statistics(q2, 7.4, 0.8)
    return correlations_of_map(correlate(*shells, np.linspace(0, 90, 91)), ball_diameter(crystal.n, D), D, form)


# Bad input


def test_what_has_no_single_stacking_axis_is_refused():
    with pytest.raises(InputError, match="no close-packed stacking of one axis"):
        map_fit(icosahedron(4, D, layers=2, radius_nm=7.4))


def test_bad_input_is_refused(sample, sample_map):
    _, crystal = sample
    for wrong in ((1.2,), (0.5, -0.1), (0.5, None, 0.6)):
        with pytest.raises(InputError):
            StackingModel(*wrong)
    with pytest.raises(InputError, match="fewer than 4 layers"):
        ball_weights(20.0, D)
    with pytest.raises(InputError, match="right angles"):
        LayerFrame(np.array([0.0, 0, 1]), np.array([0.0, 0.1, 1]), D)
    with pytest.raises(InputError, match="no radii"):
        rod_profile([Superlattice(crystal.positions_nm)], FRAME, L_HCP)
    with pytest.raises(InputError, match="h − k ≠ 3n"):
        correlations_of_rod(rod_profile([crystal], FRAME, L_HCP, (1, 1)), 215.0)
    with pytest.raises(InputError, match="gaps"):
        correlations_of_rod(rod_profile([crystal], FRAME, L_HCP[:30]), 215.0)
    with pytest.raises(InputError, match="not known"):
        fit_stacking(correlations_of_rod(rod_profile([crystal], FRAME, L_HCP), 215.0), "warren")
    with pytest.raises(InputError, match="002 of hcp"):
        correlations_of_map(sample_map, 260.0, 1.1 * D)
    short = CorrelationMap(
        sample_map.q1_inv_nm,
        *(x[:15] for x in (sample_map.q2_inv_nm,)),
        sample_map.delta_deg,
        *(x[:15] for x in (sample_map.ccf, sample_map.coverage, sample_map.radial_profile)),
    )
    with pytest.raises(InputError, match="needs q2"):
        correlations_of_map(short, 260.0, D)
    with pytest.raises(InputError, match="finite crystal"):
        layer_frame(close_packed("ABC", D, (4, 3)))
    with pytest.raises(SamplingError, match="002"):
        layers_of_volume(intensity_on_grid(crystal, 0.3, 32), D)


def test_command(sample, sample_map, tmp_path):
    steps, crystal = sample
    write_superlattice(tmp_path / "ball.h5", crystal, provenance())
    write_map(tmp_path / "map.h5", sample_map, provenance())
    volume = intensity_on_grid(rhcp(steps[3:13], 8.9 * D, 0.0), 0.75, 128)
    write_intensity(tmp_path / "volume.h5", volume, provenance())
    options = ["--d-nn", str(D), "--radius", "7.4", "--bootstrap", "5"]
    of_ball = simsc("refine", "stacking", "ball.h5", "--bootstrap", "5", "--json", cwd=tmp_path)
    assert of_ball.returncode == 0, of_ball.stderr
    assert json.loads(of_ball.stdout)["sequence"] is not None
    run = CliRunner().invoke
    words = [*options, "--radius-std", "0.8", "--diameter", str(ball_diameter(crystal.n, D)), "--json"]
    of_map = run(cli, ["refine", "stacking", str(tmp_path / "map.h5"), *words])
    for text in (of_ball.stdout, of_map.output):
        assert abs(json.loads(text)["realised"]["fcc_fraction"] - fcc_by_size(crystal, steps)) < 0.05
    of_volume = run(cli, ["refine", "stacking", str(tmp_path / "volume.h5"), *options])
    assert "fcc fraction" in of_volume.output
    for name, more in (("map", []), ("volume", []), ("ball", ["--radius-std", "0.8"]), ("none", [])):
        assert isinstance(run(cli, ["refine", "stacking", str(tmp_path / f"{name}.h5"), *more]).exception, InputError)


@pytest.mark.parametrize(("alpha", "size"), [pytest.param(0.5, 1.0, marks=pytest.mark.slow), (0.75, 0.95)])
def test_layers_tell_their_distance(alpha, size):
    """Within 0.02 nm, as Table 2 of the paper asks for, also if the diameter is not well known."""
    rng = np.random.default_rng(round(100 * alpha))
    crystal = ball(random_stacking(layers_of_ball(16.06, 200.0), alpha, rng), 16.06, 200.0)
    crystal = with_normal_radii(crystal, 7.4, 0.8, rng)
    first, second = shells_of_crystal([crystal], layer_momentum_transfer(16.0), np.arange(0.42, 0.9, 0.01), 1e-5)
    noisy = [counted_shell(shell, 2e5, rng, 8) for shell in (first, *second)]
    seen = correlate(noisy[0], noisy[1:], np.linspace(0, 90, 181))
    diameter = size * ball_diameter(crystal.n, 16.06)
    fit = refine_spacing(seen, "r-hcp", radius_nm=7.4, radius_std_nm=0.8, diameter_nm=diameter)
    assert abs(fit.d_nn_nm - 16.06) < 0.02
    assert 0.001 < fit.standard_error_nm < 0.02
    assert fit.score > 0.9
    with pytest.raises(InputError, match="the map is at q1"):
        refine_spacing(seen, "r-hcp", start_nm=17.5, radius_nm=7.4, radius_std_nm=0.8, diameter_nm=diameter)
