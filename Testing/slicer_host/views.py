"""Pictures of what the application's views would show of a scene: slices with the segments' colours, and surfaces.

slicer-core has no light-box renderer, so slices are cut here from the nodes' own arrays; surfaces are rendered by VTK.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
_OPACITY = 0.45


def slice_picture(volume: Any, segmentation: Any, plane: str, height: int) -> np.ndarray:
    """RGB uint8 [height, width, 3] through the middle of the segments. For volumes stored axially, as in LPS."""
    import slicer

    array = slicer.util.arrayFromVolume(volume).astype(np.float32)
    low, high = np.percentile(array, (1, 99.5))
    gray = np.clip((array - low) / max(high - low, 1e-6), 0, 1)
    picture = np.repeat(gray[..., None], 3, axis=-1)
    busy = np.zeros(array.shape, bool)
    for mask, box, color in _segments(segmentation):
        where = (*box, ...)
        window = picture[where]
        window[mask] = (1 - _OPACITY) * window[mask] + _OPACITY * np.array(color)
        busy[box] |= mask
    axis = _AXES[plane]
    others = tuple(a for a in range(3) if a != axis)
    index = int(busy.sum(others).argmax()) if busy.any() else array.shape[axis] // 2
    cut = np.take(picture, index, axis)
    spacing = np.delete(np.array(volume.GetSpacing())[::-1], axis)
    return _scaled(cut if plane == "axial" else cut[::-1], spacing, height)


def surface_picture(segmentation: Any, width: int, height: int) -> np.ndarray:
    """RGB uint8 [height, width, 3] of the closed surfaces that are shown in 3D, from the front."""
    import vtk

    renderer = vtk.vtkRenderer()
    renderer.SetBackground(0.76, 0.76, 0.91)
    renderer.SetBackground2(0.46, 0.47, 0.75)
    renderer.GradientBackgroundOn()
    for surface, color in _surfaces(segmentation):
        renderer.AddActor(_actor(surface, color))
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(width, height)
    window.AddRenderer(renderer)
    camera = renderer.GetActiveCamera()
    camera.SetPosition(0, 1, 0)  # from the patient's front, head up
    camera.SetFocalPoint(0, 0, 0)
    camera.SetViewUp(0, 0, 1)
    renderer.ResetCamera()
    camera.Zoom(1.4)
    return _pixels(window, width, height)


def _pixels(window: Any, width: int, height: int) -> np.ndarray:
    """What a render window shows, RGB uint8 [height, width, 3]."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.Update()
    image = grabber.GetOutput()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
    return np.ascontiguousarray(pixels[::-1, :, :3])


def chart_picture(chart: Any, width: int, height: int) -> np.ndarray:
    """RGB uint8 [height, width, 3] of the curves of a plot chart node."""
    import vtk

    view = vtk.vtkContextView()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(width, height)
    view.GetRenderer().SetBackground(1, 1, 1)
    drawn = vtk.vtkChartXY()
    view.GetScene().AddItem(drawn)
    drawn.SetShowLegend(True)
    drawn.SetTitle(chart.GetTitle())
    for axis, title in ((1, chart.GetXAxisTitle()), (0, chart.GetYAxisTitle())):
        drawn.GetAxis(axis).SetTitle(title)
    for number in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(number)
        plot = drawn.AddPlot(vtk.vtkChart.LINE)
        plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
        plot.SetColor(*(round(255 * part) for part in series.GetColor()), 255)
        plot.SetWidth(2)
        plot.SetLabel(series.GetName())
    return _pixels(window, width, height)


def _segments(segmentation: Any) -> list[tuple[np.ndarray, tuple[slice, slice, slice], tuple[float, float, float]]]:
    """Mask, its box [Z, Y, X] within the volume, and colour of every segment that is shown in slices."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    found = []
    for segment_id in _ids(segmentation):
        display = segmentation.GetDisplayNode()
        if display is not None and not display.GetSegmentVisibility2DFill(segment_id):
            continue
        image = slicer.vtkOrientedImageData()
        segmentation.GetBinaryLabelmapRepresentation(segment_id, image)
        x0, x1, y0, y1, z0, z1 = image.GetExtent()
        box = (slice(z0, z1 + 1), slice(y0, y1 + 1), slice(x0, x1 + 1))
        voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape([s.stop - s.start for s in box])
        found.append((voxels > 0, box, segmentation.GetSegmentation().GetSegment(segment_id).GetColor()))
    return found


def _surfaces(segmentation: Any) -> list[tuple[Any, tuple[float, float, float]]]:
    import vtk

    found = []
    for segment_id in _ids(segmentation):
        display = segmentation.GetDisplayNode()
        surface = vtk.vtkPolyData()
        segmentation.GetClosedSurfaceRepresentation(segment_id, surface)
        if display is None or display.GetSegmentVisibility3D(segment_id):
            found.append((surface, segmentation.GetSegmentation().GetSegment(segment_id).GetColor()))
    return found


def _actor(surface: Any, color: tuple[float, float, float]) -> Any:
    import vtk

    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(surface)
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color)
    return actor


def _ids(segmentation: Any) -> list[str]:
    inner = segmentation.GetSegmentation()
    return [inner.GetNthSegmentID(n) for n in range(inner.GetNumberOfSegments())]


def _scaled(picture: np.ndarray, spacing: np.ndarray, height: int) -> np.ndarray:
    """Nearest neighbour to square pixels and a given height."""
    rows, columns = picture.shape[:2]
    width = round(height * columns * spacing[1] / (rows * spacing[0]))
    y = np.minimum(np.arange(height) * rows // height, rows - 1)
    x = np.minimum(np.arange(width) * columns // width, columns - 1)
    return (255 * picture[y][:, x]).astype(np.uint8)
