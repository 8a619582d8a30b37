"""Core radii as one record: drawn, or the NPs' own."""

import numpy as np
import pytest

from simsc.builders.finite_crystal import CoreRadii, with_normal_radii
from simsc.core.errors import InputError
from simsc.core.superlattice import Superlattice

NPS = Superlattice(np.random.default_rng(0).normal(size=(4000, 3)), np.linspace(1, 2, 4000))


def test_core_radii():
    drawn = CoreRadii(7.4, 0.8, seed=5).given_to(NPS)
    assert drawn.radii_nm.mean() == pytest.approx(7.4, abs=0.04)
    assert drawn.radii_nm.std() == pytest.approx(0.8, abs=0.03)
    assert np.array_equal(drawn.radii_nm, with_normal_radii(NPS, 7.4, 0.8, np.random.default_rng(5)).radii_nm)
    assert not np.array_equal(drawn.radii_nm, CoreRadii(7.4, 0.8, seed=6).given_to(NPS).radii_nm)
    assert (CoreRadii(7.4).given_to(NPS).radii_nm == 7.4).all()
    with pytest.raises(InputError, match="radius / 4"):
        CoreRadii(7.4, 2.0).given_to(NPS)


def test_without_a_mean_each_keeps_its_own():
    assert CoreRadii().given_to(NPS) is NPS
    assert CoreRadii(std_nm=0.1).given_to(NPS) is NPS
