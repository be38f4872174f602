"""Signals end the command line with its own status and leave nothing half written."""

import os
import signal
import subprocess
import sys
import time

import pytest

from helpers.command_line import command, names
from helpers.places import ROOT
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.io import write_volume


def _heed_signals():
    """A shell's background job ignores SIGINT, and so would the process that these tests stop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_leaves_nothing_half_written(tmp_path, tiny_package, number, status):
    write_volume(make_volume(size=(500, 500, 200), spacing=(1.5, 1.5, 2.0)), tmp_path / "large.nrrd")
    process = subprocess.Popen(
        command("segment", tmp_path / "large.nrrd", "-o", tmp_path / "out/o.nii.gz", "--model", tiny_package),
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
        preexec_fn=_heed_signals,
    )  # fmt: skip
    while not (tmp_path / "out").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(number)
    _, words = process.communicate(timeout=SECONDS)
    assert process.returncode == status, words
    assert "Traceback" not in words
    assert names(tmp_path) == ["large.nrrd"]


LOST_EXIT = """
import os, signal, sys
from LiverMRISegLib.cli import main
from LiverMRISegLib.inference.segmenter import Segmenter
load = Segmenter.load
def load_and_lose_the_exit(*arguments, **options):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    except:
        pass
    return load(*arguments, **options)
Segmenter.load = load_and_lose_the_exit
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_termination_that_a_library_swallows_still_stops_the_work(source, tmp_path, tiny_package):
    arguments = ["segment", source, "-o", tmp_path / "out/o.nii.gz", "--model", tiny_package, "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOST_EXIT, *map(str, arguments)], env=environment, check=False, timeout=SECONDS
    )
    assert done.returncode == 143
    assert names(tmp_path) == ["v.nii.gz"]


INTERRUPTED = """
import os, signal, sys
from LiverMRISegLib.cli import main
from LiverMRISegLib.inference.segmenter import Segmenter
def wait():
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
def interrupted(*arguments, **options):
{body}
Segmenter.load = interrupted
sys.exit(main(sys.argv[1:]))
"""


WITHIN_AN_EXEC = """
    exec("wait()")
"""


WITHIN_AN_IMPORT = """
    try:
        wait()
    except BaseException:
        raise ImportError("initialization failed") from None
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("body", "is_cohort"),
    [(WITHIN_AN_EXEC, False), (WITHIN_AN_IMPORT, False), (WITHIN_AN_IMPORT, True)],
    ids=["exec", "import", "import in a cohort"],
)
def test_ctrl_c_leaves_with_our_status(source, tmp_path, tiny_package, body, is_cohort):
    """Python remembers that it passed an exec, and `python -m` would die of it; imports make it their own error."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED.format(body=body))
    what = [source.parent, "-o", tmp_path / "out"] if is_cohort else [source, "-o", tmp_path / "out/o.nii.gz"]
    arguments = ["segment", *what, "--model", tiny_package, "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "interrupted", *map(str, arguments)], cwd=tmp_path, check=False, timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=_heed_signals, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert done.stderr == "livermriseg: error: stopped; no incomplete files were left behind\n"
