"""The one-site model: each NP is a point with the potential of mean force of its ligand-resolved crystal."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm
from simsc.forcefield.one_site import OneSiteParameters
from simsc.io.lammps_data import box_lines
from simsc.models.heads import SPHERES, Dressing
from simsc.models.lammps_system import LammpsSystem

SCRIPTS = "lammps_inputs/one_site"
PACKAGES = ("MANYBODY", "MOLECULE")  # of LAMMPS
TABLES = ("potential.table", "slope.table")
_DISTANCES, _DENSITIES = 4001, 2001


def dress_one_site(
    superlattice: Superlattice, parameters: OneSiteParameters, dressing: Dressing = SPHERES
) -> LammpsSystem:
    """Make each NP of a periodic superlattice one site.

    Args:
        superlattice: NPs of one common radius in a fully periodic cell.
        parameters: a parameter set of `simsc.forcefield.one_site`.
        dressing: must be that of spheres, which the model was derived for.

    Returns:
        The system; molecule k + 1 is NP k. Sites have no orientation.

    Raises:
        InputError: without cell or radii, for mixed radii, or a radius or shape that the potential was not derived for.
    """
    if superlattice.cell is None or not superlattice.cell.periodic.all():
        raise InputError("the one-site model needs a superlattice in a fully periodic cell")
    radius_nm = parameters.validity.core_radius_nm
    if superlattice.radii_nm is None or (np.abs(superlattice.radii_nm - radius_nm) > 1e-6).any():
        raise InputError(f"the one-site model {parameters.name} holds for cores of radius {radius_nm:g} nm alone")
    if dressing != SPHERES:
        raise InputError(f"the one-site model {parameters.name} holds for spheres with its own coverage alone")
    cell, rotation = superlattice.cell.upper_triangular()
    positions = angstrom_from_nm(cell.wrap(superlattice.positions_nm @ rotation))
    return LammpsSystem(
        data=_data_file(positions, angstrom_from_nm(cell.vectors_nm), parameters),
        variables={
            "reference": f"{parameters.potential.reference_K:.10g}",
            "timestep": f"{parameters.dynamics.timestep_fs:.10g}",
            "t_damp": f"{np.mean(parameters.friction.damping_fs):.10g}",
            "p_damp": f"{parameters.dynamics.pressure_damping_fs:.10g}",
        },
        scripts=SCRIPTS,
        timestep_fs=parameters.dynamics.timestep_fs,
        thermostat="langevin",  # with the friction of the ligands that are not there
        n_atoms=superlattice.n,
        packages=PACKAGES,
        core_ids=np.empty((superlattice.n, 0), dtype=int),
        core_positions_angstrom=np.empty((superlattice.n, 0, 3)),
        tables=potential_tables(parameters),
    )


def energy_kcal_per_mol(
    parameters: OneSiteParameters, positions_angstrom: np.ndarray, cell: Cell | None, temperature_K: float
) -> float:
    """Return the potential energy of sites, from the formula: for checks, and for lattice sums.

    Args:
        parameters: a parameter set.
        positions_angstrom: (N, 3) positions, Å.
        cell: with vectors in Å, or None in free space.
        temperature_K: temperature, K.
    """
    from ase.neighborlist import primitive_neighbor_list  # its import takes long, and only this needs it

    vectors, periodic = (np.eye(3), [False] * 3) if cell is None else (cell.vectors_nm, cell.periodic)
    i, r = primitive_neighbor_list(  # type: ignore[no-untyped-call]
        "id", periodic, vectors, positions_angstrom, parameters.potential.r_angstrom[-1]
    )
    excess = temperature_K - parameters.potential.reference_K
    pair, density, embedding = _pair(parameters), _density(parameters), _embedding(parameters)
    densities = np.bincount(i, density(r), len(positions_angstrom))
    return float(
        sum(
            weight * (part(r).sum() / 2 + inner(densities).sum())
            for weight, part, inner in zip((1.0, excess), pair, embedding, strict=True)
        )
    )


@lru_cache(maxsize=8)
def _pair(parameters: OneSiteParameters) -> tuple[CubicSpline, CubicSpline]:
    potential = parameters.potential
    columns = (potential.energy_kcal_per_mol, potential.slope_kcal_per_mol_K)
    energy, slope = (CubicSpline(potential.r_angstrom, c, bc_type=("natural", "clamped")) for c in columns)
    return energy, slope


@lru_cache(maxsize=8)
def _density(parameters: OneSiteParameters) -> Callable[[np.ndarray], np.ndarray]:
    embedding = parameters.embedding

    def density(r: np.ndarray) -> np.ndarray:
        x = np.minimum(r / embedding.reach_angstrom, 1.0)
        return (1 - x) ** 3 * (1 + 3 * x) / embedding.norm

    return density


@lru_cache(maxsize=8)
def _embedding(parameters: OneSiteParameters) -> tuple[CubicSpline, CubicSpline]:
    embedding = parameters.embedding
    columns = (embedding.energy_kcal_per_mol, embedding.slope_kcal_per_mol_K)
    energy, slope = (CubicSpline(embedding.density, column) for column in columns)
    return energy, slope


def potential_tables(parameters: OneSiteParameters) -> dict[str, str]:
    """Return the potential as files for the pair style `eam/alloy` of LAMMPS: at the reference, and its slope."""
    cutoff = parameters.potential.r_angstrom[-1]
    r = np.arange(_DISTANCES) * (cutoff / (_DISTANCES - 1))
    low = parameters.potential.r_angstrom[0]
    densities = np.linspace(0.0, parameters.embedding.density[-1], _DENSITIES)
    tables = {}
    for name, pair, embedding in zip(TABLES, _pair(parameters), _embedding(parameters), strict=True):
        # Below the first distance, where nothing ever is, the energy goes on as a straight line.
        inner = pair(low) + pair(low, 1) * (r - low)
        values = np.where(r < low, inner, pair(np.maximum(r, low)))
        blocks = (embedding(densities), _density(parameters)(r), r * values)
        lines = [
            f"# UNITS: real {parameters.name}, {name}: energies at {parameters.potential.reference_K:g} K, or for 1 K",
            "# Written by simsc from parameters.json",
            "# Pair and embedding energies in kcal/mol, distances in angstrom",
            "1 NP",
            f"{_DENSITIES} {densities[1]:.17g} {_DISTANCES} {r[1]:.17g} {cutoff:.17g}",
            f"1 {parameters.mass_g_per_mol:.10g} 0.0 fcc",
        ]
        lines += [f"{value:.17g}" for block in blocks for value in block]
        tables[name] = "\n".join([*lines, ""])
    return tables


def _data_file(positions: np.ndarray, cell: np.ndarray, parameters: OneSiteParameters) -> str:
    lines = [
        f"simsc {parameters.name}, units real",
        "",
        f"{len(positions)} atoms",
        "1 atom types",
        "",
        *box_lines(cell),
        "",
        "Masses",
        "",
        f"1 {parameters.mass_g_per_mol:.10g}",
        "",
        "Atoms # bond",
        "",
        *(f"{k} {k} 1 {x:.6f} {y:.6f} {z:.6f}" for k, (x, y, z) in enumerate(positions, 1)),
    ]
    return "\n".join([*lines, ""])
