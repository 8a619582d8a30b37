"""The values that every other part of simsc speaks: superlattices, intensities, maps, errors, files."""
