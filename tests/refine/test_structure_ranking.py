"""Ranking of structures by the map of a crystal that the candidates were not drawn from."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.interpolate import RegularGridInterpolator

from simsc.builders.defects import with_displacements
from simsc.builders.finite_crystal import with_normal_radii
from simsc.cli.main import cli
from simsc.core.cell import Cell
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.mask import mask_of_volume, masked
from simsc.correlation.shells import shells_of_crystal
from simsc.io.native import write_intensity, write_map
from simsc.refine.structure import CANDIDATES, cell_candidate, crystal_candidate, rank_structures
from simsc.scattering.counting import counted_shell

D_NM, DIAMETER_NM = 16.0, 140.0
DELTA = np.arange(0, 90.5, 1.5)
Q2 = np.arange(0.42, 0.84, 0.03)
CHOICE = [CANDIDATES[name] for name in ("fcc", "hcp", "anti-Mackay")]


def measured_map(crystal: Superlattice, rng: np.random.Generator, mask=None, photons: float = 1e6) -> CorrelationMap:
    crystal = with_normal_radii(with_displacements(crystal, 0.05 * D_NM, rng), 7.4, 0.8, rng)
    first, second = shells_of_crystal([crystal], layer_momentum_transfer(D_NM), Q2, 1e-5)
    shells = [counted_shell(mask(shell) if mask else shell, photons, rng, 8) for shell in (first, *second)]
    return correlate(shells[0], shells[1:], DELTA)


@pytest.mark.parametrize("hidden", ["fcc", "hcp", "anti-Mackay"])
def test_a_hidden_structure_is_found(hidden):
    rng = np.random.default_rng(17)
    truth = CANDIDATES[hidden].draw(D_NM, DIAMETER_NM, rng)
    ranks = rank_structures(measured_map(truth, rng), DIAMETER_NM, 7.4, 0.8, CHOICE, draws=2)
    assert ranks[0].name == hidden
    assert ranks[0].stability > 0.9
    assert ranks[0].log_likelihood == 0 > ranks[1].log_likelihood
    assert ranks[0].d_nn_nm == pytest.approx(D_NM)
    assert ranks[0].correlation > 0.8
    assert sum(rank.stability for rank in ranks) == pytest.approx(1)


def test_a_mask_is_taken_into_account():
    """Half of all directions are missing, in the measurement and, told so, in the candidates."""

    def measured(q_inv_nm: np.ndarray) -> np.ndarray:
        return np.abs(q_inv_nm[:, 2]) < 0.3

    rng = np.random.default_rng(3)
    truth = CANDIDATES["fcc"].draw(D_NM, DIAMETER_NM, rng)
    seen = measured_map(truth, rng, lambda shell: masked(shell, measured))
    assert seen.coverage.min() < 0.8
    assert rank_structures(seen, DIAMETER_NM, 7.4, 0.8, CHOICE, draws=2, mask=measured)[0].name == "fcc"


def test_ones_own_candidates():
    """A cell of Table 1, as a cell, against fcc; and fcc given as a crystal."""
    cell = Cell.from_parameters(18.2, 16.9, 17.0, 61.3, 58.1, 61.3)
    lengths = np.linalg.norm(cell.vectors_nm, axis=1)
    own = cell_candidate("pillar", cell, float(lengths.mean()))
    rng = np.random.default_rng(4)
    crystal = own.draw(float(lengths.mean()), DIAMETER_NM, rng)
    reciprocal = 2 * np.pi * np.linalg.inv(cell.vectors_nm).T
    q1 = float(np.linalg.norm(reciprocal, axis=1).min())
    first, second = shells_of_crystal([with_normal_radii(crystal, 7.4, 0.8, rng)], q1, Q2, 1e-5)
    seen = correlate(first, second, DELTA)
    fcc = CANDIDATES["fcc"].draw(D_NM, DIAMETER_NM, np.random.default_rng(9))
    given = crystal_candidate("given", fcc, D_NM, layer_momentum_transfer(D_NM))
    ranks = rank_structures(seen, DIAMETER_NM, 7.4, 0.8, [own, given], draws=2)
    assert [rank.name for rank in ranks] == ["pillar", "given"]


@pytest.mark.parametrize("name", CANDIDATES)
def test_candidates_have_their_size_and_distance(name):
    crystal = CANDIDATES[name].draw(D_NM, DIAMETER_NM, np.random.default_rng(1))
    distances = np.linalg.norm(crystal.positions_nm[:, None] - crystal.positions_nm, axis=-1)
    distances[np.diag_indices(crystal.n)] = np.inf
    assert np.median(distances.min(axis=1)) == pytest.approx(D_NM, rel=1e-6)
    assert 0.85 * DIAMETER_NM < crystal.diameter_nm <= DIAMETER_NM + D_NM
    density = crystal.n * np.pi / 6 * D_NM**3 / (np.pi / 6 * DIAMETER_NM**3)
    assert 0.5 < density < 0.85


def test_bad_input_is_refused():
    rng = np.random.default_rng(1)
    seen = CorrelationMap(0.48, Q2, DELTA, rng.normal(size=(len(Q2), len(DELTA))), np.ones(1), np.ones(len(Q2)))
    for diameter, radius, others, says in (
        (DIAMETER_NM, 7.4, {"candidates": []}, "no candidate"),
        (DIAMETER_NM, 7.4, {"candidates": ["bct"]}, "'bct' is not known; available: fcc, "),
        (-1.0, 7.4, {}, "diameter"),
        (DIAMETER_NM, 8.1, {}, "overlap"),
        (DIAMETER_NM, 7.4, {"draws": 1}, "at least 2 draws"),
    ):
        with pytest.raises(InputError, match=says):
            rank_structures(seen, diameter, radius, **{"candidates": CHOICE} | others)
    empty = CorrelationMap(0.48, Q2, DELTA, np.full((len(Q2), len(DELTA)), np.nan), np.ones(1), np.ones(len(Q2)))
    with pytest.raises(InputError, match="at least 50"):
        rank_structures(empty, DIAMETER_NM, 7.4)
    with pytest.raises(InputError, match="finite crystal"):
        crystal_candidate("x", Superlattice(np.zeros((1, 3)), cell=Cell(np.eye(3))), 1.0, 1.0)
    with pytest.raises(InputError, match="positive"):
        cell_candidate("x", Cell(np.eye(3)), 0.0)


def test_the_command(tmp_path):
    rng = np.random.default_rng(17)
    truth = CANDIDATES["hcp"].draw(D_NM, DIAMETER_NM, rng)
    write_map(tmp_path / "map.h5", measured_map(truth, rng), {})
    axis = np.linspace(-1.0, 1.0, 16)
    everywhere = IntensityVolume(np.ones((16, 16, 16)), (axis, axis, axis))
    write_intensity(tmp_path / "seen.h5", everywhere, {})
    words = ["refine", "structure", str(tmp_path / "map.h5"), "--diameter", str(DIAMETER_NM), "--radius", "7.4"]
    few = [*words, "--candidates", "fcc,hcp", "--draws", "2"]
    done = CliRunner().invoke(cli, [*few, "--intensity", str(tmp_path / "seen.h5"), "--json"])
    assert [rank["name"] for rank in json.loads(done.stdout)["structures"]] == ["hcp", "fcc"]
    cell = ["--cell", "mine", "16", "16", "16", "60", "60", "60"]
    text = CliRunner().invoke(cli, [*words, "--candidates", "hcp", *cell, "--draws", "2"]).stdout
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ["hcp", "mine"]
    assert "simsc refine spacing fits it" in text
    for arguments, says in (
        ([*words, "--candidates", "fcc,diamond"], "'diamond' is not known; available: fcc"),
        ([*words, "--candidates", "", "--draws", "2"], "no candidate"),
        ([*words, "--cell", "mine", "16", "16", "16", "20", "20", "60"], "angles"),
    ):
        error = CliRunner().invoke(cli, arguments).exception
        assert isinstance(error, InputError)
        assert says in str(error)


def test_a_volume_tells_what_was_measured(rng):
    axis = np.linspace(-1.0, 1.0, 21)
    measured = rng.random((21, 21, 21)) < 0.9
    volume = IntensityVolume(np.where(measured, 1.0, np.nan), (axis, axis, axis), measured)
    points = rng.uniform(-1.1, 1.1, (2000, 3))
    # A trilinear mean is NaN where one of the eight voxels around is.
    interpolated = RegularGridInterpolator((axis,) * 3, volume.intensity, bounds_error=False)(points)
    assert (mask_of_volume(volume)(points) == np.isfinite(interpolated)).all()
