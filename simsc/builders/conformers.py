"""A library of chain conformers of a ligand, by rotation about its single bonds."""

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.forcefield.ligand import Ligand

_STIFF_KCAL_PER_MOL = 5.0  # summed torsion barrier from which a bond counts as double: C=C has 26, C–C 1.4
_TRANS_WIDTH_DEGREE = 10.0
_SKEW_DEGREE = 120.0  # of the bonds beside a C=C: a CH then eclipses the double bond, as in 1-butene


def chain_conformers(ligand: Ligand, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw mostly stretched conformers, as they stand on a crowded surface.

    Single bonds of the chain are trans (± 10°), those beside a C=C skew (± 120°), the one at the carboxylate free;
    double bonds keep the geometry of the ligand file, so that cis stays cis. Dynamics brings in gauche bonds later.

    Args:
        ligand: the ligand.
        n: how many conformers.
        rng: source of the torsions.

    Returns:
        (n, atoms, 3) positions in Å.
    """
    positions = np.repeat(ligand.geometry[None], n, axis=0)
    for (a, b, c, d), kind in _chain_torsions(ligand):
        if kind == "free":
            target = rng.uniform(-180.0, 180.0, n)
        elif kind == "skew":
            target = _SKEW_DEGREE * rng.choice([-1, 1], n) + rng.normal(0, _TRANS_WIDTH_DEGREE, n)
        else:
            target = 180.0 + rng.normal(0, _TRANS_WIDTH_DEGREE, n)
        moved = _beyond(ligand, b, c)
        axis = positions[:, c] - positions[:, b]
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        turn = np.radians(target) - dihedral_radian(*(positions[:, i] for i in (a, b, c, d)))
        rotation = Rotation.from_rotvec(turn[:, None] * axis).as_matrix()
        origin = positions[:, None, c]
        positions[:, moved] = np.einsum("kij,kaj->kai", rotation, positions[:, moved] - origin) + origin
    return positions


def dihedral_radian(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Return dihedral angles a–b–c–d in radian, 0 for cis, for positions (…, 3)."""
    axis = (c - b) / np.linalg.norm(c - b, axis=-1, keepdims=True)
    first, last = a - b, d - c
    first = first - (first * axis).sum(-1, keepdims=True) * axis
    last = last - (last * axis).sum(-1, keepdims=True) * axis
    return np.arctan2((np.cross(axis, first) * last).sum(-1), (first * last).sum(-1))


def double_bonds(ligand: Ligand) -> list[tuple[int, int, int, int]]:
    """Return the chain torsions (a, b, c, d) about C=C bonds b=c, whose dihedral distinguishes cis from trans."""
    return [torsion for torsion, kind in _chain_torsions(ligand, stiff=True) if kind == "stiff"]


def _chain_torsions(ligand: Ligand, stiff: bool = False) -> list[tuple[tuple[int, int, int, int], str]]:
    """Return the torsions of heavy atoms along the chain, from the carboxylate outwards, and how each may turn."""
    barrier: dict[frozenset[int], float] = {}
    for dihedral in ligand.dihedrals:
        bond = frozenset(dihedral.atoms[1:3])
        barrier[bond] = barrier.get(bond, 0.0) + sum(abs(term.k_kcal_per_mol) for term in dihedral.terms)
    heavy = [[i for i in near if ligand.atoms[i].element != "H"] for near in ligand.neighbours]
    head, first_oxygen, _ = ligand.carboxylate
    found = []
    seen, queue = {head, *heavy[head]}, [(head, i) for i in heavy[head] if ligand.atoms[i].element != "O"]
    rigid = {bond for bond, value in barrier.items() if value > _STIFF_KCAL_PER_MOL}
    while queue:
        b, c = queue.pop(0)
        before = [first_oxygen] if b == head else [i for i in heavy[b] if i != c]
        after = [i for i in heavy[c] if i != b]
        if after and before and not _in_ring(ligand, b, c):
            bond = frozenset((b, c))
            beside = any(frozenset((b, i)) in rigid for i in before) or any(frozenset((c, i)) in rigid for i in after)
            kind = "stiff" if bond in rigid else "free" if b == head else "skew" if beside else "trans"
            if kind != "stiff" or stiff:
                found.append(((before[0], b, c, after[0]), kind))
        for i in after:
            if i not in seen:
                seen.add(i)
                queue.append((c, i))
    return found


def _in_ring(ligand: Ligand, b: int, c: int) -> bool:
    return b in _beyond(ligand, b, c)


def _beyond(ligand: Ligand, b: int, c: int) -> list[int]:
    """Return all atoms that hang on c when the bond b–c is cut (with b, if a ring leads back to it)."""
    found, queue = {c}, [i for i in ligand.neighbours[c] if i != b]
    while queue:
        i = queue.pop()
        if i not in found:
            found.add(i)
            queue += [j for j in ligand.neighbours[i] if j not in found]
    return sorted(found)
