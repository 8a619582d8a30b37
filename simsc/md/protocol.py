"""The annealing protocol: phases as data, the same for every resolution."""

from dataclasses import dataclass
from typing import Literal

from simsc.core.units import steps_from_ns


@dataclass(frozen=True)
class Phase:
    """A linear ramp of temperature; a hold where both ends agree.

    Args:
        name: what the phase is called in progress, tables and figures.
        start_K: temperature at its begin, K.
        stop_K: temperature at its end, K.
        duration_ns: how long it takes, ns.
        pressure_atm: target pressure, atm; None for that of the protocol.
    """

    name: str
    start_K: float
    stop_K: float
    duration_ns: float
    pressure_atm: float | None = None


@dataclass(frozen=True)
class Protocol:
    """Phases at constant pressure.

    Args:
        phases: run one after the other.
        pressure_atm: target pressure, atm.
        coupling: which box lengths follow the pressure: all alike (`iso`), each alone (`aniso`), or lengths and
            tilts (`tri`; a slid layer is punished by shear otherwise).
        output_every_ns: interval of frames and thermodynamic output, ns.
    """

    phases: tuple[Phase, ...]
    pressure_atm: float = 1.0
    coupling: Literal["iso", "aniso", "tri"] = "tri"
    output_every_ns: float = 0.05

    def pressure_of(self, phase: Phase) -> float:
        """Return the target pressure of a phase, atm."""
        return self.pressure_atm if phase.pressure_atm is None else phase.pressure_atm

    def chunks(self, timestep_fs: float) -> list[list[int]]:
        """Return, for each phase, the steps of its chunks: one output interval each, the last one what is left."""
        every = steps_from_ns(self.output_every_ns, timestep_fs)
        chunks = []
        for phase in self.phases:
            steps = steps_from_ns(phase.duration_ns, timestep_fs)
            chunks.append([min(every, steps - done) for done in range(0, steps, every)])
        return chunks
