"""Scores of a network on whole volumes, predicted tile by tile as inference does it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.models.package.specification import InferenceSpec

_SHOWN = 4


@dataclass(frozen=True)
class LabelledImage:
    """`image` float32 [Z, Y, X], prepared, and `labels` uint8 [Z, Y, X]; of any size."""

    image: np.ndarray
    labels: np.ndarray


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
    """The images to score on, the names of the classes from 1 on, and the tiles."""

    images: Sequence[LabelledImage]
    classes: Sequence[str]
    inference: InferenceSpec

    def score(
        self, networks: Sequence[torch.nn.Module], fabric: Fabric, writer: SummaryWriter, step: int
    ) -> dict[str, float]:
        """Mean Dice per class over the images that hold it, of the mean of the networks' logits.

        "score" is the mean over the classes. The first images go to TensorBoard. Without images: nothing.
        """
        if not self.images:
            return {}
        found = []
        engines = [NetworkEngine(network.eval(), fabric) for network in networks]
        for number, case in enumerate(self.images):
            predicted = self._predict(np.asarray(case.image), engines)
            found.append(self._dice(predicted, np.asarray(case.labels)))
            if number < _SHOWN:
                writer.add_image(f"validation/{number}", _picture(case, predicted), step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a class that no image holds has no mean
            means = np.nanmean(np.stack(found), axis=0)
        return {"score": float(np.nanmean(means)), **dict(zip(self.classes, means.tolist(), strict=True))}

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


def _picture(case: LabelledImage, predicted: np.ndarray) -> np.ndarray:
    """Image, truth and prediction of the slice with most organ side by side, [3, Y, 3 X] in 0 to 1."""
    z = int(np.argmax((case.labels > 0).sum((1, 2))))
    grey = np.asarray(case.image[z])
    grey = np.clip((grey - grey.min()) / max(float(np.ptp(grey)), 1e-6), 0, 1)
    colours = np.random.default_rng(0).uniform(0.2, 1.0, (256, 3)).astype(np.float32)
    panels = [np.stack([grey] * 3)]
    for labels in (case.labels[z], predicted[z]):
        tint = colours[labels].transpose(2, 0, 1)
        panels.append(np.where(labels > 0, 0.5 * grey + 0.5 * tint, grey))
    return np.concatenate(panels, axis=2)
