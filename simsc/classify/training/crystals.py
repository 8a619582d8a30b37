"""Crystals, clusters and liquids with a known class for each particle, strained and shaken, for `train.py` to learn.

Distances are in units of the nearest-neighbour distance. Classes follow from the perfect structure: of a stacking from
its sequence, of a cluster by common-neighbour analysis (Faken and Jónsson, Comput. Mater. Sci. 2 (1994) 279,
DOI 10.1016/0927-0256(94)90109-0) before anything is moved.
"""

import itertools

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from simsc.builders.close_packed import close_packed
from simsc.classify.neighbours import neighbours_within
from simsc.core.cell import Cell
from simsc.core.close_packing import LAYER_SPACING
from simsc.core.stacking import layer_kinds, lettered
from simsc.core.superlattice import Superlattice

CLASSES = ("fcc", "hcp", "icosahedral", "five-fold", "bcc", "surface", "other")
_CUTOFF = 1.3  # between the widest wedge of an anti-Mackay shell, 1.27, and the second shell


def random_stacking(rng: np.random.Generator, n: int, alpha: float) -> str:
    """Return a periodic sequence of n layers in which each step goes on as the one before with probability alpha."""
    while True:
        turns = np.where(rng.random(n - 1) < alpha, 1, -1)
        steps = np.cumprod([1, *turns])
        if steps.sum() % 3 == 0:
            return lettered(steps[:-1])


