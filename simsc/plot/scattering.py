"""Figures of the scattering: slices of I(q), radial profiles, correlation maps. Each function returns a figure.

What is drawn goes by names: those of states, such as before and after, or of whatever is laid side by side.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch

from simsc.core.cell import Cell
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.stacking import LAYER_SPACING
from simsc.correlation.peaks import (
    ExpectedPeak,
    cell_reflections,
    expected_peaks,
    expected_peaks_of_cell,
    firsts_of_shell,
    rod_arcs,
)
from simsc.plot.style import (
    COLOURS,
    LINES,
    NEUTRAL,
    plain,
)

UNMEASURED = "#bbbbbb"  # as no colour of the maps
_MARKERS = (("o", 9), ("s", 7), ("^", 7), ("D", 6))
_TAN_X_IS_X = (4.493409, 7.725252, 10.904122, 14.066194, 17.220755)
_CLOSE = 0.018  # of the span of reflections
_PEAK_WIDTH = 0.012  # of q1: reflections this close to it are on its sphere
CLEAR_OF_SELF_DEG = 15.0  # where q2 = q1, the correlation of a peak with itself outshines everything near 0° and 180°
_WHOLE = 0.995  # coverage of what was measured everywhere
_Q2_LABEL = "q₂ (nm⁻¹)"
_DELTA_LABEL = "Δ (degrees)"
_PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # horizontal axis, vertical axis, normal


def spacing_nm(q1_inv_nm: float) -> float:
    """Return the nearest-neighbour distance, nm, of the fcc crystal whose 111 reflection lies at q1."""
    return float(2 * np.pi / (LAYER_SPACING * q1_inv_nm))


def intensity_slices(volumes: dict[str, IntensityVolume], q1_inv_nm: float | None = None) -> Figure:
    """Draw the three central planes of log I(q), one row for each volume, in one colour scale.

    What was not measured is grey; zeros have the darkest colour.

    Args:
        volumes: by name.
        q1_inv_nm: where a ring is drawn, nm⁻¹; none by default.
    """
    figure = Figure(figsize=(10.2, 3.25 * len(volumes) + 0.2), layout="constrained")
    panels = figure.subplots(len(volumes), 3, squeeze=False)
    slices = {state: [_central_plane(volume, *plane) for plane in _PLANES] for state, volume in volumes.items()}
    norm = _logarithmic(volumes, slices, q1_inv_nm)
    for row, (state, volume) in zip(panels, volumes.items(), strict=True):
        for ax, (across, up, normal), values in zip(row, _PLANES, slices[state], strict=True):
            axes = volume.q_axes_inv_nm
            seen = np.maximum(values.T, 0.1 * float(norm.vmin or 1.0))
            mesh = ax.pcolormesh(
                axes[across], axes[up], seen, norm=norm, cmap="inferno", shading="nearest", rasterized=True
            )
            ax.set_facecolor(UNMEASURED)
            if q1_inv_nm is not None:
                ax.add_patch(Circle((0, 0), q1_inv_nm, fill=False, edgecolor="white", linestyle=":", linewidth=0.9))
            names = "xyz"
            ax.set_title(f"{plain(state)}, q{names[normal]} ≈ 0")
            ax.set(xlabel=f"q{names[across]} (nm⁻¹)", ylabel=f"q{names[up]} (nm⁻¹)", aspect="equal")
    figure.colorbar(mesh, ax=panels, label="intensity (arbitrary units)", shrink=0.7, extend="both")
    if any(np.isnan(values).any() for row in slices.values() for values in row):
        figure.legend(handles=[not_measured()], loc="outside lower center", frameon=False)
    return figure


def not_measured() -> Patch:
    """Return what the legend says of grey."""
    return Patch(facecolor=UNMEASURED, label="not measured")


def spheres_of_intensity(spheres: Sequence[ShellIntensity], q_inv_nm: np.ndarray, profile: np.ndarray) -> Figure:
    """Draw log I on spheres, over the mean on each, and the radial profile of all that there are.

    Args:
        spheres: those to draw.
        q_inv_nm: (n_q,) momentum transfers of all spheres, nm⁻¹.
        profile: (n_q,) mean intensity on them, NaN where nothing was measured.
    """
    figure = Figure(figsize=(5.0 * (len(spheres) + 1), 3.6), layout="constrained")
    for k, sphere in enumerate(spheres):
        ax = figure.add_subplot(1, len(spheres) + 1, k + 1, projection="mollweide")
        values = sphere.intensity if sphere.measured is None else np.where(sphere.measured, sphere.intensity, np.nan)
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else 1.0
        n_theta, n_phi = values.shape
        latitude = np.pi / 2 - np.arccos(shell_grid(n_theta, 2)[0][:, 0, 2])
        longitude = 2 * np.pi * np.arange(n_phi) / n_phi
        half = n_phi // 2 + 1  # of even numbers the last column at 180° stays where it is
        longitude = np.concatenate([longitude[half:] - 2 * np.pi, longitude[:half]])
        norm = LogNorm(0.1, 100)
        seen = np.maximum(np.concatenate([values[:, half:], values[:, :half]], axis=1) / (mean or 1.0), 0.01)
        mesh = ax.pcolormesh(longitude, latitude, seen, norm=norm, cmap="inferno", shading="nearest", rasterized=True)
        ax.set_facecolor(UNMEASURED)
        ax.set(xticklabels=[], title=f"q = {sphere.q_inv_nm:.3f} nm⁻¹")
        ax.set(xlabel="longitude from x; latitude from xy (degrees)")
    figure.colorbar(
        mesh, ax=figure.axes, label="I / ⟨I⟩ on the sphere", extend="both", orientation="horizontal", shrink=0.4
    )
    ax = figure.add_subplot(1, len(spheres) + 1, len(spheres) + 1)
    ax.semilogy(q_inv_nm, profile, color=LINES[0][0])
    for sphere in spheres:
        ax.axvline(sphere.q_inv_nm, color=NEUTRAL, linestyle=":", linewidth=1)
    ax.set(xlabel="q (nm⁻¹)", ylabel="mean intensity (arbitrary units)", xlim=(q_inv_nm[0], q_inv_nm[-1]))
    if any(sphere.measured is not None for sphere in spheres):
        figure.legend(handles=[not_measured()], loc="outside lower left", frameon=False)
    return figure


def zeros_of_sphere(radius_nm: float, q_low_inv_nm: float, q_high_inv_nm: float) -> list[float]:
    """Return where the form factor of a sphere is zero within a range, nm⁻¹: q R = 4.4934, 7.7253, … (tan x = x).

    Example:
        >>> [round(q, 4) for q in zeros_of_sphere(2.0, 1.0, 4.0)]
        [2.2467, 3.8626]
    """
    return [x / radius_nm for x in _TAN_X_IS_X if q_low_inv_nm <= x / radius_nm <= q_high_inv_nm]


def radial_profiles(
    maps: dict[str, CorrelationMap], cell: Cell | None = None, radius_nm: float | None = None
) -> Figure:
    """Draw the mean intensity on each sphere q2, with the reflections that are expected.

    Args:
        maps: by name; their radial profiles are drawn.
        cell: primitive cell whose reflections are marked; by default those of fcc and hcp of the spacing that q1 of the
            last map implies, were it 111.
        radius_nm: of the cores, nm, to mark where their form factor, that of a sphere, is zero.
    """
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    ax = figure.subplots()
    for k, (state, correlation) in enumerate(maps.items()):
        colour, style = LINES[k % len(LINES)]
        ax.semilogy(correlation.q2_inv_nm, correlation.radial_profile, style, color=colour, label=plain(state))
    last = list(maps.values())[-1]
    q2 = last.q2_inv_nm
    handles = list(ax.get_legend_handles_labels()[0])
    if cell is None:
        found = {
            structure: _families(structure, spacing_nm(last.q1_inv_nm), float(q2[0]), float(q2[-1]))
            for structure in ("fcc", "hcp")
        }
        for structure, offset, row in (("fcc", 14, "upper"), ("hcp", 2, "lower")):
            dashes = (0.0 if structure == "fcc" else 2.0, (2.0, 2.0))
            _mark_reflections(ax, found[structure], COLOURS[structure], offset, dashes)
            label = f"reflections of {structure} ({row} row)"
            handles.append(Line2D([], [], color=COLOURS[structure], linestyle=(0, (2, 2)), label=label))
    else:
        _mark_reflections(ax, _reflections_of(cell, float(q2[0]), float(q2[-1])), NEUTRAL, 2, (0.0, (2.0, 2.0)), 90)
        handles.append(Line2D([], [], color=NEUTRAL, linestyle=(0, (2, 2)), label="reflections of the cell"))
    if radius_nm is not None and (zeros := zeros_of_sphere(radius_nm, float(q2[0]), float(q2[-1]))):
        for q in zeros:
            ax.axvline(q, color="black", linewidth=1.2, linestyle=":", zorder=1)
        handles.append(Line2D([], [], color="black", linewidth=1.2, linestyle=":", label="zero of the form factor"))
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    ax.set(xlabel="q (nm⁻¹)", ylabel="mean intensity (arbitrary units)", xlim=(q2[0], q2[-1]))
    return figure


def correlation_maps(maps: dict[str, CorrelationMap], cell: Cell | None = None) -> Figure:
    """Draw C(q1, q2, Δ) of each state like Fig. 3c of the paper, in one colour scale, with what is expected marked.

    Args:
        maps: by name.
        cell: primitive cell whose peaks are marked, each first reflection near q1 with markers of its own; by default
            the peaks of fcc and hcp, and the rods, of the spacing that q1 of each map implies, were it 111.
    """
    figure = Figure(figsize=(5.6 * len(maps), 5.4), layout="constrained")
    panels = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    inner = np.concatenate([_clear_of_self(m).ravel() for m in maps.values()])
    norm = Normalize(*np.nanpercentile(inner, [2, 99.3])) if np.isfinite(inner).any() else Normalize(-1, 1)
    for ax, (state, correlation) in zip(panels, maps.items(), strict=True):
        q2 = correlation.q2_inv_nm
        mesh = ax.pcolormesh(
            correlation.delta_deg, q2, correlation.ccf, norm=norm, cmap="viridis", shading="nearest", rasterized=True
        )
        ax.set_facecolor(UNMEASURED)
        title = f"{plain(state)}: q₁ = {correlation.q1_inv_nm:.3f} nm⁻¹"
        if cell is None:
            _mark_expected(ax, correlation)
            title += f"; as 111, d = {spacing_nm(correlation.q1_inv_nm):.2f} nm"
            handles = _legend_handles()
        else:
            handles = _mark_cell(ax, correlation, cell)
        if correlation.coverage.min() < _WHOLE:
            title += f"\ncoverage {correlation.coverage.min():.2f} to {correlation.coverage.max():.2f}"
        ax.set_title(title)
        _delta_axis(ax)
        ax.set_ylim(q2[0], q2[-1])
    panels[0].set_ylabel(_Q2_LABEL)
    figure.colorbar(mesh, ax=list(panels), label="C(q₁, q₂, Δ) (dimensionless)", extend="both", shrink=0.9)
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(maps) > 1 else 2, frameon=False)
    return figure


def correlation_difference(
    before: CorrelationMap, after: CorrelationMap, names: tuple[str, str] = ("before", "after")
) -> Figure:
    """Draw C of the second map minus C of the first, at equal q2 / q1 so that thermal expansion does not show."""
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
        cmap="PuOr_r",
        shading="nearest",
        rasterized=True,
    )
    ax.set_facecolor(UNMEASURED)
    for arc in rod_arcs(spacing_nm(1.0), ratio):
        ax.plot(arc.delta_deg, arc.q2_inv_nm, "--", color="black", linewidth=0.8, alpha=0.7 if arc.from_axis else 0.25)
    _delta_axis(ax)
    ax.set(ylabel="q₂ / q₁ (dimensionless)", ylim=(ratio[0], ratio[-1]))
    ax.set_title(plain(f"{names[1]} − {names[0]}"))
    figure.colorbar(mesh, ax=ax, label="difference of C (dimensionless)", extend="both")
    return figure


def correlation_line(maps: dict[str, CorrelationMap]) -> Figure:
    """Draw C(q1, q2 ≈ q1, Δ) of each map; dotted lines mark the angles between 111 reflections of fcc."""
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    ax = figure.subplots()
    shown = []
    for k, (state, correlation) in enumerate(maps.items()):
        row = int(np.abs(correlation.q2_inv_nm - correlation.q1_inv_nm).argmin())
        colour, style = LINES[k % len(LINES)]
        label = f"{plain(state)}: q₂ = {correlation.q2_inv_nm[row]:.3f} nm⁻¹"
        ax.plot(correlation.delta_deg, correlation.ccf[row], style, color=colour, label=label)
        shown.append(_clear_of_self(correlation)[row])
    for angle in (np.degrees(np.arccos(1 / 3)), np.degrees(np.arccos(-1 / 3))):
        ax.axvline(angle, color=NEUTRAL, linestyle=":", linewidth=1)
        ax.annotate(
            f"{angle:.1f}°", (angle, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    _delta_axis(ax)
    ax.set_ylabel("C(q₁, q₂ ≈ q₁, Δ) (dimensionless)")
    finite = np.concatenate(shown)[np.isfinite(np.concatenate(shown))]
    if finite.size and np.ptp(finite) > 0:
        ax.set_ylim(finite.min() - 0.06 * np.ptp(finite), finite.max() + 0.12 * np.ptp(finite))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _central_plane(volume: IntensityVolume, across: int, up: int, normal: int) -> np.ndarray:
    """Return the plane nearest q = 0, first index `across`, second `up`; NaN where nothing was measured."""
    intensity = volume.intensity if volume.measured is None else np.where(volume.measured, volume.intensity, np.nan)
    return np.take(intensity, int(np.abs(volume.q_axes_inv_nm[normal]).argmin()), axis=normal)


def _logarithmic(
    volumes: dict[str, IntensityVolume], slices: dict[str, list[np.ndarray]], q1_inv_nm: float | None
) -> LogNorm:
    """Scale to what lies outside the forward peak, which outshines every reflection."""
    outside = []
    for state, volume in volumes.items():
        forward = 0.25 * volume.q_max_inv_nm if q1_inv_nm is None else 0.5 * q1_inv_nm
        for (across, up, _), values in zip(_PLANES, slices[state], strict=True):
            axes = volume.q_axes_inv_nm
            q = np.hypot(axes[across][:, None], axes[up][None, :])
            outside.append(values[(q > forward) & (values > 0)])
    positive = np.concatenate(outside)
    if positive.size == 0:
        return LogNorm(1e-3, 1.0)
    low, high = np.percentile(positive, [15, 99.8])
    return LogNorm(float(low), float(max(high, 1.001 * low)))


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


def _families(structure: str, d_nn_nm: float, q_low: float, q_high: float) -> list[tuple[float, str]]:
    """Return |q| and a name for each family of reflections within a range; families of equal |q| share an entry."""
    found: dict[float, set[str]] = {}
    for peak in expected_peaks(structure, d_nn_nm, (q_low, q_high)):
        found.setdefault(round(peak.q2_inv_nm, 4), set()).add(peak.family)
    return [(q, "/".join(sorted(names))) for q, names in sorted(found.items())]


def _reflections_of(cell: Cell, q_low: float, q_high: float) -> list[tuple[float, str]]:
    """Return |q| and indices of the reflections of a primitive cell within a range, one of each Friedel pair."""
    g, hkl, _ = cell_reflections(cell, np.zeros((1, 3)), q_high)
    q = np.linalg.norm(g, axis=1)
    chosen = [k for k in np.argsort(q) if q[k] >= q_low and tuple(hkl[k]) > tuple(-hkl[k])]
    return [(float(q[k]), "".join(f"{i}" if i >= 0 else f"{-i}\u0305" for i in hkl[k])) for k in chosen]


def _mark_reflections(
    ax: Axes,
    families: Sequence[tuple[float, str]],
    colour: str,
    offset: float,
    dashes: tuple[float, tuple[float, float]],
    rotation: float = 0,
) -> None:
    span, named = (families[-1][0] - families[0][0] if families else 0.0), -np.inf
    for q, family in families:
        ax.axvline(q, color=colour, linewidth=0.9, linestyle=dashes, zorder=1)
        if q - named < _CLOSE * span:
            continue  # its name would be written over the one before
        named = q
        ax.annotate(
            family,
            (q, 1.0),
            (0, offset),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=colour,
            rotation=rotation,
        )


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
    q2, d_nn_nm = correlation.q2_inv_nm, spacing_nm(correlation.q1_inv_nm)
    span = (float(q2[0]), float(q2[-1]))
    fcc, hcp = (expected_peaks(structure, d_nn_nm, span) for structure in ("fcc", "hcp"))
    only = [peak for peak in hcp if not any(_coincide(peak, other) for other in fcc)]
    for arc in rod_arcs(d_nn_nm, q2):
        width, alpha = (1.3, 0.95) if arc.from_axis else (0.7, 0.45)
        ax.plot(arc.delta_deg, arc.q2_inv_nm, "--", color="#ff6f59", linewidth=width, alpha=alpha)
    _mark_peaks(ax, fcc, "o", 9)
    _mark_peaks(ax, only, "s", 6)


def _coincide(a: ExpectedPeak, b: ExpectedPeak) -> bool:
    return abs(a.delta_deg - b.delta_deg) < 1 and abs(a.q2_inv_nm - b.q2_inv_nm) < 0.01 * b.q2_inv_nm


def _legend_handles() -> list[Line2D]:
    return [
        _ring("o", 10, "expected in fcc"),
        _ring("s", 8, "in hcp only"),
        Line2D([], [], color="#ff6f59", linestyle="--", linewidth=1.4, label="rods 10l with 111 along the stacking"),
        Line2D([], [], color="#ff6f59", linestyle="--", linewidth=0.8, alpha=0.6, label="rods 10l with other 111"),
    ]


def _delta_axis(ax: Axes) -> None:
    ax.set(xlabel=_DELTA_LABEL, xlim=(0, 180), xticks=range(0, 181, 30))
