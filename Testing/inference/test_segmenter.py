"""The whole way of a volume: the mask lies on the input's grid, whatever its orientation."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from helpers.volumes import all_directions, as_rows, make_volume, oblique_directions
from LiverMRISegLib.errors import CancelledError, UsageError
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.volume import Geometry, Volume


class Threshold:
    """An engine whose result is known: class 1 is what is brighter than the mean."""

    name = "threshold"
    batch = 3

    def predict(self, batch):
        assert 1 <= len(batch) <= self.batch
        bright = batch[:, 0]
        return np.stack([-bright, bright, np.full_like(bright, -99.0)], axis=1)


@pytest.fixture
def package(two_organ_package):
    return two_organ_package


def lump(direction, spacing=(2.0, 3.0, 4.0), size=(30, 22, 16)):
    """A bright ball at a place of the patient that is the same for every orientation."""
    middle = np.array([20.0, -30.0, 40.0])
    matrix = np.array(direction)
    origin = middle - matrix @ ((np.array(size) - 1) / 2 * np.array(spacing))
    geometry = Geometry(size, spacing, tuple(origin), as_rows(matrix))
    z, y, x = np.indices(geometry.shape)
    points = np.stack([x, y, z], -1) * np.array(spacing) @ matrix.T + origin
    distance = np.linalg.norm(points - (middle + np.array((3.0, 5.0, -2.0))), axis=-1)
    return Volume((200.0 / (1 + np.exp((distance - 14) / 2))).astype(np.float32), geometry)


def overlap(volume, labelmap):
    truth = volume.array > volume.array.mean()
    found = labelmap == 1
    return 2 * (truth & found).sum() / (truth.sum() + found.sum())


class OneAtATime(Threshold):
    """An engine that, like OpenVINO's, refuses a second call while one is under way."""

    def __init__(self):
        self.is_busy = False

    def predict(self, batch):
        assert not self.is_busy
        self.is_busy = True
        time.sleep(0.01)
        found = super().predict(batch)
        self.is_busy = False
        return found


def test_threads_wait_for_each_other(package):
    segmenter = Segmenter(package, OneAtATime())
    volumes = [lump(all_directions()[number]) for number in range(4)]
    alone = [segmenter.segment(volume).labelmap for volume in volumes]
    with ThreadPoolExecutor(4) as threads:
        together = [result.labelmap for result in threads.map(segmenter.segment, volumes)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_thread_that_waits_can_be_cancelled(package):
    segmenter, token = Segmenter(package, Threshold()), CancelToken()
    token.cancel()
    with segmenter._in_use, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(segmenter.segment, lump(all_directions()[0]), cancel=token)
        with pytest.raises(CancelledError):
            waiting.result(20)


@pytest.mark.parametrize("number", range(52))
def test_the_mask_lies_where_the_organ_is(package, number):
    volume = lump((all_directions() + oblique_directions())[number])
    result = Segmenter(package, Threshold()).segment(volume)
    assert result.labelmap.shape == volume.array.shape
    assert result.labelmap.dtype == np.uint8
    assert result.geometry == volume.geometry
    assert overlap(volume, result.labelmap) > 0.93
    moment = [np.argwhere(m).mean(0)[::-1] for m in (volume.array > volume.array.mean(), result.labelmap == 1)]
    shift = np.subtract(*[volume.geometry.world_of(m) for m in moment])
    assert np.abs(shift).max() < 0.5


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 9.0), (3.0, 3.0, 3.0), (5.0, 4.0, 6.0)])
def test_any_spacing(package, spacing):
    size = tuple(int(60 / s) + 4 for s in spacing)
    volume = lump(np.eye(3), spacing, size)
    assert overlap(volume, Segmenter(package, Threshold()).segment(volume).labelmap) > 0.85


def test_the_input_is_left_as_it_was_and_results_repeat(package):
    volume = lump(np.eye(3))
    before = volume.array.copy()
    segmenter = Segmenter(package, Threshold())
    first, second = segmenter.segment(volume), segmenter.segment(volume)
    assert np.array_equal(volume.array, before)
    assert np.array_equal(first.labelmap, second.labelmap)


def test_volumes_flags_and_provenance(package):
    volume = lump(np.eye(3))
    result = Segmenter(package, Threshold()).segment(volume, organs=["liver"])
    assert result.volumes_ml["liver"] == pytest.approx((result.labelmap == 1).sum() * 2 * 3 * 4 / 1000)
    assert set(result.volumes_ml) == {"liver"}
    assert result.flags == []
    assert result.provenance["engine"] == "threshold"
    assert set(result.provenance["seconds"]) == {"prepare", "network", "restore", "postprocess"}


def test_cancel_and_progress(package):
    token, seen = CancelToken(), []

    def progress(text, fraction):
        seen.append(fraction)
        if "part 4" in text:
            token.cancel()

    with pytest.raises(CancelledError):
        Segmenter(package, Threshold()).segment(lump(np.eye(3)), progress=progress, cancel=token)
    assert seen == sorted(seen)


def test_mirroring_averages_over_all_flips(package):
    """A network that adds a ramp along z is wrong at the edges; the mean over the flips cancels the ramp."""

    class Ramp(Threshold):
        def predict(self, batch):
            logits = super().predict(batch)
            logits[:, 1] += np.linspace(-3, 3, batch.shape[2], dtype=np.float32)[:, None, None]
            return logits

    spec = replace(package.spec, inference=replace(package.spec.inference, mirror_axes=(0,)))
    volume = lump(np.eye(3))
    plain = Segmenter(package, Threshold()).segment(volume)
    mirrored = Segmenter(replace(package, spec=spec), Ramp()).segment(volume, tta=True)
    assert np.mean(mirrored.labelmap != plain.labelmap) < 0.001
    skewed = Segmenter(replace(package, spec=spec), Ramp()).segment(volume)
    assert np.mean(skewed.labelmap != plain.labelmap) > 0.01


def test_devices(tiny_package):
    loaded = ModelPackage.load(tiny_package)
    assert load_engine(loaded, "auto").name.split()[0] in ("openvino", "torch")
    with pytest.raises(UsageError, match="unknown device 'abacus'"):
        load_engine(loaded, "abacus")


def test_engines_agree(tiny_package):
    pytest.importorskip("openvino")
    from LiverMRISegLib.inference.engines.openvino_engine import OpenVinoEngine
    from LiverMRISegLib.inference.engines.torch_engine import TorchEngine

    loaded = ModelPackage.load(tiny_package)
    batch = np.random.default_rng(0).normal(size=(2, 1, 16, 24, 24)).astype(np.float32)
    exact = TorchEngine(loaded, "cpu", "float32").predict(batch)
    assert np.abs(OpenVinoEngine(loaded, "float32").predict(batch) - exact).max() < 1e-3
    assert (OpenVinoEngine(loaded).predict(batch).argmax(1) == exact.argmax(1)).mean() > 0.97


def test_a_real_small_volume_end_to_end(tiny_package, tmp_path):
    result = Segmenter.load(tiny_package, "cpu").segment(make_volume())
    result.save(tmp_path / "o.seg.nrrd")
    assert (tmp_path / "o.seg.nrrd").stat().st_size > 100
