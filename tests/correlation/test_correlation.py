import numpy as np
import pytest
from brute_force import direct_intensity
from conftest import fcc_ball
from scipy.spatial.transform import Rotation

from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.errors import InputError, SamplingError
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate, correlate_several
from simsc.correlation.first_peak import first_bright_peak
from simsc.correlation.peaks import expected_peaks, reflections, rod_arcs
from simsc.correlation.shells import (
    shells_of_crystal,
    shells_of_volume,
)
from simsc.io.native import (
    read_intensity,
    read_map,
    write_intensity,
    write_map,
)
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.counting import counted, counted_shell

DELTA = np.linspace(0, 180, 721)


@pytest.fixture
def cluster(rng) -> Superlattice:
    return Superlattice(rng.normal(scale=12, size=(15, 3)), rng.normal(7.4, 0.8, 15))


@pytest.fixture(scope="module")
def ball() -> Superlattice:
    """The reference case: an fcc ball with d = 16 nm, N = 2000, R = 7.4 nm."""
    return fcc_ball(16.0, 2000, 7.4)


def brute_force(cluster: Superlattice, q1: float, q2: float, delta_deg: np.ndarray) -> np.ndarray:
    """Correlate without harmonics or bins: for every direction of q1, go round the circle of q2 at the angle Δ."""
    n = 60
    directions, weights = shell_grid(n, 2 * n)
    directions, weights = directions.reshape(-1, 3), np.repeat(weights, 2 * n) / (2 * n)

    def contrast(q: float, where: np.ndarray) -> np.ndarray:
        mean = weights @ direct_intensity(cluster, q * directions)
        return direct_intensity(cluster, q * where) / mean - 1

    first = contrast(q1, directions)
    helper = np.where(np.abs(directions[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]])
    across = np.cross(directions, helper)
    across /= np.linalg.norm(across, axis=1)[:, None]
    also = np.cross(directions, across)
    psi = 2 * np.pi * np.arange(64) / 64
    values = []
    for delta in np.radians(delta_deg):
        circle = np.cos(delta) * directions[:, None] + np.sin(delta) * (
            np.cos(psi)[:, None] * across[:, None] + np.sin(psi)[:, None] * also[:, None]
        )
        values.append(weights @ (first * contrast(q2, circle).mean(axis=1)))
    return np.array(values)


def test_several_first_shells_give_the_maps_of_each():
    rng = np.random.default_rng(3)
    shells = [ShellIntensity(q, rng.gamma(2.0, size=(n, 2 * n)), rng.random((n, 2 * n)) < 0.8) for q, n in
              ((0.2, 12), (0.3, 20), (0.35, 16), (0.4, 24))]  # fmt: skip
    together = correlate_several(shells[:2], iter(shells[2:]), DELTA)
    for first, one in zip(shells[:2], together, strict=True):
        alone = correlate(first, shells[2:], DELTA)
        assert one.q1_inv_nm == alone.q1_inv_nm
        # Harmonics of degrees that a first shell does not have are left out, whichever others there are.
        assert np.abs(one.ccf - alone.ccf).max() < 1e-12 * np.abs(alone.ccf).max()
        assert np.abs(one.coverage - alone.coverage).max() < 1e-12
    with pytest.raises(InputError, match="no first shell"):
        correlate_several([], shells, DELTA)


def test_map_against_brute_force(cluster):
    q1, q2 = 0.25, np.array([0.2, 0.31])
    angles = np.array([0.0, 13.7, 60.0, 90.0, 151.0])
    first, second = shells_of_crystal([cluster], q1, q2)
    result = correlate(first, second, angles)
    for row, q in zip(result.ccf, q2, strict=True):
        exact = brute_force(cluster, q1, q, angles)
        assert np.abs(row - exact).max() < 1e-10 * max(1, np.abs(exact).max())


