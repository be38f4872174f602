"""A newer result beside an older segmentation: accept it into that one, discard it, undo the accepting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from LiverMRISegLib.anatomy import id_of
from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegPanel.result_table import ResultTable
from LiverMRISegPanel.words import breakable
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.replacing import Replaced, replace_segments
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.segment_editor import source_volume
from LiverMRISegScene.sequences import frame_shown, show_frame


class Accepting:
    """The question whether to accept, and the button that undoes it; `answered` is called after the answer."""

    def __init__(self, ui: Any, table: ResultTable, answered: Callable[[], None]) -> None:
        self.ui, self._table, self._answered = ui, table, answered
        self._older: Any = None
        self._frame: tuple[Any, int] | None = None  # of a sequence, that the older one shows when the run begins
        self._inside: ChosenBox | None = None
        self._before = table.shown
        self._done: Replaced | None = None
        self._said = SceneResult("")
        self._is_asking = False
        ui.acceptButton.connect("clicked(bool)", self._accept)
        ui.discardButton.connect("clicked(bool)", self._discard)
        ui.undoButton.connect("clicked(bool)", self._undo)
        self.reset()

    def reset(self) -> None:
        """Nothing to accept or to undo."""
        self._older, self._done, self._is_asking = None, None, False
        self.ui.acceptFrame.setVisible(False)
        self.ui.undoButton.setVisible(False)

    @property
    def is_asking(self) -> bool:
        """Whether a result waits to be accepted or discarded."""
        return self._is_asking

    def begin(self, older: Any, inside: ChosenBox | None) -> None:
        """A run begins whose result may replace organs of `older`, or with `inside` only what they have in that box."""
        self.reset()
        self._older, self._inside = older, inside
        self._frame = frame_shown(older) if older is not None else None

    def ask(self, result: SceneResult) -> bool:
        """Show the result and ask whether to accept it; False if there is nothing that it would replace."""
        self._before = self._table.shown  # perhaps another one than when the run began
        self._table.show(result)
        if self._older is None or self._older.GetScene() is None:
            self._older = None
            return False
        self._older.SetDisplayVisibility(False)
        text = _("Replace the organs in '{name}' with the new ones?")
        if self._inside is not None:
            text = _("Replace the part of the organs in '{name}' that is inside the ROI?")
        others = source_volume(self._older)
        if others not in (None, source_volume(result.node)):
            text += " " + _("It was made from another volume, '{volume}'.").format(volume=others.GetName())
        self.ui.acceptLabel.setText(breakable(text.format(name=self._older.GetName())))
        self.ui.acceptFrame.setVisible(True)
        self._is_asking = True
        return True

    def _accept(self, _checked: bool = False) -> None:
        older, newer = self._older, self._table.node
        self._close_question()
        if older is None or newer is None or older.GetScene() is None:
            if newer is not None:
                self.ui.outputSelector.setCurrentNode(newer)
            self.ui.statusLabel.setText(_("One of the two results was removed; nothing was replaced."))
            return
        show_frame(self._frame)
        try:
            self._done = replace_segments(older, newer, self._inside)
        except LiverMRISegError as error:
            self.ui.outputSelector.setCurrentNode(newer)  # it stays beside the older one, and is what is shown
            self.ui.statusLabel.setText(str(error))
            return
        newer_result, self._said = self._table.shown[0], self._table.said_of(older)
        if newer_result is not None:
            self._table.tell(older, _together(older, self._said, newer_result))
        self.ui.outputSelector.setCurrentNode(older)
        self.ui.undoButton.setVisible(True)
        self.ui.statusLabel.setText(_("The new result was accepted."))

    def _discard(self, _checked: bool = False) -> None:
        newer, older = self._table.node, self._older
        self._close_question()
        self._table.put_back(self._before)
        if newer is not None:
            slicer.mrmlScene.RemoveNode(newer)
        said = _("The new result was discarded. The older one is unchanged.")
        if older is None or older.GetScene() is None:
            said = _("The new result was discarded. The older one was removed meanwhile.")
        self.ui.statusLabel.setText(said)

    def _undo(self, _checked: bool = False) -> None:
        done, self._done = self._done, None
        self.ui.undoButton.setVisible(False)
        if done is not None and done.node.GetScene() is not None:
            show_frame(self._frame)
            done.undo()
            self._table.tell(done.node, self._said)
            self.ui.outputSelector.setCurrentNode(done.node)
            self.ui.statusLabel.setText(_("The older result is back."))

    def _close_question(self) -> None:
        self._is_asking = False
        self.ui.acceptFrame.setVisible(False)
        if self._older is not None and self._older.GetScene() is not None:
            self._older.SetDisplayVisibility(True)
        self._answered()


def _together(node: Any, before: SceneResult, newer: SceneResult) -> SceneResult:
    """The result after the organs of `newer` were put into `node`; what was said of the others before stays said."""
    new = newer.volumes_ml
    ids = {id_of(organ) for organ in new}
    return SceneResult(
        newer.name,
        node,
        {**before.volumes_ml, **new},
        list(dict.fromkeys([*(flag for flag in before.flags if flag.organ not in new), *newer.flags])),
        newer.provenance,
        trust={**{organ: score for organ, score in before.trust.items() if organ not in new}, **newer.trust},
        # The new ones are measured when they are shown.
        made_ml={one: ml for one, ml in before.made_ml.items() if one not in ids},
    )
