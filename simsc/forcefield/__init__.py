"""Parameter sets of `forcefields/`, read and checked. Units are those of LAMMPS `real`."""
