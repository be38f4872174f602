"""Devices as a real program on PATH tells them."""

import os
import sys

import pytest

from LiverMRISegLib.inference.engines.devices import Device, list_devices, support_of


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
def test_a_driver_that_fails_leaves_the_cpu(nvidia_smi, script):
    nvidia_smi(script)
    assert [device.id for device in list_devices() if device.id != "mps"] == ["cpu"]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_a_gpu_of_unknown_capability_is_listed(nvidia_smi):
    nvidia_smi("echo '0, Quadro, 2048, 1024, 390.1, [N/A]'")
    gpu = list_devices()[0]
    assert (gpu.id, gpu.capability, support_of(gpu, ["sm_80"])) == ("cuda:0", "", "")


@pytest.mark.parametrize("with_psutil", [True, False])
def test_the_cpu_has_memory(monkeypatch, with_psutil):
    if not with_psutil:
        if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
            pytest.skip("only psutil knows the memory here")
        monkeypatch.setitem(sys.modules, "psutil", None)
    cpu = list_devices()[-1]
    assert cpu.total_gb > 0.5
    assert 0 < cpu.free_gb <= cpu.total_gb


@pytest.mark.parametrize(
    ("capability", "built", "expected"),
    [
        ("8.0", ["sm_70", "sm_80", "sm_90"], ""),
        ("8.9", ["sm_80", "sm_86"], ""),
        ("12.0", ["sm_80", "sm_90a"], "newer than this torch"),
        ("12.0", ["sm_80", "sm_90", "compute_90"], ""),
        ("10.0", ["sm_90", "sm_120"], "not among those"),
        ("10.3", ["sm_90", "sm_100f"], ""),
        ("5.2", ["sm_70", "sm_80"], "too old"),
        ("8.0", ["gfx90a"], ""),
        ("", ["sm_70"], ""),
        ("8.0", [], ""),
    ],
)
def test_support_by_the_installed_torch(capability, built, expected):
    text = support_of(Device("cuda:0", "GPU", capability=capability), built)
    assert (expected in text) if expected else text == ""
