"""Where `lammps_inputs/` and `forcefields/` lie: inside the installed wheel, or beside the package in a checkout."""

from pathlib import Path

from simsc.core.errors import ResourceError

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_folder(name: str) -> Path:
    """Return the folder `lammps_inputs` or `forcefields` (or a path below one of them).

    Raises:
        ResourceError: if it is in neither place, that is, if the installation is broken.
    """
    for base in (_PACKAGE, _PACKAGE.parent):
        if (base / name).is_dir():
            return base / name
    raise ResourceError(f"{name}: not found beside {_PACKAGE}; the installation is incomplete, install simsc again")
