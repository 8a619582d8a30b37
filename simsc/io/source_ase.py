"""Structures that ASE reads; of LAMMPS data files, which all look alike to it, only those that name their columns."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError, SimscError, reason
from simsc.io.centres import AtomTable
from simsc.io.structure_source import STATES_UNIT, RawFrame

LAMMPS_DATA = (".data", ".lammps-data", ".lmp")
MOLECULE_ARRAYS = ("mol-id", "mol_id", "molecule", "residuenumbers", "resid")  # arrays of ASE that number molecules


class AseSource:
    """A file that ASE reads.

    Args:
        path: file.

    Raises:
        InputError: if ASE cannot read it.
    """

    unit = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unit = "A" if path.suffix.lower() in STATES_UNIT else ""
        if path.suffix.lower() in LAMMPS_DATA:
            _check_style(path)
        self._n = 0
        self._first: Any = None
        for atoms in self._images(slice(None)):
            self._first = self._first or atoms
            self._n += 1

    def __len__(self) -> int:
        return self._n

    def frames(self, numbers: Sequence[int]) -> Iterator[RawFrame]:
        """Read frames, in ascending order."""
        for number, atoms in enumerate(self._images(slice(numbers[0], numbers[-1] + 1, _step(numbers)))):
            if number == 0:
                self._first = atoms
            known = atoms.pbc.any() or np.any(atoms.cell)
            vectors = np.array(atoms.cell) if known else None
            yield RawFrame(atoms.positions, vectors, atoms.pbc, np.nan, *spheres_of_ase(atoms))

    def atoms(self) -> AtomTable:
        """Return what is known of the atoms."""
        return table_of_ase(self._first)

    def _images(self, which: slice) -> Iterator[Any]:
        import ase.io

        options: dict[str, Any] = (
            {"format": "lammps-data", "units": "real"} if self.path.suffix.lower() in LAMMPS_DATA else {}
        )
        try:
            # Without the last argument an "@" in a file name would be taken as an index.
            for atoms in ase.io.iread(self.path, index=which, do_not_split_by_at_sign=True, **options):
                if len(atoms) == 0:
                    raise InputError(f"{self.path}: holds no atoms")
                yield atoms
        except SimscError:
            raise
        except Exception as error:  # ASE's readers raise whatever their parsing met
            raise InputError(f"{self.path}: ASE cannot read it ({reason(error)})") from None


def _check_style(path: Path) -> None:
    """Refuse a LAMMPS data file that does not say what its columns are: some styles differ in nothing else."""
    with open(path, encoding="utf-8", errors="replace") as file:
        line = next((line for line in file if line.split("#")[0].strip() == "Atoms"), None)
    if line is not None and not line.partition("#")[2].strip():
        raise InputError(f"{path}: its line Atoms needs the atom style, such as: Atoms # full")


def table_of_ase(atoms: Any) -> AtomTable:
    """Return what an `ase.Atoms` tells about its atoms."""
    molecules = next((atoms.arrays[name] for name in MOLECULE_ARRAYS if name in atoms.arrays), None)
    symbols = np.array(atoms.get_chemical_symbols())
    by_lammps = "type" in atoms.arrays  # where elements are guesses
    return AtomTable(
        atoms.arrays["type"] if by_lammps else symbols,
        atoms.get_masses(),
        None if molecules is None else np.where(np.asarray(molecules) > 0, molecules, -1),
        None if by_lammps else symbols,
        atoms.arrays.get("id"),
    )


def spheres_of_ase(atoms: Any) -> tuple[Any, Any]:
    """Return the radii and the orientations that an `ase.Atoms` has in arrays of its own, each None without."""
    return atoms.arrays.get("radius", atoms.arrays.get("radii")), atoms.arrays.get("orientation")


def _step(numbers: Sequence[int]) -> int:
    return numbers[1] - numbers[0] if len(numbers) > 1 else 1
