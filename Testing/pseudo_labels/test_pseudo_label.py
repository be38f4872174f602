"""Pseudo labels by real packages (random weights): ranked per sequence, kept or not, resumed, on the volume's grid."""

import csv
import logging
import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.anatomy import IGNORE, LIVER, SPLEEN, LabelSet
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, ModelError, OutputError, UsageError
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage, rewrite, save_package
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.pseudo_labels import pseudo_label
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig, fold_labels, run


@pytest.fixture
def folds(tmp_path):
    spec = tiny_spec()
    return [str(save_package(spec, random_weights(spec, seed), tmp_path / f"fold{seed}")) for seed in range(3)]


@pytest.fixture
def datalist(tmp_path):
    scans = []
    for number, sequence in enumerate(["T1WI", "T1WI", "T2WI", "T2WI"]):
        direction = oblique_directions()[0] if number == 1 else None
        write_volume(make_volume(direction, seed=number), tmp_path / f"p{number}.nii.gz")
        scans.append(Scan(f"p{number}", sequence, tmp_path / f"p{number}.nii.gz", vendor="A"))
    write_datalist(Datalist("mr", "none", {1: "liver"}, scans), tmp_path / "mr.json")
    return tmp_path / "mr.json"


def test_the_best_of_each_sequence_are_kept(folds, datalist, tmp_path):
    config = PseudoLabelConfig(tuple(folds), (datalist,), keep=1, output=tmp_path / "out", device="cpu")
    ranked = run(config)
    assert sorted(case.name for case in ranked) == ["p0_T1WI", "p1_T1WI", "p2_T2WI", "p3_T2WI"]
    for sequence in ("T1WI", "T2WI"):
        first, second = (case for case in ranked if case.name.endswith(sequence))
        assert (first.is_kept, second.is_kept) == (True, False)
        assert first.score >= second.score
    listed = read_datalist(tmp_path / "out/datalist.json")
    kept = {case.name for case in ranked if case.is_kept}
    assert {f"{s.patient}_{s.sequence}" for s in listed.scans if s.labels} == kept
    assert all(s.vendor == "A" for s in listed.scans)
    for scan in listed.scans:
        labels = read_labelmap(tmp_path / "out" / f"{scan.patient}_{scan.sequence}.nii.gz")
        assert labels.geometry.is_close(read_volume(scan.image).geometry)
    rows = list(csv.DictReader((tmp_path / "out/cases.csv").open()))
    assert [row["case"] for row in rows] == [case.name for case in ranked]
    assert all(0 <= float(row["liver"]) <= 1 for row in rows if row["liver"])
    assert (tmp_path / "out/cases.png").read_bytes()[:4] == b"\x89PNG"


def test_classes_that_a_model_does_not_offer_do_not_count(datalist, tmp_path):
    spec = replace(tiny_spec(), labels=LabelSet("two", {1: LIVER, 4: SPLEEN}), postprocessing={})
    folds = [save_package(spec, random_weights(spec, seed), tmp_path / f"fold{seed}") for seed in range(3)]
    run(PseudoLabelConfig(tuple(map(str, folds)), (datalist,), keep=2, output=tmp_path / "out", device="cpu"))
    segmenters = [Segmenter.load(fold, "cpu") for fold in folds]
    for number, sequence in enumerate(["T1WI", "T1WI", "T2WI", "T2WI"]):
        votes, _ = fold_labels(read_volume(tmp_path / f"p{number}.nii.gz"), segmenters)
        assert any(np.isin(vote, [2, 3]).any() for vote in votes)
        kept = list(csv.reader((tmp_path / f"out/p{number}_{sequence}.csv").open()))[1:]
        assert {int(value) for value, _ in kept} <= {1, 4}


def test_a_stopped_run_goes_on_with_what_is_there(folds, datalist, tmp_path):
    config = PseudoLabelConfig(tuple(folds), (datalist,), keep=2, output=tmp_path / "out", device="cpu")
    first = run(config)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("p?_*.nii.gz")}
    (tmp_path / "out/p2_T2WI.csv").unlink()
    assert [c.name for c in run(config)] == [c.name for c in first]
    changed = {p.name for p, time in made.items() if p.stat().st_mtime_ns != time}
    assert changed == {"p2_T2WI.nii.gz"}


