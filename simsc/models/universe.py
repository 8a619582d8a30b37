"""All-atom data files as MDAnalysis sees them: nanoparticles are segments, cores and ligands residues."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from simsc.core.errors import InputError


def read_universe(data: Path, what_is_what: Path) -> Any:
    """Read an all-atom LAMMPS data file as an MDAnalysis Universe that knows its nanoparticles.

    Args:
        data: `system.data` or `annealed.data` of a run folder.
        what_is_what: the `what_is_what.json` of the same folder.

    Returns:
        An `MDAnalysis.Universe` with bonds, charges (e), masses (g/mol), elements, atom names, and positions (Å).
        Each NP is a segment (`NP1`, `NP2`, …), each core (`CORE`) and each ligand (`LIG`) a residue:
        `universe.select_atoms("segid NP3 and resname LIG and name C18")`.

    Raises:
        InputError: if a file cannot be read, or the two do not belong together.
    """
    import MDAnalysis  # its import takes a second, and only this needs it

    try:
        what = json.loads(what_is_what.read_text(encoding="utf-8"))
        universe = MDAnalysis.Universe(str(data), format="DATA", topology_format="DATA")
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{what_is_what}: line {error.lineno} is no JSON") from None
    except (ValueError, KeyError, IndexError, StopIteration):
        raise InputError(f"{data}: is no whole LAMMPS data file of atom_style full") from None
    try:
        _name(universe, what)
    except (KeyError, TypeError, ValueError, IndexError):
        raise InputError(f"{what_is_what}: does not belong to {data}") from None
    return universe


def _name(universe: Any, what: dict[str, Any]) -> None:
    atoms, residues = universe.atoms, universe.residues
    ligand_names = np.array(what["ligand"]["atoms"], dtype=object)
    if what["nanoparticles"][-1]["atoms"][1] != len(atoms):
        raise ValueError
    kinds = [what["atom_types"][int(kind) - 1] for kind in atoms.types]
    names = np.array([kind["name"] for kind in kinds], dtype=object)
    universe.add_TopologyAttr("elements", np.array([kind["element"] for kind in kinds], dtype=object))
    segment_of = np.empty(len(residues), dtype=int)
    resnames = np.full(len(residues), "LIG", dtype=object)
    # LAMMPS numbers molecules from 1 without gaps, and MDAnalysis orders residues by that number.
    for k, listed in enumerate(what["nanoparticles"]):
        (core, (first, last)) = listed["core"]["molecule"], listed["ligands"]["molecules"]
        segment_of[core - 1] = k
        segment_of[first - 1 : last] = k
        resnames[core - 1] = "CORE"
        begin, end = listed["ligands"]["atoms"]
        names[begin - 1 : end] = np.tile(ligand_names, listed["ligands"]["count"])
    universe.add_TopologyAttr("names", names)
    universe.add_TopologyAttr("resnames", resnames)
    universe.segments[0].segid = "NP1"  # all are in this one as read
    for k in range(1, len(what["nanoparticles"])):
        residues[segment_of == k].segments = universe.add_Segment(segid=f"NP{k + 1}")
