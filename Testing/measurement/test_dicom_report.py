"""Measurements as DICOM SR: read back by highdicom, and looked at by dciodvfy and dsrdump where they are."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series
from helpers.ellipsoids import ellipsoid, grid
from LiverMRISegLib.anatomy import CHAOS, LIVER, SPLEEN, LabelSet, structure_named
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.dicom.sr import write_dicom_sr
from LiverMRISegLib.measurement.dicom_report import groups_of, write_dicom_report
from LiverMRISegLib.measurement.maps import quantity_map
from LiverMRISegLib.measurement.organs import Rules, measure
from LiverMRISegLib.volume import Volume

pytest.importorskip("highdicom")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Spleen and right kidney of a DICOM series."""
    folder = tmp_path_factory.mktemp("series")
    geometry = grid((3.0, 3.0, 4.0))
    values = np.random.default_rng(0).integers(50, 200, geometry.shape).astype(np.uint16)
    write_dicom_series(folder, Volume(values, geometry))
    volume = read_volume(folder)
    labels = ellipsoid(geometry).astype(np.uint8) * 4
    labels[ellipsoid(geometry, (10, 8, 20), (-28, 0, 0))] = 2
    return Segmentation(labels, CHAOS, volume.geometry, {}, [], {}, volume)


@pytest.fixture(scope="module")
def written(result, tmp_path_factory):
    """The DICOM SEG and its SR, with a PDFF map."""
    folder = tmp_path_factory.mktemp("dicom")
    pdff = Volume(np.full(result.geometry.shape, 7.25, np.float32), result.geometry)
    maps = {"pdff": quantity_map("pdff", pdff), "my map": quantity_map("my map", pdff)}
    result.save(folder / "o.dcm")
    result.save_measurements(folder / "sr.dcm", maps, Rules(erosion_mm=2, outliers=3), dicom_seg=folder / "o.dcm")
    return folder


def groups(path):
    import highdicom

    report = highdicom.sr.srread(path)
    return report, {g.tracking_identifier: g for g in report.content.get_volumetric_roi_measurement_groups()}


def texts(path):
    """All of it, as text."""
    import pydicom

    return pydicom.dcmread(path).to_json()


def test_it_says_what_was_measured_of_which_segment(written, result):
    import pydicom

    report, found = groups(written / "sr.dcm")
    seg = pydicom.dcmread(written / "o.dcm", stop_before_pixels=True)
    assert (seg.SegmentSequence[1].SegmentLabel, seg.SegmentSequence[1].SegmentNumber) == ("Spleen", 2)
    assert report.StudyInstanceUID == seg.StudyInstanceUID
    assert list(found) == ["Right kidney", "Spleen"]
    spleen = found["Spleen"]
    assert (spleen.finding_type.value, spleen.finding_type.scheme_designator) == ("78961009", "SCT")
    (segment,) = (item for item in spleen.referenced_segment if item.value_type.value == "IMAGE")
    assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
    assert list(segment.referenced_segment_numbers) == [2]
    figures = {(m.name.meaning, m.derivation.meaning if m.derivation else ""): m for m in spleen.get_measurements()}
    volume = figures["Volume", ""]
    assert volume.unit.value == "ml"
    assert volume.value == pytest.approx(result.measure().organs[3].volume_ml, rel=1e-5)
    fat = figures["Fat fraction", "Mean"]
    assert (fat.value, fat.unit.value, fat.name.value) == (7.25, "%", "129100")
    assert figures["Fat fraction", "Standard Deviation"].value == 0
    assert figures["my map", "Mean"].name.scheme_designator == "99LIVERMRISEG"
    assert figures["MR signal intensity", "Median"].unit.value == "1"
    assert figures["Length", ""].method.meaning == "cranio-caudal"
    side = found["Right kidney"].finding_sites[0].laterality
    assert side.value == "24028007"


def test_two_maps_of_one_quantity_say_which_they_are(result, tmp_path):
    maps = {
        title: quantity_map(title, Volume(np.full(result.geometry.shape, value, np.float32), result.geometry))
        for title, value in (("pdff", 7.0), ("fat fraction (water, fat)", 9.0), ("t1", 800.0))
    }
    result.save(tmp_path / "o.dcm")
    result.save_measurements(tmp_path / "sr.dcm", maps, dicom_seg=tmp_path / "o.dcm")
    _, found = groups(tmp_path / "sr.dcm")
    means = [m for m in found["Spleen"].get_measurements() if m.derivation and m.derivation.meaning == "Mean"]
    told = {m.value: (m.name.meaning, m.method and m.method.meaning) for m in means}
    assert told[7.0] == ("Fat fraction", "pdff")
    assert told[9.0] == ("Fat fraction", "fat fraction (water, fat)")
    assert told[800.0] == ("T1", None)


