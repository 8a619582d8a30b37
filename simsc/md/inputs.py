"""A protocol as values of the inputs of the LAMMPS scripts."""

import numpy as np

from simsc.md.protocol import Phase, Protocol
from simsc.models.lammps_system import LammpsSystem, Thermostat


def thermostat_of(system: LammpsSystem, protocol: Protocol) -> Thermostat:
    """Return the thermostat of a protocol: the one that it asks for, or that of the model."""
    return protocol.thermostat or system.thermostat


def phase_inputs(system: LammpsSystem, protocol: Protocol, phase: Phase) -> dict[str, str]:
    """Return the values of the inputs of the scripts that may change from phase to phase."""
    return {
        "kind": phase.kind,
        "t_start": f"{phase.start_K:.10g}",
        "t_stop": f"{phase.stop_K:.10g}",
        "pressure": f"{protocol.pressure_of(phase):.10g}",
        "coupling": phase.coupling or protocol.coupling,
        "thermostat": phase.thermostat or thermostat_of(system, protocol),
        "timestep": f"{phase.timestep_fs(system.timestep_fs):.10g}",
        **{f"scale_{axis}": f"{factor:.10g}" for axis, factor in zip("xyz", phase.scale, strict=True)},
    }


def tilt_inputs(phase: Phase, first_cell: np.ndarray) -> dict[str, str]:
    """Return the tilts at the end of a deformation; each goes with the axis along which it leans.

    Args:
        phase: the phase.
        first_cell: (3, 3) cell vectors as rows at its start, Å.
    """
    x, y, _ = phase.scale
    tilts = {"final_xy": first_cell[1, 0] * x, "final_xz": first_cell[2, 0] * x, "final_yz": first_cell[2, 1] * y}
    return {name: f"{value:.15g}" for name, value in tilts.items()}


def plain_lammps_arguments(system: LammpsSystem, protocol: Protocol, seed: int) -> list[str]:
    """Return the arguments with which `lmp` alone runs the same protocol in a prepared folder."""
    inputs: dict[str, list[str]] = {"seed": [str(seed)], **{name: [value] for name, value in system.variables.items()}}
    each = [phase_inputs(system, protocol, phase) for phase in protocol.phases]
    inputs |= {name: [values[name] for values in each] for name in each[0]}
    inputs["steps"] = [str(phase.steps(system.timestep_fs)) for phase in protocol.phases]
    words = [word for name, values in inputs.items() for word in ("-var", name, *values)]
    return ["-in", "anneal.lmp", "-sf", "opt", *words]
