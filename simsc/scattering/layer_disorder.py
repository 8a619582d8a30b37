"""Diffraction along Bragg rods of close-packed layers whose stacking is disordered.

Along a rod hkl with h − k ≠ 3n, at the height q_z = l c* with c* = π / s of hcp and s the spacing of the layers,

    I(l) = Σ_m (2 − δ_m0) W_m Re Q_m cos(π l m),    Q_m = ⟨exp(2πi (X_{j+m} − X_j) / 3)⟩,

averaged over equivalent rods. X_j = 0, 1, 2 for layers A, B, C; W_m is the weight of pairs of layers m apart, which
the shape of the crystal tells, and Q_m their pair correlation, which the stacking tells. Whatever the stacking,
Q_0 = 1 and Re Q_1 = −1/2; Re Q_2 = 1 − 3/2 f, where f is the fraction of fcc-like layers. Q_m of a Markov chain of
layers follows from its transition matrix (Hendricks and Teller, J. Chem. Phys. 10 (1942) 147, DOI 10.1063/1.1723678;
Treacy, Newsam and Deem, Proc. R. Soc. Lond. A 433 (1991) 499, DOI 10.1098/rspa.1991.0062).
"""

from dataclasses import dataclass

import numpy as np

from simsc.core.close_packing import LAYER_SPACING, check_distance
from simsc.core.errors import InputError

_OFFSETS = 8  # positions of the layers against the centre of the ball that are averaged over
_NODES = 24


