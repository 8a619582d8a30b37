"""What is wrong with a study, in words: pydantic's errors as lines that name the key and the remedy."""

import difflib
import json
from typing import Any, get_args

from pydantic import BaseModel

_NEEDED = {"model_type": "a table of keys and values", "dict_type": "a table", "list_type": "a list"}


def described(error: dict[str, Any], values: dict[str, Any], model: type[BaseModel]) -> str:
    """Return one error in one line: the key, what is wrong with it, and what is allowed.

    Args:
        error: as pydantic lists it.
        values: what was checked, by section and key.
        model: what they were checked against.
    """
    location = error["loc"]
    where = _key(location, values)
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        allowed = _allowed_keys(location[:-1], model)
        hint = difflib.get_close_matches(str(location[-1]), allowed, 1)
        return f"{where}: unknown key; " + (f"did you mean {hint[0]!r}?" if hint else f"allowed: {', '.join(allowed)}")
    if kind == "missing":
        return f"{where}: is missing"
    if kind in _NEEDED:
        return f"{where}: needs {_NEEDED[kind]}, got {json.dumps(given, default=str)[:80]}"
    if kind == "value_error":
        message = str(error["ctx"]["error"])
        return f"{where}: {message}" if where else message
    return f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}, got {json.dumps(given, default=str)[:80]}"


def _key(location: tuple[Any, ...], values: Any) -> str:
    """Return where an error is; items of a list go by their names, if they have any."""
    text = ""
    for part in location:
        if isinstance(part, str) and ("[" in part or part == "constrained-int"):
            continue  # which member of a union was tried
        inside = isinstance(values, list) and isinstance(part, int) and part < len(values)
        values = values[part] if inside else values.get(part) if isinstance(values, dict) else None
        name = values.get("name") if isinstance(values, dict) and isinstance(part, int) else None
        item = name if isinstance(name, str) and name else part
        text += f"[{item}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def _allowed_keys(location: tuple[Any, ...], model: Any) -> list[str]:
    """Return the keys that a section may have, found by walking down the model."""
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = inner[0]
    return list(model.model_fields)
