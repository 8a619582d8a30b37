"""Equilibrium of stackings of the one-site model, by dynamics with Monte Carlo moves that displace whole layers.

Layers of NPs slip over barriers of tens of kT, which dynamics never crosses. But what lies on the other side differs
little in energy, thermal displacements and all. So between pieces of dynamics (Langevin, constant pressure) blocks of
layers are moved from their hollow to the next with the probability min(1, exp(−ΔU/kT)) of Metropolis et al., J. Chem.
Phys. 21, 1087 (1953), DOI 10.1063/1.1699114: hybrid Monte Carlo in the sense of Duane et al., Phys. Lett. B 195, 216
(1987), DOI 10.1016/0370-2693(87)91197-X, with the lattice switch of Bruce, Wilding and Ackland, Phys. Rev. Lett. 79,
3002 (1997), DOI 10.1103/PhysRevLett.79.3002, as its move. Dynamics and moves each keep the Boltzmann distribution.

A block between two interfaces can slip where they have opposite steps, so that the cell stays closed and the number of
steps + stays that of the start. The distribution without an energy is `single_layer` of `simsc.sliding.chance`.
"""

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimulationError
from simsc.core.stacking import hcp_layers, stacking_steps
from simsc.core.units import KCAL_PER_MOL_K, steps_from_ns
from simsc.forcefield.one_site import OneSiteParameters
from simsc.md.files import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.coarse_grained import one_site_model
from simsc.models.heads import SPHERES
from simsc.models.lammps_system import DATA
from simsc.models.one_site import energy_kcal_per_mol
from simsc.sliding.chance import HcpDistribution, null_distribution

_MARGIN_NM = 0.3


@dataclass(frozen=True, eq=False)
class StackingSample:
    """Stackings in equilibrium.

    Args:
        h: (n_sweeps,) number of hcp-like layers after each sweep.
        steps: (n_sweeps, n_layers) of each stacking, ±1.
        accepted: part of the moves of possible blocks that were accepted.
        temperature_K: temperature, K.
        n_layer: number of NPs of a layer.
        d_nn_nm: mean nearest-neighbour distance, nm, from the volume.
        chance: distribution of h if no stacking were better than another.
    """

    h: np.ndarray
    steps: np.ndarray
    accepted: float
    temperature_K: float
    n_layer: int
    d_nn_nm: float
    chance: HcpDistribution

    def energy_kT(self, blocks: int = 10) -> tuple[float, float]:
        """Return the energy per hcp-like layer, kT of the layer, and its standard error.

        It is the one with which P(h) ∝ g(h) exp(−ε h) has the mean h of the sample; the error follows from that of
        this mean, by blocks.

        Raises:
            InputError: if h is the same for all stackings, or in all sweeps.
        """
        possible = self.chance.possible
        mean = float(self.h.mean())
        if len(possible) < 2 or not possible[0] < mean < possible[-1]:
            raise InputError("an energy per hcp-like layer needs stackings with different numbers of them")
        low, high = -60.0, 60.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if self.chance.mean(middle) > mean else (low, middle)
        epsilon = (low + high) / 2
        probabilities = self.chance.probabilities(epsilon)
        counts = np.arange(len(probabilities))
        variance = float(probabilities @ (counts - mean) ** 2)
        parts = np.array([part.mean() for part in np.array_split(self.h, blocks)])
        return epsilon, float(parts.std(ddof=1) / math.sqrt(blocks) / variance)


