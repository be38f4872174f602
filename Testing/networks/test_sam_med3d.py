"""SAM-Med3D's encoder: its tensors, its values against the authors', and features of a converted checkpoint."""

import argparse
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.volumes import make_volume
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.importers.import_sam_med3d import import_sam_med3d
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import NetworkSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.networks.registry import parameter_shapes
from LiverMRISegLib.networks.sam_med3d import SamMed3DEncoder, _Attention, _in_windows
from LiverMRISegLib.one_label.features import SamMed3DFeatures, encode, load_encoder
from LiverMRISegLib.volume import reorient

SMALL = {"in_channels": 1, "out_channels": 6, "size": 16, "patch": 4, "width": 8, "depth": 3, "heads": 2, "window": 3,
         "global_blocks": [1]}  # fmt: skip


def filled(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module.eval()


def test_shapes_are_known_without_building():
    with torch.device("meta"):
        state = build_network("sam-med3d-encoder", in_channels=1, out_channels=384).state_dict()
    kwargs = {"in_channels": 1, "out_channels": 384}
    assert {k: tuple(t.shape) for k, t in state.items()} == parameter_shapes("sam-med3d-encoder", kwargs)
    assert state["blocks.0.attn.rel_pos_d"].shape == (27, 64)
    assert state["blocks.2.attn.rel_pos_d"].shape == (15, 64)
    small = build_network("sam-med3d-encoder", **SMALL).state_dict()
    assert {k: tuple(t.shape) for k, t in small.items()} == parameter_shapes("sam-med3d-encoder", SMALL)


# What the authors' own class gave in float64: depth, global blocks, every 37th value of the flat output, its mean.
AUTHORS = {
    "windowed": (
        1,
        [],
        [
            -0.518713556,
            -0.576715186,
            -0.194629941,
            -0.190242663,
            -0.129083866,
            0.122777729,
            0.082092677,
            0.193035433,
            0.209517856,
            0.318042454,
            0.214765049,
            0.133459694,
            0.130084784,
            0.240554348,
        ],
        0.02273195318258116,
    ),
    "global": (
        1,
        [0],
        [
            -0.519372941,
            -0.57700872,
            -0.194642862,
            -0.190015992,
            -0.129505311,
            0.122618083,
            0.080103063,
            0.192858505,
            0.209448901,
            0.319805292,
            0.213293539,
            0.133479496,
            0.130105106,
            0.240168418,
        ],
        0.02228915338154923,
    ),
    "both": (
        2,
        [1],
        [
            -0.243089007,
            -0.310270403,
            0.379390824,
            0.468572294,
            0.228395568,
            0.125736951,
            0.383159282,
            0.226346978,
            0.219302029,
            0.099412611,
            -0.065056844,
            0.047171103,
            -0.094562031,
            -0.677111091,
        ],
        0.06032545128138712,
    ),
}


def test_attention_is_the_authors_formula():
    """The terms of relative position go to the axes that the authors' indices give them, not each to its own."""
    attention, x = filled(_Attention(8, 2, 3)), torch.randn(1, 3, 3, 3, 8, generator=torch.Generator().manual_seed(1))
    places = [(d, h, w) for d in range(3) for h in range(3) for w in range(3)]
    q, k, v = (part.reshape(27, 2, 4) for part in attention.qkv(x).reshape(27, 24).split(8, dim=1))
    expected, (deep, high, wide) = torch.zeros(27, 8), (attention.rel_pos_d, attention.rel_pos_h, attention.rel_pos_w)
    for head in range(2):
        cube = q[:, head].reshape(3, 3, 3, 4)
        scores = torch.zeros(27, 27)
        for i, (d, h, w) in enumerate(places):
            for j, (e, g, u) in enumerate(places):
                offset = (
                    cube[d, h, w] @ deep[d - u + 2] + cube[d, h, e] @ high[h - u + 2] + cube[d, h, g] @ wide[g - u + 2]
                )
                scores[i, j] = q[i, head] @ k[j, head] / 2 + offset
        expected[:, 4 * head : 4 * head + 4] = scores.softmax(1) @ v[:, head]
    assert torch.allclose(attention(x)[0].reshape(27, 8), attention.proj(expected), atol=1e-5)


@pytest.mark.parametrize("name", AUTHORS)
def test_the_encoder_gives_the_authors_values(name):
    depth, global_blocks, probe, mean = AUTHORS[name]
    network = SamMed3DEncoder(
        size=64, patch=16, width=24, depth=depth, heads=2, out_channels=8, window=14, global_blocks=global_blocks
    )
    state = network.double().eval().state_dict()
    for i, key in enumerate(sorted(state)):
        values = 0.3 * torch.cos(0.61 * torch.arange(state[key].numel(), dtype=torch.float64) + 0.5 * i + 0.3)
        state[key] = values.reshape(state[key].shape)
    network.load_state_dict(state)
    n = torch.arange(64**3, dtype=torch.float64)
    with torch.no_grad():
        found = network((torch.sin(0.013 * n) + 0.3 * torch.cos(0.7 * n)).reshape(1, 1, 64, 64, 64))
    assert found.shape == (1, 8, 4, 4, 4)
    assert found.flatten()[::37][:14].tolist() == pytest.approx(probe, abs=1e-7)
    assert found.mean().item() == pytest.approx(mean, abs=1e-12)


def test_windows_are_padded_with_zeros_at_the_end():
    x = torch.randn(1, 4, 4, 4, 8, generator=torch.Generator().manual_seed(2))
    attention = filled(_Attention(8, 2, 3))
    found = _in_windows(attention, x, 3)
    padded = torch.zeros(1, 6, 6, 6, 8)
    padded[:, :4, :4, :4] = x
    assert torch.allclose(found[:, :3, :3, :3], attention(padded[:, :3, :3, :3]), atol=1e-6)
    assert torch.allclose(found[:, 3:, 3:, 3:], attention(padded[:, 3:, 3:, 3:])[:, :1, :1, :1], atol=1e-6)


def test_only_cubes_of_its_size_are_taken():
    network = filled(build_network("sam-med3d-encoder", **SMALL))
    assert network(torch.zeros(2, 1, 16, 16, 16)).shape == (2, 6, 4, 4, 4)
    with pytest.raises(UsageError, match="cubes of 16 voxels"):
        network(torch.zeros(1, 1, 16, 16, 8))
    with pytest.raises(UsageError, match="must divide"):
        build_network("sam-med3d-encoder", **{**SMALL, "patch": 5})


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A file of the form of sam_med3d_turbo.pth, with random weights, as a package."""
    folder = tmp_path_factory.mktemp("sam")
    network = filled(build_network("sam-med3d-encoder", in_channels=1, out_channels=384))
    state = {f"image_encoder.{k}": t.half() for k, t in network.state_dict().items()}
    document = {
        "model_state_dict": {**state, "mask_decoder.bias": torch.zeros(3)},
        "args": argparse.Namespace(task_name="union_train", lr=8e-4, gpu_ids=[0, 1]),  # as the authors' train.py saves
    }
    torch.save(document, folder / "sam_med3d_turbo.pth")
    return import_sam_med3d(folder / "sam_med3d_turbo.pth", "sam", folder)


def test_a_checkpoint_becomes_an_encoder(converted, tmp_path):
    package = ModelPackage.load(converted)
    package.verify()
    assert package.spec.preparation.spacing == (1.5, 1.5, 1.5)
    assert isinstance(load_encoder(package), SamMed3DFeatures)
    with pytest.raises(ModelError, match="segments nothing"):
        Segmenter.load(converted, "cpu")
    torch.save({"state": {}}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="model_state_dict"):
        import_sam_med3d(tmp_path / "other.pth", "other", tmp_path)


def test_large_volumes_are_tiled_and_keep_their_orientation(converted, tmp_path):
    spec = ModelPackage.load(converted).spec
    network = filled(build_network("sam-med3d-encoder", **SMALL))
    preparation = replace(spec.preparation, spacing=(4.0, 2.0, 2.0))
    made = replace(spec, network=NetworkSpec("sam-med3d-encoder", SMALL), preparation=preparation)
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    encoder = load_encoder(ModelPackage.load(save_package(made, weights, tmp_path / "small")))
    volume = make_volume(size=(44, 20, 9), spacing=(2.0, 2.0, 4.0))
    found = encode(volume, encoder).array
    assert found.shape == (6, 2, 5, 11)
    assert np.isfinite(found).all()
    assert np.allclose(encode(reorient(volume, "ASL"), encoder).array, found, atol=1e-5)
