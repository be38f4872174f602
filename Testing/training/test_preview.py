"""What a training costs, said before it starts: counts by hand, and nothing trained."""

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.tiny_data import write_config, write_data
from LiverMRISegLib.data.case_selection import FoldConfig
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training import preview
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.methods.bidirectional_copy_paste import BidirectionalCopyPaste
from LiverMRISegLib.training.preview import Inferences, TrainingCost
from LiverMRISegLib.training.stages import cross_pseudo_supervision, finetune
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig, run_bidirectional_copy_paste
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.validation import LabelledImage, Validation


def test_hours_are_of_steps_and_of_inferences():
    cost = TrainingCost(1000, 1.8, Inferences(30, 4, 60), 6.0, 1.0, 2.0)
    assert cost.hours == pytest.approx((1000 * 1.8 + (30 * 4 + 60) * 6.0) / 3600)
    assert str(cost) == (
        "1,000 steps of 1.80 s; 4 validations of 30 tiles and 60 at the end, 6.00 s each; 0.8 hours; disk 1.0 GB; "
        "memory 2.0 GB"
    )


@pytest.mark.parametrize(
    ("cases", "patches", "images", "expected"),
    [
        (0, 0, 80, Inferences(80 * 27, 200, 0)),  # the audit's fold: every volume whole, every 250 steps
        (16, 4, 80, Inferences(16 * 4, 200, 80 * 27)),
        (20, 0, 10, Inferences(10 * 27, 200, 0)),
    ],
)
def test_inferences_are_counted(cases, patches, images, expected):
    image = LabelledImage(np.zeros((16, 16, 16), np.float32), np.zeros((16, 16, 16), np.uint8), {1: np.zeros((1, 3))})
    validation = Validation([image], ["liver"], InferenceSpec((8, 8, 8)), cases, patches)
    assert preview._inferences(validation, images, LoopConfig(steps=50_000, validate_every=250)) == expected


def test_labels_after_the_training_are_counted():
    config = LoopConfig(steps=1000, preview_labels=50)
    nothing = Validation([], ["liver"], InferenceSpec((8, 8, 8)))
    found = preview._inferences(nothing, 0, config, [(16, 16, 16), (8, 8, 8)])
    assert found == Inferences(0, 0, 0, 50 * (27 + 1) // 2)
    assert str(found) == "0 validations of 0 tiles and 0 at the end, 700 for the labels"
    assert found.total == 700


@pytest.mark.parametrize(
    ("stage", "kind"),
    [(finetune.run, FinetuneConfig), (cross_pseudo_supervision.run_cross_pseudo_supervision, CrossPseudoStageConfig)],
)
def test_a_stage_says_its_cost_and_trains_nothing(stage, kind, tmp_path, caplog):
    loop = "{steps: 5000, validate_every: 1000, precision: 32-true, accelerator: cpu, preview: true}"
    config = read_config(
        kind, write_config(tmp_path, write_data(tmp_path), loop=loop, run_folder=str(tmp_path / "run"))
    )
    with caplog.at_level(logging.INFO, "LiverMRISegLib.training.preview"):
        assert stage(config).step == 0
    assert "5,000 steps of " in caplog.text
    assert "5 validations of " in caplog.text
    assert not (tmp_path / "run/model").exists()
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_volumes_that_are_not_there_yet_are_validated_on_too(tmp_path, caplog):
    """Of two labelled volumes a fold holds out one; of four times as many, as translations are, it will be four."""
    loop = "{steps: 100, validate_every: 50, precision: 32-true, accelerator: cpu, preview: true, preview_cases: %s}"
    counts = []
    for cases in (0, 8):
        config = read_config(
            FinetuneConfig,
            write_config(tmp_path, write_data(tmp_path), loop=loop % cases, run_folder=str(tmp_path / "run")),
        )
        config = replace(config, data=replace(config.data, fold=FoldConfig(0, 2)))
        caplog.clear()
        with caplog.at_level(logging.INFO, "LiverMRISegLib.training.preview"):
            finetune.run(config)
        counts.append(int(re.search(r"2 validations of (\d+) tiles", caplog.text)[1]))
    assert counts[1] == 4 * counts[0] > 0


def test_steps_are_timed_that_use_unlabelled_volumes(tmp_path, monkeypatch):
    """Copy-paste begins with labelled ones alone, at half of the images and without its teacher."""
    loop = "{steps: 5000, precision: 32-true, accelerator: cpu, preview: true}"
    config = write_config(tmp_path, write_data(tmp_path), loop=loop, run_folder=str(tmp_path / "run"))
    seen, losses = [], BidirectionalCopyPaste.losses

    def watched(self, batch, step):
        found = losses(self, batch, step)
        seen.append("inward" in found)
        return found

    monkeypatch.setattr(BidirectionalCopyPaste, "losses", watched)
    run_bidirectional_copy_paste(read_config(CopyPasteStageConfig, config))
    assert seen == [True] * 4


def test_a_training_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    loop = "{steps: 50, precision: 32-true, accelerator: cpu, preview: true}"
    config = read_config(FinetuneConfig, write_config(tmp_path, write_data(tmp_path), loop=loop))
    config = replace(config, run_folder=tmp_path / "run")
    monkeypatch.setattr(preview, "_total_gb", lambda fabric: 0.01)
    with pytest.raises(UsageError, match=r"GB of memory, of 10 MB; take a smaller data.patch"):
        finetune.run(config)
    monkeypatch.undo()
    monkeypatch.setattr(preview, "_size_gb", lambda state: 1e9)
    with pytest.raises(UsageError, match=r"GB of disk, .* GB are free"):
        finetune.run(config)
    monkeypatch.undo()

    def too_much(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("LiverMRISegLib.training.methods.supervised.Supervised.losses", too_much)
    with pytest.raises(UsageError, match=r"a step does not fit into the memory of cpu; take a smaller data.patch"):
        finetune.run(config)
