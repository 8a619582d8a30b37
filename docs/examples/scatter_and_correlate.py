"""Compute the intensity of a crystal with counting noise, and correlation maps with and without it."""

import simsc

crystal = simsc.ball("fcc", d_nn_nm=16.0, n=500, radius_nm=7.4)
volume = simsc.intensity(crystal, photons=1e9)
maps = {"exact": simsc.correlation_map(crystal), "counted": simsc.correlation_map(volume)}
simsc.write("intensity.h5", volume)
simsc.write("map.h5", maps["exact"])
simsc.plot.save(simsc.plot.correlation_maps(maps), "maps.png")
print(crystal, volume, *maps.values(), sep="\n")
