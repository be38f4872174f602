"""Devices as a real program on PATH tells them."""

import os

import pytest

from LiverMRISegLib.inference.devices import Device, list_devices, support_of


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    def make(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return make


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_gpus_come_first(nvidia_smi):
    nvidia_smi("echo '0, NVIDIA A100, 40960, 38000, 550.54, 8.0'; echo '1, NVIDIA T4, [N/A], [N/A], 550.54, 7.5'")
    first, second, last = list_devices()
    assert first.id == "cuda:0"
    assert first.title == "NVIDIA A100 (cuda:0), 40 of 43 GB free"
    assert second.title == "NVIDIA T4 (cuda:1)"
    assert (last.id, first.driver, first.capability) == ("cpu", "550.54", "8.0")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
@pytest.mark.parametrize("script", ["exit 9", "echo 'no devices were found'", "kill -9 $$"])
def test_a_driver_that_fails_leaves_the_processor(nvidia_smi, script):
    nvidia_smi(script)
    assert [device.id for device in list_devices() if device.id != "mps"] == ["cpu"]


def test_the_processor_has_memory():
    assert list_devices()[-1].total_gb > 0.5


@pytest.mark.parametrize(
    ("capability", "built", "expected"),
    [
        ("8.0", ["sm_70", "sm_80", "sm_90"], ""),
        ("8.9", ["sm_80", "sm_86"], ""),
        ("12.0", ["sm_80", "sm_90a"], "newer than this torch"),
        ("5.2", ["sm_70", "sm_80"], "too old"),
        ("", ["sm_70"], ""),
        ("8.0", [], ""),
    ],
)
def test_support_by_the_installed_torch(capability, built, expected):
    text = support_of(Device("cuda:0", "GPU", capability=capability), built)
    assert (expected in text) if expected else text == ""
