"""Hydroxyl groups on the under-coordinated cations of a bare core."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from simsc.builders.nanoparticle import BOND_CUTOFF_ANGSTROM, Core
from simsc.core.errors import InputError

OH_BOND_ANGSTROM = 1.0  # r0 of the O–H bond in ClayFF, DOI 10.1021/jp0363287


@dataclass(frozen=True, eq=False)
class Hydroxylated:
    """A core with hydroxyl groups.

    Attributes:
        core: the bare core.
        oxygens_angstrom: (h, 3) oxygens of the OH, on anion sites of the crystal, Å.
        hydrogens_angstrom: (h, 3) their hydrogens, Å.
        vacant_angstrom: (m, 3) anion sites next to the core that are still free, Å.
    """

    core: Core
    oxygens_angstrom: np.ndarray
    hydrogens_angstrom: np.ndarray
    vacant_angstrom: np.ndarray


def hydroxylate(core: Core, least_oxygens: int | Literal["all"] = 3) -> Hydroxylated:
    """Put OH on the vacant anion sites of under-coordinated cations.

    Sites that serve most of the cations in need are filled first, those further from the OH already placed before
    nearer ones, until every cation has its number of oxygens.

    Args:
        core: a bare oxide core.
        least_oxygens: O that every cation ends up with, unless it has fewer in the crystal. Default 3: only cations
            with two or fewer get an OH, the others keep room for ligands. `"all"` completes every cation; each OH then
            needs one Fe3+ more than the core may have (see `simsc.builders.oxidation.count_iron`).

    Raises:
        InputError: for a number that is negative.

    Example:
        >>> from simsc.builders.nanoparticle import carve, magnetite
        >>> len(hydroxylate(carve(magnetite(), 4.0)).oxygens_angstrom)
        48
    """
    if least_oxygens != "all" and least_oxygens < 0:
        raise InputError(f"the least number of oxygens a cation must be 0 or more, or 'all', got {least_oxygens}")
    ideal = core.ideal_coordination
    wanted = ideal if least_oxygens == "all" else np.minimum(ideal, least_oxygens)
    missing = np.where(core.is_cation, wanted - core.coordination, 0)
    cations = np.flatnonzero(core.is_cation)
    served = [
        cations[near]
        for near in cKDTree(core.positions_angstrom[cations]).query_ball_point(
            core.vacant_angstrom, BOND_CUTOFF_ANGSTROM
        )
    ]
    filled: list[int] = []
    nearest = np.full(len(served), 100.0)
    while True:
        gain = np.array([np.count_nonzero(missing[atoms] > 0) for atoms in served])
        gain[filled] = 0
        if not gain.any():
            break
        best = int(np.lexsort((-nearest, -gain))[0])
        filled.append(best)
        missing[served[best]] -= 1
        nearest = np.minimum(nearest, np.linalg.norm(core.vacant_angstrom - core.vacant_angstrom[best], axis=1))
    oxygens = core.vacant_angstrom[filled]
    heavy = np.concatenate([core.positions_angstrom, oxygens])
    is_cation = np.concatenate([core.is_cation, np.zeros(len(oxygens), dtype=bool)])
    return Hydroxylated(
        core,
        oxygens,
        hydrogens(oxygens, heavy, is_cation),
        np.delete(core.vacant_angstrom, filled, axis=0),
    )


def hydrogens(oxygens: np.ndarray, heavy: np.ndarray, is_cation: np.ndarray) -> np.ndarray:
    """Return H (h, 3), Å, one bond length from each O (h, 3), pointing away from its cations and from other O.

    Args:
        oxygens: (h, 3) oxygens that get an H, Å.
        heavy: (n, 3) all heavy atoms, those oxygens among them, Å.
        is_cation: (n,) which of them are cations.
    """
    cations, others = cKDTree(heavy[is_cation]), cKDTree(heavy[~is_cation])
    placed = np.empty_like(oxygens)
    for k, oxygen in enumerate(oxygens):
        bound = heavy[is_cation][cations.query_ball_point(oxygen, BOND_CUTOFF_ANGSTROM)]
        crowd = heavy[~is_cation][others.query_ball_point(oxygen, 3.5)]
        crowd = crowd[np.linalg.norm(crowd - oxygen, axis=1) > 0.1]
        # Repulsion by the cations decides; other O and the centre break ties, such as between two opposite Fe.
        away = (
            10 * _unit(oxygen - bound).sum(axis=0) + _unit(oxygen - crowd).sum(axis=0) + _unit(oxygen[None]).sum(axis=0)
        )
        placed[k] = oxygen + OH_BOND_ANGSTROM * away / np.linalg.norm(away)
    return placed


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
