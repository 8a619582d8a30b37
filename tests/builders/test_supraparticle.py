"""Balls, polyhedra, icosahedra and decahedra: counts in closed form, ASE's clusters, and what they are made of."""

import numpy as np
import pytest
from ase.cluster import Decahedron, Octahedron
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from simsc.builders.close_packed import close_packed, random_stacking, twinned_stacking
from simsc.builders.contacts import contacts, relax_contacts
from simsc.builders.defects import with_displacements, with_vacancies
from simsc.builders.finite_crystal import with_lognormal_radii, with_normal_radii
from simsc.builders.supraparticle import (
    ball,
    decahedron,
    icosahedron,
    layers_of_ball,
)
from simsc.classify.labels import label_thermal
from simsc.classify.stacking import stacking_sequence
from simsc.core.errors import InputError, SimscWarning
from simsc.core.stacking import canonical, layer_kinds, stacking_faults
from simsc.core.superlattice import Superlattice


def crystal_about(sequence: str, centre: np.ndarray, across: int = 24) -> np.ndarray:
    """Return a wide crystal from the periodic builder, about a point relative to a site of its middle layer."""
    crystal = close_packed(sequence, 1.0, (across, across // 2 + 1)).positions_nm
    layer = np.round(crystal[:, 2] / np.sqrt(2 / 3)).astype(int) == len(sequence) // 2
    middle = crystal[layer]
    site = middle[np.linalg.norm(middle - crystal.mean(axis=0), axis=1).argmin()]
    return crystal - site - centre


def same_points(one: np.ndarray, other: np.ndarray, tolerance: float = 1e-9) -> bool:
    return len(one) == len(other) and cKDTree(one).query(other)[0].max() < tolerance


def is_icosahedral(positions: np.ndarray, one: np.ndarray, tolerance: float) -> bool:
    """Tell whether the 60 rotations of an icosahedron, with either choice of its axes, take one NP to others."""
    found = []
    for axes in ([0, 1, 2], [1, 0, 2]):
        images = Rotation.create_group("I").apply(np.array(one[axes]))
        found.append(cKDTree(positions[:, axes]).query(images)[0].max())
    return min(found) < tolerance


# Numbers of fcc sites within a distance: sums of the theta series of the lattice (OEIS A004015) and of its holes.
@pytest.mark.parametrize(
    ("centre", "shells"),
    [
        ("site", [(0, 1), (2, 12), (4, 6), (6, 24), (8, 12), (10, 24), (12, 8), (14, 48), (16, 6), (18, 36)]),
        ("octahedral", [(1, 6), (3, 8), (5, 24), (9, 30), (11, 24), (13, 24), (17, 48), (19, 24)]),
        ("tetrahedral", [(3 / 4, 4), (11 / 4, 12), (19 / 4, 12), (27 / 4, 16), (35 / 4, 24), (43 / 4, 12)]),
    ],
)
def test_shells_of_fcc(centre, shells):
    """Squared distances in units of (a / 2)², d² = 2: the NPs in a ball whose surface they touch belong to it."""
    total = 0
    for square, number in shells:
        total += number
        diameter = 2 * 16.0 * np.sqrt(square / 2)
        if diameter == 0:
            continue
        assert ball("fcc", 16.0, diameter_nm=diameter, centre=centre).n == total
        found = ball("fcc", 16.0, n=total, centre=centre).positions_nm
        assert np.linalg.norm(found, axis=1).max() == pytest.approx(diameter / 2)


@pytest.mark.parametrize(("stacking", "shells"), [("hcp", [1, 13, 19, 21, 39, 51, 57]), ("ABAC", [1, 13, 19])])
def test_shells_of_hcp(stacking, shells):
    """At distances d, √2 d, √(8/3) d, √3 d, √(11/3) d, 2 d; the middle layer of ABAC is hcp-like."""
    squares = [0, 1, 2, 8 / 3, 3, 11 / 3, 4]
    for square, number in list(zip(squares, shells, strict=False))[1:]:
        assert ball(stacking, 1.0, diameter_nm=2 * np.sqrt(square)).n == number


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([1, -1]), min_size=9, max_size=9),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.integers(1, 150),
)
def test_balls_are_the_nearest_sites_of_the_periodic_crystal(steps, centre, n):
    sequence = "".join(
        "ABC"[k % 3] for k in np.cumsum(3 * steps)
    )  # three times any steps lead back to where they began
    expected = crystal_about(sequence, np.array(centre))
    found = ball(sequence, 2.0, n=n, centre=tuple(2.0 * np.array(centre))).positions_nm / 2.0
    radius = np.linalg.norm(found, axis=1).max()
    distance = np.linalg.norm(expected, axis=1)
    assert len(found) == n
    assert (distance < radius - 1e-6).sum() <= n <= (distance < radius + 1e-6).sum()
    assert cKDTree(expected).query(found)[0].max() < 1e-9
    assert len(np.unique(np.round(found, 6), axis=0)) == n


