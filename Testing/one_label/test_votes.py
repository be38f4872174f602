"""Who votes on uncertain labels between two rounds, and in which orientation."""

from dataclasses import replace

import numpy as np
import pytest

from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.one_label.refine import (
    Mending,
    Predicted,
    RefineConfig,
)
from LiverMRISegLib.preparation.own_scheme import Prepared
from LiverMRISegLib.volume import AxisChange, Volume, reorient


@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("code", ["LPS", "RAS", "SLP", "AIR"])
def test_neighbours_vote_in_the_orientation_of_the_case(data, tmp_path, code, register):
    """The neighbour is the same patient, stored with axes flipped and permuted."""
    image, truth = read_volume(tmp_path / "p1_T1WI.nii.gz"), read_labelmap(data[2]["p1"])
    scans, found = [], []
    for name, wanted in (("case", "LPS"), ("neighbour", code)):
        write_volume(reorient(image, wanted), tmp_path / f"{name}.nii.gz")
        write_volume(reorient(truth, wanted), tmp_path / f"{name}_label.nii.gz")
        scans.append(Scan(name, "T1WI", tmp_path / f"{name}.nii.gz"))
        geometry = reorient(image, wanted).geometry
        way_back = Prepared(np.zeros((0, 0, 0)), geometry, geometry, AxisChange.between(wanted, wanted))
        labels, entropy = tmp_path / f"{name}_label.nii.gz", tmp_path / f"{name}.npy"
        found.append(Predicted(labels, entropy, float(name == "case"), way_back, geometry))
    write_volume(Volume(np.zeros_like(reorient(truth, "LPS").array), found[0].geometry), found[0].labels)
    order = [found[1], found[1], found[0]]  # the first is the template
    config = RefineConfig("case", neighbours=1, quantile=0.9, register=register)
    mending = Mending([scans[1], scans[1], scans[0]], order, np.ones((3, 4)), config, 2)
    expected = reorient(truth, "LPS").array
    assert (mending.mended_labels(2) == expected).mean() > (0.98 if register else 0.9999)


def test_a_neighbour_that_cannot_be_registered_does_not_vote(data, tmp_path, caplog):
    """Of three neighbours one has two slices, too few to register."""
    scans, found = [], []
    for number in range(4):
        image, labels = read_volume(tmp_path / "p1_T1WI.nii.gz"), read_labelmap(data[2]["p1"])
        if number == 3:
            image, labels = (
                replace(v, array=v.array[:2], geometry=v.geometry.cropped((0, 0, 0), (24, 20, 2)))
                for v in (image, labels)
            )
        paths = tmp_path / f"n{number}.nii.gz", tmp_path / f"n{number}_label.nii.gz"
        write_volume(image, paths[0])
        write_volume(replace(labels, array=labels.array * (number > 0)), paths[1])
        scans.append(Scan(f"n{number}", "T1WI", paths[0]))
        way_back = Prepared(np.zeros((0, 0, 0)), image.geometry, image.geometry, AxisChange.between("LPS", "LPS"))
        found.append(Predicted(paths[1], tmp_path / "none.npy", float(number == 0), way_back, image.geometry))
    order = [1, 0, 2, 3]  # the first is the template
    config = RefineConfig("case", neighbours=3, quantile=0.9, register=True)
    mending = Mending([scans[n] for n in order], [found[n] for n in order], np.ones((4, 4)), config, 2)
    assert (mending.mended_labels(1) == read_labelmap(data[2]["p1"]).array).mean() > 0.98
    assert "n3_T1WI does not vote on n0_T1WI" in caplog.text
    alone = Mending([scans[3], scans[0]], [found[3], found[0]], np.ones((2, 4)), replace(config, neighbours=1), 2)
    assert not alone.mended_labels(1).any(), "nobody votes: its own labels stay"
    few = Mending([scans[3], scans[0]], [found[3], found[0]], np.ones((2, 4)), replace(config, neighbours=2), 2)
    assert not few.voted
    assert "no labels are mended: 1 certain cases are fewer than the 2 that are to vote" in caplog.text
