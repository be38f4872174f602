"""The host that stands for the application, and a panel in it."""

import pytest


@pytest.fixture
def host():
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    pytest.importorskip("slicer")
    from slicer_host import start

    host = start()
    host.problems.clear()
    return host


@pytest.fixture
def qt(host):
    import qt

    return qt


UI = """<ui version="4.0"><class>T</class><widget class="qMRMLWidget" name="T"><layout class="QVBoxLayout" name="l">
<item><widget class="ctkCollapsibleButton" name="fold"><property name="text"><string>Title</string></property>
<property name="collapsed"><bool>true</bool></property>
<layout class="QVBoxLayout" name="m"><item><widget class="{kind}" name="inner"/></item>
<item><layout class="QHBoxLayout" name="n"><item><widget class="QLabel" name="second"/></item></layout></item>
</layout></widget>
</item><item><widget class="qMRMLNodeComboBox" name="nodes"><property name="nodeTypes"><stringlist>
<string>vtkMRMLScalarVolumeNode</string></stringlist></property></widget></item></layout></widget>
<connections><connection><sender>T</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>nodes</receiver>
<slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


@pytest.fixture
def load(host, tmp_path):
    """Makes a small panel of a .ui file; `kind` is the class of one of its widgets."""
    import slicer

    def made(kind="QPushButton"):
        (tmp_path / "t.ui").write_text(UI.format(kind=kind))
        return slicer.util.loadUI(str(tmp_path / "t.ui"))

    return made
