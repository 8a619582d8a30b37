"""Measured intensity: detector frames of a scan, and what they are merged into."""
