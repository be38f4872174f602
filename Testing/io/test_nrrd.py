"""NRRD: every encoding, space and spelling that SimpleITK reads gives its voxels and place; the rest is refused."""

import bz2
import contextlib
import gzip

import numpy as np
import pytest

from helpers.bad_files import refused
from helpers.volume_files import by_itk, ramp, same_as_itk, written_by_itk
from helpers.volumes import all_directions, as_rows, make_volume, oblique_directions
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.volume import Geometry

ARRAY = ramp()
TYPES = {"short": "i2", "uchar": "u1", "signed char": "i1", "unsigned short": "u2", "int32_t": "i4", "uint": "u4",
         "long long": "i8", "uint64": "u8", "float": "f4", "double": "f8"}  # fmt: skip
PLACE = "space directions: (0,1.5,0) (-2,0,0) (0,0,3)\nspace origin: (10,-20,30)\n"
LPS = "space: left-posterior-superior\n"


def text(array):
    return "\n".join(" ".join(map(str, row)) for row in array.reshape(-1, array.shape[-1])).encode() + b"\n"


def packed(array):
    return gzip.compress(array.tobytes())


ENCODINGS = {
    "raw": np.ndarray.tobytes, "Raw": np.ndarray.tobytes, "gzip": packed, "gz": packed, "GZIP": packed,
    "bzip2": lambda a: bz2.compress(a.tobytes()), "bz2": lambda a: bz2.compress(a.tobytes()),
    "hex": lambda a: a.tobytes().hex().encode(), "ascii": text, "text": text, "txt": text,
}  # fmt: skip


def write(path, content, kind="short", encoding="raw", place=LPS + PLACE, sizes="6 5 4", endian="little", more=""):
    dimension = len(sizes.split())
    end = f"endian: {endian}\n" if endian else ""
    head = f"NRRD0004\ntype: {kind}\ndimension: {dimension}\n{place}sizes: {sizes}\n{end}{more}encoding: {encoding}\n"
    path.write_bytes(head.encode() + b"\n" + content)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_every_orientation(tmp_path, packed):
    for number, direction in enumerate(all_directions() + oblique_directions()):
        geometry = Geometry((6, 5, 4), (1.5, 2.0, 3.25), (11.0, -7.0, 31.0), as_rows(direction))
        found = same_as_itk(written_by_itk(tmp_path / f"v{number}.nrrd", ARRAY, geometry, packed))
        assert not found.metadata


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_and_types(tmp_path, encoding):
    """ITK's own library for NRRD lacks bzip2, but other programs write it."""
    for kind, name in TYPES.items():
        path = write(tmp_path / f"{name}.nrrd", ENCODINGS[encoding](ARRAY.astype("<" + name)), kind, encoding)
        found = read_volume(path, may_be_mask=True) if "bz" in encoding else same_as_itk(path)
        assert np.array_equal(found.array, ARRAY)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "hex"])
def test_big_endian(tmp_path, encoding):
    content = ENCODINGS[encoding](ARRAY.astype(">i2"))
    same_as_itk(write(tmp_path / "v.nrrd", content, encoding=encoding, endian="big"))


@pytest.mark.parametrize(
    ("space", "known"),
    [("RAS", True), ("LAS", True), ("LPS", True), ("right-anterior-superior", True), ("Left-Anterior-Superior", True),
     ("scanner-xyz", False), ("3D-right-handed", False), ("3D-left-handed", False), (None, False)],
)  # fmt: skip
def test_spaces(tmp_path, space, known):
    place = (f"space: {space}\n" if space else "space dimension: 3\n") + PLACE
    found = same_as_itk(write(tmp_path / "v.nrrd", ARRAY.tobytes(), place=place))
    assert found.metadata.get("orientation_unknown", False) is not known


@pytest.mark.parametrize("more", ["", "axis mins: 10 20 30\n", "axis mins: 10 20 30\ncenters: node node node\n",
                                  "axis mins: 10 20 30\ncenters: cell cell cell\n"])  # fmt: skip
def test_spacings_without_a_space(tmp_path, more):
    found = same_as_itk(write(tmp_path / "v.nrrd", ARRAY.tobytes(), place="spacings: 1 2 3\n" + more))
    assert found.metadata["orientation_unknown"]


def test_no_spacing_at_all(tmp_path):
    refused(write(tmp_path / "v.nrrd", ARRAY.tobytes(), place=""), "no voxel spacing")


