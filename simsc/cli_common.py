"""What the commands share: kinds of arguments, examples in their help, and where a result comes from."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from simsc.core.files import provenance
from simsc.core.units import NM_PER_UNIT

PATH = click.Path(path_type=Path)
LENGTH_UNIT = click.option(
    "--length-unit", type=click.Choice(list(NM_PER_UNIT)),
    help="Unit of positions in files that are not simsc's own; the default is what the file tells, else A.",
)  # fmt: skip


def example(*lines: str) -> str:
    """Return how an example stands at the end of a help text."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def origin() -> dict[str, Any]:
    """Return what made a result, with the command line."""
    return provenance(command="simsc " + shlex.join(sys.argv[1:]))
