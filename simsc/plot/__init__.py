"""Figures: one function a figure, which returns a Matplotlib figure that a notebook shows.

Where several things are drawn together, functions take one, or several by name. Matplotlib is loaded when the first
figure is asked for.

Example:
    >>> import simsc.plot
    >>> figure = simsc.plot.stacking_diagram({"before": "ABCABCABABAB", "after": "ABCABCABCABC"})
    >>> [ax.get_title() for ax in figure.axes]
    ['before', 'after']
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors, which do not run what follows
    from simsc.plot.annealing import count_timeline as count_timeline
    from simsc.plot.annealing import fcc_over_time as fcc_over_time
    from simsc.plot.annealing import order_scatter as order_scatter
    from simsc.plot.annealing import spacing_against_temperature as spacing_against_temperature
    from simsc.plot.annealing import stacking_diagram as stacking_diagram
    from simsc.plot.annealing import thermo as thermo
    from simsc.plot.correlation import correlation_difference as correlation_difference
    from simsc.plot.correlation import correlation_line as correlation_line
    from simsc.plot.correlation import correlation_map as correlation_map
    from simsc.plot.correlation import correlation_maps as correlation_maps
    from simsc.plot.healing import hcp_against_chance as hcp_against_chance
    from simsc.plot.nanoparticle import portraits as portraits
    from simsc.plot.nanoparticle import spacing_series as spacing_series
    from simsc.plot.reciprocal import reciprocal_space as reciprocal_space
    from simsc.plot.scattering import intensity as intensity
    from simsc.plot.scattering import radial_profile as radial_profile
    from simsc.plot.scattering import spheres as spheres
    from simsc.plot.side_by_side import comparison as comparison
    from simsc.plot.side_by_side import rods as rods
    from simsc.plot.sliding import sliding_profile as sliding_profile
    from simsc.plot.style import Figure as Figure
    from simsc.plot.style import save as save
    from simsc.plot.superlattice import structure as structure

# No module has the name of a figure: once imported it would stand in the place of the function.
_HOME = {
    "count_timeline": "annealing",
    "fcc_over_time": "annealing",
    "order_scatter": "annealing",
    "spacing_against_temperature": "annealing",
    "stacking_diagram": "annealing",
    "thermo": "annealing",
    "correlation_difference": "correlation",
    "correlation_line": "correlation",
    "correlation_map": "correlation",
    "correlation_maps": "correlation",
    "hcp_against_chance": "healing",
    "portraits": "nanoparticle",
    "spacing_series": "nanoparticle",
    "reciprocal_space": "reciprocal",
    "intensity": "scattering",
    "radial_profile": "scattering",
    "spheres": "scattering",
    "comparison": "side_by_side",
    "rods": "side_by_side",
    "sliding_profile": "sliding",
    "Figure": "style",
    "save": "style",
    "structure": "superlattice",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from simsc.core.lazy import unknown_attribute

        raise unknown_attribute(__name__, name, __all__)
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
