"""Oleate, or another carboxylate, on a hydroxylated core: the whole nanoparticle. Atoms are in Å."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from simsc.builders.conformers import chain_conformers
from simsc.builders.nanoparticle import BOND_CUTOFF_ANGSTROM, Core
from simsc.builders.oxidation import anneal_states, count_iron, random_states
from simsc.builders.surface import Hydroxylated, hydrogens
from simsc.core.errors import InputError
from simsc.forcefield.ligand import Ligand
from simsc.forcefield.magnetite import CHARGE_QUANTUM_E, MagnetiteParameters

Binding = Literal["monodentate", "bridging"]
LEAST_DISTANCE_ANGSTROM = 0.8  # of any two atoms, before relaxation

_CONFORMERS = 400
_TRIALS = 120  # poses a ligand, of which the least overlapping is taken
_SWEEPS = 3  # times that every ligand is taken out and put in again
_REPAIRS = 20
_TILT_RADIAN = 0.22  # standard deviation of the tail's angle to the surface normal
_BRIDGE_ANGSTROM = 3.4  # longest distance of two anion sites that one carboxylate can bridge; O–O in magnetite is 2.97
_RADII = {"H": 1.1, "C": 1.7, "N": 1.6, "O": 1.5, "Fe": 0.6}  # of overlap, Å; a contact is the sum of two
_RADIUS = 1.5


@dataclass(frozen=True, eq=False)
class Nanoparticle:
    """A functionalised nanoparticle about the origin.

    Atoms are numbered core first (lattice, OH, protons), then ligand by ligand.

    Attributes:
        core_positions_angstrom: (c, 3) atoms of the core, Å.
        core_kinds: (c,) what each is: a key of `simsc.forcefield.magnetite`'s table, such as `FeO3` (Fe3+ on an
            octahedral site), `O`, `OH` (of a hydroxyl), `OP` (of a protonated lattice oxygen), `H`.
        core_bonds: (b, 2) O–H bonds, by index.
        ligand: the ligand.
        ligand_positions_angstrom: (N, m, 3) atoms of the N ligands, Å.
        area_nm2: area of the core's shape, nm².
        diameter_nm: diameter of the sphere of the core's volume, nm.
    """

    core_positions_angstrom: np.ndarray
    core_kinds: np.ndarray
    core_bonds: np.ndarray
    ligand: Ligand
    ligand_positions_angstrom: np.ndarray
    area_nm2: float
    diameter_nm: float

    @property
    def n(self) -> int:
        """Number of atoms."""
        return len(self.core_kinds) + self.n_ligands * self.ligand.n

    @property
    def n_ligands(self) -> int:
        """Number of ligands."""
        return len(self.ligand_positions_angstrom)

    @property
    def positions_angstrom(self) -> np.ndarray:
        """(n, 3) all atoms, Å."""
        return np.concatenate([self.core_positions_angstrom, self.ligand_positions_angstrom.reshape(-1, 3)])

    @property
    def elements(self) -> np.ndarray:
        """(n,) chemical symbols."""
        core = np.array(["Fe" if kind.startswith("Fe") else kind[0] for kind in self.core_kinds])
        return np.concatenate([core, np.tile(self.ligand.elements, self.n_ligands)])

    @property
    def coverage_per_nm2(self) -> float:
        """Ligands per nm² of the core's shape."""
        return self.n_ligands / self.area_nm2

    def with_positions(self, positions_angstrom: np.ndarray) -> "Nanoparticle":
        """Return the same NP with all its atoms (n, 3), Å, elsewhere."""
        c = len(self.core_kinds)
        return replace(
            self,
            core_positions_angstrom=positions_angstrom[:c],
            ligand_positions_angstrom=positions_angstrom[c:].reshape(self.ligand_positions_angstrom.shape),
        )


