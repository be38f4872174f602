"""The stages as their users run them: real scripts, tiny real trainings, two processes, packages that segment."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.stage_runs import STAGES, command, config_of, logged
from helpers.tiny_data import on_two_processes, run_script, write_config, write_data
from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.cross_pseudo_supervision import run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from LiverMRISegLib.training.validation import Validation


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_learns_and_writes_a_package_that_segments(stage, datalist, tmp_path):
    config = config_of(stage, tmp_path, datalist)
    config = replace(config, loop=replace(config.loop, steps=40, learning_rate=0.01, validate_every=20))
    if stage in {"bidirectional_copy_paste", "intermediate_domains"}:  # their authors' SGD learns nothing in 40 steps
        config = replace(config, optimizer=OptimizerConfig(), loop=replace(config.loop, schedule="polynomial"))
    if stage == "cross_pseudo_supervision":  # cross entropy alone finds no small organ in so few steps
        config = replace(config, cps=replace(config.cps, preset="dice"))
    result = STAGES[stage][1](config)
    assert result.step == 40
    run = tmp_path / "run"
    assert len(list((run / "checkpoints").glob("step_*.pt"))) == 2
    assert (run / "checkpoints/best.pt").exists()
    assert any("validation/score" in line for line in logged(run))
    assert all(np.isfinite(v) for line in logged(run) for v in line.values())
    assert list((run / "tensorboard").iterdir())
    package = ModelPackage.load(run / "model")
    package.verify()
    assert package.spec.network.members == (2 if stage == "cross_pseudo_supervision" else 1)
    assert [o.name for o in package.spec.labels.organs] == ["liver", "spleen"]
    assert set(package.spec.sequences) == ({"GED4"} if stage == "finetune" else {"GED4", "T1WI", "T2WI"})
    found = Segmenter.load(run / "model", "cpu").segment(read_volume(datalist.parent / "p4_GED4.nii.gz")).labelmap == 1
    # A volume that was not trained on.
    liver = read_labelmap(datalist.parent / "p4_GED4_label.nii.gz").array == 1
    assert found.shape == liver.shape
    assert 2 * (found & liver).sum() / (found.sum() + liver.sum()) > 0.7


def test_nnunets_network_trains_and_segments_as_well(datalist, tmp_path):
    config = config_of(
        "finetune",
        tmp_path,
        datalist,
        network="residual-encoder-unet",
        widths=(4, 8, 8),
        blocks=(1, 1, 2),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    )
    assert run_finetune(config).step == 12
    image = read_volume(datalist.parent / "p4_GED4.nii.gz")
    segmented = Segmenter.load(tmp_path / "run/model", "cpu").segment(image)
    assert segmented.labelmap.shape == image.array.shape
    assert run_finetune(replace(config, run_folder=tmp_path / "next", start=str(tmp_path / "run/model"))).step == 12


def test_test_labels_are_never_read(datalist, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    path = write_data(folder)
    for file in folder.glob("p4_*"):
        file.write_bytes(b"not read")
    assert run_finetune(config_of("finetune", tmp_path, path)).step == 12


@pytest.mark.parametrize("stage", ["finetune", "cross_pseudo_supervision"])
def test_two_processes_follow_one_with_the_whole_batch(stage, datalist, tmp_path):
    config = write_config(tmp_path, datalist)
    alone = run_script(command(stage, config, tmp_path / "one"))
    assert alone.returncode == 0, alone.stderr
    done = on_two_processes(command(stage, config, tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    one, two = ([line["loss"] for line in logged(tmp_path / run) if "loss" in line] for run in ("one", "two"))
    assert len(two) == 12
    assert two == pytest.approx(one, rel=2e-3)


def test_voxels_without_truth_do_not_count_in_validation():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:2], labels[2] = 1, IGNORE
    predicted = np.where(labels > 0, 1, 0)
    validation = Validation([], ["liver"], InferenceSpec((4, 4, 4)))
    assert validation._dice(predicted, labels)[0] == 1.0


def test_either_branch_or_the_mean_is_exported(datalist, tmp_path):
    config = config_of("cross_pseudo_supervision", tmp_path, datalist)
    run_cross_pseudo_supervision(config)
    image = read_volume(datalist.parent / "p4_GED4.nii.gz")
    logits = {}
    for branch in ("mean", "first", "second"):
        run_cross_pseudo_supervision(replace(config, branch=branch))
        engine = Segmenter.load(tmp_path / "run/model", "cpu").engine
        patch = np.random.default_rng(0).normal(size=(1, 1, 8, 16, 16)).astype(np.float32)
        logits[branch] = engine.predict(patch)
    assert np.allclose(logits["mean"], (logits["first"] + logits["second"]) / 2, atol=1e-4)
    assert not np.allclose(logits["first"], logits["second"], atol=1e-2)
    assert image.array.shape


def test_training_goes_on_from_another_runs_package(datalist, tmp_path):
    first = config_of("finetune", tmp_path, datalist)
    run_finetune(first)
    start = str(tmp_path / "run/model")
    second = replace(first, run_folder=tmp_path / "second", start=start, keep_heads=True)
    network = second.new_network(5, deep_supervision=True)
    package = ModelPackage.load(tmp_path / "run/model")
    assert all(np.allclose(t.numpy(), package.weights[n]) for n, t in network.state_dict().items())
    fresh = replace(second, keep_heads=False).new_network(5, deep_supervision=True).state_dict()
    heads = {n for n, t in fresh.items() if not np.allclose(t.numpy(), package.weights[n])}
    assert heads == {n for n in fresh if n.startswith("seg_outputs.")}
    assert run_finetune(second).step == 12
    provenance = ModelPackage.load(second.run_folder / "model").spec.provenance[0]
    assert provenance["unlabelled scans"] == 0, "scans without labels stand in the list, and are not read"


def test_each_network_of_cps_may_have_a_start_of_its_own(datalist, tmp_path):
    starts = []
    for seed, name in enumerate(("one", "other")):
        config = config_of("finetune", tmp_path, datalist)
        loop = replace(config.loop, steps=1, seed=seed)
        run_finetune(replace(config, run_folder=tmp_path / name, name=name, loop=loop))
        starts.append(tmp_path / name / "model")
    config = config_of("cross_pseudo_supervision", tmp_path, datalist)
    still = replace(config.loop, steps=1, learning_rate=1e-7)
    config = replace(config, start=str(starts[0]), second_start=str(starts[1]), keep_heads=True, loop=still)
    for branch, start in zip(("first", "second"), starts, strict=True):
        run_cross_pseudo_supervision(replace(config, branch=branch))
        package, wanted = ModelPackage.load(tmp_path / "run/model"), ModelPackage.load(start).weights
        assert all(np.allclose(tensor, wanted[name], atol=1e-3) for name, tensor in package.weights.items())
        assert package.spec.provenance[0]["config"]["start"] == "one 1.0 and other 1.0"
        assert str(tmp_path) not in str(package.spec.provenance)
    mixed = replace(config, branch="second", start_share=0.9)
    run_cross_pseudo_supervision(mixed)
    weights, wanted = ModelPackage.load(tmp_path / "run/model").weights, ModelPackage.load(starts[1]).weights
    assert all(np.allclose(tensor, wanted[name], atol=1e-3) for name, tensor in weights.items()), "not with the first's"
    with pytest.raises(UsageError, match="start"):
        run_cross_pseudo_supervision(replace(config, second_start=str(starts[0]), run_folder=tmp_path / "alike"))


def test_pools_are_chosen_by_sequence_and_vendor(datalist, tmp_path):
    config = config_of("cross_pseudo_supervision", tmp_path, datalist)
    chosen = replace(config.data.unlabelled, sequences=("GED4",), vendors=("B",))
    run_cross_pseudo_supervision(replace(config, data=replace(config.data, unlabelled=chosen)))
    provenance = ModelPackage.load(tmp_path / "run/model").spec.provenance[0]
    assert (provenance["labelled scans"], provenance["unlabelled scans"]) == (2, 1)
    with pytest.raises(UsageError, match="no datalist has a patient 'p9'"):
        run_finetune(
            replace(
                config_of("finetune", tmp_path, datalist),
                run_folder=tmp_path / "other",
                data=replace(config.data, labelled=replace(chosen, patients=("p9",))),
            )
        )
