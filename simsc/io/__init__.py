"""Files: simsc's own HDF5, and structures, volumes and tables of other programs, in and out."""