def functionalize(
    hydroxylated: Hydroxylated,
    ligand: Ligand,
    parameters: MagnetiteParameters,
    rng: np.random.Generator,
    coverage_per_nm2: float = 4.8,
    count: int | None = None,
    binding: Binding = "monodentate",
    swap_tetrahedral: bool = False,
    progress: Callable[[str], None] = lambda what: None,
) -> Nanoparticle:
    """Cap a core with ligands, and make it neutral.

    The ligands' oxygens stand on free anion sites of the crystal, so that the surface iron gets the coordination that
    it has in the bulk; the sites are spread by minimising Σ r⁻⁶. As many protons as there are ligands go to lattice
    oxygens nearby (an oleic acid gives its proton to the surface). Tails point along the surface normal. Last, Fe2+ and
    Fe3+ are set for exact neutrality and annealed by swap Monte Carlo in the field of all charges.

    Args:
        hydroxylated: the core, from `simsc.builders.surface.hydroxylate`.
        ligand: a carboxylate.
        parameters: charges of the core.
        rng: source of all random numbers.
        coverage_per_nm2: ligands per nm² of the core's shape. Default 4.8.
        count: number of ligands, instead of a coverage.
        binding: `monodentate`, one O on one anion site (the other finds a second Fe in dynamics), or `bridging`, both
            O between two neighbouring sites.
        swap_tetrahedral: let Fe2+ on tetrahedral sites too. Default: all tetrahedral Fe is Fe3+, as in magnetite.
        progress: called with what is being done.

    Returns:
        The NP; before it is relaxed (see `simsc.md.relax`), no two atoms are nearer than 0.8 Å.

    Raises:
        InputError: if the ligands do not fit, or neutrality would need more Fe3+ than there is Fe.
    """
    core = hydroxylated.core
    if set(core.elements) != {"Fe", "O"}:
        raise InputError(f"the force field covers iron oxides; this core holds {', '.join(sorted(set(core.elements)))}")
    n = round(coverage_per_nm2 * core.area_nm2) if count is None else count
    candidates = _head_candidates(hydroxylated, binding)
    if not 1 <= n <= len(candidates):
        raise InputError(
            f"{n} ligands ({n / core.area_nm2:.2f} nm⁻²) do not fit: this core has {len(candidates)} places for "
            f"{binding} heads ({len(candidates) / core.area_nm2:.2f} nm⁻²)"
        )
    n_oh, n_iron = len(hydroxylated.oxygens_angstrom), int(core.is_cation.sum())
    others = ["O"] * (core.n - n_iron - n) + ["OP"] * n + ["OH"] * n_oh + ["H"] * (n_oh + n)
    other_quanta = sum(parameters.quanta[kind] for kind in others) + round(n * ligand.charge_e / CHARGE_QUANTUM_E)
    n_fe2, _ = count_iron(other_quanta, n_iron, parameters.quanta["FeO2"], parameters.quanta["FeO3"])
    octahedral = core.is_cation & (core.ideal_coordination > 4)
    swappable = np.flatnonzero(core.is_cation if swap_tetrahedral else octahedral)
    if n_fe2 > len(swappable):
        raise InputError(
            f"neutrality needs {n_fe2} Fe2+, but there are {len(swappable)} sites for it: take more ligands or OH"
            + ("" if swap_tetrahedral else ", or let Fe2+ on tetrahedral sites too")
        )

    progress(f"spreading {n} heads over {len(candidates)} places")
    heads = candidates[_spread(candidates, n, rng)]
    middle = heads.mean(axis=1)
    protonated = _protonated(core, middle)
    heavy = np.concatenate([core.positions_angstrom, hydroxylated.oxygens_angstrom])
    # The heads are O too: protons turn away from them.
    around = np.concatenate([heavy, heads.reshape(-1, 3)])
    is_cation = np.zeros(len(around), dtype=bool)
    is_cation[: core.n] = core.is_cation
    protons = hydrogens(core.positions_angstrom[protonated], around, is_cation)
    kinds = np.where(core.is_cation, np.where(octahedral, "FeO3", "FeT3"), "O")
    kinds[protonated] = "OP"
    kinds = np.concatenate([kinds, ["OH"] * n_oh, ["H"] * (n_oh + n)])
    positions = np.concatenate([heavy, hydroxylated.hydrogens_angstrom, protons])
    with_h = np.concatenate([core.n + np.arange(n_oh), protonated])
    bonds = np.column_stack([with_h, len(heavy) + np.arange(n_oh + n)])

    progress(f"placing {n} {ligand.name}")
    placed = _place(heads, _normals(middle, core), ligand, positions, kinds, rng)

    progress("annealing the oxidation states")
    is_fe3 = random_states(len(swappable), len(swappable) - n_fe2, rng)
    kinds[swappable[~is_fe3]] = np.char.replace(kinds[swappable[~is_fe3]], "3", "2")
    charges = np.concatenate([parameters.charges_e(kinds), np.tile(ligand.charges, n)])
    everything = np.concatenate([positions, placed.reshape(-1, 3)])
    found = anneal_states(everything, charges, swappable, is_fe3, rng)
    sites = np.where(octahedral[swappable], "FeO", "FeT")
    kinds[swappable] = np.char.add(sites, np.where(found.is_fe3, "3", "2"))
    return Nanoparticle(positions, kinds, bonds, ligand, placed, core.area_nm2, core.diameter_nm)


