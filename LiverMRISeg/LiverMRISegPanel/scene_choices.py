"""The choices that belong to a scene: they are saved with it, and made for the user where nothing was chosen yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from LiverMRISegPanel.model_picker import ModelPicker
from LiverMRISegScene.batch import volumes_in_scene
from LiverMRISegScene.segment_editor import source_volume

# All of the panel's selectors of nodes.
SELECTORS = (
    "inputSelector", "outputSelector", "roiSelector", "pdffSelector", "r2starSelector", "t1Selector", "adcSelector",
    "otherMapSelector", "fatFirstSelector", "fatSecondSelector",
)  # fmt: skip
_VOLUME, _SEGMENTATION, _MODEL = "InputVolume", "OutputSegmentation", "Model"


class SceneChoices:
    """Volume, segmentation and model in the module's parameter node.

    Args:
        ui: the panel's widgets.
        picker: the choice of the model.
        parameter_node: the module's parameter node, made if there is none (`getParameterNode` of the module's logic).
    """

    def __init__(self, ui: Any, picker: ModelPicker, parameter_node: Callable[[], Any]) -> None:
        self.ui, self._picker, self._parameter_node = ui, picker, parameter_node
        self._is_paused = False

    def pause(self) -> None:
        """A scene is closed or loaded: what the selectors choose until `resume` is not the user's choice."""
        self._is_paused = True

    def resume(self) -> None:
        """The selectors follow the user again."""
        self._is_paused = False

    def drop(self, node: Any) -> None:
        """Choose none wherever a node is chosen that is about to be removed: Slicer would choose its neighbour."""
        if _is_busy():
            return
        for selector in (getattr(self.ui, name) for name in SELECTORS):
            if selector.currentNode() is node:
                selector.setCurrentNode(None)

    def leave_result(self, volume: Any) -> None:
        """Another volume was chosen: what is made of it is not to replace the result of the one before."""
        node = self.ui.outputSelector.currentNode()
        made_from = source_volume(node) if node is not None else None
        if not self._is_paused and made_from not in (None, volume):
            self.ui.outputSelector.setCurrentNode(None)

    def save(self) -> None:
        """Put the choices into the scene."""
        if self._is_paused or _is_busy():
            return
        node = self._parameter_node()
        for role, selector in ((_VOLUME, self.ui.inputSelector), (_SEGMENTATION, self.ui.outputSelector)):
            chosen = selector.currentNode()
            node.SetNodeReferenceID(role, chosen.GetID() if chosen is not None else "")
        if self._picker.chosen:
            node.SetParameter(_MODEL, self._picker.chosen)

    def restore(self) -> None:
        """Make the choices that the scene was saved with; without any, choose the volume that is shown."""
        node = self._parameter_node()
        model, volume = node.GetParameter(_MODEL), node.GetNodeReference(_VOLUME)
        segmentation = node.GetNodeReference(_SEGMENTATION)
        if model:
            self._picker.want(model)
        if self.ui.inputSelector.currentNode() is None:
            self.ui.inputSelector.setCurrentNode(volume if volume is not None else _shown_volume())
        if self.ui.outputSelector.currentNode() is None and segmentation is not None:
            self.ui.outputSelector.setCurrentNode(segmentation)


def show_in_slices(node: Any) -> None:
    """Show a volume in the slice views, unless one of them shows it already."""
    shown = [composite.GetBackgroundVolumeID() for composite in _composites()]
    if not _is_busy() and node.GetID() not in shown:
        slicer.util.setSliceViewerLayers(background=node, fit=True)


def _shown_volume() -> Any:
    """The image in the slice views, else the only one of the scene, else None."""
    images = volumes_in_scene(slicer.mrmlScene)
    shown = [slicer.mrmlScene.GetNodeByID(c.GetBackgroundVolumeID() or "") for c in _composites()]
    return next((node for node in shown if node in images), images[0] if len(images) == 1 else None)


def _composites() -> list[Any]:
    scene, kind = slicer.mrmlScene, "vtkMRMLSliceCompositeNode"
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def _is_busy() -> bool:
    """While a scene is closed or loaded its nodes come and go; none of that is the user's choice."""
    return bool(slicer.mrmlScene.IsClosing() or slicer.mrmlScene.IsImporting())
