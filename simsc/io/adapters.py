"""Structures out of other Python packages and into them: ASE, MDAnalysis, OVITO, and plain arrays.

What a superlattice knows of its NPs is centres, radii, orientations and a cell; an atom of another package is one NP.
The functions `from_…` say in a `SimscWarning` what they leave out, and `to_…` what does not fit; nothing is dropped in
silence. Whatever takes a structure takes all of these as they are (`as_superlattice`), as freud does. Other packages
mostly count in Å, simsc in nm: one NP at 62 Å there lies at 6.2 nm here.
"""

import importlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from simsc.core.cell import Cell, cell_from_vectors
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning, in_other_words
from simsc.core.superlattice import Frame, Superlattice
from simsc.core.units import nm_per_unit
from simsc.io.centres import AtomTable, Kind, choose_centres
from simsc.io.native import read_map, read_superlattice
from simsc.io.source_ase import MOLECULE_ARRAYS, spheres_of_ase, table_of_ase
from simsc.io.structure_source import superlattice_of_sites

LengthUnit: TypeAlias = Literal["A", "nm"]
Structure: TypeAlias = Superlattice | Frame | np.ndarray | Sequence[Any] | str | Path | Any
"""A superlattice, or what `as_superlattice` makes one of."""
Maps: TypeAlias = CorrelationMap | str | Path | Iterable[CorrelationMap | str | Path]
"""One correlation map or several, each as such or as the file that holds it."""
READ_FIRST = {"say with --length-unit": 'read it with simsc.read(…, length_unit="nm") or "A"'}
"""What errors of readers say where a file stands for a structure, and there is no argument for its unit."""

_KINDS = (
    "a Superlattice, a file, an ase.Atoms, an MDAnalysis AtomGroup or Universe, an OVITO DataCollection, NP centres as "
    "an array (N, 3) in nm, or a pair (cell, centres)"
)
# Names of what a superlattice holds too, or what says nothing of an NP, in the arrays of ASE, MDAnalysis and OVITO.
_ASE_KNOWN = {"numbers", "positions", "radius", "radii", "orientation", "id", "type", "species", "tags"}
_MDA_KNOWN = {"indices", "resindices", "segindices", "ids", "names", "types", "elements", "radii", "resids", "resnames"}
_MDA_KNOWN |= {"resnums", "segids", "molnums", "icodes", "chainIDs", "record_types", "altLocs", "occupancies"}
_OVITO_KNOWN = {"Position", "Radius", "Orientation", "Particle Identifier", "Particle Type", "Structure Type", "Color"}
_OVITO_KNOWN |= {"Selection", "Transparency", "Periodic Image"}


def as_superlattice(structure: Structure) -> Superlattice:
    """Return a structure of any kind as a superlattice: centres, radii, orientations and cell, and nothing else of it.

    Args:
        structure: a `Superlattice` (returned as it is) or `Frame`; the path of a file (its last frame); an `ase.Atoms`,
            `MDAnalysis.AtomGroup` or `MDAnalysis.Universe` (its current frame), or OVITO `DataCollection`, in Å; NP
            centres (N, 3), nm, in free space; or a pair of a cell (see `as_cell`) and NP centres (N, 3), nm.

    Raises:
        InputError: for anything else, or numbers that are none of a structure.

    Example:
        >>> as_superlattice([[0, 0, 0], [6.2, 0, 0]])
        Superlattice(2 NPs in free space, 6.2 nm across, radii unknown)
        >>> as_superlattice(([6.2, 10.7, 10.1], [[0, 0, 0], [3.1, 5.4, 0]])).cell
        Cell(6.2 × 10.7 × 10.1 nm, periodic abc)
    """
    if isinstance(structure, Superlattice):
        return structure
    if isinstance(structure, Frame):
        return structure.superlattice
    if isinstance(structure, str | Path):
        with in_other_words(READ_FIRST):
            return read_superlattice(Path(structure))
    if _is(structure, "ase", "Atoms"):
        return _of_ase(structure)
    if _is(structure, "MDAnalysis", "AtomGroup", "Universe"):
        return _of_mdanalysis(structure)
    if _is(structure, "ovito", "DataCollection"):
        return _of_ovito(structure)
    if isinstance(structure, tuple) and len(structure) == 2 and np.ndim(structure[1]) == 2:
        return from_arrays(structure[1], cell_nm=structure[0])
    if isinstance(structure, np.ndarray | list | tuple):
        return from_arrays(structure)
    if callable(getattr(structure, "superlattice", None)):
        raise InputError(f"a {type(structure).__name__} has many frames; take one, such as the last: .superlattice(-1)")
    if isinstance(structure, Sequence):
        raise InputError(f"a {type(structure).__name__} holds several; take one, such as the last: [-1]")
    raise InputError(f"a {type(structure).__name__} is no structure; it is {_KINDS}")


