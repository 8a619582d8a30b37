from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from brute_force import direct_amplitudes, direct_intensity
from conftest import fcc_ball
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.builders.finite_crystal import finite_crystal, with_normal_radii
from simsc.core.errors import InputError, SamplingError
from simsc.core.intensity import IntensityVolume, band_limit, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.correlation.shells import shells_of_crystal
from simsc.models.universe import scattering_atoms
from simsc.scattering.amplitude import extent_nm, intensity_on_grid, intensity_on_shells
from simsc.scattering.atoms import Atoms
from simsc.scattering.form_factors.core_shell import CoreShell
from simsc.scattering.form_factors.oriented import expand_oriented
from simsc.scattering.form_factors.polyhedron import Polyhedron, polyhedron
from simsc.scattering.form_factors.round import expand_round
from simsc.scattering.form_factors.sphere import SPHERE, sphere_amplitude
from simsc.scattering.resolution import grid_kernel
from simsc.scattering.scattering_model import ScatteringModel


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
    expansion = expand_round(SPHERE, radii, 1.6, tolerance)
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


CUBE, OCTAHEDRON = polyhedron("cube"), polyhedron("octahedron")
SKEW = Polyhedron(np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.3]]) * [1, 1.2, 0.7])


@dataclass(frozen=True)
class Ellipsoid:
    """A form as somebody may add it: an ellipsoid of revolution of the volume of the sphere, 1.5 times as long.

    F = F_sphere(|q'|, R) with q' = (q_x / √1.5, q_y / √1.5, 1.5 q_z), its semi-axes over R times q.
    """

    isotropic: ClassVar[bool] = False

    def reach_nm(self, radius_nm: float) -> float:
        return 1.5 * radius_nm

    def amplitude(self, q_inv_nm, radius_nm):
        return sphere_amplitude(np.linalg.norm(q_inv_nm * [1.5**-0.5, 1.5**-0.5, 1.5], axis=-1), radius_nm) + 0j

    def expansion(self, radii_nm, orientations, q_max_inv_nm, tolerance):
        return expand_oriented(self, radii_nm, orientations, q_max_inv_nm, tolerance)


SCATTERERS = {
    "ellipsoids of another package": Ellipsoid(),
    "core-shell": CoreShell(1.5, 1.0, -0.4),
    "aligned cubes": CUBE,
    "octahedra": OCTAHEDRON,
    "skew tetrahedra": SKEW,
    "atoms": SPHERE,
}


def scatterer_named(name: str, rng: np.random.Generator, n: int = 40) -> Superlattice | Atoms:
    positions = rng.normal(scale=20, size=(n, 3)) + 50
    if name == "atoms":
        return Atoms(positions, np.resize(["Fe", "O", "H", "C", "Fe3+"], n))
    superlattice = Superlattice(positions, rng.normal(5.0, 0.4, n))
    aligned = name in ("core-shell", "aligned cubes")
    return superlattice if aligned else superlattice.with_orientations(Rotation.random(n, rng=rng))


@pytest.mark.parametrize("name", SCATTERERS)
def test_forms_orientations_and_thermal_motion_against_the_direct_sum(rng, name):
    scatterer, form = scatterer_named(name, rng), SCATTERERS[name]
    options = {"tolerance": 1e-7, "scattering": ScatteringModel(form, sigma_nm=0.7)}
    forward = np.abs(direct_amplitudes(scatterer, np.zeros((1, 3)), form).sum()) ** 2
    volume = intensity_on_grid(scatterer, 0.6, 13, **options)
    some = rng.integers(0, 13, (120, 3))
    q = volume.q_axes_inv_nm[0][some]
    found = volume.intensity[tuple(some.T)]
    assert np.abs(found - direct_intensity(scatterer, q, form, 0.7)).max() < 1e-6 * forward
    assert np.allclose(volume.intensity, volume.intensity[::-1, ::-1, ::-1], atol=1e-12 * forward)
    q, grids = np.array([0.05, 0.3, 0.6]), [(5, 6), (4, 8), (7, 6)]
    for shell, grid in zip(intensity_on_shells(scatterer, q, grids, **options), grids, strict=True):
        exact = direct_intensity(scatterer, shell.q_inv_nm * shell_grid(*grid)[0], form, 0.7)
        assert np.abs(shell.intensity - exact).max() < 1e-6 * forward


