"""What the stages of a study share: the study, its folder, progress, and work that all MPI ranks do together."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsc.core.errors import SimscError, StoppedEarly
from simsc.md.hardware import Hardware
from simsc.md.parallel import patient_bcast
from simsc.md.relax import relax
from simsc.md.segments import AnnealProgress, anneal_system
from simsc.study.run_folder import RunFolder
from simsc.study.schema import Study

# What runs inside LAMMPS, on all ranks; each takes `comm` and `hardware`.
_TOGETHER: dict[str, Callable[..., Any]] = {"relax": relax, "anneal": anneal_system}
_STOPPABLE = {"anneal"}


@dataclass(frozen=True)
class Context:
    """What a stage may need.

    Args:
        study: the study.
        folder: the run folder, with the results of the stages before.
        comm: MPI communicator.
        hardware: threads of this process, and what LAMMPS may use besides.
        show: called with the stage, the fraction done and a short text.
        stop: asked with the seconds that the next piece of work takes, whether to stop before it.
        stage: name of the stage that works.
    """

    study: Study
    folder: RunFolder
    comm: Any
    hardware: Hardware
    show: Callable[[str, float, str], None]
    stop: Callable[[float], bool]
    stage: str = ""

    def progress(self, fraction: float, text: str) -> None:
        """Show how far the stage is.

        Raises:
            StoppedEarly: if a stop was asked for. (Not for use by work that has checkpoints: it stops by itself.)
        """
        if self.stop(0.0):
            raise StoppedEarly("stopped; finished stages are kept, the same command goes on from there", idle=True)
        self.show(self.stage, fraction, text)

    def anneal_progress(self, progress: AnnealProgress) -> None:
        """Show how far an annealing is, which stops by itself."""
        self.show(self.stage, progress.fraction, progress.text)

    def together(self, name: str, *arguments: Any, report: Callable[..., None] | None = None) -> Any:
        """Call `relax` or `anneal` on all ranks; `report` is known on this one only."""
        if self.comm.size > 1:
            patient_bcast(self.comm, name)
            self.comm.bcast(arguments, root=0)
        extra: dict[str, Any] = {} if report is None else {"report": report}
        if name in _STOPPABLE:
            extra["stop"] = self.stop
        return _TOGETHER[name](*arguments, comm=self.comm, hardware=self.hardware, **extra)

    def rng(self, purpose: int) -> np.random.Generator:
        """Return the random numbers of one purpose, the same for the same study."""
        return np.random.default_rng([self.study.seed, purpose])


def follow(comm: Any, hardware: Hardware, stop: Callable[[float], bool]) -> None:
    """What ranks other than 0 do: wait, and work together when asked to, until rank 0 ends."""
    while (name := patient_bcast(comm)) in _TOGETHER:
        extra = {"stop": stop} if name in _STOPPABLE else {}
        # Errors that all ranks meet are reported by rank 0.
        with contextlib.suppress(SimscError):
            _TOGETHER[name](*comm.bcast(None, root=0), comm=comm, hardware=hardware, **extra)