@pytest.mark.parametrize("space", ["(nan,0,0) (0,2,0) (0,0,3)", "(inf,0,0) (0,2,0) (0,0,3)", "(0,0,0) (0,2,0) (0,0,3)"])
def test_directions_that_are_not_finite(tmp_path, space):
    refused(write(tmp_path / "v.nrrd", ARRAY.tobytes(), place=f"{LPS}space directions: {space}\n"), "spacing|no place")


def test_an_origin_that_is_not_finite(tmp_path):
    place = LPS + PLACE.replace("30)", "nan)")
    refused(write(tmp_path / "v.nrrd", ARRAY.tobytes(), place=place), "no place in space")


@pytest.mark.parametrize(
    ("old", "new"),
    [("type:", "TYPE:"), ("space directions", "spacedirections"), ("sizes:", "Sizes:"), (",", ", "),
     ("encoding: raw", "encoding: RAW"), ("endian: little", "endian: Little"), ("sizes", "# a comment\nsizes"),
     ("sizes", "my key:=with: colons := and \\n\nsizes"), ("\n", "\r\n"), ("NRRD0004", "NRRD0005")],
)  # fmt: skip
def test_other_spellings(tmp_path, old, new):
    path = write(tmp_path / "v.nrrd", b"")
    path.write_bytes(path.read_text().replace(old, new).encode() + ARRAY.tobytes())
    same_as_itk(path)


@pytest.mark.parametrize("kind", ["list", "vector", "time", "domain", "???", "RGB-color"])
def test_axes_of_length_1_are_dropped(tmp_path, kind):
    place = LPS + "space directions: none (0,1.5,0) (-2,0,0) (0,0,3)\nspace origin: (1,2,3)\n"
    place += f"kinds: {kind} domain domain domain\n"
    path = write(tmp_path / "v.nrrd", ARRAY.tobytes(), place=place, sizes="1 6 5 4")
    found = read_volume(path, may_be_mask=True)
    assert np.array_equal(found.array, ARRAY)
    assert found.geometry.origin == (1, 2, 3)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_padding_may_follow_but_nothing_else(tmp_path, encoding):
    """Voxels that begin too late leave some over at the end."""
    for number, rest in enumerate([b"\n", bytes(16), b"\r\n"]):
        path = tmp_path / f"v{number}.nrrd"
        inner, outer = (rest, b"") if encoding == "gzip" else (b"", rest)
        write(path, ENCODINGS[encoding](np.frombuffer(ARRAY.tobytes() + inner, np.uint8)) + outer, encoding=encoding)
        assert np.array_equal(read_volume(path, may_be_mask=True).array, ARRAY)
    late = np.frombuffer(b"a line\n\n" + ARRAY.tobytes(), np.uint8)
    refused(write(tmp_path / "late.nrrd", ENCODINGS[encoding](late), encoding=encoding), "more voxels than its header")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["list", "time", "domain"])
def test_frames(tmp_path, first, kind):
    frames = np.stack([ARRAY, ARRAY + 7, ARRAY + 9])
    content = np.moveaxis(frames, 0, -1) if first else frames
    directions = ["(0,1.5,0)", "(-2,0,0)", "(0,0,3)"]
    directions.insert(0 if first else 3, "none")
    kinds = ["domain"] * 3
    kinds.insert(0 if first else 3, kind)
    place = f"{LPS}space directions: {' '.join(directions)}\nkinds: {' '.join(kinds)}\nspace origin: (1,2,3)\n"
    sizes = "3 6 5 4" if first else "6 5 4 3"
    path = write(tmp_path / "v.nrrd", gzip.compress(content.tobytes()), encoding="gzip", place=place, sizes=sizes)
    for number in range(3):
        assert np.array_equal(read_volume(path, frame=number + 1, may_be_mask=True).array, frames[number])
    refused(path, "has 3 frames; choose one with --frame N")


def test_frames_written_by_itk(tmp_path):
    import SimpleITK as sitk

    frames = np.stack([ARRAY, ARRAY + 7])
    image = sitk.GetImageFromArray(frames, isVector=False)
    for ending in ("nrrd", "mha"):
        sitk.WriteImage(image, str(tmp_path / f"v.{ending}"))
        assert np.array_equal(read_volume(tmp_path / f"v.{ending}", frame=2, may_be_mask=True).array, frames[1])


