"""One page for all replicas of a study, finished or not: what came out of each, and on average."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.stacking import same_stacking
from simsc.io.whole_files import write_text
from simsc.plot.healing import hcp_against_chance
from simsc.report.document import COARSE, document
from simsc.report.embed import drawing_style, svg
from simsc.report.healing_section import chance_table
from simsc.report.healing_text import NULL_NAMES, energy, verdict
from simsc.report.status_text import duration
from simsc.sliding.chance import NULLS
from simsc.sliding.healing import set_healing
from simsc.study.replicas import Outcome, outcomes
from simsc.study.run_folder import STATES, RunFolder

_START = "superlattice.stacking"
_HEALING_HEAD = (
    "start",
    "runs",
    "hcp-like layers at the start",
    "at the end",
    "slides",
    "p after as many slides",
    *(f"p, start forgotten: {NULL_NAMES[null]}" for null in NULLS),
    "energy per hcp-like layer, any interface, kT (95 %)",
)


def write_replicas_report(folder: Path, report: Path) -> None:
    """Write the page.

    Args:
        folder: folder of the replicas.
        report: HTML file to write, whole or not at all.

    Raises:
        InputError: if the page cannot be written.
    """
    study, found = RunFolder(folder).study(), outcomes(folder)
    title = study.title or f"Replicas of {study.superlattice.stacking}"
    done = sum(outcome.state == "done" for outcome in found)
    note = "" if study.all_atom else f'<div class="note" role="note">{COARSE}</div>'
    sections = (
        ("average", "On average", note + _averages(found)),
        ("healing", "Did they heal?", _healing(found)),
        ("each", "Each replica", _each(folder, found)),
    )
    write_text(report, document(title, f"{done} of {len(found)} replicas done", sections))


def _averages(found: list[Outcome]) -> str:
    """Return means over the seeds of finished replicas, with the standard error of the mean."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in found:
        groups.setdefault(_values(outcome), []).append(outcome)
    rows = []
    for values, members in groups.items():
        done = [outcome for outcome in members if outcome.counts]
        fractions = [_mean([_fcc_fraction(outcome, state) for outcome in done]) for state in STATES]
        read = [outcome.sequences for outcome in done if all(outcome.sequences.values())]
        changed = sum(not same_stacking(sequences["before"], sequences["after"]) for sequences in read)
        rows.append([values, f"{len(done)} of {len(members)}", *fractions, f"{changed} of {len(read)}"])
    return _table(["values", "finished", "fcc before", "fcc after", "stacking changed (of those read)"], rows)


def _healing(found: list[Outcome]) -> str:
    """Return, for replicas that differ in start and seed only, what each start and all together are worth."""
    sets: dict[str, list[Outcome]] = {}
    for outcome in found:
        if outcome.healing is not None:
            sets.setdefault(_values(outcome, without=_START), []).append(outcome)
    if not sets:
        return "<p>No replica has been classified yet.</p>"
    text = ""
    for k, (values, members) in enumerate(sets.items()):
        starts: dict[str, list[Outcome]] = {}
        for outcome in members:
            starts.setdefault(outcome.variant.study.superlattice.stacking, []).append(outcome)
        all_of_them = set_healing([outcome.healing for outcome in members if outcome.healing])
        heading = f"<h3>{escape(values)}</h3>" if len(sets) > 1 else ""
        text += f"{heading}<p><strong>{escape(verdict(all_of_them))}</strong></p>"
        text += _table(_HEALING_HEAD, [_start_row(start, of_start) for start, of_start in starts.items()])
        if all_of_them.informative:
            text += f"<h3>All starts together</h3>{chance_table(all_of_them)}"
        with drawing_style():
            drawn = svg(hcp_against_chance(all_of_them), f"chance-{k}", "Hcp-like layers, and what chance leaves.")
        text += (
            f"<figure>{drawn}<figcaption>Mean number of hcp-like layers of all these replicas. Grey: what is left by "
            "chance if no stacking is preferred and each start is forgotten. Circles: what as many slides at random "
            "leave from these starts.</figcaption></figure>"
        )
    return text


def _start_row(start: str, members: list[Outcome]) -> list[Any]:
    found = set_healing([outcome.healing for outcome in members if outcome.healing])
    after = "–" if found.p_after_slips is None else f"{found.p_after_slips:.2g}"
    informative = found.informative
    return [
        start,
        len(found.runs),
        ", ".join(str(run.h_start) for run in found.runs),
        ", ".join(str(h) for h in found.h_end),
        ", ".join(str(n) for n in found.n_slips),
        after,
        *(_p(found.p_values[null]) if informative else "–" for null in NULLS),
        energy(found.energies["free"]) if informative else "layers lost" if found.n_lost else "nothing slid",
    ]


def _p(value: float | None) -> str:
    return "ruled out" if value is None else f"{value:.2g}"


def _each(folder: Path, found: list[Outcome]) -> str:
    rows = []
    for outcome in found:
        here = RunFolder(folder).replica(outcome.variant.number)
        name = str(outcome.variant.number)
        if here.report.is_file():
            name = f'<a href="{here.report.relative_to(folder)}">{name}</a>'
        row = outcome.row
        seconds = None if outcome.status is None else [stage.seconds for stage in outcome.status.stages]
        rows.append(
            [
                _Html(name),
                outcome.variant.seed,
                _values(outcome),
                f"{outcome.state} ({100 * outcome.fraction:.0f} %)" if outcome.state != "done" else "done",
                *(row[f"sequence_{state}"] for state in STATES),
                *(_share(outcome, state) for state in STATES),
                row["d_nn_nm"],
                duration(sum(filter(None, seconds))) if seconds else "",
                row["error"],
            ]
        )
    head = [
        "replica",
        "seed",
        "values",
        "state",
        "before",
        "after",
        "fcc before",
        "fcc after",
        "d_NN (nm)",
        "run time",
        "error",
    ]
    return _table(head, rows)


class _Html(str):
    """Text that is HTML already."""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell if isinstance(cell, _Html) else escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _values(outcome: Outcome, without: str = "") -> str:
    values = {key: value for key, value in outcome.variant.values.items() if key != without}
    return ", ".join(f"{key} = {value}" for key, value in values.items()) or "as in the study"


def _fcc_fraction(outcome: Outcome, state: str) -> float:
    """Return the fraction of NPs in the bulk (not at a surface) that are fcc."""
    counts = outcome.counts[state]
    inside = sum(number for name, number in counts.items() if name != "surface")
    return counts["fcc"] / inside if inside else float("nan")


def _share(outcome: Outcome, state: str) -> str:
    return f"{_fcc_fraction(outcome, state):.3f}" if outcome.counts else ""


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"
