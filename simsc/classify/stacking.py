"""The stacking sequence, read back from NP centres.

The stacking axis is the direction in which the centres scatter most at the layer spacing. Within the layers, the
reflections with |G| = 4π/d do not depend on the stacking and give the hexagonal net, of a sheared crystal too. From
one layer to the next the phase of the stacking-dependent reflections then steps by +2π/3 or −2π/3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simsc.build.close_packed import LAYER_SPACING
from simsc.classify.neighbours import nearest_distance_scale_nm, nearest_neighbours
from simsc.core.cell import Cell
from simsc.core.directions import fibonacci_sphere
from simsc.core.superlattice import Superlattice

_DIRECTIONS = 20_000  # half of them used: 1.3° apart
_SEARCH_NPS = 1_000  # enough to find the axis; all NPs refine it
_LAYERED = 0.3  # scattered strength above which the faces of a cell may be layers; thermal motion lowers it from 1
_SPACING_TOLERANCE = 0.15
_LEAN = 0.2  # of a reflection out of the layers, in units of its length; shear by more is no longer close packing
_NET_TOLERANCE_DEG = 8.0
_FEWEST_IN_LAYER = 3
_WIDTHS = 3.0  # of a replicated cell, in units of d, so that the net is resolved
_CERTAIN = 0.25  # −cos of the phase of a step, 0.5 for close packing; at less two layers sit on top of one another


@dataclass(frozen=True, eq=False)
class Stacking:
    """A stacking sequence.

    Args:
        sequence: one letter a layer along the axis; the first layer is A, the first other one B. Where it repeats,
            it begins with its longest run of fcc, as in "ABCABCABABAB", wherever the crystal has drifted to.
        axis: (3,) unit vector normal to the layers.
        steps: +1 or −1 from each layer to the next; where the sequence repeats the last one leads back to its begin.
        layers: (N,) number of each NP's layer within the sequence; −1 for the few beyond the first and the last layer.
        confidence: how well each step is told, from 0 (a layer halfway between two positions) to 1.
        periodic: whether the sequence repeats.
    """

    sequence: str
    axis: np.ndarray
    steps: np.ndarray
    layers: np.ndarray
    confidence: np.ndarray
    periodic: bool


def stacking_sequence(superlattice: Superlattice, d_nn_nm: float | None = None) -> Stacking | None:
    """Read the stacking sequence of a close-packed superlattice.

    Args:
        superlattice: periodic in all directions, or a finite crystal in free space.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Returns:
        The stacking, or None where the NPs do not form close-packed layers.

    Raises:
        InputError: for fewer than 13 NPs in free space.

    Example:
        >>> from simsc.build.close_packed import close_packed
        >>> stacking_sequence(close_packed("ABCABCABABAB", 6.2)).sequence
        'ABCABCABABAB'
    """
    d = d_nn_nm if d_nn_nm is not None else nearest_distance_scale_nm(nearest_neighbours(superlattice))
    if superlattice.cell is None or not superlattice.cell.periodic.all():
        axis_q = _brightest_axis(superlattice.positions_nm, d)
        return None if axis_q is None else _read(superlattice, superlattice.n, None, axis_q, d)
    sample = _replicated(superlattice, d)
    # Cubic stackings scatter alike along four axes, so the axes of the cell come first, c before b and a.
    for axis_q in _cell_axes(superlattice.cell, sample.positions_nm, d):
        if (stacking := _read(sample, superlattice.n, superlattice.cell, axis_q, d)) is not None:
            return stacking
    axis_q = _brightest_axis(sample.positions_nm, d)
    return None if axis_q is None else _read(sample, superlattice.n, superlattice.cell, axis_q, d)


def _read(sample: Superlattice, n: int, cell: Cell | None, axis_q: np.ndarray, d: float) -> Stacking | None:
    """Read the sequence along a given axis; None if the layers along it are not close-packed.

    The first n NPs of the sample are those asked for, the others their copies.
    """
    reflections = _stacking_reflections(sample, cell, axis_q, d)
    if reflections is None:
        return None
    phases = sample.positions_nm @ axis_q
    layer = np.round((phases - np.angle(np.exp(1j * phases).sum())) / (2 * np.pi)).astype(int)
    if cell is not None:
        n_layers = int(np.gcd.reduce(np.round(cell.vectors_nm @ axis_q / (2 * np.pi)).astype(int)))
        # Layer 0 may be cut by the cell's faces, the layers of the next period are whole.
        wanted = np.arange(n_layers, 2 * n_layers + 1)
    else:
        numbers, sizes = np.unique(layer, return_counts=True)
        wanted = numbers[sizes >= _FEWEST_IN_LAYER]
    if len(wanted) < 2 or (np.diff(wanted) != 1).any() or not np.isin(wanted, layer).all():
        return None
    waves = np.exp(1j * sample.positions_nm @ reflections.T)
    amplitudes = np.array([waves[layer == k].mean(axis=0) for k in wanted])
    # Three reflections that add up to zero: displacements of a layer cancel to first order, its position remains.
    products = (amplitudes[1:] * amplitudes[:-1].conj()).sum(axis=1)
    if (products.real > -_CERTAIN * np.abs(products)).any():
        return None
    steps = np.where(products.imag > 0, 1, -1)
    confidence = np.abs(products.imag) / (3 * np.sin(np.pi / 3))
    axis = axis_q / np.linalg.norm(axis_q)
    if cell is None:
        numbers_from_0 = np.where(np.isin(layer, wanted), layer - wanted[0], -1)
        return Stacking(lettered(steps), axis, steps, numbers_from_0, confidence, False)
    begin = max(range(len(steps)), key=lambda k: tuple(np.roll(steps, -k) * steps[k]))
    steps, confidence = np.roll(steps, -begin), np.roll(confidence, -begin)
    return Stacking(lettered(steps[:-1]), axis, steps, (layer[:n] - begin) % len(steps), confidence, True)


def layer_kinds(sequence: str) -> str:
    """Return "h" for each layer of a periodic sequence whose two neighbours are alike (hcp-like), else "c" (fcc-like).

    Example:
        >>> layer_kinds("ABCABCABABAB")
        'hcccccchhhhh'
    """
    n = len(sequence)
    return "".join("h" if sequence[k - 1] == sequence[(k + 1) % n] else "c" for k in range(n))


def same_stacking(first: str, second: str) -> bool:
    """Tell whether two periodic sequences are the same crystal: alike but for start, letters and direction.

    Example:
        >>> same_stacking("ABCABCABABAB", "ABCABCACACAC"), same_stacking("ABCABC", "ABABAB")
        (True, False)
    """
    a, b = layer_kinds(first), layer_kinds(second)
    return len(a) == len(b) and (b in a + a or b[::-1] in a + a)


def lettered(steps: np.ndarray) -> str:
    """Return the letters of layers that differ by the given steps, ±1; the first step goes from A to B.

    Example:
        >>> lettered([-1, -1, 1])
        'ABCB'
    """
    positions = np.cumsum([0, *steps]) * (steps[0] if len(steps) else 1)
    return "".join("ABC"[k % 3] for k in positions)


def _replicated(superlattice: Superlattice, d: float) -> Superlattice:
    """Repeat the cell until it is a few d wide; twice at least, so that whole layers follow the first period."""
    assert superlattice.cell is not None
    counts = np.ceil(_WIDTHS * d / superlattice.cell.perpendicular_widths_nm).astype(int)
    wrapped = Superlattice(superlattice.cell.wrap(superlattice.positions_nm), cell=superlattice.cell)
    return wrapped.replicate(np.maximum(counts, 3).tolist())


def _cell_axes(cell: Cell, positions: np.ndarray, d: float) -> Iterator[np.ndarray]:
    """Yield the reciprocal vectors (3,), nm⁻¹, of one layer spacing for cell faces that may be layers."""
    q_layer = 2 * np.pi / (LAYER_SPACING * d)
    for vector in 2 * np.pi * np.linalg.inv(cell.vectors_nm)[:, ::-1].T:
        candidate = vector * max(1, round(q_layer / np.linalg.norm(vector)))
        near = abs(np.linalg.norm(candidate) / q_layer - 1) < _SPACING_TOLERANCE
        if near and _strength(positions, candidate[None])[0] > _LAYERED:
            yield candidate


def _brightest_axis(positions: np.ndarray, d: float) -> np.ndarray | None:
    """Return the reciprocal vector (3,), nm⁻¹, at the layer spacing at which the centres scatter most."""
    q_layer = 2 * np.pi / (LAYER_SPACING * d)
    distance = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    core = positions[np.argsort(distance, kind="stable")[:_SEARCH_NPS]]
    candidates = np.concatenate(
        [q_layer * f * fibonacci_sphere(_DIRECTIONS)[: _DIRECTIONS // 2] for f in (0.97, 1, 1.03)]
    )
    strength = np.concatenate([_strength(core, part) for part in np.array_split(candidates, 100)])
    best = _refine(positions, _refine(core, candidates[strength.argmax()]))
    if _strength(core, best[None])[0] < 3 / np.sqrt(len(core)):
        return None
    return best * np.sign(best[np.argmax(np.abs(best) * [1.0, 1.0 + 1e-6, 1.0 + 2e-6])])


def _stacking_reflections(sample: Superlattice, cell: Cell | None, axis_q: np.ndarray, d: float) -> np.ndarray | None:
    """Return three reflections (3, 3), nm⁻¹, 120° apart, whose phase tells A, B and C apart.

    They follow from two stacking-independent ones. These need not lie in the plane of the layers: where each layer is
    shifted against the one below, by shear, they lean by as much.
    """
    axis = axis_q / np.linalg.norm(axis_q)
    first = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    length = 4 * np.pi / d
    if cell is not None:
        candidates = _reciprocal_vectors(cell, 1.3 * length)
    else:
        angles = np.radians(np.arange(0.0, 180.0, 0.5))
        ring = length * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
        # A finite crystal's peaks are as narrow as it is thick: go in half widths.
        step = np.pi / np.ptp(sample.positions_nm @ axis)
        lean = step * np.arange(-np.floor(_LEAN * length / step), _LEAN * length / step)
        candidates = (ring + lean[:, None, None] * axis).reshape(-1, 3)
    in_plane = candidates - np.outer(candidates @ axis, axis)
    near = np.abs(np.linalg.norm(in_plane, axis=1) / length - 1) < _SPACING_TOLERANCE
    near &= np.abs(candidates @ axis) <= _LEAN * length
    candidates, in_plane = candidates[near], in_plane[near]
    if len(candidates) == 0:
        return None
    strength = np.concatenate([_strength(sample.positions_nm, part) for part in np.array_split(candidates, 100)])
    azimuth = np.degrees(np.arctan2(in_plane @ second, in_plane @ first))
    top = int(strength.argmax())
    turned = np.abs((azimuth - azimuth[top] - 60 + 180) % 360 - 180) < _NET_TOLERANCE_DEG
    # Where only half of the azimuths are listed, the vector may be there with the opposite sign.
    opposite = np.abs((azimuth - azimuth[top] + 120 + 180) % 360 - 180) < _NET_TOLERANCE_DEG
    if not (turned | opposite).any():
        return None
    other = int(np.where(turned | opposite, strength, -1).argmax())
    if min(strength[top], strength[other]) < _LAYERED:
        return None
    a, b = candidates[top], candidates[other] * (1 if turned[other] else -1)
    if cell is None:
        a, b = _refine(sample.positions_nm, a), _refine(sample.positions_nm, b)
    return np.array([a + b, a - 2 * b, b - 2 * a]) / 3


def _reciprocal_vectors(cell: Cell, length: float) -> np.ndarray:
    """Return all reciprocal vectors (n, 3) of a cell up to a length, nm⁻¹: a periodic crystal scatters there only."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell.vectors_nm).T
    largest = np.floor(length * np.linalg.norm(cell.vectors_nm, axis=1) / (2 * np.pi)).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in largest), indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = hkl @ reciprocal
    return vectors[np.linalg.norm(vectors, axis=1) <= length]


def _strength(positions: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return |Σ exp(i q·r)| / N for momentum transfers (n, 3)."""
    return np.abs(np.exp(1j * q @ positions.T).mean(axis=1))


def _refine(positions: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Climb to the nearest maximum of the scattered strength."""
    from scipy.optimize import minimize  # slow to load, and periodic cells do without

    centred = positions - positions.mean(axis=0)
    step = 1.0 / np.ptp(centred, axis=0).max()
    simplex = q + step * np.vstack([np.zeros(3), np.eye(3)])
    options = {"initial_simplex": simplex, "xatol": 1e-5 * step, "fatol": 1e-9, "maxiter": 400}
    return minimize(lambda x: -_strength(centred, x[None])[0], q, method="Nelder-Mead", options=options).x
