"""Models on synthetic images of held-out bodies: Dice of every organ, the same images for all.

synthetic_images.py MODEL [MODEL ...] [--config CONFIG] [--images 60]

The images are made by the config's generator from its validation bodies, with seeds that no training uses.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import IGNORE, organ_named
from LiverMRISegLib.evaluation.robustness import dice
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.synthesis.generator import ImageMaker, SyntheticImage
from LiverMRISegLib.synthesis.structure_maps import StructureMap
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.synthetic_source import image_maker

FEWEST_VOXELS = 100
_FIRST_SEED = 9_000_000


class Judge:
    """A model that is shown synthetic images whose labels 1, 2, ... are `organs`."""

    def __init__(self, model: str, organs: Sequence[str]) -> None:
        package = load_model(model)
        self.name = f"{package.spec.name} {package.spec.version}"
        self._organs = organs
        self._engine = load_engine(package, "cpu")
        self._inference = package.spec.inference
        self._classes = int(package.spec.network.kwargs["out_channels"])
        self._values = [package.spec.labels.value_of(organ_named(organ)) for organ in organs]

    def dice(self, sample: SyntheticImage) -> dict[str, float]:
        """Of each organ that the image shows."""
        logits = predict_logits(
            sample.image, self._engine, self._classes, self._inference, progress=silent, cancel=CancelToken()
        )
        found = logits.argmax(0)
        known = sample.labels != IGNORE
        scores = {}
        for value, (organ, own) in enumerate(zip(self._organs, self._values, strict=True), start=1):
            truth = sample.labels == value
            if np.count_nonzero(truth) >= FEWEST_VOXELS:
                scores[organ] = dice((found == own) & known, truth)
        return scores


def main() -> None:
    """Measure and print a table: an organ a row, a model a column."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--config", type=Path, default=Path("scripts/train/recipes/liver_any_sequence.yaml"))
    parser.add_argument("--images", type=int, default=60)
    arguments = parser.parse_args()
    data = read_config(FinetuneConfig, arguments.config).data
    judges = [Judge(model, data.organs) for model in arguments.models]
    maker, _, held_out = image_maker(data)
    scores = measure(judges, maker, held_out, arguments.images)
    print(table(data.organs, [judge.name for judge in judges], scores))


def measure(
    judges: Sequence[Judge], maker: ImageMaker, bodies: Sequence[StructureMap], images: int
) -> list[list[dict[str, float]]]:
    """Of every judge the scores of every image."""
    scores: list[list[dict[str, float]]] = [[] for _ in judges]
    for number in range(images):
        sample = maker.make(bodies[number % len(bodies)], _FIRST_SEED + number)
        for judge, own in zip(judges, scores, strict=True):
            own.append(judge.dice(sample))
    return scores


def table(organs: Sequence[str], names: Sequence[str], scores: Sequence[Sequence[dict[str, float]]]) -> str:
    """Markdown: an organ a row, a model a column, the mean of the organs last."""
    rows, means = [], []
    for organ in organs:
        shown = [[image[organ] for image in own if organ in image] for own in scores]
        if shown[0]:
            means.append([statistics.fmean(values) for values in shown])
            rows.append([organ, str(len(shown[0])), *(f"{mean:.3f}" for mean in means[-1])])
    last = (f"**{statistics.fmean(column):.3f}**" for column in zip(*means, strict=True))
    return markdown_table(["organ", "images", *names], [*rows, ["**mean**", "", *last]])


if __name__ == "__main__":
    main()
