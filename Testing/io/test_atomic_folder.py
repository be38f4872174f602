"""A folder is replaced whole or not at all: real kills before and after every step, two writers at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.places import ROOT
from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.atomic_folder import atomic_folder, atomic_write_folder, recover_folder
from LiverMRISegLib.io.leftovers import remove_leftovers

# Replaces a folder; the process is killed at one of the renames that this takes, before it or after it.
KILLED = """
import os, signal, sys
from pathlib import Path
from LiverMRISegLib.io.atomic_folder import atomic_folder
path, number, when = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rename, calls = os.rename, 0

def counted(source, target, **more):
    global calls
    calls += 1
    if calls == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, **more)
    if calls == number and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = os.rename = counted
with atomic_folder(path, "replace") as folder:
    for name in "ab":
        (folder / name).write_text("new")
        if number == 0 and name == when:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def written(path, content):
    with atomic_folder(path, "replace") as folder:
        for name in "ab":
            (folder / name).write_text(content)
    return path


def content(path):
    return {file.name: file.read_text() for file in path.iterdir()}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("number", "when", "left"),
    [
        (0, "a", "old"),
        (0, "b", "old"),
        (1, "before", "old"),
        (1, "after", "old"),
        (2, "before", "old"),
        (2, "after", "new"),
        (3, "before", "new"),
        (3, "after", "new"),
    ],
)
def test_a_kill_leaves_the_old_folder_or_the_new_one(tmp_path, number, when, left):
    path = written(tmp_path / "model", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(number), when], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    recover_folder(path)
    assert content(path) == {"a": left, "b": left}
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert content(path) == {"a": left, "b": left}


def test_the_next_writer_recovers_too(tmp_path):
    path = written(tmp_path / "model", "old")
    path.rename(tmp_path / ".model.old")  # as a kill between the two renames leaves it

    def interrupted():
        with atomic_folder(path, "replace"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert content(path) == {"a": "old", "b": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_writers_at_once_leave_one_whole_folder(tmp_path):
    program = (
        "import sys; from pathlib import Path; from LiverMRISegLib.io.atomic_folder import atomic_folder\n"
        "for _ in range(40):\n"
        "    with atomic_folder(Path(sys.argv[1]), 'replace') as folder:\n"
        "        for name in 'ab': (folder / name).write_text(sys.argv[2])"
    )
    path = tmp_path / "one"
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), c], cwd=ROOT) for c in "xy"]
    assert [process.wait(120) for process in running] == [0, 0]
    assert content(path) in ({"a": "x", "b": "x"}, {"a": "y", "b": "y"})
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_what_another_process_made_is_kept_or_refused(tmp_path):
    path = tmp_path / "case"
    with atomic_folder(path, "keep") as folder:
        written(path, "of the other")
        (folder / "a").write_text("mine")
    assert content(path) == {"a": "of the other", "b": "of the other"}

    def refused():
        with atomic_folder(tmp_path / "new") as folder:
            written(tmp_path / "new", "of the other")
            (folder / "a").write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        refused()
    assert content(tmp_path / "new") == {"a": "of the other", "b": "of the other"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case", "new"]


def test_a_folder_is_written_into_an_empty_one_but_not_the_working_one(tmp_path, monkeypatch):
    files = {"a.txt": b"1", "deep/b.txt": b"2"}
    for name in ("new", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        atomic_write_folder(tmp_path / name, files)
        assert (tmp_path / name / "deep" / "b.txt").read_bytes() == b"2"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputError, match="the folder you are in"):
        atomic_write_folder(Path(), files)
    with pytest.raises(OutputError, match="exists already"):
        atomic_write_folder(tmp_path / "new", files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "here", "new"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_of_a_folder_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        written(tmp_path / "model", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_an_array_that_did_not_fit_is_said_in_words(tmp_path):
    """numpy says "250000 requested and 1872 written"; the limit on the size of files stands for a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        words = r"case: cannot be written \(not all of it could be written; free some space\)"
        with pytest.raises(OutputError, match=words), atomic_folder(tmp_path / "case") as folder:
            np.save(folder / "image.npy", np.zeros(250_000, np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
