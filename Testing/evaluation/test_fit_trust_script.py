"""The script that fits the trust score of a model, as a real process: images are painted, measured and fitted to."""

import json
import runpy
import shutil
import sys

import numpy as np
import pytest

from helpers.places import ROOT
from helpers.structure_maps import torso
from helpers.tiny_data import run_script
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation.trust_fit import Sample, as_csv, from_csv
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import TRUST_SIGNS
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES
from LiverMRISegLib.volume import Geometry, Volume


def recipe(folder):
    structures = torso().numpy()
    labels = np.zeros(structures.shape, np.uint8)
    for value, organ in CHAOS.items():
        labels[structures == ORGAN_VALUES.value_of(organ)] = value
    for name in ("body1", "body2"):
        write_volume(Volume(labels, Geometry(labels.shape[::-1], (6.0,) * 3)), folder / f"{name}_label.nii.gz")
    path = folder / "recipe.yaml"
    path.write_text(
        "data:\n  organs: [liver, right kidney, left kidney, spleen]\n  spacing: [6.0, 6.0, 6.0]\n"
        "  normalisation: percentile-z-score\n  antialias: true\n  patch: [32, 40, 48]\n  labelled_batch: 0\n"
        "  synthetic:\n"
        f"    folder: {folder}\n    batch: 1\n    validation_bodies: [body2]\n"
        '    sources: [{labelmaps: "*_label.nii.gz", label_set: CHAOS, licence: ours}]\n'
    )
    return path


def drawn(cases):
    random = np.random.default_rng(0)
    signs = [{name: float(random.normal()) for name in TRUST_SIGNS} for _ in range(cases)]
    return [
        Sample("painted", f"body2 {number}", "clean", "liver", float(1 / (1 + np.exp(-1.5 - own["size"]))), own)
        for number, own in enumerate(signs)
    ]


def test_images_are_measured_then_fitted_to_and_the_weights_written(tiny_package, tmp_path):
    model, output = tmp_path / "model", tmp_path / "trust"
    shutil.copytree(tiny_package, model)
    command = [sys.executable, str(ROOT / "scripts/train/fit_trust.py"), "--model", str(model), "--bodies"]
    made = recipe(tmp_path)
    more = tmp_path / "more.yaml"
    more.write_text(
        f'folder: {tmp_path}\nsources: [{{labelmaps: "*1_label.nii.gz", label_set: CHAOS, licence: ours}}]\n'
    )
    command += [str(more), "--recipe", str(made), "--output", str(output), "--write"]
    done = run_script([*command, "--images", "2"])
    assert done.returncode == 3, done.stderr
    assert "are too few: make more images" in done.stderr
    assert "body body1" not in done.stderr  # it was trained on
    assert "body1_label.nii.gz: left out, the recipe names it" in done.stderr
    samples = from_csv((output / "samples.csv").read_text(), "samples.csv")
    assert {s.case for s in samples} == {"body2 0", "body2 1"}
    assert {s.change == "clean" for s in samples} == {True, False}
    assert ModelPackage.load(model).spec.trust is None
    (output / "samples.csv").write_text(as_csv(drawn(40)))
    done = run_script([*command, "--images", "40"])
    assert done.returncode == 0, done.stderr
    assert "40 outlines, " in done.stderr
    trust = ModelPackage.load(model).spec.trust
    assert trust.weights["size"] > 0.8
    assert trust.fitted_on == "40 synthetic images of bodies that the model did not learn from"
    assert json.loads((output / "trust.json").read_text())["intercept"] == trust.intercept
    # The trust that was just written is none of the model's that was measured; another recipe begins anew.
    done = run_script([*command, "--images", "40"])
    assert (done.returncode, "): measured" in done.stderr) == (0, False), done.stderr
    made.write_text(made.read_text() + "  foreground: 0.4\n")
    done = run_script([*command, "--images", "2"])
    assert "1 files of other inputs are made again" in done.stderr
    assert {s.case for s in from_csv((output / "samples.csv").read_text(), "samples.csv")} == {"body2 0", "body2 1"}


def test_what_an_earlier_training_learnt_from_is_left_out(tmp_path, monkeypatch):
    """The recipe may be one of any stage; body2 is held out by its own recipe, but the one before trained on it."""
    monkeypatch.syspath_prepend(ROOT / "scripts/train")
    script = runpy.run_path(str(ROOT / "scripts/train/fit_trust.py"))
    own = recipe(tmp_path)
    own.write_text(own.read_text() + "cps: {preset: dice}\nbranch: second\n")
    before = tmp_path / "before.yaml"
    before.write_text(own.read_text().replace("[body2]", "[body1]"))
    data, earlier = (script["data_of"](path) for path in (own, before))
    assert [body.name for body in script["held_out_bodies"](data, [])] == ["body2"]
    with pytest.raises(UsageError, match="no body is there that the recipe does not train on"):
        script["held_out_bodies"](data, [], [earlier])
