"""slicer.app, slicer.i18n and ScriptedLoadableModule: what a scripted module meets when it is loaded."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets


class Application:
    """`slicer.app`."""

    applicationName = "SlicerHost"  # noqa: N815
    slicerHome = ""  # noqa: N815

    def __init__(self, qt_application: Any) -> None:
        self._qt = qt_application
        self._folder = tempfile.TemporaryDirectory(prefix="slicer_host-")
        self.temporaryPath = self._folder.name
        path = str(Path(self._folder.name) / "settings.ini")
        self._settings = QtCore.QSettings(path, QtCore.QSettings.Format.IniFormat)
        self._modules = ModuleManager()
        self.started: list[Callable[[], None]] = []

    def settings(self) -> Any:
        """The user's settings, in a temporary folder."""
        return self._settings

    def userSettings(self) -> Any:  # noqa: N802
        return self._settings

    def moduleManager(self) -> ModuleManager:  # noqa: N802
        return self._modules

    def layoutManager(self) -> None:  # noqa: N802
        """There are no views here."""

    def processEvents(self) -> None:  # noqa: N802
        self._qt.processEvents()

    def testingEnabled(self) -> bool:  # noqa: N802
        return True

    def translate(self, _context: str, text: str, *_: Any) -> str:
        """The text itself: there are no translations here."""
        return text

    def commandOptions(self) -> Any:  # noqa: N802
        return types.SimpleNamespace(noMainWindow=True)

    def connect(self, signature: str, slot: Callable[[], None]) -> bool:
        if signature != "startupCompleted()":
            raise ValueError(f"the host's application has no signal {signature}")
        self.started.append(slot)
        return True


class Dialogs:
    """Stands in for message boxes: `shown` holds (kind, text), `answer` is what a question gets."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.answer = True

    def install(self, util: Any) -> None:
        """Put this in place of slicer.util's dialogs."""
        for kind in ("errorDisplay", "warningDisplay", "infoDisplay"):
            setattr(util, kind, lambda text, *a, kind=kind, **k: self.shown.append((kind, text)))
        for kind in ("confirmOkCancelDisplay", "confirmYesNoDisplay"):
            setattr(util, kind, lambda text, *a, kind=kind, **k: self._ask(kind, text))

    def _ask(self, kind: str, text: str) -> bool:
        self.shown.append((kind, text))
        return self.answer


class ModuleManager:
    """`slicer.app.moduleManager()`: modules are never unloaded here."""

    def connect(self, signature: str, _slot: Callable[..., None]) -> bool:
        """Only the signal that Slicer's base class connects."""
        return signature == "moduleAboutToBeUnloaded(QString)"

    disconnect = connect


def slicer_file(name: str, inside: str = "") -> Path | None:
    """A file of the Slicer checkout whose Base/Python/slicer SLICER_PYTHON_DIR names; None without the variable.

    Args:
        name: of the file.
        inside: its folder, seen from the checkout; by default Base/Python/slicer.
    """
    folder = os.environ.get("SLICER_PYTHON_DIR")
    if not folder:
        return None
    path = (Path(folder).parents[2] / inside if inside else Path(folder)) / name
    return path if path.is_file() else None


def import_file(name: str, path: Path) -> types.ModuleType:
    """Import a file as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def make_base_module() -> types.ModuleType:
    """slicer.ScriptedLoadableModule: Slicer's own file if there is a checkout, else the host's."""
    name = "slicer.ScriptedLoadableModule"
    path = slicer_file("ScriptedLoadableModule.py")
    if path is not None:
        return import_file(name, path)
    if "SLICER_PYTHON_DIR" in os.environ:
        raise RuntimeError(f"{os.environ['SLICER_PYTHON_DIR']}: SLICER_PYTHON_DIR has no ScriptedLoadableModule.py")
    module = types.ModuleType(name)

    class ScriptedLoadableModule:
        def __init__(self, parent: Any) -> None:
            self.parent = parent

    class ScriptedLoadableModuleWidget:
        def __init__(self, parent: Any = None) -> None:
            import qt
            import slicer

            self.parent = parent or slicer.qMRMLWidget()
            if parent is None:
                self.parent.setLayout(qt.QVBoxLayout())
                self.parent.setMRMLScene(slicer.mrmlScene)
            self.layout = self.parent.layout()
            self.moduleName = type(self).__name__.removesuffix("Widget")
            if parent is None:
                self.setup()
                self.parent.show()

        def setup(self) -> None:
            pass

        def onReload(self) -> None:  # noqa: N802
            import slicer

            slicer.util.reloadScriptedModule(self.moduleName)

        def resourcePath(self, name: str) -> str:  # noqa: N802
            return str(Path(sys.modules[type(self).__module__].__file__ or "").parent / "Resources" / name)

    class ScriptedLoadableModuleLogic:
        def __init__(self, parent: Any = None) -> None:
            self.moduleName = type(self).__name__.removesuffix("Logic")

        def getParameterNode(self) -> Any:  # noqa: N802
            """The one node of the scene that belongs to the module."""
            import slicer

            kind = "vtkMRMLScriptedModuleNode"
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, kind)
            if node is None:
                node = slicer.mrmlScene.CreateNodeByClass(kind)
                node.UnRegister(None)
                node.SetSingletonTag(self.moduleName)
                node.SetAttribute("ModuleName", self.moduleName)
                node = slicer.mrmlScene.AddNode(node)
            return node

    class ScriptedLoadableModuleTest(unittest.TestCase):
        def runTest(self) -> None:  # noqa: N802
            pass

        def delayDisplay(self, text: str, _milliseconds: int = 0) -> None:  # noqa: N802
            self.delayed = [*getattr(self, "delayed", []), text]

    for kind in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(module, kind.__name__, kind)
    return module


def make_translation_module() -> types.ModuleType:
    """slicer.i18n: Slicer's own file if there is a checkout, else texts as they are."""
    path = slicer_file("i18n.py")
    if path is not None:
        return import_file("slicer.i18n", path)
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: text  # type: ignore[attr-defined]
    module.translate = lambda _context, text: text  # type: ignore[attr-defined]
    return module


class ModuleParent:
    """What the application gives to a module's class: its description is written here."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.title = path.stem
        self.representation: Any = None

    def widgetRepresentation(self) -> Any:  # noqa: N802
        """The module's window, once it was shown."""
        return self.representation


def qt_application() -> Any:
    """The one QApplication of the process."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["slicer_host"])
