"""Maps that Slicer loads from DICOM without what states their values: Real World Value Mapping, Philips's scale."""

import pytest

pytest.importorskip("slicer")
pytest.importorskip("pydicom")

from helpers.dicom_series import dicom_item, edited_series
from helpers.scene_tools import add_random
from LiverMRISegScene.measuring import MapChoice, quantities_not_applied


@pytest.mark.parametrize(("slope", "is_said"), [(0.1, True), (1.0, False)])
def test_a_map_whose_images_state_other_values_is_said(scene, monkeypatch, tmp_path, slope, is_said):
    import slicer

    from slicer_host.dicom import DicomDatabase

    def change(data, _number):
        units = [dicom_item(CodeValue="%", CodingSchemeDesignator="UCUM", CodeMeaning="percent")]
        item = dicom_item(RealWorldValueSlope=slope, RealWorldValueIntercept=0.0, MeasurementUnitsCodeSequence=units)
        data.RealWorldValueMappingSequence = [item]

    database = DicomDatabase()
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    node, plain = add_random(scene, "PDFF"), add_random(scene, "T1")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(database.add(edited_series(tmp_path / "s", change))))
    said = quantities_not_applied([MapChoice("T1", plain), MapChoice("PDFF", node), MapChoice("ff", plain, node)])
    expected = (
        "PDFF: its DICOM images state other values (Real World Value Mapping, %) than Slicer shows; measure the DICOM "
        "folder with livermriseg measure"
    )
    assert said == [expected] * (2 if is_said else 0)


@pytest.mark.parametrize(("scales", "is_said"), [((10.0, 38.0), True), ((10.0, 10.0), False), ((10.0, None), False)])
def test_two_images_that_philips_stored_with_different_scales(scene, monkeypatch, tmp_path, scales, is_said):
    import slicer

    from slicer_host.dicom import DicomDatabase

    database, nodes = DicomDatabase(), []
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    for number, scale in enumerate(scales):

        def change(data, _number, scale=scale, number=number):
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{data.SOPInstanceUID}.{number + 1}"
            if scale is not None:
                block = data.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
                block.add_new(0x0E, "FL", scale)

        nodes.append(add_random(scene, f"image {number}"))
        files = database.add(edited_series(tmp_path / str(number), change))
        nodes[-1].SetAttribute("DICOM.instanceUIDs", " ".join(files))
    said = quantities_not_applied([MapChoice("ff", *nodes, "water and fat"), MapChoice("T1", nodes[0])])
    assert [text.partition(":")[0] for text in said] == (["ff"] if is_said else [])
    assert all("stored by Philips with different scales" in text for text in said)
