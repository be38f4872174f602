"""liver.smk: the whole graph, and a real run on tiny volumes that ends with two packages."""

import subprocess
from pathlib import Path

import pytest

from helpers.tiny_data import snakemake, write_data
from LiverMRISegLib.models.package.model_package import ModelPackage

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
TINY = """[--data.organs, liver, --data.spacing, "8", "4", "4", --data.patch, "8", "16", "16", --data.workers, "0",
  --network, stunet, --widths, "4", "4", "8", "8", "8", "8",
  --strides, "2", "2", "2", "1", "2", "2", "1", "1", "1", "1", "1", "1", "1", "1", "1",
  --loop.steps, "6", --loop.precision, 32-true, --loop.accelerator, cpu]"""


def run(folder: Path, *more: str) -> subprocess.CompletedProcess:
    settings = folder / "settings.yaml"
    datalist = folder / "datalist.json" if (folder / "datalist.json").exists() else write_data(folder)
    settings.write_text(f"output: {folder / 'out'}\natlas: {datalist}\nliqa: {datalist}\nflags: {TINY}\n")
    return snakemake("liver", folder, *more)


def test_the_graph_of_the_whole(tmp_path):
    done = run(tmp_path, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "--dry-run")
    words = done.stdout + done.stderr
    assert "semi_supervised" in words
    assert "finetune" in words


@pytest.mark.parametrize("method", ["cross_pseudo_supervision", "bidirectional_copy_paste"])
def test_two_packages_come_out(tmp_path, method):
    done = run(tmp_path, "--config", f"method={method}")
    assert done.returncode == 0, done.stderr
    for group, sequences in (("liver-contrast", {"GED4"}), ("liver-non-contrast", {"GED4", "T1WI", "T2WI"})):
        spec = ModelPackage.load(tmp_path / "out" / group / "model").spec
        assert spec.name == group
        assert set(spec.sequences) == sequences
    again = run(tmp_path, "--config", f"method={method}")
    assert "Nothing to be done" in again.stdout + again.stderr