@pytest.mark.parametrize("shape", ["sphere", "truncated_octahedron", {"111": 1.0, "100": 1.4, "110": 1.05}])
def test_fewer_nps_are_the_first_of_more(shape):
    many = ball("fcc", 16.0, n=3000, shape=shape, centre="octahedral").positions_nm
    few = ball("fcc", 16.0, n=1234, shape=shape, centre="octahedral").positions_nm
    assert np.allclose(few, many[:1234], atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "centre", "length", "cutoff"),
    [
        ("octahedron", "site", 7, 0),
        ("octahedron", "octahedral", 8, 0),
        ("truncated_octahedron", "site", 7, 2),
        ("truncated_octahedron", "octahedral", 10, 3),
        ("truncated_octahedron", "site", 13, 4),
        ("cuboctahedron", "site", 9, 4),
        ("cuboctahedron", "site", 13, 6),
    ],
)
@pytest.mark.parametrize("stacking", ["fcc", "ACB"])
def test_polyhedra_of_fcc(shape, centre, length, cutoff, stacking):
    """The same NPs as of ASE's truncated octahedron, whose cubic axes are x, y and z."""
    oracle = Octahedron("Au", length, cutoff, latticeconstant=np.sqrt(2)).positions
    found = ball(stacking, 1.0, n=len(oracle), shape=shape, centre=centre).positions_nm
    cubic = np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])
    turned = found @ cubic if stacking == "fcc" else found @ np.diag([-1.0, -1.0, 1.0]) @ cubic
    assert same_points(turned, oracle - oracle.mean(axis=0))


def test_a_polyhedron_has_the_volume_of_its_sphere():
    for shape in ("octahedron", "cuboctahedron", {"111": 1.0, "100": 1.1}):
        expected = 4 / 3 * np.pi * 20.0**3 * np.sqrt(2)
        assert ball("fcc", 1.0, diameter_nm=40.0, shape=shape).n == pytest.approx(expected, rel=0.06)


def test_stacking_is_read_back(rng):
    for alpha in (0.3, 0.6):
        layers = layers_of_ball(16.0, diameter_nm=180.0)
        sequence = random_stacking(layers, alpha, rng)
        found = stacking_sequence(ball(sequence, 16.0, diameter_nm=180.0))
        lost = (layers - len(found.sequence)) / 2
        assert lost <= 3
        expected = [sequence[k : k + len(found.sequence)] for k in range(layers - len(found.sequence) + 1)]
        assert canonical(found.sequence, periodic=False) in {canonical(part, periodic=False) for part in expected}


@pytest.mark.parametrize("twins", [[7], [5, 9], [4, 5], [3, 5]])
def test_twins_are_read_back(twins):
    sequence = twinned_stacking(15, twins)
    assert [k for k, kind in enumerate(layer_kinds(sequence, periodic=False)) if kind == "h"] == twins
    found = stacking_sequence(ball(sequence, 16.0, diameter_nm=2 * 16.0 * 7.01 * np.sqrt(2 / 3)))
    kinds = [fault.kind for fault in stacking_faults(sequence, periodic=False)]
    assert [fault.kind for fault in stacking_faults(found.sequence, periodic=False)] == kinds
    assert kinds == {7: ["twin"], 5: ["twin", "twin"], 4: ["intrinsic"], 3: ["extrinsic"]}[twins[0]]


