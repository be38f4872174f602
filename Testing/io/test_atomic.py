"""A file is written whole or not at all: full disks, places without permission, interruptions."""

import os
import subprocess
import sys

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series
from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation, write_volume
from LiverMRISegLib.io.atomic import atomic_path, atomic_write_bytes, atomic_write_text, make_folder

KINDS = ("nii.gz", "nii", "nrrd", "mha", "seg.nrrd")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this system has no mount command")
    if done.returncode:
        pytest.skip(f"this process may not mount a small disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise_labels():
    return np.random.default_rng(0).integers(0, 5, (60, 60, 60)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(small_disk, kind):
    path = small_disk / f"mask.{kind}"
    path.write_bytes(b"as it was")
    with pytest.raises(OutputError, match=rf"mask\.{kind}.*(disk|space)"):
        write_segmentation(path, noise_labels(), CHAOS, make_volume(size=(60, 60, 60)).geometry)
    assert path.read_bytes() == b"as it was"
    assert [p.name for p in small_disk.iterdir()] == [path.name]


def test_a_full_disk_for_text(small_disk):
    with pytest.raises(OutputError, match="disk is full"):
        atomic_write_text(small_disk / "table.csv", "x" * 200_000)
    assert not list(small_disk.iterdir())


def test_a_full_disk_for_a_dicom_segmentation(small_disk, tmp_path):
    pytest.importorskip("highdicom")
    volume = make_volume(size=(60, 60, 60))
    write_dicom_series(tmp_path / "series", volume)
    source = read_volume(tmp_path / "series")
    with pytest.raises(OutputError, match="disk is full; free some space") as error:
        write_segmentation(small_disk / "mask.dcm", noise_labels(), CHAOS, source.geometry, source=source)
    assert "\n" not in str(error.value)
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_read_only(small_disk, kind):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    volume = make_volume()
    with pytest.raises(OutputError, match="no permission to write there; choose another folder"):
        write_segmentation(small_disk / f"m.{kind}", np.zeros(volume.array.shape, np.uint8), CHAOS, volume.geometry)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(OutputError, match="no permission"):
        atomic_write_text(tmp_path / "locked" / "a.txt", "x")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_the_old_file(tmp_path, error):
    (tmp_path / "a.bin").write_bytes(b"old")

    def interrupted():
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.bin", b"old")]


def test_the_temporary_file_is_beside_hidden_and_of_the_same_kind(tmp_path):
    with atomic_path(tmp_path / "scan.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_long_names_and_names_of_many_languages(tmp_path):
    volume = make_volume()
    for name in ("x" * 240 + ".nii.gz", "Leber_Ü_肝臓 1.nrrd", "a.b.c.2020.01.nii"):
        write_volume(volume, tmp_path / name)
        assert np.array_equal(read_volume(tmp_path / name).array, volume.array)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write_bytes(tmp_path / "a.bin", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o640


def test_writers_at_once_leave_one_whole_file(tmp_path):
    """Real processes write the same name; whoever is last, the file is one of theirs, whole."""
    program = (
        "import sys; from pathlib import Path; from LiverMRISegLib.io.atomic import atomic_write_bytes\n"
        "for _ in range(30): atomic_write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)"
    )
    path = tmp_path / "one.bin"
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), c], cwd=ROOT) for c in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    assert path.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    assert [p.name for p in tmp_path.iterdir()] == ["one.bin"]


@pytest.mark.parametrize(("value", "kind"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16)])
def test_large_labels_are_not_wrapped(tmp_path, value, kind):
    volume = make_volume()
    labels = np.zeros(volume.array.shape, np.int64)
    labels[2, 3, 4] = value
    write_segmentation(tmp_path / "m.nii.gz", labels, CHAOS, volume.geometry)
    back = read_labelmap(tmp_path / "m.nii.gz").array
    assert back.dtype == kind
    assert np.array_equal(back, labels)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    make_folder(tmp_path / "a/b")
    make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/c"):
        with pytest.raises(OutputError, match=f"{path}: cannot be written"):
            make_folder(path)
