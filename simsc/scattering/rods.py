"""Intensity along Bragg rods hkl of close-packed layers, with real l: from a structure, or out of a measured volume.

A rod runs along the stacking axis through h a* + k b* of the hexagonal layers. Rods with h − k ≠ 3n tell the stacking
(`simsc.scattering.layer_disorder`); those with h − k = 3n do not depend on it.
"""

from dataclasses import dataclass, replace

import ducc0
import numpy as np

from simsc.core.close_packing import (
    LAYER_SPACING,
    check_distance,
    layer_momentum_transfer,
    rod_momentum_transfer,
)
from simsc.core.directions import fibonacci_sphere
from simsc.core.errors import InputError, SamplingError
from simsc.core.intensity import IntensityVolume
from simsc.core.superlattice import Superlattice
from simsc.scattering.form_factors.round import LowRankFormFactor, expand_round
from simsc.scattering.form_factors.sphere import SPHERE, sphere_amplitude

_SPLINE_ORDER = 5
_DIRECTIONS = 20_000  # half of them used: 1.3° apart
_LEAST_MEASURED = 0.3  # of six rods, to tell their azimuth


@dataclass(frozen=True, eq=False)
class LayerFrame:
    """Where the layers of a close-packed crystal lie, and how far apart.

    Args:
        axis: (3,) unit vector of the stacking.
        in_plane: (3,) unit vector across it, along the reciprocal vector a* of the layers.
        d_nn_nm: nearest-neighbour distance within the layers, nm.
        spacing_nm: of the layers, nm; None: that of touching spheres.

    Raises:
        InputError: for vectors that are not at right angles, or lengths that are not positive.
    """

    axis: np.ndarray
    in_plane: np.ndarray
    d_nn_nm: float
    spacing_nm: float | None = None

    def __post_init__(self) -> None:
        lengths = [np.linalg.norm(self.axis), np.linalg.norm(self.in_plane)]
        if not np.allclose(lengths, 1, atol=1e-6) or abs(self.axis @ self.in_plane) > 1e-6:
            raise InputError("the stacking axis and a* must be unit vectors at right angles")
        check_distance(self.d_nn_nm)
        if self.spacing_nm is None:
            object.__setattr__(self, "spacing_nm", LAYER_SPACING * self.d_nn_nm)

    @property
    def c_star_inv_nm(self) -> float:
        """Unit of l: c* of hcp, π over the spacing of the layers, nm⁻¹."""
        assert self.spacing_nm is not None
        return float(np.pi / self.spacing_nm)

    def rods(self, hk: tuple[int, int]) -> np.ndarray:
        """Return where all rods (n, 3) equivalent to hk, by the six-fold axis and mirrors, cross l = 0, nm⁻¹."""
        a = rod_momentum_transfer(self.d_nn_nm) * self.in_plane
        b = 0.5 * a + np.sqrt(3) / 2 * np.cross(self.axis, a)
        return np.array([h * a + k * b for h, k in equivalent_rods(hk)])


