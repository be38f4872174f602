"""`livermriseg measure`: tables of segmentations and volumes with maps, their pairing, and what is refused."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.corrected_masks import rename
from helpers.dicom_series import edited_series, write_shared_series
from helpers.ellipsoids import ellipsoid, grid
from LiverMRISegLib.anatomy import CHAOS, SPLEEN, LabelSet
from LiverMRISegLib.cli import main
from LiverMRISegLib.io import read_volume, write_segmentation, write_volume
from LiverMRISegLib.volume import Volume

GRID = grid((3.0, 3.0, 4.0), (40.0, 36.0, 66.0))


def segmentation(path, half_axes=(30, 22, 55), geometry=GRID):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = ellipsoid(geometry, half_axes).astype(np.uint8) * CHAOS.value_of(SPLEEN)
    write_segmentation(path, array, CHAOS, geometry)
    return path


def image(path, value=None, geometry=GRID):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).normal(100, 9, geometry.shape) if value is None else np.full(geometry.shape, value)
    write_volume(Volume(array.astype(np.float32), geometry), path)
    return path


def measured(*arguments) -> int:
    return main(["measure", *map(str, arguments)])


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def spleens(path):
    return {row["case"]: row for row in table(path) if row["organ"] == "spleen"}


def refused(capsys, status, words, *arguments):
    assert measured(*arguments) == status
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert words in line


def test_one_segmentation_with_a_map(tmp_path, capsys):
    seg, pdff = segmentation(tmp_path / "a.seg.nrrd"), image(tmp_path / "pdff.nii.gz", 7)
    out = tmp_path / "t.csv"
    assert measured(seg, "--map", f"pdff={pdff}", "--erode", 3, "--outliers", 3, "-o", out) == 0
    row = spleens(out)["a"]
    assert (row["map"], row["unit"], row["mean"], row["sd"], row["erosion_mm"]) == ("pdff", "%", "7", "0", "3")
    assert float(row["volume_ml"]) == pytest.approx(152, rel=0.02)
    assert float(row["longest_mm"]) == pytest.approx(110, abs=4)
    liver = next(row for row in table(out) if row["organ"] == "liver")
    assert (liver["volume_ml"], liver["voxels"], liver["mean"], liver["remarks"]) == (
        "",
        "0",
        "",
        "liver was not found",
    )
    assert "total kidney volume" in {row["organ"] for row in table(out)}
    text = capsys.readouterr().out
    assert "pdff mean (SD), %" in text
    assert "note: liver was not found" in text
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_json_has_null_where_nothing_was_measured(tmp_path, capsys):
    seg = segmentation(tmp_path / "a_seg.nrrd")
    adc = image(tmp_path / "adc.nii.gz", 1100)
    assert measured(seg, "--labels", "CHAOS", "--map", f"adc={adc}", "--unit", "adc=um2/s", "--json", "-o", tmp_path / "t.csv") == 0  # fmt: skip  # noqa: E501
    (document,) = json.loads(capsys.readouterr().out)
    organs = {entry["organ"]: entry for entry in document["organs"]}
    assert organs["liver"]["volume_ml"] is None
    assert organs["spleen"]["maps"]["adc"]["unit"] == "um2/s"
    assert organs["spleen"]["maps"]["adc"]["p95"] == 1100
    assert document["derived"][0]["value"] is None


def test_a_cohort_pairs_its_maps_by_name_and_a_case_without_one_fails_alone(tmp_path, capsys):
    for number, name in enumerate(("anna", "ben", "carl")):
        segmentation(tmp_path / "segs" / f"{name}_seg.nii.gz")
        if name != "carl":
            image(tmp_path / "maps" / f"{name}_r2star.nii.gz", 40 + number)
    out = tmp_path / "t.csv"
    options = ("--labels", "CHAOS", "-o", out)
    assert measured(tmp_path / "segs", "--map", f"r2*={tmp_path / 'maps'}", *options) == 5
    rows = spleens(out)
    assert {name: row["mean"] for name, row in rows.items()} == {"anna": "40", "ben": "41"}
    failed = table(out)[-1]
    assert failed["case"] == "carl"
    assert "has no carl_r2star.* and no carl.*, the 'r2*' of case carl" in failed["error"]
    assert "2 of 3 cases measured" in capsys.readouterr().out
    pattern = tmp_path / "maps" / "{case}_r2star.nii.gz"
    two = [tmp_path / "segs" / f"{name}_seg.nii.gz" for name in ("anna", "ben")]
    assert measured(*two, "--map", f"r2*={pattern}", *options) == 0
    one = tmp_path / "maps" / "anna_r2star.nii.gz"
    refused(capsys, 2, "is one image for 'r2*', but there are several cases", *two, "--map", f"r2*={one}", *options)


def test_volumes_with_their_segmentations_measure_the_volume_itself(tmp_path):
    volume = image(tmp_path / "scans" / "anna.nii.gz")
    segmentation(tmp_path / "segs" / "anna_seg.nii.gz")
    out = tmp_path / "t.csv"
    options = ("--segmentations", tmp_path / "segs", "--labels", "CHAOS", "-o", out)
    assert measured(volume, *options) == 0
    inside = read_volume(volume).array[ellipsoid(GRID)].astype(float)
    row = spleens(out)["anna"]
    assert (row["map"], float(row["mean"])) == ("image", pytest.approx(inside.mean(), rel=1e-4))


def test_a_volume_is_segmented_first_and_masks_beside_it_are_said_to_be_ignored(tmp_path, tiny_package, capsys):
    image(tmp_path / "in/t2.nii.gz")
    segmentation(tmp_path / "in/t2_seg.nii.gz")
    out = tmp_path / "t.csv"
    options = ("--model", tiny_package, "--device", "cpu", "--organs", "liver,spleen", "-o", out)
    assert measured(tmp_path / "in", *options) == 0
    assert [row["organ"] for row in table(out)] == ["liver", "spleen"]
    said = capsys.readouterr().err
    assert "t2_seg.nii.gz beside them ignored; to measure these masks give --segmentations" in said
    assert f"'{tmp_path / 'in' / '{case}_seg.nii.gz'}'" in said


def test_fat_fractions_of_pairs(tmp_path, capsys):
    seg, out = segmentation(tmp_path / "a.seg.nrrd"), tmp_path / "t.csv"
    water, fat = image(tmp_path / "w.nii.gz", 90), image(tmp_path / "f.nii.gz", 10)
    phases = ("--in-phase", image(tmp_path / "ip.nii.gz", 100), "--out-phase", image(tmp_path / "op.nii.gz", 80))
    assert measured(seg, "--water", water, "--fat", fat, *phases, "-o", out) == 0
    rows = {row["map"]: row for row in table(out) if row["organ"] == "spleen"}
    assert {title: row["mean"] for title, row in rows.items()} == {
        "fat fraction (water, fat)": "10", "fat fraction (in, out of phase)": "10",
    }  # fmt: skip
    assert "f may be 100 - f" in rows["fat fraction (in, out of phase)"]["remarks"]
    assert capsys.readouterr().out.count("f may be 100 - f") == 1
    refused(capsys, 2, "give --water and --fat", seg, "--water", water, "-o", out)


def test_a_fat_fraction_of_philips_images_is_that_of_their_signals(tmp_path):
    """Water and fat are stored with scales of their own: by the displayed values this fat fraction would be 5 %."""
    pytest.importorskip("pydicom")
    seg, out = segmentation(tmp_path / "a.seg.nrrd"), tmp_path / "t.csv"
    for name, signal, slope, scale in (("w", 90, 2.0, 10.0), ("f", 10, 0.25, 38.0)):

        def change(data, _, slope=slope, scale=scale):
            data.RescaleSlope, data.RescaleIntercept = f"{slope:g}", "0"
            data.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)

        stored = np.full(GRID.shape, round(signal * scale), np.float32)
        edited_series(tmp_path / name, change, volume=Volume(stored, GRID))
    assert measured(seg, "--water", tmp_path / "w", "--fat", tmp_path / "f", "-o", out) == 0
    assert float(spleens(out)["a"]["mean"]) == pytest.approx(10, abs=1e-4)


def test_a_fat_fraction_of_one_dixon_series(tmp_path, capsys):
    """Water, fat and both phases share a series, as Philips stores them; each option is given the same folder."""
    pytest.importorskip("pydicom")
    seg, out, folder = segmentation(tmp_path / "a.seg.nrrd"), tmp_path / "t.csv", tmp_path / "dixon"
    levels = {"W": 90, "F": 10, "IP": 100, "OP": 80}
    made = [Volume(np.full(GRID.shape, level, np.float32), GRID) for level in levels.values()]

    def change(data, number, _):
        kind = list(levels)[number]
        data.ImageType = ["DERIVED", "PRIMARY", kind, kind, "DERIVED"]

    write_shared_series(folder, made, change)
    phases = ("--in-phase", folder, "--out-phase", folder)
    assert measured(seg, "--water", folder, "--fat", folder, *phases, "-o", out) == 0
    assert {row["mean"] for row in table(out) if row["organ"] == "spleen"} == {"10"}
    refused(capsys, 3, "4 volumes that differ in image type", seg, "--map", f"t1={folder}", "-o", out)


def test_time_points_are_compared(tmp_path):
    first = segmentation(tmp_path / "2024" / "t2.seg.nrrd")
    second = segmentation(tmp_path / "2025" / "t2.seg.nrrd", (33, 24, 60))
    assert measured(first, second, "--over-time", "-o", tmp_path / "t.csv") == 0
    assert set(spleens(tmp_path / "t.csv")) == {"2024/t2", "2025/t2"}
    rows = table(tmp_path / "t_over_time.csv")
    volume = next(row for row in rows if row["organ"] == "spleen" and row["figure"] == "volume")
    assert float(volume["2025/t2 minus 2024/t2, %"]) == pytest.approx(31, abs=2)


def test_volumes_of_one_study_that_disagree_say_so_in_both_rows(tmp_path):
    field = grid((3.0, 3.0, 4.0), (60.0, 50.0, 100.0))
    files = [segmentation(tmp_path / f"{name}.seg.nrrd", axes, field) for name, axes in (("t1", (30, 22, 55)), ("t2", (25, 18, 38)))]  # fmt: skip  # noqa: E501
    assert measured(*files, "--one-study", "-o", tmp_path / "t.csv") == 0
    rows = spleens(tmp_path / "t.csv")
    assert rows["t1"]["remarks"].startswith("spleen disagrees with t2 (")
    assert rows["t2"]["remarks"].startswith("spleen disagrees with t1 (")


def test_values_without_names_are_those_of_the_default_model_and_that_is_said(tmp_path, capsys):
    assert measured(segmentation(tmp_path / "a_seg.nii.gz"), "-o", tmp_path / "t.csv") == 0
    assert "are taken for those of liver-any-sequence; --labels says otherwise" in capsys.readouterr().err


def test_names_in_a_file_come_before_the_labels_and_a_contradiction_is_said(tmp_path, capsys):
    seg = segmentation(tmp_path / "a.seg.nrrd")  # its 1 is the liver
    assert measured(seg, "-o", tmp_path / "names.csv") == 0
    capsys.readouterr()
    assert measured(seg, "--labels", "BTCV", "-o", tmp_path / "t.csv") == 0
    assert "calls value 1 Liver, and --labels calls it spleen; the names in the file count" in capsys.readouterr().err
    assert (tmp_path / "t.csv").read_text() == (tmp_path / "names.csv").read_text()
    assert measured(seg, "--labels", "CHAOS", "-o", tmp_path / "t.csv") == 0
    assert "the names in the file count" not in capsys.readouterr().err


def test_an_organ_by_another_name_is_measured_by_its_terminology(tmp_path, capsys):
    """What is called as another organ than it is coded keeps its name, and that is said."""
    seg, out = segmentation(tmp_path / "a.seg.nrrd"), tmp_path / "t.csv"
    rename(seg, Spleen="Milz")
    assert measured(seg, "-o", out) == 0
    assert "a.seg.nrrd: takes 'Milz' for spleen, as the terminology of the segments says" in capsys.readouterr().err
    assert "spleen" in [row["organ"] for row in csv.DictReader(out.open()) if float(row["volume_ml"] or 0) > 0]
    rename(seg, Liver="Milz", Milz="Liver")
    assert measured(seg, "-o", out) == 0
    assert (
        "its segment 'Liver' is called so, but is spleen by its terminology; the name counts" in capsys.readouterr().err
    )
    assert [row["organ"] for row in csv.DictReader(out.open()) if float(row["volume_ml"] or 0) > 0] == ["liver"]


def test_what_cannot_be_measured_is_refused_and_leaves_nothing(tmp_path, capsys):
    seg, out = segmentation(tmp_path / "a.seg.nrrd"), tmp_path / "t.csv"
    far = image(tmp_path / "far.nii.gz", 1, replace(GRID, origin=(900.0, 0.0, 0.0)))
    refused(capsys, 3, "map 't1' is nowhere in the same place", seg, "--map", f"t1={far}", "-o", out)
    refused(capsys, 3, "no such file or folder for 't1'", seg, "--map", "t1=none.nii", "-o", out)
    refused(capsys, 2, "is named twice", seg, "--map", f"t1={far}", "--map", f"t1={far}", "-o", out)
    refused(capsys, 2, "there is no such map; maps are image", seg, "--unit", "t1=s", "-o", out)
    refused(capsys, 2, "an erosion of -1 mm", seg, "--erode", "-1", "-o", out)
    refused(capsys, 2, "a DICOM SR reports on one DICOM SEG", seg, "-o", tmp_path / "t.dcm")
    refused(capsys, 3, "no such file", tmp_path / "none.seg.nrrd", "-o", out)
    refused(capsys, 2, "let the name end with .csv for a table", seg, "-o", tmp_path / "t.xlsx")
    refused(capsys, 2, "is also an input; choose another name", seg, "--map", f"t1={out}", "-o", out)
    mask = write_mask(tmp_path / "v.nii.gz")
    refused(capsys, 3, "it looks like a mask; give the image instead, or say with --labels", mask, "-o", out)
    assert not out.exists()
    with pytest.raises(SystemExit):
        measured(seg, "--map", "t1", "-o", out)
    assert "'t1' is not NAME=VALUE" in capsys.readouterr().err


def write_mask(path):
    write_volume(Volume(ellipsoid(GRID).astype(np.uint8), GRID), path)
    return path


def test_cases_of_one_name_are_refused(tmp_path, capsys):
    seg = segmentation(tmp_path / "a.seg.nrrd")
    segmentation(tmp_path / "a_seg.nii.gz")
    both = (seg, tmp_path / "a_seg.nii.gz")
    refused(capsys, 2, "2 cases are called", *both, "-o", tmp_path / "t.csv")


def test_an_organ_that_a_file_does_not_name_was_not_found(tmp_path, capsys):
    labels = LabelSet("own", {3: SPLEEN})
    write_segmentation(tmp_path / "a.seg.nrrd", ellipsoid(GRID).astype(np.uint8) * 3, labels, GRID)
    out = tmp_path / "t.csv"
    assert measured(tmp_path / "a.seg.nrrd", "--organs", "liver,spleen", "-o", out) == 0
    assert {row["organ"]: row["remarks"] for row in table(out)} == {"liver": "liver was not found", "spleen": ""}
    options = ("--organs", "pancreas", "-o", out)
    unnamed = segmentation(tmp_path / "b_seg.nii.gz")
    refused(capsys, 2, "CHAOS has no 'pancreas'", unnamed, "--labels", "CHAOS", *options)


def test_label_maps_beside_their_images(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / "in" / f"{name}.nii.gz")
        segmentation(tmp_path / "in" / f"{name}_label.nii.gz")
    pattern = f"image={tmp_path / 'in'}/{{case}}.nii.gz"
    assert measured(tmp_path / "in", "--labels", "CHAOS", "--map", pattern, "-o", tmp_path / "t.csv") == 0
    assert {name: row["map"] for name, row in spleens(tmp_path / "t.csv").items()} == {"a": "image", "b": "image"}


def test_frames_of_a_4d_file_are_cases(tmp_path, tiny_package):
    import SimpleITK as sitk

    frames = [sitk.GetImageFromArray(np.random.default_rng(n).normal(100, 9, (12, 20, 24)).astype(np.float32)) for n in (0, 1)]  # fmt: skip  # noqa: E501
    sitk.WriteImage(sitk.JoinSeries(frames), tmp_path / "dce.nii.gz")
    out = tmp_path / "t.csv"
    options = ("--model", tiny_package, "--device", "cpu", "--over-time", "-o", out)
    assert measured(tmp_path / "dce.nii.gz", "--frame", "all", *options) == 0
    assert {row["case"] for row in table(out)} == {"dce_frame_01", "dce_frame_02"}
    assert "dce_frame_02 minus dce_frame_01" in (tmp_path / "t_over_time.csv").read_text()
