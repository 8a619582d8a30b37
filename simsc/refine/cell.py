"""The unit cell of a crystal from its correlation maps: six parameters, by a forward model or by the paper's metric."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simsc.core.cell import Cell
from simsc.core.centring import FACE_CENTRED
from simsc.core.close_packing import LAYER_SPACING
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.correlation.peaks import MOST_RESOLVED, cell_reflections
from simsc.io.adapters import Maps, as_cell, as_maps
from simsc.refine.fit import MISPLACED, fit
from simsc.refine.lattice import in_basis, nearest_basis, reduced_basis
from simsc.refine.mean import best_mean, only_map
from simsc.refine.model import FitData, Reflections, check_maps, check_reach, one_of_each_pair, prepare

_ONE_NP = np.zeros((1, 3))
_FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / np.sqrt(2)
_STEP, _BOUND, _MEAN_BOUND = 0.01, 0.3, 0.08  # of the strain
_NEAR, _MOST_OPERATIONS = 0.12, 48  # relative change of a metric, and size of the largest group
_AS_WELL = 1.1  # times what is not explained: a cubic pillar left 1.08, symmetries broken in two others 1.14 and 1.22
_SYSTEMS = {48: "cubic", 24: "hexagonal", 16: "tetragonal", 12: "trigonal", 8: "orthorhombic", 4: "monoclinic"}
_SHORTEST = 0.97  # of the mean spacing of pillars, that from the shortest 111


@dataclass(frozen=True, eq=False)
class CellFit:
    """A refined primitive cell.

    Args:
        cell: the cell in the basis that was asked for.
        covariance: (6, 6) of a, b, c, α, β, γ, nm and degrees, from the scatter of the residuals and from what
            the model misses; NaN for the metric of the paper, which has none.
        method: "forward" or "mean".
        score: forward: part of the weighted variance of the map that the model explains; mean: the mean CCF.
        width_inv_nm: standard deviation of a Bragg peak, nm⁻¹; None for the metric of the paper.
        mosaic_deg: standard deviation of orientations, degrees; None likewise.
    """

    cell: Cell
    covariance: np.ndarray
    method: str
    score: float
    width_inv_nm: float | None = None
    mosaic_deg: float | None = None

    def __repr__(self) -> str:
        """Return the parameters with their standard errors, as notebooks show it."""
        names, units = ("a", "b", "c", "α", "β", "γ"), (*[" nm"] * 3, *["°"] * 3)
        values = zip(names, self.parameters, self.standard_errors, units, strict=True)
        text = ", ".join(
            f"{name} {value:.4g}{'' if np.isnan(error) else f' ± {error:.2g}'}{unit}"
            for name, value, error, unit in values
        )
        return f"CellFit({text}, {self.method}, score {self.score:.3f})"

    @property
    def parameters(self) -> np.ndarray:
        """(6,) a, b, c, nm, and α, β, γ, degrees."""
        return self.cell.parameters

    @property
    def standard_errors(self) -> np.ndarray:
        """(6,) standard errors of the parameters, nm and degrees."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def reduced(self) -> tuple[np.ndarray, np.ndarray]:
        """Parameters (6,) of the Niggli-reduced cell and their standard errors (6,)."""
        return self.in_basis(reduced_basis(self.cell))

    def face_centred(self, order: str = "abc") -> tuple[np.ndarray, np.ndarray]:
        """Return parameters (6,) of the face-centred cell and their standard errors (6,).

        Args:
            order: which of a = −p1 + p2 + p3, b = p1 − p2 + p3 and c = p1 + p2 − p3 come first, second and third: in
                Table 1 of Lapkin et al. "cab" for pillars 1 and 3 and "bac" for pillar 2.

        Raises:
            InputError: for another order.
        """
        if sorted(order) != ["a", "b", "c"]:
            raise InputError(f"the order of face-centred edges is one of a, b and c each, such as cab, got {order!r}")
        return self.in_basis(FACE_CENTRED[["abc".index(edge) for edge in order]])

    def in_basis(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return parameters (6,) and standard errors (6,) for the cell `matrix @ vectors`."""
        parameters, covariance = in_basis(self.cell, self.covariance, matrix)
        return parameters, np.sqrt(np.diag(covariance))


def refine_cell(
    maps: Maps,
    method: Literal["forward", "mean"] = "forward",
    reference: Cell | Sequence[float] | None = None,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
    starts: int = 24,
    seed: int = 1,
    misplaced: float = MISPLACED,
) -> CellFit:
    """Refine the primitive cell of a crystal with one NP in it.

    Args:
        maps: one correlation map or its file, or several with different q1, which constrain the cell better. The first
            sphere of each has to pass through a reflection: the first bright peak, or for the paper's metric 100.
        method: "forward" fits peaks of all pairs of reflections (`simsc.refine.model`); "mean" maximises the mean CCF
            at the expected positions, as Lapkin et al. do.
        reference: cell to start from (or edges a, b, c, nm, and angles α, β, γ, degrees); the result is given in the
            basis that is nearest to it. Default: the primitive cell of fcc with 111 near the smallest q1.
        radius_nm: mean core radius, nm; small crystals need it, since the slope of the form factor shifts wide peaks.
        radius_std_nm: its standard deviation, nm.
        starts: how many strained cells to start from.
        seed: of the starts.
        misplaced: apparent displacement of each reflection, in widths of a peak, since peaks have not quite the shape
            of the model; it enters the covariance. The default was measured on simulated pillars, for
            which errors are then as large as their standard errors; 0 for the scatter of the residuals alone.

    Raises:
        InputError: for an unknown method, maps that leave nothing to fit, a negative `misplaced`, or if nothing fits.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> from simsc.correlation.maps import correlation_map
        >>> crystal, q2_inv_nm = ball("fcc", 16.0, n=201, radius_nm=7.4), np.linspace(0.4, 0.9, 26)
        >>> found = refine_cell(correlation_map(crystal, 0.48, q2_inv_nm, n_delta=181), radius_nm=7.4, starts=1)
        >>> bool(np.abs(found.parameters - [16, 16, 16, 60, 60, 60]).max() < 2.0)
        True
    """
    maps = as_maps(maps)
    check_maps(maps, method)
    if not 0 <= misplaced < np.inf:
        raise InputError(f"misplaced must be zero or positive (widths of a peak), got {misplaced:g}")
    # Of a distorted cell, the shortest of the 111 reflections is the first bright peak.
    d_nn_nm = _SHORTEST * 2 * np.pi / (LAYER_SPACING * min(float(one.q1_inv_nm) for one in maps))
    start = as_cell(reference) or Cell(d_nn_nm * _FCC)
    reflections, _, _ = cell_reflections(start, _ONE_NP, 2 * float(max(one.q1_inv_nm for one in maps)))
    if len(reflections) > MOST_RESOLVED:
        raise InputError(
            f"a cell of {start.volume_nm3:.4g} nm³ has {len(reflections)} reflections in a map of this q1; "
            "edges are nm, of a primitive cell"
        )
    check_reach(maps, reflections)
    if method == "mean":
        return _by_mean(maps, start, seed)
    data = [prepare(one, radius_nm, radius_std_nm) for one in maps]

    def crystal(strain: np.ndarray, largest: float, _: float) -> Reflections:
        return _reflections(_strained(start, strain), largest)

    found = fit(data, crystal, _starts(starts, seed), _STEP, _BOUND, misplaced)
    cell = _strained(start, found.shape)
    jacobian = _central_difference(lambda strain: _strained(start, strain).parameters, found.shape)
    own = CellFit(
        cell, jacobian @ found.covariance @ jacobian.T, method, found.explained, found.width_inv_nm, found.mosaic_deg
    )
    return _like(own, start)


def more_symmetric(
    found: CellFit,
    maps: Maps,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
) -> tuple[str, CellFit] | None:
    """Refine a cell again with symmetries that it nearly has, to see whether they are broken at all.

    A small distortion of a symmetric lattice changes its map in second order only, and what the model misses of the
    shape of peaks can pass for one: parameters may then be off by several of their standard errors.

    Args:
        found: of `refine_cell` by the method "forward".
        maps: those that it was refined from.
        radius_nm: as there.
        radius_std_nm: as there.

    Returns:
        Lattice system and fit of the highest symmetry that leaves at most a tenth more unexplained, without errors, as
        nobody has compared those of constrained fits with the truth. None if there is none but inversion.

    Raises:
        InputError: if nothing fits.
    """
    data = [prepare(one, radius_nm, radius_std_nm) for one in as_maps(maps)]
    matrix = reduced_basis(found.cell)
    for group in reversed(_near_symmetries(matrix @ found.cell.vectors_nm)):
        if (system := _SYSTEMS.get(len(group))) is not None:
            own = _with_symmetry(found, matrix, group, data)
            if 1 - own.score < _AS_WELL * (1 - found.score):
                return system, own
    return None


def _with_symmetry(found: CellFit, matrix: np.ndarray, group: np.ndarray, data: Sequence[FitData]) -> CellFit:
    """Return the fit whose reduced cell, `matrix` times the one found, keeps a group of integer matrices (n, 3, 3)."""
    vectors = matrix @ found.cell.vectors_nm
    vectors = np.linalg.cholesky(np.mean([m @ vectors @ vectors.T @ m.T for m in group], axis=0))
    turns = np.linalg.inv(vectors) @ group @ vectors
    # Strains that all operations leave alone, as rows of xx, yy, zz, yz, xz, xy.
    tensors = [np.mean([turn.T @ _tensor(strain) @ turn for turn in turns], axis=0) for strain in np.eye(6)]
    averaged = np.array([[e[0, 0], e[1, 1], e[2, 2], e[1, 2], e[0, 2], e[0, 1]] for e in tensors])
    _, sizes, rows = np.linalg.svd(averaged)
    strains = rows[sizes > 1e-6]

    def cell(shape: np.ndarray) -> Cell:
        return Cell(np.linalg.inv(matrix) @ vectors @ (np.eye(3) + _tensor(shape @ strains)))

    def crystal(shape: np.ndarray, largest: float, _: float) -> Reflections:
        return _reflections(cell(shape), largest)

    own = fit(data, crystal, np.zeros((1, len(strains))), _STEP, _BOUND)
    unknown = np.full((6, 6), np.nan)
    return CellFit(cell(own.shape), unknown, found.method, own.explained, own.width_inv_nm, own.mosaic_deg)


def _near_symmetries(vectors: np.ndarray) -> list[np.ndarray]:
    """Return ever larger groups of integer matrices (n, 3, 3) that nearly leave the metric of a reduced cell alone.

    Matrices join in the order of what they change, each with all that follows from it.
    """
    every = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    every = every[np.abs(np.round(np.linalg.det(every))) == 1]
    metric = vectors @ vectors.T
    lengths = np.sqrt(np.diag(metric))
    change = (np.abs(every @ metric @ every.transpose(0, 2, 1) - metric) / np.outer(lengths, lengths)).max(axis=(1, 2))
    near = {every[k].tobytes() for k in np.flatnonzero(change < _NEAR)}
    group, groups = {np.eye(3, dtype=every.dtype).tobytes()}, []
    for k in np.argsort(change, kind="stable")[: len(near)]:
        if every[k].tobytes() in group:
            continue
        grown, last = group | {every[k].tobytes()}, group
        while grown != last and len(grown) <= _MOST_OPERATIONS and grown <= near:
            members = [np.frombuffer(one, dtype=every.dtype).reshape(3, 3) for one in grown]
            last, grown = grown, grown | {(m @ n).tobytes() for m in members for n in members}
        if grown == last:
            group = grown
            groups.append(np.array([np.frombuffer(one, dtype=every.dtype).reshape(3, 3) for one in sorted(group)]))
    return groups


def _by_mean(maps: Sequence[CorrelationMap], reference: Cell, seed: int) -> CellFit:
    correlation = only_map(maps)
    largest = correlation.q2_inv_nm[-1]

    def positions(strain: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        cell = _strained(reference, strain)
        g, _, _ = cell_reflections(cell, _ONE_NP, largest)
        g1 = 2 * np.pi * np.linalg.inv(cell.vectors_nm)[:, 0]
        length, first = np.linalg.norm(g, axis=1), float(np.linalg.norm(g1))
        return first, length, np.degrees(np.arccos(np.clip(g @ g1 / (length * first), -1, 1)))

    shape, score = best_mean(correlation, positions, 6, _MEAN_BOUND, seed)
    return _like(CellFit(_strained(reference, shape), np.full((6, 6), np.nan), "mean", score), reference)


def _strained(cell: Cell, strain: np.ndarray) -> Cell:
    return Cell(cell.vectors_nm @ (np.eye(3) + _tensor(strain)))


def _reflections(cell: Cell, largest_inv_nm: float) -> Reflections:
    g, hkl, strength = cell_reflections(cell, _ONE_NP, largest_inv_nm)
    return Reflections(g, strength, np.zeros(len(g), dtype=int), one_of_each_pair(hkl))


def _tensor(strain: np.ndarray) -> np.ndarray:
    xx, yy, zz, yz, xz, xy = strain
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _starts(number: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    strains = rng.normal(scale=0.04, size=(number, 6)) * np.repeat([1.0, 0.5], 3)
    strains[:, :3] += rng.normal(scale=0.03, size=(number, 1))
    strains[0] = 0
    return strains


def _central_difference(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    steps = 1e-5 * np.eye(len(at))
    return np.array([(function(at + step) - function(at - step)) / 2e-5 for step in steps]).T


def _like(fit: CellFit, reference: Cell) -> CellFit:
    """Return the fit in the basis nearest to a reference."""
    matrix = nearest_basis(fit.cell, reference)
    _, covariance = in_basis(fit.cell, fit.covariance, matrix)
    return replace(fit, cell=Cell(matrix @ fit.cell.vectors_nm), covariance=covariance)
