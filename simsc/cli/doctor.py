"""The command `simsc doctor`: is all in order, and what to send along with a question."""

from pathlib import Path

import click

from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)
from simsc.core.errors import ResourceError
from simsc.hpc.installation import about, end_of_log, run_checks
from simsc.report.status_text import run_text
from simsc.study.status import run_status


@click.command(epilog=example("simsc doctor", "simsc doctor study_run > for_a_question.txt"))
@click.argument("folder", metavar="[RUN]", type=PATH, required=False)
@JSON
def doctor(folder: Path | None, as_json: bool) -> None:
    """Check LAMMPS, MPI, freud, disk and memory, and say how to mend what is wrong.

    What is printed is what to send along with a question; with a RUN also how far it is, and what LAMMPS said last.
    """
    facts, state = about(), None if folder is None else run_status(folder)
    checks = run_checks(folder or Path.cwd())
    lines = [f"{name:>11}  {value}" for name, value in facts.items()]
    for check in checks:
        lines.append(f"{'ok' if check.passed else 'FAIL':>11}  {check.name}: {check.finding}")
        if not check.passed:
            lines.append(f"{'':>11}  → {check.remedy}")
    log = None
    if folder is not None and state is not None:
        lines += ["", run_text(state)]
        if (log := end_of_log(folder)) is not None:
            lines += ["", f"{log[0]} ends with:", *log[1]]
    print_result(
        as_json,
        {
            "about": facts,
            "checks": [vars(check) for check in checks],
            "run": None if state is None else {"state": state.state, "stage": state.progress and state.progress.stage},
            "log": None if log is None else {"file": log[0], "end": log[1]},
        },
        *lines,
    )
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise ResourceError(f"not in order: {', '.join(failed)}")
