"""What annealing through simsc costs against plain LAMMPS, how it scales, and what each output costs; in one run.

    python tests/benchmarks/driver_overhead.py [CRYSTAL] [--rounds 2] [--write]

The same steps of the same system, once by `anneal_system()` with the default intervals (a row of output and a frame
every 500 steps, a checkpoint that sets LAMMPS up anew every 5000) and once by `lmp` alone with the scripts that simsc
lays out, in turn. Counted is everything after the push-off: of simsc the wall time to the end, all files written; of
`lmp` its own loop time. Loading Python's modules, once a process, is not counted, nor is that of `lmp`. The speed of a
shared machine changes by several percent within minutes (how far the rounds lie apart is told); so what simsc spends
outside of the loops of its own LAMMPS, in one process, is told as well.

The systems: the coarse-grained 24 NPs of the preview, and, if CRYSTAL names the `crystal/` folder of an all-atom run,
that crystal. What an output costs is the time spent in it, over that of the steps between two.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import close_packed
from simsc.builders.nanoparticle_file import read_nanoparticle
from simsc.classify.neighbours import mean_nearest_distance_nm
from simsc.forcefield.magnetite import load_magnetite
from simsc.io.native import read_superlattice
from simsc.md import files, segments
from simsc.md.files import prepare
from simsc.md.inputs import plain_lammps_arguments
from simsc.md.parallel import world
from simsc.md.protocol import Phase, Protocol
from simsc.md.segments import anneal_system
from simsc.md.session import LammpsSession
from simsc.models.all_atom import dress_all_atom
from simsc.models.coarse_grained import coarse_grained
from simsc.models.heads import SPHERES
from simsc.models.lammps_system import LammpsSystem

BIN = Path(sys.executable).parent
RESULT = table_of(__file__)
COLUMNS = ("system", "what", "value", "unit")
SEED = 7
STEPS = {"super-ligands": 10_000, "all atoms": 400}
# Rows of output, checkpoints: the defaults of the studies, for the coarse grains; for all atoms 25 times as often as in
# their preset, where a checkpoint comes every 10 000 steps.
INTERVALS = {"super-ligands": (500, 5000), "all atoms": (20, 400)}
OUTPUTS = {  # what is timed: row and frame of output, snapshot of all atoms, checkpoint
    "row: thermo": (LammpsSession, "thermo"),
    "frame: centres": (LammpsSession, "centres_angstrom"),
    "frame: orientations": (LammpsSession, "orientations"),
    "snapshot": (LammpsSession, "write_snapshot"),
    "checkpoint: write": (segments._Run, "_keep"),
    "checkpoint: set up anew": (segments._Run, "restore"),
}


def system_of(name: str, crystal: str) -> tuple[LammpsSystem, np.ndarray]:
    """Return a system and the radii of its NPs, nm."""
    if name == "super-ligands":
        lattice = close_packed("ABCABCABABAB", 6.3, radius_nm=2.0)
        model = coarse_grained()
        model.check(2.0, [300.0], SPHERES, 6.3)
        return model.dress(lattice, np.random.default_rng(1), SPHERES), lattice.radii_nm
    lattice = read_superlattice(Path(crystal) / "superlattice.h5")
    nanoparticles = [read_nanoparticle(Path(crystal) / f"nanoparticle_{k}.h5") for k in range(lattice.n)]
    system = dress_all_atom(lattice, nanoparticles, Rotation.identity(lattice.n), load_magnetite())
    # It is at rest already; and the push-off is not counted.
    variables = system.variables | {"push_iterations": "2", "push_steps": "10"}
    return replace(system, variables=variables), np.full(lattice.n, 2.0)


def protocol_of(name: str, system: LammpsSystem, snapshots: bool) -> Protocol:
    """Return a hold at 300 K with the default intervals."""
    row, checkpoint = INTERVALS[name]
    unit_ns = system.timestep_fs * 1e-6
    return Protocol(
        (Phase("hold", 300, 300, STEPS[name] * unit_ns),),
        output_every_ns=row * unit_ns,
        checkpoint_every_ns=checkpoint * unit_ns,
        snapshot_every_ns=row * unit_ns if snapshots else None,
    )


def drive(name: str, crystal: str, folder: Path, snapshots: bool) -> None:
    """Anneal in this process (one of several ranks), and write down how long it took."""
    comm = world()
    system, radii_nm = system_of(name, crystal)
    mean_nearest_distance_nm(close_packed("ABC", 6.2))  # loads freud
    spent: dict[str, list[float]] = defaultdict(list)
    for output, (owner, method) in OUTPUTS.items():
        setattr(owner, method, _timed(getattr(owner, method), spent[output]))
    begin: list[float] = []
    sizes: dict[str, float] = {}

    def first_segment(needed_s: float) -> bool:
        # Asked for the first time when the push-off is done.
        if not begin:
            for times in spent.values():
                times.clear()
            sizes["checkpoint, bytes an atom"] = _size(folder, "checkpoint_*.restart") / system.n_atoms
            begin.append(time.perf_counter())
        return False

    anneal_system(system, radii_nm, protocol_of(name, system, snapshots), folder, SEED, comm, stop=first_segment)
    if comm.rank == 0:
        total = time.perf_counter() - begin[0]
        frames = STEPS[name] // INTERVALS[name][0]
        sizes["frame, bytes a nanoparticle"] = _size(folder, files.TRAJECTORY) / frames / len(radii_nm)
        if snapshots:
            sizes["snapshot, bytes an atom"] = _size(folder, "snapshot_*.dcd") / system.n_atoms
        loops = looped_s(folder / "log.lammps", name)
        times = {"seconds": total, "outside": total / loops - 1, "spent": spent, "sizes": sizes}
        (folder / "times.json").write_text(json.dumps(times))


def _size(folder: Path, pattern: str) -> int:
    return next(folder.glob(pattern)).stat().st_size


def _timed(function, times: list[float]):
    def wrapped(*arguments, **keywords):
        begin = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            times.append(time.perf_counter() - begin)

    return wrapped


def launched(ranks: int) -> list[str]:
    """Return the launcher of so many ranks."""
    return [] if ranks == 1 else [str(BIN / "mpiexec"), "-n", str(ranks)]


def looped_s(log: Path, name: str) -> float:
    """Return the seconds that LAMMPS spent in steps of the protocol, not those of the push-off."""
    lengths = {STEPS[name], INTERVALS[name][0]}
    found = re.findall(r"Loop time of (\S+) on \d+ procs for (\d+) steps", log.read_text())
    return sum(float(seconds) for seconds, steps in found if int(steps) in lengths)


def by_simsc(name: str, crystal: str, ranks: int, snapshots: bool = False) -> dict[str, Any]:
    """Return the seconds that simsc took, the part outside of LAMMPS's loops, what outputs took, and sizes of files."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(system_of(name, crystal)[0], Path(folder))
        words = ["-m", "mpi4py", __file__, crystal, "--drive", name, "--folder", folder]
        command = [*launched(ranks), sys.executable, *words, *(["--snapshots"] if snapshots else [])]
        subprocess.run(command, check=True)
        return json.loads((Path(folder) / "times.json").read_text())


