"""What else the worker does: measure layers with maps, export as DICOM SEG, say where volumes of a study disagree."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.dicom_series import whole_numbered_volume, write_dicom_series
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.worker.exporting import free_path, on_grid
from LiverMRISegLib.inference.worker.protocol import segment_request
from LiverMRISegLib.inference.worker.server import Server
from LiverMRISegLib.inference.worker.tasks import (
    ExportTask,
    Layer,
    MapFile,
    MeasureTask,
    export_request,
    measure_request,
    study_request,
)
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.volume import Volume, reorient, resample

SIZE = (20, 16, 12)


def answers(*requests):
    """What a worker answers to requests: the last message of each."""
    said = io.StringIO()
    lines = "".join(json.dumps({"id": n, **request}) + "\n" for n, request in enumerate(requests))
    server = Server(io.BytesIO(lines.encode()), said)
    server._read()
    server._open.clear()
    while (waiting := server._waiting.get()) is not None:
        server._answer(waiting[0], waiting[1].__class__())
    messages = [json.loads(line) for line in said.getvalue().splitlines()]
    return [[m for m in messages if m["id"] == n][-1] for n in range(len(requests))]


def labels(*boxes):
    made = np.zeros(SIZE[::-1], np.uint8)
    for value, where in boxes:
        made[where] = value
    return made


@pytest.fixture
def layers(tmp_path):
    """Liver and spleen, and a lesion of the user's inside the liver."""
    grid = make_volume(size=SIZE).geometry
    first = labels((1, np.s_[2:8, 2:10, 2:10]), (4, np.s_[9:11, 2:5, 12:15]))
    for name, array in (("a", first), ("b", labels((1, np.s_[3:5, 3:6, 3:6])))):
        write_volume(Volume(array, grid, name), tmp_path / f"{name}.nrrd")
    return (
        Layer(tmp_path / "a.nrrd", {"liver": 1, "spleen": 4}),
        Layer(tmp_path / "b.nrrd", {"Lesion 1": 1}),
    )


def table(answer):
    assert answer["event"] == "done", answer
    return [dict(zip(answer["header"], row, strict=True)) for row in answer["rows"]]


def test_layers_and_maps(layers, tmp_path):
    grid = make_volume(size=SIZE).geometry
    for name, value in (("pdff", 12.5), ("water", 80.0), ("fat", 20.0)):
        write_volume(Volume(np.full(SIZE[::-1], value, np.float32), grid, name), tmp_path / f"{name}.nrrd")
    maps = (
        MapFile("PDFF", tmp_path / "pdff.nrrd"),
        MapFile("fat", tmp_path / "water.nrrd", tmp_path / "fat.nrrd", "water and fat"),
    )
    rows = table(answers(measure_request(MeasureTask(layers, maps, 0.0, 3.0, "t2")))[0])
    assert [(row["organ"], row["map"]) for row in rows] == [
        ("liver", "PDFF"), ("liver", "fat"), ("spleen", "PDFF"), ("spleen", "fat"),
        ("Lesion 1", "PDFF"), ("Lesion 1", "fat"),
    ]  # fmt: skip
    assert [float(row["mean"]) for row in rows] == [12.5, 20.0] * 3
    assert [float(row["volume_ml"]) for row in rows][::2] == pytest.approx([384 * 0.02, 18 * 0.02, 18 * 0.02])
    assert {row["unit"] for row in rows} == {"%"}
    assert "not corrected for T1" in rows[1]["remarks"]


def test_what_cannot_be_measured(layers, tmp_path):
    grid = replace(make_volume(size=SIZE).geometry, origin=(900.0, 0.0, 0.0))
    write_volume(Volume(np.ones(SIZE[::-1], np.float32), grid, "far"), tmp_path / "far.nrrd")
    far = MapFile("T1", tmp_path / "far.nrrd")
    said = answers(
        measure_request(MeasureTask(layers, (far,))),
        measure_request(MeasureTask(layers, (far, far))),
        measure_request(MeasureTask(layers, (replace(far, kind="water and fat"),))),
        measure_request(MeasureTask(layers, (replace(far, kind="no kind"),))),
    )
    expected = ("nowhere in the same place", "two maps have the same name", "choose the second", "kind")
    for answer, words in zip(said, expected, strict=True):
        assert answer["event"] == "error"
        assert words in answer["message"]


@pytest.fixture
def series(tmp_path):
    pytest.importorskip("highdicom")
    volume = whole_numbered_volume(oblique_directions()[1])
    write_dicom_series(tmp_path / "dicom", volume)
    write_dicom_series(tmp_path / "dicom", volume, uid_suffix="2")  # another series in the same folder
    return volume, sorted((tmp_path / "dicom").glob("image_1_*.dcm"))


