"""Figures of healing: numbers of hcp-like layers against chance, and slips over time."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from simsc.core.label_classes import label_class
from simsc.plot.style import AFTER, BEFORE, NEUTRAL, TIME_LABEL, Figure
from simsc.sliding.chance import NULLS, HcpDistribution, Null
from simsc.sliding.healing import RunHealing, SetHealing

_NEGLIGIBLE = 1e-12
_SHADES: dict[Null, str] = {"free": "#7b8088", "closed": "#b4b8bf", "single_layer": "#dcdfe4"}
_LABELS: dict[Null, str] = {"free": "any interface", "closed": "any, closed cell", "single_layer": "single layers"}


def hcp_against_chance(found: SetHealing) -> Figure:
    """Draw what numbers of hcp-like layers come out by chance, and which came out: of one run, or the mean of a set."""
    figure = Figure(figsize=(6.4, 3.1), layout="constrained")
    ax = figure.subplots()
    n = len(found.runs)
    drawn = [null for null in NULLS if found.p_values[null] is not None]
    for k, null in enumerate(drawn):
        h, chance = _summed([run.chance(null) for run in found.runs])
        width = 2 / n / (len(drawn) + 1)
        ax.bar(
            h / n + (k - (len(drawn) - 1) / 2) * width, chance, 0.95 * width, color=_SHADES[null],
            label=f"start forgotten: {_LABELS[null]}",
        )  # fmt: skip
    if found.p_after_slips is not None:
        h, chance = _summed([run.chance_after_slips for run in found.runs])
        ax.plot(
            h / n, chance, "o", color="black", markerfacecolor="white", markersize=5, label="as many slides as seen"
        )
    ends, starts = (np.mean([getattr(run, name) for run in found.runs]) for name in ("h_end", "h_start"))
    top = ax.get_ylim()[1]
    # The start is dashed and above the end: where both are the same, both are seen.
    for value, colour, name, style, z in ((starts, BEFORE, "start", "--", 4), (ends, AFTER, "end", "-", 3)):
        ax.axvline(value, color=colour, linestyle=style, linewidth=2.2, zorder=z, label=f"{name}: {value:.3g}")
    ax.set_ylim(0, 1.05 * top)
    layers = max(run.n_layers for run in found.runs)
    ax.set_xlim(-0.8, layers + 0.8)
    ax.set_xticks(range(0, layers + 1, 2 if layers <= 24 else 10))
    ax.set(xlabel="hcp-like layers" if n == 1 else f"hcp-like layers, mean of {n} runs", ylabel="probability")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def slips_over_time(run: RunHealing) -> Figure:
    """Draw the number of hcp-like layers over time, and below it which interface or layer slipped when."""
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.2))
    time_ns, h = run.history.time_ns, run.history.hcp_layers
    above.plot(time_ns, h, ".-", color=label_class("hcp").colour, markersize=3, linewidth=0.8, drawstyle="steps-post")
    gaps = np.isnan(h)
    if gaps.any():
        above.plot(time_ns[gaps], np.zeros(gaps.sum()), "|", color="black", label="not read", markersize=8)
        above.legend(frameon=False, fontsize=8)
    above.set(ylabel="hcp-like layers", ylim=(-0.7, run.n_layers + 0.7))
    above.yaxis.set_major_locator(MaxNLocator(integer=True))
    for kind, marker, colour, label, shift in (
        ("interface", "^", AFTER, "all above an interface", 1.5),
        ("layer", "s", BEFORE, "a single layer", 1.0),
    ):
        chosen = [slip for slip in run.slips.events if slip.kind == kind]
        below.plot(
            [slip.time_ns for slip in chosen], [slip.layer + shift for slip in chosen],
            marker, color=colour, markersize=6, label=f"{label}: {len(chosen)}",
        )  # fmt: skip
    if not run.slips.events:
        below.text(0.5, 0.5, "no slide", transform=below.transAxes, ha="center", va="center", color=NEUTRAL)
    below.set(xlabel=TIME_LABEL, ylabel="layer number", ylim=(0.5, run.n_layers + 1))
    below.yaxis.set_major_locator(MaxNLocator(integer=True))
    below.grid(alpha=0.25)
    below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _summed(chances: list[HcpDistribution | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return which sums of hcp-like layers are possible by chance, and their probabilities."""
    total = np.ones(1)
    for chance in chances:
        assert chance is not None
        total = np.convolve(total, chance.probabilities())
    h = np.flatnonzero(total > _NEGLIGIBLE)
    return h, total[h]
