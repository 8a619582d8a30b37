"""Real spherical harmonics, and how they turn with a body."""

import numpy as np

_SPARE = 4  # sampled directions for each harmonic in the turn that is fitted


def real_harmonics(lmax: int, directions: np.ndarray) -> np.ndarray:
    """Return the real, orthonormal spherical harmonics Y_lm, of cos mφ for m ≥ 0 and sin |m|φ for m < 0.

    Args:
        lmax: largest degree.
        directions: (P, 3) unit vectors.

    Returns:
        ((lmax + 1)², P); Y_lm stands at l² + l + m.
    """
    x, y, z = np.ascontiguousarray(directions.T)
    harmonics = np.empty(((lmax + 1) ** 2, len(x)))
    # (x + iy)^m without its normalisation: the Legendre functions below lack the factor sin^m θ.
    power = np.ones(len(x), dtype=complex)
    first = np.full(len(x), 1 / np.sqrt(4 * np.pi))
    for m in range(lmax + 1):
        if m:
            power = power * (x + 1j * y)
            first = first * np.sqrt((2 * m + 1) / (2 * m))
        last, value = np.zeros(len(x)), first
        for l in range(m, lmax + 1):  # noqa: E741
            if l > m:
                a = np.sqrt((4 * l**2 - 1) / (l**2 - m**2))
                b = np.sqrt(((l - 1) ** 2 - m**2) / (4 * (l - 1) ** 2 - 1)) if l > 1 else 0.0
                last, value = value, a * (z * value - b * last)
            middle = l**2 + l
            if m:
                harmonics[middle + m] = np.sqrt(2) * value * power.real
                harmonics[middle - m] = np.sqrt(2) * value * power.imag
            else:
                harmonics[middle] = value
    return harmonics


def turned_coefficients(coefficients: np.ndarray, quaternions: np.ndarray) -> np.ndarray:
    """Turn a function on the sphere of one degree l, given by its coefficients.

    The turn is R_z(α) R_y(β) R_z(γ), and R_y(β) = X R_z(β) X⁻¹ with X, the same for all, from z to y.

    Args:
        coefficients: (2l + 1,) of Y_lm, m = −l … l.
        quaternions: (N, 4) unit quaternions, scalar last.

    Returns:
        (N, 2l + 1) coefficients of f(R⁻¹ q).
    """
    l = (len(coefficients) - 1) // 2  # noqa: E741
    # Angles from half their sum and difference, which are well defined as far as the turn itself is.
    x, y, z, w = quaternions.T
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(-x, y)
    alpha, gamma = half_sum + half_difference, half_sum - half_difference
    beta = 2 * np.arctan2(np.hypot(x, y), np.hypot(z, w))
    swap = _from_z_to_y(l)
    turned = _about_z(np.broadcast_to(coefficients, (len(quaternions), 2 * l + 1)), gamma)
    turned = _about_z(turned @ swap, beta)  # swap is orthogonal: this is X⁻¹
    return _about_z(turned @ swap.T, alpha)


def _about_z(coefficients: np.ndarray, angles: np.ndarray) -> np.ndarray:
    l = (coefficients.shape[1] - 1) // 2  # noqa: E741
    m = np.arange(-l, l + 1)
    # cos m(φ − α) and sin m(φ − α) by the addition theorems; the sine of −m brings the sign.
    turned = coefficients * np.cos(angles[:, None] * m)
    return turned - coefficients[:, ::-1] * np.sin(angles[:, None] * m)


def _from_z_to_y(l: int) -> np.ndarray:  # noqa: E741
    """Return the matrix (2l + 1, 2l + 1) that turns coefficients by −90° about x."""
    n = _SPARE * (2 * l + 1)
    z = 1 - (2 * np.arange(n) + 1) / n
    phi = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    directions = np.column_stack([np.sqrt(1 - z**2) * np.cos(phi), np.sqrt(1 - z**2) * np.sin(phi), z])
    before = directions[:, [0, 2, 1]] * [1, -1, 1]  # X⁻¹ q̂: X takes (x, y, z) to (x, z, −y)
    own = slice(l**2, (l + 1) ** 2)
    return np.linalg.lstsq(real_harmonics(l, directions)[own].T, real_harmonics(l, before)[own].T, rcond=None)[0]
