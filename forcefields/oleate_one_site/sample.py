"""Sample the mean forces between super-ligand NPs whose cores are held: what the one-site model is derived from.

    python forcefields/oleate_one_site/sample.py FOLDER [--only 300 600] [--ns 0.3]

A core that is free stays within 1 Å of its site, where the mean force on it is a tenth of what fluctuates. So cores are
held where it is large: displaced at random by up to some Å, or with whole layers on their way from one hollow to the
next; they turn freely. At each temperature and at each of three distances there are six such crystals, with one file
each, FOLDER/T_d_k.npz: positions of the cores (N, 3), forces on them at every step (n_steps, N, 3), pressure at every
step (n_steps, 3), the cell. A file that is there is not made again.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from simsc.build.close_packed import close_packed
from simsc.core.files import write_error
from simsc.core.superlattice import Superlattice
from simsc.core.units import angstrom_from_nm, steps_from_ns
from simsc.forcefield.super_ligand import load_super_ligand
from simsc.md.anneal import prepare
from simsc.md.hardware import ONE_THREAD
from simsc.md.session import LammpsSession
from simsc.models.super_ligand import dress_super_ligand

RADIUS_NM = 2.0
# d_NN, nm, by temperature, K: that of 1 atm (calibration.csv of oleate_super_ligand; 450 K in between) and about it.
DISTANCES_NM = {
    300.0: (6.14, 6.21, 6.28),
    450.0: (6.32, 6.40, 6.48),
    600.0: (6.53, 6.62, 6.71),
}
CRYSTALS = 6  # of each temperature and distance: a perfect one, three shaken ones, two with moving layers
LARGEST_SHAKE_NM = 0.2  # standard deviation along each axis
EQUILIBRATION_NS = 0.1

_HOLD = """
velocity core set 0.0 0.0 0.0
fix cores core rigid molecule force * off off off langevin {t} {t} 2000.0 {seed}
fix tails tail nvt temp {t} {t} 2000.0
"""
# Forces of rigid bodies are those on their atoms, added up.
_RECORD = """
compute body core chunk/atom molecule
compute force core property/atom fx fy fz
compute pull core reduce/chunk body sum c_force[*]
fix pulls all ave/time 1 1 1 c_pull[*] mode vector file forces.txt
fix press all ave/time 1 1 1 c_thermo_press[1] c_thermo_press[2] c_thermo_press[3] file pressure.txt format " %.10g"
"""


def crystal(d_nm: float, number: int, rng: np.random.Generator) -> Superlattice:
    """Return one of the crystals of a distance."""
    if number < 4:
        shaken = close_packed("ABC", d_nm, (3, 2), radius_nm=RADIUS_NM)
        sigma = 0.0 if number == 0 else rng.uniform(0.25, 1) * LARGEST_SHAKE_NM
        return replace(
            shaken, positions_nm=shaken.positions_nm + rng.normal(scale=max(sigma, 1e-9), size=(shaken.n, 3))
        )
    layered = close_packed("ABAB", d_nm, (2, 2), radius_nm=RADIUS_NM)
    layers = layered.positions_nm.reshape(4, -1, 3).copy()
    # Between A and A, a layer B goes over a bridge to C: by d/√3 along y.
    to_c = np.array([0.0, d_nm / np.sqrt(3), 0.0])
    for k in (1, 3):
        layers[k] += rng.uniform(0, 1) * to_c
    layers[:, :, 2] += rng.normal(scale=0.05, size=(4, 1))
    return replace(layered, positions_nm=layers.reshape(-1, 3) + rng.normal(scale=0.04, size=(layered.n, 3)))


def record(session: LammpsSession, folder: Path, n: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Run some steps and return forces (steps, N, 3), kcal/mol/Å, and pressures (steps, 3), atm."""
    (folder / "record.lmp").write_text(_RECORD, encoding="ascii")
    session.script("record.lmp")
    session.run(steps, session.step, session.step + steps, first=True)
    lines = (folder / "forces.txt").read_text(encoding="ascii").splitlines()
    rows = [line.split()[1:] for line in lines if not line.startswith("#") and len(line.split()) == 4]
    forces = np.array(rows, dtype=float).reshape(-1, n, 3)
    pressure = np.loadtxt(folder / "pressure.txt")[:, 1:]
    # The first of each is that of the set-up.
    return forces[1:], pressure[-len(forces) + 1 :]


def sample(temperature_K: float, d_nm: float, number: int, duration_ns: float, path: Path) -> None:
    """Sample one crystal into a file."""
    seed = [round(temperature_K), round(1000 * d_nm), number]
    rng = np.random.default_rng(seed)
    held = crystal(d_nm, number, rng)
    assert held.cell is not None
    system = dress_super_ligand(held, load_super_ligand(), rng)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(system, folder)
        with LammpsSession(folder, MPI.COMM_SELF, ONE_THREAD, system.packages) as session:
            chance = int(rng.integers(1, 10**6))
            session.set(**system.variables, data="system.data", thermostat="nose_hoover", bath_seed=chance, seed=chance)
            session.set(t_first=temperature_K, t_start=temperature_K, t_stop=temperature_K)
            session.script("system.lmp")
            session.script("push_off.lmp")
            (folder / "hold.lmp").write_text(_HOLD.format(t=temperature_K, seed=chance), encoding="ascii")
            session.script("hold.lmp")
            steps = steps_from_ns(EQUILIBRATION_NS, system.timestep_fs)
            session.run(steps, 0, steps, first=True)
            positions, cell = session.centres_angstrom(), session.cell_angstrom()
            forces, pressure = record(session, folder, held.n, steps_from_ns(duration_ns, system.timestep_fs))
            if np.abs(session.centres_angstrom() - positions).max() > 0.1:
                raise RuntimeError("cores moved")
    # What holds a core counts in the virial of its rigid body.
    pressure = pressure + _VIRIAL_ATM * (positions * forces).sum(axis=1) / np.linalg.det(cell)
    try:
        np.savez_compressed(
            path, temperature_K=temperature_K, d_nn_angstrom=angstrom_from_nm(d_nm), positions=positions, cell=cell,
            forces=forces.astype("f4"), pressure=pressure, interval_fs=system.timestep_fs,
        )  # fmt: skip
    except OSError as error:
        raise write_error(path, error) from None


_VIRIAL_ATM = 68568.415  # atm from kcal/mol/Å³; as in LAMMPS (units real)


def main() -> None:
    """Sample every crystal that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", type=float, nargs="+", default=list(DISTANCES_NM), help="temperatures, K")
    parser.add_argument("--ns", type=float, default=0.3, help="of each crystal")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for number in range(CRYSTALS):
        for temperature in arguments.only:
            for distance in DISTANCES_NM[temperature]:
                path = arguments.folder / f"{temperature:g}_{distance:g}_{number}.npz"
                if not path.exists():
                    sample(temperature, distance, number, arguments.ns, path)
                    print(path, flush=True)


if __name__ == "__main__":
    main()
