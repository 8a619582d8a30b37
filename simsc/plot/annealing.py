"""Figures of the annealing: bond order, stacking, thermodynamics."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from simsc.classify.order import Order
from simsc.classify.stacking import Stacking
from simsc.classify.steinhardt import IDEAL
from simsc.core.errors import InputError
from simsc.core.label_classes import CLASS_OF_KIND, label_class
from simsc.core.stacking import SITES, check_stacking, layer_kinds
from simsc.md.trajectory import Trajectory
from simsc.plot.style import (
    COOLING,
    HEATING,
    HOLDING,
    LINES,
    NEUTRAL,
    POINTS,
    TIME_LABEL,
    Figure,
    by_name,
    legend_if_named,
    plain,
)
from simsc.study.schema import PhaseSection


def order_scatter(order: Order, frames: Sequence[int] | None = None, titles: Sequence[str] | None = None) -> Figure:
    """Draw (q₄, q₆) of every NP in some frames, like Fig. 5d of the paper; crosses mark the perfect lattices.

    Args:
        order: bond order and labels over time.
        frames: numbers of the frames, a panel each; by default the first and the last.
        titles: of the panels; by default their times.

    Returns:
        The figure.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> from simsc.classify.over_time import timed_order
        >>> from simsc.core.superlattice import Frame
        >>> frames = [Frame(close_packed("ABCABCABABAB", 6.2), time_ns=0.0)]
        >>> figure = order_scatter(Order.of(timed_order(frames, "layers")))
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['fcc: 12', 'hcp: 12']
    """
    if frames is None:
        frames = sorted({0, len(order.time_ns) - 1})
    if titles is None:
        titles = [f"{order.time_ns[frame]:.4g} ns" for frame in frames]
    figure = Figure(figsize=(3.5 * len(frames), 3.6), layout="constrained")
    panels = figure.subplots(1, len(frames), sharex=True, sharey=True, squeeze=False)[0]
    for ax, frame, title in zip(panels, frames, titles, strict=True):
        counts = order.counts(frame)
        for name in order.classes:
            chosen = order.labels[frame] == name
            if name in IDEAL or chosen.any():
                ax.scatter(
                    order.q4[frame, chosen],
                    order.q6[frame, chosen],
                    s=34,
                    marker=label_class(name).marker,
                    facecolor=label_class(name).colour,
                    edgecolor="white",
                    linewidth=0.6,
                    alpha=0.85,
                    label=f"{name}: {counts[name]}",
                )
        for name, (q4, q6) in IDEAL.items():
            ax.plot(q4, q6, "+", color="black", markersize=11, markeredgewidth=1.4, zorder=4)
            ax.annotate(
                f"ideal {name}", (q4, q6), (0, 9), textcoords="offset points", ha="center", fontsize=8, zorder=5
            )
        ax.set_title(plain(title))
        ax.set_xlabel("q₄ (dimensionless)")
        ax.legend(loc="lower right", framealpha=0.9)
        ax.grid(alpha=0.25)
    panels[0].set_xlim(0, max(0.26, 1.05 * float(order.q4[list(frames)].max())))
    low, high = float(order.q6[list(frames)].min()), float(order.q6[list(frames)].max())
    panels[0].set_ylim(min(0.40, low - 0.02), max(0.62, high + 0.02))
    panels[0].set_ylabel("q₆ (dimensionless)")
    return figure


def stacking_diagram(
    sequences: str | Stacking | Sequence[str | Stacking | None] | Mapping[str, str | Stacking | None] | None,
    titles: Sequence[str] | None = None,
    periodic: bool = True,
) -> Figure:
    """Draw sequences as stacks of layers from the first at the bottom, shifted sideways as A, B and C are.

    A layer has the colour of fcc where its neighbours differ, and that of hcp, with a dot, where they are alike. The
    first and the last layer of a finite sequence lack a neighbour and are grey.

    Args:
        sequences: what `simsc.classify.stacking.stacking_sequence` returns, or one letter A, B or C a layer; of one
            stacking, several, or several by name; None or empty if it could not be read.
        titles: of the stacks; by default their names, or the sequences themselves.
        periodic: whether sequences that are given as letters repeat; a `Stacking` knows it itself.

    Returns:
        The figure.

    Raises:
        InputError: for what is no sequence of A, B and C.

    Example:
        >>> figure = stacking_diagram({"before": "ABCABCABABAB", "after": "ABCABCABCABC"})
        >>> [ax.get_title() for ax in figure.axes]
        ['before', 'after']
    """
    if isinstance(sequences, Mapping):
        titles, sequences = titles or list(sequences), list(sequences.values())
    elif sequences is None or isinstance(sequences, str | Stacking):
        sequences = [sequences]
    stacks = [_letters_and_kinds(sequence, periodic) for sequence in sequences]
    titles = titles or [letters for letters, _ in stacks]
    n = max([len(letters) for letters, _ in stacks] + [1])
    figure = Figure(figsize=(2.5 * len(stacks), 0.8 + 0.29 * n), layout="constrained")
    panels = figure.subplots(1, len(stacks), sharey=True, squeeze=False)[0]
    for ax, (letters, kinds), title in zip(panels, stacks, titles, strict=True):
        for k, (letter, kind) in enumerate(zip(letters, kinds, strict=True)):
            left = 0.42 * SITES.index(letter)
            colour = label_class(CLASS_OF_KIND[kind]).colour if kind in CLASS_OF_KIND else NEUTRAL
            ax.add_patch(Rectangle((left, k + 0.58), 2.0, 0.84, facecolor=colour, edgecolor="white", linewidth=1))
            ax.text(left + 1.0, k + 0.98, letter, ha="center", va="center", color="white", weight="bold", fontsize=9)
            if kind == "h":
                ax.plot(left + 1.78, k + 1.0, "o", color="white", markersize=3)
        if not letters:
            ax.text(1.4, (n + 1) / 2, "could not be read", ha="center", va="center", color=NEUTRAL)
        ax.set(xlim=(-0.1, 2.94), ylim=(0.4, n + 0.6), xticks=[], yticks=range(1, n + 1))
        ax.set_title(plain(title))
        for side in ("top", "right", "bottom"):
            ax.spines[side].set_visible(False)
    panels[0].set_ylabel("layer number")
    return figure


def _letters_and_kinds(sequence: str | Stacking | None, periodic: bool) -> tuple[str, str]:
    """Return the letter and the kind of each layer; nothing of a sequence that could not be read."""
    if isinstance(sequence, Stacking):
        return sequence.sequence, sequence.kinds
    if sequence is not None and not isinstance(sequence, str):
        raise InputError(f"a {type(sequence).__name__} is no stacking; it is a Stacking, or letters A, B and C")
    if not sequence:
        return "", ""
    check_stacking(sequence, periodic=False)
    return sequence, layer_kinds(sequence, periodic)


def count_timeline(order: Order) -> Figure:
    """Draw the number of NPs of each class over time; black ticks mark frames whose sequence could not be read.

    Args:
        order: bond order and labels over time.

    Returns:
        The figure: time in ns across.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> from simsc.classify.over_time import timed_order
        >>> from simsc.core.superlattice import Frame
        >>> frames = [Frame(close_packed("ABCABC", 6.2), time_ns=0.1), Frame(close_packed("ABABAB", 6.2), time_ns=0.2)]
        >>> order = Order.of(timed_order(frames, "layers"))
        >>> [line.get_ydata().tolist() for line in count_timeline(order).axes[0].lines]
        [[12, 0], [0, 12]]
    """
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    ax = figure.subplots()
    for name in order.classes:
        values = (order.labels == name).sum(axis=1)
        # Equal numbers must not hide each other: large hollow fcc markers around small hcp ones.
        hollow = name == "fcc"
        ax.plot(
            order.time_ns,
            values,
            marker=label_class(name).marker,
            markersize=6 if hollow else 2.6,
            markerfacecolor="none" if hollow else None,
            linewidth=0.9,
            color=label_class(name).colour,
            label=name,
        )
    unread = np.array([not sequence for sequence in order.sequences])
    if unread.any():
        ax.plot(
            order.time_ns[unread], np.zeros(unread.sum()), "|", color="black", markersize=9, label="sequence not read"
        )
    ax.set(xlabel=TIME_LABEL, ylabel="number of NPs", ylim=(-0.8, order.labels.shape[1] + 0.8))
    _shade_phases(ax, order.time_ns, order.phases)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def fcc_over_time(orders: Order | Mapping[str, Order]) -> Figure:
    """Draw the fraction of fcc-like NPs over time.

    Args:
        orders: of one run, or of several by name.

    Returns:
        The figure: time in ns across.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> from simsc.classify.over_time import timed_order
        >>> from simsc.core.superlattice import Frame
        >>> frames = [Frame(close_packed("ABCABC", 6.2), time_ns=0.1), Frame(close_packed("ABABAB", 6.2), time_ns=0.2)]
        >>> order = Order.of(timed_order(frames, "layers"))
        >>> fcc_over_time(order).axes[0].lines[0].get_ydata().tolist()
        [1.0, 0.0]
    """
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    ax = figure.subplots()
    for k, (name, order) in enumerate(by_name(orders, Order).items()):
        colour, style = LINES[k % len(LINES)]
        fraction = (order.labels == "fcc").mean(axis=1)
        ax.plot(order.time_ns, fraction, style, color=colour, linewidth=1.3, label=plain(name))
    ax.set(xlabel=TIME_LABEL, ylabel="part of NPs that are fcc-like", ylim=(-0.03, 1.03))
    ax.grid(alpha=0.25)
    legend_if_named(ax, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def thermo(trajectory: Trajectory) -> Figure:
    """Draw temperature, potential energy, volume and pressure over time, phases shaded.

    Args:
        trajectory: of a run, from `simsc.md.trajectory.read_trajectory`.

    Returns:
        The figure: time in ns across; K, kcal/mol, nm³ and atm up.
    """
    figure = Figure(figsize=(9.0, 7.4), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True)
    series, time = trajectory.thermo, trajectory.thermo["time_ns"]
    panels[0].plot(time, series["temperature_K"], color=NEUTRAL, linewidth=1.3, label="measured")
    panels[0].plot(time, series["target_K"], "--", color=HEATING, linewidth=1.3, label="target")
    panels[0].legend(loc="upper left", ncols=2, frameon=False)
    panels[0].set_ylabel("temperature (K)")
    panels[0].margins(y=0.22)
    for ax, name, label in zip(
        panels[1:],
        ("potential_kcal_per_mol", "volume_nm3", "pressure_atm"),
        ("potential energy\n(kcal/mol)", "volume (nm³)", "pressure (atm)"),
        strict=True,
    ):
        ax.plot(time, series[name], color=NEUTRAL, linewidth=1.3)
        ax.set_ylabel(label)
    panels[3].set_xlabel(TIME_LABEL)
    names = [trajectory.phase_names[k] for k in trajectory.phase]
    for k, ax in enumerate(panels):
        _shade_phases(ax, time, names, named=k == 0)
    figure.align_ylabels(list(panels))
    return figure


def spacing_against_temperature(
    trajectories: Trajectory | Mapping[str, Trajectory], phases: Sequence[PhaseSection] = ()
) -> Figure:
    """Draw the nearest-neighbour distance against temperature.

    Args:
        trajectories: of one run, or of several by name.
        phases: of the one run, to draw heating apart from cooling.

    Returns:
        The figure: K across, nm up.
    """
    figure = Figure(figsize=(5.6, 3.7), layout="constrained")
    ax = figure.subplots()
    if isinstance(trajectories, Mapping):
        groups = [
            (trajectory, np.ones(len(trajectory.phase), bool), name, LINES[k % len(LINES)][0], POINTS[k % len(POINTS)])
            for k, (name, trajectory) in enumerate(trajectories.items())
        ]
    else:
        sign = {phase.name: np.sign(phase.stop_K - phase.start_K) for phase in phases}
        signs = np.array([sign.get(trajectories.phase_names[k], 0) for k in trajectories.phase])
        groups = [
            (trajectories, signs == 1, "heating", HEATING, "^"),
            (trajectories, signs == -1, "cooling", COOLING, "v"),
            (trajectories, signs == 0, "constant temperature" if phases else "", HOLDING, "o"),
        ]
    for trajectory, chosen, name, colour, marker in groups:
        if chosen.any():
            x, y = (trajectory.thermo[key][chosen] for key in ("temperature_K", "d_nn_nm"))
            ax.plot(x, y, marker, color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.4,
                    label=plain(name))  # fmt: skip
    ax.set(xlabel="temperature (K)", ylabel="nearest-neighbour distance (nm)")
    ax.grid(alpha=0.25)
    legend_if_named(ax, frameon=False)
    return figure


def _shade_phases(ax: Axes, time_ns: np.ndarray, names: Sequence[str], named: bool = True) -> None:
    """Shade every other phase and write the phases' names above the axes."""
    starts = [k for k in range(len(names)) if k == 0 or names[k] != names[k - 1]]
    edges = [0.0, *(float(time_ns[k - 1]) for k in starts[1:]), float(time_ns[-1])]
    for number, k in enumerate(starts):
        # Names of short phases go one line up, so that they do not run into their neighbours.
        narrow = (edges[number + 1] - edges[number]) * 70 < (edges[-1] - edges[0]) * len(names[k])
        if number % 2 == 0:
            ax.axvspan(edges[number], edges[number + 1], color="#eef1f6", zorder=0, linewidth=0)
        if named:
            ax.annotate(
                plain(names[k] if len(names[k]) <= 14 else names[k][:13] + "…"),
                ((edges[number] + edges[number + 1]) / 2, 1.0),
                (0, 14 if narrow else 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
                color=NEUTRAL,
            )
    ax.set_xlim(edges[0], edges[-1])
