"""The scattered intensity of a structure, on a grid that is wide and fine enough to be correlated."""

import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.errors import InputError, NoFirstPeakError
from simsc.core.intensity import IntensityVolume
from simsc.core.processes import available_cores
from simsc.core.superlattice import Superlattice
from simsc.correlation.first_peak import spacing_nm
from simsc.correlation.shells import points_for
from simsc.io.adapters import Structure, as_superlattice
from simsc.scattering.amplitude import intensity_on_grid
from simsc.scattering.atoms import Atoms
from simsc.scattering.counting import counted
from simsc.scattering.scattering_model import SHARP_SPHERES, ScatteringModel

LARGEST_GRID = 321
_FARTHEST = 1.9  # times |q| of 111: as far as the paper goes
_SMALLEST_GRID = 65
_FINER = 1.4  # times what is needed at least: the map then differs by 5e-4 from the exact one, where that is 1 %


def intensity(
    structure: Structure | Atoms,
    q_max_inv_nm: float | None = None,
    grid: int | None = None,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
    *,
    scattering: ScatteringModel = SHARP_SPHERES,
    photons: float | None = None,
    seed: int = 1,
    threads: int | None = None,
) -> IntensityVolume:
    """Compute the 3D scattered intensity of NPs, taken as one finite crystal.

    The square of the coherent sum of the amplitudes of all NPs (`simsc.scattering.amplitude.intensity_on_grid`). The
    periodic images of a cell are not added; make a crystal larger with `Superlattice.replicate`.

    Args:
        structure: NPs with core radii, or with `radius_nm`: a superlattice, or what
            `simsc.io.adapters.as_superlattice` takes; or `simsc.scattering.atoms.Atoms`.
        q_max_inv_nm: the grid goes from −q_max to +q_max along x, y and z, nm⁻¹. Default (`farthest_inv_nm`) 1.9 times
            that of 111 of fcc; atoms need one.
        grid: points along each axis. Default (`grid_points`) fine enough for a correlation map, but at most 321.
        radius_nm: mean core radius, nm; None for the radii of the structure.
        radius_std_nm: its standard deviation, nm.
        scattering: form, thermal motion and resolution of NPs. Default spheres that stand still, seen sharply.
        photons: count so many photons in all, under Poisson statistics; None for the intensity itself.
        seed: of the random radii and photons.
        threads: of the transform. Default one a core.

    Returns:
        Intensity, nm⁶ at unit contrast, or photons; (grid, grid, grid).

    Raises:
        InputError: without radii, for a single NP without `q_max_inv_nm`, or numbers out of range.
        SamplingError: if the grid is too coarse for the resolution to be applied.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> intensity(ball("fcc", 16.0, n=55, radius_nm=7.4), grid=65)
        IntensityVolume(65 × 65 × 65, q -0.9138 … 0.9138 nm⁻¹)
    """
    scatterer = structure if isinstance(structure, Atoms) else as_superlattice(structure)
    scatterer = with_core_radii(scatterer, CoreRadii(radius_nm, radius_std_nm, seed))
    if q_max_inv_nm is None:
        if isinstance(scatterer, Atoms):
            raise InputError("atoms need q_max_inv_nm (nm⁻¹), such as 3")
        try:
            q_max_inv_nm = farthest_inv_nm(spacing_nm(scatterer))
        except NoFirstPeakError as error:
            raise InputError(f"{error.reason}; give q_max_inv_nm (nm⁻¹)") from None
    volume = intensity_on_grid(
        scatterer,
        q_max_inv_nm,
        grid_points(q_max_inv_nm, scatterer.diameter_nm) if grid is None else grid,
        threads=available_cores() if threads is None else threads,
        scattering=scattering,
    )
    return volume if photons is None else counted(volume, photons, np.random.default_rng([seed, 1]))


def with_core_radii(scatterer: Superlattice | Atoms, radii: CoreRadii) -> Superlattice | Atoms:
    """Return NPs with the radii that are asked for, or their own; atoms as they are.

    Raises:
        InputError: for radii of atoms, a spread without a mean, or NPs without radii.
    """
    if radii.mean_nm is None and radii.std_nm:
        raise InputError("a spread of core radii, radius_std_nm, needs their mean, radius_nm (nm)")
    if isinstance(scatterer, Atoms):
        if radii.mean_nm is not None:
            raise InputError("atoms have form factors of their own: radius_nm is for NPs")
        return scatterer
    if radii.mean_nm is None and scatterer.radii_nm is None:
        raise InputError("the NPs have no core radii; give radius_nm (nm)")
    return radii.given_to(scatterer)


def farthest_inv_nm(d_nn_nm: float) -> float:
    """Return how far a grid goes by default, nm⁻¹: 1.9 times 111 of fcc with a nearest-neighbour distance, nm."""
    return _FARTHEST * layer_momentum_transfer(d_nn_nm)


def grid_points(q_max_inv_nm: float, diameter_nm: float) -> int:
    """Return how many points an axis has by default: enough for a correlation map within 5e-4, but at most 321.

    Args:
        q_max_inv_nm: the axis goes from −q_max to +q_max, nm⁻¹.
        diameter_nm: of the crystal, nm, which limits how fast the intensity varies.
    """
    needed = int(_FINER * points_for(2 * q_max_inv_nm, diameter_nm)) | 1  # odd: one point lies at 0
    return int(np.clip(needed, _SMALLEST_GRID, LARGEST_GRID))
