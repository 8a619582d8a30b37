"""The inorganic core of a nanoparticle, carved from a crystal. Atoms are in Å, diameters in nm."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.spacegroup import Spacegroup, crystal
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError, cKDTree

from simsc.core.errors import InputError
from simsc.core.shapes import SHAPES, miller_indices
from simsc.core.units import angstrom_from_nm

MAGNETITE_LATTICE_ANGSTROM = 8.396  # and u: Fleet, Acta Cryst. B 37, 917 (1981), DOI 10.1107/S0567740881004597
MAGNETITE_U = 0.2547
BOND_CUTOFF_ANGSTROM = (
    2.5  # longer than any Fe–O bond (1.89 and 2.06 Å in magnetite), shorter than the next shell (3.5)
)

# Wyckoff positions of space group 227 (setting 2) that a carve can be centred on.
CENTRES = {
    "8a": (0.125, 0.125, 0.125),
    "8b": (0.375, 0.375, 0.375),
    "16c": (0.0, 0.0, 0.0),
    "16d": (0.5, 0.5, 0.5),
    "32e": (MAGNETITE_U,) * 3,
}


@dataclass(frozen=True, eq=False)
class Core:
    """A bare core about the origin.

    Attributes:
        positions_angstrom: (n, 3) atoms, Å.
        elements: (n,) chemical symbols.
        ideal_coordination: (n,) number of anions (for an anion: of cations) that the atom has in the crystal: 4 on a
            tetrahedral site of magnetite, 6 on an octahedral one.
        vacant_angstrom: (m, 3) anion sites of the crystal just outside the core, each bound to a cation in it, Å.
        area_nm2: area of the shape that was carved, nm².
        diameter_nm: diameter of the sphere of the same volume as that shape, nm.
        anion: chemical symbol of the anion.
    """

    positions_angstrom: np.ndarray
    elements: np.ndarray
    ideal_coordination: np.ndarray
    vacant_angstrom: np.ndarray
    area_nm2: float
    diameter_nm: float
    anion: str = "O"

    @property
    def n(self) -> int:
        """Number of atoms."""
        return len(self.positions_angstrom)

    @property
    def is_cation(self) -> np.ndarray:
        """(n,) bool: not an anion."""
        return self.elements != self.anion

    @property
    def coordination(self) -> np.ndarray:
        """(n,) number of anions (cations) that the atom has in the core."""
        pairs = _cation_anion_pairs(self.positions_angstrom, self.is_cation)
        return np.bincount(pairs.ravel(), minlength=self.n)


def magnetite(lattice_angstrom: float = MAGNETITE_LATTICE_ANGSTROM) -> Atoms:
    """Return the cubic cell of magnetite, Fe24O32 (space group 227, origin at the inversion centre).

    Args:
        lattice_angstrom: lattice constant, Å. Default 8.396 (Fleet 1981, DOI 10.1107/S0567740881004597).
    """
    if not (np.isfinite(lattice_angstrom) and lattice_angstrom > 0):
        raise InputError(f"the lattice constant must be a positive number (Å), got {lattice_angstrom}")
    return crystal(
        ["Fe", "Fe", "O"],
        basis=[CENTRES["8a"], CENTRES["16d"], CENTRES["32e"]],
        spacegroup=227,
        setting=2,
        cellpar=[lattice_angstrom] * 3 + [90] * 3,
    )


def read_crystal(path: Path) -> Atoms:
    """Read a crystal from a CIF.

    Raises:
        InputError: if the file cannot be read or has no cell.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            atoms = ase.io.read(file, format="cif")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except Exception as error:  # ASE's CIF reader raises whatever its parser met
        raise InputError(f"{path}: cannot be read as CIF ({' '.join(str(error).split()) or 'no structure'})") from None
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise InputError(f"{path}: holds no atoms")
    if atoms.cell.rank < 3:
        raise InputError(f"{path}: has no unit cell (_cell_length_a … _cell_angle_gamma)")
    return atoms