def test_invariances(cluster):
    """Parseval at Δ = 0, Friedel's symmetry Δ → 180° − Δ, rotation, and exchange of q1 and q2."""
    q = np.array([0.25, 0.4])
    one = correlate(*shells_of_crystal([cluster], 0.25, q), DELTA)
    shell, _ = shells_of_crystal([cluster], 0.25, q)
    weights = shell_grid(len(shell.intensity), 1)[1][:, None] / shell.intensity.shape[1]
    contrast = shell.intensity / (weights * shell.intensity).sum() - 1
    scale = one.ccf.max()
    assert abs(one.ccf[0, 0] - (weights * contrast**2).sum()) < 1e-9 * scale
    assert np.abs(one.ccf - one.ccf[:, ::-1]).max() < 1e-9 * scale
    turned = Superlattice(cluster.positions_nm @ Rotation.random(rng=1).as_matrix(), cluster.radii_nm)
    assert np.abs(correlate(*shells_of_crystal([turned], 0.25, q), DELTA).ccf - one.ccf).max() < 1e-7 * scale
    swapped = correlate(*shells_of_crystal([cluster], 0.4, np.array([0.25])), DELTA)
    assert np.abs(swapped.ccf[0] - one.ccf[1]).max() < 1e-7 * scale
    assert (one.coverage == 1).all()


