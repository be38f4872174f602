"""nnU-Net's models of several images a case become packages that say which, and compute the same."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import nnunet_folder as made
from helpers.packages import random_weights, tiny_spec
from helpers.volumes import as_rows, oblique_directions
from LiverMRISegLib import cli
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.inference.engines.openvino_engine import OpenVinoEngine
from LiverMRISegLib.inference.engines.torch_engine import TorchEngine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.models.importers.nnunet_plans import modality_of
from LiverMRISegLib.models.package.model_package import ModelPackage, load_spec, save_package
from LiverMRISegLib.models.package.specification import ChannelSpec, PreparationSpec
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig, run
from LiverMRISegLib.volume import Geometry, Volume, reorient

KINDS = ["PlainConvUNet", "ResidualEncoderUNet"]
LABELS = ("liver", "spleen", "Weird thing")
SECOND = made.SECOND_INTENSITY


def imported(folder, kind=KINDS[0], **changes):
    source, network = made.two_images(folder, kind, LABELS, **changes)
    return import_nnunet_model(source, "two", folder / "models"), network


def case(direction=None, shape=(8, 16, 16)) -> list[Volume]:
    """On the network's own grid and of its patch's size: what the network says of it is the result."""
    random = np.random.default_rng(3)
    matrix = np.eye(3) if direction is None else direction
    geometry = Geometry(shape[::-1], (2.0, 2.0, 4.0), (5.0, -3.0, 8.0), as_rows(matrix))
    first, second = (random.uniform(1, 600, shape).astype(np.float32) for _ in range(2))
    first[:, :5] = 0  # there the second is not
    return [Volume(first, geometry, "first"), Volume(second, geometry, "second")]


def expected(images, network, flips=((),)) -> np.ndarray:
    first, second = (image.array.astype(np.float64) for image in images)
    first = (first - first.mean()) / first.std()  # the second is 0 nowhere, so all counts
    second = np.clip(second, SECOND["percentile_00_5"], SECOND["percentile_99_5"]) - SECOND["mean"]
    x = torch.from_numpy(np.stack([first, second / SECOND["std"]]))[None].float()
    with torch.no_grad():
        logits = sum(torch.flip(network(torch.flip(x, axes)), axes) for axes in flips)
    return logits[0].argmax(0).numpy()


@pytest.mark.parametrize("engine", [TorchEngine, OpenVinoEngine])
@pytest.mark.parametrize("kind", KINDS)
def test_the_network_is_the_same(kind, engine, tmp_path):
    path, network = imported(tmp_path, kind)
    package = ModelPackage.load(path)
    package.verify()
    made_by = engine(package) if engine is OpenVinoEngine else engine(package, "cpu")
    first, second = case()
    result = Segmenter(package, made_by).segment(first, further=[second])
    assert np.array_equal(result.labelmap, expected([first, second], network))
    assert len(np.unique(result.labelmap)) > 1
    assert result.source is first


def test_axes_of_space_are_mirrored_and_no_others(tmp_path):
    path, network = imported(tmp_path)
    first, second = case()
    found = Segmenter.load(path, "cpu").segment(first, further=[second], tta=True).labelmap
    flips = ((), (2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4))
    assert np.array_equal(found, expected([first, second], network, flips))


@pytest.mark.parametrize("code", ["LPS", "RAI", "SPL", "ASR"])
def test_both_images_are_taken_as_they_lie(code, tmp_path):
    path, network = imported(tmp_path)
    turned = [reorient(image, code) for image in case(shape=(16, 16, 16))]
    geometry = Geometry((16, 16, 8), (2.0, 2.0, 4.0), (0.0, 0.0, 0.0), turned[0].geometry.direction)
    images = [Volume(np.ascontiguousarray(image.array[:8]), geometry) for image in turned]
    found = Segmenter.load(path, "cpu").segment(images[0], further=images[1:]).labelmap
    assert np.array_equal(found, expected(images, network))


def test_oblique_images_too(tmp_path):
    path, network = imported(tmp_path)
    images = case(oblique_directions()[0])
    result = Segmenter.load(path, "cpu").segment(images[0], further=images[1:])
    assert np.array_equal(result.labelmap, expected(images, network))
    assert result.geometry.is_close(images[0].geometry)


def test_the_order_of_the_images_counts(tmp_path):
    segmenter = Segmenter.load(imported(tmp_path)[0], "cpu")
    first, second = case()
    there, back = (segmenter.segment(a, further=[b]).labelmap for a, b in ((first, second), (second, first)))
    assert not np.array_equal(there, back)
    with pytest.raises(UsageError, match=r"first: the model takes 2 image\(s\) a case \(T1, T2\), 1 given"):
        segmenter.segment(first)


def test_the_package_tells_the_images(tmp_path):
    path, _ = imported(tmp_path)
    spec = load_spec(path)
    intensity = {"low": 35.0, "high": 760.0, "mean": 320.0, "std": 140.0}
    channels = (ChannelSpec("T1", "z-score-nonzero"), ChannelSpec("T2", "ct", intensity))
    assert spec.preparation.channels == spec.preparation.images == channels
    assert (spec.network.kwargs["in_channels"], spec.modality) == (2, "any")
    assert json.loads((path / "model.json").read_text())["preparation"]["channels"] == [
        {"name": "T1", "normalisation": "z-score-nonzero", "intensity": {}},
        {"name": "T2", "normalisation": "ct", "intensity": intensity},
    ]


def test_the_command_tells_what_to_give(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    source, _ = made.two_images(tmp_path, KINDS[0], LABELS)
    assert cli.main(["models", "import", "nnunet", str(source), "two"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["images      CASE_0000 T1, CASE_0001 T2"]
    assert cli.main(["models", "show", "two"]) == 0
    shown = capsys.readouterr().out
    assert "\nimages      CASE_0000 T1, CASE_0001 T2\n" in shown
    assert "\ntrust       none: model two has no weights for it\n" in shown


@pytest.mark.parametrize(("names", "modality"), [
    (["CT"], "CT"), (["MRI"], "MR"), (["T1", "T2"], "any"), (["MR T1", "mr_t2"], "MR"), (["CT", "PET"], "any"),
])  # fmt: skip
def test_the_modality_is_that_of_all_images(names, modality):
    assert modality_of(names) == modality


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_mask_for_norm": [True]}, r"normalises 2 image\(s\) a case"),
        ({"normalization_schemes": ["ZScoreNormalization"]}, r"normalises 1 image\(s\) a case, dataset\.json names 2"),
        ({"normalization_schemes": ["ZScoreNormalization", "Mine"]}, "normalised by Mine"),
    ],
)
def test_plans_that_are_refused(changes, words, tmp_path):
    with pytest.raises(ModelError, match=words) as caught:
        imported(tmp_path, **changes)
    assert "plans.json" in str(caught.value)


def test_weights_of_another_number_of_images_are_refused(tmp_path):
    source, _ = made.two_images(tmp_path, KINDS[0], LABELS)
    alone = made.Design(KINDS[0], [4, 8, 8]).network(len(LABELS) + 1)
    torch.save(made.checkpoint(alone.state_dict()), source / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelError, match="shape"):
        import_nnunet_model(source, "two", tmp_path / "models")


def test_a_package_of_one_image_is_written_as_before(tmp_path):
    spec = tiny_spec()
    path = save_package(spec, random_weights(spec), tmp_path / "one")
    assert "channels" not in json.loads((path / "model.json").read_text())["preparation"]


def test_channels_that_make_no_sense_are_refused(tmp_path):
    two = (ChannelSpec("a"), ChannelSpec("b", "none"))
    with pytest.raises(ModelError, match="two or more images in the scheme nnunet"):
        PreparationSpec((1.0, 1.0, 1.0), channels=two)
    with pytest.raises(ModelError, match="two or more images in the scheme nnunet"):
        PreparationSpec((1.0, 1.0, 1.0), scheme="nnunet", channels=two[:1])
    with pytest.raises(ModelError, match="unknown normalisation 'other'"):
        ChannelSpec("a", "other")
    preparation = PreparationSpec((1.0, 1.0, 1.0), scheme="nnunet", channels=two)
    with pytest.raises(ModelError, match=r"are 2 preparation\.channels, but the network takes 1"):
        replace(tiny_spec(), preparation=preparation)
    path, _ = imported(tmp_path)
    document = json.loads((path / "model.json").read_text())
    document["preparation"]["channels"][1]["colour"] = "red"
    (path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelError, match=r"unknown key 'preparation\.channels\[1\]\.colour'"):
        load_spec(path)


def test_cases_of_one_image_are_not_labelled_by_it(tmp_path):
    path = str(imported(tmp_path)[0])
    with pytest.raises(ModelError, match="takes several images a case; cases are labelled by models of one"):
        run(PseudoLabelConfig(models=(path, path), output=tmp_path / "out"))
