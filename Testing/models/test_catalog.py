"""Models brought in from a file and taken away again."""

import json
import os
import subprocess
import sys

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.places import ROOT
from LiverMRISegLib.cli import main
from LiverMRISegLib.errors import ModelError, OutputError, UsageError
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.catalog import import_package, remove_model, size_mb
from LiverMRISegLib.models.package.model_package import save_package


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path


def made(folder, name, seed=0):
    spec = tiny_spec("tiny")
    return save_package(spec, random_weights(spec, seed), folder / name)


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
    with pytest.raises(UsageError, match="cannot be removed"):
        remove_model("liver-any-sequence")
    with pytest.raises(UsageError, match="no such model"):
        remove_model("absent")


@pytest.mark.parametrize("name", ["liver-any-sequence", "Liver-Any-Sequence"])
def test_no_package_takes_the_name_of_a_shipped_model_unasked(folder, name):
    source = save_package(tiny_spec(name), random_weights(tiny_spec(name)), folder / "p")
    for given in (None, name):
        with pytest.raises(UsageError, match=r"a model that came with LiverMRISeg; .*--replace"):
            import_package(source, given)
    assert import_package(source, replace=True).name == name
    assert import_package(source, replace=True).name == name
    assert not catalog.find_model(name).is_relative_to(catalog.resource_folder())
    remove_model(name)


@pytest.mark.parametrize("name", ["n" * 300, "\ud800", "n\0", "a/" * 3000])
def test_names_that_are_no_paths_either(folder, name):
    with pytest.raises(ModelError, match="no model has this name") as error:
        catalog.load_model(name)
    assert len(str(error.value)) < 600
    with pytest.raises(UsageError, match="cannot be the name of a model"):
        import_package(made(folder, "p"), name)


def test_one_bad_package_hides_no_other(folder, capsys):
    import_package(made(folder, "p"))
    for name, text in (
        ("deep", "[" * 100_000),
        ("huge", '{"a": ' + "9" * 10_000 + "}"),
        ("bytes", "\x00"),
        ("list", "[]"),
    ):
        (folder / "models" / name).mkdir()
        (folder / "models" / name / "model.json").write_text(text)
    (folder / "models" / "broken.zip").write_bytes(b"PK\3\4")
    unfinished = made(folder, "models/unfinished")
    (unfinished / "weights.safetensors").write_bytes(b"")
    assert main(["models", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {name for name, entry in listed.items() if "error" in entry} == {
        "deep", "huge", "bytes", "list", "broken", "unfinished",
    }  # fmt: skip
    assert listed.keys() > {"tiny", "liver-any-sequence"}
    for name, entry in listed.items():
        if "error" in entry:
            assert main(["models", "verify", name]) == ModelError.exit_status
            assert capsys.readouterr().err.count("\n") == 1


def test_under_another_name(folder):
    source = made(folder, "p.zip")
    assert import_package(source, "mine").name == "mine"
    assert import_package(source).name == "tiny"
    assert catalog.load_model("mine").fingerprint == catalog.load_model("tiny").fingerprint
    assert source.is_file()


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "C:model"])
def test_bad_names_are_refused(folder, name):
    with pytest.raises(UsageError, match="cannot be the name of a model"):
        import_package(made(folder, "p"), name)
    assert not (folder / "models").exists()


@pytest.mark.parametrize("ending", ["", ".zip"])
def test_replaced(folder, ending):
    models = folder / "models"
    models.mkdir()
    made(models, f"tiny{ending}")  # put there by hand
    new = made(folder, "new", seed=1)
    with pytest.raises(UsageError, match="imported before"):
        import_package(new)
    import_package(new, replace=True)
    assert catalog.load_model("tiny").fingerprint == catalog.load_model(new).fingerprint
    assert [path.name for path in models.iterdir()] == ["tiny"]


def test_the_old_model_stays_if_it_cannot_be_replaced(folder):
    models = folder / "models"
    models.mkdir()
    old = made(models, "tiny.zip").read_bytes()
    (models / "tiny").mkdir()
    (models / "tiny" / "notes.txt").write_text("of the user")  # in the way, and no model
    with pytest.raises(OutputError, match="tiny: exists already"):
        import_package(made(folder, "new", seed=1), replace=True)
    assert (models / "tiny.zip").read_bytes() == old
    assert sorted(path.name for path in models.iterdir()) == ["tiny", "tiny.zip"]


def test_a_read_only_stick(folder):
    source = made(folder, "stick")
    for path in (*source.iterdir(), source):
        path.chmod(0o555 if path.is_dir() else 0o444)
    entry = import_package(source)
    assert all(path.stat().st_mode & 0o200 for path in (entry.path, *entry.path.iterdir()))
    source.chmod(0o755)
    remove_model("tiny")


REMOVER = """
import os, signal
from LiverMRISegLib.models.catalog import remove_model

unlink = os.unlink

def killed(*arguments, **options):
    unlink(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

os.unlink = killed
remove_model("tiny")
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_kill_while_it_is_removed_leaves_no_half(folder):
    import_package(made(folder, "p"))
    subprocess.run([sys.executable, "-c", REMOVER], check=False, cwd=ROOT)
    assert [entry.name for entry in catalog.list_models() if not entry.is_shipped] == []
    import_package(folder / "p")
    assert [path.name for path in (folder / "models").iterdir()] == ["tiny"]
    assert catalog.load_model("tiny").verify() > 0
