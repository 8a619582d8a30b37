"""Figures of scattered intensity: planes through I(q), spheres, and the mean on spheres against |q|.

What is drawn goes by names: those of states, such as before and after, or of whatever is laid side by side.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch

from simsc.core.cell import Cell
from simsc.core.close_packing import d_nn_of_111_nm
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.label_classes import CLOSE_PACKED, label_class
from simsc.correlation.peaks import cell_reflections, expected_peaks
from simsc.plot.style import INTENSITY_MAP, LINES, NEUTRAL, UNMEASURED, Figure, by_name, plain

_TAN_X_IS_X = (4.493409, 7.725252, 10.904122, 14.066194, 17.220755)
_CLOSE = 0.018  # of the span of reflections
_PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # horizontal axis, vertical axis, normal


def intensity(volumes: IntensityVolume | Mapping[str, IntensityVolume], q1_inv_nm: float | None = None) -> Figure:
    """Draw the three central planes of log I(q), one row for each volume, in one colour scale.

    What was not measured is grey; zeros have the darkest colour.

    Args:
        volumes: one, or several by name.
        q1_inv_nm: where a ring is drawn, nm⁻¹; none by default.

    Returns:
        The figure: axes in nm⁻¹.

    Raises:
        InputError: for another kind than an `IntensityVolume`, or none.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> from simsc.scattering.amplitude import intensity_on_grid
        >>> volume = intensity_on_grid(ball("fcc", 16.0, n=100, radius_nm=7.4), 0.9, 32)
        >>> [ax.get_title() for ax in intensity(volume, q1_inv_nm=0.481).axes[:3]]
        ['qz ≈ 0', 'qy ≈ 0', 'qx ≈ 0']
    """
    volumes = by_name(volumes, IntensityVolume)
    figure = Figure(figsize=(10.2, 3.25 * len(volumes) + 0.2), layout="constrained")
    panels = figure.subplots(len(volumes), 3, squeeze=False)
    slices = {state: [_central_plane(volume, *plane) for plane in _PLANES] for state, volume in volumes.items()}
    norm = _logarithmic(volumes, slices, q1_inv_nm)
    for row, (state, volume) in zip(panels, volumes.items(), strict=True):
        for ax, (across, up, normal), values in zip(row, _PLANES, slices[state], strict=True):
            axes = volume.q_axes_inv_nm
            seen = np.maximum(values.T, 0.1 * float(norm.vmin or 1.0))
            mesh = ax.pcolormesh(
                axes[across], axes[up], seen, norm=norm, cmap=INTENSITY_MAP, shading="nearest", rasterized=True
            )
            ax.set_facecolor(UNMEASURED)
            if q1_inv_nm is not None:
                ax.add_patch(Circle((0, 0), q1_inv_nm, fill=False, edgecolor="white", linestyle=":", linewidth=0.9))
            names = "xyz"
            ax.set_title(f"{plain(state)}, q{names[normal]} ≈ 0" if state else f"q{names[normal]} ≈ 0")
            ax.set(xlabel=f"q{names[across]} (nm⁻¹)", ylabel=f"q{names[up]} (nm⁻¹)", aspect="equal")
    figure.colorbar(mesh, ax=panels, label="intensity (arbitrary units)", shrink=0.7, extend="both")
    if any(np.isnan(values).any() for row in slices.values() for values in row):
        figure.legend(handles=[not_measured()], loc="outside lower center", frameon=False)
    return figure


def not_measured() -> Patch:
    """Return what the legend says of grey."""
    return Patch(facecolor=UNMEASURED, label="not measured")


def spheres(shells: Sequence[ShellIntensity], q_inv_nm: np.ndarray, profile: np.ndarray) -> Figure:
    """Draw log I on spheres, over the mean on each, and the radial profile of all that there are.

    Args:
        shells: the spheres to draw.
        q_inv_nm: (n_q,) momentum transfers of all spheres, nm⁻¹.
        profile: (n_q,) mean intensity on them, NaN where nothing was measured.

    Returns:
        The figure.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> from simsc.correlation.shells import shells_of_crystal
        >>> q_inv_nm = np.array([0.481, 0.785])
        >>> _, on_spheres = shells_of_crystal([ball("fcc", 16.0, n=100, radius_nm=7.4)], 0.481, q_inv_nm)
        >>> shells = list(on_spheres)
        >>> figure = spheres(shells, q_inv_nm, np.array([shell.intensity.mean() for shell in shells]))
        >>> [ax.get_title() for ax in figure.axes[:2]]
        ['q = 0.481 nm⁻¹', 'q = 0.785 nm⁻¹']
    """
    figure = Figure(figsize=(5.0 * (len(shells) + 1), 3.6), layout="constrained")
    for k, sphere in enumerate(shells):
        ax = figure.add_subplot(1, len(shells) + 1, k + 1, projection="mollweide")
        values = sphere.intensity if sphere.measured is None else np.where(sphere.measured, sphere.intensity, np.nan)
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else 1.0
        n_theta, n_phi = values.shape
        latitude = np.pi / 2 - np.arccos(shell_grid(n_theta, 2)[0][:, 0, 2])
        longitude = 2 * np.pi * np.arange(n_phi) / n_phi
        half = n_phi // 2 + 1  # of even numbers the last column at 180° stays where it is
        longitude = np.concatenate([longitude[half:] - 2 * np.pi, longitude[:half]])
        norm = LogNorm(0.1, 100)
        seen = np.maximum(np.concatenate([values[:, half:], values[:, :half]], axis=1) / (mean or 1.0), 0.01)
        mesh = ax.pcolormesh(
            longitude, latitude, seen, norm=norm, cmap=INTENSITY_MAP, shading="nearest", rasterized=True
        )
        ax.set_facecolor(UNMEASURED)
        ax.set(xticklabels=[], title=f"q = {sphere.q_inv_nm:.3f} nm⁻¹")
        ax.set(xlabel="longitude from x; latitude from xy (degrees)")
    figure.colorbar(
        mesh, ax=figure.axes, label="I / ⟨I⟩ on the sphere", extend="both", orientation="horizontal", shrink=0.4
    )
    ax = figure.add_subplot(1, len(shells) + 1, len(shells) + 1)
    ax.semilogy(q_inv_nm, profile, color=LINES[0][0])
    for sphere in shells:
        ax.axvline(sphere.q_inv_nm, color=NEUTRAL, linestyle=":", linewidth=1)
    ax.set(xlabel="q (nm⁻¹)", ylabel="mean intensity (arbitrary units)", xlim=(q_inv_nm[0], q_inv_nm[-1]))
    if any(sphere.measured is not None for sphere in shells):
        figure.legend(handles=[not_measured()], loc="outside lower left", frameon=False)
    return figure


def zeros_of_sphere(radius_nm: float, q_low_inv_nm: float, q_high_inv_nm: float) -> list[float]:
    """Return where the form factor of a sphere is zero within a range, nm⁻¹: q R = 4.4934, 7.7253, … (tan x = x).

    Example:
        >>> [round(q, 4) for q in zeros_of_sphere(2.0, 1.0, 4.0)]
        [2.2467, 3.8626]
    """
    return [x / radius_nm for x in _TAN_X_IS_X if q_low_inv_nm <= x / radius_nm <= q_high_inv_nm]


def radial_profile(
    maps: CorrelationMap | Mapping[str, CorrelationMap], cell: Cell | None = None, radius_nm: float | None = None
) -> Figure:
    """Draw the mean intensity on each sphere q2, with the reflections that are expected.

    Args:
        maps: one, or several by name; their radial profiles are drawn.
        cell: primitive cell whose reflections are marked; by default those of fcc and hcp of the spacing that q1 of the
            last map implies, were it 111.
        radius_nm: of the cores, nm, to mark where their form factor, that of a sphere, is zero.

    Returns:
        The figure: |q| in nm⁻¹ across, intensity on a logarithmic scale up.

    Raises:
        InputError: for another kind than a `CorrelationMap`, or none.

    Example:
        >>> import simsc
        >>> q2_inv_nm = 0.481 * np.linspace(0.9, 1.7, 9)
        >>> maps = {
        ...     name: simsc.correlation_map(simsc.ball(name, 16.0, n=100, radius_nm=7.4), 0.481, q2_inv_nm, n_delta=61)
        ...     for name in ("fcc", "hcp")
        ... }
        >>> sorted({text.get_text() for text in radial_profile(maps).axes[0].texts})
        ['002', '100', '101', '102', '110', '111', '200', '220']
    """
    maps = by_name(maps, CorrelationMap)
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
            structure: _families(structure, d_nn_of_111_nm(last.q1_inv_nm), float(q2[0]), float(q2[-1]))
            for structure in CLOSE_PACKED
        }
        for structure, offset, row in (("fcc", 14, "upper"), ("hcp", 2, "lower")):
            dashes = (0.0 if structure == "fcc" else 2.0, (2.0, 2.0))
            _mark_reflections(ax, found[structure], label_class(structure).colour, offset, dashes)
            label = f"reflections of {structure} ({row} row)"
            handles.append(Line2D([], [], color=label_class(structure).colour, linestyle=(0, (2, 2)), label=label))
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
