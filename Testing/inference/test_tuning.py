"""Settings are measured against the model as it came, and kept only where its labels stay."""

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib import cli
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference import tuning
from LiverMRISegLib.inference.tuning import Measured, Setting, compare_settings, fastest, keep, settings_of
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.resources import DEFAULT_MODEL

pytest.importorskip("openvino")


@pytest.fixture
def package(tmp_path):
    spec = tiny_spec()
    return ModelPackage.load(save_package(spec, random_weights(spec), tmp_path / "models" / "tiny"))


def result(setting, seconds, lowest):
    return Measured(setting, "engine", seconds, (1 + lowest) / 2, lowest)


def test_the_model_in_full_is_the_first_setting_whatever_was_kept():
    before = settings_of(InferenceSpec((8, 8, 8)))
    assert before[0] == Setting("auto", 0.5, "")
    kept = before[-1].of(InferenceSpec((8, 8, 8)))
    assert settings_of(kept) == before


def test_the_fastest_is_taken_whose_labels_stay():
    slow, wrong, right = (
        result(Setting("auto", 0.5), 9.0, 1.0),
        result(Setting("bfloat16", 0.25), 1.0, 0.99),
        result(Setting("auto", 0.25), 4.0, 0.9995),
    )
    assert fastest([slow, wrong, right]) is right
    assert fastest([slow, wrong, right], 0.98) is wrong
    assert fastest([slow, wrong]) is slow


def test_measured_on_a_volume(package):
    volume = make_volume(size=(70, 36, 30), spacing=(5.0, 5.0, 5.0))
    found = compare_settings(package, [[volume], [volume]])
    assert found[0].setting == Setting("auto", 0.5)
    assert (found[0].mean_dice, found[0].lowest_dice) == (1.0, 1.0)
    assert all(0 <= m.lowest_dice <= m.mean_dice <= 1 and m.seconds > 0 for m in found)
    fewer_tiles = next(m for m in found if m.setting.overlap == 0.25)
    assert fewer_tiles.lowest_dice < 1
    assert len({(m.engine, m.setting.overlap, m.setting.region) for m in found}) == len(found)


def test_kept_with_its_figures_and_the_same_weights(package):
    kept = keep(package, result(Setting("auto", 0.25), 4.0, 0.9995), 3)
    assert (kept.spec.inference.overlap, kept.spec.inference.precision) == (0.25, "auto")
    assert kept.fingerprint == package.fingerprint
    assert kept.spec.metrics[-1]["cases"] == 3
    assert kept.spec.metrics[-1]["lowest"] == 0.9995
    again = keep(kept, result(Setting("bfloat16", 0.5), 4.0, 0.9999), 1)
    assert [metric["setting"] for metric in again.spec.metrics] == ["bfloat16, overlap 0.5"]


def test_a_zip_is_not_changed(tmp_path):
    spec = tiny_spec()
    package = ModelPackage.load(save_package(spec, random_weights(spec), tmp_path / "tiny.zip"))
    with pytest.raises(UsageError, match="unpacks it"):
        keep(package, result(Setting("auto", 0.25), 4.0, 1.0), 1)


def test_the_command(package, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    write_volume(make_volume(size=(70, 36, 30), spacing=(5.0, 5.0, 5.0)), tmp_path / "a.nii.gz")
    assert cli.main(["models", "tune", "tiny", str(tmp_path / "a.nii.gz"), "--keep", "--least-dice", "0"]) == 0
    out = capsys.readouterr().out
    assert "fastest allowed" in out
    spec = ModelPackage.load(package.path).spec
    assert spec.metrics[-1]["setting"] in out
    assert cli.main(["models", "tune", DEFAULT_MODEL, str(tmp_path / "a.nii.gz"), "--keep"]) == 2
    assert "cannot be changed" in capsys.readouterr().err


def test_a_shipped_model_is_not_changed_by_its_path_either(monkeypatch):
    shipped = catalog.find_model(DEFAULT_MODEL)
    monkeypatch.chdir(shipped.parent)
    with pytest.raises(UsageError, match="cannot be changed"):
        tuning.check_can_be_kept(ModelPackage.load(shipped.name))
