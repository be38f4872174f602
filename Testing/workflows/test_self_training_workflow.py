"""self_training.smk: the whole graph, and two real rounds on tiny volumes that end with a package and its judgement."""

from dataclasses import replace

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.tiny_data import snakemake, write_data
from LiverMRISegLib.anatomy import LIVER, SPLEEN, LabelSet
from LiverMRISegLib.data.datalist import read_datalist
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import PreparationSpec

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
SETTINGS = """output: {folder}/out
datalist: {datalist}
test: {datalist}
model: {folder}/model
gammas: [0.7, 1.0, 1.4]
certainty: 0.4
rounds: 2
train_flags: [--data.synthetic.batch, "0", --data.organs, liver, spleen, --data.spacing, "8", "8", "8",
  --data.patch, "8", "16", "16", --data.workers, "0",
  --loop.steps, "4", --loop.precision, 32-true, --loop.accelerator, cpu]
"""


@pytest.fixture
def folder(tmp_path):
    spec = tiny_spec()
    strides = [[2, 2, 2], [1, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]]
    kwargs = {**spec.network.kwargs, "widths": [4, 4, 8, 8, 8, 8], "strides": strides, "out_channels": 3}
    spec = replace(
        spec,
        network=replace(spec.network, kwargs=kwargs),
        labels=LabelSet("tiny", {1: LIVER, 2: SPLEEN}),
        preparation=PreparationSpec((8.0, 8.0, 8.0), "LPS", "percentile-z-score"),
        inference=replace(spec.inference, patch=(8, 16, 16), image_refinement=True),
        postprocessing={},
    )
    save_package(spec, random_weights(spec), tmp_path / "model")
    (tmp_path / "settings.yaml").write_text(SETTINGS.format(folder=tmp_path, datalist=write_data(tmp_path)))
    return tmp_path


def test_the_graph_of_the_whole(folder):
    done = snakemake("self_training", folder, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(rule in done.stdout + done.stderr for rule in ("pseudo_label", "train", "evaluate"))


@pytest.mark.parametrize(
    ("key", "hint"), [("dtalist", "did you mean datalist?"), ("xyz", "known are: output, datalist")]
)
def test_a_setting_that_would_do_nothing_is_refused(folder, key, hint):
    done = snakemake("self_training", folder, "--dry-run", "--config", f"{key}=cohort.json")
    assert done.returncode == 1
    assert f"there is no setting '{key}'; {hint}" in done.stdout + done.stderr  # a dry run says all on stdout


def test_two_rounds_end_with_a_package_that_is_judged(folder):
    done = snakemake("self_training", folder)
    assert done.returncode == 0, done.stderr
    first, second = (folder / f"out/round_{n}" for n in (1, 2))
    assert read_datalist(second / "labels/datalist.json").ignore == 255
    adapted = ModelPackage.load(second / "model")
    assert adapted.spec.inference.image_refinement
    assert adapted.spec.name == "liver-any-sequence-adapted"
    assert adapted.fingerprint != ModelPackage.load(first / "model").fingerprint
    assert (folder / "out/evaluation/summary.csv").exists()
    cost = (folder / "out/preview.txt").read_text()
    assert all(title in cost for title in ("labels of the cohort, 2 times:\n", "2 trainings, each:\n"))
    assert "5 volumes of " in cost
    assert "4 steps of " in cost