@dataclass(frozen=True, eq=False)
class RodProfile:
    """Intensity along a Bragg rod, averaged over the equivalent ones.

    Args:
        hk: indices of the rod.
        l_hcp: (n,) heights in units of c* of hcp.
        intensity: (n,) mean intensity over the rods and a disc about each; NaN where nothing was measured.
        spread: (n,) standard deviation among the rods; NaN where fewer than two were measured.
        frame: the layers.
        disc_inv_nm: radius of the disc about the rod, nm⁻¹; 0: on the rod itself.
        form_factor: (n,) squared mean amplitude of an NP, which multiplies the interference of NPs; None if unknown.
        incoherent: (n,) intensity that unequal NPs add everywhere; None if unknown.
    """

    hk: tuple[int, int]
    l_hcp: np.ndarray
    intensity: np.ndarray
    spread: np.ndarray
    frame: LayerFrame
    disc_inv_nm: float
    form_factor: np.ndarray | None = None
    incoherent: np.ndarray | None = None

    @property
    def q_inv_nm(self) -> np.ndarray:
        """(n,) momentum transfers |q|, nm⁻¹."""
        return np.hypot(np.linalg.norm(self.frame.rods(self.hk)[0]), self.l_hcp * self.frame.c_star_inv_nm)

    @property
    def corrected(self) -> np.ndarray:
        """(n,) intensity that the positions of the NPs alone would scatter, in squared numbers of NPs.

        Raises:
            InputError: where the form factor is not known.
        """
        if self.form_factor is None or self.incoherent is None:
            raise InputError("the form factor is not known: give the core radius (nm)")
        return (self.intensity - self.incoherent) / self.form_factor

    def with_spheres(self, radius_nm: float, radius_std_nm: float = 0.0, displacement_nm: float = 0.0) -> "RodProfile":
        """Return the profile with the form factor of spheres of normally distributed radii.

        Args:
            radius_nm: mean core radius, nm.
            radius_std_nm: its standard deviation, nm.
            displacement_nm: root mean square displacement of the NPs along one coordinate, nm; the form factor is
                lowered by the Debye–Waller factor. What diffuse intensity it adds counts as background.
        """
        form_factor, _ = sphere_statistics(self.q_inv_nm, radius_nm, radius_std_nm)
        form_factor = form_factor * np.exp(-((self.q_inv_nm * displacement_nm) ** 2))
        # Measured intensities have no absolute scale, so that a constant background has to stand for this.
        return replace(self, form_factor=form_factor, incoherent=np.zeros_like(form_factor))


