"""Labels with probabilities, and order over time."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from conftest import PAPER, displaced
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import icosahedron
from simsc.classify.environment import unstrained
from simsc.classify.labels import Labels, label_layers, label_thermal
from simsc.classify.neighbours import nearest_neighbours
from simsc.classify.network import load_network
from simsc.classify.over_time import (
    averaged,
    averages,
    change_frames,
    fractions,
    frame_order,
    healing_time_ns,
    order_over_time,
    transitions,
)
from simsc.classify.stacking import stacking_sequence
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.stacking import layer_kinds, same_stacking
from simsc.core.superlattice import Frame, Superlattice

HCP, FCC = 1, 0


def found(superlattice: Superlattice, label=label_thermal) -> dict[str, int]:
    return {name: n for name, n in label(superlattice).counts.items() if n}


# Numbers of sites, by geometry: edges, faces and corners of the 20 tetrahedra of fcc that make an icosahedron.
@pytest.mark.parametrize("order", [2, 3, 4, 6])
def test_classes_of_mackay_icosahedra(order):
    inner = order - 1
    surface = 10 * order**2 + 2
    hcp = 30 * inner * (inner - 1) // 2
    fcc = 20 * inner * (inner - 1) * (inner - 2) // 6
    expected = {"fcc": fcc, "hcp": hcp, "icosahedral": 1, "five-fold": 12 * inner, "surface": surface}
    assert sum(expected.values()) == icosahedron(order, 1.0).n
    assert found(icosahedron(order, 6.2)) == {name: n for name, n in expected.items() if n}


def test_the_fraction_of_fcc_leaves_out_what_is_not_close_packed():
    names = np.array(["fcc", "fcc", "fcc", "hcp", "surface", "other"])
    classes = ("fcc", "hcp", "surface", "other")
    unknown = np.full((6, 4), np.nan)
    assert Labels(classes, names, unknown).fcc_fraction == 0.75
    assert np.isnan(Labels(classes, names[4:], unknown[4:]).fcc_fraction)


def test_classes_of_anti_mackay_icosahedra():
    """Outside of the faces of the core layers go on as hcp; axes and wedges remain what they are."""
    core, whole = label_thermal(icosahedron(4, 6.2)), label_thermal(icosahedron(4, 6.2, layers=2))
    inside = np.flatnonzero(core.labels != "surface")
    assert (whole.labels[inside] == core.labels[inside]).mean() > 0.99


# Lapkin et al., DOI 10.1021/acsnano.5c16138, Table 1: nm and degrees of the primitive cells.
TABLE_1 = [
    (16.8, 17.0, 17.8, 58.7, 60.8, 68.5),
    (17.1, 17.4, 17.8, 57.0, 63.5, 60.9),
    (18.2, 16.9, 17.0, 61.3, 58.1, 61.3),
    (18.0, 16.8, 16.9, 61.5, 58.4, 61.6),
]


@pytest.mark.parametrize("parameters", TABLE_1)
def test_the_strained_cells_of_pillars_are_fcc(parameters, rng):
    """They are up to 11 % longer one way and shorter another than fcc; NPs vibrate by 5 %."""
    from ase.geometry import cellpar_to_cell

    vectors = cellpar_to_cell(parameters)
    pillar = Superlattice(np.zeros((1, 3)), cell=Cell(vectors)).replicate((8, 8, 8))
    shaken = displaced(pillar, 0.05 * 17, rng)
    assert (label_thermal(shaken).labels == "fcc").mean() > 0.995


def test_strain_is_taken_out_whatever_the_stacking(rng):
    built = close_packed(PAPER, 6.2)
    deformation = np.diag([1.08, 0.95, 1 / (1.08 * 0.95)]) + 0.01 * rng.normal(size=(3, 3))
    strained = Superlattice(built.positions_nm @ deformation, cell=Cell(built.cell.vectors_nm @ deformation))
    lengths = nearest_neighbours(unstrained(strained)).distances_nm
    assert np.ptp(nearest_neighbours(strained).distances_nm) > 0.7
    assert np.ptp(lengths) < 0.25
    assert unstrained(strained).cell.volume_nm3 == pytest.approx(strained.cell.volume_nm3)
    # Bcc is fcc strained by 17 %: it must not become so.
    corners = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)
    bcc = Superlattice(np.concatenate([corners, corners + 0.5]) * 7.1, cell=Cell(4 * 7.1 * np.eye(3)))
    moved = displaced(bcc, 0.3, rng)
    assert np.allclose(unstrained(moved).cell.vectors_nm, bcc.cell.vectors_nm, rtol=0.02, atol=0.6)


def test_bcc_and_gas_are_neither(rng):
    corners = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    bcc = Superlattice(np.concatenate([corners, corners + 0.5]) * 7.1, cell=Cell(6 * 7.1 * np.eye(3)))
    assert found(displaced(bcc, 0.2, rng)) == {"bcc": 432}
    gas = Superlattice(rng.uniform(0, 60, (500, 3)), cell=Cell(60 * np.eye(3)))
    assert label_thermal(gas).counts["other"] > 450


def test_labels_do_not_see_turns_numbering_and_replication(rng):
    cell = displaced(close_packed(PAPER, 6.2), 0.5, rng)
    one = label_thermal(cell).probabilities
    assert np.allclose(one.sum(axis=1), 1)
    assert np.allclose(label_thermal(cell.replicate([3, 2, 1])).probabilities, np.tile(one, (6, 1)), atol=2e-3)
    turn, shuffle = Rotation.random(rng=1).as_matrix(), rng.permutation(24)
    turned = Superlattice((cell.positions_nm @ turn)[shuffle], cell=Cell(cell.cell.vectors_nm @ turn))
    assert np.allclose(label_thermal(turned).probabilities, one[shuffle], atol=2e-3)


@pytest.mark.parametrize("label", [label_thermal, label_layers])
@pytest.mark.parametrize(("stacking", "fcc"), [(PAPER, 12), ("ABCABCACBACB", 20)])
def test_numbers_of_fcc_are_unbiased_in_hot_cells(stacking, fcc, label):
    counts = [
        label(displaced(close_packed(stacking, 6.2), 0.08 * 6.2, np.random.default_rng(seed))).counts["fcc"]
        for seed in range(40)
    ]
    assert abs(np.mean(counts) - fcc) < 0.5


def test_probabilities_say_how_often_a_label_is_right():
    certain, right = [], []
    for seed in range(12):
        rng = np.random.default_rng([7, seed])
        truth = np.repeat(["fcc" if kind == "c" else "hcp" for kind in layer_kinds(PAPER)], 8)
        labels = label_thermal(displaced(close_packed(PAPER, 6.2, (2, 2)), rng.uniform(0.08, 0.13) * 6.2, rng))
        certain.extend(labels.probability)
        right.extend(labels.labels == truth)
    certain, right = np.array(certain), np.array(right)
    assert 0.75 < right.mean() < 0.99
    assert abs(certain.mean() - right.mean()) < 0.04


def test_layers_speak_where_single_nps_cannot(rng):
    crystal = displaced(close_packed(PAPER, 6.2, (3, 2)), 0.11 * 6.2, rng)
    truth = np.repeat(["fcc" if kind == "c" else "hcp" for kind in layer_kinds(PAPER)], 12)
    assert (label_layers(crystal).labels == truth).all()
    assert (label_thermal(crystal).labels == truth).mean() < 1
    ball = close_packed("ABCABACBCACB", 16.0, (14, 8)).largest_ball()
    counts = label_layers(ball).counts
    assert counts["other"] == 0
    assert counts["surface"] > 100
    liquid = Superlattice(rng.uniform(0, 40, (200, 3)), cell=Cell(40 * np.eye(3)))
    assert found(liquid, label_layers) == {"other": 200}


def test_steps_have_probabilities(rng):
    sharp = stacking_sequence(close_packed(PAPER, 6.2))
    assert np.allclose(sharp.probability, 1)
    assert np.allclose(sharp.kind_probability, 1)
    blurred = [
        stacking_sequence(displaced(close_packed(PAPER, 6.2), 0.1 * 6.2, np.random.default_rng(seed)))
        for seed in range(30)
    ]
    read = [found for found in blurred if found is not None]
    right = [same_stacking(found.sequence, PAPER) for found in read]
    assert len(read) > 20
    assert abs(np.mean([found.probability.prod() for found in read]) - np.mean(right)) < 0.15
    assert all((found.probability >= 0.5).all() for found in read)
    ball = stacking_sequence(close_packed("ABCABC", 16.0, (9, 5)).largest_ball())
    assert np.isnan(ball.kind_probability[[0, -1]]).all()


def test_a_layer_on_top_of_its_like_is_no_stacking():
    built = close_packed("ABCABC", 6.2, (3, 2))
    shifted = built.positions_nm.copy()
    shifted[24:, :2] -= built.positions_nm[24, :2] - built.positions_nm[12, :2]
    assert stacking_sequence(Superlattice(shifted, cell=built.cell)) is None


def test_averaging_follows_drift_and_breathing(rng):
    built = close_packed(PAPER, 6.2)
    breath = 1 + 0.02 * np.sin(np.arange(20.0))
    cells = breath[:, None, None] * built.cell.vectors_nm
    drift = np.arange(20.0)[:, None, None] * np.array([3.0, -1.0, 4.0])
    still = breath[:, None, None] * built.positions_nm
    noise = rng.normal(scale=0.6, size=still.shape)
    mean = averaged([Superlattice(x, cell=Cell(c)) for x, c in zip(still + drift + noise, cells, strict=True)])
    assert np.allclose(mean.cell.vectors_nm, breath.mean() * built.cell.vectors_nm)
    moved = mean.positions_nm - breath.mean() * built.positions_nm
    assert (moved - moved.mean(axis=0)).std() == pytest.approx(0.6 / np.sqrt(20), rel=0.2)
    assert found(mean) == {"fcc": 12, "hcp": 12}


def test_averaging_sees_through_a_flip_of_the_box():
    built = close_packed(PAPER, 6.2)
    flipped = built.cell.vectors_nm.copy()
    flipped[2] += flipped[0] - flipped[1]
    mean = averaged([Superlattice(built.positions_nm, cell=Cell(c)) for c in (built.cell.vectors_nm, flipped, flipped)])
    assert np.allclose(mean.positions_nm, built.positions_nm)
    assert np.allclose(mean.cell.vectors_nm, built.cell.vectors_nm)


def numbered(phases: str) -> list[Frame]:
    """Frames of which the cell tells their number."""
    return [Frame(Superlattice([[0, 0, 0]], cell=Cell((1 + 0.01 * k) * np.eye(3))), k, p) for k, p in enumerate(phases)]


@pytest.mark.parametrize(
    ("phases", "n", "windows"),
    [
        ("aaaabbc", 3, ["012", "012", "123", "123", "45", "45", "6"]),
        ("aaaaaa", 4, ["0123", "0123", "0123", "1234", "2345", "2345"]),
        ("aaa", 1, ["0", "1", "2"]),
        ("aaa", 9, ["012", "012", "012"]),
        ("ab", 2, ["0", "1"]),
    ],
)
def test_windows_of_averages_stay_within_a_phase(phases, n, windows):
    found = list(averages(iter(numbered(phases)), n))
    assert [(frame.time_ns, frame.phase) for frame in found] == list(enumerate(phases))
    means = [100 * (frame.superlattice.cell.vectors_nm[0, 0] - 1) for frame in found]
    assert means == pytest.approx([np.mean([int(k) for k in window]) for window in windows])


def test_averages_read_no_further_than_needed():
    read = []

    def frames():
        for frame in numbered("a" * 100):
            read.append(frame)
            yield frame

    means = averages(frames(), 5)
    for k in range(50):
        next(means)
        assert len(read) == max(5, k + 3)


def test_changes_are_found_when_they_happen(rng):
    """Of 30 NPs 20 change at known frames; labels are wrong in a tenth of the frames."""
    truth = np.full((200, 30), HCP)
    when = np.sort(rng.integers(20, 180, 20))
    for k, frame in enumerate(when):
        truth[frame:, k] = FCC
    seen = np.where(rng.random(truth.shape) < 0.1, 1 - truth, truth)
    probabilities = np.full((200, 30, 3), 0.0)
    np.put_along_axis(probabilities, seen[:, :, None], 0.9, axis=2)
    np.put_along_axis(probabilities, 1 - seen[:, :, None], 0.1, axis=2)
    changes = change_frames(probabilities, HCP, FCC)
    assert (changes[20:] == -1).all()
    assert np.abs(changes[:20] - when).max() <= 4
    assert (change_frames(probabilities, FCC, HCP) == -1).all()
    time_ns = 0.5 * np.arange(200)
    median, low, high = healing_time_ns(time_ns, changes)
    assert low <= median <= high
    assert median == pytest.approx(np.median(time_ns[when]), abs=2)
    assert np.isnan(healing_time_ns(time_ns, changes[20:])).all()
    moved = transitions(np.eye(3)[truth[0]], np.eye(3)[truth[-1]])
    assert moved.tolist() == [[0, 0, 0], [20, 10, 0], [0, 0, 0]]
    mean, error = fractions(probabilities)
    assert mean[0].sum() == pytest.approx(1)
    assert error[0, 0] == pytest.approx(np.sqrt(0.1 * 0.9 / 30))


def test_a_short_or_constant_trajectory_has_no_change():
    for frames in (1, 2):
        assert (change_frames(np.full((frames, 4, 2), 0.5), 1, 0) == -1).all()


def test_frames_in_other_processes_give_the_same():
    frames = [displaced(close_packed(PAPER, 6.2), 0.3, np.random.default_rng(seed)) for seed in range(3)]
    here = list(order_over_time(frames))
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        there = list(order_over_time((frame for frame in frames), "thermal", executor))
    for one, other in zip(here, there, strict=True):
        assert (one.labels.probabilities == other.labels.probabilities).all()
        assert one.stacking.sequence == other.stacking.sequence
    with pytest.raises(InputError, match="available: thermal, paper, layers"):
        frame_order(frames[0], "best")


def test_frames_are_read_only_as_far_as_needed():
    read = []

    def frames():
        for seed in range(1000):
            read.append(seed)
            yield close_packed("ABC", 6.2)

    next(order_over_time(frames(), "paper"))
    assert len(read) == 1


def test_the_network_knows_what_it_was_trained_for():
    network = load_network()
    assert network.classes == ("fcc", "hcp", "icosahedral", "five-fold", "bcc", "surface", "other")
    assert len(network.mean) == network.shells.n_features
