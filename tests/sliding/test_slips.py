"""Slips of layers, on sequences and NPs that slipped at known times."""

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from simsc.builders.close_packed import close_packed
from simsc.classify.order import write_order
from simsc.classify.over_time import timed_order
from simsc.classify.stacking import stacking_sequence
from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.stacking import closes, hcp_layers, stacking_steps
from simsc.core.superlattice import Frame, Superlattice
from simsc.sliding.history import StackingHistory, read_history, stacking_history
from simsc.sliding.slips import (
    find_slips,
    slip_rate,
    slip_rates,
)

D_NM = 6.2


def slipped(crystal: Superlattice, layers: list[int], sign: int) -> Superlattice:
    """Move some layers of 2 NPs by the step from A to B, or back."""
    positions = crystal.positions_nm.copy()
    for layer in layers:
        positions[2 * layer : 2 * layer + 2, 1] += sign * D_NM / np.sqrt(3)
    return Superlattice(positions, cell=crystal.cell)


def frames_of(crystals: list[Superlattice], rng: np.random.Generator) -> list[Frame]:
    """Vibrating, drifting frames, 0.1 ns apart."""
    found = []
    for k, crystal in enumerate(crystals):
        moved = crystal.positions_nm + rng.normal(scale=0.15, size=(crystal.n, 3)) + 0.9 * k * np.array([0.3, 0.2, 1.0])
        found.append(Frame(Superlattice(moved, cell=crystal.cell), 0.1 * (k + 1), "heat" if k < 12 else "cool"))
    return found


def test_known_slips_of_a_vibrating_drifting_crystal(tmp_path, rng):
    """One layer slips; later all layers above one interface do, and the cell tilts with them."""
    start = close_packed(PAPER, D_NM)
    single = slipped(start, [9], 1)  # A B A B: layer 9, an A between Bs, goes to C
    assert stacking_sequence(single) is not None
    # Layers 4 … 11 go on by one step: the step from 3 to 4 turns, and the cell tilts.
    block = slipped(single, list(range(4, 12)), 1)
    vectors = start.cell.vectors_nm.copy()
    vectors[2, 1] += D_NM / np.sqrt(3)
    block = Superlattice(block.positions_nm, cell=Cell(vectors))
    # Once the layer is half way, and may be read as anything; then it is there, but goes back once more.
    half = Superlattice((start.positions_nm + single.positions_nm) / 2, cell=start.cell)
    crystals = [start] * 5 + [half, single, start] + [single] * 5 + [block] * 5
    write_order(tmp_path, timed_order(frames_of(crystals, rng), "paper"), len(crystals), {"a": 0}, {})
    history = read_history(tmp_path)
    assert history.steps.shape == (18, 12)
    found = find_slips(history)
    assert found is not None
    assert found.lasting
    assert hcp_layers(found.start) == 6
    layer, interface = found.events
    assert (layer.kind, layer.h_before, layer.h_after) == ("layer", 6, hcp_layers(stacking_steps("ABCABCABACAB")))
    assert (round(layer.since_ns, 6), round(layer.time_ns, 6), layer.phase) == (0.8, 0.9, "heat")
    assert interface.kind == "interface"
    assert (round(interface.since_ns, 6), round(interface.time_ns, 6), interface.phase) == (1.3, 1.4, "cool")
    assert sorted(layer.before) == sorted(layer.after) == [-1, 1]
    assert layer.before == tuple(-step for step in layer.after)
    assert interface.before == tuple(-step for step in interface.after)
    # Numbers are those of the layers of the first frame's sequence, which begins with its longest run of fcc.
    first = stacking_sequence(frames_of(crystals, rng)[0].superlattice).layers[::2]
    assert layer.layer == first[9]
    assert {interface.layer, (interface.layer + 1) % 12} == {first[3], first[4]}
    assert closes(found.start)
    assert not closes(found.end)
    assert len(found.sequences[1]) == 36
    rates = slip_rates(found)
    assert rates["heat"]["layer"].slips == 1
    assert rates["heat"]["interface"].slips == 0
    assert rates["cool"]["interface"].exposure_ns == pytest.approx(12 * 0.6)
    # If one frame were enough, the passing return would count.
    assert len(find_slips(history, confirm=1).events) >= 4
    assert len(find_slips(history, confirm=5).events) == 2
    assert find_slips(history, confirm=9) is None


steps_of_12 = st.lists(st.sampled_from([1, -1]), min_size=12, max_size=12).filter(lambda ring: sum(ring) % 3 == 0)


