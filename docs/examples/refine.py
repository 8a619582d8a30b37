"""Refine a correlation map, of which everything is known here: spacing, cell, stacking, structure."""

import simsc

crystal = simsc.ball("fcc", d_nn_nm=16.0, diameter_nm=120.0, radius_nm=7.4)
q2_inv_nm = [0.40 + 0.02 * k for k in range(26)]
measured = simsc.correlation_map(crystal, 0.481, q2_inv_nm, n_delta=181)
spacing = simsc.refine_spacing(measured, "fcc", radius_nm=7.4)
cell = simsc.refine_cell(measured, radius_nm=7.4, starts=2)
stacking = simsc.refine_stacking(measured, spacing.d_nn_nm, diameter_nm=120.0, radius_nm=7.4)
ranks = simsc.rank_structures(measured, 120.0, 7.4, candidates=["fcc", "hcp"], draws=2)
print(spacing, cell, stacking, *ranks, sep="\n")
