"""Structures in GSD files of HOOMD-blue."""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, reason
from simsc.io.centres import AtomTable
from simsc.io.structure_source import RawFrame


class GsdSource:
    """GSD by its own package: MDAnalysis takes tilts for cosines, and stumbles over rigid bodies with gaps."""

    unit = None

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            hoomd = importlib.import_module("gsd.hoomd")
        except ImportError:
            raise InputError(f"{path}: needs the package gsd; install it with: pip install gsd") from None
        try:
            self._file = hoomd.open(str(path), "r")
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: gsd cannot read it ({reason(error)})") from None

    def __len__(self) -> int:
        return len(self._file)

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        """Read frames, in ascending order."""
        for number in numbers:
            frame = self._frame(number)
            x, y, z, xy, xz, yz = np.asarray(frame.configuration.box, dtype=float)
            flat = frame.configuration.dimensions == 2
            vectors = np.array([[x, 0, 0], [xy * y, y, 0], [xz * z, yz * z, z]])
            positions = np.asarray(frame.particles.position, dtype=float)
            periodic = np.array([True, True, not flat])
            yield RawFrame(positions, vectors, periodic, np.nan, *_spheres(frame.particles))

    def atoms(self) -> AtomTable:
        """Return what is known of the atoms."""
        particles = self._frame(0).particles
        bodies = np.asarray(particles.body, dtype=np.int64)
        return AtomTable(
            np.array(particles.types)[particles.typeid],
            np.asarray(particles.mass, dtype=float),
            np.where((bodies >= 0) & (bodies < 2**31), bodies, -1) if (bodies >= 0).any() else None,
        )

    def _frame(self, number: int) -> Any:
        try:
            return self._file[number]
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(f"{self.path}: frame {number} cannot be read ({reason(error)})") from None


def _spheres(particles: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return radii and orientations; where all are the defaults of GSD, nobody has set them."""
    diameters = np.asarray(particles.diameter, dtype=float)
    orientations = np.roll(np.asarray(particles.orientation, dtype=float), -1, axis=1)  # the scalar comes first in GSD
    return (
        None if (diameters == 1).all() else diameters / 2,
        None if (orientations == [0, 0, 0, 1]).all() else orientations,
    )