@given(st.lists(steps_of_12, min_size=1, max_size=5), st.data())
def test_the_same_layers_are_followed_whatever_the_sequences_look_like(rings, data):
    """Each frame begins at another layer, runs up or down, with other letters."""
    sequences, layers, expected = [], [], []
    for k, ring in enumerate(rings):
        letters = "".join("ABC"[j % 3] for j in np.cumsum([0, *ring[:-1]]))
        shift = data.draw(st.integers(0, 11)) if k else 0
        mirrored = data.draw(st.booleans()) if k else False
        names = data.draw(st.permutations("ABC"))
        numbers = np.arange(12)
        number = (11 - numbers if mirrored else numbers) - shift
        written = letters[::-1] if mirrored else letters
        sequences.append((written[shift:] + written[:shift]).translate(str.maketrans("ABC", "".join(names))))
        layers.append(np.repeat(number % 12, 2))
        expected.append(np.array(ring) * ring[0])
    history = stacking_history(sequences, layers, np.arange(len(rings)), ["x"] * len(rings))
    assert np.array_equal(history.steps, expected)
    assert history.hcp_layers.tolist() == [hcp_layers(np.array(ring)) for ring in rings]


@given(steps_of_12, st.lists(st.integers(0, 11), max_size=6), st.booleans())
def test_slips_add_up(ring, interfaces, turned):
    """Interfaces slip one after the other: in frames of their own each is found, in its place."""
    rings = [np.array(ring)]
    for k in interfaces:
        after = rings[-1].copy()
        after[k] *= -1
        rings.append(after)
    steps = np.array([x * x[0] for x in rings for _ in range(3)], np.int8)
    found = find_slips(StackingHistory(steps, np.arange(len(steps)) * 1.0, ("x",) * len(steps)))
    assert [(slip.kind, slip.layer) for slip in found.events] == [("interface", k) for k in interfaces]
    assert [slip.time_ns for slip in found.events] == [3.0 * (k + 1) for k in range(len(interfaces))]
    assert [slip.h_after for slip in found.events] == [hcp_layers(x) for x in rings[1:]]
    assert hcp_layers(found.end) == hcp_layers(rings[-1])
    # Seen only before and after, no more slips than that are found, and they lead there.
    ends = find_slips(StackingHistory(steps[[0, 0, 0, -1, -1, -1]], np.arange(6.0), ("x",) * 6))
    assert len(ends.events) <= len(interfaces)
    h = [hcp_layers(rings[0]), *(slip.h_after for slip in ends.events)]
    assert [slip.h_before for slip in ends.events] == h[:-1]
    assert hcp_layers(ends.end) == hcp_layers(rings[-1])


def test_layers_that_mix_are_not_read():
    layers = np.repeat(np.arange(12), 2)
    mixed = layers.copy()
    mixed[[0, 1, 10, 11]] = mixed[[10, 11, 0, 1]]
    history = stacking_history([PAPER, "", PAPER], [layers, layers, mixed], np.arange(3), ["x"] * 3)
    assert history.read.tolist() == [True, False, False]
    assert np.isnan(history.hcp_layers).tolist() == [False, True, True]
    nothing = stacking_history(["", ""], [layers] * 2, np.arange(2), ["x"] * 2)
    assert find_slips(nothing) is None


@pytest.mark.parametrize("slips", [0, 1, 7, 40])
def test_rates_have_the_exact_interval_of_a_poisson_process(slips):
    """At its bounds the observed number, or one beyond, has a probability of 2.5 %."""
    rate = slip_rate(slips, 30.0)
    assert rate.rate_per_ns == slips / 30
    assert poisson.cdf(slips, 30 * rate.high_per_ns) == pytest.approx(0.025, rel=1e-9)
    if slips:
        assert poisson.sf(slips - 1, 30 * rate.low_per_ns) == pytest.approx(0.025, rel=1e-9)
    else:
        assert rate.low_per_ns == 0


def test_what_cannot_be(tmp_path):
    layers = np.repeat(np.arange(12), 2)
    with pytest.raises(InputError, match="finite crystal"):
        stacking_history([PAPER], [np.where(layers == 0, -1, layers)], np.zeros(1), ["x"])
    with pytest.raises(InputError, match="at least one frame"):
        find_slips(stacking_history([PAPER], [layers], np.zeros(1), ["x"]), confirm=0)
    with pytest.raises(InputError, match="no rate"):
        slip_rate(1, 0.0)
    with pytest.raises(InputError, match="no stacking over time"):
        read_history(tmp_path)
    ball = close_packed(PAPER, D_NM, (6, 4)).replicate((1, 1, 1)).largest_ball()
    frames = [Frame(ball, 0.1 * k, "") for k in range(2)]
    write_order(tmp_path, timed_order(frames, "paper"), 2, {"a": 0}, {})
    with pytest.raises(InputError, match="finite crystal"):
        read_history(tmp_path)
