"""All kinds of neighbours, and bond order over them, in thin cells."""

import numpy as np
import pytest
from conftest import PAPER, displaced
from scipy.spatial import ConvexHull, Voronoi
from scipy.special import sph_harm_y

from simsc.builders.close_packed import close_packed
from simsc.classify.neighbours import (
    CutoffSearch,
    Neighbours,
    nearest_neighbours,
    neighbours_within,
    voronoi_neighbours,
)
from simsc.classify.steinhardt import steinhardt
from simsc.core.cell import Cell
from simsc.core.errors import InputError, ThinCellError
from simsc.core.superlattice import Superlattice

KINDS = {
    "nearest": nearest_neighbours,
    "cutoff": lambda x: neighbours_within(x, 9.5),
    "voronoi": voronoi_neighbours,
    "voronoi 12": lambda x: voronoi_neighbours(x, 12),
}


@pytest.fixture
def thin(rng) -> Superlattice:
    """The paper's cell, sheared and shaken: one distance thin."""
    built = close_packed(PAPER, 6.2)
    cell = Cell(built.cell.vectors_nm + np.array([[0, 0, 0], [0.7, 0, 0], [1.5, -2.0, 0]]))
    return displaced(Superlattice(built.cell.fractional(built.positions_nm) @ cell.vectors_nm, cell=cell), 0.4, rng)


def images(superlattice: Superlattice, reach: int) -> np.ndarray:
    """Return positions (27…, N, 3) of all copies up to so many cells away; those of the cell itself come first."""
    shifts = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[np.argsort(np.abs(shifts).sum(axis=1), kind="stable")]
    return superlattice.positions_nm + (shifts @ superlattice.cell.vectors_nm)[:, None]


def test_cutoff_against_brute_force(thin):
    copies = images(thin, 4).reshape(-1, 3)
    found = neighbours_within(thin, 13.0)
    for k in range(thin.n):
        distances = np.linalg.norm(copies - thin.positions_nm[k], axis=1)
        expected = np.sort(distances[(distances < 13.0) & (distances > 0)])
        assert np.allclose(found.distances_nm[found.first == k], expected, atol=1e-4)


def test_voronoi_faces_against_scipy(thin):
    """The same Qhull, but copies without a margin to choose, and areas from convex hulls."""
    copies = images(thin, 3).reshape(-1, 3)
    near = copies[np.linalg.norm(copies - thin.positions_nm.mean(axis=0), axis=1) < 60]
    own = [int(np.linalg.norm(near - position, axis=1).argmin()) for position in thin.positions_nm]
    voronoi = Voronoi(near)
    bonds = voronoi_neighbours(thin)
    for k, place in enumerate(own):
        faces = []
        for pair, ridge in zip(voronoi.ridge_points, voronoi.ridge_vertices, strict=True):
            if place in pair:
                distance = np.linalg.norm(near[pair.sum() - place] - near[place])
                faces.append((distance, face_area(voronoi.vertices[ridge])))
        distances, areas = np.array(sorted(faces)).T
        shares = areas / areas.sum()
        mine = bonds.first == k
        found, weights = bonds.distances_nm[mine], bonds.weights[mine]
        assert np.allclose(found[weights > 1e-3], distances[shares > 1e-3], atol=1e-4)
        assert np.allclose(weights[weights > 1e-3], shares[shares > 1e-3], atol=1e-4)


def test_voronoi_faces_of_perfect_lattices():
    """Fcc and hcp: 12 equal faces. Bcc: 6 squares behind 8 hexagons, of areas 1/8 and 3√3/16 for a cube of edge 1."""
    for stacking in ("ABC", "AB"):
        bonds = voronoi_neighbours(close_packed(stacking, 6.2))
        assert (bonds.counts == 12).all()
        assert np.allclose(bonds.weights, 1 / 12)
    bcc = Superlattice(np.array([[0, 0, 0], [0.5, 0.5, 0.5]]) * 6.0, cell=Cell(6.0 * np.eye(3)))
    bonds = voronoi_neighbours(bcc)
    assert bonds.counts.tolist() == [14, 14]
    hexagon, square = 3 * np.sqrt(3) / 16, 1 / 8
    expected = np.repeat([hexagon, square], [8, 6]) / (8 * hexagon + 6 * square)
    assert np.allclose(bonds.weights[:14], expected)


