"""Figures of correlation maps C(q1, q2, Δ): maps with what is expected in them, differences, lines through them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from simsc.core.cell import Cell
from simsc.core.close_packing import d_nn_of_111_nm
from simsc.core.correlation_map import CorrelationMap
from simsc.correlation.compare import CLEAR_OF_SELF_DEG
from simsc.correlation.peaks import (
    ExpectedPeak,
    expected_peaks,
    expected_peaks_of_cell,
    firsts_of_shell,
    rod_arcs,
)
from simsc.plot.style import (
    CORRELATION_MAP,
    DIFFERENCE_MAP,
    LINES,
    NEUTRAL,
    ROD,
    UNMEASURED,
    Figure,
    by_name,
    headed,
    plain,
)

Q2_LABEL = "q₂ (nm⁻¹)"
_MARKERS = (("o", 9), ("s", 7), ("^", 7), ("D", 6))
_PEAK_WIDTH = 0.012  # of q1: reflections this close to it are on its sphere
_WHOLE = 0.995  # coverage of what was measured everywhere


def correlation_map(correlation: CorrelationMap, cell: Cell | None = None, name: str = "") -> Figure:
    """Draw one C(q1, q2, Δ); see `correlation_maps`.

    Args:
        correlation: the map.
        cell: primitive cell whose peaks are marked; by default the peaks of fcc and hcp.
        name: for the title.

    Returns:
        The figure.

    Raises:
        InputError: for another kind than a `CorrelationMap`, or none.

    Example:
        >>> import simsc
        >>> crystal, q2_inv_nm = simsc.ball("fcc", 16.0, n=100, radius_nm=7.4), 0.481 * np.linspace(0.9, 1.1, 5)
        >>> figure = correlation_map(simsc.correlation_map(crystal, 0.481, q2_inv_nm, n_delta=61))
        >>> figure.axes[0].get_title()
        'q₁ = 0.481 nm⁻¹; as 111, d = 16.00 nm'
    """
    return correlation_maps({name: correlation}, cell)


def correlation_maps(maps: CorrelationMap | Mapping[str, CorrelationMap], cell: Cell | None = None) -> Figure:
    """Draw C(q1, q2, Δ) side by side like Fig. 3c of the paper, in one colour scale, with what is expected marked.

    What was not measured is grey. The scale leaves out Δ near 0° and 180°, where peaks meet themselves.

    Args:
        maps: one, or several by name; their q1 may differ.
        cell: primitive cell whose peaks are marked, each first reflection near q1 with markers of its own; by default
            the peaks of fcc and hcp, and the rods, of the spacing that q1 of each map implies, were it 111.

    Returns:
        The figure: a panel for each map, Δ in degrees across, q2 in nm⁻¹ up.

    Raises:
        InputError: for another kind than a `CorrelationMap`, or none.

    Example:
        >>> import simsc
        >>> q2_inv_nm = 0.481 * np.linspace(0.9, 1.1, 5)
        >>> maps = {
        ...     name: simsc.correlation_map(simsc.ball(name, 16.0, n=100, radius_nm=7.4), 0.481, q2_inv_nm, n_delta=61)
        ...     for name in ("fcc", "hcp")
        ... }
        >>> [ax.get_xlabel() for ax in correlation_maps(maps).axes[:2]]
        ['Δ (degrees)', 'Δ (degrees)']
    """
    maps = by_name(maps, CorrelationMap)
    figure = Figure(figsize=(5.6 * len(maps), 5.4), layout="constrained")
    panels = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    norm = Normalize(*(colour_limits(maps.values()) or (-1, 1)))
    for ax, (name, correlation) in zip(panels, maps.items(), strict=True):
        q2 = correlation.q2_inv_nm
        mesh = ax.pcolormesh(
            correlation.delta_deg, q2, correlation.ccf, norm=norm, cmap=CORRELATION_MAP, shading="nearest",
            rasterized=True,
        )  # fmt: skip
        ax.set_facecolor(UNMEASURED)
        title = headed(name, f"q₁ = {correlation.q1_inv_nm:.3f} nm⁻¹")
        if cell is None:
            _mark_expected(ax, correlation)
            title += f"; as 111, d = {d_nn_of_111_nm(correlation.q1_inv_nm):.2f} nm"
            handles = _legend_handles()
        else:
            handles = _mark_cell(ax, correlation, cell)
        if correlation.coverage.min() < _WHOLE:
            title += f"\ncoverage {correlation.coverage.min():.2f} to {correlation.coverage.max():.2f}"
        ax.set_title(title)
        delta_axis(ax)
        ax.set_ylim(q2[0], q2[-1])
    panels[0].set_ylabel(Q2_LABEL)
    figure.colorbar(mesh, ax=list(panels), label="C(q₁, q₂, Δ) (dimensionless)", extend="both", shrink=0.9)
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(maps) > 1 else 2, frameon=False)
    return figure


def colour_limits(maps: Iterable[CorrelationMap]) -> tuple[float, float] | None:
    """Return the least and the largest C of the colour scale of some maps; None if nothing was measured."""
    inner = np.concatenate([_clear_of_self(m).ravel() for m in maps])
    if not np.isfinite(inner).any():
        return None
    low, high = np.nanpercentile(inner, [2, 99.3])
    return float(low), float(high)


def correlation_difference(
    before: CorrelationMap, after: CorrelationMap, names: tuple[str, str] = ("before", "after")
) -> Figure:
    """Draw C of the second map minus C of the first, at equal q2 / q1 so that thermal expansion does not show.

    Args:
        before: the first map.
        after: the second map; it may have other q1, q2 and Δ, and is interpolated then.
        names: what to call them.

    Returns:
        The figure: Δ in degrees across, q2 / q1 up.

    Example:
        >>> import simsc
        >>> q2_inv_nm = 0.481 * np.linspace(0.9, 1.1, 5)
        >>> maps = {
        ...     name: simsc.correlation_map(simsc.ball(name, 16.0, n=100, radius_nm=7.4), 0.481, q2_inv_nm, n_delta=61)
        ...     for name in ("fcc", "hcp")
        ... }
        >>> correlation_difference(maps["fcc"], maps["hcp"], ("fcc", "hcp")).axes[0].get_title()
        'hcp − fcc'
    """
    figure = Figure(figsize=(6.4, 4.9), layout="constrained")
    ax = figure.subplots()
    ratio = before.q2_inv_nm / before.q1_inv_nm
    difference = CorrelationMap(
        1.0,
        ratio,
        before.delta_deg,
        _at_ratio(after, ratio, before.delta_deg) - before.ccf,
        before.coverage,
        before.radial_profile,
    )
    inner = np.abs(_clear_of_self(difference))
    limit = float(np.nanpercentile(inner, 99.3)) if np.isfinite(inner).any() else 1.0
    mesh = ax.pcolormesh(
        before.delta_deg,
        ratio,
        difference.ccf,
        vmin=-(limit or 1.0),
        vmax=limit or 1.0,
        cmap=DIFFERENCE_MAP,
        shading="nearest",
        rasterized=True,
    )
    ax.set_facecolor(UNMEASURED)
    for arc in rod_arcs(d_nn_of_111_nm(1.0), ratio):
        ax.plot(arc.delta_deg, arc.q2_inv_nm, "--", color="black", linewidth=0.8, alpha=0.7 if arc.from_axis else 0.25)
    delta_axis(ax)
    ax.set(ylabel="q₂ / q₁ (dimensionless)", ylim=(ratio[0], ratio[-1]))
    ax.set_title(plain(f"{names[1]} − {names[0]}"))
    figure.colorbar(mesh, ax=ax, label="difference of C (dimensionless)", extend="both")
    return figure


def correlation_line(maps: CorrelationMap | Mapping[str, CorrelationMap]) -> Figure:
    """Draw C(q1, q2 ≈ q1, Δ) of each map; dotted lines mark the angles between 111 reflections of fcc.

    Args:
        maps: one, or several by name.

    Returns:
        The figure: Δ in degrees across.

    Raises:
        InputError: for another kind than a `CorrelationMap`, or none.

    Example:
        >>> import simsc
        >>> q2_inv_nm = 0.481 * np.linspace(0.9, 1.1, 5)
        >>> maps = {
        ...     name: simsc.correlation_map(simsc.ball(name, 16.0, n=100, radius_nm=7.4), 0.481, q2_inv_nm, n_delta=61)
        ...     for name in ("fcc", "hcp")
        ... }
        >>> [text.get_text() for text in correlation_line(maps).axes[0].get_legend().get_texts()]
        ['fcc: q₂ = 0.481 nm⁻¹', 'hcp: q₂ = 0.481 nm⁻¹']
    """
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    ax = figure.subplots()
    shown = []
    for k, (name, correlation) in enumerate(by_name(maps, CorrelationMap).items()):
        row = int(np.abs(correlation.q2_inv_nm - correlation.q1_inv_nm).argmin())
        colour, style = LINES[k % len(LINES)]
        label = headed(name, f"q₂ = {correlation.q2_inv_nm[row]:.3f} nm⁻¹")
        ax.plot(correlation.delta_deg, correlation.ccf[row], style, color=colour, label=label)
        shown.append(_clear_of_self(correlation)[row])
    for angle in (np.degrees(np.arccos(1 / 3)), np.degrees(np.arccos(-1 / 3))):
        ax.axvline(angle, color=NEUTRAL, linestyle=":", linewidth=1)
        ax.annotate(
            f"{angle:.1f}°", (angle, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    delta_axis(ax)
    ax.set_ylabel("C(q₁, q₂ ≈ q₁, Δ) (dimensionless)")
    finite = np.concatenate(shown)[np.isfinite(np.concatenate(shown))]
    if finite.size and np.ptp(finite) > 0:
        ax.set_ylim(finite.min() - 0.06 * np.ptp(finite), finite.max() + 0.12 * np.ptp(finite))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _clear_of_self(correlation: CorrelationMap) -> np.ndarray:
    delta = correlation.delta_deg
    return correlation.ccf[:, (delta > CLEAR_OF_SELF_DEG) & (delta < 180 - CLEAR_OF_SELF_DEG)]


def _at_ratio(correlation: CorrelationMap, ratio: np.ndarray, delta_deg: np.ndarray) -> np.ndarray:
    """Return the map (n_q2, n_delta) at other q2 / q1 and Δ, by linear interpolation where they differ."""
    own = correlation.q2_inv_nm / correlation.q1_inv_nm
    if own.shape == ratio.shape and np.allclose(own, ratio) and np.array_equal(correlation.delta_deg, delta_deg):
        return correlation.ccf
    along = np.array([np.interp(delta_deg, correlation.delta_deg, row) for row in correlation.ccf])
    return np.array([np.interp(ratio, own, column, np.nan, np.nan) for column in along.T]).T


def _mark_cell(ax: Axes, correlation: CorrelationMap, cell: Cell) -> list[Line2D]:
    """Mark the peaks of a primitive cell, and return what the legend says of them."""
    span = (float(correlation.q2_inv_nm[0]), float(correlation.q2_inv_nm[-1]))
    handles = []
    firsts = firsts_of_shell(cell, correlation.q1_inv_nm, _PEAK_WIDTH * correlation.q1_inv_nm)
    for first, (marker, size) in zip(firsts[: len(_MARKERS)], _MARKERS, strict=False):
        peaks = expected_peaks_of_cell(cell, first, span)
        _mark_peaks(ax, peaks, marker, size)
        label = f"with {' '.join(map(str, first))} at q₁"
        handles.append(_ring(marker, size + 1, label))
    return handles


def _mark_peaks(ax: Axes, peaks: Sequence[ExpectedPeak], marker: str, size: float) -> None:
    ax.plot(
        [peak.delta_deg for peak in peaks],
        [peak.q2_inv_nm for peak in peaks],
        marker,
        linestyle="none",
        markersize=size,
        markerfacecolor="none",
        markeredgecolor="white",
        markeredgewidth=1.0,
        clip_on=False,
    )


def _ring(marker: str, size: float, label: str) -> Line2D:
    return Line2D(
        [], [], marker=marker, markersize=size, label=label, linestyle="none", markerfacecolor="none",
        markeredgecolor=NEUTRAL,
    )  # fmt: skip


def _mark_expected(ax: Axes, correlation: CorrelationMap) -> None:
    q2, d_nn_nm = correlation.q2_inv_nm, d_nn_of_111_nm(correlation.q1_inv_nm)
    span = (float(q2[0]), float(q2[-1]))
    fcc, hcp = (expected_peaks(structure, d_nn_nm, span) for structure in ("fcc", "hcp"))
    only = [peak for peak in hcp if not any(_coincide(peak, other) for other in fcc)]
    for arc in rod_arcs(d_nn_nm, q2):
        width, alpha = (1.3, 0.95) if arc.from_axis else (0.7, 0.45)
        ax.plot(arc.delta_deg, arc.q2_inv_nm, "--", color=ROD, linewidth=width, alpha=alpha)
    _mark_peaks(ax, fcc, "o", 9)
    _mark_peaks(ax, only, "s", 6)


def _coincide(a: ExpectedPeak, b: ExpectedPeak) -> bool:
    return abs(a.delta_deg - b.delta_deg) < 1 and abs(a.q2_inv_nm - b.q2_inv_nm) < 0.01 * b.q2_inv_nm


def _legend_handles() -> list[Line2D]:
    return [
        _ring("o", 10, "expected in fcc"),
        _ring("s", 8, "in hcp only"),
        Line2D([], [], color=ROD, linestyle="--", linewidth=1.4, label="rods 10l with 111 along the stacking"),
        Line2D([], [], color=ROD, linestyle="--", linewidth=0.8, alpha=0.6, label="rods 10l with other 111"),
    ]


def delta_axis(ax: Axes) -> None:
    """Let an axis of Δ run from 0° to 180°."""
    ax.set(xlabel="Δ (degrees)", xlim=(0, 180), xticks=range(0, 181, 30))
