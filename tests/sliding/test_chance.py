"""Statistics of hcp-like layers, against enumerations and random walks that are written out here with letters."""

import itertools
import json
import tomllib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given, settings
from hypothesis import strategies as st

from simsc.core.errors import InputError, SimscWarning
from simsc.core.stacking import closes, hcp_layers, layer_kinds, stacking_steps
from simsc.sliding.chance import (
    NULLS,
    HcpDistribution,
    after_slips,
    control_starts,
    null_distribution,
    p_value,
    reachable,
    remembers_start,
)
from simsc.sliding.energies import fit_energy
from simsc.study.schema import Study, preset_text

HEALED = "ABCABCACBACB"  # of the paper
rings = st.lists(st.sampled_from([1, -1]), min_size=2, max_size=14).map(np.array)


def same_next(ring: tuple[int, ...]) -> int:
    """Number of layers between unlike steps, counted one by one."""
    return sum(ring[k] != ring[k - 1] for k in range(len(ring)))


def slipped_layers(letters: str) -> list[str]:
    """All sequences that one layer of a periodic one makes by moving to the other hollow site."""
    found = []
    for k in range(len(letters)):
        for site in "ABC":
            if site not in (letters[k], letters[k - 1], letters[(k + 1) % len(letters)]):
                found.append(letters[:k] + site + letters[k + 1 :])
    return found


