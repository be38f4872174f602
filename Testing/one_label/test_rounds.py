"""The rounds of SemiSAM-O1, from the first labels on, on tiny volumes."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.tiny_data import write_config, write_scan
from LiverMRISegLib.data.datalist import Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.one_label import first_labels
from LiverMRISegLib.one_label.development import write_development
from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig
from LiverMRISegLib.one_label.refine import (
    RefineConfig,
)
from LiverMRISegLib.one_label.rounds import OneLabelConfig, run
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.methods.pseudo_term import PseudoTermConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig


def test_of_the_templates_patient_only_the_labelled_scan_is_true(data, tmp_path):
    listed, model, _ = data
    image, _ = write_scan(tmp_path, "p0", "DWI", 7)
    (tmp_path / "second").mkdir()
    second, _ = write_scan(tmp_path / "second", "p0", "T1WI", 8)
    others = [Scan("p0", "DWI", image), Scan("p0", "T1WI", second, series="ses-2")]
    scans = [*others, *read_datalist(listed).scans[::-1]]
    write_datalist(replace(read_datalist(listed), scans=scans), listed)
    settings = {"encoder": model, "levels": (1,), "cache": tmp_path / "cache", "output": tmp_path / "first"}
    made = first_labels.run(FirstLabelsConfig((listed,), template="p0", **settings))
    assert (read_datalist(made).scans[0].patient, read_datalist(made).scans[0].sequence) == ("p0", "T1WI")
    config = read_config(OneLabelConfig, write_config(tmp_path, made))
    config = replace(config, run_folder=tmp_path / "run", rounds=1, data=replace(config.data, organs=("liver",)))
    run(replace(config, loop=replace(config.loop, steps=2), refinement=RefineConfig(neighbours=2)))
    provenance = ModelPackage.load(tmp_path / "run/model").spec.provenance[0]
    assert (provenance["labelled scans"], provenance["unlabelled scans"]) == (1, 6)
    truth = read_labelmap(listed.parent / "p0_T1WI_label.nii.gz").array == 1
    assert np.array_equal(read_labelmap(tmp_path / "run/round_1/labels/p0_T1WI.nii.gz").array == 1, truth)


@pytest.mark.parametrize(
    ("specialist", "mode"),
    [
        ("mean teacher", "case"),
        ("uncertainty-aware mean teacher", "voxel"),
        ("cross pseudo supervision", "none"),
        ("dual-task consistency", "ignore"),
    ],
)
def test_rounds_end_with_a_package_and_go_on(data, tmp_path, specialist, mode):
    listed, model, _ = data
    organs = ("liver", "spleen")
    made = first_labels.run(
        FirstLabelsConfig((listed,), template="p0", organs=organs, encoder=model, levels=(1,), cache=tmp_path / "cache",
                          output=tmp_path / "first")
    )  # fmt: skip
    config = replace(
        read_config(OneLabelConfig, write_config(tmp_path, made)), run_folder=tmp_path / "run",
        specialist=specialist, rounds=1, tolerance=0.0, refinement=RefineConfig(mode, neighbours=2, quantile=0.5),
    )  # fmt: skip
    config = replace(config, loop=replace(config.loop, steps=4))
    assert [each.number for each in run(config)] == [1]
    before = (tmp_path / "run/round_1/labels/datalist.json").stat().st_mtime_ns
    assert [each.number for each in run(replace(config, rounds=2))] == [1, 2]
    assert (tmp_path / "run/round_1/labels/datalist.json").stat().st_mtime_ns == before
    assert ModelPackage.load(tmp_path / "run/model").spec.labels.organs[0].name == "liver"
    assert len(json.loads((tmp_path / "run/rounds.json").read_text())) == 2
    assert (tmp_path / "run/round_2/labels/cases.png").exists()
    assert (tmp_path / "run/development.png").exists()
    with (tmp_path / "run/development.csv").open() as file:
        told = list(csv.DictReader(file))
    assert [sum(row["round"] == n for row in told) for n in "012"] == [5, 5, 5]
    assert all(float(row["liver, mL"]) >= 0 for row in told)
    assert told[-1]["changed"]
    assert not told[0]["changed"]
    assert [each.number for each in run(replace(config, rounds=3, tolerance=1.0))] == [1, 2]


def test_finished_rounds_are_not_taken_for_those_of_another_template(data, tmp_path):
    listed, model, truth = data
    scans = [replace(s, labels=truth[s.patient]) for s in read_datalist(listed).scans]
    write_datalist(replace(read_datalist(listed), scans=scans), listed)
    first = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    config = read_config(OneLabelConfig, write_config(tmp_path, first_labels.run(first)))
    config = replace(config, run_folder=tmp_path / "run", rounds=1, data=replace(config.data, organs=("liver",)))
    config = replace(config, loop=replace(config.loop, steps=2), refinement=RefineConfig(neighbours=2))
    run(config)
    slower = replace(config, tolerance=0.0, loop=replace(config.loop, learning_rate=1e-4))
    with pytest.raises(UsageError, match=r"loop\.learning_rate"):
        run(slower)
    config = replace(slower, rounds=2)
    assert [each.number for each in run(config)] == [1, 2]
    first_labels.run(replace(first, template="p1"))
    with pytest.raises(UsageError, match="began with other first labels"):
        run(config)


def test_rounds_go_on_after_the_images_were_moved(data, tmp_path):
    listed, model, _ = data
    first = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    config = read_config(OneLabelConfig, write_config(tmp_path, first_labels.run(first)))
    config = replace(config, run_folder=tmp_path / "run", rounds=1, data=replace(config.data, organs=("liver",)))
    config = replace(config, tolerance=0.0, loop=replace(config.loop, steps=2), refinement=RefineConfig(neighbours=2))
    run(config)
    labels = (tmp_path / "run/round_1/labels/p1_T1WI.nii.gz").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    for path in [listed, *tmp_path.glob("p?_T1WI*.nii.gz")]:
        path.rename(tmp_path / "elsewhere" / path.name)
    first_labels.run(replace(first, datalists=(tmp_path / "elsewhere/datalist.json",)))
    assert [each.number for each in run(replace(config, rounds=2))] == [1, 2]
    assert (tmp_path / "run/round_1/labels/p1_T1WI.nii.gz").read_bytes() == labels
    found = read_datalist(tmp_path / "run/round_2/labels/datalist.json")
    assert all(scan.image.parent == tmp_path / "elsewhere" for scan in found.scans)


def test_rounds_are_of_the_first_labels_organs(data, tmp_path):
    listed, model, truth = data
    scans = [replace(s, labels=truth[s.patient]) for s in read_datalist(listed).scans]
    write_datalist(replace(read_datalist(listed), scans=scans), listed)
    first = first_labels.run(
        FirstLabelsConfig((listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache",
                          organs=("liver", "spleen"), output=tmp_path / "first")
    )  # fmt: skip
    config = replace(read_config(OneLabelConfig, write_config(tmp_path, first)), run_folder=tmp_path / "run")
    for organs in (("spleen",), ("spleen", "liver")):
        with pytest.raises(UsageError, match=r"the first labels are of liver, spleen, data\.organs are spleen"):
            run(replace(config, data=replace(config.data, organs=organs)))
    assert not (tmp_path / "run").exists()


def test_rounds_need_first_labels(data, tmp_path):
    config = read_config(OneLabelConfig, write_config(tmp_path, data[0]))
    with pytest.raises(UsageError, match=r"features\.npz"):
        run(replace(config, run_folder=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_round_without_its_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cases\.csv"):
        write_development(tmp_path, [tmp_path / "round_0"])


def test_rounds_are_trained_as_their_authors_do():
    """YichiZhang98/SemiSAM-O1: SGD 0.01 with plain momentum 0.9, decay 1e-4, 15,000 steps a round, 3 rounds."""
    config = OneLabelConfig()
    assert config.optimizer == OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False)
    assert (config.loop.learning_rate, config.loop.steps, config.rounds) == (0.01, 15_000, 3)


def test_wrong_choices_are_named():
    with pytest.raises(UsageError, match="specialist must be one of"):
        OneLabelConfig(specialist="teacher")
    with pytest.raises(UsageError, match="mode must be one of ignore, case, voxel, none"):
        RefineConfig("pixel")
    with pytest.raises(UsageError, match="ramp must be between 0 and 1"):
        PseudoTermConfig(ramp=2.0)
