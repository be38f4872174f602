"""A checkpoint becomes a package with the averaged weights, the offered organs and what was measured."""

import json

import numpy as np
import pytest
import torch

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.package import ModelPackage
from LiverMRISegLib.models.specification import BODY
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.any_sequence import AnySequenceConfig
from LiverMRISegLib.training.export import dice_offset, export, validated_dice


@pytest.fixture
def run(tmp_path):
    config = AnySequenceConfig(network="stunet-xxs", organs=("liver", "spleen", "stomach"))
    network = build_network(config.network, **config.network_kwargs)
    torch.save({"step": 7, "method": {"networks": {"average": network.state_dict()}}}, tmp_path / "step_00000007.pt")
    return config, tmp_path / "step_00000007.pt", network.state_dict()


def test_what_is_exported(run, tmp_path):
    config, checkpoint, state = run
    metrics = [{"data set": "x", "cases": 3, "liver": 0.9}]
    options = {"reachable": {"liver": 0.8, "spleen": 0.5}, "body_tiles": True, "metrics": metrics}
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
    bias[1:3] += np.log([1.2 / 0.8, 1.5 / 0.5])
    assert np.allclose(package.weights["seg_outputs.4.bias"], bias, atol=1e-3)
    assert package.spec.provenance[0]["offsets"] == {"liver": 0.405, "spleen": 1.099}
    assert package.spec.preparation == config.preparation
    assert package.spec.inference.region == BODY


def test_what_is_no_checkpoint(run, tmp_path):
    config, _, _ = run
    (tmp_path / "bad.pt").write_text("x")
    with pytest.raises(ModelError, match=r"bad\.pt"):
        export(config, tmp_path / "bad.pt", tmp_path / "p")


def test_half_the_reachable_dice_maximises_the_expected_one():
    """Voxels of known probabilities: no threshold has a higher Dice of expectations than the one of `dice_offset`."""
    p = np.random.default_rng(0).beta(0.3, 1.2, 20_000)

    def dice(threshold):
        taken = p > threshold
        return 2 * p[taken].sum() / (taken.sum() + p.sum())

    best = max(dice(t) for t in np.linspace(0.01, 0.99, 99))
    threshold = 1 / (1 + np.exp(dice_offset(best)))
    assert dice(threshold) == pytest.approx(best, abs=1e-4)
    assert dice(threshold) > dice(0.5) + 0.01


def test_dice_of_the_last_validation_is_read_and_missing_ones_are_told(tmp_path):
    lines = [{"step": 5, "loss": 1.0}, {"step": 5, "validation/score": 0.6, "validation/liver": 0.8}]
    lines += [{"step": 9, "validation/score": 0.0, "validation/liver": 0.0}]
    with pytest.raises(ModelError, match=r"metrics\.jsonl: holds no validation at step 5"):
        validated_dice(tmp_path, 5)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert validated_dice(tmp_path, 5) == {"liver": 0.8}
    with pytest.raises(ModelError, match="holds no validation at step 7"):
        validated_dice(tmp_path, 7)
    with pytest.raises(ModelError, match="liver not found at step 9"):
        validated_dice(tmp_path, 9)
