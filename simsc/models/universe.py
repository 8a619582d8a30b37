"""Data files and snapshots of LAMMPS as MDAnalysis sees them: nanoparticles are segments."""

import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simsc.core.errors import InputError
from simsc.core.units import nm_from_angstrom
from simsc.forcefield.chains import chain_names, load_chains
from simsc.models.all_atom import ATOM_MAP
from simsc.models.lammps_system import DATA, FINAL, SNAPSHOTS
from simsc.scattering.atoms import Atoms

_FORMER_ATOM_MAP = "what_is_what.json"  # in run folders of simsc 0.1


def read_universe(folder: Path | str) -> Any:
    """Read what LAMMPS left in a folder of a run, finished or not, as one MDAnalysis Universe.

    Args:
        folder: `anneal/` of a run (`anneal.partial/` while it goes), or any folder with a `system.data` of simsc.

    Returns:
        An `MDAnalysis.Universe` with bonds, masses (g/mol), and as its trajectory all `snapshot_*.dcd`: unwrapped
        positions (Å), the cell of each frame, times (ps) since the protocol began. Without snapshots it has one frame:
        the end of the run, or its start. Each NP is a segment (`NP1`, `NP2`, …). Of all-atom systems each core
        (`CORE`) and each ligand (`LIG`) is a residue, and there are charges (e), elements and names:
        `universe.select_atoms("segid NP3 and resname LIG and name C18")`. Of coarse-grained models beads are named
        `CENTRE`, `HEAD`, and as in their parameter set (`TAIL`; `C1`, `C4H`), sites of the one-site model `CENTRE`.

    Raises:
        InputError: if a file is missing, cannot be read, or does not belong to the others.
    """
    import MDAnalysis  # its import takes a second, and only this needs it

    folder = Path(folder)
    data = folder / FINAL if (folder / FINAL).is_file() else folder / DATA
    if not data.is_file():
        raise InputError(f"{folder}: holds neither {FINAL} nor {DATA}")
    maps = (folder / name for name in (ATOM_MAP, _FORMER_ATOM_MAP))
    atom_map = next((path for path in maps if path.is_file()), None)
    style = {} if atom_map else {"atom_style": "id resid type x y z"}
    try:
        numbers = json.loads(atom_map.read_text(encoding="utf-8")) if atom_map else None
        universe = MDAnalysis.Universe(str(data), format="DATA", topology_format="DATA", **style)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{atom_map}: line {error.lineno} is no JSON") from None
    except (ValueError, KeyError, IndexError, StopIteration):
        raise InputError(f"{data}: is no whole LAMMPS data file of simsc") from None
    if numbers is None:
        _name_beads(universe, folder)
    else:
        try:
            _name_all_atoms(universe, numbers)
        except (KeyError, TypeError, ValueError, IndexError):
            raise InputError(f"{atom_map}: does not belong to {data}") from None
    if snapshots := sorted(folder.glob(SNAPSHOTS)):
        _load_snapshots(universe, snapshots)
    return universe


def scattering_atoms(group: Any) -> Atoms:
    """Return atoms as `simsc.scattering` takes them, at the positions of the current frame.

    Args:
        group: an `MDAnalysis.AtomGroup` or `Universe` with elements, as `read_universe` gives of all-atom systems, or a
            part of it, such as `universe.select_atoms("resname CORE")`. Each element scatters as a neutral atom.

    Raises:
        InputError: if there are no elements, as in coarse-grained systems.
    """
    atoms = group.atoms
    if not hasattr(atoms, "elements"):
        raise InputError(
            "only all-atom systems have elements that X-rays see; scatter the NPs of the trajectory instead"
        )
    return Atoms(nm_from_angstrom(atoms.positions), atoms.elements)


