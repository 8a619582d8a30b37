"""Refinement: unit cell, nearest-neighbour distance and stacking disorder from scattering, with uncertainties."""
