"""A Python that starts at once: its processes are forked from one that has imported what training imports.

A pipeline starts a dozen scripts, of which each would import torch and MONAI for eight seconds. Every script is still
a process of its own, with its own arguments, environment, folder and streams, and imports this library anew. If its
caller is killed, so is the script. Not for tests of what a process imports.

Run as a program, this file is the server (SOCKET), or what is called in Python's place (SOCKET SCRIPT ARGUMENT ...).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WANTED = (
    "numpy",
    "SimpleITK",
    "torch",
    "monai.losses",
    "monai.transforms",
    "lightning_fabric",
    "tyro",
    "yaml",
    "matplotlib",
)
_STARTED_WITHIN = 300
# Anything but a script, such as -m snakemake, is for the real Python.
_CALLER = """#!/bin/sh
case "$1" in
  *.py) exec "{python}" -I -S "{file}" "{socket}" "$@";;
  *) exec "{python}" "$@";;
esac
"""


@functools.cache
def warm_python() -> str:
    """What stands for `sys.executable` before a script; one for all tests of this process, and gone with it."""
    if not sys.platform.startswith("linux"):
        return sys.executable
    folder = tempfile.mkdtemp(prefix="warm_python_")  # short: a socket's path has at most 107 characters
    path, executable = Path(folder, "socket"), Path(folder, "python")
    executable.write_text(_CALLER.format(python=sys.executable, file=__file__, socket=path))
    executable.chmod(0o755)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, __file__, str(path)], env=environment)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.terminate)
    end = time.monotonic() + _STARTED_WITHIN
    while not path.exists():
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the warm Python did not start")
        time.sleep(0.02)
    return str(executable)


def serve(path: str) -> dict[str, Any]:
    """Answer calls for ever; returns in the process that is forked for a call, with what was asked."""
    for name in WANTED:
        with contextlib.suppress(ImportError):
            __import__(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.new")
    listening.listen()
    listening.settimeout(5)
    Path(f"{path}.new").rename(path)  # there when it can be connected to
    tests = os.getppid()
    while True:
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            if os.getppid() != tests:
                sys.exit()
            continue
        if os.fork():
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            continue
        listening.close()
        message, streams, *_ = socket.recv_fds(connection, 1 << 20, 3)
        child = os.fork()
        if child == 0:
            connection.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            _open_streams()
            request: dict[str, Any] = json.loads(message)
            return request
        _see_through(child, connection)
        os._exit(0)


def _open_streams() -> None:
    """Streams of their own: those of the server remember that its output can be sought, in a file, say."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(number, "r" if number == 0 else "w", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _see_through(child: int, caller: socket.socket) -> None:
    """Tell the caller the exit status of the child, or kill it once there is no caller."""
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, caller], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        caller.sendall(bytes([status & 255]))


def run(request: dict[str, Any]) -> None:
    """As `python SCRIPT ARGUMENT ...` in that folder and environment."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    paths = [p for p in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if p]
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *paths]
    runpy.run_path(sys.argv[0], run_name="__main__")


def call(path: str, arguments: list[str]) -> int:
    """Have the server run a script; its exit status."""
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        answer = connection.recv(1)
    return answer[0] if answer else 1


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(call(sys.argv[1], sys.argv[2:]))
    run(serve(sys.argv[1]))
