"""What OpenVINO leaves behind in the process."""

import os
import subprocess
import sys

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.places import ROOT
from LiverMRISegLib.models.package.model_package import save_package

pytest.importorskip("openvino")
# Python's handler runs on the stack that sigaltstack gave; the child's end sends SIGCHLD.
CODE = """
import gc, signal, subprocess, sys
from LiverMRISegLib.inference.segmenter import Segmenter

faults = []
signal.signal(signal.SIGCHLD, lambda *_: faults.append(1))
first = Segmenter.load(sys.argv[1], "cpu")
second = Segmenter.load(sys.argv[1], "cpu")
del first
gc.collect()
del second
gc.collect()
for _ in range(3):
    subprocess.run([sys.executable, "-c", ""], check=True)
print("alive", len(faults) > 0)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGCHLD")
def test_signals_are_handled_after_two_engines_came_and_went(tmp_path):
    spec = tiny_spec()
    model = save_package(spec, random_weights(spec), tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CODE, str(model)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "alive True"), done.stderr