def carve(
    crystal: Atoms,
    diameter_nm: float,
    shape: str | Mapping[str, float] = "truncated_cuboctahedron",
    centre: str | tuple[float, float, float] = "8a",
    anion: str = "O",
) -> Core:
    """Carve a core out of a crystal.

    Args:
        crystal: one cell, from `magnetite` or `read_crystal`.
        diameter_nm: diameter of the sphere that has the volume of the shape, nm.
        shape: a name out of `simsc.core.shapes.SHAPES`, or facet energies {"111": 1.0, "100": 1.1, …} in any unit,
            one for each family of equivalent facets, whose Wulff shape is taken (facets as far from the centre as
            their energy).
        centre: the point of the crystal that becomes the centre: a Wyckoff position out of `CENTRES` (for magnetite),
            or three fractional coordinates. It changes the ratio of Fe to O strongly.
        anion: chemical symbol of the anion, whose bonds count as coordination.

    Returns:
        The core; atoms without any bond are left out.

    Raises:
        InputError: for an unknown shape, facet or centre, facets that enclose nothing, or a size that holds no atoms.

    Example:
        >>> core = carve(magnetite(), 4.0)
        >>> 3200 < core.n < 3500
        True
    """
    if not (np.isfinite(diameter_nm) and 0 < diameter_nm <= 30):
        raise InputError(f"the core diameter must lie between 0 and 30 nm, got {diameter_nm}")
    if anion not in crystal.symbols:
        raise InputError(f"the crystal {crystal.symbols} holds no anion {anion}")
    normals, distances, area = facets_of_shape(crystal, shape, angstrom_from_nm(diameter_nm))
    reach = circumradius(normals, distances)
    origin = centre_fractions(centre) @ crystal.cell.array
    positions, kinds = _fill(crystal, origin, reach + BOND_CUTOFF_ANGSTROM)
    ideal = _ideal_coordination(crystal, anion)[kinds]
    elements = np.array(crystal.symbols)[kinds]
    if len(normals):
        inside = (positions @ normals.T <= distances + 1e-6).all(axis=1)
    else:
        inside = np.linalg.norm(positions, axis=1) <= reach + 1e-6
    cation = elements != anion
    bound = _cation_anion_pairs(positions, cation)
    both = bound[inside[bound].all(axis=1)]
    kept = np.zeros(len(positions), dtype=bool)
    kept[both.ravel()] = True
    if not kept.any():
        raise InputError(f"a core of {diameter_nm:g} nm holds no atoms that are bound to each other")
    vacant = np.unique(bound[kept[bound[:, 0]] & ~kept[bound[:, 1]], 1])
    return Core(
        positions_angstrom=positions[kept],
        elements=elements[kept],
        ideal_coordination=ideal[kept],
        vacant_angstrom=positions[vacant],
        area_nm2=area / 100,
        diameter_nm=diameter_nm,
        anion=anion,
    )


