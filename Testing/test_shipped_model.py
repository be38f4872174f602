"""The models that are shipped: whole, small, and sensible on the phantom and, where at hand, on real volumes."""

import functools
import json

import numpy as np
import pytest

from helpers.needs import real_images
from helpers.places import DATA, ROOT
from LiverMRISegLib import Segmenter, read_volume
from LiverMRISegLib.anatomy import CHAOS, LIVER, Sequence
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.models.catalog import list_models, load_model
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.resources import DEFAULT_MODEL

MOST_MB = {DEFAULT_MODEL: 12, "abdomen-any-sequence": 12, "liver-cps": 12}
LEAST_ORGANS = {
    DEFAULT_MODEL: {"liver", "spleen", "right kidney", "left kidney"},
    "abdomen-any-sequence": {"liver", "spleen", "oesophagus", "duodenum", "portal and splenic vein"},
    "liver-cps": {"liver"},
}
REAL = DATA / "mr_t2_liver_kidneys_spleen"


def dice(first, second):
    return 2 * np.logical_and(first, second).sum() / max(1, first.sum() + second.sum())


@functools.cache
def scan_of(sequence):
    return make_study([sequence], seed=1)[sequence]


@pytest.fixture(scope="module", params=MOST_MB)
def segmenter(request):
    return Segmenter.load(request.param, device="cpu")


@pytest.mark.parametrize("name", MOST_MB)
def test_it_is_whole_small_and_says_what_it_is(name):
    package = load_model(name)
    package.verify()
    assert package.spec.name == name
    assert package.size_mb <= MOST_MB[name]
    assert {organ.name for organ in package.spec.labels.organs} >= LEAST_ORGANS[name]
    assert "research use" in package.spec.intended_use.lower()
    assert package.spec.metrics
    assert package.spec.trust is not None
    assert all("cases" in metric and "data set" in metric for metric in package.spec.metrics)
    assert (ROOT / f"Resources/models/{name}.md").is_file()


def test_everything_in_the_catalog_is_there():
    document = json.loads((ROOT / "Resources/models/catalog.json").read_text())
    names = [entry["name"] for entry in document["models"]]
    assert sorted(names) == sorted(MOST_MB)
    shipped = {entry.name: entry.path for entry in list_models() if entry.is_shipped}
    assert all(shipped[name].is_dir() for name in names)


@pytest.mark.parametrize("sequence", [Sequence.T2WI, Sequence.T1WI, Sequence.GED4])
def test_the_phantom_is_segmented_in_any_sequence(segmenter, sequence):
    scan = scan_of(sequence)
    result = segmenter.segment(scan.volume)
    found, drawn = result.labelmap == result.labels.value_of(LIVER), scan.labelmap.array == LABELS.value_of(LIVER)
    assert dice(found, drawn) > 0.8


@real_images(REAL.name)
@pytest.mark.parametrize("name", ["mr_02", "mr_20"])
def test_a_real_volume(segmenter, name):
    result = segmenter.segment(read_volume(REAL / f"{name}.nii.gz"))
    truth = read_labelmap(REAL / f"{name}_label.nii.gz").array
    found = {o.name: result.labelmap == v for v, o in result.labels.items()}
    drawn = {o.name: truth == v for v, o in CHAOS.items()}
    assert dice(found["liver"], drawn["liver"]) > 0.7
    for side, other in (("right kidney", "left kidney"), ("left kidney", "right kidney")):
        if side in found:
            assert dice(found[side], drawn[side]) > 0.6
            assert dice(found[side], drawn[other]) < 0.05
