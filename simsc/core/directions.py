"""Directions spread over the sphere."""

import numpy as np


def fibonacci_sphere(n: int) -> np.ndarray:
    """Return n nearly evenly spread unit vectors (n, 3) on a golden spiral.

    González, Math. Geosci. 42 (2010) 49, DOI 10.1007/s11004-009-9257-x.
    """
    z = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), z], axis=1)
