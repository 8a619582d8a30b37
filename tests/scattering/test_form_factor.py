import ase.data
import ase.utils.xrdebye
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial import ConvexHull, Delaunay
from scipy.spatial.transform import Rotation

from simsc.builders.nanoparticle import carve, magnetite
from simsc.cli.correlate import correlate
from simsc.cli.scatter import scatter
from simsc.core.errors import InputError
from simsc.core.intensity import shell_grid
from simsc.core.shapes import POLYHEDRA, SHAPES
from simsc.scattering.atoms import Atoms, form_factors
from simsc.scattering.form_factors.core_shell import CoreShell
from simsc.scattering.form_factors.oriented import expand_oriented
from simsc.scattering.form_factors.polyhedron import Polyhedron, polyhedron
from simsc.scattering.form_factors.round import expand_round
from simsc.scattering.form_factors.sphere import Sphere, sphere_amplitude
from simsc.scattering.form_factors.table import FORMS, NEED_NOTHING, form_factor
from simsc.scattering.harmonics import real_harmonics, turned_coefficients

SKEW = Polyhedron(np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.3], [0.9, 0.2, 0]]) * [1, 1.2, 0.7])
BODIES = {**{name: polyhedron(name) for name in POLYHEDRA}, "skew": SKEW}
VOLUME = 4 / 3 * np.pi


