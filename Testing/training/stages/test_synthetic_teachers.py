"""Stages whose only labels are synthetic images: unlabelled MR beside label maps of other bodies, and no MR label."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.tiny_data import write_config, write_data
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.model_package import ModelPackage, member_prefix
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig, run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.data_config import SyntheticConfig
from LiverMRISegLib.training.stages.dual_task import DualTaskStageConfig, run_dual_task
from LiverMRISegLib.training.stages.mean_teacher import MeanTeacherStageConfig, run_mean_teacher

METHODS = {
    "cps": (CrossPseudoStageConfig, run_cross_pseudo_supervision),
    "dual-task consistency": (DualTaskStageConfig, run_dual_task),
    "mean teacher": (MeanTeacherStageConfig, run_mean_teacher),
}


def synthetic(folder, batch):
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[6:16, 6:18, 4:13] = 1
    labels[8:14, 12:20, 18:24] = 4
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((8.0, 8.0, 8.0))
    sitk.WriteImage(image, str(folder / "body_label.nii.gz"))
    source = StructureMapSource("body_label.nii.gz", "CHAOS", licence="of the bodies")
    return SyntheticConfig(batch, folder, (source,), randomization=RandomizationConfig(slice_thickness=(8.0, 12.0)))


def config_of(kind, folder):
    config = read_config(kind, write_config(folder, write_data(folder)))
    data = replace(config.data, spacing=(8.0,) * 3, labelled_batch=0, synthetic=synthetic(folder, 2))
    return replace(config, run_folder=folder / "run", data=data)


@pytest.mark.parametrize("method", METHODS)
def test_unlabelled_volumes_are_learnt_from_without_any_label_of_theirs(method, tmp_path):
    kind, run = METHODS[method]
    assert run(config_of(kind, tmp_path)).step == 12
    spec = ModelPackage.load(tmp_path / "run/model").spec
    assert (spec.provenance[0]["labelled scans"], spec.provenance[0]["unlabelled scans"]) == (0, 5)
    assert spec.weights_license == "Apache-2.0; of the bodies"


def test_something_has_to_teach(tmp_path):
    config = config_of(CrossPseudoStageConfig, tmp_path)
    with pytest.raises(UsageError, match=r"labelled_batch and synthetic\.batch are both 0"):
        replace(config.data, synthetic=SyntheticConfig())


def test_synthetic_images_need_the_grid_of_the_bodies(tmp_path):
    config = config_of(CrossPseudoStageConfig, tmp_path)
    with pytest.raises(UsageError, match=r"isotropic data\.spacing"):
        run_cross_pseudo_supervision(replace(config, data=replace(config.data, spacing=(8.0, 4.0, 4.0))))


def test_the_licence_of_the_start_goes_on(tmp_path):
    config = config_of(CrossPseudoStageConfig, tmp_path)
    run_cross_pseudo_supervision(replace(config, branch="first"))
    second = replace(config, run_folder=tmp_path / "second", start=str(tmp_path / "run/model"))
    run_cross_pseudo_supervision(second)
    spec = ModelPackage.load(tmp_path / "second/model").spec
    assert spec.weights_license.split("; ").count("of the bodies") == 1
    assert spec.provenance[0]["config"]["start"] == f"{config.name} {config.version}"


def test_kept_heads_are_those_of_the_first_network_alone(tmp_path):
    config = config_of(CrossPseudoStageConfig, tmp_path)
    run_cross_pseudo_supervision(replace(config, branch="first"))
    barely = replace(config.loop, steps=1, learning_rate=1e-9)
    second = replace(config, run_folder=tmp_path / "second", start=str(tmp_path / "run/model"), keep_heads=True)
    run_cross_pseudo_supervision(replace(second, loop=barely, branch="mean"))
    start = ModelPackage.load(tmp_path / "run/model").weights
    both = ModelPackage.load(tmp_path / "second/model").weights
    head, body = "seg_outputs.4.weight", "conv_blocks_context.0.0.conv1.weight"
    same = [[np.allclose(both[member_prefix(m) + name], start[name]) for m in (0, 1)] for name in (head, body)]
    assert same == [[True, False], [True, True]]