@pytest.mark.parametrize(
    ("kind", "words"), [("vector", "values per voxel"), ("3-color", "values per voxel"), ("complex", "magnitude")]
)
def test_colours_and_vectors(tmp_path, kind, words):
    place = f"{LPS}space directions: none (0,1.5,0) (-2,0,0) (0,0,3)\nkinds: {kind} domain domain domain\n"
    refused(write(tmp_path / "v.nrrd", bytes(2 * 240), place=place, sizes="2 6 5 4"), words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("dimension: 3", "dimension: -1", "contradicts itself"), ("dimension: 3", "dimension: 100000", "contradicts"),
     ("sizes: 6 5 4", "sizes: 6 5 -4", "no size"), ("sizes: 6 5 4", "sizes: 6 5 0", "no size"),
     ("sizes: 6 5 4", "sizes: 6 5 4.5", "whole numbers"), ("sizes: 6 5 4", "sizes: 6 5 ４", "whole numbers"),
     ("sizes: 6 5 4", "sizes: 600 500 4000", "announces 2400 MB"), ("sizes: 6 5 4", "sizes: 6 5 3", "more voxels"),
     ("sizes: 6 5 4", f"sizes: {'9' * 18} {'9' * 18} 4", "more than this computer's memory"),
     ("type: short", "type: block", "cannot be read"), ("encoding: raw", "encoding: zstd", "not known"),
     ("endian: little\n", "", "lacks 'endian'"), ("sizes: 6 5 4\n", "", "lacks 'sizes'"),
     ("space:", "spade:", "does not know"),
     ("type: short", "type: short\ntype: short", "twice"), ("(-2,0,0)", "(-2,0)", "space directions"),
     ("(-2,0,0)", "(-2;0;0)", "numbers"), ("(10,-20,30)", "(10,-20", "vector"), ("(10,-20,30)", "(1,2,3,4)", "origin"),
     ("sizes", "kinds: $omain domain domain\nsizes", "kinds"), ("sizes", "kinds: list domain domain\nsizes", "kinds"),
     ("(-2,0,0)", "(-2,1,0)", "perpendicular"),
     ("(-2,0,0) ", "", "space directions"),
     ("sizes", 'space units: "cm" "cm" "cm"\nsizes', "lengths in cm"), ("space: left", "space: sideways", "not known")],
)  # fmt: skip
def test_headers_that_are_wrong(tmp_path, old, new, words):
    path = write(tmp_path / "v.nrrd", b"")
    head = path.read_text()
    assert old in head
    path.write_bytes(head.replace(old, new).encode() + ARRAY.tobytes())
    refused(path, words)


def test_numbers_written_out_that_are_none(tmp_path):
    for number, wrong in enumerate([b"1,5", b"1_0", b"x", b"40000", "４".encode()]):
        path = write(tmp_path / f"v{number}.nrrd", text(ARRAY).replace(b"3", wrong, 1), encoding="ascii", endian="")
        refused(path, "not all numbers of its type")


def test_a_header_without_an_end(tmp_path):
    path = tmp_path / "v.nrrd"
    path.write_bytes(b"NRRD0004\n" + b"".join(b"key%d:=value\n" % n for n in range(50_000)))
    refused(path, "does not end")


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_every_damage_of_packed_voxels_is_noticed(tmp_path, encoding):
    """A flipped bit, at every place: refused, or in one of the few bits of the packing that mean nothing."""
    content = ENCODINGS[encoding](ARRAY)
    path = write(tmp_path / "v.nrrd", content, encoding=encoding)
    whole, passed = path.read_bytes(), 0
    for place in range(len(whole) - len(content), len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << (place % 8)
        path.write_bytes(broken)
        with contextlib.suppress(InputError):
            assert np.array_equal(read_volume(path, may_be_mask=True).array, ARRAY)
            passed += 1
    assert passed < 10


def test_what_is_written_is_read_alike_by_itk(tmp_path):
    for number, direction in enumerate(all_directions() + oblique_directions()):
        volume = make_volume(direction, size=(6, 5, 4))
        write_volume(volume, tmp_path / f"v{number}.nrrd")
        voxels, geometry = by_itk(tmp_path / f"v{number}.nrrd")
        assert np.array_equal(voxels, volume.array)
        assert geometry.is_close(volume.geometry, 1e-9)
