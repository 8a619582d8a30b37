"""What the stages of a study share: the study, its folder, progress, and work that all MPI ranks do together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsc.md.anneal import anneal
from simsc.md.equilibrate import bring_together
from simsc.md.parallel import patient_bcast
from simsc.md.relax import relax
from simsc.study.schema import Study

# What runs inside LAMMPS, on all ranks; each takes `comm` and `threads`.
_TOGETHER: dict[str, Callable[..., Any]] = {"relax": relax, "bring_together": bring_together, "anneal": anneal}


@dataclass(frozen=True)
class Context:
    """What a stage may need.

    Args:
        study: the study.
        folder: the run folder, with one folder for each finished stage.
        comm: MPI communicator.
        threads: threads of this process.
        progress: called with the stage, the fraction done and a short text.
    """

    study: Study
    folder: Path
    comm: Any
    threads: int
    progress: Callable[[str, float, str], None]

    def together(self, name: str, *arguments: Any, report: Callable[..., None] | None = None) -> Any:
        """Call `relax`, `bring_together` or `anneal` on all ranks; `report` is known on this one only."""
        if self.comm.size > 1:
            patient_bcast(self.comm, name)
            self.comm.bcast(arguments, root=0)
        extra = {} if report is None else {"report": report}
        return _TOGETHER[name](*arguments, comm=self.comm, threads=self.threads, **extra)

    def rng(self, purpose: int) -> np.random.Generator:
        """Return the random numbers of one purpose, the same for the same study."""
        return np.random.default_rng([self.study.seed, purpose])


@dataclass(frozen=True)
class Stage:
    """A named step; `run` gets the context and an empty folder for its files."""

    name: str
    run: Callable[[Context, Path], None]


def follow(comm: Any, threads: int) -> None:
    """What ranks other than 0 do: wait, work together when asked to, until told to stop."""
    while (name := patient_bcast(comm)) in _TOGETHER:
        _TOGETHER[name](*comm.bcast(None, root=0), comm=comm, threads=threads)
