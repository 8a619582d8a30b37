"""The command `simsc new`: a study file to start from."""

import shlex
from pathlib import Path

import click

from simsc.cli.options import (
    JSON,
    PATH,
    example,
    print_result,
)
from simsc.core.errors import InputError
from simsc.io.whole_files import write_text
from simsc.study.schema import preset_names, preset_text


@click.command(epilog=example("simsc new --preset preview study.toml"))
@click.argument("file", type=PATH)
@click.option("--preset", type=click.Choice(preset_names()), default="preview", show_default=True, help="What kind.")
@JSON
def new(file: Path, preset: str, as_json: bool) -> None:
    """Write a commented study FILE to start from."""
    text = preset_text(preset)
    if file.exists():
        raise InputError(f"{file}: exists already; give another name")
    write_text(file, text)
    message = f"{file} written; run it with: simsc run {shlex.quote(str(file))}"
    print_result(as_json, {"study": file, "preset": preset}, message)