def test_it_refers_to_the_seg_and_the_series(written):
    import pydicom

    seg = pydicom.dcmread(written / "o.dcm", stop_before_pixels=True)
    text = texts(written / "sr.dcm")
    assert seg.SOPInstanceUID in text
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID in text
    assert "erosion 2 mm" in text
    assert "without values farther than 3 x 1.4826 MAD from the median" in text


def test_kidneys_together_and_what_is_missing(written):
    import highdicom

    report = highdicom.sr.srread(written / "sr.dcm")
    (both,) = report.content.get_image_measurement_groups()
    assert both.tracking_identifier == "Both kidneys"
    assert "left kidney was not found and is not in the sum" in texts(written / "sr.dcm")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy of dicom3tools")
def test_dciodvfy_finds_no_error(written):
    done = subprocess.run(["dciodvfy", written / "sr.dcm"], capture_output=True, text=True, check=False)
    assert "Comprehensive3DSR" in done.stderr + done.stdout
    assert not [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error")]


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="needs dsrdump of dcmtk")
def test_dsrdump_reads_it(written):
    done = subprocess.run(["dsrdump", written / "sr.dcm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'NUM:(,,"Fat fraction")="7.25" (%,UCUM,"percent")' in done.stdout


@pytest.mark.parametrize("called", ["spleen", "Milz"])
def test_a_segment_by_another_name_is_the_organ_of_its_code(written, result, tmp_path, called):
    """Measured as that organ, or, as in Slicer, by the name that it has there."""
    import pydicom

    data = pydicom.dcmread(written / "o.dcm")
    (spleen,) = [one for one in data.SegmentSequence if one.SegmentLabel == "Spleen"]
    spleen.SegmentLabel = "Milz"
    data.save_as(tmp_path / "o.dcm")
    organ = replace(SPLEEN, name=called)
    found = measure(result.labelmap_volume, LabelSet("segments", {4: organ}))
    write_dicom_report(tmp_path / "sr.dcm", found, tmp_path / "o.dcm")
    assert list(groups(tmp_path / "sr.dcm")[1]) == [organ.title]


def test_what_cannot_be_reported_is_refused(written, result, tmp_path):
    found = result.measure()
    with pytest.raises(InputError, match=r"is not a DICOM SEG; give the segmentation that was measured"):
        write_dicom_sr(tmp_path / "sr.dcm", written / "sr.dcm", [])
    nothing = measure(Volume(result.labelmap * 0, result.geometry), LabelSet("liver", {1: LIVER}))
    with pytest.raises(OutputError, match="nothing was measured, and a DICOM SR cannot be empty"):
        write_dicom_report(tmp_path / "sr.dcm", nothing, written / "o.dcm")
    with pytest.raises(UsageError, match="save that first, and give it as dicom_seg"):
        result.save_measurements(tmp_path / "sr.dcm")
    with pytest.raises(UsageError, match=r"measurements are written to \.csv, or to \.dcm"):
        result.save_measurements(tmp_path / "sr.txt")
    assert next(group.title for group in groups_of(found, {"Spleen": 1})) == "Spleen"
    assert list(tmp_path.iterdir()) == []
    result.save_measurements(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().startswith("case,organ,volume_ml")


def test_a_structure_that_is_not_ours_is_reported_under_its_name_in_the_seg(result):
    """A DICOM SEG writes names in capitals."""
    labels = LabelSet("model", {2: structure_named("cyst", 2), 4: structure_named("renal tumour", 4)})
    found = measure(Volume(result.labelmap, result.geometry), labels)
    reported = list(groups_of(found, {"Renal tumour": 1, "Cyst": 2}))
    assert [(group.title, group.segment) for group in reported] == [("Cyst", 2), ("Renal tumour", 1)]


def test_the_seg_measured_again_gives_the_same_volumes(written, result):
    labelmap = read_labelmap(written / "o.dcm")
    assert labelmap.metadata["cropped"]
    found = measure(labelmap, LabelSet("seg", {1: CHAOS[2], 2: CHAOS[4]}))
    assert [o.volume_ml for o in found.organs] == [
        o.volume_ml for o in result.measure().organs if o.volume_ml is not None
    ]
