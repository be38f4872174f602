"""Scores of a network on held-out volumes, predicted tile by tile as inference does it, at a cost that is bounded.

While it trains a stated number of cases is scored, whole or in a stated number of patches each; the last step also
scores all cases whole.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.volume import Box

_SHOWN = 4


@dataclass(frozen=True)
class LabelledImage:
    """`image` float32 [Z, Y, X], prepared, and `labels` uint8 [Z, Y, X]; of any size, in memory or mapped from disk.

    `foreground` maps each class present to some of its voxels, int [N, 3]; without it the image is always scored whole.
    """

    image: np.ndarray
    labels: np.ndarray
    foreground: Mapping[int, np.ndarray] = field(default_factory=dict)

    def part(self, box: Box) -> LabelledImage:
        """What is within `box`, [Z, Y, X]."""
        return LabelledImage(np.asarray(self.image[box]), np.asarray(self.labels[box]))


class NetworkEngine:
    """A network in training as an engine of the core (`inference.engines.engine.Engine`)."""

    name = "training"
    batch = 1

    def __init__(self, network: torch.nn.Module, fabric: Fabric) -> None:
        self._network, self._fabric = network, fabric
        self.device = str(fabric.device)

    @torch.no_grad()
    def predict(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine.predict`; of deep supervision's outputs the finest."""
        images = torch.from_numpy(np.ascontiguousarray(batch)).to(
            self._fabric.device, memory_format=torch.channels_last_3d
        )
        with self._fabric.autocast():
            outputs = self._network(images)
        logits: np.ndarray = (outputs if torch.is_tensor(outputs) else outputs[0]).float().cpu().numpy()
        return logits


@dataclass(frozen=True)
class Validation:
    """The images to score on, the names of the classes from 1 on, and the tiles.

    `cases` of the images are scored, spread evenly over them, and of each `patches` patches of one tile around its
    foreground, the same ones every time; 0 means all cases, and whole images. After step `last` all are scored whole.
    """

    images: Sequence[LabelledImage]
    classes: Sequence[str]
    inference: InferenceSpec
    cases: int = 0
    patches: int = 0
    last: int = 0

    @property
    def is_bounded(self) -> bool:
        """Whether less is scored than all images whole."""
        return 0 < self.cases < len(self.images) or (self.patches > 0 and any(i.foreground for i in self.images))

    def score(
        self, networks: Sequence[torch.nn.Module], fabric: Fabric, writer: SummaryWriter, step: int
    ) -> dict[str, float]:
        """Mean Dice per class over the images that hold it, of the mean of the networks' logits.

        "score" is the mean over the classes. The first images go to TensorBoard. Without images: nothing. After the
        last step of a bounded validation there are "whole score" and "whole CLASS" too, of all images.
        """
        if not self.images:
            return {}
        engines = [NetworkEngine(network.eval(), fabric) for network in networks]
        found = []
        for number, case in enumerate(_evenly(self.images, self.cases)):
            parts = self._parts(case, number)
            predicted = [self._predict(part.image, engines) for part in parts]
            labels = np.concatenate([part.labels.ravel() for part in parts])
            found.append(self._dice(np.concatenate([one.ravel() for one in predicted]), labels))
            if number < _SHOWN:
                writer.add_image(f"validation/{number}", _picture(parts[0], predicted[0]), step)
        scores = self._means(found)
        if step == self.last and self.is_bounded:
            whole = [
                self._dice(self._predict(np.asarray(case.image), engines), np.asarray(case.labels))
                for case in self.images
            ]
            scores |= {f"whole {name}": value for name, value in self._means(whole).items()}
        return scores

    def _means(self, found: Sequence[Sequence[float]]) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a class that no image holds has no mean
            means = np.nanmean(np.stack([np.asarray(row) for row in found]), axis=0)
            return {"score": float(np.nanmean(means)), **dict(zip(self.classes, means.tolist(), strict=True))}

    def _parts(self, case: LabelledImage, number: int) -> list[LabelledImage]:
        """The whole image, or its patches: each around a voxel of one of its classes in turn."""
        if not self.patches or not case.foreground:
            return [LabelledImage(np.asarray(case.image), np.asarray(case.labels))]
        random = np.random.default_rng(number)
        values = sorted(case.foreground)
        parts = []
        for place in range(self.patches):
            voxels = case.foreground[values[place % len(values)]]
            centre = voxels[int(random.integers(len(voxels)))]
            ranges = []
            for middle, size, whole in zip(centre, self.inference.patch, case.image.shape, strict=True):
                start = min(max(0, int(middle) - size // 2), max(0, whole - size))
                ranges.append(slice(start, start + size))
            parts.append(case.part((ranges[0], ranges[1], ranges[2])))
        return parts

    def _dice(self, predicted: np.ndarray, labels: np.ndarray) -> list[float]:
        """Dice per class, NaN where the image lacks it. Voxels without truth (IGNORE) do not count."""
        known = labels <= len(self.classes)
        found, truth = predicted[known], labels[known]
        values = range(1, len(self.classes) + 1)
        return [dice(found == v, truth == v) if (truth == v).any() else math.nan for v in values]

    def _predict(self, image: np.ndarray, engines: Sequence[NetworkEngine]) -> np.ndarray:
        classes = len(self.classes) + 1
        logits = sum(
            predict_logits(image, engine, classes, self.inference, progress=silent, cancel=CancelToken())
            for engine in engines
        )
        labels: np.ndarray = np.argmax(logits, 0)
        return labels


def _evenly(images: Sequence[LabelledImage], count: int) -> list[LabelledImage]:
    """`count` of the images, from the first to the last; all if 0."""
    if not 0 < count < len(images):
        return list(images)
    return [images[int(place)] for place in np.linspace(0, len(images) - 1, count).round()]


def _picture(case: LabelledImage, predicted: np.ndarray) -> np.ndarray:
    """Image, truth and prediction of the slice with most organ side by side, [3, Y, 3 X] in 0 to 1."""
    known = np.where(case.labels == IGNORE, 0, case.labels)
    z = int(np.argmax((known > 0).sum((1, 2))))
    grey = np.asarray(case.image[z])
    grey = np.clip((grey - grey.min()) / max(float(np.ptp(grey)), 1e-6), 0, 1)
    colours = np.random.default_rng(0).uniform(0.2, 1.0, (256, 3)).astype(np.float32)
    panels = [np.stack([grey] * 3)]
    for labels in (known[z], predicted[z]):
        tint = colours[labels].transpose(2, 0, 1)
        panels.append(np.where(labels > 0, 0.5 * grey + 0.5 * tint, grey))
    return np.concatenate(panels, axis=2)
