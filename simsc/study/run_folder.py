"""A run folder: what everything in it is called, and how it is read.

Names that a lower layer gives to its own files (`simsc.md`, `simsc.classify`) come from there.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simsc.builders.nanoparticle_file import read_xyz
from simsc.classify.order import ORDER_FOLDER, SUMMARY, Order, read_order
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import StudyError
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Superlattice
from simsc.io.native import read_intensity, read_map, read_superlattice
from simsc.md.checkpoint import Checkpoint, last_checkpoint
from simsc.md.files import TRAJECTORY
from simsc.md.frames import ANNEAL, PARTIAL
from simsc.md.trajectory import Trajectory, read_trajectory
from simsc.study.schema import Study, read_study

STATES = ("before", "after")  # annealing

# In the folder itself.
STUDY_FILE = "study.toml"
REPORT = "report.html"
LOCK = ".lock"
PROGRESS = "progress.json"
OUTCOMES = "outcomes.csv"  # of replicas
SLURM = "slurm"  # batch files and logs
JOBS = "jobs.json"  # in it: the numbers of the jobs

# Folders of stages; those of annealing and order are ANNEAL and ORDER_FOLDER.
NANOPARTICLE = "nanoparticle"
CRYSTAL = "crystal"
BUILD = "build"
SCATTERING = "scattering"
CORRELATION = "correlation"

# In the folder of every stage.
DONE = "done.json"  # written last
INPUTS = "inputs.json"  # SHA-256 of all that earlier stages made
LEGS = "legs.json"  # start and end of each try, seconds since 1970; until the stage is done

# Results.
SUPERLATTICE = "superlattice.h5"
THERMO = "thermo.csv"
PLAIN_LAMMPS = "plain_lammps.txt"
CENSUS = "census.json"
CORE_XYZ = "core.xyz"
HYDROXYLATED_XYZ = "hydroxylated.xyz"
CIF = "crystal.cif"


def crystal_file(state: str) -> str:
    """Return the name of the finite crystal that scatters."""
    return f"crystal_{state}.h5"


def intensity_file(state: str) -> str:
    """Return the name of the intensity of a state."""
    return f"intensity_{state}.h5"


def map_file(state: str) -> str:
    """Return the name of the correlation map of a state."""
    return f"map_{state}.h5"


def nanoparticle_file(number: int) -> str:
    """Return the name of an independent nanoparticle."""
    return f"nanoparticle_{number}.h5"


def nanoparticle_xyz(number: int) -> str:
    """Return the name of the same for programs that draw molecules."""
    return f"nanoparticle_{number}.xyz"


def census_file(number: int) -> str:
    """Return the name of the census of an independent nanoparticle."""
    return f"census_{number}.json"


def usual_folder(study: Path) -> Path:
    """Return the run folder of a study file that is given none: NAME_run for NAME.toml, in this folder."""
    return Path(f"{study.stem}_run")


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, or of replicas.

    Readers raise an `InputError` that names the file, if it is missing or cannot be read; where another error is named,
    that one.

    Args:
        path: where it is.
    """

    path: Path

    def stage(self, name: str) -> Path:
        """Where the results of a finished stage lie."""
        return self.path / name

    def partial(self, name: str) -> Path:
        """Where a stage works until it is done."""
        return self.path / f"{name}{PARTIAL}"

    @property
    def study_file(self) -> Path:
        """The study with all its defaults."""
        return self.path / STUDY_FILE

    @property
    def report(self) -> Path:
        """The page of the run, or of its replicas."""
        return self.path / REPORT

    @property
    def lock(self) -> Path:
        """The file that is locked while simsc works in the folder."""
        return self.path / LOCK

    @property
    def progress(self) -> Path:
        """What the run says about itself (`simsc.study.journal`)."""
        return self.path / PROGRESS

    @property
    def outcomes(self) -> Path:
        """The table of what came out of the replicas."""
        return self.path / OUTCOMES

    @property
    def slurm(self) -> Path:
        """Where batch files and logs of Slurm lie."""
        return self.path / SLURM

    @property
    def jobs_file(self) -> Path:
        """Numbers of its Slurm jobs."""
        return self.slurm / JOBS

    def replica(self, number: int) -> "RunFolder":
        """Return the run folder of a replica."""
        return RunFolder(self.path / f"replica_{number:04d}")

    def replica_log(self, number: int) -> Path:
        """Where the messages of a replica go that runs beside others."""
        return self.path / f"replica_{number:04d}.log"

    @property
    def is_begun(self) -> bool:
        """Whether it is the folder of a study."""
        return self.study_file.is_file()

    def study(self) -> Study:
        """Return its study.

        Raises:
            StudyError: if the folder holds no run.
        """
        if not self.is_begun:
            raise StudyError(f"{self.path}: holds no run (no {STUDY_FILE})")
        return read_study(self.study_file)

    def jobs(self) -> dict[str, str]:
        """Return the numbers of its Slurm jobs, as submitted last, by what they do; empty if there are none."""
        try:
            return dict(json.loads(self.jobs_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}

    def record(self, stage: str) -> dict[str, Any] | None:
        """Return what a stage wrote down when it was done, without verifying its outputs; None if it is not done.

        `seconds` (float), `study` (what it read of the study), `outputs` (SHA-256 by name) and `provenance`.
        """
        try:
            record = dict(json.loads((self.stage(stage) / DONE).read_text(encoding="utf-8")))
            float(record["seconds"]), dict(record["study"]), dict(record["outputs"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record

    def checkpoint(self) -> Checkpoint | None:
        """Return the last checkpoint of an annealing that is not done; None without one."""
        partial = self.partial(ANNEAL)
        return last_checkpoint(partial) if partial.is_dir() else None

    def superlattice(self) -> Superlattice:
        """Return the superlattice as it was built."""
        return read_superlattice(self.stage(BUILD) / SUPERLATTICE)

    def trajectory(self) -> Trajectory:
        """Return the trajectory of the annealing."""
        return read_trajectory(self.stage(ANNEAL) / TRAJECTORY)

    def last_d_nn_nm(self) -> float:
        """Return the distance of nearest neighbours at the end of the annealing, nm, without reading the trajectory.

        Raises:
            OSError, ValueError, KeyError, IndexError: if the table is missing or damaged.
        """
        with open(self.stage(ANNEAL) / THERMO, newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file))[-1]["d_nn_nm"])

    def order(self) -> Order:
        """Return the order of NPs in each frame."""
        return read_order(self.stage(ORDER_FOLDER))

    def summary(self) -> dict[str, Any]:
        """Return what `simsc.classify.order.write_order` summed up: by state frame, time, counts and sequence.

        Raises:
            OSError, ValueError: if it is missing or damaged.
        """
        return dict(json.loads((self.stage(ORDER_FOLDER) / SUMMARY).read_text(encoding="utf-8")))

    def crystal(self, state: str) -> Superlattice:
        """Return the finite crystal that scatters."""
        return read_superlattice(self.stage(SCATTERING) / crystal_file(state))

    def intensity(self, state: str) -> IntensityVolume:
        """Return its intensity."""
        return read_intensity(self.stage(SCATTERING) / intensity_file(state))

    def correlation(self, state: str) -> CorrelationMap:
        """Return its correlation map."""
        return read_map(self.stage(CORRELATION) / map_file(state))

    def fcc_crystal(self) -> Superlattice:
        """Return the equilibrated fcc crystal of an all-atom study."""
        return read_superlattice(self.stage(CRYSTAL) / SUPERLATTICE)

    def fcc_trajectory(self) -> Trajectory:
        """Return the trajectory of its equilibration."""
        return read_trajectory(self.stage(CRYSTAL) / TRAJECTORY)

    def structures(self) -> list[tuple[str, Any, Any]]:
        """Return title, elements (n,) and positions (n, 3) in Å of the first NP: bare, hydroxylated, relaxed."""
        files = (("core", CORE_XYZ), ("with OH", HYDROXYLATED_XYZ), ("with ligands", nanoparticle_xyz(0)))
        return [(title, *read_xyz(self.stage(NANOPARTICLE) / name)) for title, name in files]

    def censuses(self) -> dict[str, dict[str, Any]]:
        """Return what the first NP is made of, by state (`simsc.builders.census.Census` as a mapping).

        Raises:
            OSError, ValueError: if a file is missing or damaged.
        """
        alone = json.loads((self.stage(NANOPARTICLE) / census_file(0)).read_text(encoding="utf-8"))
        in_crystal = json.loads((self.stage(CRYSTAL) / CENSUS).read_text(encoding="utf-8"))
        return {**alone, "in the fcc crystal": in_crystal[0]}
