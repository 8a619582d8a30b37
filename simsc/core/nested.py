"""Nested values as flat ones, whose keys say where they stood."""

from typing import Any


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Return {"a.b[0]": value, …} for nested dictionaries and lists."""
    if isinstance(value, dict):
        return {k: v for name, item in value.items() for k, v in flat(item, f"{key}.{name}" if key else name).items()}
    if isinstance(value, list | tuple):
        return {k: v for i, item in enumerate(value) for k, v in flat(item, f"{key}[{i}]").items()}
    return {key: value}
