"""What the extra `parameterise` installs: Python modules and the programs of AmberTools."""

import importlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from simsc.core.errors import InputError, ResourceError

_INSTALL = "run: pip install 'simsc[parameterise]'"


def import_extra(module: str) -> Any:
    """Import a module of the extra `parameterise`.

    Raises:
        ResourceError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ResourceError(f"{module.split('.')[0]} is not installed; {_INSTALL}") from None


def ambertools_program(program: str) -> Path:
    """Return where a program of AmberTools is: beside this Python, or in PATH.

    Raises:
        ResourceError: if it is not installed.
    """
    folders = [sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    found = shutil.which(program, path=os.pathsep.join(folders))
    if found is None:
        raise ResourceError(f"AmberTools ({program}) is not installed; {_INSTALL}")
    return Path(found)


def ambertools(program: str, *arguments: str, folder: Path, creates: str) -> None:
    """Run a program of AmberTools in a folder.

    Args:
        program: such as `antechamber`.
        arguments: options and file names; nothing that a user wrote.
        folder: where it runs; its output goes to `program.log` there.
        creates: file that it has to make.

    Raises:
        ResourceError: if it is not installed.
        InputError: if the file is not made, which means that the molecule cannot be treated.
    """
    path = ambertools_program(program)
    (folder / creates).unlink(missing_ok=True)
    done = subprocess.run(  # noqa: S603  a list of fixed words, no shell
        [path, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    (folder / f"{program}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if not (folder / creates).exists():
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in said if "rror" in line] or said[-1:]
        raise InputError(f"{program} of AmberTools cannot treat this molecule: {' '.join(errors)[:200]}")
