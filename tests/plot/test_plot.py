"""What `simsc.plot` offers: figures by name, loaded when asked for, of one thing or several, shown by notebooks."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

import simsc.plot
from simsc import plot
from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import ball
from simsc.classify.labels import label_layers
from simsc.classify.stacking import layer_frame
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.io.native import write_superlattice
from simsc.md.trajectory import COLUMNS, Trajectory
from simsc.scattering.rods import rod_profile

PNG = b"\x89PNG\r\n\x1a\n"


def some_map(q1_inv_nm: float = 0.48) -> CorrelationMap:
    q2, delta = q1_inv_nm * np.linspace(0.9, 1.7, 9), np.linspace(0, 180, 37)
    ccf = np.cos(np.radians(delta)) * np.ones((9, 1))
    return CorrelationMap(q1_inv_nm, q2, delta, ccf, np.ones_like(ccf), np.exp(-q2))


def some_trajectory() -> Trajectory:
    crystal = close_packed("ABC", 6.2)
    assert crystal.cell is not None
    turned = np.tile([0.0, 0.0, 0.0, 1.0], (1, crystal.n, 1))
    series = {name: np.zeros(1) for name in COLUMNS}
    cells, phase = crystal.cell.vectors_nm[None], np.zeros(1, int)
    return Trajectory(
        crystal.positions_nm[None], turned, cells, np.full(crystal.n, 2.0), phase, series, phase, ("hot",)
    )


def test_matplotlib_is_loaded_by_the_first_figure_only():
    code = (
        "import sys, simsc.plot as plot; assert 'matplotlib' not in sys.modules; dir(plot); plot.__all__; "
        "assert 'matplotlib' not in sys.modules; plot.structure; assert 'matplotlib' in sys.modules; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_offered_is_there_and_is_documented():
    for name in plot.__all__:
        found = getattr(plot, name)
        assert found.__module__.startswith("simsc.plot.")
        assert found.__name__ == name
        assert found.__doc__
        assert name in dir(plot)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        plot.nothing  # noqa: B018


def test_editors_see_the_same_names():
    """The imports for editors are the table's."""
    tree = ast.parse(Path(simsc.plot.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.asname: node.module for node in block.body for alias in node.names}
    assert imported == {name: getattr(plot, name).__module__ for name in plot.__all__}


def test_no_module_hides_a_figure():
    """A module that was imported is an attribute of its package, in the place of a function of that name."""
    modules = {module.name for module in pkgutil.iter_modules(simsc.plot.__path__)}
    for module in modules:
        importlib.import_module(f"simsc.plot.{module}")
    assert not modules & set(plot.__all__)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot.stacking_diagram("ABC"),
        lambda: plot.correlation_map(some_map()),
        lambda: plot.structure(close_packed("ABC", 6.2)),
    ],
)
def test_a_notebook_shows_it(draw):
    """IPython asks an object for `_repr_png_`; Matplotlib's own figures answer through pyplot's formatter only."""
    figure = draw()
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure._repr_png_().startswith(PNG)
    assert not hasattr(matplotlib.figure.Figure(), "_repr_png_")


def test_one_thing_is_drawn_as_several_are():
    one, several = plot.correlation_line(some_map()), plot.correlation_line({"": some_map(), "hot": some_map(0.46)})
    labels = [
        line.get_label() for figure in (one, several) for line in figure.axes[0].lines if len(line.get_xdata()) == 37
    ]
    assert labels == ["q₂ = 0.480 nm⁻¹", "q₂ = 0.480 nm⁻¹", "hot: q₂ = 0.460 nm⁻¹"]
    title = plot.correlation_map(some_map(), name="cold").axes[0].get_title()
    assert title == plot.correlation_maps({"cold": some_map()}).axes[0].get_title()
    assert title.startswith("cold: q₁ = 0.480 nm⁻¹")
    assert len(plot.radial_profile(some_map()).axes[0].lines) < len(
        plot.radial_profile({"a": some_map(), "b": some_map()}).axes[0].lines
    )


def test_stacks_by_name_alone_or_in_a_row():
    def titles(figure):
        return [ax.get_title() for ax in figure.axes]

    assert titles(plot.stacking_diagram("ABC")) == ["ABC"]
    assert titles(plot.stacking_diagram(["ABC", "AB"])) == ["ABC", "AB"]
    assert titles(plot.stacking_diagram({"fcc": "ABC", "hcp": "AB"})) == ["fcc", "hcp"]
    assert titles(plot.stacking_diagram(["ABC", "AB"], ["fcc", "hcp"])) == ["fcc", "hcp"]


def test_labels_colour_a_structure_as_their_array_does():
    crystal = close_packed("ABCABCABABAB", 6.2)
    labels = label_layers(crystal)
    for given in (labels, labels.labels, list(labels.labels)):
        keys = plot.structure(crystal, given).legends[0]
        assert [text.get_text() for text in keys.get_texts()] == ["fcc: 12", "hcp: 12"]


def test_whatever_is_a_structure_is_drawn(tmp_path):
    crystal = close_packed("ABC", 6.2)
    write_superlattice(tmp_path / "crystal.h5", crystal, {})
    pictures = [
        plot.structure(given)._repr_png_()
        for given in (crystal, tmp_path / "crystal.h5", (crystal.cell, crystal.positions_nm))
    ]
    assert pictures[0] == pictures[1] == pictures[2]
    with pytest.raises(InputError, match=r"many frames; take one, such as the last: \.superlattice\(-1\)"):
        plot.structure(some_trajectory())


@pytest.mark.parametrize("labels", [["fcc"] * 5, "fcc", "abcdef", 3, [["fcc"] * 6]])
def test_labels_are_one_for_each_np(labels):
    with pytest.raises(InputError, match="labels are one class for each of 6 NPs, got"):
        plot.structure(close_packed("ABC", 6.2), labels)


@pytest.mark.parametrize(
    "draw",
    [
        plot.correlation_map,
        plot.correlation_maps,
        plot.correlation_line,
        plot.radial_profile,
        plot.intensity,
        plot.rods,
    ],
)
@pytest.mark.parametrize("given", [[some_map()], "map.h5", None, {"a": 3}, {}])
def test_other_kinds_are_refused(draw, given):
    with pytest.raises(InputError, match=r"give one \w+, or several by name: \{"):
        draw(given)


def test_rods_of_one_and_of_several():
    crystal = ball("hcp", 16.0, n=200, radius_nm=7.4)
    frame = layer_frame(crystal)
    assert frame is not None
    rod = rod_profile([crystal], frame, np.linspace(0.2, 2, 10))
    ax = plot.rods({"hcp": rod, "the same": rod}).axes[0]
    for line in ax.lines[:2]:
        np.testing.assert_allclose(line.get_ydata(), rod.intensity / rod.intensity.mean())
    assert [line.get_label() for line in ax.lines[:2]] == ["hcp", "the same"]
    assert len(plot.rods(rod).axes[0].lines) == len(ax.lines) - 1


def test_save_gives_the_same_svg_twice(tmp_path):
    for name in ("one.svg", "two.svg"):
        plot.save(plot.correlation_map(some_map()), str(tmp_path / name))
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
