"""What the scripts of the stages share; those that train nothing do not wait for what only training needs."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.places import ROOT
from LiverMRISegLib.training.join_models import JoinModelsConfig
from LiverMRISegLib.training.loop import RunResult
from LiverMRISegLib.training.script import run_script, where_it_ended

WHAT_IT_IMPORTED = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("imported:", [name for name in ("torch", "monai", "lightning_fabric") if name in sys.modules])
"""


@pytest.mark.parametrize(
    "script", ["train/match_domains.py", "train/stable_cases.py", "train/pseudo_label.py", "evaluate_challenge.py"]
)
def test_what_trains_nothing_starts_without_torch(script):
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IT_IMPORTED, str(ROOT / "scripts" / script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_a_reader_of_the_help_may_end_early():
    """As `finetune.py --help | head`: the help is longer than what a pipe holds back."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/train/finetune.py"), "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (0, b"")


def test_a_pipe_that_breaks_in_the_work_is_no_success(monkeypatch):
    def work(config):
        """As tqdm does where the reader of the messages has ended."""
        raise BrokenPipeError

    monkeypatch.setattr(sys, "argv", ["join_models.py"])
    with pytest.raises(BrokenPipeError):
        run_script(JoinModelsConfig, work, lambda config, result: "done")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (RunResult(Path("f"), 7, 0.91234), "step 7 reached, best validation score 0.9123; everything is in f"),
        (RunResult(Path("f"), 7, -math.inf), "step 7 reached, nothing was validated; everything is in f"),
        (RunResult(Path("f"), 0, math.nan, hours=3.0), "this was only the preview: nothing was trained"),
    ],
)
def test_where_a_training_ended(result, words):
    assert where_it_ended(result) == words
