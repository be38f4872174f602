"""MetaImage: every spelling that SimpleITK reads rightly gives its voxels and place; the rest is refused."""

import zlib

import numpy as np
import pytest

from helpers.bad_files import refused
from helpers.volume_files import by_itk, ramp, same_as_itk, written_by_itk
from helpers.volumes import all_directions, as_rows, make_volume, oblique_directions
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.volume import Geometry

ARRAY = ramp()
TYPES = {"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
         "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}  # fmt: skip
PLACE = "TransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 10 -20 30\nElementSpacing = 1.5 2 3\n"


def write(path, content, kind="MET_SHORT", more="", place=PLACE, size="6 5 4", named="LOCAL"):
    head = f"ObjectType = Image\nNDims = 3\n{more}{place}DimSize = {size}\nElementType = {kind}\n"
    path.write_bytes(f"{head}ElementDataFile = {named}\n".encode() + content)
    return path


def text(array):
    return " ".join(map(str, array.ravel())).encode()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("ending", ["mha", "mhd"])
def test_every_orientation(tmp_path, packed, ending):
    for number, direction in enumerate(all_directions() + oblique_directions()):
        geometry = Geometry((6, 5, 4), (1.5, 2.0, 3.25), (11.0, -7.0, 31.0), as_rows(direction))
        assert not same_as_itk(written_by_itk(tmp_path / f"v{number}.{ending}", ARRAY, geometry, packed)).metadata


@pytest.mark.parametrize("form", ["raw", "big", "packed", "text"])
def test_types_and_forms(tmp_path, form):
    for kind in TYPES:
        check_type(tmp_path / f"{kind}.mha", kind, form)


def check_type(path, kind, form):
    array = ARRAY.astype((">" if form == "big" else "<") + TYPES[kind])
    content = {"packed": zlib.compress(array.tobytes()), "text": text(array)}.get(form, array.tobytes())
    more = {
        "raw": "BinaryData = True\n", "big": "BinaryDataByteOrderMSB = True\n", "text": "BinaryData = False\n",
        "packed": f"CompressedData = True\nCompressedDataSize = {len(content)}\n",
    }[form]  # fmt: skip
    write(path, content, kind, more)
    found = read_volume(path, may_be_mask=True) if form == "text" else same_as_itk(path)
    assert np.array_equal(found.array, ARRAY)


@pytest.mark.parametrize(
    "more", ["CompressedData=True\n", "CompressedData = true\n", "CompressedData = 1\n", "COMPRESSEDDATA = TRUE\n",
             "CompressedData: True\n", "CompressedData = True\nCompressedDataSize = {}\n"],
)  # fmt: skip
def test_spellings_of_packed_voxels(tmp_path, more):
    content = zlib.compress(ARRAY.tobytes())
    path = write(tmp_path / "v.mha", content, more=more.format(len(content)))
    assert np.array_equal(read_volume(path, may_be_mask=True).array, ARRAY)


@pytest.mark.parametrize(
    ("old", "new"),
    [("Offset", "Position"), ("Offset", "Origin"), ("TransformMatrix", "Rotation"), ("TransformMatrix", "Orientation"),
     ("ElementSpacing", "ElementSize"), (" = ", "="), ("DimSize", "AnatomicalOrientation = RPI\nDimSize"),
     ("DimSize", "ElementToIntensityFunctionSlope = 2\nDimSize"), ("\n", "\r\n"),
     ("DimSize", "a b [c] = d = e\nDimSize")],
)  # fmt: skip
def test_other_spellings(tmp_path, old, new):
    path = write(tmp_path / "v.mha", b"")
    path.write_bytes(path.read_text().replace(old, new).encode() + ARRAY.tobytes())
    same_as_itk(path)


def test_a_place_that_is_not_said(tmp_path):
    found = same_as_itk(write(tmp_path / "v.mha", ARRAY.tobytes(), place="ElementSpacing = 1 2 3\n"))
    assert found.metadata["orientation_unknown"]
    assert "gives no origin" in found.metadata["notes"][0]
    refused(write(tmp_path / "w.mha", ARRAY.tobytes(), place=""), "no voxel spacing")


@pytest.mark.parametrize("head", ["HeaderSize = 7\n", "HeaderSize = -1\n"])
def test_a_file_of_its_own(tmp_path, head):
    (tmp_path / "v.raw").write_bytes(b"7 bytes" + ARRAY.tobytes())
    same_as_itk(write(tmp_path / "v.mhd", b"", more=head, named="v.raw"))


@pytest.mark.parametrize("form", ["LIST\n{0}\n{1}\n{2}\n{3}", "LIST 2\n{0}\n{1}\n{2}\n{3}", "s%02d.raw 1 4 1"])
def test_a_file_for_each_slice(tmp_path, form):
    names = [f"s{number:02d}.raw" for number in range(1, 5)]
    for name, plane in zip(names, ARRAY, strict=True):
        (tmp_path / name).write_bytes(plane.tobytes())
    path = write(tmp_path / "v.mhd", b"", named=form.format(*names))
    assert np.array_equal(same_as_itk(path).array, ARRAY)
    before = hash_of(path)
    (tmp_path / names[1]).write_bytes(ARRAY[0].tobytes())
    assert hash_of(path) != before
    (tmp_path / names[1]).write_bytes(b"short")
    refused(path, "truncated")
    (tmp_path / names[1]).unlink()
    refused(path, "s02.raw, is missing")


def test_a_list_without_a_file_gives_nobody_elses_voxels(tmp_path):
    refused(write(tmp_path / "v.mhd", b"", named="LIST"), "lists 0 files")


@pytest.mark.parametrize("name", ["../v.raw", "/etc/hostname", "sub/v.raw"])
def test_only_files_of_the_same_folder_are_read(tmp_path, name):
    refused(write(tmp_path / "v.mhd", b"", named=name), "only a file in the same folder is read")
    refused(write(tmp_path / "w.mhd", b"", named=f"LIST\n{name}"), "only a file in the same folder is read")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("NDims = 3", "NDims = -1", "contradicts"), ("NDims = 3", "NDims = 100000", "contradicts"),
     ("LOCAL", "%s%s%n.raw 1 16 1", "pattern"), ("6 5 4", "6 5 0", "no size"), ("6 5 4", "6 5 -4", "no size"),
     ("6 5 4", "6 5 3", "more voxels"), ("6 5 4", "6 5 5", "announces"), ("6 5 4", "6 5", "contradicts"),
     ("6 5 4", "6 5 4.0", "whole numbers"), ("1.5 2 3", "1.5 0 3", "spacing"), ("1.5 2 3", "1.5 nan 3", "spacing"),
     ("1.5 2 3", "-1.5 2 3", "spacing"), ("1.5 2 3", "1,5 2 3", "numbers"), ("1.5 2 3", "1.5 2", "number of axes"),
     ("10 -20 30", "10 nan 30", "no place"), ("10 -20 30", "10 inf 30", "no place"),
     ("0 1 0 -1", "0 2 0 -1", "perpendicular"),
     ("0 1 0 -1", "nan 1 0 -1", "no place"), ("MET_SHORT", "MET_OTHER", "cannot be read"), ("MET_SHORT", "", "lacks"),
     ("DimSize", "CompressedData = True\nDimSize", "truncated or damaged"), ("DimSize", "NDims = 3\nDimSize", "twice"),
     ("DimSize", "CompressedData = True\nCompressedDataSize = 9999\nDimSize", "truncated"),
     ("DimSize", "CompressedData = True\nCompressedDataSize = -4\nDimSize", "CompressedDataSize"),
     ("DimSize", "ElementNumberOfChannels = 2\nDimSize", "announces|values per voxel"),
     ("DimSize", "DistanceUnits = um\nDimSize", "lengths in um"), ("DimSize", "HeaderSize = -5\nDimSize", "HeaderSize"),
     ("ElementDataFile", "ElementDataFiles", "damaged")],
)  # fmt: skip
def test_headers_that_are_wrong(tmp_path, old, new, words):
    path = write(tmp_path / "v.mha", b"")
    head = path.read_text()
    assert old in head
    path.write_bytes(head.replace(old, new).encode() + ARRAY.tobytes())
    refused(path, words)


def test_colours(tmp_path):
    refused(write(tmp_path / "v.mha", bytes(720), more="ElementNumberOfChannels = 3\n"), "3 values per voxel")


def test_every_damage_of_packed_voxels_is_noticed(tmp_path):
    content = zlib.compress(ARRAY.tobytes())
    more = f"CompressedData = True\nCompressedDataSize = {len(content)}\n"
    path = write(tmp_path / "v.mha", content, more=more)
    whole = path.read_bytes()
    for place in range(len(whole) - len(content), len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << (place % 8)
        path.write_bytes(broken)
        refused(path, "truncated or damaged|more voxels than its header")


def test_what_is_written_is_read_alike_by_itk(tmp_path):
    for number, direction in enumerate(all_directions() + oblique_directions()):
        volume = make_volume(direction, size=(6, 5, 4))
        write_volume(volume, tmp_path / f"v{number}.mha")
        voxels, geometry = by_itk(tmp_path / f"v{number}.mha")
        assert np.array_equal(voxels, volume.array)
        assert geometry.is_close(volume.geometry, 1e-9)
