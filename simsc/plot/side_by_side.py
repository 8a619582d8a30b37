"""Figures of two measurements or simulations side by side: maps, their difference, lines, radial profiles, rods."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import SubFigure

from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.correlation.compare import MapComparison
from simsc.plot.correlation import Q2_LABEL, delta_axis
from simsc.plot.style import CORRELATION_MAP, DIFFERENCE_MAP, LINES, NEUTRAL, UNMEASURED, Figure, by_name, plain
from simsc.scattering.rods import RodProfile

_220_OVER_111 = np.sqrt(8 / 3)
# l of reflections: fcc and its twin, hcp; in units of c* of hcp.
_ROD_REFLECTIONS = {"twinned fcc": (2 / 3, 4 / 3, 8 / 3), "hcp": (0, 1, 2, 3)}


def comparison(
    compared: MapComparison,
    names: tuple[str, str] = ("first", "second"),
    lines_inv_nm: Sequence[float] = (),
    scaled: bool = False,
    rods: tuple[RodProfile, RodProfile] | None = None,
) -> Figure:
    """Draw two maps and their difference, lines at some q2 like Fig. 3f of the paper, radial profiles and rods.

    Grey is what was not measured, or not well enough to be compared. What lies near 0° and 180° is drawn, but colours
    are not made for it.

    Args:
        compared: the two maps, from `simsc.correlation.compare.compare_maps`.
        names: what to call them.
        lines_inv_nm: values of q2 to draw lines at, nm⁻¹; none given: q1, and 220 of fcc if q1 is 111.
        scaled: divide the second map by the scale factor, as for a measurement and a simulation.
        rods: of both, if they are known.

    Returns:
        The figure: the maps above, all else below.

    Raises:
        InputError: for a line outside of the maps.

    Example:
        >>> import simsc
        >>> from simsc.correlation.compare import compare_maps
        >>> q2_inv_nm = 0.481 * np.linspace(0.9, 1.1, 5)
        >>> fcc, hcp = (
        ...     simsc.correlation_map(simsc.ball(name, 16.0, n=100, radius_nm=7.4), 0.481, q2_inv_nm, n_delta=61)
        ...     for name in ("fcc", "hcp")
        ... )
        >>> figure = comparison(compare_maps(fcc, hcp), ("fcc", "hcp"))
    """
    names = plain(names[0]), plain(names[1])
    rows = lines_of(compared, lines_inv_nm)
    below = len(rows) + 1 + (rods is not None)
    columns = below if below <= 4 else 3
    figure = Figure(figsize=(15.0, 5.2 + 3.3 * -(-below // columns)), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(5.2, 3.3 * -(-below // columns)))
    upper, lower = parts[0, 0], parts[1, 0]
    _draw_maps(upper, compared, names, rows, scaled)
    panels = lower.subplots(-(-below // columns), columns, squeeze=False).ravel()
    for ax, row in zip(panels, rows, strict=False):
        _draw_line(ax, compared, names, row, scaled)
    draw_profiles(panels[len(rows)], compared, names)
    if rods is not None:
        draw_rods(panels[len(rows) + 1], rods, names)
    for ax in panels[below:]:
        ax.set_axis_off()
    return figure


def lines_of(comparison: MapComparison, lines_inv_nm: Sequence[float] = ()) -> list[int]:
    """Return the rows of the maps nearest to some q2, nm⁻¹, or to those that are drawn by default.

    Raises:
        InputError: for a line outside of the maps.
    """
    q2 = comparison.first.q2_inv_nm
    reach = 0.5 * float(np.diff(q2).max()) if len(q2) > 1 else 0.01
    q1 = comparison.first.q1_inv_nm
    wanted = list(lines_inv_nm) or [q for q in (q1, _220_OVER_111 * q1) if q2[0] - reach <= q <= q2[-1] + reach]
    for q in wanted:
        if not q2[0] - reach <= q <= q2[-1] + reach:
            raise InputError(f"a line at q2 = {q:g} nm⁻¹ lies outside of the maps, {q2[0]:g} … {q2[-1]:g}")
    return [int(np.abs(q2 - q).argmin()) for q in wanted]


def _draw_maps(
    figure: SubFigure, comparison: MapComparison, names: tuple[str, str], rows: Sequence[int], scaled: bool
) -> None:
    first, second = comparison.first, comparison.second
    panels = figure.subplots(1, 4, sharey=True, width_ratios=(1, 1, 1, 0.42))
    factor = comparison.scale if scaled else 1.0
    maps = [first.ccf, second.ccf / factor]
    inner = np.concatenate([values[comparison.used] for values in maps])
    norm = Normalize(*np.percentile(inner, [1, 99.5]))
    titles = [names[0], names[1] + (f", divided by {factor:.3g}" if scaled else "")]
    for ax, values, title in zip(panels, maps, titles, strict=False):
        mesh = _mesh(ax, first, values, norm, CORRELATION_MAP)
        ax.set_title(title)
    bar: dict[str, Any] = {"location": "bottom", "extend": "both", "fraction": 0.05, "pad": 0.02}
    figure.colorbar(mesh, ax=panels[:2], label="C(q₁, q₂, Δ) (dimensionless)", shrink=0.6, **bar)
    difference = comparison.difference(scaled)
    limit = float(np.percentile(np.abs(difference[comparison.used]), 99.5)) or 1.0
    mesh = _mesh(panels[2], first, difference, Normalize(-limit, limit), DIFFERENCE_MAP)
    panels[2].set_title(f"{names[1]} − {names[0]}" if not scaled else f"{names[1]} / {factor:.3g} − {names[0]}")
    figure.colorbar(mesh, ax=panels[2], label="difference (dimensionless)", **bar)
    compared = first.delta_deg[comparison.used.any(axis=0)]
    for ax in panels[:3]:
        for angle in compared[[0, -1]]:
            ax.axvline(angle, color="black", linewidth=0.6, linestyle=(0, (1, 2)))
        ax.set_ylim(first.q2_inv_nm[0], first.q2_inv_nm[-1])
        for row in rows:
            ax.plot([0, 1], [first.q2_inv_nm[row]] * 2, transform=ax.get_yaxis_transform(), color="white",
                    linewidth=0.7, linestyle=(0, (1, 3)))  # fmt: skip
    panels[0].set_ylabel(Q2_LABEL)
    _draw_row_coefficients(panels[3], comparison)
    q1 = " and ".join(dict.fromkeys(f"{one.q1_inv_nm:.4g}" for one in (first, second)))
    r = _with_error(comparison.pearson, comparison.pearson_error)
    text = f"q₁ = {q1} nm⁻¹;  correlation coefficient r = {r} between the upright dotted lines"
    figure.suptitle(text, fontsize=12)


def _mesh(ax: Axes, axes: CorrelationMap, values: np.ndarray, norm: Normalize, colours: str):  # type: ignore[no-untyped-def]
    ax.set_facecolor(UNMEASURED)
    delta_axis(ax)
    masked = np.ma.masked_invalid(values)
    if len(axes.q2_inv_nm) == 1:  # one row alone has no height
        masked = np.ma.vstack([masked, masked])
        half = 0.0025
        q2 = np.array([axes.q2_inv_nm[0] - half, axes.q2_inv_nm[0] + half])
        return ax.pcolormesh(axes.delta_deg, q2, masked, norm=norm, cmap=colours, shading="nearest", rasterized=True)
    return ax.pcolormesh(
        axes.delta_deg, axes.q2_inv_nm, masked, norm=norm, cmap=colours, shading="nearest", rasterized=True
    )


def _with_error(value: float, error: float) -> str:
    if not np.isfinite(error):
        return f"{value:.3f}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 2, 5)) if error > 0 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _draw_row_coefficients(ax: Axes, comparison: MapComparison) -> None:
    q2, r, error = comparison.first.q2_inv_nm, comparison.row_pearson, comparison.row_pearson_error
    ax.fill_betweenx(q2, r - error, np.minimum(r + error, 1), color=NEUTRAL, alpha=0.25, linewidth=0)
    ax.plot(r, q2, color=NEUTRAL, linewidth=1.2)
    ax.axvline(0, color=NEUTRAL, linewidth=0.6)
    low = float(np.nanmin(r - np.nan_to_num(error), initial=0.0))
    ax.set(xlabel="r at each q₂", xlim=(max(-1.0, low), 1.02))
    ax.set_title("row by row (± 1 σ)")


def _draw_line(ax: Axes, comparison: MapComparison, names: tuple[str, str], row: int, scaled: bool) -> None:
    """Draw C(Δ) of both at one q2, with bands of one standard deviation where it is known."""
    delta, used = comparison.first.delta_deg, comparison.used[row]
    shown = []
    maps = (comparison.first, comparison.second)
    for one, name, (colour, style), factor in zip(
        maps, names, LINES[:2], (1.0, comparison.scale if scaled else 1.0), strict=True
    ):
        values = one.ccf[row] / factor
        ax.plot(delta, values, style, color=colour, linewidth=1.3, label=name)
        shown.append(values[used])
        if one.variance is not None:
            sigma = np.sqrt(one.variance[row]) / abs(factor)
            ax.fill_between(delta, values - sigma, values + sigma, color=colour, alpha=0.25, linewidth=0)
            shown += [(values - sigma)[used], (values + sigma)[used]]
    finite = np.concatenate(shown)
    if finite.size and np.ptp(finite) > 0:
        ax.set_ylim(finite.min() - 0.06 * np.ptp(finite), finite.max() + 0.3 * np.ptp(finite))
    _grey_out(ax, delta, np.isfinite(maps[0].ccf[row]) & np.isfinite(maps[1].ccf[row]))
    delta_axis(ax)
    ax.set_ylabel("C(q₁, q₂, Δ)")
    r, error = comparison.row_pearson[row], comparison.row_pearson_error[row]
    text = "" if np.isnan(r) else f":  r = {_with_error(r, error)}"
    ax.set_title(f"q₂ = {comparison.first.q2_inv_nm[row]:.3f} nm⁻¹{text}")
    title = "bands: ± 1 σ of the noise" if any(one.variance is not None for one in maps) else None
    ax.legend(frameon=False, fontsize=9, ncols=2, loc="upper center", title=title, title_fontsize=8)


def _grey_out(ax: Axes, delta: np.ndarray, known: np.ndarray) -> None:
    """Mark the angles at which one map has no value."""
    ax.fill_between(delta, 0, 1, where=~known, transform=ax.get_xaxis_transform(), color=UNMEASURED, linewidth=0)


def draw_profiles(ax: Axes, comparison: MapComparison, names: tuple[str, str]) -> None:
    """Draw the mean intensity on each sphere q2 of both maps, the second one scaled to the same geometric mean."""
    first, second = comparison.first.radial_profile, comparison.second.radial_profile
    q2 = comparison.first.q2_inv_nm
    both = (first > 0) & (second > 0)
    factor = float(np.exp(np.mean(np.log(first[both] / second[both])))) if both.any() else 1.0
    for values, name, (colour, style) in zip(
        (first, second * factor), (names[0], f"{names[1]} × {factor:.3g}"), LINES[:2], strict=True
    ):
        ax.plot(q2, np.where(both, values, np.nan), style, color=colour, linewidth=1.3, label=name)
    ax.set_yscale("log")
    ax.axvline(comparison.first.q1_inv_nm, color=NEUTRAL, linestyle=":", linewidth=1)
    ax.annotate("q₁", (comparison.first.q1_inv_nm, 0), (3, 4), xycoords=("data", "axes fraction"),
                textcoords="offset points", color=NEUTRAL, fontsize=9)  # fmt: skip
    ax.set(xlabel="q (nm⁻¹)", ylabel="mean intensity (arb. units)", title="radial profiles")
    if len(q2) > 1:
        ax.set_xlim(q2[0], q2[-1])
    ax.legend(frameon=False, fontsize=9)


def rods(profiles: RodProfile | Mapping[str, RodProfile]) -> Figure:
    """Draw the intensity along Bragg rods, each over its mean, like Fig. 4c of the paper.

    Args:
        profiles: one, or several by name, of the same rods: from `simsc.scattering.rods`.

    Returns:
        The figure: l in units of c* of hcp across.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> from simsc.classify.stacking import layer_frame
        >>> from simsc.scattering.rods import rod_profile
        >>> crystal = ball("hcp", 16.0, n=200, radius_nm=7.4)
        >>> figure = rods(rod_profile([crystal], layer_frame(crystal), np.linspace(0.2, 2, 10)))
        >>> figure.axes[0].get_title()
        'Bragg rods 10l'
    """
    found = by_name(profiles, RodProfile)
    figure = Figure(figsize=(5.4, 3.9), layout="constrained")
    draw_rods(figure.subplots(), tuple(found.values()), [plain(name) for name in found])
    return figure


def draw_rods(ax: Axes, rods: Sequence[RodProfile], names: Sequence[str]) -> None:
    """Draw the intensity along the rods 10l of each, each over its mean, like Fig. 4c of the paper."""
    top = 0.0
    for rod, name, (colour, style) in zip(rods, names, itertools.cycle(LINES), strict=False):
        mean = float(np.nanmean(rod.intensity))
        values, spread = rod.intensity / mean, rod.spread / mean
        ax.plot(rod.l_hcp, values, style, color=colour, linewidth=1.3, label=name)
        ax.fill_between(rod.l_hcp, values - spread, values + spread, color=colour, alpha=0.15, linewidth=0)
        top = max(top, float(np.nanmax(values)))
    reach = max(float(rod.l_hcp.max()) for rod in rods)
    for (structure, places), dashes in zip(_ROD_REFLECTIONS.items(), ((4, 2), (1, 2)), strict=True):
        for n, place in enumerate(p for p in places if p <= reach):
            ax.axvline(place, color=NEUTRAL, linewidth=0.8, linestyle=(0, dashes), label=structure if n == 0 else None)
    h, k = rods[0].hk
    ax.set(xlabel="l (c* of hcp)", ylabel="intensity / mean", ylim=(0, 1.35 * top), title=f"Bragg rods {h}{k}l")
    title = "bands: spread among equivalent rods"
    ax.legend(framealpha=0.9, edgecolor="none", fontsize=9, ncols=2, title=title, title_fontsize=8)
