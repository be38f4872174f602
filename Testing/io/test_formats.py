"""Volumes and label maps come back as they were, in place, in every format and orientation."""

import os
import subprocess
import sys

import numpy as np
import pytest

from helpers.places import ROOT
from helpers.volumes import all_directions, make_volume, oblique_directions
from LiverMRISegLib.anatomy import CHAOS, FLARE, ORGANS, id_of
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.io import find_volumes, read_labelmap, read_volume, write_segmentation, write_volume
from LiverMRISegLib.volume import Volume, resample

IMAGES = ("nii.gz", "nii", "nrrd", "mha")
DIRECTIONS = all_directions() + oblique_directions()


def world_of_brightest(volume):
    z, y, x = np.unravel_index(int(volume.array.argmax()), volume.array.shape)
    return np.array(volume.geometry.world_of((x, y, z)))


@pytest.mark.parametrize("ending", IMAGES)
def test_images_keep_voxels_and_place_in_every_orientation(tmp_path, ending):
    for number, direction in enumerate(DIRECTIONS):
        volume = make_volume(direction, size=(6, 5, 4), seed=number)
        path = tmp_path / f"v{number}.{ending}"
        write_volume(volume, path)
        back = read_volume(path)
        assert np.allclose(world_of_brightest(back), world_of_brightest(volume), atol=1e-3)
        assert np.array_equal(back.array, volume.array)
        assert back.geometry.is_close(volume.geometry, 1e-4)


@pytest.mark.parametrize("ending", [*IMAGES, "seg.nrrd"])
def test_labels_keep_voxels_and_place_in_every_orientation(tmp_path, ending):
    for number, direction in enumerate(DIRECTIONS):
        geometry = make_volume(direction, size=(6, 5, 4)).geometry
        labels = np.random.default_rng(number).integers(0, 5, geometry.shape).astype(np.uint8)
        path = tmp_path / f"l{number}.{ending}"
        write_segmentation(path, labels, CHAOS, geometry)
        back = read_labelmap(path)
        assert np.array_equal(back.array, labels)
        assert back.geometry.is_close(geometry, 1e-4)


def test_names_come_back_from_a_segmentation(tmp_path):
    volume = make_volume()
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:4], labels[5] = 1, 13
    write_segmentation(tmp_path / "s.seg.nrrd", labels, FLARE, volume.geometry)
    back = read_labelmap(tmp_path / "s.seg.nrrd")
    assert back.metadata["segments"][1] == "Liver"
    assert back.metadata["segments"][13] == "Left kidney"


def test_a_segmentation_with_overlapping_layers_is_merged(tmp_path):
    import SimpleITK as sitk

    layers = np.zeros((4, 5, 6, 2), np.uint8)
    layers[1, ..., 0], layers[2, ..., 1] = 1, 1
    image = sitk.GetImageFromArray(layers, isVector=True)
    for number in range(2):
        for key, value in (("ID", f"s{number}"), ("Name", f"part {number}"), ("LabelValue", "1"), ("Layer", number)):
            image.SetMetaData(f"Segment{number}_{key}", str(value))
    sitk.WriteImage(image, str(tmp_path / "layers.seg.nrrd"))
    back = read_labelmap(tmp_path / "layers.seg.nrrd")
    assert back.metadata["segments"] == {1: "part 0", 2: "part 1"}
    assert set(np.unique(back.array[1])) == {1}
    assert set(np.unique(back.array[2])) == {2}


