"""The drawn samples as Slicer's Sample Data module asks for them."""

import sys
import types

import pytest

from helpers.places import ROOT

slicer = pytest.importorskip("slicer")
from LiverMRISegLib.phantom.study import make_study  # noqa: E402
from LiverMRISegScene.sample_data import SAMPLES, register  # noqa: E402
from LiverMRISegScene.volumes import volume_of  # noqa: E402


class Recorder:
    """SampleData.SampleDataLogic, as far as registering goes."""

    registered: list = []  # noqa: RUF012

    @classmethod
    def registerCustomSampleDataSource(cls, **source):  # noqa: N802
        cls.registered.append(source)


def test_samples_are_registered_and_drawn_when_asked_for(scene, monkeypatch):
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = Recorder
    monkeypatch.setitem(sys.modules, "SampleData", module)
    Recorder.registered.clear()
    register(ROOT / "LiverMRISeg")
    assert [source["sampleName"] for source in Recorder.registered] == list(SAMPLES)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    source = Recorder.registered[1]
    assert source["category"] == "LiverMRISeg"
    node = source["customDownloader"](source)
    drawn = make_study([SAMPLES[source["sampleName"]]], seed=1)[SAMPLES[source["sampleName"]]].volume
    assert (volume_of(node).array == drawn.array).all()
    assert volume_of(node).geometry.world_of((3, 4, 5)) == pytest.approx(drawn.geometry.world_of((3, 4, 5)), abs=1e-3)
