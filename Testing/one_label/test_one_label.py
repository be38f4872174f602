"""SemiSAM-O1 as a whole, on tiny volumes."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series
from helpers.packages import random_weights, tiny_spec
from helpers.tiny_data import write_config, write_scan
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.one_label import first_labels
from LiverMRISegLib.one_label.development import write_development
from LiverMRISegLib.one_label.features import encode, load_encoder
from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig
from LiverMRISegLib.one_label.refine import (
    Mending,
    Predicted,
    RefineConfig,
)
from LiverMRISegLib.one_label.rounds import OneLabelConfig, run
from LiverMRISegLib.preparation.own_scheme import Prepared
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.methods.pseudo_term import PseudoTermConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.volume import AxisChange, Volume, reorient


@pytest.fixture
def data(tmp_path):
    """Five patients, the first with labels; the others' lie elsewhere."""
    scans, truth = [], {}
    for number in range(5):
        image, labels = write_scan(tmp_path, f"p{number}", "T1WI", number)
        scans.append(Scan(f"p{number}", "T1WI", image, labels if number == 0 else None))
        truth[f"p{number}"] = labels
    write_datalist(Datalist("tiny", "Apache-2.0", {1: "liver", 2: "spleen"}, scans), tmp_path / "datalist.json")
    spec = replace(tiny_spec(), preparation=PreparationSpec((8.0, 4.0, 4.0)))
    return tmp_path / "datalist.json", str(save_package(spec, random_weights(spec), tmp_path / "encoder")), truth


