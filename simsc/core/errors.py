"""One tree of errors; each says what was wrong, where, and what to do, and carries its exit status."""

import contextlib
import re
from collections.abc import Iterator, Mapping


class SimscError(Exception):
    """Base of every error that simsc raises on purpose.

    Attributes:
        exit_status: status with which the command line ends.
    """

    exit_status = 1


class SimscWarning(UserWarning):
    """Something that is not wrong, but that whoever uses the result should know."""


class InputError(SimscError):
    """What the user gave cannot be used: a value, a key, a file or a folder."""

    exit_status = 2


class StudyError(InputError):
    """A study file that cannot be read, or a run folder that belongs to another study."""


class ThinCellError(InputError):
    """A periodic cell in which neighbours could not be counted without counting an image twice."""


class SamplingError(InputError):
    """Reciprocal space was asked where it was not sampled finely or far enough."""


class NoFirstPeakError(InputError):
    """The first sphere q1 of a map cannot be found in what the map is of, and has to be given.

    Args:
        reason: why, without what to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; give q1 (nm⁻¹)")
        self.reason = reason


class ResourceError(SimscError):
    """Something that the machine should provide is missing: LAMMPS, MPI, disk or memory."""

    exit_status = 75


class SimulationError(SimscError):
    """LAMMPS stopped, or what it computed cannot be physical."""


class StoppedEarly(SimscError):
    """The work was stopped before its end; the same command takes it up again.

    Args:
        message: what was stopped, and where.
        idle: whether nothing was achieved that lasts.
    """

    exit_status = 85

    def __init__(self, message: str, idle: bool = False) -> None:
        super().__init__(message)
        self.idle = idle


def reason(error: Exception) -> str:
    """Return what a library of others raised, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


@contextlib.contextmanager
def in_other_words(words: Mapping[str, str]) -> Iterator[None]:
    """Let an `InputError` name what it is about as whoever called knows it: options of a command, or arguments.

    Args:
        words: what is said instead of what, such as {"diameter_nm": "--diameter"}.

    Example:
        >>> with in_other_words({"diameter_nm": "--diameter"}):
        ...     raise InputError("give diameter_nm")
        Traceback (most recent call last):
        ...
        simsc.core.errors.InputError: give --diameter
    """
    any_of = "|".join(re.escape(word) for word in words)
    try:
        yield
    except InputError as error:
        error.args = (re.sub(rf"(?<![\w-])({any_of})(?![\w-])", lambda found: words[found[0]], str(error)),)
        raise
