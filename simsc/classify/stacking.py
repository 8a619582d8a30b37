"""The stacking sequence, read back from NP centres.

The stacking axis is the direction in which the centres scatter most at the layer spacing. Within the layers, the
reflections with |G| = 4π/d do not depend on the stacking and give the hexagonal net, of a sheared crystal too. From
one layer to the next the phase of the stacking-dependent reflections then steps by +2π/3 or −2π/3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simsc.classify.neighbours import given_or_estimated_d_nn_nm, nearest_neighbours
from simsc.core.cell import Cell
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.directions import fibonacci_sphere
from simsc.core.errors import InputError
from simsc.core.stacking import layer_kinds, lettered
from simsc.core.superlattice import Superlattice
from simsc.io.adapters import Structure, as_superlattice
from simsc.scattering.rods import LayerFrame

_DIRECTIONS = 20_000  # half of them used: 1.3° apart
_SEARCH_NPS = 600  # enough to find the axis; all NPs refine it
_LAYERED = 0.3  # scattered strength above which the faces of a cell may be layers; thermal motion lowers it from 1
_SPACING_TOLERANCE = 0.15
_LEAN = 0.2  # of a reflection out of the layers, in units of its length; shear by more is no longer close packing
_NET_TOLERANCE_DEG = 8.0
_FEWEST_IN_LAYER = 3
_SMALL = 200.0  # d³: volume of a cell whose reciprocal vectors are looked through one by one
_WIDTHS = 3.0  # of a replicated cell, in units of d, so that the net is resolved
_PRIOR_STEPS = 4  # how many measured steps what the amplitudes lead to expect counts for
_ROUNDING = 1e-6
_ON_TOP = 4.0  # log-likelihood that two layers sit on top of one another, above which this is no close packing


@dataclass(frozen=True, eq=False)
class Stacking:
    """A stacking sequence.

    Args:
        sequence: one letter a layer along the axis; the first layer is A, the first other one B. Where it repeats,
            it begins with its longest run of fcc, as in "ABCABCABABAB", wherever the crystal has drifted to.
        axis: (3,) unit vector normal to the layers.
        steps: +1 or −1 from each layer to the next; where the sequence repeats the last one leads back to the first.
        layers: (N,) number of each NP's layer within the sequence; −1 for the few beyond the first and the last layer.
        probability: of each step, between 0.5 (it could as well go the other way) and 1.
        periodic: whether the sequence repeats.
    """

    sequence: str
    axis: np.ndarray
    steps: np.ndarray
    layers: np.ndarray
    probability: np.ndarray
    periodic: bool

    def __repr__(self) -> str:
        """Return the sequence, and whether it repeats, as notebooks show it."""
        return f"Stacking({self.sequence!r}, {'periodic' if self.periodic else 'finite'})"

    @property
    def kinds(self) -> str:
        """A letter a layer: "h" hcp-like, "c" fcc-like, "-" at an end."""
        return layer_kinds(self.sequence, self.periodic)

    @property
    def kind_probability(self) -> np.ndarray:
        """(L,) probability that each layer is fcc-like or hcp-like as the sequence says; NaN for layers at an end."""
        before = np.roll(self.probability, 1) if self.periodic else np.concatenate([[np.nan], self.probability])
        after = self.probability if self.periodic else np.concatenate([self.probability, [np.nan]])
        return before * after + (1 - before) * (1 - after)


def stacking_sequence(structure: Structure, d_nn_nm: float | None = None) -> Stacking | None:
    """Read the stacking sequence of a close-packed superlattice.

    Args:
        structure: periodic in all directions, or a finite crystal in free space: a superlattice, or what
            `simsc.io.adapters.as_superlattice` takes.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Returns:
        The stacking, or None where the NPs do not form close-packed layers.

    Raises:
        InputError: for fewer than 13 NPs in free space, or a distance that neighbours do not have.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> stacking_sequence(close_packed("ABCABCABABAB", 6.2)).sequence
        'ABCABCABABAB'
    """
    superlattice = as_superlattice(structure)
    d = given_or_estimated_d_nn_nm(d_nn_nm, nearest_neighbours(superlattice))
    if superlattice.cell is None or not superlattice.cell.periodic.all():
        axis_q = _brightest_axis(superlattice.positions_nm, d)
        reflections = _stacking_reflections(superlattice.positions_nm, axis_q, d)
        return None if reflections is None else _read_finite(superlattice.positions_nm, axis_q, reflections)
    cell = superlattice.cell
    wrapped = Superlattice(cell.wrap(superlattice.positions_nm), cell=cell)
    widths = cell.perpendicular_widths_nm
    positions = wrapped.replicate(np.ceil(np.maximum(_WIDTHS * d / widths, 1)).astype(int).tolist()).positions_nm
    # Cubic stackings scatter alike along four axes, so the axes of the cell come first, c before b and a.
    for axis_q in _axes(cell, positions, d):
        reflections = _stacking_reflections(positions, axis_q, d, cell)
        if reflections is not None and (stacking := _read_periodic(wrapped, axis_q, reflections)) is not None:
            return stacking
    return None


def layer_frame(superlattice: Superlattice, d_nn_nm: float | None = None) -> LayerFrame | None:
    """Find the close-packed layers of a finite crystal: their axis, the direction of their net, and both distances.

    Args:
        superlattice: a finite crystal in free space.
        d_nn_nm: nearest-neighbour distance to look near, nm; None estimates it.

    Returns:
        The layers from the phases of their reflections, or None without close-packed layers.

    Raises:
        InputError: for a periodic superlattice, fewer than 13 NPs, or a distance that neighbours do not have.
    """
    if superlattice.cell is not None:
        raise InputError("Bragg rods are those of a finite crystal: cut one out of the cell, such as `largest_ball()`")
    d = given_or_estimated_d_nn_nm(d_nn_nm, nearest_neighbours(superlattice))
    axis_q = _brightest_axis(superlattice.positions_nm, d)
    reflections = _stacking_reflections(superlattice.positions_nm, axis_q, d)
    if reflections is None:
        return None
    axis = axis_q / np.linalg.norm(axis_q)
    across = reflections - np.outer(reflections @ axis, axis)
    length = float(np.linalg.norm(across, axis=1).mean())
    in_plane = across[0] / np.linalg.norm(across[0])
    return LayerFrame(axis, in_plane, 4 * np.pi / (np.sqrt(3) * length), float(2 * np.pi / np.linalg.norm(axis_q)))


def _read_periodic(wrapped: Superlattice, axis_q: np.ndarray, reflections: np.ndarray) -> Stacking | None:
    """Read the sequence of a repeating crystal along a given axis; None if its layers are not close-packed."""
    assert wrapped.cell is not None
    gained = np.round(wrapped.cell.vectors_nm @ axis_q / (2 * np.pi)).astype(int)
    n_layers = int(np.gcd.reduce(gained))
    # Layer 0 may be cut by the cell's faces, the layers of the next period are whole.
    periods = wrapped.replicate(np.where(gained == 0, 1, 3).tolist()).positions_nm
    layer = _layers(periods, axis_q)
    wanted = np.arange(n_layers, 2 * n_layers + 1)
    if n_layers == 0 or (found := _steps(periods, layer, wanted, reflections)) is None:
        return None
    steps, probability = found
    first = max(range(n_layers), key=lambda k: tuple(np.roll(steps, -k) * steps[k]))
    steps, probability = np.roll(steps, -first), np.roll(probability, -first)
    if steps.sum() % 3:
        # The cell repeats with a shift from A to B: the stacking itself repeats only after three cells.
        steps, probability = np.tile(steps, 3), np.tile(probability, 3)
    layers = (layer[: wrapped.n] - first) % n_layers
    return Stacking(lettered(steps[:-1]), axis_q / np.linalg.norm(axis_q), steps, layers, probability, True)


def _read_finite(positions: np.ndarray, axis_q: np.ndarray, reflections: np.ndarray) -> Stacking | None:
    """Read the sequence of a finite crystal along a given axis; None if its layers are not close-packed."""
    layer = _layers(positions, axis_q)
    numbers, sizes = np.unique(layer, return_counts=True)
    wanted = numbers[sizes >= _FEWEST_IN_LAYER]
    if (found := _steps(positions, layer, wanted, reflections)) is None:
        return None
    steps, probability = found
    layers = np.where(np.isin(layer, wanted), layer - wanted[0], -1)
    return Stacking(lettered(steps), axis_q / np.linalg.norm(axis_q), steps, layers, probability, False)


def _layers(positions: np.ndarray, axis_q: np.ndarray) -> np.ndarray:
    """Return the number (N,) of each position's layer; layer 0 is the one nearest the origin."""
    phases = positions @ axis_q
    return np.round((phases - np.angle(np.exp(1j * phases).sum())) / (2 * np.pi)).astype(int)


