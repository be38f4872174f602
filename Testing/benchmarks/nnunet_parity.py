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
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from LiverMRISegLib.anatomy import LIVER, RIGHT_KIDNEY, SPLEEN
from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_channels, read_labelmap, write_volume
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.models.importers.nnunet_plans import preparation_of
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.preparation.nnunet_scheme import prepare_as_nnunet
from LiverMRISegLib.volume import Geometry, Volume, reorient, resample
from nnunet_folder import Design, checkpoint, configuration, dataset, plans, write_folder

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / ".venv-nnunet" / "bin" / "python"
NAMES = {"liver": 1, "kidney_right": 2, "Spleen of mine": 3}
ORGANS = (LIVER, RIGHT_KIDNEY, SPLEEN)
FEATURES, STEPS, PATIENTS = (8, 16, 24), 200, 4
MIRRORED = ("oblique",)  # eight times the work: not for every input
AIM_DICE = 0.999
_TABLE = np.zeros(256, np.uint8)
for _value, _organ in enumerate(ORGANS, start=1):
    _TABLE[LABELS.value_of(_organ)] = _value


@dataclass(frozen=True)
class Model:
    """A model to compare on: `spacing` and `patch` are of the transposed axes.

    `second`: how the second of two images a case is normalised; empty for a model of one. `seed`: of the weights
    that training starts from; some end without a label.
    """

    name: str
    kind: str
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]
    normalisation: str
    masked: bool = False
    folds: int = 1
    transpose: tuple[int, int, int] = (0, 1, 2)
    reader: str = "SimpleITKIO"
    second: str = ""
    seed: int = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """What its images are called."""
        return ("T2", "T1") if self.second else ("MRI",)

    @property
    def plans(self) -> dict:
        """Its plans.json."""
        made = configuration(
            Design(self.kind, FEATURES), self.spacing, self.patch,
            normalization_schemes=[scheme for scheme in (self.normalisation, self.second) if scheme],
            use_mask_for_norm=[self.masked] * len(self.channels),
        )  # fmt: skip
        return plans({"3d_fullres": made}, self.transpose, image_reader_writer=self.reader)


MODELS = (
    Model("plain, 5 mm, CT", "PlainConvUNet", (5, 5, 5), (24, 32, 40), "CTNormalization"),
    Model("res-enc, 5 mm, MR", "ResidualEncoderUNet", (5, 5, 5), (24, 32, 40), "ZScoreNormalization", folds=3),
    Model("plain, 10x3x3, masked", "PlainConvUNet", (10, 3, 3), (12, 40, 48), "ZScoreNormalization", masked=True),
    Model("res-enc, 10x3x3, CT", "ResidualEncoderUNet", (10, 3, 3), (12, 40, 48), "CTNormalization"),
    Model("plain, axes 1 0 2", "PlainConvUNet", (3, 10, 3), (40, 12, 48), "ZScoreNormalization", transpose=(1, 0, 2),
          reader="NibabelIO"),
    Model("res-enc, axes 2 0 1, RAS", "ResidualEncoderUNet", (5, 6, 5), (40, 24, 32), "RescaleTo01Normalization",
          transpose=(2, 0, 1), reader="NibabelIOWithReorient"),
    Model("plain, two images", "PlainConvUNet", (10, 3, 3), (12, 40, 48), "ZScoreNormalization", masked=True,
          second="CTNormalization", seed=2),
    Model("res-enc, two, axes 1 0 2", "ResidualEncoderUNet", (5, 6, 5), (40, 24, 32), "CTNormalization", masked=True,
          transpose=(1, 0, 2), second="ZScoreNormalization", seed=1),
)  # fmt: skip


@cache
def phantom(seed: int, in_plane: float = 2.2, slices: float = 6.0) -> tuple[list[Volume], Volume]:
    """An invented patient in a T2- and a T1-weighted scan, air set to 0 as scanners that mask it do, and the labels.

    Beyond what is not 0 in the one, the other may still be.
    """
    study = make_study([MrSequence.T2WI, MrSequence.T1WI], seed, in_plane_mm=in_plane, slice_mm=slices)
    first, second = study[MrSequence.T2WI], study[MrSequence.T1WI]
    images = [
        _cut(first.volume, 60, (slice(2, -2), slice(4, -4), slice(3, -5))),
        _cut(second.volume, 100, (slice(1, -3), slice(6, -3), slice(5, -4))),
    ]
    return images, Volume(_TABLE[first.labelmap.array], first.labelmap.geometry)


def _cut(volume: Volume, air: int, inside: tuple[slice, slice, slice]) -> Volume:
    image = np.zeros(volume.array.shape, np.int16)
    image[inside] = np.where(volume.array > air, volume.array, 0)[inside]
    return Volume(image, volume.geometry)


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


def trained(model: Model) -> list[dict[str, torch.Tensor]]:
    """The states of a small network after some hundred steps on prepared phantoms; each further fold trains on."""
    net = Design(model.kind, FEATURES).network(len(NAMES) + 1, model.seed, len(model.channels))
    spec = preparation_of(model.plans, model.plans["configurations"]["3d_fullres"], model.channels)
    cases = [_prepared(*phantom(patient), spec) for patient in range(PATIENTS)]
    states = []
    for fold in range(model.folds):
        _train(net, cases, model.patch, STEPS if fold == 0 else STEPS // 4, np.random.default_rng(fold))
        states.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    return states


def _train(
    net: torch.nn.Module,
    cases: Sequence[tuple[np.ndarray, np.ndarray]],
    patch: Sequence[int],
    steps: int,
    random: np.random.Generator,
) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(steps):
        image, labels = _patch(*cases[int(random.integers(len(cases)))], patch, random)
        loss = torch.nn.functional.cross_entropy(net(image), labels, torch.tensor([1.0, 2, 4, 4]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _prepared(images: list[Volume], labels: Volume, spec: PreparationSpec) -> tuple[np.ndarray, np.ndarray]:
    """Images [C, Z, Y, X] and labels on the network's grid; labels by the nearest voxel."""
    prepared = prepare_as_nnunet(images[0], spec, images[1 : len(spec.images)])
    cut = labels.array.transpose(prepared.transpose)[prepared.box]
    shape = prepared.image.shape[-3:]
    z, y, x = ((np.arange(t) * 2 + 1) * s // (2 * t) for s, t in zip(cut.shape, shape, strict=True))
    return prepared.image.reshape(-1, *shape), cut[np.ix_(z, y, x)]


def _patch(image: np.ndarray, labels: np.ndarray, patch: Sequence[int], random: np.random.Generator) -> tuple:
    room = [(0, max(0, p - n)) for p, n in zip(patch, labels.shape, strict=True)]
    image, labels = np.pad(image, [(0, 0), *room]), np.pad(labels, room)
    starts = [random.integers(n - p + 1) for n, p in zip(labels.shape, patch, strict=True)]
    box = tuple(slice(s, s + p) for s, p in zip(starts, patch, strict=True))
    return torch.from_numpy(image[(slice(None), *box)].copy())[None].float(), torch.from_numpy(labels[box].copy())[
        None
    ].long()


def write_models(folder: Path, models: Sequence[Model]) -> dict[Model, Path]:
    """Train every model and write it as nnU-Net does."""
    found = {}
    for model in models:
        start = time.perf_counter()
        folds = {f"fold_{fold}": checkpoint(state) for fold, state in enumerate(trained(model))}
        data = dataset(NAMES, channel_names={str(number): name for number, name in enumerate(model.channels)})
        found[model] = write_folder(folder / model.name.replace(" ", "_"), model.plans, data, folds)
        print(f"trained {model.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return found


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
