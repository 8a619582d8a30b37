"""Scattered intensity of a finite crystal by non-uniform fast Fourier transforms.

A(q) = Σ_j F_j(q) exp(−i q·r_j) and I = |A|². Radii, orientations and elements enter through low-rank expansions
F_j(q) = Σ_r u_r(q) c_rj (`form_factors`, `atoms`): one transform a term, whatever the number of NPs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import ducc0
import numpy as np
from numpy.polynomial import chebyshev
from scipy.ndimage import correlate1d
from scipy.spatial.transform import Rotation

from simsc.core.errors import InputError
from simsc.core.intensity import IntensityVolume, ShellIntensity, band_limit, shell_grid
from simsc.core.superlattice import Superlattice
from simsc.scattering.atoms import Atoms, expand_atoms
from simsc.scattering.form_factors.form import Expansion, Form
from simsc.scattering.form_factors.round import chebyshev_nodes
from simsc.scattering.form_factors.sphere import SPHERE
from simsc.scattering.resolution import grid_kernel, shell_harmonics, shell_nodes, smeared_shell
from simsc.scattering.scattering_model import SHARP_SPHERES, ScatteringModel

Frames = Superlattice | Atoms | Iterable[Superlattice | Atoms]
_POINTS_A_BATCH = 4_000_000
_NUMBERS_A_BATCH = 40_000_000


def intensity_on_grid(
    frames: Frames,
    q_max_inv_nm: float,
    n: int = 256,
    tolerance: float = 1e-8,
    threads: int = 0,
    *,
    scattering: ScatteringModel = SHARP_SPHERES,
    weights: Sequence[float] | None = None,
) -> IntensityVolume:
    """Compute the intensity of a finite crystal on a Cartesian grid.

    Args:
        frames: NPs with radii, or atoms; taken as a finite crystal, periodic images are not added. Of several, such as
            frames of a trajectory or domains of a sample, the intensities are added.
        q_max_inv_nm: the grid goes from −q_max to +q_max along x, y and z, nm⁻¹.
        n: points along each axis. Default 256.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-8.
        threads: of the transform; 0 takes all cores.
        scattering: form, thermal motion and resolution. Default spheres that stand still, seen sharply.
        weights: of the frames in the sum; default 1 / their number, the mean.

    Returns:
        Intensity, nm⁶ at unit contrast (electrons² for atoms), (n, n, n).

    Raises:
        InputError: without radii, or for a grid that is not one.
        SamplingError: if the grid is too coarse for the resolution to be applied.
    """
    crystals = _crystals(frames, weights, scattering)
    form, resolution_inv_nm = scattering.form, scattering.resolution_inv_nm
    if n < 4 or not q_max_inv_nm > 0:
        raise InputError(f"a grid needs q_max > 0 and at least 4 points, got q_max = {q_max_inv_nm:g}, n = {n}")
    axis = np.linspace(-q_max_inv_nm, q_max_inv_nm, n)
    step = 2 * q_max_inv_nm / (n - 1)
    kernels = []
    if resolution_inv_nm:
        extents = np.max([crystal.extents_nm(form) for crystal in crystals], axis=0)
        kernels = [grid_kernel(resolution_inv_nm, step, extent, tolerance) for extent in extents]
    margins = [len(kernel) // 2 for kernel in kernels] or [0, 0, 0]
    shape = (n + 2 * margins[0], n + 2 * margins[1], n + 2 * margins[2])
    intensity = np.zeros(shape)
    half = intensity[shape[0] // 2 :]
    # |q|² takes few values: (2k − n + 1)², summed over three axes, times (step / 2)².
    squares = [((2 * np.arange(m) - m + 1) ** 2) for m in shape]
    corner = np.sqrt(sum(float(square[-1]) for square in squares)) * step / 2
    for crystal in crystals:
        expansion = crystal.expansion(form, corner * (1 + 1e-12), tolerance)
        _add_half(half, crystal, expansion, scattering, squares, step, tolerance, threads)
    # Friedel's law: I(−q) = I(q).
    intensity[: shape[0] - shape[0] // 2] = half[::-1, ::-1, ::-1]
    for dimension, (kernel, margin) in enumerate(zip(kernels, margins, strict=False)):
        smeared = correlate1d(intensity, kernel, dimension, mode="constant")
        intensity = np.ascontiguousarray(np.take(smeared, np.arange(margin, margin + n), axis=dimension))
    diameter = max(crystal.diameter_nm(form) for crystal in crystals)
    return IntensityVolume(intensity, (axis, axis, axis), diameter_nm=diameter)


def intensity_on_shells(
    frames: Frames,
    q_inv_nm: np.ndarray,
    grids: list[tuple[int, int]],
    tolerance: float = 1e-8,
    threads: int = 0,
    *,
    scattering: ScatteringModel = SHARP_SPHERES,
    weights: Sequence[float] | None = None,
) -> Iterator[ShellIntensity]:
    """Compute the intensity of a finite crystal directly on shells.

    Only the northern half is transformed: I(−q) = I(q).

    Args:
        frames: NPs with radii, or atoms, one or several, as for `intensity_on_grid`.
        q_inv_nm: (n_q,) momentum transfers, nm⁻¹.
        grids: (n_theta, n_phi) of each shell; n_phi even.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-8.
        threads: of the transform; 0 takes all cores.
        scattering: form, thermal motion and resolution. Default spheres that stand still, seen sharply. A resolution
            takes further shells for the integral over |q|, whose number is that of a crystal's fringes across it.
        weights: of the frames in the sum; default 1 / their number, the mean.

    Yields:
        One `ShellIntensity` for each q, in order; intensity in nm⁶ at unit contrast (electrons² for atoms).

    Raises:
        InputError: without radii, or for an odd n_phi.
    """
    crystals = _crystals(frames, weights, scattering)
    form, resolution_inv_nm = scattering.form, scattering.resolution_inv_nm
    q = np.asarray(q_inv_nm, dtype=np.float64)
    if any(n_phi % 2 for _, n_phi in grids):
        raise InputError("shells need an even number of points along φ")
    if not resolution_inv_nm:
        yield from _sharp_shells(crystals, q, grids, scattering, tolerance, threads)
        return
    extent = max(crystal.diameter_nm(form) + 2 * crystal.reach_nm(form) for crystal in crystals)
    nodes = shell_nodes(resolution_inv_nm, q, extent, tolerance)
    limits = [band_limit(float(node) * max(c.diameter_nm(form) for c in crystals), 0.1 * tolerance) for node in nodes]
    sharp = _sharp_shells(
        crystals, nodes, [(limit + 1, 2 * limit + 2) for limit in limits], scattering, tolerance, threads
    )
    harmonics = [shell_harmonics(shell, limit, threads) for shell, limit in zip(sharp, limits, strict=True)]
    for value, grid in zip(q, grids, strict=True):
        yield smeared_shell(resolution_inv_nm, float(value), grid, nodes, harmonics, tolerance, threads)


class TurnedIntensity:
    """Intensity of a crystal at points that stay where they are while the crystal turns, as on a detector.

    Args:
        frames: NPs with radii, one or several, as for `intensity_on_grid`.
        q_inv_nm: (P, 3) momentum transfers, nm⁻¹.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-6.
        threads: of the transforms; 0 takes all cores.
        scattering: form and thermal motion. Default spheres that stand still.

    Raises:
        InputError: without radii, or with a resolution, which belongs to the detector here.
    """

    def __init__(
        self,
        frames: Superlattice | Iterable[Superlattice],
        q_inv_nm: np.ndarray,
        tolerance: float = 1e-6,
        threads: int = 0,
        *,
        scattering: ScatteringModel = SHARP_SPHERES,
    ) -> None:
        if scattering.resolution_inv_nm:
            raise InputError("a crystal that turns is seen sharply; the resolution is the blur of the detector")
        self._crystals = _crystals(frames, None, scattering)
        self._points = np.ascontiguousarray(q_inv_nm, dtype=np.float64)
        self._length = np.linalg.norm(self._points, axis=-1)
        self._form, self._sigma_nm = scattering.form, scattering.sigma_nm
        self._tolerance, self._threads = tolerance, threads
        # Of round NPs they are the same at all angles.
        self._functions: dict[int, np.ndarray] = {}

    def __call__(self, turn: Rotation) -> np.ndarray:
        """Return the intensity (P,) after the crystal has been turned."""
        intensity = np.zeros(len(self._points))
        for k, crystal in enumerate(self._crystals):
            assert isinstance(crystal.frame, Superlattice)
            turned = replace(crystal, frame=crystal.frame.rotated(turn))
            expansion = turned.expansion(self._form, float(self._length.max()) * (1 + 1e-12), self._tolerance)
            functions = self._functions.get(k)
            if functions is None:
                functions = expansion.functions(self._length if expansion.isotropic else self._points)
                if expansion.isotropic:
                    self._functions[k] = functions
            intensity += crystal.weight * _sharp_points(
                turned, expansion, functions, self._points, self._length, self._sigma_nm, self._tolerance, self._threads
            )
        return intensity


@dataclass(frozen=True, eq=False)
class _Crystal:
    """One frame, about its centre, with its weight in the sum."""

    frame: Superlattice | Atoms
    weight: float

    @property
    def centred(self) -> np.ndarray:
        positions = self.frame.positions_nm
        return np.ascontiguousarray(positions - (positions.min(axis=0) + positions.max(axis=0)) / 2)

    def reach_nm(self, form: Form) -> float:
        if isinstance(self.frame, Atoms):
            return 0.1  # beyond which an atom has too few electrons for its form factor to vary faster
        return form.reach_nm(float(self.frame.known_radii_nm.max()))

    def diameter_nm(self, form: Form) -> float:
        """Return what limits how fast the intensity varies with direction; round forms do not."""
        return self.frame.diameter_nm + (2 * self.reach_nm(form) if _oriented(self.frame, form) else 0.0)

    def extents_nm(self, form: Form) -> np.ndarray:
        """Return the largest distances (3,) of scattering matter along x, y and z."""
        return np.ptp(self.frame.positions_nm, axis=0) + 2 * self.reach_nm(form)

    def expansion(self, form: Form, q_max_inv_nm: float, tolerance: float) -> Expansion:
        if isinstance(self.frame, Atoms):
            return expand_atoms(self.frame)
        return form.expansion(self.frame.known_radii_nm, self.frame.orientations, q_max_inv_nm, tolerance)


def extent_nm(frame: Superlattice | Atoms, form: Form = SPHERE) -> float:
    """Return the distance, nm, that limits how fast the intensity of a frame varies with the direction of q.

    It is the diameter of the centres; oriented NPs add their own.
    """
    return _Crystal(frame, 1.0).diameter_nm(form)


def _oriented(frame: Superlattice | Atoms, form: Form) -> bool:
    return isinstance(frame, Superlattice) and not form.isotropic


def _crystals(frames: Frames, weights: Sequence[float] | None, scattering: ScatteringModel) -> list[_Crystal]:
    several = [frames] if isinstance(frames, Superlattice | Atoms) else list(frames)
    if not several:
        raise InputError("an intensity needs at least one frame")
    shares = [1 / len(several)] * len(several) if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(several) or not (np.isfinite(shares).all() and min(shares) >= 0):
        raise InputError(f"{len(several)} frames need as many weights, not negative, got {weights}")
    for frame in several:
        if isinstance(frame, Superlattice):
            _ = frame.known_radii_nm  # before anything is computed
        elif scattering.form != SPHERE:
            raise InputError("atoms have form factors of their own; leave form out")
    return [_Crystal(frame, share) for frame, share in zip(several, shares, strict=True)]


def _add_half(
    half: np.ndarray,
    crystal: _Crystal,
    expansion: Expansion,
    scattering: ScatteringModel,
    squares: list[np.ndarray],
    step: float,
    tolerance: float,
    threads: int,
) -> None:
    """Add the intensity of a frame to the half of the grid with x ≥ 0, (m, ny, nz)."""
    centred, sigma_nm = crystal.centred, scattering.sigma_nm
    offset = len(squares[0]) - len(half)
    # The transform's own points are the integers −m//2 …; phases move them onto the grid.
    lowest = np.array([(2 * offset - len(squares[0]) + 1), 1 - len(squares[1]), 1 - len(squares[2])]) * step / 2
    shift = lowest + step * (np.array(half.shape) // 2)
    phases = np.exp(-1j * (centred @ shift))
    reach = None if expansion.isotropic else crystal.reach_nm(scattering.form)
    function = _on_planes(expansion.functions, reach, squares, offset, step, tolerance)
    amplitude = np.empty(half.shape, dtype=np.complex128)
    term = amplitude if len(expansion.coefficients) == 1 else np.empty_like(amplitude)
    for r, coefficients in enumerate(expansion.coefficients):
        used = np.flatnonzero(coefficients) if (coefficients == 0).any() else slice(None)
        ducc0.nufft.nu2u(
            points=coefficients[used] * phases[used],
            coord=centred[used] * step,
            forward=True,
            epsilon=max(tolerance, 1e-12),
            nthreads=threads,
            out=term if r else amplitude,
            periodicity=2 * np.pi,
        )
        for i in range(len(half)):
            plane = function(r, i)
            if r == 0:
                amplitude[i] *= plane
            else:
                amplitude[i] += term[i] * plane
    del term
    if sigma_nm:
        moments = _moments(expansion)
        diffuse = _on_planes(
            lambda q: _squares(expansion.functions(q), moments)[None],
            None if reach is None else 2 * reach,
            squares,
            offset,
            step,
            tolerance,
        )
    for i in range(len(half)):
        intensity = amplitude[i].real ** 2 + amplitude[i].imag ** 2
        if sigma_nm:
            q_squared = (squares[0][offset + i] + squares[1][:, None] + squares[2]) * (step / 2) ** 2
            damping = np.exp(-q_squared * sigma_nm**2)
            intensity = intensity * damping + diffuse(0, i) * (1 - damping)
        half[i] += crystal.weight * intensity


def _on_planes(
    functions: Callable[[np.ndarray], np.ndarray],
    reach_nm: float | None,
    squares: list[np.ndarray],
    offset: int,
    step: float,
    tolerance: float,
) -> Callable[[int, int], np.ndarray]:
    """Return what gives function r on plane i of the half grid, (ny, nz).

    Args:
        functions: of |q| if there is no reach, from a table of the few values on the grid; else smooth functions of q,
            from polynomials along the three axes.
        reach_nm: how far, nm, the matter reaches whose transforms they are.
        squares: (2k − n + 1)² along each axis.
        offset: of the half grid along x.
        step: of the grid, nm⁻¹.
        tolerance: of the polynomials.
    """
    if reach_nm is None:
        largest = int(sum(square[-1] for square in squares))
        table = functions(np.sqrt(np.arange(largest + 1)) * step / 2)
        # A quarter of the plane is looked up and mirrored, which is faster than looking up all.
        ny, nz = len(squares[1]), len(squares[2])
        quarter = squares[1][ny // 2 :, None] + squares[2][nz // 2 :]

        def plane(r: int, i: int) -> np.ndarray:
            values = table[r][squares[0][offset + i] + quarter]
            values = np.concatenate([values[:, ::-1][:, : nz // 2], values], axis=1)
            return np.concatenate([values[::-1][: ny // 2], values])

        return plane
    nodes, matrices = [], []
    for square, start in zip(squares, (offset, 0, 0), strict=True):
        axis = (np.arange(start, len(square)) - (len(square) - 1) / 2) * step
        middle, radius = (axis[-1] + axis[0]) / 2, (axis[-1] - axis[0]) / 2
        # Coefficients of exp(i x t) are Bessel functions of x, and fall as spherical ones do.
        scaled = chebyshev_nodes(band_limit(radius * reach_nm, 0.1 * tolerance) + 1)
        polynomials = chebyshev.chebfit(scaled, np.eye(len(scaled)), len(scaled) - 1)
        nodes.append(middle + radius * scaled)
        matrices.append(chebyshev.chebvander((axis - middle) / radius, len(scaled) - 1) @ polynomials)
    points = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    values = functions(points.reshape(-1, 3)).reshape(-1, *points.shape[:3])
    x, y, z = matrices
    return lambda r, i: y @ np.tensordot(x[i], values[r], 1) @ z.T


def _sharp_shells(
    crystals: list[_Crystal],
    q_inv_nm: np.ndarray,
    grids: list[tuple[int, int]],
    scattering: ScatteringModel,
    tolerance: float,
    threads: int,
) -> Iterator[ShellIntensity]:
    expansions = [crystal.expansion(scattering.form, float(np.max(q_inv_nm)), tolerance) for crystal in crystals]
    rank = max(1 if expansion.isotropic else len(expansion.coefficients) for expansion in expansions)
    for batch in _batches(grids, min(_POINTS_A_BATCH, _NUMBERS_A_BATCH // rank)):
        directions = [shell_grid(*grids[k])[0][: (grids[k][0] + 1) // 2].reshape(-1, 3) for k in batch]
        lengths = [len(part) for part in directions]
        points = np.concatenate([q_inv_nm[k] * part for k, part in zip(batch, directions, strict=True)])
        intensity = np.zeros(len(points))
        for crystal, expansion in zip(crystals, expansions, strict=True):
            functions = np.concatenate(
                [
                    np.broadcast_to(
                        expansion.on_sphere(float(q_inv_nm[k]), part), (len(expansion.coefficients), len(part))
                    )
                    for k, part in zip(batch, directions, strict=True)
                ],
                axis=1,
            )
            length = np.repeat(q_inv_nm[batch], lengths)
            one = _sharp_points(crystal, expansion, functions, points, length, scattering.sigma_nm, tolerance, threads)
            intensity += crystal.weight * one
        for k, part in zip(batch, np.split(intensity, np.cumsum(lengths)[:-1]), strict=True):
            yield ShellIntensity(float(q_inv_nm[k]), _complete(part.reshape(-1, grids[k][1]), grids[k][0]))


def _sharp_points(
    crystal: _Crystal,
    expansion: Expansion,
    functions: np.ndarray,
    points: np.ndarray,
    length: np.ndarray,
    sigma_nm: float,
    tolerance: float,
    threads: int,
) -> np.ndarray:
    """Return the intensity (P,) at points (P, 3) of these lengths (P,), where the functions are (rank, P)."""
    centred = crystal.centred
    amplitude = np.zeros(len(points), dtype=np.complex128)
    for coefficients, values in zip(expansion.coefficients, functions, strict=True):
        used = np.flatnonzero(coefficients) if (coefficients == 0).any() else slice(None)
        amplitude += values * ducc0.nufft.experimental.nu2nu(
            points_in=coefficients[used].astype(np.complex128),
            coord_in=centred[used],
            coord_out=points,
            forward=True,
            epsilon=max(tolerance, 1e-12),
            nthreads=threads,
        )
    intensity = amplitude.real**2 + amplitude.imag**2
    if sigma_nm:
        damping = np.exp(-(length**2) * sigma_nm**2)
        intensity = intensity * damping + _squares(functions, _moments(expansion)) * (1 - damping)
    return intensity


def _complete(north: np.ndarray, n_theta: int) -> np.ndarray:
    """Return the whole shell from its northern half, by Friedel's law."""
    south = np.roll(north[: n_theta // 2][::-1], north.shape[1] // 2, axis=1)
    return np.concatenate([north, south])


def _batches(grids: list[tuple[int, int]], points: int) -> Iterator[np.ndarray]:
    sizes = np.array([(n_theta + 1) // 2 * n_phi for n_theta, n_phi in grids])
    number = (np.cumsum(sizes) - sizes) // points
    for value in np.unique(number):
        yield np.flatnonzero(number == value)


def _moments(expansion: Expansion) -> np.ndarray:
    """Return (rank, rank) Σ_j c_rj c_sj, with which Σ_j |F_j|² = Σ_rs u_r* u_s c_rs."""
    return expansion.coefficients @ expansion.coefficients.T


def _squares(functions: np.ndarray, moments: np.ndarray) -> np.ndarray:
    return np.einsum("rk,rk->k", functions.conj(), moments @ functions).real