def as_cell(cell: Any) -> Cell | None:
    """Return a cell of any kind as a `Cell`.

    Args:
        cell: a `Cell` (returned as it is) or None for free space; three edges along x, y and z, nm; six numbers: edges
            a, b, c, nm, and angles α, β, γ, degrees; vectors a, b, c as rows (3, 3), nm; or a `freud.box.Box`, nm.

    Raises:
        InputError: for anything else, or numbers that no cell has.

    Example:
        >>> as_cell([16.8, 17.0, 17.8, 58.7, 60.8, 68.5])
        Cell(16.8 × 17 × 17.8 nm, 58.7° 60.8° 68.5°, periodic abc)
    """
    if cell is None or isinstance(cell, Cell):
        return cell
    if _is(cell, "freud", "Box"):
        return Cell(np.asarray(cell.to_matrix(), dtype=float).T, np.asarray(cell.periodic))
    try:
        numbers = np.asarray(cell, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"a {type(cell).__name__} is no cell") from None
    if numbers.shape == (3,):
        return Cell.orthorhombic(*map(float, numbers))
    if numbers.shape == (6,):
        return Cell.from_parameters(*map(float, numbers))
    if numbers.shape == (3, 3):
        return Cell(numbers)
    raise InputError(
        "a cell is three edges (nm), six numbers (edges in nm and angles in degrees) or three vectors (nm), got shape "
        f"{numbers.shape}"
    )


def as_maps(maps: Maps) -> list[CorrelationMap]:
    """Return correlation maps, given as such or by the files that hold them, one or several, as a list.

    Raises:
        InputError: for a file without a correlation map, or for what is neither.
    """
    if isinstance(maps, str | Path) or not isinstance(maps, Iterable):
        maps = [maps]
    found = [read_map(Path(one)) if isinstance(one, str | Path) else one for one in maps]
    for one in found:
        if not isinstance(one, CorrelationMap):
            raise InputError(
                f"a {type(one).__name__} is no correlation map; it is a CorrelationMap or its file, and "
                "simsc.correlation_map makes one of a structure or an intensity"
            )
    return found


def from_arrays(
    positions_nm: Any,
    radii_nm: Any = None,
    cell_nm: Any = None,
    periodic: Any = None,
    orientations: Any = None,
) -> Superlattice:
    """Make a superlattice of plain arrays.

    Args:
        positions_nm: (N, 3) NP centres, nm.
        radii_nm: (N,) core radii or one for all, nm; None where unknown.
        cell_nm: vectors a, b, c as rows (3, 3), nm, or what else `as_cell` takes; None for free space.
        periodic: (3,) whether the crystal repeats along a, b and c. Default: along all.
        orientations: (N, 4) unit quaternions, scalar last, or one for all.

    Raises:
        InputError: if arrays do not fit together.

    Example:
        >>> from_arrays([[0, 0, 0]], radii_nm=2.0, cell_nm=[6.2, 6.2, 6.2], periodic=[True, True, False])
        Superlattice(1 NP, cell 6.2 × 6.2 × 6.2 nm, periodic ab, radii 2 nm)
    """
    box = as_cell(cell_nm)
    if periodic is not None:
        if box is None:
            raise InputError("periodic goes with a cell")
        box = Cell(box.vectors_nm, periodic)
    try:
        positions = np.asarray(positions_nm, dtype=float)
    except (TypeError, ValueError):
        got = type(positions_nm).__name__
        raise InputError(f"NP centres are an array (N, 3) of numbers in nm, got a {got}") from None
    return Superlattice(positions, radii_nm, box, orientations)


