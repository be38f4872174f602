"""The stages as their users run them: real scripts, tiny real trainings, real kills, two processes, a full disk."""

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric.plugins.precision.amp import MixedPrecision

from helpers.places import ROOT
from helpers.tiny_data import on_two_processes, run_script, status_of_script_here, write_config, write_data
from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.loop import TrainingError, _Run
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig, run_bidirectional_copy_paste
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig, run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from LiverMRISegLib.training.stages.intermediate_domains import IntermediateDomainsStageConfig, run_intermediate_domains
from LiverMRISegLib.training.validation import Validation

STAGES = {
    "finetune": (FinetuneConfig, run_finetune),
    "cross_pseudo_supervision": (CrossPseudoStageConfig, run_cross_pseudo_supervision),
    "bidirectional_copy_paste": (CopyPasteStageConfig, run_bidirectional_copy_paste),
    "intermediate_domains": (IntermediateDomainsStageConfig, run_intermediate_domains),
}


@pytest.fixture(scope="module")
def datalist(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def config_of(stage: str, folder: Path, datalist: Path, **changes):
    config = read_config(STAGES[stage][0], write_config(folder, datalist))
    return replace(config, run_folder=folder / "run", **changes)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command(stage: str, config: Path, run: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / f"scripts/train/{stage}.py"),
        "--config",
        str(config),
        "--run-folder",
        str(run),
        *more,
    ]