def test_turning_the_crystal_turns_its_intensity(rng):
    crystal = scatterer_named("octahedra", rng, 20)
    quarter = Rotation.from_euler("z", 90, degrees=True)
    one = intensity_on_grid(crystal, 0.5, 12, 1e-7, scattering=ScatteringModel(OCTAHEDRON)).intensity
    two = intensity_on_grid(crystal.rotated(quarter), 0.5, 12, 1e-7, scattering=ScatteringModel(OCTAHEDRON)).intensity
    assert np.abs(two - np.rot90(one)).max() < 1e-6 * one.max()
    assert np.abs(two - one).max() > 0.01 * one.max()
    # Turned by any angle: the same I at turned q.
    turn, q = Rotation.random(rng=1), rng.normal(scale=0.3, size=(10, 3))
    turned = direct_intensity(crystal.rotated(turn), turn.apply(q), OCTAHEDRON)
    assert np.allclose(turned, direct_intensity(crystal, q, OCTAHEDRON))


def test_nps_of_nothing_but_symmetry_do_not_see_their_turns(rng):
    """Turns of the cubic group leave cubes as they are."""
    crystal = Superlattice(rng.normal(scale=20, size=(24, 3)), 5.0)
    turned = crystal.with_orientations(Rotation.create_group("O"))
    one, two = (
        intensity_on_grid(c, 0.5, 12, 1e-8, scattering=ScatteringModel(CUBE)).intensity for c in (crystal, turned)
    )
    assert np.abs(two - one).max() < 1e-7 * one.max()


def test_thermal_motion_against_an_ensemble(rng):
    """Mean intensity of 3000 configurations, within its standard error."""
    crystal = Superlattice(rng.normal(scale=20, size=(12, 3)), rng.normal(5.0, 0.4, 12))
    (shell,) = intensity_on_shells(crystal, np.array([0.5]), [(4, 6)], scattering=ScatteringModel(sigma_nm=1.5))
    q = 0.5 * shell_grid(4, 6)[0]
    samples = np.array(
        [
            direct_intensity(
                Superlattice(crystal.positions_nm + rng.normal(scale=1.5, size=(12, 3)), crystal.radii_nm), q
            )
            for _ in range(3000)
        ]
    )
    deviations = (samples.mean(axis=0) - shell.intensity) / (samples.std(axis=0) / np.sqrt(3000))
    assert np.abs(deviations).max() < 5
    # Which tells it from the damped coherent part alone.
    coherent = direct_intensity(crystal, q) * np.exp(-((0.5 * 1.5) ** 2))
    assert np.abs((samples.mean(axis=0) - coherent) / (samples.std(axis=0) / np.sqrt(3000))).max() > 20


@pytest.mark.parametrize(("name", "sigma"), [("core-shell", 0.003), ("aligned cubes", 0.006), ("atoms", 0.008)])
def test_resolution_against_a_cubature(rng, name, sigma):
    """The convolution with a Gaussian by 16³ Gauss–Hermite points about each q."""
    x, w = np.polynomial.hermite_e.hermegauss(16)
    offsets = sigma * np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    weights = (w[:, None, None] * w[:, None] * w).ravel() / w.sum() ** 3
    scatterer, form = scatterer_named(name, rng, 8), SCATTERERS[name]
    forward = np.abs(direct_amplitudes(scatterer, np.zeros((1, 3)), form).sum()) ** 2
    options = {"tolerance": 1e-6, "scattering": ScatteringModel(form, resolution_inv_nm=sigma)}
    q, grids = np.array([0.02, 0.5]), [(3, 4), (4, 4)]
    for shell, grid in zip(intensity_on_shells(scatterer, q, grids, **options), grids, strict=True):
        points = shell.q_inv_nm * shell_grid(*grid)[0].reshape(-1, 3)[:3]
        exact = [weights @ direct_intensity(scatterer, point + offsets, form) for point in points]
        assert np.abs(shell.intensity.ravel()[:3] - exact).max() < 2e-6 * forward
        sharp = direct_intensity(scatterer, points, form)
        assert np.abs(sharp - exact).max() > 2e-5 * forward or shell.q_inv_nm > 0.1
    volume = intensity_on_grid(scatterer, 0.3, 31, **options)
    some = np.array([[0, 0, 30], [15, 15, 15], [15, 14, 17], [3, 20, 9]])
    exact = [weights @ direct_intensity(scatterer, point + offsets, form) for point in volume.q_axes_inv_nm[0][some]]
    assert np.abs(volume.intensity[tuple(some.T)] - exact).max() < 2e-6 * forward


