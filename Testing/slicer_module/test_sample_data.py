"""The drawn samples as Slicer's Sample Data module asks for them."""

import sys

import pytest

from helpers.places import ROOT

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")
from LiverMRISegLib.phantom.study import make_study
from LiverMRISegScene.sample_data import SAMPLES, register
from LiverMRISegScene.volumes import volume_of


def test_samples_are_registered_and_drawn_when_asked_for(host, scene, monkeypatch):
    import slicer

    from slicer_host.sample_data import make_sample_data_module

    monkeypatch.setitem(sys.modules, "SampleData", make_sample_data_module())
    monkeypatch.setattr(slicer.modules, "sampleDataSources", {}, raising=False)
    register(ROOT / "LiverMRISeg")
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    sources = slicer.modules.sampleDataSources["LiverMRISeg"]
    assert [source.sampleName for source in sources] == list(SAMPLES)
    assert [source.nodeNames for source in sources] == [[name] for name in SAMPLES]
    node = sources[1].customDownloader(sources[1])
    drawn = make_study([SAMPLES[sources[1].sampleName]], seed=1)[SAMPLES[sources[1].sampleName]].volume
    assert node.GetName() == sources[1].sampleName
    assert (volume_of(node).array == drawn.array).all()
    assert volume_of(node).geometry.world_of((3, 4, 5)) == pytest.approx(drawn.geometry.world_of((3, 4, 5)), abs=1e-3)
