"""one_label.smk: the whole graph, and a real run on tiny volumes that ends with a package and its judgement."""

import re
from dataclasses import replace

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.places import ROOT
from helpers.tiny_data import snakemake, write_data
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import PreparationSpec

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
SETTINGS = """output: {folder}/out
datalist: {datalist}
test: {datalist}
template: p1
organs: [liver, spleen]
encoder: {folder}/encoder
rounds: 2
first_labels_flags: [--levels, "1", "2"]
rounds_flags: [--data.spacing, "8", "4", "4", --data.patch, "8", "16", "16", --data.workers, "0",
  --refinement.neighbours, "2", --tolerance, "0", --network, stunet, --widths, "4", "4", "8", "8", "8", "8",
  --strides, "2", "2", "2", "1", "2", "2", "1", "1", "1", "1", "1", "1", "1", "1", "1",
  --loop.steps, "6", --loop.precision, 32-true, --loop.accelerator, cpu]
"""


@pytest.fixture
def folder(tmp_path):
    spec = replace(tiny_spec(), preparation=PreparationSpec((8.0, 4.0, 4.0)))
    save_package(spec, random_weights(spec), tmp_path / "encoder")
    datalist = write_data(tmp_path)
    (tmp_path / "settings.yaml").write_text(SETTINGS.format(folder=tmp_path, datalist=datalist))
    return tmp_path


def test_the_graph_of_the_whole(folder):
    done = snakemake("one_label", folder, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(rule in done.stdout + done.stderr for rule in ("first_labels", "rounds", "evaluate"))


def test_the_settings_of_paper_002(folder):
    """None of our additions is left."""
    paper = str(ROOT / "scripts/train/workflows/one_label_paper_002.yaml")
    done = snakemake("one_label", folder, paper, "--dry-run", "--printshellcmds")
    words = done.stdout + done.stderr
    for flags in (
        "'--encoder' 'sam-med3d'", "'--no-smooth' '--no-calibrate' '--certainty' '0'",
        "'--specialist' 'uncertainty-aware mean teacher'",
        "'--refinement.mode' 'case'", "'--tolerance' '0'",
    ):  # fmt: skip
        assert flags in words


def test_a_package_comes_out_and_is_judged(folder):
    done = snakemake("one_label", folder)
    assert done.returncode == 0, done.stderr
    assert ModelPackage.load(folder / "out/model").spec.labels.organs[1].name == "spleen"
    assert (folder / "out/evaluation/summary.csv").exists()
    assert (folder / "out/development.png").stat().st_size > 10_000
    assert (folder / "out/round_2/labels/cases.csv").exists()
    cost = (folder / "out/preview.txt").read_text()
    assert all(title in cost for title in ("first labels:\n", "2 rounds, each:\n"))
    assert "5 volumes of " in cost
    assert cost.count("this was only the preview: nothing was trained") == 1
    assert not (folder / "out/preview/cache").exists()
    assert re.search(r"6 steps of .* 0 validations of 0 tiles and 0 at the end, [1-9]\d* for the labels", cost)
    again = snakemake("one_label", folder)
    assert "Nothing to be done" in again.stdout + again.stderr
