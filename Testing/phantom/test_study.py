"""The phantom looks like a patient to a program: sides, sizes, contrasts, and labels that follow the image."""

import numpy as np
import pytest

from LiverMRISegLib.anatomy import Sequence, organ_named
from LiverMRISegLib.phantom.study import LABELS, make_study

COARSE = {"in_plane_mm": 3.0, "slice_mm": 6.0}
# Millilitres, in all patients; the small organs are only asked to be there.
PLAUSIBLE = {
    "liver": (1100, 1900), "spleen": (110, 320), "right kidney": (105, 215), "left kidney": (105, 215),
    "stomach": (150, 500), "pancreas": (30, 100), "gallbladder": (5, 50), "aorta": (50, 150),
    "inferior vena cava": (50, 150), "duodenum": (30, 120), "oesophagus": (4, 40),
}  # fmt: skip


@pytest.fixture(scope="module")
def study():
    return make_study(list(Sequence), seed=3, **COARSE)


def centre(scan, name):
    z, y, x = (float(axis.mean()) for axis in np.nonzero(mask(scan, name)))
    return np.array(scan.labelmap.geometry.world_of((x, y, z)))


def mask(scan, name):
    return scan.labelmap.array == LABELS.value_of(organ_named(name))


def mean(scan, name):
    return float(scan.volume.array[mask(scan, name)].mean())


def millilitres(scan, name):
    return float(mask(scan, name).sum()) * scan.labelmap.geometry.voxel_volume_ml


def test_every_sequence_has_an_image_and_labels_on_one_grid(study):
    assert set(study) == set(Sequence)
    for scan in study.values():
        assert scan.volume.geometry == scan.labelmap.geometry
        assert scan.volume.geometry.orientation == "LPS"
        assert scan.volume.array.dtype == np.int16
        assert scan.labelmap.array.dtype == np.uint8
        assert set(np.unique(scan.labelmap.array)) == {0, *LABELS}


def test_left_is_the_patients_left(study):
    for scan in study.values():
        # In LPS x grows to the patient's left and z to the head.
        assert centre(scan, "right kidney")[0] < centre(scan, "left kidney")[0] - 80
        assert centre(scan, "liver")[0] < centre(scan, "aorta")[0] < centre(scan, "spleen")[0]
        assert centre(scan, "inferior vena cava")[0] < centre(scan, "aorta")[0]
        assert centre(scan, "stomach")[0] > centre(scan, "gallbladder")[0]


def test_above_and_behind(study):
    scan = study[Sequence.T1WI]
    assert centre(scan, "liver")[2] > centre(scan, "right kidney")[2] + 30
    assert centre(scan, "right adrenal gland")[2] > centre(scan, "right kidney")[2]
    assert centre(scan, "oesophagus")[2] > centre(scan, "stomach")[2]
    assert centre(scan, "left kidney")[1] > centre(scan, "pancreas")[1] + 20
    assert centre(scan, "spleen")[1] > centre(scan, "stomach")[1]


@pytest.mark.parametrize("seed", range(4))
def test_sizes(seed):
    scan = make_study([Sequence.T2WI], seed=seed, **COARSE)[Sequence.T2WI]
    for name, (lower, upper) in PLAUSIBLE.items():
        assert lower < millilitres(scan, name) < upper, name


def test_contrasts(study):
    t2, hepatobiliary, dwi = study[Sequence.T2WI], study[Sequence.GED4], study[Sequence.DWI]
    assert mean(t2, "liver") < 0.7 * mean(t2, "spleen")
    assert mean(t2, "gallbladder") > 1.5 * mean(t2, "spleen")
    assert mean(hepatobiliary, "liver") > 1.6 * max(mean(hepatobiliary, n) for n in ("spleen", "aorta"))
    assert mean(dwi, "spleen") > 2 * mean(dwi, "liver")
    arterial, venous = study[Sequence.C_ARTERIAL], study[Sequence.C_VENOUS]
    assert mean(arterial, "aorta") > 1.8 * mean(arterial, "inferior vena cava")
    assert mean(venous, "inferior vena cava") > 0.8 * mean(venous, "aorta")


def test_dwi_is_coarser_and_noisier():
    study = make_study([Sequence.DWI, Sequence.T1WI], seed=0)
    dwi, t1 = study[Sequence.DWI].volume, study[Sequence.T1WI].volume
    assert dwi.geometry.spacing[0] > t1.geometry.spacing[0]
    assert dwi.geometry.spacing[2] > t1.geometry.spacing[2]
    assert dwi.array[:, :8, :8].std() > 1.3 * t1.array[:, :8, :8].std()


def test_the_patient_breathes_between_scans_and_keeps_organs(study):
    first, second = study[Sequence.GED1], study[Sequence.GED4]
    assert first.volume.geometry == second.volume.geometry
    assert 0 < np.linalg.norm(centre(first, "liver") - centre(second, "liver")) < 40
    assert not np.array_equal(first.labelmap.array, second.labelmap.array)
    for name in PLAUSIBLE:
        assert millilitres(first, name) == pytest.approx(millilitres(second, name), rel=0.2), name


def test_labels_follow_the_image(study):
    """Within the liver of the hepatobiliary phase nearly all is bright; just outside, nearly nothing."""
    scan = study[Sequence.GED4]
    liver = mask(scan, "liver")
    grown = liver.copy()
    for axis in (1, 2):
        for step in (-2, 2):
            grown |= np.roll(liver, step, axis)
    bright = scan.volume.array > 0.65 * np.median(scan.volume.array[liver])
    assert bright[liver].mean() > 0.9
    ring = grown & (scan.labelmap.array == 0)
    assert bright[ring].mean() < 0.35


def test_a_scan_depends_on_seed_and_sequence_alone(study):
    alone = make_study([Sequence.DWI], seed=3, **COARSE)[Sequence.DWI]
    assert np.array_equal(alone.volume.array, study[Sequence.DWI].volume.array)
    assert np.array_equal(alone.labelmap.array, study[Sequence.DWI].labelmap.array)
    other = make_study([Sequence.DWI], seed=4, **COARSE)[Sequence.DWI]
    assert not np.array_equal(other.labelmap.array, alone.labelmap.array)


def test_spacing_can_be_asked_for():
    scan = make_study([Sequence.T1WI], in_plane_mm=4.0, slice_mm=10.0)[Sequence.T1WI]
    assert scan.volume.geometry.spacing == (4.0, 4.0, 10.0)
