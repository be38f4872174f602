"""Which organ a segment is by its coded term: of files of Slicer, old and new, and of DICOM SEG of any program."""

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS, LIVER, ORGANS, RIGHT_KIDNEY
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.io.read import named_segments
from LiverMRISegLib.io.segment_codes import (
    Segment,
    check_no_contradiction,
    coded_organs,
    meant_in_words,
    organ_of_entry,
    organs_meant,
)
from LiverMRISegLib.volume import Volume

# As Slicer writes them: 4.10, 5.x by its DICOM master list, and for a segment that nobody gave a terminology.
OLD = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SRT^T-D0050^Tissue~SRT^T-71000^Kidney"
    "~SRT^G-A100^Right~Anatomic codes - DICOM master list~^^~^^"
)
MASTER = (
    "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~{side}"
    "~~^^~^^"
)
TISSUE = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^"
    "~Anatomic codes - DICOM master list~^^~^^"
)


@pytest.mark.parametrize(
    ("entry", "organ"),
    [
        *((organ.terminology_entry, organ) for organ in ORGANS),
        (OLD, RIGHT_KIDNEY), (MASTER.format(side="SCT^24028007^Right"), RIGHT_KIDNEY),
        (MASTER.format(side="SCT^51440002^Right and left"), None), (MASTER.format(side="^^"), None), (TISSUE, None),
        ("", None), ("~~~", None), ("a~b~c~d", None), ("a~b~SCT^10200004", None), ("~^~^~^~", None),
    ],
)  # fmt: skip
def test_the_organ_of_an_entry(entry, organ):
    assert organ_of_entry(entry) is organ


def test_names_come_first_and_copies_are_told_apart_by_their_ids():
    def meant(*segments):
        found = {number: Segment(name, LIVER, segment_id) for number, (name, segment_id) in enumerate(segments)}
        names = {number: one.name for number, one in found.items()}
        return organs_meant(names, coded_organs(found))

    assert meant(("Leber", "")) == {0: "liver"}
    assert meant(("Leber", "liver"), ("left lobe", "Segment_1")) == {0: "liver"}
    assert meant(("Leber", "Segment_2"), ("left lobe", "Segment_1")) == {}
    assert meant(("Liver", "x"), ("left lobe", "liver")) == {}
    assert meant(("Spleen", "liver")) == {}


def test_a_segment_that_slicer_has_renamed_is_still_its_organ(tmp_path):
    """By Slicer's own reading and writing of the file, and with a copy of the segment."""
    slicer = pytest.importorskip("slicer")
    volume = make_volume()
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:8, 3:9, 4:12], labels[2:8, 3:9, 14:18] = 1, 2
    write_segmentation(tmp_path / "a.seg.nrrd", labels, CHAOS, volume.geometry)
    scene = slicer.vtkMRMLScene()
    node, storage = (scene.AddNewNodeByClass(f"vtkMRMLSegmentation{kind}") for kind in ("Node", "StorageNode"))
    storage.SetFileName(str(tmp_path / "a.seg.nrrd"))
    assert storage.ReadData(node) == 1
    segments = node.GetSegmentation()
    for organ in ("spleen", "left_kidney"):
        segments.RemoveSegment(organ)
    segments.GetSegment("liver").SetName("Leber")
    segments.GetSegment("right_kidney").SetName("Kidney, Right")  # as Slicer puts a name together
    storage.SetFileName(str(tmp_path / "b.seg.nrrd"))
    assert storage.WriteData(node) == 1
    back = read_labelmap(tmp_path / "b.seg.nrrd")
    assert sorted(back.metadata["segments"].values()) == ["Kidney, Right", "Leber"]
    assert sorted(named_segments(back).values()) == ["Kidney, Right", "liver"]
    assert meant_in_words(back) == "takes 'Leber' for liver, as the terminology of the segments says"
    segments.GetSegment("right_kidney").SetName("Spleen")
    assert storage.WriteData(node) == 1
    with pytest.raises(InputError, match="segment 'Spleen' is called so, but is right kidney by its terminology"):
        check_no_contradiction(read_labelmap(tmp_path / "b.seg.nrrd"), "b.seg.nrrd")


@pytest.mark.parametrize("scheme", ["SCT", "SRT"])
def test_segments_of_a_dicom_seg_of_another_program(tmp_path, scheme):
    pytest.importorskip("highdicom")
    import pydicom

    made = make_volume()
    write_dicom_series(tmp_path / "s", Volume(np.round(made.array), made.geometry))
    volume = read_volume(tmp_path / "s")
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:8, 3:9, 4:12], labels[2:8, 3:9, 14:18] = 1, 2
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    data = pydicom.dcmread(tmp_path / "m.dcm")
    for segment, name, codes in zip(
        data.SegmentSequence, ("Leber", "Niere"), (("T-62000",), ("T-71000", "G-A100")), strict=True
    ):
        segment.SegmentLabel = name
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        items = [kind, *kind.get("SegmentedPropertyTypeModifierCodeSequence", ())]
        for item, code in zip(items, codes, strict=True) if scheme == "SRT" else ():
            item.CodingSchemeDesignator, item.CodeValue = scheme, code
    data.save_as(tmp_path / "m.dcm")
    back = read_labelmap(tmp_path / "m.dcm")
    assert back.metadata["segments"] == {1: "Leber", 2: "Niere"}
    assert named_segments(back) == {1: "liver", 2: "right kidney"}
