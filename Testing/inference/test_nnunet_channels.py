"""Several images of a case on the way to the network, as nnU-Net does it: against values that nnunetv2 computed."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.models.package.specification import NNUNET, ChannelSpec, InferenceSpec, PreparationSpec
from LiverMRISegLib.preparation.nnunet_scheme import prepare_as_nnunet
from LiverMRISegLib.preparation.scheme import prepare_by_scheme
from LiverMRISegLib.volume import Geometry, Volume, reorient
from nnunet_folder import INTENSITY, SECOND_INTENSITY

SHAPE = (9, 20, 18)
# Normalisations, spacing of the array, target spacing, transposition; the input's shape, and of each channel mean,
# deviation and four values. By nnunetv2 2.8.1's DefaultPreprocessor on `images()`.
FROZEN = [
    (("z-score-nonzero", "ct"), (8, 1.5, 1.2), (6, 1.0, 2.0), (0, 1, 2), (2, 11, 28, 10), [
        (0.015122, 0.951251, [-0.09118, -0.04452, -1.01568, -0.13822]),
        (-0.950651, 1.203398, [-2.03571, -1.53215, -0.65192, -2.03275]),
    ]),
    (("ct", "z-score-nonzero"), (2, 1.5, 1.2), (1, 3, 1.6), (2, 0, 1), (2, 20, 5, 18), [
        (-0.101851, 1.297532, [-1.72184, 0.08732, -1.7679, -1.74894]),
        (0.035602, 0.905087, [-0.13431, 0.49482, -0.01969, -0.00567]),
    ]),
    (("none", "unit-range"), (3, 1.5, 1.2), (2, 2, 2), (1, 0, 2), (2, 14, 12, 10), [
        (169.983687, 122.75413, [48.41704, 119.0479, 117.01527, 159.65253]),
        (0.312257, 0.313433, [0.01912, 0.65188, 0.01767, 0.0]),
    ]),
]  # fmt: skip


def images() -> list[np.ndarray]:
    """Each is 0 in places where the other is not."""
    j = np.arange(np.prod(SHAPE), dtype=np.float64)
    first = (200 + 150 * np.sin(0.37 * j) + 40 * np.cos(0.0113 * j)).reshape(SHAPE).astype(np.float32)
    first[:1] = first[:, :2] = first[:, :, -3:] = 0
    first[4:6, 8:11, 7:9] = 0
    second = (300 + 200 * np.cos(0.23 * j) + 60 * np.sin(0.0071 * j)).reshape(SHAPE).astype(np.float32)
    second[:3] = second[:, :1] = second[:, -4:] = second[:, :, -1:] = 0
    second[3:7, 7:12, 6:10] = 0
    return [first, second]


def spec_of(schemes, target=(2.0, 2.0, 2.0), transpose=(0, 1, 2), orientation=None) -> PreparationSpec:
    channels = tuple(
        ChannelSpec(f"image {number}", scheme, _intensity(number) if scheme == "ct" else {})
        for number, scheme in enumerate(schemes)
    )
    z, y, x = map(float, target)
    return PreparationSpec(
        (z, y, x), orientation, image_order=3, scheme=NNUNET, transpose=transpose, channels=channels
    )  # fmt: skip


def _intensity(number: int) -> dict[str, float]:
    found = (INTENSITY, SECOND_INTENSITY)[number]
    names = {"low": "percentile_00_5", "high": "percentile_99_5", "mean": "mean", "std": "std"}
    return {ours: found[theirs] for ours, theirs in names.items()}


def volumes(spacing=(2.0, 2.0, 2.0)) -> list[Volume]:
    geometry = Geometry(SHAPE[::-1], tuple(float(s) for s in spacing[::-1]))
    return [Volume(array, geometry, f"image {number}") for number, array in enumerate(images())]


@pytest.mark.parametrize("case", FROZEN, ids=["+".join(case[0]) for case in FROZEN])
def test_input_is_that_of_nnunet(case):
    schemes, spacing, target, transpose, shape, channels = case
    first, second = volumes(spacing)
    prepared = prepare_by_scheme(first, spec_of(schemes, target, transpose), [second])
    assert (prepared.image.shape, prepared.image.dtype) == (shape, np.float32)
    assert np.array_equal(first.array, images()[0])
    assert np.array_equal(second.array, images()[1])
    for flat, (mean, deviation, values) in zip(prepared.image.reshape(2, -1), channels, strict=True):
        assert flat.mean(dtype=float) == pytest.approx(mean, abs=1e-5, rel=1e-6)
        assert flat.std(dtype=float) == pytest.approx(deviation, abs=1e-5, rel=1e-6)
        found = flat[[0, flat.size // 3, flat.size // 2, flat.size - 2]]
        assert found == pytest.approx(values, abs=2e-5, rel=1e-6)
    assert prepared.restore(np.ones(prepared.shape, np.uint8)).shape == SHAPE


def test_one_image_is_prepared_as_if_there_were_no_channels():
    (first, _), spec = volumes(), spec_of(["z-score-nonzero", "none"])
    alone = replace(spec, channels=(), normalisation="z-score-nonzero")
    twice = prepare_as_nnunet(first, spec, [first]).image
    assert np.array_equal(twice[0], prepare_as_nnunet(first, alone).image)
    assert prepare_as_nnunet(first, alone).image.ndim == 3


def test_a_reader_that_turns_images_turns_all():
    first, second = volumes()
    kept = prepare_as_nnunet(first, spec_of(["none", "none"]), [second]).image
    turned = prepare_as_nnunet(first, spec_of(["none", "none"], orientation="RAS"), [second]).image
    assert np.array_equal(turned, kept[:, :, ::-1, ::-1])  # the images are LPS


@pytest.mark.parametrize("code", ["RAS", "SRA"])
def test_an_image_of_the_case_with_other_axes_is_turned_to_the_first(code):
    first, second = volumes()
    spec = spec_of(["none", "none"])
    straight, turned = (prepare_by_scheme(first, spec, [other]).image for other in (second, reorient(second, code)))
    assert np.array_equal(turned, straight)


def test_other_numbers_of_images_and_other_grids_are_refused():
    first, second = volumes()
    spec = spec_of(["none", "none"])
    with pytest.raises(UsageError, match=r"image 0: the model takes 2 image\(s\) a case \(image 0, image 1\), 1 given"):
        prepare_by_scheme(first, spec)
    with pytest.raises(UsageError, match=r"takes 1 image\(s\) a case \(image\), 2 given"):
        prepare_by_scheme(first, PreparationSpec((2.0, 2.0, 2.0)), [second])
    moved = replace(second, geometry=replace(second.geometry, origin=(0.0, 0.0, 1.5)), name="moved")
    with pytest.raises(InputError, match=r"moved: is on another grid than image 0.*resample it onto that of image 0"):
        prepare_by_scheme(first, spec, [moved])
    with pytest.raises(InputError, match="made: is on another grid"):
        prepare_by_scheme(first, spec, [make_volume()])
    rounded = replace(second, geometry=replace(second.geometry, origin=(0.0, 1e-4, 0.0)))
    assert prepare_by_scheme(first, spec, [rounded]).image.shape[0] == 2


class Difference:
    """Its result is known: the first image, and how much brighter the second is along the ramp of a tile."""

    name, device, batch = "difference", "cpu", 2

    def predict(self, batch):
        assert batch.shape[1] == 2
        ramp = np.arange(batch.shape[-1], dtype=np.float32)
        return np.stack([batch[:, 0], (batch[:, 1] - batch[:, 0]) * ramp], axis=1)


def test_tiles_carry_all_images_and_only_axes_of_space_are_mirrored():
    image = np.random.default_rng(0).normal(size=(2, 6, 9, 14)).astype(np.float32)
    spec = InferenceSpec((8, 8, 8), mirror_axes=(0, 2), scheme=NNUNET)
    logits = predict_logits(image, Difference(), 2, spec, mirror=True, progress=silent, cancel=CancelToken())
    assert logits.shape == (2, 6, 9, 14)
    assert np.allclose(logits[0], image[0], atol=1e-5)
    # The mean of the ramp and of its mirror image is 3.5 everywhere.
    assert np.allclose(logits[1], 3.5 * (image[1] - image[0]), atol=1e-4)