def _steps(
    positions: np.ndarray, layer: np.ndarray, wanted: np.ndarray, reflections: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the steps ±1 between layers and the probability of each; None if one is not a close-packed step.

    The phase of a step scatters about ±2π/3 by von Mises' distribution, whose width is estimated from all steps of
    the crystal and from what its amplitudes lead to expect.
    """
    if len(wanted) < 2 or (np.diff(wanted) != 1).any() or not np.isin(wanted, layer).all():
        return None
    waves = np.exp(1j * positions @ reflections.T)
    place = np.clip(layer - wanted[0], -1, len(wanted)) + 1
    sums = [
        np.bincount(place, part, minlength=len(wanted) + 2)[1:-1] for wave in waves.T for part in (wave.real, wave.imag)
    ]
    sizes = np.bincount(place, minlength=len(wanted) + 2)[1:-1]
    amplitudes = (np.array(sums[0::2]) + 1j * np.array(sums[1::2])).T / sizes[:, None]
    # Three reflections that add up to zero: displacements of a layer cancel to first order, its position remains.
    products = (amplitudes[1:] * amplitudes[:-1].conj()).sum(axis=1)
    phase = np.angle(products)
    steps = np.where(phase > 0, 1, -1)
    residual = phase - steps * 2 * np.pi / 3
    strength = np.clip((np.abs(amplitudes) ** 2).mean(), 1 / sizes.mean(), 1)
    expected = 2 * (1 - strength) / (3 * strength * sizes.mean()) + _ROUNDING
    if ((np.cos(phase) - np.cos(residual)) / expected > _ON_TOP).any():
        return None
    variance = (np.sum(residual**2) + _PRIOR_STEPS * expected) / (len(steps) + _PRIOR_STEPS)
    odds = 2 * np.sin(2 * np.pi / 3) * np.abs(np.sin(phase)) / variance
    return steps, 1 / (1 + np.exp(-odds))


def _axes(cell: Cell, positions: np.ndarray, d: float) -> Iterator[np.ndarray]:
    """Yield reciprocal vectors (3,), nm⁻¹, of one layer spacing: for cell faces that may be layers, then any other."""
    q_layer = layer_momentum_transfer(d)
    for vector in 2 * np.pi * np.linalg.inv(cell.vectors_nm)[:, ::-1].T:
        candidate = vector * max(1, round(q_layer / np.linalg.norm(vector)))
        near = abs(np.linalg.norm(candidate) / q_layer - 1) < _SPACING_TOLERANCE
        if near and _strength(_core(positions, _SEARCH_NPS), candidate[None])[0] > _LAYERED:
            yield candidate
    yield _snapped(_brightest_axis(positions, d), cell)


def _brightest_axis(positions: np.ndarray, d: float) -> np.ndarray:
    """Return the reciprocal vector (3,), nm⁻¹, near the layer spacing at which the centres scatter most."""
    q_layer = layer_momentum_transfer(d)
    directions = fibonacci_sphere(_DIRECTIONS)[: _DIRECTIONS // 2]
    best = _climb(positions, np.concatenate([q_layer * factor * directions for factor in (0.97, 1, 1.03)]))
    return best * np.sign(best[np.argmax(np.abs(best) * [1.0, 1.0 + 1e-6, 1.0 + 2e-6])])


def _stacking_reflections(
    positions: np.ndarray, axis_q: np.ndarray, d: float, cell: Cell | None = None
) -> np.ndarray | None:
    """Return three reflections (3, 3), nm⁻¹, 120° apart, whose phase distinguishes A, B and C; None without such a net.

    They follow from two stacking-independent ones. These need not lie in the plane of the layers: where each layer is
    shifted against the one below, by shear, they lean by as much.
    """
    axis = axis_q / np.linalg.norm(axis_q)
    first = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    length = 4 * np.pi / d
    core = _core(positions, _SEARCH_NPS)
    # Peaks are as narrow as the crystal is thick: go in half widths.
    step = np.pi / np.ptp(core @ axis)
    lean = step * np.arange(-np.floor(_LEAN * length / step), _LEAN * length / step)

    def around(azimuths_deg: np.ndarray) -> np.ndarray:
        angles = np.radians(azimuths_deg)[:, None]
        ring = length * (np.cos(angles) * first + np.sin(angles) * second)
        # The net may be strained: look at somewhat shorter and longer reflections too.
        return np.concatenate([(f * ring + lean[:, None, None] * axis).reshape(-1, 3) for f in (0.97, 1, 1.03)])

    def azimuths_deg(vectors: np.ndarray) -> np.ndarray:
        return np.degrees(np.arctan2(vectors @ second, vectors @ first))

    if cell is not None and cell.volume_nm3 < _SMALL * d**3:
        # A periodic crystal scatters at reciprocal vectors only, and a small cell has few of them.
        candidates = _reciprocal_vectors(cell, (1 + _SPACING_TOLERANCE) * length)
        height = candidates @ axis
        across = np.linalg.norm(candidates - np.outer(height, axis), axis=1)
        candidates = candidates[(np.abs(across / length - 1) < _SPACING_TOLERANCE) & (np.abs(height) <= _LEAN * length)]
        if len(candidates) == 0:
            return None
        strength = _strength(core, candidates)
        a = candidates[strength.argmax()]
        turned = np.abs((azimuths_deg(candidates) - azimuths_deg(a) - 60 + 180) % 360 - 180) < _NET_TOLERANCE_DEG
        if not turned.any():
            return None
        b = candidates[np.where(turned, strength, -1).argmax()]
    else:
        a = _climb(positions, around(np.arange(0.0, 180.0, 1.0)))
        b = _climb(positions, around(azimuths_deg(a) + 60 + np.arange(-_NET_TOLERANCE_DEG, _NET_TOLERANCE_DEG + 1)))
        if cell is not None:
            a, b = _snapped(a, cell), _snapped(b, cell)
    if _strength(core, np.array([a, b])).min() < _LAYERED:
        return None
    return np.array([a + b, a - 2 * b, b - 2 * a]) / 3


def _reciprocal_vectors(cell: Cell, length: float) -> np.ndarray:
    """Return all reciprocal vectors (n, 3) of a cell up to a length, nm⁻¹."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell.vectors_nm).T
    largest = np.floor(length * np.linalg.norm(cell.vectors_nm, axis=1) / (2 * np.pi)).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in largest), indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = hkl @ reciprocal
    return vectors[np.linalg.norm(vectors, axis=1) <= length]


