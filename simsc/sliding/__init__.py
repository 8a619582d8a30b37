"""Layers that slip: from positions, by chance, and by sampling; what it costs, and whether a crystal heals."""
