"""From labelled CT to translated volumes by the real stages, tiny: geometry, labels, orientation, resume."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.translation_data import SLICE_LOOP, with_open_voxels, write_domain
from LiverMRISegLib.data.datalist import read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, ModelError, OutputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.script import where_it_ended
from LiverMRISegLib.translation import slice_segmenter, train_translator, translate
from LiverMRISegLib.translation.cyclegan import CycleGanConfig
from LiverMRISegLib.translation.slice_segmenter import SliceSegmenterConfig
from LiverMRISegLib.translation.slices import DomainConfig, fitted
from LiverMRISegLib.translation.train_translator import TranslatorConfig
from LiverMRISegLib.translation.translate import TranslateConfig, load_generator, slice_jump, translate_volume
from LiverMRISegLib.volume import reorient


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[TranslatorConfig, Path]:
    folder = tmp_path_factory.mktemp("translator")
    ct = write_domain(folder / "ct", "ct", "CT", (-1000.0, 0.0, 80.0))
    mr = write_domain(folder / "mr", "mr", "T2WI", (5.0, 300.0, 120.0))
    common = {"cache": folder / "cache", "spacing": (6.0, 4.0, 4.0), "size": (24, 28)}
    source = DomainConfig((ct,), window=(-600.0, 600.0), labelled=True)
    segmenter = SliceSegmenterConfig(
        run_folder=folder / "segmenter", source=source, organs=("liver",), widths=(4, 4, 4, 4, 4, 4), held_out=1,
        batch=2, loop=SLICE_LOOP, **{**common, "size": (32, 32)},
    )  # fmt: skip
    slice_segmenter.run(segmenter)
    config = TranslatorConfig(
        run_folder=folder / "translator", source=replace(source, labelled=False), target=DomainConfig((mr,)),
        segmenter=str(segmenter.run_folder), gan=CycleGanConfig(4, 1, 4, identity=5.0, local=1.0), loop=SLICE_LOOP,
        **{**common, "size": (32, 32)},
    )  # fmt: skip
    assert train_translator.run(config).step == 6
    return config, ct


def test_translations_keep_geometry_and_labels(trained, tmp_path):
    config, ct = trained
    settings = TranslateConfig(config.run_folder, DomainConfig((ct,), labelled=True), "T2WI", tmp_path / "out")
    made = translate.run(settings)
    assert len(made) == 3
    listed = read_datalist(tmp_path / "out/datalist.json")
    assert {scan.sequence for scan in listed.scans} == {"T2WI"}
    for scan, original in zip(listed.scans, read_datalist(ct).scans, strict=True):
        assert read_volume(scan.image).geometry.is_close(read_volume(original.image).geometry)
        assert np.array_equal(read_labelmap(scan.labels).array, read_labelmap(original.labels).array)
        assert scan.image.name.endswith("_T2WI.nii.gz")
    times = [path.stat().st_mtime_ns for path in made]
    assert [path.stat().st_mtime_ns for path in translate.run(settings)] == times
    changed = read_datalist(ct).scans[1].image
    before = changed.read_bytes()
    volume = read_volume(changed)
    write_volume(replace(volume, array=volume.array + 1), changed)
    again = [path.stat().st_mtime_ns for path in translate.run(settings)]
    assert [now == old for now, old in zip(again, times, strict=True)] == [True, False, True]
    changed.write_bytes(before)


def test_the_others_are_translated_where_one_cannot_be_read(trained, tmp_path):
    config, ct = trained
    scans = read_datalist(ct).scans
    content = scans[1].image.read_bytes()
    scans[1].image.write_bytes(content[:-200])
    with pytest.raises(InputError, match=r"1 of 3 volumes cannot be used; .*:\n  .*ct1\.nii\.gz"):
        translate.run(TranslateConfig(config.run_folder, DomainConfig((ct,)), "T2WI", tmp_path / "out"))
    scans[1].image.write_bytes(content)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["ct0_T2WI.nii.gz", "ct2_T2WI.nii.gz"]


@pytest.mark.parametrize("stage", ["segmenter", "translator"])
def test_a_preview_says_that_nothing_was_trained(trained, tmp_path, stage):
    config, _ = trained
    loop = replace(SLICE_LOOP, preview=True)
    if stage == "segmenter":
        of_segmenter = read_config(SliceSegmenterConfig, Path(config.segmenter) / "config.yaml")
        result = slice_segmenter.run(replace(of_segmenter, run_folder=tmp_path / "run", loop=loop))
    else:
        result = train_translator.run(replace(config, run_folder=tmp_path / "run", loop=loop))
    assert where_it_ended(result) == "this was only the preview: nothing was trained"


def test_datalists_that_number_organs_differently_are_not_mixed(trained, tmp_path):
    config, ct = trained
    listed = read_datalist(ct)
    others = [replace(scan, patient=f"other {scan.patient}") for scan in listed.scans]
    write_datalist(replace(listed, name="other", values={6: "liver"}, scans=others), tmp_path / "other.json")
    settings = TranslateConfig(config.run_folder, DomainConfig((ct, tmp_path / "other.json")), "T2WI", tmp_path / "out")
    with pytest.raises(UsageError, match="ct and other: number their organs differently"):
        translate.run(settings)
    write_datalist(replace(listed, licence="another", scans=others), tmp_path / "other.json")
    translate.run(settings)
    assert read_datalist(tmp_path / "out/datalist.json").licence == "another; none"


def test_two_scans_of_one_name_are_refused(trained, tmp_path):
    config, ct = trained
    listed = read_datalist(ct)
    twice = [replace(scan, patient="p") for scan in listed.scans]
    write_datalist(replace(listed, scans=twice), tmp_path / "twice.json")
    with pytest.raises(UsageError, match="is case p_T2WI, and so is"):
        translate.run(
            TranslateConfig(config.run_folder, DomainConfig((tmp_path / "twice.json",)), "T2WI", tmp_path / "out")
        )


@pytest.mark.parametrize("code", ["RAS", "ASL"])
def test_left_is_left_in_translations(trained, code):
    config, ct = trained
    generator = load_generator(config.run_folder, config)
    volume = read_volume(read_datalist(ct).scans[0].image)
    straight = translate_volume(volume, generator, config)
    turned = translate_volume(reorient(volume, code), generator, config)
    assert turned.geometry.orientation == code
    back = reorient(turned, straight.geometry.orientation)
    assert np.abs(back.array.astype(int) - straight.array).max() <= 1


def test_curves_and_pictures_are_logged(trained):
    config, _ = trained
    lines = [json.loads(line) for line in (config.run_folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert {"adversarial", "cycle", "identity", "local"} <= set(steps[-1])
    assert steps[-1]["learning_rate"] < steps[0]["learning_rate"]
    assert any("validation/organ preservation" in line for line in lines)
    assert list((config.run_folder / "tensorboard").iterdir())


def test_the_segmenters_slices_are_scored(trained):
    config, _ = trained
    text = (Path(config.segmenter) / "metrics.jsonl").read_text()
    assert "validation/score" in text


def test_anatomy_space_needs_no_window(tmp_path):
    domain = DomainConfig(percentiles=(0.0, 100.0))
    image = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    for space in ("intensity", "anatomy"):
        shown = domain.in_range(image, space)
        assert (shown.min(), shown.max()) == (pytest.approx(-1), pytest.approx(1))
    with pytest.raises(UsageError, match="unknown space"):
        domain.in_range(image, "frequency")


def test_hounsfield_windows_become_minus_one_to_one():
    spec = DomainConfig(window=(-600.0, 600.0)).preparation((5.0, 2.0, 2.0), "LPS")
    assert spec.intensity == {"low": -600, "high": 600, "mean": 0, "std": 600}
    with pytest.raises(UsageError, match="two rising"):
        DomainConfig(window=(600.0, -600.0))


def test_slices_are_fitted_evenly():
    plane = np.arange(12.0).reshape(3, 4)
    assert fitted(plane, (5, 4), (0.5, 0.5), -1.0).tolist()[0] == [-1.0] * 4
    assert np.array_equal(fitted(plane, (3, 2), (0.5, 1.0), -1.0), plane[:, 2:])


def test_flicker_is_measured():
    z, y, _ = np.mgrid[0:10, 0:10, 0:10].astype(float)
    mask = np.ones((10, 10, 10), bool)
    assert slice_jump(z + y, mask) == pytest.approx(1.0)
    assert slice_jump(z + y + 3 * (z % 2), mask) > 2


@pytest.mark.parametrize(
    ("held_out", "message"), [(3, "must leave some of the 3 volumes"), (-1, "held_out must be between 0 and")]
)
def test_some_volumes_must_be_left_to_train_on(trained, tmp_path, held_out, message):
    config = read_config(SliceSegmenterConfig, trained[0].run_folder.parent / "segmenter/config.yaml")
    with pytest.raises(UsageError, match=message):
        slice_segmenter.run(replace(config, run_folder=tmp_path / "run", held_out=held_out))


def test_an_untrained_translator_is_named(trained, tmp_path):
    with pytest.raises(ModelError, match="no trained translator"):
        load_generator(tmp_path, trained[0])


def test_the_folder_of_another_stage_is_named(trained, tmp_path):
    translator, ct = trained[0].run_folder, trained[1]
    segmenter, source = Path(trained[0].segmenter), DomainConfig((ct,), labelled=True)
    for folder, words in ((tmp_path / "none", "config.yaml is missing"), (segmenter, "unknown key")):
        with pytest.raises(ModelError, match=f"is not a run folder of train_translator.py.*{words}"):
            translate.run(TranslateConfig(folder, source, "T2WI", tmp_path / "out"))
    for folder, words in ((tmp_path / "none", "config.yaml is missing"), (translator, "unknown key")):
        with pytest.raises(ModelError, match=f"is not a run folder of train_slice_segmenter.py.*{words}"):
            train_translator.run(replace(trained[0], run_folder=tmp_path / "run", segmenter=str(folder)))


def test_organ_attention_without_a_segmenter_is_refused_before_anything_is_prepared(trained, tmp_path):
    with pytest.raises(UsageError, match="needs a segmenter of the source slices: give --segmenter"):
        train_translator.run(replace(trained[0], run_folder=tmp_path / "run", segmenter=""))
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_named_before_anything_is_read(trained, tmp_path):
    for device, words in (("gpu", "unknown device 'gpu'"), ("cuda:99", "this torch sees")):
        with pytest.raises(UsageError, match=words):
            translate.run(TranslateConfig(trained[0].run_folder, DomainConfig(), "T2WI", tmp_path, device))


def test_every_sequence_has_a_folder_of_its_own(trained, tmp_path):
    (tmp_path / "p0_DWI.nii.gz").touch()
    settings = TranslateConfig(trained[0].run_folder, DomainConfig((trained[1],), labelled=True), "T2WI", tmp_path)
    with pytest.raises(OutputError, match="choose a folder for each"):
        translate.run(settings)
    assert (tmp_path / "p0_DWI.nii.gz").exists()


@pytest.mark.parametrize(
    "changes", [{"spacing": (5.0, 9.0, 9.0)}, {"space": "anatomy"}, {"source": DomainConfig(window=(0.0, 1.0))}]
)
def test_a_segmenter_of_other_slices_is_refused(trained, tmp_path, changes):
    config = replace(trained[0], run_folder=tmp_path, **changes)
    with pytest.raises(UsageError, match="was trained with"):
        train_translator.run(config)


def test_open_voxels_are_no_labels_of_slices(trained, tmp_path):
    config = read_config(SliceSegmenterConfig, Path(trained[0].segmenter) / "config.yaml")
    source = replace(config.source, datalists=(with_open_voxels(trained[1], tmp_path),))
    with pytest.raises(UsageError, match="without open voxels"):
        slice_segmenter.run(replace(config, source=source, run_folder=tmp_path / "run"))


def test_a_training_that_was_not_finished_is_told(trained, tmp_path, caplog):
    config, _ = trained
    load_generator(config.run_folder, config)
    slice_segmenter.load_slice_segmenter(Path(config.segmenter))
    assert "has come to step" not in caplog.text
    longer = replace(config, loop=replace(config.loop, steps=12))
    load_generator(config.run_folder, longer)
    assert "translator: this training has come to step 6 of 12; finish it first" in caplog.text


def test_a_ct_that_is_not_in_hounsfield_units_is_told(trained, tmp_path, caplog):
    config, ct = trained
    listed = read_datalist(ct)
    scans = []
    for scan in listed.scans[:2]:
        volume = read_volume(scan.image)
        write_volume(replace(volume, array=volume.array + 1100), tmp_path / scan.image.name)
        scans.append(replace(scan, image=tmp_path / scan.image.name))
    write_datalist(replace(listed, scans=[*scans, listed.scans[2]]), tmp_path / "ct.json")
    settings = TranslateConfig(config.run_folder, DomainConfig((tmp_path / "ct.json",)), "T2WI", tmp_path / "out")
    translate.run(settings)
    assert [
        f"nothing is below 0 in {name}, though window begins at -600" in caplog.text for name in ("ct0", "ct1", "ct2")
    ] == [True, True, False]
    caplog.clear()
    source = replace(config.source, datalists=(tmp_path / "ct.json",))
    train_translator.run(
        replace(config, source=source, run_folder=tmp_path / "run", loop=replace(config.loop, preview=True))
    )
    assert "nothing is below 0 in ct0 CT, ct1 CT, though" in caplog.text


def test_the_datalist_of_a_translation_is_never_replaced(trained, tmp_path):
    config, ct = trained
    write_datalist(read_datalist(ct), tmp_path / "datalist.json")
    settings = TranslateConfig(config.run_folder, DomainConfig((tmp_path / "datalist.json",)), "T2WI", tmp_path)
    with pytest.raises(OutputError, match=r"contains datalist\.json, which the output is made from"):
        translate.run(settings)
