"""Two real processes, one folder: the second says so; whoever is killed holds nothing."""

import signal
import subprocess
import sys

import pytest

from helpers.places import ROOT
from LiverMRISegLib.errors import OutputError, UsageError
from LiverMRISegLib.io.folder_claim import LOCK, claimed_folder

HOLDER = r"""
import os, sys, time
from pathlib import Path
from LiverMRISegLib.io.folder_claim import claimed_folder
with claimed_folder(Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:  # a worker process outlives its parent
        os.write(1, f"worker {os.getpid()}\n".encode())
        time.sleep(60)
    os.write(1, b"held\n")
    sys.stdin.read()
"""


def holder(folder, *more):
    command = [sys.executable, "-c", HOLDER, str(folder), *more]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def claim(folder):
    with claimed_folder(folder):
        pass


def test_the_second_process_is_told_which_one_is_first(tmp_path):
    folder = tmp_path / "run"
    first = holder(folder)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(
        UsageError, match=rf"run: another run is writing there \(process {first.pid} on .*\); wait"
    ) as told:
        claim(folder)
    assert told.value.exit_status == 2
    first.communicate()
    claim(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_holds_nothing_even_if_its_worker_lives(tmp_path):
    first = holder(tmp_path, "with a worker")
    lines = sorted(first.stdout.readline().split() for _ in range(2))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (tmp_path / LOCK).exists()
    (tmp_path / ".best.k2_9abcd.tmp.pt").write_text("half a checkpoint")
    try:
        claim(tmp_path)
    finally:
        subprocess.run(["kill", lines[1][1]], check=True)
    assert list(tmp_path.iterdir()) == []


def test_one_process_claims_a_folder_once_at_a_time(tmp_path):
    with claimed_folder(tmp_path / "run"):
        with pytest.raises(UsageError, match="another run is writing there"):
            claim(tmp_path / "run")
        claim(tmp_path / "run" / "inner")
    claim(tmp_path / "run")


def test_a_place_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        claim(tmp_path / "file" / "run")
