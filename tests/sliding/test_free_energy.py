"""Profiles from windows drawn from known free energies, and rates against simulated hops."""

import numpy as np
import pytest

from simsc.core.errors import InputError, SimscWarning
from simsc.core.units import KCAL_PER_MOL_K
from simsc.sliding.free_energy import Window, gaps_between, glide_profile

T, WAY = 500.0, 36.0
KT = KCAL_PER_MOL_K * T


def truth(y, barrier=6.0, difference=1.5):
    """Free energy of a layer, kT: hollows at 0 and at WAY."""
    x = y / WAY
    return barrier * np.sin(np.pi * x) ** 2 + difference * x * x * (3 - 2 * x)


def drawn(rng, n=4000, windows=14, spring=None, free_energy=truth, interval_ns=0.001):
    """Draw windows by inverting the cumulated distribution, without correlation in time."""
    targets = np.linspace(-0.15, 1.15, windows) * WAY
    spring = KT / (0.6 * (targets[1] - targets[0])) ** 2 if spring is None else spring
    y = np.linspace(-15, WAY + 15, 20_001)
    result = []
    for target in targets:
        weight = np.exp(-free_energy(y) - spring / 2 * (y - target) ** 2 / KT)
        cumulated = np.cumsum(weight) / weight.sum()
        result.append(Window(target, spring, np.interp(rng.random(n), cumulated, y), interval_ns))
    return result


def test_a_known_profile_comes_back_within_its_errors(rng):
    profile = glide_profile(drawn(rng), T, 8, WAY)
    expected = truth(profile.fraction * WAY)
    first = np.argmin(np.abs(profile.fraction))
    pulls = (profile.free_energy - (expected - expected[first]))[profile.errors > 0] / profile.errors[
        profile.errors > 0
    ]
    assert np.abs(profile.free_energy - expected + expected[first]).max() < 0.25
    assert np.sqrt((pulls**2).mean()) < 2
    assert profile.barrier[0] == pytest.approx(truth(np.linspace(0, WAY, 1001)).max(), abs=0.2)
    assert profile.least_overlap > 0.1
    assert profile.consistency == pytest.approx(1.0, abs=0.05)


def test_basins_are_weighed_whole(rng):
    found = glide_profile(drawn(rng), T, 8, WAY)
    y = np.linspace(-0.25 * WAY, 1.25 * WAY, 10_001)
    weight = np.exp(-truth(y))
    expected = -np.log(weight[y > WAY / 2].sum() / weight[y < WAY / 2].sum())
    assert found.basins == pytest.approx(expected, abs=4 * found.basins_error + 0.02)
    assert 0.005 < found.basins_error < 0.2


def test_alike_hollows_have_no_difference(rng):
    found = glide_profile(drawn(rng, free_energy=lambda y: truth(y, 8.0, 0.0)), T, 8, WAY)
    assert abs(found.basins) < 4 * found.basins_error


def test_passage_time_is_that_of_simulated_walkers(rng):
    """Overdamped walkers in the same free energy and springs: their windows give the time that they need without."""
    barrier, diffusion = 3.0, 2000.0  # Å²/ns
    step_ns = 2e-4

    def slope(y):
        return barrier * np.pi / WAY * np.sin(2 * np.pi * y / WAY)

    def moved(y, spring, target):
        force = -slope(y) - spring * (y - target) / KT
        return y + diffusion * force * step_ns + np.sqrt(2 * diffusion * step_ns) * rng.normal(size=np.shape(y))

    targets = np.linspace(-0.15, 1.15, 14) * WAY
    spring = KT / (0.6 * (targets[1] - targets[0])) ** 2
    y, kept = targets.copy(), []
    for _ in range(30_000):
        y = moved(y, spring, targets)
        kept.append(y)
    windows = [
        Window(target, spring, part, step_ns) for target, part in zip(targets, np.array(kept[500:]).T, strict=True)
    ]
    profile = glide_profile(windows, T, 8, WAY)
    assert profile.diffusion[:, 1] == pytest.approx(np.full(14, diffusion), rel=0.5)
    assert profile.diffusion[:, 1].mean() == pytest.approx(diffusion, rel=0.15)
    walkers, times = np.zeros(400), np.full(400, np.nan)
    for k in range(200_000):
        walkers = moved(walkers, 0.0, 0.0)
        # The way beyond the other hollows is as long as that of the windows: a wall there.
        walkers = np.maximum(walkers, -0.25 * WAY)
        times[np.isnan(times) & (walkers > WAY)] = k * step_ns
        if not np.isnan(times).any():
            break
    assert profile.passage_ns == pytest.approx(np.nanmean(times), rel=0.25)
    assert profile.rate_per_ns == pytest.approx(3 / profile.passage_ns)


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        (lambda rng: drawn(rng)[:1], "at least two windows"),
        (lambda rng: drawn(rng, n=20), "at -5.4 Å has 20 samples"),
        (lambda rng: drawn(rng)[:8], "not over all"),
        (lambda rng: drawn(rng, windows=5, spring=2.0), "use more repeats"),
    ],
)
def test_what_cannot_be_put_together_is_said(windows, says, rng):
    with pytest.raises(InputError, match=says):
        glide_profile(windows(rng), T, 8, WAY)


