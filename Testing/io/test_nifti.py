"""NIfTI: voxels and place are those of nibabel and SimpleITK; a header that contradicts itself is said aloud."""

import gzip
import itertools
import struct

import nibabel
import numpy as np
import pytest

from helpers.bad_files import refused
from helpers.volume_files import affine_of, by_itk, by_nibabel, overwritten, ramp, written_by_itk
from helpers.volumes import all_directions, as_rows, make_volume, oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation, write_volume
from LiverMRISegLib.io.headers import read_header
from LiverMRISegLib.volume import Geometry

TYPES = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)
GRID = Geometry((6, 5, 4), (1.5, 2.0, 3.0), (10.0, -20.0, 30.0))
CODES, QUATERNION, OFFSET, ROWS = 252, 256, 268, 280
SHIFTED = np.diag([-2.0, -2.0, 3.0, 1.0])


def plain(tmp_path, name="plain.nii"):
    return written_by_itk(tmp_path / name, ramp(), GRID, packed=False)


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "hdr"])
def test_place_and_voxels_are_those_of_itk_and_nibabel(tmp_path, ending):
    for number, direction in enumerate(all_directions() + oblique_directions()):
        geometry = Geometry((6, 5, 4), (1.5, 2.0, 3.25), (11.0, -7.0, 31.0), as_rows(direction))
        path = written_by_itk(tmp_path / f"v{number}.{ending}", ramp(), geometry)
        found = read_volume(path, may_be_mask=True)
        voxels, reference = by_itk(path)
        assert np.array_equal(found.array, voxels)
        assert found.geometry.is_close(reference, 1e-6)
        assert found.metadata.get("notes") is None
        voxels, affine = by_nibabel(path)
        assert np.array_equal(found.array, voxels)
        assert np.allclose(affine_of(found.geometry), affine, atol=1e-5)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("make", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_types_byte_orders_and_versions(tmp_path, order, make):
    for kind in TYPES:
        check_type(tmp_path, kind, order, make)


def check_type(tmp_path, kind, order, make):
    array = ramp().astype(kind)
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    image = make(array.T, affine, dtype=kind)
    header = image.header.as_byteswapped(order)
    image = make(array.T.astype(np.dtype(kind).newbyteorder(order)), affine, header)
    path = tmp_path / ("v.hdr" if "Pair" in make.__name__ else "v.nii")
    nibabel.save(image, path)
    assert path.read_bytes()[:4] == struct.pack(order + "i", 540 if "2" in make.__name__ else 348)
    found = read_volume(path, may_be_mask=True)
    voxels, affine = by_nibabel(path)
    assert np.array_equal(found.array, voxels)
    assert np.allclose(affine_of(found.geometry), affine)


@pytest.mark.parametrize("intercept", [0, 3])
@pytest.mark.parametrize("slope", [1, 2.5, 0, -1, 1e-6, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_scales_are_those_of_nibabel(tmp_path, slope, intercept, kind):
    path = written_by_itk(tmp_path / "v.nii", ramp().astype(kind), GRID, packed=False)
    overwritten(path, ("<2f", 112, slope, intercept))
    # A slope that is not a number says: not scaled.
    expected = by_nibabel(path)[0] if np.isfinite(slope) else ramp().astype(np.float64)
    assert np.allclose(read_volume(path, may_be_mask=True).array, expected, rtol=1e-6)


def test_a_scale_that_is_not_finite(tmp_path):
    refused(overwritten(plain(tmp_path), ("<2f", 112, 2, float("nan"))), "scales the voxels by 2 and adds nan")


def written_with(tmp_path, qform, qform_code, sform, sform_code, name="v.nii.gz"):
    image = nibabel.Nifti1Image(ramp().T, None)
    image.set_qform(qform, qform_code)
    image.set_sform(sform, sform_code)
    image.header["qform_code"], image.header["sform_code"] = qform_code, sform_code
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("codes", list(itertools.product([0, 1, 2], [0, 1, 2, 4])))
def test_the_sform_holds_where_it_has_a_code(tmp_path, codes):
    """The rule of nibabel; a contradiction is said, and the mask gets the same two forms and codes."""
    qform, sform = np.diag([1.5, -2.0, 3.0, 1.0]), np.diag([-1.5, -2.0, 3.0, 1.0])
    path = written_with(tmp_path, qform, codes[0], sform, codes[1])
    found = read_volume(path, may_be_mask=True)
    if any(codes):
        assert np.allclose(affine_of(found.geometry), by_nibabel(path)[1])
    assert found.metadata.get("orientation_unknown", False) is not any(codes)
    notes = found.metadata.get("notes", [])
    assert bool(notes) is all(codes)
    assert all("mirror image" in note and "left and right" in note for note in notes)
    write_segmentation(tmp_path / "m.nii.gz", np.ones((4, 5, 6), np.uint8), CHAOS, found.geometry, source=found)
    ours, theirs = nibabel.load(tmp_path / "m.nii.gz"), nibabel.load(path)
    for form in ("get_qform", "get_sform"):
        (matrix, code), (expected, expected_code) = (getattr(i, form)(coded=True) for i in (ours, theirs))
        assert code == expected_code
        assert (matrix is None and expected is None) or np.allclose(matrix, expected)
    assert np.allclose(ours.header.get_zooms(), theirs.header.get_zooms())
    assert read_labelmap(tmp_path / "m.nii.gz").geometry == found.geometry


def test_a_place_that_differs_by_rounding_only_is_not_a_contradiction(tmp_path):
    qform = np.diag([-1.5, -2.0, 3.0, 1.0])
    sform = qform + 1e-4
    sform[3] = (0, 0, 0, 1)
    assert "notes" not in read_volume(written_with(tmp_path, qform, 1, sform, 1), may_be_mask=True).metadata


def test_two_spacings(tmp_path):
    path = overwritten(plain(tmp_path), ("<2h", CODES, 0, 1), ("<3f", 80, 1, 1, 1))
    found = read_volume(path, may_be_mask=True)
    assert np.allclose(found.geometry.spacing, GRID.spacing)
    assert "two voxel spacings" in found.metadata["notes"][0]


@pytest.mark.parametrize("shear", [1e-4, 5e-4, 9e-4])
def test_slight_shear_is_taken_and_written_again(tmp_path, shear):
    sform = np.diag([-1.5, -1.5, 3.0, 1.0])
    sform[0, 1] = 1.5 * shear
    path = written_with(tmp_path, sform, 0, sform, 1)
    found = read_volume(path, may_be_mask=True)
    assert np.allclose(affine_of(found.geometry), by_nibabel(path)[1], atol=1e-6)
    for name in ("m.nii.gz", "m.nrrd", "m.mha", "m.seg.nrrd"):
        write_segmentation(tmp_path / name, np.ones((4, 5, 6), np.uint8), CHAOS, found.geometry, source=found)
        assert read_labelmap(tmp_path / name).geometry.is_close(found.geometry, 1e-5)


def test_more_shear(tmp_path):
    sform = np.diag([-1.5, -1.5, 3.0, 1.0])
    sform[0, 1] = 3e-3
    refused(written_with(tmp_path, sform, 0, sform, 1), "perpendicular")


def test_a_sheared_sform_beside_a_sound_qform(tmp_path):
    """Volumes in mL need axes that are perpendicular; the mask has both forms, as its image."""
    sform = np.diag([-1.5, -2.0, 3.0, 1.0])
    sform[0, 1] = 0.5
    path = written_with(tmp_path, np.diag([-1.5, -2.0, 3.0, 1.0]), 1, sform, 2)
    found = read_volume(path, may_be_mask=True)
    assert np.allclose(affine_of(found.geometry), np.diag([1.5, 2.0, 3.0, 1.0]))
    assert found.metadata["notes"] == ["the axes of the file's sform are not perpendicular, its qform was used"]
    write_segmentation(tmp_path / "m.nii", np.ones((4, 5, 6), np.uint8), CHAOS, found.geometry, source=found)
    assert np.allclose(nibabel.load(tmp_path / "m.nii").get_sform(), sform)


@pytest.mark.parametrize(("code", "factor"), [(1, 1e3), (2, 1.0), (3, 1e-3), (0, 1.0), (7, 1.0)])
def test_the_unit_of_length_that_is_said(tmp_path, code, factor):
    path = overwritten(plain(tmp_path), ("b", 123, code))
    found = read_volume(path, may_be_mask=True)
    assert np.allclose(found.geometry.spacing, np.array(GRID.spacing) * factor)
    assert np.allclose(found.geometry.origin, np.array(GRID.origin) * factor)
    assert found.geometry.is_close(by_itk(path)[1], 1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("codes", "place"), [((1, 0), QUATERNION), ((1, 1), OFFSET), ((0, 1), ROWS), ((1, 1), ROWS + 20)]
)
def test_a_place_that_is_not_finite(tmp_path, value, codes, place):
    refused(overwritten(plain(tmp_path), ("<2h", CODES, *codes), ("<f", place, value)), "no place in space")


def test_a_place_without_a_code_does_not_matter(tmp_path):
    path = overwritten(plain(tmp_path), ("<2h", CODES, 0, 1), ("<f", QUATERNION, float("nan")))
    found = read_volume(path, may_be_mask=True)
    assert found.geometry.is_close(GRID, 1e-5)
    write_segmentation(tmp_path / "m.nii", np.ones((4, 5, 6), np.uint8), CHAOS, found.geometry, source=found)
    assert read_labelmap(tmp_path / "m.nii").geometry == found.geometry


def test_a_quaternion_that_is_no_rotation(tmp_path):
    refused(overwritten(plain(tmp_path), ("<2h", CODES, 1, 0), ("<3f", QUATERNION, 1, 1, 0)), "not a rotation")


@pytest.mark.parametrize("offset", [float("nan"), float("inf"), -352, 16, 348, 352.5])
def test_no_place_for_the_voxels(tmp_path, offset):
    refused(overwritten(plain(tmp_path), ("<f", 108, offset)), "no place for its voxels")


def test_an_offset_of_0_means_after_the_header(tmp_path):
    path = overwritten(plain(tmp_path), ("<f", 108, 0))
    assert np.array_equal(read_volume(path, may_be_mask=True).array, ramp())


@pytest.mark.parametrize(("axis", "size"), [(0, 5), (1, 4), (2, 3)])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_size_that_is_too_small_would_move_every_voxel(tmp_path, axis, size, ending):
    path = overwritten(plain(tmp_path), ("<h", 42 + 2 * axis, size))
    if ending == "nii.gz":
        path = tmp_path / "v.nii.gz"
        path.write_bytes(gzip.compress((tmp_path / "plain.nii").read_bytes()))
    refused(path, "more voxels than its header announces")


def test_a_type_that_contradicts_its_bits(tmp_path):
    refused(overwritten(plain(tmp_path), ("<h", 70, 2)), "contradicts itself")


def test_a_neighbour_of_the_same_stem_is_not_read(tmp_path):
    """Libraries look for A.nii when they are asked for A.nii.gz."""
    image = make_volume(size=(12, 10, 8))
    write_volume(image, tmp_path / "a.nii.gz")
    write_volume(make_volume(size=(12, 10, 8), seed=1), tmp_path / "a.nii")
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").array, image.array)


def test_two_images_of_one_header(tmp_path):
    path = plain(tmp_path, "v.hdr")
    (tmp_path / "v.img.gz").write_bytes(gzip.compress((tmp_path / "v.img").read_bytes()))
    refused(path, r"several files \(v.img, v.img.gz\)")
    (tmp_path / "v.img").unlink()
    assert np.array_equal(read_volume(path, may_be_mask=True).array, ramp())


def test_the_image_of_a_pair_can_be_named(tmp_path):
    plain(tmp_path, "v.hdr")
    assert np.array_equal(read_volume(tmp_path / "v.img", may_be_mask=True).array, ramp())
    (tmp_path / "v.hdr").unlink()
    refused(tmp_path / "v.img", "its header, v.hdr, is missing")


def test_analyze(tmp_path):
    """The format before NIfTI says nothing about the sides; place as SimpleITK takes it."""
    path = overwritten(plain(tmp_path, "v.hdr"), ("4s", 344, b"\0\0\0\0"))
    found = read_volume(path, may_be_mask=True)
    assert np.array_equal(found.array, ramp())
    assert found.geometry == Geometry((6, 5, 4), GRID.spacing)
    assert found.metadata["orientation_unknown"]


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_frames(tmp_path, ending):
    frames = np.stack([ramp() + 10 * n for n in range(3)])
    nibabel.save(nibabel.Nifti1Image(frames.T, SHIFTED), tmp_path / f"v.{ending}")
    header = read_header(tmp_path / f"v.{ending}")
    assert header.frames == 3
    for number in range(3):
        found = read_volume(tmp_path / f"v.{ending}", frame=number + 1, may_be_mask=True)
        assert np.array_equal(found.array, frames[number])
    refused(tmp_path / f"v.{ending}", r"has 3 frames; choose one with --frame N \(1 to 3\)")
    with pytest.raises(InputError, match="has no frame 4"):
        read_volume(tmp_path / f"v.{ending}", frame=4)


def test_other_dimensions(tmp_path):
    for number, (shape, words) in enumerate(
        [((6, 5), "2D"), ((6, 5, 4, 1, 3), "3 values per voxel"), ((6, 5, 4, 2, 3), "5D"), ((6, 5, 4, 1, 1, 2), "6D")]
    ):
        path = tmp_path / f"v{number}.nii"
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), SHIFTED), path)
        refused(path, words)
    nibabel.save(nibabel.Nifti1Image(ramp().T[..., None, None, None], SHIFTED), tmp_path / "ones.nii")
    assert np.array_equal(read_volume(tmp_path / "ones.nii", may_be_mask=True).array, ramp())


