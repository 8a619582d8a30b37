"""Supraparticles: finite crystals of NPs as they grow in droplets, close-packed or with five-fold symmetry.

A Mackay icosahedron is 20 tetrahedra of fcc that share a vertex; an anti-Mackay shell goes on with hcp stacking, on 20
mirrored tetrahedra over the faces, 30 over the edges and 60 around the vertices (Wang et al., Nat. Commun. 9 (2018)
5259, DOI 10.1038/s41467-018-07670-4). A decahedron is five tetrahedra that share an edge, truncated as by Ino or Marks
(Marks, Rep. Prog. Phys. 57 (1994) 603, DOI 10.1088/0034-4885/57/6/002).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from simsc.builders.close_packed import random_stacking, twinned_stacking
from simsc.builders.contacts import relax_contacts
from simsc.builders.multiply_twinned import decahedron_sites, icosahedron_sites
from simsc.builders.restack import fcc_orientation
from simsc.core.close_packing import LAYER_SPACING, check_distance
from simsc.core.errors import InputError
from simsc.core.stacking import SITES, check_stacking, site_numbers
from simsc.core.superlattice import Superlattice

STACKINGS = {"fcc": "ABC", "hcp": "AB"}

_LARGEST_ORDER = 200  # 2·10⁸ NPs with all its layers
_LARGEST_N = 200_000_000
_HOLE = np.sqrt(0.5)  # distance from an octahedral hole to the NPs around it, in units of d_NN
_SAME = 1e-6  # distance, in units of d_NN, of shells of sites that are one
_ON_THE_RIM = 1 + 1e-9  # NPs whose centres lie on a surface belong to the crystal


def ball(
    stacking: str,
    d_nn_nm: float,
    diameter_nm: float | None = None,
    n: int | None = None,
    shape: str | Mapping[str, float] = "sphere",
    centre: Literal["site", "octahedral", "tetrahedral"] | tuple[float, float, float] = "site",
    radius_nm: float | None = None,
    *,
    alpha: float | None = None,
    twins: Sequence[int] = (),
    seed: int | np.random.Generator = 1,
) -> Superlattice:
    """Build a close-packed supraparticle of any stacking, in free space: a ball, or a polyhedron of fcc.

    Takes about 150 bytes of memory an NP: 10⁶ NPs fit anywhere, and take less than a second or two.

    Args:
        stacking: "fcc", "hcp", "random" ("r-hcp", as refinement has it, is the same), or one letter A, B or C a layer
            along z. Its middle layer (number L // 2 of L) lies at the centre; it repeats where it is shorter than the
            supraparticle, which it must be able to.
        d_nn_nm: nearest-neighbour distance, nm.
        diameter_nm: diameter of the sphere that holds the NP centres, nm; of a polyhedron, that of the sphere of the
            same volume. NPs on the surface belong to it. Either this or `n`.
        n: exactly so many NPs, those nearest to the centre; in a polyhedron, those inside the smallest one. Of NPs
            equally near the ones nearer the centre come first, then those lower in z, y, x.
        shape: "sphere"; for fcc also a name out of `simsc.core.shapes.SHAPES`, or {"111": 1.0, "100": 1.1, …},
            one for each family of cubic facets: their relative distances from the centre, as in a Wulff shape.
        centre: what lies at the centre: an NP of the middle layer ("site"), the octahedral or tetrahedral hole above
            it, or a point x, y, z, nm, relative to that NP.
        radius_nm: core radius of every NP, nm; None leaves it open.
        alpha: of "random": probability that a layer is fcc-like. Default 0.5.
        twins: of "fcc": twin planes, in layers from the centre, such as `[0]`.
        seed: of a random stacking: a number, or a generator.

    Returns:
        The superlattice, from the centre (at the origin) outwards; layers are normal to z, close-packed rows along x.

    Raises:
        InputError: for a stacking that is not close-packed, or too short and not able to repeat; sizes out of range;
            facets of what is not fcc.

    Example:
        >>> ball("fcc", 16.0, n=13).n, ball("hcp", 16.0, diameter_nm=32.0).n
        (13, 13)
        >>> ball("random", 16.0, diameter_nm=320.0, alpha=0.7, radius_nm=7.4)
        Superlattice(5978 NPs in free space, 320.3 nm across, radii 7.4 nm)
    """
    check_distance(d_nn_nm, radius_nm)
    letters = stacking_of_ball(stacking, d_nn_nm, diameter_nm, n, shape, alpha=alpha, twins=twins, seed=seed)
    check_stacking(letters, periodic=False)
    polyhedron = _Polyhedron(shape, letters)
    size = _size(d_nn_nm, diameter_nm, n, polyhedron)
    sites, sizes = _within(polyhedron, letters, _centre(centre, letters, d_nn_nm), size * _ON_THE_RIM)
    if len(sites) == 0:
        raise InputError(f"a supraparticle of {diameter_nm:g} nm holds no NP; choose a larger one")
    shells = np.round(np.column_stack([sizes, np.linalg.norm(sites, axis=1), sites[:, ::-1]]) / _SAME).astype(np.int64)
    chosen = np.lexsort(shells.T[::-1])[:n]
    return Superlattice(sites[chosen] * d_nn_nm, None if radius_nm is None else np.asarray(radius_nm))


def stacking_of_ball(
    stacking: str,
    d_nn_nm: float,
    diameter_nm: float | None = None,
    n: int | None = None,
    shape: str | Mapping[str, float] = "sphere",
    *,
    alpha: float | None = None,
    twins: Sequence[int] = (),
    seed: int | np.random.Generator = 1,
) -> str:
    """Return the letters of the stacking that `ball` builds, the middle one of them at the centre.

    Args:
        stacking: "fcc", "hcp", "random", or letters, which are returned as they are.
        d_nn_nm: nearest-neighbour distance, nm.
        diameter_nm: size, as for `ball`.
        n: or number of NPs.
        shape: as for `ball`.
        alpha: of "random": probability that a layer is fcc-like. Default 0.5.
        twins: of "fcc": twin planes, in layers from the centre.
        seed: of a random stacking: a number, or a generator.

    Raises:
        InputError: for another stacking, or what does not go with it.

    Example:
        >>> stacking_of_ball("fcc", 16.0, 80.0, twins=[0])
        'ABCABCBACBA'
    """
    if stacking == "r-hcp":
        stacking = "random"
    if alpha is not None and stacking != "random":
        raise InputError(f"alpha: is for a random stacking, not for {stacking}")
    if twins and stacking != "fcc":
        raise InputError(f"twins: is for fcc, not for {stacking}")
    if stacking not in ("random", *STACKINGS) and not set(stacking) <= set(SITES):
        named = ", ".join(["random", *STACKINGS])
        raise InputError(f"stacking {stacking!r}: is {named}, or a letter A, B or C for each layer")
    if stacking != "random" and not twins:
        return STACKINGS.get(stacking, stacking)
    layers = layers_of_ball(d_nn_nm, diameter_nm, n, shape)
    if stacking == "random":
        return random_stacking(layers, 0.5 if alpha is None else alpha, np.random.default_rng(seed))
    middle = layers // 2
    if max(map(abs, twins)) >= middle:
        raise InputError(f"twins: this supraparticle ends {middle - 1} layers from its centre, got {list(twins)}")
    return twinned_stacking(layers, [middle + twin for twin in twins])


def layers_of_ball(
    d_nn_nm: float, diameter_nm: float | None = None, n: int | None = None, shape: str | Mapping[str, float] = "sphere"
) -> int:
    """Return how many layers a stacking needs so that `ball` does not repeat it, about any site or hole.

    Args:
        d_nn_nm: nearest-neighbour distance, nm.
        diameter_nm: size, as for `ball`.
        n: or number of NPs.
        shape: as for `ball`.

    Example:
        >>> layers_of_ball(16.0, diameter_nm=320.0)
        29
    """
    check_distance(d_nn_nm)
    polyhedron = _Polyhedron(shape, "ABC")
    reach = _size(d_nn_nm, diameter_nm, n, polyhedron) * polyhedron.circumradius
    return 2 * int(np.ceil(reach / LAYER_SPACING) + 1) + 1


def icosahedron(
    order: int,
    d_nn_nm: float,
    layers: int = 0,
    diameter_nm: float | None = None,
    radius_nm: float | None = None,
    relax: bool = False,
) -> Superlattice:
    """Build a Mackay icosahedron with anti-Mackay layers around it, in free space.

    The distance along the twelve five-fold axes is d_nn; within the faces it is 1.0515 times as long, and in the wedges
    of anti-Mackay layers up to 1.27 times. No distance is shorter than d_nn; `simsc.builders.contacts.relax_contacts`
    evens them out.

    Args:
        order: shells of the Mackay icosahedron around its central NP, ≥ 1.
        d_nn_nm: nearest-neighbour distance, nm.
        layers: anti-Mackay layers, 0 … order. Default 0: a Mackay icosahedron.
        diameter_nm: keep the NPs whose centres lie in the ball of this diameter, nm; None keeps all.
        radius_nm: core radius of every NP, nm; None leaves it open.
        relax: whether to even out the strained distances (`simsc.builders.contacts.relax_contacts`).

    Returns:
        The superlattice, from the centre outwards; the first axis of the icosahedron is (0, 1, φ).

    Raises:
        InputError: for numbers out of range, or cores that overlap.

    Example:
        >>> icosahedron(6, 6.2).n, icosahedron(3, 6.2, layers=1).n
        (923, 279)
    """
    if not 1 <= order <= _LARGEST_ORDER:
        raise InputError(f"the order of an icosahedron must be 1 … {_LARGEST_ORDER}, got {order}")
    if not 0 <= layers <= order:
        raise InputError(f"an icosahedron of order {order} takes 0 … {order} anti-Mackay layers, got {layers}")
    built = _cut(icosahedron_sites(order, layers), d_nn_nm, diameter_nm, radius_nm)
    return relax_contacts(built, d_nn_nm).superlattice if relax else built


def decahedron(
    across: int,
    along: int,
    d_nn_nm: float,
    notch: int = 0,
    diameter_nm: float | None = None,
    radius_nm: float | None = None,
    relax: bool = False,
) -> Superlattice:
    """Build a decahedron: five twinned tetrahedra of fcc around an axis, with the truncations of Ino and Marks.

    Distances along the axis and away from it are d_nn; around it they are 1.0175 times as long, which closes the gap of
    7.4° that five regular tetrahedra leave; `simsc.builders.contacts.relax_contacts` evens them out.

    Args:
        across: NPs along the edges of the five {100} facets that are normal to the axis, ≥ 1.
        along: NPs along the edges of these facets that are parallel to the axis, ≥ 1; 1 leaves no {100} facet, so that
            the shape is a pentagonal bipyramid.
        d_nn_nm: nearest-neighbour distance, nm.
        notch: depth of the notches of Marks at the five twin planes; 0 (default) for none, as by Ino.
        diameter_nm: keep the NPs whose centres lie in the ball of this diameter, nm; None keeps all.
        radius_nm: core radius of every NP, nm; None leaves it open.
        relax: whether to even out the strained distances.

    Returns:
        The superlattice, from the centre outwards; the five-fold axis is z, and has across + along + 2 notch − 1 NPs.

    Raises:
        InputError: for numbers out of range, or cores that overlap.

    Example:
        >>> decahedron(2, 1, 6.2).n, decahedron(2, 2, 6.2, notch=1).n
        (7, 75)
    """
    if not (across >= 1 and along >= 1 and notch >= 0):
        raise InputError(
            f"a decahedron needs at least 1 NP across and along its facets and a notch ≥ 0, got {across}, {along} and "
            f"{notch}"
        )
    if max(across, along, notch) > 2 * _LARGEST_ORDER:
        raise InputError(f"the numbers of a decahedron must not be above {2 * _LARGEST_ORDER}")
    built = _cut(decahedron_sites(across, along, notch), d_nn_nm, diameter_nm, radius_nm)
    return relax_contacts(built, d_nn_nm).superlattice if relax else built


def _cut(sites: np.ndarray, d_nn_nm: float, diameter_nm: float | None, radius_nm: float | None) -> Superlattice:
    """Return sites (N, 3), in units of d_NN, within a ball about the origin, from there outwards."""
    check_distance(d_nn_nm, radius_nm)
    if diameter_nm is not None and not diameter_nm >= 0:
        raise InputError(f"the diameter of the ball must not be negative (nm), got {diameter_nm:g}")
    distance = np.linalg.norm(sites, axis=1)
    inside = np.arange(len(sites))
    if diameter_nm is not None:
        inside = np.flatnonzero(distance * d_nn_nm <= diameter_nm / 2 * _ON_THE_RIM)
    if len(inside) == 0:
        raise InputError(f"a ball of diameter {diameter_nm:g} nm holds no NP; choose a larger one")
    chosen = inside[np.argsort(distance[inside], kind="stable")]
    return Superlattice(sites[chosen] * d_nn_nm, None if radius_nm is None else np.asarray(radius_nm))


class _Polyhedron:
    """A shape by its facets; size 1 has the volume of the unit sphere."""

    def __init__(self, shape: str | Mapping[str, float], letters: str):
        self.normals, self.distances, self.circumradius = np.empty((0, 3)), np.ones(1), 1.0
        if shape == "sphere":
            return
        from ase.spacegroup import crystal  # slow to load

        from simsc.builders.nanoparticle import circumradius, facets_of_shape

        cubic, self.distances, _ = facets_of_shape(
            crystal("X", [(0, 0, 0)], spacegroup=225, cellpar=[1] * 3 + [90] * 3), shape, 2.0
        )
        self.normals = fcc_orientation("ABC" if _step(letters[0], letters[1]) == 1 else "ACB").apply(cubic)
        self.circumradius = circumradius(self.normals, self.distances)

    def sizes(self, points: np.ndarray) -> np.ndarray:
        """Return the size (N,) of the polyhedron on whose surface each point (N, 3) lies."""
        if len(self.normals) == 0:
            return np.linalg.norm(points, axis=1)
        largest = np.zeros(len(points))
        for normal, distance in zip(self.normals, self.distances, strict=True):
            np.maximum(largest, points @ normal / distance, out=largest)
        return largest


def _size(d_nn_nm: float, diameter_nm: float | None, n: int | None, polyhedron: _Polyhedron) -> float:
    """Return the size of a polyhedron, in units of d_NN: that asked for, or one that certainly holds n NPs."""
    if diameter_nm is None and n is None:
        raise InputError("a supraparticle needs a diameter (nm) or a number of NPs")
    if diameter_nm is not None and n is not None:
        raise InputError("a supraparticle has a diameter or a number of NPs, not both: one follows from the other")
    if diameter_nm is not None:
        if not (np.isfinite(diameter_nm) and diameter_nm > 0):
            raise InputError(f"the diameter of a supraparticle must be a positive number (nm), got {diameter_nm:g}")
        size = diameter_nm / d_nn_nm / 2
        expected = 4 / 3 * np.pi * np.sqrt(2) * size**3
    else:
        assert n is not None
        if n < 1:
            raise InputError(f"a supraparticle needs at least 1 NP, got {n}")
        expected = float(n)
        # An inner polyhedron of the volume of n NPs, and no site whose Voronoi cell reaches into it lies farther out
        # than the radius of the largest hole.
        size = (3 * n / (4 * np.pi * np.sqrt(2))) ** (1 / 3) + _HOLE / polyhedron.distances.min()
    if expected > _LARGEST_N:
        raise InputError(f"a supraparticle of about {expected:.2g} NPs is more than {_LARGEST_N:.0e}; choose less")
    return size


def _centre(centre: str | tuple[float, float, float], letters: str, d_nn_nm: float) -> np.ndarray:
    """Return the centre (3,) relative to a site of the middle layer, in units of d_NN."""
    middle = len(letters) // 2
    if isinstance(centre, str):
        own, above = letters[middle], letters[(middle + 1) % len(letters)]
        step = _step(own, above)
        # Lateral places of the sites above and of the third kind, over which there are octahedral holes.
        holes = {
            "site": (0, 0.0),
            "octahedral": (3 - step, LAYER_SPACING / 2),
            "tetrahedral": (step, LAYER_SPACING / 4),
        }
        if centre not in holes:
            raise InputError(f"centre {centre!r} is not known; available: {', '.join(holes)}, or x, y, z (nm)")
        return np.array([0.0, holes[centre][0] / np.sqrt(3), holes[centre][1]])
    point = np.asarray(centre, dtype=float) / d_nn_nm
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(f"the centre needs three finite numbers x, y, z (nm), got {centre}")
    return point


def _within(polyhedron: _Polyhedron, letters: str, centre: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return all sites (N, 3) of a polyhedron of a size about a centre, relative to it, and their own sizes (N,)."""
    reach = size * polyhedron.circumradius
    middle = len(letters) // 2
    layers = np.arange(
        np.ceil((centre[2] - reach) / LAYER_SPACING), np.floor((centre[2] + reach) / LAYER_SPACING) + 1
    ).astype(int)
    if len(layers) and (layers[0] + middle < 0 or layers[-1] + middle >= len(letters)):
        try:
            check_stacking(letters)
        except InputError:
            raise InputError(
                f"a stacking of {len(letters)} layers, which cannot repeat, is too short: "
                f"{2 * max(-layers[0], layers[-1]) + 1} are needed (see layers_of_ball)"
            ) from None
    kinds = site_numbers(letters)
    used = kinds[(layers + middle) % len(letters)]
    if len(polyhedron.normals) and (np.diff(used) % 3 != _step(letters[0], letters[1])).any():
        raise InputError("facets are those of a cubic crystal: only an fcc stacking can have them")
    shifts = (used - kinds[middle]) / np.sqrt(3)
    # Rows of NPs along x, cut to the sphere around the polyhedron: row (layer k, number j) ends where the sphere does.
    height = layers * LAYER_SPACING - centre[2]
    j = np.arange(-np.ceil((reach + 3) * 2 / np.sqrt(3)), np.ceil((reach + 3) * 2 / np.sqrt(3)) + 1)
    j = j + np.round((centre[1] - shifts[:, None]) * 2 / np.sqrt(3))
    y = j * np.sqrt(3) / 2 + shifts[:, None] - centre[1]
    offset = j / 2 - centre[0]
    half = reach**2 - height[:, None] ** 2 - y**2
    rows = np.nonzero(half >= 0)
    half, offset = np.sqrt(half[rows]), offset[rows]
    first = np.ceil(-half - offset)
    counts = np.maximum(np.floor(half - offset) - first + 1, 0).astype(int)
    along = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    sites = np.empty((len(along), 3))
    sites[:, 0] = along + np.repeat(first + offset, counts)
    sites[:, 1] = np.repeat(y[rows], counts)
    sites[:, 2] = np.repeat(height[rows[0]], counts)
    sizes = polyhedron.sizes(sites)
    inside = sizes <= size
    return sites[inside], sizes[inside]


def _step(letter: str, following: str) -> int:
    """Return 1 or 2: how far a layer is shifted against the one below."""
    below, above = site_numbers(letter + following)
    return int(above - below) % 3
