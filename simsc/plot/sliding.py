"""Figures of layers that glide over others."""

from collections.abc import Mapping

from simsc.plot.style import GUIDE, MANY_COLOURS, MANY_DASHES, Figure, by_name, legend_if_named, plain
from simsc.sliding.free_energy import GlideProfile


def sliding_profile(profiles: GlideProfile | Mapping[str, GlideProfile]) -> Figure:
    """Draw free energies along the path, for each NP of the layer, with bands of one standard error.

    Args:
        profiles: one, or several by name.

    Returns:
        The figure: the path from one hollow (0) to the other (1) across, kT per NP of the layer up.
    """
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    ax = figure.subplots()
    for k, (name, profile) in enumerate(by_name(profiles, GlideProfile).items()):
        colour, per_np = MANY_COLOURS[k % len(MANY_COLOURS)], 1 / profile.n_layer
        low, high = (profile.free_energy + sign * profile.errors for sign in (-1, 1))
        ax.fill_between(profile.fraction, low * per_np, high * per_np, color=colour, alpha=0.25, linewidth=0)
        ax.plot(
            profile.fraction,
            profile.free_energy * per_np,
            MANY_DASHES[k % len(MANY_DASHES)],
            color=colour,
            label=plain(name),
        )
    ax.axvline(0.0, color=GUIDE, linewidth=0.8)
    ax.axvline(1.0, color=GUIDE, linewidth=0.8)
    ax.set_xlabel("way from one hollow (0) to the other (1)")
    ax.set_ylabel("free energy of the layer (kT per NP in it)")
    ax.grid(alpha=0.25)
    legend_if_named(ax, framealpha=0.9, fontsize=8)
    return figure
