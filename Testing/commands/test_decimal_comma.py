"""A program whose locale writes decimal commas (VTK, Qt and Slicer set it): the same files, masks and tables."""

import os
import shutil
import subprocess
import sys

import pytest

from helpers.dicom_series import whole_numbered_volume, write_dicom_series
from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib.io import write_volume

# In one process: the calling program's locale is set after the libraries were loaded, as an application does.
PROGRAM = """
import locale, sys
import SimpleITK
from LiverMRISegLib.cli import main
if sys.argv[1] != "C":
    locale.setlocale(locale.LC_ALL, sys.argv[1])
    assert locale.localeconv()["decimal_point"] == ","
for line in sys.argv[2:]:
    status = main(line.split("|"))
    assert status == 0, status
"""
FORMATS = ("nrrd", "mha")


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """A folder with de_DE.UTF-8."""
    folder = tmp_path_factory.mktemp("locales")
    program = shutil.which("localedef")
    call = [program, "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"]
    if program is None or subprocess.run(call, capture_output=True, check=False).returncode != 0:
        pytest.skip("the locale de_DE cannot be made here (apt-get install locales)")
    return folder


def test_the_same_in_every_locale(locales, tiny_package, tmp_path):
    pytest.importorskip("pydicom")
    folder = tmp_path / "in"
    folder.mkdir()
    for number, ending in enumerate(("nii.gz", "nrrd", "mha")):
        write_volume(make_volume(seed=number), folder / f"v{number}.{ending}")
    write_dicom_series(folder / "dicom", whole_numbered_volume())
    written = {}
    for locale in ("C", "de_DE.UTF-8"):
        out = tmp_path / locale
        options = f"--model|{tiny_package}|--device|cpu"
        lines = [
            f"segment|{folder}|-o|{out / ('as ' + ending.replace('.', ' '))}|--format|{ending}|{options}"
            for ending in FORMATS
        ]
        lines.append(
            f"evaluate|--predictions|{out / 'as nrrd'}|--references|{tmp_path / 'C' / 'as mha'}|-o|{out}/m.csv"
        )
        environment = {**os.environ, "LOCPATH": str(locales), "PYTHONPATH": str(ROOT)}
        call = [sys.executable, "-c", PROGRAM, locale, *lines]
        done = subprocess.run(call, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        written[locale] = {
            path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
        }
    assert len(written["C"]) == 9
    assert written["C"] == written["de_DE.UTF-8"]
