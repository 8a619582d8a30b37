"""Resolution models: how a superlattice is dressed with atoms or beads for LAMMPS. Units are those of LAMMPS `real`."""
