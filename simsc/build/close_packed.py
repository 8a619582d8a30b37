"""Close-packed superlattices with any stacking of hexagonal layers."""

import numpy as np

from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

LAYER_SPACING = np.sqrt(2.0 / 3.0)  # distance of touching hexagonal layers, in units of d_NN


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
    if not (np.isfinite(d_nn_nm) and d_nn_nm > 0):
        raise InputError(f"the nearest-neighbour distance must be a positive number (nm), got {d_nn_nm}")
    if min(lateral) < 1:
        raise InputError(f"lateral repeats must be ≥ 1, got {tuple(lateral)}")
    if radius_nm is not None and 2 * radius_nm >= d_nn_nm:
        raise InputError(f"cores of diameter {2 * radius_nm:g} nm overlap at a distance of {d_nn_nm:g} nm")
    rectangle = np.array([[0.0, 0.0], [0.5, np.sqrt(3) / 2]])
    repeats = np.stack(np.meshgrid(np.arange(lateral[0]), np.arange(lateral[1]), indexing="ij"), axis=-1)
    layer = (repeats.reshape(-1, 1, 2) * [1.0, np.sqrt(3)] + rectangle).reshape(-1, 2)
    positions = np.array(
        [
            (x, y + "ABC".index(letter) / np.sqrt(3), k * LAYER_SPACING)
            for k, letter in enumerate(stacking)
            for x, y in layer
        ]
    )
    cell = Cell.orthorhombic(
        lateral[0] * d_nn_nm, lateral[1] * np.sqrt(3) * d_nn_nm, len(stacking) * LAYER_SPACING * d_nn_nm
    )
    radii = None if radius_nm is None else np.asarray(radius_nm)
    return Superlattice(cell.wrap(positions * d_nn_nm), radii, cell)


def close_packed_ball(
    stacking: str, d_nn_nm: float, diameter_nm: float, radius_nm: float | None = None
) -> Superlattice:
    """Cut a ball out of close-packed layers with any stacking, as a finite crystal; layers lie across z.

    Args:
        stacking: one letter A, B or C a layer, from z < 0 upwards; neighbouring layers differ.
        d_nn_nm: nearest-neighbour distance, nm.
        diameter_nm: of the ball, about the middle of the stacking, nm; where it is thicker than the stacking, the
            crystal ends with the stacking.
        radius_nm: core radius of every NP, nm; None leaves it open.

    Returns:
        The ball, ordered by layer.

    Raises:
        InputError: as `close_packed`, or for a ball of less than d_nn.

    Example:
        >>> close_packed_ball("ABCABCABC", 1.0, 6.0).n
        154
    """
    # A sequence that ends with its first letter closes with one more layer, which is left out again.
    closing = next(letter for letter in "ABC" if letter not in (stacking[:1], stacking[-1:]))
    if not (np.isfinite(diameter_nm) and diameter_nm >= d_nn_nm):
        raise InputError(f"a ball needs a diameter of at least d_nn (nm), got {diameter_nm:g}")
    across = int(np.ceil(diameter_nm / d_nn_nm)) + 2
    lateral = (across, int(np.ceil(across / np.sqrt(3))) + 1)
    block = close_packed(stacking + closing, d_nn_nm, lateral, radius_nm)
    assert block.cell is not None
    middle = np.array([*(block.cell.vectors_nm.diagonal()[:2] / 2), (len(stacking) - 1) / 2 * LAYER_SPACING * d_nn_nm])
    positions = block.positions_nm[: -2 * lateral[0] * lateral[1]] - middle
    inside = np.linalg.norm(positions, axis=1) < diameter_nm / 2
    return Superlattice(positions[inside], None if radius_nm is None else np.asarray(radius_nm))


def check_stacking(stacking: str) -> None:
    """Raise an `InputError` unless the string is a close-packed, periodically closed stacking of A, B and C."""
    wrong = sorted(set(stacking) - set("ABC"))
    if wrong or len(stacking) < 2:
        raise InputError(f"stacking {stacking!r}: at least two letters out of A, B and C are needed, one a layer")
    for k, letter in enumerate(stacking):
        following = (k + 1) % len(stacking)
        if letter == stacking[following]:
            where = f"layers {k + 1} and {following + 1}" + (" (the stacking repeats)" if following == 0 else "")
            raise InputError(f"stacking {stacking!r}: {where} are both {letter}; neighbouring layers must differ")
