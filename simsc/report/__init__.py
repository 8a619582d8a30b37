"""Figures, and one self-contained page for a run."""
