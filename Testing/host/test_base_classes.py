"""The base classes of a module may be those of another checkout of Slicer."""

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")


BASES = """
import os
import unittest
import qt
import slicer

class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent
        parent.icon = qt.QIcon(os.path.join(os.path.dirname(parent.path), "Resources/Icons/LiverMRISeg.png"))

class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__[:-6]
        self.parent = parent
        self.layout = self.parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self.cleanup)

    def setup(self):
        self.is_of_another_checkout = True

    def resourcePath(self, name):
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", name)

class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__[:-5]

    def getParameterNode(self):
        return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")

class ScriptedLoadableModuleTest(unittest.TestCase):
    pass
"""


def test_base_classes_of_another_checkout(tmp_path):
    """Written after what Slicer's own file calls; that file itself is run by setting the variable."""
    import os
    import subprocess
    import sys

    from helpers.places import ROOT

    (tmp_path / "ScriptedLoadableModule.py").write_text(BASES)
    code = (
        "from pathlib import Path; from slicer_host import start; host = start(); "
        f"module = host.load_module(Path({str(ROOT / 'LiverMRISeg' / 'LiverMRISeg.py')!r})); "
        "widget = host.show_panel(module); "
        "print(widget.is_of_another_checkout, widget.panel.ui.statusLabel.text, host.problems.slot_errors); "
        "widget.cleanup()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "Testing"), "SLICER_PYTHON_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[0] == "True Choose a volume. []"
