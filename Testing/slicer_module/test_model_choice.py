"""The model that suits a volume: by DICOM attributes, by name, by search."""

from dataclasses import replace

import pytest

from helpers.packages import TINY_KWARGS, random_weights, tiny_spec
from helpers.volumes import make_volume

pytest.importorskip("slicer")
import slicer

from helpers.scene_tools import add_random
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.errors import InputError, ModelError
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import NNUNET, ChannelSpec, NetworkSpec, PreparationSpec
from LiverMRISegScene.batch import (
    as_csv,
    folder_jobs,
    read_saved_rows,
    scene_jobs,
    set_aside_foreign_table,
    volumes_in_scene,
    volumes_of_patient,
)
from LiverMRISegScene.jobs import EARLIER, WAITING
from LiverMRISegScene.logic import SceneLogic
from LiverMRISegScene.model_choice import details, model_for, offers, what_others_have
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.volume_kind import VolumeKind, kind_of

CONTRAST = ("GED1", "GED2", "GED3", "GED4", "C+A", "C+V", "C+Delay")
NON_CONTRAST = ("T1WI", "T2WI", "DWI")


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path))
    for name, sequences in (("liver-contrast", CONTRAST), ("liver-non-contrast", NON_CONTRAST)):
        spec = replace(tiny_spec(name), sequences=sequences, modality="MR")
        save_package(spec, random_weights(spec), tmp_path / name)
    return tmp_path


def named(scene, name, **attributes):
    node = add_random(scene, name, size=(8, 8, 8))
    for key, value in attributes.items():
        node.SetAttribute(f"DICOM.{key}", value)
    return node


def test_what_is_known_of_a_volume(scene):
    assert kind_of(named(scene, "5: t2_haste_tra")).sequence is Sequence.T2WI
    assert (
        kind_of(named(scene, "x", SeriesDescription="t1_vibe arterial", Modality="MR")).sequence is Sequence.C_ARTERIAL
    )
    assert kind_of(named(scene, "volume")).title == "unknown sequence"
    assert kind_of(named(scene, "t1", Modality="CT")).title == "CT"
    assert kind_of(named(scene, "CT abdomen")).modality == "CT"


def test_attributes_of_the_hierarchy_count(scene):
    node = named(scene, "volume")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert kind_of(node).modality == "CT"


def test_the_sequence_comes_from_the_dicom_database(scene, monkeypatch):
    """Of a series that Slicer loaded; its node is often named by a number."""

    class Database:
        values = {("1.2.3", "0008,0060"): "MR", ("1.2.3", "0008,103e"): "t2_haste_tra_p2"}  # noqa: RUF012

        def instanceValue(self, instance, tag):  # noqa: N802
            return self.values.get((instance, tag), "")

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    assert kind_of(named(scene, "5", instanceUIDs="1.2.3 1.2.4")).title == "MR, T2WI"
    assert kind_of(named(scene, "5", instanceUIDs="9.9")).title == "unknown sequence"
    assert kind_of(named(scene, "5", instanceUIDs="1.2.3", SeriesDescription="t1_vibe")).sequence is Sequence.T1WI


def test_those_that_suit_come_first_and_the_others_say_why(scene, models):
    found = offers(kind_of(named(scene, "GED4")))
    names = [offer.entry.name for offer in found]
    assert names == ["liver-contrast", "liver-any-sequence", "abdomen-any-sequence", "liver-cps", "liver-non-contrast"]
    assert [bool(offer.warning) for offer in found] == [False, False, False, True, True]
    assert "looks like GED4; this model was trained for T2WI" in found[3].warning
    assert all("was made for MR" in o.warning for o in offers(kind_of(named(scene, "x", Modality="CT"))))


def test_a_volume_of_unknown_sequence_gets_the_default_model_first(scene, models):
    names = [offer.entry.name for offer in offers(kind_of(named(scene, "volume")))]
    assert names == ["liver-any-sequence", "abdomen-any-sequence", "liver-contrast", "liver-cps", "liver-non-contrast"]


def test_a_specialised_model_says_who_has_more_organs(scene, models):
    special, default, widest, _, unsuited = offers(kind_of(named(scene, "GED4")))
    told = what_others_have(special, [special, default, unsuited])
    assert told == "liver-any-sequence also has pancreas, aorta, inferior vena cava, gallbladder, stomach."
    assert what_others_have(default, [special, default]) == ""
    told = what_others_have(default, [special, default, widest])
    assert told == "abdomen-any-sequence also has oesophagus, duodenum, portal and splenic vein."
    assert what_others_have(widest, [special, default, widest]) == ""
    assert what_others_have(special, [special, unsuited]) == ""
    assert what_others_have(unsuited, [default, unsuited]) == ""