def test_masked_map_is_the_ratio_over_measured_pairs(cluster, rng):
    """Against a sum over all pairs of grid points, for a mask so smooth that both are exact: a cap of full weight."""
    q = 0.2
    first, second = shells_of_crystal([cluster], q, np.array([q]))
    (second,) = second
    full = correlate(first, [second], DELTA)
    n_theta, n_phi = first.intensity.shape
    measured = np.ones((n_theta, n_phi), dtype=bool)
    measured[n_theta // 2 - 3 : n_theta // 2 + 4] = False
    masked = ShellIntensity(q, np.where(measured, first.intensity, np.nan), measured)
    result = correlate(masked, [masked], DELTA)
    assert (result.coverage < 1).all()
    weights = (shell_grid(n_theta, 1)[1][:, None] / n_phi * measured).ravel()
    assert abs(result.coverage[0, 0] - weights.sum()) < 0.02
    # Bands of pairs: the same ratio by counting.
    directions = shell_grid(n_theta, n_phi)[0].reshape(-1, 3)
    mean = (weights * first.intensity.ravel()).sum() / weights.sum()
    contrast = weights * (first.intensity.ravel() / mean - 1)
    angles = np.degrees(np.arccos(np.clip(directions @ directions.T, -1, 1)))
    bins = np.arange(20.0, 161.0, 10.0)
    pairs = np.histogram(angles, bins, weights=np.outer(contrast, contrast))[0]
    counted = pairs / np.histogram(angles, bins, weights=np.outer(weights, weights))[0]
    sines = np.sin(np.radians(DELTA))
    averaged = [
        (result.ccf[0] * result.coverage[0] * sines)[inside].sum() / (result.coverage[0] * sines)[inside].sum()
        for inside in (np.abs(DELTA - low - 5) <= 5 for low in bins[:-1])
    ]
    assert np.abs(np.array(averaged) - counted).max() < 0.05 * np.abs(full.ccf[0, 80:-80]).max()


def test_bins_average_over_solid_angle(cluster):
    """Against the mean of many values within the bin, weighted by sin Δ."""
    first, second = shells_of_crystal([cluster], 0.25, np.array([0.31]))
    (second,) = second
    angles = np.array([0.0, 20.0, 90.0, 178.0])
    binned = correlate(first, [second], angles, bin_deg=6.0)
    assert binned.bin_deg == 6.0
    for angle, value in zip(angles, binned.ccf[0], strict=True):
        fine = np.linspace(max(angle - 3, 0), min(angle + 3, 180), 4001)
        weights = np.sin(np.radians(fine))
        mean = np.average(correlate(first, [second], fine).ccf[0], weights=weights)
        assert abs(value - mean) < 1e-5


@pytest.mark.parametrize("masked", [False, True])
def test_variance_is_the_scatter_of_maps_measured_again(cluster, rng, masked):
    """What one noisy measurement says of its own error, against forty measurements."""
    q1, q2 = 0.25, np.array([0.2, 0.31])
    first, second = shells_of_crystal([cluster], q1, q2)
    shells = [first, *second]
    if masked:
        for k, shell in enumerate(shells):
            measured = np.ones(shell.intensity.shape, dtype=bool)
            measured[:, : shell.intensity.shape[1] // 5] = False
            shells[k] = ShellIntensity(shell.q_inv_nm, np.where(measured, shell.intensity, np.nan), measured)
    angles = np.arange(20.0, 161.0, 2.0)

    def measured_map():
        one, *others = (counted_shell(shell, 2e4, rng, 24) for shell in shells)
        return correlate(one, others, angles)

    maps = [measured_map() for _ in range(40)]
    scatter = np.std([m.ccf for m in maps], axis=0, ddof=1)
    told = np.sqrt(np.mean([m.variance for m in maps[:10]], axis=0))
    ratio = told / scatter
    # Points without a photon count as having one, so it errs on the wide side.
    assert abs(np.median(ratio) - 1) < 0.15
    assert ratio.min() > 0.5
    assert ratio.max() < 2
    exact = correlate(shells[0], shells[1:], angles)
    pulls = (maps[0].ccf - exact.ccf) / np.sqrt(maps[0].variance)
    assert 0.5 < np.sqrt((pulls**2).mean()) < 1.6
    assert exact.variance is None


def test_variance_of_a_volume(cluster, rng):
    """Neighbouring points of a shell share voxels; the variance knows."""
    volume = intensity_on_grid(cluster, 0.34, 64)
    angles = np.arange(20.0, 161.0, 5.0)

    def measured_map(seed):
        seen = counted(volume, 3e6, rng)
        return correlate(*shells_of_volume(seen, 0.25, np.array([0.31]), 8, seed), angles)

    maps = [measured_map(seed) for seed in range(20)]
    scatter = np.std([m.ccf for m in maps], axis=0, ddof=1)
    told = np.sqrt(np.mean([m.variance for m in maps], axis=0))
    assert abs(np.median(told / scatter) - 1) < 0.2


def test_a_map_comes_back_from_its_file(cluster, tmp_path, rng):
    first, second = shells_of_crystal([cluster], 0.25, np.array([0.31]))
    (second,) = second
    written = correlate(counted_shell(first, 1e4, rng, 3), [counted_shell(second, 1e4, rng, 3)], DELTA, bin_deg=1.0)
    write_map(tmp_path / "map.h5", written, {})
    read = read_map(tmp_path / "map.h5")
    for name in ("q1_inv_nm", "q2_inv_nm", "delta_deg", "ccf", "coverage", "radial_profile", "variance", "bin_deg"):
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    seen = counted(intensity_on_grid(cluster, 0.4, 16), 1e4, rng)
    write_intensity(tmp_path / "seen.h5", seen, {})
    assert np.array_equal(read_intensity(tmp_path / "seen.h5").variance, seen.variance)


def maxima(row: np.ndarray) -> np.ndarray:
    """Return the angles of all clear maxima between 15° and 90°, refined by a parabola."""
    inner = np.arange(60, 362)
    top = inner[(row[inner] > row[inner - 1]) & (row[inner] >= row[inner + 1]) & (row[inner] > 0.2 * row[60:361].max())]
    left, middle, right = row[top - 1], row[top], row[top + 1]
    return DELTA[top] + 0.25 * 0.5 * (left - right) / (left - 2 * middle + right)


@pytest.fixture(scope="module")
def reference_map(ball):
    q111 = layer_momentum_transfer(16.0)
    q2 = q111 * np.sqrt(np.array([3, 4, 8, 11]) / 3)
    return correlate(*shells_of_crystal([ball], q111, q2), DELTA)


@pytest.mark.parametrize(
    ("row", "angles"), [(0, [70.53]), (1, [54.74]), (2, [35.26, 90.0]), (3, [29.50, 58.52, 79.98])]
)
def test_peak_angles_of_the_fcc_ball(reference_map, row, angles):
    found = maxima(reference_map.ccf[row])
    assert len(found) == len(angles)
    assert np.abs(found - angles).max() < 0.1


def test_volume_and_direct_shells_agree(ball):
    q1, q2 = 0.481, np.array([0.40, 0.555, 0.785])
    exact = correlate(*shells_of_crystal([ball], q1, q2), DELTA)
    volume = intensity_on_grid(ball, 0.8, 256)
    interpolated = correlate(*shells_of_volume(volume, q1, q2), DELTA)
    assert np.abs(interpolated.ccf - exact.ccf).max() < 1e-3 * np.abs(exact.ccf[:, 60:]).max()
    assert (interpolated.coverage == 1).all()


def test_a_grid_too_coarse_for_the_crystal_is_refused(ball):
    volume = intensity_on_grid(ball, 0.8, 64)
    with pytest.raises(SamplingError, match=r"needs \d+ points an axis"):
        shells_of_volume(volume, 0.481, np.array([0.5]))


def test_what_lies_outside_the_grid_is_not_measured(cluster):
    volume = intensity_on_grid(cluster, 0.5, 96)
    result = correlate(*shells_of_volume(volume, 0.4, np.array([0.45, 0.6])), DELTA)
    assert (result.coverage[0] == 1).all()
    assert (result.coverage[1] < 1).all()
    with pytest.raises(SamplingError, match=r"0\.5"):
        correlate(*shells_of_volume(volume, 0.4, np.array([0.9])), DELTA)


def test_unmeasured_voxels_lower_the_coverage(cluster):
    volume = intensity_on_grid(cluster, 0.5, 96)
    measured = np.ones(volume.intensity.shape, dtype=bool)
    measured[:, :, 40:56] = False
    holed = IntensityVolume(
        np.where(measured, volume.intensity, np.nan), volume.q_axes_inv_nm, measured, volume.diameter_nm
    )
    result = correlate(*shells_of_volume(holed, 0.4, np.array([0.4])), DELTA)
    assert 0.6 < result.coverage[0, 0] < 0.85
    full = correlate(*shells_of_volume(volume, 0.4, np.array([0.4])), DELTA)
    zero_filled = IntensityVolume(np.where(measured, volume.intensity, 0.0), volume.q_axes_inv_nm)
    wrong = correlate(*shells_of_volume(zero_filled, 0.4, np.array([0.4])), DELTA)
    away = slice(80, -80)
    error = np.abs(result.ccf - full.ccf)[0, away].mean()
    assert error < 0.5 * np.abs(wrong.ccf - full.ccf)[0, away].mean()


def test_first_bright_peak(ball):
    assert abs(first_bright_peak([ball], 0.481 * 1.02) - layer_momentum_transfer(16.0)) < 0.004
    assert first_bright_peak([ball], 0.42) is None


def test_expected_fcc_and_hcp_peaks():
    assert abs(layer_momentum_transfer(16.0) - 0.4810) < 1e-4
    fcc = {(p.family, round(p.delta_deg, 2)): p.multiplicity for p in expected_peaks("fcc", 16.0, (0.4, 0.95))}
    assert fcc["111", 70.53] == 3
    assert fcc["200", 54.74] == 3
    assert fcc["220", 35.26] == 3
    assert fcc["220", 90.0] == 6
    assert np.allclose(
        sorted({a for family, a in fcc if family == "311" and a <= 90}), [29.50, 58.52, 79.98], atol=0.011
    )
    hcp = {p.family: p.q2_inv_nm for p in expected_peaks("hcp", 16.0, (0.4, 0.95))}
    assert abs(hcp["100"] - 0.4535) < 1e-4
    assert "001" not in hcp  # extinct


@pytest.mark.parametrize(("structure", "families"), [("fcc", 8 + 6 + 12 + 24), ("hcp", 6 + 2 + 12 + 12 + 6)])
def test_reflections_against_the_direct_structure_factor(structure, families):
    """Sum over a large perfect crystal instead of the rules of extinction."""
    from simsc.builders.close_packed import close_packed

    crystal = close_packed("ABC" if structure == "fcc" else "AB", 16.0).replicate(
        (6, 6, 6 if structure == "hcp" else 4)
    )
    cell = crystal.cell.vectors_nm
    hkl = np.stack(np.meshgrid(*[np.arange(-24, 25)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    q = 2 * np.pi * hkl @ np.linalg.inv(cell).T
    length = np.linalg.norm(q, axis=1)
    q_max = (2 * np.pi / (np.sqrt(2) * 16.0) * np.sqrt(11)) * 1.001 if structure == "fcc" else 0.8
    q = q[(length > 0.01) & (length < q_max)]
    strength = np.abs(
        np.concatenate([np.exp(1j * part @ crystal.positions_nm.T).mean(axis=1) for part in np.array_split(q, 50)])
    )
    assert (strength > 1e-6).sum() == len(reflections(structure, 16.0, q_max)[0]) == families


def test_rod_arcs_of_the_reference_case():
    arcs = rod_arcs(16.0, np.array([0.44, 0.52, 0.55, 0.65, 0.70]))
    axis = [arc for arc in arcs if arc.from_axis]
    assert len(axis[0].q2_inv_nm) == 5  # 0.44 lies below q100, where the arc begins
    assert np.allclose(axis[0].delta_deg, [90, 60.7, 55.5, 44.2, 40.4], atol=0.06)
    assert len(rod_arcs(16.0, np.array([0.52, 0.55]))[0].q2_inv_nm) == 2
    # On a rod at a third of q111 lies another 111 reflection: 70.53° away from the axis and from one another.
    arcs = rod_arcs(16.0, np.array([layer_momentum_transfer(16.0)]))
    angles = sorted({round(float(arc.delta_deg[0]), 2) for arc in arcs})
    assert {70.53, 109.47} <= set(angles)


def test_bad_input_is_refused(cluster):
    with pytest.raises(InputError, match="positive"):
        shells_of_crystal([cluster], -0.1, np.array([0.4]))
    first, second = shells_of_crystal([cluster], 0.2, np.array([0.2]))
    (second,) = second
    nothing = ShellIntensity(0.2, second.intensity, np.zeros(second.intensity.shape, dtype=bool))
    with pytest.raises(SamplingError, match="no intensity was measured"):
        correlate(first, [nothing], DELTA)
    with pytest.raises(SamplingError, match="must be positive"):
        correlate(first, [ShellIntensity(0.2, -second.intensity)], DELTA)
    holes = np.where(second.intensity > np.median(second.intensity), np.nan, second.intensity)
    with pytest.raises(InputError, match=r"q = 0\.2 nm⁻¹: the intensity is not finite"):
        ShellIntensity(0.2, holes)
    with pytest.raises(InputError, match="negative"):
        counted_shell(ShellIntensity(0.2, -second.intensity), 100, np.random.default_rng(1))
    with pytest.raises(InputError, match="photons"):
        counted_shell(second, 0, np.random.default_rng(1))
    noisy = [counted_shell(second, 1e4, np.random.default_rng(1), n) for n in (2, 3)]
    with pytest.raises(InputError, match="samples of noise"):
        correlate(noisy[0], noisy[1:], DELTA)
    for angles, width, says in (([200.0], 0, "0 … 180"), ([], 0, "0 … 180"), ([50.0], -1, "bins"), ([5.0], 91, "bins")):
        with pytest.raises(InputError, match=says):
            correlate(first, [second], np.array(angles), bin_deg=width)
    volume = intensity_on_grid(cluster, 0.5, 8)
    with pytest.raises(InputError, match="variance"):
        IntensityVolume(volume.intensity, volume.q_axes_inv_nm, variance=-volume.intensity)
    with pytest.raises(InputError, match="bcc"):
        expected_peaks("bcc", 16.0, (0.4, 0.9))