def face_area(vertices: np.ndarray) -> float:
    """Return the area of a flat convex face (n, 3)."""
    centred = vertices - vertices.mean(axis=0)
    plane = np.linalg.svd(centred)[2][:2]
    return ConvexHull(centred @ plane.T).volume


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"third_order": True}, {"average": True}, {"weighted": True}])
def test_a_thin_cell_is_like_its_replica(thin, kind, options):
    replica = thin.replicate([4, 3, 1])
    one, many = (steinhardt(KINDS[kind](x), [2, 4, 6], **options) for x in (thin, replica))
    assert np.allclose(np.tile(one, (12, 1)), many, atol=2e-5)


def harmonics(bonds: Neighbours, weights: np.ndarray, degree: int) -> np.ndarray:
    """Return q_lm (N, 2l + 1) with SciPy's spherical harmonics."""
    x, y, z = (bonds.vectors_nm / bonds.distances_nm[:, None]).T
    y_lm = sph_harm_y(degree, np.arange(-degree, degree + 1)[:, None], np.arccos(z), np.arctan2(y, x))
    total = np.array([np.bincount(bonds.first, weights * part) for row in y_lm for part in (row.real, row.imag)])
    return ((total[::2] + 1j * total[1::2]) / np.bincount(bonds.first, weights)).T


@pytest.mark.parametrize("degree", [3, 4, 6, 9])
def test_averaged_and_weighted_order_against_their_definitions(thin, degree):
    bonds = voronoi_neighbours(thin)
    norm = 4 * np.pi / (2 * degree + 1)
    q_lm = harmonics(bonds, bonds.weights, degree)
    expected = np.sqrt(norm * (np.abs(q_lm) ** 2).sum(axis=1))
    assert np.allclose(steinhardt(bonds, [degree], weighted=True)[:, 0], expected, atol=1e-5)
    bonds = nearest_neighbours(thin)
    q_lm = harmonics(bonds, np.ones(len(bonds.first)), degree)
    mean = (q_lm + q_lm[bonds.second % thin.n].reshape(thin.n, 12, -1).sum(axis=1)) / 13
    expected = np.sqrt(norm * (np.abs(mean) ** 2).sum(axis=1))
    assert np.allclose(steinhardt(bonds, [degree], average=True)[:, 0], expected, atol=1e-5)


def test_parts_of_a_search_are_the_whole(rng):
    crystal = displaced(close_packed("ABCABC", 1.0, (6, 4)), 0.1, rng)
    search = CutoffSearch(crystal, 1.9)
    whole, seen = search.neighbours(), []
    for part in search.parts(50):
        seen.extend(part)
        found = search.neighbours(part)
        for place, k in enumerate(part):
            assert np.allclose(found.vectors_nm[found.first == place], whole.vectors_nm[whole.first == k], atol=1e-6)
        told = found.points[found.second] - found.points[found.first]
        assert np.allclose(found.box.wrap(told), found.vectors_nm, atol=1e-5)
    assert sorted(seen) == list(range(crystal.n))


def test_what_cannot_be_found_is_refused(rng):
    crystal = close_packed("ABC", 6.2)
    with pytest.raises(InputError, match="periodic in all directions"):
        voronoi_neighbours(Superlattice(crystal.positions_nm))
    with pytest.raises(InputError, match="Voronoi neighbours, 40 were asked for"):
        voronoi_neighbours(crystal, 40)
    with pytest.raises(InputError, match="must be positive"):
        neighbours_within(crystal, 0.0)
    with pytest.raises(ThinCellError, match="replicate"):
        neighbours_within(crystal, 1e5)
    with pytest.raises(InputError, match="degrees"):
        steinhardt(nearest_neighbours(crystal), [])