def reached_by_layers(letters: str) -> set[str]:
    """All sequences that single layers reach, slipping one after the other."""
    seen, waiting = {letters}, [letters]
    while waiting:
        for other in slipped_layers(waiting.pop()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def counted(n: int, accept) -> list[Fraction]:
    """P(h), h = 0 … n, over all rings of n signs that are accepted, by going through 2ⁿ of them."""
    counts = Counter(same_next(ring) for ring in itertools.product((1, -1), repeat=n) if accept(ring))
    return [Fraction(counts[h], sum(counts.values())) for h in range(n + 1)]


@pytest.mark.parametrize(
    ("null", "accept", "published"),
    [
        ("free", lambda ring: True, 0.033),
        ("closed", lambda ring: sum(ring) % 3 == 0, 0.028),
        ("single_layer", lambda ring: sum(ring) == 6, 0.055),
    ],
)
def test_the_12_layer_ring_by_enumeration(null, accept, published):
    """The chances of the paper's end, h = 2, that were found while the project was planned."""
    exact = counted(12, accept)
    chance = null_distribution(null, stacking_steps(PAPER))
    assert np.allclose(chance.probabilities(), [float(p) for p in exact], rtol=1e-12, atol=0)
    assert p_value([hcp_layers(stacking_steps(HEALED))], [chance]) == pytest.approx(float(sum(exact[:3])), rel=1e-12)
    assert round(float(sum(exact[:3])), 3) == published


@pytest.mark.parametrize("n", [2, 3, 5, 8, 11])
def test_other_rings_by_enumeration(n):
    for null, accept in (("free", lambda ring: True), ("closed", lambda ring: sum(ring) % 3 == 0)):
        exact = [float(p) for p in counted(n, accept)]
        assert np.allclose(null_distribution(null, np.ones(n, int)).probabilities(), exact, rtol=1e-12)
    for plus in range(n + 1):
        start = np.repeat([1, -1], [plus, n - plus])
        exact = [float(p) for p in counted(n, lambda ring, plus=plus: ring.count(1) == plus)]
        assert np.allclose(null_distribution("single_layer", start).probabilities(), exact, rtol=1e-12)


@pytest.mark.parametrize("epsilon", [-0.7, 0.0, 0.4, 2.0])
def test_24_layers_with_an_energy_by_a_transfer_matrix(epsilon):
    """Partition functions of Ising's ring: traces of powers of 2 × 2 matrices, a phase on each change."""
    n = 24
    phases = 2 * np.pi * np.arange(n + 1) / (n + 1)
    senses = 2 * np.pi * np.arange(2 * n + 1) / (2 * n + 1)

    def weights(phase: float, sense: float) -> complex:
        change = np.exp(1j * phase - epsilon)
        step = np.exp(1j * sense * np.array([1, -1]))
        return np.trace(np.linalg.matrix_power(np.array([[1, change], [change, 1]]) * step, n))

    table = np.array([[weights(phase, sense) for sense in senses] for phase in phases])
    # Fourier back: (n + 1) numbers of changes, (2n + 1) sums of steps.
    joint = np.array([[np.mean(np.exp(-1j * h * phases) @ table * np.exp(-1j * total * senses)) / (n + 1)
                       for total in range(-n, n + 1)] for h in range(n + 1)]).real  # fmt: skip
    totals = np.arange(-n, n + 1)
    for null, chosen in (("free", totals == totals), ("closed", totals % 3 == 0), ("single_layer", totals == 6)):
        expected = joint[:, chosen].sum(axis=1)
        start = np.repeat([1, -1], [15, 9])
        found = null_distribution(null, start).probabilities(epsilon)
        assert np.allclose(found, expected / expected.sum(), atol=1e-10)


@given(rings, st.integers(0, 13), st.booleans(), st.booleans(), st.floats(-2, 2))
def test_turned_mirrored_and_shifted_rings_are_the_same(ring, shift, mirrored, turned, epsilon):
    other = np.roll(ring, shift)[:: -1 if mirrored else 1] * (-1 if turned else 1)
    assert hcp_layers(other) == hcp_layers(ring)
    assert hcp_layers(ring) % 2 == 0
    assert closes(other) == closes(ring)
    for null in NULLS:
        assert reachable(null, ring, other) == (null != "closed" or closes(ring))
        one, two = (null_distribution(null, x).probabilities(epsilon) for x in (ring, other))
        assert np.allclose(one, two, atol=1e-12)


@given(rings.filter(closes), st.integers(1, 3))
def test_replication_multiplies_h(ring, times):
    letters = "".join("ABC"[k % 3] for k in np.concatenate([[0], np.cumsum(ring)[:-1]])) * times
    steps = stacking_steps(letters)
    assert np.array_equal(steps, np.tile(ring, times))
    assert hcp_layers(steps) == times * hcp_layers(ring) == layer_kinds(letters).count("h")


@pytest.mark.parametrize("letters", [PAPER, HEALED, "ABABAB", "ABCABC", "ABACBC", "ABCBABCB"])
def test_single_layers_reach_what_the_null_counts(letters):
    """Letters move one by one; but for a shift of all layers they reach each ring of the null, and no other."""
    reached = reached_by_layers(letters)
    steps = {tuple(int(step) for step in stacking_steps(other)) for other in reached}
    n, start = len(letters), stacking_steps(letters)
    counts = np.bincount([same_next(ring) for ring in steps], minlength=n + 1)
    assert np.allclose(null_distribution("single_layer", start).probabilities(), counts / counts.sum())
    for ring in itertools.product((1, -1), repeat=n):
        assert reachable("single_layer", start, np.array(ring)) == (
            ring in steps or tuple(-step for step in ring) in steps
        )
    # Only hcp-like layers can slip.
    assert len(slipped_layers(letters)) == layer_kinds(letters).count("h")


def test_random_slips_come_to_the_stationary_distribution(rng):
    """A crystal whose layers try to slip at random, in letters: its time average is the null distribution."""
    letters, counts = "ABACBC" + "ABC", Counter()  # 9 layers
    n = len(letters)
    for attempt in range(60_000):
        k = int(rng.integers(n))
        free = set("ABC") - {letters[k - 1], letters[k], letters[(k + 1) % n]}
        if free:
            letters = letters[:k] + free.pop() + letters[k + 1 :]
        if attempt > 200:
            counts[layer_kinds(letters).count("h")] += 1
    found = np.array([counts[h] for h in range(n + 1)]) / counts.total()
    assert np.allclose(found, null_distribution("single_layer", stacking_steps(letters)).probabilities(), atol=0.02)


def test_a_few_slips_from_a_start_by_letters(rng):
    """Random walks in letters: blocks above an interface slip, or single layers do."""
    start, walks = stacking_steps(PAPER), 20_000
    counts = np.zeros(13)
    for _ in range(walks):
        steps = start.copy()
        for k in rng.integers(12, size=4):
            steps[k] *= -1
        counts[same_next(tuple(steps))] += 1
    assert np.allclose(after_slips(start, ["interface"] * 4).probabilities(), counts / walks, atol=0.015)
    # Single layers: attempts by all walkers, the last one by a part of them, until they have slipped twice on average.
    walkers, slips = [PAPER] * walks, 0
    for wanted in (1, 2):
        while slips < wanted * walks - walks / 1000:
            due = np.mean([layer_kinds(letters).count("h") for letters in walkers]) / 12
            part = min(1, (wanted - slips / walks) / due)
            for w in np.flatnonzero(rng.random(walks) < part):
                letters, k = walkers[w], int(rng.integers(12))
                free = set("ABC") - {letters[k - 1], letters[k], letters[(k + 1) % 12]}
                if free:
                    walkers[w] = letters[:k] + free.pop() + letters[k + 1 :]
                    slips += 1
    counts = np.bincount([layer_kinds(letters).count("h") for letters in walkers], minlength=13)
    assert np.allclose(after_slips(start, ["layer"] * 2).probabilities(), counts / walks, atol=0.015)


@pytest.mark.parametrize("kind", ["interface", "layer"])
def test_no_and_many_slips(kind):
    start = stacking_steps(PAPER)
    assert after_slips(start, []).probabilities().argmax() == 6
    assert after_slips(start, []).probabilities()[6] == 1
    many = [after_slips(start, [kind] * k).probabilities() for k in (400, 401)]
    null = {"interface": "free", "layer": "single_layer"}[kind]
    # Each interface that turns changes whether the number of + is even: the mean of an even and an odd number of them.
    assert np.allclose(np.mean(many, axis=0), null_distribution(null, start).probabilities(), atol=1e-6)
    # In fcc no layer can slip.
    fcc = np.ones(12, int)
    assert after_slips(fcc, ["layer"] * 5).probabilities()[0] == 1
    assert after_slips(fcc, ["interface"]).probabilities()[2] == 1


@given(st.lists(st.tuples(rings, st.sampled_from(NULLS)), min_size=1, max_size=4), st.data())
@settings(max_examples=30, deadline=None)
def test_p_value_of_a_set_by_going_through_all_outcomes(runs, data):
    chances = [null_distribution(null, ring) for ring, null in runs]
    h = [data.draw(st.integers(0, len(chance.log_weights) - 1)) for chance in chances]
    expected = 0.0
    for outcome in itertools.product(*(enumerate(chance.probabilities()) for chance in chances)):
        if sum(count for count, _ in outcome) <= sum(h):
            expected += float(np.prod([p for _, p in outcome]))
    assert p_value(h, chances) == pytest.approx(min(1, expected), abs=1e-12)


def boltzmann_rings(rng: np.random.Generator, n: int, accept, epsilon: float, size: int) -> np.ndarray:
    """Draw numbers of hcp-like layers of rings at equilibrium, out of the list of all rings."""
    h = np.array([same_next(ring) for ring in itertools.product((1, -1), repeat=n) if accept(ring)])
    weights = np.exp(-epsilon * h)
    return rng.choice(h, size=size, p=weights / weights.sum())


@pytest.mark.parametrize("epsilon", [-0.3, 0.0, 0.5, 1.0])
def test_interval_of_the_energy_covers_it(epsilon, rng):
    """Ensembles of 8 runs, half of them bound to close, half to single layers: 95 % intervals, ± 4 standard errors."""
    ensembles, covered, estimates = 400, 0, []
    start = stacking_steps(PAPER)
    chances = [null_distribution("closed", start)] * 4 + [null_distribution("single_layer", start)] * 4
    h = np.hstack(
        [
            boltzmann_rings(rng, 12, lambda ring: sum(ring) % 3 == 0, epsilon, (ensembles, 4)),
            boltzmann_rings(rng, 12, lambda ring: sum(ring) == 6, epsilon, (ensembles, 4)),
        ]
    )
    for counts in h:
        fit = fit_energy([int(count) for count in counts], chances)
        covered += fit.low_kT <= epsilon <= fit.high_kT
        estimates.append(fit.epsilon_kT)
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / ensembles) <= covered / ensembles
    assert np.median(estimates) == pytest.approx(epsilon, abs=0.12)


