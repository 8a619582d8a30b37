"""Which iron is Fe2+ and which Fe3+: exact books of charge, and swap Monte Carlo."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from simsc.core.errors import InputError

COULOMB_KCAL_ANGSTROM = 332.06371  # of LAMMPS, units real
BOLTZMANN_KCAL_PER_MOL_K = 0.0019872067  # of LAMMPS, units real
HOT_K, COLD_K, COOLING = 1.0e5, 1.0, 0.9  # schedule of DOI 10.1021/acs.jpclett.3c01290


def count_iron(other_quanta: int, n_iron: int, fe2_quanta: int = 42, fe3_quanta: int = 63) -> tuple[int, int]:
    """Return how many Fe2+ and Fe3+ make a system exactly neutral.

    Args:
        other_quanta: charge of all other atoms, in quanta of 0.025 e.
        n_iron: number of Fe.
        fe2_quanta: charge of Fe2+ in quanta.
        fe3_quanta: charge of Fe3+ in quanta.

    Raises:
        InputError: if no whole number of Fe3+ does it, or more than there is Fe; with how much is too much.

    Example:
        >>> count_iron(-42 * 508, 395)  # a published core of 508 O, DOI 10.1021/acs.jpclett.3c01290
        (169, 226)
    """
    step = fe3_quanta - fe2_quanta
    n_fe3, rest = divmod(-other_quanta - fe2_quanta * n_iron, step)
    if rest:
        raise InputError(
            f"no numbers of Fe2+ and Fe3+ make this nanoparticle neutral: {rest * 0.025:.3f} e remain; the number of "
            "ligands that bring no proton must be a multiple of 21, and so must OH with O of −1.000 e"
        )
    if n_fe3 > n_iron:
        excess = n_fe3 - n_iron
        raise InputError(
            f"neutrality needs {n_fe3} Fe3+, but the core has {n_iron} Fe: {excess} ligands or OH are too many "
            "(each takes one Fe3+); lower the coverage or the number of OH, or choose another centre of the core"
        )
    if n_fe3 < 0:
        raise InputError(
            f"even with all its Fe as Fe2+ the nanoparticle has {-n_fe3 * step * 0.025:.3f} e too much: "
            f"{-n_fe3} more ligands or OH are needed, or another centre of the core"
        )
    return n_iron - n_fe3, n_fe3


@dataclass(frozen=True, eq=False)
class SwapResult:
    """What swap Monte Carlo found.

    Attributes:
        is_fe3: (m,) bool, the state of each swappable Fe at the end.
        temperatures_K: (t,) the schedule.
        energies_kcal_per_mol: (t,) electrostatic energy after each temperature, relative to the start.
        acceptance: (t,) part of the attempts that were accepted.
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
    step_e: float = 0.525,
    attempts_per_iron: int = 20,
    schedule_K: tuple[float, float, float] = (HOT_K, COLD_K, COOLING),
) -> SwapResult:
    """Anneal oxidation states by swaps of Fe2+ and Fe3+ in the Coulomb field of a finite nanoparticle.

    Fe2+ and Fe3+ differ in their charge alone, so the energy of a swap is exact from the electrostatic potential at the
    iron sites, which is kept up to date and never summed anew. Metropolis Monte Carlo from 10⁵ K to 1 K by × 0.9, as in
    DOI 10.1021/acs.jpclett.3c01290; there with N² attempts a temperature, which at N = 1421 gains no energy over the
    default here.

    Args:
        positions_angstrom: (n, 3) all atoms, Å.
        charges_e: (n,) all charges with the iron in its present states, e.
        iron: (m,) indices of the Fe that may swap.
        is_fe3: (m,) bool, their states.
        rng: source of the swaps.
        step_e: charge by which Fe3+ exceeds Fe2+, e.
        attempts_per_iron: attempts at each temperature, per swappable Fe.
        schedule_K: first and last temperature, and the factor between two.

    Returns:
        The states at the end.
    """
    state = np.array(is_fe3, dtype=bool)
    hot, cold, factor = schedule_K
    temperatures = hot * factor ** np.arange(int(np.log(cold / hot) / np.log(factor)) + 1)
    energies, acceptance = np.zeros(len(temperatures)), np.zeros(len(temperatures))
    if state.all() or not state.any():
        return SwapResult(state, temperatures, energies, acceptance)
    sites = positions_angstrom[iron]
    coupling = 1 / np.maximum(cdist(sites, sites), 1e-9)
    np.fill_diagonal(coupling, 0.0)
    coupling *= COULOMB_KCAL_ANGSTROM * step_e**2
    potential = step_e * potential_at(positions_angstrom, charges_e, iron)
    high, low = np.flatnonzero(state), np.flatnonzero(~state)
    attempts = round(attempts_per_iron * len(iron))
    energy = 0.0
    for t, temperature in enumerate(temperatures):
        accepted = 0
        kt = BOLTZMANN_KCAL_PER_MOL_K * temperature
        # One block of attempts at a time is screened at once; only the first that passes is made, because it changes
        # the field for all behind it, and the attempts before it were rejections. That is the same chain as one by one.
        done = 0
        block = 64
        while done < attempts:
            size = min(block, attempts - done)
            a, b = rng.integers(len(high), size=size), rng.integers(len(low), size=size)
            i, j = high[a], low[b]
            change = potential[j] - potential[i] - coupling[i, j]
            passed = np.flatnonzero(change <= -kt * np.log1p(-rng.random(size)))
            if not len(passed):
                done += size
                block = min(2 * block, 65536)
                continue
            first = passed[0]
            done += int(first) + 1
            block = max(8, min(65536, 4 * int(first) + 8))
            high[a[first]], low[b[first]] = j[first], i[first]
            potential += coupling[j[first]] - coupling[i[first]]
            energy += change[first]
            accepted += 1
        energies[t], acceptance[t] = energy, accepted / attempts
    state[:] = False
    state[high] = True
    return SwapResult(state, temperatures, energies, acceptance)


def potential_at(positions_angstrom: np.ndarray, charges_e: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Return the electrostatic potential (m,) at some atoms of a finite system, kcal/mol/e, without their own."""
    found = np.empty(len(atoms))
    for start in range(0, len(atoms), 256):
        some = atoms[start : start + 256]
        distance = cdist(positions_angstrom[some], positions_angstrom)
        distance[np.arange(len(some)), some] = np.inf
        found[start : start + 256] = (charges_e / distance).sum(axis=1)
    return COULOMB_KCAL_ANGSTROM * found