def layered(path, fields, layers):
    """A .seg.nrrd made by hand: `fields` of its header, `layers` [Z, Y, X, layer]."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(layers, isVector=True)
    for key, value in fields.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return path


def test_segmentations_of_old_slicers_have_a_component_for_each_segment(tmp_path):
    layers = np.zeros((4, 5, 6, 2), np.uint8)
    layers[1, ..., 0], layers[2, ..., 1] = 1, 1
    fields = {"Segment0_ID": "a", "Segment0_Name": "one", "Segment1_ID": "b", "Segment1_Name": "two"}
    back = read_labelmap(layered(tmp_path / "old.seg.nrrd", fields, layers))
    assert back.metadata["segments"] == {1: "one", 2: "two"}
    assert (back.array[1] == 1).all()
    assert (back.array[2] == 2).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"Segment0_LabelValue": "x"}, "no label value"),
        ({"Segment0_LabelValue": "-3"}, "no label value"),
        ({"Segment0_Layer": "7"}, "layer 7, which is not there"),
        ({"Segmentation_MasterRepresentation": "Fractional labelmap"}, "contains fractions"),
    ],
)
def test_segmentations_that_contradict_themselves(tmp_path, fields, words):
    path = layered(tmp_path / "s.seg.nrrd", {"Segment0_ID": "a", **fields}, np.ones((4, 5, 6, 2), np.uint8))
    with pytest.raises(InputError, match=words):
        read_labelmap(path)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_segmentations(tmp_path, kept):
    path = tmp_path / "s.seg.nrrd"
    geometry = make_volume().geometry
    write_segmentation(path, np.random.default_rng(0).integers(0, 5, geometry.shape), CHAOS, geometry)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match=r"s\.seg\.nrrd: .*(empty|export it again)"):
        read_labelmap(path)
    with pytest.raises(InputError, match="no such file"):
        read_labelmap(tmp_path / "absent.seg.nrrd")


def slicer_segmentation(slicer, path=None):
    """A segmentation node in a scene, read from `path`."""
    scene = slicer.vtkMRMLScene()
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    if path is not None:
        storage.SetFileName(str(path))
        assert storage.ReadData(node) == 1
    return scene, node, storage


def test_overlapping_segments_saved_by_slicer(tmp_path):
    """What Slicer crops, and puts in two layers, comes back in place; where they overlap the later segment wins."""
    slicer = pytest.importorskip("slicer")
    volume = make_volume(oblique_directions()[1])
    parts = np.zeros((2, *volume.array.shape), np.uint8)
    parts[0, 2:8, 3:9, 4:12], parts[1, 6:10, 5:14, 8:18] = 1, 2
    for number in range(2):
        write_segmentation(tmp_path / f"{number}.seg.nrrd", parts[number], CHAOS, volume.geometry)
    _scene, node, storage = slicer_segmentation(slicer, tmp_path / "0.seg.nrrd")
    other = slicer_segmentation(slicer, tmp_path / "1.seg.nrrd")
    for value in (2, 3, 4):
        node.GetSegmentation().RemoveSegment(id_of(CHAOS[value].name))
    assert node.GetSegmentation().AddSegment(other[1].GetSegmentation().GetSegment("right_kidney"), "right_kidney")
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    storage.SetFileName(str(tmp_path / "both.seg.nrrd"))
    assert storage.WriteData(node) == 1
    back = read_labelmap(tmp_path / "both.seg.nrrd")
    assert sorted(back.metadata["segments"].values()) == ["Liver", "Right kidney"]
    assert back.array.shape != volume.array.shape
    expected = np.where(parts[1] > 0, 2, parts[0])
    names = {1: "Liver", 2: "Right kidney"}
    moved = resample(back, volume.geometry, nearest=True).array
    for value, name in names.items():
        found = next(v for v, n in back.metadata["segments"].items() if n == name)
        assert np.array_equal(moved == found, expected == value)


def test_slicer_understands_the_terminology(tmp_path):
    """Slicer's own parser finds category, type and side of every organ."""
    slicer = pytest.importorskip("slicer")
    logic, entry = slicer.vtkSlicerTerminologiesModuleLogic(), slicer.vtkSlicerTerminologyEntry()
    for organ in ORGANS:
        assert logic.DeserializeTerminologyEntry(organ.terminology_entry, entry)
        assert entry.GetCategoryObject().GetCodeValue() == "123037004"
        kind = entry.GetTypeObject()
        assert (kind.GetCodingSchemeDesignator(), kind.GetCodeValue()) == ("SCT", organ.type_code.value)
        assert kind.GetCodeMeaning() == organ.type_code.meaning
        side = entry.GetTypeModifierObject().GetCodeValue()
        assert side == (organ.side.value if organ.side else None)


