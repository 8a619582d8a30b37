"""Scattered intensity of a finite crystal by non-uniform fast Fourier transforms.

A(q) = Σ_j F(q, R_j) exp(−i q·r_j) and I = |A|². Polydisperse radii enter through the low-rank expansion of
`simsc.scattering.form_factor`: one transform a term, whatever the number of radii.
"""

from collections.abc import Iterable, Iterator

import ducc0
import numpy as np

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume, ShellIntensity, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.scattering.form_factor import expand_spheres

_POINTS_A_BATCH = 4_000_000


def intensity_on_grid(
    superlattice: Superlattice, q_max_inv_nm: float, n: int = 256, tolerance: float = 1e-8, threads: int = 0
) -> IntensityVolume:
    """Compute the intensity of a finite crystal of spheres on a Cartesian grid.

    Args:
        superlattice: NPs with radii; taken as a finite crystal, periodic images are not added.
        q_max_inv_nm: the grid goes from −q_max to +q_max along x, y and z, nm⁻¹.
        n: points along each axis. Default 256.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-8.
        threads: of the transform; 0 takes all cores.

    Returns:
        Intensity, nm⁶ at unit contrast, (n, n, n).

    Raises:
        InputError: without radii, or for a grid that is not one.
    """
    radii = _radii(superlattice)
    if n < 4 or not q_max_inv_nm > 0:
        raise InputError(f"a grid needs q_max > 0 and at least 4 points, got q_max = {q_max_inv_nm:g}, n = {n}")
    centred = _centred(superlattice)
    axis = np.linspace(-q_max_inv_nm, q_max_inv_nm, n)
    step = axis[1] - axis[0]
    expansion = expand_spheres(radii, np.sqrt(3) * q_max_inv_nm * (1 + 1e-12), tolerance)
    # The transform's own points are the integers −n//2 … ; this phase moves them onto the symmetric axis.
    shift = axis[0] + step * (n // 2)
    phases = np.exp(-1j * shift * centred.sum(axis=1))
    # (2k − n + 1)² summed over three axes: |q|² takes few values, so u_r(|q|) is a table.
    squares = (2 * np.arange(n) - n + 1) ** 2
    index = squares[:, None, None] + squares[:, None] + squares
    table = expansion.functions(np.sqrt(np.arange(index.max() + 1)) * step / 2)
    amplitude = np.zeros((n, n, n), dtype=np.complex128)
    for coefficients, values in zip(expansion.coefficients, table, strict=True):
        term = ducc0.nufft.nu2u(
            points=coefficients * phases,
            coord=centred * step,
            forward=True,
            epsilon=max(tolerance, 1e-12),
            nthreads=threads,
            out=np.empty((n, n, n), dtype=np.complex128),
            periodicity=2 * np.pi,
        )
        amplitude += term * values[index]
    intensity = amplitude.real**2 + amplitude.imag**2
    return IntensityVolume(intensity, (axis, axis, axis), diameter_nm=superlattice.diameter_nm)


def intensity_on_shells(
    superlattices: Iterable[Superlattice],
    q_inv_nm: np.ndarray,
    grids: list[tuple[int, int]],
    tolerance: float = 1e-8,
    threads: int = 0,
) -> Iterator[ShellIntensity]:
    """Compute the intensity of a finite crystal directly on shells, averaged over frames.

    Only the northern half is transformed: I(−q) = I(q).

    Args:
        superlattices: NPs with radii, one superlattice a frame; their intensities are averaged.
        q_inv_nm: (n_q,) momentum transfers, nm⁻¹.
        grids: (n_theta, n_phi) of each shell; n_phi even.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-8.
        threads: of the transform; 0 takes all cores.

    Yields:
        One `ShellIntensity` for each q, in order; intensity in nm⁶ at unit contrast.

    Raises:
        InputError: without radii, or for an odd n_phi.
    """
    frames = [
        (_centred(frame), expand_spheres(_radii(frame), float(np.max(q_inv_nm)), tolerance)) for frame in superlattices
    ]
    if any(n_phi % 2 for _, n_phi in grids):
        raise InputError("shells need an even number of points along φ")
    for batch in _batches(grids):
        halves = [q_inv_nm[k] * shell_grid(*grids[k])[0][: (grids[k][0] + 1) // 2] for k in batch]
        points = np.concatenate([half.reshape(-1, 3) for half in halves])
        lengths = [half.shape[0] * half.shape[1] for half in halves]
        intensity = np.zeros(len(points))
        for centred, expansion in frames:
            functions = np.repeat(expansion.functions(q_inv_nm[batch]), lengths, axis=1)
            amplitude = np.zeros(len(points), dtype=np.complex128)
            for coefficients, values in zip(expansion.coefficients, functions, strict=True):
                amplitude += values * ducc0.nufft.experimental.nu2nu(
                    points_in=coefficients.astype(np.complex128),
                    coord_in=centred,
                    coord_out=points,
                    forward=True,
                    epsilon=max(tolerance, 1e-12),
                    nthreads=threads,
                )
            intensity += (amplitude.real**2 + amplitude.imag**2) / len(frames)
        for k, part in zip(batch, np.split(intensity, np.cumsum(lengths)[:-1]), strict=True):
            yield ShellIntensity(float(q_inv_nm[k]), _complete(part.reshape(-1, grids[k][1]), grids[k][0]))


def _complete(north: np.ndarray, n_theta: int) -> np.ndarray:
    """Return the whole shell from its northern half, by Friedel's law."""
    south = np.roll(north[: n_theta // 2][::-1], north.shape[1] // 2, axis=1)
    return np.concatenate([north, south])


def _batches(grids: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    sizes = np.array([(n_theta + 1) // 2 * n_phi for n_theta, n_phi in grids])
    number = (np.cumsum(sizes) - sizes) // _POINTS_A_BATCH
    for value in np.unique(number):
        yield np.flatnonzero(number == value)


def _radii(superlattice: Superlattice) -> np.ndarray:
    if superlattice.radii_nm is None:
        raise InputError("the NPs have no radii; give a core radius (nm)")
    return superlattice.radii_nm


def _centred(superlattice: Superlattice) -> np.ndarray:
    positions = superlattice.positions_nm
    return np.ascontiguousarray(positions - (positions.min(axis=0) + positions.max(axis=0)) / 2)
