"""The module's logic on real MRML (slicer-core): the segmentation is where its volume is, transforms included."""

import numpy as np
import pytest

from helpers.volumes import all_directions, make_volume, oblique_directions

pytest.importorskip("slicer")
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.logic import SceneLogic
from LiverMRISegScene.results import accepted, stamp_of
from LiverMRISegScene.segmentations import add_segmentation
from LiverMRISegScene.volumes import ijk_to_world, volume_of


def add_volume(scene, direction=None, size=(20, 16, 12), name="volume", array=None):
    made = make_volume(direction, size=size)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    image = vtk.vtkImageData()
    image.SetDimensions(*size)
    voxels = made.array if array is None else array
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    node.SetAndObserveImageData(image)
    matrix = vtk.vtkMatrix4x4()
    lps = np.eye(4)
    lps[:3, :3] = np.array(made.geometry.direction) * np.array(made.geometry.spacing)
    lps[:3, 3] = made.geometry.origin
    ras = np.diag([-1, -1, 1, 1]) @ lps
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, ras[row, column])
    node.SetIJKToRASMatrix(matrix)
    return node, made


def under_transform(scene, node, matrix):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    vtk_matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            vtk_matrix.SetElement(row, column, matrix[row, column])
    transform.SetMatrixTransformToParent(vtk_matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def world_points(segmentation_node, segment_id):
    """World RAS of every voxel of a segment, parent transforms included."""
    image = slicer.vtkOrientedImageData()
    segmentation_node.GetBinaryLabelmapRepresentation(segment_id, image)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    parent = segmentation_node.GetParentTransformNode()
    if parent is not None:
        parent.GetMatrixTransformToWorld(matrix)
        to_world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)]) @ to_world
    x0, x1, y0, y1, z0, z1 = image.GetExtent()
    index = [
        (x, y, z, 1)
        for z in range(z0, z1 + 1) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)
        if image.GetScalarComponentAsDouble(x, y, z, 0)
    ]  # fmt: skip
    return np.array(index) @ to_world.T


def shift(x=100.0):
    matrix = np.eye(4)
    matrix[:3, :3] = oblique_directions()[1]
    matrix[0, 3] = x
    return matrix


@pytest.mark.parametrize("number", range(0, 52, 3))
@pytest.mark.parametrize("moved", [False, True])
def test_a_volume_node_is_read_in_place(scene, number, moved):
    direction = (all_directions() + oblique_directions())[number]
    node, made = add_volume(scene, direction)
    if moved:
        under_transform(scene, node, shift())
    volume = volume_of(node)
    assert np.array_equal(volume.array, made.array)
    lps = np.array(volume.geometry.world_of((3, 4, 5)))
    ras = ijk_to_world(node) @ np.array([3, 4, 5, 1.0])
    assert np.allclose(lps * [-1, -1, 1], ras[:3], atol=1e-3)


@pytest.mark.parametrize("number", range(0, 52, 5))
@pytest.mark.parametrize("moved", [False, True])
def test_the_segmentation_lies_on_the_volume(scene, number, moved):
    node, made = add_volume(scene, (all_directions() + oblique_directions())[number])
    if moved:
        under_transform(scene, node, shift())
    labels = np.zeros(made.array.shape, np.uint8)
    labels[3:5, 4, 5:8], labels[9, 10, 11] = 1, 4
    result = add_segmentation(scene, node, labels, CHAOS, "organs")
    to_world = ijk_to_world(node)
    for value, name in ((1, "liver"), (4, "spleen")):
        index = np.array([(*p[::-1], 1) for p in np.argwhere(labels == value)])
        assert np.allclose(sorted(map(tuple, world_points(result, name))), sorted(map(tuple, index @ to_world.T)))


def test_names_colours_terminology_and_place_in_the_hierarchy(scene):
    node, made = add_volume(scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "patient")
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
    hierarchy.SetItemParent(item, folder)
    labels = np.zeros(made.array.shape, np.uint8)
    labels[3:5], labels[8] = 2, 1
    result = add_segmentation(scene, node, labels, CHAOS, "organs")
    segmentation = result.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 2
    segment = segmentation.GetSegment("right_kidney")
    assert segment.GetName() == "Right kidney"
    assert segment.GetColor() == pytest.approx([c / 255 for c in CHAOS[2].color], abs=1e-6)
    entry = vtk.mutable("")
    assert segment.GetTag("TerminologyEntry", entry)
    assert "64033007" in str(entry)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(result)) == folder


