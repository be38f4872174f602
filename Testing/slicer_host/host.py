"""The host: one per process, made by `start`."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer_host.problems import PROBLEMS


class Host:
    """Runs a scripted module's panel.

    `problems` keeps what the application would print, `dialogs` the message boxes.
    """

    def __init__(self) -> None:
        import slicer

        from slicer_host import application, ctk_widgets, modules, mrml_widgets, qt_classes, segment_widgets, ui_files

        self.problems = PROBLEMS
        self._qt_application = application.qt_application()
        qt = qt_classes.make_qt_module()
        ctk = ctk_widgets.make_ctk_module()

        for name, kind in mrml_widgets.make_mrml_widgets().items():
            setattr(slicer, name, kind)
        qt.QUiLoader = ui_files.make_loader([qt, ctk, slicer])  # type: ignore[attr-defined]
        sys.modules["qt"], sys.modules["ctk"] = qt, ctk
        util = application.slicer_file("util.py")
        if util is not None:  # else slicer-core's own
            slicer.util = application.import_file("slicer.util", util)
        self.dialogs = application.Dialogs()
        self.dialogs.install(slicer.util)
        self.scene = mrml_widgets.new_scene()
        slicer.app = application.Application(self._qt_application)
        slicer.mrmlScene = self.scene
        slicer.modules = type("modules", (), {})()
        editor = qt_classes.python_class(segment_widgets.SegmentEditorWidget)
        self.selector = modules.install(slicer.modules, slicer.util, self.scene, editor)
        # In this order: Slicer's ScriptedLoadableModule imports slicer.i18n.
        for name, make in (
            ("i18n", application.make_translation_module),
            ("ScriptedLoadableModule", application.make_base_module),
        ):
            module = make()
            sys.modules[f"slicer.{name}"] = module
            setattr(slicer, name, module)

    def load_module(self, path: Path) -> Any:
        """Import a scripted module's file and make its module object, as the application does at its start."""
        import slicer

        from slicer_host.application import ModuleParent

        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{path}: cannot be imported")
        # Parts imported before the host was there have bare base classes.
        for name in [n for n in sys.modules if n.startswith(f"{path.stem}Scene.bases")]:
            del sys.modules[name]
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        parent = ModuleParent(path)
        setattr(slicer.modules, path.stem.lower(), parent)
        getattr(module, path.stem)(parent)
        return module

    def show_panel(self, module: Any, size: tuple[int, int] = (520, 1200)) -> Any:
        """Make the module's widget, set it up and show it; its window is `parent`."""
        import qt
        import slicer

        slicer.mrmlScene = self.scene
        name = module.__name__

        class ModuleWidget(qt.QWidget):
            """The module's window; it makes the Python widget, at first and when the module is reloaded."""

            def reload(self) -> Any:
                widget = getattr(sys.modules[name], f"{name}Widget")(self)
                setattr(slicer.modules, f"{name}Widget", widget)
                widget.setup()
                return widget

        parent = ModuleWidget()
        parent.setLayout(qt.QVBoxLayout())
        getattr(slicer.modules, name.lower()).representation = parent
        widget = parent.reload()
        parent.resize(*size)
        parent.show()
        if hasattr(widget, "enter"):
            widget.enter()
        self._qt_application.processEvents()
        return widget

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let events happen until a condition holds; False if it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self._qt_application.processEvents()
            time.sleep(0.002)
        return True

    def click(self, button: Any) -> None:
        """A real mouse click. Raises RuntimeError on what a person could not click."""
        from PySide6 import QtCore, QtTest

        self._qt_application.processEvents()
        if not button.isVisible() or not button.isEnabled():
            raise RuntimeError(f"{button.objectName} cannot be clicked: it is hidden or disabled")
        QtTest.QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)
        self._qt_application.processEvents()


_THE_HOST: list[Host] = []


def start() -> Host:
    """The host of this process, made at the first call. Offscreen, unless QT_QPA_PLATFORM says otherwise."""
    if not _THE_HOST:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        _THE_HOST.append(Host())
    return _THE_HOST[0]