def test_the_others_are_labelled_where_one_cannot_be_read(folds, datalist, tmp_path):
    config = PseudoLabelConfig(tuple(folds), (datalist,), keep=2, output=tmp_path / "out", device="cpu")
    bad = tmp_path / "p1.nii.gz"
    content = bad.read_bytes()
    bad.write_bytes(content[:-200])
    with pytest.raises(InputError, match=r"1 of 4 volumes cannot be used; .*:\n  .*p1\.nii\.gz: .*truncated"):
        run(config)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("p?_*.nii.gz")}
    assert sorted(path.name[:2] for path in made) == ["p0", "p2", "p3"]
    assert not (tmp_path / "out/datalist.json").exists()
    bad.write_bytes(content)
    assert len(run(config)) == 4
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_a_preview_says_what_all_volumes_cost_and_leaves_finished_labels_alone(folds, datalist, tmp_path, caplog):
    config = PseudoLabelConfig(tuple(folds), (datalist,), keep=2, output=tmp_path / "out", device="cpu")
    run(config)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.*")}
    with caplog.at_level(logging.INFO, "LiverMRISegLib.training.preview_volumes"):
        assert len(run(replace(config, preview=True))) == 3
    assert re.search(r"4 volumes of \d+\.\d\d s; 0\.0 hours; disk ", caplog.text)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.*")} == made
    assert len(read_datalist(replace(config, preview=True).written / "datalist.json").scans) == 3
    assert replace(config, preview=True).written == tmp_path / "out/preview"


def test_an_image_that_was_changed_is_labelled_anew(folds, datalist, tmp_path):
    config = PseudoLabelConfig(tuple(folds), (datalist,), keep=2, output=tmp_path / "out", device="cpu")
    run(config)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("p?_*.nii.gz")}
    write_volume(make_volume(seed=77), tmp_path / "p3.nii.gz")
    run(config)
    assert {p.name for p, time in made.items() if p.stat().st_mtime_ns != time} == {"p3_T2WI.nii.gz"}


def test_folds_that_agree_give_their_own_labels(folds):
    package = ModelPackage.load(folds[0])
    volume = make_volume(seed=5)
    engine = load_engine(package, "cpu")
    votes, labels = fold_labels(volume, [Segmenter(package, engine)] * 2)
    assert np.array_equal(votes[0], votes[1])
    alone = Segmenter.load(folds[0], "cpu").segment(volume).labelmap
    assert (labels == alone).mean() > 0.9  # the package's clean-up is not part of this


class Sure:
    """An engine that gives one class the same logit everywhere, and 0 to the others."""

    batch = 1

    def __init__(self, channel: int, logit: float) -> None:
        self.channel, self.logit = channel, logit

    def predict(self, batch):
        logits = np.zeros((len(batch), 5, *batch.shape[2:]), np.float32)
        logits[:, self.channel] = self.logit
        return logits


def test_the_mean_probability_decides_not_the_mean_logit(folds):
    """Paper 003, eq. 9: two folds nearly sure of class 2 outvote one that is beyond doubt of class 1."""
    package = ModelPackage.load(folds[0])
    votes, labels = fold_labels(
        make_volume(seed=5), [Segmenter(package, e) for e in (Sure(1, 100.0), Sure(2, 6.0), Sure(2, 6.0))]
    )
    assert [int(np.median(vote)) for vote in votes] == [1, 2, 2]
    assert np.median(labels) == 2


def test_what_no_vote_is_sure_of_is_left_open(folds):
    package = ModelPackage.load(folds[0])
    voters = [Segmenter(package, Sure(value, 6.0)) for value in (1, 2)]  # half and half: one of them has 0.49 at most
    volume = make_volume(seed=5)
    assert (fold_labels(volume, voters, certainty=0.6)[1] == IGNORE).all()
    assert (fold_labels(volume, voters[:1] * 2, certainty=0.6)[1] == 1).all()


