"""Which iron is Fe2+ and which Fe3+: exact books of charge, and Monte Carlo swaps of the two."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from simsc.builders.electrostatics import COULOMB_KCAL_ANGSTROM, inverse_distances, potential_at
from simsc.core.errors import InputError
from simsc.core.units import KCAL_PER_MOL_K
from simsc.forcefield.magnetite import CHARGE_QUANTUM_E, QUANTA_PER_OXIDATION

LEAST_IRON_DISTANCE_ANGSTROM = 1.0  # 2.97 in magnetite

_STORED_SITES = 6000  # up to here all pairs of Fe are kept (290 MB); beyond, a row is computed when it is needed


def count_iron(
    other_charge_quanta: int, n_iron: int, fe2_quanta: int = 42, fe3_quanta: int = 42 + QUANTA_PER_OXIDATION
) -> tuple[int, int]:
    """Return how many Fe2+ and Fe3+ make a system exactly neutral.

    Args:
        other_charge_quanta: charge of all other atoms, in quanta of 0.025 e.
        n_iron: number of Fe.
        fe2_quanta: charge of Fe2+ in quanta.
        fe3_quanta: charge of Fe3+ in quanta.

    Returns:
        Numbers of Fe2+ and Fe3+.

    Raises:
        InputError: if no whole number of Fe3+ does it, or more than there is Fe; with how much is too much.

    Example:
        >>> count_iron(-42 * 508, 395)  # a published core of 508 O, DOI 10.1021/acs.jpclett.3c01290
        (169, 226)
    """
    step = fe3_quanta - fe2_quanta
    n_fe3, rest = divmod(-other_charge_quanta - fe2_quanta * n_iron, step)
    if rest:
        raise InputError(
            f"no whole number of Fe3+ makes this nanoparticle neutral: {rest * CHARGE_QUANTUM_E:.3f} e remain; "
            + _remedy(rest, step)
        )
    if n_fe3 > n_iron:
        raise InputError(
            f"neutrality needs {n_fe3} Fe3+, but the core has {n_iron} Fe: {n_fe3 - n_iron} ligands or OH are too "
            "many (each ligand with its proton, and each OH, turns one Fe2+ into Fe3+); lower the coverage or the "
            "number of OH, or choose another centre of the core"
        )
    if n_fe3 < 0:
        raise InputError(
            f"even with all its Fe as Fe2+ the nanoparticle has {-n_fe3 * step * CHARGE_QUANTUM_E:.3f} e too much: "
            f"{-n_fe3} more ligands or OH are needed, or another centre of the core"
        )
    return n_iron - n_fe3, n_fe3


def random_states(n_iron: int, n_fe3: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n_iron,) bool, true for n_fe3 of them that chance picks: the Fe3+.

    Raises:
        InputError: if there are not that many Fe.
    """
    if not 0 <= n_fe3 <= n_iron:
        raise InputError(f"{n_fe3} Fe3+ cannot be set among {n_iron} Fe")
    return rng.permutation(n_iron) < n_fe3


@dataclass(frozen=True)
class Schedule:
    """Temperatures of an annealing, each a factor below the one before, and the moves at each.

    The default spends its moves where the states settle: at 5000 K nearly every move changes them, at 100 K nearly
    none. On a core of 1421 Fe it ends as low as the published schedule; figures in `forcefields/magnetite/README.md`.

    Attributes:
        first_K: first temperature, K.
        last_K: the last one is the last that is not below it, K.
        factor: between two temperatures, below 1.
        sweeps: moves at each temperature for every ion of the rarer state.
    """

    first_K: float = 5.0e3
    last_K: float = 100.0
    factor: float = 0.9
    sweeps: float = 10.0

    @property
    def temperatures_K(self) -> np.ndarray:
        """(t,) temperatures, K.

        Raises:
            InputError: if they do not fall from the first to the last.
        """
        if not (0 < self.last_K <= self.first_K < np.inf and 0 < self.factor < 1 and self.sweeps > 0):
            raise InputError(f"{self}: needs first_K ≥ last_K > 0, a factor between 0 and 1, and sweeps above 0")
        count = np.floor(np.log(self.last_K / self.first_K) / np.log(self.factor) + 1e-9)
        return self.first_K * self.factor ** np.arange(int(count) + 1)


DEFAULT = Schedule()


@dataclass(frozen=True, eq=False)
class SwapResult:
    """What the swaps led to.

    Attributes:
        is_fe3: (m,) bool, the state of each swappable Fe at the end.
        temperatures_K: (t,) the schedule, K.
        energies_kcal_per_mol: (t,) electrostatic energy after each temperature, relative to the start, kcal/mol.
        acceptance: (t,) part of the moves that changed the states.
    """

    is_fe3: np.ndarray
    temperatures_K: np.ndarray
    energies_kcal_per_mol: np.ndarray
    acceptance: np.ndarray


