"""The command line: one command a stage, plus `run`, `new` and `doctor`.

Exit status: 0 done, 2 bad input, 75 a resource is missing, 85 stopped early, 1 anything else.
"""

import contextlib
import difflib
import importlib
import os
import re
import sys
import warnings
from pathlib import Path
from typing import NoReturn, TextIO

import click
from click.shell_completion import CompletionItem

from simsc.cli.options import example
from simsc.core.errors import InputError, ResourceError, SimscError, SimscWarning, StoppedEarly
from simsc.io.whole_files import write_error

# Where each command is, and its line in the list of all. Only the one that is asked for is loaded: all of them take
# seconds to load.
COMMANDS = {
    "new": ("new:new", "Write a commented study FILE to start from."),
    "run": ("run:run", "Run a STUDY from its superlattice to its report; run it again to go on after a stop."),
    "status": ("status:status", "Report the progress of a RUN."),
    "report": ("report:report", "Write the report of a finished RUN anew."),
    "healing": ("healing:healing", "Report which layers of RUNs slid, and whether that is chance."),
    "submit": ("submit:submit", "Run a STUDY as Slurm jobs."),
    "build": ("build:build", "Build a superlattice, a supraparticle or a pillar."),
    "classify": ("classify:classify", "Label each NP as fcc, hcp or neither, and read the stacking sequence."),
    "scatter": ("scatter:scatter", "Compute the 3D scattered intensity of NPs."),
    "correlate": ("correlate:correlate", "Compute the correlation map C(q1, q2, Δ)."),
    "compare": ("compare:compare", "Compare two correlation maps, simulated or measured."),
    "refine": ("refine:refine", "Refine parameters of a structure, or rank structures."),
    "beamline": ("beamline:beamline", "Simulate the detector frames of a rotation scan."),
    "import": ("import_frames:import_frames", "Merge the detector frames of a rotation scan."),
    "orient": ("orient:orient", "Find the orientation of a lattice in an intensity."),
    "import-volume": ("import_volume:import_volume", "Read a 3D intensity of another program."),
    "info": ("info:info", "Identify a file or a folder, and show what made it."),
    "export": ("export:export", "Write what was made for other programs."),
    "slide": ("slide:slide", "Compute the free energy of layers that slide."),
    "stackings": ("stackings:stackings", "Sample the stackings of a crystal in equilibrium."),
    "parameterise": ("parameterise:parameterise", "Give another ligand all parameters of GAFF or GAFF2."),
    "doctor": ("doctor:doctor", "Check the installation; what to send along with a question."),
    "completion": ("completion:completion", "Print what makes a shell complete simsc's commands and options."),
}


class _Commands(click.Group):
    """Commands that are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"simsc.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"No such command {args[0]!r}; " + (f"did you mean {near[0]!r}?" if near else "simsc --help lists all")
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("simsc new study.toml", "simsc run study.toml"),
)
@click.version_option(package_name="simsc", prog_name="simsc")  # looks it up only when asked: that takes time
def cli() -> None:
    """Build, anneal, classify and scatter supercrystals of ligand-capped nanoparticles."""


def main() -> NoReturn:
    """Run the command line and end with its exit status; errors of simsc are one line, without traceback."""
    warnings.showwarning = _note
    try:
        status = cli.main(standalone_mode=False) or 0
    except StoppedEarly as error:
        _fail(str(error), error.exit_status, together=True, label="")
    except SimscError as error:
        _fail(str(error), error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(InputError.exit_status)
    except click.ClickException as error:
        _fail(f"{_in_one_line(error)} (see --help)", InputError.exit_status)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped", StoppedEarly.exit_status, label="")
    except OSError as error:
        failure = write_error(Path(error.filename or Path.cwd()), error)
        _fail(str(failure), failure.exit_status, alone=True)
    except MemoryError:
        _fail("not enough memory; use a smaller --grid or fewer replicas", ResourceError.exit_status)
    sys.exit(status)


def _in_one_line(error: click.ClickException) -> str:
    """Return what click found wrong, with what was probably meant."""
    text = " ".join(error.format_message().split())
    if re.search(r"'-?\d+,\d+' is not a valid float", text):
        return f"{text} Decimals have a point, not a comma."
    parameter = error.param if isinstance(error, click.BadParameter) else None
    if parameter is not None and parameter.nargs > 1 and "is not a valid" in text:
        return f"{text} It takes {parameter.nargs} values: {parameter.metavar}."
    return text


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, SimscWarning):
        click.echo(f"simsc: note: {message}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def _fail(message: str, status: int, together: bool = False, alone: bool = False, label: str = "error: ") -> NoReturn:
    """Say why in one line and end at once, whatever libraries would still like to do.

    Args:
        message: what is wrong, or what was stopped.
        status: exit status.
        together: whether the other ranks know, and end by themselves.
        alone: whether the other ranks may not know, whatever the status.
        label: what stands before the message.
    """
    # What is printed may go to the same full disk; the status is still to be told.
    with contextlib.suppress(OSError):
        click.echo(f"simsc: {label}{message}", err=True)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    if "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        from simsc.md.parallel import abort

        several = MPI.COMM_WORLD.size > 1
        if several and (alone or (not together and status in (StoppedEarly.exit_status, SimscError.exit_status))):
            # The other ranks may be in the middle of a step that this one has left.
            abort(MPI.COMM_WORLD, status)
        # mpi4py's own runner would take an exit for a reason to abort, and lose the status. And without this every
        # error would leave a segment of shared memory behind.
        MPI.Finalize()
    # No tidying up: HDF5 crashes in it after a full disk did not let it close a file.
    os._exit(status)
