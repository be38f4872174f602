"""The cache of prepared volumes: the same as inference prepares, keyed by content, labels on the same grid."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from LiverMRISegLib.data.augmentation import AugmentationConfig, Augmenter
from LiverMRISegLib.data.batches import CaseStream, StepBatches
from LiverMRISegLib.data.case_cache import PreparedCase, PreparedCases
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.preparation.own_scheme import prepare
from LiverMRISegLib.volume import Geometry, Volume, reorient

PREPARATION = PreparationSpec((3.0, 2.0, 2.0))


@pytest.fixture
def listed(tmp_path):
    random = np.random.default_rng(0)
    labels = np.zeros((10, 16, 18), np.uint8)
    labels[2:8, 3:9, 2:8] = 1
    labels[3:6, 10:14, 10:15] = 2
    labels[4:6, 4:7, 4:6] = 7
    image = (labels * 100 + random.normal(0, 5, labels.shape)).astype(np.float32)
    geometry = Geometry((18, 16, 10), (1.5, 1.5, 4.0))
    write_volume(Volume(image, geometry), tmp_path / "image.nii.gz")
    write_volume(Volume(labels, geometry), tmp_path / "labels.nii.gz")
    scan = Scan("p1", "T2WI", tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz")
    return Datalist("tiny", "none", {1: "liver", 2: "spleen", 7: "liver"}, [scan]), scan


def test_the_image_is_what_inference_prepares(listed, tmp_path):
    case = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(*listed, labelled=True)
    assert np.array_equal(case.image, prepare(read_volume(listed[1].image), PREPARATION).image)
    assert case.labels.shape == case.image.shape
    assert case.labels.dtype == np.uint8
    assert case.name == "p1 T2WI"


def test_values_of_one_organ_are_merged_and_others_are_background(listed, tmp_path):
    case = PreparedCases(tmp_path / "cache", PREPARATION, ["spleen", "liver"]).load(*listed, labelled=True)
    assert set(np.unique(case.labels)) == {0, 1, 2}
    volume = (6 * 6 * 6) * 1.5 * 1.5 * 4
    assert (case.labels == 2).sum() * 12 == pytest.approx(volume, rel=0.2)
    only = PreparedCases(tmp_path / "cache", PREPARATION, ["spleen"]).load(*listed, labelled=True)
    assert set(np.unique(only.labels)) == {0, 1}
    assert all((only.labels[tuple(v)] == 1) for v in only.foreground[1])


@pytest.mark.parametrize("code", ["LPS", "RAS", "ASL", "SRP"])
def test_left_is_left_for_images_and_labels(listed, tmp_path, code):
    datalist, scan = listed
    case = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(*listed, labelled=True)
    turned = [reorient(volume, code) for volume in (read_volume(scan.image), read_labelmap(scan.labels))]
    paths = [tmp_path / f"{code}_{n}.nii.gz" for n in ("image", "labels")]
    for volume, path in zip(turned, paths, strict=True):
        write_volume(volume, path)
    other = replace(scan, image=paths[0], labels=paths[1])
    same = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(datalist, other, labelled=True)
    assert np.allclose(same.image, case.image, atol=1e-4)
    assert np.array_equal(same.labels, case.labels)


def test_the_cache_is_keyed_by_content(listed, tmp_path):
    datalist, scan = listed
    cache = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"])
    cache.load(datalist, scan, labelled=True)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("*/image.npy")}
    cache.load(datalist, scan, labelled=True)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("*/image.npy")} == made
    image = sitk.ReadImage(str(scan.image))
    sitk.WriteImage(image + 1, str(scan.image))
    cache.load(datalist, scan, labelled=True)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    PreparedCases(tmp_path / "cache", replace(PREPARATION, normalisation="percentile-z-score"), ["liver"]).load(
        datalist, scan, labelled=True
    )
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_without_labels_they_are_not_read(listed, tmp_path):
    datalist, scan = listed
    scan.labels.write_text("no image")
    case = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(datalist, scan, labelled=False)
    assert case.labels is None
    assert not case.foreground


def test_all_bad_volumes_are_named_at_once(listed, tmp_path):
    datalist, scan = listed
    broken = replace(scan, patient="p2", image=tmp_path / "broken.nii.gz")
    broken.image.write_bytes(scan.image.read_bytes()[:200])
    flat = read_volume(scan.image)
    write_volume(replace(flat, array=np.zeros_like(flat.array)), tmp_path / "flat.nii.gz")
    other = replace(scan, patient="p3", image=tmp_path / "flat.nii.gz")
    cache = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"])
    with pytest.raises(InputError, match=r"(?s)2 of 3 volumes.*broken\.nii\.gz.*flat\.nii\.gz"):
        cache.load_all([(datalist, s) for s in (scan, broken, other)], labelled=True)


def test_an_organ_without_labels_is_named(listed, tmp_path):
    with pytest.raises(UsageError, match=r"no labels of 'pancreas'.*liver, spleen"):
        PreparedCases(tmp_path / "cache", PREPARATION, ["pancreas"]).load(*listed, labelled=True)


def test_labels_with_other_axes_are_turned_and_those_on_another_grid_refused(listed, tmp_path):
    datalist, scan = listed
    labels = sitk.ReadImage(str(scan.labels))
    straight = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(datalist, scan, labelled=True)
    sitk.WriteImage(sitk.Flip(sitk.PermuteAxes(labels, (2, 0, 1)), (True, False, False)), str(scan.labels))
    turned = PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(datalist, scan, labelled=True)
    assert turned.key != straight.key
    assert np.array_equal(turned.labels, straight.labels)
    labels.SetOrigin((5.0, 0.0, 0.0))
    sitk.WriteImage(labels, str(scan.labels))
    with pytest.raises(InputError, match="another grid"):
        PreparedCases(tmp_path / "cache", PREPARATION, ["liver"]).load(datalist, scan, labelled=True)


@pytest.mark.parametrize("first", [5, 6])
def test_half_a_voxel_of_an_organ_is_kept_where_the_grid_is_twice_as_coarse(tmp_path, first):
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[first : first + 8, first : first + 8, first : first + 8] = 1
    geometry = Geometry((24, 24, 24), (1.0, 1.0, 1.0))
    write_volume(Volume(labels * 100.0 + np.arange(24), geometry), tmp_path / "image.nii.gz")
    write_volume(Volume(labels, geometry), tmp_path / "labels.nii.gz")
    scan = Scan("p1", "T2WI", tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz")
    listed = Datalist("tiny", "none", {1: "liver"}, [scan])
    cases = PreparedCases(tmp_path / "cache", PreparationSpec((2.0, 2.0, 2.0)), ["liver"])
    found = cases.load(listed, scan, labelled=True).labels
    assert (found == 1).any(axis=(1, 2)).sum() == (4 if first % 2 == 0 else 5)


def test_a_case_goes_to_another_process_without_its_voxels(listed, tmp_path):
    """Where processes are spawned (macOS, Windows) each worker would hold a copy of the whole cohort."""
    case = PreparedCases(tmp_path / "cache", PREPARATION, ["liver", "spleen"]).load(*listed, labelled=True)
    streams = {"labelled": CaseStream([case] * 3, Augmenter(AugmentationConfig(), (4, 8, 8)), 2)}
    sent = pickle.dumps(StepBatches(streams, 10, seed=1))
    few = sum(voxels.nbytes for voxels in case.foreground.values())
    assert len(sent) < case.image.nbytes // 4 + few
    there = pickle.loads(sent)
    found = there.streams["labelled"].cases[0]
    assert Path(found.image.filename) == Path(case.image.filename)
    assert (found.name, found.key) == (case.name, case.key)
    here = StepBatches(streams, 10, seed=1)[4]["labelled"]
    assert all(torch.equal(there[4]["labelled"][name], tensor) for name, tensor in here.items())


def test_voxels_that_are_in_no_file_go_along():
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = pickle.loads(pickle.dumps(PreparedCase("drawn", image, None, {1: np.zeros((1, 3), np.int16)}, "key")))
    assert np.array_equal(found.image, image)
    assert found.labels is None
    assert list(found.foreground) == [1]


def test_a_part_of_a_mapped_array_is_not_taken_for_its_file(tmp_path):
    np.save(tmp_path / "whole.npy", np.arange(60, dtype=np.float32).reshape(3, 4, 5))
    part = np.load(tmp_path / "whole.npy", mmap_mode="r")[1:]
    found = pickle.loads(pickle.dumps(PreparedCase("part", part, None, {})))
    assert np.array_equal(found.image, part)