def quadrature(body: Polyhedron, n: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Return points and weights that integrate smooth functions over a polyhedron: Gauss in each tetrahedron."""
    x, w = np.polynomial.legendre.leggauss(n)
    u, v, s = np.meshgrid(*[(x + 1) / 2] * 3, indexing="ij")
    weights = w[:, None, None] * w[:, None] * w / 8 * u**2 * v
    # Collapsed coordinates of the unit tetrahedron.
    shares = np.stack([1 - u, u * (1 - v), u * v * (1 - s), u * v * s], axis=-1).reshape(-1, 4)
    corners = body.vertices[Delaunay(body.vertices).simplices]
    volumes = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
    return (shares @ corners).reshape(-1, 3), (volumes[:, None] * weights.ravel()).ravel()


def turned_amplitudes(body: Polyhedron, q: np.ndarray, radii: np.ndarray, quaternions: np.ndarray | None) -> np.ndarray:
    """Return F (P, N) of NPs in the frame of the superlattice."""
    turns = Rotation.identity(len(radii)) if quaternions is None else Rotation.from_quat(quaternions)
    return body.amplitude(np.stack([turn.inv().apply(q) for turn in turns], axis=1), radii)


def test_cube_is_a_product_of_sincs(rng):
    edge = VOLUME ** (1 / 3)
    q = rng.normal(size=(1200, 3))
    q[:100, 0], q[:50, 1] = 0, 0
    q[100:200, 1] = q[100:200, 0]
    q[200:300] *= [1, 1e-7, 1e-4]
    for scale in (0.0, 1e-8, 1e-4, 9.99e-4, 1.01e-3, 1e-2, 0.1, 1.0, 20.0):
        exact = edge**3 * np.prod(np.sinc(scale * q * edge / (2 * np.pi)), axis=1)
        assert np.abs(polyhedron("cube").amplitude(scale * q, 1.0) - exact).max() < 1e-12 * VOLUME


@pytest.mark.parametrize("name", BODIES)
def test_polyhedra_against_integrals_over_their_volume(rng, name):
    body = BODIES[name]
    points, weights = quadrature(body)
    q = np.concatenate([rng.normal(scale=2.5, size=(30, 3)), np.eye(3) * 3, [[1, 1, 0], [1, 1, 1], [1e-3, 0, 0]]])
    exact = np.exp(-1j * q @ points.T) @ weights
    assert np.abs(body.amplitude(q, 1.0) - exact).max() < 1e-9 * VOLUME
    radius = 3.7
    assert np.allclose(body.amplitude(q / radius, radius), radius**3 * exact, atol=1e-8)
    assert np.allclose(body.amplitude(np.zeros(3), radius), VOLUME * radius**3, rtol=1e-13)
    small = 0.01 * q
    guinier = VOLUME - np.einsum("qi,ij,qj->q", small, (points.T * weights) @ points, small) / 2
    assert np.abs(body.amplitude(small, 1.0).real - guinier).max() < 1e-3 * np.abs(guinier - VOLUME).max()
    assert np.allclose(body.amplitude(-q, 1.0), body.amplitude(q, 1.0).conj(), atol=1e-12)
    # The mean over all directions is the integral of sin(qr) / (qr).
    directions, rings = shell_grid(40, 80)
    mean = (rings @ body.amplitude(4 * directions, 1.0)).sum() / 80
    assert abs(mean - np.sinc(4 * np.linalg.norm(points, axis=1) / np.pi) @ weights) < 1e-9


def test_invariant_of_porod():
    """∫ |F|² d³q / (2π)³ = V; beyond Q the mean |F|² is 2πS/q⁴."""
    body, q_max = polyhedron("octahedron"), 60.0
    surface = ConvexHull(body.vertices).area
    q, w = np.polynomial.legendre.leggauss(150)
    q, w = (q + 1) / 2 * q_max, w / 2 * q_max
    # Cubic symmetry: an octant will do, and a quadrature that is not aligned with the edges.
    directions, rings = shell_grid(50, 100)
    directions = Rotation.random(rng=5).apply(directions[:25].reshape(-1, 3))
    squares = [np.abs(body.amplitude(value * directions, 1.0)) ** 2 @ np.repeat(rings[:25], 100) / 50 for value in q]
    total = 4 * np.pi * (w * q**2) @ np.array(squares) / (2 * np.pi) ** 3
    assert abs(total + surface / (np.pi * q_max) - VOLUME) < 2e-3 * VOLUME


def test_symmetries_of_cubic_bodies(rng):
    q = rng.normal(scale=3, size=(20, 3))
    for name in POLYHEDRA:
        body = polyhedron(name)
        amplitude = body.amplitude(q, 1.0)
        assert np.abs(amplitude.imag).max() < 1e-12, name
        for turn in Rotation.create_group("O"):
            assert np.allclose(body.amplitude(turn.apply(q), 1.0), amplitude, atol=1e-12), name


@pytest.mark.parametrize(
    ("name", "corners", "faces"),
    [
        ("cube", 8, 6),
        ("octahedron", 6, 8),
        ("truncated_octahedron", 24, 14),
        ("cuboctahedron", 12, 14),
        ("truncated_cuboctahedron", 48, 26),
    ],
)
def test_polyhedra_are_what_they_are_called(name, corners, faces):
    vertices = polyhedron(name).vertices
    hull = ConvexHull(vertices)
    assert len(vertices) == corners
    assert len(np.unique(hull.equations.round(6), axis=0)) == faces
    assert np.isclose(hull.volume, VOLUME)
    if name in ("truncated_octahedron", "cuboctahedron"):  # all edges equal: three or four nearest corners
        distances = np.sort(np.linalg.norm(vertices[:, None] - vertices, axis=-1), axis=1)
        assert np.ptp(distances[:, 1 : 4 if name == "truncated_octahedron" else 5]) < 1e-9


def test_core_that_is_carved_fills_its_form():
    core = carve(magnetite(), 4.0)
    hull = ConvexHull(2.0 * polyhedron("truncated_cuboctahedron").vertices)
    depth = (core.positions_angstrom / 10 @ hull.equations[:, :3].T + hull.equations[:, 3]).max(axis=1)
    assert depth.max() < 1e-6
    assert depth.max() > -0.05


def test_core_shell_limits():
    q, radii = np.linspace(0, 2, 50)[:, None], np.array([2.0, 5.0, 7.4])
    assert np.allclose(CoreShell(0.0, 2.5, 9.0).amplitude(q, radii), 2.5 * sphere_amplitude(q, radii))
    assert np.allclose(CoreShell(1.3, 0.7, 0.7).amplitude(q, radii), 0.7 * sphere_amplitude(q, radii + 1.3))
    form = CoreShell(1.5, 1.0, -0.4)
    for value in (0.0, 0.3, 1.7):
        kernel = lambda r, value=value: 4 * np.pi * r**2 * np.sinc(value * r / np.pi)  # noqa: E731
        exact = quad(kernel, 0, 4)[0] - 0.4 * quad(kernel, 4, 5.5)[0]
        assert abs(form.amplitude(value, 4.0) - exact) < 1e-8
    for bad in (-1.0, float("nan")):
        with pytest.raises(InputError, match="shell"):
            CoreShell(bad)
    with pytest.raises(InputError, match="contrast"):
        CoreShell(1.0, 0.0, 0.0)


@pytest.mark.parametrize("form", [Sphere(), CoreShell(1.5, 1.0, -0.4), CoreShell(1.5, 0.0, 1.0)])
def test_round_forms_keep_their_tolerance(rng, form):
    radii = rng.normal(7.4, 0.8, 300)
    q = np.linspace(0, 1.6, 300)
    exact = form.amplitude(q[:, None], radii)
    for tolerance in (1e-4, 1e-8):
        expansion = expand_round(form, radii, 1.6, tolerance)
        found = expansion.functions(q).T @ expansion.coefficients
        assert np.abs(found - exact).max() < 3 * tolerance * np.abs(exact).max()


def test_harmonics_are_orthonormal_and_turn():
    lmax = 9
    directions, rings = shell_grid(lmax + 1, 2 * lmax + 2)
    harmonics = real_harmonics(lmax, directions.reshape(-1, 3))
    products = (harmonics * np.repeat(rings * 4 * np.pi / (2 * lmax + 2), 2 * lmax + 2)) @ harmonics.T
    assert np.abs(products - np.eye((lmax + 1) ** 2)).max() < 1e-12
    some = directions.reshape(-1, 3)[::7]
    for turn in [*Rotation.random(5, rng=1), Rotation.identity(), Rotation.from_euler("x", 180, degrees=True)]:
        for l in (0, 1, 4, 9):  # noqa: E741
            coefficients = np.random.default_rng(l).normal(size=2 * l + 1)
            turned = turned_coefficients(coefficients, turn.as_quat()[None])[0]
            own = slice(l**2, (l + 1) ** 2)
            before = coefficients @ real_harmonics(lmax, turn.inv().apply(some))[own]
            assert np.allclose(turned @ real_harmonics(lmax, some)[own], before, atol=1e-11)


@pytest.mark.parametrize(("name", "spread"), [("octahedron", 0.8), ("truncated_cuboctahedron", 0.0), ("skew", 0.3)])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_oriented_forms_keep_their_tolerance(rng, name, spread, tolerance):
    """Root mean square over the NPs, at the worst q."""
    n, q_max = 120, 0.7
    radii = rng.normal(5.0, spread, n)
    q = rng.normal(size=(60, 3))
    q *= q_max * rng.uniform(size=(60, 1)) ** (1 / 3) / np.linalg.norm(q, axis=1, keepdims=True)
    q[0] = 0
    standing = Rotation.random(rng=rng)
    ranks = {}
    for kind, turns in {
        "none": None,
        "one": np.tile(standing.as_quat(), (n, 1)),
        "near": (Rotation.from_rotvec(rng.normal(scale=0.05, size=(n, 3))) * standing).as_quat(),
        "random": Rotation.random(n, rng=rng).as_quat(),
    }.items():
        expansion = expand_oriented(BODIES[name], radii, turns, q_max, tolerance)
        exact = turned_amplitudes(BODIES[name], q, radii, turns)
        wrong = np.abs(expansion.functions(q).T @ expansion.coefficients - exact) ** 2
        assert np.sqrt(wrong.mean(axis=1).max()) < 2 * tolerance * VOLUME * radii.max() ** 3
        length = np.linalg.norm(q[1])
        on_sphere = expansion.on_sphere(length, q[1:2] / length)
        assert np.allclose(on_sphere, expansion.functions(q[1:2]), atol=1e-9 * VOLUME * 125)
        ranks[kind] = len(expansion.coefficients)
    # As few transforms as the NPs need.
    assert ranks["none"] == ranks["one"] if spread == 0 else ranks["none"] <= ranks["one"] + 1
    assert ranks["one"] <= (1 if spread == 0 else 9)
    assert ranks["one"] < ranks["near"] < ranks["random"] <= n


def test_form_factors_of_atoms():
    q = np.linspace(0, 100, 30)
    for element, values in ase.utils.xrdebye.waasmaier.items():
        s2 = (q / 10 / (4 * np.pi)) ** 2
        exact = values[-1] + sum(a * np.exp(-b * s2) for a, b in zip(values[0:10:2], values[1:10:2], strict=True))
        # The constant of Cu in ASE makes an atom of 28.5 electrons.
        assert element == "Cu" or np.allclose(form_factors([element], q)[0], exact, atol=0.02), element
    for ion, electrons in {"H": 1, "C": 6, "O": 8, "Fe": 26, "Fe2+": 24, "Fe3+": 23, "O1-": 9, "Au": 79}.items():
        assert abs(form_factors([ion], np.zeros(1))[0, 0] - electrons) < 0.05, ion
    for number in range(1, 93):
        assert abs(form_factors([ase.data.chemical_symbols[number]], np.zeros(1))[0, 0] - number) < 0.05
    with pytest.raises(InputError, match="Xx"):
        Atoms(np.zeros((2, 3)), ["C", "Xx"])
    with pytest.raises(InputError, match="q = 754"):
        form_factors(["C"], np.array([800.0]))
    with pytest.raises(InputError, match="N elements"):
        Atoms(np.zeros((2, 3)), ["C"])


def test_bodies_without_volume_are_refused():
    for bad in (np.eye(3), np.zeros((5, 3)), np.ones((4, 2)), np.full((4, 3), np.nan)):
        with pytest.raises(InputError):
            Polyhedron(bad)


def test_the_table_is_what_the_command_line_offers():
    for command in (scatter, correlate):
        (option,) = (option for option in command.params if "--form" in option.opts)
        assert option.type.choices == NEED_NOTHING
    assert set(FORMS) == {*SHAPES, "core_shell"}
    for name in NEED_NOTHING:
        form = form_factor(name)
        q = np.zeros(1) if form.isotropic else np.zeros((1, 3))
        assert form.amplitude(q, 2.0)[0] == pytest.approx(8 * VOLUME)  # each has the volume of the sphere
        assert form.reach_nm(2.0) >= 2.0 - 1e-12


def test_a_form_is_made_of_its_parameters():
    assert form_factor("core_shell", shell_nm=1.5, shell_contrast=0.4) == CoreShell(1.5, 1.0, 0.4)
    with pytest.raises(InputError, match=r"made of nothing; it needs shell_nm"):
        form_factor("core_shell")
    with pytest.raises(InputError, match=r"made of shell_nm$"):
        form_factor("cube", shell_nm=1.0)
    with pytest.raises(InputError, match="available: sphere, cube"):
        form_factor("torus")
    with pytest.raises(InputError, match="available: cube"):
        polyhedron("sphere")
