"""NRRD headers whose voxels are in files of their own: one, or one for each slice."""

import gzip

import numpy as np
import pytest

from helpers.bad_files import refused
from helpers.volume_files import ramp, same_as_itk

ARRAY = ramp()
HEAD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
    "space directions: (0,1.5,0) (-2,0,0) (0,0,3)\nspace origin: (10,-20,30)\nsizes: 6 5 4\nendian: little\n"
)


def detached(tmp_path, data_file, encoding="raw", more=""):
    path = tmp_path / "v.nhdr"
    path.write_text(f"{HEAD}encoding: {encoding}\n{more}data file: {data_file}\n")
    return path


@pytest.mark.parametrize("spelling", ["data file", "datafile"])
def test_a_file_of_its_own(tmp_path, spelling):
    (tmp_path / "with blank.raw").write_bytes(ARRAY.tobytes())
    path = detached(tmp_path, "with blank.raw")
    path.write_text(path.read_text().replace("data file", spelling))
    same_as_itk(path)


@pytest.mark.parametrize("skips", ["byte skip: 3\n", "line skip: 1\nbyte skip: 2\n", "byte skip: -1\n"])
def test_skips(tmp_path, skips):
    lead = b"a line\nxx" if "line" in skips else b"abc"
    (tmp_path / "v.raw").write_bytes(lead + ARRAY.tobytes())
    same_as_itk(detached(tmp_path, "v.raw", more=skips))


def test_skips_of_a_packed_file(tmp_path):
    (tmp_path / "v.raw.gz").write_bytes(b"a line\n" + gzip.compress(b"xx" + ARRAY.tobytes()))
    same_as_itk(detached(tmp_path, "v.raw.gz", "gzip", "line skip: 1\nbyte skip: 2\n"))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("form", ["LIST\n{0}\n{1}\n{2}\n{3}", "LIST 2\n{0}\n{1}\n{2}\n{3}", "s%02d.raw 1 4 1"])
def test_a_file_for_each_slice(tmp_path, encoding, form):
    names = [f"s{number:02d}.raw" for number in range(1, 5)]
    for name, plane in zip(names, ARRAY, strict=True):
        voxels = plane.tobytes()
        (tmp_path / name).write_bytes(gzip.compress(voxels) if encoding == "gzip" else voxels)
    path = detached(tmp_path, form.format(*names), encoding)
    found = same_as_itk(path)
    assert np.array_equal(found.array, ARRAY)
    (tmp_path / names[2]).write_bytes((tmp_path / names[2]).read_bytes()[:-4])
    refused(path, "truncated|damaged|announces")
    (tmp_path / names[2]).unlink()
    refused(path, "s03.raw, is missing")


@pytest.mark.parametrize("name", ["../v.raw", "/etc/hostname", "sub/v.raw", "..", "a\\v.raw"])
def test_only_files_of_the_same_folder_are_read(tmp_path, name):
    (tmp_path / "sub").mkdir()
    for place in (tmp_path / "v.raw", tmp_path / "sub/v.raw"):
        place.write_bytes(ARRAY.tobytes())
    path = detached(tmp_path, name)
    path = path.rename(tmp_path / "sub/v.nhdr") if name.startswith("..") else path
    refused(path, "only a file in the same folder is read")


@pytest.mark.parametrize("pattern", ["%s%s%n.raw 1 4 1", "s%02d%02d.raw 1 4 1", "s%d.raw", "s%d.raw 1 99999999 1",
                                     "s%d.raw 1 4 0", "s%999d.raw 1 4 1"])  # fmt: skip
def test_patterns_that_are_none(tmp_path, pattern):
    refused(detached(tmp_path, pattern), "pattern|numbers|missing")
