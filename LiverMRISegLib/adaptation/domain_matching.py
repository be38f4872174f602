"""Multi-domain matching (paper 004): a case of a worse sequence gets the warped labels of its nearest better case."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
_SEED = 1


def foreground_ml(labelmap: Volume) -> float:
    """The volume of everything that is labelled, in mL."""
    return float((labelmap.array > 0).sum()) * labelmap.geometry.voxel_volume_ml


def nearest_case(volume_ml: float, better: Mapping[str, float]) -> str:
    """The name of the better case whose foreground volume is nearest (eq. 5); UsageError if there is none."""
    if not better:
        raise UsageError("no case of a better sequence to match with")
    return min(better, key=lambda name: (abs(better[name] - volume_ml), name))


def register_affine(moving: Volume, fixed: Volume, *, iterations: int = 100, samples: float = 0.2) -> sitk.Transform:
    """The affine transform from points of `fixed` to points of `moving` that brings the images together.

    Least squares of intensities (paper 004 minimises the L2 difference), both scaled to their percentiles, over
    three resolutions; the same result at every call.
    """
    target, source = _scaled(fixed), _scaled(moving)
    start = sitk.CenteredTransformInitializer(
        target, source, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(samples, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, iterations, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0, 0.0])
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(target, source)
    logger.info("registered %s to %s: metric %.4f", moving.name, fixed.name, method.GetMetricValue())
    return found


def warp_labels(labelmap: Volume, transform: sitk.Transform, target: Volume) -> Volume:
    """Labels of the moving case on the grid of `target`, nearest neighbour; background beyond them."""
    moved = sitk.Resample(labelmap.to_sitk(), target.to_sitk(), transform, sitk.sitkNearestNeighbor, 0.0)
    return Volume(sitk.GetArrayFromImage(moved), target.geometry, f"{labelmap.name} for {target.name}")


def _scaled(volume: Volume) -> sitk.Image:
    """Intensities from 0 to 1 between the 1st and 99th percentile."""
    low, high = np.percentile(volume.array, (1, 99))
    unit = np.clip((volume.array.astype(np.float32) - low) / max(float(high - low), 1e-6), 0, 1)
    return Volume(unit.astype(np.float32), volume.geometry).to_sitk()
