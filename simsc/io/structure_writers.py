"""Writers of nanoparticles for other programs, frame by frame: extended XYZ, GSD, LAMMPS data, CIF and CSV.

Positions and radii are in Å, as those programs expect; those of CSV in nm, as its columns say. What is known of each NP
goes along under its own name (label, layer, q4 …), so that OVITO shows it as a property of the particle.
"""

import csv
import importlib
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning
from simsc.core.label_classes import label_class
from simsc.core.superlattice import Frame, Superlattice
from simsc.core.units import angstrom_from_nm
from simsc.io.lammps_data import box_lines
from simsc.io.whole_files import whole_file, write_text

LABEL = "label"
_MARGIN_NM = 1.0  # around NPs in free space, in formats that need a box
_NAMELESS = "NP"
_SPECIAL = "\"'\\=`{}[]"  # to those who read the line of facts in extended XYZ


@dataclass(frozen=True, eq=False)
class DescribedFrame:
    """A frame and what is known of its NPs.

    Args:
        frame: NPs at a time.
        properties: (N,) arrays by their names; `label` holds text, others numbers.
    """

    frame: Frame
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_xyz(path: Path, frames: Iterator[DescribedFrame]) -> None:
    """Write extended XYZ, as ASE and OVITO read it."""
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as file:
        for described in frames:
            columns = _columns(described)
            names = [f"{name}:{kind}:{values.shape[1]}" for name, kind, values in columns]
            facts = [f"Properties={':'.join(names)}", *_xyz_facts(described.frame)]
            rows = np.column_stack([values.astype(object) for _, _, values in columns])
            template = " ".join("%s" if kind == "S" else "%d" if kind == "I" else "%.8g"
                                for _, kind, values in columns for _ in range(values.shape[1]))  # fmt: skip
            file.write(f"{len(rows)}\n{' '.join(facts)}\n")
            file.writelines(template % tuple(row) + "\n" for row in rows)


def _columns(described: DescribedFrame) -> list[tuple[str, str, np.ndarray]]:
    """Return name, kind and values (N, k) of the columns of extended XYZ."""
    superlattice = described.frame.superlattice
    n = superlattice.n
    # An element that there is not, since ASE takes no other names: what an NP is stands in its label.
    columns = [("species", "S", np.full((n, 1), "X", object))]
    columns.append(("pos", "R", angstrom_from_nm(superlattice.positions_nm)))
    if superlattice.radii_nm is not None:
        columns.append(("radius", "R", angstrom_from_nm(superlattice.radii_nm)[:, None]))
    if superlattice.orientations is not None:
        columns.append(("orientation", "R", superlattice.orientations))
    for name, values in described.properties.items():
        kind = {"U": "S", "O": "S", "i": "I", "u": "I", "b": "I"}.get(np.asarray(values).dtype.kind, "R")
        columns.append((name, kind, np.asarray(values)[:, None]))
        if name == LABEL:
            types = np.array([label_class(str(label)).ovito_type for label in values])
            columns.append(("structure_type", "I", types[:, None]))
    return columns


def _xyz_facts(frame: Frame) -> list[str]:
    facts = []
    if (cell := frame.superlattice.cell) is not None:
        vectors = " ".join(f"{x:.10g}" for x in angstrom_from_nm(cell.vectors_nm).ravel())
        facts += [f'Lattice="{vectors}"', f'pbc="{" ".join("FT"[int(p)] for p in cell.periodic)}"']
    else:
        facts.append('pbc="F F F"')
    if math.isfinite(frame.time_ns):
        facts.append(f"time_ns={frame.time_ns:.10g}")
    if frame.phase:
        facts.append(f'phase="{"".join(c if c.isprintable() and c not in _SPECIAL else "_" for c in frame.phase)}"')
    return facts


def write_gsd(path: Path, frames: Iterator[DescribedFrame]) -> None:
    """Write GSD of HOOMD-blue, for which the package gsd is needed."""
    try:
        hoomd = importlib.import_module("gsd.hoomd")
    except ImportError:
        raise InputError(f"{path}: needs the package gsd; install it with: pip install gsd") from None
    warned = False
    with whole_file(path) as partial, hoomd.open(str(partial), "w") as file:
        for number, described in enumerate(frames):
            superlattice, cell = _boxed(described.frame.superlattice)
            if not (cell.periodic.all() or warned):
                _warn_of_periodicity(path)
                warned = True
            file.append(_gsd_frame(hoomd.Frame(), superlattice, cell, described.properties, number))


def _gsd_frame(
    frame: Any, superlattice: Superlattice, cell: Cell, properties: Mapping[str, np.ndarray], number: int
) -> Any:
    """Fill a frame of gsd. Its box lies about the origin, and tilts are in units of the next edge."""
    vectors = angstrom_from_nm(cell.vectors_nm)
    (x, _, _), (xy, y, _), (xz, yz, z) = vectors
    fractional = cell.fractional(superlattice.positions_nm)
    image = np.floor(fractional)
    frame.configuration.step = number
    frame.configuration.box = [x, y, z, xy / y, xz / z, yz / z]
    frame.particles.N = superlattice.n
    frame.particles.position = (fractional - image - 0.5) @ vectors
    frame.particles.image = image.astype(np.int32)
    labels = properties.get(LABEL)
    names = [_NAMELESS] if labels is None else sorted(set(map(str, labels)))
    frame.particles.types = names
    frame.particles.typeid = np.zeros(superlattice.n, int) if labels is None else [names.index(x) for x in labels]
    if superlattice.radii_nm is not None:
        frame.particles.diameter = 2 * angstrom_from_nm(superlattice.radii_nm)
    if superlattice.orientations is not None:
        frame.particles.orientation = np.roll(superlattice.orientations, 1, axis=1)  # scalar first
    for name, values in properties.items():
        if name != LABEL:
            frame.log[f"particles/{name}"] = np.asarray(values)
    return frame


