"""One way from a volume to labels: a label made for training is what the exported model gives when it segments."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import as_probabilities, prepared_by, score_slabs
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import ABDOMEN, BODY
from LiverMRISegLib.one_label.refine import RefineConfig, refine
from LiverMRISegLib.pseudo_labels.pseudo_label import fold_labels
from LiverMRISegLib.volume import Volume

SEED = 3
SETTINGS = (
    {},
    {"image_refinement": True},
    {"resample": "labels"},
    {"image_refinement": True, "resample": "labels"},
    {"region": BODY, "region_margin": 4.0},
    {"image_refinement": True, "region": BODY, "region_margin": 4.0},
    {"image_refinement": True, "region": ABDOMEN, "region_margin": 4.0},
)


def segmenter_of(folder, **inference):
    spec = tiny_spec()
    spec = replace(spec, inference=replace(spec.inference, **inference))
    weights = random_weights(spec, SEED)
    for name in weights:
        if name.startswith("seg_outputs") and name.endswith("bias"):
            weights[name][:] = 0  # no class is preferred everywhere
    package = ModelPackage.load(save_package(spec, weights, folder))
    return Segmenter(package, load_engine(package, "cpu"))


@pytest.fixture
def volume():
    """Oblique, with air around it: a body in the middle."""
    whole = make_volume(oblique_directions()[0], size=(44, 40, 20), seed=3)
    array = np.zeros_like(whole.array)
    inner = (slice(4, 17), slice(8, 32), slice(9, 36))
    array[inner] = 20 + whole.array[inner]
    return Volume(array, whole.geometry, "case")


@pytest.mark.parametrize("inference", SETTINGS, ids=str)
def test_labels_for_training_are_what_the_model_segments(tmp_path, volume, inference):
    segmenter = segmenter_of(tmp_path / "model", **inference)
    expected = segmenter.segment(volume).labelmap
    assert len(np.unique(expected)) > 2

    spec = segmenter.package.spec
    votes, labels = fold_labels(volume, [segmenter])
    postprocess(labels, spec.labels, spec.postprocessing, volume.geometry)
    assert np.array_equal(labels, expected)
    assert len(votes) == 1

    for name in ("template", "p"):
        write_volume(volume, tmp_path / f"{name}.nii.gz")
    write_volume(Volume(expected, volume.geometry), tmp_path / "truth.nii.gz")
    scans = [
        Scan("template", "T2WI", tmp_path / "template.nii.gz", tmp_path / "truth.nii.gz"),
        Scan("p", "T2WI", tmp_path / "p.nii.gz"),
    ]
    organs = {value: organ.name for value, organ in spec.labels.items()}
    write_datalist(Datalist("one", "none", organs, scans), tmp_path / "before.json")
    whole = {name: np.ones(4, np.float32) for name in ("template_T2WI", "p_T2WI")}
    refine(segmenter.package.path, tmp_path / "before.json", whole, RefineConfig("none"), tmp_path / "out", "cpu")
    assert np.array_equal(read_labelmap(tmp_path / "out" / "p_T2WI.nii.gz").array, expected)


def test_outlines_and_resampling_change_these_labels(tmp_path, volume):
    """Or the test above would not notice that they are ignored; `test_region` sees to the region."""
    plain, outlined, coarse = (
        segmenter_of(tmp_path / f"{n}", **SETTINGS[n]).segment(volume).labelmap for n in range(3)
    )
    assert not np.array_equal(plain, outlined)
    assert not np.array_equal(plain, coarse)


@pytest.mark.parametrize("inference", SETTINGS[:2], ids=str)
def test_probabilities_are_of_the_network_and_add_up_to_one(tmp_path, volume, inference):
    segmenter = segmenter_of(tmp_path / "model", **inference)
    spec, prepared = segmenter.package.spec, prepared_by(segmenter.package.spec, volume)
    slabs = [as_probabilities(s, spec.inference) for s in score_slabs(prepared, spec, segmenter.engine)]
    whole = np.concatenate(slabs, axis=1)
    assert whole.shape == (5, *prepared.image.shape)
    assert np.allclose(whole.sum(axis=0), 1, atol=1e-4)
