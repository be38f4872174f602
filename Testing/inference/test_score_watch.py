"""What the scores of a network say beyond the labels is taken up while they stream by."""

import numpy as np
import pytest

from LiverMRISegLib.inference import score_watch
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.inference.tiled_network import predict_slabs
from LiverMRISegLib.models.package.specification import InferenceSpec

CLASSES = 4


class Slopes:
    """Logits that depend on the brightness and, a little, on the place in the tile."""

    name, device, batch = "slopes", "cpu", 2

    def predict(self, batch):
        image = batch[:, 0]
        place = np.linspace(-1, 1, image.shape[1], dtype=np.float32)[:, None, None]
        return np.stack([-image, image, image * 0.5 + place, np.full_like(image, -9.0)], axis=1)


def watched(image, patch=(8, 10, 12), region=None):
    watch = ScoreWatch(CLASSES)
    slabs = predict_slabs(
        image,
        Slopes(),
        CLASSES,
        InferenceSpec(patch),
        region=region,
        progress=silent,
        cancel=CancelToken(),
        watch=watch,
    )
    return watch, np.concatenate(list(slabs), axis=1)


def shares_of(logits):
    raised = np.exp(logits - logits.max(axis=0))
    return raised / raised.sum(axis=0)


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(0, 2, (19, 21, 6)).astype(np.float32)  # one axis shorter than the patch


def test_the_likeliest_class_and_its_probability(image):
    watch, logits = watched(image)
    shares = shares_of(logits)
    is_close = logits[1:].max(axis=0) > logits[0] - 5
    assert is_close.mean() > 0.5
    assert np.array_equal(watch.best[is_close], shares.argmax(axis=0)[is_close])
    assert np.allclose(watch.best_share[is_close], shares.max(axis=0)[is_close], atol=1e-3)
    assert np.allclose(watch.totals[1:], shares[1:].sum(axis=(1, 2, 3)), rtol=0.01, atol=0.1)
    assert not watch.best[logits[0] > logits[1:].max(axis=0) + 7].any()


def test_of_a_very_large_image_every_second_voxel_stays(image, monkeypatch):
    whole, _logits = watched(image)
    monkeypatch.setattr(score_watch, "_MOST_VOXELS", image.size // 4)
    coarse, _logits = watched(image)
    assert coarse.step == 2
    assert np.array_equal(coarse.best, whole.best[::2, ::2, ::2])
    assert np.array_equal(coarse.best_share, whole.best_share[::2, ::2, ::2])


def test_a_second_prediction_replaces_the_first(image):
    watch = ScoreWatch(CLASSES)
    for part in (image, image[:8]):
        slabs = predict_slabs(
            part, Slopes(), CLASSES, InferenceSpec((8, 10, 12)), progress=silent, cancel=CancelToken(), watch=watch
        )
        logits = np.concatenate(list(slabs), axis=1)
    assert watch.best.shape == (8, 21, 6)
    assert np.array_equal(watch.best > 0, (logits.argmax(axis=0) > 0))