def test_few_independent_samples_are_told(rng):
    """Ligands that hardly change within a window."""
    slow = [
        Window(w.target_angstrom, w.spring, np.repeat(w.offsets_angstrom, 100), w.interval_ns) for w in drawn(rng, n=15)
    ]
    with pytest.warns(SimscWarning, match=r"independent samples, and 20 are wanted.*more repeats"):
        found = glide_profile(slow, T, 8, WAY)
    assert found.least_independent < 20
    assert len(found.fraction) < 48  # so that no bin is empty
    assert found.barrier[0] == pytest.approx(6.2, abs=4 * found.barrier[1])
    assert glide_profile(drawn(rng), T, 8, WAY).least_independent > 1000


def stuck(rng, part, n=400):
    """Draw windows that sampled a part of their standard deviations, about a place that each found by chance."""
    windows = drawn(rng, n)
    narrowed = []
    for window in windows:
        y = window.offsets_angstrom
        place = y.mean() + np.sqrt(1 - part**2) * y.std() * rng.normal()
        narrowed.append(Window(window.target_angstrom, window.spring, place + part * (y - y.mean()), 0.001))
    return narrowed


def test_windows_that_stay_where_they_began_are_refused(rng):
    with pytest.raises(InputError, match="% of the variance that they imply together: the layer stays where each"):
        glide_profile(stuck(rng, 0.4), T, 8, WAY)
    with pytest.raises(InputError, match="stays where each"):
        gaps_between(stuck(rng, 0.4), T)
    with pytest.warns(SimscWarning, match="they are not quite in equilibrium"):
        found = glide_profile(stuck(np.random.default_rng(3), 0.7), T, 8, WAY)
    assert 0.5 < found.consistency < 0.7


def test_repeats_from_places_found_by_chance_add_up_to_equilibrium(rng):
    """What each repeat of a window lacks the others have."""
    repeats = [stuck(rng, 0.4) for _ in range(30)]
    windows = [
        Window(same[0].target_angstrom, same[0].spring, np.array([one.offsets_angstrom for one in same]), 0.001)
        for same in zip(*repeats, strict=True)
    ]
    assert glide_profile(windows, T, 8, WAY).consistency == pytest.approx(1.0, abs=0.1)


def test_repeats_count_as_more_samples(rng):
    one, two = drawn(rng, n=2000), drawn(rng, n=2000)
    both = [
        Window(a.target_angstrom, a.spring, np.array([a.offsets_angstrom, b.offsets_angstrom]), a.interval_ns)
        for a, b in zip(one, two, strict=True)
    ]
    longer = [Window(w.target_angstrom, w.spring, w.offsets_angstrom.reshape(-1), w.interval_ns) for w in both]
    found, expected = (glide_profile(windows, T, 8, WAY) for windows in (both, longer))
    assert found.barrier == pytest.approx(expected.barrier, abs=0.05)
    assert found.basins == pytest.approx(expected.basins, abs=0.05)
    assert found.passage_ns == pytest.approx(expected.passage_ns, rel=0.1)


def test_repeats_that_do_not_agree_are_few_independent_samples(rng):
    """Each remembers its own start: by itself it seems to hold thousands of them."""
    apart = [
        Window(w.target_angstrom, w.spring, w.offsets_angstrom.reshape(4, -1) + rng.normal(size=(4, 1)), w.interval_ns)
        for w in drawn(rng, n=8000, windows=28)
    ]
    with pytest.warns(SimscWarning, match="20 are wanted"):
        found = glide_profile(apart, T, 8, WAY)
    assert found.least_independent < 20


def test_gaps_are_found_and_close_with_stiffer_springs(rng):
    """A layer slides off a weak spring where the free energy falls steeply: nobody samples the top."""

    def steep(y):
        return truth(y, 60.0, 0.0)

    weak = drawn(rng, n=250, windows=10, free_energy=steep)
    gaps = gaps_between(weak, T)
    assert gaps
    for one, two in gaps:
        assert one.offsets_angstrom.mean() < WAY / 2 < two.offsets_angstrom.mean()
    with pytest.raises(InputError, match="use more repeats"):
        glide_profile(weak, T, 8, WAY)
    stiff = drawn(rng, n=250, windows=32, free_energy=steep)
    assert gaps_between([*weak, *stiff], T) == []
    found = glide_profile([*weak, *stiff], T, 8, WAY)
    assert found.barrier[0] == pytest.approx(60.0, abs=1.0)