def to_arrays(structure: Structure) -> dict[str, np.ndarray]:
    """Return what is known of a structure as arrays, by the names that `from_arrays` takes, and HDF5 files have.

    Args:
        structure: anything that `as_superlattice` takes.

    Returns:
        `positions_nm` (N, 3); and, where known, `radii_nm` (N,), `cell_nm` (3, 3) vectors as rows, `periodic` (3,) bool
        and `orientations` (N, 4) quaternions, scalar last. Lengths in nm.

    Example:
        >>> sorted(to_arrays(Superlattice([[0, 0, 0]], radii_nm=2.0)))
        ['positions_nm', 'radii_nm']
    """
    superlattice = as_superlattice(structure)
    arrays = {
        "positions_nm": superlattice.positions_nm,
        "radii_nm": superlattice.radii_nm,
        "orientations": superlattice.orientations,
    }
    if superlattice.cell is not None:
        arrays |= {"cell_nm": superlattice.cell.vectors_nm, "periodic": superlattice.cell.periodic}
    return {name: values for name, values in arrays.items() if values is not None}


def from_ase(atoms: Any, length_unit: LengthUnit = "A", centres: Kind = "site") -> Superlattice:
    """Make a superlattice of an `ase.Atoms`.

    Args:
        atoms: NPs; its arrays `radius` (or `radii`) and `orientation` (quaternions, scalar last) are taken over.
        length_unit: of its positions, cell and radii. Default Å.
        centres: what is one NP: each "site", or the centre of mass of the atoms of a "molecule" (arrays `mol-id`,
            `residuenumbers` …).

    Returns:
        The superlattice; in free space where `atoms` is periodic along none of its vectors.

    Raises:
        InputError: for what is no structure.

    Warns:
        SimscWarning: naming what a superlattice does not hold, such as momenta.

    Example:
        >>> import ase
        >>> from_ase(ase.Atoms("X2", [[0, 0, 0], [31, 31, 31]], cell=[62, 62, 62], pbc=True))
        Superlattice(2 NPs, cell 6.2 × 6.2 × 6.2 nm, periodic abc, radii unknown)
    """
    _check(atoms, "an ase.Atoms", "ase", "Atoms")
    left = sorted(set(atoms.arrays) - _ASE_KNOWN - (set() if centres == "site" else {"masses", *MOLECULE_ARRAYS}))
    left += ["elements"] if len(set(atoms.numbers)) > 1 and centres == "site" else []
    left += ["constraints"] if atoms.constraints else []
    _note_left_out("ase.Atoms", left)
    return _of_ase(atoms, length_unit, centres)


