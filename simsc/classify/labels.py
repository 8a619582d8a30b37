"""Labels of nanoparticles: fcc, hcp and what else there is in a supercrystal, with probabilities."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsc.classify.environment import environments
from simsc.classify.network import load_network
from simsc.classify.stacking import stacking_sequence
from simsc.classify.steinhardt import IDEAL, bond_order
from simsc.core.errors import InputError
from simsc.core.label_classes import CLASS_OF_KIND, CLOSE_PACKED
from simsc.core.superlattice import Superlattice
from simsc.io.adapters import Structure, as_superlattice


@dataclass(frozen=True, eq=False)
class Labels:
    """A class for each NP.

    Args:
        classes: names of the C classes that the method knows.
        labels: (N,) the class of each NP.
        probabilities: (N, C) of each class; NaN where the method gives none.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray

    def __repr__(self) -> str:
        """Return how many NPs each class has that there is, as notebooks show it."""
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items() if count)
        return f"Labels({len(self.labels)} NPs: {counts})"

    @property
    def probability(self) -> np.ndarray:
        """(N,) probability of the label; NaN where the method gives none."""
        return self.probabilities[np.arange(len(self.labels)), self.numbers]

    @property
    def weights(self) -> np.ndarray:
        """(N, C) the probabilities; where the method gives none, 1 for the label and 0 for the others."""
        certain = np.eye(len(self.classes))[self.numbers]
        return np.where(np.isnan(self.probabilities), certain, self.probabilities)

    @property
    def numbers(self) -> np.ndarray:
        """(N,) the place of each label in `classes`."""
        return np.argmax(self.labels[:, None] == np.array(self.classes), axis=1)

    @property
    def counts(self) -> dict[str, int]:
        """How many NPs each class has."""
        return {name: int((self.labels == name).sum()) for name in self.classes}

    @property
    def fcc_fraction(self) -> float:
        """Fraction of fcc among the NPs that are fcc or hcp; NaN if none is.

        Surface, five-fold, icosahedral, bcc and other NPs are left out, and each NP counts by its label alone, however
        probable that is.

        Example:
            >>> from simsc.builders.close_packed import close_packed
            >>> label_layers(close_packed("ABCABCABABAB", 6.2)).fcc_fraction
            0.5
        """
        fcc, hcp = (int((self.labels == name).sum()) for name in ("fcc", "hcp"))
        return fcc / (fcc + hcp) if fcc + hcp else float("nan")


def label_paper(superlattice: Superlattice, d_nn_nm: float | None = None) -> Labels:
    """Label each NP by the nearest ideal (q4, q6), as in the paper's Fig. 5d; exact for cold crystals only.

    Nearest-ideal labels lean towards hcp once NPs vibrate: where half are hcp, 50.4, 53 and 58 % are labelled so at a
    standard deviation of 4, 5 and 6 % of d_NN along each axis. There is no class for what is neither fcc nor hcp nor at
    a surface.

    Args:
        superlattice: NPs, periodic or in free space.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Raises:
        InputError: as in `simsc.classify.steinhardt.bond_order`.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> label_paper(close_packed("ABCABCABABAB", 6.2)).counts
        {'fcc': 12, 'hcp': 12, 'surface': 0}
    """
    order = bond_order(superlattice, d_nn_nm)
    names = np.array(list(IDEAL))
    points = np.array(list(IDEAL.values()))
    distances = np.hypot(order.q4[:, None] - points[:, 0], order.q6[:, None] - points[:, 1])
    labels = np.where(order.bulk, names[distances.argmin(axis=1)], "surface")
    return Labels((*IDEAL, "surface"), labels, np.full((superlattice.n, len(IDEAL) + 1), np.nan))


