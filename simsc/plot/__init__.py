"""Figures: each function returns a Matplotlib figure."""
