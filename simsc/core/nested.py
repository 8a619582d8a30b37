"""Nested values as flat ones, whose keys say where they stood."""

import re
from typing import Any

from simsc.core.errors import InputError


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Return {"a.b[0]": value, …} for nested dictionaries and lists.

    Items that have names of their own go by them, `phases[heat]`, and `phases` tells their order.
    """
    if isinstance(value, dict):
        return {k: v for name, item in value.items() for k, v in flat(item, f"{key}.{name}" if key else name).items()}
    if isinstance(value, list | tuple):
        names = [str(item["name"]) for item in value if isinstance(item, dict) and isinstance(item.get("name"), str)]
        if value and len(set(names)) == len(value):
            items = {f"{key}[{item['name']}]": item for item in value}
            named = {k: v for at, item in items.items() for k, v in flat(item, at).items() if k != f"{at}.name"}
            return {key: ", ".join(names), **named}
        return {k: v for i, item in enumerate(value) for k, v in flat(item, f"{key}[{i}]").items()}
    return {key: value}


def replaced(nested: Any, key: str, value: Any) -> Any:
    """Return a copy of nested values with another one at a key of `flat`.

    Items of a list may be named too: `phases[heat]` is the one whose `name` is "heat".

    Raises:
        InputError: if there is no such key; says which there are.
    """
    return _replaced(nested, re.findall(r"[^.\[\]]+|\[[^\]]*\]", key), value, key)


def _replaced(nested: Any, path: list[str], value: Any, key: str) -> Any:
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(nested, dict):
        if part in nested:
            return {**nested, part: _replaced(nested[part], rest, value, key)}
        raise InputError(f"{key!r}: there is no {part!r}; allowed: {', '.join(nested)}")
    if isinstance(nested, list) and part.startswith("["):
        names = [str(item.get("name")) if isinstance(item, dict) else str(k) for k, item in enumerate(nested)]
        wanted = part[1:-1]
        if wanted in names or (wanted.isdigit() and int(wanted) < len(nested)):
            at = names.index(wanted) if wanted in names else int(wanted)
            return [_replaced(item, rest, value, key) if k == at else item for k, item in enumerate(nested)]
        raise InputError(f"{key!r}: there is no {part}; allowed: {', '.join(names)}")
    raise InputError(f"{key!r}: nothing lies below {part!r}")
