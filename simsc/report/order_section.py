"""What a report says about order: bond order, labels and the stacking sequence over time."""

from collections.abc import Sequence

import numpy as np

from simsc.core.label_classes import label_class
from simsc.core.stacking import same_stacking
from simsc.plot.annealing import count_timeline, order_scatter, stacking_diagram
from simsc.report.document import PAPER
from simsc.report.embed import css_class, figure_html, sequence_html, svg, text
from simsc.report.system_view import counts_text
from simsc.study.results import Results
from simsc.study.run_folder import STATES


def order_section(results: Results) -> str:
    """Return the q₄–q₆ figure of the start, the hottest frame and the end."""
    thermo, order = results.trajectory.thermo, results.order
    first, last = results.states["before"].frame, results.states["after"].frame
    hottest = int(np.flatnonzero(thermo["target_K"] >= thermo["target_K"].max() - 1e-6)[-1])
    frames = (first, hottest, last)
    titles = [
        f"{name}: {thermo['temperature_K'][k]:.0f} K, {order.time_ns[k]:.4g} ns"
        for name, k in zip(("before", "hottest", "after"), frames, strict=True)
    ]
    said = "; ".join(f"{title}, {counts_text(order.counts(k))}" for title, k in zip(titles, frames, strict=True))
    scatter = svg(order_scatter(order, frames, titles), "order", f"Scatter of q4 and q6 of every NP: {said}.")
    return f"""
<p>Steinhardt's q₄ and q₆ over the 12 nearest neighbours of each NP, as in Fig. 5d of {PAPER}; labels by the method
“{text(results.study.order.method)}”. Crosses mark the perfect lattices; the further a cloud lies from its cross, the
more the NPs vibrate or the more their cell is strained.</p>
{figure_html(scatter, "Each point is one NP; its colour and marker show its label.")}"""


def sequence_section(results: Results) -> str:
    """Return the stacks of layers, the labels over time and the table of changes."""
    order = results.order
    sequences = [results.states[state].sequence for state in STATES]
    unread = sum(not sequence for sequence in order.sequences)
    note = f" In {unread} of {len(order.sequences)} frames no sequence could be read." if unread else ""
    line = svg(count_timeline(order), "counts", "Number of fcc-like and hcp-like NPs over time.")
    return f"""
<p>A layer whose two neighbours are alike is {_coloured("hcp")} (with a dot), one between different neighbours is
{_coloured("fcc")}. The crystal is periodic: a sequence has no first layer of its own, so sequences that differ only in
where they start, in the names of the letters or in their direction are the same stacking; they are written starting
with the longest run of fcc.{note}</p>
<div class="pair">{stacks_html(sequences, STATES)}
{figure_html(line, "Labels over time; phases are named above.")}</div>
{_changes_table(results)}"""


def stacks_html(sequences: Sequence[str], titles: Sequence[str]) -> str:
    """Return the stacks of layers of several crystals side by side, each with its title."""
    read = "; ".join(f"{title}: {sequence or 'not read'}" for title, sequence in zip(titles, sequences, strict=True))
    stack = svg(stacking_diagram(sequences, titles), "stack", f"Stacks of layers. {read}.")
    return figure_html(stack, "Layers from bottom to top, shifted sideways as A, B and C.")


def _coloured(name: str) -> str:
    """Return the meaning of a class in its colour."""
    return f'<span class="{css_class(name)}">{text(label_class(name).meaning)}</span>'


def _changes_table(results: Results) -> str:
    """Return the frames in which the phase or the sequence changed."""
    order, rows, last, known = results.order, "", None, ""
    for k, (phase, sequence) in enumerate(zip(order.phases, order.sequences, strict=True)):
        if (phase, sequence) == last:
            continue
        if not sequence:
            remark = "could not be read"
        elif not known:
            remark = "first reading"
        elif sequence == known:
            remark = "same"
        else:
            remark = "same stacking, read from another layer" if same_stacking(sequence, known) else "changed"
        counts = order.counts(k)
        cells = "".join(f'<td class="number">{counts[name]}</td>' for name in order.classes)
        rows += (
            f'<tr><td class="number">{order.time_ns[k]:.4g}</td><td>{text(phase)}</td>{cells}'
            f"<td>{sequence_html(sequence)}</td><td>{remark}</td></tr>"
        )
        last, known = (phase, sequence), sequence or known
    head = "".join(f'<th scope="col" class="number">{text(name)}</th>' for name in order.classes)
    return f"""<div class="scroll limit" tabindex="0" role="region" aria-label="Changes of phase or sequence"><table>
<caption>Frames in which the phase or the sequence changed</caption><thead><tr>
<th scope="col" class="number">time (ns)</th><th scope="col">phase</th>{head}<th scope="col">sequence</th>
<th scope="col">stacking, compared with the one before</th></tr></thead><tbody>{rows}</tbody></table></div>"""
