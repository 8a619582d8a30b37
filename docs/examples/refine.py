"""Refine a correlation map, of which everything is known here: spacing, cell, stacking, structure."""

import simsc

diameter_nm, radius_nm = 200.0, 7.4
measured = simsc.correlation_map(simsc.ball("fcc", 16.0, diameter_nm, radius_nm=radius_nm))
spacing = simsc.refine_spacing(measured, "fcc", radius_nm=radius_nm)
cell = simsc.refine_cell(measured, radius_nm=radius_nm, starts=4)
stacking = simsc.refine_stacking(measured, spacing.d_nn_nm, diameter_nm, radius_nm)
ranks = simsc.rank_structures(measured, diameter_nm, radius_nm, candidates=["fcc", "hcp"], draws=2)
print(spacing, cell, stacking, *ranks, sep="\n")
