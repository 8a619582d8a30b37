"""Labels of superlattices by OVITO (https://www.ovito.org), for tests and benchmarks to compare with."""

from collections.abc import Callable

import numpy as np

from simsc.core.superlattice import Superlattice

Label = Callable[[Superlattice], np.ndarray]
_TYPES = {1: "fcc", 2: "hcp", 3: "bcc", 4: "icosahedral"}
_WIDTH = 5.0  # nearest-neighbour distances; OVITO's search misses neighbours in thinner cells


def ovito_methods(d_nn_nm: float = 1.0) -> dict[str, Label]:
    """Return OVITO's methods: polyhedral template matching with its default cutoff and without, adaptive CNA.

    Raises:
        ImportError: if OVITO is not installed, or a library of the system that it needs.
    """
    from ovito.modifiers import CommonNeighborAnalysisModifier as Cna
    from ovito.modifiers import PolyhedralTemplateMatchingModifier as Ptm

    return {
        "OVITO PTM, RMSD ≤ 0.1": lambda x: _label(x, Ptm(rmsd_cutoff=0.1), d_nn_nm),
        "OVITO PTM": lambda x: _label(x, Ptm(rmsd_cutoff=0.0), d_nn_nm),
        "OVITO adaptive CNA": lambda x: _label(x, Cna(mode=Cna.Mode.AdaptiveCutoff), d_nn_nm),
    }


def _label(superlattice: Superlattice, modifier: object, d_nn_nm: float) -> np.ndarray:
    """Return labels (N,) of a superlattice that is periodic in all directions, or in free space."""
    from ovito.data import DataCollection

    data = DataCollection()
    positions = superlattice.positions_nm
    if superlattice.cell is not None:
        cell, rotation = superlattice.cell.upper_triangular()
        copies = np.maximum(np.ceil(_WIDTH * d_nn_nm / cell.perpendicular_widths_nm), 1).astype(int)
        replica = Superlattice(cell.wrap(positions @ rotation), cell=cell).replicate(copies.tolist())
        assert replica.cell is not None
        data.create_cell(np.column_stack([replica.cell.vectors_nm.T, np.zeros(3)]), (True, True, True))
        positions = replica.positions_nm
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    data.apply(modifier)
    return np.array([_TYPES.get(int(k), "other") for k in data.particles.structure_types[: superlattice.n]])
