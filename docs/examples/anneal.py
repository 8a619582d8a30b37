"""Anneal a crystal with one site a nanoparticle, which takes seconds."""

import simsc

lattice = simsc.close_packed("ABCABC", d_nn_nm=6.5, lateral=(2, 2), radius_nm=2.0)
hold = simsc.Phase("hold", start_K=500, stop_K=500, duration_ns=0.05)
cool = simsc.Phase("cool", start_K=500, stop_K=450, duration_ns=0.05)
trajectory = simsc.anneal(lattice, "oleate_one_site", [hold, cool], "annealed")
simsc.write("annealed.xyz", trajectory)
print(trajectory, trajectory.superlattice(-1), sep="\n")
