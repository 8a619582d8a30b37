"""Sample the forces on the cores of an fcc crystal of super-ligand NPs: what the one-site model is derived from.

    python forcefields/oleate_one_site/sample.py FOLDER [--only 300 600] [--ns 1.0]

Each state is a crystal of 36 NPs (ABC, 12 a layer) in a fixed cell at one temperature and distance, in FOLDER/T_d.npz:
positions and forces of all cores (n_samples, 36, 3), pressure (n_samples,), the cell; beside it T_d_fast.npz with
forces every four steps, for the friction. A state that is there is not run again.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from mpi4py import MPI

from simsc.build.close_packed import close_packed
from simsc.core.files import write_error
from simsc.core.units import angstrom_from_nm, steps_from_ns
from simsc.forcefield.super_ligand import load_super_ligand
from simsc.md.anneal import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.super_ligand import dress_super_ligand

STACKING, LATERAL, RADIUS_NM = "ABC", (3, 2), 2.0
# d_NN, nm, by temperature, K: that of 1 atm (calibration.csv of oleate_super_ligand; 450 K in between) and about it.
DISTANCES_NM = {
    300.0: (6.06, 6.14, 6.21, 6.28),
    450.0: (6.24, 6.32, 6.40, 6.48),
    600.0: (6.44, 6.53, 6.62, 6.71),
}
AT_PRESSURE = 2  # which of them is that of 1 atm
EQUILIBRATION_NS = 0.3
EVERY_STEPS = 20
FAST_STEPS, FAST_EVERY = 6000, 4

# Forces of rigid bodies are those on their atoms, added up.
_RECORD = """
compute body core chunk/atom molecule
compute force core property/atom fx fy fz
compute pull core reduce/chunk body sum c_force[*]
fix sites all ave/time {every} 1 {every} c_centres[*] mode vector file centres.txt
fix pulls all ave/time {every} 1 {every} c_pull[*] mode vector file forces.txt
fix press all ave/time 1 {every} {every} c_thermo_press[1] c_thermo_press[2] c_thermo_press[3] &
  c_thermo_press[4] c_thermo_press[5] c_thermo_press[6] file pressure.txt format " %.10g"
"""


def record(session: LammpsSession, folder: Path, n: int, steps: int, every: int) -> dict[str, np.ndarray]:
    """Run some steps and return what was recorded: positions, forces (kcal/mol/Å), pressure tensor (atm)."""
    (folder / "record.lmp").write_text(_RECORD.format(every=every), encoding="ascii")
    session.script("record.lmp")
    session.run(steps, session.step, session.step + steps, first=True)
    (folder / "stop.lmp").write_text(
        "unfix sites\nunfix pulls\nunfix press\nuncompute pull\nuncompute force\nuncompute body\n", encoding="ascii"
    )
    session.script("stop.lmp")
    tables = []
    for name in ("centres.txt", "forces.txt"):
        lines = (folder / name).read_text(encoding="ascii").splitlines()
        rows = [line.split()[1:] for line in lines if not line.startswith("#") and len(line.split()) == 4]
        tables.append(np.array(rows, dtype=float).reshape(-1, n, 3))
    pressure = np.loadtxt(folder / "pressure.txt")[:, 1:]
    # The first of each is that of the set-up, where the constraint forces are not known.
    return {"positions": tables[0][1:], "forces": tables[1][1:], "pressure": pressure[-len(tables[0]) + 1 :]}


def sample(temperature_K: float, d_nn_nm: float, duration_ns: float, path: Path, seed: int) -> None:
    """Sample one state into a file."""
    crystal = close_packed(STACKING, d_nn_nm, LATERAL, radius_nm=RADIUS_NM)
    assert crystal.cell is not None
    system = dress_super_ligand(crystal, load_super_ligand(), np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(system, folder)
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            session.set(**system.variables, data="system.data", thermostat="nose_hoover", bath_seed=seed, seed=seed)
            session.set(t_first=temperature_K, t_start=temperature_K, t_stop=temperature_K)
            session.script("system.lmp")
            session.script("push_off.lmp")
            session.script("nvt.lmp")
            steps = steps_from_ns(EQUILIBRATION_NS, system.timestep_fs)
            session.run(steps, 0, steps, first=True)
            cell = session.cell_angstrom()
            facts = {"cell": cell, "temperature_K": np.array(temperature_K), "d_nn_angstrom": angstrom_from_nm(d_nn_nm)}
            steps = steps_from_ns(duration_ns, system.timestep_fs)
            slow = record(session, folder, crystal.n, steps, EVERY_STEPS)
            fast = record(session, folder, crystal.n, FAST_STEPS, FAST_EVERY)
    for name, recorded, every in (("", slow, EVERY_STEPS), ("_fast", fast, FAST_EVERY)):
        interval = np.array(every * system.timestep_fs)
        target = path.with_name(f"{path.stem}{name}.npz")
        try:
            np.savez_compressed(target, **facts, **recorded, interval_fs=interval)
        except OSError as error:
            raise write_error(target, error) from None


def main() -> None:
    """Sample every state that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", type=float, nargs="+", default=list(DISTANCES_NM), help="temperatures, K")
    parser.add_argument("--ns", type=float, default=1.0, help="of each state")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for temperature in arguments.only:
        for number, distance in enumerate(DISTANCES_NM[temperature]):
            path = arguments.folder / f"{temperature:g}_{distance:g}.npz"
            if not path.exists():
                sample(temperature, distance, arguments.ns, path, seed=100 + number)
                print(path, flush=True)


if __name__ == "__main__":
    main()
