"""Sequences of volumes (4D): their frames, and the browser that shows one of them at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegScene.bases import tr as _

VOLUME = "vtkMRMLScalarVolumeNode"
SEQUENCE = "vtkMRMLSequenceNode"
BROWSER = "vtkMRMLSequenceBrowserNode"


@dataclass(frozen=True)
class SequenceFrame:
    """A frame: its number from 1, its value of the sequence's index, and its data node, which no scene's view shows."""

    number: int
    value: str
    node: Any


def is_sequence(node: Any) -> bool:
    """Whether a node is a sequence and not a volume."""
    return bool(node is not None and node.IsA(SEQUENCE))


def frames_of(sequence: Any) -> list[SequenceFrame]:
    """All frames of a sequence of scalar volumes.

    Raises:
        InputError: it is empty, or a sequence of something else.
    """
    count = sequence.GetNumberOfDataNodes()
    if count == 0:
        raise InputError(_("{name}: is an empty sequence; load it again").format(name=sequence.GetName()))
    if sequence.GetDataNodeClassName() != VOLUME:
        raise InputError(_("{name}: is not a sequence of volumes; choose another").format(name=sequence.GetName()))
    return [SequenceFrame(n + 1, sequence.GetNthIndexValue(n), sequence.GetNthDataNode(n)) for n in range(count)]


def find_browser(scene: Any, sequence: Any) -> Any:
    """The first browser of the scene that shows a sequence; None if there is none."""
    for n in range(scene.GetNumberOfNodesByClass(BROWSER)):
        browser = scene.GetNthNodeByClass(n, BROWSER)
        if browser.IsSynchronizedSequenceNode(sequence, True):
            return browser
    return None


def sequence_behind(node: Any) -> tuple[Any, Any]:
    """The browser in which a node shows the current frame of a sequence, and that sequence; else None and None."""
    scene = node.GetScene()
    for n in range(scene.GetNumberOfNodesByClass(BROWSER) if scene is not None else 0):
        browser = scene.GetNthNodeByClass(n, BROWSER)
        sequence = browser.GetSequenceNode(node)
        if sequence is not None and browser.GetMasterSequenceNode() is not None:
            return browser, sequence
    return None, None


def frame_shown(node: Any) -> tuple[Any, int] | None:
    """The browser of a node that shows a sequence, and the frame that is selected there; None for any other node."""
    browser, _sequence = sequence_behind(node)
    return (browser, int(browser.GetSelectedItemNumber())) if browser is not None else None


def show_frame(shown: tuple[Any, int] | None) -> None:
    """Select the frame again that `frame_shown` gave, if its browser is still there."""
    if shown is not None and shown[0].GetScene() is not None and shown[0].GetSelectedItemNumber() != shown[1]:
        shown[0].SetSelectedItemNumber(shown[1])
        update_shown_frames(shown[0])


def browser_of(scene: Any, sequence: Any) -> Any:
    """As `find_browser`, but a new one if there is none."""
    browser = find_browser(scene, sequence)
    if browser is None:
        browser = scene.AddNewNodeByClass(BROWSER, f"{sequence.GetName()} browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return browser


def volume_shown(node: Any) -> Any:
    """The volume that shows the current frame of a sequence, None if there is none; of any other node, itself."""
    if not is_sequence(node):
        return node
    browser = find_browser(node.GetScene(), node)
    return browser.GetProxyNode(node) if browser is not None else None


def add_in_step(browser: Any, sequence: Any) -> Any:
    """Show a further sequence in a browser, frame by frame with the others; the node that shows its current frame.

    A frame that it lacks shows nothing, and not its neighbour. What is edited in a frame is kept in the sequence, also
    in one that it lacks: when that is shown it gets an empty node. Slicer would take the edits back otherwise.
    """
    browser.AddSynchronizedSequenceNode(sequence)
    browser.SetMissingItemMode(sequence, browser.MissingItemCreateFromDefault)
    browser.SetSaveChanges(sequence, True)
    update_shown_frames(browser)
    proxy = browser.GetProxyNode(sequence)
    if proxy is None and sequence.GetNumberOfDataNodes():  # nobody follows the browser: outside the application
        proxy = browser.AddProxyNode(sequence.GetNthDataNode(0), sequence)
        proxy.CopyContent(sequence.GetNthDataNode(0))
    return proxy


def update_shown_frames(browser: Any) -> None:
    """Let the application show the frame that the browser has selected."""
    import slicer

    module = getattr(getattr(slicer, "modules", None), "sequences", None)
    if module is not None:
        module.logic().UpdateProxyNodesFromSequences(browser)
