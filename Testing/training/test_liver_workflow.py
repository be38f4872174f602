"""liver.smk: the whole graph, and a real run on tiny volumes that ends with two packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from LiverMRISegLib.models.package import ModelPackage
from tiny_data import write_data

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
TINY = """[--data.organs, liver, --data.spacing, "8", "4", "4", --data.patch, "8", "16", "16", --data.workers, "0",
  --network, stunet, --widths, "4", "4", "8", "8", "8", "8",
  --strides, "2", "2", "2", "1", "2", "2", "1", "1", "1", "1", "1", "1", "1", "1", "1",
  --loop.steps, "6", --loop.precision, 32-true, --loop.accelerator, cpu]"""


def snakemake(folder: Path, *more: str) -> subprocess.CompletedProcess:
    settings = folder / "settings.yaml"
    datalist = folder / "datalist.json" if (folder / "datalist.json").exists() else write_data(folder)
    settings.write_text(f"output: {folder / 'out'}\natlas: {datalist}\nliqa: {datalist}\nflags: {TINY}\n")
    workflow = ROOT / "scripts/train/workflows/liver.smk"
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", str(workflow), "--configfile", str(settings), "-d", str(folder),
         "--cores", "1", *more],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def test_the_graph_of_the_whole(tmp_path):
    done = snakemake(tmp_path, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    done = snakemake(tmp_path, "--dry-run")
    words = done.stdout + done.stderr
    assert "semi_supervised" in words
    assert "finetune" in words


@pytest.mark.parametrize("method", ["cross_pseudo_supervision", "bidirectional_copy_paste"])
def test_two_packages_come_out(tmp_path, method):
    done = snakemake(tmp_path, "--config", f"method={method}")
    assert done.returncode == 0, done.stderr
    for group, sequences in (("liver-contrast", {"GED4"}), ("liver-non-contrast", {"GED4", "T1WI", "T2WI"})):
        spec = ModelPackage.load(tmp_path / "out" / group / "model").spec
        assert spec.name == group
        assert set(spec.sequences) == sequences
    again = snakemake(tmp_path, "--config", f"method={method}")
    assert "Nothing to be done" in again.stdout + again.stderr
