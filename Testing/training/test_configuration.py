"""Config files: strict reading, writing back, flags over files."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.any_sequence import AnySequenceConfig
from LiverMRISegLib.training.configuration import config_from_arguments, read_config, write_config

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    patch: tuple[int, int, int] = (1, 2, 3)


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    flag: bool = False
    folder: Path = Path("x")
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_written_config_reads_back_equal(tmp_path):
    config = Outer("b", True, Path("y/z"), Inner(3.0, (4, 5, 6)), (Inner(), Inner(2.0)))
    write_config(config, tmp_path / "c.yaml")
    assert read_config(Outer, tmp_path / "c.yaml") == config


def test_integer_is_taken_where_a_float_is_expected(tmp_path):
    assert read_config(Outer, written(tmp_path, "inner: {rate: 1}")).inner.rate == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nam: b", "did you mean 'name'"),
        ("inner: {ratee: 1}", "did you mean 'rate'"),
        ("inner: {patch: [1, 2]}", "list of 3"),
        ("flag: 1", "bool was expected"),
        ("name: 3", "str was expected"),
        ("- a", "mapping"),
        ("a: [", "YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as error:
        read_config(Outer, written(tmp_path, text))
    assert "config.yaml" in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.yaml"):
        read_config(Outer, tmp_path / "absent.yaml")


def test_flags_override_the_file(tmp_path):
    path = written(tmp_path, "name: file\ninner: {rate: 5}")
    config = config_from_arguments(Outer, ["--config", str(path), "--name", "flag"])
    assert (config.name, config.inner.rate) == ("flag", 5.0)


def test_shipped_configs_read():
    config = read_config(AnySequenceConfig, ROOT / "scripts/train/configs/any_sequence.yaml")
    assert config.organs[0] == "liver"
    assert config.sources
