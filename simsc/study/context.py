"""What the stages of a study share: the study, its folder, progress, and work that all MPI ranks do together."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import SimscError, StoppedEarly
from simsc.md.hardware import Hardware
from simsc.md.parallel import patient_bcast
from simsc.md.relax import relax
from simsc.md.segments import anneal_system
from simsc.study.schema import Study

# What runs inside LAMMPS, on all ranks; each takes `comm` and `hardware`.
_TOGETHER: dict[str, Callable[..., Any]] = {"relax": relax, "anneal": anneal_system}
_STOPPABLE = {"anneal"}


@dataclass(frozen=True)
class Context:
    """What a stage may need.

    Args:
        study: the study.
        folder: the run folder, with one folder for each finished stage.
        comm: MPI communicator.
        hardware: threads of this process, and what LAMMPS may use besides.
        show: called with the stage, the fraction done and a short text.
        stop: asked with the seconds that the next piece of work takes; tells whether to stop before it.
    """

    study: Study
    folder: Path
    comm: Any
    hardware: Hardware
    show: Callable[[str, float, str], None]
    stop: Callable[[float], bool]

    def progress(self, stage: str, fraction: float, text: str) -> None:
        """Show how far a stage is.

        Raises:
            StoppedEarly: if a stop was asked for. (Not for use by work that has checkpoints: it stops by itself.)
        """
        if self.stop(0.0):
            raise StoppedEarly("stopped; finished stages are kept, the same command goes on from there", idle=True)
        self.show(stage, fraction, text)

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


@dataclass(frozen=True)
class Stage:
    """A named step.

    Args:
        name: its name, and that of its folder.
        run: gets the context and a folder: empty, or, if resumable, as an earlier try left it.
        needs: the stages that it builds on.
        reads: sections of the study that may change afterwards: then it is run again.
        resumable: whether it takes long. Its results are never removed for those of another try.
        spare: pattern of files that may be removed from its results.
    """

    name: str
    run: Callable[[Context, Path], None]
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    resumable: bool = False
    spare: str = ""


def follow(comm: Any, hardware: Hardware, stop: Callable[[float], bool]) -> None:
    """What ranks other than 0 do: wait, work together when asked to, until told to stop."""
    while (name := patient_bcast(comm)) in _TOGETHER:
        extra = {"stop": stop} if name in _STOPPABLE else {}
        # Errors that all ranks meet are told by rank 0.
        with contextlib.suppress(SimscError):
            _TOGETHER[name](*comm.bcast(None, root=0), comm=comm, hardware=hardware, **extra)
