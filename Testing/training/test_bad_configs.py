"""Configs that cannot be used: each is refused by one clear line and exit status 2, before anything is trained."""

import logging
import re

import pytest

from helpers.places import ROOT
from helpers.tiny_data import status_of_script_here
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.configuration import config_from_arguments, read_config
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x0: 1, x1: 1, x2: 1, x3: 1}\n" + "".join(
    f"m{number}: &m{number} {{<<: [*{before}, *{before}]}}\n"
    for number, before in enumerate(["a", *(f"m{n}" for n in range(39))])
)
FILES = {
    "not UTF-8": (b"run_folder: \xff\xfe", "is not UTF-8 text"),
    "a date of month 13": (b"name: 2024-13-45", "month must be in 1..12"),
    "a date for a name": (b"name: 2024-12-05", "name must be text, not datetime.date"),
    "a number that is none": (b"loop: {steps: !!int abc}", "'abc'"),
    "a key twice": (b"loop: {steps: 1, seed: 2, steps: 3}", "the key 'steps' is there twice"),
    "code": (b"loop: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "an anchor that contains itself": (b"loop: &a {seed: *a}", "nested too deeply"),
    "a file that contains itself": (b"&a {loop: *a}", "nested too deeply"),
    "lists in lists": (b"loop: " + b"[" * 5000, "nested too deeply"),
    "closed lists in lists": (b"loop: " + b"[" * 60 + b"]" * 60, "nested too deeply"),
    "billion laughs": (LAUGHS.encode(), "too many values"),
    "merged mappings that double 40 times": (MERGES.encode(), "its merged mappings (<<) unfold to more than"),
    "a number of 6000 digits": (b"loop: {steps: " + b"9" * 6000 + b"}", "cannot be read as YAML"),
    "a hexadecimal number of 6000 digits": (b"loop: {steps: 0x" + b"f" * 6000 + b"}", "too large to show"),
    "a number beyond floats": (b"loop: {learning_rate: " + b"9" * 400 + b"}", "loop.learning_rate must be a finite"),
    "a list for a key": (b"? [a, b]\n: c", "unhashable key"),
    "a number for a key": (b"3: 4", "unknown key '3'"),
    "nothing": (b"", "must be a mapping of config keys"),
    "a list": (b"- a", "must be a mapping of config keys"),
    "null for a mapping": (b"loop: null", "loop must be a mapping, not None"),
    "a control character": (b"loop: \x00", "special characters are not allowed"),
    "a base without end": (b"base: /dev/zero", "/dev/zero (a base of "),
    "a folder as base": (b"base: /", "is not a file"),
    "a list as base": (b"base: [a]", "base must be the path of a file"),
    "a base of no path": (b'base: "a\\0b"', "base must be the path of a file"),
    "a version that is a number": (b"version: 1.0", "version must be text, not 1.0; put it in quotes"),
    "a key that does not exist": (b"loop: {step: 3}", "unknown key 'loop.step'; did you mean 'loop.steps'?"),
}  # fmt: skip
VALUES = {
    "loop: {steps: -5}": "loop.steps must be between 1 and 1000000000, not -5",
    "loop: {steps: 1.5}": "loop.steps must be a whole number, not 1.5",
    "loop: {precision: bf8}": "loop.precision must be one of 32-true, bf16-mixed, 16-mixed, not 'bf8'",
    "loop: {accelerator: abacus}": "loop.accelerator must be one of auto, cpu, gpu, cuda, mps, not 'abacus'",
    "loop: {seed: -1}": "loop.seed must be between 0 and 4294967295, not -1",
    "loop: {warmup: -3}": "loop.warmup must be between 0 and 1000000000, not -3",
    "loop: {gradient_clip: -1}": "loop.gradient_clip must be between 0 and 1000000000.0, not -1",
    "loop: {learning_rate: -0.1}": "loop.learning_rate must be above 0 and at most 10, not -0.1",
    "loop: {learning_rate: .nan}": "loop.learning_rate must be a finite number, not nan",
    "loop: {devices: 0}": "loop.devices must be between 1 and 1024, not 0",
    "loop: {schedule: falling}": (
        "loop.schedule must be one of polynomial, constant then linear, linear over the last tenth, staircase, "
        "not 'falling'"
    ),
    "optimizer: {weight_decay: -5}": "optimizer.weight_decay must be between 0 and 1, not -5",
    "optimizer: {name: adamm}": "optimizer.name must be one of adam, adamw, muon, sgd, not 'adamm'",
    "data: {patch: [100000, 8, 8]}": "data.patch[0] must be between 1 and 1024, not 100000",
    "data: {patch: [1024, 1024, 1024]}": "data.patch must have at most 134217728 voxels, not 1073741824",
    "data: {spacing: [.nan, 1, 1]}": "data.spacing[0] must be a finite number, not nan",
    "data: {spacing: [0.0001, 1, 1]}": "data.spacing[0] must be between 0.1 and 100, not 0.0001",
    "data: {labelled_batch: -1}": "data.labelled_batch must be between 0 and 10000, not -1",
    "data: {foreground: 7.0}": "data.foreground must be between 0 and 1, not 7.0",
    "data: {organs: []}": "data.organs must name at least one organ",
    "data: {organs: [liver, spleen, liver]}": "data.organs names 'liver' twice",
    "data: {augmentation: {mirror_axes: [3]}}": "data.augmentation.mirror_axes[0] must be between 0 and 2, not 3",
    "data: {synthetic: {randomization: {look: {iron: 2}}}}":
        "data.synthetic.randomization.look.iron must be between 0 and 1, not 2",
    "region: abdomn": "region must be one of , body, abdomen, not 'abdomn'",
    "branch: middle": "branch must be one of average, last, mean, not 'middle'",
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_config_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        read_config(FinetuneConfig, path)
    message = str(error.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 600 + len(str(path))


@pytest.mark.parametrize(("text", "words"), VALUES.items(), ids=VALUES)
def test_a_value_out_of_range_is_named_with_its_key(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_config(FinetuneConfig, path)
    assert str(error.value) == f"{path}: {words}"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--loop.steps", "-5"], "loop.steps must be between 1 and"),
        (["--loop.learning-rate", "nan"], "loop.learning_rate must be a finite number"),
        (["--data.organs", "liver", "liver"], "data.organs names 'liver' twice"),
    ],
)
def test_flags_are_held_to_the_same_ranges(tmp_path, monkeypatch, caplog, flags, words):
    script = ROOT / "scripts" / "train" / "finetune.py"
    arguments = ["python", str(script), "--run-folder", str(tmp_path / "run"), *flags]
    assert status_of_script_here(arguments, monkeypatch) == 2
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert words in line
    assert not (tmp_path / "run").exists()


def test_a_config_made_in_python_is_held_to_them_too():
    with pytest.raises(UsageError, match="OptimizerConfig: weight_decay must be between 0 and 1, not -5"):
        OptimizerConfig(weight_decay=-5)


def test_a_good_config_may_use_anchors(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {patch: &size [32, 32, 32], spacing: [3, 3, 3]}\nwidths: *size")
    config = read_config(FinetuneConfig, tmp_path / "config.yaml")
    assert config.widths == config.data.patch == (32, 32, 32)
    assert config_from_arguments(FinetuneConfig, ["--config", str(tmp_path / "config.yaml")]) == config
    assert config_from_arguments(FinetuneConfig, [f"--config={tmp_path / 'config.yaml'}"]) == config
