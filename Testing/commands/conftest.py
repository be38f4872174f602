"""Fixtures that tests of the command line share."""

import pytest

from helpers.volumes import make_volume
from LiverMRISegLib.io import write_volume


@pytest.fixture
def source(tmp_path):
    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "v.nii.gz")
    return tmp_path / "v.nii.gz"
