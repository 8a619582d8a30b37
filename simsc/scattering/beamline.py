"""A virtual beamline: the frames that a detector takes of a crystal while it turns.

What is seen of the crystal lies on the Ewald sphere (`simsc.core.detector`), is blurred by a Gaussian in the plane of
the detector (partial coherence, beam size), and counted with Poisson statistics on top of a background.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from simsc.core.detector import Detector, eiger_x_4m, eiger_x_4m_gaps
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice
from simsc.scattering.amplitude import TurnedIntensity, extent_nm
from simsc.scattering.form_factors.form import Form
from simsc.scattering.form_factors.sphere import SPHERE

_SPLINE_ORDER = 5
_COARSEST = 0.4  # of the Nyquist step π / D; the spline errs by 1e-5 of the maximum there
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Background:
    """Photons in a pixel and frame that do not come from the NPs.

    Args:
        diffuse: the same everywhere.
        air: at q = 0.1 nm⁻¹, falling as q⁻².
        flares: at q = 0.1 nm⁻¹ in streaks along the normals of the four walls of a pillar, falling as q⁻².
        flare_width_deg: standard deviation of the angle about a wall's normal in which its streak is seen, degrees.
        flare_height_inv_nm: standard deviation of the streaks along the rotation axis, nm⁻¹.
        wall_deg: angle of the normal of one wall from x when the sample is at 0, degrees.
    """

    diffuse: float = 0.0
    air: float = 0.0
    flares: float = 0.0
    flare_width_deg: float = 1.0
    flare_height_inv_nm: float = 0.01
    wall_deg: float = 0.0

    def __post_init__(self) -> None:
        for name in ("diffuse", "air", "flares"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"the background's {name} must be zero or a positive number of photons")
        if not (0 < self.flare_width_deg < 90 and 0 < self.flare_height_inv_nm < np.inf and np.isfinite(self.wall_deg)):
            raise InputError("flares need a width of 0 … 90 degrees, a positive height and the angle of a wall")

    def expected(self, q_inv_nm: np.ndarray, angle_deg: float) -> np.ndarray:
        """Return the expected photons (rows, columns) at momentum transfers (rows, columns, 3), nm⁻¹."""
        length = np.linalg.norm(q_inv_nm, axis=-1)
        falling = (0.1 / np.maximum(length, 1e-3)) ** 2
        photons = self.diffuse + self.air * falling
        if self.flares:
            # The walls of a square section have a normal every 90°; the streak of one is seen when it lies along x.
            off = (self.wall_deg + angle_deg + 45) % 90 - 45
            seen = np.exp(-((off / self.flare_width_deg) ** 2) / 2)
            streak = np.exp(-((q_inv_nm[..., 2] / self.flare_height_inv_nm) ** 2) / 2)
            photons = photons + self.flares * seen * streak * falling
        return photons


@dataclass(frozen=True, eq=False)
class Beamline:
    """A rotation scan; the defaults are those of Lapkin et al. (DOI 10.1021/acsnano.5c16138) at P10, PETRA III.

    Args:
        photons: of the NPs, in all live pixels of a frame together, on average over the scan.
        detector: by default an EIGER X 4M, 5 m behind the sample, at 10 keV.
        gaps: (rows, columns) bool, pixels that do not exist; None takes those of the EIGER X 4M.
        dead: (rows, columns) bool, pixels that do not count; None for none.
        beamstop_inv_nm: radius of the shadow of the beam stop, nm⁻¹.
        angles_deg: (n,) of the sample, in the middle of each exposure, degrees.
        repeats: frames at each angle.
        blur_inv_nm: standard deviation of the resolution in the plane of the detector, nm⁻¹.
        background: photons that do not come from the NPs.

    Raises:
        InputError: for numbers out of range, masks of another shape, or no live pixel.
    """

    photons: float
    detector: Detector = field(default_factory=eiger_x_4m)
    gaps: np.ndarray | None = None
    dead: np.ndarray | None = None
    beamstop_inv_nm: float = 0.04
    angles_deg: np.ndarray = field(default_factory=lambda: np.arange(541) / 3)
    repeats: int = 5
    blur_inv_nm: float = 0.0
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        shape = self.detector.shape
        gaps = eiger_x_4m_gaps() if self.gaps is None else self.gaps
        dead = np.zeros(shape, dtype=bool) if self.dead is None else self.dead
        for name, mask in (("gaps", gaps), ("dead pixels", dead)):
            if mask.shape != shape:
                raise InputError(f"the mask of {name} has shape {mask.shape}, the detector {shape}")
        object.__setattr__(self, "gaps", gaps)
        object.__setattr__(self, "dead", dead)
        if not 0 < self.photons < np.inf:
            raise InputError(f"the photons of a frame must be a positive number, got {self.photons}")
        if not (self.repeats >= 1 and len(self.angles_deg) >= 1 and np.isfinite(self.angles_deg).all()):
            raise InputError("a scan needs at least one angle, and one frame at each")
        if not (0 <= self.blur_inv_nm < np.inf and 0 <= self.beamstop_inv_nm < np.inf):
            raise InputError("the blur and the radius of the beam stop must be zero or positive (nm⁻¹)")
        if not self.live.any():
            raise InputError("gaps, dead pixels and the beam stop leave no live pixel")

    @property
    def live(self) -> np.ndarray:
        """(rows, columns) bool: pixels that count, and see the sample."""
        assert self.gaps is not None
        assert self.dead is not None
        return ~(self.gaps | self.dead | self.shadow)

    @property
    def shadow(self) -> np.ndarray:
        """(rows, columns) bool: pixels behind the beam stop."""
        return np.linalg.norm(self.detector.q_inv_nm, axis=-1) < self.beamstop_inv_nm


class VirtualScan:
    """Expected frames of a crystal.

    Args:
        frames: NPs with radii, one crystal, or several of which the mean intensity is seen (thermal motion, domains).
        beamline: what is measured, and how.
        form: what the NPs are. Default spheres.
        sigma_nm: standard deviation of independent thermal displacements along each axis, nm.
        threads: of the transforms; 0 takes all cores.
    """

    def __init__(
        self,
        frames: Superlattice | Iterable[Superlattice],
        beamline: Beamline,
        form: Form = SPHERE,
        sigma_nm: float = 0.0,
        threads: int = 1,
    ) -> None:
        several = [frames] if isinstance(frames, Superlattice) else list(frames)
        if not several:
            raise InputError("a scan needs a crystal")
        self.beamline = beamline
        detector = beamline.detector
        self._q = detector.q_inv_nm
        self._live = beamline.live
        # Pixels are much smaller than what a crystal's intensity varies over: it is computed at some, and interpolated.
        pixel = detector.wavenumber_inv_nm * max(detector.pixel_m) / detector.distance_m
        finest = _COARSEST * np.pi / max(extent_nm(frame, form) for frame in several)
        every = max(1, int(finest / pixel))
        rows, columns = (_interpolation(n, every) for n in detector.shape)
        (coarse_rows, self._rows), (coarse_columns, self._columns) = rows, columns
        points = detector.q_at(coarse_rows, coarse_columns)
        self._shape = points.shape[:2]
        self._intensity = TurnedIntensity(
            several, points.reshape(-1, 3), _TOLERANCE, threads, form=form, sigma_nm=sigma_nm
        )
        self._blur_px = [beamline.blur_inv_nm * detector.distance_m / (detector.wavenumber_inv_nm * size)
                         for size in detector.pixel_m]  # fmt: skip
        self._scale: float | None = None

    def expected(self, angle_deg: float) -> np.ndarray:
        """Return the expected photons (rows, columns) of one frame; 0 in gaps, dead pixels and behind the beam stop."""
        if self._scale is None:
            sample = np.linspace(0, len(self.beamline.angles_deg) - 1, 7).astype(int)
            total = np.mean([self._of_crystal(angle)[self._live].sum() for angle in self.beamline.angles_deg[sample]])
            self._scale = self.beamline.photons / float(total)
        photons = self._scale * self._of_crystal(angle_deg) + self.beamline.background.expected(self._q, angle_deg)
        return np.where(self._live, photons, 0.0)

    def counted(self, angle_deg: float, rng: np.random.Generator) -> np.ndarray:
        """Return the photons (repeats, rows, columns) counted at one angle, uint32."""
        expected = self.expected(angle_deg)[self._live]
        counts = np.zeros((self.beamline.repeats, *self._live.shape), dtype=np.uint32)
        for frame in counts:
            frame[self._live] = rng.poisson(expected)
        return counts

    def _of_crystal(self, angle_deg: float) -> np.ndarray:
        coarse = self._intensity(Rotation.from_euler("z", angle_deg, degrees=True)).reshape(self._shape)
        frame = self._rows @ coarse @ self._columns.T
        if any(self._blur_px):
            frame = gaussian_filter(frame, self._blur_px, mode="nearest")
        return np.maximum(frame * self.beamline.detector.solid_angle, 0.0)


def _interpolation(n: int, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (m,) about `every` pixels apart and the matrix (n, m) from values there to those at n pixels."""
    if every == 1 or n < 4 * _SPLINE_ORDER * every:
        return np.arange(n, dtype=float), np.eye(n)
    coarse = np.linspace(0, n - 1, int(np.ceil((n - 1) / every)) + 1)
    return coarse, make_interp_spline(coarse, np.eye(len(coarse)), _SPLINE_ORDER)(np.arange(n))
