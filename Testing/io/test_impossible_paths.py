"""Paths that no file can have, and what is there but is not a file: refused in words, at once."""

import os
import threading

import numpy as np
import pytest

from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.io import check_segmentation_target, read_labelmap, read_volume, write_segmentation, write_volume
from LiverMRISegLib.io.atomic_folder import atomic_write_folder

NAMES = {
    "long": ("n" * 300, "too long"),
    "half of a pair": ("\ud800", "characters that no file"),
    "null": ("a\0b", "characters"),
}


@pytest.mark.parametrize(("name", "words"), NAMES.values(), ids=NAMES)
def test_names(tmp_path, name, words):
    path = tmp_path / f"{name}.nii.gz"
    for read in (read_volume, read_labelmap):
        with pytest.raises(InputError, match=words) as error:
            read(path)
        assert str(error.value).isprintable()
    volume = make_volume()
    labels = np.zeros(volume.array.shape, np.uint8)
    for write in (
        lambda: write_volume(volume, path),
        lambda: check_segmentation_target(path, volume),
        lambda: write_segmentation(path, labels, CHAOS, volume.geometry),
        lambda: atomic_write_folder(path, {}),
    ):
        with pytest.raises(OutputError, match=words) as error:
            write()
        assert str(error.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "dcm"])
def test_a_pipe_does_not_hang(tmp_path, ending):
    os.mkfifo(tmp_path / f"pipe.{ending}")
    errors = []

    def read():
        for reader in (read_volume, read_labelmap):
            try:
                reader(tmp_path / f"pipe.{ending}")
            except InputError as error:
                errors.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert len(errors) == 2
    assert "is not a file but a folder, pipe or device" in errors[0]
