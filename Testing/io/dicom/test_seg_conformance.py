"""Written DICOM SEG against the standard, by dciodvfy (Debian's dicom3tools) and dicom-validator, where they are.

dicom-validator reads the standard, which it fetches from dicom.nema.org: it is used where an edition was fetched.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.dicom_series import edited_series, whole_numbered_volume, write_enhanced
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.io import read_volume, write_segmentation
from LiverMRISegLib.volume import Volume

pytest.importorskip("highdicom")
HIDDEN = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName")


def classic(folder):
    return edited_series(folder, lambda data, _: None)


def oblique(folder):
    return edited_series(folder, lambda data, _: None, volume=whole_numbered_volume(oblique_directions()[0]))


def japanese(folder):
    def change(data, _):
        data.SpecificCharacterSet, data.PatientName = ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"

    return edited_series(folder, change)


def hidden_names(folder):
    return edited_series(folder, lambda data, _: [delattr(data, keyword) for keyword in HIDDEN if keyword in data])


def rounded(folder):
    def change(data, _):
        data.ImagePositionPatient = [f"{np.floor(float(v) + 0.5):g}" for v in data.ImagePositionPatient]

    made = whole_numbered_volume()
    spacing = (*made.geometry.spacing[:2], 2.37)
    return edited_series(folder, change, volume=Volume(made.array, replace(made.geometry, spacing=spacing)))


def enhanced(folder):
    made = make_volume()
    volume = Volume(made.array.astype(np.uint16), made.geometry)
    return write_enhanced(folder, volume, [3, 1, 2, 0, 5, 4, 7, 6, 9, 8, 11, 10])


@pytest.fixture(params=[classic, oblique, japanese, hidden_names, rounded, enhanced], ids=lambda made: made.__name__)
def segmentation(request, tmp_path):
    volume = read_volume(request.param(tmp_path / "s"))
    labels = np.random.default_rng(0).integers(0, 5, volume.array.shape).astype(np.uint8)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    return tmp_path / "m.dcm"


def test_dciodvfy_finds_no_error(segmentation):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (apt-get install dicom3tools) is not here")
    said = subprocess.run([program, "-new", segmentation], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
    # Names that were hidden in the images cannot be in the DICOM SEG.
    assert [line for line in lines if line.startswith("Warning") and "build DICOMDIR" not in line] == []
    assert "Segmentation" in lines


def test_dicom_validator_finds_no_error(segmentation):
    pytest.importorskip("dicom_validator")
    if not any((Path.home() / "dicom-validator").glob("*/docbook/part03.xml")):
        pytest.skip("no edition of the standard is here; run validate_iods once, with access to dicom.nema.org")
    call = [sys.executable, "-m", "dicom_validator.validate_iods", "--edition", "local", segmentation]
    said = subprocess.run(call, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
