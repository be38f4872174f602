"""The worker as a real process: it answers, stays alive, cancels, says why it died, leaves nothing behind."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import LiverMRISegLib
from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.errors import CancelledError, InputError, LiverMRISegError, ModelError, UsageError
from LiverMRISegLib.inference.flag import to_parts
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.worker.client import WorkerClient
from LiverMRISegLib.inference.worker.protocol import load_request, segment_request
from LiverMRISegLib.inference.worker.server import Server
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.model_package import save_package


@pytest.fixture
def client():
    with WorkerClient() as client:
        yield client


@pytest.fixture
def load(tiny_package):
    return load_request(str(tiny_package), "cpu")


@pytest.fixture
def segment(tiny_package):
    def request(source, output, **options):
        return segment_request(source, output, model=str(tiny_package), device="cpu", **options)

    return request


@pytest.fixture
def source(tmp_path):
    write_volume(make_volume(size=(60, 50, 40)), tmp_path / "v.nii.gz")
    return tmp_path / "v.nii.gz"


def test_same_result_as_in_process_and_the_model_stays_loaded(client, segment, source, tmp_path, tiny_package):
    seen = []
    reply = client.call(segment(source, tmp_path / "a.nii.gz"), lambda text, done: seen.append(done))
    pid = client._process.pid
    client.call(segment(source, tmp_path / "b.nrrd", organs=["liver"]))
    assert client._process.pid == pid
    here = Segmenter.load(tiny_package, "cpu").segment(read_volume(source))
    assert np.array_equal(read_labelmap(tmp_path / "a.nii.gz").array, here.labelmap)
    assert reply["volumes_ml"] == pytest.approx(here.volumes_ml)
    assert reply["flags"] == here.flags
    assert reply["flag_parts"] == to_parts(here.flags)
    assert reply["trust"] == here.trust == {}
    assert seen == sorted(seen)
    assert set(np.unique(read_labelmap(tmp_path / "b.nrrd").array)) <= {0, 1}


def test_another_model_of_the_same_name_is_loaded(client, source, tmp_path):
    """As after an import in place of an older one: the worker lives on in Slicer."""
    spec, package = tiny_spec(), tmp_path / "mine"

    def segmented(seed):
        save_package(spec, random_weights(spec, seed), package)
        client.call(segment_request(source, tmp_path / "o.nrrd", model=str(package), device="cpu"))
        return read_labelmap(tmp_path / "o.nrrd").array

    first = segmented(0)
    shutil.rmtree(package)
    second = segmented(1)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, Segmenter.load(package, "cpu").segment(read_volume(source)).labelmap)
    shutil.rmtree(package)
    with pytest.raises(ModelError, match="no model has this name"):
        client.call(segment_request(source, tmp_path / "o.nrrd", model=str(package), device="cpu"))


def test_a_worker_that_is_closed_ends_the_waiting(client, segment, source, tmp_path):
    with pytest.raises(LiverMRISegError, match="was closed while it was asked for something"):
        client.call(segment(source, tmp_path / "o.nrrd"), lambda text, done: client.close())


def test_errors_keep_their_kind_and_the_worker_lives_on(client, segment, source, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        client.call(segment(tmp_path / "absent.nii.gz", tmp_path / "o.nii.gz"))
    with pytest.raises(UsageError, match="has no 'pancreas'"):
        client.call(segment(source, tmp_path / "o.nii.gz", organs=["pancreas"]))
    client.call(segment(source, tmp_path / "o.nii.gz"))


def test_an_unknown_model_is_named(client):
    with pytest.raises(ModelError, match="no-such-model"):
        client.call(load_request("no-such-model"))


def test_cancel_takes_effect_and_nothing_is_written(client, load, segment, tmp_path):
    write_volume(make_volume(size=(400, 400, 200), spacing=(2.0, 2.0, 2.0)), tmp_path / "large.nrrd")
    client.call(load)
    token = CancelToken()
    started = threading.Event()

    def cancel_when_running():
        started.wait(SECONDS)
        token.cancel()

    threading.Thread(target=cancel_when_running).start()
    with pytest.raises(CancelledError):
        client.call(
            segment(tmp_path / "large.nrrd", tmp_path / "o.nii.gz"),
            lambda text, done: started.set() if "segmenting" in text else None,
            token,
        )
    assert [p.name for p in tmp_path.iterdir()] == ["large.nrrd"]


def test_a_killed_worker_is_explained_and_the_next_call_starts_another(client, segment, source, tmp_path):
    with pytest.raises(LiverMRISegError, match=r"ended unexpectedly.*SIGKILL"):
        client.call(
            segment(source, tmp_path / "o.nii.gz"), lambda text, done: os.kill(client._process.pid, signal.SIGKILL)
        )
    client.call(segment(source, tmp_path / "o.nii.gz"))


def test_a_worker_that_died_while_idle_is_started_again(client, load):
    client.call(load)
    os.kill(client._process.pid, signal.SIGKILL)
    client._process.wait()
    client.call(load)


def test_a_worker_that_cannot_start_says_why(tmp_path, load):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'libfoo.so is missing' >&2\nexit 3\n")
    script.chmod(0o755)
    with WorkerClient(str(script)) as client, pytest.raises(LiverMRISegError, match=r"status 3\). libfoo"):
        client.call(load)


def test_the_worker_runs_this_library(tmp_path, load):
    """Also where another one is installed."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$PYTHONPATH" >&2\nexit 3\n')
    script.chmod(0o755)
    with WorkerClient(str(script)) as client, pytest.raises(LiverMRISegError) as raised:
        client.call(load)
    first = str(raised.value).split(" ")[-1].split(os.pathsep)[0]
    assert Path(first, "LiverMRISegLib") == Path(LiverMRISegLib.__file__).parent


