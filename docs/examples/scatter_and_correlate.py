"""Compute the intensity of a crystal on a grid, and correlation maps of both, which agree."""

import simsc

crystal = simsc.ball("fcc", d_nn_nm=16.0, n=201, radius_nm=7.4)
volume = simsc.intensity(crystal)  # with photons=1e9 as they would be counted
exact, of_grid = (simsc.correlation_map(source, q1_inv_nm=0.481, n_delta=181) for source in (crystal, volume))
simsc.write("intensity.h5", volume)
simsc.write("map.h5", exact)
simsc.plot.save(simsc.plot.correlation_maps({"exact": exact, "of the grid": of_grid}), "maps.png")
print(crystal, volume, exact, of_grid, sep="\n")
