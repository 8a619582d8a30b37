"""The command `simsc report`: the page of a run, or of two."""

from pathlib import Path

import click

from simsc.cli.console import working
from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)
from simsc.core.errors import InputError


@click.command(epilog=example("simsc report study_run", "simsc report one_run --beside other_run -o both.html"))
@click.argument("folder", metavar="RUN", type=PATH)
@click.option("--beside", "other", type=PATH, help="Another finished run: write one page of both.")
@click.option("-o", "--output", type=PATH, help="The page of both; the default is comparison.html.")
@JSON
def report(folder: Path, other: Path | None, output: Path | None, as_json: bool) -> None:
    """Write the report of a finished RUN anew, or the table and report of its replicas, or one page of two runs."""
    from simsc.report.page import write_report
    from simsc.report.replicas_page import write_replicas_report
    from simsc.study.replicas import outcomes, write_outcomes
    from simsc.study.run_folder import RunFolder

    if other is not None:
        from simsc.report.comparison_page import write_comparison

        page = output or Path("comparison.html")
        with working("report"):
            write_comparison(folder, other, page)
        print_result(as_json, {"report": page.resolve()}, f"report: {page.resolve()}")
        return
    if output is not None:
        raise InputError("--output: is for a page of two runs, with --beside; that of one run is in its folder")
    run = RunFolder(folder)
    facts = {"report": run.report.resolve()}
    if run.study().replicas is not None:
        write_outcomes(folder, outcomes(folder))
        write_replicas_report(folder, run.report)
        facts = {"table": run.outcomes.resolve(), **facts}
    else:
        with working("report"):
            write_report(folder, run.report)
    print_result(as_json, facts, *(f"{what}: {file}" for what, file in facts.items()))
