"""What a stage cannot train with is said in one line before it begins: settings, organs, data."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.stage_runs import STAGES, command, config_of
from helpers.tiny_data import status_of_script_here, write_config, write_data
from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.errors import InputError, LiverMRISegError, UsageError
from LiverMRISegLib.training.stages.bidirectional_copy_paste import run_bidirectional_copy_paste
from LiverMRISegLib.training.stages.cross_pseudo_supervision import run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from LiverMRISegLib.training.stages.intermediate_domains import run_intermediate_domains


def test_boxes_need_as_many_unlabelled_patches(datalist, tmp_path):
    config = config_of("intermediate_domains", tmp_path, datalist)
    config = replace(config, data=replace(config.data, unlabelled_batch=1, labelled_batch=2))
    with pytest.raises(UsageError, match="must be equal"):
        run_intermediate_domains(config)
    config = replace(config, run_folder=tmp_path / "other", data=replace(config.data, unlabelled_batch=0))
    with pytest.raises(UsageError, match="unlabelled_batch must be at least 1"):
        run_intermediate_domains(config)


@pytest.mark.parametrize("batches", [(2, 4), (3, 3)])
def test_copy_paste_needs_pairs_before_it_begins_its_pretraining(datalist, tmp_path, batches):
    config = config_of("bidirectional_copy_paste", tmp_path, datalist)
    data = replace(config.data, labelled_batch=batches[0], unlabelled_batch=batches[1])
    with pytest.raises(UsageError, match=rf"must be equal and even, not {batches[0]} and {batches[1]}"):
        run_bidirectional_copy_paste(replace(config, data=data))
    assert not (tmp_path / "run").exists()


def test_a_corrupt_volume_is_named_before_training_begins(datalist, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    path = write_data(folder)
    broken = folder / "p1_GED4.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(InputError, match=r"1 of 2 volumes cannot be used.*\n.*p1_GED4\.nii\.gz"):
        run_finetune(config_of("finetune", tmp_path, path))


def test_an_organ_that_does_not_exist_has_no_outline(tmp_path):
    config = config_of("finetune", tmp_path, tmp_path / "not_read.json")
    assert replace(config, outline_offsets={"IVC": 0.2}).outline_offsets
    assert replace(config, unrefined=("IVC",)).unrefined
    for wrong in ({"outline_offsets": {"right kidny": 0.4}}, {"unrefined": ("right kidny",)}):
        with pytest.raises(UsageError, match="unknown organ 'right kidny'"):
            replace(config, **wrong)
    with pytest.raises(UsageError, match="'inferior vena cava' cannot be both in outline_offsets and in unrefined"):
        replace(config, outline_offsets={"inferior vena cava": 0.2}, unrefined=("IVC",))


@pytest.mark.parametrize("method", ["finetune", "cross_pseudo_supervision"])
def test_a_patch_that_the_strides_do_not_divide_is_said_before_data_are_read(tmp_path, method):
    config = config_of(method, tmp_path, tmp_path / "not_read.json")
    config = replace(config, data=replace(config.data, patch=(17, 16, 16)))
    with pytest.raises(UsageError, match=r"data\.patch: a patch of \[17, 16, 16\] voxels does not fit"):
        STAGES[method][1](config)
    assert not config.run_folder.exists()


@pytest.mark.parametrize(("preset", "ramp", "is_warned"), [
    ("paper", "preset", True), ("original", "preset", True), ("dice", "none", True),
    ("paper", "sigmoid", False), ("dice", "preset", False),
])  # fmt: skip
def test_two_random_networks_are_warned_of_the_whole_weight(tmp_path, caplog, preset, ramp, is_warned):
    config = config_of("cross_pseudo_supervision", tmp_path, write_only_labelled(tmp_path / "only"))
    with pytest.raises(UsageError):  # there is nothing unlabelled; said after the warning
        run_cross_pseudo_supervision(replace(config, cps=replace(config.cps, preset=preset, ramp=ramp)))
    assert ("both networks begin at random" in caplog.text) == is_warned


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


@pytest.mark.parametrize(
    ("option", "value", "status", "words"),
    [
        ("--optimizer.weight-decay", "-5", 2, "optimizer.weight_decay must be between 0 and 1, not -5"),
        ("--start", "nowhere", 4, "nowhere"),
        ("--data.datalists", "absent.json", 3, "absent.json"),
        ("--data.organs", "pancreas", 2, "no labels of 'pancreas'"),
        ("--metrics", "absent.json", 2, "metrics: absent.json"),
    ],
)
def test_wrong_configs_end_with_one_line(datalist, tmp_path, monkeypatch, caplog, option, value, status, words):
    arguments = command("finetune", write_config(tmp_path, datalist), tmp_path / "run", option, value)
    assert status_of_script_here(arguments, monkeypatch) == status
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert words in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "nowhere"}, "nowhere: no model has this name"),
        ({"start": "nowhere.model"}, r"nowhere\.model: cannot be read"),
        ({"metrics": "absent.json"}, r"metrics: absent\.json"),
        ({"region": "abdomen"}, "needs a liver among the labels"),
    ],
)
def test_what_would_fail_after_the_training_fails_before_the_data_is_prepared(datalist, tmp_path, changes, words):
    config = config_of("finetune", tmp_path, datalist)
    data = replace(config.data, cache=tmp_path / "unused")
    if "region" in changes:
        data = replace(data, organs=("spleen",))
    with pytest.raises(LiverMRISegError, match=words):
        run_finetune(replace(config, data=data, **changes))
    assert not data.cache.exists()


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
