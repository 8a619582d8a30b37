"""Stacking sequences: which layers are faults, the paper's bracket notation, when two are the same crystal, and steps.

A layer is hcp-like ("h") where both its neighbours stand on the same sites, fcc-like ("c") otherwise. Each h turns the
sense ABC into ACB or back, so in a crystal of fcc a lone h is a twin boundary, hh an intrinsic fault (a layer taken
out), hch an extrinsic fault (a layer put in), and three or more are a lamella of hcp.

From each layer to the next a stacking steps by +1 (A → B → C → A) or by −1: Hägg's notation (International Tables for
Crystallography C, chapter 9.2, DOI 10.1107/97809553602060000618). In a periodic crystal of n layers these steps form a
ring; step i leads from layer i to layer i + 1. A layer is hcp-like where the steps on its two sides differ, so the
number h of hcp-like layers is the number of sign changes along the ring, which is even. All signs may be turned at
once: which of the two senses is called + is a matter of the side that one looks from.
"""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simsc.core.errors import InputError

SITES = "ABC"  # the three sites that a layer can stand on, in the order of a step +1
_FAULT = re.compile("(?<!h)hch(?!h)|h+")
_END = "-"  # a layer that lacks a neighbour


@dataclass(frozen=True)
class Fault:
    """A stacking fault.

    Args:
        kind: "twin", "intrinsic", "extrinsic" or "hcp" (a lamella of three or more hcp-like layers).
        layers: numbers of the layers it consists of, in stacking order; in a periodic sequence it may run over the end.
    """

    kind: str
    layers: tuple[int, ...]


def check_stacking(stacking: str, periodic: bool = True) -> None:
    """Raise an `InputError` unless a string is a close-packed stacking of A, B and C, and closes if it is to repeat."""
    for k, letter in enumerate(stacking):
        if letter not in SITES:
            hint = f"; {letter.upper()}?" if letter in "abc" else ""
            raise InputError(f"stacking {stacking!r}: layer {k + 1} is {letter!r}; layers are A, B or C{hint}")
    if len(stacking) < 2:
        raise InputError(f"stacking {stacking!r}: at least two letters are needed, one a layer")
    for k in range(len(stacking) if periodic else len(stacking) - 1):
        following = (k + 1) % len(stacking)
        if stacking[k] == stacking[following]:
            where = f"layers {k + 1} and {following + 1}" + (" (the stacking repeats)" if following == 0 else "")
            raise InputError(f"stacking {stacking!r}: {where} are both {stacking[k]}; neighbouring layers must differ")


def site_numbers(sequence: str) -> np.ndarray:
    """Return the numbers (n,) of the sites of layers: 0, 1 and 2 for A, B and C.

    Example:
        >>> site_numbers("ABCA")
        array([0, 1, 2, 0])
    """
    return np.array([SITES.index(letter) for letter in sequence])


def letters_of(numbers: Iterable[int]) -> str:
    """Return the letters of layers from the numbers of their sites, or any that are equal to these modulo 3.

    Example:
        >>> letters_of([0, 1, 2, 3, -1])
        'ABCAC'
    """
    return "".join(SITES[number % 3] for number in numbers)


def layer_kinds(sequence: str, periodic: bool = True) -> str:
    """Return "h" for each layer whose two neighbours are alike (hcp-like), else "c" (fcc-like).

    Args:
        sequence: letters A, B and C.
        periodic: whether the sequence repeats. If not, "-" stands for the first and the last layer.

    Example:
        >>> layer_kinds("ABCABCABABAB"), layer_kinds("ABCAC", periodic=False)
        ('hcccccchhhhh', '-cch-')
    """
    n = len(sequence)
    kinds = "".join("h" if sequence[k - 1] == sequence[(k + 1) % n] else "c" for k in range(n))
    return kinds if periodic else (_END + kinds[1:-1] + _END)[:n]


def bracketed(sequence: str, periodic: bool = True) -> str:
    """Return a sequence with its hcp-like layers in brackets, as in the paper (DOI 10.1021/acsnano.5c16138).

    Example:
        >>> bracketed("ABCABCACBACB")
        '(A)BCABC(A)CBACB'
        >>> bracketed("ABCABCABABAB")
        '(A)BCABCA(BABAB)'
    """
    layers = zip(layer_kinds(sequence, periodic), sequence, strict=True)
    parts = ((kind, "".join(letter for _, letter in run)) for kind, run in itertools.groupby(layers, lambda x: x[0]))
    return "".join(f"({letters})" if kind == "h" else letters for kind, letters in parts)


