"""What all figures share: colours, markers and dashes, and how a figure is written."""

from pathlib import Path

from matplotlib.figure import Figure

from simsc.core.errors import InputError
from simsc.io.whole_files import PICTURES, whole_file

# Told apart with any common colour blindness; markers differ too.
COLOURS = {
    "fcc": "#1f6fb4",
    "hcp": "#d1432b",
    "icosahedral": "#7a3fa0",
    "five-fold": "#c77db8",
    "bcc": "#1b8a5a",
    "surface": "#8a8f98",
    "other": "#b8860b",
}
MARKERS = {"fcc": "o", "hcp": "D", "icosahedral": "*", "five-fold": "p", "bcc": "^", "surface": "s", "other": "X"}
BEFORE, AFTER, NEUTRAL = "#5b5f97", "#e08a1e", "#4a4f57"
# Of things side by side, by their order: the first and second are before and after; dashes differ too.
LINES = ((BEFORE, "-"), (AFTER, "--"), ("#009e73", "-."), ("#cc79a7", ":"))
TIME_LABEL = "time in the model (ns)"


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure to a file whose name ends in .png, .svg or .pdf, whole or not at all.

    Raises:
        InputError: for another ending, or if the file cannot be written.
        ResourceError: if the disk is full or fails.
    """
    kind = path.suffix.lower()
    if kind not in PICTURES:
        raise InputError(f"{path}: a figure's name ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
    with whole_file(path) as partial:
        metadata = {"Date": None} if kind == ".svg" else None  # the same figure is the same file
        figure.savefig(partial, format=kind.removeprefix("."), dpi=150, metadata=metadata)


def plain(text: str) -> str:
    """Return text that Matplotlib draws as it stands: no mathematics, nothing unprintable."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).replace("$", r"\$")
