"""Folders as batches: every DICOM series is a volume of its own, and a result is never taken for another's."""

import os
from pathlib import Path

import pytest

pytest.importorskip("slicer")

from helpers.dicom_series import whole_numbered_volume, write_dicom_series, write_shared_series
from helpers.scene_tools import WaitingWorker
from helpers.volumes import make_volume
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.batch import as_csv, folder_jobs, read_saved_rows
from LiverMRISegScene.job_queue import JobQueue
from LiverMRISegScene.jobs import DONE, EARLIER, FAILED

DEFAULT = "liver-any-sequence"


@pytest.fixture
def worker():
    worker = WaitingWorker()
    yield worker
    worker.close()


def two_series(folder):
    """A folder with two series, of 12 and of 9 slices."""
    volume = whole_numbered_volume()
    write_dicom_series(folder, volume, uid_suffix="1", description="T1 axial")
    fewer = Volume(volume.array[:9], make_volume(size=(*volume.geometry.size[:2], 9)).geometry)
    write_dicom_series(folder, fewer, uid_suffix="2", description="T2 axial")
    return [len(volume.array), 9]


def run(scene, worker, jobs, package):
    for job in jobs:
        job.model, job.device = str(package), "cpu"
    JobQueue(scene, worker, lambda job: None, lambda all_jobs: None).start(jobs)


@pytest.mark.parametrize("place", [".", "patient 1"])
def test_every_series_of_a_folder_is_segmented_as_itself(scene, worker, tiny_package, tmp_path, place):
    slices = two_series(tmp_path / place)
    jobs = folder_jobs(tmp_path, DEFAULT)
    assert [job.name.rpartition("_T")[2] for job in jobs] == ["1_axial", "2_axial"]
    run(scene, worker, jobs, tiny_package)
    assert [job.state for job in jobs] == [DONE, DONE], [job.message for job in jobs]
    assert [len(read_labelmap(job.output).array) for job in jobs] == slices
    assert [job.state for job in folder_jobs(tmp_path, DEFAULT)] == [EARLIER, EARLIER]


def test_a_series_that_has_gone_is_not_taken_for_the_one_that_is_left(scene, worker, tiny_package, tmp_path):
    two_series(tmp_path / "patient 1")
    jobs = folder_jobs(tmp_path, DEFAULT)
    for path in (tmp_path / "patient 1").glob("image_2_*"):
        path.unlink()
    run(scene, worker, jobs, tiny_package)
    assert [job.state for job in jobs] == [DONE, FAILED]
    assert "has no series 1.2.826.0.1.3680043.10.2.2; it has: " in jobs[1].message


def test_several_volumes_in_a_series_are_a_sequence_of_the_scene(scene, worker, tiny_package, tmp_path):
    volumes = [whole_numbered_volume() for _ in range(3)]
    write_shared_series(tmp_path / "in" / "dynamic", volumes, lambda data, volume, place: None)
    jobs = folder_jobs(tmp_path / "in", DEFAULT)
    run(scene, worker, jobs, tiny_package)
    said = {job.source.name: job.message for job in jobs}
    assert "--" not in said["dynamic"]
    assert said["dynamic"].endswith("; load it into Slicer as a volume sequence and segment that")


def test_a_result_that_is_older_than_its_volume_says_so(tmp_path):
    write_volume(make_volume(size=(8, 8, 8)), tmp_path / "t1.nii.gz")
    [job] = folder_jobs(tmp_path, DEFAULT)
    job.output.write_bytes(b"made before")
    [again] = folder_jobs(tmp_path, DEFAULT)
    assert (again.state, again.message) == (EARLIER, "")
    os.utime(job.output, (1e9, 1e9))
    [again] = folder_jobs(tmp_path, DEFAULT)
    assert again.message == "the input is newer than this result: delete the result to have it made again"
    assert again.message in as_csv([again])
    table = Path(tmp_path / "table.csv")
    table.write_text("volume,model,state,message\nt1,liver-any-sequence,done,\n")
    assert again.message in as_csv([again], read_saved_rows(table))


def test_a_damaged_table_of_an_earlier_run_is_as_none(tmp_path):
    table = tmp_path / "volumes.csv"
    table.write_text(f"volume,model,state\nt1,{'x' * 200_000},done\n")
    assert read_saved_rows(table) == {}