def test_labels_inside_follow_the_layers(rng):
    sequence = random_stacking(layers_of_ball(16.0, n=4000), 0.6, rng)
    built = ball(sequence, 16.0, n=4000)
    layer = np.round(built.positions_nm[:, 2] / 16.0 / np.sqrt(2 / 3)).astype(int) + len(sequence) // 2
    truth = np.array(["fcc" if kind == "c" else "hcp" for kind in layer_kinds(sequence, periodic=False)])[layer]
    radius = np.linalg.norm(built.positions_nm, axis=1)
    inside = radius < radius.max() - 1.5 * 16.0
    assert inside.sum() > 1000
    assert (label_thermal(built).labels[inside] == truth[inside]).all()


def test_statistics_of_random_stacking():
    """Layers are fcc-like independently with α, and senses of steps k layers apart correlate as (2α − 1)^k."""
    rng = np.random.default_rng(3)
    for alpha in (0.2, 0.5, 0.9):
        sequence = random_stacking(200_000, alpha, rng)
        numbers = np.array(["ABC".index(letter) for letter in sequence])
        steps = np.where((np.diff(numbers) % 3) == 1, 1, -1)
        for k in (1, 2, 5):
            assert np.mean(steps[k:] * steps[:-k]) == pytest.approx((2 * alpha - 1) ** k, abs=0.015)
        alike = (steps[1:] == steps[:-1]).astype(int)
        pairs = np.bincount(2 * alike[0:-1:2] + alike[1::2], minlength=4)
        expected = np.outer([1 - alpha, alpha], [1 - alpha, alpha]).ravel() * pairs.sum()
        assert ((pairs - expected) ** 2 / expected).sum() < chi2.ppf(0.9999, 3)
    first = [random_stacking(2, 0.5, rng)[1] for _ in range(1000)]
    assert abs(first.count("B") - 500) < 80
    assert random_stacking(50, 0.5, np.random.default_rng(1)) == random_stacking(50, 0.5, np.random.default_rng(1))
    for alpha, kind in ((0.0, "h"), (1.0, "c")):
        assert set(layer_kinds(random_stacking(20, alpha, rng), periodic=False)[1:-1]) == {kind}


def open_stacking(layers: int) -> str:
    """Return a stacking that ends as it begins, so that it cannot repeat; fcc where that is possible."""
    backwards = 2 * (layers - 1) % 3  # so many steps of −1 make the sum of all a multiple of 3
    return twinned_stacking(layers, [layers - 1 - backwards] if backwards else [])


@pytest.mark.parametrize("shape", ["sphere", "octahedron", {"111": 1.0, "100": 9.0, "110": 1.2}])
@pytest.mark.parametrize("centre", ["site", "octahedral", "tetrahedral"])
def test_layers_of_ball_are_enough_and_hold_any_number(shape, centre):
    open_ones = 0
    for n in (*range(1, 60), 500, 2000):
        layers = layers_of_ball(16.0, n=n, shape=shape)
        stacking = open_stacking(layers)
        if shape != "sphere" and "h" in layer_kinds(stacking, periodic=False):
            continue  # a twin has no cubic facets
        assert stacking[0] == stacking[-1]
        assert ball(stacking, 16.0, n=n, shape=shape, centre=centre).n == n
        open_ones += 1
    assert open_ones > 5
    if shape == "sphere":
        for diameter_nm in (40.0, 150.0, 300.0):
            stacking = open_stacking(layers_of_ball(16.0, diameter_nm=diameter_nm))
            assert ball(stacking, 16.0, diameter_nm=diameter_nm, centre=centre).n > 3


def test_a_stacking_that_is_too_short_and_cannot_repeat_is_refused():
    with pytest.raises(InputError, match=r"4 layers.*too short: 13 are needed"):
        ball("ABCA", 16.0, diameter_nm=2 * 16.0 * 5.0)
    assert ball("ABCAB" + "CABCA" * 3, 16.0, n=300).n == 300  # ends with A as it begins, but is long enough


