"""Measured intensity: detector frames and volumes from files, merged into one intensity."""