def by_lammps(name: str, crystal: str, ranks: int) -> float:
    """Return the seconds that plain LAMMPS took for its steps."""
    with tempfile.TemporaryDirectory() as folder:
        system, _ = system_of(name, crystal)
        prepare(system, Path(folder))
        arguments = plain_lammps_arguments(system, protocol_of(name, system, False), SEED)
        command = [*launched(ranks), str(BIN / "lmp"), *arguments, "-screen", "none", "-nocite"]
        subprocess.run(command, cwd=folder, check=True)
        return looped_s(Path(folder) / "log.lammps", name)


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystal", nargs="?", default="", help="folder of an equilibrated all-atom crystal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    parser.add_argument("--drive", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--snapshots", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        drive(arguments.drive, arguments.crystal, arguments.folder, arguments.snapshots)
        return
    rows: list[dict[str, str]] = []

    def tell(*values: str) -> None:
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        print(*values, sep="\t", flush=True)

    for name in ("super-ligands", *(["all atoms"] if arguments.crystal else [])):
        seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
        outside: dict[int, list[float]] = defaultdict(list)
        for _ in range(arguments.rounds):
            for ranks in (1, 2):
                found = by_simsc(name, arguments.crystal, ranks)
                seconds["simsc", ranks].append(found["seconds"])
                outside[ranks].append(found["outside"])
                seconds["lmp", ranks].append(by_lammps(name, arguments.crystal, ranks))
        for ranks in (1, 2):
            ratios = np.log(np.divide(seconds["simsc", ranks], seconds["lmp", ranks]))
            tell(name, f"overhead over lmp, {ranks} rank(s)", f"{100 * np.expm1(ratios.mean()):.1f}", "%")
            tell(name, f"how far apart the rounds are, {ranks} rank(s)", f"{100 * np.ptp(ratios):.1f}", "%")
            tell(name, f"outside of LAMMPS's loops, {ranks} rank(s)", f"{100 * np.mean(outside[ranks]):.1f}", "%")
        for program in ("simsc", "lmp"):
            faster = np.mean(seconds[program, 1]) / np.mean(seconds[program, 2])
            tell(name, f"speed-up from 1 to 2 ranks, {program}", f"{faster:.2f}", "")
        costs = by_simsc(name, arguments.crystal, 1, snapshots=True)
        a_step = (costs["seconds"] - sum(map(sum, costs["spent"].values()))) / STEPS[name]
        for output, times in costs["spent"].items():
            tell(name, f"{output}, each costs as much as", f"{np.median(times) / a_step:.2f}", "steps")
        for what, size in costs["sizes"].items():
            tell(name, what, f"{size:.1f}", "")
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()
