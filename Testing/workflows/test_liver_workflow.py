"""liver.smk: the whole graph, and a real run on tiny volumes that ends with two packages and their tables."""

import csv
import re
import subprocess
from pathlib import Path

import pytest

from helpers.places import ROOT
from helpers.tiny_data import snakemake, write_data
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
TINY = """[--data.organs, liver, --data.spacing, "8", "4", "4", --data.patch, "8", "16", "16", --data.workers, "0",
  --network, stunet, --widths, "4", "4", "8", "8", "8", "8",
  --strides, "2", "2", "2", "1", "2", "2", "1", "1", "1", "1", "1", "1", "1", "1", "1",
  --loop.steps, "6", --loop.precision, 32-true, --loop.accelerator, cpu]"""


def run(folder: Path, *more: str) -> subprocess.CompletedProcess:
    settings = folder / "settings.yaml"
    datalist = folder / "datalist.json" if (folder / "datalist.json").exists() else write_data(folder)
    settings.write_text(
        f"output: {folder / 'out'}\natlas: {datalist}\nliqa: {datalist}\ntest: {datalist}\nseen_vendors: [A]\n"
        "groups: {liver-non-contrast: {judged: []}}\n"  # there is no labelled T1 or T2 among the test's scans
        f"test_flags: [--device, cpu]\nflags: {TINY}\n"
    )
    return snakemake("liver", folder, *more)


def test_the_graph_of_the_whole(tmp_path):
    done = run(tmp_path, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "--dry-run")
    words = done.stdout + done.stderr
    assert "semi_supervised" in words
    assert "finetune" in words


def test_configs_of_ones_own_and_paper_001s_pool(tmp_path):
    """A file that plan_training.py wrote takes the place of a config; the paper's unlabelled pool is GED4 alone."""
    paper = ROOT / "scripts/train/workflows/liver_paper_001.yaml"
    own = ["--config", f"finetune={tmp_path / 'plan.yaml'}", f"method_config={tmp_path / 'other.yaml'}"]
    done = run(tmp_path, "--dry-run", *own)
    assert f"{tmp_path / 'plan.yaml'}: " in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for name in ("plan.yaml", "other.yaml"):
        (tmp_path / name).write_text("loop: {steps: 5}\n")
    done = run(tmp_path, "--dry-run", "--printshellcmds", *own)
    words = done.stdout + done.stderr
    assert f"'--config' '{tmp_path / 'plan.yaml'}'" in words
    assert f"'--config' '{tmp_path / 'other.yaml'}'" in words
    assert "'--data.unlabelled.sequences' 'T1WI' 'T2WI' 'DWI' 'GED4'" in words
    done = run(tmp_path, str(paper), "--dry-run", "--printshellcmds", "--config", "preview=false")
    words = done.stdout + done.stderr
    assert words.count("'--data.unlabelled.sequences' 'GED4' ") == 2
    assert "inversion" not in words


def test_the_cost_is_said_before_anything_is_trained(tmp_path):
    done = run(tmp_path, "--", "preview")
    assert done.returncode == 0, done.stderr[-3000:]
    words = done.stdout + done.stderr
    assert words.count("6 steps of ") == 3
    for title in ("fine-tuning:", "liver-contrast:", "liver-non-contrast:"):
        assert f"{title}\n" in words
    assert not list((tmp_path / "out").rglob("model.json"))
    assert words.count("6 steps of ") == (tmp_path / "out/preview.txt").read_text().count("6 steps of ")


def test_a_training_that_does_not_fit_stops_the_workflow_before_it_starts(tmp_path):
    more = '"--data.spacing","2","2","2","--loop.preview-cases","10000000"'
    done = run(tmp_path, "--config", f"finetune_flags=[{more}]")
    assert done.returncode != 0
    assert re.search(r"the training takes \d+.\d GB of disk, [\d.]+ (GB|MB) are free", done.stdout)
    assert not (tmp_path / "out/preview.txt").exists()
    assert not (tmp_path / "out/finetune").exists()


def test_plans_from_the_data(tmp_path):
    """Both trainings get spacing, patch and strides by ATLAS's volumes, in files that their configs are the base of."""
    own = ["--config", "plan=true", "preview=false", 'plan_flags=["--memory-gb","1"]']
    done = run(tmp_path, *own, "--", str(tmp_path / "out/plans/finetune.yaml"))
    assert done.returncode == 0, done.stderr[-3000:]
    plan = read_config(FinetuneConfig, tmp_path / "out/plans/finetune.yaml")
    assert plan.data.spacing == (8.0, 4.0, 4.0)
    assert (plan.network, plan.data.image_order, plan.name) == ("stunet-s", 3, "liver-atlas")
    done = run(tmp_path, *own, "--dry-run", "--printshellcmds")
    words = done.stdout + done.stderr
    for settings in ("finetune", "cross_pseudo_supervision"):
        assert f"'--config' '{tmp_path / 'out/plans'}/{settings}.yaml'" in words


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("method=mean_techer", "method: there is no mean_techer; choose from cross_pseudo_supervision, "),
        ("finetune=finetun", "there is no 'finetun' in "),
    ],
)
def test_a_misspelt_method_or_config_is_named_before_anything_runs(tmp_path, setting, words):
    done = run(tmp_path, "--dry-run", "--config", setting)
    assert done.returncode == 1
    assert words in done.stdout + done.stderr


