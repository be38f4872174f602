"""The config of an adaptation's training, from the model that it starts from."""

from dataclasses import replace

import pytest

from helpers.packages import TINY_KWARGS, random_weights, tiny_spec
from LiverMRISegLib.adaptation.training import training_config
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import InferenceSpec, NetworkSpec
from LiverMRISegLib.training.checkpoints import save
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.run_folder import claimed_training


@pytest.mark.parametrize(("side", "precision"), [(64, "32-true"), (96, "bf16-mixed")])
def test_bfloat16_is_not_taken_where_the_usual_strides_leave_two_voxels(tmp_path, monkeypatch, side, precision):
    """A package need not name the strides of a STU-Net: then they are 2, five times."""
    monkeypatch.setattr("LiverMRISegLib.adaptation.training.has_bfloat16", lambda: True)
    kwargs = {key: value for key, value in TINY_KWARGS.items() if key != "strides"}
    spec = replace(tiny_spec(), network=NetworkSpec("stunet", kwargs), inference=InferenceSpec((side, 96, 96)))
    save_package(spec, random_weights(spec), tmp_path / "usual")
    package = ModelPackage.load(tmp_path / "usual")
    assert training_config(package, [], tmp_path, 10, "cpu", unlabelled=False).loop.precision == precision


def test_a_finished_training_can_be_made_longer(tmp_path):
    package = ModelPackage.load(save_package(tiny_spec(), random_weights(tiny_spec()), tmp_path / "start"))
    for steps in (20, 600):
        config = training_config(package, [], tmp_path, steps, "cpu", unlabelled=False)
        with claimed_training(config, config.run_folder, make_fabric(config.loop)):
            save(config.run_folder / "checkpoints", 20, {"step": 20}, is_best=False)
