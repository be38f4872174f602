"""A bundle is run by MONAI in a process of its own, and gives what this library gives."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, Invertd

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import as_rows
from LiverMRISegLib import Segmenter, cli, read_volume
from LiverMRISegLib.anatomy import LabelSet, Sequence
from LiverMRISegLib.errors import ModelError, OutputError
from LiverMRISegLib.inference.engines.torch_engine import TorchEngine
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.tiling import pad_to
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.monai_bundle.export_monai_bundle import export_monai_bundle
from LiverMRISegLib.models.monai_bundle.monai_config import inference_config
from LiverMRISegLib.models.monai_bundle.monai_transforms import (
    AIR_SHARE,
    FillBackgroundHolesd,
    PadWithAird,
    ResizeToSpacingd,
    nifti_files,
)
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import NetworkSpec, OrganRule, PreparationSpec
from LiverMRISegLib.phantom.study import make_study
from LiverMRISegLib.preparation import normalisation
from LiverMRISegLib.preparation.normalisation import normalise
from LiverMRISegLib.preparation.own_scheme import prepare
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.packaging import write_package
from LiverMRISegLib.volume import Geometry, Volume, reorient

# Where `make setup` puts what MONAI needs to run a bundle, and nothing else does.
BUNDLE_LIBRARIES = Path(sys.prefix) / "monai-bundle"
OWN = "LiverMRISegLib.models.monai_bundle.monai_transforms"


@pytest.fixture(autouse=True)
def tracked():
    """MONAI as whoever runs a bundle has it; our augmentation turns this off in its own process."""
    before = get_track_meta()
    set_track_meta(True)
    yield
    set_track_meta(before)


def logits_of(bundle, image):
    network = torch.jit.load(bundle / "models" / "model.ts")
    with torch.inference_mode():
        return network(torch.from_numpy(image)).numpy()


def turned(volume: Volume, degrees: float) -> Volume:
    """The same voxels, with a header that says the patient lay obliquely."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    geometry = volume.geometry
    direction = as_rows(turn @ np.array(geometry.direction))
    return replace(volume, geometry=replace(geometry, direction=direction))


def slab(volume: Volume, planes: slice) -> Volume:
    z = volume.geometry
    part = Geometry((*z.size[:2], planes.stop - planes.start), z.spacing, z.world_of((0, 0, planes.start)), z.direction)
    return Volume(volume.array[planes], part, volume.name)


