"""Label every nanoparticle, and read the stacking sequence."""

import simsc

lattice = simsc.close_packed("ABCABCABABAB", d_nn_nm=6.2, lateral=(3, 2), radius_nm=2.0)
crystal = simsc.disordered(lattice, displacement_nm=0.3)  # or an Atoms, an AtomGroup, a file …
labels = simsc.label(crystal)
stacking = simsc.stacking_sequence(crystal)
print(labels, stacking, f"fcc / (fcc + hcp): {labels.fcc_fraction:.2f}", sep="\n")
simsc.write("labelled.xyz", crystal, labels)
simsc.plot.save(simsc.plot.structure(crystal, labels.labels), "labelled.png")
