"""Folders of nnU-Net v2 become packages that compute the same."""

import numpy as np
import pytest
import torch

import nnunet_folder as made
from helpers.nnunet_models import FEATURES, LABELS, PATCH, SPACING, network, plan, write
from helpers.volumes import as_rows, oblique_directions
from LiverMRISegLib import cli
from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, LIVER, RIGHT_KIDNEY
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.inference.engines.openvino_engine import OpenVinoEngine
from LiverMRISegLib.inference.engines.torch_engine import TorchEngine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.networks.registry import build_network
from LiverMRISegLib.preparation.own_scheme import prepare
from LiverMRISegLib.pseudo_labels.pseudo_label import fold_labels
from LiverMRISegLib.volume import Geometry, Volume, reorient

KINDS = pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])


def volume(direction=None, shape=tuple(PATCH)) -> Volume:
    """On the network's own grid and of its patch's size: what the network says of it is the result."""
    array = np.random.default_rng(3).uniform(1, 300, shape).astype(np.float32)
    matrix = np.eye(3) if direction is None else direction
    return Volume(array, Geometry(shape[::-1], tuple(SPACING[::-1]), (5.0, -3.0, 8.0), as_rows(matrix)))


def expected(array, networks, flips=((),)) -> np.ndarray:
    """nnU-Net's result for one patch without resampling, straight in torch."""
    x = torch.from_numpy((array - array.mean()) / array.std())[None, None].float()
    with torch.no_grad():
        logits = sum(torch.flip(net.eval()(torch.flip(x, axes)), axes) for net in networks for axes in flips)
    return logits[0].argmax(0).numpy()


@pytest.mark.parametrize("engine", [TorchEngine, OpenVinoEngine])
@KINDS
def test_the_network_is_the_same(kind, engine, tmp_path):
    package = ModelPackage.load(import_nnunet_model(write(tmp_path, kind=kind), "n", tmp_path / "models"))
    package.verify()
    scan, made_by = volume(), engine(package) if engine is OpenVinoEngine else engine(package, "cpu")
    labelmap = Segmenter(package, made_by).segment(scan).labelmap
    assert np.array_equal(labelmap, expected(scan.array, [network(kind)]))
    assert len(np.unique(labelmap)) > 1


def test_folds_are_averaged_and_mirrored_only_when_asked(tmp_path):
    axes = {"inference_allowed_mirroring_axes": (1, 2)}
    path = import_nnunet_model(write(tmp_path, seeds=(0, 1, 2), more=axes), "n", tmp_path / "models")
    scan, segmenter = volume(), Segmenter.load(path, "cpu")
    networks = [network(seed=seed) for seed in range(3)]
    assert segmenter.package.spec.inference.mirror_axes == (1, 2)
    assert np.array_equal(segmenter.segment(scan).labelmap, expected(scan.array, networks))
    mirrored = expected(scan.array, networks, ((), (3,), (4,), (3, 4)))
    assert np.array_equal(segmenter.segment(scan, tta=True).labelmap, mirrored)
    assert not np.array_equal(mirrored, expected(scan.array, networks))


def test_without_mirroring_axes_there_is_no_tta(tmp_path):
    more = {"inference_allowed_mirroring_axes": None}
    path = import_nnunet_model(write(tmp_path, more=more), "n", tmp_path / "models")
    with pytest.raises(UsageError, match="tta"):
        Segmenter.load(path, "cpu").segment(volume(), tta=True)


@pytest.mark.parametrize("code", ["LPS", "RAI", "SPL", "ASR"])
def test_the_array_is_taken_as_it_lies(code, tmp_path):
    segmenter = Segmenter.load(import_nnunet_model(write(tmp_path), "n", tmp_path / "models"), "cpu")
    turned = reorient(volume(shape=(16, 16, 16)), code)
    cut = Volume(np.ascontiguousarray(turned.array[:8]), Geometry((16, 16, 8), (2.0, 2.0, 4.0), (0.0, 0.0, 0.0),
                 turned.geometry.direction))  # fmt: skip
    assert np.array_equal(segmenter.segment(cut).labelmap, expected(cut.array, [network()]))


