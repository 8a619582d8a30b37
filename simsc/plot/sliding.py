"""Figures of layers that glide over others. Each function returns a Matplotlib figure, or writes one."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from simsc.plot.style import plain
from simsc.sliding.free_energy import GlideProfile

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_STYLES = ("-", "--", "-.", ":")


def profile_figure(profiles: Sequence[GlideProfile], names: Sequence[str]) -> Figure:
    """Draw free energies along the path, for each NP of the layer, with bands of one standard error."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    ax = figure.subplots()
    for k, (profile, name) in enumerate(zip(profiles, names, strict=True)):
        colour, per_np = _COLOURS[k % len(_COLOURS)], 1 / profile.n_layer
        low, high = (profile.free_energy + sign * profile.errors for sign in (-1, 1))
        ax.fill_between(profile.fraction, low * per_np, high * per_np, color=colour, alpha=0.25, linewidth=0)
        ax.plot(
            profile.fraction,
            profile.free_energy * per_np,
            _STYLES[k % len(_STYLES)],
            color=colour,
            label=plain(name),
        )
    ax.axvline(0.0, color="#8a8f98", linewidth=0.8)
    ax.axvline(1.0, color="#8a8f98", linewidth=0.8)
    ax.set_xlabel("way from one hollow (0) to the other (1)")
    ax.set_ylabel("free energy of the layer (kT per NP in it)")
    ax.grid(alpha=0.25)
    ax.legend(framealpha=0.9, fontsize=8)
    return figure
