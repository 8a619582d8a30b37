"""Which structure a correlation map comes from: candidates ranked by likelihood, under the mask of the map.

Each candidate is drawn several times, with what is random in it (stacking, radii, thermal motion) and in any
orientation, and correlated at the same momentum transfers, under the same mask. With the mean m and the variance s² of
these maps, the map is taken as

    C(q2, Δ) = a exp(−w q2²) m(q2, Δ) + b(q2) + noise of variance v + s² + τ² + (γ a m)²,

where v is the variance that the map brings along; a, w and b take up how much of the intensity is coherent, and τ and
γ what the candidates do not describe: all are adjusted to the map for each candidate. Neighbouring values of a map are
not independent: their number is taken as that of resolution elements of a crystal of the size given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import lsq_linear, minimize
from scipy.spatial.transform import Rotation

from simsc.builders.close_packed import random_stacking
from simsc.builders.defects import with_displacements
from simsc.builders.finite_crystal import with_normal_radii
from simsc.builders.supraparticle import (
    ball,
    decahedron,
    icosahedron,
    layers_of_ball,
)
from simsc.core.cell import Cell
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.mask import Mask, mask_of_file, masked
from simsc.correlation.shells import shells_of_crystal
from simsc.io.adapters import as_maps

Draw = Callable[[float, float, np.random.Generator], Superlattice]

_LEAST_DELTA_DEG = 15.0  # below it the map depends on the size of the crystal only
_FEWEST_POINTS = 50
_DISORDER = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # starts of γ
_RESAMPLES = 500


@dataclass(frozen=True)
class Candidate:
    """A structure that a map may come from.

    Args:
        name: of the structure.
        draw: makes one crystal in free space, given the nearest-neighbour distance, nm, the diameter, nm, and a source
            of chance.
        first: momentum transfers of the reflections that may be the first bright peak, in units of the one between
            close-packed layers, 2π / (√(2/3) d_NN).
    """

    name: str
    draw: Draw
    first: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Rank:
    """How well one candidate explains a map.

    Args:
        name: of the candidate.
        log_likelihood: less that of the best candidate; natural logarithm. As differences between crystals of one
            candidate are not independent from point to point, its exponential is no probability.
        stability: part of resamples of the map (by blocks of q2) in which this candidate is the best; of the best one
            it shows how decisive the ranking is.
        d_nn_nm: nearest-neighbour distance for which its first peak lies at q1, nm.
        correlation: coefficient between the map and the candidate's own, −1 … 1.
    """

    name: str
    log_likelihood: float
    stability: float
    d_nn_nm: float
    correlation: float

    def __repr__(self) -> str:
        """Return what it is in one line, as notebooks show it."""
        return (
            f"Rank({self.name}: ln likelihood {self.log_likelihood:.1f} relative to the best, best in "
            f"{self.stability:.0%} of resamples, d_NN {self.d_nn_nm:.4g} nm, correlation {self.correlation:.3f})"
        )


def rank_structures(
    correlation: CorrelationMap | str | Path,
    diameter_nm: float,
    radius_nm: float,
    radius_std_nm: float = 0.0,
    candidates: Candidate | str | Sequence[Candidate | str] | None = None,
    *,
    displacement: float = 0.03,
    draws: int = 4,
    mask: Mask | str | Path | None = None,
    seed: int = 0,
    threads: int = 0,
    on_candidate: Callable[[str, float], None] = lambda name, done: None,
) -> list[Rank]:
    """Rank candidates by how well they explain a correlation map.

        On one core, of a map of 4000 NPs: about 20 s a candidate.

    Args:
        correlation: map, or its file, with q1 at the first bright peak; its variance is used if it has one.
        diameter_nm: size of the crystal, nm, which sets the width of its peaks.
        radius_nm: mean core radius, nm.
        radius_std_nm: its standard deviation, nm.
        candidates: one or several, by the names that `CANDIDATES` has, or made by `crystal_candidate` or
            `cell_candidate`; None for all that have names.
        displacement: of the NPs from their sites along each axis, standard deviation in units of d_NN. Default 3 %.
        draws: crystals of each candidate, ≥ 2. Default 4.
        mask: which momentum transfers were measured, in the frame of the detector, or the file of the intensity that
            the map is of; None for all.
        seed: of the draws and resamples.
        threads: of the transforms; 0 takes all cores.
        on_candidate: progress: called before each candidate with its name and the part that is done, 0 … 1.

    Returns:
        Ranks, the best first.

    Raises:
        InputError: for an unknown candidate, numbers out of range, or a map with too few values to decide.

    Example:
        >>> from simsc.correlation.maps import correlation_map
        >>> crystal, q2_inv_nm = ball("fcc", 16.0, n=201, radius_nm=7.4), np.linspace(0.4, 0.9, 26)
        >>> seen = correlation_map(crystal, 0.48, q2_inv_nm, n_delta=181)
        >>> [rank.name for rank in rank_structures(seen, 100.0, 7.4, candidates=["hcp", "fcc"], draws=2)]
        ['fcc', 'hcp']
    """
    found = as_maps(correlation)
    if len(found) != 1:
        raise InputError(f"structures are ranked by one map, got {len(found)}")
    (correlation,) = found
    candidates = [candidates] if isinstance(candidates, str | Candidate) else candidates
    chosen = [candidate_named(one) if isinstance(one, str) else one for one in candidates or ()]
    candidates = list(CANDIDATES.values()) if candidates is None else chosen
    if isinstance(mask, str | Path):
        mask = mask_of_file(Path(mask))
    if not candidates:
        raise InputError("there is no candidate to rank")
    if draws < 2:
        raise InputError(f"at least 2 draws of each candidate are needed, got {draws}")
    if not (np.isfinite(diameter_nm) and diameter_nm > 0):
        raise InputError(f"the diameter of the crystal must be a positive number (nm), got {diameter_nm:g}")
    data = _Data.of(correlation, diameter_nm)
    fits: list[tuple[_Fit, float, str]] = []
    for k, candidate in enumerate(candidates):
        options = []
        for number, factor in enumerate(candidate.first):
            on_candidate(candidate.name, (k + number / len(candidate.first)) / len(candidates))
            d_nn_nm = factor * layer_momentum_transfer(1.0) / correlation.q1_inv_nm
            if 2 * radius_nm >= d_nn_nm:
                raise InputError(
                    f"cores of radius {radius_nm:g} nm overlap at d_NN = {d_nn_nm:.4g} nm, for which the first peak of "
                    f"{candidate.name} lies at q1 = {correlation.q1_inv_nm:g} nm⁻¹"
                )
            maps = []
            for draw in range(draws):
                rng = np.random.default_rng([seed, k, number, draw])
                crystal = candidate.draw(d_nn_nm, diameter_nm, rng)
                crystal = with_displacements(crystal, displacement * d_nn_nm, rng)
                crystal = with_normal_radii(crystal.rotated(Rotation.random(rng=rng)), radius_nm, radius_std_nm, rng)
                maps.append(data.of_crystal(crystal, mask, threads))
            options.append((_fitted(data, np.array(maps)), d_nn_nm, candidate.name))
        fits.append(max(options, key=lambda option: option[0].log_likelihood))
    likelihood = np.array([fit.log_likelihood for fit, _, _ in fits])
    relative = likelihood - likelihood.max()
    wins = _wins(np.array([fit.by_block for fit, _, _ in fits]), np.random.default_rng([seed, len(fits)]))
    ranks = [
        Rank(name, float(relative[k]), float(wins[k]), d_nn_nm, fit.correlation)
        for k, (fit, d_nn_nm, name) in enumerate(fits)
    ]
    return sorted(ranks, key=lambda rank: -rank.log_likelihood)


def candidate_named(name: str) -> Candidate:
    """Return a candidate by its name.

    Raises:
        InputError: if there is none of this name.
    """
    if name not in CANDIDATES:
        raise InputError(f"candidates: {name!r} is not known; available: {', '.join(CANDIDATES)}")
    return CANDIDATES[name]


def crystal_candidate(name: str, crystal: Superlattice, d_nn_nm: float, first_inv_nm: float) -> Candidate:
    """Make a candidate of any finite crystal, scaled so that a reflection of it lies at q1.

    Args:
        name: of the candidate.
        crystal: NPs in free space; the ball of the diameter asked for is cut out of it, if it is larger.
        d_nn_nm: its nearest-neighbour distance, nm.
        first_inv_nm: momentum transfer of its first bright peak, nm⁻¹.

    Raises:
        InputError: for a crystal in a cell, or numbers that are not positive.
    """
    if crystal.cell is not None:
        raise InputError(f"candidate {name!r} must be a finite crystal: take it out of its cell with in_free_space()")
    if not (d_nn_nm > 0 and first_inv_nm > 0):
        raise InputError(f"candidate {name!r} needs a positive distance (nm) and first peak (nm⁻¹)")
    positions = crystal.positions_nm - crystal.positions_nm.mean(axis=0)

    def draw(d: float, diameter_nm: float, rng: np.random.Generator) -> Superlattice:
        scaled = positions * (d / d_nn_nm)
        return Superlattice(scaled[np.linalg.norm(scaled, axis=1) <= diameter_nm / 2 * (1 + 1e-9)])

    return Candidate(name, draw, (first_inv_nm / layer_momentum_transfer(d_nn_nm),))


def cell_candidate(name: str, cell: Cell, d_nn_nm: float) -> Candidate:
    """Make a candidate of a ball of any primitive cell, one NP each; its shortest reflections may be the first peak.

    Args:
        name: of the candidate.
        cell: primitive cell.
        d_nn_nm: distance that stands for its size, nm, such as the mean of its twelve shortest.

    Raises:
        InputError: for a distance that is not positive.
    """
    if not d_nn_nm > 0:
        raise InputError(f"candidate {name!r} needs a positive distance (nm)")
    reciprocal = 2 * np.pi * np.linalg.inv(cell.vectors_nm).T
    hkl = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.unique(np.round(np.linalg.norm(hkl @ reciprocal, axis=1), 9))[1:]
    # The reflections that the four of fcc 111 have become; others are no first bright peak.
    factors = lengths[:4] / layer_momentum_transfer(d_nn_nm)

    def draw(d: float, diameter_nm: float, rng: np.random.Generator) -> Superlattice:
        vectors = cell.vectors_nm * (d / d_nn_nm)
        across = np.ceil(diameter_nm / Cell(vectors).perpendicular_widths_nm / 2).astype(int) + 1
        numbers = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in across), indexing="ij"), axis=-1)
        sites = (numbers.reshape(-1, 3) + rng.uniform(-0.5, 0.5, 3)) @ vectors
        return Superlattice(sites[np.linalg.norm(sites, axis=1) <= diameter_nm / 2])

    return Candidate(name, draw, tuple(float(factor) for factor in factors))


def stacked_candidate(name: str, alpha: float) -> Candidate:
    """Make a candidate of a ball whose layers are fcc-like with a probability α: 1 fcc, 0 hcp, between random hcp."""

    def draw(d: float, diameter_nm: float, rng: np.random.Generator) -> Superlattice:
        layers = random_stacking(layers_of_ball(d, diameter_nm), alpha, rng)
        offset = rng.uniform(-0.5, 0.5, 3) * d
        return ball(layers, d, diameter_nm, centre=(float(offset[0]), float(offset[1]), float(offset[2])))

    return Candidate(name, draw, (1.0,) if alpha >= 0.5 else (1.0, _HCP_100, _HCP_101))


def _icosahedral(d: float, diameter_nm: float, rng: np.random.Generator, core: float) -> Superlattice:
    """Return a ball cut out of an icosahedron whose Mackay core has a part of its radius; 1 is Mackay alone."""
    shells = diameter_nm / d / 2
    # The corners of the faces lie at `order`, their middles at 0.79 of it; the anti-Mackay layers go on from there.
    order = max(2, round(core * shells)) if core < 1 else int(np.ceil(shells / 0.79)) + 1
    layers = 0 if core >= 1 else min(order, int(np.ceil(shells - 0.79 * order)) + 1)
    return icosahedron(order, d, layers, diameter_nm)


def _decahedral(d: float, diameter_nm: float, rng: np.random.Generator) -> Superlattice:
    across = int(np.ceil(diameter_nm / d))
    return decahedron(across, across, d, diameter_nm=diameter_nm)


def _bcc(d: float, diameter_nm: float, rng: np.random.Generator) -> Superlattice:
    return cell_candidate("bcc", Cell(d / np.sqrt(3) * np.array([[-1.0, 1, 1], [1, -1, 1], [1, 1, -1]])), d).draw(
        d, diameter_nm, rng
    )


_HCP_100 = float(4 / np.sqrt(3) * np.sqrt(2 / 3) / 2)
_HCP_101 = float(np.sqrt(_HCP_100**2 + 0.25))

CANDIDATES: Mapping[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        stacked_candidate("fcc", 1.0),
        stacked_candidate("r-hcp 0.75", 0.75),
        stacked_candidate("r-hcp 0.5", 0.5),
        stacked_candidate("r-hcp 0.25", 0.25),
        stacked_candidate("hcp", 0.0),
        Candidate("bcc", _bcc),
        Candidate("Mackay", lambda d, diameter_nm, rng: _icosahedral(d, diameter_nm, rng, 1.0)),
        Candidate("anti-Mackay", lambda d, diameter_nm, rng: _icosahedral(d, diameter_nm, rng, 0.6)),
        Candidate("decahedron", _decahedral),
    )
}


@dataclass(frozen=True, eq=False)
class _Data:
    """What of a map is compared: half of it (Friedel), resolution elements, blocks of q2."""

    q1_inv_nm: float
    q2_inv_nm: np.ndarray
    delta_deg: np.ndarray
    ccf: np.ndarray
    variance: np.ndarray
    known: np.ndarray
    independent: np.ndarray
    blocks: np.ndarray
    bin_deg: float

    @classmethod
    def of(cls, correlation: CorrelationMap, diameter_nm: float) -> "_Data":
        inside = (correlation.delta_deg >= _LEAST_DELTA_DEG) & (correlation.delta_deg <= 90 + 1e-9)
        ccf = correlation.ccf[:, inside]
        variance = np.zeros_like(ccf) if correlation.variance is None else correlation.variance[:, inside]
        known = np.isfinite(ccf) & np.isfinite(variance)
        if known.sum() < _FEWEST_POINTS:
            raise InputError(
                f"the map has {int(known.sum())} measured values between {_LEAST_DELTA_DEG:g}° and 90°: at least "
                f"{_FEWEST_POINTS} are needed to tell structures apart"
            )
        q2, delta = correlation.q2_inv_nm, correlation.delta_deg[inside]
        # A crystal of diameter D has features as fine as π / (q D) in angle and 2π / D in q.
        angle_deg = np.degrees(np.pi / (np.minimum(q2, correlation.q1_inv_nm) * diameter_nm))
        per_row = np.minimum(np.ptp(delta) / angle_deg, len(delta)) / len(delta)
        width = 2 * np.pi / diameter_nm
        rows = min(np.ptp(q2) / width + 1, len(q2)) / len(q2)
        independent = np.broadcast_to(per_row[:, None] * rows, ccf.shape)
        blocks = ((q2 - q2[0]) / width).astype(int)
        return cls(correlation.q1_inv_nm, q2, delta, ccf, variance, known, independent, blocks, correlation.bin_deg)

    def of_crystal(self, crystal: Superlattice, mask: Mask | None, threads: int) -> np.ndarray:
        """Return the values (n_q2, n_delta) of a crystal under a mask."""
        first, second = shells_of_crystal([crystal], self.q1_inv_nm, self.q2_inv_nm, 1e-5, threads)
        if mask is None:
            return correlate(first, second, self.delta_deg, threads, bin_deg=self.bin_deg).ccf
        shells = (masked(shell, mask) for shell in second)
        return correlate(masked(first, mask), shells, self.delta_deg, threads, bin_deg=self.bin_deg).ccf


@dataclass(frozen=True, eq=False)
class _Fit:
    log_likelihood: float
    by_block: np.ndarray  # its parts by blocks of q2
    correlation: float


def _fitted(data: _Data, maps: np.ndarray) -> _Fit:
    """Fit the amplitude, its decay, the offsets and what is not described, by maximum likelihood."""
    known = data.known & np.isfinite(maps).all(axis=0)
    mean, spread = maps.mean(axis=0), maps.var(axis=0, ddof=1) * (1 + 1 / len(maps))
    rows, _ = np.nonzero(known)
    values, model, noise = data.ccf[known], mean[known], data.variance[known]
    spread, weight, q2 = spread[known], data.independent[known], data.q2_inv_nm[rows]
    n_rows = len(data.q2_inv_nm)

    def residual(a: float, decay: float, variance: np.ndarray) -> np.ndarray:
        difference = values - a * np.exp(-decay * q2**2) * model
        sums = np.bincount(rows, difference / variance, n_rows), np.bincount(rows, 1 / variance, n_rows)
        return difference - (sums[0] / np.maximum(sums[1], 1e-300))[rows]

    scale = float(np.std(values)) or 1.0
    start = lsq_linear(model[:, None], values, bounds=(0, np.inf)).x[0]

    def parts(parameters: np.ndarray) -> np.ndarray:
        """Return −log likelihood of each point."""
        log_a, decay, log_tau, gamma = parameters
        a = np.exp(log_a)
        variance = noise + a**2 * spread + np.exp(2 * log_tau) + (gamma * a * model) ** 2
        return 0.5 * weight * (residual(a, decay, variance) ** 2 / variance + np.log(variance / scale**2))

    best = None
    for gamma in _DISORDER:
        x0 = np.array([np.log(max(start, 0.05)), 0.0, np.log(0.3 * scale), gamma])
        found = minimize(
            lambda x: float(parts(x).sum()),
            x0,
            method="Nelder-Mead",
            options={"maxiter": 600, "xatol": 1e-3, "fatol": 1e-2},
        )
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    by_block = -np.bincount(data.blocks[rows], parts(best.x), data.blocks.max() + 1)
    predicted = np.exp(best.x[0] - best.x[1] * q2**2) * model
    return _Fit(-float(best.fun), by_block, float(np.corrcoef(values, predicted)[0, 1]))


def _wins(by_block: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how often each candidate (K,) is the best when blocks of q2, (K, B), are drawn again."""
    n = by_block.shape[1]
    counts = rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    best = (by_block @ counts.T).argmax(axis=0)
    return np.bincount(best, minlength=len(by_block)) / _RESAMPLES
