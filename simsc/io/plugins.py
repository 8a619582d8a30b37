"""Formats of files that other packages add to simsc's own, through entry points.

A package says in its `pyproject.toml` where a format of its own is:

    [project.entry-points."simsc.frame_formats"]
    my_detector = "my_package.frames:MY_DETECTOR"

simsc's own formats come first, so that no package takes their place; those of packages are asked about what is none of
them, in the order of the names of the entry points, and are loaded only then. A package that cannot be loaded, or
fails, is named in a note, and left out.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from simsc.core.errors import InputError, SimscError, SimscWarning, reason


class Format(Protocol):
    """What formats of all kinds of files have: a frozen dataclass with these."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """What it is called in messages; no two have the same."""

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of its files, in lower case, with their dots."""

    @property
    def recognises(self) -> Callable[[Path], bool]:
        """Tells whether a file is of this format."""

    @property
    def package(self) -> str:
        """Name of the package that adds it, filled in when it is found; "" for simsc's own."""


F = TypeVar("F", bound=Format)


def format_of(path: Path, own: Sequence[F], group: str) -> F | None:
    """Return the first format that recognises a file: of simsc's own, then of other packages; None if none does.

    Args:
        path: a file that there is.
        own: simsc's own formats.
        group: name of the entry points, such as "simsc.frame_formats".

    Warns:
        SimscWarning: about packages that cannot be used.
    """
    found = next((known for known in own if known.recognises(path)), None)
    return found or next((known for known in formats_of_packages(own, group) if known.recognises(path)), None)


def has_ending(path: Path, endings: Sequence[str]) -> bool:
    """Tell whether the name of a file has one of some endings, in small or capital letters."""
    return path.name.lower().endswith(tuple(endings))


def formats_of_packages(own: Sequence[F], group: str) -> Iterator[F]:
    """Give the formats that other packages have registered, each of the same class as simsc's own.

    What their functions raise, other than errors of simsc, becomes an `InputError` that names the package; `recognises`
    says no instead, with a note.

    Warns:
        SimscWarning: about packages that cannot be used.
    """
    names = {known.name for known in own}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            found = point.load()
        except Exception as error:  # whatever the package does when it is imported
            _warn(point, f"cannot be loaded ({reason(error)})")
            continue
        if not isinstance(found, type(own[0])):
            _warn(point, f"gives no {type(own[0]).__name__} but a {type(found).__name__}")
        elif found.name in names:
            _warn(point, f"has a format {found.name!r}, which is there already")
        else:
            names.add(found.name)
            yield _guarded(found, point)


@contextlib.contextmanager
def errors_of_package(package: str, subject: object) -> Iterator[None]:
    """Turn what a package raises, other than errors of simsc, into an `InputError` that names it and a file."""
    try:
        yield
    except SimscError:
        raise
    except Exception as error:
        raise InputError(f"{subject}: the package {package}, which is to know it, fails ({reason(error)})") from error


def _guarded(found: F, point: EntryPoint) -> F:
    """Return a format whose functions raise errors of simsc only, and which tells the package it is from."""
    changes: dict[str, Any] = {"package": _package(point), "recognises": _recogniser(found.recognises, point)}
    for name in ("read", "write"):
        if callable(function := getattr(found, name, None)):
            changes[name] = _function(function, point)
    return dataclasses.replace(found, **changes)


def _recogniser(function: Callable[[Path], bool], point: EntryPoint) -> Callable[[Path], bool]:
    def recognises(path: Path) -> bool:
        try:
            return bool(function(path))
        except Exception as error:
            _warn(point, f"fails to tell what {path.name} is ({reason(error)})")
            return False

    return recognises


def _function(function: Callable[..., Any], point: EntryPoint) -> Callable[..., Any]:
    def call(subject: Path | Sequence[Path], *more: Any) -> Any:
        with errors_of_package(_package(point), subject if isinstance(subject, Path) else subject[0]):
            return function(subject, *more)

    return call


def _warn(point: EntryPoint, what: str) -> None:
    text = f"the package {_package(point)} ({point.group}: {point.name}) {what}; it is left out, update or remove it"
    warnings.warn(text, SimscWarning, stacklevel=3)


def _package(point: EntryPoint) -> str:
    return point.value.partition(":")[0] if point.dist is None else point.dist.name