def facets_of_shape(
    crystal: Atoms, shape: str | Mapping[str, float], diameter: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the facets of a shape that has the volume of a sphere.

    Args:
        crystal: whose symmetry determines which facets are equivalent.
        shape: as for `carve`.
        diameter: of the sphere, in any unit.

    Returns:
        Normals (f, 3) and distances (f,) from the centre of all facets, no normals and the radius for a sphere; and
        the area of the surface; in the unit of the diameter.

    Raises:
        InputError: for an unknown shape or facet, or facets that enclose nothing.
    """
    if isinstance(shape, str):
        if shape not in SHAPES:
            raise InputError(f"shape {shape!r} is not known; available: {', '.join(SHAPES)}, or facet energies")
        facets = SHAPES[shape].facets
        if not facets:
            return np.empty((0, 3)), np.array([diameter / 2]), np.pi * diameter**2
        nearest = min(facets.values())  # 1, as energies are mostly given
        shape = {facet: distance / nearest for facet, distance in facets.items()}
    normals, distances = [], []
    for facet, energy in shape.items():
        if not (np.isfinite(energy) and energy > 0):
            raise InputError(f"facet {facet}: its energy must be a positive number, got {energy}")
        family = _equivalent_normals(crystal, miller_indices(facet))
        normals.append(family)
        distances.append(np.full(len(family), float(energy)))
    if not normals:
        raise InputError("a Wulff shape needs at least one facet")
    all_normals, all_distances = np.concatenate(normals), np.concatenate(distances)
    try:
        corners = HalfspaceIntersection(np.column_stack([all_normals, -all_distances]), np.zeros(3)).intersections
        hull = ConvexHull(corners)
    except (QhullError, ValueError):
        raise InputError(f"the facets {', '.join(shape)} do not enclose a volume") from None
    if not np.isfinite(corners).all() or np.abs(corners).max() > 1e3 * all_distances.max():
        raise InputError(f"the facets {', '.join(shape)} do not enclose a volume")
    scale = (np.pi / 6 * diameter**3 / hull.volume) ** (1 / 3)
    return all_normals, all_distances * scale, hull.area * scale**2


def _equivalent_normals(crystal: Atoms, miller: tuple[int, int, int]) -> np.ndarray:
    group = crystal.info.get("spacegroup") or Spacegroup(1)
    family = np.asarray(group.equivalent_reflections([miller]))
    normals = family @ crystal.cell.reciprocal().array
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def circumradius(normals: np.ndarray, distances: np.ndarray) -> float:
    """Return the distance of the farthest corner from the centre, of facets as `facets_of_shape` returns them."""
    if not len(normals):
        return float(distances[0])
    corners = HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
    return float(np.linalg.norm(corners, axis=1).max())


def centre_fractions(centre: str | tuple[float, float, float]) -> np.ndarray:
    """Return the fractional coordinates (3,) of a centre, by Wyckoff position or as they are.

    Raises:
        InputError: for a position that is not known, or not three finite numbers.
    """
    if isinstance(centre, str):
        if centre not in CENTRES:
            raise InputError(f"centre {centre!r} is not known; available: {', '.join(CENTRES)}, or three fractions")
        centre = CENTRES[centre]
    fractions = np.asarray(centre, dtype=float)
    if fractions.shape != (3,) or not np.isfinite(fractions).all():
        raise InputError(f"a centre needs three fractional coordinates, got {centre}")
    return fractions


def _fill(crystal: Atoms, origin: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return all crystal atoms within a radius of the origin, about it, and which atom of the cell each one is."""
    cell = crystal.cell.array
    widths = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    counts = np.ceil(radius / widths).astype(int) + 1
    shifts = np.array(list(itertools.product(*(range(-c, c + 1) for c in counts)))) @ cell
    start = (crystal.positions @ np.linalg.inv(cell) % 1.0) @ cell - origin
    # The origin may lie anywhere: bring it into the cell in which the atoms are counted.
    start += np.floor(origin @ np.linalg.inv(cell)) @ cell
    positions = (shifts[:, None, :] + start).reshape(-1, 3)
    kinds = np.tile(np.arange(len(crystal)), len(shifts))
    near = np.linalg.norm(positions, axis=1) <= radius
    return positions[near], kinds[near]


def _ideal_coordination(crystal: Atoms, anion: str) -> np.ndarray:
    positions, kinds = _fill(crystal, np.zeros(3), float(np.linalg.norm(crystal.cell.array.sum(axis=0))) + 5)
    elements = np.array(crystal.symbols)[kinds]
    pairs = _cation_anion_pairs(positions, elements != anion)
    counts = np.bincount(pairs.ravel(), minlength=len(positions))
    ideal = np.zeros(len(crystal), dtype=int)
    np.maximum.at(ideal, kinds, counts)  # atoms at the rim of the ball lack neighbours
    return ideal


def _cation_anion_pairs(positions: np.ndarray, cation: np.ndarray) -> np.ndarray:
    """Return index pairs (p, 2), cation first, of atoms nearer than the bond cutoff."""
    cations, anions = np.flatnonzero(cation), np.flatnonzero(~cation)
    near = cKDTree(positions[cations]).sparse_distance_matrix(
        cKDTree(positions[anions]), BOND_CUTOFF_ANGSTROM, output_type="ndarray"
    )
    return np.column_stack([cations[near["i"]], anions[near["j"]]])