def test_features_follow_the_orientation(data, tmp_path):
    _, model, _ = data
    encoder = load_encoder(ModelPackage.load(tmp_path / "encoder"), levels=(1,))
    volume = read_volume(tmp_path / "p1_T1WI.nii.gz")
    straight, turned = (encode(v, encoder) for v in (volume, reorient(volume, "RAS")))
    assert np.allclose(straight.array, turned.array, atol=1e-5)
    assert straight.array.shape[1:] == tuple(n // 2 for n in straight.prepared.image.shape)
    assert np.linalg.norm(straight.whole) == pytest.approx(1)
    assert model


def test_first_labels_come_from_the_template_alone(data, tmp_path):
    listed, model, truth = data
    for path in list(truth.values())[1:]:
        path.unlink()
    config = FirstLabelsConfig(
        (listed,), template="p0", organs=("liver", "spleen"), encoder=model, levels=(1,), cache=tmp_path / "cache",
        output=tmp_path / "first",
    )  # fmt: skip
    made = read_datalist(first_labels.run(config))
    assert len(made.scans) == 5
    assert all(scan.labels is not None for scan in made.scans)
    assert np.array_equal(read_labelmap(tmp_path / "first/p0_T1WI.nii.gz").array, read_labelmap(truth["p0"]).array)
    features = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache/features").rglob("*.npy")}
    assert len(features) == 5
    labelled = (tmp_path / "first/p1_T1WI.nii.gz").stat().st_mtime_ns
    first_labels.run(config)
    assert (tmp_path / "first/p1_T1WI.nii.gz").stat().st_mtime_ns == labelled
    first_labels.run(replace(config, smooth=False))
    assert (tmp_path / "first/p1_T1WI.nii.gz").stat().st_mtime_ns > labelled
    assert {path: path.stat().st_mtime_ns for path in features} == features
    with pytest.raises(UsageError, match="not a patient with labels"):
        first_labels.run(replace(config, template="p1"))


def test_the_others_are_labelled_where_one_cannot_be_read(data, tmp_path):
    listed, model, _ = data
    bad = tmp_path / "p2_T1WI.nii.gz"
    bad.write_bytes(bad.read_bytes()[:-200])
    config = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    with pytest.raises(InputError, match=r"1 of 5 volumes cannot be used; .*:\n  .*p2_T1WI\.nii\.gz"):
        first_labels.run(config)
    made = sorted(path.name[:2] for path in (tmp_path / "first").glob("*.nii.gz"))
    assert made == ["p0", "p1", "p3", "p4"]
    assert not (tmp_path / "first/datalist.json").exists()


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


def test_a_dicom_folder_is_an_image_too(data, tmp_path):
    pytest.importorskip("pydicom")
    listed, model, _ = data
    volume = read_volume(tmp_path / "p1_T1WI.nii.gz")
    write_dicom_series(tmp_path / "p1", replace(volume, array=np.clip(volume.array, 0, None)))
    scans = [replace(s, image=tmp_path / "p1") if s.patient == "p1" else s for s in read_datalist(listed).scans]
    write_datalist(replace(read_datalist(listed), scans=scans), listed)
    made = first_labels.run(
        FirstLabelsConfig((listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache",
                          output=tmp_path / "first")
    )  # fmt: skip
    assert len(read_datalist(made).scans) == 5


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


def test_levels_lie_on_the_finest_ones_grid(data, tmp_path):
    package = ModelPackage.load(data[1])
    image = np.random.default_rng(0).normal(size=(8, 16, 16)).astype(np.float32)
    both, fine = (load_encoder(package, levels=levels)(image) for levels in ((1, 2), (1,)))
    assert both.shape[1:] == fine.shape[1:]
    assert np.allclose(both[: len(fine)], fine)
    assert np.allclose(np.linalg.norm(fine, axis=0), 1, atol=1e-5)
    assert len(both) > len(fine)
    assert np.allclose(load_encoder(package, "auto", (1,))(image), fine, atol=1e-2)  # "auto" may be a GPU
    for device, words in (("gpu", "unknown device 'gpu'"), ("cuda:99", "this torch sees")):
        with pytest.raises(UsageError, match=words):
            load_encoder(package, device)
    for wrong in ((), (9,), (-1,)):
        with pytest.raises(UsageError, match="levels must be"):
            load_encoder(package, levels=wrong)


@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("code", ["LPS", "RAS", "SLP", "AIR"])
def test_neighbours_vote_in_the_orientation_of_the_case(data, tmp_path, code, register):
    """The neighbour is the same patient, stored with axes flipped and permuted."""
    image, truth = read_volume(tmp_path / "p1_T1WI.nii.gz"), read_labelmap(data[2]["p1"])
    scans, found = [], []
    for name, wanted in (("case", "LPS"), ("neighbour", code)):
        write_volume(reorient(image, wanted), tmp_path / f"{name}.nii.gz")
        write_volume(reorient(truth, wanted), tmp_path / f"{name}_label.nii.gz")
        scans.append(Scan(name, "T1WI", tmp_path / f"{name}.nii.gz"))
        geometry = reorient(image, wanted).geometry
        way_back = Prepared(np.zeros((0, 0, 0)), geometry, geometry, AxisChange.between(wanted, wanted))
        labels, entropy = tmp_path / f"{name}_label.nii.gz", tmp_path / f"{name}.npy"
        found.append(Predicted(labels, entropy, float(name == "case"), way_back, geometry))
    write_volume(Volume(np.zeros_like(reorient(truth, "LPS").array), found[0].geometry), found[0].labels)
    order = [found[1], found[1], found[0]]  # the first is the template
    config = RefineConfig("case", neighbours=1, quantile=0.9, register=register)
    mending = Mending([scans[1], scans[1], scans[0]], order, np.ones((3, 4)), config, 2)
    expected = reorient(truth, "LPS").array
    assert (mending.mended_labels(2) == expected).mean() > (0.98 if register else 0.9999)


def test_images_that_were_moved_are_found_again(data, tmp_path):
    listed, model, _ = data
    config = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    first_labels.run(config)
    labels = (tmp_path / "first/p1_T1WI.nii.gz").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    for path in [listed, *tmp_path.glob("p?_T1WI*.nii.gz")]:
        path.rename(tmp_path / "elsewhere" / path.name)
    made = first_labels.run(replace(config, datalists=(tmp_path / "elsewhere/datalist.json",)))
    assert all(scan.image.parent == tmp_path / "elsewhere" for scan in read_datalist(made).scans)
    assert (tmp_path / "first/p1_T1WI.nii.gz").read_bytes() == labels


def test_what_labels_are_made_from_is_never_replaced(data, tmp_path):
    listed, model, _ = data
    config = FirstLabelsConfig((listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache")
    made = first_labels.run(replace(config, output=tmp_path / "first"))
    for datalists, output in (((listed,), tmp_path), ((made,), tmp_path / "first")):
        with pytest.raises(OutputError, match="which the output is made from"):
            first_labels.run(replace(config, datalists=datalists, output=output))


def test_damaged_features_are_made_again(data, tmp_path, caplog):
    listed, model, _ = data
    config = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    first_labels.run(config)
    kept = {path: path.read_bytes() for path in (tmp_path / "cache/features").rglob("*.npy")}
    for path, size in zip(kept, (0, 50, 200), strict=False):
        path.write_bytes(kept[path][:size])
    first_labels.run(replace(config, output=tmp_path / "second"))
    assert caplog.text.count("is damaged") == 3
    assert {path: path.read_bytes() for path in kept} == kept
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        first_labels.run(replace(config, output=tmp_path / "third", cache=tmp_path / "file"))


def test_a_neighbour_that_cannot_be_registered_does_not_vote(data, tmp_path, caplog):
    """Of three neighbours one has two slices, too few to register."""
    scans, found = [], []
    for number in range(4):
        image, labels = read_volume(tmp_path / "p1_T1WI.nii.gz"), read_labelmap(data[2]["p1"])
        if number == 3:
            image, labels = (
                replace(v, array=v.array[:2], geometry=v.geometry.cropped((0, 0, 0), (24, 20, 2)))
                for v in (image, labels)
            )
        paths = tmp_path / f"n{number}.nii.gz", tmp_path / f"n{number}_label.nii.gz"
        write_volume(image, paths[0])
        write_volume(replace(labels, array=labels.array * (number > 0)), paths[1])
        scans.append(Scan(f"n{number}", "T1WI", paths[0]))
        way_back = Prepared(np.zeros((0, 0, 0)), image.geometry, image.geometry, AxisChange.between("LPS", "LPS"))
        found.append(Predicted(paths[1], tmp_path / "none.npy", float(number == 0), way_back, image.geometry))
    order = [1, 0, 2, 3]  # the first is the template
    config = RefineConfig("case", neighbours=3, quantile=0.9, register=True)
    mending = Mending([scans[n] for n in order], [found[n] for n in order], np.ones((4, 4)), config, 2)
    assert (mending.mended_labels(1) == read_labelmap(data[2]["p1"]).array).mean() > 0.98
    assert "n3_T1WI does not vote on n0_T1WI" in caplog.text
    alone = Mending([scans[3], scans[0]], [found[3], found[0]], np.ones((2, 4)), replace(config, neighbours=1), 2)
    assert not alone.mended_labels(1).any(), "nobody votes: its own labels stay"
