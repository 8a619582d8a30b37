"""The command `simsc status`: how far a run is."""

from dataclasses import asdict
from pathlib import Path

import click

from simsc.cli.options import (
    JSON,
    PATH,
    example,
    tell,
)


@click.command(epilog=example("simsc status study_run", "watch -n 60 simsc status study_run"))
@click.argument("folder", metavar="RUN", type=PATH)
@JSON
def status(folder: Path, as_json: bool) -> None:
    """Tell how far a RUN is, from its files: while it goes, after it was stopped, on any machine that sees them."""
    from simsc.report.status_text import replicas_text, run_text
    from simsc.study.replicas import outcomes
    from simsc.study.run_folder import RunFolder
    from simsc.study.status import run_status

    if RunFolder(folder).study().replicas is not None:
        found = outcomes(folder)
        tell(as_json, {"replicas": [outcome.row for outcome in found]}, replicas_text(found))
    else:
        state = run_status(folder)
        tell(as_json, asdict(state), run_text(state))
