"""The energy per hcp-like layer from ends and from slips, against chains of known energy and against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from simsc.core.errors import InputError
from simsc.core.stacking import hcp_layers, stacking_steps
from simsc.sliding.chance import control_starts
from simsc.sliding.energies import energy_from_slips
from simsc.sliding.slips import (
    Slip,
    Slips,
)

PAPER = "ABCABCABABAB"


def slipped(start: np.ndarray, places: list[tuple[str, int]]) -> Slips:
    slips = [Slip(kind, place, float(k), float(k), "hold", (), (), -1, -1) for k, (kind, place) in enumerate(places)]  # type: ignore[arg-type]
    return Slips(start, start, tuple(slips), {}, True)


def chain(start: np.ndarray, epsilon: float, transfer: float, n: int, rng: np.random.Generator) -> Slips:
    """Slips of interfaces whose barriers are those of Brønsted's rule: a part `transfer` of what the energy rises."""
    steps, places = start.astype(int), []
    for _ in range(n):
        rates = []
        for k in range(len(steps)):
            other = steps.copy()
            other[k] *= -1
            rise = epsilon * (hcp_layers(other) - hcp_layers(steps))
            # The reverse has the rate exp((1 − transfer) rise), so that detailed balance holds.
            rates.append(np.exp(-transfer * rise if rise > 0 else -(1 - transfer) * rise))
        k = int(rng.choice(len(steps), p=np.array(rates) / np.sum(rates)))
        steps[k] *= -1
        places.append(("interface", k))
    return slipped(start, places)


@pytest.mark.parametrize(("epsilon", "transfer"), [(0.0, 0.5), (0.6, 0.5), (0.6, 0.2), (-0.5, 0.9)])
def test_energy_of_chains(epsilon, transfer):
    """No bias, and intervals as wide as results scatter, from starts that nothing has forgotten."""
    rng = np.random.default_rng(7)
    starts = [stacking_steps(text) for text in [PAPER, *control_starts(12).values()]]
    fits = [energy_from_slips([chain(x, epsilon, transfer, 6, rng) for x in starts * 3]) for _ in range(40)]
    pulls = np.array([3.92 * (fit.epsilon_kT - epsilon) / (fit.high_kT - fit.low_kT) for fit in fits])
    assert abs(pulls.mean()) < 4 / np.sqrt(len(fits))
    assert 0.7 < pulls.std() < 1.4
    covered = np.mean([fit.low_kT <= epsilon <= fit.high_kT for fit in fits])
    assert covered >= 0.82  # 95 % within four standard deviations
    if epsilon == 0:
        p = np.array([fit.p_value for fit in fits])
        assert kstest(p, "uniform").pvalue > 1e-3


def test_against_a_search_of_the_likelihood():
    """All probabilities written out, on a fine grid of ε and s."""
    run = chain(stacking_steps(PAPER), 0.4, 0.5, 40, np.random.default_rng(3))
    epsilon, s = np.meshgrid(np.linspace(-2, 2, 401), np.linspace(-3, 3, 301), indexing="ij")
    log_likelihood, steps = np.zeros(epsilon.shape), run.start.astype(int)
    for slip in run.events:
        weights = []
        for k in range(12):
            other = steps.copy()
            other[k] *= -1
            change = hcp_layers(other) - hcp_layers(steps)
            weights.append(np.exp((s if change else 0) - epsilon * change / 2))
        log_likelihood += np.log(weights[slip.layer] / np.sum(weights, axis=0))
        steps[slip.layer] *= -1
    profile = log_likelihood.max(axis=1)
    inside = epsilon[profile > profile.max() - 3.8415 / 2, 0]
    found = energy_from_slips([run])
    assert found is not None
    assert found.epsilon_kT == pytest.approx(epsilon[profile.argmax(), 0], abs=0.011)
    assert (found.low_kT, found.high_kT) == pytest.approx((inside[0], inside[-1]), abs=0.011)
    assert found.making + found.keeping + found.removing == 40
    ratio = profile.max() - profile[np.abs(epsilon[:, 0]).argmin()]
    assert found.p_value == pytest.approx(norm.sf(np.sign(found.epsilon_kT) * np.sqrt(2 * ratio)), rel=0.01)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_run_seen_from_elsewhere_says_the_same(seed):
    """From another layer on, the other way around, and with all signs turned."""
    rng = np.random.default_rng(seed)
    run = chain(stacking_steps(PAPER), 0.3, 0.5, 8, rng)
    places = [slip.layer for slip in run.events]
    shift = int(rng.integers(12))
    others = [
        slipped(-run.start, [("interface", k) for k in places]),
        slipped(np.roll(run.start, shift), [("interface", (k + shift) % 12) for k in places]),
        slipped(run.start[::-1], [("interface", 11 - k) for k in places]),
    ]
    own = energy_from_slips([run])
    for other in others:
        found = energy_from_slips([other])
        assert (found is None) == (own is None)
        if own is not None and found is not None:
            assert found.epsilon_kT == pytest.approx(own.epsilon_kT, abs=1e-3)


def test_single_layers_are_followed_and_not_counted():
    """Layer 8 of ABCABCABABAB slips alone; the interface that slips next is judged by the stacking after it."""
    start = stacking_steps(PAPER)
    after = start.copy()
    after[[7, 8]] *= -1
    both = energy_from_slips([slipped(start, [("layer", 8), ("interface", 0)])])
    alone = energy_from_slips([slipped(after, [("interface", 0)])])
    assert both == alone


def test_what_says_nothing():
    fcc = stacking_steps("ABCABC")
    assert energy_from_slips([slipped(fcc, [])]) is None
    assert energy_from_slips([slipped(fcc, [("interface", 2)])]) is None  # all interfaces are alike
    assert energy_from_slips([slipped(stacking_steps("AB"), [("interface", 1)])]) is None
    with pytest.raises(InputError, match="confidence"):
        energy_from_slips([slipped(fcc, [])], confidence=1.0)