def equivalent_rods(hk: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the indices of all rods equivalent to hk by the six-fold axis and the mirrors of the layers.

    Example:
        >>> len(equivalent_rods((1, 0))), len(equivalent_rods((2, 1)))
        (6, 12)
    """
    found = set()
    for h, k in (hk, hk[::-1]):
        for _ in range(6):
            found.add((h, k))
            h, k = -k, h + k
    return sorted(found)


def sphere_statistics(q_inv_nm: np.ndarray, radius_nm: float, radius_std_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ⟨F⟩² and ⟨F²⟩ − ⟨F⟩² of spheres with normally distributed radii, nm⁶, of the shape of q.

    Raises:
        InputError: for a radius that is not positive, or a deviation out of 0 … radius / 4.
    """
    if not (np.isfinite(radius_nm) and radius_nm > 0 and 0 <= radius_std_nm <= radius_nm / 4):
        raise InputError(
            f"a core radius > 0 and its standard deviation in 0 … radius / 4 are needed (nm), got {radius_nm:g} and "
            f"{radius_std_nm:g}"
        )
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    kept = np.abs(nodes) < 3.9  # as `with_normal_radii`
    nodes, weights = nodes[kept], weights[kept] / weights[kept].sum()
    amplitude = sphere_amplitude(np.asarray(q_inv_nm)[..., None], radius_nm + radius_std_nm * nodes)
    mean = amplitude @ weights
    return mean**2, amplitude**2 @ weights - mean**2


def rod_profile(
    frames: list[Superlattice],
    layers: LayerFrame,
    l_hcp: np.ndarray,
    hk: tuple[int, int] = (1, 0),
    disc_inv_nm: float = 0.0,
    threads: int = 0,
) -> RodProfile:
    """Compute the intensity of a finite crystal along a rod, without interpolation.

    Args:
        frames: NPs with radii; the intensity is averaged over the frames.
        layers: axis and net of the layers, such as `simsc.classify.stacking.layer_frame` finds.
        l_hcp: (n,) heights in units of c* of hcp.
        hk: indices of the rod. Default (1, 0).
        disc_inv_nm: radius of a disc about each rod to average over, nm⁻¹. Default 0: on the rod itself.
        threads: of the transforms; 0 takes all cores.

    Raises:
        InputError: without radii, or for a negative disc.
    """
    points, weights = _points(layers, l_hcp, hk, disc_inv_nm, max(frame.diameter_nm for frame in frames))
    values = _intensity(frames, points, threads=threads) @ weights
    l_hcp = np.asarray(l_hcp, dtype=float)
    profile = RodProfile(hk, l_hcp, values.mean(axis=0), _spread(values), layers, disc_inv_nm)
    # Of the NPs' own radii: at each q the mean and the variance of their amplitudes.
    form_factor, incoherent = np.zeros(len(l_hcp)), np.zeros(len(l_hcp))
    for frame in frames:
        radii, counts = np.unique(frame.known_radii_nm, return_counts=True)
        for first in range(0, len(l_hcp), 100):
            part = slice(first, first + 100)
            amplitude = sphere_amplitude(profile.q_inv_nm[part, None], radii)
            mean = amplitude @ counts / frame.n
            form_factor[part] += mean**2 / len(frames)
            incoherent[part] += (amplitude**2 @ counts - frame.n * mean**2) / len(frames)
    return replace(profile, form_factor=form_factor, incoherent=incoherent)


def _intensity(
    superlattices: list[Superlattice], points_inv_nm: np.ndarray, tolerance: float = 1e-8, threads: int = 0
) -> np.ndarray:
    """Compute the intensity of a finite crystal at any momentum transfers, averaged over frames.

    Args:
        superlattices: NPs with radii, one superlattice a frame; their intensities are averaged.
        points_inv_nm: (..., 3) momentum transfers, nm⁻¹.
        tolerance: accuracy of the amplitude relative to the forward direction. Default 1e-8.
        threads: of the transform; 0 takes all cores.

    Returns:
        Intensity (...), nm⁶ at unit contrast.

    Raises:
        InputError: without radii or frames.
    """
    frames = list(superlattices)
    if not frames:
        raise InputError("no frames were given")
    points = np.ascontiguousarray(points_inv_nm, dtype=np.float64).reshape(-1, 3)
    lengths = np.linalg.norm(points, axis=1)
    intensity = np.zeros(len(points))
    for frame in frames:
        expansion = expand_round(SPHERE, frame.known_radii_nm, float(lengths.max()), tolerance)
        functions = expansion.functions(lengths)
        amplitude = _amplitude(
            np.ascontiguousarray(frame.positions_nm - frame.positions_nm.mean(axis=0)),
            expansion,
            functions,
            points,
            tolerance,
            threads,
        )
        intensity += (amplitude.real**2 + amplitude.imag**2) / len(frames)
    return intensity.reshape(points_inv_nm.shape[:-1])


def _amplitude(
    centred: np.ndarray,
    expansion: LowRankFormFactor,
    functions: np.ndarray,
    points: np.ndarray,
    tolerance: float,
    threads: int,
) -> np.ndarray:
    """Return the amplitude (n,) at points (n, 3) where the form factor's functions have values (rank, n)."""
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
    return amplitude


def rod_profile_of_volume(
    volume: IntensityVolume,
    layers: LayerFrame,
    l_hcp: np.ndarray,
    hk: tuple[int, int] = (1, 0),
    disc_inv_nm: float = 0.0,
) -> RodProfile:
    """Interpolate the intensity along a rod in a volume; what was not measured is left out of the averages.

    A quintic spline. A rod counts at a height only where its whole disc was measured. Rods of crystals with more layers
    of one sense than of the other come in two kinds, with h − k = 3n + 1 and 3n − 1, the one at l like the other at −l:
    both have the same weight in the average, however many of each were measured.

    Args:
        volume: simulated or measured intensity.
        layers: axis and net of the layers, such as `layers_of_volume` finds.
        l_hcp: (n,) heights in units of c* of hcp; those of the other sign serve too, by Friedel's law.
        hk: indices of the rod. Default (1, 0).
        disc_inv_nm: radius of a disc about each rod to average over, nm⁻¹. Default 0.

    Raises:
        SamplingError: if nothing of the rod was measured.
    """
    step = max(float(axis[1] - axis[0]) for axis in volume.q_axes_inv_nm)
    size = volume.diameter_nm if volume.diameter_nm is not None else np.pi / step
    l_hcp = np.asarray(l_hcp, dtype=float)
    points, weights = _points(layers, np.concatenate([l_hcp, -l_hcp]), hk, disc_inv_nm, size)
    intensity, measured = _Spline(volume)(points)
    above, below = np.split(np.where(measured.all(axis=-1), intensity @ weights, np.nan), 2, axis=1)
    kind = np.array([(h - k) % 3 for h, k in equivalent_rods(hk)])
    one = np.concatenate([above[kind <= 1], below[kind != 1]])
    other = np.concatenate([above[kind == 2], below[kind == 1]]) if kind.any() else one
    mean = (_mean(one) + _mean(other)) / 2
    if not np.isfinite(mean).any():
        raise SamplingError(f"no rod {hk[0]}{hk[1]}l was measured; the volume reaches {volume.q_max_inv_nm:.3g} nm⁻¹")
    return RodProfile(hk, l_hcp, mean, _spread(np.concatenate([above, below])), layers, disc_inv_nm)


def layers_of_volume(volume: IntensityVolume, d_nn_nm: float) -> LayerFrame:
    """Find the axis of close-packed layers and the direction of their net from a volume.

    The axis is the brightest direction near q = 2π / (√(2/3) d), where 002 of hcp and 111 of fcc lie: 002 does not
    depend on the stacking, and faults weaken the others. About it the six rods 10l are looked for.

    Args:
        volume: simulated or measured intensity.
        d_nn_nm: nearest-neighbour distance, nm, within 3 % of which reflections are looked for. It becomes that of the
            layers: where intensities peak, the form factor's slope shifts them by up to 1 %.

    Raises:
        SamplingError: if the volume does not reach 002, or too little of the rods was measured.
    """
    q002, q100 = layer_momentum_transfer(d_nn_nm), rod_momentum_transfer(d_nn_nm)
    if volume.q_max_inv_nm < q002:
        raise SamplingError(f"002 lies at {q002:.3g} nm⁻¹, but the volume ends at {volume.q_max_inv_nm:.3g} nm⁻¹")
    values = _Spline(volume)
    factors = np.linspace(0.97, 1.03, 7)
    axis_q = _brightest(values, q002 * factors[:, None, None] * fibonacci_sphere(_DIRECTIONS)[: _DIRECTIONS // 2])
    step = 0.01 * q002
    cube = np.stack(np.meshgrid(*[np.linspace(-1, 1, 7)] * 3, indexing="ij"), axis=-1)
    for _ in range(5):
        axis_q = _brightest(values, axis_q + step * cube)
        step /= 2
    axis = axis_q / np.linalg.norm(axis_q)
    axis *= np.sign(axis[np.abs(axis).argmax()])
    first = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    reach = np.sqrt(max(volume.q_max_inv_nm**2 - (1.03 * q100) ** 2, 0.0))
    heights = np.linspace(-reach, reach, 41)[:, None] * axis
    centre, width, scale = 30.0, 30.0, factors
    for _ in range(3):
        azimuths = centre + np.linspace(-width, width, 61)
        angles = np.radians(azimuths[:, None] + 60 * np.arange(6))
        rings = np.cos(angles)[..., None] * first + np.sin(angles)[..., None] * second
        points = q100 * scale[:, None, None, None, None] * rings[:, :, None] + heights
        intensity, measured = values(points)
        share = measured.mean(axis=(2, 3))
        means = np.where(share > _LEAST_MEASURED, np.where(measured, intensity, 0).sum(axis=(2, 3)), 0)
        means /= np.maximum(measured.sum(axis=(2, 3)), 1)
        if not (share > _LEAST_MEASURED).any():
            raise SamplingError("too little of the rods 10l about the brightest 002 was measured")
        best = np.unravel_index(means.argmax(), means.shape)
        centre, width = float(azimuths[best[1]]), width / 15
        scale = scale[best[0]] + np.linspace(-1, 1, 7) * (scale[1] - scale[0]) * 0.5
    angle = np.radians(centre)
    in_plane = np.cos(angle) * first + np.sin(angle) * second
    return LayerFrame(axis, in_plane, d_nn_nm)


class _Spline:
    """Intensity of a volume at any points (..., 3), nm⁻¹, and whether all voxels next to each were measured."""

    def __init__(self, volume: IntensityVolume) -> None:
        from scipy import ndimage  # slow to load

        self._volume = volume
        values = volume.intensity
        if volume.measured is not None:
            values = np.where(volume.measured, values, values[volume.measured].mean())
        self._coefficients = ndimage.spline_filter(values, order=_SPLINE_ORDER)
        self._support = None if volume.measured is None else volume.measured.astype(np.float32)

    def __call__(self, points_inv_nm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from scipy import ndimage

        axes = self._volume.q_axes_inv_nm
        steps = np.array([axis[1] - axis[0] for axis in axes])
        index = np.moveaxis((points_inv_nm - [axis[0] for axis in axes]) / steps, -1, 0)
        last = np.array(self._coefficients.shape).reshape(3, *[1] * (index.ndim - 1)) - 1
        measured = ((index >= -1e-6) & (index <= last + 1e-6)).all(axis=0)
        if self._support is not None:
            measured &= ndimage.map_coordinates(self._support, index, order=1, mode="nearest") > 1 - 1e-5
        values = ndimage.map_coordinates(
            self._coefficients, index, order=_SPLINE_ORDER, mode="nearest", prefilter=False
        )
        return values, measured


def _brightest(values: _Spline, points: np.ndarray) -> np.ndarray:
    """Return the measured point (3,) of the highest intensity.

    Raises:
        SamplingError: if none was measured.
    """
    intensity, measured = values(points)
    if not measured.any():
        raise SamplingError("nothing was measured where 002 is expected")
    return points.reshape(-1, 3)[np.where(measured, intensity, -np.inf).argmax()]


def _points(
    layers: LayerFrame, l_hcp: np.ndarray, hk: tuple[int, int], disc_inv_nm: float, size_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return momentum transfers (rods, n, disc, 3) and the weights (disc,) of an average over the disc."""
    l_hcp = np.asarray(l_hcp, dtype=float)
    if l_hcp.ndim != 1 or len(l_hcp) < 2 or not np.isfinite(l_hcp).all():
        raise InputError("heights l along a rod are needed: a row of at least two numbers (units of c* of hcp)")
    if not disc_inv_nm >= 0:
        raise InputError(f"the disc about the rod needs a radius ≥ 0 (nm⁻¹), got {disc_inv_nm:g}")
    offsets, weights = _disc(layers, disc_inv_nm, size_nm)
    heights = np.multiply.outer(l_hcp * layers.c_star_inv_nm, layers.axis)
    return layers.rods(hk)[:, None, None] + heights[:, None] + offsets, weights


def _disc(layers: LayerFrame, disc_inv_nm: float, size_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 3) of a disc across the axis and their weights, which sum to 1."""
    if disc_inv_nm == 0:
        return np.zeros((1, 3)), np.ones(1)
    # The intensity oscillates with the size of the crystal; both numbers integrate that.
    n = 3 + int(disc_inv_nm * size_nm / 2)
    m = 5 + int(disc_inv_nm * size_nm)
    nodes, shares = np.polynomial.legendre.leggauss(n)
    radius, angle = (nodes + 1) / 2 * disc_inv_nm, 2 * np.pi * np.arange(m) / m
    across = np.cross(layers.axis, layers.in_plane)
    directions = np.cos(angle)[:, None] * layers.in_plane + np.sin(angle)[:, None] * across
    points = (radius[:, None, None] * directions).reshape(-1, 3)
    return points, np.repeat(shares * radius / disc_inv_nm / m, m)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean (n,) over rods (rods, n) that are not NaN; NaN where all are."""
    count = np.isfinite(values).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _spread(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation (n,) among rods (rods, n) that are not NaN."""
    count = np.isfinite(values).sum(axis=0)
    squares = np.nansum((values - _mean(values)) ** 2, axis=0) / np.maximum(count - 1, 1)
    return np.where(count > 1, np.sqrt(squares), np.nan)
