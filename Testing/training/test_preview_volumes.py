"""What a stage that makes a file for each volume will cost: counted by hand from the volumes that were done."""

import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training import preview_volumes
from LiverMRISegLib.training.preview_volumes import VolumesCost, previewed_of, say_cost, timed


def test_hours_are_of_all_volumes():
    cost = VolumesCost(1200, 9.0, 2.5, 3.0)
    assert cost.hours == pytest.approx(3.0)
    assert str(cost) == "1,200 volumes of 9.00 s; 3.0 hours; disk 2.5 GB; memory 3.0 GB"
    assert str(VolumesCost(2, 9.0, 0.0012, 0.25)).endswith("disk 1.2 MB; memory 250 MB")


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (10, [0, 3, 6])])
def test_the_first_and_some_of_the_others_are_done(count, expected):
    assert previewed_of(range(count)) == expected


def test_each_volume_is_timed():
    seconds = []
    assert list(timed("abc", seconds)) == ["a", "b", "c"]
    assert len(seconds) == 3
    assert min(seconds) >= 0


def test_the_first_volume_is_not_counted_and_files_are(tmp_path, monkeypatch):
    (tmp_path / "p0.nii.gz").write_bytes(bytes(2_000_000))
    (tmp_path / "features").mkdir()
    (tmp_path / "features/p1.npy").write_bytes(bytes(4_000_000))
    cost = say_cost(1000, [60.0, 4.0, 2.0], tmp_path)
    assert (cost.volumes, cost.volume_seconds, cost.disk_gb) == (1000, 3.0, pytest.approx(2.0))
    assert say_cost(1, [60.0], tmp_path).volume_seconds == 60.0
    with pytest.raises(UsageError, match=r"a volume takes \d+.\d GB of disk, [\d.]+ (GB|MB) are free"):
        say_cost(10**9, [1.0], tmp_path)
    monkeypatch.setattr(preview_volumes, "total_memory_gb", lambda: 0.001)
    with pytest.raises(UsageError, match=r"(GB|MB) of memory, of 1 MB; leave out the largest volumes"):
        say_cost(1, [1.0], tmp_path)
