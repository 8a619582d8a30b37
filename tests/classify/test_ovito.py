"""Labels beside those of OVITO, an independent program."""

import numpy as np
import pytest
from conftest import PAPER, displaced, fcc_ball
from ovito_labels import ovito_methods

from simsc.builders.close_packed import close_packed
from simsc.builders.supraparticle import icosahedron
from simsc.classify.labels import label_layers, label_thermal
from simsc.core.cell import Cell
from simsc.core.superlattice import Superlattice


@pytest.fixture(scope="module")
def ovito():
    try:
        return ovito_methods(6.2)
    except ImportError as error:
        pytest.skip(f"OVITO cannot be loaded: {error}")


@pytest.mark.parametrize("sequence", [PAPER, "ABCABCACBACB", "AB", "ABC", "ABAC", "ABCBCACAB"])
@pytest.mark.parametrize("method", ["OVITO PTM", "OVITO PTM, RMSD ≤ 0.1", "OVITO adaptive CNA"])
def test_cold_crystals_are_labelled_as_by_ovito(ovito, method, sequence):
    """Every NP, in cells as thin as the paper's."""
    crystal = displaced(close_packed(sequence, 6.2), 0.01 * 6.2, np.random.default_rng(3))
    theirs = ovito[method](crystal)
    assert (label_thermal(crystal).labels == theirs).all()
    assert (label_layers(crystal).labels == theirs).all()


def test_bcc_is_labelled_as_by_ovito(ovito, rng):
    corners = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    bcc = Superlattice(np.concatenate([corners, corners + 0.5]) * 7.1, cell=Cell(5 * 7.1 * np.eye(3)))
    bcc = displaced(bcc, 0.15, rng)
    assert (label_thermal(bcc).labels == ovito["OVITO PTM"](bcc)).all()


CLUSTERS = {"ball": fcc_ball(6.2, 600, 2.0), "Mackay": icosahedron(5, 6.2), "anti-Mackay": icosahedron(4, 6.2, 2)}


@pytest.mark.parametrize("name", CLUSTERS)
def test_interiors_of_clusters_are_labelled_as_by_ovito(ovito, name):
    """What both call fcc or hcp agrees. In wedges, whose distances spread by a quarter, each sees what it likes."""
    cluster = CLUSTERS[name]
    ours = label_thermal(cluster).labels
    theirs = ovito["OVITO adaptive CNA"](cluster)
    both = np.isin(theirs, ["fcc", "hcp"]) & np.isin(ours, ["fcc", "hcp"])
    assert both.sum() > 150
    assert (ours[both] == theirs[both]).all()


@pytest.mark.parametrize("sigma", [0.08, 0.10])
def test_hot_crystals_are_labelled_better_than_by_ovito(ovito, sigma):
    """Template matching without a cutoff is the best of OVITO's methods there."""
    right = {"simsc": 0, "OVITO PTM": 0}
    for seed in range(4):
        rng = np.random.default_rng([11, seed])
        crystal = displaced(close_packed("ABCABACBCACB", 6.2, (4, 2)), sigma * 6.2, rng)
        true = label_layers(close_packed("ABCABACBCACB", 6.2, (4, 2))).labels
        right["simsc"] += (label_thermal(crystal).labels == true).sum()
        right["OVITO PTM"] += (ovito["OVITO PTM"](crystal) == true).sum()
    assert right["simsc"] >= right["OVITO PTM"]
