"""What a killed run left in an output folder is gone after the next start."""

import os

import pytest

from LiverMRISegLib.commands.plan import SegmentCase, SegmentPlan


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that end with their process")
def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path):
    for name in (".a_seg.k3j_x9ab.tmp.nii.gz", ".a_seg.tmp.nii.gz", ".hidden.nii.gz", "b_seg.nii.gz", "c.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".link.k3j_x9ab.tmp.nii.gz").symlink_to(tmp_path / "b_seg.nii.gz")
    SegmentPlan((SegmentCase("a", tmp_path / "a.nii.gz", tmp_path / "a_seg.nii.gz"),), is_cohort=False).prepare_output()
    kept = {".a_seg.tmp.nii.gz", ".hidden.nii.gz", "b_seg.nii.gz", "c.tmp", ".link.k3j_x9ab.tmp.nii.gz"}
    assert {path.name for path in tmp_path.iterdir()} == kept