@pytest.fixture(scope="module")
def plain_package(tmp_path_factory):
    """The default model without what a bundle leaves out."""
    package = load_model(DEFAULT_MODEL)
    spec = package.spec
    rules = {organ.name: OrganRule(keep_largest=True, fill_holes=True) for organ in spec.labels.organs}
    spec = replace(
        spec,
        preparation=replace(spec.preparation, antialias=False),
        inference=replace(spec.inference, image_refinement=False, region=""),
        postprocessing=rules,
    )
    return ModelPackage.load(save_package(spec, package.weights, tmp_path_factory.mktemp("plain") / "plain"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A phantom in several orientations, and a part of it that is thinner than a tile."""
    scan = make_study([Sequence.T2WI], seed=1, in_plane_mm=2.5, slice_mm=6.0)[Sequence.T2WI].volume
    middle = len(scan.array) // 2
    given = {
        "axial": scan,
        "permuted": reorient(scan, "SAR"),
        "flipped_oblique": turned(reorient(scan, "RAI"), 17.0),
        "slab": reorient(slab(scan, slice(middle - 8, middle + 8)), "PIR"),
    }
    folder = tmp_path_factory.mktemp("images")
    for name, volume in given.items():
        sitk.WriteImage(volume.to_sitk(), str(folder / f"{name}.nii.gz"))
    return folder


def monai_preparation(spec, without=()):
    """The transforms of a bundle's preparation; those of the bundle's own file are taken from the library's."""
    config = inference_config(spec)
    steps = config["preprocessing"]["transforms"]
    steps = [{**s, "_target_": s["_target_"].replace("scripts.transforms", OWN)} for s in steps]
    config["preprocessing"]["transforms"] = [s for s in steps if s["_target_"].rpartition(".")[2] not in without]
    return ConfigParser(config).get_parsed_content("preprocessing")


def test_air_is_what_it_is_in_the_library():
    """A bundle's transforms import nothing of the library, so they have the number once more."""
    assert AIR_SHARE == normalisation.AIR_SHARE


def test_monai_prepares_as_this_library(plain_package, images):
    prepare_by_monai = monai_preparation(plain_package.spec)
    for file in sorted(images.iterdir()):
        theirs = np.asarray(prepare_by_monai({"image": str(file)})["image"])[0]
        prepared = prepare(read_volume(file), plain_package.spec.preparation)
        ours, _ = pad_to(prepared.image, plain_package.spec.inference.patch)
        assert theirs.shape == ours.shape, file.name
        assert np.abs(theirs - ours).max() < 0.02, file.name


@pytest.mark.skipif(not BUNDLE_LIBRARIES.is_dir() and find_spec("ignite") is None, reason="make setup installs ignite")
def test_monai_segments_as_this_library(plain_package, images, tmp_path):
    masks = tmp_path / "masks"
    bundle = export_monai_bundle(plain_package, tmp_path / "bundle")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    chosen = [images / "flipped_oblique.nii.gz", images / "slab.nii.gz"]  # all of them take minutes
    (tmp_path / "chosen").mkdir()
    for file in chosen:
        (tmp_path / "chosen" / file.name).symlink_to(file)
    options = ["--dataset_dir", str(tmp_path / "chosen"), "--output_dir", str(masks)]
    environment = {**os.environ, "PYTHONPATH": str(BUNDLE_LIBRARIES)}
    done = subprocess.run([*command, *options], cwd=bundle, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    segmenter = Segmenter(plain_package, TorchEngine(plain_package, "cpu"))
    for file in chosen:
        image = read_volume(file)
        ours = segmenter.segment(image).labelmap
        theirs = read_labelmap(masks / f"{file.name.removesuffix('.nii.gz')}_seg.nii.gz")
        assert theirs.geometry.is_close(image.geometry), file.name
        assert (theirs.array > 0).mean() > 0.02, file.name
        assert (theirs.array != ours).mean() < 0.004, file.name
        for value in range(1, 5):  # tiles lie elsewhere, which thin organs show more
            size = (ours == value).sum() + (theirs.array == value).sum()
            same = 2 * ((ours == value) & (theirs.array == value)).sum() / max(1, size)
            assert size < 2000 or same > 0.97, (file.name, value, same)


def test_the_network_is_the_packages_for_batches_of_any_size(tiny_package, tmp_path):
    package = ModelPackage.load(tiny_package)
    bundle = export_monai_bundle(package, tmp_path / "bundle")
    image = np.random.default_rng(0).normal(0, 1, (3, 1, 16, 24, 24)).astype(np.float32)
    expected = TorchEngine(package, "cpu").predict(image)
    np.testing.assert_allclose(logits_of(bundle, image), expected, atol=1e-3)


def test_several_networks_become_their_mean(tmp_path):
    spec = tiny_spec()
    spec = replace(spec, network=NetworkSpec(spec.network.name, spec.network.kwargs, 2))
    weights = [random_weights(tiny_spec(), seed) for seed in (0, 1)]
    package = ModelPackage.load(write_package(spec, weights, tmp_path / "two"))
    bundle = export_monai_bundle(package, tmp_path / "bundle")
    image = np.random.default_rng(0).normal(0, 1, (1, 1, 16, 24, 24)).astype(np.float32)
    np.testing.assert_allclose(logits_of(bundle, image), TorchEngine(package, "cpu").predict(image), atol=1e-3)


def test_what_the_bundle_says(tiny_package, tmp_path, capsys):
    folder = tmp_path / "bundle"
    assert cli.main(["models", "export", str(tiny_package), "--format", "monai-bundle", "-o", str(folder)]) == 0
    assert "written" in capsys.readouterr().out
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert all(metadata[f"{name}_version"].replace(".", "").isdigit() for name in ("monai", "pytorch", "numpy"))
    outputs = metadata["network_data_format"]["outputs"]["pred"]
    assert outputs["num_channels"] == 5
    assert outputs["channel_def"] == {
        "0": "background", "1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen",
    }  # fmt: skip
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [16, 24, 24]
    assert "research use only" in metadata["intended_use"]
    readme = (folder / "docs" / "README.md").read_text()
    assert "| 4 | spleen |" in readme
    assert "research use only" in readme
    assert "Apache-2.0" in (folder / "LICENSE").read_text()


def transforms_of(bundle, stage):
    return json.loads((bundle / "configs" / "inference.json").read_text())[stage]["transforms"]


@pytest.mark.parametrize(
    ("normalisation", "intensity"),
    [("z-score", {}), ("z-score-nonzero", {}), ("none", {}), ("unit-range", {}), ("percentile-z-score", {}),
     ("ct", {"low": 60.0, "high": 300.0, "mean": 120.0, "std": 70.0})],
)  # fmt: skip
def test_every_normalisation_is_the_librarys(tiny_package, tmp_path, normalisation, intensity):
    preparation = PreparationSpec((6.0, 6.0, 6.0), normalisation=normalisation, intensity=intensity)
    geometric = ("LoadImaged", "Orientationd", "ResizeToSpacingd", "PadWithAird")
    normalise_by_monai = monai_preparation(replace(tiny_spec(), preparation=preparation), geometric)
    random = np.random.default_rng(0)
    image = random.gamma(2.0, 60.0, (1, 12, 14, 16)).astype(np.float32) * (random.random((1, 12, 14, 16)) > 0.3)
    theirs = normalise_by_monai({"image": torch.from_numpy(image)})["image"]
    np.testing.assert_allclose(np.asarray(theirs)[0], normalise(image[0], preparation), atol=1e-3)


def test_holes_are_filled_where_nothing_else_is():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:8, 1:8, 1:8] = 1
    labels[3, 3, 3], labels[5, 5, 5] = 0, 4
    theirs = FillBackgroundHolesd("pred", [1])({"pred": torch.from_numpy(labels)[None].float()})["pred"].numpy()[0]
    grid = Geometry((9, 9, 9), (1.0, 1.0, 1.0))
    postprocess(labels, tiny_spec().labels, {"liver": OrganRule(fill_holes=True)}, grid)
    assert np.array_equal(theirs, labels)
    assert (theirs[3, 3, 3], theirs[5, 5, 5]) == (1, 4)


@pytest.mark.parametrize("nearest", [False, True])
def test_the_way_back_shifts_nothing(nearest):
    # 28 voxels to 20 and back: no fine voxel lies in the middle of two coarse ones.
    there = Compose([ResizeToSpacingd("image", [2.8, 2.8, 2.8], False), PadWithAird("image", [24, 24, 24])])
    ramp = np.indices((28, 28, 28)).sum(0).astype(np.float32)[None]
    image = MetaTensor(torch.from_numpy(ramp), affine=torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0])))
    data = there({"image": image})
    data["pred"] = data["image"]
    back = Invertd("pred", there, orig_keys="image", nearest_interp=nearest)(data)["pred"]
    assert back.shape == ramp.shape
    assert float((back - image)[0, 7:-7, 7:-7, 7:-7].mean()) == pytest.approx(0, abs=0.05)


