"""Figures of an all-atom nanoparticle, and of the equilibration of its crystal."""

from collections.abc import Sequence

import numpy as np

from simsc.md.trajectory import Trajectory
from simsc.plot.style import HEATING, NEUTRAL, Figure, plain

# Radii (Å) and colours as molecular viewers draw them: iron orange, oxygen red, carbon grey, hydrogen white.
_LOOKS = {"Fe": (1.1, "#e06633"), "O": (1.0, "#e0301e"), "C": (1.5, "#7a8088"), "H": (0.9, "#f2f4f7")}
_OTHER = (1.3, "#a070c8")
_BELOW = 6.0  # room for the scale bar, Å
_LIGHT = np.array([-0.4, 0.55, 0.73])


def portraits(structures: Sequence[tuple[str, np.ndarray, np.ndarray]], cut: bool = False) -> Figure:
    """Draw structures side by side, at one scale, each seen along the same direction.

    Args:
        structures: title, elements (n,) and positions (n, 3) in Å of each.
        cut: leave out the half that is nearer to the viewer, to see the inside.

    Returns:
        The figure: a panel for each structure, with a scale bar.

    Example:
        >>> from simsc.builders.nanoparticle import carve, magnetite
        >>> core = carve(magnetite(), 1.0)
        >>> figure = portraits([("core", np.array(core.elements), core.positions_angstrom)])
        >>> figure.axes[0].get_title()
        'core'
    """
    extent = max(float(np.linalg.norm(positions, axis=1).max()) for _, _, positions in structures) + 2
    figure = Figure(figsize=(3.4 * len(structures), 3.9), layout="constrained")
    panels = figure.subplots(1, len(structures), squeeze=False)[0]
    for ax, (title, elements, positions) in zip(panels, structures, strict=True):
        # Seen a little from above and from the side, so that no two rows of the crystal hide one another.
        turned = positions @ _view()
        shown = turned[:, 2] < 0 if cut else np.ones(len(turned), dtype=bool)
        order = np.flatnonzero(shown)[np.argsort(turned[shown, 2])]
        looks = [_LOOKS.get(element, _OTHER) for element in elements[order]]
        depth = (turned[order, 2] + extent) / (2 * extent)
        colours = np.array([_rgb(colour) for _, colour in looks]) * (0.45 + 0.55 * depth)[:, None]
        points_per_angstrom = 3.1 * 72 / (2 * extent)
        sizes = np.array([(2 * radius * points_per_angstrom) ** 2 for radius, _ in looks])
        ax.scatter(*turned[order, :2].T, s=sizes, c=colours, edgecolors=(0, 0, 0, 0.35), linewidths=0.25)
        ax.set(xlim=(-extent, extent), ylim=(-extent - _BELOW, extent), aspect="equal")
        ax.set_title(plain(title))
        ax.set_axis_off()
    ax = panels[0]
    left, bottom = -min(extent, 10), -extent - _BELOW + 1
    ax.plot([left, left + 20], [bottom, bottom], color="black", linewidth=2)
    ax.annotate("2 nm", (left + 10, bottom), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=9)
    return figure


def spacing_series(trajectory: Trajectory) -> Figure:
    """Draw the nearest-neighbour distance over time, with the line through its last half and that line's slope."""
    time_ns, d_nn_nm = trajectory.thermo["time_ns"], trajectory.thermo["d_nn_nm"]
    figure = Figure(figsize=(7, 3), layout="constrained")
    ax = figure.subplots()
    ax.plot(time_ns, d_nn_nm, color=NEUTRAL)
    last = trajectory.phase == trajectory.phase[-1]
    if np.count_nonzero(last) >= 4:
        slope, offset = np.polyfit(time_ns[last], d_nn_nm[last], 1)
        label = f"last phase “{trajectory.phase_names[-1]}”: {1000 * slope:+.1f} pm/ps"
        ax.plot(time_ns[last], offset + slope * time_ns[last], "--", color=HEATING, label=plain(label))
        ax.legend()
    ax.set(xlabel="time (ns)", ylabel="d$_{NN}$ (nm)")
    ax.grid(alpha=0.25)
    return figure


def _view() -> np.ndarray:
    z = _LIGHT / np.linalg.norm(_LIGHT)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])


def _rgb(colour: str) -> tuple[float, float, float]:
    return tuple(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))  # type: ignore[return-value]
