"""The data set that the tests of the stages share."""

from pathlib import Path

import pytest

from helpers.tiny_data import write_data


@pytest.fixture(scope="module")
def datalist(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))
