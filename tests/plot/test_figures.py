"""Each figure against a picture of it that was looked at.

    PYTHONPATH=tests python tests/plot/test_figures.py    draws data/figures anew; look at each before committing

What is drawn is made here, of perfect lattices or formulas: no simulation runs.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import pytest
from conftest import lattice_ball
from fake_run import write_fake_run
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from scipy.spatial.transform import Rotation

from simsc import plot
from simsc.builders.close_packed import close_packed
from simsc.builders.nanoparticle import carve, magnetite
from simsc.builders.supraparticle import ball
from simsc.core.cell import Cell
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.core.superlattice import Superlattice
from simsc.correlation.compare import compare_maps
from simsc.correlation.engine import correlate
from simsc.correlation.peaks import cell_reflections
from simsc.correlation.shells import shells_of_crystal
from simsc.experiment.bragg import BraggPeaks, Orientation
from simsc.md.trajectory import Trajectory
from simsc.plot.healing import slips_over_time
from simsc.report.embed import drawing_style
from simsc.scattering.amplitude import intensity_on_grid
from simsc.sliding.free_energy import GlideProfile
from simsc.sliding.healing import run_healing, set_healing
from simsc.study.results import Results, read_results

FOLDER = Path(__file__).parents[1] / "data" / "figures"
DPI = 60
# Root mean square difference, of 255. A letter more or less in a title is 1 to 2; pictures that were drawn on other
# processors differ by less than 0.1.
TOLERANCE = 0.5
D_NM, RADIUS_NM = 16.0, 7.4
PILLAR = Cell.from_parameters(16.8, 17.0, 17.8, 58.7, 60.8, 68.5)


@cache
def results() -> Results:
    with TemporaryDirectory() as folder:
        return read_results(write_fake_run(Path(folder) / "run", "a run", "at 600 K"))


def expanding() -> Trajectory:
    """A crystal that expands with temperature, and is a little wider while it cools."""
    found = results().trajectory
    cooled = 0.02 * (np.arange(len(found.rows)) > 4)
    d_nn_nm = 6.2 + 3e-4 * (found.series["temperature_K"] - 300) + cooled
    return replace(found, series={**found.series, "d_nn_nm": d_nn_nm})


@cache
def healing():
    with TemporaryDirectory() as folder:
        return run_healing(write_fake_run(Path(folder) / "run", "a run", "at 600 K"))


def map_of(crystal: Superlattice, q1_inv_nm: float) -> CorrelationMap:
    shells = shells_of_crystal([crystal], q1_inv_nm, np.linspace(0.83, 1.88, 40) * q1_inv_nm)
    return correlate(*shells, np.linspace(0, 180, 121))


@cache
def maps() -> dict[str, CorrelationMap]:
    q1 = layer_momentum_transfer(D_NM)
    return {name: map_of(ball(name, D_NM, n=300, radius_nm=RADIUS_NM), q1) for name in ("hcp", "fcc")}


@cache
def map_of_pillar() -> CorrelationMap:
    return map_of(lattice_ball(PILLAR, 300, RADIUS_NM), 0.435)


@cache
def volume():
    return intensity_on_grid(lattice_ball(PILLAR, 300, RADIUS_NM), 0.9, 64)


def volume_in_part() -> IntensityVolume:
    """What was counted, with zeros, where a detector may have been."""
    whole = volume()
    counts = np.floor(whole.intensity / np.percentile(whole.intensity, 40))
    x, y, z = np.meshgrid(*whole.q_axes_inv_nm, indexing="ij", sparse=True)
    measured = (x**2 + y**2 < 0.7**2) & (np.abs(z - 0.3) > 0.05)
    return IntensityVolume(np.where(measured, counts, 0), whole.q_axes_inv_nm, measured)


def spheres() -> Figure:
    q = np.linspace(0.4, 0.9, 40)
    first, second = shells_of_crystal([lattice_ball(PILLAR, 300, RADIUS_NM)], 0.435, np.array([0.71]))
    shown = next(iter(second))
    latitude = np.arange(shown.intensity.shape[0])[:, None] + np.zeros(shown.intensity.shape)
    cut = ShellIntensity(shown.q_inv_nm, shown.intensity, np.abs(latitude / len(latitude) - 0.6) > 0.05)
    return plot.spheres([first, cut], q, np.exp(-9 * q) * (1 + np.sin(40 * q) ** 2))


def reciprocal() -> Figure:
    g, hkl, _ = cell_reflections(PILLAR, np.zeros((1, 3)), 0.85)
    q, hkl = np.vstack([g, [[0.5, 0.3, 0.1]]]), np.vstack([hkl, [[0, 0, 0]]])
    found = Orientation(Rotation.identity(), hkl, 0.003, PILLAR, np.full(6, 0.02))
    return plot.reciprocal_space(volume(), found, BraggPeaks(q, np.ones(len(q))))


def profile(barrier: float) -> GlideProfile:
    x = np.linspace(-0.2, 1.2, 60)
    energy = barrier * np.sin(np.pi * x) ** 2
    errors, diffusion = 0.02 * barrier + 0 * x, np.array([[0.0, 1.0]])
    return GlideProfile(600.0, 8, 36.0, x, energy, errors, 0.1, 0.2, diffusion, 0.5, 40, 1.0)


def nanoparticle() -> Figure:
    core = carve(magnetite(), 2.4)
    elements = np.array(core.elements)
    return plot.portraits(
        [("core", elements, core.positions_angstrom), ("its half", elements, core.positions_angstrom)], cut=True
    )


FIGURES: dict[str, Callable[[], Figure]] = {
    "order_scatter": lambda: plot.order_scatter(results().order, (1, 7), ("before", "after")),
    "stacking_diagram": lambda: plot.stacking_diagram(
        ("ABCABCABABAB", "ABCABCABCABC", ""), ("before", "after", "melted")
    ),
    "count_timeline": lambda: plot.count_timeline(results().order),
    "thermo_series": lambda: plot.thermo(results().trajectory),
    "spacing_against_temperature": lambda: plot.spacing_against_temperature(expanding(), results().study.anneal.phases),
    "fcc_over_time": lambda: plot.fcc_over_time({"one": results().order, "other": results().order}),
    "spacings_against_temperature": lambda: plot.spacing_against_temperature(
        {"expanding": expanding(), "rigid": results().trajectory}
    ),
    "intensity_slices": lambda: plot.intensity({"pillar": volume()}, 0.435),
    "intensity_in_part": lambda: plot.intensity({"in part": volume_in_part()}),
    "spheres": spheres,
    "structure_with_labels": lambda: plot.structure(
        close_packed("ABCAB", 6.2, (3, 2)), np.repeat(["hcp", "fcc", "other", "fcc", "hcp"], 12), "a lattice"
    ),
    "structure_of_a_ball": lambda: plot.structure(ball("fcc", D_NM, n=300, radius_nm=RADIUS_NM), name="a ball"),
    "radial_profiles": lambda: plot.radial_profile(maps()),
    "radial_profile_of_a_cell": lambda: plot.radial_profile({"pillar": map_of_pillar()}, PILLAR),
    "correlation_maps": lambda: plot.correlation_maps(maps()),
    "correlation_map_of_a_cell": lambda: plot.correlation_maps({"pillar": map_of_pillar()}, PILLAR),
    "correlation_difference": lambda: plot.correlation_difference(*maps().values()),
    "correlation_line": lambda: plot.correlation_line(maps()),
    "comparison": lambda: plot.comparison(compare_maps(*maps().values()), ("hcp", "fcc"), [0.5, 0.8]),
    "reciprocal_space": reciprocal,
    "hcp_against_chance": lambda: plot.hcp_against_chance(set_healing([healing()])),
    "slips_over_time": lambda: slips_over_time(healing()),
    "sliding_profiles": lambda: plot.sliding_profile(
        {"5.07 ligands/nm²": profile(12.7), "3.5 ligands/nm²": profile(6.5)}
    ),
    "portraits": nanoparticle,
    "spacing_series": lambda: plot.spacing_series(expanding()),
}


def save(name: str, file: Path) -> None:
    with matplotlib.rc_context(matplotlib.rcParamsDefault), drawing_style():
        FIGURES[name]().savefig(file, dpi=DPI, format="png", metadata={"Software": None})


@pytest.mark.parametrize("name", FIGURES)
def test_figure(name, tmp_path):
    save(name, tmp_path / f"{name}.png")
    difference = compare_images(str(FOLDER / f"{name}.png"), str(tmp_path / f"{name}.png"), tol=TOLERANCE)
    assert difference is None, difference


def test_a_letter_is_seen(tmp_path):
    """The comparison finds the smallest thing that may go wrong."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault), drawing_style():
        other = plot.stacking_diagram(("ABCABCABABAB", "ABCABCABCABC", ""), ("befora", "after", "melted"))
        other.savefig(tmp_path / "other.png", dpi=DPI, format="png")
    assert compare_images(str(FOLDER / "stacking_diagram.png"), str(tmp_path / "other.png"), tol=TOLERANCE) is not None


def test_there_is_no_other_picture():
    assert {path.stem for path in FOLDER.glob("*.png")} == set(FIGURES)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for figure in sys.argv[1:] or FIGURES:
        save(figure, FOLDER / f"{figure}.png")
        sys.stdout.write(f"{figure}\n")
