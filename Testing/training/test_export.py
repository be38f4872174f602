"""A checkpoint becomes a package with the averaged weights, the offered organs and what was measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import BODY
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.export import export
from LiverMRISegLib.training.stages.any_sequence import AnySequenceConfig


@pytest.fixture
def run(tmp_path):
    config = AnySequenceConfig(network="stunet-xxs", organs=("liver", "spleen", "stomach"))
    network = build_network(config.network, **config.network_kwargs)
    torch.save({"step": 7, "method": {"networks": {"average": network.state_dict()}}}, tmp_path / "step_00000007.pt")
    return config, tmp_path / "step_00000007.pt", network.state_dict()


def test_what_is_exported(run, tmp_path):
    config, checkpoint, state = run
    metrics = [{"data set": "x", "cases": 3, "liver": 0.9}]
    options = {"background_offset": 0.5, "body_tiles": True, "metrics": metrics}
    path = export(config, checkpoint, tmp_path / "p", organs=["spleen", "liver"], **options)
    package = ModelPackage.load(path)
    package.verify()
    assert {value: organ.name for value, organ in package.spec.labels.items()} == {1: "liver", 2: "spleen"}
    assert package.spec.network.kwargs["out_channels"] == 4
    assert package.spec.metrics[0]["cases"] == 3
    assert package.spec.provenance[0]["step"] == 7
    assert "data" not in package.spec.provenance[0]["config"]
    assert package.spec.provenance[0]["config"]["start"] == "random weights"
    bias = state["seg_outputs.4.bias"].numpy().copy()
    bias[0] -= 0.5
    assert np.allclose(package.weights["seg_outputs.4.bias"], bias, atol=1e-3)
    assert package.spec.preparation == config.preparation
    assert package.spec.inference.region == BODY


def test_what_is_no_checkpoint(run, tmp_path):
    config, _, _ = run
    (tmp_path / "bad.pt").write_text("x")
    with pytest.raises(ModelError, match=r"bad\.pt"):
        export(config, tmp_path / "bad.pt", tmp_path / "p")


def test_half_of_the_start(run, tmp_path):
    config, checkpoint, state = run
    first = export(config, checkpoint, tmp_path / "first", name="first")
    trained = {name: tensor + 0.25 for name, tensor in state.items()}
    torch.save({"step": 9, "method": {"networks": {"average": trained}}}, tmp_path / "step_00000009.pt")
    went_on = replace(config, start=str(first))
    path = export(went_on, tmp_path / "step_00000009.pt", tmp_path / "p", background_offset=0.5, start_share=0.5)
    package = ModelPackage.load(path)
    for name, tensor in state.items():
        wanted = tensor.numpy() + 0.125
        if name == "seg_outputs.4.bias":
            wanted[0] -= 0.5
        assert np.allclose(package.weights[name], wanted, atol=2e-3)
    assert package.spec.provenance[0]["share of the start"] == 0.5
    with pytest.raises(UsageError, match="the run must have a start"):
        export(config, checkpoint, tmp_path / "q", start_share=0.5)
    with pytest.raises(UsageError, match="must lie in"):
        export(went_on, checkpoint, tmp_path / "q", start_share=1.5)
