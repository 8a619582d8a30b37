"""Parameters of structures, with their uncertainties, from scattering."""
