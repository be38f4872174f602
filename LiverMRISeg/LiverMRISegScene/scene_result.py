"""The result for a volume of the scene, and how it is saved with its segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.flag import Flag, as_flags
from LiverMRISegLib.inference.remarks import KEY, Remarks, as_tag, from_tag
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.segmentations import segment_ids


@dataclass(frozen=True)
class SceneResult:
    """The result for one volume: the segmentation node, or the `error` in one line.

    `trust`: the Dice to be expected of each organ, if the model gives it. `made_ml`: what each segment, by its ID,
    measured when it was made. `flags` may be given as plain sentences.
    """

    name: str
    node: Any = None
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[Flag] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    trust: Mapping[str, float] = field(default_factory=dict)
    made_ml: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Of a plain sentence neither organ nor kind is known."""
        object.__setattr__(self, "flags", as_flags(self.flags))


def write_result(node: Any, result: SceneResult) -> None:
    """Let Slicer save with a segmentation what a run said of it; of one that is not from a run there is nothing.

    It is an attribute of the node, which a scene keeps, and a tag of every segment, which a .seg.nrrd alone keeps too.
    """
    text = Remarks(result.volumes_ml, result.trust, result.made_ml, result.flags).to_text()
    if text != (node.GetAttribute(KEY) or ""):
        node.SetAttribute(KEY, text or None)
    for segment in _segments(node):
        if _tag_of(segment) == text:
            continue  # else the segment would count as edited
        if text:
            segment.SetTag(KEY, as_tag(text))
        else:
            segment.RemoveTag(KEY)


def read_result(node: Any, name: str = "") -> SceneResult:
    """What a run said of a segmentation, as `write_result` or `livermriseg segment` saved it.

    `name` is the node's, if none is given. Segments of several results that were put together say nothing.
    """
    name = name or str(node.GetName())
    own = node.GetAttribute(KEY)
    texts = {own} if own else {_tag_of(segment) for segment in _segments(node)} - {""}
    if len(texts) != 1:
        return SceneResult(name, node)
    try:
        saved = Remarks.from_text(texts.pop())
    except InputError:
        said = _("what was said of this segmentation when it was made cannot be read: look at every outline")
        return SceneResult(name, node, flags=as_flags([said]))
    return SceneResult(name, node, saved.volumes_ml, saved.flags, trust=saved.trust, made_ml=saved.made_ml)


def _segments(node: Any) -> list[Any]:
    if not node.IsA("vtkMRMLSegmentationNode"):
        return []
    return [node.GetSegmentation().GetSegment(segment_id) for segment_id in segment_ids(node)]


def _tag_of(segment: Any) -> str:
    import vtk

    text = vtk.reference("")
    return from_tag(str(text)) if segment.GetTag(KEY, text) else ""
