"""Packages: what is saved is loaded; what is wrong is refused in one line, and nothing in it is run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.packages import edited, random_weights, refused, repacked, tiny_spec
from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.errors import ModelError, OutputError
from LiverMRISegLib.models.catalog import find_model, list_models
from LiverMRISegLib.models.package.model_package import ModelPackage, load_spec, save_package
from LiverMRISegLib.models.package.specification import TrustSpec

SPEC = tiny_spec()
WEIGHTS = random_weights(SPEC)


@pytest.fixture(params=["folder", "folder.zip"])
def package(request, tmp_path):
    return save_package(SPEC, WEIGHTS, tmp_path / request.param)


def test_what_is_saved_is_loaded(package):
    loaded = ModelPackage.load(package)
    loaded.verify()
    assert loaded.spec == SPEC
    assert all(np.array_equal(loaded.weights[name], array) for name, array in WEIGHTS.items())
    assert len(loaded.fingerprint) == 16


def test_mapped_tensors_are_the_same_and_outlive_their_context(package):
    loaded = ModelPackage.load(package)
    with loaded.mapped_member(0) as mapped:
        assert all(np.array_equal(mapped[name], array) for name, array in WEIGHTS.items())
    assert mapped.keys() == loaded.member(0).keys()
    assert all(np.array_equal(mapped[name], array) for name, array in WEIGHTS.items())


@pytest.mark.parametrize("use", [lambda p: p.weights, lambda p: p.mapped_member(0).__enter__()])
def test_a_package_that_changes_while_it_is_used(tmp_path, use):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    loaded = ModelPackage.load(path)
    (path / "weights.safetensors").write_bytes((path / "weights.safetensors").read_bytes() + b" ")
    with pytest.raises(ModelError, match="has changed since"):
        use(loaded)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 40, (2).to_bytes(8, "little") + b"[]", (40).to_bytes(8, "little") + b'{"a": 3}',
     (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     '],
)  # fmt: skip
def test_weights_that_are_none_are_not_mapped_either(tmp_path, content):
    path = repacked(tmp_path, content)
    with pytest.raises(ModelError, match=r"safetensors|is missing"), ModelPackage.load(path).mapped_member(0):
        pass


def test_packages_from_before_nnunet_are_still_read(tmp_path):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    edited(path, lambda d: [d["preparation"].pop("scheme"), d["preparation"].pop("transpose"),
                            d["inference"].pop("scheme")])  # fmt: skip
    assert ModelPackage.load(path).spec == SPEC


def test_weights_of_trust_go_round_and_are_missing_where_there_are_none(tmp_path):
    trust = TrustSpec(-1.5, {"expected dice": 0.8, "size": -0.1}, 0.7, "painted images")
    path = save_package(replace(SPEC, trust=trust), WEIGHTS, tmp_path / "trusted")
    assert ModelPackage.load(path).spec.trust == trust
    plain = save_package(SPEC, WEIGHTS, tmp_path / "plain")
    assert ModelPackage.load(plain).spec.trust is None
    assert "trust" not in json.loads((plain / "model.json").read_text())  # older versions read it


def trusted(**changes):
    return lambda d: d.update(trust={"intercept": 0, "weights": {}, "flag_below": 0.5, **changes})


def test_structures_that_are_not_ours_go_round(tmp_path):
    labels = LabelSet("tiny", {1: SPEC.labels[1], 4: structure_named("Vertebra L1", 4)})
    path = save_package(replace(SPEC, labels=labels), WEIGHTS, tmp_path / "p")
    found = load_spec(path).labels
    assert [(organ.name, organ.color) for organ in found.organs] == [(o.name, o.color) for o in labels.organs]
    assert list(found) == [1, 4]


def test_the_labels_name_organs_and_codes(tmp_path):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    document = json.loads((path / "model.json").read_text())
    assert document["labels"][1] == {
        "value": 2, "organ": "right kidney", "snomed_ct": "64033007", "side_snomed_ct": "24028007",
        "color": [212, 126, 151],
    }  # fmt: skip


def test_a_folder_is_never_overwritten(tmp_path):
    save_package(SPEC, WEIGHTS, tmp_path / "p")
    with pytest.raises(OutputError, match="exists already"):
        save_package(SPEC, WEIGHTS, tmp_path / "p")
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_changed_weights(tmp_path):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    file = path / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    refused(path, "wrong sha256")


def abdomen_alone(document):
    document["inference"]["region"] = "abdomen"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema_version=99), "schema version 99.*update livermriseg"),
        (lambda d: d.pop("schema_version"), "schema version None"),
        (lambda d: d.update(extra=1), "unknown key 'extra'"),
        (lambda d: d.pop("network"), "'network' is missing"),
        (lambda d: d["preparation"].update(spacing=[1, 2]), "spacing must be a list of 3"),
        (lambda d: d["preparation"].update(spacing="3"), "spacing must be a list of 3"),
        (lambda d: d["inference"].update(overlap=1.5), "overlap"),
        (lambda d: d["inference"].update(speed=1), "unknown key 'inference.speed'"),
        (lambda d: d["labels"][0].update(organ="heart"), "unknown organ 'heart'"),
        (lambda d: d["labels"].append({"value": 9}), "organ"),
        (lambda d: d["preparation"].update(scheme="other"), "unknown preparation.scheme 'other'"),
        (lambda d: d["preparation"].update(image_order=3, antialias=True), "antialias needs image_order 1"),
        (lambda d: d["inference"].update(scheme="other"), "unknown inference.scheme 'other'"),
        (lambda d: (abdomen_alone(d), d["preparation"].update(orientation=None)), "needs a liver"),
        (lambda d: (abdomen_alone(d), d["labels"].pop(0)), "needs a liver"),
        (lambda d: d["preparation"].update(transpose=[1, 0, 2]), "belongs to the scheme nnunet"),
        (lambda d: d["preparation"].update(transpose=[1, 1, 2], scheme="nnunet"), "must order 0, 1, 2"),
        (lambda d: d.update(name=3), "name must be text"),
        (lambda d: d.update(files={}), "not named in model.json"),
        (lambda d: d["preparation"].update(spacing=[float("nan"), 1, 1]), "spacing.0. must be a finite number"),
        (lambda d: d["preparation"].update(spacing=[float("inf"), 1, 1]), "spacing.0. must be a finite number"),
        (lambda d: d["preparation"].update(spacing=[1e-9, 1, 1]), "spacing.0. must be between 0.1 and 100"),
        (lambda d: d["preparation"].update(normalisation="ct"), "ct needs the intensities high, low, mean, std"),
        (lambda d: d["inference"].update(patch=[10**6] * 3), "patch.0. must be between 1 and 1024"),
        (
            lambda d: d["inference"].update(patch=[1, 1, 1]),
            r"patch: a patch of \[1, 1, 1\] voxels does not fit the network",
        ),
        (lambda d: d["inference"].update(patch=[4, 4, 4]), r"patch: a patch of \[4, 4, 4\] voxels is too small"),
        (lambda d: d["inference"].update(overlap=0.9999999), "overlap must be between 0 and 0.95"),
        (lambda d: d["inference"].update(mirror_axes=[2] * 30), "each once"),
        (lambda d: d["inference"].update(region_margin=1e300), "region_margin must be between"),
        (
            lambda d: d["inference"].update(image_refinement=True, outline_offsets={"liver": 9}),
            "must be between -2 and 2",
        ),
        (
            lambda d: d["inference"].update(image_refinement=True, outline_offsets={"knee": 0.1}),
            "'knee' is not one of the",
        ),
        (lambda d: d["inference"].update(image_refinement=True, unrefined=["knee"]), "unrefined: 'knee' is not one of"),
        (
            lambda d: d["inference"].update(unrefined=["liver"], outline_offsets={"liver": 0.4}),
            "'liver' cannot be both unrefined and moved",
        ),
        (lambda d: d["labels"][0].update(value=300), "between 1 and 255, not 300"),
        (lambda d: d["labels"][0].update(value=True), "between 1 and 255, not True"),
        (lambda d: d["labels"][0].update(value="1"), "between 1 and 255, not '1'"),
        (lambda d: d["labels"][0].update(value=2), "the value 2 is listed twice"),
        (lambda d: d["labels"][0].update(value=200), "label 200 has no output of the network, which has 5"),
        (lambda d: d["labels"][0].update(organ="li\nver", snomed_ct="123037004"), "an organ must be 1 to 200"),
        (lambda d: d.update(name="a\nb"), "name must be 1 to 200 printable characters"),
        (lambda d: d.update(name="\ud800"), "name must be 1 to 200 printable characters"),
        (lambda d: d["network"]["kwargs"].update(blocks=10**9), "kwargs: blocks must be between 1 and 100"),
        (lambda d: d["network"]["kwargs"].update(widths=[4] * 100000), "widths must have at most 16 entries"),
        (lambda d: d["network"]["kwargs"].update(widths=[4] * 5), "widths must be six"),
        (lambda d: d["network"]["kwargs"].update(widths=[10**9] * 6), "widths.0. must be between 1 and 8192"),
        (lambda d: d["network"]["kwargs"].update(strides=[[2, 2, 0]] * 5), "must be between 1 and 16, not 0"),
        (lambda d: d["network"]["kwargs"].update(strides=[[2, 2]] * 5), "must be a list of 3"),
        (lambda d: d["network"]["kwargs"].update(out_channels=2.5), "out_channels must be a whole number"),
        (lambda d: d["network"]["kwargs"].update(in_channels=2), "makes 1 image.s., but the network takes 2"),
        (lambda d: d["network"]["kwargs"].update(surprise=2), "unknown key 'surprise'"),
        (lambda d: d["network"].update(kwargs=[]), "kwargs must be a mapping"),
        (lambda d: d["network"].update(members=10**6), "members must be between"),
        (lambda d: d["postprocessing"]["liver"].update(near_mm=1e12), "near_mm must be between"),
        (
            lambda d: d["postprocessing"]["liver"].update(near="pancreas"),
            "liver.near: 'pancreas' is not one of the labels",
        ),
        (lambda d: d["postprocessing"]["liver"].update(near="knee"), "unknown organ 'knee'"),
        (lambda d: d["preparation"].update(orientation="LPX"), "'LPX' is not an orientation"),
        (
            lambda d: d["network"]["kwargs"].update(out_channels=300),
            "has 300 outputs, a label map has room for 255 and",
        ),
        (trusted(weights={"mood": 1.0}), "unknown sign 'mood' in trust.weights; known: expected dice, "),
        (trusted(weights={"size": 1e9}), "trust.weights.size must be between"),
        (trusted(flag_below=2), "trust.flag_below must be between 0 and 1"),
        (lambda d: d.update(trust={}), "'trust.intercept' is missing"),
        (lambda d: d["files"].update({"more.safetensors": "0"}), "'more.safetensors' is missing"),
    ],
)
def test_wrong_model_json(tmp_path, change, words):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    edited(path, change)
    refused(path, words)


def test_a_network_that_does_not_exist(tmp_path):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    edited(path, lambda d: d["network"].update(name="unet"))
    refused(path, "cannot be built.*unknown network 'unet'")


def test_no_json(tmp_path):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p")
    (path / "model.json").write_text("{")
    refused(path, "is not JSON")
    (path / "model.json").write_text("[" * 100_000)
    refused(path, "nested more than 50 levels")
    (path / "model.json").write_text('{"a":' * 100_000)
    refused(path, "nested more than 50 levels")
    (path / "model.json").write_bytes(b"\xff")
    refused(path, "is not UTF-8")
    (path / "model.json").unlink()
    refused(path, "model.json is missing")


def test_the_folder_around_a_package_leads_to_it(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").touch()
    refused(run, "has not ended; its model will be .*model$")
    save_package(SPEC, WEIGHTS, run / "model")
    refused(run, r"run: is not a model package, but contains one; give .*run/model$")
    assert ModelPackage.load(run / "model").spec.name == SPEC.name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trained/plans.json", "is a model of nnU-Net, not a model package; convert it: .*models import --help"),
        ("trained/plans.pkl", "is a model of nnU-Net"),
        ("trained.pth", "is a checkpoint, not a model package; convert it: .*models import --help"),
        ("bundle/configs/metadata.json", "model.json is missing; give a folder or .zip"),
    ],
)
def test_other_programs_models_are_called_by_their_names(tmp_path, name, words):
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).write_text("{}")
    refused(tmp_path / name.split("/")[0], words)


def test_what_a_killed_import_leaves_is_no_model(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVERMRISEG_MODELS", str(tmp_path))
    save_package(replace(SPEC, name="mine"), WEIGHTS, tmp_path / ".mine.abcdefgh")
    assert all(entry.is_shipped for entry in list_models())


def test_models_are_found_by_name_and_path(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVERMRISEG_MODELS", str(tmp_path))
    save_package(replace(SPEC, name="mine"), WEIGHTS, tmp_path / "mine")
    assert find_model("mine") == tmp_path / "mine"
    assert find_model(tmp_path / "mine") == Path(tmp_path / "mine")
    assert "mine" in [entry.name for entry in list_models()]
    with pytest.raises(ModelError, match="did you mean 'mine'"):
        find_model("mina")


@pytest.mark.parametrize("name", ["p", "p.zip"])
def test_the_specification_alone(tmp_path, name):
    spec = tiny_spec()
    path = save_package(spec, random_weights(spec), tmp_path / name)
    assert load_spec(path) == ModelPackage.load(path).spec
    if path.is_dir():
        (path / "weights.safetensors").write_bytes(b"damaged")
        assert load_spec(path) == spec
    with pytest.raises(ModelError, match="no such model"):
        load_spec(tmp_path / "absent")