def to_ase(structure: Structure, labels: Any = None, length_unit: LengthUnit = "A") -> Any:
    """Return a structure as an `ase.Atoms` of the element X.

    Args:
        structure: anything that `as_superlattice` takes.
        labels: `simsc.classify.labels.Labels`, or (N,) classes, for its arrays `label` and `probability`.
        length_unit: of what is returned. Default Å.

    Returns:
        `ase.Atoms` with the arrays `radius` (in the same unit) and `orientation` (quaternions, scalar last) where these
        are known.

    Example:
        >>> to_ase(Superlattice([[0, 0, 0], [6.2, 0, 0]], radii_nm=2.0)).arrays["radius"]
        array([20., 20.])
    """
    import ase

    superlattice, cell = as_superlattice(structure), as_superlattice(structure).cell
    per_nm = 1 / nm_per_unit(length_unit)
    atoms: Any = ase.Atoms(
        numbers=np.zeros(superlattice.n, dtype=int),
        positions=superlattice.positions_nm * per_nm,
        cell=None if cell is None else cell.vectors_nm * per_nm,
        pbc=False if cell is None else cell.periodic,
    )
    if superlattice.radii_nm is not None:
        atoms.set_array("radius", superlattice.radii_nm * per_nm)
    if superlattice.orientations is not None:
        atoms.set_array("orientation", superlattice.orientations)
    for name, values in described_by(labels, superlattice.n).items():
        atoms.set_array(name, values)
    return atoms


def from_mdanalysis(atoms: Any, length_unit: LengthUnit = "A", centres: Kind = "site") -> Superlattice:
    """Make a superlattice of an MDAnalysis `AtomGroup` or `Universe`, at the frame where its trajectory stands.

    Args:
        atoms: NPs, or with `centres` their atoms, such as `universe.select_atoms("resname CORE")`.
        length_unit: of its positions, box and radii. Default Å, as MDAnalysis has it.
        centres: what is one NP: each "site", or the centre of mass of the atoms of a "molecule", "residue" or
            "segment", made whole across the boundaries of the box.

    Returns:
        The superlattice. A box is periodic along a, b and c, as MDAnalysis does not tell; `radii` become core radii
        where each atom is one NP, and all of them are positive.

    Raises:
        InputError: for what is no structure, or has no such groups.

    Warns:
        SimscWarning: naming what a superlattice does not hold, such as charges.

    Example:
        >>> import MDAnalysis
        >>> universe = MDAnalysis.Universe.empty(2, trajectory=True)
        >>> universe.dimensions = [62, 62, 62, 90, 90, 90]
        >>> from_mdanalysis(universe.atoms[:1])
        Superlattice(1 NP, cell 6.2 × 6.2 × 6.2 nm, periodic abc, radii unknown)
    """
    _check(atoms, "an MDAnalysis AtomGroup or Universe", "MDAnalysis", "AtomGroup", "Universe")
    known = _MDA_KNOWN | (set() if centres == "site" else {"masses", "bonds", "angles", "dihedrals", "impropers"})
    universe = atoms.universe
    left = [one.attrname for one in universe._topology.attrs if one.attrname not in known]
    left += [name for name in ("velocities", "forces") if getattr(universe.trajectory.ts, f"has_{name}", False)]
    _note_left_out("MDAnalysis", sorted(left))
    return _of_mdanalysis(atoms, length_unit, centres)


def to_mdanalysis(structure: Structure, labels: Any = None, length_unit: LengthUnit = "A") -> Any:
    """Return a structure as an `MDAnalysis.Universe` with one atom an NP and one frame.

    MDAnalysis has boxes with a along x and b in the xy plane, so a structure with another cell is turned with it; and
    it holds single precision.

    Args:
        structure: anything that `as_superlattice` takes.
        labels: `simsc.classify.labels.Labels`, or (N,) classes, for its names and types; else all are "NP".
        length_unit: of what is returned. Default Å.

    Returns:
        A `Universe` with `names`, `types`, `ids`, and `radii` where these are known.

    Warns:
        SimscWarning: for orientations, and for a cell that does not repeat in all directions, which do not fit.

    Example:
        >>> to_mdanalysis(Superlattice([[0, 0, 0], [6.2, 0, 0]], radii_nm=2.0)).atoms.radii.tolist()
        [20.0, 20.0]
    """
    superlattice = as_superlattice(structure)
    left = [] if superlattice.orientations is None else ["orientations"]
    if superlattice.cell is not None and not superlattice.cell.periodic.all():
        left.append("which directions of the cell are periodic")
    _note_does_not_fit("an MDAnalysis.Universe", left)
    if superlattice.cell is not None and np.triu(superlattice.cell.vectors_nm, 1).any():
        superlattice = superlattice.upper_triangular()
    per_nm = 1 / nm_per_unit(length_unit)
    described = described_by(labels, superlattice.n)
    types = described.get("label", np.full(superlattice.n, "NP"))
    universe = AtomTable(types=types).universe(superlattice.positions_nm * per_nm)
    if superlattice.radii_nm is not None:
        universe.add_TopologyAttr("radii", superlattice.radii_nm * per_nm)
    if "probability" in described:
        universe.add_TopologyAttr("tempfactors", described["probability"])
    if superlattice.cell is not None:
        parameters = superlattice.cell.parameters
        universe.dimensions = np.concatenate([parameters[:3] * per_nm, parameters[3:]])
    return universe


