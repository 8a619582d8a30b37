"""The values that every other part of simsc speaks: cells, superlattices, intensities, maps, stackings, errors."""