def _head_candidates(hydroxylated: Hydroxylated, binding: Binding) -> np.ndarray:
    """Return the anion sites of possible heads: (M, 1, 3) single ones or (M, 2, 3) pairs on two cations."""
    vacant = hydroxylated.vacant_angstrom
    if binding == "monodentate":
        return vacant[:, None]
    if binding != "bridging":
        raise InputError(f"binding mode {binding!r} is not known; available: monodentate, bridging")
    core = hydroxylated.core
    bound = cKDTree(core.positions_angstrom[core.is_cation]).query_ball_point(vacant, BOND_CUTOFF_ANGSTROM)
    pairs = cKDTree(vacant).query_pairs(_BRIDGE_ANGSTROM, output_type="ndarray")
    two_cations = [len(set(bound[i]) | set(bound[j])) > 1 for i, j in pairs]
    return vacant[pairs[two_cations]].reshape(-1, 2, 3)


def _spread(candidates: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Choose n heads among candidates (M, 1 or 2, 3) that minimise Σ r⁻⁶ and share no site.

    From a random choice, always the best move of one head.
    """
    middle, corners = candidates.mean(axis=1), candidates.reshape(-1, 3)
    width = candidates.shape[1]
    repulsion = (4.5 / np.maximum(cdist(middle, middle), 0.5)) ** 6
    shared = (cdist(corners, corners) < 0.1).reshape(len(middle), width, len(middle), width).any(axis=(1, 3))
    repulsion[shared] += 1e9
    np.fill_diagonal(repulsion, 0.0)
    chosen = rng.permutation(len(middle)) < n
    field = repulsion[:, chosen].sum(axis=1)
    while not chosen.all():
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        change = field[None, outside] - field[inside, None] - repulsion[np.ix_(inside, outside)]
        best = np.unravel_index(np.argmin(change), change.shape)
        if change[best] > -1e-6:
            break
        leave, enter = inside[best[0]], outside[best[1]]
        chosen[leave], chosen[enter] = False, True
        field += repulsion[:, enter] - repulsion[:, leave]
    if (field[chosen] > 1e8).any():
        raise InputError(
            f"{n} {'bridging' if width == 2 else 'monodentate'} heads do not fit: each takes {width} of the "
            f"{len(np.unique(corners.round(3), axis=0))} free oxygen sites of its own; lower the coverage"
        )
    return np.flatnonzero(chosen)


def _protonated(core: Core, heads: np.ndarray) -> np.ndarray:
    """Return indices (N,) of lattice oxygens at the surface, one for each head (N, 3), all different and near."""
    exposed = np.flatnonzero(~core.is_cation & (core.coordination < core.ideal_coordination))
    if len(exposed) < len(heads):
        raise InputError(f"{len(heads)} ligands leave as many protons, but only {len(exposed)} lattice O are exposed")
    _, chosen = linear_sum_assignment(cdist(heads, core.positions_angstrom[exposed], "sqeuclidean"))
    return exposed[chosen]


def _normals(sites: np.ndarray, core: Core) -> np.ndarray:
    """Return outward unit normals (N, 3) at surface sites (N, 3): away from the atoms of the core, near ones first."""
    separation = sites[:, None] - core.positions_angstrom
    weights = np.linalg.norm(separation, axis=2, keepdims=True) ** -4
    field = (separation * weights).sum(axis=1)
    return field / np.linalg.norm(field, axis=1, keepdims=True)


def _place(
    heads: np.ndarray,
    normals: np.ndarray,
    ligand: Ligand,
    base: np.ndarray,
    base_kinds: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return ligand positions (N, m, 3): every ligand in the least overlapping of many poses, in several sweeps."""
    n, m = len(heads), ligand.n
    library = chain_conformers(ligand, _CONFORMERS, rng)
    radii = np.array([_RADII.get(element, _RADIUS) for element in ligand.elements])
    around = _Crowd(base, np.array([_RADII["Fe" if kind.startswith("Fe") else kind[0]] for kind in base_kinds]))
    placed = np.full((n, m, 3), np.nan)
    heavy = ligand.elements != "H"

    def put_in(k: int) -> float:
        poses = _poses(library[rng.integers(len(library), size=_TRIALS)], ligand, heads[k], normals[k], rng)
        others = np.flatnonzero(~np.isnan(placed[:, 0, 0]) & (np.arange(n) != k))
        ligands = _Crowd(placed[others].reshape(-1, 3), np.tile(radii, len(others)))
        first = around.overlap(poses[:, heavy], radii[heavy]) + ligands.overlap(poses[:, heavy], radii[heavy])
        best = np.argsort(first)[:8]
        all_atoms = around.overlap(poses[best], radii) + ligands.overlap(poses[best], radii)
        placed[k] = poses[best[np.argmin(all_atoms)]]
        return float(all_atoms.min())

    for _ in range(1 + _SWEEPS):
        for k in rng.permutation(n):
            put_in(k)
    for _ in range(_REPAIRS):
        owner = np.concatenate([np.full(len(base), -1), np.repeat(np.arange(n), m)])
        pairs = cKDTree(np.concatenate([base, placed.reshape(-1, 3)])).query_pairs(
            LEAST_DISTANCE_ANGSTROM, output_type="ndarray"
        )
        crowded = np.unique(owner[pairs])
        crowded = crowded[crowded >= 0]
        if not len(crowded):
            return placed
        for k in crowded:
            put_in(k)
    raise InputError(
        f"{n} ligands overlap ({len(crowded)} of them are nearer than 0.8 Å to an atom); lower the coverage"
    )


class _Crowd:
    """Atoms that are in the way."""

    def __init__(self, positions: np.ndarray, radii: np.ndarray) -> None:
        self._radii = np.append(radii, 0.0)
        self._tree = cKDTree(positions) if len(positions) else None

    def overlap(self, poses: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Return the overlap (p,) of poses (p, m, 3) of a molecule with radii (m,)."""
        if self._tree is None:
            return np.zeros(len(poses))
        distance, index = self._tree.query(poses, k=6, distance_upper_bound=2 * max(_RADII.values()))
        contact = radii[None, :, None] + self._radii[index]
        depth = np.clip(1 - distance / contact, 0, None)  # missing neighbours are infinitely far
        return (depth**2).sum(axis=(1, 2))


def _poses(
    conformers: np.ndarray, ligand: Ligand, head: np.ndarray, normal: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return conformers (p, m, 3) with their oxygens on the head's sites (1 or 2, 3), tails outward."""
    p = len(conformers)
    carbon, first, second = ligand.carboxylate
    oxygens = conformers[:, [first, second]]
    z = _along(normal + np.tan(np.abs(rng.normal(0, _TILT_RADIAN, (p, 1)))) * _along(rng.normal(size=(p, 3))))
    if len(head) == 1:
        # The chain's axis from the bound oxygen to its centre of mass goes along z, with a random turn about it.
        start = oxygens[:, 0]
        axis = _along(conformers[:, ligand.elements == "C"].mean(axis=1) - start)
        rolls = rng.uniform(0, 2 * np.pi, p)
        turn = Rotation.from_rotvec(rolls[:, None] * z) * _turning(axis, z)
        target = head[0]
    else:
        # The two oxygens lie along the two sites, either way round; the bisector of the carboxylate along z.
        start = oxygens.mean(axis=1)
        along = _along((head[1] - head[0]) * rng.choice([-1, 1], (p, 1)))
        up = _along(z - (z * along).sum(axis=1, keepdims=True) * along)
        own_along = _along(oxygens[:, 1] - oxygens[:, 0])
        own_up = conformers[:, carbon] - start
        own_up = _along(own_up - (own_up * own_along).sum(axis=1, keepdims=True) * own_along)
        to = np.stack([along, up, np.cross(along, up)], axis=2)
        of = np.stack([own_along, own_up, np.cross(own_along, own_up)], axis=2)
        turn = Rotation.from_matrix(to @ of.transpose(0, 2, 1))
        target = head.mean(axis=0)
    return np.einsum("pij,paj->pai", turn.as_matrix(), conformers - start[:, None]) + target


def _turning(start: np.ndarray, stop: np.ndarray) -> Rotation:
    """Return the smallest rotations that bring unit vectors (p, 3) to others."""
    axis = np.cross(start, stop)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine, (start * stop).sum(axis=1, keepdims=True))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-12) * angle)


def _along(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
