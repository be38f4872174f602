"""The examples of README and documentation that are marked by `<!-- run -->` run, on drawn data.

A tiny model with random weights has the default model's name there: commands are tested, not masks.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.dicom_series import write_dicom_series
from helpers.packages import TINY_KWARGS, random_weights
from helpers.places import ROOT
from helpers.warm_python import warm_python
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models.package.model_package import load_spec, save_package
from LiverMRISegLib.models.package.specification import NetworkSpec
from LiverMRISegLib.phantom.study import make_study

EXAMPLE = re.compile(r"^<!-- run -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("README.md", "docs/get_started/batch.md", "docs/get_started/researcher.md", "docs/how_to/own_data.md")


def save_stand_in(folder: Path) -> None:
    """A model of the default one's name and organs that computes in no time."""
    shipped = load_spec(ROOT / "Resources" / "models" / "liver-any-sequence")
    spec = replace(
        shipped,
        network=NetworkSpec("stunet", {**TINY_KWARGS, "out_channels": 1 + len(shipped.labels)}),
        preparation=replace(shipped.preparation, spacing=(6.0, 6.0, 6.0)),
        inference=replace(shipped.inference, patch=(16, 32, 32)),
        postprocessing={},
        metrics=(),
    )
    save_package(spec, random_weights(spec), folder / spec.name)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the files that the examples speak of, and the environment that their commands need."""
    folder = tmp_path_factory.mktemp("desk")
    study = make_study([Sequence.T2WI, Sequence.T1WI], seed=1, in_plane_mm=4.0, slice_mm=8.0)
    (folder / "study").mkdir()
    write_volume(study[Sequence.T2WI].volume, folder / "t2.nii.gz")
    write_volume(study[Sequence.T1WI].volume, folder / "t1.nrrd")
    write_volume(study[Sequence.T1WI].volume, folder / "pdff.nii.gz")
    write_volume(study[Sequence.T2WI].volume, folder / "study" / "t2.nii.gz")
    write_dicom_series(folder / "dicom", study[Sequence.T2WI].volume)
    (folder / "scripts").symlink_to(ROOT / "scripts")
    save_stand_in(folder / "models")
    commands = folder / "bin"
    commands.mkdir()
    (commands / "main.py").write_text("import sys\nfrom LiverMRISegLib.cli import main\nsys.exit(main())\n")
    for name, words in (("livermriseg", f'"{warm_python()}" "{commands}/main.py"'), ("python", f'"{warm_python()}"')):
        (commands / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (commands / name).chmod(0o755)
    path = os.pathsep.join([str(commands), os.environ["PATH"]])
    return folder, {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "LIVERMRISEG_MODELS": str(folder / "models")}


@pytest.mark.skipif(sys.platform == "win32", reason="the examples are for a POSIX shell")
@pytest.mark.parametrize("name", RUN)
def test_marked_examples_run(name, desk):
    folder, environment = desk
    examples = EXAMPLE.findall((ROOT / name).read_text())
    assert examples
    for language, code in examples:
        example = folder / f"example.{'py' if language == 'python' else language}"
        example.write_text(code)
        call = ["bash", "-euo", "pipefail", example] if language == "sh" else [warm_python(), example]
        done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
