"""SAM-Med3D's encoder: its tensors, its attention against the plain formula, and features of a converted checkpoint."""

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
from LiverMRISegLib.networks.sam_med3d import _Attention, _in_windows
from LiverMRISegLib.networks.shapes import parameter_shapes
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


def test_attention_is_the_plain_formula():
    attention, x = filled(_Attention(8, 2, 3)), torch.randn(1, 3, 3, 3, 8, generator=torch.Generator().manual_seed(1))
    places = [(d, h, w) for d in range(3) for h in range(3) for w in range(3)]
    q, k, v = (part.reshape(27, 2, 4) for part in attention.qkv(x).reshape(27, 24).split(8, dim=1))
    expected, tables = torch.zeros(27, 8), (attention.rel_pos_d, attention.rel_pos_h, attention.rel_pos_w)
    for head in range(2):
        scores = torch.zeros(27, 27)
        for i, (d, h, w) in enumerate(places):
            for j, (e, g, u) in enumerate(places):
                offset = tables[0][d - e + 2] + tables[1][h - g + 2] + tables[2][w - u + 2]
                scores[i, j] = q[i, head] @ k[j, head] / 2 + q[i, head] @ offset
        expected[:, 4 * head : 4 * head + 4] = scores.softmax(1) @ v[:, head]
    assert torch.allclose(attention(x)[0].reshape(27, 8), attention.proj(expected), atol=1e-5)


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
    torch.save({"model_state_dict": {**state, "mask_decoder.bias": torch.zeros(3)}}, folder / "sam_med3d_turbo.pth")
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