def test_what_the_bundle_does_not_segment(tmp_path):
    with pytest.raises(ValueError, match=r"contains no \.nii"):
        nifti_files(str(tmp_path))
    for name in ("a.nii", "b.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.rpartition("/")[2] for file in nifti_files(str(tmp_path))] == ["a.nii", "b.nii.gz"]
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(ValueError, match=r"a\.nii exists with and without \.gz"):
        nifti_files(str(tmp_path))


def test_channels_that_are_no_organ_become_background(tmp_path):
    spec = replace(tiny_spec(), labels=LabelSet("some", {v: o for v, o in tiny_spec().labels.items() if v != 2}))
    package = ModelPackage.load(save_package(spec, random_weights(spec), tmp_path / "some"))
    steps = transforms_of(export_monai_bundle(package, tmp_path / "bundle"), "postprocessing")
    mapped = next(step for step in steps if step["_target_"] == "MapLabelValued")
    assert (mapped["orig_labels"], mapped["target_labels"]) == ([2], [0])


@pytest.mark.parametrize(
    ("preparation", "words"),
    [(PreparationSpec((6.0, 6.0, 6.0), scheme="nnunet"), "scheme 'nnunet'"),
     (PreparationSpec((6.0, 6.0, 6.0), space="anatomy"), "anatomy space"),
     (PreparationSpec((6.0, 6.0, 6.0), normalisation="z-score-positive"), "normalisation"),
     (PreparationSpec((6.0, 6.0, 6.0), orientation=None), "own orientation")],
)  # fmt: skip
def test_what_monai_cannot_prepare_is_refused(tmp_path, preparation, words):
    spec = replace(tiny_spec(), preparation=preparation)
    package = ModelPackage.load(save_package(spec, random_weights(spec), tmp_path / "package"))
    with pytest.raises(ModelError, match=words):
        export_monai_bundle(package, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_nothing_is_overwritten(tiny_package, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="exists already"):
        export_monai_bundle(ModelPackage.load(tiny_package), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
