"""How much of a crystal is fcc: its stacking disorder, from a structure, an intensity volume or a correlation map."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsc.builders.finite_crystal import with_normal_radii
from simsc.classify.stacking import layer_frame, stacking_sequence
from simsc.core.close_packing import d_nn_of_111_nm
from simsc.core.correlation_map import CorrelationMap
from simsc.core.errors import InputError, SimscWarning, in_other_words
from simsc.core.intensity import IntensityVolume
from simsc.core.processes import available_cores
from simsc.core.superlattice import Superlattice
from simsc.correlation.mask import Mask, mask_of_file
from simsc.io.adapters import Structure, as_superlattice
from simsc.io.hdf5 import is_intensity, is_map
from simsc.io.native import read_intensity, read_map, read_superlattice
from simsc.refine.stacking_disorder import (
    PairCorrelations,
    Process,
    StackingFit,
    ball_diameter,
    correlations_of_rod,
    default_disc,
    fit_stacking,
)
from simsc.refine.stacking_map import correlations_of_map
from simsc.refine.stacking_mask import MaskEffect, mask_effect
from simsc.scattering.rods import layers_of_volume, rod_profile, rod_profile_of_volume, sphere_statistics

_ROD_POINTS = 201
_LARGEST_L = 3.2


@dataclass(frozen=True, eq=False)
class StackingRefinement:
    """What the scattering, or the positions, tell of the stacking of a crystal.

    Args:
        fit: the fit; its errors hold what an incomplete measurement adds, if that was asked for.
        sequence: read from the positions of a structure; None for other sources.
        mask_effect: what an incomplete measurement does to the fit; None if it was not asked for.
        error_alone: of the fcc fraction, of the fit alone.
    """

    fit: StackingFit
    sequence: str | None
    mask_effect: MaskEffect | None
    error_alone: float

    def __repr__(self) -> str:
        """Return the fcc fraction with its error, as notebooks show it."""
        fit = self.fit
        return f"StackingRefinement(fcc fraction {fit.realised_fcc:.3f} ± {fit.realised_fcc_error:.3f}, {fit.process})"


def refine_stacking(
    source: CorrelationMap | IntensityVolume | Structure,
    d_nn_nm: float | None = None,
    diameter_nm: float | None = None,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
    process: Process = "growth",
    *,
    bootstrap: int = 200,
    mask: Mask | str | Path | None = None,
    draws: int = 12,
    seed: int = 1,
    jobs: int | None = None,
    length_unit: str | None = None,
    on_draw: Callable[[int], None] = lambda done: None,
) -> StackingRefinement:
    """Fit the stacking disorder of a crystal: of a structure or an intensity by rods 10l, of a correlation map by arcs.

    The fcc fraction of this crystal (`fit.realised_fcc`) counts each layer by the overlap of the layers around it: in a
    ball those in its middle count most. That of the process (`fit.model.fcc_fraction`) is the one of an endless
    crystal.

    On one core, of 4000 NPs: about 20 s; with a mask minutes more, as crystals are simulated.

    Args:
        source: a correlation map, an intensity volume, a finite crystal (what `simsc.io.adapters.as_superlattice`
            takes), or the file of any of these.
        d_nn_nm: nearest-neighbour distance, nm. An intensity needs it.
        diameter_nm: of the crystal, nm; of a pillar that of a ball of the same volume. A map needs it, and a measured
            intensity. Default that of the structure.
        radius_nm: mean core radius, nm. An intensity needs it; of a structure the default is its own.
        radius_std_nm: its standard deviation, nm.
        process: how layers follow one another: "growth" (default), "deformation" … (`simsc.refine.stacking_disorder`).
        bootstrap: refits for the errors of the process; 0 for none.
        mask: of a map: which momentum transfers were measured, or the file of the intensity that it is of: simulated
            crystals under the same mask then tell what is missing, and its errors go into the fit.
        draws: how many crystals are simulated.
        seed: of random radii, refits and simulations.
        jobs: processes for the simulations. Default one a core.
        length_unit: of files of other programs, "A" or "nm".
        on_draw: called with the number of simulated crystals that are done.

    Raises:
        InputError: if something that is needed is not given, or the source has no close-packed layers.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> refine_stacking(ball("fcc", 16.0, n=1500, radius_nm=7.4), bootstrap=0)
        StackingRefinement(fcc fraction 1.001 ± 0.008, growth)
    """
    if radius_std_nm and radius_nm is None:
        raise InputError("radius_std_nm needs radius_nm")
    if mask is not None and radius_nm is None:
        raise InputError("mask needs radius_nm, for simulations")
    name, opened, sequence = "the source", source, None
    if isinstance(source, str | Path):
        name = str(source)
        with in_other_words({"--length-unit": "length_unit"}):
            opened = _opened(Path(source), length_unit)
    if isinstance(opened, CorrelationMap):
        with warnings.catch_warnings():
            if mask is not None:  # which is what the warning about poor coverage asks for
                warnings.simplefilter("ignore", SimscWarning)
            found = _of_map(name, opened, d_nn_nm, diameter_nm, radius_nm, radius_std_nm)
    elif mask is not None:
        raise InputError(f"mask: is for correlation maps, which {name} is not")
    elif isinstance(opened, IntensityVolume):
        found = _of_volume(name, opened, d_nn_nm, diameter_nm, radius_nm, radius_std_nm)
    else:
        found, sequence = _of_structure(
            name, as_superlattice(opened), d_nn_nm, diameter_nm, radius_nm, radius_std_nm, seed
        )
    fit = fit_stacking(found, process, bootstrap, seed)
    if mask is None:
        return StackingRefinement(fit, sequence, None, fit.realised_fcc_error)
    assert radius_nm is not None
    assert isinstance(opened, CorrelationMap)
    measured = mask_of_file(Path(mask)) if isinstance(mask, str | Path) else mask
    jobs = min(jobs or available_cores(), draws)
    threads = max(1, available_cores() // jobs)
    effect = mask_effect(opened, fit, measured, radius_nm, radius_std_nm, draws, seed, jobs, threads, on_draw)
    with_mask = fit_stacking(effect.added_to(found), process, bootstrap, seed)
    return StackingRefinement(with_mask, None, effect, fit.realised_fcc_error)


def _opened(path: Path, length_unit: str | None) -> CorrelationMap | IntensityVolume | Superlattice:
    if is_map(path):
        return read_map(path)
    return read_intensity(path) if is_intensity(path) else read_superlattice(path, length_unit)


def _of_map(
    name: str,
    correlation: CorrelationMap,
    d_nn_nm: float | None,
    diameter_nm: float | None,
    radius_nm: float | None,
    radius_std_nm: float,
) -> PairCorrelations:
    nearest_nm = d_nn_of_111_nm(correlation.q1_inv_nm)  # if 111 lies at q1
    if radius_nm is not None and 2 * radius_nm > 1.3 * nearest_nm:
        raise InputError(
            f"radius_nm {radius_nm:g}: with 111 at q1 = {correlation.q1_inv_nm:.4g} nm⁻¹ neighbours are "
            f"{nearest_nm:.3g} nm apart, and cores of this radius overlap (nm)"
        )
    if diameter_nm is None:
        raise InputError(f"{name}: is a map; give the diameter_nm of the crystal (nm)")
    form = None if radius_nm is None else sphere_statistics(correlation.q2_inv_nm, radius_nm, radius_std_nm)[0]
    return correlations_of_map(correlation, diameter_nm, d_nn_nm, form)


def _of_volume(
    name: str,
    volume: IntensityVolume,
    d_nn_nm: float | None,
    diameter_nm: float | None,
    radius_nm: float | None,
    radius_std_nm: float,
) -> PairCorrelations:
    diameter_nm = diameter_nm if diameter_nm is not None else volume.diameter_nm
    if d_nn_nm is None or diameter_nm is None or radius_nm is None:
        raise InputError(f"{name}: is an intensity; give d_nn_nm, radius_nm and, if it is measured, diameter_nm (nm)")
    layers = layers_of_volume(volume, d_nn_nm)
    profile = rod_profile_of_volume(volume, layers, _heights(), disc_inv_nm=default_disc(diameter_nm))
    return correlations_of_rod(profile.with_spheres(radius_nm, radius_std_nm), diameter_nm)


def _of_structure(
    name: str,
    superlattice: Superlattice,
    d_nn_nm: float | None,
    diameter_nm: float | None,
    radius_nm: float | None,
    radius_std_nm: float,
    seed: int,
) -> tuple[PairCorrelations, str]:
    if superlattice.cell is not None and superlattice.cell.periodic.any():
        raise InputError(f"{name}: is periodic; rods are those of a finite crystal; simsc classify reads its sequence")
    superlattice = superlattice.in_free_space()
    if radius_nm is not None:
        superlattice = with_normal_radii(superlattice, radius_nm, radius_std_nm, np.random.default_rng(seed))
    elif superlattice.radii_nm is None:
        raise InputError(f"{name}: has no core radii; give radius_nm (nm)")
    layers, read = layer_frame(superlattice, d_nn_nm), stacking_sequence(superlattice, d_nn_nm)
    if layers is None or read is None:
        raise InputError(f"{name}: no close-packed layers of one axis were found")
    diameter = diameter_nm if diameter_nm is not None else ball_diameter(superlattice.n, layers.d_nn_nm)
    profile = rod_profile([superlattice], layers, _heights(), disc_inv_nm=default_disc(diameter))
    return correlations_of_rod(profile, diameter), read.sequence


def _heights() -> np.ndarray:
    return np.linspace(0, _LARGEST_L, _ROD_POINTS)
