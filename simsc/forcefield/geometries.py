"""Extended and folded conformers of a molecule, with a model Hessian to optimise them from.

Needs the extra `parameterise` (RDKit). MMFF94 without its electrostatic term: in vacuum the charge of a carboxylate
would fold every chain onto it.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from simsc.core.errors import InputError
from simsc.forcefield.extra import import_extra
from simsc.forcefield.resp import BOHR_ANGSTROM, HARTREE_KCAL_PER_MOL

Torsions = Mapping[tuple[int, int, int, int], float]  # degrees

_TRANS_OR_GAUCHE = (180.0, 60.0, -60.0)
_CHANCES = (0.5, 0.25, 0.25)
_SKEW = (120.0, -120.0)  # beside a double bond
_FOLDED_TRIALS = 100
_STIFF_BOND, _STIFF_ANGLE = 1e4, 1.0  # kcal/mol/Å², kcal/mol/degree²: stiffer than any of MMFF94
_STRAIN_KCAL_PER_MOL = 5.0  # above the best of all trials


def spread_conformers(molecule: Any, count: int, seed: int = 1) -> list[np.ndarray]:
    """Return conformers that differ as much as they can: the first half extended, the others folded.

    The extended ones are all-trans and differ in the signs of the skew torsions beside double bonds. The folded ones
    are from random torsions: of those with little strain the most compact, then less compact ones up to the median.

    Args:
        molecule: RDKit molecule with hydrogens and a conformer.
        count: how many are wanted; molecules with few torsions have fewer.
        seed: of the random torsions.

    Returns:
        Positions (n, 3), Å, of each.
    """
    chain, skew = _torsions(molecule)
    patterns = list(itertools.product(_SKEW, repeat=len(skew)))
    patterns = patterns[: max(1, len(patterns) // 2)]  # the others are mirror images
    straight = dict.fromkeys(chain, 180.0)
    extended = [_shaped(molecule, straight | dict(zip(skew, signs, strict=True))) for signs in patterns]
    extended = extended[: (count + 1) // 2]
    folded = count - len(extended)
    if not chain or folded < 1:
        return [positions for _, positions in extended]
    rng = np.random.default_rng(seed)
    trials = []
    for _ in range(_FOLDED_TRIALS):
        torsions = {four: float(rng.choice(_TRANS_OR_GAUCHE, p=_CHANCES)) for four in chain}
        trials.append(_shaped(molecule, torsions | {four: float(rng.choice(_SKEW)) for four in skew}))
    limit = min(energy for energy, _ in trials + extended) + _STRAIN_KCAL_PER_MOL
    compact = sorted((positions for energy, positions in trials if energy < limit), key=radius_of_gyration)
    chosen = np.linspace(0, len(compact) // 2, folded).astype(int)
    return [positions for _, positions in extended] + [compact[i] for i in sorted(set(chosen.tolist()))]


def changed_alike(molecule: Any, conformer: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return a conformer with bond lengths and angles changed as they changed in another one.

    What a better theory changes hardly depends on the torsions, so that the second conformer need not start anew.

    Args:
        molecule: RDKit molecule.
        conformer: positions (n, 3), Å.
        before: of another conformer, (n, 3), Å.
        after: of that one, optimised by the better theory, (n, 3), Å.

    Returns:
        Positions (n, 3), Å.
    """
    bonds, angles = [], []
    for atom in molecule.GetAtoms():
        centre, around = atom.GetIdx(), sorted(neighbour.GetIdx() for neighbour in atom.GetNeighbors())
        bonds += [(i, centre) for i in around if i < centre]
        angles += [(i, centre, k) for i, k in itertools.combinations(around, 2)]

    def measured(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i, j = np.array(bonds).T
        lengths = np.linalg.norm(positions[i] - positions[j], axis=1)
        i, j, k = np.array(angles).T
        first, second = positions[i] - positions[j], positions[k] - positions[j]
        cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        return lengths, np.degrees(np.arccos(cosines))

    (lengths, degrees), (old_lengths, old_degrees), (new_lengths, new_degrees) = map(
        measured, (conformer, before, after)
    )
    shaped = import_extra("rdkit.Chem").Mol(molecule)
    shaped.GetConformer().SetPositions(conformer)
    field = _field(shaped)
    for pair, length in zip(bonds, lengths + new_lengths - old_lengths, strict=True):
        field.MMFFAddDistanceConstraint(*pair, False, length, length, _STIFF_BOND)
    for triple, degree in zip(angles, degrees + new_degrees - old_degrees, strict=True):
        field.MMFFAddAngleConstraint(*triple, False, degree, degree, _STIFF_ANGLE)
    field.Minimize(maxIts=5000, forceTol=1e-4)
    return shaped.GetConformer().GetPositions()


def radius_of_gyration(positions: np.ndarray) -> float:
    """Return the root mean square distance of atoms (n, 3) from their mean, in the same unit."""
    return float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean()))


