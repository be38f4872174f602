"""The host is as strict as PythonQt: what would fail in Slicer fails here."""

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.waiting import SECONDS


def test_properties_are_attributes(qt):
    label = qt.QLabel("text")
    assert label.text == "text"
    label.text = "other"
    label.setText(label.text + "!")
    assert label.text == "other!"
    assert qt.QLineEdit().enabled is True
    assert qt.QTableWidget(2, 3).rowCount == 2


def test_what_qt_itself_calls_stays_a_method(host, qt):
    """A property in its place would be asked for by Qt, and ask Qt, without end."""
    widget = qt.QWidget()
    assert qt.QVBoxLayout(widget).spacing() >= 0
    assert not qt.QProgressBar().text()


def test_a_misspelt_attribute_is_an_error_but_not_on_subclasses(qt):
    with pytest.raises(AttributeError, match="no property 'txt'"):
        qt.QLabel().txt = "x"

    class Mine(qt.QLabel):
        pass

    mine = Mine("x")
    mine.whatever = 3
    assert mine.whatever == 3


def test_wrong_types_are_errors(qt):
    with pytest.raises(ValueError, match="text must be str"):
        qt.QLabel().text = 3
    with pytest.raises(ValueError, match="value must be int"):
        qt.QProgressBar().value = "3"
    button = qt.QPushButton()
    button.enabled = 0
    assert button.enabled is False


def test_an_unknown_signal_is_noted(host, qt):
    assert qt.QPushButton().connect("clickt(bool)", print) is False
    assert host.problems.unknown_signals == ["QPushButton: clickt(bool)"]
    host.problems.clear()


def test_slots_get_as_many_arguments_as_they_take(host, qt):
    button, got = qt.QPushButton(), []

    def both(*arguments):
        got.append(arguments)

    assert button.connect("clicked(bool)", lambda: got.append("none"))
    assert button.connect("clicked(bool)", lambda checked: got.append(checked))
    assert button.connect("clicked(bool)", both)
    assert button.connect("clicked()", both)
    button.click()
    assert got == ["none", False, (False,), ()]
    assert button.disconnect("clicked(bool)", both)
    assert not button.disconnect("clicked(bool)", print)
    got.clear()
    button.click()
    assert got == ["none", False, ()]


def test_an_error_in_a_slot_is_kept(host, qt):
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in host.problems.slot_errors[0]
    host.problems.clear()


@pytest.mark.parametrize("is_kept", [False, True])
def test_an_object_dropped_in_its_own_signal_is_noted(host, qt, is_kept):
    """Also where `deleteLater` was called: PythonQt deletes it with its last reference."""
    held, ended = [], []

    def finished():
        process = held.pop()
        if is_kept:
            qt.QTimer.singleShot(0, lambda: process.deleteLater())
        else:
            process.deleteLater()
        ended.append(True)

    held.append(qt.QProcess())
    held[0].connect("finished(int,QProcess::ExitStatus)", finished)
    held[0].start("true", [])
    assert host.wait(lambda: ended == [True], SECONDS)
    assert host.problems.dropped_senders == ([] if is_kept else ["QProcess: finished(int,QProcess::ExitStatus)"])
    host.problems.clear()


def test_isinstance_holds_for_what_qt_made_itself(qt):
    table = qt.QTableWidget()
    assert isinstance(table.horizontalHeader(), qt.QHeaderView)
    assert isinstance(table, qt.QWidget)
    assert not isinstance(table, qt.QLabel)


def test_static_members_stay_reachable(host, qt):
    done = []
    qt.QTimer.singleShot(10, lambda: done.append(1))
    assert host.wait(lambda: done == [1], SECONDS)


def test_a_ui_file(host, qt, load):
    import slicer

    widget = load()
    ui = slicer.util.childWidgetVariables(widget)
    assert {"fold", "inner", "second", "nodes"} <= set(vars(ui))
    assert ui.fold.collapsed
    assert ui.fold.text == "Title"
    widget.show()
    assert not ui.inner.visible
    ui.second.setVisible(True)
    ui.second.setVisible(False)
    ui.fold.collapsed = False
    assert ui.inner.visible
    assert ui.nodes.mrmlScene() is None
    widget.setMRMLScene(slicer.mrmlScene)
    assert ui.nodes.mrmlScene() is slicer.mrmlScene
    widget.close()


def test_a_ui_file_with_a_class_the_host_has_not(qt, load):
    with pytest.raises(RuntimeError, match="cannot make: qMRMLColorTableView inner"):
        load("qMRMLColorTableView")


PATH_UI = """<ui version="4.0"><class>T</class>
<widget class="qMRMLWidget" name="T"><layout class="QVBoxLayout" name="l">
<item><widget class="ctkPathLineEdit" name="path">{filters}</widget></item></layout></widget></ui>"""


@pytest.mark.parametrize(
    ("filters", "dialog"),
    [
        ("", "getOpenFileName"),
        ('<property name="filters"><set>ctkPathLineEdit::Dirs</set></property>', "getExistingDirectory"),
        (
            '<property name="filters"><set>ctkPathLineEdit::Files|ctkPathLineEdit::Writable</set></property>',
            "getSaveFileName",
        ),
    ],
)
def test_what_a_path_box_browses_for(qt, tmp_path, monkeypatch, filters, dialog):
    import slicer

    (tmp_path / "t.ui").write_text(PATH_UI.format(filters=filters))
    box = slicer.util.childWidgetVariables(slicer.util.loadUI(str(tmp_path / "t.ui"))).path
    for name in ("getOpenFileName", "getExistingDirectory", "getSaveFileName"):
        monkeypatch.setattr(qt.QFileDialog, name, staticmethod(lambda *a, name=name: name))
    box.browse()
    assert box.currentPath == dialog


def test_what_a_person_cannot_click_cannot_be_clicked(host, qt):
    button = qt.QPushButton("x")
    with pytest.raises(RuntimeError, match="hidden or disabled"):
        host.click(button)


def test_dialogs_are_kept_and_answered(host):
    import slicer

    host.dialogs.shown.clear()
    host.dialogs.answer = False
    assert slicer.util.confirmOkCancelDisplay("sure?") is False
    host.dialogs.answer = True
    slicer.util.errorDisplay("bad")
    assert host.dialogs.shown == [("confirmOkCancelDisplay", "sure?"), ("errorDisplay", "bad")]
