"""The command `simsc status`: how far a run is."""

from dataclasses import asdict
from pathlib import Path

import click

from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)


@click.command(epilog=example("simsc status study_run", "watch -n 60 simsc status study_run"))
@click.argument("folder", metavar="RUN", type=PATH)
@JSON
def status(folder: Path, as_json: bool) -> None:
    """Report the progress of a RUN from its files: while it goes, after a stop, on any machine that sees them."""
    from simsc.report.status_text import replicas_text, run_text
    from simsc.study.replicas import outcomes
    from simsc.study.run_folder import RunFolder
    from simsc.study.status import run_status

    if RunFolder(folder).study().replicas is not None:
        found = outcomes(folder)
        print_result(as_json, {"replicas": [outcome.row for outcome in found]}, replicas_text(found))
    else:
        state = run_status(folder)
        print_result(as_json, asdict(state), run_text(state))
