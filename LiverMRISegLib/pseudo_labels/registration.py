"""Multi-domain matching (paper 004): a case of a worse sequence gets the warped labels of its nearest better case."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.preparation.normalisation import LEAST_SPREAD
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
_SEED = 1
_SAMPLES = 0.2  # of the voxels, at the finest resolution
Metric = Literal["mutual information", "least squares"]
METRICS: tuple[str, ...] = get_args(Metric)


def foreground_ml(labelmap: Volume) -> float:
    """The volume of everything that is labelled, in mL; what is left open (IGNORE) is not."""
    labelled = (labelmap.array > 0) & (labelmap.array != IGNORE)
    return float(labelled.sum()) * labelmap.geometry.voxel_volume_ml


def nearest_case(volume_ml: float, better: Mapping[str, float]) -> str:
    """The name of the better case whose foreground volume is nearest (eq. 5); UsageError if there is none."""
    if not better:
        raise UsageError("no case of a better sequence to match with")
    return min(better, key=lambda name: (abs(better[name] - volume_ml), name))


def register_affine(
    moving: Volume, fixed: Volume, metric: str = "mutual information", *, iterations: int = 100
) -> sitk.Transform:
    """The affine transform from points of `fixed` to points of `moving` that brings the images together.

    Rigid, then affine, over three resolutions; the same at every call up to rounding. Paper 004 minimises the L2
    difference of intensities ("least squares"), which needs organs of like brightness in both; mutual information is
    ours and does not.

    Raises:
        InputError: the images cannot be registered (volumes of fewer than four slices, say).
        UsageError: unknown metric.
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}'; known are: {', '.join(METRICS)}")
    try:
        found, value = _registered(_scaled(moving), _scaled(fixed), metric, iterations)
    except RuntimeError as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise InputError(f"{moving.name} and {fixed.name}: cannot be registered ({reason})") from error
    logger.info("registered %s to %s: metric %.4f", moving.name, fixed.name, value)
    return found


def _registered(source: sitk.Image, target: sitk.Image, metric: str, iterations: int) -> tuple[sitk.Transform, float]:
    centred = sitk.CenteredTransformInitializer(
        target, source, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    # Rigid first: an affine started far away may shrink the image onto a uniform spot.
    coarse = _method(metric, iterations, (4, 2), (1.0, 1.0))
    coarse.SetInitialTransform(sitk.Euler3DTransform(centred), inPlace=False)
    rigid = sitk.Euler3DTransform(sitk.CompositeTransform(coarse.Execute(target, source)).GetNthTransform(0))
    start = sitk.AffineTransform(3)
    start.SetMatrix(rigid.GetMatrix())
    start.SetTranslation(rigid.GetTranslation())
    start.SetCenter(rigid.GetCenter())
    fine = _method(metric, iterations, (2, 1), (1.0, _SAMPLES))
    fine.SetInitialTransform(start, inPlace=False)
    return fine.Execute(target, source), fine.GetMetricValue()


def _method(
    metric: str, iterations: int, shrink: tuple[int, ...], samples: tuple[float, ...]
) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    if metric == "least squares":
        method.SetMetricAsMeanSquares()
    else:
        method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(samples, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    # A line search: with steps of fixed length mutual information fell into an image shrunk to a uniform spot.
    method.SetOptimizerAsGradientDescentLineSearch(1.0, iterations, 1e-5, 10)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([s / 2 for s in shrink])
    return method


def warp_labels(labelmap: Volume, transform: sitk.Transform, target: Volume) -> Volume:
    """Labels of the moving case on the grid of `target`, nearest neighbour; background outside them."""
    moved = sitk.Resample(labelmap.to_sitk(), target.to_sitk(), transform, sitk.sitkNearestNeighbor, 0.0)
    return Volume(sitk.GetArrayFromImage(moved), target.geometry, f"{labelmap.name} for {target.name}")


def _scaled(volume: Volume) -> sitk.Image:
    """Intensities from 0 to 1 between the 1st and 99th percentile."""
    low, high = np.percentile(volume.array, (1, 99))
    unit = np.clip((volume.array.astype(np.float32) - low) / max(float(high - low), LEAST_SPREAD), 0, 1)
    return Volume(unit.astype(np.float32), volume.geometry).to_sitk()