def stacking_faults(sequence: str, periodic: bool = True) -> list[Fault]:
    """Return the faults of a sequence, in the order of their first layers.

    Args:
        sequence: letters A, B and C.
        periodic: whether the sequence repeats.

    Raises:
        InputError: for a periodic sequence that is not close-packed.

    Example:
        >>> [(fault.kind, fault.layers) for fault in stacking_faults("ABCABCACBACB")]
        [('twin', (0,)), ('twin', (6,))]
        >>> stacking_faults("ABCABCABABAB")[0].kind
        'hcp'
    """
    if periodic:
        check_stacking(sequence)
    kinds, n = layer_kinds(sequence, periodic), len(sequence)
    if "h" not in kinds:
        return []
    if set(kinds) == {"h"}:
        return [Fault("hcp", tuple(range(n)))]
    # Begin with a layer that is not inside of a fault, so that none is cut in two.
    calm = [k for k in range(n) if kinds[k] != "h" and kinds[k - 1] + kinds[(k + 1) % n] != "hh"]
    start = (calm or [kinds.index("c")])[0] if periodic else 0
    faults = []
    for match in _FAULT.finditer(kinds[start:] + kinds[:start]):
        kind = {"hch": "extrinsic", "h": "twin", "hh": "intrinsic"}.get(match.group(), "hcp")
        faults.append(Fault(kind, tuple((start + k) % n for k in range(*match.span()))))
    return sorted(faults, key=lambda fault: fault.layers[0])


def canonical(sequence: str, periodic: bool = True) -> str:
    """Return one name for all sequences of the same crystal: other letters, read from the other end, another start.

    A periodic sequence is shortened to the shortest one that repeats. Of all names the one with most fcc at its start
    is taken, so that fcc is "ABC" and hcp is "AB".

    Raises:
        InputError: for a periodic sequence that is not close-packed.

    Example:
        >>> canonical("CABABABABCAB"), canonical("ACACAC"), canonical("BCBA", periodic=False)
        ('ABCABCABABAB', 'AB', 'ABCB')
    """
    n = len(sequence)
    if not periodic:
        return min((_named(letters) for letters in (sequence, sequence[::-1])), key=_rank)
    check_stacking(sequence)
    # Kinds repeat with the crystal's true period, letters possibly only after two or three of these.
    starts = (letters[k:] + letters[:k] for letters in (sequence, sequence[::-1]) for k in range(n))
    best = min((_named(letters) for letters in starts), key=_rank)
    lengths = (m for m in range(2, n + 1) if n % m == 0)
    return best[: next(m for m in lengths if best[:m] * (n // m) == best)]


def same_stacking(first: str, second: str) -> bool:
    """Tell whether two periodic sequences are the same crystal: alike but for start, letters and direction.

    Example:
        >>> same_stacking("ABCABCABABAB", "ABCABCACACAC"), same_stacking("ABCABC", "ABABAB")
        (True, False)
        >>> same_stacking("ABC", "ABCABC")
        True
    """
    n = math.lcm(len(first), len(second))
    a, b = (layer_kinds(sequence) * (n // len(sequence)) for sequence in (first, second))
    return b in a + a or b[::-1] in a + a


def lettered(steps: Iterable[int]) -> str:
    """Return the letters of layers that differ by the given steps, ±1; the first step goes from A to B.

    Example:
        >>> lettered([-1, -1, 1])
        'ABCB'
    """
    steps = [int(step) for step in steps]
    positions = itertools.accumulate(steps, initial=0)
    return letters_of(k * (steps[0] if steps else 1) for k in positions)


def stacking_steps(sequence: str) -> np.ndarray:
    """Return the steps (n,) ±1 of a periodic sequence; the last leads back to its first layer.

    Letters that repeat close by themselves: the steps of a sequence add up to a multiple of 3. Those of a cell need
    not, if the cell tilts by the rest, a third of a lattice vector of the layer; its sequence then takes three
    cells.

    Raises:
        InputError: for a sequence that is not close-packed.

    Example:
        >>> stacking_steps("ABCABCABABAB")
        array([ 1,  1,  1,  1,  1,  1,  1, -1,  1, -1,  1, -1], dtype=int8)
    """
    check_stacking(sequence)
    numbers = site_numbers(sequence)
    return np.where((np.roll(numbers, -1) - numbers) % 3 == 1, 1, -1).astype(np.int8)


def hcp_layers(steps: np.ndarray) -> int:
    """Return h, the number of hcp-like layers of a ring of steps: its sign changes.

    Example:
        >>> hcp_layers(stacking_steps("ABCABCABABAB")), hcp_layers(stacking_steps("ABCABCACBACB"))
        (6, 2)
    """
    return int(np.count_nonzero(steps != np.roll(steps, 1)))


def closes(steps: np.ndarray) -> bool:
    """Tell whether a ring of steps fits an orthogonal cell: the last layer then stands right below the next first."""
    return int(np.sum(steps, dtype=int)) % 3 == 0


def _named(sequence: str) -> str:
    """Return a sequence with its first layer called A and the first other one B."""
    order = list(dict.fromkeys(sequence))
    return letters_of(order.index(letter) for letter in sequence)


def _rank(sequence: str) -> tuple[bool, ...]:
    """Return what sorts sequences with most fcc at their start first."""
    return tuple(sequence[k] == sequence[k + 2] for k in range(len(sequence) - 2))
