"""Functionalised nanoparticles in files."""

from pathlib import Path
from typing import Any

import numpy as np

from simsc.builders.functionalize import Nanoparticle
from simsc.core.errors import InputError
from simsc.forcefield.ligand import Ligand
from simsc.io.hdf5 import check_kind, new_hdf5, open_hdf5
from simsc.io.kinds import NANOPARTICLE
from simsc.io.whole_files import write_text


def write_nanoparticle(path: Path, nanoparticle: Nanoparticle, origin: dict[str, Any]) -> None:
    """Write an NP as HDF5, with its ligand and all of the ligand's parameters.

    Raises:
        ResourceError: if the disk is full or fails.
    """
    with new_hdf5(path, NANOPARTICLE, origin) as file:
        file["core_positions_angstrom"] = nanoparticle.core_positions_angstrom
        file["core_kinds"] = nanoparticle.core_kinds.astype("S")
        file["core_bonds"] = nanoparticle.core_bonds
        file["ligand_positions_angstrom"] = nanoparticle.ligand_positions_angstrom
        file["ligand"] = nanoparticle.ligand.model_dump_json()
        file.attrs["area_nm2"] = nanoparticle.area_nm2
        file.attrs["diameter_nm"] = nanoparticle.diameter_nm


def read_nanoparticle(path: Path) -> Nanoparticle:
    """Read an NP that `write_nanoparticle` wrote.

    Raises:
        InputError: if the file is none.
    """
    with open_hdf5(path) as file:
        check_kind(path, file, NANOPARTICLE)
        return Nanoparticle(
            np.array(file["core_positions_angstrom"]),
            np.array(file["core_kinds"]).astype("U"),
            np.array(file["core_bonds"]),
            Ligand.model_validate_json(file["ligand"][()]),
            np.array(file["ligand_positions_angstrom"]),
            float(file.attrs["area_nm2"]),
            float(file.attrs["diameter_nm"]),
        )


def write_xyz(path: Path, elements: np.ndarray, positions_angstrom: np.ndarray) -> None:
    """Write atoms as an XYZ file, Å, for molecular viewers."""
    rows = [
        f"{element} {x:.5f} {y:.5f} {z:.5f}" for element, (x, y, z) in zip(elements, positions_angstrom, strict=True)
    ]
    write_text(path, "\n".join([str(len(rows)), "", *rows, ""]))


def read_xyz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read elements (n,) and positions (n, 3), Å, of an XYZ file that `write_xyz` wrote.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[2:]]
        return np.array([row[0] for row in rows]), np.array([[float(word) for word in row[1:4]] for row in rows])
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, IndexError):
        raise InputError(f"{path}: is no XYZ file") from None
