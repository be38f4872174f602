"""Validation at a bounded cost: few cases, few patches, the same ones every time; whole volumes at the end."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training.validation import LabelledImage, Validation

SHAPE, PATCH = (16, 24, 24), (8, 8, 8)


class Bright(torch.nn.Module):
    """Calls voxels above 0.5 class 1, and remembers the tiles that it was shown."""

    def __init__(self):
        super().__init__()
        self.tiles = []

    def forward(self, x):
        self.tiles.append(x.clone())
        return torch.cat([0.5 - x, x - 0.5], 1)


class Nowhere:
    def add_image(self, *_):
        pass


def image(number: int, share: float = 1.0) -> LabelledImage:
    """An organ of which the image shows a share."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:12, 8:16, 8:16] = 1
    picture = labels.astype(np.float32)
    picture[4 + round(8 * share) : 12] = 0
    return LabelledImage(picture + 0.01 * number, labels, {1: np.argwhere(labels == 1).astype(np.int16)})


def scored(validation: Validation, step: int) -> tuple[dict[str, float], list[torch.Tensor]]:
    network = Bright()
    return validation.score([network], Fabric(accelerator="cpu"), Nowhere(), step), network.tiles


IMAGES = [image(number, 1.0 if number % 2 == 0 else 0.5) for number in range(9)]


def test_few_cases_and_patches_are_scored_until_the_last_step():
    validation = Validation(IMAGES, ["liver"], InferenceSpec(PATCH), cases=3, patches=2, last=20)
    scores, tiles = scored(validation, 10)
    assert set(scores) == {"score", "liver"}
    assert len(tiles) == 3 * 2
    assert [round(float(tile.min()), 2) for tile in tiles[::2]] == [0.0, 0.04, 0.08], "cases from the first to the last"
    assert all(torch.equal(a, b) for a, b in zip(tiles, scored(validation, 15)[1], strict=True))
    assert scores["score"] == pytest.approx(1.0)
    final, tiles = scored(validation, 20)
    assert len(tiles) > 9 * 8
    assert final["score"] == scores["score"], "what chooses the best checkpoint is the same at every step"
    assert final["whole score"] == final["whole liver"] == pytest.approx((5 * 1.0 + 4 * 2 / 3) / 9)


def test_unbounded_every_volume_is_whole():
    validation = Validation(IMAGES[:2], ["liver"], InferenceSpec(PATCH), cases=20, last=20)
    first, last = scored(validation, 10)[0], scored(validation, 20)[0]
    assert first == last
    assert first["score"] == pytest.approx((1 + 2 / 3) / 2)


def test_images_smaller_than_a_patch_and_without_foreground():
    ramp = np.linspace(1, 2, 4 * 30 * 5, dtype=np.float32).reshape(4, 30, 5)  # tiles of one value are not computed
    small = LabelledImage(ramp, np.ones(ramp.shape, np.uint8), {1: np.array([[2, 29, 4]])})
    bare = LabelledImage(ramp, np.ones(ramp.shape, np.uint8))
    scores, _ = scored(Validation([small, bare], ["liver"], InferenceSpec(PATCH), patches=3), 1)
    assert scores["score"] == 1


def test_the_picture_shows_the_slice_with_most_organ_not_with_most_unknown_voxels():
    case = image(0)
    labels = case.labels.copy()
    labels[0] = IGNORE
    case.image[6] = 0.9 * case.labels[6]
    shown = []
    writer = SimpleNamespace(add_image=lambda _, picture, __: shown.append(picture))
    labels[7, 12:16] = 0
    labels[6, 20:] = IGNORE
    Validation([LabelledImage(case.image, labels)], ["liver"], InferenceSpec(PATCH)).score(
        [Bright()], Fabric(accelerator="cpu"), writer, 1
    )
    grey, truth, _ = np.split(shown[0], 3, axis=2)
    assert grey[:, 8:16, 8:16].min() == 1
    assert np.any(truth != grey, axis=0)[8:16, 8:16].all()
    assert np.array_equal(truth[:, :8], grey[:, :8])
    assert np.array_equal(truth[:, 20:], grey[:, 20:])
