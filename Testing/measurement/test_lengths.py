"""Lengths against brute force and against ITK's own label statistics."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.ellipsoids import ellipsoid, grid, points_of
from helpers.volumes import all_directions, oblique_directions
from LiverMRISegLib.anatomy import CHAOS, SPLEEN
from LiverMRISegLib.measurement.lengths import craniocaudal_mm, longest_mm
from LiverMRISegLib.measurement.maps import QuantityMap
from LiverMRISegLib.measurement.organs import measure
from LiverMRISegLib.volume import Geometry, Volume


@pytest.mark.parametrize("seed", range(4))
def test_the_farthest_voxels_are_those_of_brute_force(seed):
    geometry = grid((2.0, 3.1, 4.3), (14, 15, 17), oblique_directions()[seed])
    mask = np.random.default_rng(seed).random(geometry.shape) > 0.97
    points = points_of(geometry)[mask]
    apart = points[:, None] - points[None]
    longest = np.linalg.norm(apart, axis=-1).max()
    half = np.linalg.norm(geometry.spacing) / 2
    assert longest < longest_mm(mask, geometry) <= longest + half


def test_a_single_voxel_has_the_length_of_a_voxel():
    geometry = Geometry((3, 3, 3), (1.0, 2.0, 5.0))
    mask = np.zeros(geometry.shape, bool)
    mask[1, 1, 1] = True
    assert longest_mm(mask, geometry) == craniocaudal_mm(mask, geometry) == 5


def test_craniocaudal_is_slices_times_their_distance_in_every_orientation():
    for direction in all_directions():
        geometry = grid((2.0, 2.0, 2.0), (20, 20, 30), direction)
        heights = points_of(geometry)[..., 2]
        mask = np.abs(heights) < 20.5
        assert craniocaudal_mm(mask, geometry) == pytest.approx(2 * len(np.unique(heights[mask].round(6))))


def test_volume_and_statistics_are_itks():
    geometry = grid((2.0, 2.5, 3.0), direction=oblique_directions()[1])
    labels = Volume(ellipsoid(geometry).astype(np.uint8) * 4, geometry)
    values = Volume(np.random.default_rng(0).normal(60, 9, geometry.shape).astype(np.float32), geometry)
    found = measure(labels, CHAOS, {"m": QuantityMap(values)}).of(SPLEEN)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.Execute(labels.to_sitk())
    assert found.voxels == shape.GetNumberOfPixels(4)
    assert found.volume_ml == pytest.approx(shape.GetPhysicalSize(4) / 1000)
    assert 0 < found.longest_mm - shape.GetFeretDiameter(4) < 1.5
    intensity = sitk.LabelStatisticsImageFilter()
    intensity.Execute(values.to_sitk(), labels.to_sitk())
    statistics = found.statistics["m"]
    assert (statistics.voxels, statistics.mean, statistics.sd) == pytest.approx(
        (intensity.GetCount(4), intensity.GetMean(4), intensity.GetSigma(4))
    )