def test_a_t2_volume_gets_the_liver_model_that_learnt_from_t2(scene):
    found = offers(kind_of(named(scene, "t2_haste_tra")))
    assert [offer.entry.name for offer in found] == ["liver-cps", "liver-any-sequence", "abdomen-any-sequence"]
    told = what_others_have(found[0], found)
    assert told.startswith("abdomen-any-sequence also has right kidney, left kidney, spleen, ")


def test_a_model_that_says_nothing_of_its_images_suits_all(scene, models):
    spec = replace(tiny_spec("foreign"), sequences=(), modality="any")
    save_package(spec, random_weights(spec), models / "foreign")
    for kind in (kind_of(named(scene, "GED4")), kind_of(named(scene, "x", Modality="CT"))):
        assert {o.entry.name: o.warning for o in offers(kind)}["foreign"] == ""


def test_search_by_name_organ_and_sequence(scene, models):
    kind = kind_of(named(scene, "volume"))
    assert [o.entry.name for o in offers(kind, "pancreas")] == ["liver-any-sequence", "abdomen-any-sequence"]
    assert [o.entry.name for o in offers(kind, "duodenum")] == ["abdomen-any-sequence"]
    assert [o.entry.name for o in offers(kind, "CONTRAST ged3")] == ["liver-contrast"]
    assert offers(kind, "knee") == []


def test_a_broken_model_does_not_stop_the_others(scene, models):
    (models / "liver-contrast" / "model.json").write_text("{")
    names = [o.entry.name for o in offers(kind_of(named(scene, "volume")))]
    assert "liver-contrast" not in names
    assert {"liver-any-sequence", "liver-non-contrast"} <= set(names)


def test_phases_go_to_the_model_meant_for_them(scene, models):
    rows = scene_jobs([named(scene, n) for n in ("T1WI", "GED2", "C+V", "volume")], "liver-any-sequence")
    asked = "liver-any-sequence"
    assert [row.model for row in rows] == [asked] * 4  # they lack organs that were asked for
    rows = scene_jobs([named(scene, n) for n in ("T1WI", "GED2", "C+V", "volume")], "liver-contrast")
    assert [row.model for row in rows] == ["liver-non-contrast", "liver-contrast", "liver-contrast", "liver-contrast"]
    assert model_for(kind_of(named(scene, "OutPhase")), "liver-contrast") == asked


def test_details_name_what_was_measured(scene):
    text = dict(details(offers(kind_of(named(scene, "volume")))[0], 7.3))
    assert "liver 0.8" in text["Measured"]
    assert "10 of T2-SPIR" in text["Measured"]
    assert text["Size"] == "7.3 MB"
    assert "research use" in text["Use"]


def test_volumes_of_scene_and_patient(scene):
    nodes = [named(scene, n) for n in ("a", "b", "c")]
    for kind in ("LabelMap", "Vector"):
        unlisted = scene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", kind)
        unlisted.SetAndObserveImageData(nodes[0].GetImageData())
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert volumes_in_scene(scene) == nodes
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    other = hierarchy.CreateStudyItem(patient, "other study")
    for node, parent in ((nodes[0], study), (nodes[1], other)):
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(parent, node)
        hierarchy.SetItemParent(item, parent)
    assert volumes_of_patient(scene, nodes[0]) == nodes[:2]
    assert volumes_of_patient(scene, nodes[2]) == nodes[2:]


def test_a_folder_goes_on_where_it_stopped(tmp_path):
    from helpers.volumes import make_volume
    from LiverMRISegLib.io import write_volume

    for name in ("p1_T1", "p1_GED1"):
        write_volume(make_volume(size=(8, 8, 8)), tmp_path / f"{name}.nii.gz")
    rows = folder_jobs(tmp_path, "liver-any-sequence", device="cpu")
    assert [row.state for row in rows] == [WAITING, WAITING]
    rows[0].output.write_bytes(b"made before")
    again = folder_jobs(tmp_path, "liver-any-sequence")
    assert [row.state for row in again] == [EARLIER, WAITING]
    assert again[0].model == ""
    rows[0].state = "done"
    (tmp_path / "LiverMRISeg/volumes.csv").write_text(as_csv([replace(rows[0], model="another")]))
    assert [row.model for row in folder_jobs(tmp_path, "liver-any-sequence")] == ["another", "liver-any-sequence"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="contains no volume"):
        folder_jobs(empty, "liver-any-sequence")


def test_the_table_of_volumes(scene):
    rows = scene_jobs([named(scene, n) for n in ("a", "b, c")], "liver-any-sequence")
    rows[0].state, rows[0].result = "done", SceneResult("a", None, {"liver": 1500.04}, ["liver touches the edge"])
    rows[1].state, rows[1].message = "failed", "has no voxels"
    lines = as_csv(rows).splitlines()
    assert lines[0] == "volume,model,state,liver mL,flags,message"
    assert lines[1] == "a,liver-any-sequence,done,1500.0,liver touches the edge,"
    assert lines[2] == '"b, c",liver-any-sequence,failed,,,has no voxels'