@pytest.mark.parametrize("number", range(3))
def test_oblique_images_too(number, tmp_path):
    segmenter = Segmenter.load(import_nnunet_model(write(tmp_path), "n", tmp_path / "models"), "cpu")
    scan = volume(oblique_directions()[number])
    result = segmenter.segment(scan)
    assert np.array_equal(result.labelmap, expected(scan.array, [network()]))
    assert result.geometry.is_close(scan.geometry)


def test_a_reader_that_turns_images_is_followed(tmp_path):
    path = import_nnunet_model(
        write(tmp_path, plans={**plan(), "image_reader_writer": "NibabelIOWithReorient"}), "n", tmp_path / "models"
    )
    scan = volume()
    turned = scan.array[:, ::-1, ::-1]  # LPS to RAS
    found = Segmenter.load(path, "cpu").segment(scan).labelmap
    assert np.array_equal(found, expected(turned.copy(), [network()])[:, ::-1, ::-1])


def test_names_values_and_colours_survive(tmp_path):
    package = ModelPackage.load(import_nnunet_model(write(tmp_path), "n", tmp_path / "models"))
    labels = package.spec.labels
    assert labels[1] is LIVER
    assert labels[2] is RIGHT_KIDNEY
    assert (labels[3].name, labels[3].type_code) == ("Weird thing", ANATOMICAL_STRUCTURE)
    assert len({organ.color for organ in labels.organs}) == 3
    result = Segmenter.load(package.path, "cpu").segment(volume(), organs=["weird_thing"])
    assert list(result.labels) == [3]
    assert set(np.unique(result.labelmap)) <= {0, 3}


def test_two_names_of_one_organ_and_many_structures(tmp_path):
    labels = {
        "liver": 1,
        "Liver": 2,
        "esophagus": 3,
        **{f"rib {n}": n for n in range(4, 40)},
        "Rib_4": 40,
        "ignore": 41,
    }
    weights = made.Design("PlainConvUNet", FEATURES).network(41).state_dict()
    folder = made.write_folder(tmp_path, plan(), made.dataset(labels), {"fold_0": made.checkpoint(weights)})
    found = ModelPackage.load(import_nnunet_model(folder, "n", tmp_path / "models")).spec.labels
    assert [found[1].name, found[2].name, found[3].name] == ["liver", "Liver (2)", "oesophagus"]
    assert found[40].name == "Rib_4 (40)"
    assert len(found) == 40
    assert len({organ.color for organ in found.organs[3:]}) == 37


def test_the_specification(tmp_path):
    design = made.Design("PlainConvUNet", FEATURES)
    whole = made.configuration(design, SPACING, PATCH, normalisation="CTNormalization")
    plans = made.plans({"3d_fullres": whole}, transpose=(2, 0, 1))
    folder = write(tmp_path, plans=plans, data={"channel_names": {"0": "CT"}})
    spec = ModelPackage.load(import_nnunet_model(folder, "n", tmp_path / "models")).spec
    assert (spec.modality, spec.preparation.normalisation, spec.preparation.transpose) == ("CT", "ct", (2, 0, 1))
    assert spec.preparation.intensity == {"low": 20.0, "high": 420.0, "mean": 180.0, "std": 90.0}
    assert (spec.preparation.spacing, spec.preparation.orientation) == ((4.0, 2.0, 2.0), None)
    assert (spec.inference.patch, spec.inference.overlap) == ((8, 16, 16), 0.5)
    assert spec.postprocessing == {}
    stage = dict(spec.provenance[0])
    assert (stage["configuration"], stage["trainer"], stage["folds"]) == ("3d_fullres", "nnUNetTrainer", ["fold_0"])


