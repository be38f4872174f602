"""The command as the system gives it streams and names: closed or full stdout, ASCII, names that are no text."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib.cli import main
from LiverMRISegLib.io import read_labelmap, write_volume

UNIX = pytest.mark.skipif(os.name == "nt", reason="bytes as names and /dev are Unix things")
NAMES = [
    b"\xff\xfebad.nii.gz",
    b"two\nlines.nii.gz",
    "Müller 日本.nii.gz".encode(),
    b"x" * 240 + b".nii.gz",
    b"UP.NII.GZ",
]


@pytest.fixture
def cohort(tmp_path):
    """Copies of a volume whose names are odd, and a link to nowhere."""
    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "v.nii.gz")
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(os.fsencode(tmp_path / "v.nii.gz"), os.fsencode(folder) + b"/" + name)
    (folder / "gone.nii.gz").symlink_to("nowhere")
    return folder


def command(*arguments, stdout=subprocess.PIPE, **variables):
    return subprocess.run(
        [sys.executable, "-m", "LiverMRISegLib", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, **variables}, stdout=stdout, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip


@UNIX
def test_odd_names_and_an_ascii_terminal(cohort, tiny_package, tmp_path):
    arguments = ["segment", cohort, "-o", tmp_path / "out", "--model", tiny_package, "--device", "cpu"]
    done = command(*arguments, PYTHONIOENCODING="ascii")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"gone.nii.gz: is a link to a file that is not here" in done.stderr
    lines = done.stdout.splitlines()
    table = lines.index(b"volumes in mL:")
    assert all(line.startswith(b"note: ") for line in lines[:table])
    assert len(lines) - table == 1 + 1 + len(NAMES) + 1 + 1
    assert b"M\\xfcller" in done.stdout
    made = {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()}
    assert made == {name[: -len(".nii.gz")] + b"_seg.nii.gz" for name in NAMES}
    for path in (tmp_path / "out").iterdir():
        assert read_labelmap(path).array.shape == (24, 36, 40)
    done = command(*arguments, "--json", "--skip-existing", PYTHONIOENCODING="ascii")
    assert {case["status"] for case in json.loads(done.stdout)} == {"skipped", "failed"}


@UNIX
def test_a_full_stdout_is_one_line_and_a_closed_one_is_none(tmp_path):
    if os.path.exists("/dev/full"):  # noqa: PTH110
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            done = command("models", "list", stdout=full)
        assert done.returncode == 2
        assert done.stderr.decode() == (
            "livermriseg: error: the results cannot be written to stdout (No space left on device); "
            "send them elsewhere\n"
        )
    shell = f'"{sys.executable}" -m LiverMRISegLib models list >&-'
    done = subprocess.run(["sh", "-c", shell], cwd=ROOT, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_name_that_is_too_long(tiny_package, tmp_path, capsys):
    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "v.nii.gz")
    model = ["--model", str(tiny_package), "--device", "cpu"]
    for source, output in ((tmp_path / f"{'z' * 300}.nii", "m.nii"), (tmp_path / "v.nii.gz", f"{'z' * 300}.nii")):
        status = main(["segment", str(source), "-o", str(tmp_path / output), *model])
        said = capsys.readouterr().err
        assert status in (2, 3)
        assert said.count("\n") == 1
        assert "too long" in said
    assert [path.name for path in tmp_path.iterdir()] == ["v.nii.gz"]
