"""A GPU whose memory is full: the fallback is walked down rung by rung, and the result tells it."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import LIVER, SPLEEN, LabelSet
from LiverMRISegLib.errors import DeviceMemoryError
from LiverMRISegLib.inference.memory_fallback import MemoryFallback
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import NNUNET, NetworkSpec


class SmallGpu:
    """An engine whose memory holds `holds` tiles of a given model at once; "cpu" holds any."""

    def __init__(self, package, device="cuda:0", holds=0):
        self.package, self.device, self.holds = package, device, holds
        self.batch = 1 if device == "cpu" else 4
        self.name = f"small {device}"

    def predict(self, batch):
        if self.device != "cpu" and len(batch) > self.holds:
            raise DeviceMemoryError(f"the memory of {self.device} is full")
        classes = int(self.package.spec.network.kwargs["out_channels"])
        return np.zeros((len(batch), classes, *batch.shape[2:]), np.float32)


class BrightIsLiver(SmallGpu):
    """Calls the brightest voxels channel 1."""

    def predict(self, batch):
        logits = super().predict(batch)
        logits[:, 1] = batch[:, 0] - 2
        return logits


def saved(folder, name, **network):
    spec = tiny_spec(name)
    kwargs = {**spec.network.kwargs, **network}
    spec = replace(spec, network=NetworkSpec(spec.network.name, kwargs))
    return ModelPackage.load(save_package(spec, random_weights(spec), folder / name))


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def segmenter(package, holds, **by_name):
    made = Segmenter(package, SmallGpu(package, holds=holds))
    made._fallback = MemoryFallback(
        package, made.engine, lambda p, device: SmallGpu(p, device, by_name.get(p.spec.name, 0))
    )
    return made


def test_one_tile_at_a_time(models):
    package = saved(models, "tiny")
    made = segmenter(package, holds=1)
    result = made.segment(make_volume(size=(40, 40, 30)))
    assert result.flags[0] == "the memory of cuda:0 was full: computed one tile at a time"
    assert (made.engine.batch, made.engine.device) == (1, "cuda:0")
    again = made.segment(make_volume())
    assert again.flags[0] == result.flags[0]


def test_a_smaller_model_comes_before_the_cpu(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "small")
    made = segmenter(large, holds=0, small=1)
    result = made.segment(make_volume(size=(40, 40, 30)))
    assert "used the smaller model small" in result.flags[1]
    assert result.provenance["model"] == "small"


def test_a_damaged_model_beside_it_does_not_block_the_way(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "small")
    saved(models, "broken")
    (models / "broken" / "model.json").write_text("{}")
    result = segmenter(large, holds=0, small=1).segment(make_volume(size=(40, 40, 30)))
    assert result.provenance["model"] == "small"


def test_the_cpu_with_the_model_that_was_asked_for(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "small")
    result = segmenter(large, holds=0).segment(make_volume())
    assert "the memory of cuda:0 was full: computed large on the CPU" in result.flags
    assert result.provenance["model"] == "large"
    assert result.provenance["engine"] == "small cpu"


def test_nothing_below_the_cpu(models):
    package = saved(models, "tiny")
    fallback = MemoryFallback(package, SmallGpu(package, "cpu"))
    with pytest.raises(DeviceMemoryError, match="full"):
        fallback.descend(DeviceMemoryError("the memory is full"))


def test_torch_running_out_of_memory_is_named(tiny_package, monkeypatch):
    torch = pytest.importorskip("torch")
    from LiverMRISegLib.inference.engines.torch_engine import TorchEngine

    engine = TorchEngine(ModelPackage.load(tiny_package), "cpu")

    def full(_images):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    monkeypatch.setattr(engine, "_networks", [full])
    with pytest.raises(DeviceMemoryError, match="memory of cpu is full: CUDA out of memory"):
        engine.predict(np.zeros((1, 1, 16, 16, 16), np.float32))


def test_nnunets_models_are_not_replaced_by_others(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "small")
    spec = large.spec
    foreign = replace(large, spec=replace(spec, preparation=replace(spec.preparation, scheme=NNUNET)))
    result = segmenter(foreign, holds=0, small=1).segment(make_volume())
    assert "the memory of cuda:0 was full: computed large on the CPU" in result.flags


def test_a_smaller_model_that_numbers_organs_in_another_way(models):
    large = saved(models, "large", widths=[8] * 6)
    labels = LabelSet("mine", {1: SPLEEN, 3: LIVER})
    spec = replace(large.spec, labels=labels, postprocessing={})
    saved(models, "small")
    made = segmenter(replace(large, spec=spec), holds=0, small=1)
    made._fallback._make = lambda p, device: BrightIsLiver(p, device, 1)
    volume = make_volume(size=(40, 40, 30))
    volume.array[10:20, 10:30, 10:30] += 2000
    result = made.segment(volume)
    assert result.provenance["model"] == "small"
    assert result.labels == labels
    assert set(np.unique(result.labelmap)) == {0, 3}
    assert set(result.volumes_ml) == {"liver", "spleen"}
    assert made.organs == ["spleen", "liver"]


def test_only_models_that_can_be_mirrored_alike_stand_in(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "small")
    spec = replace(large.spec, inference=replace(large.spec.inference, mirror_axes=(2,)))
    result = segmenter(replace(large, spec=spec), holds=0, small=1).segment(make_volume(), tta=True)
    assert result.provenance["model"] == "large"
    assert result.provenance["engine"] == "small cpu"


def test_a_smaller_model_whose_weights_are_damaged_is_passed_over(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "small")
    saved(models, "middle", widths=[6] * 6)
    (models / "middle" / "weights.safetensors").write_bytes(b"damaged")
    result = segmenter(large, holds=0, small=1).segment(make_volume())
    assert result.provenance["model"] == "small"


def test_a_model_of_a_network_that_is_not_known_here_is_passed_over(models):
    large = saved(models, "large", widths=[8] * 6)
    saved(models, "newer", widths=[6] * 6)
    file = models / "newer" / "model.json"
    file.write_text(file.read_text().replace('"name": "stunet"', '"name": "stunet-of-tomorrow"'))
    saved(models, "small")
    result = segmenter(large, holds=0, small=1).segment(make_volume())
    assert result.provenance["model"] == "small"


def test_no_room_even_for_the_network(models):
    package = saved(models, "tiny")

    def make(made_of, device):
        if device != "cpu":
            raise DeviceMemoryError(f"the memory of {device} is full")
        return SmallGpu(made_of, device)

    fallback = MemoryFallback.load(package, "cuda", make)
    assert fallback.engine.device == "cpu"
    assert fallback.taken == ["the memory of the GPU was full: computed tiny on the CPU"]
    large = saved(models, "large", widths=[8] * 6)
    fallback = MemoryFallback(large, SmallGpu(large), make)
    for _ in range(2):
        fallback.descend(DeviceMemoryError("full"))
    assert fallback.engine.device == "cpu"
    assert fallback.package.spec.name == "large"


@pytest.mark.parametrize(("words", "kind"), [
    ("CUDA error: out of memory", DeviceMemoryError), ("Tried to allocate 20 MiB", DeviceMemoryError),
    ("CUDA error: no kernel image is available", RuntimeError),
])  # fmt: skip
def test_torch_running_out_of_memory_while_it_loads_is_named(tiny_package, monkeypatch, words, kind):
    torch = pytest.importorskip("torch")
    from LiverMRISegLib.inference.engines import torch_engine

    def full(*_, **__):
        raise (torch.OutOfMemoryError if words.startswith("Tried") else RuntimeError)(words)

    monkeypatch.setattr(torch_engine, "built_member", full)
    with pytest.raises(kind, match="memory of cpu is full" if kind is DeviceMemoryError else words):
        torch_engine.TorchEngine(ModelPackage.load(tiny_package), "cpu")
