"""simsc: build, anneal, classify and scatter supercrystals of ligand-capped nanoparticles.

What a script or a notebook needs is here: `import simsc`, then `simsc.close_packed(…)`, `simsc.label(…)` and so on;
docs/reference/api.md lists all by task. A name is loaded when it is asked for first, as is a folder, such as
`simsc.refine`, so that the import itself costs next to nothing. Lengths are nm and momentum transfers nm⁻¹, unless a
name says otherwise.

Example:
    >>> import simsc
    >>> simsc.stacking_sequence(simsc.close_packed("ABCABCABABAB", d_nn_nm=6.2)).sequence
    'ABCABCABABAB'
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and mypy; a test holds it against the table below
    from simsc import plot as plot
    from simsc.builders.close_packed import close_packed as close_packed
    from simsc.builders.disorder import disordered as disordered
    from simsc.builders.pillar import pillar as pillar
    from simsc.builders.supraparticle import ball as ball
    from simsc.builders.supraparticle import decahedron as decahedron
    from simsc.builders.supraparticle import icosahedron as icosahedron
    from simsc.classify.labels import Labels as Labels
    from simsc.classify.labels import label as label
    from simsc.classify.stacking import Stacking as Stacking
    from simsc.classify.stacking import stacking_sequence as stacking_sequence
    from simsc.core.cell import Cell as Cell
    from simsc.core.correlation_map import CorrelationMap as CorrelationMap
    from simsc.core.errors import InputError as InputError
    from simsc.core.errors import ResourceError as ResourceError
    from simsc.core.errors import SimscError as SimscError
    from simsc.core.errors import SimscWarning as SimscWarning
    from simsc.core.errors import StoppedEarly as StoppedEarly
    from simsc.core.intensity import IntensityVolume as IntensityVolume
    from simsc.core.superlattice import Superlattice as Superlattice
    from simsc.correlation.intensity import intensity as intensity
    from simsc.correlation.maps import correlation_map as correlation_map
    from simsc.io.adapters import as_superlattice as as_superlattice
    from simsc.io.adapters import from_arrays as from_arrays
    from simsc.io.adapters import from_ase as from_ase
    from simsc.io.adapters import from_mdanalysis as from_mdanalysis
    from simsc.io.adapters import from_ovito as from_ovito
    from simsc.io.adapters import to_arrays as to_arrays
    from simsc.io.adapters import to_ase as to_ase
    from simsc.io.adapters import to_mdanalysis as to_mdanalysis
    from simsc.io.adapters import to_ovito as to_ovito
    from simsc.md.anneal import anneal as anneal
    from simsc.md.protocol import Phase as Phase
    from simsc.md.trajectory import Trajectory as Trajectory
    from simsc.refine.cell import refine_cell as refine_cell
    from simsc.refine.spacing import refine_spacing as refine_spacing
    from simsc.refine.stacking import refine_stacking as refine_stacking
    from simsc.refine.structure import rank_structures as rank_structures
    from simsc.report.study_run import run_study as run_study
    from simsc.scattering.scattering_model import ScatteringModel as ScatteringModel
    from simsc.study.files import read as read
    from simsc.study.files import write as write
    from simsc.study.schema import Study as Study

    __version__: str

# Where each name of the face is; no module of this folder has one of them, or it would stand in its place once loaded.
_HOME = {
    # builders
    "close_packed": "builders.close_packed",
    "ball": "builders.supraparticle",
    "icosahedron": "builders.supraparticle",
    "decahedron": "builders.supraparticle",
    "pillar": "builders.pillar",
    "disordered": "builders.disorder",
    # dynamics
    "anneal": "md.anneal",
    "Phase": "md.protocol",
    # order
    "label": "classify.labels",
    "stacking_sequence": "classify.stacking",
    # scattering and correlation
    "intensity": "correlation.intensity",
    "correlation_map": "correlation.maps",
    # refinement
    "refine_cell": "refine.cell",
    "refine_spacing": "refine.spacing",
    "refine_stacking": "refine.stacking",
    "rank_structures": "refine.structure",
    # files, studies and figures
    "read": "study.files",
    "write": "study.files",
    "run_study": "report.study_run",
    "plot": "",
    # other packages
    "as_superlattice": "io.adapters",
    "from_arrays": "io.adapters",
    "to_arrays": "io.adapters",
    "from_ase": "io.adapters",
    "to_ase": "io.adapters",
    "from_mdanalysis": "io.adapters",
    "to_mdanalysis": "io.adapters",
    "from_ovito": "io.adapters",
    "to_ovito": "io.adapters",
    # what people hold
    "Superlattice": "core.superlattice",
    "Cell": "core.cell",
    "Labels": "classify.labels",
    "Stacking": "classify.stacking",
    "Trajectory": "md.trajectory",
    "IntensityVolume": "core.intensity",
    "CorrelationMap": "core.correlation_map",
    "ScatteringModel": "scattering.scattering_model",
    "Study": "study.schema",
    "SimscError": "core.errors",
    "InputError": "core.errors",
    "ResourceError": "core.errors",
    "StoppedEarly": "core.errors",
    "SimscWarning": "core.errors",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all else here

        found: Any = version("simsc")
    elif _HOME.get(name):
        found = getattr(importlib.import_module(f"simsc.{_HOME[name]}"), name)
    elif name in (folders := _folders()):
        return importlib.import_module(f"simsc.{name}")
    else:
        from simsc.core.lazy import unknown_attribute

        raise unknown_attribute("simsc", name, {*__all__, *folders})
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, *_folders()})


def _folders() -> set[str]:
    return {name for place in __path__ for name in os.listdir(place) if os.path.isfile(f"{place}/{name}/__init__.py")}
