"""What STU-Net's trainers fine-tuned in nnU-Net v1: pickles of plain data are read, others are refused, not run."""

import json
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from helpers.volumes import make_volume
from LiverMRISegLib.cli import main
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.models.importers.plain_pickle import read_plain_pickle
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.preparation.scheme import prepare_by_scheme

STRIDES = [[2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
NAME = "model_final_checkpoint.model"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    strides = [*STRIDES, [1, 1, 1]]
    return build_network("stunet-s", in_channels=1, out_channels=3, strides=strides).state_dict()


def plans(**changes):
    """As nnU-Net v1's planner makes them for one MR image a case."""
    stage = {
        "batch_size": 2, "num_pool_per_axis": [3, 4, 4], "patch_size": np.array([64, 128, 128]),
        "current_spacing": np.array([2.5, 1.25, 1.25]), "do_dummy_2D_data_aug": False,
        "pool_op_kernel_sizes": STRIDES, "conv_kernel_sizes": [[3, 3, 3]] * 5,
    }  # fmt: skip
    return {
        "num_modalities": 1, "num_classes": 2, "all_classes": np.array([1, 2]), "plans_per_stage": {0: stage},
        "normalization_schemes": OrderedDict({0: "nonCT"}), "use_mask_for_norm": OrderedDict({0: False}),
        "dataset_properties": {"intensityproperties": None, "all_sizes": [np.array([20, 256, 256])]},
        "keep_only_largest_region": {(1,): True}, "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "preprocessor_name": "GenericPreprocessor", "preprocessed_data_folder": "preprocessed/Task501_ATLAS", **changes,
    }  # fmt: skip


def write(folder, state, trainer="STUNetTrainer_small_ft", protocol=4, **changes):
    made = plans(**changes)
    (folder / "fold_0").mkdir(parents=True)
    arguments = ("plans.pkl", 0, "out", "data", True, 0, True, True, True)
    info = OrderedDict(init=arguments, name=trainer, plans=made)
    info["class"] = f"<class '{trainer}'>"
    torch.save({"epoch": 1000, "state_dict": state}, folder / "fold_0" / NAME)
    (folder / "fold_0" / f"{NAME}.pkl").write_bytes(pickle.dumps(info, protocol))
    (folder / "plans.pkl").write_bytes(pickle.dumps(made, protocol))
    dataset = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "liver", "2": "tumour"}}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_fold_becomes_a_package(tmp_path, state, protocol):
    source = write(tmp_path / "trained", state, protocol=protocol)
    package = ModelPackage.load(import_nnunet_model(source, "atlas", tmp_path / "models"))
    package.verify()
    spec = package.spec
    assert (spec.network.name, spec.network.kwargs["out_channels"]) == ("stunet-s", 3)
    assert [list(stride) for stride in spec.network.kwargs["strides"]] == [*STRIDES, [1, 1, 1]]
    assert [organ.name for organ in spec.labels.organs] == ["liver", "tumour"]
    assert (spec.preparation.spacing, spec.preparation.image_order) == ((2.5, 1.25, 1.25), 3)
    assert (spec.preparation.normalisation, spec.preparation.resample_first) == ("z-score", True)
    assert (spec.inference.patch, spec.inference.mirror_axes) == ((64, 128, 128), (0, 1, 2))
    assert spec.modality == "MR"
    assert spec.provenance[0]["dataset"] == "Task501_ATLAS"
    assert torch.equal(torch.from_numpy(package.weights["seg_outputs.4.bias"]), state["seg_outputs.4.bias"])


@pytest.mark.parametrize("masked", [False, True])
def test_images_are_resampled_before_they_are_normalised(tmp_path, state, masked):
    """So that mean and deviation are those of the prepared image: of all, or of what is inside the mask."""
    source = write(tmp_path / "trained", state, use_mask_for_norm={0: masked})
    spec = ModelPackage.load(import_nnunet_model(source, "atlas", tmp_path / "models")).spec
    volume = make_volume(seed=3)
    if masked:
        volume.array[:, :, :8] = 0
        volume.array[2:, :4, 8:14] = 0
    image = prepare_by_scheme(volume, spec.preparation).image
    inside = image[image != 0] if masked else image
    assert inside.mean() == pytest.approx(0, abs=1e-4)
    assert inside.std() == pytest.approx(1, abs=1e-3)


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_pickle_is_not_run(tmp_path, state, capsys):
    source = write(tmp_path / "trained", state, preprocessor_name=Trap(tmp_path / "sprung"))
    assert main(["models", "import", "nnunet", str(source), "x"]) == 4
    words = capsys.readouterr().err
    assert f"{NAME}.pkl: contains posix.mkdir, which could run code, and was not read" in words or "nt.mkdir" in words
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content",
    [np.array([{}], object), np.datetime64(0, "s"), np.zeros(2, [("a", "f4")]), {1, 2}, np.ma.masked_array([1])],
    ids=["objects", "a time", "records", "a set", "a masked array"],
)
def test_other_content_is_refused(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ModelError, match=r"a\.pkl: (contains .*, which could run code|is damaged or no pickle)"):
        read_plain_pickle(tmp_path / "a.pkl")


def test_plain_content_comes_as_pythons_own(tmp_path):
    content = {"a": np.float32(1.5), "b": (np.arange(6).reshape(2, 3).T, [True, None, b"x"]), 3: np.array([">f8"])}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    found = read_plain_pickle(tmp_path / "a.pkl")
    assert found == {"a": 1.5, "b": ([[0, 3], [1, 4], [2, 5]], [True, None, b"x"]), 3: [">f8"]}
    assert type(found["a"]) is float
    for damaged in (b"", b"text", pickle.dumps(content)[:-9]):
        (tmp_path / "a.pkl").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"a\.pkl: is damaged or no pickle"):
            read_plain_pickle(tmp_path / "a.pkl")


REFUSED = [
    ({"trainer": "nnUNetTrainerV2"}, r"its trainer is nnUNetTrainerV2; of nnU-Net v1 only models of STU-Net's"),
    ({"normalization_schemes": {0: "CT2"}}, "its images are normalised by CT2; supported are CT, nonCT, noNorm"),
    ({"preprocessor_name": "Odd"}, "its images are prepared by Odd; supported are GenericPreprocessor"),
    ({"plans_per_stage": {}}, "was not written by nnU-Net"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_what_is_not_supported_is_said(tmp_path, state, changes, words):
    source = write(tmp_path / "trained", state, **changes)
    with pytest.raises(ModelError, match=words) as caught:
        import_nnunet_model(source, "x", tmp_path)
    assert f"{NAME}.pkl" in str(caught.value)


def test_the_names_of_the_labels_are_asked_for(tmp_path, state):
    source = write(tmp_path / "trained", state)
    (source / "dataset.json").unlink()
    with pytest.raises(ModelError, match=r"dataset\.json: no such file; .* copy dataset\.json of the task there"):
        import_nnunet_model(source, "x", tmp_path)