def test_energy_is_where_the_mean_is_that_of_the_runs():
    chance = null_distribution("closed", stacking_steps(PAPER))
    h = [2, 4, 2, 6]
    fit = fit_energy(h, [chance] * 4)
    assert chance.mean(fit.epsilon_kT) == pytest.approx(np.mean(h), abs=1e-6)
    # The likelihood, by brute force over a grid.
    grid = np.linspace(-1, 3, 4001)
    exact = np.array([float(p) for p in counted(12, lambda ring: sum(ring) % 3 == 0)])
    weights = exact * np.exp(-grid[:, None] * np.arange(13))
    logarithms = np.log(weights[:, h] / weights.sum(axis=1, keepdims=True)).sum(axis=1)
    inside = grid[logarithms > logarithms.max() - 3.841459 / 2]
    assert fit.epsilon_kT == pytest.approx(grid[logarithms.argmax()], abs=2e-3)
    assert (fit.low_kT, fit.high_kT) == pytest.approx((inside[0], inside[-1]), abs=2e-3)


def test_energy_without_an_upper_bound_or_any():
    free = null_distribution("free", stacking_steps(PAPER))
    fit = fit_energy([0, 0], [free, free])
    assert fit.epsilon_kT == fit.high_kT == np.inf
    # Where P(0)² is exp(−3.84/2).
    assert free.probabilities(fit.low_kT)[0] ** 2 == pytest.approx(np.exp(-3.841459 / 2), rel=1e-6)
    fit = fit_energy([12], [free])
    assert fit.epsilon_kT == fit.low_kT == -np.inf
    assert np.isfinite(fit.high_kT)
    fcc = null_distribution("single_layer", np.ones(12, int))
    assert np.isnan(fit_energy([0], [fcc]).epsilon_kT)


