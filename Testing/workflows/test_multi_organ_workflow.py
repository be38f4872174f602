"""multi_organ.smk: both papers' graphs, and real runs on tiny volumes, one of them killed in the middle."""

import csv
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.places import ROOT
from helpers.tiny_data import snakemake_command
from helpers.waiting import SECONDS
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.training.configuration import read_settings
from LiverMRISegLib.volume import Geometry, Volume

pytest.importorskip("snakemake", reason="snakemake needs Python 3.11")
WORKFLOWS = ROOT / "scripts/train/workflows"
GRID = Geometry((30, 26, 10), (4.0, 4.0, 6.0))
CONTRASTS = {
    "CT": (-1000.0, 0.0, 80.0, 60.0),
    "T1WI": (5.0, 150.0, 280.0, 180.0),
    "C+V": (5.0, 120.0, 300.0, 200.0),
    "T2WI": (5.0, 250.0, 120.0, 300.0),
}
LOOP = '--loop.steps, "4", --loop.precision, 32-true, --loop.accelerator, cpu'
TINY_NETWORK = (
    '--data.spacing, "6", "4", "4", --data.patch, "8", "16", "16", --data.workers, "0", --network, plain-unet, '
    f'--widths, "4", "8", --blocks, "1", "1", --strides, "1", "1", "1", "1", "2", "2", '
    f'--kernels, "1", "3", "3", "3", "3", "3", {LOOP}'
)
SETTINGS = f"""
organs: [liver, spleen]
sequences: [C+V, T2WI]
also_labelled: [T1WI]
test_flags: [--device, cpu]
folds: 2
keep: 2
slice_flags: [--spacing, "6", "4", "4", --size, "32", "32", --workers, "0", {LOOP}]
segmenter_flags: [--widths, "4", "4", "4", "4", "4", "4", --batch, "2", --held-out, "1"]
translator_flags: [--gan.width, "4", --gan.blocks, "1", --gan.critic-width, "4", --batch, "1"]
fold_flags: [{TINY_NETWORK}]
small_flags: [{TINY_NETWORK}]
"""


def write_scan(folder: Path, name: str, sequence: str, seed: int) -> tuple[Path, Path]:
    random = np.random.default_rng([seed, len(sequence)])
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:-1, 3:23, 3:27] = 1
    labels[2:8, 6 + seed : 16, 4 : 13 + seed] = 2
    labels[3:7, 14:20, 18 : 22 + seed] = 3
    image = np.array(CONTRASTS[sequence])[labels] + random.normal(0, 5, GRID.shape)
    paths = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
    write_volume(Volume(image.astype(np.float32), GRID), paths[0])
    write_volume(Volume(np.maximum(labels, 1) - 1, GRID), paths[1])
    return paths


@pytest.fixture
def data(tmp_path) -> Path:
    """Labelled CT, MR of two sequences without labels, one MR of each with labels to test on."""
    scans = [Scan(f"ct{n}", "CT", *write_scan(tmp_path, f"ct{n}", "CT", n)) for n in range(4)]
    for sequence in ("C+V", "T2WI"):
        made = [write_scan(tmp_path, f"mr{n}_{sequence}", sequence, n) for n in range(3)]
        scans += [Scan(f"mr{n}", sequence, image) for n, (image, _) in enumerate(made[:2])]
        scans.append(Scan("mr2", sequence, *made[2], split="test"))
    # As AMOS: real MR of a sequence that no translator is trained for.
    scans.append(Scan("amos0", "T1WI", write_scan(tmp_path, "amos0_T1WI", "T1WI", 1)[0]))
    write_datalist(Datalist("tiny", "Apache-2.0", {1: "liver", 2: "spleen"}, scans), tmp_path / "data.json")
    return tmp_path


def write_settings(folder: Path, more: str = "", flags: str = "", sequences: str = "[C+V, T2WI]") -> list[str]:
    """A file of settings, whose networks get `flags` too; the arguments that name it."""
    settings, listed = folder / "settings.yaml", folder / "data.json"
    names = f"output: {folder / 'out'}\nct: {listed}\nmr: {listed}\ntest: {listed}\n"
    text = SETTINGS.replace("[--data.spacing", f"[{flags}--data.spacing").replace("[C+V, T2WI]", sequences)
    settings.write_text(names + text + more)
    return ["--configfile", str(settings)]


def command(folder: Path, *more: str) -> list[str]:
    return snakemake_command("multi_organ", folder, *more)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(folder: Path, *more: str) -> str:
    done = subprocess.run(command(folder, *more), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("settings", "rules", "absent"),
    [
        (
            [],
            {"train_slice_segmenter": 1, "train_translator": 8, "train_segmenter": 10, "join_models": 1, "distill": 1},
            "match_domains",
        ),
        (
            ["--configfile", str(WORKFLOWS / "multi_organ_paper_004.yaml")],
            {"train_translator": 8, "train_segmenter": 20, "match_domains": 1, "stable_cases": 1, "distill": 1},
            "train_slice_segmenter",
        ),
    ],
    ids=["paper 003", "paper 004"],
)
def test_the_graph_of_the_whole(data, settings, rules, absent):
    lists = ["--config", f"ct={data / 'data.json'}", f"mr={data / 'data.json'}"]
    words = run(data, "--dry-run", *settings, *lists)
    counts = {line.split()[0]: int(line.split()[1]) for line in words.splitlines() if len(line.split()) == 2
              and line.split()[1].isdigit()}  # fmt: skip
    assert rules.items() <= counts.items()
    assert absent not in counts


