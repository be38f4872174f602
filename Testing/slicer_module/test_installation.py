"""Installing: nothing without asking, failures in words, torch only by its extension."""

import os
import subprocess
import sys
import types

import pytest

pytest.importorskip("slicer")
import slicer

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegScene import installation
from LiverMRISegScene.installation import as_text, check_installation, install_missing, install_torch


@pytest.fixture
def absent(monkeypatch, tmp_path):
    """One requirement that is met, one too old, one absent."""
    file = tmp_path / "requirements.txt"
    file.write_text("# comment\nnumpy>=1.0\nsafetensors>=99.0\nno-such-package  # why\n")
    monkeypatch.setattr(installation, "_REQUIREMENTS", file)
    return ["safetensors>=99.0", "no-such-package"]


def test_the_real_requirements_are_met_here():
    assert installation.missing_requirements() == []
    assert install_missing(lambda question: pytest.fail("asked")) is True
    assert not any("torch" in line for line in installation.requirements())


def test_asks_and_installs(absent):
    asked, installed = [], []
    assert install_missing(lambda question: asked.append(question) or True, installed.extend) is True
    assert installed == absent
    assert "no-such-package" in asked[0]


def test_declined(absent):
    assert install_missing(lambda question: False, lambda names: pytest.fail("installed")) is False


def test_a_failure_is_told_in_words(absent):
    def fail(names):
        raise subprocess.CalledProcessError(1, "pip")

    with pytest.raises(LiverMRISegError, match=r"no-such-package failed: .*check the network connection"):
        install_missing(lambda question: True, fail)


def test_slicer_5_10(absent, monkeypatch):
    called = []
    monkeypatch.setattr(slicer.util, "pip_install", called.append, raising=False)
    assert install_missing(lambda question: False) is False
    assert install_missing(lambda question: True)
    assert called == ['"safetensors>=99.0" "no-such-package"']


@pytest.fixture
def slicer_packaging(tmp_path, monkeypatch):
    """A file slicer/packaging.py whose pip_ensure has the given body."""

    def make(body):
        folder = tmp_path / "slicer_5_12"
        folder.mkdir()
        (folder / "packaging.py").write_text(
            "import subprocess\nfrom pathlib import Path\n"
            f"def pip_ensure(requirements, requester=None):\n    assert requester == 'LiverMRISeg'\n    {body}\n"
        )
        monkeypatch.setattr(slicer, "__path__", [str(folder), *slicer.__path__])
        monkeypatch.syspath_prepend(str(tmp_path))

    monkeypatch.setattr(slicer, "packaging", None, raising=False)  # put back as it was, with the next line
    monkeypatch.delitem(sys.modules, "slicer.packaging", raising=False)
    yield make
    sys.modules.pop("slicer.packaging", None)


INSTALL = r"""for requirement in requirements:
        name, _, version = requirement.partition(">=")
        folder = Path(__file__).parents[1] / f"{name.replace('-', '_')}-{version or 1}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version or 1}\n")
"""


def test_slicer_5_12_asks_by_itself(absent, slicer_packaging):
    slicer_packaging(INSTALL)
    assert install_missing(lambda question: pytest.fail("asked twice")) is True
    assert installation.missing_requirements() == []


@pytest.mark.parametrize("body", ["raise RuntimeError('User declined package installation')", "return None"])
def test_slicer_5_12_declined_or_under_testing(absent, slicer_packaging, body):
    slicer_packaging(body)
    assert install_missing(lambda question: pytest.fail("asked twice")) is False


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise RuntimeError('PythonSlicer executable not found')", "PythonSlicer executable not found"),
        ("raise subprocess.CalledProcessError(1, 'pip install')", "pip ended with exit status 1"),
    ],
)
def test_slicer_5_12_fails_with_its_cause(absent, slicer_packaging, body, cause):
    slicer_packaging(body)
    with pytest.raises(LiverMRISegError, match=f"failed: .*{cause}"):
        install_missing(lambda question: True)


def test_torch_only_by_the_extension(monkeypatch, tmp_path):
    with pytest.raises(LiverMRISegError, match="PyTorch extension is not installed"):
        install_torch(lambda question: True)
    (tmp_path / "PyTorchUtils.py").write_text(
        "class PyTorchUtilsLogic:\n    def installTorch(self, askConfirmation):\n        return 'torch'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert install_torch(lambda question: False) is False
        assert install_torch(lambda question: True) is True
    finally:
        sys.modules.pop("PyTorchUtils", None)


def test_the_check_names_versions_devices_and_disk():
    text = as_text(check_installation())
    for word in (
        "Python: 3.",
        "numpy: ",
        "openvino: ",
        f"CPU: {os.cpu_count()} cores (cpu)",
        "Model folder: ",
        "OpenVINO",
    ):
        assert word in text
    assert "->" not in text.replace("  ->  less than", "")


def test_the_check_names_slicer_where_it_runs_there(monkeypatch):
    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(applicationVersion="5.12.0"), raising=False)
    assert "Slicer: 5.12.0\n" in as_text(check_installation())


def test_the_check_says_what_to_do(absent):
    assert "->  missing: safetensors>=99.0, no-such-package; click Install requirements" in as_text(
        check_installation()
    )
