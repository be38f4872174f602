"""Every input that cannot be used is refused with one line that names the file, and says what to do."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.bad_files import changed, nifti_bytes, ramp, refused, written
from helpers.needs import real_images
from helpers.places import DATA
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import find_volumes, read_volume, write_volume


def test_missing(tmp_path):
    refused(tmp_path / "absent.nii.gz", "no such file")


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "mha"])
def test_empty_and_text(tmp_path, ending):
    path = tmp_path / f"image.{ending}"
    path.write_bytes(b"")
    refused(path, "empty")
    path.write_text("this is a shopping list\n" * 30)
    refused(path, "is not (a|an) (NIfTI|NRRD|MetaImage) file in spite of its name")


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "mha"])
def test_truncated(tmp_path, ending, kept):
    path = tmp_path / f"image.{ending}"
    write_volume(make_volume(size=(40, 40, 40)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated|damaged|cannot be read|announces")


def test_gzip_of_a_truncated_nifti(tmp_path):
    whole = bytes(nifti_bytes(tmp_path))
    path = tmp_path / "image.nii.gz"
    path.write_bytes(gzip.compress(whole[:-200]))
    refused(path, "fewer voxels|truncated|damaged")


def test_wrong_number_of_dimensions(tmp_path):
    refused(written(tmp_path, ramp((5, 6)), "flat.mha"), "2D")
    refused(written(tmp_path, ramp((3, 5, 6, 7)), "frames.nii.gz"), "3 frames")


def test_a_single_frame_is_taken(tmp_path):
    assert read_volume(written(tmp_path, ramp((1, 5, 6, 7)))).array.shape == (5, 6, 7)


def test_colour(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "rgb.mha"))
    refused(tmp_path / "rgb.mha", "3 values per voxel")


def test_complex(tmp_path):
    path = written(tmp_path, ramp((4, 5, 6)).astype(np.complex64), "k.nii")
    refused(path, "magnitude")


def test_constant(tmp_path):
    refused(written(tmp_path, np.full((5, 6, 7), 3.0, np.float32)), "nothing to segment")


@pytest.mark.parametrize("value", [0.0, -1.5, float("nan")])
@pytest.mark.parametrize("packed", [False, True])
def test_spacing(tmp_path, value, packed):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<f", content, 84, value)
    path = tmp_path / ("bad.nii.gz" if packed else "bad.nii")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    refused(path, "spacing")


def test_spacing_in_a_metaimage(tmp_path):
    path = written(tmp_path, ramp(), "image.mha")
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 0 1"))
    refused(path, "spacing|cannot be read")


def test_sheared_axes(tmp_path):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<12f", content, 280, 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    path = tmp_path / "sheared.nii"
    path.write_bytes(bytes(content))
    refused(path, "perpendicular")


def test_one_voxel_thin(tmp_path):
    refused(written(tmp_path, ramp((1, 20, 20)), "thin.nrrd"), "one voxel thin")


@pytest.mark.parametrize("name", ["huge.nii", "huge.nii.gz"])
def test_huge_header_on_a_tiny_file(tmp_path, name):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<4h", content, 40, 3, 2000, 2000, 1000)
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith("gz") else bytes(content))
    refused(path, "announces 16000 MB")


def test_mask_as_image(tmp_path):
    mask = np.zeros((10, 12, 14), np.uint8)
    mask[3:6, 4:8, 5:9] = 1
    mask[7:8] = 4
    refused(written(tmp_path, mask), "looks like a mask")
    refused(written(tmp_path, mask.astype(np.float32), "float.nii"), "looks like a mask")


def test_a_label_map_of_many_structures_as_image(tmp_path):
    blocks = np.arange(60).reshape(3, 4, 5).repeat(8, 0).repeat(8, 1).repeat(12, 2)
    refused(written(tmp_path, blocks.astype(np.int16)), "60 different values, it looks like a mask")


def test_eight_bit_images_are_no_masks(tmp_path):
    """Smooth, noisy, with wide areas at both ends of the scale, as windowed images have."""
    random = np.random.default_rng(0)
    smooth = np.add.outer(np.linspace(-150, 200, 20), np.add.outer(np.linspace(0, 150, 40), np.zeros(50)))
    image = np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    assert np.array_equal(read_volume(written(tmp_path, image)).array, image)


@real_images("ct_whole", "labelmaps")
@pytest.mark.parametrize("file", ["ct_whole/ct_label104.nii.gz", "labelmaps/spl_atlas.nrrd"])
def test_real_label_maps_as_images(file):
    refused(DATA / file, "looks like a mask")


@real_images("ct_whole", "ct_multiorgan", "mr_left_atrium", "mr_t1_slab", "mr_t2_liver_kidneys_spleen")
@pytest.mark.parametrize(
    "file", ["ct_whole/ct.nii.gz", "ct_multiorgan/ct_00.nii.gz", "mr_left_atrium/la_01.nii.gz",
             "mr_t1_slab/example_mr_sm.nii.gz", "mr_t2_liver_kidneys_spleen/mr_01.nii.gz"],
)  # fmt: skip
def test_real_images_are_read(file):
    assert np.unique(read_volume(DATA / file).array).size > 200


@pytest.mark.parametrize("missing", [1, 4, 351, 353])
def test_a_few_missing_bytes_are_noticed(tmp_path, missing):
    whole = bytes(nifti_bytes(tmp_path))
    (tmp_path / "short.nii").write_bytes(whole[:-missing])
    refused(tmp_path / "short.nii", "truncated")
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(whole[:-missing]))
    refused(tmp_path / "short.nii.gz", "fewer voxels")


def test_voxels_said_to_begin_behind_the_end(tmp_path):
    refused(changed(tmp_path, "<f", 108, 5000.0), "truncated")


def test_every_damage_of_a_compressed_file_is_noticed(tmp_path):
    path = tmp_path / "image.nii.gz"
    write_volume(make_volume(size=(20, 20, 20)), path)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    passed = []
    for place in random.integers(0, len(whole), 150):
        broken = bytearray(whole)
        broken[place] ^= 1 << random.integers(0, 8)
        path.write_bytes(broken)
        with contextlib.suppress(InputError):
            read_volume(path)
            passed.append(place)
    # Only the name or time in gzip's own header may differ.
    assert all(place < 40 for place in passed)
    assert len(passed) < 10


def test_names_that_hide_the_compression(tmp_path):
    plain = bytes(nifti_bytes(tmp_path))
    (tmp_path / "plain.nii.gz").write_bytes(plain)
    assert np.array_equal(read_volume(tmp_path / "plain.nii.gz").array, ramp())
    (tmp_path / "packed.nii").write_bytes(gzip.compress(plain))
    refused(tmp_path / "packed.nii", "rename it to packed.nii.gz")


@pytest.mark.parametrize("place", [280, 292])
def test_no_place_in_space(tmp_path, place):
    path = changed(tmp_path, "<f", place, float("nan"))
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 1)
    path.write_bytes(content)
    refused(path, "no place in space")


@pytest.mark.parametrize("size", [0, -6])
def test_impossible_sizes(tmp_path, size):
    refused(changed(tmp_path, "<h", 42, size), "no size")


def test_a_nifti_2_header_of_nothing(tmp_path):
    path = tmp_path / "second.nii"
    path.write_bytes(struct.pack("<i", 540) + b"n+2\0\r\n\x1a\n" + bytes(1000))
    refused(path, "no size")


@pytest.mark.parametrize(("header", "voxels"), [("v.mhd", "v.raw"), ("v.nhdr", "v.raw"), ("v.hdr", "v.img")])
def test_voxels_in_a_file_of_their_own(tmp_path, header, voxels):
    path = written(tmp_path, ramp(), header)
    assert np.array_equal(read_volume(path).array, ramp())
    content = (tmp_path / voxels).read_bytes()
    (tmp_path / voxels).write_bytes(content[:-8])
    refused(path, "truncated")
    (tmp_path / voxels).unlink()
    refused(path, f"{voxels}, is missing")


def test_more_than_the_memory(tmp_path):
    """A file that could unpack to what its header announces, but not into this computer."""
    content = nifti_bytes(tmp_path)
    struct.pack_into("<4h", content, 40, 3, 32000, 32000, 32000)
    path = tmp_path / "bomb.nii"
    path.write_bytes(content)
    refused(path, "more than this computer's memory")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_volumes(tmp_path / "absent")


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.999])
@pytest.mark.parametrize("ending", ["nii", "nii.gz", "mha", "nrrd"])
def test_truncation_is_told_in_one_line(tmp_path, capfd, kept, ending):
    """Libraries below print lines of their own; what is known beforehand keeps them quiet."""
    path = tmp_path / f"image.{ending}"
    write_volume(make_volume(size=(40, 40, 40)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated|fewer voxels")
    assert not capfd.readouterr().err


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize(("codes", "unknown"), [((0, 0), True), ((1, 0), False), ((0, 1), False), ((2, 1), False)])
def test_a_file_that_does_not_say_its_orientation(tmp_path, codes, unknown, ending):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<2h", content, 252, *codes)
    path = tmp_path / f"codes.{ending}"
    path.write_bytes(gzip.compress(content) if ending == "nii.gz" else content)
    assert read_volume(path).metadata.get("orientation_unknown", False) is unknown
