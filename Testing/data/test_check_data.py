"""Volumes are read before anything is trained: each that cannot be used is named, the others are read all the same."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.tiny_data import write_data
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.check_data import CheckDataConfig, run
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume


def truncate(path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def with_nan(path) -> None:
    volume = read_volume(path)
    array = volume.array.astype(np.float32)
    array[3:6] = np.nan
    write_volume(replace(volume, array=array), path)


def of_another_grid(path) -> None:
    labels = read_labelmap(path)
    write_volume(replace(labels, geometry=replace(labels.geometry, spacing=(5.0, 4.0, 8.0))), path)


def test_every_bad_volume_is_named_at_once(tmp_path):
    datalist = write_data(tmp_path)
    assert run(CheckDataConfig((datalist,))) == 6  # the one to test on plays no part
    assert run(CheckDataConfig((datalist, datalist))) == 12
    truncate(tmp_path / "p2_GED4.nii.gz")
    with_nan(tmp_path / "p2_T1WI.nii.gz")
    of_another_grid(tmp_path / "p3_GED4_label.nii.gz")
    truncate(tmp_path / "p1_GED4_label.nii.gz")
    truncate(tmp_path / "p4_GED4.nii.gz")  # split test
    with pytest.raises(InputError) as error:
        run(CheckDataConfig((datalist,)))
    first, *named = str(error.value).splitlines()
    assert first == "4 of 6 volumes cannot be used; repair them or remove them from the datalist:"
    assert [line.partition(":")[0].split("/")[-1] for line in named] == [
        "p1_GED4_label.nii.gz", "p2_GED4.nii.gz", "p2_T1WI.nii.gz", "p3_GED4_label.nii.gz"
    ]  # fmt: skip


def test_labels_are_read_where_they_will_be(tmp_path):
    datalist = write_data(tmp_path)
    truncate(tmp_path / "p1_GED4_label.nii.gz")
    assert run(CheckDataConfig((datalist,), labels=False)) == 6
    assert run(CheckDataConfig((datalist,), PoolConfig(("T1WI", "T2WI")))) == 2


def test_that_there_is_nothing_to_judge_on_is_said(tmp_path):
    datalist = write_data(tmp_path)
    test = CheckDataConfig((datalist,), splits=("test",), needs_labels=True)
    assert run(test) == 1
    with pytest.raises(UsageError, match="no labelled scan of split 'test' fits the choice of sequences T2WI"):
        run(replace(test, pool=PoolConfig(("T2WI",))))