@pytest.mark.parametrize("sigma", [1e-4, 1e-3, 0.01, 0.1])
@pytest.mark.parametrize("extent", [10.0, 100.0, 250.0])
def test_kernel_damps_all_distances_of_a_crystal(sigma, extent):
    step = 0.01
    kernel = grid_kernel(sigma, step, extent, 1e-7)
    k = np.arange(len(kernel)) - len(kernel) // 2
    r = np.linspace(-extent, extent, 301)
    assert np.abs(np.cos(np.outer(r, k) * step) @ kernel - np.exp(-((sigma * r) ** 2) / 2)).max() < 1e-7
    with pytest.raises(SamplingError, match="too coarse"):
        grid_kernel(1e-3, step, 400.0, 1e-7)


def test_domains_add_up_with_their_weights(rng):
    crystal = scatterer_named("octahedra", rng, 10)
    turns = Rotation.random(3, rng=rng)
    domains = [crystal.rotated(turn) for turn in turns]
    options = {"tolerance": 1e-7, "scattering": ScatteringModel(OCTAHEDRON)}
    total = intensity_on_grid(domains, 0.5, 10, weights=[1.0, 0.5, 2.0], **options).intensity
    parts = [intensity_on_grid(domain, 0.5, 10, **options).intensity for domain in domains]
    assert np.allclose(total, parts[0] + 0.5 * parts[1] + 2 * parts[2])
    mean = intensity_on_grid(iter(domains), 0.5, 10, **options).intensity
    assert np.allclose(mean, sum(parts) / 3)


def test_shells_of_oriented_nps_resolve_them(rng):
    """Harmonics of the intensity beyond what the grid integrates exactly are negligible."""
    crystal = Superlattice(rng.normal(scale=8, size=(5, 3)), 7.4)
    assert np.isclose(extent_nm(crystal, CUBE), crystal.diameter_nm + 2 * CUBE.reach_nm(7.4))
    first, _ = shells_of_crystal([crystal], 0.6, np.array([0.7]), scattering=ScatteringModel(CUBE))
    n_theta, n_phi = first.intensity.shape
    q = 0.6 * shell_grid(2 * n_theta, 2 * n_phi)[0]
    fine = shell_grid(2 * n_theta, 1)[1] @ direct_intensity(crystal, q, CUBE) ** 2
    coarse = shell_grid(n_theta, 1)[1] @ first.intensity**2
    assert abs(coarse.sum() / n_phi / (fine.sum() / (2 * n_phi)) - 1) < 1e-7


def test_atoms_of_a_universe(rng):
    import MDAnalysis

    positions = rng.normal(scale=30, size=(6, 3)).astype("f4")
    universe = MDAnalysis.Universe.empty(6, trajectory=True)
    universe.atoms.positions = positions
    with pytest.raises(InputError, match="all-atom"):
        scattering_atoms(universe)
    universe.add_TopologyAttr("elements", ["Fe", "O", "O", "C", "H", "H"])
    atoms = scattering_atoms(universe.select_atoms("element Fe or element O"))
    assert atoms.elements.tolist() == ["Fe", "O", "O"]
    assert np.allclose(atoms.positions_nm, positions[:3] / 10)


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
    for options, says in (({"sigma_nm": -1.0}, "sigma_nm"), ({"resolution_inv_nm": float("nan")}, "resolution")):
        with pytest.raises(InputError, match=says):
            ScatteringModel(**options)
    for options, says in (
        ({"weights": [1.0, 2.0]}, "weights"),
        ({"scattering": ScatteringModel(resolution_inv_nm=1e-3)}, "too coarse"),
    ):
        with pytest.raises(InputError, match=says):
            intensity_on_grid(cloud, 0.9, 16, **options)
    with pytest.raises(InputError, match="at least one"):
        intensity_on_grid([], 0.9, 16)
    with pytest.raises(InputError, match="of their own"):
        intensity_on_grid(Atoms(cloud.positions_nm, ["C"] * cloud.n), 0.9, 16, scattering=ScatteringModel(CUBE))
    axis = np.linspace(-1, 1, 8)
    values = np.ones((8, 8, 8))
    for bad in (np.full((8, 8, 8), np.nan), np.ones((8, 8, 7))):
        with pytest.raises(InputError):
            IntensityVolume(bad, (axis, axis, axis))
    with pytest.raises(InputError, match="no measured"):
        IntensityVolume(values, (axis, axis, axis), measured=np.zeros((8, 8, 8), dtype=bool))
    with pytest.raises(InputError, match="evenly spaced"):
        IntensityVolume(values, (axis, axis, axis**3))