def from_ovito(data: Any, length_unit: LengthUnit = "A") -> Superlattice:
    """Make a superlattice of an OVITO `DataCollection`, such as `pipeline.compute()` returns.

    Args:
        data: NPs; the properties `Radius` and `Orientation` of its particles are taken over.
        length_unit: of its positions, cell and radii; OVITO itself has none. Default Å.

    Returns:
        The superlattice, its cell moved so that it begins at the origin; in free space where that is periodic along
        none of its vectors.

    Raises:
        InputError: for what is no structure, or has no particles.

    Warns:
        SimscWarning: naming what a superlattice does not hold, such as velocities.

    Example:
        >>> from_ovito(to_ovito(Superlattice([[0, 0, 0]], radii_nm=2.0)))
        Superlattice(1 NP in free space, radii 2 nm)
    """
    _check(data, "an OVITO DataCollection", "ovito", "DataCollection")
    _note_left_out("OVITO", sorted(set(() if data.particles is None else data.particles.keys()) - _OVITO_KNOWN))
    return _of_ovito(data, length_unit)


def to_ovito(structure: Structure, labels: Any = None, length_unit: LengthUnit = "A") -> Any:
    """Return a structure as an OVITO `DataCollection`; the package ovito has to be installed for it.

    Args:
        structure: anything that `as_superlattice` takes.
        labels: `simsc.classify.labels.Labels`, or (N,) classes: named particle types, and a property `probability`.
        length_unit: of what is returned. Default Å.

    Returns:
        A `DataCollection` with the properties `Radius` and `Orientation` (in OVITO's single precision) where these
        are known.

    Raises:
        InputError: if ovito is not installed.

    Example:
        >>> to_ovito(Superlattice([[0, 0, 0], [6.2, 0, 0]], radii_nm=2.0)).particles.count
        2
    """
    ovito = _ovito()
    superlattice = as_superlattice(structure)
    per_nm = 1 / nm_per_unit(length_unit)
    data = ovito.DataCollection()
    particles = data.create_particles(count=superlattice.n)
    particles.create_property("Position", data=superlattice.positions_nm * per_nm)
    if superlattice.radii_nm is not None:
        particles.create_property("Radius", data=superlattice.radii_nm * per_nm)
    if superlattice.orientations is not None:
        particles.create_property("Orientation", data=superlattice.orientations)
    described = described_by(labels, superlattice.n)
    if "label" in described:
        names, numbers = np.unique(described["label"], return_inverse=True)
        types = particles.create_property("Particle Type", data=numbers + 1)
        for number, name in enumerate(names, 1):
            types.types.append(ovito.ParticleType(id=number, name=str(name)))
    if "probability" in described:
        particles.create_property("probability", data=described["probability"])
    if (cell := superlattice.cell) is not None:
        matrix = np.column_stack([cell.vectors_nm.T * per_nm, np.zeros(3)])
        data.create_cell(matrix, pbc=tuple(bool(along) for along in cell.periodic))
    return data


