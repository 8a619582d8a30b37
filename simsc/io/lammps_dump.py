"""Text dumps of LAMMPS, frame by frame: all kinds of boxes, boundaries and coordinates; atoms by their numbers.

Readers of other packages lose what decides here: MDAnalysis takes all boundaries as periodic and every frame as long as
the first, and neither keeps the order of atoms in a file without numbers.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from simsc.core.errors import InputError, SimscWarning

_PLACES = (("x", "y", "z"), ("xs", "ys", "zs"), ("xu", "yu", "zu"), ("xsu", "ysu", "zsu"))
_NS_PER_TIME = {"real": 1e-6, "metal": 1e-3, "nano": 1.0}  # of LAMMPS's unit styles
_UNITS = {"real": "A", "metal": "A", "nano": "nm"}


@dataclass(frozen=True, eq=False)
class DumpFrame:
    """One frame.

    Args:
        columns: (n,) strings by name of the column, sorted by atom number where there is one.
        positions: (n, 3) from the corner of the box, in the file's unit.
        vectors: (3, 3) edges of the box as rows, in the file's unit.
        periodic: (3,) bool.
        time_ns: time, ns; NaN where the file does not tell.
        unit: "A" or "nm" where the file tells so, "" where it tells nothing, None where it tells another.
    """

    columns: dict[str, np.ndarray]
    positions: np.ndarray
    vectors: np.ndarray
    periodic: np.ndarray
    time_ns: float
    unit: str | None


def is_dump(path: Path) -> bool:
    """Tell whether a file begins as a text dump does."""
    with open(path, "rb") as file:
        return file.read(6) == b"ITEM: "


class LammpsDump:
    """A text dump, of which one frame is in memory at a time.

    Args:
        path: file.

    Raises:
        InputError: if it has not one whole frame.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.units = ""
        self._offsets: list[int] = []
        with open(path, "rb") as file:
            start = 0
            while True:
                try:
                    whole = self._skip(file)
                except ValueError as error:
                    raise InputError(f"{path}: frame {len(self._offsets)} cannot be read ({error})") from None
                if not whole:
                    break
                self._offsets.append(start)
                start = file.tell()
            cut = start < path.stat().st_size
        if not self._offsets:
            raise InputError(f"{path}: has not one whole frame")
        if cut:
            warnings.warn(
                f"{path}: ends in the middle of a frame; its {len(self._offsets)} whole ones are read",
                SimscWarning,
                stacklevel=3,
            )

    def __len__(self) -> int:
        return len(self._offsets)

    def read(self, frame: int) -> DumpFrame:
        """Read a frame.

        Raises:
            InputError: if it cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offsets[frame])
                return self._read(file)
        except (ValueError, IndexError) as error:
            raise InputError(f"{self.path}: frame {frame} cannot be read ({error})") from None

    def _skip(self, file: BinaryIO) -> bool:
        """Pass over a frame; tells whether it was whole."""
        n = -1
        while line := file.readline():
            if line.startswith(b"ITEM: NUMBER OF ATOMS"):
                n = int(file.readline() or -1)
            elif line.startswith(b"ITEM: UNITS"):
                self.units = file.readline().decode().strip()
            elif line.startswith(b"ITEM: ATOMS"):
                if n < 0:
                    raise ValueError("no number of atoms")
                last = line
                for _ in range(n):
                    last = file.readline()
                    if last.startswith(b"ITEM"):
                        raise ValueError(f"has fewer than {n} atoms")
                return last.endswith(b"\n")
        return False

    def _read(self, file: BinaryIO) -> DumpFrame:
        time, n = np.nan, 0
        vectors, origin, periodic = np.zeros((3, 3)), np.zeros(3), np.ones(3, dtype=bool)
        while True:
            words = file.readline().decode().split()
            match words[1:]:
                case ["TIME"]:
                    time = float(file.readline())
                case ["NUMBER", "OF", "ATOMS"]:
                    n = int(file.readline())
                case ["BOX", "BOUNDS", *kinds]:
                    rows = np.array([[float(x) for x in file.readline().split()] for _ in range(3)])
                    vectors, origin = _box(rows, kinds)
                    # Boundaries stand last; very old files have none, and were periodic by default.
                    found = [kind == "pp" for kind in kinds[-3:] if len(kind) == 2 and set(kind) <= set("pfsm")]
                    periodic = np.array(found) if len(found) == 3 else periodic
                case ["ATOMS", *names]:
                    break
                case _:
                    file.readline()
        table = np.array([file.readline().decode().split() for _ in range(n)])
        if table.shape != (n, len(names)):
            raise ValueError(f"needs {len(names)} columns for each of {n} atoms")
        columns = dict(zip(names, table.T, strict=True))
        if "id" in columns:
            numbers = columns["id"].astype(int)
            order = np.argsort(numbers, kind="stable")
            if (np.diff(numbers[order]) == 0).any():
                raise ValueError("the same id twice")
            columns = {name: values[order] for name, values in columns.items()}
        return DumpFrame(
            columns,
            _positions(columns, vectors, origin),
            vectors,
            periodic,
            time * _NS_PER_TIME.get(self.units, np.nan),
            _UNITS.get(self.units) if self.units else "",
        )


def _positions(columns: dict[str, np.ndarray], vectors: np.ndarray, origin: np.ndarray) -> np.ndarray:
    for names in _PLACES:
        if all(name in columns for name in names):
            places = np.stack([columns[name].astype(float) for name in names], axis=1)
            return places @ vectors if "s" in names[0] else places - origin
    raise ValueError("no columns x y z, xs ys zs, xu yu zu or xsu ysu zsu")


def _box(rows: np.ndarray, kinds: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges and the corner of a box: orthogonal, with tilts, or of three vectors and an origin."""
    if rows.shape == (3, 4):
        return rows[:, :3], rows[:, 3]
    low, high = rows[:, 0].copy(), rows[:, 1].copy()
    xy, xz, yz = rows[:, 2] if rows.shape[1] == 3 else np.zeros(3)
    # What is written are the bounds of the whole parallelepiped (https://docs.lammps.org/Howto_triclinic.html).
    low[:2] -= [min(0.0, xy, xz, xy + xz), min(0.0, yz)]
    high[:2] -= [max(0.0, xy, xz, xy + xz), max(0.0, yz)]
    edges = high - low
    return np.array([[edges[0], 0, 0], [xy, edges[1], 0], [xz, yz, edges[2]]]), low
