"""What killed processes left of their writes is removed, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from LiverMRISegLib.io.leftovers import remove_leftovers, remove_stale_files

WRITER = """
import sys, time
from pathlib import Path
from LiverMRISegLib.io.atomic import atomic_path
from LiverMRISegLib.io.atomic_folder import atomic_folder

with atomic_path(Path(sys.argv[1])) as temporary, atomic_folder(Path(sys.argv[1] + " folder")) as folder:
    temporary.write_bytes(b"half")
    (folder / "weights").write_bytes(b"half")
    print(temporary, flush=True)
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that end with their process")
def test_temporary_files_are_removed_when_their_writer_is_gone_and_only_then(tmp_path):
    own = tmp_path / ".notes.tmp"  # a user's, though it looks alike
    own.touch()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "a.nii.gz")], stdout=subprocess.PIPE)
    try:
        temporary, folder = (Path(writer.stdout.readline().decode().strip()) for _ in range(2))
        remove_stale_files(tmp_path)
        assert temporary.read_bytes() == (folder / "weights").read_bytes() == b"half"
    finally:
        writer.kill()
        writer.wait()
    assert temporary.exists()
    assert folder.exists()
    remove_stale_files(tmp_path)
    assert list(tmp_path.iterdir()) == [own]
    remove_stale_files(tmp_path / "absent")


def test_only_what_is_ours_is_removed(tmp_path):
    for name in (".hidden", ".notes.tmp", ".a.b.tmp.txt", "x.12345678.tmp"):
        (tmp_path / name).write_text("of the user")
    (tmp_path / ".step_00000003.k2_9abcd.tmp.pt").write_text("half a checkpoint")
    (tmp_path / ".model.k2_9abcd.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.b.tmp.txt", ".hidden", ".notes.tmp", "x.12345678.tmp"]
    remove_leftovers(tmp_path / "absent")
