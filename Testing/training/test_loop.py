"""What the loop says of the machine it finds."""

import platform
import sys
from pathlib import Path

import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training import fabric
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.loop import LoopConfig


@pytest.mark.parametrize(
    ("precision", "has_bfloat16", "warns"),
    [("bf16-mixed", False, True), ("bf16-mixed", True, False), ("32-true", False, False)],
)
def test_slow_bfloat16_is_warned_of(precision, has_bfloat16, warns, caplog, monkeypatch):
    monkeypatch.setattr(fabric, "has_bfloat16", lambda: has_bfloat16)
    make_fabric(LoopConfig(accelerator="cpu", precision=precision))
    assert ("set loop.precision 32-true" in caplog.text) == warns


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="another list of instructions")
def test_the_cpu_is_asked():
    known = set(Path("/proc/cpuinfo").read_text().split())
    assert fabric.has_bfloat16() == ({"avx512bw", "avx512vl", "avx512dq"} <= known)


@pytest.mark.parametrize("key", ["log_every", "validate_every", "checkpoint_every", "devices"])
@pytest.mark.parametrize("value", [0, -1])
def test_counts_that_no_loop_can_keep_are_named(key, value):
    with pytest.raises(UsageError, match=f"{key} must be between 1 and"):
        LoopConfig(**{key: value})
