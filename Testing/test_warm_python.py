"""The stand-in for Python that pipelines' tests start scripts with behaves as Python does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.waiting import SECONDS
from helpers.warm_python import warm_python

SCRIPT = """
import os, sys
from pathlib import Path
print(Path.cwd().name, sys.argv[1:], os.environ.get("WORD"), Path(sys.path[0]).name, __name__)
print("LiverMRISegLib" in sys.modules, sys.stdin.read(), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
SLEEPER = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(f"{os.getpid()} ")
time.sleep(600)
"""
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere Python itself is taken")


def test_arguments_environment_folder_streams_and_status(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments, environment = [str(tmp_path / "script.py"), "7", "a b"], {**os.environ, "WORD": "x"}
    calls = [
        subprocess.run([p, *arguments], cwd=tmp_path, input="asked", text=True, env=environment, capture_output=True)
        for p in (sys.executable, warm_python())
    ]
    real, warm = ((done.returncode, done.stdout, done.stderr) for done in calls)
    assert warm == real
    assert real == (7, f"{tmp_path.name} ['7', 'a b'] x {tmp_path.name} __main__\n", "False asked\n")


def test_an_error_is_told_and_other_calls_go_to_python_itself(tmp_path):
    (tmp_path / "script.py").write_text("raise ValueError('wrong')")
    done = subprocess.run([warm_python(), str(tmp_path / "script.py")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: wrong\n")
    done = subprocess.run([warm_python(), "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
    assert done.stdout.strip() == sys.executable


def test_a_script_ends_with_its_caller(tmp_path):
    (tmp_path / "script.py").write_text(SLEEPER)
    written = tmp_path / "id"
    caller = subprocess.Popen([warm_python(), str(tmp_path / "script.py"), str(written)])
    wait_for(lambda: written.exists() and written.read_text().endswith(" "))
    os.kill(caller.pid, signal.SIGKILL)
    assert caller.wait() == -signal.SIGKILL
    wait_for(lambda: not Path(f"/proc/{int(written.read_text())}").exists())


def wait_for(happened):
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
