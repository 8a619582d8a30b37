"""What is special about a cluster, in one TOML file: account, partition, modules, launcher, environment."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from simsc.core.errors import InputError

_VARIABLE = "SIMSC_SITE"
_DEFAULT = Path("~/.config/simsc/site.toml")
_OPTION = re.compile(r"[a-z][a-z-]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Line = Annotated[str, Field(pattern=r"^[^\r\n\x00]*$")]


class Site(BaseModel):
    """A cluster.

    Args:
        launcher: words that start the ranks of a job.
        python: Python that has simsc there; empty for the one that submits.
        modules: environment modules to load.
        setup: lines of shell that prepare a job.
        environment: variables to set.
        sbatch: options of sbatch, such as account and partition, without their dashes.
        analysis: options that are different in the follow-up job.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    launcher: Line = "srun --mpi=pmi2"
    python: Line = ""
    modules: list[Line] = []
    setup: list[Line] = []
    environment: dict[str, Line] = {}
    sbatch: dict[str, Line | int] = {}
    analysis: dict[str, Line | int] = {}

    @field_validator("environment")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a variable")
        return value

    @field_validator("sbatch", "analysis")
    @classmethod
    def _options(cls, value: dict[str, str | int]) -> dict[str, str | int]:
        for name, given in value.items():
            if not _OPTION.fullmatch(name):
                raise ValueError(f"{name!r} is no option of sbatch; write it in full, without dashes before it")
            if '"' in str(given) or "\\" in str(given):
                raise ValueError(f"{name}: quotes and backslashes are not allowed")
        return value


def read_site(path: Path | None) -> Site:
    """Read a profile: the file given, else that of the variable SIMSC_SITE, else ~/.config/simsc/site.toml if there.

    Raises:
        InputError: in one line with the file, the key and what is allowed.
    """
    if path is None:
        path = Path(os.environ[_VARIABLE]) if _VARIABLE in os.environ else _DEFAULT.expanduser()
        if _VARIABLE not in os.environ and not path.is_file():
            return Site()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Site.model_validate_json(json.dumps(values, default=str))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part not in ("int", "constrained-str"))
        if first["type"] == "extra_forbidden":
            raise InputError(f"{path}: {key}: unknown key; allowed: {', '.join(Site.model_fields)}") from None
        message = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
        raise InputError(f"{path}: {key}: {message[0].lower()}{message[1:]}") from None
