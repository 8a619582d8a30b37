"""From atoms to nanoparticles: which atoms make an NP, and where its centre is, across periodic boundaries too."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simsc.core.cell import Cell
from simsc.core.errors import InputError, SimscWarning

Kind = Literal["site", "molecule", "residue", "segment"]
_HALF = 0.5  # of the cell: narrower groups have one way only to be whole
_CLEAR = 2.0  # times the widest hole within a wider group, for what is outside of it


@dataclass(frozen=True, eq=False)
class AtomTable:
    """What a file tells about its atoms.

    Args:
        types: (n,) names or numbers of their types; None where unknown.
        masses: (n,) in any unit; None where unknown.
        molecules: (n,) number of the molecule of each; None where unknown, negative for none.
        elements: (n,) symbols of elements; None where unknown.
        ids: (n,) numbers of the atoms; None for 1, 2, 3, …
    """

    types: np.ndarray | None = None
    masses: np.ndarray | None = None
    molecules: np.ndarray | None = None
    elements: np.ndarray | None = None
    ids: np.ndarray | None = None

    def universe(self, positions: np.ndarray) -> Any:
        """Return an `MDAnalysis.Universe` of these atoms, at some positions (n, 3); a molecule is a residue."""
        import MDAnalysis  # its import takes a second

        n = len(positions)
        molecules = np.zeros(n, dtype=int) if self.molecules is None else self.molecules
        numbers, residues = np.unique(molecules, return_inverse=True)
        universe = MDAnalysis.Universe.empty(
            n, n_residues=len(numbers), atom_resindex=residues, residue_segindex=[0] * len(numbers), trajectory=True
        )
        if self.types is not None:
            for attribute in ("types", "names"):
                universe.add_TopologyAttr(attribute, self.types.astype(str).astype(object))
        universe.add_TopologyAttr("ids", np.arange(1, n + 1) if self.ids is None else self.ids)
        if self.molecules is not None:
            universe.add_TopologyAttr("resids", numbers)
        if self.masses is not None:
            universe.add_TopologyAttr("masses", self.masses)
        if self.elements is not None:
            universe.add_TopologyAttr("elements", self.elements.astype(object))
        universe.atoms.positions = positions
        return universe


@dataclass(frozen=True, eq=False)
class Centres:
    """Which atoms make which NP.

    Args:
        atoms: (m,) numbers of the atoms that count, from 0.
        groups: (m,) number of the NP that each belongs to; None if each atom is one.
        names: what each NP is in the file, as "molecule 7".
        weights: (m,) masses, or ones.
    """

    atoms: np.ndarray
    groups: np.ndarray | None
    names: tuple[str, ...]
    weights: np.ndarray

    def __call__(self, positions: np.ndarray, cell: Cell | None) -> np.ndarray:
        """Return the centres of the NPs, from the positions (n, 3) of all atoms.

        Raises:
            InputError: as in `group_centres`.
        """
        chosen = positions[self.atoms]
        return chosen if self.groups is None else group_centres(chosen, self.groups, self.weights, cell, self.names)


def choose_centres(atoms: Any, selection: str | None, kind: Kind) -> Centres:
    """Choose the atoms that make nanoparticles, and put together what belongs to one.

    Args:
        atoms: an `AtomTable` with its positions, as a pair, or an `MDAnalysis.Universe` or `AtomGroup`.
        selection: in MDAnalysis's language, such as "type 1" or "resname CORE"; None takes all. What it says about
            places holds for the frame that is read.
        kind: what is one NP: a "site" (each atom), "molecule", "residue" or "segment".

    Raises:
        InputError: if nothing is selected, the selection cannot be understood, or the file knows no such groups.
    """
    table = atoms[0] if isinstance(atoms, tuple) else None
    if kind == "site" and selection is None:
        everyone: np.ndarray = atoms.atoms.indices if table is None else np.arange(len(atoms[1]))
        return Centres(everyone, None, (), np.ones(len(everyone)))
    universe = atoms if table is None else table.universe(atoms[1])
    chosen = _selected(universe, selection)
    if kind == "site":
        return Centres(chosen.indices, None, (), np.ones(len(chosen)))
    found, name = _by_topology(universe, chosen, kind) if table is None else _by_table(table, chosen, kind)
    numbers, groups = np.unique(found, return_inverse=True)
    return Centres(chosen.indices, groups, tuple(name(number) for number in numbers), _weights(chosen))


def group_centres(
    positions: np.ndarray, groups: np.ndarray, weights: np.ndarray, cell: Cell | None, names: tuple[str, ...] = ()
) -> np.ndarray:
    """Return the weighted centres of groups of atoms, each made whole across the periodic boundaries first.

    Along each periodic vector of the cell a group lies on a circle. It is opened where the widest stretch without an
    atom is, which is right for every group that is narrower than half the cell, whatever its angles; and for wider
    ones as long as nothing within the group is nearly as empty as what is outside of it.

    Args:
        positions: (m, 3) in the unit of the cell, wrapped into it or not.
        groups: (m,) number of each atom's group; 0 … G − 1, each at least once.
        weights: (m,) positive.
        cell: the cell; None for free space.
        names: what to call the groups in an error.

    Returns:
        (G, 3) centres, each near its atoms or an image of them.

    Raises:
        InputError: for a group that could be whole in more than one way.

    Example:
        >>> cell = Cell.orthorhombic(10.0, 10.0, 10.0)
        >>> group_centres(np.array([[9.5, 1, 1], [0.5, 1, 1]]), np.array([0, 0]), np.ones(2), cell).round(9)
        array([[10.,  1.,  1.]])
    """
    if cell is not None and cell.periodic.any():
        within = cell.fractional(positions)
        for axis in np.flatnonzero(cell.periodic):
            start, span, hole = _arcs(within[:, axis] % 1.0, groups)
            unclear = (span >= _HALF) & (1 - span < _CLEAR * hole)
            if unclear.any():
                worst = int(np.flatnonzero(unclear)[0])
                name = names[worst] if names else f"group {worst}"
                raise InputError(
                    f"{name}: is wider than half the cell along {'abc'[axis]}, and cannot be made whole; select fewer "
                    "of its atoms, such as those of its core"
                )
            # Just below the start is where a rounding error takes an atom that lies upon it.
            within[:, axis] = (within[:, axis] - start[groups] + 1e-9) % 1.0 - 1e-9 + start[groups]
        positions = within @ cell.vectors_nm
    total = np.bincount(groups, weights)
    return np.stack([np.bincount(groups, weights * x) / total for x in positions.T], axis=1)


def _arcs(places: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each group begins on a circle of length 1, how long it is, and the widest hole within."""
    order = np.lexsort((places, groups))
    ordered, of = places[order], groups[order]
    first = np.flatnonzero(np.diff(of, prepend=-1))
    last = np.append(first[1:], len(of)) - 1
    gaps = np.empty(len(of))  # from each atom to the next of its group
    gaps[:-1] = ordered[1:] - ordered[:-1]
    gaps[last] = ordered[first] + 1 - ordered[last]
    by_gap = np.lexsort((gaps, of))
    widest = by_gap[last]
    following = np.where(widest == last, first, widest + 1)
    second = np.where(last > first, gaps[by_gap[np.maximum(last - 1, first)]], 0.0)
    return ordered[following], 1 - gaps[widest], second


