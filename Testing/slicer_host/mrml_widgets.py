"""qMRMLWidget, the classes of qMRML by name, and a scene as the application makes it."""

from __future__ import annotations

from typing import Any

import vtk
from PySide6 import QtCore, QtWidgets

from slicer_host.node_combo_box import SIGNALS, NodeComboBox
from slicer_host.qt_classes import python_class
from slicer_host.segment_widgets import SegmentsTableView, Show3DButton


class _MRMLWidget(QtWidgets.QWidget):
    """Passes a scene on to the widgets that its .ui file connects."""

    sceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._scene = scene
        self.sceneChanged.emit(scene)

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene


def make_mrml_widgets() -> dict[str, type]:
    """The qMRML classes by name."""
    made = {
        "qMRMLWidget": python_class(_MRMLWidget, {"_signals": {"mrmlSceneChanged(vtkMRMLScene*)": "sceneChanged"}}),
        "qMRMLNodeComboBox": python_class(NodeComboBox, {"_signals": SIGNALS}),
        "qMRMLSegmentsTableView": python_class(SegmentsTableView),
        "qMRMLSegmentationShow3DButton": python_class(Show3DButton),
    }
    for name, kind in made.items():
        kind.__name__ = name
    return made


def new_scene() -> Any:
    """A scene with what the application puts into it: colours, a hierarchy, and 200 steps of undo."""
    import slicer

    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLColorLogic()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetModuleLogic("Colors", logic)
    logic.SetMRMLApplicationLogic(application)
    logic.SetMRMLScene(scene)
    scene.host_logics = (application, logic) if hasattr(scene, "__dict__") else None
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in ("vtkBinaryLabelmapToClosedSurfaceConversionRule", "vtkClosedSurfaceToBinaryLabelmapConversionRule"):
        factory.RegisterConverterRule(getattr(slicer, rule)())
    return scene


_ = vtk  # imported first: slicer-core needs its libraries
