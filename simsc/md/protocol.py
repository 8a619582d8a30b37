"""The annealing protocol: phases as data, the same for every resolution, cut into segments that can be repeated."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, Literal, get_args

from simsc.core.errors import InputError
from simsc.core.units import ns_from_steps, steps_from_ns
from simsc.models.lammps_system import Thermostat

Kind = Literal["npt", "nvt", "deform", "minimise"]
Coupling = Literal["iso", "aniso", "tri"]
_OUTPUTS_A_SEGMENT = 10


@dataclass(frozen=True)
class Phase:
    """One step of a protocol; temperature goes linearly from its start to its end.

    Args:
        name: what the phase is called in progress, tables and figures.
        start_K: temperature at its start, K; of a minimisation it is looked at only if nothing is before it, for the
            velocities at the start.
        stop_K: temperature at its end, K.
        duration_ns: how long it takes, ns; not looked at in a minimisation.
        kind: `npt` (constant pressure), `nvt` (constant cell), `deform` (the cell is scaled linearly, cores move with
            it as rigid bodies), or `minimise` (to the nearest minimum of the energy, at a constant cell).
        pressure_atm: target pressure of `npt`, atm; None for that of the protocol.
        coupling: which box lengths follow the pressure in `npt`; None for that of the protocol.
        thermostat: None for that of the protocol.
        scale: lengths of the cell along x, y and z at the end of `deform`, over those at its start; tilts follow.
        longest_timestep_fs: a time step that the phase must not exceed, fs; None for that of the model.

    Raises:
        InputError: for a value that no phase can have.
    """

    name: str
    start_K: float = 300.0
    stop_K: float = 300.0
    duration_ns: float = 0.0
    kind: Kind = "npt"
    pressure_atm: float | None = None
    coupling: Coupling | None = None
    thermostat: Thermostat | None = None
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    longest_timestep_fs: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f'phase {self.name!r}: the name, a text such as "heat", comes first')
        self._check_choice("kind", Kind)
        if self.coupling is not None:
            self._check_choice("coupling", Coupling)
        if self.thermostat is not None:
            self._check_choice("thermostat", Thermostat)
        self._check_positive("start_K", self.start_K)
        self._check_positive("stop_K", self.stop_K)
        if self.kind != "minimise":
            self._check_positive("duration_ns", self.duration_ns)
        if self.longest_timestep_fs is not None:
            self._check_positive("longest_timestep_fs", self.longest_timestep_fs)
        if self.pressure_atm is not None and not _is_number(self.pressure_atm):
            raise InputError(f"phase {self.name!r}: pressure_atm must be a number, got {self.pressure_atm!r}")
        if not isinstance(self.scale, Sequence) or len(self.scale) != 3:
            raise InputError(f"phase {self.name!r}: scale must be three numbers, along x, y and z, got {self.scale!r}")
        for factor in self.scale:
            self._check_positive("scale", factor)

    def _check_choice(self, key: str, choices: Any) -> None:
        if (given := getattr(self, key)) not in get_args(choices):
            raise InputError(f"phase {self.name!r}: {key} is one of {', '.join(get_args(choices))}, got {given!r}")

    def _check_positive(self, key: str, value: Any) -> None:
        if not _is_number(value) or value <= 0:
            raise InputError(f"phase {self.name!r}: {key} must be a number above 0, got {value!r}")

    def timestep_fs(self, model_fs: float) -> float:
        """Return the time step, fs, given that of the model."""
        return model_fs if self.longest_timestep_fs is None else min(model_fs, self.longest_timestep_fs)

    def steps(self, model_fs: float) -> int:
        """Return the number of time steps, given that of the model, fs; a minimisation counts none."""
        return 0 if self.kind == "minimise" else steps_from_ns(self.duration_ns, self.timestep_fs(model_fs))

    def temperature_K(self, fraction: float) -> float:
        """Return the target temperature, K, after a fraction of the phase."""
        return self.start_K + (self.stop_K - self.start_K) * fraction


def phase_temperatures_K(phases: Sequence[Phase]) -> dict[str, float]:
    """Return the temperatures at both ends of phases, K, by what they are called in a study.

    Example:
        >>> phase_temperatures_K([Phase("heat", 300.0, 600.0, 1.0)])
        {'phases[heat].start_K': 300.0, 'phases[heat].stop_K': 600.0}
    """
    ends = ("start_K", "stop_K")
    return {f"phases[{phase.name}].{end}": getattr(phase, end) for phase in phases for end in ends}


@dataclass(frozen=True)
class Segment:
    """Part of a phase between two checkpoints: what is done at once, or again from its start after a crash.

    Attributes:
        phase: number of the phase.
        start, stop: first and last step of the phase, counted over the protocol.
        first: step from which the segment goes on.
        rows: steps of the segment at which thermodynamic output is due, ascending; the last one is its end. For a
            minimisation, which takes no step of the protocol, the step at which it stands.
        frames: those of them at which NP centres are kept.
        snapshots: those at which all atoms are.
    """

    phase: int
    start: int
    stop: int
    first: int
    rows: tuple[int, ...]
    frames: frozenset[int]
    snapshots: frozenset[int]

    @property
    def end(self) -> int:
        """The step at which the segment ends."""
        return self.rows[-1]

    @property
    def is_last_of_phase(self) -> bool:
        """Whether the phase ends with it."""
        return self.end == self.stop


@dataclass(frozen=True)
class Protocol:
    """Phases one after the other, and what is written down of them.

    Each interval has to be a multiple of the shorter ones, thermo ≤ output ≤ snapshot, and output ≤ checkpoint.

    Args:
        phases: run one after the other.
        pressure_atm: target pressure, atm.
        coupling: which box lengths follow the pressure: all alike (`iso`), each alone (`aniso`), or lengths and
            tilts (`tri`; a slid layer is punished by shear otherwise).
        thermostat: `nose_hoover` (deterministic) or `langevin`; None for that of the model.
        output_every_ns: interval of NP centres and orientations, ns.
        thermo_every_ns: interval of temperature, pressure and so on, ns; None for that of the centres.
        snapshot_every_ns: interval of the positions of all atoms, ns; None for none.
        checkpoint_every_ns: interval of checkpoints, ns; None for ten times that of the centres. Every checkpoint sets
            LAMMPS up anew, so it is part of what a trajectory is, bit for bit.

    Raises:
        InputError: for no phases, what is none, phases of the same name, or intervals that are no multiples.
    """

    phases: tuple[Phase, ...]
    pressure_atm: float = 1.0
    coupling: Coupling = "tri"
    thermostat: Thermostat | None = None
    output_every_ns: float = 0.05
    thermo_every_ns: float | None = None
    snapshot_every_ns: float | None = None
    checkpoint_every_ns: float | None = None

    def __post_init__(self) -> None:
        for phase in self.phases:
            if not isinstance(phase, Phase):
                raise InputError(f'phases: each is a Phase, such as Phase("heat", 300, 600, 0.1), got {phase!r}')
        names = [phase.name for phase in self.phases]
        if not names:
            raise InputError("phases: at least one is needed")
        if len(set(names)) < len(names):
            raise InputError("phases: each needs a name of its own")
        output = self.output_every_ns
        for name, longer, shorter in (
            ("output_every_ns", output, self.thermo_every_ns),
            ("snapshot_every_ns", self.snapshot_every_ns, output),
            ("checkpoint_every_ns", self.checkpoint_every_ns, output),
        ):
            if longer is not None and shorter is not None and not _is_multiple(longer, shorter):
                of = "thermo_every_ns" if name == "output_every_ns" else "output_every_ns"
                raise InputError(f"{name}: {longer:g} ns must be a multiple of {of}, {shorter:g} ns")

    @property
    def jumps(self) -> tuple[str, ...]:
        """Where the target temperature jumps between two phases, each in words; a quench is one, a slip too."""
        heated = [phase for phase in self.phases if phase.kind != "minimise"]
        return tuple(
            f"the target temperature jumps from {one.stop_K:g} K (end of {one.name!r}) to {other.start_K:g} K "
            f"(start of {other.name!r})"
            for one, other in pairwise(heated)
            if one.stop_K != other.start_K
        )

    def pressure_of(self, phase: Phase) -> float:
        """Return the target pressure of a phase, atm."""
        return self.pressure_atm if phase.pressure_atm is None else phase.pressure_atm

    def total_steps(self, model_fs: float) -> int:
        """Return the number of steps of all phases, given the time step of the model, fs."""
        return sum(phase.steps(model_fs) for phase in self.phases)

    def time_ns(self, step: int, model_fs: float) -> float:
        """Return the time since the start of the protocol, ns, at a step."""
        time_ns = 0.0
        for phase in self.phases:
            steps = min(step, phase.steps(model_fs))
            time_ns += ns_from_steps(float(steps), phase.timestep_fs(model_fs))
            step -= steps
        return time_ns

    def segments(self, model_fs: float) -> Iterator[Segment]:
        """Yield the segments in their order, given the time step of the model, fs."""
        start = 0
        for k, phase in enumerate(self.phases):
            step_fs = phase.timestep_fs(model_fs)
            stop = start + phase.steps(model_fs)
            # Whole numbers of the shortest interval, so that none of them drifts against another.
            row = steps_from_ns(self.thermo_every_ns or self.output_every_ns, step_fs)
            frame = row * _times(self.output_every_ns, self.thermo_every_ns or self.output_every_ns)
            snapshot = (
                None if self.snapshot_every_ns is None else frame * _times(self.snapshot_every_ns, self.output_every_ns)
            )
            length = frame * (
                _OUTPUTS_A_SEGMENT
                if self.checkpoint_every_ns is None
                else _times(self.checkpoint_every_ns, self.output_every_ns)
            )
            if stop == start:
                yield Segment(k, start, stop, start, (start,), frozenset({start}), frozenset())
            for first in range(start, stop, length):
                end = min(first + length, stop)
                rows = (*range(first + row, end, row), end)
                # The end of a phase is always worth a frame, even where the interval does not hit it.
                frames = frozenset(s for s in rows if (s - start) % frame == 0 or s == stop)
                snapshots = frozenset(s for s in rows if snapshot and ((s - start) % snapshot == 0 or s == stop))
                yield Segment(k, start, stop, first, rows, frames, snapshots)
            start = stop


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _times(longer_ns: float, shorter_ns: float) -> int:
    return round(longer_ns / shorter_ns)


def _is_multiple(longer_ns: float, shorter_ns: float) -> bool:
    times = longer_ns / shorter_ns
    return round(times) >= 1 and abs(times - round(times)) < 1e-6 * times
