"""The models that nnU-Net's masks are compared on: small networks trained for some seconds on phantoms."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from LiverMRISegLib.anatomy import LIVER, RIGHT_KIDNEY, SPLEEN
from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.models.importers.nnunet_plans import preparation_of
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.preparation.nnunet_scheme import prepare_as_nnunet
from LiverMRISegLib.volume import Volume
from nnunet_folder import Design, checkpoint, configuration, dataset, plans, write_folder

NAMES = {"liver": 1, "kidney_right": 2, "Spleen of mine": 3}
ORGANS = (LIVER, RIGHT_KIDNEY, SPLEEN)
FEATURES, STEPS, PATIENTS = (8, 16, 24), 200, 4
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