def write_data(path: Path, frames: Iterator[DescribedFrame]) -> None:
    """Write one frame as LAMMPS data (atom style atomic, a type for each label)."""
    described = _only(path, frames)
    superlattice, cell = _boxed(described.frame.superlattice)
    if not cell.periodic.all():
        _warn_of_periodicity(path)
    labels = described.properties.get(LABEL, np.full(superlattice.n, _NAMELESS))
    names = sorted(set(map(str, labels)))
    positions = angstrom_from_nm(superlattice.positions_nm)
    lines = [
        "Nanoparticles by simsc: one particle each, lengths in A, masses to be set",
        "",
        f"{superlattice.n} atoms",
        f"{len(names)} atom types",
        "",
        *box_lines(angstrom_from_nm(cell.vectors_nm)),
        "",
        "Masses",
        "",
        *(f"{k} 1.0 # {name}" for k, name in enumerate(names, 1)),
        "",
        "Atoms # atomic",
        "",
    ]
    for k, position in enumerate(positions):
        kind = names.index(str(labels[k])) + 1
        lines.append(f"{k + 1} {kind} " + " ".join(f"{value:.10g}" for value in position))
    write_text(path, "\n".join(lines) + "\n")


def write_cif(path: Path, frames: Iterator[DescribedFrame]) -> None:
    """Write the cell of one frame as CIF in P1."""
    described = _only(path, frames)
    superlattice = described.frame.superlattice
    cell = superlattice.cell
    if cell is None:
        raise InputError(f"{path}: a CIF needs a cell, and this is a finite crystal; take .xyz instead")
    if not cell.periodic.all():
        _warn_of_periodicity(path)
    lengths = [f"{angstrom_from_nm(x):.8g}" for x in cell.parameters[:3]]
    lines = ["data_simsc", "_audit_creation_method 'simsc; one atom of unknown element for each nanoparticle'"]
    lines += [f"_cell_length_{letter} {x}" for letter, x in zip("abc", lengths, strict=True)]
    angles = zip(("alpha", "beta", "gamma"), cell.parameters[3:], strict=True)
    lines += [f"_cell_angle_{name} {x:.8g}" for name, x in angles]
    lines += ["_space_group_name_H-M_alt 'P 1'", "_space_group_IT_number 1", "", "loop_"]
    lines += ["_space_group_symop_operation_xyz", "'x, y, z'", "", "loop_"]
    columns = ["label", "type_symbol", "fract_x", "fract_y", "fract_z"]
    labels = described.properties.get(LABEL)
    lines += [f"_atom_site_{name}" for name in columns] + ([] if labels is None else ["_atom_site_details"])
    fractional = cell.fractional(superlattice.positions_nm)
    fractional -= np.floor(fractional) * cell.periodic
    for k, place in enumerate(fractional):
        row = [f"NP{k + 1}", "X", *(f"{x:.8f}" for x in place)]
        lines.append(" ".join(row if labels is None else [*row, f"'{labels[k]}'"]))
    write_text(path, "\n".join(lines) + "\n")


def write_csv(path: Path, frames: Iterator[DescribedFrame]) -> None:
    """Write a row for each NP of each frame."""
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, described in enumerate(frames):
            frame, superlattice = described.frame, described.frame.superlattice
            if number == 0:
                head = ["frame", "time_ns", "np", "x_nm", "y_nm", "z_nm", "radius_nm", *described.properties]
                writer.writerow(head)
            time = f"{frame.time_ns:.10g}" if math.isfinite(frame.time_ns) else ""
            for k, position in enumerate(superlattice.positions_nm):
                radius = "" if superlattice.radii_nm is None else f"{superlattice.radii_nm[k]:.8g}"
                more = [_shown(values[k]) for values in described.properties.values()]
                writer.writerow([number, time, k, *(f"{x:.10g}" for x in position), radius, *more])


def _shown(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, (float, np.floating)) else str(value)


def _only(path: Path, frames: Iterator[DescribedFrame]) -> DescribedFrame:
    """Return the only frame."""
    first = next(frames)
    if next(frames, None) is not None:
        raise InputError(f"{path}: this format holds one frame; choose it, such as the last one with --frames -1")
    return first


def _boxed(superlattice: Superlattice) -> tuple[Superlattice, Cell]:
    """Return the NPs turned, or moved, into a cell with a along x and b in the xy plane, and that cell."""
    if superlattice.cell is not None:
        turned = superlattice.upper_triangular()
        assert turned.cell is not None
        return turned, turned.cell
    reach = 0.0 if superlattice.radii_nm is None else float(superlattice.radii_nm.max())
    low = superlattice.positions_nm.min(axis=0) - reach - _MARGIN_NM
    high = superlattice.positions_nm.max(axis=0) + reach + _MARGIN_NM
    cell = Cell(np.diag(high - low), np.zeros(3, bool))
    moved = Superlattice(superlattice.positions_nm - low, superlattice.radii_nm, cell, superlattice.orientations)
    return moved, cell


def _warn_of_periodicity(path: Path) -> None:
    warnings.warn(
        f"{path}: this format does not tell which directions are periodic, and not all are; whoever reads it has to be "
        "told (simsc: --periodic)",
        SimscWarning,
        stacklevel=4,
    )