def test_the_worker_ends_with_its_parent(client, load):
    client.call(load)
    process = client._process
    process.stdin.close()
    assert process.wait(SECONDS) == 0


STRANGE = [
    b"", b"{", b"[]", b"3", b'"do"', b"null", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000,
    b'{"do": "quit' + b"x" * 10**7, b'{"do": {"do": []}}', b'{"do": []}', b'{"do": "fly"}', b'{"id": {}, "do": "fly"}',
    b'{"do": "ping", "id": [[1]]}', b'{"do": "segment"}', b'{"do": "segment", "input": 3, "output": {}}',
    b'{"do": "load", "model": []}', b'{"do": "load", "model": "' + b"m" * 300 + b'"}', b'{"do": "load", "speed": 3}',
    b'{"do": "load", "model": "\\ud800"}', b'{"do": "load", "model": "\\u0000"}', b'{"do": "load", "device": "abacus"}',
]  # fmt: skip


def answers_to(lines, ending=b""):
    told = io.StringIO()
    Server(io.BytesIO(b"".join(line + b"\n" for line in lines) + ending), told).run()
    return [json.loads(line) for line in told.getvalue().splitlines()]


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_every_line_is_answered_in_one_line_and_the_next_one_too(line):
    first, last = answers_to([line, b'{"id": 7, "do": "ping"}'])
    is_ping = b"ping" in line
    assert first["event"] == ("done" if is_ping else "error")
    assert is_ping or (first["kind"].endswith("Error") and not first["message"].startswith("unexpected"))
    assert is_ping or ("\n" not in first["message"] and len(first["message"]) < 1000)
    assert last == {"id": 7, "event": "done"} or (last["id"] == 7 and last["kind"] == "CancelledError")


def test_a_request_cut_off_is_no_request():
    (reply,) = answers_to([], b'{"id": 1, "do": "loa')
    assert reply["kind"] == "UsageError"


@pytest.mark.parametrize("end", ["quit", "closed"])
def test_after_strange_lines_the_worker_still_ends(client, end):
    """Once all are answered, so that only ending has to be done in the time there is for it."""
    client.call({"do": "ping"})
    process, told = client._process, b""
    lines = [line for line in STRANGE if b"abacus" not in line]  # to refuse that one, libraries are loaded
    for line in lines:
        process.stdin.write(line + b"\n")
    process.stdin.flush()
    while told.count(b"\n") < len(lines):
        told += client._output.get(timeout=SECONDS)
    if end == "quit":
        process.stdin.write(b'{"do": "quit"}\n')
        process.stdin.flush()
    else:
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


def test_a_request_cancelled_while_it_waits_is_not_carried_out(source, tmp_path, tiny_package):
    """All lines are there before the first is answered, as if they came while the model was loading."""
    request = {"do": "segment", "model": str(tiny_package), "device": "cpu", "input": str(source)}
    lines = [{"id": n, **request, "output": str(tmp_path / f"{n}.nrrd")} for n in (1, 2)]
    told = io.StringIO()
    Server(io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode()), told).run()
    replies = [json.loads(line) for line in told.getvalue().splitlines()]
    ends = [(reply["id"], reply.get("kind")) for reply in replies if reply["event"] != "progress"]
    assert ends == [(1, "CancelledError"), (2, "CancelledError")]
    assert not list(tmp_path.glob("*.nrrd"))


def test_the_modality_can_be_sent_where_the_file_does_not_give_it(client, segment, source, tmp_path):
    reply = client.call(segment(source, tmp_path / "o.nii.gz", modality="PT"))
    assert any("the input says it is PT" in flag for flag in reply["flags"])


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