def sample_stackings(
    parameters: OneSiteParameters,
    stacking: str,
    lateral: tuple[int, int],
    d_nn_nm: float,
    temperature_K: float,
    sweeps: int,
    pressure_atm: float = 1.0,
    sweep_ns: float = 0.1,
    equilibration_ns: float = 5.0,
    seed: int = 1,
    progress: Callable[[float, str], None] = lambda done, text: None,
) -> StackingSample:
    """Sample the stackings that a periodic crystal of one-site NPs has in equilibrium.

    Args:
        parameters: of the one-site model.
        stacking: initial stacking, one letter A, B or C a layer.
        lateral: repeats (NX, NY) of the 2-NP rectangle within a layer.
        d_nn_nm: initial nearest-neighbour distance, nm.
        temperature_K: temperature, K.
        sweeps: number of sweeps; each is a piece of dynamics and as many moves as there are layers.
        pressure_atm: pressure, atm; the box lengths follow it one by one.
        sweep_ns: dynamics of a sweep, ns.
        equilibration_ns: dynamics before the first, ns.
        seed: of all random numbers.
        progress: called with the part that is done, 0 to 1, and a line of text.

    Raises:
        InputError: for a stacking without two kinds of steps, or a temperature that the model does not hold for.
        SimulationError: if LAMMPS stops, or layers slip in other ways than by moves.
    """
    from mpi4py import MPI

    steps = stacking_steps(stacking)
    if abs(int(steps.sum())) == len(steps):
        raise InputError(f"{stacking}: is fcc, of which no block of layers can slide in a closed cell")
    model = one_site_model(parameters)
    model.check(parameters.validity.core_radius_nm, [temperature_K])
    near, far = parameters.validity.d_nn_nm
    if not near - _MARGIN_NM <= d_nn_nm <= far + _MARGIN_NM:
        raise InputError(
            f"d_NN {d_nn_nm:g} nm at the start: {parameters.name} was derived from {near:g} to {far:g} nm, and a "
            f"crystal may start up to {_MARGIN_NM:g} nm beside that"
        )
    rng = np.random.default_rng(seed)
    crystal = close_packed(stacking, d_nn_nm, lateral, parameters.validity.core_radius_nm)
    system = model.dress(crystal, rng, SPHERES)
    chance = int(rng.integers(1, 10**8))
    found, volumes, accepted, tried = [], [], 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.path.realpath(temporary))
        prepare(system, folder)
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            session.set(
                **system.variables, data=DATA, thermostat=system.thermostat, seed=chance, bath_seed=chance, step=0
            )
            temperature = f"{temperature_K:.10g}"
            session.set(t_first=temperature, t_start=temperature, t_stop=temperature)
            session.set(coupling="aniso", pressure=f"{pressure_atm:.10g}")
            for script in ("system.lmp", "push_off.lmp", "npt.lmp"):
                session.script(script)
            before = steps_from_ns(equilibration_ns, system.timestep_fs)
            session.run(before, 0, before, first=True)
            piece = steps_from_ns(sweep_ns, system.timestep_fs)
            for sweep in range(sweeps):
                positions, cell = session.positions_angstrom(), session.cell_angstrom()
                moves = _Moves(parameters, positions, cell, lateral, temperature_K)
                if not (moves.steps == steps).all():
                    raise SimulationError(
                        "layers slid by themselves: the crystal is not stable at this temperature and pressure"
                    )
                for _ in range(len(steps)):
                    outcome = moves.one(rng)
                    tried += outcome is not None
                    accepted += bool(outcome)
                steps = moves.steps
                if moves.moved.any():
                    # The nearest way round: LAMMPS wraps atoms by one box length, not by more.
                    lengths = np.diag(cell)
                    session.shift_atoms(moves.moved - np.round(moves.moved / lengths) * lengths)
                session.run(piece, session.step, session.step + piece, first=bool(moves.moved.any()))
                found.append(steps.copy())
                volumes.append(abs(np.linalg.det(cell)) / crystal.n)
                if sweep % 50 == 49:
                    progress((sweep + 1) / sweeps, f"sweep {sweep + 1} of {sweeps}")
    rings = np.array(found)
    return StackingSample(
        h=np.array([hcp_layers(ring) for ring in rings]),
        steps=rings,
        accepted=accepted / max(1, tried),
        temperature_K=temperature_K,
        n_layer=2 * lateral[0] * lateral[1],
        d_nn_nm=float(np.mean([(math.sqrt(2) * volume) ** (1 / 3) for volume in volumes])) / 10,
        chance=null_distribution("single_layer", stacking_steps(stacking)),
    )


class _Moves:
    """Moves of blocks of layers of one configuration."""

    def __init__(
        self,
        parameters: OneSiteParameters,
        positions: np.ndarray,
        cell: np.ndarray,
        lateral: tuple[int, int],
        temperature_K: float,
    ) -> None:
        self._parameters, self._cell, self._temperature_K = parameters, Cell(cell), temperature_K
        self._positions, self._lateral = positions, lateral
        self._n_layer = 2 * lateral[0] * lateral[1]
        self._n = len(positions) // self._n_layer
        self.moved = np.zeros_like(positions)
        self.steps = self._steps(positions)
        self._energy = self._energy_of(positions)
        side = cell[0, 0] / lateral[0], cell[1, 1] / lateral[1]
        # From a hollow to the three next to it, for a layer that takes a step + to one −; the other way round else.
        self._ways = np.array([[0, side[1] / 3, 0], [side[0] / 2, -side[1] / 6, 0], [-side[0] / 2, -side[1] / 6, 0]])

    def one(self, rng: np.random.Generator) -> bool | None:
        """Try one move; return whether it was accepted, None if the block cannot slip."""
        first, length = int(rng.integers(self._n)), int(rng.integers(1, self._n))
        below, above = first - 1, (first + length - 1) % self._n  # numbers of the steps
        way, chance = self._ways[rng.integers(3)], rng.random()
        if self.steps[below] == self.steps[above]:
            return None
        shift = np.zeros_like(self._positions)
        for layer in range(first, first + length):
            first_np = layer % self._n * self._n_layer
            shift[first_np : first_np + self._n_layer] = self.steps[below] * way
        trial = self._positions + shift
        expected = self.steps.copy()
        expected[[below, above]] *= -1
        # A layer far from the middle of its hollow could be counted to another after the move, and never move back.
        if not (self._steps(trial) == expected).all():
            return False
        energy = self._energy_of(trial)
        if chance >= math.exp(min(0.0, (self._energy - energy) / (KCAL_PER_MOL_K * self._temperature_K))):
            return False
        self._positions, self._energy, self.steps = trial, energy, expected
        self.moved += shift
        return True

    def _energy_of(self, positions: np.ndarray) -> float:
        return energy_kcal_per_mol(self._parameters, positions, self._cell, self._temperature_K)

    def _steps(self, positions: np.ndarray) -> np.ndarray:
        """Return the step (±1) from each layer to the next: in which kind of hollow the latter lies."""
        # A wave that has the same phase on all sites of a layer, and thirds of a turn in its hollows.
        turns = positions[:, :2] / np.diag(self._cell.vectors_nm)[:2] @ np.array(self._lateral)
        phases = np.exp(2j * np.pi * turns).reshape(self._n, -1).mean(axis=1)
        return np.where(np.imag(np.roll(phases, -1) * np.conj(phases)) > 0, 1, -1)
