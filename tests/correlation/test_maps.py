"""From any source to a map: each kind of source as its own explicit chain, and where q1 and q2 come from."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import fcc_ball

from simsc.builders.finite_crystal import CoreRadii
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.errors import InputError, NoFirstPeakError, SamplingError
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.first_peak import first_bright_peak, spacing_nm
from simsc.correlation.maps import correlation_map, first_sphere, read_source, second_spheres
from simsc.correlation.shells import shells_of_crystal, shells_of_spheres, shells_of_volume
from simsc.io.native import write_intensity, write_map, write_shells, write_superlattice
from simsc.scattering.amplitude import intensity_on_grid, intensity_on_shells
from simsc.scattering.atoms import Atoms
from simsc.scattering.counting import counted
from simsc.scattering.scattering_model import ScatteringModel

D_NM = 16.0
DELTA = np.linspace(0, 180, 91)
Q2 = np.array([0.44, 0.48, 0.52])


@pytest.fixture(scope="module")
def ball() -> Superlattice:
    return fcc_ball(D_NM, 900, 7.4)


@pytest.fixture(scope="module")
def volume() -> IntensityVolume:
    return counted(intensity_on_grid(fcc_ball(D_NM, 55, 7.4), 0.62, 40), 1e7, np.random.default_rng(1))


@pytest.fixture(scope="module")
def spheres() -> list[ShellIntensity]:
    q = np.linspace(0.3, 0.9, 61)
    return list(intensity_on_shells(fcc_ball(D_NM, 55, 7.4), q, [(60, 120)] * len(q)))


@pytest.fixture(scope="module")
def file_of_spheres(spheres, tmp_path_factory):
    path = tmp_path_factory.mktemp("spheres") / "spheres.h5"
    write_shells(path, ((shell, shell.intensity / 100) for shell in spheres), {})
    return path


def assert_same(one, other):
    for name in ("q1_inv_nm", "q2_inv_nm", "delta_deg", "ccf", "coverage", "radial_profile", "variance"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
    ("options", "scattering"), [({}, ScatteringModel()), ({"bin_deg": 2.0}, ScatteringModel(sigma_nm=0.5))]
)
def test_nps(ball, options, scattering):
    other = fcc_ball(D_NM * 1.01, 55, 7.4)
    for source, frames in ((ball, [ball]), ([ball, other], [ball, other])):
        first, second = shells_of_crystal(frames, 0.48, Q2, 1e-6, 1, scattering=scattering)
        chain = correlate(first, second, DELTA, 1, **options)
        found = correlation_map(
            source, 0.48, Q2, n_delta=91, tolerance=1e-6, threads=1, scattering=scattering, **options
        )
        assert_same(found, chain)


def test_volume(volume, tmp_path):
    chain = correlate(*shells_of_volume(volume, 0.48, Q2), DELTA, 1)
    assert chain.variance is not None
    assert_same(correlation_map(volume, 0.48, Q2, n_delta=91, threads=1), chain)
    write_intensity(tmp_path / "volume.h5", volume, {})
    assert_same(correlation_map(tmp_path / "volume.h5", 0.48, Q2, n_delta=91, threads=1), chain)


def test_spheres(spheres, file_of_spheres):
    in_memory = correlate(*shells_of_spheres(spheres, 0.481, Q2), DELTA, 1)
    assert in_memory.q1_inv_nm == pytest.approx(0.48)  # the nearest sphere
    assert_same(correlation_map(spheres, 0.481, Q2, n_delta=91, threads=1), in_memory)
    in_file = correlate(*shells_of_spheres(file_of_spheres, 0.481, Q2), DELTA, 1)
    assert in_file.variance is not None
    assert_same(correlation_map(str(file_of_spheres), 0.481, Q2, n_delta=91, threads=1), in_file)
    assert np.allclose(in_file.ccf, in_memory.ccf, atol=1e-5 * np.abs(in_memory.ccf).max())  # a file has float32


def test_first_sphere_of_nps(ball):
    found = first_sphere(ball, threads=1)
    assert found.origin == "bright peak near 111"
    assert found.q1_inv_nm == first_bright_peak([ball], layer_momentum_transfer(spacing_nm(ball)), 1)
    assert found.q1_inv_nm == pytest.approx(layer_momentum_transfer(D_NM), rel=0.02)
    # With another distance there is no peak where 111 is looked for.
    elsewhere = first_sphere([ball], 1.2 * D_NM, threads=1)
    assert elsewhere.origin == "expected 111"
    assert elsewhere.q1_inv_nm == layer_momentum_transfer(1.2 * D_NM)
    few = first_sphere(fcc_ball(D_NM, 6, 7.4), threads=1)
    assert few.origin == "expected 111"
    assert few.q1_inv_nm == pytest.approx(layer_momentum_transfer(D_NM))


def test_first_sphere_of_an_intensity(volume, spheres, file_of_spheres):
    """It is bright: within 8 % of 111, as peaks of so few NPs are wide."""
    for source in (volume, spheres, file_of_spheres):
        found = first_sphere(source)
        assert found.origin == "first bright peak"
        assert found.q1_inv_nm == pytest.approx(layer_momentum_transfer(D_NM), rel=0.08)
    # What was not measured does not count.
    brighter = [replace(one, intensity=one.intensity.copy(), measured=np.ones((60, 120), bool)) for one in spheres]
    for one in brighter:
        one.measured[0] = False
        one.intensity[0] = 1e30 * one.q_inv_nm
    assert first_sphere(brighter).q1_inv_nm == pytest.approx(first_sphere(spheres).q1_inv_nm, rel=1e-3)


def test_second_spheres(ball, volume, spheres, file_of_spheres):
    free = second_spheres(0.5, ball)
    assert free[0] == pytest.approx(0.83 * 0.5)
    assert free[-1] == pytest.approx(1.88 * 0.5, abs=0.0104 * 0.5)
    assert np.allclose(np.diff(free), 0.0104 * 0.5)
    assert np.allclose(second_spheres(0.5, ball, q2_over_q1=(1.0, 1.2, 0.1)), [0.5, 0.55, 0.6])
    inside = second_spheres(0.5, volume, ball)
    assert np.array_equal(inside, free[free <= volume.q_max_inv_nm])
    assert len(inside) < len(free)
    for source in (spheres, file_of_spheres):
        assert np.allclose(second_spheres(0.5, ball, volume, source), np.linspace(0.3, 0.9, 61))
    with pytest.raises(InputError, match=r"q1 = 0\.7 nm⁻¹ lies outside of the grid, which ends at 0\.62"):
        second_spheres(0.7, ball, volume)


def test_all_by_itself(ball):
    """q1 and q2 are found, and progress comes after each second sphere."""
    seen = []
    found = correlation_map(ball, n_delta=5, tolerance=1e-4, threads=1, progress=lambda *step: seen.append(step))
    q1 = first_sphere(ball, threads=1).q1_inv_nm
    assert found.q1_inv_nm == q1
    assert np.array_equal(found.q2_inv_nm, second_spheres(q1, ball))
    n = len(found.q2_inv_nm)
    assert seen == [(k + 1, n) for k in range(n)]


def test_files(ball, volume, file_of_spheres, tmp_path):
    write_superlattice(tmp_path / "ball.h5", ball, {})
    write_intensity(tmp_path / "volume.h5", volume, {})
    assert isinstance(read_source(tmp_path / "ball.h5"), Superlattice)
    assert isinstance(read_source(tmp_path / "volume.h5"), IntensityVolume)
    assert read_source(file_of_spheres) == file_of_spheres
    write_map(tmp_path / "map.h5", correlation_map(ball, 0.48, Q2, n_delta=5, tolerance=1e-4, threads=1), {})
    for path in (tmp_path / "map.h5", tmp_path / "absent.h5"):
        with pytest.raises(InputError):
            read_source(path)


def test_radii_may_be_given(ball):
    bare = Superlattice(ball.positions_nm)
    given = CoreRadii(7.0, 0.5, seed=3).given_to(bare)
    found = correlation_map(bare, 0.48, Q2, 7.0, 0.5, seed=3, n_delta=19)
    assert np.array_equal(found.ccf, correlation_map(given, 0.48, Q2, n_delta=19).ccf)
    assert np.array_equal(found.ccf, correlation_map([ball], 0.48, Q2, 7.0, 0.5, seed=3, n_delta=19).ccf)
    assert not np.allclose(found.ccf, correlation_map(bare, 0.48, Q2, 7.0, 0.5, seed=4, n_delta=19).ccf)


def test_bad_input_is_refused(ball, volume, spheres):
    bare = Superlattice(ball.positions_nm)
    for source, says in (
        ([], "frames of NPs"),
        ([ball, spheres[0]], "not of a mixture"),
        (bare, "no core radii; give radius_nm"),
    ):
        with pytest.raises(InputError, match=says):
            correlation_map(source, 0.48, Q2, n_delta=5, threads=1)
    with pytest.raises(InputError, match="needs their mean, radius_nm"):
        correlation_map(ball, 0.48, Q2, radius_std_nm=0.5)
    with pytest.raises(InputError, match=r"q2_inv_nm is a row of numbers \(n_q2,\), such as \[1.2\], got shape \(\)"):
        correlation_map(ball, 0.48, 1.2)
    for source in (volume, spheres):
        with pytest.raises(InputError, match="radius_std_nm are for NPs"):
            correlation_map(source, 0.48, Q2, 7.4)
        with pytest.raises(InputError, match="for NPs"):
            correlation_map(source, 0.48, Q2, n_delta=5, scattering=ScatteringModel(sigma_nm=0.1))
    with pytest.raises(SamplingError, match=r"there are spheres from q = 0\.3 to 0\.9"):
        correlation_map(spheres, 0.48, np.array([1.2]), n_delta=5)
    dark = replace(volume, intensity=np.ones_like(volume.intensity))
    atoms = Atoms(ball.positions_nm, ["C"] * ball.n)
    for source, reason in (
        (Superlattice(np.zeros((1, 3)), 7.4), "a single NP has no nearest neighbour"),
        (dark, "its radial profile has no bright peak"),
        (atoms, "the first peak of atoms is not looked for"),
    ):
        with pytest.raises(NoFirstPeakError, match="give q1") as error:
            correlation_map(source)
        assert error.value.reason == reason
