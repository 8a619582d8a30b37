"""The path of a layer that glides from one hollow site of its neighbours to the next, alone or with all above it.

The path is the Burgers vector of a Shockley partial, a/6⟨112⟩ of fcc (`simsc.sliding.slips`). Along it the energy of
rigid blocks is a γ line, a section of the generalised stacking-fault energy (Vitek, Philos. Mag. 18, 773 (1968),
DOI 10.1080/14786436808227500); what is sampled here is a free energy, with all vibrations.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsc.core.errors import InputError
from simsc.core.stacking import letters_of, site_numbers
from simsc.core.units import KCAL_PER_MOL_K
from simsc.forcefield.chains import DEFAULT
from simsc.models.heads import SPHERES, Dressing

_BEYOND = 0.15  # of the path, beyond both hollows
_OVERLAP = 0.6  # standard deviation of the offset by the spring alone, in distances between windows
_TIE_KT = 30.0  # energy of the spring between the neighbours of the layer once they are half a path apart


@dataclass(frozen=True)
class Glide:
    """A path of layers, and how the free energy along it is sampled.

    Args:
        stacking: of the whole cell, one letter A, B or C a layer.
        layer: number, from 0, of the layer that glides.
        interfaces: 1 (default): all layers above glide with it, over one interface, and the cell tilts as in a run with
            coupling "tri". 2: it glides by itself, over the layers below and above, which must be alike.
        lateral: repeats (NX, NY) of the 2-NP rectangle within a layer.
        d_nn_nm: initial nearest-neighbour distance, nm; the cell then comes to rest.
        radius_nm: core radius, nm.
        temperature_K: temperature, K.
        pressure_atm: pressure, atm.
        force_field: name of a coarse-grained parameter set.
        windows: number of springs along the path, at equal distances; as many again may be added where they hardly
            overlap.
        equilibration_ns: before samples are taken in each window, and before the size of the cell is.
        duration_ns: of the sampling of each window, ns.
        seed: of all random numbers.
        repeats: independent samples of each window; more are added to those in a folder.
        start_K: temperature of the first half of each equilibration, K; the second half cools from it. Ligands that
            rearrange too slowly at the temperature of the path do so at this one. Along the layers the cell keeps the
            size that it has when cold. None (default): no such start.
        dressing: shape, coverage and orientation of the cores.
    """

    stacking: str
    layer: int
    lateral: tuple[int, int]
    d_nn_nm: float
    radius_nm: float
    temperature_K: float
    pressure_atm: float = 1.0
    force_field: str = DEFAULT
    windows: int = 40
    equilibration_ns: float = 0.1
    duration_ns: float = 2.0
    seed: int = 1
    dressing: Dressing = SPHERES
    interfaces: Literal[1, 2] = 1
    repeats: int = 1
    start_K: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.layer < len(self.stacking):
            raise InputError(f"layer {self.layer}: layers of {self.stacking} are 0 to {len(self.stacking) - 1}")
        if len(self.stacking) < 4:
            raise InputError(f"{self.stacking}: at least four layers are needed, so that two beside one differ")
        if self.interfaces not in (1, 2):
            raise InputError(f"a layer slides over 1 or 2 interfaces, got {self.interfaces}")
        if self.interfaces == 1 and self.layer == 0:
            raise InputError(
                f"layer 0 of {self.stacking}: has no layer of the cell below it to slide over; give another one"
            )
        if self.interfaces == 2 and self.below != self.above:
            raise InputError(
                f"layer {self.layer} of {self.stacking} lies between {self.below} and {self.above}: only a layer "
                "between two alike ones can slide by itself"
            )
        if self.windows < 2 or self.repeats < 1:
            raise InputError(f"at least two windows and one repeat are needed, got {self.windows} and {self.repeats}")
        if self.start_K is not None and self.start_K <= self.temperature_K:
            raise InputError(f"a start at {self.start_K:g} K: must be hotter than the slide, {self.temperature_K:g} K")

    @property
    def below(self) -> str:
        """Letter of the layer below."""
        return self.stacking[self.layer - 1]

    @property
    def above(self) -> str:
        """Letter of the layer above."""
        return self.stacking[(self.layer + 1) % len(self.stacking)]

    @property
    def moving(self) -> range:
        """Numbers of the layers that glide together."""
        return range(self.layer, len(self.stacking) if self.interfaces == 1 else self.layer + 1)

    @property
    def sense(self) -> int:
        """Whether the other hollow lies along +y (1) or −y (−1): the step over the interface below, +1 from A to B."""
        below, own = site_numbers(self.below + self.stacking[self.layer])
        return 1 if (own - below) % 3 == 1 else -1

    @property
    def stacking_after(self) -> str:
        """The stacking afterwards; where all above glide too, the cell tilts by a third of the rectangle of two NPs."""
        letters = letters_of(site_numbers(self.stacking) + self.sense)
        return "".join(letters[k] if k in self.moving else letter for k, letter in enumerate(self.stacking))

    @property
    def n_layer(self) -> int:
        """Number of NPs of a layer."""
        return 2 * self.lateral[0] * self.lateral[1]

    def fractions(self) -> np.ndarray:
        """Return where the springs of the windows are relaxed, as fractions of the path."""
        return np.linspace(-_BEYOND, 1 + _BEYOND, self.windows)

    def way_angstrom(self, cell: np.ndarray) -> float:
        """Return the distance of two hollows in a cell (3, 3), Å: a third of the height of the rectangle of two NPs."""
        return float(cell[1, 1]) / self.lateral[1] / 3

    def spring_constant(self, cell: np.ndarray) -> float:
        """Return the constant of the springs in a cell (3, 3), kcal/mol/Å²."""
        spacing = float(np.diff(self.fractions())[0]) * self.way_angstrom(cell)
        return KCAL_PER_MOL_K * self.temperature_K / (_OVERLAP * spacing) ** 2

    def tie_constant(self, cell: np.ndarray) -> float:
        """Return the constant of the spring between the neighbours, kcal/mol/Å²: hardly felt, but not overcome either.

        It keeps the layers below and above a single layer from slipping over one another.
        """
        return 2 * _TIE_KT * KCAL_PER_MOL_K * self.temperature_K / (self.way_angstrom(cell) / 2) ** 2