def model_hessian(molecule: Any, positions_angstrom: np.ndarray) -> np.ndarray:
    """Return the second derivatives of MMFF94 without electrostatics, (3n, 3n), Eh/bohr²."""
    moved = import_extra("rdkit.Chem").Mol(molecule)
    field = _field(moved)
    x, step = positions_angstrom.ravel(), 1e-3

    def gradient(i: int, by: float) -> np.ndarray:
        positions = x.copy()
        positions[i] += by
        # Without Initialize, RDKit 2026.9 goes on with the distances of the gradient before.
        moved.GetConformer().SetPositions(positions.reshape(-1, 3))
        field.Initialize()
        return np.array(field.CalcGrad())

    hessian = np.array([gradient(i, step) - gradient(i, -step) for i in range(len(x))]) / (2 * step)
    return (hessian + hessian.T) / 2 / HARTREE_KCAL_PER_MOL * BOHR_ANGSTROM**2


def _torsions(molecule: Any) -> tuple[list[tuple[int, int, int, int]], list[tuple[int, int, int, int]]]:
    """Return one torsion of heavy atoms for each rotatable bond of a chain, and those beside double bonds."""
    chem = import_extra("rdkit.Chem")

    def heavy(atom: int, other: int) -> list[int]:
        neighbours = molecule.GetAtomWithIdx(atom).GetNeighbors()
        return [n.GetIdx() for n in neighbours if n.GetIdx() != other and n.GetAtomicNum() > 1]

    chain = [
        (heavy(b, c)[0], b, c, heavy(c, b)[0])
        for b, c in molecule.GetSubstructMatches(chem.MolFromSmarts("[CX4]-&!@[CX4]"))
        if heavy(b, c) and heavy(c, b)
    ]
    return chain, list(molecule.GetSubstructMatches(chem.MolFromSmarts("[#6]-[CX4]-&!@[CX3]=[CX3]")))


def _shaped(molecule: Any, torsions: Torsions) -> tuple[float, np.ndarray]:
    """Return MMFF energy, kcal/mol, and positions, Å, of the minimum nearest to given torsions."""
    shaped = import_extra("rdkit.Chem").Mol(molecule)
    transforms = import_extra("rdkit.Chem.rdMolTransforms")
    for four, degrees in torsions.items():
        transforms.SetDihedralDeg(shaped.GetConformer(), *four, degrees)
    field = _field(shaped)
    field.Minimize(maxIts=5000, forceTol=1e-5)
    return field.CalcEnergy(), shaped.GetConformer().GetPositions()


def _field(molecule: Any) -> Any:
    """Return MMFF94 without electrostatics on the molecule's conformer."""
    all_chem = import_extra("rdkit.Chem.AllChem")
    properties = all_chem.MMFFGetMoleculeProperties(molecule)
    if properties is None:
        raise InputError("MMFF94 has no parameters for this molecule; give a .mol2 with charges and a geometry instead")
    properties.SetMMFFEleTerm(False)
    return all_chem.MMFFGetMoleculeForceField(molecule, properties)
