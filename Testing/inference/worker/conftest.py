"""A worker as a real process, and what is asked of it."""

import pytest

from helpers.volumes import make_volume
from LiverMRISegLib.inference.worker.client import WorkerClient
from LiverMRISegLib.inference.worker.protocol import load_request, segment_request
from LiverMRISegLib.io import write_volume


@pytest.fixture
def client():
    with WorkerClient() as client:
        yield client


@pytest.fixture
def load(tiny_package):
    return load_request(str(tiny_package), "cpu")


@pytest.fixture
def segment(tiny_package):
    def request(source, output, **options):
        return segment_request(source, output, model=str(tiny_package), device="cpu", **options)

    return request


@pytest.fixture
def source(tmp_path):
    write_volume(make_volume(size=(60, 50, 40)), tmp_path / "v.nii.gz")
    return tmp_path / "v.nii.gz"
