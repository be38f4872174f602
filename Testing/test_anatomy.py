"""Organs, label sets and sequences: one meaning each."""

import itertools

import numpy as np
import pytest

from helpers.needs import real_images
from helpers.places import DATA
from LiverMRISegLib.anatomy import (
    AMOS,
    ANATOMICAL_STRUCTURE,
    BTCV,
    CHAOS,
    FLARE,
    LABEL_SETS,
    LEFT,
    LEFT_KIDNEY,
    LIVER,
    ORGANS,
    RIGHT_KIDNEY,
    TOTALSEGMENTATOR_V1,
    LabelSet,
    has_side,
    organ_named,
    structure_named,
)
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io import read_labelmap


def test_organs_are_told_apart():
    assert len(ORGANS) == 14
    assert len({o.name for o in ORGANS}) == 14
    assert len({(o.type_code.value, o.side and o.side.value) for o in ORGANS}) == 14
    assert {o.name for o in ORGANS if o.is_paired} == {
        "right kidney", "left kidney", "right adrenal gland", "left adrenal gland",
    }  # fmt: skip


def test_organs_are_told_apart_on_the_screen():
    """Slicer gives both adrenal glands, and both kidneys, one colour; all others differ to the eye."""
    single = [o for o in ORGANS if o.side is not LEFT]
    for one, other in itertools.combinations(single, 2):
        assert max(abs(a - b) for a, b in zip(one.color, other.color, strict=True)) >= 25, (one.name, other.name)
    assert all(0 <= c <= 255 for o in ORGANS for c in o.color)


@pytest.mark.parametrize("name", ["right kidney", "right_kidney", "Right Kidney", "RIGHT-KIDNEY"])
def test_organs_by_name(name):
    assert organ_named(name) is RIGHT_KIDNEY


def test_unknown_organ_lists_the_known():
    with pytest.raises(UsageError, match=r"unknown organ 'heart'.*liver"):
        organ_named("heart")


@pytest.mark.parametrize("name", ["kidney_right", "Kidney Right"])
def test_the_side_may_stand_last(name):
    assert organ_named(name) is RIGHT_KIDNEY


def test_other_structures_keep_their_name_and_have_colours_of_their_own():
    assert structure_named("Kidney_Right", 5) is RIGHT_KIDNEY
    made = [structure_named(f"rib left {n}", n) for n in range(1, 118)]
    assert [o.name for o in made[:2]] == ["rib left 1", "rib left 2"]
    assert len({o.color for o in made}) == len(made)
    assert {o.type_code for o in made} == {ANATOMICAL_STRUCTURE}
    for one, other in itertools.pairwise(made):
        assert max(abs(a - b) for a, b in zip(one.color, other.color, strict=True)) >= 40


@pytest.mark.parametrize("name", ["lung left", "Lung_Left", "left lung"])
def test_one_structure_by_any_value_and_spelling(name):
    """A file numbers and capitalises it in its own way."""
    one, other = structure_named("lung left", 2), structure_named(name, 7)
    assert (one, hash(one)) == (other, hash(other))
    assert one != structure_named("lung right", 2)
    there = LabelSet("there", {1: LIVER, 7: other})
    assert LabelSet("here", {2: one, 3: LIVER}).mapping_to(there) == {2: 7, 3: 1}
    with pytest.raises(UsageError, match="listed twice"):
        LabelSet("both", {2: one, 7: other})


def test_a_set_finds_its_own_organs_in_any_spelling():
    labels = LabelSet("foreign", {1: LIVER, 2: structure_named("Weird_Thing", 2)})
    assert labels.named("weird thing") is labels[2]
    assert labels.named("Liver") is LIVER
    with pytest.raises(UsageError, match=r"foreign has no 'spleen'; foreign has: liver, Weird_Thing"):
        labels.named("spleen")
    with pytest.raises(UsageError, match="unknown organ 'heart'"):
        labels.named("heart")


def test_values_of_the_public_sets():
    assert FLARE.value_of(LEFT_KIDNEY) == 13
    assert AMOS.value_of(LIVER) == 6
    assert BTCV.value_of(LIVER) == 6
    assert [o.name for o in CHAOS.organs] == ["liver", "right kidney", "left kidney", "spleen"]
    assert set(LABEL_SETS) == {s.name for s in LABEL_SETS.values()}


@pytest.mark.parametrize("source", LABEL_SETS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("target", LABEL_SETS.values(), ids=lambda s: s.name)
def test_mapping_keeps_the_organ_and_goes_back(source, target):
    mapping = source.mapping_to(target)
    assert all(source[a] is target[b] for a, b in mapping.items())
    assert {b: a for a, b in mapping.items()} == target.mapping_to(source)
    assert len(mapping) == len(set(source.organs) & set(target.organs))


def test_a_set_refuses_background_and_doubles():
    with pytest.raises(UsageError, match="positive"):
        LabelSet("x", {0: LIVER})
    with pytest.raises(UsageError, match="twice"):
        LabelSet("x", {1: LIVER, 2: LIVER})


@real_images("ct_whole", "ct_multiorgan")
@pytest.mark.parametrize(
    ("file", "labels"),
    [("ct_whole/ct_label104.nii.gz", TOTALSEGMENTATOR_V1), ("ct_multiorgan/ct_00_label.nii.gz", BTCV)],
)
def test_left_is_left_in_real_label_maps(file, labels):
    volume = read_labelmap(DATA / file)
    places = {}
    for value, organ in labels.items():
        points = np.argwhere(volume.array == value)
        if len(points):
            places[organ.name] = np.array(volume.geometry.world_of(points.mean(0)[::-1]))
    assert places["right kidney"][0] < places["aorta"][0] < places["left kidney"][0]
    assert places["liver"][0] < places["spleen"][0]
    assert places["right kidney"][2] < places["liver"][2]


@real_images("ct_whole")
def test_values_of_totalsegmentator_by_place_and_size():
    """Each value's structure lies, and is as large, as the organ it is said to be."""
    volume = read_labelmap(DATA / "ct_whole/ct_label104.nii.gz")
    place, ml = {}, {}
    for value, organ in TOTALSEGMENTATOR_V1.items():
        points = np.argwhere(volume.array == value)
        if len(points):
            place[organ.name] = np.array(volume.geometry.world_of(points.mean(0)[::-1]))
            ml[organ.name] = len(points) * volume.geometry.voxel_volume_ml
    assert len(place) >= 13
    left, posterior, superior = ({name: p[axis] for name, p in place.items()} for axis in range(3))
    assert max(ml, key=ml.get) == "liver"
    assert {n for n, v in ml.items() if v < 15} == {"right adrenal gland", "left adrenal gland"}
    assert left["right adrenal gland"] < left["inferior vena cava"] < left["aorta"] < left["left adrenal gland"]
    assert left["gallbladder"] < left["duodenum"] < left["pancreas"] < left["stomach"] < left["spleen"]
    assert posterior["gallbladder"] < posterior["pancreas"] < posterior["aorta"] < posterior["right kidney"]
    assert superior["duodenum"] < superior["pancreas"] < superior["portal and splenic vein"]
    for side in ("right", "left"):
        assert superior[f"{side} adrenal gland"] > superior[f"{side} kidney"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("liver", False),
        ("kidney_left", True),
        ("left atrium", False),
        ("lung right", True),
        ("left_lung", True),
        ("cyst", False),
    ],
)
def test_a_structure_of_one_side_is_known_by_its_name(name, expected):
    assert has_side(name) is expected
