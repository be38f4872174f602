"""Freed memory stays with the process, seen by the page faults of a real one."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from LiverMRISegLib.training.fabric import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
faults = []
for _ in range(40):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16, 1024, 1024)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults))  # not of one step: small blocks are cut from what steps leave, until these parts join
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_the_next_step_touches_no_new_pages():
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("give back", "keep")
    )
    assert kept < given_back / 10
