"""Expansion of oriented, polydisperse forms: few products of a function of q and a number for each NP.

The amplitude F(q; R, O) = R³ f(R O⁻¹q) of a real body that scales with the core radius is expanded in spherical
harmonics, and the radial part of each degree by a singular value decomposition over q and R. A second decomposition,
over the NPs as they stand, keeps as few combinations as a tolerance allows: equal orientations leave what the spread of
radii needs, and cubic symmetry leaves few degrees.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.polynomial import chebyshev

from simsc.core.errors import InputError
from simsc.core.intensity import band_limit, shell_grid
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.round import chebyshev_nodes, evaluate
from simsc.scattering.harmonics import real_harmonics, turned_coefficients

_NUMBERS_A_PIECE = 1_000_000  # which fit a cache
_NUMBERS_OF_NPS = 20_000_000
_SHARE = 0.1  # of the tolerance, for what the harmonics leave out


@dataclass(frozen=True, eq=False)
class OrientedFormFactor:
    """F(q; R_j, O_j) = Σ_r u_r(q) c_rj for given radii and orientations.

    Args:
        coefficients: (rank, N) factors of each NP.
        q_max_inv_nm: largest momentum transfer of the expansion, nm⁻¹.
    """

    isotropic: ClassVar[bool] = False

    coefficients: np.ndarray
    q_max_inv_nm: float
    _degrees: list["_Degree"]
    _mix: list[np.ndarray]  # for each degree (2l + 1, radial rank, rank)

    def functions(self, q_inv_nm: np.ndarray) -> np.ndarray:
        """Return u_r (rank, P) at momentum transfers (P, 3), nm⁻¹, of length up to q_max.

        Raises:
            InputError: beyond q_max.
        """
        lengths = np.linalg.norm(q_inv_nm, axis=1)
        directions = np.where(lengths[:, None] > 0, q_inv_nm, [0, 0, 1.0]) / np.where(lengths > 0, lengths, 1)[:, None]
        size = sum(degree.size for degree in self._degrees)
        step = max(1, _NUMBERS_A_PIECE // size)
        series = np.concatenate([degree.series for degree in self._degrees])
        ends = np.cumsum([len(degree.series) for degree in self._degrees])[:-1]
        basis = np.concatenate([mix.reshape(-1, mix.shape[2]) for mix in self._mix]).T
        values: np.ndarray = np.empty((len(self.coefficients), len(lengths)), dtype=self._dtype)
        for k in range(0, len(lengths), step):
            piece = slice(k, k + step)
            harmonics = real_harmonics(self._degrees[-1].l, directions[piece])
            polynomials = chebyshev.chebvander(self._scaled(lengths[piece]), series.shape[1] - 1)
            products: np.ndarray = np.empty((size, len(polynomials)), dtype=self._dtype)
            first = 0
            for degree, radial in zip(self._degrees, np.split(series @ polynomials.T, ends), strict=True):
                own = products[first : first + degree.size].reshape(2 * degree.l + 1, len(radial), -1)
                np.multiply(degree.phase * harmonics[degree.own, None], radial, out=own)
                first += degree.size
            values[:, piece] = basis @ products
        return values

    def on_sphere(self, q_inv_nm: float, directions: np.ndarray) -> np.ndarray:
        """Return u_r (rank, P) in directions (P, 3) of one |q|, nm⁻¹."""
        scaled = self._scaled(np.array([q_inv_nm]))
        mixed = [d.phase * np.einsum("p,mpr->mr", d.radial(scaled)[:, 0], mix)
                 for d, mix in zip(self._degrees, self._mix, strict=True)]  # fmt: skip
        values: np.ndarray = np.empty((len(self.coefficients), len(directions)), dtype=self._dtype)
        step = _NUMBERS_A_PIECE // (self._degrees[-1].l + 1) ** 2
        for k in range(0, len(directions), step):
            harmonics = real_harmonics(self._degrees[-1].l, directions[k : k + step])
            values[:, k : k + step] = sum(m.T @ harmonics[d.own] for d, m in zip(self._degrees, mixed, strict=True))
        return values

    @property
    def _dtype(self) -> type:
        return np.complex128 if any(degree.l % 2 for degree in self._degrees) else np.float64

    def _scaled(self, lengths: np.ndarray) -> np.ndarray:
        if lengths.size and lengths.max() > self.q_max_inv_nm * (1 + 1e-9):
            raise InputError(f"form factor asked at q = {lengths.max():g} nm⁻¹, prepared up to {self.q_max_inv_nm:g}")
        return np.minimum(2 * lengths / self.q_max_inv_nm - 1, 1.0)


@dataclass(frozen=True, eq=False)
class _Degree:
    """Harmonics of one degree l: f_lm(q, R) = (−i)^l Σ_ap cubic_ma radial_p(q) by_radius_pa(R).

    Args:
        l: the degree.
        cubic: (2l + 1, A) orthonormal coefficients of the A functions of this degree that the symmetry leaves.
        series: (P, n) Chebyshev series in q of P functions that are orthonormal at the nodes.
        by_radius: (P, n_R, A) what multiplies them at the nodes in R.
    """

    l: int  # noqa: E741
    cubic: np.ndarray
    series: np.ndarray
    by_radius: np.ndarray

    @property
    def size(self) -> int:
        return (2 * self.l + 1) * len(self.series)

    @property
    def own(self) -> slice:
        return slice(self.l**2, (self.l + 1) ** 2)

    @property
    def phase(self) -> complex | float:
        return [1.0, -1j, -1.0, 1j][self.l % 4]

    def radial(self, scaled: np.ndarray) -> np.ndarray:
        return chebyshev.chebval(scaled, self.series.T)


def expand_oriented(
    form: Form,
    radii_nm: np.ndarray,
    orientations: np.ndarray | None,
    q_max_inv_nm: float,
    tolerance: float = 1e-8,
) -> OrientedFormFactor:
    """Expand the form factors of oriented bodies, such as polyhedra.

    Args:
        form: what the NPs are: real, of unit contrast, scaling with the core radius, not isotropic.
        radii_nm: (N,) core radii, nm.
        orientations: (N, 4) unit quaternions from the frame of the body, scalar last; None turns none.
        q_max_inv_nm: largest momentum transfer, nm⁻¹.
        tolerance: root mean square error over the NPs, at the worst q, relative to the largest F(0). It bounds the
            error of the amplitude relative to the forward direction. Default 1e-8.
    """
    low, high = float(radii_nm.min()), float(radii_nm.max())
    equal = high - low < 1e-12 * high
    nodes = np.zeros(1) if equal else _nodes(q_max_inv_nm * form.reach_nm(high - low), tolerance)
    degrees = _degrees(form, q_max_inv_nm, low + (nodes + 1) / 2 * (high - low), tolerance)
    error = tolerance * 4 / 3 * np.pi * high**3
    scaled = np.zeros(len(radii_nm)) if equal else 2 * (radii_nm - low) / (high - low) - 1
    lagrange = chebyshev.chebfit(nodes, np.eye(len(nodes)), len(nodes) - 1)
    turns = np.array([[0.0, 0.0, 0.0, 1.0]]) if orientations is None else orientations
    if (np.abs(turns - turns[0]) < 1e-15).all():
        at_nodes = _coefficients(degrees, np.repeat(turns[:1], len(nodes), axis=0), np.eye(len(nodes)))
        basis = _basis(degrees, at_nodes.T, error)
        coefficients = evaluate(lagrange @ (basis.T @ at_nodes).T, scaled)
    else:
        size = sum(degree.size for degree in degrees)
        pieces = np.array_split(np.arange(len(turns)), 1 + size * len(turns) // _NUMBERS_OF_NPS)

        def of(piece: np.ndarray) -> np.ndarray:
            return _coefficients(degrees, turns[piece], evaluate(lagrange, scaled[piece]))

        # A triangle with the same singular values, piece by piece; sums of c cᵀ would lose half of the digits.
        triangle: np.ndarray = np.zeros((0, size))
        for piece in pieces:
            triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, of(piece).T]), mode="r"))
        basis = _basis(degrees, triangle / np.sqrt(len(turns)), error)
        coefficients = np.concatenate([basis.T @ of(piece) for piece in pieces], axis=1)
    return OrientedFormFactor(coefficients, q_max_inv_nm, degrees, _split(degrees, basis))


def _degrees(form: Form, q_max_inv_nm: float, radii_nm: np.ndarray, tolerance: float) -> list[_Degree]:
    """Return the degrees that matter, with F at (q, R) of Chebyshev nodes."""
    largest = radii_nm.max()
    x_max = q_max_inv_nm * largest
    limit = band_limit(x_max * form.reach_nm(1.0), _SHARE * tolerance)
    n_theta, n_phi = limit + 1, 2 * limit + 2
    # F(−q) = F*(q): half a sphere will do, and the equator counts half.
    directions, weights = shell_grid(n_theta, n_phi)
    north = (n_theta + 1) // 2
    directions, weights = directions[:north].reshape(-1, 3), weights[:north].copy()
    if n_theta % 2:
        weights[-1] /= 2
    harmonics = real_harmonics(limit, directions) * np.repeat(weights * 8 * np.pi / n_phi, n_phi)
    x_nodes = _nodes(x_max * form.reach_nm(1.0), tolerance)
    x = (x_nodes + 1) / 2 * x_max
    amplitudes = form.amplitude(x[:, None, None] * directions, 1.0)
    q_nodes = _nodes(q_max_inv_nm * form.reach_nm(largest), tolerance)
    q_over_x = (q_nodes[:, None] + 1) * (radii_nm / largest) - 1
    allowed = _SHARE * tolerance * 4 / 3 * np.pi * largest**3
    degrees = []
    for l in range(limit + 1):  # noqa: E741
        part = amplitudes.imag * (-1) ** ((l + 1) // 2) if l % 2 else amplitudes.real * (-1) ** (l // 2)
        cubic, strength, radial = np.linalg.svd(harmonics[l**2 : (l + 1) ** 2] @ part.T, full_matrices=False)
        # No combination of Y_lm of unit norm exceeds this (Unsöld's theorem).
        peak = np.sqrt((2 * l + 1) / (4 * np.pi))
        n = int((strength * peak * largest**3 > _SHARE * allowed).sum())
        if n == 0:
            continue
        series = chebyshev.chebfit(x_nodes, (strength[:n, None] * radial[:n]).T, len(x) - 1)
        values = radii_nm**3 * chebyshev.chebval(q_over_x, series)  # (A, q, R)
        flat = values.transpose(1, 2, 0).reshape(len(q_nodes), -1)
        left, singular, right = np.linalg.svd(flat, full_matrices=False)
        rest, rank = flat, 0
        while peak * np.linalg.norm(rest.reshape(-1, n), axis=1).max() > allowed:
            rest = rest - singular[rank] * np.outer(left[:, rank], right[rank])
            rank += 1
        if rank:
            by_radius = (singular[:rank, None] * right[:rank]).reshape(rank, len(radii_nm), n)
            in_q = chebyshev.chebfit(q_nodes, left[:, :rank], len(q_nodes) - 1).T
            degrees.append(_Degree(l, cubic[:, :n], in_q, by_radius))
    return degrees


def _nodes(phase: float, tolerance: float) -> np.ndarray:
    """Return nodes for functions whose waves go through at most so many radians along the interval."""
    # Coefficients of exp(i x t), −1 < t < 1, are Bessel functions of x, and fall as spherical ones do.
    return chebyshev_nodes(band_limit(phase / 2, 0.01 * tolerance) + 4)


def _coefficients(degrees: list[_Degree], turns: np.ndarray, at_nodes: np.ndarray) -> np.ndarray:
    """Return what multiplies harmonic m and radial function p of all degrees, (K, N), of NPs.

    Args:
        degrees: of the form.
        turns: (N, 4) unit quaternions.
        at_nodes: (n_R, N) the polynomials of the nodes in R at the radius of each NP.
    """
    parts = []
    for degree in degrees:
        part = 0.0
        for a, cubic in enumerate(degree.cubic.T):
            radial = degree.by_radius[:, :, a] @ at_nodes
            part = part + turned_coefficients(cubic, turns).T[:, None] * radial
        parts.append(np.reshape(part, (degree.size, -1)))
    return np.concatenate(parts)


def _basis(degrees: list[_Degree], rows: np.ndarray, error: float) -> np.ndarray:
    """Return the fewest combinations (K, rank) that leave a mean square error below error² at all q.

    The products of harmonics and radial functions are orthonormal, so that these are principal components.

    Args:
        degrees: of the form.
        rows: (n, K) whose sum of c cᵀ is the mean over the NPs.
        error: of the form factor, nm³.
    """
    singular, vectors = np.linalg.svd(rows, full_matrices=False)[1:]
    directions = shell_grid(8, 15)[0].reshape(-1, 3)
    harmonics = real_harmonics(degrees[-1].l, directions)
    even = np.concatenate([np.full(degree.size, degree.l % 2 == 0) for degree in degrees])
    signs = np.concatenate([np.full(degree.size, -1.0 if degree.l % 4 > 1 else 1.0) for degree in degrees])
    worst = np.zeros(len(singular))
    for scaled in np.linspace(-1, 1, degrees[-1].series.shape[1]):
        at = np.array([scaled])
        products = [(harmonics[d.own, None] * d.radial(at)).reshape(d.size, -1) for d in degrees]
        values = signs[:, None] * np.concatenate(products)
        squares = (vectors[:, even] @ values[even]) ** 2 + (vectors[:, ~even] @ values[~even]) ** 2
        # What is left without this component and all weaker ones.
        left_out = np.cumsum((singular[:, None] ** 2 * squares)[::-1], axis=0)[::-1]
        worst = np.maximum(worst, left_out.max(axis=1))
    rank = max(1, int((worst > error**2).sum()))
    return vectors[:rank].T


def _split(degrees: list[_Degree], basis: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum([degree.size for degree in degrees])
    parts = np.split(basis, ends[:-1])
    return [part.reshape(2 * degree.l + 1, -1, basis.shape[1]) for degree, part in zip(degrees, parts, strict=True)]
