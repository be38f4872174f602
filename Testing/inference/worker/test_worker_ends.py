"""How a worker ends: with its input, with its parent, though a request is stuck, behind a launcher; nothing is left."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from helpers.waiting import SECONDS
from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.worker.client import WorkerClient


def test_a_worker_that_is_closed_ends_the_waiting(client, segment, source, tmp_path):
    with pytest.raises(LiverMRISegError, match="was closed while it was asked for something"):
        client.call(segment(source, tmp_path / "o.nrrd"), lambda text, done: client.close())


def test_the_worker_ends_with_its_parent(client, load):
    client.call(load)
    process = client._process
    process.stdin.close()
    assert process.wait(SECONDS) == 0


PARENT = """
import os, subprocess, sys, time
worker = subprocess.Popen(
    [sys.executable, "-m", "LiverMRISegLib.inference.worker.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
worker.stdout.readline()
if os.fork() == 0:  # this one keeps the worker's input open
    time.sleep(600)
print(worker.pid, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(os.name == "nt", reason="there, no process inherits the pipe")
def test_the_worker_ends_with_its_parent_though_another_process_holds_its_input():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True)
    try:
        worker = int(parent.stdout.readline())
        parent.wait(SECONDS)
        assert is_gone(worker)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def test_a_worker_whose_request_is_stuck_ends_all_the_same(tmp_path, load, segment, source):
    started = tmp_path / "started"
    stuck = STUCK.replace("time.sleep", f"open({str(started)!r}, 'w').close()\n    time.sleep")
    (tmp_path / "sitecustomize.py").write_text(stuck)
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    with WorkerClient(str(launcher)) as client:
        client.call(load)
        client.ask(segment(source, tmp_path / "o.nii.gz"), lambda _: None)
        while not started.exists():
            time.sleep(0.05)
        client._process.stdin.close()
        assert client._process.wait(SECONDS) == 1


def test_no_process_is_left_behind_and_none_is_started_besides(client, segment, source, tmp_path):
    """OpenVINO's telemetry would fork one that talks to the network."""
    import psutil

    client.call(segment(source, tmp_path / "o.nii.gz"))
    worker = psutil.Process(client._process.pid)
    assert worker.children(recursive=True) == []
    client.close()
    assert not worker.is_running()


STUCK = """
import time
from LiverMRISegLib.inference.segmenter import Segmenter

def segment(*_, **__):
    time.sleep(600)

Segmenter.segment = segment
"""


def test_a_worker_behind_a_launcher_is_ended(source, tmp_path, load, segment):
    """PythonSlicer starts the interpreter as a child of its own and waits for it."""
    (tmp_path / "sitecustomize.py").write_text(STUCK)
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" "{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    token = CancelToken()
    with WorkerClient(str(launcher)) as client:
        client.call(load)
        worker = client._conversation.worker_pid
        assert worker not in (0, client._process.pid)
        threading.Timer(0.5, token.cancel).start()
        with pytest.raises(CancelledError):
            client.call(segment(source, tmp_path / "o.nii.gz"), cancel=token)
    assert is_gone(worker)


def is_gone(process):
    """Ended within a while, whether or not its parent has asked how."""
    for _ in range(2400):
        try:
            if ") Z" in Path(f"/proc/{process}/stat").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False
