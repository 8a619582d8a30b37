"""Pictures of superlattices."""

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from scipy.spatial import cKDTree

from simsc.classify.labels import Labels
from simsc.core.errors import InputError
from simsc.core.label_classes import LABEL_CLASSES, label_class
from simsc.core.superlattice import Superlattice
from simsc.io.adapters import Structure, as_superlattice
from simsc.plot.style import NEUTRAL, Figure, headed, plain

_VIEWS = ((0, 1, 2, 1), (0, 2, 1, -1), (1, 2, 0, 1))  # across, up, towards the eye and with which sign
_ROOM = 0.42  # of the distance of neighbours: a radius for NPs without one, that shows what lies behind
_ON_FACE = 1e-6  # of an edge: what lies on the lower face stays there
_UNLABELLED = "fcc"  # whose colour NPs without labels have
_DARK = 0.45  # of the colour of the nearest NP, for the farthest


def structure(
    structure: Structure, labels: Labels | np.ndarray | Sequence[str] | None = None, name: str = ""
) -> Figure:
    """Draw NPs seen along z, y and x: those behind are darker. Lines are edges of the cell; NPs are moved into it.

    Args:
        structure: the NPs, as a superlattice or what `simsc.io.adapters.as_superlattice` takes; their core radii are
            drawn, or without them discs that leave gaps.
        labels: of `simsc.classify.labels`, or (n,) the class of each NP, which colours it; else all are of one colour.
        name: for the title.

    Returns:
        The figure: axes in nm.

    Raises:
        InputError: for what is no structure, or labels of another number of NPs.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> from simsc.classify.labels import label_layers
        >>> crystal = close_packed("ABCAB", 16.0, (3, 2))
        >>> figure = structure(crystal, label_layers(crystal))
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['fcc: 36', 'hcp: 24']
    """
    superlattice = as_superlattice(structure)
    classes = None if labels is None else _classes(labels, superlattice.n)
    positions = _in_cell(superlattice)
    radii = superlattice.radii_nm
    if radii is None:
        radii = np.full(len(positions), _ROOM * _spacing_nm(superlattice))
    corners = positions if superlattice.cell is None else np.vstack([positions, _corners(superlattice)])
    low, high = corners.min(axis=0) - radii.max(), corners.max(axis=0) + radii.max()
    extents = high - low
    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=[extents[across] for across, *_ in _VIEWS])
    names = np.full(len(positions), _UNLABELLED) if classes is None else classes
    colours = np.array([to_rgb(label_class(label).colour) for label in names])
    for ax, (across, up, towards, sign) in zip(panels, _VIEWS, strict=True):
        depth = sign * positions[:, towards]
        order = np.argsort(depth, kind="stable")
        near = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-9)
        shade = (_DARK + (1 - _DARK) * near)[order, None]
        ax.add_collection(
            EllipseCollection(
                *(2 * radii[order],) * 2, np.zeros(len(order)), units="xy", offsets=positions[order][:, [across, up]],
                offset_transform=ax.transData, facecolors=colours[order] * shade, edgecolors=(0, 0, 0, 0.5),
                linewidths=0.4, rasterized=True,
            )
        )  # fmt: skip
        if superlattice.cell is not None:
            for start, end in _edges(superlattice):
                ax.plot(*zip(start[[across, up]], end[[across, up]], strict=True), color=NEUTRAL, linewidth=0.8)
        axes = "xyz"
        ax.set(aspect="equal", xlim=(low[across], high[across]), ylim=(low[up], high[up]))
        ax.set(xlabel=f"{axes[across]} (nm)", ylabel=f"{axes[up]} (nm)", title=f"along {axes[towards]}")
    figure.suptitle(headed(name, f"{superlattice.n} NPs"))
    if classes is not None:
        present = [*(x for x in LABEL_CLASSES if x in names), *sorted(set(names) - set(LABEL_CLASSES))]
        shown = [
            Line2D([], [], linestyle="", marker="o", color=label_class(x).colour, label=plain(f"{x}: {n}"))
            for x in present
            if (n := (names == x).sum())
        ]
        figure.legend(handles=shown, loc="outside lower center", ncols=len(shown), frameon=False)
    return figure


def _classes(labels: Labels | np.ndarray | Sequence[str], n: int) -> np.ndarray:
    """Return the class of each of n NPs, once it is sure that there are as many."""
    given = labels.labels if isinstance(labels, Labels) else labels
    if np.ndim(given) != 1 or len(given) != n:
        found = f"a {type(given).__name__}" if np.ndim(given) != 1 else f"{len(given)} labels"
        raise InputError(f"labels are one class for each of {n} NPs, got {found}")
    return np.array([str(label) for label in given])


def _in_cell(superlattice: Superlattice) -> np.ndarray:
    """Return positions (n, 3), nm, by whole vectors of the cell nearest to where they were, between its faces."""
    if superlattice.cell is None:
        return superlattice.positions_nm
    fractional = superlattice.cell.fractional(superlattice.positions_nm)
    image = np.floor(fractional + _ON_FACE) * superlattice.cell.periodic
    return np.asarray(superlattice.positions_nm - image @ superlattice.cell.vectors_nm)


def _spacing_nm(superlattice: Superlattice) -> float:
    """Return the median distance of nearest neighbours among the NPs as they lie, nm."""
    if superlattice.n == 1:
        return 1.0 if superlattice.cell is None else float(min(superlattice.cell.parameters[:3]))
    distances, _ = cKDTree(superlattice.positions_nm).query(superlattice.positions_nm, k=2)
    return float(np.median(distances[:, 1]))


def _corners(superlattice: Superlattice) -> np.ndarray:
    assert superlattice.cell is not None
    fractions = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(fractions @ superlattice.cell.vectors_nm)


def _edges(superlattice: Superlattice) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the ends of the 12 edges of the cell: two corners whose numbers differ in one bit."""
    corners = _corners(superlattice)
    return [(corners[i], corners[i | bit]) for i in range(8) for bit in (1, 2, 4) if not i & bit]
