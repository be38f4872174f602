"""The phantom: repeatable, plausible, left is left, and typical in every sequence."""

import numpy as np
import pytest

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.phantom import LABELS, make_study

QUICK = {"in_plane_mm": 4.0, "slice_mm": 8.0}


def mean_of(scan, organ):
    value = next(v for v, o in LABELS.items() if o.name == organ)
    return float(scan.volume.array[scan.labelmap.array == value].mean())


def centre_of(scan, organ):
    value = next(v for v, o in LABELS.items() if o.name == organ)
    return np.array(scan.volume.geometry.world_of(np.argwhere(scan.labelmap.array == value).mean(0)[::-1]))


@pytest.fixture(scope="module")
def study():
    return make_study(list(Sequence), seed=3, **QUICK)


def test_every_sequence_can_be_made(study):
    assert set(study) == set(Sequence)
    for scan in study.values():
        assert scan.volume.geometry == scan.labelmap.geometry
        assert scan.volume.array.min() >= 0


def test_same_seed_same_study_and_other_seed_another_patient():
    first, again, other = (make_study([Sequence.T2WI], seed, **QUICK)[Sequence.T2WI] for seed in (1, 1, 2))
    assert np.array_equal(first.volume.array, again.volume.array)
    assert not np.array_equal(first.labelmap.array, other.labelmap.array)


@pytest.mark.parametrize("seed", range(5))
def test_organs_have_the_volumes_of_adults(seed):
    scan = make_study([Sequence.T1WI], seed, **QUICK)[Sequence.T1WI]
    millilitres = np.bincount(scan.labelmap.array.ravel(), minlength=15) * scan.volume.geometry.voxel_volume_ml
    found = {organ.name: millilitres[value] for value, organ in LABELS.items()}
    assert 1000 < found["liver"] < 2400
    assert 70 < found["spleen"] < 400
    assert 80 < found["right kidney"] < 260
    assert 80 < found["left kidney"] < 260
    assert all(volume > 0 for volume in found.values())


def test_left_is_left_and_up_is_up(study):
    scan = study[Sequence.T2WI]
    assert centre_of(scan, "right kidney")[0] < -20 < 20 < centre_of(scan, "left kidney")[0]
    assert centre_of(scan, "liver")[0] < 0 < centre_of(scan, "spleen")[0]
    assert centre_of(scan, "liver")[2] > centre_of(scan, "right kidney")[2]
    assert centre_of(scan, "right kidney")[1] > centre_of(scan, "gallbladder")[1]


def test_typical_contrast(study):
    t2, ged4, ged1 = study[Sequence.T2WI], study[Sequence.GED4], study[Sequence.GED1]
    assert mean_of(t2, "liver") < mean_of(t2, "spleen") < mean_of(t2, "gallbladder")
    assert mean_of(ged4, "liver") > 1.5 * mean_of(ged4, "spleen")
    assert mean_of(ged1, "aorta") > mean_of(ged1, "liver")


def test_dwi_is_coarse_and_phases_are_not_aligned(study):
    shipped = make_study([Sequence.DWI, Sequence.T2WI])
    coarse, fine = (shipped[s].volume.geometry.spacing[0] for s in (Sequence.DWI, Sequence.T2WI))
    assert coarse > 1.4 * fine
    first, second = study[Sequence.GED1].labelmap.array, study[Sequence.GED4].labelmap.array
    assert 0.01 < np.mean((first == 1) != (second == 1)) / np.mean(first == 1) < 0.6
