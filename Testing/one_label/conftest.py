"""Tiny volumes for SemiSAM-O1."""

from dataclasses import replace

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.tiny_data import write_scan
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import PreparationSpec


@pytest.fixture
def data(tmp_path):
    """Five patients, the first with labels; the others' lie elsewhere."""
    scans, truth = [], {}
    for number in range(5):
        image, labels = write_scan(tmp_path, f"p{number}", "T1WI", number)
        scans.append(Scan(f"p{number}", "T1WI", image, labels if number == 0 else None))
        truth[f"p{number}"] = labels
    write_datalist(Datalist("tiny", "Apache-2.0", {1: "liver", 2: "spleen"}, scans), tmp_path / "datalist.json")
    spec = replace(tiny_spec(), preparation=PreparationSpec((8.0, 4.0, 4.0)))
    return tmp_path / "datalist.json", str(save_package(spec, random_weights(spec), tmp_path / "encoder")), truth
