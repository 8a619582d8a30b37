"""Scattered intensity of superlattices."""
