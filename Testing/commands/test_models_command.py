"""`livermriseg models import package` and `models remove`, in the command's own process."""

import pytest

from helpers.packages import random_weights, tiny_spec
from LiverMRISegLib import cli
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.resources import DEFAULT_MODEL


@pytest.fixture
def livermriseg(tmp_path, monkeypatch, capsys):
    """Runs the command; returns exit status, stdout, stderr."""
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))

    def run(*arguments):
        try:
            status = cli.main([str(a) for a in arguments])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def source(tmp_path):
    spec = tiny_spec("tiny")
    return save_package(spec, random_weights(spec), tmp_path / "brought.zip")


def test_in_list_replace_and_out(livermriseg, source, tmp_path):
    status, out, _ = livermriseg("models", "import", "package", source)
    assert (status, out) == (0, f"{tmp_path / 'models' / 'tiny'} written; use it as --model tiny\n")
    assert livermriseg("models", "import", "package", source, "--name", "mine")[0] == 0
    listed = livermriseg("models", "list")[1]
    assert listed.count("imported") == 2
    status, _, err = livermriseg("models", "import", "package", source)
    assert status == 2
    assert "imported before" in err
    assert livermriseg("models", "import", "package", source, "--replace")[0] == 0
    assert livermriseg("models", "remove", "mine")[:2] == (0, "mine removed\n")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny"]


def test_a_damaged_package_is_not_taken(livermriseg, source, tmp_path):
    source.write_bytes(source.read_bytes()[:-30])
    status, _, err = livermriseg("models", "import", "package", source)
    assert status == 4
    assert str(source) in err
    assert not (tmp_path / "models").exists()


def test_what_cannot_be_removed(livermriseg):
    status, _, err = livermriseg("models", "remove", DEFAULT_MODEL)
    assert (status, "cannot be removed" in err) == (2, True)
    status, _, err = livermriseg("models", "remove", "absent")
    assert (status, "no such model" in err) == (2, True)


@pytest.mark.parametrize("arguments", [("import",), ("import", "other", "x"), ("import", "stunet", "x"), ("remove",)])
def test_wrong_usage(livermriseg, arguments):
    assert livermriseg("models", *arguments)[0] == 2


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "mine.zip"])
def test_a_name_stays_inside_the_models_folder(livermriseg, source, name):
    for kind in (("package", source, "--name", name), ("stunet", source, name)):
        status, _, err = livermriseg("models", "import", *kind)
        assert status == 2
        assert "cannot be the name of a model" in err


@pytest.mark.parametrize("kind", ["stunet", "sam-med3d", "nnunet"])
def test_a_conversion_takes_no_name_that_is_taken(livermriseg, source, kind):
    assert livermriseg("models", "import", "package", source)[0] == 0
    status, _, err = livermriseg("models", "import", kind, source, "tiny")
    assert (status, "imported before" in err) == (2, True)
