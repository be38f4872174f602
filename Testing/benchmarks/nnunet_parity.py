"""The same masks as nnU-Net v2? Networks trained briefly on phantoms, run by nnU-Net's own predictor and by ours.

nnU-Net weights, adds up and interpolates its logits in 16 bits, we in 32; where two logits become equal that way, the
lower label wins. The columns "32 bits" and "lowest" tell how many voxels differ from nnU-Net with all of that in 32
bits, and the lowest Dice of a label against that.

    make bench-nnunet                                    # once
    .venv/bin/python Testing/benchmarks/nnunet_parity.py [PART OF A MODEL'S NAME]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_channels, read_labelmap, write_volume
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.volume import Geometry, Volume, reorient, resample
from nnunet_parity_models import MODELS, NAMES, Model, phantom, write_models

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / ".venv-nnunet" / "bin" / "python"
MIRRORED = ("oblique",)  # eight times the work: not for every input
AIM_DICE = 0.999


def inputs(folder: Path) -> dict[str, list[Path]]:
    """Test files: as scanned, with axes flipped and in another order, oblique, and with thin planes of few slices.

    Of each the two images; models of one take the first.
    """
    paths: dict[str, list[Path]] = {}
    for number, (image, thick) in enumerate(zip(phantom(100)[0], phantom(101, 1.9, 8.0)[0], strict=True)):
        made = {"axial": image, "flipped": reorient(image, "RAI"), "permuted": reorient(image, "SRA"), "thick": thick}
        for name, volume in {**made, "oblique": _turned(image)}.items():
            paths.setdefault(name, []).append(folder / f"{name}_{number:04d}.nii.gz")
            write_volume(volume, paths[name][-1])
    return paths


def _turned(volume: Volume) -> Volume:
    """On a grid turned by 14 degrees about two axes, zero where it leaves the scan."""
    c, s = np.cos(0.25), np.sin(0.25)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    old = volume.geometry
    centre = np.array(old.world_of([(n - 1) / 2 for n in old.size]))
    first = centre - turn @ ((np.array(old.size) - 1) / 2 * np.array(old.spacing))
    rows = _triple(turn[0]), _triple(turn[1]), _triple(turn[2])
    return resample(volume, Geometry(old.size, old.spacing, _triple(first), rows))


def _triple(numbers: np.ndarray) -> tuple[float, float, float]:
    x, y, z = map(float, numbers)
    return x, y, z


def reference(folder: Path, models: dict[Model, Path], files: dict[str, list[Path]]) -> None:
    """Let nnU-Net predict everything, with and without mirroring, with sums in 16 and in 32 bits."""
    jobs: list[dict[str, Any]] = [
        {
            "model": str(path), "folds": list(range(model.folds)), "mirror": mirror, "wide": wide,
            "files": [list(map(str, files[name][: len(model.channels)])) for name in _tested(mirror, files)],
            "outputs": [
                str(_output(folder, model, mirror, wide, name)).removesuffix(".nii.gz")
                for name in _tested(mirror, files)
            ],
        }
        for model, path in models.items() for mirror in (False, True) for wide in (False, True)
    ]  # fmt: skip
    for job in jobs:
        Path(job["outputs"][0]).parent.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("nnunet_reference.py")
    subprocess.run([REFERENCE, script, folder / "jobs.json"], check=True, stdout=subprocess.DEVNULL)


def _tested(mirror: bool, files: dict[str, list[Path]]) -> Sequence[str]:
    return MIRRORED if mirror else list(files)


def _output(folder: Path, model: Model, mirror: bool, wide: bool, name: str) -> Path:
    kind = f"{'mirrored' if mirror else 'plain'}_{'32' if wide else '16'}"
    return folder / "reference" / model.name.replace(" ", "_") / kind / f"{name}.nii.gz"


def dice(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Per label of NAMES; NaN where neither has it."""
    scores = []
    for value in NAMES.values():
        a, b = first == value, second == value
        total = int(a.sum() + b.sum())
        scores.append(2 * int((a & b).sum()) / total if total else float("nan"))
    return scores


def on_outline(labels: np.ndarray, voxels: np.ndarray) -> int:
    """How many of `voxels` touch, in `labels`, a voxel of another label."""
    outline = np.zeros(labels.shape, bool)
    for axis in range(3):
        differ = np.diff(labels.astype(np.int16), axis=axis) != 0
        lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        outline[lower] |= differ
        outline[upper] |= differ
    return int((voxels & outline).sum())


def compare(folder: Path, model: Model, source: Path, files: dict[str, list[Path]]) -> list[tuple[float, float]]:
    """Print a line per input and mirroring; returns the Dice of every label, against 16 and against 32 bits."""
    package = import_nnunet_model(source, "parity", folder / "packages" / model.name.replace(" ", "_"))
    segmenter = Segmenter.load(package, "cpu")
    scores: list[tuple[float, float]] = []
    for mirror in (False, True):
        for name in _tested(mirror, files):
            first, *further = read_channels(files[name][0], model.channels)
            ours = segmenter.segment(first, further=further, tta=mirror).labelmap
            theirs, wide = (read_labelmap(_output(folder, model, mirror, w, name)).array for w in (False, True))
            differ, found, found_wide = ours != theirs, dice(ours, theirs), dice(ours, wide)
            scores += zip(found, found_wide, strict=True)
            print(
                f"{model.name:24s} {model.folds:5d} {'yes' if mirror else 'no':>6s} {name:9s} "
                f"{' '.join(f'{d:8.6f}' for d in found)} {int((theirs > 0).sum()):9d} {int(differ.sum()):7d} "
                f"{on_outline(theirs, differ):8d} {int((ours != wide).sum()):8d} {np.nanmin(found_wide):8.6f}",
                flush=True,
            )
    return scores


def main() -> None:
    """Train, predict by both, print; the last line holds the result."""
    if not REFERENCE.exists():
        raise SystemExit(f"{REFERENCE} is missing; run: make bench-nnunet")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        files = inputs(folder)
        models = write_models(folder, [model for model in MODELS if " ".join(sys.argv[1:]) in model.name])
        reference(folder, models, files)
        print(
            f"{'model':24s} folds mirror input     {'liver':8s} {'kidney':8s} {'spleen':8s} {'labelled':>9s} "
            f"{'differ':>7s} {'outline':>8s} {'32 bits':>8s} {'lowest':8s}"
        )
        scores = [pair for model, path in models.items() for pair in compare(folder, model, path, files)]
    known, wide = (np.array([pair[which] for pair in scores]) for which in (0, 1))
    print(
        f"RATIO nnunet_parity: Dice of {int((~np.isnan(known)).sum())} masks against nnunetv2: "
        f"mean {np.nanmean(known):.6f}, lowest {np.nanmin(known):.6f}, "
        f"{int((known < AIM_DICE).sum())} below {AIM_DICE} (aim: none); "
        f"against nnunetv2 in 32 bits: mean {np.nanmean(wide):.6f}, lowest {np.nanmin(wide):.6f}"
    )


if __name__ == "__main__":
    main()
