"""Cells and spacings from maps of simulated crystals of known ones; expected peaks against brute force."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import lattice_ball, simsc
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.builders.pillar import pillar
from simsc.cli.main import cli
from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import ShellIntensity, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.peaks import cell_reflections, expected_peaks, expected_peaks_of_cell, firsts_of_shell
from simsc.correlation.shells import shells_of_crystal
from simsc.io.native import write_map
from simsc.refine.cell import CellFit, _near_symmetries, more_symmetric, refine_cell
from simsc.refine.lattice import in_basis, nearest_basis, reduced_basis
from simsc.refine.model import Reflections, displaced, one_of_each_pair
from simsc.refine.spacing import refine_spacing
from simsc.refine.uncertainty import bootstrap, split

Q2 = np.arange(0.4, 0.9001, 0.005)
DELTA = np.linspace(0, 180, 361)
# Table 1 of Lapkin et al., ACS Nano 2025, 19, 42881: primitive cells, face-centred cells and the order of the latter.
TABLE_1 = {
    "pillar 1": ((16.8, 17.0, 17.8, 58.7, 60.8, 68.5), (22.2, 26.5, 25.6, 93.8, 91.1, 91.7), "cab"),
    "pillar 2": ((17.1, 17.4, 17.8, 57.0, 63.5, 60.9), (23.6, 26.2, 24.3, 93.3, 88.9, 89.0), "bac"),
    "pillar 3 before": ((18.2, 16.9, 17.0, 61.3, 58.1, 61.3), (24.5, 23.7, 25.8, 93.1, 86.8, 91.1), "cab"),
    "pillar 3 after": ((18.0, 16.8, 16.9, 61.5, 58.4, 61.6), (24.4, 23.7, 25.6, 93.1, 87.0, 91.1), "cab"),
}
PILLAR_1 = Cell.from_parameters(*TABLE_1["pillar 1"][0])


def crystal_map(cell: Cell, q1: float, n: int = 2000, radius_nm: float = 7.4) -> CorrelationMap:
    return correlate(*shells_of_crystal([lattice_ball(cell, n, radius_nm)], q1, Q2, threads=1), DELTA, threads=1)


def thinned(of: CorrelationMap, rows: int, columns: int) -> CorrelationMap:
    """Return every so many rows and columns of a map: fits of it take as much less time."""
    q2 = {name: getattr(of, name)[::rows] for name in ("q2_inv_nm", "radial_profile")}
    values = {name: getattr(of, name)[::rows, ::columns] for name in ("ccf", "coverage")}
    return replace(of, delta_deg=of.delta_deg[::columns], **q2, **values)


@pytest.fixture(scope="module")
def pillar_1_map() -> CorrelationMap:
    return crystal_map(PILLAR_1, 0.435)


@pytest.fixture(scope="module")
def pillar_1_fit(pillar_1_map):
    return refine_cell(pillar_1_map, reference=PILLAR_1, radius_nm=7.4, starts=6)


def assert_near(parameters: np.ndarray, expected: np.ndarray, edge_nm: float, angle_deg: float) -> None:
    assert np.abs(parameters[:3] - expected[:3]).max() < edge_nm
    assert np.abs(parameters[3:] - expected[3:]).max() < angle_deg


def test_forward_model_finds_pillar_1(pillar_1_fit):
    assert_near(pillar_1_fit.parameters, PILLAR_1.parameters, 0.02, 0.1)
    assert pillar_1_fit.score > 0.98
    assert (np.abs(pillar_1_fit.parameters - PILLAR_1.parameters) < 3 * pillar_1_fit.standard_errors).all()


@pytest.mark.parametrize(
    ("parameters", "orders"),
    [
        ((16, 16, 16, 60, 60, 60), [48]),
        ((16, 16, 26, 90, 90, 120), [24]),
        ((15.84, 16.197, 16.197, 58.55, 60.73, 60.73), [16]),  # face-centred 22.4, 22.4, 23.4, 90, 90, 90
        ((16, 19, 23, 90, 90, 90), [8]),
        ((16, 19, 23, 90, 104, 90), [4]),
        ((16.8, 19.0, 23.8, 68.7, 80.8, 75.5), []),
    ],
)
def test_symmetries_of_lattices_are_those_of_their_systems(parameters, orders):
    """The largest group is that of the lattice; a cell 2 % off nearly has it too."""
    cell = Cell.from_parameters(*parameters)
    strain = np.diag([0.006, -0.004, 0.002])
    for vectors in (cell.vectors_nm, cell.vectors_nm @ (np.eye(3) + strain)):
        vectors = reduced_basis(cell) @ vectors
        exact = [len(group) for group in _near_symmetries(vectors)]
        assert [n for n in exact if n in orders] == orders
        assert all(48 % n == 0 for n in exact)
        for group in _near_symmetries(vectors):
            assert len({(m @ n).tobytes() for m in group for n in group}) == len(group)


def test_a_cubic_crystal_is_not_taken_for_a_distorted_one(pillar_1_map, pillar_1_fit):
    fcc = Cell.from_parameters(16, 16, 16, 60, 60, 60)
    measured = thinned(crystal_map(fcc, 0.476, 600, 7.0), 2, 2)
    strained = Cell.from_parameters(15.9, 16.0, 16.2, 61, 60, 60.3)  # as far off as refined ones were
    found = more_symmetric(CellFit(strained, np.eye(6), "forward", 0.97), measured, 7.0)
    assert found is not None
    assert found[0] == "cubic"
    assert found[1].parameters == pytest.approx(fcc.parameters, rel=2e-3)
    assert np.isnan(found[1].standard_errors).all()
    # One that is far from any symmetry, or that nothing symmetric explains as well, stays what it is.
    assert more_symmetric(pillar_1_fit, thinned(pillar_1_map, 2, 2), 7.4) is None


def test_a_cubic_crystal_gets_no_errors_that_do_not_hold(tmp_path, pillar_1_map, monkeypatch):
    """What breaks its symmetry enters the map by its square."""
    fcc = Cell.from_parameters(16, 16, 16, 60, 60, 60)
    strained = Cell.from_parameters(15.9, 16.0, 16.2, 61, 60, 60.3)
    free = CellFit(strained, 1e-4 * np.eye(6), "forward", 0.97)
    cubic = CellFit(fcc, np.full((6, 6), np.nan), "forward", 0.969)
    monkeypatch.setattr("simsc.cli.refine.refine_cell", lambda *arguments: free)
    monkeypatch.setattr("simsc.cli.refine.more_symmetric", lambda *arguments: ("cubic", cubic))
    write_map(tmp_path / "map.h5", pillar_1_map, {})
    words = ["refine", "cell", str(tmp_path / "map.h5"), "--radius", "7"]
    told = json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)
    assert told["more_symmetric"]["primitive"] == pytest.approx(list(fcc.parameters))
    for name in ("primitive", "reduced", "face_centred"):
        assert told[name]["standard_errors"] == [None] * 6
    shown = CliRunner().invoke(cli, words)
    assert "the cell above has no errors" in shown.stderr
    assert "±" not in shown.stdout
    monkeypatch.setattr("simsc.cli.refine.more_symmetric", lambda *arguments: None)
    assert CliRunner().invoke(cli, words).stdout.count("±") == 18


def test_forward_model_is_exact_for_gaussian_peaks():
    """Nothing but Gaussians of one width about the reflections: no size, no shape, no NPs."""
    width, q1 = 0.02, float(2 * np.pi * np.linalg.norm(np.linalg.inv(PILLAR_1.vectors_nm)[:, 0]))
    g = cell_reflections(PILLAR_1, np.zeros((1, 3)), 1.0)[0]

    def shell(q: float) -> ShellIntensity:
        directions = shell_grid(170, 340)[0]
        near = g[np.abs(np.linalg.norm(g, axis=1) - q) < 5 * width]
        along = directions @ near.T
        exponent = (q**2 + (near**2).sum(axis=1) - 2 * q * along) / (2 * width**2)
        return ShellIntensity(q, np.exp(-exponent).sum(axis=-1) + 1e-3)

    correlation = correlate(shell(q1), (shell(q) for q in Q2), DELTA, threads=1)
    fit = refine_cell(correlation, reference=PILLAR_1, starts=1)
    assert_near(fit.parameters, PILLAR_1.parameters, 0.006, 0.02)
    assert np.isclose(fit.width_inv_nm, width, rtol=0.01)


def test_reflections_are_displaced_one_at_a_time():
    """Each Friedel pair once in three directions: by σ along it, by σ and the mosaic spread across it."""
    g, hkl, strength = cell_reflections(PILLAR_1, np.zeros((1, 3)), 0.8)
    crystal = Reflections(g, strength, np.zeros(len(g), dtype=int), one_of_each_pair(hkl))
    changes = [one.g_inv_nm - g for one in displaced(crystal, 0.1, 0.01, 0.02)]
    assert len(changes) == 3 * len(g) // 2
    for k in range(0, len(changes), 3):
        (number, mate) = np.flatnonzero(np.abs(changes[k]).max(axis=1) > 0)
        assert np.allclose(g[number], -g[mate])
        moves = np.array([change[number] for change in changes[k : k + 3]])
        assert all(np.allclose(change.sum(axis=0), 0) for change in changes[k : k + 3])
        across = 0.1 * np.hypot(0.01, 0.02 * np.linalg.norm(g[number]))
        assert np.allclose(moves @ moves.T, np.diag([0.001, across, across]) ** 2, atol=1e-12)
        assert np.isclose(abs(moves[0] @ g[number]), 0.001 * np.linalg.norm(g[number]))


@pytest.mark.slow
def test_standard_errors_cover_the_truth():
    """Cubes in the cells of Table 1, turned at random: pulls as of errors that can be trusted, or a bit smaller."""
    pulls = []
    for number, (parameters, _, _) in enumerate(TABLE_1.values()):
        truth = Cell.from_parameters(*parameters)
        turn = Rotation.random(random_state=100 + number)
        crystal = pillar(truth, (200.0, 200.0, 200.0), rotation=turn, radius_nm=7.4)
        q1 = float(2 * np.pi * np.linalg.norm(np.linalg.inv(truth.vectors_nm)[:, 0]))
        correlation = correlate(*shells_of_crystal([crystal], q1, Q2, 1e-5, threads=1), DELTA, threads=1)
        fit = refine_cell(correlation, reference=truth, radius_nm=7.4, starts=1)
        bare = refine_cell(correlation, reference=truth, radius_nm=7.4, starts=1, misplaced=0)
        assert (fit.standard_errors > bare.standard_errors).all()
        pulls.append((fit.parameters - truth.parameters) / fit.standard_errors)
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.6
    assert np.mean(np.abs(pulls) < 2) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TABLE_1)[1:])
def test_forward_model_finds_the_other_pillars_from_fcc(name):
    """Nothing is told but q1."""
    truth = Cell.from_parameters(*TABLE_1[name][0])
    q1 = float(2 * np.pi * np.linalg.norm(np.linalg.inv(truth.vectors_nm)[:, 0]))
    fit = refine_cell(crystal_map(truth, q1), radius_nm=7.4)
    assert_near(fit.in_basis(nearest_basis(fit.cell, truth))[0], truth.parameters, 0.04, 0.15)


def test_mean_metric_is_biased_where_peaks_overlap(pillar_1_map, pillar_1_fit):
    """A higher mean than at the true cell, yet ten times farther from it than the forward model."""
    fit = refine_cell(pillar_1_map, method="mean", reference=PILLAR_1)
    error = np.abs(fit.parameters - PILLAR_1.parameters)
    assert 0.1 < error[:3].max() < 0.6
    assert 4 * np.abs(pillar_1_fit.parameters - PILLAR_1.parameters)[:3].max() < error[:3].max()
    assert np.isnan(fit.standard_errors).all()


def test_basis_of_the_start_does_not_matter(pillar_1_map, pillar_1_fit):
    """From another cell of the same lattice, and given in the basis nearest to that."""
    matrix = np.array([[0, 1, 0], [-1, 0, 1], [1, 0, 0]])
    other = Cell(matrix @ PILLAR_1.vectors_nm)
    fit = refine_cell(pillar_1_map, reference=other, radius_nm=7.4, starts=4)
    expected, errors = pillar_1_fit.in_basis(matrix)
    assert_near(fit.parameters, expected, 1e-3, 1e-2)
    assert np.allclose(fit.standard_errors, errors, rtol=0.1)
    assert np.allclose(fit.reduced[0], pillar_1_fit.reduced[0], atol=1e-2)


@pytest.mark.parametrize("name", TABLE_1)
def test_right_half_of_table_1_from_its_left(name):
    """Within the rounding of the table: 0.05 nm and 0.05 degrees on the left, propagated, and on the right."""
    primitive, face_centred, order = TABLE_1[name]
    rounding = np.diag([0.05**2] * 6)
    rows = [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]
    parameters, covariance = in_basis(
        Cell.from_parameters(*primitive), rounding, np.array([rows["abc".index(edge)] for edge in order])
    )
    assert (np.abs(parameters - face_centred) < 3 * np.sqrt(np.diag(covariance)) + 0.06).all()


def test_covariance_in_another_basis_against_sampling(rng):
    spread = rng.normal(size=(6, 6)) * np.repeat([0.003, 0.01], 3)[:, None]
    covariance = spread @ spread.T
    matrix = np.array([[1, 1, -1], [-1, 1, 1], [1, -1, 1]])
    parameters, transformed = in_basis(PILLAR_1, covariance, matrix)
    samples = np.array(
        [
            Cell(matrix @ Cell.from_parameters(*sample).vectors_nm).parameters
            for sample in rng.multivariate_normal(PILLAR_1.parameters, covariance, 4000)
        ]
    )
    assert np.allclose(samples.mean(axis=0), parameters, atol=5 * np.sqrt(np.diag(transformed)).max() / 60)
    assert np.allclose(np.cov(samples.T), transformed, atol=0.08 * np.diag(transformed).max())


def test_every_basis_of_a_lattice_is_taken_back(rng):
    """Products of random shears: the reduced cell and the basis nearest to a reference stay the same."""
    reduced = Cell(reduced_basis(PILLAR_1) @ PILLAR_1.vectors_nm).parameters
    for _ in range(20):
        matrix = np.eye(3, dtype=int)
        for _ in range(4):
            i, j = rng.choice(3, 2, replace=False)
            matrix[i] += rng.choice([-1, 1]) * matrix[j]
        cell = Cell(matrix @ PILLAR_1.vectors_nm)
        assert np.allclose(Cell(reduced_basis(cell) @ cell.vectors_nm).parameters, reduced)
        assert np.allclose(Cell(nearest_basis(cell, PILLAR_1) @ cell.vectors_nm).parameters, PILLAR_1.parameters)


def test_expected_peaks_of_any_cell_against_brute_force():
    a, b, c = PILLAR_1.vectors_nm
    volume = a @ np.cross(b, c)
    b1, b2, b3 = (2 * np.pi / volume * np.cross(u, v) for u, v in ((b, c), (c, a), (a, b)))
    expected = []
    for h in range(-4, 5):
        for k in range(-4, 5):
            for m in range(-4, 5):
                g = h * b1 + k * b2 + m * b3
                if 0.4 <= np.linalg.norm(g) <= 0.9:
                    cosine = g @ b1 / np.linalg.norm(g) / np.linalg.norm(b1)
                    expected.append((np.linalg.norm(g), np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    peaks = expected_peaks_of_cell(PILLAR_1, (1, 0, 0), (0.4, 0.9))
    found = [(peak.q2_inv_nm, peak.delta_deg) for peak in peaks for _ in range(peak.multiplicity)]
    assert len(found) == len(expected)
    assert np.allclose(sorted(found), sorted(expected), atol=1e-4)


def test_reflections_of_a_shell():
    """The four 111 of a distorted fcc lattice, nearest first, and none twice."""
    found = firsts_of_shell(PILLAR_1, 0.44, 0.022)
    assert found == [(0, 1, 0), (0, 0, 1), (1, 0, 0), (1, 1, 1)]
    assert firsts_of_shell(PILLAR_1, 0.44, 1e-4) == []


def test_primitive_cell_of_fcc_has_the_peaks_of_fcc():
    primitive = Cell.from_parameters(16.0, 16.0, 16.0, 60, 60, 60)
    key = [
        (p.q2_inv_nm, p.delta_deg, p.multiplicity) for p in expected_peaks_of_cell(primitive, (1, 0, 0), (0.4, 0.95))
    ]
    cubic = [(p.q2_inv_nm, p.delta_deg, p.multiplicity) for p in expected_peaks("fcc", 16.0, (0.4, 0.95))]
    assert np.allclose(key, cubic, atol=1e-4)


@pytest.mark.parametrize(
    ("structure", "stacking"),
    [("fcc", "ABC"), ("hcp", "AB"), pytest.param("r-hcp", "ABCBCABCABCACBACBACBABCB", marks=pytest.mark.slow)],
)
def test_spacing_of_balls(structure, stacking):
    layers = 24 // len(stacking)
    ball = close_packed(stacking, 16.0, (18, 11), 7.4).replicate((1, 1, layers))
    from_middle = np.linalg.norm(ball.positions_nm - ball.positions_nm.mean(axis=0), axis=1)
    crystal = Superlattice(ball.positions_nm[np.argsort(from_middle)[:2000]], 7.4)
    q2 = np.arange(0.4, 0.9001, 0.01)
    correlation = correlate(*shells_of_crystal([crystal], 0.481, q2, threads=1), np.linspace(0, 180, 181), threads=1)
    fit = refine_spacing(correlation, structure, radius_nm=7.4)
    assert abs(fit.d_nn_nm - 16.0) < 0.02
    assert abs(fit.a_fcc_nm - np.sqrt(2) * 16.0) < 0.03
    assert fit.score > 0.9
    if structure != "r-hcp":
        mean = refine_spacing(correlation, structure, method="mean")
        assert abs(fit.d_nn_nm - 16.0) < abs(mean.d_nn_nm - 16.0) < 0.3


@pytest.mark.slow
def test_parts_and_refits(pillar_1_map, pillar_1_fit):
    """Standard errors follow the noise that was put in: twice the noise, twice the errors."""
    coarse = thinned(pillar_1_map, 1, 3)

    def refine(maps):
        return refine_cell(maps, reference=pillar_1_fit.cell, radius_nm=7.4, starts=1)

    def simulate(rng, level=0.1):
        return [replace(coarse, ccf=coarse.ccf + rng.normal(scale=level, size=coarse.ccf.shape))]

    spread = bootstrap(pillar_1_fit, simulate, refine, n=6)
    double = bootstrap(pillar_1_fit, lambda rng: simulate(rng, 0.2), refine, n=6)
    assert np.allclose(double.standard_errors / spread.standard_errors, 2, rtol=0.5)
    assert (np.abs(spread.bias) < 4 * spread.standard_errors + np.repeat([0.02, 0.1], 3)).all()
    streams = np.random.default_rng(5).spawn(6)
    parts = split([simulate(rng) for rng in streams], refine)
    ratio = parts.standard_errors * np.sqrt(6) / spread.standard_errors
    assert 0.4 < np.median(ratio) < 2.5
    with pytest.raises(InputError, match="two independent parts"):
        split([[coarse]], refine)
    with pytest.raises(InputError, match="two simulations"):
        bootstrap(pillar_1_fit, simulate, refine, n=1)


def test_commands(tmp_path, pillar_1_map):
    path = tmp_path / "map.h5"
    write_map(path, thinned(pillar_1_map, 2, 3), {})
    words = ["--reference", "16.8", "17", "17.8", "58.7", "60.8", "68.5", "--radius", "7.4", "--starts", "1"]
    done = simsc("refine", "cell", str(path), *words, "--order", "cab", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert_near(np.array(result["primitive"]["parameters"]), PILLAR_1.parameters, 0.03, 0.15)
    expected = Cell(np.array([[1, 1, -1], [-1, 1, 1], [1, -1, 1]]) @ PILLAR_1.vectors_nm).parameters
    assert_near(np.array(result["face_centred"]["parameters"]), expected, 0.06, 0.2)
    runner = CliRunner()
    text = runner.invoke(cli, ["refine", "cell", str(path), str(path), *words, "--parts"])
    assert "primitive: a 16.8" in text.stdout
    assert "errors, parts" in text.stdout
    spacing = runner.invoke(cli, ["refine", "spacing", str(path), "--structure", "fcc", "--method", "mean", "--json"])
    assert 16 < json.loads(spacing.stdout)["d_nn_nm"] < 18.5
    for arguments, complaint in (
        (("cell", str(path), "--reference", "16", "16", "16", "20", "20", "60"), "angles"),
        (("cell", str(path), "--reference", "4", "4", "4", "60", "60", "60"), "far from all reflections"),
        (("cell", str(path), "--radius-std", "0.8"), "needs the radius"),
        (("cell", str(path), "--order", "aab"), "order"),
        (("spacing", str(tmp_path / "none.h5"), "--structure", "fcc"), "no such file"),
    ):
        error = runner.invoke(cli, ["refine", *arguments]).exception
        assert isinstance(error, InputError)
        assert complaint in str(error)
        assert "\n" not in str(error)


def test_bad_input_is_refused(pillar_1_map):
    with pytest.raises(InputError, match="forward or mean"):
        refine_cell(pillar_1_map, method="median")
    with pytest.raises(InputError, match="fcc, hcp or r-hcp"):
        refine_spacing(pillar_1_map, "bcc")
    with pytest.raises(InputError, match="positive number"):
        refine_spacing(pillar_1_map, "fcc", start_nm=-1.0)
    with pytest.raises(InputError, match="at least one"):
        refine_cell([])
    with pytest.raises(InputError, match="misplaced must be"):
        refine_cell(pillar_1_map, misplaced=-0.1)
    with pytest.raises(InputError, match="one map, got 2"):
        refine_cell([pillar_1_map, pillar_1_map], method="mean")
    empty = replace(pillar_1_map, ccf=np.full_like(pillar_1_map.ccf, np.nan))
    with pytest.raises(InputError, match="0 usable points"):
        refine_cell(empty)
    rng = np.random.default_rng(1)
    noise = replace(pillar_1_map, ccf=rng.normal(size=pillar_1_map.ccf.shape))
    rows = {name: getattr(pillar_1_map, name)[:50] for name in ("ccf", "coverage", "radial_profile")}
    low = replace(pillar_1_map, q2_inv_nm=Q2[:50] - 0.38, **rows)
    with pytest.raises(InputError, match="first reflection"):
        refine_cell(low)
    with pytest.raises(InputError, match="no crystal"):
        refine_cell(noise, starts=1)