def test_what_is_written_is_read_alike_by_others(tmp_path):
    for number, direction in enumerate(all_directions() + oblique_directions()):
        volume = make_volume(direction, size=(6, 5, 4))
        path = tmp_path / f"v{number}.nii.gz"
        write_volume(volume, path)
        voxels, geometry = by_itk(path)
        assert np.array_equal(voxels, volume.array)
        assert geometry.is_close(volume.geometry, 1e-5)
        affine = by_nibabel(path)[1]
        assert np.allclose(affine, affine_of(volume.geometry), atol=1e-4)
        assert np.allclose(nibabel.load(path).get_qform(), nibabel.load(path).get_sform(), atol=1e-4)


def test_the_upper_case_of_other_systems(tmp_path):
    for name in ("A.NII.GZ", "B.NII", "C.NRRD", "D.MHA", "E.Nii.Gz"):
        volume = make_volume(size=(6, 5, 4))
        write_volume(volume, tmp_path / name)
        assert np.array_equal(read_volume(tmp_path / name).array, volume.array)
    plain(tmp_path, "f.hdr").rename(tmp_path / "F.HDR")
    (tmp_path / "f.img").rename(tmp_path / "F.IMG")
    assert np.array_equal(read_volume(tmp_path / "F.HDR", may_be_mask=True).array, ramp())


def test_a_truncated_file_says_how_many_bytes_of_voxels_it_has(tmp_path):
    path = tmp_path / "v.nii"
    write_volume(make_volume(), path)
    path.write_bytes(path.read_bytes()[:-7])
    needed = make_volume().array.nbytes
    refused(path, f"announces {needed} bytes, but the file has {needed - 7} bytes: truncated")
