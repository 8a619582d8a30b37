"""What a functionalised nanoparticle is made of, and whether it is still whole."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from simsc.builders.conformers import dihedral_radian, double_bonds
from simsc.builders.functionalize import Nanoparticle
from simsc.forcefield.magnetite import MagnetiteParameters

BOUND_ANGSTROM = 2.6  # longest Fe–O distance of a bound carboxylate; the next shell begins beyond 3 Å
_SHELL_ANGSTROM = 2.8  # between the first (2.06 Å) and the second (3.48 Å) O around Fe in magnetite, for hot cores too
_INTERIOR_ANGSTROM = 4.0  # depth below the outermost lattice atoms from which the crystal is complete


@dataclass(frozen=True)
class Census:
    """Numbers of a functionalised NP.

    Attributes:
        atoms: all atoms.
        core_atoms: atoms of the lattice, without OH and protons.
        hydroxyls: OH on the surface.
        protons: H on lattice oxygens.
        fe2, fe3: iron by state.
        charge_e: total charge, e.
        ligands: number of ligands.
        coverage_per_nm2: ligands per nm² of the core's shape.
        bound: ligands with at least one O within 2.6 Å of an Fe.
        binding: number of ligands by mode: `bridging` (both O bound, to different Fe), `chelating` (both O to one and
            the same Fe), `monodentate` (one O bound), `free`.
        cis: number of C=C that are cis, of all C=C of all ligands.
        double_bonds: number of C=C.
        closest_angstrom: smallest distance of two atoms that share no bond and no bonded neighbour, Å.
        interior_ideal: fraction of the Fe deeper than 4 Å in the core that have exactly their 4 or 6 O within 2.8 Å.
    """

    atoms: int
    core_atoms: int
    hydroxyls: int
    protons: int
    fe2: int
    fe3: int
    charge_e: float
    ligands: int
    coverage_per_nm2: float
    bound: int
    binding: dict[str, int]
    cis: int
    double_bonds: int
    closest_angstrom: float
    interior_ideal: float


def take_census(nanoparticle: Nanoparticle, parameters: MagnetiteParameters) -> Census:
    """Count what an NP is made of and how its ligands are bound."""
    kinds, positions = nanoparticle.core_kinds, nanoparticle.core_positions_angstrom
    states = np.array([kind[-1] if kind.startswith("Fe") else "" for kind in kinds])
    lattice = (states != "") | np.isin(kinds, ["O", "OP"])
    n = nanoparticle.n_ligands
    charge = parameters.charges_e(kinds).sum() + n * nanoparticle.ligand.charges.sum()
    modes = binding_modes(nanoparticle)
    torsions = double_bonds(nanoparticle.ligand)
    cis = [
        np.abs(dihedral_radian(*(nanoparticle.ligand_positions_angstrom[:, i] for i in torsion))) < np.pi / 2
        for torsion in torsions
    ]
    faces = ConvexHull(positions[lattice]).equations
    depth = -(positions @ faces[:, :3].T + faces[:, 3]).max(axis=1)
    interior = (states != "") & (depth > _INTERIOR_ANGSTROM)
    oxygens = cKDTree(positions[np.char.startswith(kinds, "O")])
    coordination = np.array([len(near) for near in oxygens.query_ball_point(positions[interior], _SHELL_ANGSTROM)])
    ideal = np.where(np.char.startswith(kinds[interior], "FeT"), 4, 6)
    return Census(
        atoms=nanoparticle.n,
        core_atoms=int(lattice.sum()),
        hydroxyls=int((kinds == "OH").sum()),
        protons=int((kinds == "OP").sum()),
        fe2=int((states == "2").sum()),
        fe3=int((states == "3").sum()),
        charge_e=float(charge),
        ligands=n,
        coverage_per_nm2=nanoparticle.coverage_per_nm2,
        bound=n - modes["free"],
        binding=modes,
        cis=int(np.sum(cis)),
        double_bonds=n * len(torsions),
        closest_angstrom=closest_contact_angstrom(nanoparticle),
        interior_ideal=float((coordination == ideal).mean()) if len(ideal) else 1.0,
    )


def binding_modes(nanoparticle: Nanoparticle) -> dict[str, int]:
    """Count ligands by how their carboxylate is bound: `bridging`, `chelating`, `monodentate`, `free`."""
    is_iron = np.char.startswith(nanoparticle.core_kinds, "Fe")
    iron = cKDTree(nanoparticle.core_positions_angstrom[is_iron])
    _, first, second = nanoparticle.ligand.carboxylate
    modes = {"bridging": 0, "chelating": 0, "monodentate": 0, "free": 0}
    for ligand in nanoparticle.ligand_positions_angstrom:
        near = [set(iron.query_ball_point(ligand[i], BOUND_ANGSTROM)) for i in (first, second)]
        if not near[0] and not near[1]:
            modes["free"] += 1
        elif not near[0] or not near[1]:
            modes["monodentate"] += 1
        else:
            modes["bridging" if len(near[0] | near[1]) > 1 else "chelating"] += 1
    return modes


def closest_contact_angstrom(nanoparticle: Nanoparticle) -> float:
    """Return the smallest distance, Å, of two atoms that share neither a bond nor a bonded neighbour (at most 2 Å)."""
    positions = nanoparticle.positions_angstrom
    pairs = cKDTree(positions).query_pairs(2.0, output_type="ndarray")
    c, ligand = len(nanoparticle.core_kinds), nanoparticle.ligand
    near = np.eye(ligand.n, dtype=int)
    for bond in ligand.bonds:
        near[bond.atoms[0], bond.atoms[1]] = near[bond.atoms[1], bond.atoms[0]] = 1
    bonded = near @ near > 0
    owner, atom = np.divmod(pairs - c, ligand.n)
    in_ligand = (pairs >= c).all(axis=1) & (owner[:, 0] == owner[:, 1])
    skip = in_ligand & bonded[atom[:, 0], atom[:, 1]]
    core_bonds = {(min(bond), max(bond)) for bond in nanoparticle.core_bonds.tolist()}
    skip |= np.array([tuple(pair) in core_bonds for pair in pairs.tolist()], dtype=bool)
    distance = np.linalg.norm(positions[pairs[~skip, 0]] - positions[pairs[~skip, 1]], axis=1)
    return float(distance.min(initial=2.0))
