"""Merged spheres of intensity as a sequence that is read from its file when it is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from simsc.core.intensity import ShellIntensity
from simsc.io.native import read_shells


class Spheres(Sequence[ShellIntensity]):
    """Spheres of intensity in a file, read when they are asked for.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with read_shells(path) as (q_inv_nm, _):
            self.q_inv_nm = q_inv_nm

    def __len__(self) -> int:
        return len(self.q_inv_nm)

    @overload
    def __getitem__(self, number: int) -> ShellIntensity: ...
    @overload
    def __getitem__(self, number: slice) -> list[ShellIntensity]: ...
    def __getitem__(self, number: int | slice) -> ShellIntensity | list[ShellIntensity]:
        numbers = range(len(self))[number]
        with read_shells(self.path) as (_, read_one):
            return read_one(numbers)[0] if isinstance(numbers, int) else [read_one(k)[0] for k in numbers]

    def __repr__(self) -> str:
        """Return what it is in one line, as notebooks show it."""
        q = self.q_inv_nm
        return f"Spheres({len(q)} spheres, q {q[0]:.4g} … {q[-1]:.4g} nm⁻¹, {self.path.name})"
