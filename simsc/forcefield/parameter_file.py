"""Reading of parameter files (JSON), whatever they hold."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from simsc.core.errors import InputError
from simsc.io.resources import resource_folder

_Parameters = TypeVar("_Parameters", bound=BaseModel)


def names_of(kind: str) -> list[str]:
    """Return the parameter sets of a kind that simsc comes with: folders `<name>_<kind>` in `forcefields/`."""
    return sorted(p.parent.name for p in resource_folder("forcefields").glob(f"*_{kind}/parameters.json"))


def load_parameters(model: type[_Parameters], available: list[str], name: str) -> _Parameters:
    """Read a parameter set, one of those available, by its folder name in `forcefields/`.

    Raises:
        InputError: if it is not one of them, or its file does not hold what the model needs.
    """
    if name not in available:
        raise InputError(f"force field {name!r} is not known; available: {', '.join(available)}")
    return read_parameters(model, resource_folder("forcefields") / name / "parameters.json")


def read_parameters(model: type[_Parameters], path: Path) -> _Parameters:
    """Read a JSON file.

    Raises:
        InputError: if the file cannot be read or does not hold what the model needs; it names the key.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where + ': ' if where else ''}{first['msg']}") from None
