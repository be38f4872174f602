"""First weights: from packages and the authors' checkpoints, all but the heads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.packages import TINY_KWARGS, random_weights, tiny_spec
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.models.package.model_package import ModelPackage, member_prefix, save_package
from LiverMRISegLib.models.package.specification import NetworkSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.initial_weights import load_start, title_of, warn_of_other_images
from LiverMRISegLib.training.stages.config import StageConfig
from LiverMRISegLib.training.stages.data_config import DataConfig


def tiny(**changes):
    torch.manual_seed(0)
    return build_network("stunet", **{**TINY_KWARGS, **changes})


def test_a_packages_body_is_taken_and_the_heads_stay(tiny_package):
    network = tiny(out_channels=3, strides=[[1, 2, 2]] * 5)
    heads = {n: t.clone() for n, t in network.state_dict().items() if n.startswith("seg_outputs.")}
    load_start(network, str(tiny_package))
    expected = random_weights(tiny_spec())
    for name, tensor in network.state_dict().items():
        wanted = heads[name] if name in heads else torch.from_numpy(expected[name].astype(np.float32))
        assert torch.equal(tensor, wanted), name


def test_kept_heads_are_those_of_the_organs_asked_for(tiny_package):
    network = tiny(out_channels=3)
    load_start(network, str(tiny_package), ["spleen", "liver"])
    head = random_weights(tiny_spec())["seg_outputs.4.weight"].astype(np.float32)
    assert np.array_equal(network.state_dict()["seg_outputs.4.weight"].numpy(), head[[0, 4, 1]])


def test_an_organ_that_the_start_does_not_have_keeps_its_row(tiny_package, caplog):
    network = tiny(out_channels=3)
    own = network.state_dict()["seg_outputs.4.weight"].clone().numpy()
    with caplog.at_level("INFO", logger="LiverMRISegLib.training.initial_weights"):
        load_start(network, str(tiny_package), ["pancreas", "liver"])
    head = random_weights(tiny_spec())["seg_outputs.4.weight"].astype(np.float32)
    taken = network.state_dict()["seg_outputs.4.weight"].numpy()
    assert np.array_equal(taken[[0, 2]], head[[0, 1]])
    assert np.array_equal(taken[1], own[1])
    assert "has no pancreas" in caplog.text
    with pytest.raises(UsageError, match="has none of: pancreas"):
        load_start(network, str(tiny_package), ["pancreas"])


def test_another_size_is_refused(tiny_package):
    with pytest.raises(ModelError, match=r"same network size\?"):
        load_start(tiny(widths=[4, 4, 4, 4, 4, 6]), str(tiny_package))


def test_a_start_of_more_blocks_or_levels_is_refused(tmp_path):
    """What is left of a network without some of its blocks computes nothing that it has learnt."""
    deep = replace(tiny_spec(), network=NetworkSpec("stunet", {**TINY_KWARGS, "blocks": 2}))
    save_package(deep, random_weights(deep), tmp_path / "deep")
    network = tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ModelError, match=r"has 'conv_blocks_context\.0\.1\..*same number of levels and blocks\?"):
        load_start(network, str(tmp_path / "deep"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    load_start(tiny(blocks=2), str(tmp_path / "deep"))


def test_a_wider_network_begins_by_computing_the_same(tiny_package, caplog):
    organs = [organ.name for organ in tiny_spec().labels.organs]
    narrow, wide = tiny(), tiny(widths=[8, 8, 12, 8, 4, 4])
    load_start(narrow, str(tiny_package), organs)
    with caplog.at_level("INFO", logger="LiverMRISegLib.training.initial_weights"):
        load_start(wide, str(tiny_package), organs)
    assert "is narrower: its channels are repeated" in caplog.text
    image = torch.randn(1, 1, 32, 64, 64, generator=torch.Generator().manual_seed(3))
    narrow.eval()
    wide.eval()
    with torch.no_grad():
        expected = narrow(image)
        assert torch.allclose(wide(image), expected, atol=1e-3 * float(expected.abs().max()))
    weight = wide.state_dict()["conv_blocks_context.1.0.conv1.weight"]
    assert not torch.allclose(weight[:, 0], weight[:, 1]), "copies with equal weights would learn the same"


def test_only_a_stu_net_begins_from_a_narrower_network(tmp_path):
    """The input channels of transposed convolutions stand first: repeated like others they would compute anything."""
    kwargs = {"in_channels": 1, "out_channels": 5, "strides": [[1, 1, 1], [1, 2, 2]], "blocks": [1, 1]}
    narrow = NetworkSpec("plain-unet", {**kwargs, "features": [4, 8]})
    spec = replace(tiny_spec(), network=narrow)
    save_package(spec, random_weights(spec), tmp_path / "plain")
    load_start(build_network("plain-unet", deep_supervision=True, **narrow.kwargs), str(tmp_path / "plain"))
    wide = build_network("plain-unet", deep_supervision=True, **{**kwargs, "features": [8, 16]})
    before = {name: tensor.clone() for name, tensor in wide.state_dict().items()}
    with pytest.raises(ModelError, match="only a STU-Net"):
        load_start(wide, str(tmp_path / "plain"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in wide.state_dict().items())


def test_a_network_may_be_that_of_its_start(tiny_package):
    config = StageConfig(network="start", start=str(tiny_package), data=DataConfig(organs=("liver", "spleen")))
    own, other = ModelPackage.load(tiny_package).spec.network, config.network_spec(members=2)
    assert other.name == own.name
    assert other.kwargs == {**own.kwargs, "out_channels": 3}
    assert other.members == 2
    for start in ("", "somewhere.pth"):
        with pytest.raises(UsageError, match="needs a model package to start from"):
            StageConfig(network="start", start=start).network_spec()


def test_the_authors_checkpoint_is_a_start(tmp_path):
    kwargs = {"in_channels": 1, "out_channels": 105, "strides": TINY_KWARGS["strides"]}
    torch.manual_seed(1)
    released = build_network("stunet-s", **kwargs)
    torch.save({"state_dict": {f"module.{n}": t for n, t in released.state_dict().items()}}, tmp_path / "small.model")
    network = build_network("stunet-s", **{**kwargs, "out_channels": 2})
    load_start(network, str(tmp_path / "small.model"))
    own, theirs = network.state_dict(), released.state_dict()
    assert sum(torch.equal(own[n], theirs[n]) for n in own if not n.startswith("seg_outputs.")) == 120
    load_start(network, str(tmp_path / "small.model"), ["liver"])
    assert torch.equal(network.state_dict()["seg_outputs.4.bias"], theirs["seg_outputs.4.bias"][[0, 40]])


def test_what_a_package_tells_of_its_start(tiny_package):
    spec = tiny_spec()
    assert title_of(str(tiny_package)) == f"{spec.name} {spec.version}"
    assert title_of("folder/small_ep4k.model") == "small_ep4k.model"
    assert title_of("") == "random weights"


def test_images_that_the_start_does_not_know_are_told(tiny_package, caplog):
    spec = ModelPackage.load(tiny_package).spec
    own, patch = spec.preparation, spec.inference.patch
    warn_of_other_images(str(tiny_package), own, patch)
    warn_of_other_images("stunet.model", own, patch)
    assert not caplog.records
    warn_of_other_images(str(tiny_package), replace(own, antialias=True, spacing=(3.0, 3.0, 3.0)), patch)
    assert "prepares images differently from this training (spacing, antialias)" in caplog.text
    assert "patches" not in caplog.text


def test_patches_far_smaller_than_those_of_the_start_are_told(tiny_package, caplog):
    spec = ModelPackage.load(tiny_package).spec  # 16 x 24 x 24
    warn_of_other_images(str(tiny_package), spec.preparation, (16, 16, 16))
    assert not caplog.records
    warn_of_other_images(str(tiny_package), spec.preparation, (8, 12, 12))
    assert "learnt from patches of 16 x 24 x 24 voxels; in those of 8 x 12 x 12 it may find nothing" in caplog.text


def test_packages_of_several_networks_are_no_start(tmp_path):
    spec = tiny_spec()
    pair = replace(spec, network=replace(spec.network, members=2))
    weights = {member_prefix(m) + n: a for m in (0, 1) for n, a in random_weights(spec).items()}
    save_package(pair, weights, tmp_path / "pair")
    with pytest.raises(ModelError, match="contains 2 networks"):
        load_start(tiny(), str(tmp_path / "pair"))


def test_a_size_of_stu_net_has_widths_of_its_own():
    config = StageConfig(network="stunet-xxs", widths=(4, 4, 8, 8, 8, 8))
    with pytest.raises(UsageError, match="network stunet-xxs has widths of its own; omit widths"):
        config.network_spec()
