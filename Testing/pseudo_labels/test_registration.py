"""Matching: nearest by volume, a known affine found again, labels warped where they belong in any orientation."""

import numpy as np
import pytest
import SimpleITK as sitk

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.pseudo_labels.registration import foreground_ml, nearest_case, register_affine, warp_labels
from LiverMRISegLib.volume import Geometry, Volume, reorient


def body(shift=(0.0, 0.0, 0.0), stretch=1.0) -> tuple[Volume, Volume]:
    """An ellipsoid with a bright organ to one side."""
    geometry = Geometry((48, 44, 30), (3.0, 3.0, 4.0), (-70.0, -60.0, -55.0))
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in geometry.shape), indexing="ij")
    points = np.stack([x * 3 - 70, y * 3 - 60, z * 4 - 55]) - np.array(shift)[:, None, None, None]
    points = points / stretch
    inside = (points[0] / 58) ** 2 + (points[1] / 45) ** 2 + (points[2] / 48) ** 2 < 1
    organ = ((points[0] + 22) / 24) ** 2 + ((points[1] + 6) / 18) ** 2 + (points[2] / 22) ** 2 < 1
    image = 100.0 * inside + 150.0 * organ
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(image), 1.0))
    return Volume(smooth.astype(np.float32), geometry, "body"), Volume(organ.astype(np.uint8), geometry, "organ")


def dice(first: Volume, second: Volume) -> float:
    a, b = first.array > 0, second.array > 0
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_nearest_case_by_volume():
    assert nearest_case(1500, {"a": 1000, "b": 1600, "c": 1700}) == "b"
    with pytest.raises(UsageError, match="no case"):
        nearest_case(1500, {})


def test_foreground_in_millilitres():
    labels = Volume(np.ones((2, 3, 4), np.uint8), Geometry((4, 3, 2), (10.0, 10.0, 10.0)))
    assert foreground_ml(labels) == pytest.approx(24.0)


@pytest.mark.parametrize("metric", ["mutual information", "least squares"])
def test_a_known_affine_is_found_again(metric):
    fixed, truth = body()
    moving, labels = body(shift=(12.0, -7.0, 8.0), stretch=1.08)
    assert dice(labels, truth) < 0.75
    warped = warp_labels(labels, register_affine(moving, fixed, metric), fixed)
    assert warped.geometry == fixed.geometry
    assert dice(warped, truth) > 0.95


@pytest.mark.parametrize("code", ["RAS", "ASL"])
def test_orientation_of_the_files_does_not_matter(code):
    fixed, truth = body()
    moving, labels = body(shift=(12.0, -7.0, 8.0))
    turned_image, turned_labels = reorient(moving, code), reorient(labels, code)
    warped = warp_labels(turned_labels, register_affine(turned_image, fixed), fixed)
    assert dice(warped, truth) > 0.93


def test_the_same_call_gives_the_same_transform():
    fixed, _ = body()
    moving, _ = body(shift=(5.0, 0.0, 0.0))
    first, second = (register_affine(moving, fixed, iterations=10).GetParameters() for _ in range(2))
    assert first == pytest.approx(second, abs=1e-6)


def test_mutual_information_does_not_mind_inverted_contrast():
    fixed, truth = body()
    moving, labels = body(shift=(12.0, -7.0, 8.0))
    dark = Volume(np.where(moving.array > 50, 300 - moving.array, 0).astype(np.float32), moving.geometry, "dark")
    assert dice(warp_labels(labels, register_affine(dark, fixed), fixed), truth) > 0.9
    with pytest.raises(UsageError, match="unknown metric"):
        register_affine(dark, fixed, "L2")


def test_the_unit_of_the_intensities_does_not_matter():
    fixed, _ = body()
    moving, _ = body(shift=(5.0, 0.0, 0.0))
    found = []
    for unit in (1.0, 1e-12):
        tiny = Volume((moving.array.astype(float) * unit).astype(np.float32), moving.geometry)
        found.append(register_affine(tiny, fixed, "least squares", iterations=10).GetParameters())
    assert found[0] == pytest.approx(found[1], abs=0.1)
    assert np.linalg.norm(found[0][9:]) > 1
