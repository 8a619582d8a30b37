"""The command `simsc import-volume`: 3D intensities of other programs."""

from pathlib import Path

import click

from simsc.cli.console import working
from simsc.cli.options import (
    JSON,
    OUTPUT,
    PATH,
    check_distinct,
    example,
    origin,
    print_result,
)
from simsc.core.errors import InputError
from simsc.io.native import write_intensity
from simsc.io.volume_files import Meaning, VolumeMetadata, read_volume
from simsc.io.volume_raw import ROLES

_MEANING = click.Choice(["measured", "missing"])


@click.command(
    "import-volume",
    epilog=example(
        "simsc import-volume merged.nxs --zeros missing -o intensity.h5",
        "simsc import-volume merged.npy --unit 1/A --q-max 0.09 --zeros missing -o intensity.h5",
        "simsc import-volume merged.mrc --unit 1/nm --q-step 0.007 --centre 128 128 128 -o intensity.h5",
        "simsc correlate intensity.h5 --q1 0.481 -o map.h5",
    ),
)
@click.argument("file", type=PATH)
@click.option(
    "--unit", help="Of momentum transfer q = 4π sin θ / λ: 1/nm or 1/A; needed if the file does not state it."
)
@click.option("--q-max", type=float, help="The grid goes from −q to q along each axis, first and last point.")
@click.option("--q-step", type=float, help="Between points, instead of --q-max.")
@click.option("--centre", type=float, nargs=3, metavar="X Y Z", help="Number of the voxel at q = 0, counted from 0.")
@click.option("--q-axes", type=PATH, nargs=3, metavar="QX QY QZ", help="Files of the axes (.npy or text), instead.")
@click.option(
    "--order", metavar="XYZ", help="What the dimensions are, such as zyx; the default: as in the file, else xyz."
)
@click.option("--name", "names", multiple=True, metavar="ROLE=ARRAY", help="Name an array: " + ", ".join(ROLES) + ".")
@click.option("--mask-true", type=_MEANING, help="What a 1 in an array called mask means.")
@click.option("--zeros", type=_MEANING, help="What an intensity of exactly 0 means.")
@click.option("--missing", type=float, multiple=True, help="Another value that means not measured, such as -1.")
@OUTPUT
@JSON
def import_volume(
    file: Path,
    unit: str | None,
    q_max: float | None,
    q_step: float | None,
    centre: tuple[float, float, float] | None,
    q_axes: tuple[Path, Path, Path] | None,
    order: str | None,
    names: tuple[str, ...],
    mask_true: Meaning | None,
    zeros: Meaning | None,
    missing: tuple[float, ...],
    output: Path,
    as_json: bool,
) -> None:
    """Read the 3D intensity in FILE: HDF5 with NXdata, .npy, .npz, MRC or VTK. What it does not state has to be given.

    NaN means not measured. In .npz, and beside NXdata, arrays are found by the names of their roles: errors are
    standard deviations, counts are the numbers of pixels averaged in a voxel (0: not measured).
    """
    check_distinct(file, output)
    metadata = VolumeMetadata(unit, q_max, q_step, centre, q_axes, order, _pairs(names), mask_true, zeros, missing)
    with working("import"):
        volume = read_volume(file, metadata)
        write_intensity(output, volume, origin(imported=str(file)))
    part = 1.0 if volume.measured is None else float(volume.measured.mean())
    shape = " × ".join(map(str, volume.intensity.shape))
    ends = ", ".join(f"{axis[0]:.4g} … {axis[-1]:.4g}" for axis in volume.q_axes_inv_nm)
    print_result(
        as_json,
        {
            "output": output,
            "shape": volume.intensity.shape,
            "measured": part,
            "q_ends_inv_nm": [[axis[0], axis[-1]] for axis in volume.q_axes_inv_nm],
            "q_max_inv_nm": volume.q_max_inv_nm,
        },
        f"{output}: {shape} voxels, of which {100 * part:.1f} % were measured",
        f"qx, qy, qz: {ends} nm⁻¹; spheres up to {volume.q_max_inv_nm:.4g} nm⁻¹ lie inside",
    )
    if volume.q_max_inv_nm <= 0:
        click.echo("simsc: note: q = 0 lies outside of the grid; check its axes", err=True)


def _pairs(names: tuple[str, ...]) -> dict[str, str]:
    pairs = [name.partition("=") for name in names]
    for role, _, array in pairs:
        if role not in ROLES or not array:
            raise InputError(f"--name {role}={array}: needs ROLE=ARRAY; roles are {', '.join(ROLES)}")
    return {role: array for role, _, array in pairs}