def test_slicer_reads_names_colours_terminology_and_place(tmp_path):
    slicer = pytest.importorskip("slicer")
    import vtk

    direction = oblique_directions()[0]
    volume = make_volume(direction)
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[3, 4, 5], labels[7:9, 2:6, 8:12] = 2, 1
    write_segmentation(tmp_path / "s.seg.nrrd", labels, CHAOS, volume.geometry)
    _scene, node, _ = slicer_segmentation(slicer, tmp_path / "s.seg.nrrd")
    segmentation = node.GetSegmentation()
    names = {segmentation.GetNthSegment(i).GetName(): segmentation.GetNthSegment(i) for i in range(4)}
    assert set(names) == {organ.title for organ in CHAOS.organs}
    for organ in CHAOS.organs:
        segment = names[organ.title]
        assert segment.GetColor() == pytest.approx([c / 255 for c in organ.color], abs=1e-3)
        entry = vtk.mutable("")
        assert segment.GetTag("TerminologyEntry", entry)
        assert organ.type_code.value in str(entry)
    image = node.GetBinaryLabelmapInternalRepresentation(segmentation.GetSegmentIdBySegment(names["Right kidney"]))
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    found = []
    x0, x1, y0, y1, z0, z1 = image.GetExtent()
    for x in range(x0, x1 + 1):
        for y in range(y0, y1 + 1):
            for z in range(z0, z1 + 1):
                if image.GetScalarComponentAsDouble(x, y, z, 0) == 2:
                    found.append(matrix.MultiplyPoint((x, y, z, 1))[:3])
    assert len(found) == 1
    left, posterior, superior = volume.geometry.world_of((5, 4, 3))
    assert found[0] == pytest.approx((-left, -posterior, superior), abs=1e-3)


def test_unknown_ending_and_places_that_cannot_be_written(tmp_path):
    volume = make_volume()
    with pytest.raises(UsageError, match="unknown format"):
        write_volume(volume, tmp_path / "v.xyz")
    with pytest.raises(OutputError, match="does not exist"):
        write_volume(volume, tmp_path / "absent/v.nii.gz")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"v\.nii"):
        write_volume(volume, tmp_path / "file/v.nii")
    (tmp_path / "d.nii").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_volume(volume, tmp_path / "d.nii")


LIMITED = """
import resource, signal, sys
import numpy as np
from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.volume import Geometry, Volume
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
volume = Volume(np.random.default_rng(0).uniform(size=(40, 40, 40)).astype(np.float32), Geometry((40, 40, 40)))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write_volume(volume, sys.argv[1])
except OutputError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a Unix thing")
@pytest.mark.parametrize("ending", IMAGES)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, ending):
    """A limit on file sizes fails a write halfway, as a full disk does."""
    path = tmp_path / f"v.{ending}"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert "refused:" in done.stderr, done.stderr
    assert str(path) in done.stderr
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_volumes_of_a_folder(tmp_path):
    for name in ("b.nii.gz", "a.nrrd", "a_seg.nii.gz", "c.seg.nrrd", ".hidden.nii", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in find_volumes(tmp_path)] == ["a.nrrd", "b.nii.gz"]


def test_float_labels_are_read_and_images_are_not_labels(tmp_path):
    volume = make_volume()
    write_volume(Volume(np.round(volume.array), volume.geometry), tmp_path / "whole.nii")
    assert read_labelmap(tmp_path / "whole.nii").array.dtype == np.int32
    write_volume(volume, tmp_path / "image.nii")
    with pytest.raises(InputError, match="fractions"):
        read_labelmap(tmp_path / "image.nii")


@pytest.mark.parametrize(("array", "words"), [(np.full((12, 16, 20), -1), "between"), (np.ones((12, 16, 20)), "whole")])
def test_what_is_no_label_map_is_not_written(tmp_path, array, words):
    with pytest.raises(UsageError, match=words):
        write_segmentation(tmp_path / "m.nrrd", array, CHAOS, make_volume().geometry)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "stored"), [(np.bool_, np.uint8), (np.float16, np.float32), (np.int64, np.int64)])
def test_types_that_the_formats_lack(tmp_path, kind, stored):
    import SimpleITK as sitk

    volume = make_volume()
    array = (np.round(volume.array) % 2 if kind is np.bool_ else np.round(volume.array)).astype(kind)
    write_volume(Volume(array, volume.geometry), tmp_path / "v.nii.gz")
    back = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "v.nii.gz")))
    assert back.dtype == stored
    assert np.array_equal(back, array.astype(stored))
