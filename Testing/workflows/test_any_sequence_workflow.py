"""any_sequence.smk: its graph, and the recipe as a tiny real training, from nothing to a package."""

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.places import ROOT
from helpers.tiny_data import snakemake
from LiverMRISegLib.anatomy import AMOS, BTCV, LABEL_SETS, LabelSet
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import ABDOMEN

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
ORGANS = ("liver", "right kidney", "left kidney", "spleen", "pancreas", "aorta", "inferior vena cava", "gallbladder",
          "stomach")  # fmt: skip
SETTINGS = """output: {folder}/out
recipe: {recipe}
test: ""
preview: {preview}
flags: [--data.synthetic.folder, {folder}/data, --data.synthetic.batch, "1", --data.synthetic.validation-images, "1",
  --data.patch, "32", "32", "32", --data.spacing, "12", "12", "12", --data.workers, "0",
  --loop.steps, "2", --loop.precision, 32-true, --loop.accelerator, cpu]
"""


def write_body(folder, name: str, labels: LabelSet, seed: int, *, ending: str, ct: bool) -> None:
    """A box of soft tissue with a box of each organ."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    shape = (24, 28, 32)
    array = np.zeros(shape, np.uint8)
    for organ in labels.organs:
        first = random.integers(3, 18, 3)
        array[tuple(slice(f, f + 5) for f in first)] = labels.value_of(organ)
    image = np.zeros(shape, np.uint8)
    image[2:-2, 2:-2, 2:-2] = random.integers(70, 130, (20, 24, 28))
    for content, file in ((array, f"{name}{ending}"), *(((image, f"{name}.nii.gz"),) if ct else ())):
        volume = sitk.GetImageFromArray(content)
        volume.SetSpacing((12.0, 12.0, 12.0))
        sitk.WriteImage(volume, str(folder / file))


@pytest.fixture
def folder(tmp_path):
    data, whole = tmp_path / "data", LABEL_SETS["TotalSegmentator v1"]
    for seed, name in enumerate(("ct_05", "ct_17", "ct_26", "ct_30")):
        write_body(data / "ct_multiorgan", name, BTCV, seed, ending="_label.nii.gz", ct=True)
    write_body(data / "ct_whole", "whole", whole, 5, ending="_label104.nii.gz", ct=True)
    write_body(data / "labelmaps", "amos_1", AMOS, 6, ending="_label.nii.gz", ct=False)
    write_body(data / "labelmaps", "torso", LABEL_SETS["torso"], 7, ending="_label.nii.gz", ct=False)
    return tmp_path


def test_the_graph_of_the_whole(tmp_path):
    chosen = (ROOT / "scripts/train/workflows/any_sequence.yaml").read_text()
    (tmp_path / "settings.yaml").write_text(chosen)
    absent = snakemake("any_sequence", tmp_path, "--dry-run", "--config", "test=absent")
    assert absent.returncode != 0
    assert "test: there is no folder absent" in absent.stdout + absent.stderr
    done = snakemake("any_sequence", tmp_path, "--dry-run", "--config", f"test={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert all(rule in done.stdout + done.stderr for rule in ("train", "evaluate"))


def test_the_recipe_leads_from_nothing_to_a_package_that_segments(folder):
    (folder / "settings.yaml").write_text(SETTINGS.format(folder=folder, recipe="liver_any_sequence", preview=True))
    done = snakemake("any_sequence", folder)
    assert done.returncode == 0, done.stderr
    assert "2 steps of " in (folder / "out/preview.txt").read_text()
    spec = ModelPackage.load(folder / "out/model").spec
    assert [organ.name for organ in spec.labels.organs] == list(ORGANS)
    assert spec.name == "liver-any-sequence"
    assert spec.provenance[0]["config"]["background_offset"] == 0.4
    assert spec.inference.region == ABDOMEN
    volume = read_volume(folder / "data/ct_multiorgan/ct_05.nii.gz")
    assert Segmenter.load(folder / "out/model", "cpu").segment(volume).labelmap.shape == volume.array.shape
    again = snakemake("any_sequence", folder, "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
