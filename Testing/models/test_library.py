"""Models brought in from a file and taken away again."""

import pytest

from conftest import random_weights, tiny_spec
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.library import import_package, remove_model, size_mb
from LiverMRISegLib.models.package import save_package


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path


@pytest.mark.parametrize("name", ["brought", "brought.zip"])
def test_in_and_out(folder, name):
    spec = tiny_spec("tiny")
    source = save_package(spec, random_weights(spec), folder / name)
    entry = import_package(source)
    assert entry.path == folder / "models" / "tiny"
    assert catalog.load_model("tiny").spec == spec
    assert 0 < size_mb(entry) < 1
    with pytest.raises(UsageError, match="imported before"):
        import_package(source)
    remove_model("tiny")
    assert list((folder / "models").iterdir()) == []


def test_what_is_damaged_is_not_taken(folder):
    spec = tiny_spec("tiny")
    source = save_package(spec, random_weights(spec), folder / "p")
    weights = source / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="wrong sha256"):
        import_package(source)
    assert not (folder / "models").exists()


def test_names_that_are_no_folder_are_refused(folder):
    spec = tiny_spec("../outside")
    source = save_package(spec, random_weights(spec), folder / "p")
    with pytest.raises(ModelError):
        import_package(source)
    assert not (folder / "outside").exists()


def test_the_shipped_model_stays(folder):
    with pytest.raises(UsageError, match="stays"):
        remove_model("liver-any-sequence")
    with pytest.raises(UsageError, match="no such model"):
        remove_model("absent")