def test_one_model_votes_at_several_gammas(folds, datalist, tmp_path):
    config = PseudoLabelConfig(
        (folds[0],), (datalist,), gammas=(0.5, 1.0, 2.0), certainty=0.3, keep=2, output=tmp_path / "out", device="cpu"
    )
    ranked = run(config)
    assert all(0 < case.score < 1 for case in ranked)  # the votes differ, and not in everything
    listed = read_datalist(tmp_path / "out/datalist.json")
    assert listed.ignore == IGNORE
    kept = [np.unique(read_labelmap(scan.labels).array) for scan in listed.scans]
    assert any(IGNORE in values for values in kept)
    assert all(set(values) <= {0, 1, 2, 3, 4, IGNORE} for values in kept)
    package, volume = ModelPackage.load(folds[0]), make_volume(seed=5)
    voter = Segmenter(package, load_engine(package, "cpu"))
    votes, _ = fold_labels(volume, [voter], (1.0, 2.0))
    alone, _ = fold_labels(volume, [voter])
    assert np.array_equal(votes[0], alone[0])
    assert not np.array_equal(votes[0], votes[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"certainty": 1.0}, "certainty"), ({"gammas": ()}, "gammas"), ({"gammas": (0.0,)}, "gammas")],
)
def test_settings_out_of_range_are_named(changes, words):
    with pytest.raises(UsageError, match=words):
        PseudoLabelConfig(("model",), **changes)


def test_models_must_fit_together(folds, datalist, tmp_path):
    other = replace(tiny_spec(), preparation=PreparationSpec((3.0, 3.0, 3.0)))
    path = save_package(other, random_weights(other), tmp_path / "other")
    with pytest.raises(ModelError, match="other labels or preparation"):
        run(PseudoLabelConfig((folds[0], str(path)), (datalist,), output=tmp_path / "out"))
    with pytest.raises(UsageError, match="at least two folds"):
        run(PseudoLabelConfig((folds[0],), (datalist,), output=tmp_path / "out"))


def test_what_unsure_voxels_cut_off_is_left_open_not_called_background(folds, datalist, tmp_path, monkeypatch):
    def in_two_parts(volume, *_):
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[2:8, 4:12, 4:8], labels[2:8, 4:12, 8:10], labels[2:8, 4:12, 10:12] = 1, IGNORE, 1
        return [labels, labels], labels

    monkeypatch.setattr(pseudo_label, "fold_labels", in_two_parts)
    for certainty, expected in ((0.8, IGNORE), (0.0, 0)):
        output = tmp_path / f"{certainty}"
        run(PseudoLabelConfig(tuple(folds[:2]), (datalist,), certainty=certainty, output=output, device="cpu"))
        found = read_labelmap(output / "p0_T1WI.nii.gz").array
        assert (found[2:8, 4:12, 4:8] == 1).all()
        assert (found[2:8, 4:12, 10:12] == expected).all()
        assert (found[9:] == 0).all()


def test_models_that_clean_up_otherwise_label_anew(folds, datalist, tmp_path):
    config = PseudoLabelConfig(tuple(folds), (datalist,), keep=2, output=tmp_path / "out", device="cpu")
    run(config)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("p?_*.nii.gz")}
    for fold in folds:
        package = ModelPackage.load(fold)
        rewrite(package, replace(package.spec, postprocessing={}))
    run(config)
    assert all(p.stat().st_mtime_ns != time for p, time in made.items())


def test_images_are_never_replaced_by_labels(folds, datalist):
    with pytest.raises(OutputError, match="which the output is made from"):
        run(PseudoLabelConfig(tuple(folds), (datalist,), output=datalist.parent, device="cpu"))


def test_a_model_that_crops_to_what_is_not_0_sees_one_gamma(datalist, tmp_path):
    spec = replace(tiny_spec(), preparation=PreparationSpec((6.0, 6.0, 6.0), scheme="nnunet"))
    path = str(save_package(spec, random_weights(spec), tmp_path / "nnunet"))
    with pytest.raises(ModelError, match="differs between gammas"):
        run(PseudoLabelConfig((path,), (datalist,), gammas=(0.6, 1.0), output=tmp_path / "out", device="cpu"))


def test_the_datalist_that_says_what_to_label_is_never_replaced(folds, datalist, tmp_path):
    output = tmp_path / "out"
    run(PseudoLabelConfig(tuple(folds[:2]), (datalist,), output=output, device="cpu"))
    made = {path: path.read_bytes() for path in output.iterdir() if path.is_file()}
    with pytest.raises(OutputError, match=r"contains datalist\.json, which the output is made from"):
        run(PseudoLabelConfig(tuple(folds[1:]), (output / "datalist.json",), output=output, device="cpu"))
    assert {path: path.read_bytes() for path in made} == made


def test_a_model_does_not_agree_with_itself(folds, datalist, tmp_path):
    with pytest.raises(UsageError, match="the same one twice"):
        run(PseudoLabelConfig((folds[0], folds[1], folds[0]), (datalist,), output=tmp_path / "out", device="cpu"))
