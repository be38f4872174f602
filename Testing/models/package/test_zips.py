"""Packages in a .zip: what could leave its folder, fill the disk or is damaged is refused before it is unpacked."""

import zipfile

import pytest

from helpers.packages import random_weights, refused, tiny_spec
from LiverMRISegLib.models.package.model_package import save_package

SPEC = tiny_spec()
WEIGHTS = random_weights(SPEC)


def test_a_zip_that_unpacks_to_far_more_is_refused(tmp_path):
    path = zipped(tmp_path / "p.zip", [("model.json", "{}"), ("weights.safetensors", bytes(2**27))])
    refused(path, "0.1 GiB when unpacked, more than 100 times its packed size")


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name", ["../evil.safetensors", "/etc/evil.safetensors", "a/b.safetensors", "c:\\x.safetensors", "run.py", "w.pkl"]
)
def test_names_in_a_zip(tmp_path, name):
    refused(zipped(tmp_path / "p.zip", [("model.json", "{}"), (name, b"x")]), "does not belong in a package")
    assert [p.name for p in tmp_path.iterdir()] == ["p.zip"]


def test_a_folder_that_was_packed(tmp_path):
    entries = [("tiny/", ""), ("tiny/model.json", "{}"), ("tiny/weights.safetensors", b"x"), ("__MACOSX/._tiny", b"x")]
    refused(zipped(tmp_path / "p.zip", entries), "its files are in a folder, 'tiny'; unpack it and give that folder")
    refused(zipped(tmp_path / "q.zip", [*entries, ("tiny/../../x", b"x")]), "does not belong in a package")
    refused(zipped(tmp_path / "r.zip", [("../model.json", "{}")]), "does not belong in a package")


def test_an_entry_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zipped(tmp_path / "p.zip", [("model.json", "{}"), ("model.json", "{}")])
    refused(path, "twice")


def test_a_huge_entry_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "p.zip"
    zeros = bytes(2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("model.json", "{}")
        with archive.open("weights.safetensors", "w", force_zip64=True) as entry:
            for _ in range(64):
                entry.write(zeros)
    content = bytearray(path.read_bytes())
    # Write 10 GB into the central directory's zip64 or plain size field of the second entry.
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = b"\xff\xff\xff\xff"
    extra = b"\x01\x00\x08\x00" + (10 * 2**30).to_bytes(8, "little")
    name_length = int.from_bytes(content[at + 28 : at + 30], "little")
    old_extra = int.from_bytes(content[at + 30 : at + 32], "little")
    content[at + 30 : at + 32] = len(extra).to_bytes(2, "little")
    content[at + 46 + name_length : at + 46 + name_length + old_extra] = extra
    end = content.rfind(b"PK\x05\x06")
    content[end + 12 : end + 16] = (end - int.from_bytes(content[end + 16 : end + 20], "little")).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    assert zipfile.ZipFile(path).infolist()[1].file_size == 10 * 2**30
    refused(path, r"10\.0 GiB")


def test_no_zip_at_all(tmp_path):
    (tmp_path / "p.zip").write_bytes(b"not a zip")
    refused(tmp_path / "p.zip", "not a model package")


def test_a_zip_with_damaged_contents(tmp_path):
    path = save_package(SPEC, WEIGHTS, tmp_path / "p.zip")
    content = bytearray(path.read_bytes())
    entry = zipfile.ZipFile(path).infolist()[1]
    content[entry.header_offset + 200 : entry.header_offset + 400] = b"\xff" * 200
    path.write_bytes(bytes(content))
    refused(path, "not a model package")
