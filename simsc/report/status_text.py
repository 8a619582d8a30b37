"""Where runs are, in a few lines for a terminal."""

import time

from simsc.md.frames import ANNEAL
from simsc.study.replicas import Outcome
from simsc.study.run_folder import STATES
from simsc.study.status import RunStatus

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def run_text(status: RunStatus) -> str:
    """Return a line on the run, and one on each of its stages."""
    progress = status.progress
    lines = [f"{status.folder}: {status.state}"]
    if progress is not None:
        job = f", job {progress.job}" if progress.job else ""
        lines[0] += f" ({progress.host}{job}, last sign of life {duration(time.time() - progress.updated)} ago)"
    if status.jobs:
        lines[0] += f" [Slurm: {', '.join(f'{what} {job}' for what, job in status.jobs.items())}]"
    for stage in status.stages:
        line = f"  {stage.name:<12} {stage.state:<11}"
        if stage.seconds is not None:
            line += f" in {duration(stage.seconds)}"
        elif progress is not None and progress.stage == stage.name:
            line += f" {100 * stage.fraction:.1f} %"
            if status.state == "running":
                line += f"  {progress.text}" + (f", {duration(progress.left_s)} left" if progress.left_s else "")
        if stage.name == ANNEAL and status.checkpoint_ns is not None:
            line += f"  checkpoint at {status.checkpoint_ns:.6g} of {status.total_ns:.6g} ns"
        lines.append(line.rstrip())
    if status.state in ("stopped", "failed") and progress is not None:
        lines.append(f"  {progress.text}")
    if status.state == "interrupted":
        lines.append("  killed, or its machine went down; the same command goes on from the last checkpoint")
    return "\n".join(lines)


def replicas_text(found: list[Outcome]) -> str:
    """Return a table with one line a replica."""
    rows = [["replica", "seed", *found[0].variant.values, "state", "%", "before", "after", "fcc before", "fcc after"]]
    for outcome in found:
        fcc = [str(outcome.counts[state]["fcc"]) if state in outcome.counts else "" for state in STATES]
        sequences = [outcome.sequences.get(state, "") for state in STATES]
        values = [str(value) for value in outcome.variant.values.values()]
        share = f"{100 * outcome.fraction:.0f}"
        rows.append(
            [str(outcome.variant.number), str(outcome.variant.seed), *values, outcome.state, share, *sequences, *fcc]
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [
        f"replica {outcome.variant.number}: {outcome.row['error']}" for outcome in found if outcome.state == "failed"
    ]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time span with a unit that suits it.

    Example:
        >>> duration(90), duration(8000), duration(200_000)
        ('90 s', '133 min', '55.6 h')
    """
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 3 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 3 * _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.1f} days"
