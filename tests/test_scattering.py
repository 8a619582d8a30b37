import numpy as np
import pytest
from conftest import fcc_ball
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from simsc.build.close_packed import close_packed
from simsc.build.finite_crystal import finite_crystal, with_normal_radii
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume, band_limit, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.scattering.amplitude import intensity_on_grid, intensity_on_shells
from simsc.scattering.form_factor import expand_spheres, sphere_amplitude


def direct_intensity(superlattice: Superlattice, q: np.ndarray) -> np.ndarray:
    """Return |Σ F exp(−i q·r)|² for momentum transfers (..., 3), summed NP by NP."""
    lengths = np.linalg.norm(q, axis=-1)[..., None]
    waves = np.exp(-1j * q @ superlattice.positions_nm.T)
    return np.abs((sphere_amplitude(lengths, superlattice.radii_nm) * waves).sum(axis=-1)) ** 2


@pytest.fixture
def cloud(rng) -> Superlattice:
    return Superlattice(rng.normal(scale=25, size=(60, 3)) + 100, rng.normal(7.4, 0.8, 60))


@given(st.floats(0, 3), st.floats(0.5, 20))
@settings(max_examples=50)
def test_sphere_amplitude_is_the_transform_of_a_ball(q, radius):
    """∫ 4π r² sin(qr)/(qr) dr from 0 to R."""
    integral = quad(
        lambda r: 4 * np.pi * r**2 * np.sinc(q * r / np.pi), 0, radius, epsabs=1e-10 * radius**3, limit=200
    )[0]
    volume = 4 / 3 * np.pi * radius**3
    assert abs(sphere_amplitude(q, radius) - integral) < 1e-9 * volume


def test_first_zero_of_the_papers_form_factor():
    q = np.linspace(0.55, 0.65, 100_001)
    zero = q[np.abs(sphere_amplitude(q, 7.4)).argmin()]
    assert abs(zero - 0.6072) < 1e-4  # 4.493409 / 7.4 nm, tan x = x


@pytest.mark.parametrize(("spread", "tolerance"), [(0.0, 1e-8), (0.8, 1e-8), (0.8, 1e-5), (1.8, 1e-8)])
def test_low_rank_form_factors_keep_their_tolerance(rng, spread, tolerance):
    radii = np.clip(rng.normal(7.4, spread, 500), 1.0, None)
    expansion = expand_spheres(radii, 1.6, tolerance)
    q = np.linspace(0, 1.6, 400)
    approximation = np.einsum("rq,rn->qn", expansion.functions(q), expansion.coefficients)
    exact = sphere_amplitude(q[:, None], radii)
    assert np.abs(approximation - exact).max() < 3 * tolerance * exact.max()
    assert len(expansion.coefficients) == 1 if spread == 0 else len(expansion.coefficients) < 16


def test_shells_against_the_direct_sum(cloud):
    q = np.array([0.02, 0.3, 0.9])
    grids = [(9, 18), (22, 44), (31, 60)]
    for shell, grid in zip(intensity_on_shells([cloud], q, grids), grids, strict=True):
        exact = direct_intensity(cloud, shell.q_inv_nm * shell_grid(*grid)[0])
        forward = cloud.n**2 * (4 / 3 * np.pi * 7.4**3) ** 2
        assert np.abs(shell.intensity - exact).max() < 1e-7 * forward


@pytest.mark.parametrize("n", [20, 21])
def test_grid_against_the_direct_sum(cloud, n):
    volume = intensity_on_grid(cloud, 0.9, n)
    axis = volume.q_axes_inv_nm[0]
    assert np.allclose(axis, np.linspace(-0.9, 0.9, n))
    exact = direct_intensity(cloud, np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
    assert np.abs(volume.intensity - exact).max() < 1e-7 * exact.max()


def test_frames_are_averaged(cloud, rng):
    other = Superlattice(rng.normal(scale=25, size=(60, 3)), 7.0)
    q, grids = np.array([0.4]), [(12, 24)]
    (mean,) = intensity_on_shells([cloud, other], q, grids)
    (one,), (two,) = intensity_on_shells([cloud], q, grids), intensity_on_shells([other], q, grids)
    assert np.allclose(mean.intensity, (one.intensity + two.intensity) / 2)


def test_mean_intensity_is_debyes_formula(cloud):
    """The mean over a sphere is Σ F_i F_j sin(q r_ij) / (q r_ij)."""
    q = 0.35
    n_theta = band_limit(q * cloud.diameter_nm) // 2 + 1
    (shell,) = intensity_on_shells([cloud], np.array([q]), [(n_theta, 2 * n_theta)])
    mean = (shell_grid(n_theta, 1)[1] @ shell.intensity).sum() / (2 * n_theta)
    distances = np.linalg.norm(cloud.positions_nm[:, None] - cloud.positions_nm, axis=-1)
    amplitudes = sphere_amplitude(q, cloud.radii_nm)
    debye = (np.outer(amplitudes, amplitudes) * np.sinc(q * distances / np.pi)).sum()
    assert abs(mean / debye - 1) < 1e-8


def test_bragg_peaks_of_an_fcc_ball():
    """I(111) = (N F)², at q = 2π √3 / a."""
    ball = fcc_ball(16.0, 500, 7.4)
    q111 = 2 * np.pi / (np.sqrt(2 / 3) * 16.0)
    (shell,) = intensity_on_shells([ball], np.array([q111]), [(200, 400)])
    peak = (500 * sphere_amplitude(q111, 7.4)) ** 2
    assert 0.97 * peak < shell.intensity.max() < 1.001 * peak


def test_finite_crystals():
    frame = close_packed("ABC", 6.2, radius_nm=2.0)
    generator = np.random.default_rng
    block = finite_crystal(frame, (4, 3, 5), "block", 2.0, 0.2, generator(1))
    again = finite_crystal(frame, (4, 3, 5), "block", 2.0, 0.2, generator(1))
    assert block.n == 6 * 60
    assert block.cell is None
    assert (block.radii_nm == again.radii_nm).all()
    assert 0.15 < block.radii_nm.std() < 0.25
    assert finite_crystal(frame, (4, 3, 5), "ball", 2.0, 0.0, generator(1)).diameter_nm < 4 * 6.2
    for radius, std in ((0.0, 0.0), (2.0, -0.1), (2.0, 0.6), (float("nan"), 0.0)):
        with pytest.raises(InputError):
            with_normal_radii(frame, radius, std, generator(1))


def test_bad_input_is_refused(cloud):
    with pytest.raises(InputError, match="no radii"):
        intensity_on_grid(Superlattice(cloud.positions_nm), 0.9, 16)
    with pytest.raises(InputError, match="q_max"):
        intensity_on_grid(cloud, -0.9, 16)
    axis = np.linspace(-1, 1, 8)
    values = np.ones((8, 8, 8))
    for bad in (np.full((8, 8, 8), np.nan), np.ones((8, 8, 7))):
        with pytest.raises(InputError):
            IntensityVolume(bad, (axis, axis, axis))
    with pytest.raises(InputError, match="no measured"):
        IntensityVolume(values, (axis, axis, axis), measured=np.zeros((8, 8, 8), dtype=bool))
    with pytest.raises(InputError, match="evenly spaced"):
        IntensityVolume(values, (axis, axis, axis**3))
