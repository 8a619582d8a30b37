"""The angle of the sample at each frame: from a table, a .fio file of DESY, or a start and a step."""

import re
from pathlib import Path

import numpy as np

from simsc.core.errors import InputError

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LARGEST_FILE = 50_000_000  # bytes; tables of angles are much smaller


def read_angles(path: Path, column: str | None = None) -> np.ndarray:
    """Read angles, degrees, from a text table or a .fio file.

    Args:
        path: a table of one column, of two, of which the first numbers the frames, or of more, of which the last is
            taken (`#` begins a comment; the first line may be a header); or a .fio file.
        column: which column, by its name in the header or in the .fio file. By default the last of a table, and of a
            .fio file the only one that goes on in even steps.

    Raises:
        InputError: for a file that cannot be read, or numbers that are none.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no file with a table of angles")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path}: is too large for a table of angles")
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    names, rows = _fio(path, lines) if path.suffix.lower() == ".fio" else _table(path, lines)
    if column is not None:
        if names.count(column) != 1:
            many = "no column" if column not in names else "several columns"
            raise InputError(f"{path}: has {many} {column!r}; it has {', '.join(names) or 'no names of columns'}")
        angles = rows[:, names.index(column)]
    elif path.suffix.lower() == ".fio":
        even = [k for k in range(rows.shape[1]) if _is_even(rows[:, k])]
        if len(even) != 1:
            raise InputError(
                f"{path}: {len(even)} of its columns go on in even steps; name the one with the angles among "
                f"{', '.join(names)}"
            )
        angles = rows[:, even[0]]
    else:
        # A comma for the decimal point makes two columns of one, but hardly ever numbers of frames.
        if rows.shape[1] == 2 and not (np.diff(rows[:, 0]) == 1).all():
            raise InputError(
                f"{path}: has two columns, of which the first must number the frames one after the other; otherwise "
                "leave only the column that is meant, or give a header and name that column"
            )
        angles = rows[:, -1]
    if not np.isfinite(angles).all():
        raise InputError(f"{path}: holds angles that are no numbers")
    return angles


def angles_of_frames(angles_deg: np.ndarray, n_frames: int, name: str) -> np.ndarray:
    """Return an angle (n_frames,) for each frame, where each angle may have several frames after one another.

    Raises:
        InputError: if the number of frames is no multiple of the number of angles.
    """
    k = len(angles_deg)
    if k == 0 or n_frames % k:
        raise InputError(
            f"{name}: {n_frames} frames and {k} angles do not fit: there must be an angle for each frame, or one for "
            "each so many frames that follow one another"
        )
    return np.repeat(np.asarray(angles_deg, dtype=float), n_frames // k)


def _table(path: Path, lines: list[str]) -> tuple[list[str], np.ndarray]:
    rows: list[list[float]] = []
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        if "," in text and ";" in text:
            raise InputError(f"{path}: line {number} has both commas and semicolons; numbers need a decimal point")
        parts = [part for part in re.split(r"[\s,;]+", text) if part]
        if not parts:
            continue
        if not all(_NUMBER.fullmatch(part) for part in parts):
            # A first line that holds a number is a damaged one, not a header.
            if rows or names or any(_is_number(part) for part in parts):
                raise InputError(f"{path}: line {number} holds something that is no number: {line.strip()[:60]!r}")
            names = parts
            continue
        rows.append([float(part) for part in parts])
        if len(rows[-1]) != len(rows[0]):
            raise InputError(f"{path}: line {number} has {len(rows[-1])} columns, lines before it {len(rows[0])}")
    return names, _array(path, rows, names)


def _fio(path: Path, lines: list[str]) -> tuple[list[str], np.ndarray]:
    names: list[str] = []
    types: list[str] = []
    rows: list[list[float]] = []
    block = ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if re.fullmatch(r"%[a-zA-Z]", text):
            block = text[1].lower()
        elif not text or text.startswith("!") or block != "d":
            continue
        elif match := re.fullmatch(r"Col\s+([0-9]+)\s+(\S+)\s+(\S+).*", text):
            if int(match[1]) != len(names) + 1 or rows:
                raise InputError(f"{path}: line {number}: columns must be numbered one after the other before the data")
            names.append(match[2])
            types.append(match[3].upper())
        else:
            parts = text.split()
            if len(parts) != len(names) or not all(
                kind == "STRING" or _is_number(part) for part, kind in zip(parts, types, strict=True)
            ):
                raise InputError(f"{path}: line {number} does not hold {len(names)} numbers: {text[:60]!r}")
            # Text, and counters that were not read, do no harm in columns that are not asked for.
            rows.append([np.nan if kind == "STRING" else float(part) for part, kind in zip(parts, types, strict=True)])
    return names, _array(path, rows, names)


def _array(path: Path, rows: list[list[float]], names: list[str]) -> np.ndarray:
    if not rows:
        raise InputError(f"{path}: holds no numbers")
    if names and len(names) != len(rows[0]):
        raise InputError(f"{path}: has {len(names)} names for {len(rows[0])} columns")
    return np.array(rows)


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text) or text.lower().lstrip("+-") in ("nan", "inf"))


def _is_even(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool(len(steps) > 1 and abs(steps.mean()) > 0 and np.ptp(steps) < 0.1 * abs(steps.mean()))