def _selected(universe: Any, selection: str | None) -> Any:
    if selection is None:
        return universe.atoms
    from MDAnalysis.exceptions import NoDataError, SelectionError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = universe.select_atoms(selection)
    except (NoDataError, AttributeError) as error:
        raise InputError(f"--select {selection!r}: the file does not tell that of its atoms ({_line(error)})") from None
    except (SelectionError, ValueError, TypeError) as error:
        raise InputError(f"--select {selection!r}: {_line(error)}") from None
    if len(chosen) == 0:
        raise InputError(f"--select {selection!r}: matches none of {len(universe.atoms)} atoms")
    return chosen


def _by_table(table: AtomTable, chosen: Any, kind: Kind) -> tuple[np.ndarray, Callable[[int], str]]:
    """Return the number of each chosen atom's group, and what to call a number."""
    if kind == "segment":
        raise InputError("--centres segment: the file knows no segments; give --topology, or --centres molecule")
    if table.molecules is None:
        raise InputError(f"--centres {kind}: the file has no molecule numbers; give --topology, or --centres site")
    found = table.molecules[chosen.indices]
    if (found < 0).any():
        raise InputError(f"--centres {kind}: some atoms belong to no molecule; leave them out with --select")
    return found, lambda number: f"molecule {number}"


def _by_topology(universe: Any, chosen: Any, kind: Kind) -> tuple[np.ndarray, Callable[[int], str]]:
    if kind == "segment":
        return chosen.segindices, lambda k: f"segment {getattr(chosen.universe.segments[k], 'segid', k)}"
    if kind == "residue":
        return chosen.resindices, lambda k: f"residue {getattr(chosen.universe.residues[k], 'resid', k)}"
    if hasattr(chosen, "molnums"):
        return chosen.molnums, lambda k: f"molecule {k + 1}"
    if len(getattr(chosen.universe, "bonds", ())):
        return chosen.fragindices, lambda k: f"molecule {k + 1}"
    raise InputError(
        "--centres molecule: the topology has neither molecule numbers nor bonds; take --centres residue or segment"
    )


def _weights(chosen: Any) -> np.ndarray:
    masses = getattr(chosen, "masses", None)
    if masses is None or not (np.isfinite(masses).all() and (masses > 0).all()):
        warnings.warn("no masses of all the atoms are known: centres are geometric", SimscWarning, stacklevel=2)
        return np.ones(len(chosen))
    return np.asarray(masses, dtype=float)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