@pytest.mark.parametrize("code", ["LPS", "SAR"])
def test_a_dicom_seg_whatever_the_order_of_the_axes(series, tmp_path, code):
    volume, files = series
    array = np.zeros(volume.array.shape, np.uint8)
    array[3:6, 4:9, 5:12], array[8, 2:4, 2:4] = 1, 4
    given = reorient(Volume(array, volume.geometry), code)
    write_volume(given, tmp_path / "labels.nrrd")
    layer = Layer(tmp_path / "labels.nrrd", {"liver": 1, "spleen": 4})
    (tmp_path / "out").mkdir()
    task = ExportTask((layer,), tuple(files), tmp_path / "out")
    first, second = answers(export_request(task), export_request(task))
    assert first["files"] == [str(tmp_path / "out" / "segmentation.dcm")]
    assert "exists already" in second["message"]
    written = resample(read_labelmap(first["files"][0]), volume.geometry, nearest=True)
    assert np.array_equal(written.array, np.where(array == 4, 2, array))


def test_an_export_is_there_whole_or_not_at_all(series, tmp_path):
    """The second DICOM SEG cannot be written, when the first one has been."""
    volume, files = series
    layers = []
    for name, value in (("a", 1), ("empty", 0)):
        write_volume(Volume(np.full(volume.array.shape, value, np.uint8), volume.geometry), tmp_path / f"{name}.nrrd")
        layers.append(Layer(tmp_path / f"{name}.nrrd", {name: 1}))
    before = sorted(tmp_path.iterdir())
    [said] = answers(export_request(ExportTask(tuple(layers), tuple(files), tmp_path / "out")))
    assert said["message"].startswith(f"{tmp_path / 'out' / 'segmentation_2.dcm'}: nothing was segmented")
    assert sorted(tmp_path.iterdir()) == before


def test_organs_by_other_names_have_their_codes_and_figures(series, tmp_path):
    """And a name of the user's own that begins with a small letter, which the DICOM SEG changes, is in the report."""
    import pydicom

    volume, files = series
    array = np.zeros(volume.array.shape, np.uint8)
    array[3:6, 4:6, 5:12], array[3:6, 8:9, 5:12], array[8, 2:4, 2:4] = 1, 2, 3
    write_volume(Volume(array, volume.geometry), tmp_path / "l.nrrd")
    names = {"Niere rechts": 1, "left kidney": 2, "lesion 1": 3}
    layer = Layer(tmp_path / "l.nrrd", names, {"Niere rechts": "right kidney"})
    task = MeasureTask((layer,))
    export = ExportTask((layer,), tuple(files), tmp_path / "out", measured=task)
    measured, exported = answers(measure_request(task), export_request(export))
    found = {row["organ"]: row for row in table(measured)}
    assert list(found) == [*names, "total kidney volume"]
    assert found["Niere rechts"]["craniocaudal_mm"]
    segments = pydicom.dcmread(exported["files"][0]).SegmentSequence
    assert [
        (segment.SegmentLabel, segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) for segment in segments
    ] == [("Niere rechts", "Kidney"), ("Left kidney", "Kidney"), ("Lesion 1", "Anatomical Structure")]
    reported = [str(element.value) for element in pydicom.dcmread(exported["files"][1]).iterall()]
    assert {"Niere rechts", "Left kidney", "Lesion 1", "Both kidneys"} <= set(reported)


def test_images_that_are_not_those_of_the_labels(series, tmp_path):
    volume, _ = series
    with pytest.raises(InputError, match="not on the volume's grid; load them again"):
        on_grid(Volume(np.ones((5, 5, 5), np.uint8), make_volume(size=(5, 5, 5)).geometry), volume.geometry, "x")
    write_volume(Volume(np.ones(volume.array.shape, np.uint8), volume.geometry), tmp_path / "l.nrrd")
    layer = Layer(tmp_path / "l.nrrd", {"liver": 1})
    said = answers(
        export_request(ExportTask((layer,), (), tmp_path)),
        export_request(ExportTask((layer,), (tmp_path / "gone.dcm",), tmp_path)),
    )
    assert "load it from DICOM" in said[0]["message"]
    assert "was it moved or deleted?" in said[1]["message"]
    assert free_path(tmp_path, "y") == tmp_path / "y.dcm"


def test_volumes_of_a_study_that_disagree_say_so(tmp_path, tiny_package, monkeypatch):
    """The second has another liver; the third is of another study."""
    from LiverMRISegLib.inference.segmenter import Segmentation, Segmenter

    grid = make_volume(size=(40, 36, 24)).geometry
    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "v.nrrd")
    halves = iter((24, 10, 10))

    def segment(self, volume, **_options):
        array = np.zeros(grid.shape, np.uint8)
        array[2 : next(halves) - 2, 4:30, 4:30] = 1
        names = self.package.spec.labels
        return Segmentation(array, names, grid, {}, [], {}, volume)

    monkeypatch.setattr(Segmenter, "segment", segment)
    options = {"model": str(tiny_package), "device": "cpu"}

    def request(case, study):
        return segment_request(tmp_path / "v.nrrd", tmp_path / f"{case}.nrrd", study=study, case=case, **options)

    said = answers(
        request("T1", "A"), request("T2", "A"), request("other", "B"), study_request("A"), study_request("B")
    )
    found = said[3]["disagreements"]
    assert list(found) == ["T1", "T2"]
    assert "liver disagrees with T2" in found["T1"][0]
    assert "liver disagrees with T1" in found["T2"][0]
    assert said[4]["disagreements"] == {"other": []}
