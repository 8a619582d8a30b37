"""Files of a folder in which LAMMPS anneals: their names, and how a system is laid out in it."""

from pathlib import Path

from simsc.io.resources import resource_folder
from simsc.io.whole_files import write_text
from simsc.models.lammps_system import DATA, LammpsSystem

TRAJECTORY = "trajectory.h5"
_SHARED = "lammps_inputs/common"  # scripts that models share


def prepare(system: LammpsSystem, folder: Path) -> None:
    """Lay the LAMMPS scripts and the data file of a system into a folder, where plain `lmp` can run them too.

    Those that models share come to lie beside those of the model, which may have its own of the same name.
    """
    for scripts in (_SHARED, system.scripts):
        for script in sorted(resource_folder(scripts).glob("*.lmp")):
            write_text(folder / script.name, script.read_text(encoding="utf-8").replace("../common/", ""))
    for name, text in system.tables.items():
        write_text(folder / name, text)
    write_text(folder / DATA, system.data)  # last, and whole: where it lies, everything does
