"""LiverMRISeg, a module of 3D Slicer: organs in MRI of any sequence. For research use only.

Nothing runs and nothing is installed when this file is imported. The parts are in LiverMRISegPanel (Qt) and
LiverMRISegScene (MRML; it also works without Qt and without the application).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
# Installed, the core is beside this file, in a folder on Slicer's path; in a checkout it is one folder up.
for _folder in (_HERE, _HERE.parent):
    _has_part = (_folder / "LiverMRISegScene").is_dir() or (_folder / "LiverMRISegLib").is_dir()
    if _has_part and str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from LiverMRISegScene.bases import (  # noqa: E402
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
    VTKObservationMixin,
    translate,
    with_node,
)
from LiverMRISegScene.bases import tr as _  # noqa: E402


class LiverMRISeg(ScriptedLoadableModule):
    """The description of the module that the application shows."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "LiverMRISeg"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The LiverMRISeg authors"]
        parent.helpText = _(
            "Segments the liver and other abdominal organs in MRI of any sequence. "
            "Choose a volume and click Segment. For research use only; not a medical device."
        )
        parent.acknowledgementText = _(
            "Apache-2.0. The models have their own licences: see 'About this model' in the panel."
        )
        from LiverMRISegScene.bases import when_started
        from LiverMRISegScene.sample_data import register

        when_started(lambda: register(_HERE))


class LiverMRISegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Loads the panel's .ui file and follows the scene."""

    def __init__(self, parent: Any = None) -> None:
        VTKObservationMixin.__init__(self)
        self.panel = None
        ScriptedLoadableModuleWidget.__init__(self, parent)  # the last: without a parent it calls setup

    def setup(self) -> None:
        """Called once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        import slicer

        from LiverMRISegPanel.panel import Panel

        widget = slicer.util.loadUI(self.resourcePath("UI/LiverMRISeg.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = LiverMRISegLogic()
        self.panel = Panel(self.ui, self.logic.getParameterNode)
        scene = slicer.mrmlScene
        for event, called in (
            (scene.StartCloseEvent, self._on_scene_closing),
            (scene.EndCloseEvent, self._on_scene_closed),
            (scene.StartImportEvent, self._on_scene_loading),
            (scene.EndImportEvent, self._on_scene_loaded),
            (scene.NodeAboutToBeRemovedEvent, with_node(self._on_node_going)),
        ):
            self.addObserver(scene, event, called)

    def cleanup(self) -> None:
        """The application exits or the module is reloaded: no process may be left behind."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()
            self.logic.close()

    def enter(self) -> None:
        """The user opens the module."""
        if self.panel is not None:
            self.panel.enter()

    def onReload(self) -> None:  # noqa: N802
        """Reload the whole extension: Slicer alone would load this file again, and none that it imports."""
        ours = ("LiverMRISegLib", "LiverMRISegPanel", "LiverMRISegScene")
        for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)
        import slicer

        slicer.modules.LiverMRISegWidget.enter()  # the new one is shown already, and Slicer does not tell it

    def _on_scene_closing(self, _caller: Any, _event: Any) -> None:
        self.panel.scene_closing()

    def _on_scene_closed(self, _caller: Any, _event: Any) -> None:
        self.panel.scene_closed()

    def _on_scene_loading(self, _caller: Any, _event: Any) -> None:
        self.panel.scene_loading()

    def _on_scene_loaded(self, _caller: Any, _event: Any) -> None:
        self.panel.scene_loaded()

    def _on_node_going(self, node: Any) -> None:
        self.panel.node_going(node)


class LiverMRISegLogic(ScriptedLoadableModuleLogic):
    """Segments from Slicer's Python console, scripts and slicer-core; no panel is needed.

    LiverMRISegLogic().segment(volumeNode, model="liver-any-sequence")
    """

    def __init__(self, scene: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._given = scene
        self._scene_logic = None

    def segment(self, volumeNode: Any, **options: Any) -> Any:  # noqa: N803
        """Segment a volume node; returns the new vtkMRMLSegmentationNode. Options: see `SceneLogic.segment`."""
        return self._logic().segment(volumeNode, **options).node

    def segmentSequence(self, sequenceNode: Any, **options: Any) -> Any:  # noqa: N802, N803
        """Segment all frames of a sequence of volumes; returns a `SequenceResult`: the new sequence, table and chart.

        Options: see `SceneLogic.segment_sequence`.
        """
        return self._logic().segment_sequence(sequenceNode, **options)

    def segmentBatch(self, volumeNodes: Sequence[Any], **options: Any) -> list[Any]:  # noqa: N802, N803
        """Segment several volumes or sequences; returns a list of `SceneResult`, each with its node or its error.

        Options: see `segment`.
        """
        return self._logic().segment_batch(volumeNodes, **options)

    def measure(self, segmentationNode: Any, maps: Any = (), **options: Any) -> list[dict[str, str]]:  # noqa: N803
        """Measure segments, and maps (volume nodes by name) in them; a row each. Options: see `SceneLogic.measure`."""
        return self._logic().measure(segmentationNode, dict(maps), **options)

    def close(self) -> None:
        """End the worker process, unless the panel has a run under way in it."""
        if self._scene_logic is not None:
            self._scene_logic.close()

    def _logic(self) -> Any:
        if self._scene_logic is None:
            import slicer

            from LiverMRISegScene.logic import SceneLogic

            scene = self._given if self._given is not None else slicer.mrmlScene
            self._scene_logic = SceneLogic(scene, _worker())
        return self._scene_logic


def _worker() -> Any:
    """The panel's worker in the application; one of its own elsewhere."""
    from LiverMRISegScene.bases import is_in_application
    from LiverMRISegScene.interpreter import worker_python

    if is_in_application():
        from LiverMRISegPanel.qt_worker import shared_worker

        return shared_worker()
    from LiverMRISegLib.inference.worker.client import WorkerClient

    return WorkerClient(worker_python())


class LiverMRISegTest(ScriptedLoadableModuleTest):
    """Slicer's "Reload and Test": segments a drawn phantom."""

    def runTest(self) -> None:  # noqa: N802
        """Segment a phantom and check the result.

        Raises:
            unittest.SkipTest: Python packages are missing, as on the computers that build extensions.
        """
        import slicer

        from LiverMRISegScene.self_test import check_packages, check_phantom

        check_packages()
        slicer.mrmlScene.Clear(0)
        logic = LiverMRISegLogic()
        try:
            self.delayDisplay(check_phantom(logic, slicer.mrmlScene))
        finally:
            logic.close()
