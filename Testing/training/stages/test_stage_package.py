"""The weights of a package: those of a checkpoint, mixed with the initial ones, with an offset of the background."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from LiverMRISegLib.data.case_selection import Pools
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.models.package.model_package import ModelPackage, rewrite
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.packaging import with_background_offset
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.stage_package import write_stage_package

NOTHING = Pools([], [], [])
STRIDES = ((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1))


def written(config, weights, step=7):
    state = {"step": step, "method": {"networks": {"average": weights}}}
    checkpoints.save(config.run_folder / "checkpoints", step, state, is_best=False)
    write_stage_package(config, NOTHING, is_validated=False)
    return ModelPackage.load(config.run_folder / "model")


@pytest.fixture
def config(tmp_path):
    data = DataConfig(organs=("liver", "spleen", "stomach"), spacing=(3.0,) * 3, patch=(32, 32, 32))
    return FinetuneConfig(run_folder=tmp_path / "run", data=data, network="stunet-xxs", strides=STRIDES)


def test_half_of_the_initial_weights(config, tmp_path):
    weights = config.new_network(3, deep_supervision=True).state_dict()
    first = written(config, weights)
    assert first.spec.provenance[0]["step"] == 7
    assert first.spec.provenance[0]["config"]["start"] == "random weights"
    started = replace(config, run_folder=tmp_path / "second", start=str(first.path), keep_heads=True)
    trained = {name: tensor + 0.25 for name, tensor in weights.items()}
    package = written(replace(started, start_share=0.5, background_offset=0.5), trained, step=9)
    for name, tensor in weights.items():
        wanted = tensor.numpy() + 0.125
        if name == "seg_outputs.4.bias":
            wanted[0] -= 0.5
        assert np.allclose(package.weights[name], wanted, atol=2e-3)
    assert package.spec.provenance[0]["config"]["start_share"] == 0.5
    with pytest.raises(UsageError, match="needs a start"):
        replace(config, start_share=0.5)
    with pytest.raises(UsageError, match="below 1"):
        replace(started, start_share=1.5)
    with pytest.raises(UsageError, match="branch 'mean' has several"):
        replace(started, start_share=0.5, branch="mean")


def test_heads_that_the_start_lacks_stay_as_trained(config, tmp_path):
    weights = config.new_network(3, deep_supervision=True).state_dict()
    first = written(config, weights)
    more = replace(config.data, organs=("spleen", "pancreas"))
    started = replace(config, data=more, run_folder=tmp_path / "second", start=str(first.path), keep_heads=True)
    trained = {
        name: torch.full_like(t, 2.0) for name, t in started.new_network(4, deep_supervision=True).state_dict().items()
    }
    head = "seg_outputs.4.bias"
    mixed = written(replace(started, start_share=0.5), trained, step=9).weights[head]
    background, _, spleen, _ = weights[head].tolist()
    assert np.allclose(mixed, [1 + background / 2, 1 + spleen / 2, 2.0], atol=2e-3)
    other = replace(started, run_folder=tmp_path / "third", start_share=0.5, keep_heads=False)
    assert np.allclose(written(other, trained, step=9).weights[head], 2.0)


def test_the_offset_is_that_of_the_finest_head():
    kwargs = {"in_channels": 1, "out_channels": 4, "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "blocks": [1, 1, 1]}
    network = build_network("plain-unet", deep_supervision=True, features=[4, 8, 8], **kwargs)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    changed = with_background_offset(weights, 0.5)
    differing = [name for name in weights if not np.array_equal(weights[name], changed[name])]
    assert differing == ["decoder.seg_layers.1.bias"]
    assert np.allclose(changed[differing[0]], weights[differing[0]] - [0.5, 0, 0, 0])


def test_figures_that_cannot_be_read_are_named(config, tmp_path):
    weights = config.new_network(3, deep_supervision=True).state_dict()
    (tmp_path / "figures.json").write_text("{}")
    for name in ("figures.json", "absent.json"):
        with pytest.raises(UsageError, match=f"metrics: .*{name}"):
            written(replace(config, metrics=str(tmp_path / name)), weights)


def test_a_run_without_a_readable_checkpoint(config):
    with pytest.raises(UsageError, match="contains no checkpoint"):
        write_stage_package(config, NOTHING, is_validated=False)
    folder = config.run_folder / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"step": 1, "method": {"networks": {"last": {}}}}, folder / "step_00000001.pt")
    with pytest.raises(ModelError, match="has no branch 'average'"):
        write_stage_package(config, NOTHING, is_validated=False)


def test_the_last_weights_instead_of_the_best_are_told_of(config, caplog):
    """A validation in which no volume shows an organ has no score, and never a best."""
    weights = config.new_network(3, deep_supervision=True).state_dict()
    state = {"step": 5, "method": {"networks": {"average": weights}}}
    checkpoints.save(config.run_folder / "checkpoints", 5, state, is_best=False)
    write_stage_package(config, NOTHING, is_validated=True)
    assert "the last weights are exported, not the best" in caplog.text
    caplog.clear()
    checkpoints.save(config.run_folder / "checkpoints", 6, state, is_best=True)
    write_stage_package(config, NOTHING, is_validated=True)
    write_stage_package(replace(config, checkpoint="last"), NOTHING, is_validated=True)
    assert "the last weights" not in caplog.text


def test_a_package_states_what_it_is_for_beside_what_it_was_trained_on(config, tmp_path):
    """A model for sequences without labels learns from labelled ones too, and must not be chosen for these."""
    scans = [Scan("p0", name, tmp_path / f"{name}.nii.gz") for name in ("GED4", "T1WI", "T2WI")]
    datalist = Datalist("tiny", "none", {1: "liver"}, scans)
    pools = Pools([(datalist, scans[0])], [(datalist, scan) for scan in scans[1:]], [])
    weights = config.new_network(0, deep_supervision=True).state_dict()
    state = {"step": 1, "method": {"networks": {"average": weights}}}
    checkpoints.save(config.run_folder / "checkpoints", 1, state, is_best=False)
    write_stage_package(config, pools, is_validated=False)
    plain = ModelPackage.load(config.run_folder / "model")
    assert (plain.spec.sequences, plain.spec.trained_on) == (("GED4", "T1WI", "T2WI"), ())
    assert "trained_on" not in (plain.path / "model.json").read_text()
    write_stage_package(replace(config, sequences=("T1WI", "T2WI")), pools, is_validated=False)
    meant = ModelPackage.load(config.run_folder / "model").spec
    assert (meant.sequences, meant.trained_on) == (("T1WI", "T2WI"), ("GED4", "T1WI", "T2WI"))
    with pytest.raises(UsageError, match="unknown sequence 'T3'"):
        replace(config, sequences=("T3",))


def test_a_licence_that_two_starts_share_is_named_once(config, tmp_path):
    starts = []
    for seed, licence in enumerate(("of the bodies; of the labels", "of the bodies; of the atlas")):
        own = replace(config, run_folder=tmp_path / f"start{seed}", name=f"start{seed}")
        package = written(own, own.new_network(seed, deep_supervision=True).state_dict())
        rewrite(package, replace(package.spec, weights_license=licence))
        starts.append(str(package.path))
    both = CrossPseudoStageConfig(
        run_folder=tmp_path / "pair", data=config.data, network=config.network, strides=STRIDES, start=starts[0],
        second_start=starts[1], keep_heads=True, branch="second",
    )  # fmt: skip
    weights = both.new_network(0, deep_supervision=True).state_dict()
    state = {"step": 1, "method": {"networks": {"first": weights, "second": weights}}}
    checkpoints.save(both.run_folder / "checkpoints", 1, state, is_best=False)
    write_stage_package(both, NOTHING, is_validated=False)
    spec = ModelPackage.load(both.run_folder / "model").spec
    assert spec.weights_license == "of the bodies; of the labels; of the atlas"
