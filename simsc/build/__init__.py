"""Builders of superlattices."""
