"""Close-packed superlattices with any stacking of hexagonal layers, and stackings with faults."""

from collections.abc import Iterable

import numpy as np

from simsc.core.cell import Cell
from simsc.core.close_packing import LAYER_SPACING, check_distance
from simsc.core.errors import InputError
from simsc.core.stacking import check_stacking, letters_of, site_numbers
from simsc.core.superlattice import Superlattice


def close_packed(
    stacking: str,
    d_nn_nm: float,
    lateral: tuple[int, int] = (1, 1),
    radius_nm: float | None = None,
) -> Superlattice:
    """Build a periodic close-packed superlattice, layer by layer along z.

    The cell is orthorhombic, d · NX × √3 d · NY × √(2/3) d · L for L layers, with 2 · NX · NY NPs a layer. The
    paper's 24-NP cell is `close_packed("ABCABCABABAB", d)` (Lapkin et al., ACS Nano 2025, 19, 42881; Fig. 5).

    Args:
        stacking: one letter A, B or C a layer; neighbouring layers differ, the last and the first too.
        d_nn_nm: nearest-neighbour distance, nm.
        lateral: repeats (NX, NY) of the 2-NP rectangle within a layer. Default (1, 1).
        radius_nm: core radius of every NP, nm; None leaves it open.

    Returns:
        The superlattice; NPs are ordered by layer from z = 0 upwards.

    Raises:
        InputError: for a stacking that is not close-packed, sizes that are not positive, or cores that overlap.

    Example:
        >>> close_packed("ABCABCABABAB", 6.2).n
        24
    """
    check_stacking(stacking)
    check_distance(d_nn_nm, radius_nm)
    if min(lateral) < 1:
        raise InputError(f"lateral repeats must be ≥ 1, got {tuple(lateral)}")
    rectangle = np.array([[0.0, 0.0], [0.5, np.sqrt(3) / 2]])
    repeats = np.stack(np.meshgrid(np.arange(lateral[0]), np.arange(lateral[1]), indexing="ij"), axis=-1)
    layer = (repeats.reshape(-1, 1, 2) * [1.0, np.sqrt(3)] + rectangle).reshape(-1, 2)
    positions = np.array(
        [
            (x, y + site / np.sqrt(3), k * LAYER_SPACING)
            for k, site in enumerate(site_numbers(stacking))
            for x, y in layer
        ]
    )
    cell = Cell.orthorhombic(
        lateral[0] * d_nn_nm, lateral[1] * np.sqrt(3) * d_nn_nm, len(stacking) * LAYER_SPACING * d_nn_nm
    )
    radii = None if radius_nm is None else np.asarray(radius_nm)
    return Superlattice(cell.wrap(positions * d_nn_nm), radii, cell)


def random_stacking(n_layers: int, alpha: float, rng: np.random.Generator) -> str:
    """Draw a random hexagonal close packing: each layer is fcc-like with the same probability, whatever the others are.

    Steps between layers are a Markov chain of first order (Wilson, Proc. R. Soc. A 180 (1942) 277,
    DOI 10.1098/rspa.1942.0040): a layer is fcc-like if the step after it has the sense of the step before it. The
    correlation of steps k layers apart is (2α − 1)^k.

    Args:
        n_layers: number of layers, ≥ 2; the last and the first are ends, and need not close a period.
        alpha: probability that a layer is fcc-like: 1 fcc, 0 hcp, 0.5 random. Each sense begins with probability ½.
        rng: source of the steps.

    Raises:
        InputError: for fewer than two layers, or an alpha outside 0 … 1.

    Example:
        >>> random_stacking(9, 1.0, np.random.default_rng(1)) in ("ABCABCABC", "ACBACBACB")
        True
    """
    if n_layers < 2:
        raise InputError(f"a stacking needs at least two layers, got {n_layers}")
    if not 0 <= alpha <= 1:
        raise InputError(f"the probability α of fcc-like layers must lie in 0 … 1, got {alpha:g}")
    turns = np.where(rng.random(n_layers - 2) < alpha, 1, -1)
    return _lettered(np.cumprod(np.concatenate([[rng.choice([-1, 1])], turns])))


def twinned_stacking(n_layers: int, twin_layers: Iterable[int]) -> str:
    """Return fcc with twin planes: the sense of the stacking, ABC or ACB, turns at some layers.

    Args:
        n_layers: number of layers, ≥ 2.
        twin_layers: numbers of the layers, from 0, that are twin planes: hcp-like, between fcc and its mirror image.

    Raises:
        InputError: for fewer than two layers, or a twin plane that is not an inner layer or is named twice.

    Example:
        >>> twinned_stacking(7, [3])
        'ABCACBA'
    """
    if n_layers < 2:
        raise InputError(f"a stacking needs at least two layers, got {n_layers}")
    twins = sorted(twin_layers)
    if len(set(twins)) < len(twins) or any(not 0 < twin < n_layers - 1 for twin in twins):
        raise InputError(f"twin planes must be different inner layers, 1 … {n_layers - 2} of {n_layers}, got {twins}")
    turns = np.ones(n_layers - 1, dtype=int)
    turns[twins] = -1
    return _lettered(np.cumprod(turns))


def _lettered(steps: np.ndarray) -> str:
    """Return the letters of layers, the first of them A, from the steps +1 or −1 between them."""
    return letters_of(np.concatenate([[0], np.cumsum(steps)]))
