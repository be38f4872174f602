"""Volumes over time as nodes of the scene: a table with a row a frame, and a chart with a curve an organ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from LiverMRISegLib.anatomy import id_of
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.checks import Checks
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.segment_volumes import SegmentVolume
from LiverMRISegScene.sequences import SequenceFrame

_ML = " mL"


def add_table(scene: Any, sequence: Any, results: Mapping[SequenceFrame, SceneResult]) -> Any:
    """A vtkMRMLTableNode: frame, index value, volume (mL) and trust of every organ, what to check or why it failed.

    A frame that failed has no numbers.
    """
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(f"{sequence.GetName()} volumes"))
    organs = list(dict.fromkeys(organ for result in results.values() for organ in result.volumes_ml))
    ordered = sorted(results.items(), key=lambda entry: entry[0].number)
    _add_column(node, _("frame"), [frame.number for frame, _result in ordered])
    _add_column(node, index_title(sequence), _index_values(sequence, [frame.value for frame, _result in ordered]))
    for organ in organs:
        _add_column(node, organ + _ML, [result.volumes_ml.get(organ, math.nan) for _frame, result in ordered])
    for organ in dict.fromkeys(organ for result in results.values() for organ in result.trust):
        _add_column(node, _trust_title(organ), [result.trust.get(organ, math.nan) for _frame, result in ordered])
    _add_column(node, _check_title(), [result.error or "; ".join(result.flags) for _frame, result in ordered])
    return node


def _index_values(sequence: Any, texts: list[str]) -> Sequence[Any]:
    """The index as numbers; as it is where Slicer only takes it for numbers, which is its default."""
    if sequence.GetIndexType() != sequence.NumericIndex:
        return texts
    try:
        return [float(text) for text in texts]
    except ValueError:
        return texts


def update_row(
    table: Any, number: int, segments: Iterable[SegmentVolume], checks: Checks, organs: Iterable[str]
) -> None:
    """Write what is known of a frame anew, after its segments were edited; a chart of the table follows.

    Of `organs`, those of all frames, one that this frame has neither a result nor a segment of has no number.
    """
    values, ml = table.GetTable(), {segment.organ_id: segment.ml for segment in segments}
    known: dict[str, Any] = {_check_title(): "; ".join(checks.all_flags)}
    for organ in {*organs, *checks.result.volumes_ml}:
        without = 0.0 if organ in checks.result.volumes_ml else math.nan
        known[organ + _ML] = ml.get(id_of(organ), without)
        known[_trust_title(organ)] = checks.trust.get(organ, math.nan)
    for row in range(values.GetNumberOfRows()):
        if values.GetValue(row, 0).ToInt() == number:
            for title, value in known.items():
                column = values.GetColumnByName(title)
                if column is not None:
                    column.SetValue(row, value)
            values.Modified()
            table.Modified()


def check_of(table: Any, number: int) -> str:
    """What the table says of a frame under "check"; empty where it has no such row or column, or there is no table."""
    if table is None:
        return ""
    values = table.GetTable()
    column = values.GetColumnByName(_check_title())
    rows = range(values.GetNumberOfRows()) if column is not None else ()
    return next((str(column.GetValue(row)) for row in rows if values.GetValue(row, 0).ToInt() == number), "")


def _trust_title(organ: str) -> str:
    return _("{organ} trust").format(organ=organ)


def _check_title() -> str:
    return _("check")


def index_title(sequence: Any) -> str:
    """What the frames of a sequence differ in, with its unit."""
    name, unit = sequence.GetIndexName() or _("index"), sequence.GetIndexUnit()
    return f"{name} [{unit}]" if unit else str(name)


def add_chart(scene: Any, table: Any, title: str, segmentation: Any) -> Any:
    """A vtkMRMLPlotChartNode with the volume of every organ against the index, in the organs' colours."""
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", table.GetName())
    columns = [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())]
    is_number = table.GetTable().GetColumn(1).IsNumeric()
    x_name = columns[1] if is_number else columns[0]
    chart.SetTitle(title)
    chart.SetXAxisTitle(x_name)
    chart.SetYAxisTitle("mL")
    for column in columns:
        if column.endswith(_ML):
            organ = column.removesuffix(_ML)
            chart.AddAndObservePlotSeriesNodeID(_series(scene, table, x_name, organ, segmentation).GetID())
    return chart


def show_chart(chart: Any) -> None:
    """Show a chart in the application's layout."""
    import slicer

    slicer.modules.plots.logic().ShowChartInLayout(chart)


def _series(scene: Any, table: Any, x_name: str, organ: str, segmentation: Any) -> Any:
    series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", organ)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeScatter)
    series.SetXColumnName(x_name)
    series.SetYColumnName(organ + _ML)
    segment = segmentation.GetSegmentation().GetSegment(id_of(organ)) if segmentation is not None else None
    if segment is not None:
        series.SetColor(*segment.GetColor())
    else:
        series.SetUniqueColor()
    return series


def _add_column(node: Any, title: str, values: Sequence[Any]) -> None:
    import vtk

    kind = vtk.vtkStringArray if isinstance(values[0], str) else vtk.vtkDoubleArray
    array = (vtk.vtkIntArray if isinstance(values[0], int) else kind)()
    array.SetName(title)
    for value in values:
        array.InsertNextValue(value)
    node.AddColumn(array)
