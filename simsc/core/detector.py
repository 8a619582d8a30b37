"""A flat detector behind a sample that turns about a vertical axis: from pixels to momentum transfer.

The laboratory has x to the right as seen along the beam, y along the beam and z up; the sample turns about z. Columns
of a frame go to the right and rows go down. At the angle φ of the sample, what is seen at q in the laboratory belongs
to R_z(−φ) q of the sample.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simsc.core.errors import InputError
from simsc.core.units import wavelength_nm


@dataclass(frozen=True, eq=False)
class Detector:
    """A flat detector, normal to the beam.

    Args:
        shape: (rows, columns) pixels.
        pixel_m: height and width of a pixel, m.
        distance_m: from the sample, m.
        wavelength_nm: of the X-rays, nm.
        beam_centre_px: row and column where the direct beam meets it; whole numbers are the middles of pixels.

    Raises:
        InputError: for numbers that are not positive, or a beam centre that is none.
    """

    shape: tuple[int, int]
    pixel_m: tuple[float, float]
    distance_m: float
    wavelength_nm: float
    beam_centre_px: tuple[float, float]

    def __post_init__(self) -> None:
        positive = {"distance_m": self.distance_m, "wavelength_nm": self.wavelength_nm}
        positive |= dict(zip(("pixel height_m", "pixel width_m"), self.pixel_m, strict=True))
        for name, value in positive.items():
            if not 0 < value < np.inf:
                raise InputError(f"the detector's {name} must be a positive number, got {value}")
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise InputError(f"a detector has rows and columns, got shape {self.shape}")
        if not np.isfinite(self.beam_centre_px).all():
            raise InputError(f"the beam centre must be two numbers (row, column), got {self.beam_centre_px}")

    @property
    def wavenumber_inv_nm(self) -> float:
        """2π / wavelength, nm⁻¹."""
        return 2 * np.pi / self.wavelength_nm

    @cached_property
    def directions(self) -> np.ndarray:
        """(rows, columns, 3) unit vectors from the sample to the pixels."""
        return self._directions(*(np.arange(n, dtype=float) for n in self.shape))

    def _directions(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        x = (columns - self.beam_centre_px[1]) * self.pixel_m[1]
        z = (self.beam_centre_px[0] - rows[:, None]) * self.pixel_m[0]
        length = np.sqrt(x**2 + self.distance_m**2 + z**2)
        vectors = np.empty((len(rows), len(columns), 3))
        vectors[..., 0], vectors[..., 1], vectors[..., 2] = x / length, self.distance_m / length, z / length
        return vectors

    @cached_property
    def q_inv_nm(self) -> np.ndarray:
        """(rows, columns, 3) momentum transfer of the pixels in the laboratory, nm⁻¹."""
        return self._q(self.directions)

    def q_at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return (m, n, 3) momentum transfers k (s − y), on the Ewald sphere, nm⁻¹, at rows (m,) and columns (n,)."""
        return self._q(self._directions(rows, columns))

    def _q(self, directions: np.ndarray) -> np.ndarray:
        return self.wavenumber_inv_nm * (directions - np.array([0.0, 1.0, 0.0]))

    @property
    def solid_angle(self) -> np.ndarray:
        """(rows, columns) solid angle of the pixels, relative to that of one at the foot of the normal: cos³ 2θ."""
        return self.directions[..., 1] ** 3

    def polarisation(self, horizontal: float) -> np.ndarray:
        """Return (rows, columns) how much of the intensity the polarisation of the beam lets through.

        The mean over both polarisations of 1 − (s·e)² (J. Als-Nielsen, D. McMorrow, *Elements of Modern X-ray Physics*,
        DOI 10.1002/9781119998365, section 1.2).

        Args:
            horizontal: part of the beam that is polarised horizontally, 0 … 1; the rest is polarised vertically.

        Raises:
            InputError: for a part that is none.
        """
        if not 0 <= horizontal <= 1:
            raise InputError(f"the horizontally polarised part of the beam must lie in 0 … 1, got {horizontal}")
        return 1 - horizontal * self.directions[..., 0] ** 2 - (1 - horizontal) * self.directions[..., 2] ** 2

    def centred_at(self, row: float, column: float) -> "Detector":
        """Return the same detector with the beam elsewhere."""
        return replace(self, beam_centre_px=(row, column))


def eiger_x_4m(
    energy_kev: float = 10.0, distance_m: float = 5.0, beam_centre_px: tuple[float, float] | None = None
) -> Detector:
    """Return an EIGER X 4M, by default as Lapkin et al. (DOI 10.1021/acsnano.5c16138) had theirs.

    Args:
        energy_kev: photon energy, keV.
        distance_m: from the sample, m.
        beam_centre_px: row and column of the direct beam; default the middle.
    """
    rows, columns = 2167, 2070
    centre = ((rows - 1) / 2, (columns - 1) / 2) if beam_centre_px is None else beam_centre_px
    return Detector((rows, columns), (75e-6, 75e-6), distance_m, wavelength_nm(energy_kev), centre)


def eiger_x_4m_gaps() -> np.ndarray:
    """Return (2167, 2070) bool, true between the 4 × 2 modules of 514 × 1030 pixels."""
    gaps = np.ones((2167, 2070), dtype=bool)
    for row in range(4):
        for column in range(2):
            gaps[row * 551 : row * 551 + 514, column * 1040 : column * 1040 + 1030] = False
    return gaps