def anneal_states(
    positions_angstrom: np.ndarray,
    charges_e: np.ndarray,
    iron: np.ndarray,
    is_fe3: np.ndarray,
    rng: np.random.Generator,
    cell_angstrom: np.ndarray | None = None,
    step_e: float = QUANTA_PER_OXIDATION * CHARGE_QUANTUM_E,
    schedule: Schedule = DEFAULT,
) -> SwapResult:
    """Anneal oxidation states by swaps of Fe2+ and Fe3+ in the Coulomb field of all atoms.

    The two differ in their charge alone, so the energy of a swap is exact from the electrostatic potential at the iron
    sites, which is kept up to date and never summed anew. The published method (DOI 10.1021/acs.jpclett.3c01290) swaps
    random pairs by Metropolis Monte Carlo, N² attempts at each temperature. Here a move picks an ion of the rarer state
    and puts it on any site of the other state, or back, with the Boltzmann probability of each (heat bath). That is in
    detailed balance with the same distribution, and a move considers all sites at once; one move for every Fe weighs
    as many swaps as N² attempts.

    Args:
        positions_angstrom: (n, 3) all atoms, Å.
        charges_e: (n,) all charges with the iron in its present states, e.
        iron: (m,) indices of the Fe that may swap, all of them or the octahedral ones alone.
        is_fe3: (m,) bool, their states.
        rng: source of the moves.
        cell_angstrom: (3, 3) cell vectors as rows, Å, of a periodic system; None for a finite one.
        step_e: charge by which Fe3+ exceeds Fe2+, e.
        schedule: temperatures, and moves at each.

    Returns:
        The states at the end, and how the energy got there.

    Raises:
        InputError: if arrays do not fit together, or atoms lie on one another.

    Example:
        >>> line = np.array([[0.0, 0, 0], [3, 0, 0], [6, 0, 0], [7.5, 0, 0]])
        >>> start = np.array([False, False, True])
        >>> found = anneal_states(
        ...     line, np.array([1.05, 1.05, 1.575, 1.0]), np.arange(3), start, np.random.default_rng(0)
        ... )
        >>> found.is_fe3  # as far from the other charge as can be
        array([ True, False, False])
    """
    state = np.array(is_fe3, dtype=bool)
    if not len(positions_angstrom) == len(charges_e) or not len(iron) == len(state):
        raise InputError(
            f"{len(positions_angstrom)} positions, {len(charges_e)} charges, {len(iron)} Fe and {len(state)} states "
            "do not fit together"
        )
    temperatures = schedule.temperatures_K
    energies, acceptance = np.zeros(len(temperatures)), np.zeros(len(temperatures))
    if state.all() or not state.any():
        return SwapResult(state, temperatures, energies, acceptance)
    _check_distances(positions_angstrom[iron], iron)
    field = potential_at(positions_angstrom, charges_e, iron, cell_angstrom)
    coupling = _coupling(positions_angstrom[iron], cell_angstrom, COULOMB_KCAL_ANGSTROM * step_e**2)
    if not np.isfinite(field).all():
        raise InputError(f"another atom lies on Fe {iron[np.argmin(np.isfinite(field))]} (counted from 0)")
    # The rarer state is a gas of equal charges on the sites of the other one.
    rare_is_fe3 = bool(2 * np.count_nonzero(state) <= len(state))
    field *= step_e if rare_is_fe3 else -step_e
    ions = np.flatnonzero(state == rare_is_fe3)
    taken = np.where(state == rare_is_fe3, np.inf, 0.0)
    weights = np.empty(len(state))
    moves = max(1, round(schedule.sweeps * len(ions)))
    energy = 0.0
    for t, temperature in enumerate(temperatures):
        beta = 1 / (KCAL_PER_MOL_K * temperature)
        moved = 0
        for ion, chance in zip(rng.integers(len(ions), size=moves), rng.random(moves), strict=True):
            old = ions[ion]
            row = coupling(old)
            field -= row  # as if the ion were not there
            taken[old] = 0.0
            np.add(field, taken, out=weights)
            np.subtract(weights.min(), weights, out=weights)
            weights *= beta
            np.exp(weights, out=weights)
            np.cumsum(weights, out=weights)
            new = int(weights.searchsorted(chance * weights[-1], side="right"))
            if new != old:
                energy += field[new] - field[old]
                moved += 1
                ions[ion] = new
                row = coupling(new)
            field += row
            taken[new] = np.inf
        energies[t], acceptance[t] = energy, moved / moves
    found = np.full(len(state), not rare_is_fe3)
    found[ions] = rare_is_fe3
    return SwapResult(found, temperatures, energies, acceptance)


def _coupling(sites: np.ndarray, cell: np.ndarray | None, strength: float) -> Callable[[int], np.ndarray]:
    """Return a function that gives the repulsion (m,) of an ion on a site and one on each other site, kcal/mol."""
    if cell is None and len(sites) > _STORED_SITES:

        def row(i: int) -> np.ndarray:
            with np.errstate(divide="ignore"):
                found = strength / cdist(sites[i : i + 1], sites)[0]
            found[i] = 0.0
            return found

        return row
    matrix = inverse_distances(sites, sites, np.arange(len(sites)), cell)
    matrix *= strength
    return matrix.__getitem__


def _check_distances(sites: np.ndarray, iron: np.ndarray) -> None:
    """Raise InputError if two Fe are nearer than can be."""
    distance, nearest = cKDTree(sites).query(sites, k=2)
    if len(sites) > 1 and distance[:, 1].min() < LEAST_IRON_DISTANCE_ANGSTROM:
        first = int(distance[:, 1].argmin())
        raise InputError(
            f"Fe {iron[first]} and Fe {iron[nearest[first, 1]]} (counted from 0) are {distance[first, 1]:.2f} Å apart: "
            "positions must be in Å, and no atom may stand twice"
        )


def _remedy(rest: int, step: int) -> str:
    if step != QUANTA_PER_OXIDATION:
        return "change the number of protons or ligands"
    # A proton on a lattice O brings −2 mod 21 quanta, a ligand without proton +2: 2 (protons − ligands) ≡ rest.
    surplus = rest * 11 % QUANTA_PER_OXIDATION
    return (
        f"add {QUANTA_PER_OXIDATION - surplus} protons on lattice O or take {surplus} away (or as many ligands less or "
        "more that bring none); as many protons as ligands always works, else the difference must be a multiple of "
        f"{QUANTA_PER_OXIDATION}"
    )