def logged(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def networks(run: Path) -> dict[str, torch.Tensor]:
    state = checkpoints.load_newest(run / "checkpoints")
    return {f"{b}.{n}": t for b, network in state["method"]["networks"].items() for n, t in network.items()}


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


@pytest.mark.parametrize("stage", ["cross_pseudo_supervision", "bidirectional_copy_paste"])
def test_a_killed_run_ends_at_the_same_weights(stage, datalist, tmp_path):
    config = write_config(tmp_path, datalist)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run_script(command(stage, config, whole))
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(command(stage, config, killed), env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None and not list((killed / "checkpoints").glob("step_*.pt")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = run_script(command(stage, config, killed))
    assert done.returncode == 0, done.stderr
    first, second = networks(whole), networks(killed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [line["step"] for line in logged(killed) if "loss" in line] == list(range(1, 13))
    assert (whole / "model/model.json").read_text() == (killed / "model/model.json").read_text()


def test_a_run_that_ended_before_its_first_checkpoint_leaves_no_lines(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").write_text('{"step": 1, "loss": 9.0}\n{"step": 2, "lo')
    run_finetune(config)
    assert [line["step"] for line in logged(tmp_path / "run") if "loss" in line] == list(range(1, 13))


def test_a_precision_without_a_state_may_follow_one(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(replace(config, loop=replace(config.loop, steps=6)))
    state = checkpoints.load_newest(tmp_path / "run/checkpoints")
    assert state["precision"] == {}
    scaled = MixedPrecision("16-mixed", "cuda", torch.amp.GradScaler("cpu"))
    fabric = SimpleNamespace(strategy=SimpleNamespace(precision=scaled), is_global_zero=True)
    gone_on = _Run(SimpleNamespace(load_state_dict=lambda _: None), config.loop, tmp_path / "run", fabric)
    gone_on.resume()
    assert gone_on.step == 6


def test_boxes_need_as_many_unlabelled_patches(datalist, tmp_path):
    config = config_of("intermediate_domains", tmp_path, datalist)
    config = replace(config, data=replace(config.data, unlabelled_batch=1, labelled_batch=2))
    with pytest.raises(UsageError, match="must be equal"):
        run_intermediate_domains(config)
    config = replace(config, run_folder=tmp_path / "other", data=replace(config.data, unlabelled_batch=0))
    with pytest.raises(UsageError, match="unlabelled_batch must be at least 1"):
        run_intermediate_domains(config)


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


def test_a_full_disk_ends_with_one_line_and_the_run_goes_on(datalist, tmp_path):
    """The limit on the size of files stands for a full disk: the system refuses to write on."""
    config, run = write_config(tmp_path, datalist), tmp_path / "run"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    done = subprocess.run(
        command("finetune", config, run), env=environment(), capture_output=True, text=True, preexec_fn=limit
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((run / "checkpoints").glob("*.pt"))
    done = run_script(command("finetune", config, run))
    assert done.returncode == 0, done.stderr


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_it(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(replace(config, loop=replace(config.loop, steps=6)))
    state = checkpoints.load_newest(tmp_path / "run/checkpoints")
    state["method"]["networks"]["last"]["seg_outputs.4.bias"][0] = float("nan")
    checkpoints.save(tmp_path / "run/checkpoints", 6, state, is_best=False)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 6.*same command"):
        run_finetune(config)
    assert checkpoints.load_newest(tmp_path / "run/checkpoints")["step"] == 6


def test_a_corrupt_volume_is_named_before_training_begins(datalist, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    path = write_data(folder)
    broken = folder / "p1_GED4.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(InputError, match=r"1 of 2 volumes cannot be used.*\n.*p1_GED4\.nii\.gz"):
        run_finetune(config_of("finetune", tmp_path, path))


def test_the_best_weights_are_written_before_the_step_that_tells_of_them(tmp_path, monkeypatch):
    """A disk that fills up between the two leaves a run that finds the same best again."""
    checkpoints.save(tmp_path, 1, {"best": 0.5}, is_best=True)
    assert checkpoints.load(tmp_path / "step_00000001.pt") == checkpoints.load(tmp_path / "best.pt")
    monkeypatch.setattr(checkpoints.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OutputError, match="cannot be written"):
        checkpoints.save(tmp_path, 2, {"best": 0.9}, is_best=True)
    assert checkpoints.load(tmp_path / "best.pt")["best"] == 0.9
    assert checkpoints.load_newest(tmp_path)["best"] == 0.5


def test_voxels_without_truth_do_not_count_in_validation():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:2], labels[2] = 1, IGNORE
    predicted = np.where(labels > 0, 1, 0)
    validation = Validation([], ["liver"], InferenceSpec((4, 4, 4)))
    assert validation._dice(predicted, labels)[0] == 1.0


def test_another_training_is_not_gone_on_with(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(config)
    with pytest.raises(UsageError, match=r"contains a training with data\.foreground 0\.33, not 0\.9"):
        run_finetune(replace(config, data=replace(config.data, foreground=0.9)))
    assert run_finetune(replace(config, branch="last")).step == 12


def test_the_learning_rate_may_be_lowered_when_a_run_goes_on(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(replace(config, loop=replace(config.loop, steps=6)))
    lower = replace(config, loop=replace(config.loop, learning_rate=1e-5))
    assert run_finetune(lower).step == 12
    with pytest.raises(UsageError, match=r"contains a training with loop\.learning_rate"):
        run_finetune(config)


def test_a_run_does_not_go_on_with_other_data_under_the_same_names(datalist, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(datalist.parent, folder)
    path = write_data(folder)
    config = config_of("finetune", tmp_path, path)
    run_finetune(config)
    labels = folder / "p1_GED4_label.nii.gz"
    volume = read_labelmap(labels)
    volume.array[0, 0, 0] = 1
    write_volume(volume, labels)
    with pytest.raises(UsageError, match="a training on other data"):
        run_finetune(config)


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


def test_methods_that_need_unlabelled_volumes_say_so(tmp_path):
    config = config_of("cross_pseudo_supervision", tmp_path, write_only_labelled(tmp_path / "only"))
    with pytest.raises(UsageError, match="no unlabelled scan"):
        run_cross_pseudo_supervision(config)


def write_only_labelled(folder: Path) -> Path:
    folder.mkdir()
    path = write_data(folder)
    document = json.loads(path.read_text())
    document["scans"] = [s for s in document["scans"] if "labels" in s]
    path.write_text(json.dumps(document))
    return path


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


@pytest.mark.parametrize(
    ("option", "value", "status", "words"),
    [
        ("--optimizer.weight-decay", "-5", 2, "optimizer.weight_decay must be between 0 and 1, not -5"),
        ("--start", "nowhere", 4, "nowhere"),
        ("--data.datalists", "absent.json", 3, "absent.json"),
        ("--data.organs", "pancreas", 2, "no labels of 'pancreas'"),
    ],
)
def test_wrong_configs_end_with_one_line(datalist, tmp_path, monkeypatch, caplog, option, value, status, words):
    arguments = command("finetune", write_config(tmp_path, datalist), tmp_path / "run", option, value)
    assert status_of_script_here(arguments, monkeypatch) == status
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert words in line


@pytest.mark.parametrize(("orientation", "axis"), [("LPS", 2), ("PSL", 0), ("SRA", 1), ("", 1)])
def test_paired_organs_are_not_mirrored_onto_each_other(orientation, axis):
    mirrored = AugmentationConfig(mirror_axes=(axis,))
    organs = ("liver", "left kidney")
    with pytest.raises(UsageError, match=f"mirror_axes must not contain {axis}"):
        DataConfig(organs=organs, orientation=orientation, augmentation=mirrored)
    DataConfig(organs=("liver",), orientation=orientation, augmentation=mirrored)
    others = tuple({0, 1, 2} - {axis}) if orientation else ()
    DataConfig(organs=organs, orientation=orientation, augmentation=AugmentationConfig(mirror_axes=others))


@pytest.mark.parametrize("stage", ["bidirectional_copy_paste", "intermediate_domains"])
def test_pasting_methods_say_that_they_cannot_leave_voxels_out(stage, datalist, tmp_path):
    document = json.loads(datalist.read_text())
    document["ignore"] = 255
    known = datalist.with_name(f"{stage}_with_unknown.json")
    known.write_text(json.dumps(document))
    config = config_of(stage, tmp_path, known)
    with pytest.raises(UsageError, match=r"voxels to ignore.*cross_pseudo_supervision"):
        STAGES[stage][1](config)
    crossed = config_of("cross_pseudo_supervision", tmp_path, known)
    with pytest.raises(UsageError, match="the loss of preset ssl4mis cannot use"):
        run_cross_pseudo_supervision(replace(crossed, cps=replace(crossed.cps, preset="ssl4mis")))
