"""A grid that no patient has, or no computer, is refused before anything is resampled."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.models.package.specification import NNUNET, PreparationSpec
from LiverMRISegLib.preparation.scheme import prepare_by_scheme
from LiverMRISegLib.volume import Volume


def stretched(factor) -> Volume:
    volume = make_volume()
    return replace(volume, geometry=replace(volume.geometry, spacing=tuple(s * factor for s in (2.0, 2.5, 4.0))))


@pytest.fixture(params=["own", NNUNET])
def preparation(request) -> PreparationSpec:
    return replace(tiny_spec().preparation, scheme=request.param)


@pytest.mark.parametrize(
    ("factor", "length"), [(1e4, "480 m"), (1e3, "48 m"), (1e2, "4.8 m"), (1e30, "4.8e[+]28 m"), (1e-2, "0.48 mm")]
)
def test_fields_of_view_that_no_patient_has(preparation, factor, length):
    with pytest.raises(InputError, match=f"made: has a field of view of {length}: check the spacing"):
        prepare_by_scheme(stretched(factor), preparation)


def test_spacings_of_a_model_that_no_computer_has(preparation):
    with pytest.raises(
        InputError, match="at the model's spacing: check the spacing in its header, and that of the model"
    ):
        prepare_by_scheme(make_volume(), replace(preparation, spacing=(1e-3, 1e-3, 1e-3)))


def test_whole_bodies_and_single_organs(preparation):
    """A tenth and twenty times the field of view of a small volume are read as ever."""
    for factor in (0.3, 1.0, 20.0):
        made = prepare_by_scheme(stretched(factor), replace(preparation, spacing=(8.0, 8.0, 8.0)))
        assert np.isfinite(made.image).all()


@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e9, 1e33])
def test_the_unit_of_intensities_does_not_matter(preparation, factor):
    """Files in e-12 or e9 of something are prepared as the same image in another unit."""
    volume, kind = make_volume(), replace(preparation, normalisation="z-score")
    scaled = replace(volume, array=volume.array * np.float32(factor))
    found, expected = (prepare_by_scheme(v, kind).image for v in (scaled, volume))
    assert np.allclose(found, expected, atol=1e-3)