def test_ends_that_remember_their_starts_are_warned_of():
    chance = null_distribution("closed", stacking_steps(PAPER))
    with pytest.warns(SimscWarning, match="1 of 2 runs had fewer slides than layers"):
        fit_energy([2, 4], [chance] * 2, n_slips=[3, 40])
    fit_energy([2, 4], [chance] * 2, n_slips=[12, 40])
    assert remembers_start(11, 12)
    assert not remembers_start(12, 12)


def test_control_starts():
    starts = control_starts(12, seeds=(1, 2, 3))
    assert list(starts) == ["fcc", "hcp", "twin", "random 1", "random 2", "random 3"]
    assert [layer_kinds(starts[name]).count("h") for name in ("fcc", "hcp", "twin")] == [0, 12, 2]
    assert starts == control_starts(12, seeds=(1, 2, 3))
    assert len(set(starts.values())) == 6
    # Random ones come up like the closed null.
    h = [layer_kinds(control_starts(6, seeds=(seed,))[f"random {seed}"]).count("h") for seed in range(2000)]
    exact = [float(p) for p in counted(6, lambda ring: sum(ring) % 3 == 0)]
    assert np.allclose(np.bincount(h, minlength=7) / 2000, exact, atol=0.05)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: null_distribution("open", np.ones(3)), "available: free, closed, single_layer"),
        (lambda: null_distribution("free", np.array([1, 0, 1])), "each \\+1 or −1"),
        (lambda: after_slips(np.ones(6, int), ["block"]), "available: interface, layer"),
        (lambda: after_slips(np.ones(63, int), []), "at most 62 layers"),
        (lambda: after_slips(np.ones(62, int), ["interface"] * 6), "too many stackings"),
        (lambda: p_value([], []), "at least one run"),
        (lambda: p_value([2], [HcpDistribution(np.zeros(3))] * 2), "one a run"),
        (lambda: fit_energy([3], [null_distribution("free", np.ones(6))]), "3 hcp-like layers are impossible"),
        (lambda: fit_energy([2], [null_distribution("free", np.ones(6))], confidence=1.0), "between 0 and 1"),
        (lambda: control_starts(8), "multiple of 6"),
        (lambda: stacking_steps("ABCA"), "neighbouring layers must differ"),
    ],
)
def test_what_cannot_be(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_the_preset_has_the_controls():
    study = Study.model_validate_json(json.dumps(tomllib.loads(preset_text("healing"))))
    starts = list(dict.fromkeys(variant.study.superlattice.stacking for variant in study.variants()))
    assert starts == [PAPER, *control_starts(12, seeds=(1,)).values()]
    assert len(study.variants()) == 6 * len(starts)
