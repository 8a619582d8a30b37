"""What figures of a run draw: every NP, every layer, units, scales and marks."""

import numpy as np
import pytest
from fake_run import D_NM, FRAMES, SEQUENCE, write_fake_run
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, Rectangle

from simsc import plot
from simsc.builders.close_packed import close_packed
from simsc.classify.stacking import stacking_sequence
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.label_classes import label_class
from simsc.correlation.peaks import expected_peaks
from simsc.plot.style import NEUTRAL
from simsc.study.results import read_results


@pytest.fixture
def results(tmp_path):
    return read_results(write_fake_run(tmp_path / "run"))


def test_order_scatter_draws_every_np(results) -> None:
    figure = plot.order_scatter(results.order, (1, 7), ("first", "last"))
    assert len(figure.axes) == 2
    for ax, frame in zip(figure.axes, (1, 7), strict=True):
        points = [c for c in ax.collections if isinstance(c, PathCollection)]
        assert sum(len(c.get_offsets()) for c in points) == 24
        counts = results.order.counts(frame)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == [f"{n}: {counts[n]}" for n in ("fcc", "hcp")]
        assert ax.get_xlabel() == "q₄ (dimensionless)"


def test_stacking_diagram_draws_every_layer() -> None:
    figure = plot.stacking_diagram((SEQUENCE, ""), ("before", "after"))
    layers = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert len(layers) == 12
    assert len({p.get_facecolor() for p in layers}) == 2
    assert "could not be read" in [t.get_text() for t in figure.axes[1].texts]


def layer_colours(figure) -> list[str]:
    return [to_hex(p.get_facecolor()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]


def test_ends_of_a_finite_stacking_have_no_kind() -> None:
    """They were drawn as though the last layer was below the first one."""
    fcc, hcp = label_class("fcc").colour, label_class("hcp").colour
    assert layer_colours(plot.stacking_diagram("ABCAB")) == [hcp, fcc, fcc, fcc, hcp]
    assert layer_colours(plot.stacking_diagram("ABCAB", periodic=False)) == [NEUTRAL, fcc, fcc, fcc, NEUTRAL]
    crystal = close_packed("ABCAB", 6.2, (4, 4))
    finite, wrapped = stacking_sequence(crystal.in_free_space()), stacking_sequence(crystal)
    assert finite is not None
    assert wrapped is not None
    assert not finite.periodic
    for stacking in (finite, wrapped):
        expected = [{"h": hcp, "c": fcc, "-": NEUTRAL}[kind] for kind in stacking.kinds]
        assert layer_colours(plot.stacking_diagram(stacking)) == expected
        assert layer_colours(plot.stacking_diagram({"read": stacking, "not": None})) == expected
    assert layer_colours(plot.stacking_diagram(finite)).count(NEUTRAL) == 2
    assert "could not be read" in [t.get_text() for t in plot.stacking_diagram(None).axes[0].texts]
    for wrong in ("ABX", "AAB", [3]):
        with pytest.raises(InputError, match="stacking"):
            plot.stacking_diagram(wrong)


def test_time_series_have_units(results) -> None:
    figure = plot.thermo(results.trajectory)
    assert [ax.get_ylabel().replace("\n", " ") for ax in figure.axes] == [
        "temperature (K)",
        "potential energy (kcal/mol)",
        "volume (nm³)",
        "pressure (atm)",
    ]
    assert figure.axes[-1].get_xlabel() == "time in the model (ns)"
    counts = plot.count_timeline(results.order)
    assert counts.axes[0].get_ylabel() == "number of NPs"
    spacing = plot.spacing_against_temperature(results.trajectory, results.study.anneal.phases)
    assert spacing.axes[0].get_ylabel() == "nearest-neighbour distance (nm)"
    assert sum(len(line.get_xdata()) for line in spacing.axes[0].lines) == FRAMES


def test_slices_share_one_scale(results) -> None:
    volumes = {name: state.intensity for name, state in results.states.items()}
    figure = plot.intensity(volumes, 1.2)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert len(panels) == 6
    meshes = [c for ax in panels for c in ax.collections if isinstance(c, QuadMesh)]
    assert len({(m.norm.vmin, m.norm.vmax) for m in meshes}) == 1
    assert all("nm⁻¹" in ax.get_xlabel() and "nm⁻¹" in ax.get_ylabel() for ax in panels)
    assert all(any(isinstance(p, Circle) for p in ax.patches) for ax in panels)
    # The plane normal to z, first axis across.
    drawn, there = np.asarray(meshes[0].get_array()), volumes["before"].intensity[:, :, 7].T
    np.testing.assert_array_equal(drawn, np.maximum(there, 0.1 * meshes[0].norm.vmin))


def test_radial_profile_marks_reflections(results) -> None:
    maps = {name: state.correlation for name, state in results.states.items()}
    ax = plot.radial_profile(maps).axes[0]
    assert ax.get_xlabel() == "q (nm⁻¹)"
    assert {"111", "200", "220", "100", "002", "101", "102", "110", "103"} <= {t.get_text() for t in ax.texts}


def test_maps_mark_expected_peaks_and_leave_out_the_self_correlation(results) -> None:
    maps = {name: state.correlation for name, state in results.states.items()}
    for correlation in maps.values():
        correlation.ccf[:, 0] = 1e6
    figure = plot.correlation_maps(maps)
    ax = figure.axes[0]
    mesh = next(c for c in ax.collections if isinstance(c, QuadMesh))
    assert mesh.norm.vmax < 10
    q2 = maps["before"].q2_inv_nm
    fcc = expected_peaks("fcc", D_NM, (q2[0], q2[-1]))
    circles = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(circles.get_xdata(), [peak.delta_deg for peak in fcc], atol=0.01)
    squares = next(line for line in ax.lines if line.get_marker() == "s")
    assert any(abs(x - 90) < 0.1 and abs(y - 1.1631 * 6.24 / D_NM) < 0.02 for x, y in squares.get_xydata())
    assert ax.get_xlabel() == "Δ (degrees)"
    assert ax.get_ylabel() == "q₂ (nm⁻¹)"


def test_difference_is_taken_at_equal_q2_over_q1(results) -> None:
    before = results.states["before"].correlation
    expanded = CorrelationMap(
        0.98 * before.q1_inv_nm, 0.98 * before.q2_inv_nm, before.delta_deg, before.ccf + 0.5, before.coverage,
        before.radial_profile,
    )  # fmt: skip
    figure = plot.correlation_difference(before, expanded)
    mesh = next(c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    values = np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)
    np.testing.assert_allclose(values[np.isfinite(values)], 0.5, atol=1e-9)
    assert np.isfinite(values).sum() == values.size - 1


def test_line_draws_both_states(results) -> None:
    maps = {name: state.correlation for name, state in results.states.items()}
    ax = plot.correlation_line(maps).axes[0]
    assert sum(len(line.get_xdata()) == 37 for line in ax.lines) == 2
    assert [t.get_text() for t in ax.texts] == ["70.5°", "109.5°"]