@KINDS
def test_old_plans_and_inherited_configurations(kind, tmp_path):
    whole = made.configuration(made.Design(kind, FEATURES), SPACING, PATCH)
    del whole["architecture"]
    lowres = {**whole, **made.Design(kind, FEATURES).old_plan(), "spacing": [9.0, 9.0, 9.0]}
    configurations = {"3d_lowres": lowres, "middle": {"inherits_from": "3d_lowres", "spacing": SPACING},
                      "3d_fullres": {"inherits_from": "middle", "batch_size": 7}}  # fmt: skip
    folder = write(tmp_path, kind=kind, plans=made.plans(configurations))
    path = import_nnunet_model(folder, "n", tmp_path / "models")
    scan = volume()
    assert np.array_equal(
        Segmenter.load(path, "cpu").segment(scan).labelmap, expected(scan.array, [network(kind)])
    )  # fmt: skip


def test_configuration_is_the_checkpoints_else_the_folders(tmp_path):
    two = made.plans({
        "3d_lowres": made.configuration(made.Design("PlainConvUNet", FEATURES), [9.0] * 3, PATCH),
        "3d_fullres": made.configuration(made.Design("PlainConvUNet", FEATURES), SPACING, PATCH),
    })  # fmt: skip
    for number, (name, more, spacing) in enumerate([
        ("nnUNetTrainer__nnUNetPlans__3d_lowres", {}, 4.0),
        ("nnUNetTrainer__nnUNetPlans__3d_lowres", {"init_args": {}}, 9.0),
    ]):  # fmt: skip
        folder = write(tmp_path / str(number), plans=two, more=more, name=name)
        spec = ModelPackage.load(import_nnunet_model(folder, f"n{number}", tmp_path / "models")).spec
        assert spec.preparation.spacing[0] == spacing
    folder = write(tmp_path / "none", plans=two, more={"init_args": {}}, name="model")
    with pytest.raises(ModelError, match="name the folder TRAINER__PLANS__CONFIGURATION"):
        import_nnunet_model(folder, "x", tmp_path)


def test_prefixes_and_doubles_of_the_state(tmp_path):
    state = {f"module._orig_mod.{key}": tensor for key, tensor in network().state_dict().items()}
    folder = made.write_folder(tmp_path, plan(), made.dataset(LABELS), {"fold_all": made.checkpoint(state)})
    weights = ModelPackage.load(import_nnunet_model(folder, "n", tmp_path / "models")).weights
    assert not any(".all_modules." in key or key.startswith(("decoder.encoder", "module")) for key in weights)
    assert sum(tensor.size for tensor in weights.values()) == sum(p.numel() for p in network().parameters())


def test_which_folds(tmp_path):
    folder = write(tmp_path, seeds=(0, 1))
    document = made.checkpoint(network(seed=7).state_dict())
    made.write_folder(tmp_path, plan(), made.dataset(LABELS), {"fold_all": document})
    torch.save(document, folder / "fold_0" / "checkpoint_best.pth")

    def count(name, **options):
        return ModelPackage.load(import_nnunet_model(folder, name, tmp_path / "models", **options)).spec.network.members

    assert count("a") == 2
    assert count("b", folds=["all"]) == 1
    assert count("c", folds=["1"]) == 1
    assert count("d", checkpoint="checkpoint_best.pth") == 1
    with pytest.raises(ModelError, match=r"fold_5/checkpoint_final\.pth: no such file"):
        count("e", folds=["5"])
    with pytest.raises(ModelError, match=r"no fold contains other\.pth"):
        count("e", checkpoint="other.pth")