def test_transforms_that_a_grid_cannot_follow_are_refused(scene):
    node, _ = add_volume(scene)
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    under_transform(scene, node, sheared)
    with pytest.raises(InputError, match=r"not perpendicular.*resample it"):
        volume_of(node)
    grid = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (30, 30, 30)):
        source.InsertNextPoint(point)
        target.InsertNextPoint([v + 0.01 * v * v for v in point])
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    grid.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(grid.GetID())
    with pytest.raises(InputError, match="'bent' is not linear; harden it"):
        volume_of(node)


def test_the_whole_way_through_a_real_worker(scene, tiny_package):
    good, _ = add_volume(scene, oblique_directions()[0], size=(40, 36, 24), name="good")
    under_transform(scene, good, shift())
    good.SetAttribute("DICOM.Modality", "PT")
    flat = np.full((24, 36, 40), 7.0, np.float32)
    bad, _ = add_volume(scene, size=(40, 36, 24), name="flat", array=flat)
    logic = SceneLogic(scene)
    seen = []
    try:
        results = logic.segment_batch(
            [good, bad], model=str(tiny_package), device="cpu", progress=lambda text, done: seen.append(done)
        )
    finally:
        logic.close()
    assert [bool(r.node) for r in results] == [True, False]
    assert "the input says it is PT, the model was made for MR" in results[0].flags
    assert "nothing to segment" in results[1].error
    assert set(results[0].volumes_ml) == {organ.name for organ in CHAOS.organs}
    assert results[0].node.GetTransformNodeID() == good.GetTransformNodeID()
    assert seen
    for organ in CHAOS.organs:
        segment = results[0].node.GetSegmentation().GetSegment(organ.name.replace(" ", "_"))
        assert (segment is not None) == (results[0].volumes_ml[organ.name] > 0)


def test_structures_of_foreign_models_keep_their_names(scene, tmp_path):
    node, made = add_volume(scene)
    labels = np.zeros(made.array.shape, np.uint8)
    labels[2:4], labels[6:8] = 1, 7
    write_volume(Volume(labels, made.geometry), tmp_path / "labels.nrrd")
    reply = {"labels": {"liver": 1, "Vertebra_L1": 7}, "volumes_ml": {}, "flags": [], "provenance": {}}
    segmentation = accepted(scene, node, tmp_path, reply, stamp_of(node)).node.GetSegmentation()
    segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == ["Liver", "Vertebra_L1"]
    assert segments[0].GetColor() != segments[1].GetColor()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda node, transform: node.SetSpacing(1, 1, 1), "changed while it was being segmented"),
        (lambda node, transform: under_transform(node.GetScene(), node, np.diag([-1.0, 1, 1, 1])), "changed while"),
        (lambda node, transform: node.GetScene().RemoveNode(transform), "changed while"),
        (lambda node, transform: node.SetAndObserveImageData(None), "changed while"),
        (lambda node, transform: node.HardenTransform(), ""),  # it stays where it was
        (lambda node, transform: node.SetName("another name"), ""),
    ],
    ids=["spacing", "mirrored", "transform removed", "no voxels", "hardened", "renamed"],
)
def test_a_volume_that_is_changed_meanwhile(scene, tiny_package, change, words):
    """The model saw it with another spacing, or turned otherwise: its left may have been its right."""
    node, _ = add_volume(scene, size=(40, 36, 24))
    transform = under_transform(scene, node, shift())
    logic, changes = SceneLogic(scene), [change]

    def meanwhile(_text, _done):
        if changes:
            changes.pop()(node, transform)

    try:
        [result] = logic.segment_batch([node], model=str(tiny_package), device="cpu", progress=meanwhile)
    finally:
        logic.close()
    assert words in result.error
    assert (result.node is None) == bool(words)
    if not words:
        assert result.node.GetTransformNodeID() == node.GetTransformNodeID()
        assert result.name == node.GetName()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.diag([np.nan, 1, 1, 1]), "is not a number; correct it in the Volumes module"),
        (np.array([[1, 0, 0, np.inf], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "is not a number"),
        (np.diag([0.0, 1, 1, 1]), "spacing is zero"),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0.01, 0, 1]]), "remove it from the transform"),
    ],
    ids=["NaN", "infinite", "singular", "projective"],
)
def test_transforms_that_are_no_place(scene, matrix, words):
    node, _ = add_volume(scene)
    under_transform(scene, node, matrix)
    with pytest.raises(InputError, match=words):
        volume_of(node)


@pytest.mark.parametrize("kind", [None, "t2", "vtkMRMLSegmentationNode", "vtkMRMLSequenceNode"])
def test_what_is_no_volume_node_is_refused_in_one_line(scene, kind):
    given = scene.AddNewNodeByClass(kind, "other") if str(kind).startswith("vtk") else kind
    with pytest.raises(InputError, match=r"is not a volume node; give one, such as slicer\.util\.getNode"):
        SceneLogic(scene).segment(given)
