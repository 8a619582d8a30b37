"""The system in three dimensions: NPs in their cells, side by side, coloured by label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from simsc.core.cell import Cell
from simsc.core.label_classes import CLOSE_PACKED, label_class
from simsc.report.embed import css_class, text
from simsc.study.results import Results, State


@dataclass(frozen=True, eq=False)
class Shown:
    """A state of a run that is shown.

    Args:
        results: the run.
        state: `before` or `after`.
    """

    results: Results
    state: str

    @property
    def shown_state(self) -> State:
        """The state itself."""
        return self.results.states[self.state]


def system_html(shown: Mapping[str, Shown]) -> str:
    """Return the views in 3D, their controls and a table of the cells, without data."""
    views = ""
    for name, one in shown.items():
        state = one.shown_state
        label = f"{name}: {counts_text(state.counts)}; sequence {state.sequence or 'not read'}. "
        label += "Arrow keys turn both views, plus and minus zoom, 0 resets."
        views += (
            f'<figure class="view"><figcaption>{name.capitalize()} ({state.time_ns:.4g} ns, '
            f"{counts_text(state.counts)})"
            f'</figcaption><canvas id="view-{name}" tabindex="0" role="img" aria-label="{text(label)}"></canvas>'
            "</figure>"
        )
    key = "".join(
        f'<li><span class="dot {css_class(name)}" aria-hidden="true"></span>{text(label_class(name).meaning)}</li>'
        for name in _classes(shown)
        if name in CLOSE_PACKED or any(one.shown_state.counts.get(name) for one in shown.values())
    )
    boxes = (
        ("letters", "Layer letters", True),
        ("neighbours", "Neighbouring cells, faint", True),
        ("touching", "Spheres that touch", False),
    )
    options = "".join(
        f'<label><input type="checkbox" id="{i}"{" checked" if on else ""}> {text}</label>' for i, text, on in boxes
    )
    buttons = "".join(
        f'<button type="button" id="{i}">{text}</button>'
        for i, text in (
            ("zoom-in", "Zoom in"),
            ("zoom-out", "Zoom out"),
            ("along-layers", "Along the layers"),
            ("along-axis", "Down the axis"),
            ("reset", "Reset"),
        )
    )
    return f"""
<p>NP cores wrapped into the periodic cell (its edges are drawn), coloured by label. Drag to turn both views together;
with a view selected, the wheel or + and − zoom and the arrow keys turn.</p>
<div class="views">{views}<div class="controls"><ul class="key">{key}</ul>{buttons}{options}</div></div>
<noscript><p class="note">The views need JavaScript; everything else on this page does not.</p></noscript>
{_cell_table(shown)}"""


def viewer_data(shown: Mapping[str, Shown]) -> dict[str, Any]:
    """Return what viewer.js draws; lengths in nm."""
    states = []
    for name, one in shown.items():
        state, trajectory = one.shown_state, one.results.trajectory
        superlattice = trajectory.superlattice(state.frame)
        assert superlattice.cell is not None
        states.append(
            {
                "name": name,
                "cell": superlattice.cell.vectors_nm.round(4).tolist(),
                "positions": _wrapped(superlattice.cell, superlattice.positions_nm, state.layers).round(4).tolist(),
                "radii": trajectory.radii_nm.round(4).tolist(),
                "labels": [str(label) for label in one.results.order.labels[state.frame]],
                "sequence": state.sequence if state.layers else "",
                "layers": list(state.layers) if state.sequence else [],
                "spacing": round(float(trajectory.thermo["d_nn_nm"][state.frame]), 4),
            }
        )
    return {"colours": {name: label_class(name).colour for name in _classes(shown)}, "states": states}


def _classes(shown: Mapping[str, Shown]) -> list[str]:
    """Return the classes that occur anywhere in the runs, and those of close packing."""
    return list(dict.fromkeys(name for one in shown.values() for name in one.results.order.classes))


def _wrapped(cell: Cell, positions_nm: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """Return positions (N, 3) in the cell, nm; of a layer that the cell's faces cut, all on the side of most of it."""
    wrapped = cell.wrap(positions_nm)
    if not layers:
        return wrapped
    fractions = wrapped @ np.linalg.inv(cell.vectors_nm)
    turns = np.exp(2j * np.pi * fractions[:, 2])
    numbers = np.asarray(layers)
    for number in np.unique(numbers):
        chosen = numbers == number
        middle = np.angle(turns[chosen].mean()) / (2 * np.pi) % 1
        fractions[chosen, 2] = middle + (fractions[chosen, 2] - middle + 0.5) % 1 - 0.5
    return np.asarray(fractions @ cell.vectors_nm)


def _cell_table(shown: Mapping[str, Shown]) -> str:
    rows = ""
    for name, one in shown.items():
        vectors = one.results.trajectory.cells_nm[one.shown_state.frame]
        lengths = np.linalg.norm(vectors, axis=1)
        cosines = [vectors[i] @ vectors[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
        cells = [f"{x:.3f}" for x in lengths] + [f"{np.degrees(np.arccos(x)):.2f}" for x in cosines]
        cells.append(f"{Cell(vectors).volume_nm3:.0f}")
        rows += f'<tr><th scope="row">{name}</th>' + "".join(f'<td class="number">{x}</td>' for x in cells) + "</tr>"
    heads = ("a (nm)", "b (nm)", "c (nm)", "α (°)", "β (°)", "γ (°)", "volume (nm³)")
    head = "".join(f'<th scope="col" class="number">{name}</th>' for name in heads)
    return (
        '<div class="scroll"><table><caption>The periodic cell in each state</caption>'
        f'<thead><tr><th scope="col">state</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def counts_text(counts: dict[str, int]) -> str:
    """Return how many NPs of each class there are, in words."""
    return escape(", ".join(f"{n} {name}" for name, n in counts.items() if n or name in CLOSE_PACKED))
