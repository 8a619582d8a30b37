"""Refinement: the unit cell and the nearest-neighbour distance from correlation maps, with uncertainties."""
