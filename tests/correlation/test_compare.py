"""Two maps compared: against other libraries, exact cases, and repeats with independent noise."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import fcc_ball, simsc
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import QuadMesh
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

from simsc.cli.compare import compare
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SamplingError
from simsc.correlation.compare import compare_maps
from simsc.correlation.engine import correlate
from simsc.correlation.shells import shells_of_crystal
from simsc.io.native import write_intensity, write_map, write_superlattice
from simsc.plot.side_by_side import comparison, lines_of
from simsc.plot.style import save
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.counting import counted_shell

Q2, DELTA = np.linspace(0.4, 0.9, 51), np.linspace(0, 180, 361)
SHAPE = (51, 361)


def field(rng: np.random.Generator, rows: float = 1.5, degrees: float = 3.0) -> np.ndarray:
    """Return a random map of unit variance with peaks of some standard deviations, even under Δ → 180° − Δ."""
    values = gaussian_filter(rng.normal(size=SHAPE), (rows, degrees / 0.5), mode="wrap")
    values += values[:, ::-1]
    return values / values.std()


def a_map(values: np.ndarray, variance: float | None = None, **changes) -> CorrelationMap:
    noise = None if variance is None else np.full(SHAPE, variance)
    return replace(CorrelationMap(0.48, Q2, DELTA, values, np.ones(SHAPE), np.ones(51) + Q2, noise), **changes)


@pytest.fixture(scope="module")
def pair() -> tuple[CorrelationMap, CorrelationMap]:
    rng = np.random.default_rng(3)
    signal = field(rng)
    return a_map(signal + 0.3 * field(rng), 0.09), a_map(2 * signal + 0.8 * field(rng), 0.64)


def test_a_map_and_itself(pair):
    result = compare_maps(pair[0], pair[0])
    assert result.pearson == pytest.approx(1, abs=1e-12)
    assert result.pearson_error == pytest.approx(0, abs=1e-10)
    assert result.scale == pytest.approx(1, abs=1e-9)
    assert result.reduced_chi_squared == pytest.approx(0, abs=1e-9)
    assert (result.difference()[result.used] == 0).all()
    assert np.allclose(result.row_pearson, 1)
    assert not result.interpolated
    negative = compare_maps(pair[0], replace(pair[0], ccf=-pair[0].ccf))
    assert (negative.pearson, negative.scale) == (pytest.approx(-1), pytest.approx(-1))


def test_exchange_and_scale(pair):
    one, other = pair
    there, back = compare_maps(one, other), compare_maps(other, one)
    large = compare_maps(one, replace(other, ccf=1e7 * other.ccf, variance=1e14 * other.variance))
    for name in ("pearson", "pearson_error", "pearson_noiseless", "reduced_chi_squared", "reduced_chi_squared_error"):
        assert getattr(back, name) == pytest.approx(getattr(there, name), rel=1e-6)
        assert getattr(large, name) == pytest.approx(getattr(there, name), rel=1e-6)
    assert back.scale == pytest.approx(1 / there.scale, rel=1e-6)
    assert large.scale == pytest.approx(1e7 * there.scale, rel=1e-6)
    assert large.scale_error == pytest.approx(1e7 * there.scale_error, rel=1e-4)
    assert np.allclose(back.row_pearson, there.row_pearson)


def test_coefficients_against_numpy(pair):
    one, other = pair
    result = compare_maps(one, other)
    clear = (DELTA > 15) & (DELTA < 165)
    assert (result.used == clear).all()
    weights = np.broadcast_to(np.sin(np.radians(DELTA[clear])), (51, clear.sum()))
    for rows, found in ((slice(None), result.pearson), (slice(7, 8), result.row_pearson[7])):
        a, b = (m.ccf[rows, clear].ravel() for m in pair)
        cov = np.cov(a, b, aweights=weights[rows].ravel())
        assert found == pytest.approx(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]), rel=1e-10)
    plain = compare_maps(replace(one, variance=None), other)
    squares = [(weights * m.ccf[:, clear] ** 2).sum() for m in pair]
    assert plain.scale == pytest.approx(np.sqrt(squares[1] / squares[0]), rel=1e-10)
    assert plain.reduced_chi_squared is plain.pearson_noiseless is None


def test_scale_against_closed_form_and_brute_force(pair):
    """Deming's regression through the origin where variances are the same everywhere; else a search."""
    result = compare_maps(*pair)
    a, b = (m.ccf[result.used] for m in pair)
    ratio, aa, bb, ab = 0.64 / 0.09, a @ a, b @ b, a @ b
    k = (bb - ratio * aa + np.sqrt((bb - ratio * aa) ** 2 + 4 * ratio * ab**2)) / (2 * ab)
    assert result.scale == pytest.approx(k, rel=1e-5)
    assert result.reduced_chi_squared == pytest.approx(np.mean((b - k * a) ** 2 / (0.64 + k**2 * 0.09)), rel=1e-6)
    noise = [np.random.default_rng(k).uniform(0.01, 1, SHAPE) for k in (1, 2)]
    result = compare_maps(*(replace(m, variance=v) for m, v in zip(pair, noise, strict=True)))
    v, w = (n[result.used] for n in noise)
    best = minimize_scalar(lambda k: np.sum((b - k * a) ** 2 / (w + k**2 * v)), bracket=(1, 2))
    assert result.scale == pytest.approx(best.x, rel=1e-5)


