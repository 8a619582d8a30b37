"""From single nanoparticles to an equilibrated fcc supercrystal: expanded, brought together, held at pressure."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simsc.builders.functionalize import Nanoparticle
from simsc.builders.restack import cubic_fcc, primitive_fcc
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, nm_from_angstrom
from simsc.md.protocol import Phase

COMPRESSION = "compress"  # name of the phase
LIGAND_VOLUME_NM3_PER_G_PER_MOL = 1.86e-3  # of a liquid of 0.89 g/cm³, such as oleic acid
_GAP_NM = 0.3  # beyond the estimated distance, from where the barostat takes over
_LONGEST_STEP_FS = 2.0  # colliding ligands need shorter steps than ligands at rest
_CLEARANCE_ANGSTROM = 2.5  # between atoms of different NPs at the start


def estimated_d_nn_nm(nanoparticle: Nanoparticle) -> float:
    """Estimate the nearest-neighbour distance in a dense fcc crystal, nm, from the volumes of core and ligands."""
    ligand_mass = sum(atom.mass_g_per_mol for atom in nanoparticle.ligand.atoms)
    ligands = nanoparticle.n_ligands * ligand_mass * LIGAND_VOLUME_NM3_PER_G_PER_MOL
    return float((np.sqrt(2) * (np.pi / 6 * nanoparticle.diameter_nm**3 + ligands)) ** (1 / 3))


def loose_fcc(nanoparticles: Sequence[Nanoparticle], orientations: Rotation) -> tuple[Superlattice, float]:
    """Set relaxed NPs up in an fcc cell in which they do not touch.

    Args:
        nanoparticles: one (primitive cell) or four (cubic cell), relaxed.
        orientations: one for each NP.

    Returns:
        The sites, and the factor by which the cell has to shrink (see `compression`) before a barostat takes over.

    Raises:
        InputError: for another number of NPs.
    """
    n = len(nanoparticles)
    if n not in (1, 4):
        raise InputError(f"an fcc cell holds 1 or 4 independent nanoparticles, got {n}")
    build = primitive_fcc if n == 1 else cubic_fcc
    atoms = [
        turn.apply(nanoparticle.positions_angstrom)
        for turn, nanoparticle in zip(orientations, nanoparticles, strict=True)
    ]
    stop_nm = max(map(estimated_d_nn_nm, nanoparticles)) + _GAP_NM
    start_nm = max(stop_nm, _contact_nm(build, atoms))
    return build(start_nm), stop_nm / start_nm


def compression(scale: float, duration_ns: float = 0.02, temperature_K: float = 450.0) -> Phase:
    """Return the phase that brings NPs together, cores rigid, while their ligands find room.

    Args:
        scale: length of the cell at the end over that at the start.
        duration_ns: how long it takes, ns.
        temperature_K: temperature in it, K.
    """
    return Phase(
        COMPRESSION,
        temperature_K,
        temperature_K,
        duration_ns,
        kind="deform",
        scale=(scale, scale, scale),
        longest_timestep_fs=_LONGEST_STEP_FS,
    )


def _contact_nm(build: Callable[[float], Superlattice], atoms: list[np.ndarray]) -> float:
    """Return the smallest distance of sites, nm, to 0.1 nm, from which on NPs (their atoms in Å) do not touch."""
    trees = [cKDTree(positions) for positions in atoms]
    radius = max(float(np.linalg.norm(positions, axis=1).max()) for positions in atoms)
    d_nn_nm = 2 * nm_from_angstrom(radius) + 0.3
    while d_nn_nm > 0.2 and not _touch(build(d_nn_nm - 0.1), atoms, trees):
        d_nn_nm -= 0.1
    return d_nn_nm


def _touch(lattice: Superlattice, atoms: list[np.ndarray], trees: list[cKDTree]) -> bool:
    assert lattice.cell is not None
    sites = angstrom_from_nm(lattice.positions_nm)
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ angstrom_from_nm(lattice.cell.vectors_nm)
    for i, j in itertools.product(range(lattice.n), repeat=2):
        for shift in shifts:
            offset = sites[j] + shift - sites[i]
            if i <= j and np.linalg.norm(offset) > 1e-6:
                near = trees[i].query(atoms[j] + offset, distance_upper_bound=_CLEARANCE_ANGSTROM)[0]
                if np.isfinite(near).any():
                    return True
    return False