def label_thermal(superlattice: Superlattice, d_nn_nm: float | None = None) -> Labels:
    """Label each NP by the most probable class, given the order of its surroundings and how much all NPs vibrate.

    A network that was trained on crystals with known classes, strains and thermal motion (`simsc/classify/training`)
    turns the invariants of `simsc.classify.environment` into probabilities. They hold where fcc and hcp are equally
    frequent beforehand.

    Args:
        superlattice: NPs, periodic or in free space.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Raises:
        InputError: for fewer than 13 NPs in free space, or NPs at the same place.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> counts = label_thermal(close_packed("ABCABCABABAB", 6.2)).counts
        >>> counts["fcc"], counts["hcp"]
        (12, 12)
    """
    network = load_network()
    probabilities = network.probabilities(environments(superlattice, network.shells, d_nn_nm))
    labels = np.array(network.classes)[probabilities.argmax(axis=1)]
    return Labels(network.classes, labels, probabilities)


def label_layers(superlattice: Superlattice, d_nn_nm: float | None = None) -> Labels:
    """Label each NP as its layer: fcc-like between different neighbours, hcp-like between two that are alike.

    All NPs of a layer get one label, so it holds where single NPs can no longer be classified; but it is blind to
    differences within a layer. NPs without a full shell, and those of the first and last layer of a finite crystal, are
    labelled surface; where no layers can be read, all NPs are other, without a probability.

    Args:
        superlattice: NPs, periodic in all directions or in free space.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Raises:
        InputError: as in `simsc.classify.steinhardt.bond_order`.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> label_layers(close_packed("ABCABCABABAB", 6.2)).counts
        {'fcc': 12, 'hcp': 12, 'surface': 0, 'other': 0}
    """
    classes = (*CLOSE_PACKED, "surface", "other")
    stacking = stacking_sequence(superlattice, d_nn_nm)
    if stacking is None:
        return Labels(classes, np.full(superlattice.n, "other"), np.full((superlattice.n, 4), np.nan))
    inside = bond_order(superlattice, d_nn_nm).bulk & (stacking.layers >= 0)
    kinds = np.array([CLASS_OF_KIND.get(kind, "surface") for kind in stacking.kinds])
    labels = np.where(inside, kinds[stacking.layers], "surface")
    probabilities = np.zeros((superlattice.n, 4))
    known = np.nan_to_num(stacking.kind_probability, nan=1.0)[stacking.layers]
    for number, other in ((0, "hcp"), (1, "fcc")):
        probabilities[labels == classes[number], number] = known[labels == classes[number]]
        probabilities[labels == other, number] = 1 - known[labels == other]
    probabilities[labels == "surface", 2] = 1.0
    return Labels(classes, labels, probabilities)


METHODS = {"thermal": label_thermal, "paper": label_paper, "layers": label_layers}


def label(structure: Structure, method: str = "thermal", d_nn_nm: float | None = None) -> Labels:
    """Label each NP as fcc, hcp or what else it is.

    Args:
        structure: NPs, periodic or in free space: a superlattice, or what `simsc.io.adapters.as_superlattice` takes.
        method: "thermal" (default): probabilities by a network that knows thermal motion; "paper": the nearest ideal
            (q4, q6), as Lapkin et al. do (ACS Nano 2025, 19, 42881); "layers": as the layer that an NP belongs to.
        d_nn_nm: nearest-neighbour distance, nm; None estimates it.

    Returns:
        A class for each NP, with its probability.

    Raises:
        InputError: for an unknown method, fewer than 13 NPs in free space, or NPs at the same place.

    Example:
        >>> from simsc.builders.close_packed import close_packed
        >>> label(close_packed("ABCABCABABAB", 6.2))
        Labels(24 NPs: fcc 12, hcp 12)
    """
    return labeller(method)(as_superlattice(structure), d_nn_nm)


def labeller(method: str) -> Callable[[Superlattice, float | None], Labels]:
    """Return what labels NPs by a method, a key of `METHODS`.

    Raises:
        InputError: for another one.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is not known; available: {', '.join(METHODS)}")
    return METHODS[method]
