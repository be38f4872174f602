"""Maps that Slicer loads from DICOM without the Real World Value Mapping, which states their values."""

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
