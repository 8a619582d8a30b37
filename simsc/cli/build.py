"""The commands `simsc build …`: superlattices, supraparticles and pillars, with radii and defects."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from simsc.builders.close_packed import close_packed
from simsc.builders.contacts import relax_contacts
from simsc.builders.disorder import disordered
from simsc.builders.finite_crystal import RADIUS_DISTRIBUTIONS
from simsc.builders.pillar import pillar
from simsc.builders.supraparticle import (
    STACKINGS,
    ball,
    decahedron,
    icosahedron,
    stacking_of_ball,
)
from simsc.cli.console import working
from simsc.cli.options import (
    CELL,
    JSON,
    OUTPUT,
    RADIUS_STD,
    example,
    lateral_option,
    origin,
    print_result,
)
from simsc.core.cell import Cell
from simsc.core.close_packing import LAYER_SPACING
from simsc.core.errors import InputError, in_other_words
from simsc.core.shapes import SHAPES
from simsc.core.superlattice import Superlattice
from simsc.io.native import write_superlattice

# A command returns what it built, and what else of it is worth knowing.
Built = tuple[Superlattice, dict[str, Any]]

_D_NN = click.option("--d-nn", "d_nn_nm", type=float, required=True, help="Nearest-neighbour distance, nm.")
_NUMBER = click.option("-n", "--number", "n", type=int, help="Exactly so many NPs, instead of a size.")
_CUT = click.option("--diameter", "diameter_nm", type=float, help="Keep the ball of this diameter, nm.")
_RELAX = click.option("--relax", is_flag=True, help="Even out the strained distances.")
_HARDNESS = click.option("--hardness", type=float, help="Of contacts when compressed, over stretched.  [default: 4]")


@click.group(
    epilog=example(
        "simsc build close-packed ABCABCABABAB --d-nn 6.2 -o lattice.h5",
        "simsc build ball fcc --d-nn 16 --diameter 640 --radius 7.4 -o ball.h5",
    )
)
def build() -> None:
    """Build a superlattice, a supraparticle or a pillar."""


def _written(command: Callable[..., Built]) -> Callable[..., None]:
    """Let a command that builds NPs take radii and defects, and write what comes of it."""

    @click.option("--radius", "radius_nm", type=float, help="Core radius, nm; by default it is left open.")
    @RADIUS_STD
    @click.option(
        "--radii",
        type=click.Choice(list(RADIUS_DISTRIBUTIONS)),
        default="normal",
        show_default=True,
        help="Distribution of the core radius.",
    )
    @click.option("--vacancies", type=float, default=0.0, show_default=True, help="Fraction of NPs that are missing.")
    @click.option(
        "--displacement",
        "displacement_nm",
        type=float,
        default=0.0,
        show_default=True,
        help="Standard deviation of random displacements along x, y and z, nm.",
    )
    @click.option("--seed", type=int, default=1, show_default=True, help="Of all that is random.")
    @OUTPUT
    @JSON
    @functools.wraps(command)
    def finish(
        radius_nm: float | None,
        radius_std_nm: float,
        radii: str,
        vacancies: float,
        displacement_nm: float,
        seed: int,
        output: Path,
        as_json: bool,
        **arguments: Any,
    ) -> None:
        if radius_nm is None and radius_std_nm:  # before anything is built
            raise InputError("--radius-std needs --radius")
        if seed < 0:
            raise InputError(f"--seed: must not be negative, got {seed}")
        rng = np.random.default_rng(seed)
        superlattice, facts = command(radius_nm=radius_nm, rng=rng, **arguments)
        superlattice = disordered(superlattice, radius_nm, radius_std_nm, radii, vacancies, displacement_nm, rng)
        write_superlattice(output, superlattice, origin(**facts))
        lines = [f"{name}: {value}" for name, value in facts.items()]
        print_result(
            as_json, {"output": output, "n": superlattice.n, **facts}, f"{output}: {superlattice.n} NPs", *lines
        )

    return finish


@build.command("close-packed", epilog=example("simsc build close-packed ABCABCABABAB --d-nn 6.2 -o lattice.h5"))
@click.argument("stacking")
@_D_NN
@lateral_option((1, 1))
@_written
def build_close_packed(
    stacking: str, d_nn_nm: float, lateral: tuple[int, int], radius_nm: float | None, rng: np.random.Generator
) -> Built:
    """Build periodic close-packed layers: one letter A, B or C for each layer of STACKING."""
    return close_packed(stacking, d_nn_nm, lateral, radius_nm), {}


@build.command(
    "ball",
    epilog=example(
        "simsc build ball random --alpha 0.7 --d-nn 16 --diameter 640 --radius 7.4 --radius-std 0.8 -o ball.h5",
        "simsc build ball fcc --twin 0 --d-nn 16 -n 5000 -o twin.h5",
        "simsc build ball fcc --shape truncated_octahedron --centre octahedral --d-nn 16 -n 2406 -o faceted.h5",
    ),
)
@click.argument("stacking")
@_D_NN
@click.option("--diameter", "diameter_nm", type=float, help="Diameter, nm; of a polyhedron, that of the same volume.")
@_NUMBER
@click.option("--alpha", type=float, help="Of random stacking: probability of fcc-like layers.  [default: 0.5]")
@click.option(
    "--twin", "twins", type=int, multiple=True, help="Twin plane of fcc, in layers from the centre; repeatable."
)
@click.option("--shape", type=click.Choice(list(SHAPES)), help="sphere, or a polyhedron of fcc.  [default: sphere]")
@click.option("--facet", "facets", multiple=True, help="Facet of fcc and its relative distance, as 111=1; repeatable.")
@click.option(
    "--centre",
    type=click.Choice(["site", "octahedral", "tetrahedral"]),
    default="site",
    show_default=True,
    help="What lies at the centre: an NP, or a hole between NPs.",
)
@_written
def build_ball(
    stacking: str,
    d_nn_nm: float,
    diameter_nm: float | None,
    n: int | None,
    alpha: float | None,
    twins: tuple[int, ...],
    shape: str | None,
    facets: tuple[str, ...],
    centre: Literal["site", "octahedral", "tetrahedral"],
    radius_nm: float | None,
    rng: np.random.Generator,
) -> Built:
    """Build a close-packed supraparticle. STACKING is fcc, hcp, random, or a letter A, B or C for each layer.

    A stacking in letters has its middle layer at the centre, and repeats where it is too short.
    """
    if shape is not None and facets:
        raise InputError("give either --shape or --facet")
    wanted = dict(map(_facet, facets)) or shape or "sphere"
    with in_other_words({"alpha:": "--alpha:", "twins:": "--twin:"}):
        letters = stacking_of_ball(stacking, d_nn_nm, diameter_nm, n, wanted, alpha=alpha, twins=twins, seed=rng)
    built = ball(letters, d_nn_nm, diameter_nm, n, wanted, centre, radius_nm)
    if stacking in STACKINGS and not twins:
        return built, {}
    if centre == "site":
        # Those of its layers that are there, from below: the middle one has a site at the origin.
        numbers = np.unique(np.round(built.positions_nm[:, 2] / (LAYER_SPACING * d_nn_nm)).astype(int))
        letters = "".join(letters[(len(letters) // 2 + k) % len(letters)] for k in numbers)
    return built, {"stacking": letters}


@build.command(
    "icosahedron",
    epilog=example(
        "simsc build icosahedron 10 --layers 10 --d-nn 16.2 --diameter 398.85 --relax -o anti_mackay.h5",
        "simsc build icosahedron 12 --d-nn 16 -o mackay.h5",
    ),
)
@click.argument("order", type=int)
@_D_NN
@click.option("--layers", type=int, default=0, show_default=True, help="Anti-Mackay layers around it, up to ORDER.")
@_CUT
@_RELAX
@_HARDNESS
@_written
def build_icosahedron(
    order: int,
    d_nn_nm: float,
    layers: int,
    diameter_nm: float | None,
    relax: bool,
    hardness: float | None,
    radius_nm: float | None,
    rng: np.random.Generator,
) -> Built:
    """Build a Mackay icosahedron of ORDER shells, with anti-Mackay layers around it."""
    return _relaxed(icosahedron(order, d_nn_nm, layers, diameter_nm, radius_nm), d_nn_nm, relax, hardness)


@build.command("decahedron", epilog=example("simsc build decahedron 4 6 --notch 2 --d-nn 16 --relax -o marks.h5"))
@click.argument("across", type=int)
@click.argument("along", type=int)
@_D_NN
@click.option("--notch", type=int, default=0, show_default=True, help="Depth of the notches of Marks.")
@_CUT
@_RELAX
@_HARDNESS
@_written
def build_decahedron(
    across: int,
    along: int,
    d_nn_nm: float,
    notch: int,
    diameter_nm: float | None,
    relax: bool,
    hardness: float | None,
    radius_nm: float | None,
    rng: np.random.Generator,
) -> Built:
    """Build a decahedron with ACROSS and ALONG NPs at edges of {100} facets, normal and parallel to its axis."""
    return _relaxed(decahedron(across, along, d_nn_nm, notch, diameter_nm, radius_nm), d_nn_nm, relax, hardness)


@build.command(
    "pillar",
    epilog=example(
        "simsc build pillar --cell 16.8 17.0 17.8 58.7 60.8 68.5 --size 500 500 1000 --radius 7.4 -o pillar.h5",
        "simsc build pillar --cell 22.6 22.6 22.6 90 90 90 --centring F --axis 1 1 1 --side 1 -1 0 -n 50000 -o p.h5",
    ),
)
@CELL
@click.option("--centring", type=click.Choice(["P", "F"]), default="P", show_default=True, help="F: face-centred.")
@click.option("--size", "size_nm", type=float, nargs=3, metavar="X Y Z", help="Width, depth and height, nm.")
@_NUMBER
@click.option(
    "--proportions",
    type=float,
    nargs=3,
    metavar="X Y Z",
    help="Of width, depth and height, with --number.  [default: 1 1 1]",
)
@click.option(
    "--axis",
    type=float,
    nargs=3,
    metavar="U V W",
    default=(0, 0, 1),
    show_default=True,
    help="Lattice direction along z.",
)
@click.option(
    "--side",
    type=float,
    nargs=3,
    metavar="U V W",
    default=(1, 0, 0),
    show_default=True,
    help="Lattice direction towards x.",
)
@_written
def build_pillar(
    parameters: tuple[float, float, float, float, float, float],
    centring: Literal["P", "F"],
    size_nm: tuple[float, float, float] | None,
    n: int | None,
    proportions: tuple[float, float, float] | None,
    axis: tuple[float, float, float],
    side: tuple[float, float, float],
    radius_nm: float | None,
    rng: np.random.Generator,
) -> Built:
    """Cut a rectangular pillar out of a crystal with any cell."""
    if proportions is not None and n is None:
        raise InputError("--proportions: are for --number")
    built = pillar(
        Cell.from_parameters(*parameters), size_nm, n, proportions or (1, 1, 1), centring, axis, side,
        radius_nm=radius_nm,
    )  # fmt: skip
    return built, {}


def _relaxed(superlattice: Superlattice, d_nn_nm: float, relax: bool, hardness: float | None) -> Built:
    if not relax:
        if hardness is not None:
            raise InputError("--hardness needs --relax")
        return superlattice, {}
    with working("relax"):
        result = relax_contacts(superlattice, d_nn_nm, 4.0 if hardness is None else hardness)
    if not result.converged:
        click.echo(f"simsc: note: forces do not balance yet after {result.steps} steps", err=True)
    spread = [100 * distances.std() / d_nn_nm for distances in (result.before_nm, result.after_nm)]
    facts = {"spread of contacts": f"{spread[0]:.2f} % of d_NN before relaxation, {spread[1]:.2f} % after"}
    return result.superlattice, facts


def _facet(text: str) -> tuple[str, float]:
    facet, _, distance = text.partition("=")
    try:
        return facet, float(distance)
    except ValueError:
        raise InputError(f"--facet {text!r}: needs a facet and its relative distance, such as 100=1.15") from None
