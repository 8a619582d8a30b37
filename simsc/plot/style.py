"""What all figures share: colours, dashes and colour maps, how they show themselves, and how they are written.

Those of label classes stand in `simsc.core.label_classes`.
"""

import io
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
import matplotlib.figure
from matplotlib.axes import Axes

from simsc.core.errors import InputError
from simsc.io.whole_files import PICTURES, whole_file

BEFORE, AFTER, NEUTRAL = "#5b5f97", "#e08a1e", "#4a4f57"
# Of things side by side, by their order: the first and second are before and after; dashes differ too.
LINES = ((BEFORE, "-"), (AFTER, "--"), ("#009e73", "-."), ("#cc79a7", ":"))
POINTS = "ov^s"  # of the same things, where points are drawn
# Of many that are alike (Okabe and Ito's colours, for any colour blindness).
MANY_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MANY_DASHES = ("-", "--", "-.", ":")
HEATING, COOLING, HOLDING = "#c9503a", "#2f7fbf", "#8a8f98"
GUIDE = "#8a8f98"  # lines at places to be noticed
ROD = "#ff6f59"  # on colours of MAP
UNMEASURED = "#bbbbbb"  # as no colour of the maps
INTENSITY_MAP, CORRELATION_MAP, DIFFERENCE_MAP = "inferno", "viridis", "PuOr_r"  # colour maps, by Matplotlib's names
T = TypeVar("T")
TIME_LABEL = "time in the model (ns)"


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that a notebook shows as a picture, without pyplot."""

    def _repr_png_(self) -> bytes:
        """Return the figure as IPython asks for it."""
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


def save(figure: matplotlib.figure.Figure, path: str | PathLike[str]) -> None:
    """Write a figure to a file, whole or not at all; the same figure gives the same SVG.

    Args:
        figure: any Matplotlib figure.
        path: file whose name ends in .png, .svg or .pdf.

    Raises:
        InputError: for another ending, or if the file cannot be written.
        ResourceError: if the disk is full or fails.

    Example:
        >>> import simsc.plot
        >>> simsc.plot.save(simsc.plot.stacking_diagram("ABC"), "stack.gif")
        Traceback (most recent call last):
        ...
        simsc.core.errors.InputError: stack.gif: a figure's name ends in .png, .svg or .pdf
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in PICTURES:
        raise InputError(f"{path}: a figure's name ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
    metadata = {"Date": None} if kind == ".svg" else None
    with whole_file(path) as partial, matplotlib.rc_context({"svg.hashsalt": "simsc"}):  # ids are random without
        figure.savefig(partial, format=kind.removeprefix("."), dpi=150, metadata=metadata)


def by_name(things: T | Mapping[str, T], kind: type[T]) -> dict[str, T]:
    """Return things of a kind by name; one thing alone has none.

    Raises:
        InputError: for what is of another kind, or nothing at all.
    """
    found = dict(things) if isinstance(things, Mapping) else {"": things}
    wanted = f'give one {kind.__name__}, or several by name: {{"before": …, "after": …}}'
    if not found:
        raise InputError(f"there is nothing to draw; {wanted}")
    for name, thing in found.items():
        if not isinstance(thing, kind):
            which = f"{name!r}: " if name else ""
            raise InputError(f"{which}a {type(thing).__name__} is no {kind.__name__}; {wanted}")
    return found


def headed(name: str, text: str) -> str:
    """Return text after a name and a colon, as Matplotlib draws it; alone, if the name is empty."""
    return f"{plain(name)}: {text}" if name else text


def legend_if_named(ax: Axes, **looks: Any) -> None:
    """Add a legend of what has a name, if anything has."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**looks)


def plain(text: str) -> str:
    """Return text that Matplotlib draws as it stands: no mathematics, nothing unprintable."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).replace("$", r"\$")
