"""Build crystals, and write them for other programs."""

import simsc

lattice = simsc.close_packed("ABCABCABABAB", d_nn_nm=6.2, radius_nm=2.0)  # a letter a layer, periodic
grown = simsc.ball("random", d_nn_nm=16.0, diameter_nm=320.0, alpha=0.7)  # as in a droplet
real = simsc.disordered(grown, radius_nm=7.4, radius_std_nm=0.8, vacancies=0.02, displacement_nm=0.3)
simsc.write("lattice.h5", lattice)
simsc.write("grown.xyz", real)  # for OVITO
atoms = simsc.to_ase(lattice)
print(lattice, real, atoms, sep="\n")
