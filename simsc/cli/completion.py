"""The command `simsc completion`: names of commands, options and their choices at the press of a key."""

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from simsc.cli.options import example
from simsc.core.errors import InputError

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=example(
        'eval "$(simsc completion bash)"                                # in ~/.bashrc',
        'eval "$(simsc completion zsh)"                                 # in ~/.zshrc, after compinit',
        "simsc completion fish > ~/.config/fish/completions/simsc.fish",
    )
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a SHELL complete simsc's commands, options and their choices.

    They are those of the simsc that is found on the PATH.
    """
    root = context.find_root()
    name = Path(root.info_name or "simsc").name
    kind = get_completion_class(shell)
    if kind is None or name != "simsc":
        raise InputError(f"{name}: is completed only under its own name, simsc")
    click.echo(kind(root.command, {}, "simsc", "_SIMSC_COMPLETE").source())