def test_a_bad_volume_of_a_later_stage_is_named_before_anything_is_trained(tmp_path):
    datalist = write_data(tmp_path)
    bad = tmp_path / "p2_GED4.nii.gz"
    bad.write_bytes(bad.read_bytes()[:-200])
    done = run(tmp_path)
    assert done.returncode != 0
    assert "volumes cannot be used; repair them or remove them from the datalist:" in done.stdout
    assert str(bad) in done.stdout
    assert "steps of" not in done.stdout
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("config.yaml"))
    assert datalist.exists()


def test_the_scans_to_judge_on_are_looked_for_before_anything_is_trained(tmp_path):
    done = run(tmp_path, "--config", "test_split=validation", 'groups={"liver-contrast":{"judged":["DWI"]}}')
    assert done.returncode != 0
    assert "no labelled scan of split 'validation' fits the choice of sequences DWI" in done.stdout
    assert not list((tmp_path / "out").rglob("model.json"))


def test_flags_of_one_stage_override_those_of_all(tmp_path):
    done = run(tmp_path, "--dry-run", "--printshellcmds", "--config", 'finetune_flags=["--loop.steps","77"]')
    (command,) = (line for line in done.stdout.splitlines() if "'--run-folder'" in line and "out/finetune'" in line)
    assert re.findall(r"'--loop.steps' '(\d+)'", command) == ["6", "77"]


def test_a_changed_setting_is_seen_and_never_mixed_with_what_was_made_before(tmp_path):
    """Snakemake repeats the stages that it touches, and a training does not go on as another one."""
    own = tmp_path / "mine.yaml"
    own.write_text(f"base: {ROOT / 'scripts/train/configs/finetune.yaml'}\n")
    more = ["--config", "preview=false", f"finetune={own}"]
    model = str(tmp_path / "out/finetune/model/model.json")
    done = run(tmp_path, *more, "--", model)
    assert done.returncode == 0, done.stderr[-3000:]
    again = run(tmp_path, *more, "--", model)
    assert "Nothing to be done" in again.stdout + again.stderr
    longer = run(tmp_path, *more, 'finetune_flags=["--loop.steps","8"]', "--", model)
    assert longer.returncode == 0, longer.stderr[-3000:]
    assert "resuming from step 6" in longer.stdout + longer.stderr
    own.write_text(own.read_text() + "loop: {warmup: 3}\n")
    edited = run(tmp_path, *more, 'finetune_flags=["--loop.steps","8"]', "--", model)
    assert edited.returncode != 0
    assert "loop.warmup" in edited.stdout + edited.stderr


@pytest.mark.parametrize("method", ["cross_pseudo_supervision", "bidirectional_copy_paste"])
def test_two_packages_come_out(tmp_path, method):
    done = run(tmp_path, "--config", f"method={method}", "preview=false")
    assert done.returncode == 0, done.stderr
    trained = {"liver-contrast": {"GED4"}, "liver-non-contrast": {"GED4", "T1WI", "T2WI"}}
    meant = {"liver-contrast": {"GED1", "GED2", "GED3", "GED4"}, "liver-non-contrast": {"T1WI", "T2WI", "DWI"}}
    for group, sequences in trained.items():
        spec = ModelPackage.load(tmp_path / "out" / group / "model").spec
        assert (spec.name, set(spec.sequences), set(spec.trained_on)) == (group, meant[group], sequences)
    rows = list(csv.DictReader((tmp_path / "out/liver-contrast/evaluation/groups.csv").open()))
    assert {("GED4", "all"), ("GED4", "vendor B"), ("GED4", "out of distribution")} <= {
        (row["sequence"], row["group"]) for row in rows
    }
    assert all(row["cases"] == "1" and row["DSC"] for row in rows)
    assert not (tmp_path / "out/liver-non-contrast/evaluation").exists()
    assert (tmp_path / "out/preview.txt").read_text() == "no preview (preview: false)\n"
    again = run(tmp_path, "--config", f"method={method}", "preview=true")
    assert "Nothing to be done" in again.stdout + again.stderr
