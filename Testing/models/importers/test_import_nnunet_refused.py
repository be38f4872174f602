"""What of nnU-Net v2 cannot be run the same way is refused in words, and checkpoints run no code."""

import os
import re

import pytest
import torch

import nnunet_folder as made
from helpers.nnunet_models import network, plan, write
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model

CONFIGURATION = [
    ({"previous_stage": "3d_lowres"}, "second stage of a cascade"),
    ({"patch_size": [16, 16]}, r"slice by slice \(2d\)"),
    ({"preprocessor_name": "MyPreprocessor"}, "prepared by MyPreprocessor"),
    ({"normalization_schemes": ["RGBTo01Normalization"]}, "normalised by RGBTo01Normalization"),
    ({"resampling_fn_data": "resample_torch_fornnunet"}, "resampled by resample_torch_fornnunet"),
    ({"resampling_fn_probabilities_kwargs": {**made.OPTIONS, "order": 3}}, "probabilities are resampled with"),
    ({"resampling_fn_data_kwargs": {**made.OPTIONS, "order": 3, "force_separate_z": True}}, "data are resampled with"),
    ({"spacing": [1.0, 2.0]}, r"plans\.json: was not written by nnU-Net, or was changed"),
]


@pytest.mark.parametrize(("changes", "words"), CONFIGURATION)
def test_configurations_that_are_refused(changes, words, tmp_path):
    folder = write(tmp_path, plans=plan(**changes))
    with pytest.raises(ModelError, match=words) as caught:
        import_nnunet_model(folder, "x", tmp_path)
    assert str(folder / "plans.json") in str(caught.value)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("conv_op", "torch.nn.modules.conv.Conv2d", "conv_op"),
        ("norm_op", "torch.nn.BatchNorm3d", "norm_op"),
        ("nonlin_kwargs", {"negative_slope": 0.2}, "nonlin_kwargs"),
        ("conv_bias", False, "conv_bias"),
        ("n_conv_per_stage_decoder", [1, 1], "decoder"),
        ("squeeze_excitation", True, "squeeze_excitation"),
        ("strides", [[2, 2, 2]] * 3, "the first"),
    ],
)
def test_networks_that_are_refused(key, value, words, tmp_path):
    plans = plan()
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][key] = value
    with pytest.raises(ModelError, match=words):
        import_nnunet_model(write(tmp_path, plans=plans), "x", tmp_path)


def test_an_unknown_class_of_network(tmp_path):
    plans = plan()
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "somewhere.Primus"
    with pytest.raises(ModelError, match=r"its network is somewhere\.Primus; known are PlainConvUNet"):
        import_nnunet_model(write(tmp_path, plans=plans), "x", tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "part": 2}}, "'whole' is a region"),
        ({"labels": {"background": 0, "a": 1, "b": 3}}, "without a gap"),
        ({"labels": {"background": 0, **{f"s{n}": n for n in range(1, 300)}}}, "at most 255"),
        ({"channel_names": {"0": "T1", "2": "T2"}}, "channels must be numbered 0, 1"),
        ({"labels": "none"}, r"dataset\.json: was not written by nnU-Net"),
    ],
)
def test_data_sets_that_are_refused(changes, words, tmp_path):
    folder = write(tmp_path, data=changes)
    with pytest.raises(ModelError, match=words) as caught:
        import_nnunet_model(folder, "x", tmp_path)
    assert str(folder / "dataset.json") in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label_manager": "MyLabels"}, "made by MyLabels"),
        ({"image_reader_writer": "NaturalImage2DIO"}, "read by NaturalImage2DIO"),
        ({"transpose_backward": [2, 1, 0]}, "does not undo"),
        ({"configurations": {"2d": {}}}, "has no configuration '3d_fullres'; it has: 2d"),
        ({"configurations": {"3d_fullres": {"inherits_from": "a"}, "a": {"inherits_from": "3d_fullres"}}}, "circle"),
    ],
)
def test_plans_that_are_refused(changes, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        import_nnunet_model(write(tmp_path, plans={**plan(), **changes}), "x", tmp_path)


def test_what_is_no_such_folder(tmp_path):
    with pytest.raises(ModelError, match=r"plans\.json: no such file; give the folder"):
        import_nnunet_model(tmp_path, "x", tmp_path)
    checkpoint = tmp_path / "checkpoint_final.pth"
    checkpoint.write_bytes(b"")
    with pytest.raises(ModelError, match=r"plans\.json: no such file; give the folder"):
        import_nnunet_model(checkpoint, "x", tmp_path)
    folder = write(tmp_path)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(ModelError, match=r"dataset\.json: cannot be read"):
        import_nnunet_model(folder, "x", tmp_path)
    (folder / "dataset.json").write_text("[]")
    with pytest.raises(ModelError, match=r"dataset\.json: does not contain a JSON object"):
        import_nnunet_model(folder, "x", tmp_path)


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_checkpoints_that_are_refused(tmp_path):
    folder = write(tmp_path, more={"more": Trap(tmp_path / "sprung")})
    with pytest.raises(ModelError, match=r"checkpoint_final\.pth: contains more than tensors"):
        import_nnunet_model(folder, "x", tmp_path)
    assert not (tmp_path / "sprung").exists()
    torch.save({"state": 1}, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelError, match="contains no 'network_weights'"):
        import_nnunet_model(folder, "x", tmp_path)
    less = {key: tensor for key, tensor in network().state_dict().items() if "transpconvs.0" not in key}
    torch.save(made.checkpoint(less), folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(
        ModelError, match=rf"^{re.escape(str(folder))}: .*transpconvs\.0\.\w+' of plain-unet is missing"
    ):
        import_nnunet_model(folder, "x", tmp_path)