def _snapped(q: np.ndarray, cell: Cell) -> np.ndarray:
    """Return the reciprocal vector of a cell nearest to q: a periodic crystal scatters there only."""
    indices = np.round(cell.vectors_nm @ q / (2 * np.pi))
    return 2 * np.pi * np.linalg.inv(cell.vectors_nm) @ indices


def _core(positions: np.ndarray, n: int) -> np.ndarray:
    """Return the n positions nearest to the centre."""
    if len(positions) <= n:
        return positions
    distance = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    return positions[np.argpartition(distance, n)[:n]]


def _climb(positions: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the maximum of the scattered strength near the best of some candidates (n, 3).

    The core decides which peak it is; each larger part of the crystal has narrower peaks and locates it better.
    """
    from scipy.optimize import minimize  # slow to load

    core = _core(positions, _SEARCH_NPS)
    strength = np.concatenate([_strength(core, part) for part in np.array_split(candidates, 100)])
    best = candidates[strength.argmax()]
    n = _SEARCH_NPS
    while True:
        part = _core(positions, n)
        centred = part - part.mean(axis=0)
        step = 1.0 / np.ptp(centred, axis=0).max()
        options = {
            "initial_simplex": best + step * np.vstack([np.zeros(3), np.eye(3)]),
            "xatol": 1e-4 * step,
            "fatol": 1e-7,
        }
        best = minimize(
            lambda q, centred=centred: -_strength(centred, q[None])[0], best, method="Nelder-Mead", options=options
        ).x
        if n >= len(positions):
            return best
        n *= 8


def _strength(positions: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return |Σ exp(i q·r)| / N for momentum transfers (n, 3)."""
    phases = q @ positions.T
    return np.hypot(np.cos(phases).mean(axis=1), np.sin(phases).mean(axis=1))
