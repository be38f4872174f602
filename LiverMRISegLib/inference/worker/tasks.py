"""What else than segmenting the worker is asked for: to measure label maps, to export them as DICOM, to compare.

    -> {"id": 3, "do": "measure", "measure": {"layers": [...], "maps": [...], "erosion_mm": 5, "name": "t2"}}
    <- {"id": 3, "event": "done", "header": ["case", "organ", ...], "rows": [[...], ...]}
    -> {"id": 4, "do": "export", "export": {"layers": [...], "images": ["1.dcm", ...], "folder": "out"}}
    <- {"id": 4, "event": "done", "files": ["out/segmentation.dcm"]}
    -> {"id": 5, "do": "study", "study": "patient 1"}
    <- {"id": 5, "event": "done", "disagreements": {"t2": ["liver disagrees with ..."]}}

The layers of a segmentation whose segments overlap are several label maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from LiverMRISegLib.io.dataclass_reader import to_plain

MEASURE, EXPORT, STUDY = "measure", "export", "study"


@dataclass(frozen=True)
class Layer:
    """A label map in a file, and the names of its values; `organs` says which are organs of ours by another name."""

    file: Path
    labels: Mapping[str, int]
    organs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MapFile:
    """A map to be measured, or two images that give a fat fraction: `image` and `second` as `kind` names them."""

    name: str
    image: Path
    second: Path | None = None
    kind: Literal["map", "water and fat", "in and out of phase"] = "map"


@dataclass(frozen=True)
class MeasureTask:
    """See `measurement.organs.measure`; the rows are those of `measurement.table`."""

    layers: tuple[Layer, ...]
    maps: tuple[MapFile, ...] = ()
    erosion_mm: float = 0.0
    outliers: float | None = None
    name: str = "volume"


@dataclass(frozen=True)
class ExportTask:
    """Write label maps of DICOM images, on the images' grid in any order of axes, into a new folder, a DICOM SEG each.

    With `measured`, whose layers are the same, also a DICOM SR of each; there a layer may be moved to its maps.
    """

    layers: tuple[Layer, ...]
    images: tuple[Path, ...]
    folder: Path
    name: str = "segmentation"
    measured: MeasureTask | None = None


def measure_request(task: MeasureTask) -> dict[str, Any]:
    """Measure; the reply has "header" and "rows"."""
    return {"do": MEASURE, "measure": to_plain(task)}


def export_request(task: ExportTask) -> dict[str, Any]:
    """Export; the reply has "files"."""
    return {"do": EXPORT, "export": to_plain(task)}


def study_request(study: str) -> dict[str, Any]:
    """Compare what was segmented with this `study` so far; the reply has "disagreements" by `case`."""
    return {"do": STUDY, "study": study}
