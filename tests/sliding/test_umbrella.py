"""Sliding layers, sampled with the one-site model: symmetry, lattice sums, stops and refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import minimize

from simsc.builders.close_packed import close_packed
from simsc.cli.main import cli
from simsc.core.cell import Cell
from simsc.core.errors import InputError, StudyError
from simsc.core.units import KCAL_PER_MOL_K, angstrom_from_nm
from simsc.forcefield.one_site import load_one_site
from simsc.models import coarse_grained
from simsc.models.heads import Dressing
from simsc.models.one_site import energy_kcal_per_mol
from simsc.sliding import umbrella
from simsc.sliding.free_energy import glide_profile
from simsc.sliding.glide import Glide
from simsc.sliding.umbrella import sample_glide

# Windows as short as tests allow: what they tell is compared within wide bounds.
pytestmark = pytest.mark.filterwarnings("ignore:.*independent samples:simsc.core.errors.SimscWarning")

# The mirror image of BABAC, read backwards, is BACAC with other letters: before and after are alike.
ALIKE = Glide(
    "BABAC", 2, (1, 1), 6.6, 2.0, 600.0, force_field="oleate_one_site", windows=32, equilibration_ns=0.2,
    duration_ns=2.0, interfaces=2,
)  # fmt: skip
SLIP = replace(ALIKE, interfaces=1, duration_ns=1.6)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slide")
    return folder, sample_glide(ALIKE, folder)


@pytest.fixture(scope="module")
def slipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slip")
    return folder, sample_glide(SLIP, folder)


def test_stackings_and_layers():
    assert ALIKE.stacking_after == "BACAC"
    assert replace(ALIKE, stacking="ABABAB").stacking_after == "ABCBAB"
    assert SLIP.stacking_after == "BACBA"
    assert replace(SLIP, stacking="ABABAB", layer=3).stacking_after == "ABACBC"
    assert [step_after - step for step, step_after in zip(_steps(SLIP.stacking), _steps("BACBA"), strict=True)] == [
        0, -2, 0, 0,
    ]  # fmt: skip
    with pytest.raises(InputError, match="layer 0 of BABAC: has no layer of the cell below it"):
        replace(SLIP, layer=0)
    with pytest.raises(InputError, match="1 or 2 interfaces, got 3"):
        replace(SLIP, interfaces=3)
    with pytest.raises(InputError, match="a start at 600 K: must be hotter than the slide, 600 K"):
        replace(SLIP, start_K=600.0)
    with pytest.raises(InputError, match="between A and C: only a layer"):
        replace(ALIKE, stacking="ABCABC", layer=1)
    with pytest.raises(InputError, match="layers of BABAC are 0 to 4"):
        replace(ALIKE, layer=5)
    with pytest.raises(InputError, match="at least four layers"):
        replace(ALIKE, stacking="ABC", layer=0)


def _steps(stacking):
    """Steps ±1 from layer to layer, of a stacking that need not close."""
    letters = np.array(["ABC".index(letter) for letter in stacking])
    return [1 if step == 1 else -1 for step in np.diff(letters) % 3]


def test_alike_stackings_have_no_difference(sampled):
    _, profile = sampled
    assert abs(profile.basins) < 4 * profile.basins_error
    assert profile.basins_error < 2.5
    middle = np.interp([0.3, 0.7], profile.fraction, profile.free_energy)
    assert middle[0] == pytest.approx(middle[1], rel=0.15)


@pytest.mark.parametrize("chosen", ["sampled", "slipped"])
def test_the_barrier_is_near_that_of_the_lattice_sum(chosen, request):
    """The same way at rest, with the distances between layers free: thermal motion adds little to such a barrier."""
    folder, profile = request.getfixturevalue(chosen)
    parameters = load_one_site("oleate_one_site")
    cell = np.array(json.loads((folder / "cell.json").read_text())["cell_angstrom"])
    perfect = close_packed(ALIKE.stacking, ALIKE.d_nn_nm, ALIKE.lateral)
    fractions = perfect.cell.fractional(perfect.positions_nm)
    layers = np.repeat(np.arange(5), 2)
    way = cell[1, 1] / 3

    def energy(x, offset):
        now = cell.copy()
        now[2, 2] *= x[0]
        positions = fractions @ now
        positions[:, 2] += np.append(0, x[1:])[layers]
        moving = layers == 2
        if chosen == "slipped":
            moving = layers >= 2
            now[2, 1] += offset * ALIKE.sense
        positions[moving, 1] += offset * ALIKE.sense
        return energy_kcal_per_mol(parameters, positions, Cell(now), ALIKE.temperature_K)

    def least(offset):
        bounds = [(0.9, 1.2), *[(-12, 12)] * 4]
        return minimize(energy, [1.0, 0, 0, 0, 0], args=(offset,), method="L-BFGS-B", bounds=bounds).fun

    static = (least(way / 2) - least(0.0)) / (KCAL_PER_MOL_K * ALIKE.temperature_K)
    assert profile.barrier[0] == pytest.approx(static, rel=0.25)
    assert profile.barrier[0] > 5


def test_one_interface_costs_half_of_what_two_do(sampled, slipped):
    (_, two), (_, one) = sampled, slipped
    (barrier, error), (half, half_error) = two.barrier, one.barrier
    assert half == pytest.approx(barrier / 2, abs=4 * np.hypot(error / 2, half_error))
    assert one.rate_per_ns > 100 * two.rate_per_ns


def test_stackings_of_as_many_hcp_like_layers_have_no_difference(slipped):
    """No pair of sites reaches past the next layer: at rest all stackings have the same energy."""
    _, profile = slipped
    assert abs(profile.basins) < 4 * profile.basins_error
    assert profile.basins_error < 2.0


@pytest.mark.slow
def test_the_rate_is_that_of_interfaces_that_slide_by_themselves(monkeypatch, tmp_path):
    """With a third of all energies layers slip within nanoseconds: the rate from windows against counted slips."""
    whole = load_one_site("oleate_one_site")
    names = ("energy_kcal_per_mol", "slope_kcal_per_mol_K")
    weak = whole.model_copy(
        update={
            part: getattr(whole, part).model_copy(
                update={name: tuple(value / 3 for value in getattr(getattr(whole, part), name)) for name in names}
            )
            for part in ("potential", "embedding")
        }
    )
    monkeypatch.setattr(coarse_grained, "load_one_site", lambda name: weak)
    wanted = Glide(
        "ABABAB", 2, (1, 1), 6.6, 2.0, 600.0, force_field="oleate_one_site", windows=20, equilibration_ns=1.0,
        duration_ns=10.0,
    )  # fmt: skip
    model = coarse_grained.coarse_grained("oleate_one_site")
    cell = umbrella._rest(wanted, model)  # of this process: in others there is no weak model
    springs = umbrella._springs(wanted, cell, tmp_path)
    for spring in springs:
        umbrella._sample_window(wanted, cell, spring, 0, spring.file(tmp_path, 0))
    windows = [umbrella._read_window(spring, tmp_path, 1) for spring in springs]
    profile = glide_profile(windows, wanted.temperature_K, 2, wanted.way_angstrom(cell))
    expected = profile.rate_per_ns * 6 * DIRECT_NS
    counted = _slides_of_interfaces(wanted, model)
    assert counted > 20
    assert np.log(counted / expected) == pytest.approx(0.0, abs=np.log(2) + 2 / np.sqrt(counted))


DIRECT_NS = 400.0


def _slides_of_interfaces(wanted, model):
    """Count how often one of the six interfaces comes to a hollow of the other kind, by plain dynamics."""
    offsets = []

    def run(session, system):
        session.set(coupling="tri")
        session.script("npt.lmp")
        session.run(2000, 0, 2000, first=True)
        for _ in range(round(DIRECT_NS / 0.01)):
            session.run(20, session.step, session.step + 20, first=False)
            cell = session.cell_angstrom()
            layers = session.centres_angstrom().reshape(6, 2, 3).mean(axis=1)
            steps = np.roll(layers, -1, axis=0) - layers
            steps[-1] += cell[2]
            offsets.append((steps @ np.linalg.inv(cell))[:, :2])

    umbrella._with_session(
        wanted, model, close_packed(wanted.stacking, wanted.d_nn_nm, (1, 1), 2.0), np.random.default_rng(5), run
    )
    hollows = {1: np.array([[0, 1 / 3], [1 / 2, 5 / 6]]), -1: np.array([[0, 2 / 3], [1 / 2, 1 / 6]])}
    kind = np.zeros((len(offsets), 6), dtype=int)
    for sign, places in hollows.items():
        apart = np.array(offsets)[:, :, None] - places
        apart -= np.round(apart)
        # A hollow is 0.58 d from the next, and d is the height of the rectangle over √3.
        kind[np.linalg.norm(apart * [1.0, np.sqrt(3)], axis=-1).min(axis=-1) < 0.15] = sign
    return sum(int((np.diff(column[column != 0]) != 0).sum()) for column in kind.T)


def test_it_goes_on_with_the_windows_that_are_missing(sampled):
    folder, profile = sampled
    kept = (folder / "window_04.csv").read_bytes()
    (folder / "window_04.csv").unlink()
    again = sample_glide(ALIKE, folder)
    assert (folder / "window_04.csv").read_bytes() == kept
    assert (again.free_energy == profile.free_energy).all()
    with pytest.raises(StudyError, match=r"holds another slide \(temperature_K is 600.0, not 500.0\)"):
        sample_glide(replace(ALIKE, temperature_K=500.0), folder)
    (folder / "window_04.csv").write_text("time_ns,offset_angstrom\n0,?\n")
    with pytest.raises(InputError, match=r"window_04.csv: cannot be read; remove it"):
        sample_glide(ALIKE, folder)
    (folder / "window_04.csv").write_bytes(kept)


def test_windows_are_added_where_they_do_not_overlap_and_repeats_to_those_there(tmp_path, slipped):
    few = replace(SLIP, windows=12, equilibration_ns=0.1, duration_ns=0.6)
    profile = sample_glide(few, tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.glob("window_*.csv")}
    assert 12 < len(files) <= 24
    assert profile.least_overlap > 0.03
    (barrier, error), (expected, expected_error) = profile.barrier, slipped[1].barrier
    assert barrier == pytest.approx(expected, abs=4 * np.hypot(error, expected_error))
    again = sample_glide(replace(few, repeats=2), tmp_path)
    repeated = {path.name: path.read_bytes() for path in tmp_path.glob("window_*.csv")}
    assert len(repeated) >= 2 * len(files)
    assert repeated.items() >= files.items()
    assert repeated["window_03_2.csv"] != repeated["window_03.csv"]
    assert again.barrier[0] == pytest.approx(expected, abs=4 * np.hypot(again.barrier[1], expected_error))
    lines = (tmp_path / "window_03_2.csv").read_text().splitlines()
    (tmp_path / "window_03_2.csv").write_text("\n".join(lines[:-20]))
    with pytest.raises(InputError, match=r"window_03_2.csv: has \d+ samples, not 2001 as others; remove it"):
        sample_glide(replace(few, repeats=2), tmp_path)


def test_a_hot_start_cools_to_the_temperature_of_the_path():
    wanted = replace(SLIP, lateral=(4, 4), temperature_K=450.0, start_K=600.0, equilibration_ns=4.0)
    model = coarse_grained.coarse_grained("oleate_one_site")
    stages = []

    class Watched(umbrella.LammpsSession):
        """Keeps the mean temperature of each fifth of each run."""

        def run(self, steps, start, stop, first):
            temperatures = []
            for k in range(100):
                super().run(steps // 100, start, stop, first=first and k == 0)
                temperatures.append(self.thermo()["temperature_K"])
            stages.append([float(fifth.mean()) for fifth in np.array_split(temperatures, 5)])

    def run(session, system):
        session.__class__ = Watched
        session.set(coupling="aniso")
        umbrella._equilibrate(wanted, session, system)
        session.run(10000, session.step, session.step + 10000, first=False)

    crystal = close_packed(wanted.stacking, wanted.d_nn_nm, wanted.lateral, 2.0)
    umbrella._with_session(wanted, model, crystal, np.random.default_rng(3), run)
    hot, cooling, _, after = stages  # one run of no steps: sets up the last temperature
    # 480 degrees of freedom and twenty samples: ± 6 to 9 K.
    assert hot == pytest.approx([600.0] * 5, abs=35)
    assert cooling == pytest.approx([585.0, 555.0, 525.0, 495.0, 465.0], abs=35)
    assert after == pytest.approx([450.0] * 5, abs=30)


def test_ligands_begin_hot():
    """Of ligands the ensemble has more parts, each of which has to end with its ramp."""
    wanted = Glide("ABAB", 1, (1, 1), 6.3, 2.0, 300.0, equilibration_ns=0.01, start_K=600.0)
    model = coarse_grained.coarse_grained(wanted.force_field)
    temperatures = []

    def run(session, system):
        session.set(coupling="aniso")
        umbrella._equilibrate(wanted, session, system)
        for _ in range(10):
            session.run(20, session.step, session.step + 20, first=False)
            temperatures.append(session.thermo()["temperature_K"])

    crystal = close_packed(wanted.stacking, wanted.d_nn_nm, wanted.lateral, wanted.radius_nm)
    umbrella._with_session(wanted, model, crystal, np.random.default_rng(3), run)
    assert 280 < np.mean(temperatures) < 400  # friction is weak: it lags behind 5 ps of cooling


def test_temperatures_out_of_range_are_refused(tmp_path):
    with pytest.raises(InputError, match="800 K: oleate_one_site holds from 450 to 600 K"):
        sample_glide(replace(ALIKE, temperature_K=800.0), tmp_path)
    with pytest.raises(InputError, match="700 K: oleate_one_site holds from 450 to 600 K"):
        sample_glide(replace(ALIKE, start_K=700.0), tmp_path)


def test_the_command_tells_what_was_found(sampled):
    folder, profile = sampled
    command = [
        "slide", "BABAC", "--layer", "2", "--interfaces", "2", "--lateral", "1", "1", "--d-nn", "6.6", "--radius", "2",
        "--temperature",
        "600", "--force-field", "oleate_one_site", "--windows", "32", "--equilibrate", "0.2", "--ns", "2", "-o",
        str(folder),
    ]  # fmt: skip
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "BABAC to BACAC at 600 K, 2 NPs a layer" in result.output
    assert f"{profile.barrier[0]:.2f} ±" in result.output
    told = json.loads((folder / "profile.json").read_text())
    assert told["barrier_kT"] == pytest.approx(profile.barrier[0])
    assert (folder / "profile.svg").read_text().lstrip().startswith("<?xml")
    assert len((folder / "profile.csv").read_text().splitlines()) == 1 + len(profile.fraction)
    assert angstrom_from_nm(ALIKE.d_nn_nm) / np.sqrt(3) == pytest.approx(profile.way_angstrom, rel=0.05)


def test_what_is_refused_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"core radius 7 nm: oleate_super_ligand holds for 1\.5 to 4 nm"):
        sample_glide(replace(ALIKE, radius_nm=7.0, force_field="oleate_super_ligand"), tmp_path / "slide")
    with pytest.raises(InputError, match="oleate_one_site holds for spheres"):
        sample_glide(replace(ALIKE, dressing=Dressing("cube")), tmp_path / "slide")
    assert not (tmp_path / "slide").exists()
