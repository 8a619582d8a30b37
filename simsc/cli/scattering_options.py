"""What commands that compute an intensity or a map have in common: options of NPs, of spheres, and what is said."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from simsc.builders.finite_crystal import CoreRadii
from simsc.classify.neighbours import nearest_distance_nm
from simsc.cli.options import PATH, decimal_hint, gathered, origin
from simsc.core.correlation_map import MOST_Q2, CorrelationMap
from simsc.core.errors import InputError, NoFirstPeakError
from simsc.core.superlattice import Superlattice
from simsc.correlation.maps import FirstSphere, Q1Origin
from simsc.io.native import write_map
from simsc.scattering.form_factors.table import NEED_NOTHING, form_factor
from simsc.scattering.scattering_model import ScatteringModel

_POOR_COVERAGE = 0.5
_FOUND: dict[Q1Origin, str] = {
    "first bright peak": "the first bright peak",
    "bright peak near 111": "the bright peak near 111 of fcc",
    "expected 111": "where 111 of fcc would be; no peak stands out there",
}

# Of --radius, --radius-std and --seed.
core_radii = gathered("radii", CoreRadii, mean_nm="radius_nm", std_nm="radius_std_nm", seed="seed")
FORM = click.option(
    "--form", "shape", type=click.Choice(NEED_NOTHING), default="sphere", show_default=True,
    help="Shape of the cores; polyhedra have the volume of the sphere, and the orientations of the file.",
)  # fmt: skip
SHELL = click.option(
    "--shell", type=float, nargs=2, metavar="NM CONTRAST", help="Thickness of a shell around spheres, nm, and its "
    "contrast relative to that of the core.",
)  # fmt: skip
SIGMA = click.option(
    "--sigma", "sigma_nm", type=float, default=0.0, show_default=True,
    help="Independent thermal displacements along each axis, standard deviation, nm (Debye–Waller).",
)  # fmt: skip
RESOLUTION = click.option(
    "--resolution", "resolution_inv_nm", type=float, default=0.0, show_default=True,
    help="Gaussian resolution, standard deviation, nm⁻¹.",
)  # fmt: skip
INTENSITY = click.option(
    "--intensity",
    type=PATH,
    help="Volume or spheres that the map is of: what was not measured there is left out of simulations too.",
)
Q1 = click.option(
    "--q1",
    default="auto",
    show_default=True,
    help="Momentum transfer of the first sphere, nm⁻¹; auto is the first bright peak.",
)


def _scattering_model(
    shape: str, shell: tuple[float, float] | None, sigma_nm: float, resolution_inv_nm: float
) -> ScatteringModel:
    if shell is not None and shape != "sphere":
        raise InputError(f"--shell is for spheres, not for --form {shape}")
    form = (
        form_factor(shape) if shell is None else form_factor("core_shell", shell_nm=shell[0], shell_contrast=shell[1])
    )
    return ScatteringModel(form, sigma_nm, resolution_inv_nm)


scattering_model = gathered("scattering", _scattering_model)  # of --form, --shell, --sigma and --resolution


def with_radii(file: Path, superlattice: Superlattice, radii: CoreRadii) -> Superlattice:
    """Return NPs with the radii that were asked for, or their own.

    Raises:
        InputError: if they have none.
    """
    if radii.mean_nm is None and superlattice.radii_nm is None:
        raise InputError(f"{file}: has no core radii; give --radius (nm)")
    return radii.given_to(superlattice)


def with_apart_radii(file: Path, superlattice: Superlattice, radii: CoreRadii) -> Superlattice:
    """Return NPs with the radii that were asked for, or their own, which must not overlap.

    Raises:
        InputError: if they have none, for a deviation without a mean, or if the mean makes neighbours overlap.
    """
    sized = with_radii(file, superlattice, radii)
    if radii.mean_nm is None:
        if radii.std_nm:
            raise InputError("--radius-std needs --radius")
    elif (distance := nearest_distance_nm(superlattice)) < 2 * radii.mean_nm:
        raise InputError(
            f"{file}: cores of diameter {2 * radii.mean_nm:g} nm overlap at a distance of {distance:.4g} nm; "
            "check --radius (nm) and --length-unit"
        )
    return sized


def note_if_periodic(superlattice: Superlattice) -> None:
    """Say that a periodic cell is taken without its images."""
    if superlattice.cell is not None and superlattice.cell.periodic.any():
        click.echo("simsc: note: the periodic cell was taken as a finite crystal, without its images", err=True)


@contextmanager
def asking_for(option: str, file: Path) -> Iterator[None]:
    """Name the file and the option that is needed where no first peak can be found."""
    try:
        yield
    except NoFirstPeakError as error:
        raise InputError(f"{file}: {error.reason}; give {option} (nm⁻¹)") from None


def q1_inv_nm(text: str) -> float | None:
    """Return the momentum transfer, nm⁻¹, of an option --q1; None for auto.

    Raises:
        InputError: for anything else.
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < np.inf:
        raise InputError(f"--q1 {text!r}: needs a positive number, nm⁻¹, or auto{decimal_hint(text)}")
    return value


def axis_inv_nm(option: str, text: str) -> np.ndarray:
    """Return the momentum transfers, nm⁻¹, of an option first:last:step.

    Raises:
        InputError: for anything else.
    """
    try:
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise InputError(
            f"{option} {text!r}: needs first:last:step, three numbers in nm⁻¹, such as 0.4:0.9:0.005"
            f"{decimal_hint(text)}"
        ) from None
    if not (0 < first <= last < np.inf and step > 0):
        raise InputError(f"{option} {text!r}: needs 0 < first ≤ last and a positive step")
    if (n := (last - first) / step) > MOST_Q2:
        raise InputError(f"{option} {text!r}: these are {n:.3g} steps; must not be more than {MOST_Q2}")
    return np.arange(int((last - first) / step + 1e-6) + 1) * step + first


def lines_of_q1(first: FirstSphere, correlation: CorrelationMap) -> list[str]:
    """Return the line that says where q1 of a map comes from; none if it was given."""
    if first.origin == "given":
        return []
    found, used = first.q1_inv_nm, correlation.q1_inv_nm
    nearest = "" if abs(used - found) < 1e-6 * found else f"; the nearest sphere lies at {used:.4f} nm⁻¹"
    return [f"q1: {found:.4f} nm⁻¹, {_FOUND[first.origin]}{nearest}"]


def save_map(path: Path, correlation: CorrelationMap, **facts: Any) -> tuple[dict[str, Any], str]:
    """Write a correlation map, and return what is to be printed of it: facts, and a line."""
    write_map(path, correlation, origin(**facts))
    n_q2, n_delta = correlation.ccf.shape
    least = float(correlation.coverage.min())
    poor = correlation.q2_inv_nm[correlation.coverage.min(axis=1) < _POOR_COVERAGE]
    if len(poor):
        click.echo(
            f"simsc: note: from q2 = {poor.min():g} to {poor.max():g} nm⁻¹ less than half of the pairs were measured "
            "(of a scan in coarse steps more with fewer --rings, about 180° over the step)",
            err=True,
        )
    span = [float(correlation.q2_inv_nm[0]), float(correlation.q2_inv_nm[-1])]
    printed = {
        "map": path,
        "q1_inv_nm": correlation.q1_inv_nm,
        "q2_inv_nm": span,
        "shape": [n_q2, n_delta],
        "smallest_coverage": least,
    }
    line = f"{path}: {n_q2} × {n_delta} values, q2 from {span[0]:.4g} to {span[1]:.4g} nm⁻¹"
    return printed, f"{line}, smallest coverage {least:.3f}"