def stacked(sequence: str, lateral: tuple[int, int]) -> tuple[Superlattice, np.ndarray]:
    """Return a periodic stacking and the class numbers (N,) of its NPs."""
    crystal = close_packed(sequence, 1.0, lateral)
    kinds = np.array(["ch".index(kind) for kind in layer_kinds(sequence)])
    return crystal, np.repeat(kinds, crystal.n // len(sequence))


def ball(sequence: str, radius: float, rng: np.random.Generator) -> Superlattice:
    """Cut a ball with a random centre out of a stacking, in free space."""
    n = int(np.ceil(2 * radius)) + 2
    repeats = int(np.ceil(n / (len(sequence) * LAYER_SPACING)))
    crystal = close_packed(sequence * repeats, 1.0, (n, int(np.ceil(n / np.sqrt(3)))))
    centre = crystal.cell.vectors_nm.sum(axis=0) / 2 + rng.uniform(-0.5, 0.5, 3)
    return Superlattice(crystal.positions_nm[np.linalg.norm(crystal.positions_nm - centre, axis=1) < radius] - centre)


def decahedron(n: int, height: int) -> Superlattice:
    """Return a Marks decahedron by ASE, scaled to a nearest distance of 1."""
    from ase.cluster.decahedron import Decahedron

    positions = Decahedron("Au", n, height, 1).positions
    return Superlattice(positions / np.median(cKDTree(positions).query(positions, 2)[0][:, 1]))


def bcc(n: int) -> Superlattice:
    """Return n × n × n cubic cells of bcc."""
    edge = 2 / np.sqrt(3)
    corners = np.array(list(itertools.product(range(n), repeat=3)), dtype=float)
    return Superlattice(np.concatenate([corners, corners + 0.5]) * edge, cell=Cell(np.eye(3) * n * edge))


def liquid(rng: np.random.Generator, n: int, steps: int = 400) -> Superlattice:
    """Return a disordered dense packing: random points pushed apart until few are nearer than 1.

    The cell has the density of a random close packing of hard spheres or a little less.
    """
    edge = (n * np.pi / 6 / rng.uniform(0.54, 0.64)) ** (1 / 3)
    positions = rng.uniform(0, edge, (n, 3))
    for _ in range(steps):
        pairs = cKDTree(positions % edge, boxsize=edge).query_pairs(1.0, output_type="ndarray")
        vectors = positions[pairs[:, 0]] - positions[pairs[:, 1]]
        vectors -= edge * np.round(vectors / edge)
        distances = np.linalg.norm(vectors, axis=1, keepdims=True)
        push = 0.25 * (1 - distances) * vectors / np.maximum(distances, 1e-9)
        for axis in range(3):
            positions[:, axis] += np.bincount(pairs[:, 0], push[:, axis], n) - np.bincount(
                pairs[:, 1], push[:, axis], n
            )
    return Superlattice(positions % edge, cell=Cell(np.eye(3) * edge))


def with_vacancies(
    crystal: Superlattice, classes: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[Superlattice, np.ndarray]:
    """Take NPs out of a periodic crystal; what they touched has no full shell any more."""
    kept = rng.random(crystal.n) >= fraction
    bonds = neighbours_within(crystal, _CUTOFF)
    touched = np.unique(bonds.first[~kept[bonds.second % crystal.n]])
    classes = classes.copy()
    classes[touched] = CLASSES.index("surface")
    return Superlattice(crystal.positions_nm[kept], cell=crystal.cell), classes[kept]


def classes_of_cluster(cluster: Superlattice) -> np.ndarray:
    """Return the class number (N,) of each NP of a perfect cluster, by common-neighbour analysis."""
    positions = cluster.positions_nm
    near = [set(found) - {k} for k, found in enumerate(cKDTree(positions).query_ball_point(positions, _CUTOFF))]
    by_bonds = {
        (("421", 12),): "fcc",
        (("421", 6), ("422", 6)): "hcp",
        (("555", 12),): "icosahedral",
        (("422", 10), ("555", 2)): "five-fold",
    }
    classes = []
    for own in near:
        if len(own) < 12:
            classes.append("surface")
            continue
        kinds = [_signature(own & near[j], near) for j in own]
        counted = tuple(sorted((kind, kinds.count(kind)) for kind in set(kinds)))
        classes.append(by_bonds.get(counted, "other"))
    return np.array([CLASSES.index(name) for name in classes])


def _signature(common: set[int], near: list[set[int]]) -> str:
    """Return the number of common neighbours, of bonds between them, and of bonds in their longest chain."""
    bonds = [(a, b) for a, b in itertools.combinations(sorted(common), 2) if b in near[a]]
    longest = 0
    rest = set(bonds)
    while rest:
        chain = {rest.pop()}
        while grown := {bond for bond in rest if any(set(bond) & set(other) for other in chain)}:
            chain |= grown
            rest -= grown
        longest = max(longest, len(chain))
    return f"{len(common)}{len(bonds)}{longest}"


def shaken(
    crystal: Superlattice, sigma: float, strain: float, rng: np.random.Generator, collective: float = 0.0
) -> Superlattice:
    """Strain a crystal and move its NPs.

    Args:
        crystal: NPs in a cell or in free space.
        sigma: displacement of each NP per coordinate, Gaussian.
        strain: standard deviation of the components of a random deformation.
        rng: source of both.
        collective: share of the variance of displacements that neighbours have in common, over about 2 distances.
    """
    deformation = np.eye(3) + rng.normal(scale=strain, size=(3, 3))
    moved = rng.normal(scale=sigma * np.sqrt(1 - collective), size=crystal.positions_nm.shape)
    if collective:
        box = np.diag(np.ptp(crystal.positions_nm, axis=0) + 1) if crystal.cell is None else crystal.cell.vectors_nm
        knots = np.maximum(np.round(np.linalg.norm(box, axis=1) / 2), 1).astype(int)
        at = (crystal.positions_nm @ np.linalg.inv(box)) * knots
        waves = [map_coordinates(rng.normal(size=knots), at.T, order=3, mode="grid-wrap") for _ in range(3)]
        moved += sigma * np.sqrt(collective) * np.stack(waves, axis=1) / np.std(waves)
    cell = None if crystal.cell is None else Cell(crystal.cell.vectors_nm @ deformation, crystal.cell.periodic)
    return Superlattice(crystal.positions_nm @ deformation + moved, cell=cell)
