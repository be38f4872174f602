"""The worker as a real process: it answers, stays alive, cancels, says why it died, leaves nothing behind."""

import io
import json
import os
import shutil
import signal
import threading
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


def test_a_request_cut_off_is_no_request():
    (reply,) = answers_to([], b'{"id": 1, "do": "loa')
    assert reply["kind"] == "UsageError"


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