@dataclass(frozen=True)
class StackingModel:
    """A Markov chain of close-packed layers, with growth and deformation faults.

    A layer that grows is fcc-like with a probability that depends on whether the layer below is: the two parameters
    of Jagodzinski (Acta Cryst. 2 (1949) 201, DOI 10.1107/S0365110X49000552). One and the same probability α for both is
    random growth: α = 1 is fcc, 0 is hcp, 1/2 is random stacking; 1 − α is the growth (twin) fault probability of fcc
    and α that of hcp. A deformation fault slides all layers above an interface from one hollow into the other; the
    steps above stay what they were (Warren, X-ray Diffraction, 1969, chapter 13).

    Args:
        cubic_after_cubic: probability that a layer on an fcc-like one is fcc-like.
        cubic_after_hexagonal: the same on an hcp-like one; None: equal to the first.
        deformation: probability of a deformation fault at each interface, 0 to 0.5.

    Raises:
        InputError: for probabilities out of their range.

    Example:
        >>> round(StackingModel(0.8).fcc_fraction, 3), round(StackingModel(0.8, 0.4).fcc_fraction, 3)
        (0.8, 0.667)
    """

    cubic_after_cubic: float
    cubic_after_hexagonal: float | None = None
    deformation: float = 0.0

    def __post_init__(self) -> None:
        after = self.cubic_after_cubic if self.cubic_after_hexagonal is None else self.cubic_after_hexagonal
        object.__setattr__(self, "cubic_after_hexagonal", after)
        if not (0 <= self.cubic_after_cubic <= 1 and 0 <= after <= 1):
            raise InputError(
                f"probabilities of fcc-like layers lie in 0 … 1, got {self.cubic_after_cubic:g}, {after:g}"
            )
        if not 0 <= self.deformation <= 0.5:
            raise InputError(f"the deformation fault probability lies in 0 … 0.5, got {self.deformation:g}")

    @property
    def fcc_fraction(self) -> float:
        """Expected fraction of fcc-like layers."""
        return float(2 / 3 * (1 - self.pair_correlations(2)[2]))

    def pair_correlations(self, n: int) -> np.ndarray:
        """Return Q_0 … Q_n (n + 1,), real: both senses of stacking are equally likely."""
        start, matrix = self._chain()
        vector, values = start.astype(complex), [1.0]
        for _ in range(n):
            vector = vector @ matrix
            values.append(vector.sum().real)
        return np.array(values)

    def infinite_rod(self, l_hcp: np.ndarray) -> np.ndarray:
        """Return the intensity (…) per layer of infinitely many layers at heights l, in units of c* of hcp.

        Raises:
            InputError: for a stacking without faults, whose intensity is a row of delta functions.
        """
        start, matrix = self._chain()
        if np.abs(np.linalg.eigvals(matrix)).max() > 1 - 1e-9:
            raise InputError("a stacking without faults has sharp peaks only; use a finite number of layers")
        z = np.exp(-1j * np.pi * np.asarray(l_hcp, dtype=float))[..., None, None]
        summed = start @ np.linalg.solve(np.eye(4) - z * matrix, z * matrix @ np.ones((4, 1)))
        return 1 + 2 * summed[..., 0].real

    def steps(self, n: int, rng: np.random.Generator, copies: int = 1) -> np.ndarray:
        """Return random stackings (copies, n): ±1 from each layer to the next."""
        assert self.cubic_after_hexagonal is not None
        share = self._share()
        cubic = rng.random(copies) < share
        sense = rng.choice([-1, 1], copies)
        result = np.empty((copies, n), dtype=np.int64)
        for k in range(n):
            if k:
                cubic = rng.random(copies) < np.where(cubic, self.cubic_after_cubic, self.cubic_after_hexagonal)
                sense = np.where(cubic, sense, -sense)
            result[:, k] = sense
        return np.where(rng.random((copies, n)) < self.deformation, -result, result)

    def _share(self) -> float:
        """Return the fraction of fcc-like layers before deformation."""
        assert self.cubic_after_hexagonal is not None
        ends = 1 - self.cubic_after_cubic + self.cubic_after_hexagonal
        return self.cubic_after_hexagonal / ends if ends > 0 else 0.5

    def _chain(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the stationary state (4,) and the matrix (4, 4) of transitions times phases.

        States: the step to the layer (+1, +1, −1, −1) and whether that below was fcc-like (1, 0, 1, 0).
        """
        assert self.cubic_after_hexagonal is not None
        sense, cubic = np.array([1, 1, -1, -1]), np.array([True, False, True, False])
        grow = np.where(cubic, self.cubic_after_cubic, self.cubic_after_hexagonal)[:, None]
        kept = sense[:, None] == sense
        transition = np.where(kept == cubic, np.where(cubic, grow, 1 - grow), 0.0)
        phase = np.exp(2j * np.pi * sense / 3)
        phase = (1 - self.deformation) * phase + self.deformation * phase.conj()
        share = self._share()
        return np.where(cubic, share, 1 - share) / 2, transition * phase


def pair_correlations_of(
    steps: np.ndarray, weights: np.ndarray | None = None, largest: int | None = None
) -> np.ndarray:
    """Return the pair correlations Q_0 … Q_n of given stackings.

    Args:
        steps: (…, n) ±1 from each layer to the next.
        weights: (n + 1,) size of each of the layers; None: all equal. Pairs count by the smaller of the two, which is
            their overlap where layers are concentric.
        largest: number of layers apart up to which correlations are wanted; None: n.

    Returns:
        (…, largest + 1) complex correlations.

    Example:
        >>> pair_correlations_of(np.array([1, -1, 1])).real.round(2).tolist()
        [1.0, -0.5, 1.0, -0.5]
    """
    steps = np.asarray(steps)
    zero = np.zeros((*steps.shape[:-1], 1))
    phase = np.exp(2j * np.pi * np.concatenate([zero, np.cumsum(steps, axis=-1)], axis=-1) / 3)
    n = phase.shape[-1]
    sizes = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    values = []
    for m in range(n if largest is None else min(n, largest + 1)):
        pairs = np.minimum(sizes[: n - m], sizes[m:])
        values.append((phase[..., m:] * phase[..., : n - m].conj() * pairs).sum(axis=-1) / pairs.sum())
    return np.stack(values, axis=-1)


def rod_intensity(l_hcp: np.ndarray, correlations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the intensity along a rod from pair correlations and weights of pairs of layers, both (n + 1,).

    Example:
        >>> hcp = StackingModel(0.0).pair_correlations(99)
        >>> zero, one = rod_intensity(np.array([0.0, 1.0]), hcp, slab_weights(100))
        >>> round(float(one / zero), 3)
        3.0
    """
    return rod_cosines(l_hcp, weights) @ np.real(correlations)


def rod_cosines(l_hcp: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what each Re Q_m adds to the intensity: (2 − δ_m0) W_m cos(π l m), (n_l, n + 1)."""
    m = np.arange(len(weights))
    return np.where(m == 0, 1, 2) * weights * np.cos(np.pi * np.multiply.outer(l_hcp, m))


def slab_weights(n_layers: int) -> np.ndarray:
    """Return W_m (n_layers,) of a slab of equal layers, each of weight 1."""
    return np.arange(n_layers, 0, -1.0)


def ball_weights(diameter_nm: float, d_nn_nm: float, disc_inv_nm: float = 0.0) -> np.ndarray:
    """Return W_m of a ball, whose layers are discs, averaged over a disc of momentum transfers about the rod.

    On the rod itself a pair of layers counts by the product of their areas; integrated over a disc much wider than the
    rod, by their overlap (Parseval).

    Args:
        diameter_nm: of the ball, such that it holds √2 π D³ / 6 d³ NPs, nm.
        d_nn_nm: nearest-neighbour distance, nm.
        disc_inv_nm: radius of the disc, nm⁻¹.

    Returns:
        (n,) weights in squared numbers of NPs, for all distances of layers that the ball holds.

    Raises:
        InputError: for sizes that are not positive, or a ball of fewer than 4 layers.
    """
    if not disc_inv_nm >= 0:
        raise InputError(f"the disc about the rod needs a radius ≥ 0 (nm⁻¹), got {disc_inv_nm:g}")
    if disc_inv_nm == 0:
        return pair_weights(diameter_nm, d_nn_nm, np.zeros(1))[:, 0]
    # A node for each oscillation of the widest layer, and a few more.
    nodes, shares = np.polynomial.legendre.leggauss(_NODES + int(disc_inv_nm * diameter_nm))
    radius = (nodes + 1) / 2 * disc_inv_nm
    return pair_weights(diameter_nm, d_nn_nm, radius) @ (shares * radius / disc_inv_nm)


def pair_weights(diameter_nm: float, d_nn_nm: float, off_inv_nm: np.ndarray) -> np.ndarray:
    """Return W_m(κ) (n, n_κ) of a ball at distances κ from the rod, nm⁻¹; see `ball_weights`."""
    from scipy.special import j1  # slow to load

    check_distance(d_nn_nm)
    spacing = LAYER_SPACING * d_nn_nm
    if not (np.isfinite(diameter_nm) and diameter_nm >= 4 * spacing):
        raise InputError(f"a ball of {diameter_nm:g} nm holds fewer than 4 layers at d = {d_nn_nm:g} nm")
    reach = int(diameter_nm / 2 / spacing) + 1
    offsets = (np.arange(_OFFSETS) + 0.5) / _OFFSETS - 0.5
    squared = diameter_nm**2 / 4 - ((np.arange(-reach, reach + 1)[:, None] + offsets) * spacing) ** 2
    radius = np.sqrt(np.maximum(squared, 0.0))[..., None]
    x = radius * off_inv_nm
    small = x < 1e-4
    disc = np.where(small, 1 - x**2 / 8, 2 * j1(x) / np.where(small, 1.0, x))
    layers = np.pi * radius**2 * disc / (np.sqrt(3) / 2 * d_nn_nm**2)
    n = int(np.ceil(diameter_nm / spacing))
    return np.array([(layers[m:] * layers[: len(layers) - m]).sum(axis=0).mean(axis=0) for m in range(n)])
