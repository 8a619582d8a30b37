"""Angular X-ray cross-correlation analysis (AXCCA)."""
