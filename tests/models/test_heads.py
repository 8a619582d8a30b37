"""Heads on spheres and polyhedra: evenness, heights, areas, and the systems that are made of them."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, cKDTree

from simsc.builders.close_packed import close_packed
from simsc.core.close_packing import CUBIC_AXES
from simsc.core.errors import InputError
from simsc.core.shapes import POLYHEDRA
from simsc.forcefield.chains import load_chains
from simsc.models.chains import dress_chains, nanoparticle_mass_g_per_mol
from simsc.models.heads import SPHERES, Dressing, heads
from simsc.scattering.form_factors.polyhedron import polyhedron

RADIUS, HEIGHT, N = 20.0, 2.5, 120
PARAMETERS = load_chains()


@pytest.mark.parametrize("shape", POLYHEDRA)
def test_heads_are_spread_evenly_over_the_facets(shape):
    places, normals = heads(shape, RADIUS, HEIGHT, N)
    assert places.shape == normals.shape == (N, 3)
    feet = places - HEIGHT * normals
    hull = ConvexHull(polyhedron(shape).vertices * RADIUS)
    above = feet @ hull.equations[:, :3].T + hull.equations[:, 3]
    assert np.abs(above.max(axis=1)).max() < 1e-9  # each on the surface
    # Every point of the surface is about as near to a head as to those of a perfect hexagonal lattice.
    spacing = np.sqrt(2 / np.sqrt(3) * hull.area / N)
    assert cKDTree(feet).query(feet, 2)[0][:, 1].min() > 0.55 * spacing
    triangles = hull.points[hull.simplices]
    weights = np.random.default_rng(4).dirichlet(np.ones(3), (len(triangles), 40))
    surface = np.einsum("tpv,tvi->tpi", weights, triangles).reshape(-1, 3)
    assert cKDTree(feet).query(surface)[0].max() < 1.1 * spacing
    # Facets get heads in proportion to their area.
    _, kinds = np.unique(np.round(hull.equations[:, :3], 6), axis=0, return_inverse=True)
    sides = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    areas = np.bincount(kinds, np.linalg.norm(np.cross(*sides), axis=1) / 2)
    on = np.bincount(kinds[above.argmax(axis=1)], minlength=len(areas))
    assert np.abs(on - N * areas / areas.sum()).max() < 0.35 * N * areas.max() / areas.sum() + 2


def test_areas_and_corners_are_those_of_geometry():
    edge = (4 / 3 * np.pi) ** (1 / 3)  # of the cube of the volume of the unit sphere
    assert Dressing("cube").area(1.0) == pytest.approx(6 * edge**2)
    assert Dressing("cube").circumradius(2.0) == pytest.approx(np.sqrt(3) * edge)
    side = (4 * np.pi / np.sqrt(2)) ** (1 / 3)  # of the octahedron: √2/3 a³
    assert Dressing("octahedron").area(1.0) == pytest.approx(2 * np.sqrt(3) * side**2)
    assert SPHERES.area(3.0) == pytest.approx(36 * np.pi)
    assert SPHERES.circumradius(3.0) == 3.0


def system(dressing, stacking="ABC"):
    crystal = close_packed(stacking, 6.4, (2, 2), 2.0)
    return crystal, dress_chains(crystal, PARAMETERS, np.random.default_rng(1), dressing)


def beads(made, n_nps):
    """Return types and positions of the beads of the data file, by NP."""
    lines = made.data.splitlines()
    begin = next(k for k, line in enumerate(lines) if line.startswith("Atoms")) + 2
    table = np.array([line.split()[:6] for line in lines[begin : begin + made.n_atoms]], dtype=float)
    return table.reshape(n_nps, -1, 6)[:, :, 2], table.reshape(n_nps, -1, 6)[:, :, 3:]


def test_coverage_and_area_set_the_number_of_ligands():
    per_head = PARAMETERS.head.ligands_per_head
    crystal, dense = system(Dressing(coverage_per_nm2=4.0))
    kinds, _ = beads(dense, crystal.n)
    assert (kinds[0] == 2).sum() == round(4.0 * 16 * np.pi / per_head)
    # A polyhedron gets more, by its area, at the same coverage.
    crystal, cubes = system(Dressing("cube", 4.0))
    kinds, _ = beads(cubes, crystal.n)
    assert (kinds[0] == 2).sum() == round(4.0 * Dressing("cube").area(2.0) / per_head)
    crystal, default = system(Dressing("cube"))
    spheres = system(SPHERES)[1]
    ratio = beads(default, crystal.n)[0].shape[1] / beads(spheres, crystal.n)[0].shape[1]
    assert ratio == pytest.approx(Dressing("cube").area(1.0) / (4 * np.pi), rel=0.02)
    mass = nanoparticle_mass_g_per_mol(2.0, PARAMETERS, Dressing("cube"))
    assert mass > nanoparticle_mass_g_per_mol(2.0, PARAMETERS)


def test_aligned_cores_lie_like_the_superlattice():
    """Octahedra have a facet up; their ⟨110⟩ edges point to neighbours in the layer."""
    assert np.allclose(CUBIC_AXES @ CUBIC_AXES.T, np.eye(3))
    assert np.linalg.det(CUBIC_AXES) == pytest.approx(1.0)
    crystal, made = system(Dressing("octahedron", aligned=True))
    kinds, places = beads(made, crystal.n)
    cell = 10 * np.diag(crystal.cell.vectors_nm)
    for one, where in zip(kinds, places, strict=True):
        arms = where - where[one == 1]
        arms = (arms - np.round(arms / cell) * cell)[one == 2]
        top = arms[arms[:, 2] > arms[:, 2].max() - 0.01]
        assert len(top) == pytest.approx(len(arms) / 8, abs=4)
    # The three neighbours above lie along ⟨110⟩ of the cores: that of fcc, not of its mirror image.
    body = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]]) / np.sqrt(2)
    above = body @ CUBIC_AXES.T
    assert above[:, 2] == pytest.approx(np.full(3, np.sqrt(2 / 3)))
    assert sorted(above[:, 1].round(4)) == pytest.approx([-0.2887, -0.2887, 0.5774], abs=1e-3)


def test_random_cores_are_turned_each_by_itself():
    crystal, made = system(Dressing("cube"))
    references = made.core_positions_angstrom
    assert np.linalg.norm(references[0] - references[1], axis=1).mean() > 5
    assert np.linalg.norm(references, axis=2).max() < 10 * Dressing("cube").circumradius(2.0) + 2.5
    assert crystal.n == len(references)


def test_unknown_shapes_and_coverages_are_refused():
    with pytest.raises(InputError, match="available: sphere, cube"):
        Dressing("pyramid")
    with pytest.raises(InputError, match="a coverage is positive"):
        Dressing(coverage_per_nm2=-1.0)