# (order, anti-Mackay layers, radius of the ball) → NPs, from an independent construction of the tetrahedra.
@pytest.mark.parametrize(
    ("order", "radius", "n"), [(3, 2.61, 135), (5, 5.04, 801), (7, 7.48, 2455), (10, 12.31, 10115)]
)
def test_anti_mackay_balls(order, radius, n):
    built = icosahedron(order, 16.2, order, diameter_nm=2 * radius * 16.2)
    assert built.n == n
    assert cKDTree(built.positions_nm).query(built.positions_nm, 2)[0][:, 1].min() == pytest.approx(16.2)
    assert is_icosahedral(built.positions_nm, built.positions_nm[-1], 1e-6)


@pytest.mark.parametrize(("order", "layers"), [(2, 1), (4, 4), (6, 3), (9, 9)])
def test_layers_of_anti_mackay_icosahedra(order, layers):
    mackay = (10 * order**3 + 15 * order**2 + 11 * order + 3) // 3
    assert icosahedron(order, 1.0).n == mackay
    added = 0
    for j in range(1, layers + 1):
        p = order + 1 - j
        added += 20 * p * (p + 1) // 2 + 30 * p * (j - 1) + 12 * (1 + 5 * j * (j - 1) // 2)
    assert icosahedron(order, 1.0, layers).n == mackay + added


@pytest.mark.parametrize(
    ("across", "along", "notch"),
    [(1, 1, 0), (2, 1, 0), (5, 1, 0), (1, 5, 0), (4, 3, 0), (1, 1, 1), (2, 2, 1), (5, 1, 3)],
)
def test_decahedra_are_those_of_ase(across, along, notch):
    oracle = Decahedron("Au", across, along, notch, latticeconstant=np.sqrt(2)).positions
    found = Rotation.from_euler("z", 90, degrees=True).apply(decahedron(across, along, 6.2, notch).positions_nm / 6.2)
    assert same_points(found, oracle)


def test_classes_of_a_decahedron():
    """Inner NPs on the axis are five-fold, on the twin planes hcp, else fcc."""
    built = decahedron(6, 6, 16.0)
    labels = label_thermal(built).labels
    x, y, _ = built.positions_nm.T / 16.0
    radius, azimuth = np.hypot(x, y), np.degrees(np.arctan2(y, x)) % 72
    inside = labels != "surface"
    axis, twin = radius < 1e-6, np.minimum(azimuth, 72 - azimuth) < 1e-3
    assert (labels[inside & axis] == "five-fold").all()
    assert (labels[inside & twin & ~axis] == "hcp").all()
    assert (labels[inside & ~twin] == "fcc").all()
    assert inside.sum() > 200


@pytest.mark.parametrize("hardness", [1.0, 4.0, 20.0])
@pytest.mark.parametrize(
    "built",
    [icosahedron(6, 16.0), icosahedron(5, 16.0, 5, 10.08 * 16), decahedron(4, 4, 16.0, 1)],
    ids=["M", "aM", "D"],
)
def test_relaxation_cuts_the_spread(built, hardness):
    relaxed = relax_contacts(built, 16.0, hardness)
    assert relaxed.converged
    positions = relaxed.superlattice.positions_nm
    after = np.linalg.norm(positions[relaxed.pairs[:, 0]] - positions[relaxed.pairs[:, 1]], axis=1)
    assert np.allclose(relaxed.after_nm, after)
    assert after.std() < 0.9 * relaxed.before_nm.std()
    assert np.square(after - 16.0).mean() < 0.7 * np.square(relaxed.before_nm - 16.0).mean()
    assert np.allclose(contacts(built, 16.0)[1], relaxed.before_nm)
    assert np.allclose(positions.mean(axis=0), built.positions_nm.mean(axis=0), atol=1e-6)
    # Forces balance on every NP.
    stretch = relaxed.after_nm / 16.0 - 1
    tension = np.where(stretch < 0, hardness, 1.0) * stretch
    unit = (positions[relaxed.pairs[:, 0]] - positions[relaxed.pairs[:, 1]]) / relaxed.after_nm[:, None]
    force = np.zeros_like(positions)
    np.add.at(force, relaxed.pairs[:, 0], tension[:, None] * unit)
    np.add.at(force, relaxed.pairs[:, 1], -tension[:, None] * unit)
    assert np.abs(force).max() < 1.1e-4


