"""Libraries that are missing: what to do is said for the place where it happens."""

import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.extras import require


def missing(*modules):
    with pytest.raises(UsageError) as raised:
        require("a report", "report", *modules)
    return str(raised.value)


def test_what_is_installed_is_not_asked_for():
    require("a report", "report", "json")


def test_in_a_shell(monkeypatch):
    monkeypatch.delenv("SLICER_HOME", raising=False)
    assert missing("json", "no_such_a", "no_such_b") == (
        "a report needs no_such_a and no_such_b: pip install 'livermriseg[report]'"
    )


def test_in_slicer_there_is_no_shell(monkeypatch):
    monkeypatch.setenv("SLICER_HOME", "/opt/Slicer")
    assert missing("no_such_a", "no_such_b").endswith(
        ": in Slicer's Python console: slicer.util.pip_install('no_such_a no_such_b')"
    )
    monkeypatch.setattr("LiverMRISegLib.extras.find_spec", lambda name: None)
    assert missing("torch").endswith(": click Install PyTorch in the module LiverMRISeg")