def test_stated_errors_cover_repeats():
    """Random peaks and independent noise, 80 times: deviations over stated errors are as of a standard normal."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(80):
        signal = field(rng)
        one, other = a_map(signal + field(rng, 1, 2), 1.0), a_map(1.3 * signal + field(rng, 1, 2), 1.0)
        r = compare_maps(one, other, resamples=200)
        names = ("pearson", "scale", "pearson_noiseless", "reduced_chi_squared")
        own = [getattr(r, name + end) for name in names for end in ("", "_error")]
        found.append([*own, r.row_pearson[20], r.row_pearson_error[20]])
    table = np.array(found)
    # ⟨s b⟩ / √(⟨a²⟩⟨b²⟩) of the ensemble.
    truths = [1.3 / np.sqrt(2 * 2.69), 1.3, 1.0, 1.0, 1.3 / np.sqrt(2 * 2.69)]
    for k, truth in enumerate(truths):
        values, errors = table[:, 2 * k], table[:, 2 * k + 1]
        assert abs(values.mean() - truth) < 0.5 * values.std()
        assert 0.8 < np.sqrt(np.mean(errors**2)) / values.std() < 1.35
        assert np.mean(np.abs(values - truth) < errors) > 0.5
        assert np.mean(np.abs(values - truth) < 2 * errors) > 0.82


def test_the_same_peaks_with_new_noise_stay_within_the_error():
    rng = np.random.default_rng(12)
    signal = field(rng)
    results = [
        compare_maps(a_map(signal + 0.5 * field(rng, 1, 2)), a_map(signal + 0.5 * field(rng, 1, 2)), resamples=200)
        for _ in range(30)
    ]
    values = np.array([r.pearson for r in results])
    assert values.std() < 1.1 * np.mean([r.pearson_error for r in results])
    assert np.mean(np.abs(values - values.mean()) < [r.pearson_error for r in results]) > 0.65


def test_two_measurements_of_one_crystal_differ_by_their_noise():
    """From photons to χ² = 1 through the harmonics."""
    ball = fcc_ball(16.0, 60, 7.4)
    first, second = shells_of_crystal([ball], 0.48, np.linspace(0.42, 0.6, 13))
    shells = [first, *second]
    maps = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        one, *others = [counted_shell(shell, 2e6, rng, 48) for shell in shells]
        maps.append(correlate(one, others, np.linspace(0, 180, 181)))
    result = compare_maps(*maps)
    assert result.reduced_chi_squared == pytest.approx(1, abs=0.3)
    assert result.scale == pytest.approx(1, abs=0.02)
    assert result.pearson < result.pearson_noiseless == pytest.approx(1, abs=0.01)
    other = correlate(*shells_of_crystal([fcc_ball(16.4, 60, 7.4)], 0.48, maps[0].q2_inv_nm), maps[0].delta_deg)
    assert compare_maps(maps[0], replace(other, variance=maps[1].variance)).reduced_chi_squared > 3


def smooth(q2: np.ndarray, delta: np.ndarray) -> CorrelationMap:
    """Return peaks of known form on any grid."""
    x, y = q2[:, None], np.minimum(delta, 180 - delta)[None, :]
    values = sum(
        h * np.exp(-((x - q) ** 2) / 2 / 0.012**2 - (y - d) ** 2 / 2 / 4.0**2)
        for h, q, d in ((3, 0.5, 70), (2, 0.55, 54), (-1, 0.7, 40), (4, 0.78, 35), (2, 0.86, 90))
    )
    return CorrelationMap(0.48, q2, delta, values, np.ones(values.shape), 1 / q2)


def test_different_grids_meet_in_their_common_range():
    one = smooth(np.arange(0.42, 0.9, 0.005), np.linspace(0, 180, 361))
    other = smooth(np.linspace(0.401, 0.88, 85), np.linspace(0, 180, 271))
    there, back = compare_maps(one, other), compare_maps(other, one)
    for result in (there, back):
        assert result.interpolated
        assert result.pearson == pytest.approx(1, abs=1e-4)
        assert np.nanmax(np.abs(result.difference())) < 0.02
        q2 = result.first.q2_inv_nm
        assert q2[0] >= 0.42 - 1e-9
        assert q2[-1] <= 0.88 + 1e-9
        assert len(result.first.delta_deg) == 271
    assert back.pearson == pytest.approx(there.pearson, abs=1e-12)
    # Of a grid that has the points of another one, nothing is made up.
    part = smooth(np.arange(0.5, 0.8, 0.01), np.linspace(0, 180, 91))
    assert compare_maps(one, part).difference()[:, 10:80] == pytest.approx(0, abs=1e-12)
    holes = np.where((np.arange(one.ccf.size) % 997 == 0).reshape(one.ccf.shape), np.nan, one.ccf)
    holed = compare_maps(replace(one, ccf=holes), other)
    assert 0.5 < holed.used.sum() / there.used.sum() < 1
    assert np.nanmax(np.abs(holed.difference())) < 0.02


def test_the_common_mask(pair):
    one, other = pair
    poor = np.ones(SHAPE)
    poor[:10] = 0.2
    holes = other.ccf.copy()
    holes[:, 100:120] = np.nan
    wild = np.where(poor < 0.3, 1e6, one.ccf)
    result = compare_maps(replace(one, ccf=wild, coverage=poor), replace(other, ccf=holes, variance=None))
    assert not result.used[:10].any()
    assert not result.used[:, 100:120].any()
    assert not result.used[:, (DELTA <= 15) | (DELTA >= 165)].any()
    assert np.isnan(result.difference()[:10]).all()
    assert np.isnan(result.difference()[:, 100:120]).all()
    assert np.isnan(result.row_pearson[:10]).all()
    assert 0.7 < result.pearson < 0.95
    assert result.coverage_difference == 0
    assert compare_maps(replace(one, ccf=wild, coverage=poor), other, least_coverage=0.1).pearson < 0.5


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"q1_inv_nm": 0.5}, InputError, r"0\.4800 and 0\.5000"),
        ({"q1_inv_nm": np.nan}, InputError, "different q1"),
        ({"q2_inv_nm": Q2 + 1}, SamplingError, "no q2 in common"),
        ({"q2_inv_nm": Q2[::-1]}, InputError, "ascending"),
        ({"delta_deg": DELTA[1:]}, InputError, "different shapes"),
        ({"coverage": np.zeros(SHAPE)}, SamplingError, "no measured points in common"),
        ({"coverage": np.full(SHAPE, np.nan)}, InputError, "coverage"),
        ({"ccf": np.full(SHAPE, np.nan)}, SamplingError, "no measured points in common"),
        ({"ccf": np.full(SHAPE, np.inf)}, InputError, "infinite"),
        ({"ccf": np.full(SHAPE, 2.0)}, SamplingError, "same everywhere"),
        ({"ccf": np.zeros(SHAPE)}, SamplingError, "same everywhere"),
        ({"variance": np.full(SHAPE, -1.0)}, InputError, "negative"),
    ],
)
def test_what_cannot_be_compared(pair, changes, error, says):
    with pytest.raises(error, match=says):
        compare_maps(pair[0], replace(pair[1], **changes))
    with pytest.raises((InputError, SamplingError)):
        compare_maps(replace(pair[1], **changes), pair[0])


@pytest.mark.parametrize("options", [{"least_coverage": 2}, {"clear_deg": 90}, {"clear_deg": -1}, {"resamples": 1}])
def test_bad_options(pair, options):
    with pytest.raises(InputError, match="are needed"):
        compare_maps(*pair, **options)


def test_variances_of_zero_tell_nothing(pair):
    one, other = (replace(m, variance=np.zeros(SHAPE)) for m in pair)
    result = compare_maps(one, other)
    assert result.reduced_chi_squared is None
    assert result.pearson_noiseless == pytest.approx(result.pearson)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), columns=st.integers(2, 40), holes=st.floats(0, 1),
    factor=st.floats(1e-6, 1e6), noisy=st.booleans(),
)  # fmt: skip
def test_any_maps(seed, rows, columns, holes, factor, noisy):
    """Small, holed, noisy or of one row: compared alike in both orders and at any scale, or refused."""
    rng = np.random.default_rng(seed)
    shape = (rows, columns)

    def draw() -> CorrelationMap:
        ccf = np.where(rng.random(shape) < holes, np.nan, rng.normal(size=shape))
        variance = rng.uniform(0.1, 1, shape) if noisy else None
        q2, delta = 0.4 + 0.01 * np.arange(rows), np.linspace(0, 180, columns)
        return CorrelationMap(0.48, q2, delta, ccf, rng.uniform(0.5, 1, shape), np.ones(rows), variance)

    one, other = draw(), draw()
    try:
        there = compare_maps(one, other, resamples=20)
    except SamplingError:
        with pytest.raises(SamplingError):
            compare_maps(other, one, resamples=20)
        return
    back = compare_maps(other, one, resamples=20)
    assert -1 <= there.pearson <= 1
    assert back.pearson == pytest.approx(there.pearson, abs=1e-9, nan_ok=True)
    variance = None if one.variance is None else one.variance * factor**2
    large = compare_maps(replace(one, ccf=one.ccf * factor, variance=variance), other, resamples=20)
    assert large.pearson == pytest.approx(there.pearson, abs=1e-9, nan_ok=True)
    assert large.scale * factor == pytest.approx(there.scale, rel=1e-6)


def test_figure_draws_the_unmeasured_as_such(pair, tmp_path):
    one, other = pair
    ccf = one.ccf.copy()
    ccf[:, :10] = ccf[:, -10:] = 1e5  # a peak and itself
    ccf[20:24, 100:140] = np.nan
    result = compare_maps(replace(one, ccf=ccf), other)
    figure = comparison(result, ("one", "other"), [0.5, 0.8])
    meshes = [c for ax in figure.axes for c in ax.collections if isinstance(c, QuadMesh) and c.get_array().size > 1e4]
    assert len(meshes) == 3
    for mesh in meshes:
        assert max(np.abs(mesh.get_clim())) < 10
    for mesh, expected in zip(meshes, (result.first.ccf, result.second.ccf, result.difference()), strict=True):
        values = mesh.get_array()
        assert np.array_equal(np.ma.getmaskarray(values), np.isnan(expected))
        assert np.array_equal(values.filled(0), np.nan_to_num(expected))
    low, high = meshes[2].get_clim()
    assert low == -high
    for kind in ("png", "svg", "pdf"):
        save(comparison(result, ("a $x", "b\n")), tmp_path / f"f.{kind}")
        assert (tmp_path / f"f.{kind}").stat().st_size > 1e4
    with pytest.raises(InputError, match=r"\.png, \.svg or \.pdf"):
        save(comparison(result, ("a", "b")), tmp_path / "f.gif")
    with pytest.raises(InputError, match=r"q2 = 1\.5 nm⁻¹ lies outside"):
        lines_of(result, [1.5])
    assert lines_of(result, [0.4, 0.9]) == [0, 50]
    assert [round(Q2[k], 2) for k in lines_of(result)] == [0.48, 0.78]


def test_command_on_maps(pair, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, one in zip(("before", "after"), pair, strict=True):
        write_map(tmp_path / f"{name}.h5", one, {})
    done = simsc("compare", "before.h5", "after.h5", "--lines", "0.475,0.775", "-o", "c.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c.png").exists()
    for text in ("correlation coefficient", "at q2 = 0.7700", "scale factor B / A", "reduced χ²", "(after − before)"):
        assert text in done.stdout
    compare.main(["before.h5", "after.h5", "--json"], standalone_mode=False)
    told, expected = json.loads(capsys.readouterr().out), compare_maps(*pair)
    assert told["pearson"] == pytest.approx(expected.pearson)
    assert told["scale_error"] == pytest.approx(expected.scale_error)
    assert told["names"] == ["before", "after"]
    # The same crystal, 3 % smaller: nothing has changed at equal q2 / q1.
    smaller = replace(pair[0], q1_inv_nm=1.03 * pair[0].q1_inv_nm, q2_inv_nm=1.03 * pair[0].q2_inv_nm)
    write_map(tmp_path / "smaller.h5", smaller, {})
    found = {}
    for relative in ([], ["--relative"]):
        compare.main(["before.h5", "smaller.h5", "--q1-tolerance", "0.1", "--json", *relative], standalone_mode=False)
        found[len(relative)] = json.loads(capsys.readouterr().out)["pearson"]
    assert found[1] == pytest.approx(1, abs=1e-9)
    assert found[0] < 0.95
    for options, says in (
        (["--lines", "a"], "--lines 'a'"), (["--lines", "2"], "outside of the maps"), (["--q1", "0.4"], "maps already"),
        (["-o", "c.gif"], ".png, .svg or .pdf"), (["-o", "no/c.png"], "cannot be written"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=re.escape(says)):
            compare.main(["before.h5", "after.h5", *options], standalone_mode=False)


def test_command_on_a_volume_and_a_structure(tmp_path):
    """A simulated volume and the structure behind it are alike, and so are their rods."""
    ball = fcc_ball(16.0, 55, 7.4)
    write_superlattice(tmp_path / "ball.h5", ball, {})
    write_intensity(tmp_path / "volume.h5", intensity_on_grid(ball, 0.62, 64), {})
    options = ["--q1", "0.48", "--q2", "0.44:0.56:0.03", "--d-nn", "16", "-o", "c.svg", "--json"]
    done = simsc("compare", "volume.h5", "ball.h5", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pearson"] > 0.999
    assert told["scale"] == pytest.approx(1, abs=0.01)
    assert (tmp_path / "c.svg").stat().st_size > 1e5
    # A map tells its q1 to the other.
    q2 = ["--q2", "0.44:0.56:0.03"]
    assert simsc("correlate", "ball.h5", "--q1", "0.48", *q2, "-o", "map.h5", cwd=tmp_path).returncode == 0
    alike = simsc("compare", "map.h5", "ball.h5", *q2, "--json", cwd=tmp_path)
    assert json.loads(alike.stdout)["pearson"] > 0.999, alike.stderr
    # Neither is a map: q1 is where the first is bright, here 111, as the ball is large enough to have a peak there.
    own = simsc("compare", "volume.h5", "ball.h5", *q2, "--json", cwd=tmp_path)
    assert "the first bright peak of volume.h5" in own.stderr, own.stderr
    # (a few per cent before it, as peaks of so few NPs are wide)
    assert json.loads(own.stdout)["q1_inv_nm"][0] == pytest.approx(layer_momentum_transfer(16.0), rel=0.08)