def test_relaxation_keeps_symmetry_and_perfect_crystals():
    relaxed = relax_contacts(icosahedron(5, 16.0), 16.0).superlattice.positions_nm
    assert is_icosahedral(relaxed, relaxed[100], 0.05)
    perfect = ball("fcc", 16.0, n=500)
    assert np.allclose(relax_contacts(perfect, 16.0).superlattice.positions_nm, perfect.positions_nm)


def test_overlapping_cores_are_told():
    built = icosahedron(5, 16.2, 5, 10.08 * 16.2, radius_nm=7.6)
    with pytest.warns(SimscWarning, match="a larger hardness keeps them apart") as told:
        after_nm = relax_contacts(built, 16.2).after_nm
    assert f"cores of {(after_nm < 2 * 7.6).sum()} of {len(after_nm)} contacts overlap" in str(told[0].message)
    assert relax_contacts(built, 16.2, hardness=50.0).after_nm.min() > 2 * 7.6


def test_softer_relaxation_is_the_least_square_deviation(rng):
    """Any other way of moving the NPs leaves a larger mean square deviation from d_NN."""
    relaxed = relax_contacts(icosahedron(3, 1.0), 1.0, hardness=1.0)
    least = np.square(relaxed.after_nm - 1).sum()
    for _ in range(20):
        moved = relaxed.superlattice.positions_nm + rng.normal(scale=0.01, size=(relaxed.superlattice.n, 3))
        length = np.linalg.norm(moved[relaxed.pairs[:, 0]] - moved[relaxed.pairs[:, 1]], axis=1)
        assert np.square(length - 1).sum() > least


def test_defects(rng):
    built = ball("fcc", 16.0, n=20_000, radius_nm=7.4)
    some = with_vacancies(built, 0.1, rng)
    assert some.n == 18_000
    assert len(some.radii_nm) == 18_000
    assert cKDTree(built.positions_nm).query(some.positions_nm)[0].max() == 0
    lost = np.setdiff1d(np.arange(20_000), cKDTree(built.positions_nm).query(some.positions_nm)[1])
    inner = np.linalg.norm(built.positions_nm[lost], axis=1) < np.median(np.linalg.norm(built.positions_nm, axis=1))
    assert inner.mean() == pytest.approx(0.5, abs=0.06)  # anywhere, not at the surface
    moved = with_displacements(built, 0.5, rng).positions_nm - built.positions_nm
    assert moved.std(axis=0) == pytest.approx([0.5] * 3, rel=0.03)
    assert np.abs(moved.mean(axis=0)).max() < 0.02
    periodic = close_packed("ABC", 16.0, (4, 2))
    assert with_vacancies(periodic, 0.5, rng).cell is periodic.cell
    assert np.array_equal(with_vacancies(built, 0.0, rng).positions_nm, built.positions_nm)


@pytest.mark.parametrize("std", [0.0, 0.8, 3.0])
def test_lognormal_radii_have_their_mean_and_deviation(std, rng):
    radii = with_lognormal_radii(Superlattice(np.zeros((200_000, 3))), 7.4, std, rng).radii_nm
    assert radii.mean() == pytest.approx(7.4, rel=0.005)
    assert radii.std() == pytest.approx(std, rel=0.02)
    logarithms = np.log(radii)
    if std:
        skewness = np.mean((logarithms - logarithms.mean()) ** 3) / logarithms.std() ** 3
        assert abs(skewness) < 0.03