def test_the_table_of_volumes_has_the_trust_in_each_organ(scene):
    rows = scene_jobs([named(scene, n) for n in ("a", "b")], "liver-any-sequence")
    volumes = {"liver": 1500.0, "spleen": 200.0}
    rows[0].state, rows[0].result = "done", SceneResult("a", None, volumes, trust={"liver": 0.914, "spleen": 0.62})
    rows[1].state, rows[1].result = "done", SceneResult("b", None, volumes)
    lines = as_csv(rows).splitlines()
    assert lines[0] == "volume,model,state,liver mL,spleen mL,liver trust,spleen trust,flags,message"
    assert lines[1] == "a,liver-any-sequence,done,1500.0,200.0,0.91,0.62,,"
    assert lines[2] == "b,liver-any-sequence,done,1500.0,200.0,,,,"


def test_the_table_keeps_what_an_earlier_run_found(scene, tmp_path):
    names = ("a", "b", "c")
    rows = scene_jobs([named(scene, n) for n in names], "liver-any-sequence")
    rows[0].state, rows[0].result = "done", SceneResult("a", None, {"liver": 1500.0}, ["liver touches the edge"])
    (tmp_path / "volumes.csv").write_text(as_csv(rows[:1]))
    before = read_saved_rows(tmp_path / "volumes.csv")
    again = scene_jobs([named(scene, n) for n in names], "liver-any-sequence")
    again[0].state = again[2].state = EARLIER
    again[1].state, again[1].result = "done", SceneResult("b", None, {"spleen": 200.0})
    assert as_csv(again, before).splitlines() == [
        "volume,model,state,liver mL,spleen mL,flags,message",
        "a,liver-any-sequence,done,1500.0,,liver touches the edge,",
        "b,liver-any-sequence,done,,200.0,,",
        "c,liver-any-sequence,done before,,,,",
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_that_a_spreadsheet_saved_again_is_still_ours(scene, tmp_path, mark):
    rows = scene_jobs([named(scene, "a")], "liver-any-sequence")
    rows[0].state, rows[0].result = "done", SceneResult("a", None, {"liver": 1500.0})
    path = tmp_path / "volumes.csv"
    path.write_bytes(b"\xef\xbb\xbf" + as_csv(rows).replace(",", mark).replace("\n", "\r\n").encode())
    assert read_saved_rows(path)["a"]["liver mL"] == "1500.0"
    set_aside_foreign_table(path)
    assert path.exists()
    path.write_text("volume,liver mL\na,1\n")  # a column was removed
    again = scene_jobs([named(scene, "a")], "liver-any-sequence")
    again[0].state = EARLIER
    assert as_csv(again, read_saved_rows(path)).splitlines()[1] == "a,liver-any-sequence,done before,,"


@pytest.mark.parametrize("content", [b"name,age\nx,3\n", b"\xff\xfe\x00"])
def test_a_table_of_others_is_kept_aside(tmp_path, content):
    path = tmp_path / "volumes.csv"
    path.write_bytes(content)
    assert read_saved_rows(path) == {}
    set_aside_foreign_table(path)
    assert not path.exists()
    path.write_bytes(b"others")
    set_aside_foreign_table(path)
    assert (tmp_path / "volumes_before_1.csv").read_bytes() == content
    assert (tmp_path / "volumes_before_2.csv").read_bytes() == b"others"


@pytest.fixture
def two_images(models):
    """A model of two images a case in the catalog."""
    channels = (ChannelSpec("T1"), ChannelSpec("T2", "none"))
    preparation = PreparationSpec((6.0, 6.0, 6.0), None, scheme=NNUNET, channels=channels)
    network = NetworkSpec("stunet", {**TINY_KWARGS, "in_channels": 2})
    spec = replace(tiny_spec("two"), sequences=("GED1",), network=network, preparation=preparation)
    save_package(spec, random_weights(spec), models / "two")
    return "two"


def test_a_volume_goes_to_no_model_of_several_images(two_images):
    assert model_for(VolumeKind("MR", Sequence.GED1), "elsewhere") != two_images


def test_a_model_of_several_images_segments_folders_and_no_volume_of_the_scene(scene, two_images, tmp_path):
    node = named(scene, "volume")
    offered = {offer.entry.name: offer.warning for offer in offers(kind_of(node))}
    assert "takes 2 images a case" in offered["two"]
    with pytest.raises(ModelError, match=r"two: takes 2 images a case, but .* save them as CASE_0000 T1, CASE_0001 T2"):
        SceneLogic(scene).segment(node, model="two")
    folder = tmp_path / "cases"
    folder.mkdir()
    for name in ("a_0000", "a_0001", "t2_0000"):
        write_volume(make_volume(), folder / f"{name}.nii.gz")
    jobs = folder_jobs(folder, "two")
    assert [(job.name, job.model, job.source.name) for job in jobs] == [
        ("a", "two", "a_0000.nii.gz"), ("t2", "two", "t2_0000.nii.gz"),
    ]  # fmt: skip
