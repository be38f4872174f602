"""Other modules of the application that the panel uses: Sequences, Plots and the Segment Editor, and the selector.

Sequences and Plots are Slicer's own logics. Rules of the selector (slicer.util.selectModule): the module is entered,
and there must be a main window. Of the Segment Editor's module: when entered it takes the scene's one parameter node,
or adds it; with no segmentation it takes the first of the scene.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any


class LogicModule:
    """`slicer.modules.NAME` whose `logic()` is one of Slicer's own."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class SegmentEditorModule:
    """`slicer.modules.segmenteditor`."""

    _TAG, _KIND = "SegmentEditor", "vtkMRMLSegmentEditorNode"

    def __init__(self, make_editor: Callable[[], Any]) -> None:
        self._make = make_editor
        self.editor: Any = None

    def widgetRepresentation(self) -> Any:  # noqa: N802
        """Made at the first call, as the application's."""
        if self.editor is None:
            import slicer

            self.editor = self._make()
            self._select_parameter_node()
            self.editor.setMRMLScene(slicer.mrmlScene)
            slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self._closing)
        return types.SimpleNamespace(self=lambda: self)

    def enter(self) -> None:
        import slicer

        self.widgetRepresentation()
        self._select_parameter_node()
        if not self.editor.segmentationNodeID():
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
            self.editor.setSegmentationNode(first or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))

    def _select_parameter_node(self) -> None:
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self._TAG, self._KIND)
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass(self._KIND)
            node.UnRegister(None)
            node.SetSingletonTag(self._TAG)
            node = slicer.mrmlScene.AddNode(node)
        self.editor.setMRMLSegmentEditorNode(node)

    def _closing(self, *_: Any) -> None:
        self.editor.setSegmentationNode(None)
        self.editor.setMRMLSegmentEditorNode(None)


class ModuleSelector:
    """The main window's module selector."""

    def __init__(self, modules: Any) -> None:
        self._modules = modules
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:  # noqa: N802
        self.selectedModule = name
        module = getattr(self._modules, name.lower())
        if hasattr(module, "enter"):
            module.enter()


def install(modules: Any, util: Any, scene: Any, make_editor: Callable[[], Any]) -> ModuleSelector:
    """Put the modules on `slicer.modules`, and a main window with a selector behind `slicer.util.selectModule`."""
    import slicer

    for name, kind in (
        ("segmentations", slicer.vtkSlicerSegmentationsModuleLogic),  # it also registers the editor's parameter node
        ("sequences", slicer.vtkSlicerSequencesLogic),
        ("plots", slicer.vtkSlicerPlotsLogic),
    ):
        logic = kind()
        logic.SetMRMLScene(scene)
        setattr(modules, name, LogicModule(logic))
    modules.segmenteditor = SegmentEditorModule(make_editor)
    selector = ModuleSelector(modules)
    util.mainWindow = lambda: types.SimpleNamespace(moduleSelector=lambda: selector)
    return selector
