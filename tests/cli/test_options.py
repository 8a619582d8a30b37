"""Options of the command line: how many a function takes, and records that are made of them."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from simsc.cli.main import cli
from simsc.cli.options import check_distinct, gathered
from simsc.core.errors import InputError

MOST = 15


def commands(command: click.Command = cli, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Return every command by the words that call it."""
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found |= commands(command.get_command(context, name), (*path, name))
    return found


def test_no_command_takes_more_values_than_a_reader_can_hold():
    """What has more options than that takes records of them."""
    found = commands()
    assert len(found) > 25
    options = {path: len(command.params) for path, command in found.items()}
    taken = {
        path: len(inspect.signature(inspect.unwrap(command.callback)).parameters)
        for path, command in found.items()
        if command.callback is not None
    }
    assert max(options.values()) > MOST
    assert {path: n for path, n in taken.items() if n > MOST} == {}


@dataclass(frozen=True)
class Box:
    """A record of options."""

    width: float
    height: float

    def __post_init__(self) -> None:
        if self.width > self.height:
            raise InputError("too wide")


def test_options_as_a_record():
    @click.command()
    @click.option("--width", type=float, default=1.0)
    @click.option("--tall", type=float, default=2.0)
    @click.option("--name", default="it")
    @gathered("box", Box, width="width", height="tall")
    def command(box: Box, name: str) -> None:
        click.echo(f"{name}: {box.width} x {box.height}")

    runner = CliRunner()
    assert runner.invoke(command, ["--tall", "3"]).output == "it: 1.0 x 3.0\n"
    assert isinstance(runner.invoke(command, ["--width", "3"]).exception, InputError)
    assert [option.name for option in command.params] == ["width", "tall", "name"]


def test_the_input_is_not_overwritten(tmp_path):
    file, link = tmp_path / "a.h5", tmp_path / "b.h5"
    check_distinct(file, file)  # there is nothing to lose
    file.write_text("")
    check_distinct(file, link)
    link.hardlink_to(file)
    for output in (file, link, Path(tmp_path) / "." / "a.h5"):
        with pytest.raises(InputError, match="is the input"):
            check_distinct(file, output)