def test_a_million_nps():
    layers = layers_of_ball(16.0, n=1_000_000)
    built = ball(random_stacking(layers, 0.5, np.random.default_rng(1)), 16.0, n=1_000_000)
    assert built.n == 1_000_000
    radius = (3e6 / (4 * np.pi * np.sqrt(2))) ** (1 / 3)
    assert np.linalg.norm(built.positions_nm[-1]) / 16.0 == pytest.approx(radius, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ball("fcc", 16.0), "needs a diameter"),
        (lambda: ball("fcc", 16.0, 100.0, 100), "not both"),
        (lambda: ball("fcc", 16.0, n=0), "at least 1 NP"),
        (lambda: ball("fcc", 16.0, diameter_nm=-1.0), "positive number"),
        (lambda: ball("fcc", 16.0, diameter_nm=float("inf")), "positive number"),
        (lambda: ball("fcc", 16.0, diameter_nm=1e9), "NPs is more than"),
        (lambda: ball("fcc", 0.0, n=10), "nearest-neighbour distance"),
        (lambda: ball("fcc", 16.0, n=10, radius_nm=8.0), "overlap"),
        (lambda: ball("bcc", 16.0, n=10), "'bcc': is random, fcc, hcp, or a letter"),
        (lambda: ball("ABB", 16.0, n=10), "layers 2 and 3 are both B"),
        (lambda: ball("fcc", 16.0, n=10, centre="edge"), "octahedral, tetrahedral"),
        (lambda: ball("fcc", 16.0, n=10, centre=(1.0, 2.0)), "three finite numbers"),
        (lambda: ball("fcc", 16.0, diameter_nm=10.0, centre="octahedral"), "holds no NP"),
        (lambda: ball("hcp", 16.0, n=10, shape="octahedron"), "only an fcc stacking"),
        (lambda: ball("fcc", 16.0, n=10, shape="dodecahedron"), "'dodecahedron' is not known"),
        (lambda: ball("fcc", 16.0, n=10, shape={"111": -1.0}), "positive number"),
        (lambda: random_stacking(1, 0.5, np.random.default_rng(1)), "at least two layers"),
        (lambda: random_stacking(9, 1.5, np.random.default_rng(1)), "0 … 1"),
        (lambda: random_stacking(9, float("nan"), np.random.default_rng(1)), "0 … 1"),
        (lambda: twinned_stacking(9, [0]), "inner layers"),
        (lambda: twinned_stacking(9, [3, 3]), "different"),
        (lambda: decahedron(0, 1, 16.0), "at least 1 NP"),
        (lambda: decahedron(2, 1, 16.0, notch=-1), "notch ≥ 0"),
        (lambda: decahedron(1000, 1, 16.0), "not be above"),
        (lambda: decahedron(1, 2, 16.0, diameter_nm=2.0), "holds no NP"),
        (lambda: icosahedron(0, 16.0), "1 … 200"),
        (lambda: icosahedron(3, 16.0, layers=4), "0 … 3 anti-Mackay"),
        (lambda: relax_contacts(ball("fcc", 16.0, n=13), 16.0, hardness=0.5), "hardness"),
        (lambda: relax_contacts(ball("fcc", 16.0, n=13), 16.0, max_steps=0), "one step"),
        (lambda: relax_contacts(ball("fcc", 16.0, n=13), 1.0), "check the nearest"),
        (lambda: relax_contacts(close_packed("ABC", 16.0), 16.0), "in_free_space"),
        (lambda: relax_contacts(Superlattice(np.zeros((2, 3))), 16.0), "same place"),
        (lambda: with_vacancies(ball("fcc", 16.0, n=13), 1.0, np.random.default_rng(1)), "0 … 1"),
        (lambda: with_vacancies(ball("fcc", 16.0, n=13), 0.99, np.random.default_rng(1)), "leaves none"),
        (lambda: with_displacements(ball("fcc", 16.0, n=13), -0.1, np.random.default_rng(1)), "displacement"),
        (lambda: with_lognormal_radii(ball("fcc", 16.0, n=13), 7.4, 8.0, np.random.default_rng(1)), "0 … radius"),
        (lambda: with_normal_radii(ball("fcc", 16.0, n=13), 7.4, 2.0, np.random.default_rng(1)), "radius / 4"),
    ],
)
def test_bad_input_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