def _load_snapshots(universe: Any, snapshots: list[Path]) -> None:
    """Give a Universe the trajectory of files of one frame each, of which one is open at a time.

    MDAnalysis chains such files too, but takes all to be equally far apart in time.
    """
    from MDAnalysis.coordinates.base import ReaderBase
    from MDAnalysis.coordinates.DCD import DCDReader

    class Snapshots(ReaderBase):  # type: ignore[misc]  # its package has no types
        format = "SIMSC_SNAPSHOTS"
        units: ClassVar = {"time": "ps", "length": "Angstrom"}

        def __init__(self, filename: Any, **keywords: Any) -> None:
            super().__init__(str(filename), **keywords)
            self.n_frames = len(snapshots)
            self.n_atoms = len(universe.atoms)
            self.ts = self._Timestep(self.n_atoms)
            self._read_frame(0)

        def _read_frame(self, frame: int) -> Any:
            if not 0 <= frame < self.n_frames:
                raise OSError(f"there are {self.n_frames} snapshots")
            try:
                with warnings.catch_warnings():
                    # Of a change in a later version that does not touch this: each file has one frame.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    reader = DCDReader(str(snapshots[frame]), convert_units=True)
                with reader:
                    if reader.n_atoms != self.n_atoms:
                        raise InputError(f"{snapshots[frame]}: has {reader.n_atoms} atoms, not {self.n_atoms}")
                    self.ts.positions = reader.ts.positions
                    self.ts.dimensions = reader.ts.dimensions
                    self.ts.time = reader.ts.time
            except OSError as error:
                raise InputError(f"{snapshots[frame]}: cannot be read ({error})") from None
            self.ts.frame = frame
            return self.ts

        def _read_next_timestep(self, ts: Any = None) -> Any:
            if self.ts.frame + 1 >= self.n_frames:
                raise OSError  # which is how MDAnalysis learns of the end
            return self._read_frame(self.ts.frame + 1)

        def _reopen(self) -> None:
            self.ts.frame = -1

        def close(self) -> None:
            """Nothing is open."""

    universe.trajectory = Snapshots(snapshots[0].parent)


def _name_beads(universe: Any, folder: Path) -> None:
    data = folder / DATA
    try:
        with data.open(encoding="utf-8", errors="replace") as file:
            words = file.readline().replace(",", " ").split()
    except OSError as error:
        raise InputError(f"{data}: {error.strerror}") from None
    kinds = load_chains(words[1]).kinds if len(words) > 1 and words[1] in chain_names() else ()
    names = np.array(["CENTRE", "HEAD", *(kind.upper() for kind in kinds)], dtype=object)
    if max(map(int, universe.atoms.types)) > len(names):
        raise InputError(f"{data}: its first line does not tell the force field, as simsc writes it")
    universe.add_TopologyAttr("names", names[[int(kind) - 1 for kind in universe.atoms.types]])
    residues = universe.residues
    universe.segments[0].segid = "NP1"
    for k in range(1, len(residues)):
        residues[k].segment = universe.add_Segment(segid=f"NP{k + 1}")


def _name_all_atoms(universe: Any, numbers: dict[str, Any]) -> None:
    atoms, residues = universe.atoms, universe.residues
    ligand_names = np.array(numbers["ligand"]["atoms"], dtype=object)
    if numbers["nanoparticles"][-1]["atoms"][1] != len(atoms):
        raise ValueError
    kinds = [numbers["atom_types"][int(kind) - 1] for kind in atoms.types]
    names = np.array([kind["name"] for kind in kinds], dtype=object)
    universe.add_TopologyAttr("elements", np.array([kind["element"] for kind in kinds], dtype=object))
    segment_of = np.empty(len(residues), dtype=int)
    resnames = np.full(len(residues), "LIG", dtype=object)
    # LAMMPS numbers molecules from 1 without gaps, and MDAnalysis orders residues by that number.
    for k, listed in enumerate(numbers["nanoparticles"]):
        (core, (first, last)) = listed["core"]["molecule"], listed["ligands"]["molecules"]
        segment_of[core - 1] = k
        segment_of[first - 1 : last] = k
        resnames[core - 1] = "CORE"
        first_atom, last_atom = listed["ligands"]["atoms"]
        names[first_atom - 1 : last_atom] = np.tile(ligand_names, listed["ligands"]["count"])
    universe.add_TopologyAttr("names", names)
    universe.add_TopologyAttr("resnames", resnames)
    universe.segments[0].segid = "NP1"  # all are in this one as read
    for k in range(1, len(numbers["nanoparticles"])):
        residues[segment_of == k].segments = universe.add_Segment(segid=f"NP{k + 1}")