def test_the_folds_are_planned_by_ct_but_not_normalised_by_its_figures(data):
    """They learn translations and label MR, whose intensities are others."""
    lists = ["--config", f"ct={data / 'data.json'}", f"mr={data / 'data.json'}", "plan=true"]
    words = run(data, "--dry-run", "--printshellcmds", *lists, "--", "runs/multi_organ/plans/multi_organ.yaml")
    assert "'--labelled.sequences' 'CT'" in words
    assert "'--normalisation' 'z-score'" in words
    gradients = ["--configfile", str(WORKFLOWS / "multi_organ_paper_004.yaml"), *lists]
    done = subprocess.run(command(data, "--dry-run", *gradients), env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert "gradient images are made at the translators' spacing" in done.stdout + done.stderr


def test_all_networks_of_paper_004_have_one_spacing():
    """2.5 x 0.81 x 0.81 mm and patches of 40 x 224 x 192, which no flag of its settings changes."""
    configs = WORKFLOWS.parent / "configs"
    settings = read_settings(WORKFLOWS / "multi_organ_paper_004.yaml")
    names = [settings[key] for key in ("translator", "segmenter", "small")]
    translator, *segmenters = [read_settings(configs / f"{name}.yaml") for name in names]
    assert translator["spacing"] == [2.5, 0.81, 0.81]
    for segmenter in segmenters:
        data = segmenter["data"]
        assert (data["spacing"], data["patch"], data["space"]) == ([2.5, 0.81, 0.81], [40, 224, 192], "anatomy")
    assert {key: flags for key, flags in settings.items() if key.endswith("flags")} == {
        "translator_flags": ["--gan.adversarial", "log", "--gan.identity-of", "translations"],
        "match_flags": ["--metric", "least squares"],
    }


def test_the_cost_of_all_trainings(data):
    """With the authors' organ attention, whose translator trains its own segmenter."""
    more = "translator: translator_organ_attention_joint\n"
    settings = write_settings(data, more)
    text = Path(settings[1]).read_text()
    widths = '--segmenter-widths, "4", "4", "4", "4", "4", "4", '
    Path(settings[1]).write_text(text.replace("translator_flags: [", f"translator_flags: [{widths}"))
    words = run(data, *settings, "--", "preview")
    for title in ("2 translators, each:", "4 folds, each:", "1 small network, each:"):
        assert f"{title}\n" in words
    assert words.count("4 steps of ") == 3
    assert re.search(r"4 folds, each:\n.*\n.* [1-9]\d* for the labels", words)
    assert "segmenter of slices" not in words
    assert not list((data / "out").rglob("checkpoints/*"))


def test_stability_needs_rounds_to_compare(data):
    lists = ["--config", f"ct={data / 'data.json'}", f"mr={data / 'data.json'}", "selection=stability", "rounds=0"]
    done = subprocess.run(command(data, "--dry-run", *lists), env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert "rounds must be at least 1" in done.stdout + done.stderr


def test_a_run_killed_in_the_middle_goes_on(data):
    settings = write_settings(data, "rounds: 0\npreview: false\n", sequences="[T2WI]")
    process = subprocess.Popen(
        command(data, *settings),
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    fold = data / "out/round_0/fold_0"
    until = time.monotonic() + SECONDS
    while not any(fold.glob("checkpoints/step_*.pt")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    translators = {path: path.stat().st_mtime_ns for path in (data / "out/translators").glob("*/done")}
    assert len(translators) == 1
    run(data, *settings, "--unlock")
    words = run(data, *settings, "--rerun-incomplete")
    assert "train_translator" not in words
    assert {path: path.stat().st_mtime_ns for path in translators} == translators
    check_the_small_network(data, {"T1WI", "T2WI"})
    for model in ("small", "ensemble"):
        check_the_figures(data, model)
    ensemble = ModelPackage.load(data / "out/ensemble/model").spec
    assert (ensemble.network.members, ensemble.name) == (2, "multi-organ-ensemble")
    listed = read_datalist(data / "out/round_0/labels/datalist.json")
    assert {scan.sequence for scan in listed.scans} == {"T1WI", "T2WI"}
    assert sum(scan.labels is not None for scan in listed.scans) <= 4
    assert "Nothing to be done" in run(data, *settings)


def check_the_small_network(data: Path, sequences: set[str]) -> None:
    package = ModelPackage.load(data / "out/small/model")
    assert package.spec.inference.resample == "labels"
    assert set(package.spec.sequences) == sequences
    volume = read_volume(data / "mr2_T2WI.nii.gz")
    assert Segmenter.load(data / "out/small/model", "cpu").segment(volume).labelmap.shape == volume.array.shape


def check_the_figures(data: Path, model: str) -> None:
    rows = {row[0]: row[1] for row in csv.reader((data / f"out/{model}/evaluation/summary.csv").open())}
    assert rows["failed cases"] == "0"
    assert float(rows["seconds per case"]) > 0


def test_anatomy_space_matching_and_stability(data):
    more = (
        "translator: translator_anatomy_space\nselection: stability\nmatch: {better: [C+V, T1WI], worse: [T2WI]}\n"
        "segmenter: multi_organ_anatomy_space\npreview: false\n"
    )
    run(data, *write_settings(data, more, flags="--data.space, anatomy, "), "--config", "test=")
    check_the_small_network(data, {"C+V", "T1WI", "T2WI"})
    assert ModelPackage.load(data / "out/small/model").spec.preparation.space == "anatomy"
    listed = read_datalist(data / "out/stable/datalist.json")
    assert sorted(scan.sequence for scan in listed.scans if scan.labels) == ["C+V"] * 2 + ["T1WI"] + ["T2WI"] * 2
    assert (data / "out/round_0/matched/matches.csv").exists()
