"""What each addition of the generator costs a model: Dice on the same images without and with it.

generator_additions.py MODEL [MODEL ...] [--config CONFIG] [--images 12] [--only look.iron ...] [--output table.md]

Images of the config's validation bodies are made without additions, and then with one of them in every image, all else
the same. The table holds each model's mean Dice of liver, kidneys and spleen, what cost the first model most first.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.generator import ImageMaker
from LiverMRISegLib.synthesis.structure_maps import StructureMap
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.synthetic_source import image_maker
from synthetic_images import Judge

ORGANS = ("liver", "right kidney", "left kidney", "spleen")
ROOMS = ("anatomy", "look", "scanner")
_FIRST_SEED = 7000

Addition = tuple[str, str]


def additions(config: RandomizationConfig) -> list[Addition]:
    """Room and name of every addition: what is off by default."""
    return [(room, f.name) for room in ROOMS for f in fields(getattr(config, room)) if f.default == 0.0]


def with_only(config: RandomizationConfig, wanted: Addition | None) -> RandomizationConfig:
    """The config without additions but the `wanted` one, which comes in every image."""
    rooms = {room: getattr(config, room) for room in ROOMS}
    for room, name in additions(config):
        rooms[room] = replace(rooms[room], **{name: float((room, name) == wanted)})
    return replace(config, **rooms)


def mean_dice(judges: Sequence[Judge], maker: ImageMaker, bodies: Sequence[StructureMap], images: int) -> list[float]:
    """Of each judge, over the same images and their organs."""
    scores: list[list[float]] = [[] for _ in judges]
    for number in range(images):
        sample = maker.make(bodies[number % len(bodies)], _FIRST_SEED + number)
        for judge, own in zip(judges, scores, strict=True):
            own += judge.dice(sample).values()
    return [statistics.fmean(own) for own in scores]


def table(names: Sequence[str], measured: Mapping[Addition | None, Sequence[float]]) -> str:
    """Markdown: the Dice of every model by addition, and what the addition costs it."""
    clean = measured[None]
    rows = [["none", *(f"{dice:.3f}" for dice in clean)]]
    found = [(key, dice) for key, dice in measured.items() if key is not None]
    for (room, name), dice in sorted(found, key=lambda item: item[1][0]):
        cells = [f"{own:.3f} ({own - before:+.3f})" for own, before in zip(dice, clean, strict=True)]
        rows.append([f"{room}: {name.replace('_', ' ')}", *cells])
    return markdown_table(["addition", *names], rows)


def main() -> None:
    """Measure and print a line for each addition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--config", type=Path, default=Path("scripts/train/recipes/liver_any_sequence.yaml"))
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--only", nargs="+", default=(), help="additions to measure, e.g. look.iron; all by default")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    data = read_config(FinetuneConfig, arguments.config).data
    base, training, held_out = image_maker(data)
    judges = [Judge(model, ORGANS) for model in arguments.models]
    measured: dict[Addition | None, list[float]] = {}
    known = [key for key in additions(base.config) if not arguments.only or ".".join(key) in arguments.only]
    for wanted in (None, *known):
        maker = ImageMaker(ORGANS, with_only(base.config, wanted), data.preparation, training)
        measured[wanted] = mean_dice(judges, maker, held_out, arguments.images)
        print(wanted, [round(d, 3) for d in measured[wanted]], flush=True)
    text = table([judge.name for judge in judges], measured)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