def _of_ase(atoms: Any, length_unit: LengthUnit = "A", centres: Kind = "site") -> Superlattice:
    scale = nm_per_unit(length_unit)
    positions = np.asarray(atoms.positions, dtype=float) * scale
    cell = cell_from_vectors(np.asarray(atoms.cell, dtype=float) * scale, atoms.pbc, positions)
    if centres != "site":
        chosen = choose_centres((table_of_ase(atoms), positions), None, centres)
        return Superlattice(chosen(positions, cell), cell=cell)
    radii, orientations = spheres_of_ase(atoms)
    return superlattice_of_sites(positions, radii, scale, cell, orientations)


def _of_mdanalysis(atoms: Any, length_unit: LengthUnit = "A", centres: Kind = "site") -> Superlattice:
    from MDAnalysis.lib.mdamath import triclinic_vectors

    scale = nm_per_unit(length_unit)
    everything = np.asarray(atoms.universe.atoms.positions, dtype=float) * scale
    chosen = choose_centres(atoms, None, centres)
    sides = atoms.universe.dimensions
    cell = None
    if sides is not None and np.all(np.asarray(sides)[:3] > 0):
        vectors = np.asarray(triclinic_vectors(sides, dtype=np.float64), dtype=float) * scale
        cell = cell_from_vectors(vectors, np.ones(3, dtype=bool), everything)
    radii = getattr(atoms.atoms, "radii", None) if centres == "site" else None
    return superlattice_of_sites(chosen(everything, cell), radii, scale, cell, None)


def _of_ovito(data: Any, length_unit: LengthUnit = "A") -> Superlattice:
    scale = nm_per_unit(length_unit)
    particles = data.particles
    if particles is None or particles.count == 0:
        raise InputError("the OVITO DataCollection has no particles")
    positions, cell = np.array(particles["Position"][...], dtype=float) * scale, None
    if data.cell is not None:
        matrix = np.array(data.cell[...], dtype=float) * scale
        positions = positions - matrix[:, 3]
        cell = cell_from_vectors(matrix[:, :3].T, data.cell.pbc, positions)
    radii, orientations = (
        np.array(particles[name][...]) if name in particles else None for name in ("Radius", "Orientation")
    )
    return superlattice_of_sites(positions, radii, scale, cell, orientations)


def described_by(labels: Any, n: int) -> Mapping[str, np.ndarray]:
    """Return what labels tell of n NPs, by the names that simsc writes: `label`, and `probability` where known."""
    if labels is None:
        return {}
    classes = np.asarray(getattr(labels, "labels", labels)).astype(str)
    if classes.shape != (n,):
        raise InputError(f"labels have shape {classes.shape}; one for each of {n} NPs is needed")
    found = {"label": classes}
    probability = getattr(labels, "probability", None)
    if probability is not None and np.isfinite(probability).all():
        found["probability"] = np.asarray(probability, dtype=float)
    return found


def _is(value: Any, package: str, *names: str) -> bool:
    """Tell whether a value is of a class of a package, which need not be loaded, or installed, for that."""
    return any(one.__name__ in names and one.__module__.partition(".")[0] == package for one in type(value).__mro__)


def _check(value: Any, what: str, package: str, *names: str) -> None:
    if not _is(value, package, *names):
        raise InputError(f"a {type(value).__name__} is not {what}")


def _note_left_out(package: str, names: Sequence[str]) -> None:
    if names:
        warnings.warn(
            f"{', '.join(names)} of {package}: not held by a superlattice, and left out", SimscWarning, stacklevel=3
        )


def _note_does_not_fit(where: str, names: Sequence[str]) -> None:
    if names:
        warnings.warn(f"{where} does not hold {' and '.join(names)}: left out", SimscWarning, stacklevel=3)


def _ovito() -> Any:
    try:
        return importlib.import_module("ovito.data")
    except ImportError:
        raise InputError("needs the package ovito; install it with: pip install ovito") from None
