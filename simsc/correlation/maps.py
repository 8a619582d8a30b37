"""From any source to its correlation map: NPs, a volume of intensity or merged spheres, measured or computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.correlation_map import N_DELTA, Q2_OVER_Q1, CorrelationMap
from simsc.core.errors import InputError, NoFirstPeakError, in_other_words
from simsc.core.intensity import IntensityVolume, ShellIntensity
from simsc.core.processes import available_cores
from simsc.core.superlattice import Frame, Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.first_peak import (
    first_bright_peak,
    peak_away_from_beam,
    profile_of_spheres,
    radial_profile,
    spacing_nm,
)
from simsc.correlation.intensity import with_core_radii
from simsc.correlation.shells import (
    momentum_transfers_of_spheres,
    shells_of_crystal,
    shells_of_spheres,
    shells_of_volume,
)
from simsc.io.adapters import READ_FIRST, Structure, as_superlattice
from simsc.io.hdf5 import is_intensity, is_shells
from simsc.io.native import read_intensity, read_superlattice
from simsc.io.spheres import Spheres
from simsc.scattering.atoms import Atoms
from simsc.scattering.scattering_model import SHARP_SPHERES, ScatteringModel

Crystal: TypeAlias = Superlattice | Atoms
Source: TypeAlias = Crystal | Sequence[Crystal] | IntensityVolume | Sequence[ShellIntensity] | Structure
# Frames of NPs, a volume, or spheres; a path is that of a file of spheres, which are read one after the other.
_Opened: TypeAlias = tuple[Crystal, ...] | IntensityVolume | list[ShellIntensity] | Path
Q1Origin = Literal["given", "first bright peak", "bright peak near 111", "expected 111"]


@dataclass(frozen=True)
class FirstSphere:
    """The first sphere of a map.

    Args:
        q1_inv_nm: its momentum transfer, nm⁻¹.
        origin: where it comes from: "given"; the "first bright peak" of a radial profile; of NPs the "bright peak near
            111" of fcc, or the "expected 111" where no peak stands out there.
    """

    q1_inv_nm: float
    origin: Q1Origin


def correlation_map(
    source: Source,
    q1_inv_nm: float | None = None,
    q2_inv_nm: np.ndarray | Sequence[float] | None = None,
    radius_nm: float | None = None,
    radius_std_nm: float = 0.0,
    *,
    seed: int = 1,
    n_delta: int = N_DELTA,
    bin_deg: float = 0.0,
    scattering: ScatteringModel = SHARP_SPHERES,
    tolerance: float = 1e-8,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CorrelationMap:
    """Compute the correlation map C(q1, q2, Δ) of a source of intensity.

    Of NPs it is exact, without a grid or interpolation. Of an intensity with a variance the values of the map have one
    too. The equations are those of `simsc.correlation.engine`.

    Args:
        source: NPs with radii, or with `radius_nm`, as one finite crystal (a superlattice, or what
            `simsc.io.adapters.as_superlattice` takes), or several frames whose mean intensity counts; a volume of
            intensity; spheres with ascending momentum transfers, such as those that were merged from detector frames;
            or the path of a file of any of these.
        q1_inv_nm: momentum transfer of the first sphere, nm⁻¹. Default `first_sphere`.
        q2_inv_nm: (n_q2,) those of the second spheres, nm⁻¹. Default `second_spheres`.
        radius_nm: mean core radius of NPs, nm; None for the radii of the structure.
        radius_std_nm: its standard deviation, nm.
        seed: of the random radii, which are the same in all frames.
        n_delta: angles Δ, evenly from 0° to 180°. Default 721.
        bin_deg: width of bins around the angles, degrees; 0 (default) for values at the angles themselves.
        scattering: form, thermal motion and resolution of NPs. Default spheres that stand still, seen sharply.
        tolerance: accuracy of the amplitude of NPs relative to the forward direction. Default 1e-8.
        threads: of all transforms. Default one a core.
        progress: called after each second sphere with how many are done, and of how many.

    Raises:
        InputError: for NPs without radii, radii or a scattering model of what is an intensity already, or momentum
            transfers that are not positive, or no row of numbers.
        NoFirstPeakError: if q1 has to be given.
        SamplingError: for spheres that were not measured, or not finely enough.

    Example:
        >>> from simsc.builders.supraparticle import ball
        >>> found = correlation_map(ball("fcc", 16.0, n=55, radius_nm=7.4), q2_inv_nm=np.array([0.48]), n_delta=181)
        >>> print(found.ccf.shape, round(found.q1_inv_nm, 2))
        (1, 181) 0.48
    """
    source, threads = _opened(source), available_cores() if threads is None else threads
    if isinstance(source, tuple):
        radii = CoreRadii(radius_nm, radius_std_nm, seed)
        source = tuple(with_core_radii(frame, radii) for frame in source)
    elif radius_nm is not None or radius_std_nm:
        raise InputError("radius_nm and radius_std_nm are for NPs; an intensity has its own")
    if q2_inv_nm is not None and np.ndim(q2_inv_nm) != 1:
        raise InputError(f"q2_inv_nm is a row of numbers (n_q2,), such as [1.2], got shape {np.shape(q2_inv_nm)}")
    if q1_inv_nm is None:
        q1_inv_nm = first_sphere(source, threads=threads).q1_inv_nm
    q2_inv_nm = second_spheres(q1_inv_nm, source) if q2_inv_nm is None else np.asarray(q2_inv_nm, dtype=float)
    if isinstance(source, tuple):
        first, second = shells_of_crystal(source, q1_inv_nm, q2_inv_nm, tolerance, threads, scattering=scattering)
    elif scattering != SHARP_SPHERES:
        raise InputError("form, thermal motion and resolution are for NPs; an intensity has its own")
    elif isinstance(source, IntensityVolume):
        first, second = shells_of_volume(source, q1_inv_nm, q2_inv_nm)
    else:
        first, second = shells_of_spheres(source, q1_inv_nm, q2_inv_nm)
    done, n = 0, len(q2_inv_nm)

    def on_shell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, n)

    return correlate(first, second, np.linspace(0, 180, n_delta), threads, on_shell, bin_deg)


def first_sphere(source: Source, d_nn_nm: float | None = None, threads: int | None = None) -> FirstSphere:
    """Find where the first sphere of a map lies by default: on the first bright peak of what the map is of.

    Of NPs it is looked for near 111 of fcc; of an intensity anywhere but near the beam.

    Args:
        source: as for `correlation_map`.
        d_nn_nm: nearest-neighbour distance, nm, with which 111 is expected. Default that of the NPs as they stand.
        threads: of the transforms. Default one a core.

    Raises:
        NoFirstPeakError: for a single NP, for atoms, and for an intensity without a bright peak.
    """
    source = _opened(source)
    if isinstance(source, IntensityVolume):
        return FirstSphere(peak_away_from_beam(*radial_profile(source)), "first bright peak")
    if not isinstance(source, tuple):
        return FirstSphere(peak_away_from_beam(*profile_of_spheres(source)), "first bright peak")
    if d_nn_nm is None:
        d_nn_nm = float(np.mean([_spacing_nm(frame) for frame in source]))
    expected = layer_momentum_transfer(d_nn_nm)
    peak = first_bright_peak(source, expected, available_cores() if threads is None else threads)
    return FirstSphere(expected, "expected 111") if peak is None else FirstSphere(peak, "bright peak near 111")


def second_spheres(
    q1_inv_nm: float, *sources: Source, q2_over_q1: tuple[float, float, float] = Q2_OVER_Q1
) -> np.ndarray:
    """Return momentum transfers of second spheres, nm⁻¹, that maps of all sources have.

    Those of merged spheres, if a source is of such; else evenly spaced in units of q1, as far as all volumes reach.

    Args:
        q1_inv_nm: momentum transfer of the first sphere, nm⁻¹.
        sources: each as for `correlation_map`.
        q2_over_q1: first, last and step. Default those of Lapkin et al.

    Raises:
        InputError: if q1 is farther than a volume reaches.
    """
    opened = [_opened(source) for source in sources]
    for source in opened:
        if isinstance(source, Path | list):
            return momentum_transfers_of_spheres(source)
    farthest = min((source.q_max_inv_nm for source in opened if isinstance(source, IntensityVolume)), default=np.inf)
    if q1_inv_nm > farthest:
        raise InputError(f"q1 = {q1_inv_nm:g} nm⁻¹ lies outside of the grid, which ends at {farthest:.4g} nm⁻¹")
    first, last, step = q2_over_q1
    q2_inv_nm = q1_inv_nm * np.arange(first, last + step / 2, step)
    return q2_inv_nm[q2_inv_nm <= farthest]


def read_source(path: Path, length_unit: str | None = None) -> Superlattice | IntensityVolume | Path:
    """Return what a map can be of in a file: NPs, a volume of intensity, or of spheres the path itself.

    Args:
        path: HDF5 file of simsc, or a structure of another program.
        length_unit: of a structure of another program; None as the file tells, else Å.

    Raises:
        InputError: if the file holds none of these.
    """
    if is_intensity(path):
        return read_intensity(path)
    return path if is_shells(path) else read_superlattice(path, length_unit)


def _opened(source: Source | _Opened) -> _Opened:
    """Return frames as a tuple, spheres as a list or the path of their file, and what other files hold."""
    if isinstance(source, str | Path):
        with in_other_words(READ_FIRST):
            source = read_source(Path(source))
    if isinstance(source, IntensityVolume | Path):
        return source
    if isinstance(source, Spheres):  # whose file has their variances too
        return source.path
    several = _several(source)
    frames = tuple(one for one in several if isinstance(one, Superlattice | Atoms))
    spheres = [one for one in several if isinstance(one, ShellIntensity)]
    if not several or len(several) not in (len(frames), len(spheres)):
        raise InputError("a map is of frames of NPs, of an intensity volume, or of spheres, and not of a mixture")
    return frames or spheres


def _several(source: Any) -> tuple[Any, ...]:
    """Return the frames, or spheres, of a source; a structure of another package is one frame."""
    if isinstance(source, Superlattice | Atoms):
        return (source,)
    if isinstance(source, Sequence) and (
        not source or isinstance(source[0], Superlattice | Atoms | ShellIntensity | Frame)
    ):
        return tuple(one.superlattice if isinstance(one, Frame) else one for one in source)
    return (as_superlattice(source),)


def _spacing_nm(frame: Crystal) -> float:
    if isinstance(frame, Atoms):
        raise NoFirstPeakError("the first peak of atoms is not looked for")
    return spacing_nm(frame)
