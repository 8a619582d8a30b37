"""simsc: build, anneal, classify and scatter supercrystals of ligand-capped nanoparticles."""

from importlib.metadata import version

__version__ = version("simsc")