def test_numbers_as_numpy_1_wrote_them(tmp_path):
    """The pickle names numpy.core, which numpy 2 has no more."""
    folder = write(tmp_path)
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save(made.checkpoint(network().state_dict()), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert b"numpy.core.multiarray" in path.read_bytes()
    ModelPackage.load(import_nnunet_model(folder, "n", tmp_path / "models")).verify()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    folder = write(tmp_path, seeds=(0, 1))
    assert cli.main(["models", "import", "nnunet", str(folder), "mine", "--folds", "1"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'models' / 'mine'} written; use it as --model mine\n"
    write_volume(volume(), tmp_path / "scan.nii.gz")
    arguments = [str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out.seg.nrrd"), "--model", "mine"]
    assert cli.main(["segment", *arguments, "--device", "cpu"]) == 0
    assert "Weird thing" in capsys.readouterr().out
    written = read_labelmap(tmp_path / "out.seg.nrrd").array
    assert np.array_equal(written, expected(volume().array, [network(seed=1)]))
    assert cli.main(["segment", *arguments, "--organs", "heart"]) == 2
    assert "mine has: liver, right kidney, Weird thing" in capsys.readouterr().err
    assert cli.main(["models", "import", "nnunet", str(folder), "../mine"]) == 2
    assert cli.main(["models", "import", "nnunet", str(folder), "mine"]) == 2
    assert "imported before" in capsys.readouterr().err
    assert cli.main(["models", "import", "nnunet", str(tmp_path), "other"]) == 4


def test_an_imported_model_labels_cases_as_it_segments(tmp_path):
    plans = {**plan(), "transpose_forward": [1, 0, 2], "transpose_backward": [1, 0, 2]}
    package = ModelPackage.load(import_nnunet_model(write(tmp_path, plans=plans), "n", tmp_path / "models"))
    image = volume(oblique_directions()[0], (13, 18, 21))
    engine = TorchEngine(package, "cpu", "float32")
    _, labelmap = fold_labels(image, [Segmenter(package, engine)] * 2)
    segmented = Segmenter(package, engine).segment(image).labelmap
    assert (labelmap == segmented).mean() > 0.97  # means of probabilities here, of logits there
    assert labelmap.any()
    with pytest.raises(UsageError, match="scheme 'nnunet'"):
        prepare(image, package.spec.preparation)


@pytest.mark.parametrize(
    ("trainer", "plan_format"), [("STUNetTrainer_small_ft", "old"), ("STUNetTrainer_small", "new")]
)
def test_what_stunets_trainers_fine_tuned(trainer, plan_format, tmp_path):
    """Any classes; the size by the trainer's name, five of the plan's strides after the first, filled up with ones."""
    ours = {"strides": [[1, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]]}
    torch.manual_seed(0)
    net = build_network("stunet-s", in_channels=1, out_channels=len(LABELS) + 1, **ours)
    given = plan()["configurations"]["3d_fullres"]
    if plan_format == "old":
        strides = given.pop("architecture")["arch_kwargs"]["strides"]
        given = {**given, "pool_op_kernel_sizes": strides, "UNet_class_name": "PlainConvUNet"}
    plans = {**plan(), "configurations": {"3d_fullres": given}}
    folds = {"fold_0": made.checkpoint(net.state_dict(), trainer_name=trainer)}
    source = made.write_folder(tmp_path, plans, made.dataset(LABELS), folds, f"{trainer}__nnUNetPlans__3d_fullres")
    package = ModelPackage.load(import_nnunet_model(source, "n", tmp_path / "models"))
    package.verify()
    assert (package.spec.network.name, package.spec.network.kwargs["strides"]) == ("stunet-s", ours["strides"])
    assert package.spec.provenance[0]["trainer"] == trainer
    scan = volume()
    labelmap = Segmenter(package, TorchEngine(package, "cpu")).segment(scan).labelmap
    assert np.array_equal(labelmap, expected(scan.array, [net]))


def test_a_stunet_of_unknown_size_is_refused(tmp_path):
    folds = {"fold_0": made.checkpoint(network().state_dict(), trainer_name="STUNetTrainer_giant")}
    source = made.write_folder(tmp_path, plan(), made.dataset(LABELS), folds)
    with pytest.raises(
        ModelError, match="its trainer is STUNetTrainer_giant; known sizes are small, base, large, huge"
    ):
        import_nnunet_model(source, "n", tmp_path / "models")
