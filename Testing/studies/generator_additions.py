"""What each addition of the generator does to a model trained without any of them, and to one trained with all.

generator_additions.py BEFORE AFTER --config CONFIG [--images 12] [--only look.iron ...] [--output table.md]

Images of the config's validation bodies are made without additions, and then with one of them in every image, all else
the same. The table holds the mean Dice of liver, kidneys and spleen by both models; let these differ in nothing else.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.generator import SampleMaker
from LiverMRISegLib.synthesis.structure_maps import Body
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.synthetic_source import sample_maker
from painted_images import Judge

ORGANS = ("liver", "right kidney", "left kidney", "spleen")
ROOMS = ("anatomy", "look", "scanner")
_FIRST_SEED = 7000


def additions(config: RandomizationConfig) -> list[tuple[str, str]]:
    """Room and name of every addition: what is off by default."""
    return [(room, f.name) for room in ROOMS for f in fields(getattr(config, room)) if f.default == 0.0]


def with_only(config: RandomizationConfig, wanted: tuple[str, str] | None) -> RandomizationConfig:
    """The config without additions but the `wanted` one, which comes in every image."""
    rooms = {room: getattr(config, room) for room in ROOMS}
    for room, name in additions(config):
        rooms[room] = replace(rooms[room], **{name: float((room, name) == wanted)})
    return replace(config, **rooms)


def mean_dice(judges: Sequence[Judge], maker: SampleMaker, bodies: Sequence[Body], images: int) -> list[float]:
    """Of each judge, over the same images and their organs."""
    scores: list[list[float]] = [[] for _ in judges]
    for number in range(images):
        sample = maker.make(bodies[number % len(bodies)], _FIRST_SEED + number)
        for judge, own in zip(judges, scores, strict=True):
            own += judge.dice(sample).values()
    return [statistics.fmean(own) for own in scores]


def main() -> None:
    """Measure and print a line for each addition, the most missed first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--config", type=Path, default=Path("scripts/train/recipes/liver_any_sequence.yaml"))
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--only", nargs="+", default=(), help="additions to measure, e.g. look.iron; all by default")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    data = read_config(FinetuneConfig, arguments.config).data
    base, _, held_out = sample_maker(data)
    judges = [Judge(model, ORGANS) for model in (arguments.before, arguments.after)]
    measured = {}
    known = [key for key in additions(base.config) if not arguments.only or ".".join(key) in arguments.only]
    for wanted in (None, *known):
        maker = SampleMaker(ORGANS, with_only(base.config, wanted), data.preparation)
        measured[wanted] = mean_dice(judges, maker, held_out, arguments.images)
        print(wanted, [round(d, 3) for d in measured[wanted]], flush=True)
    print(table(measured))
    if arguments.output:
        arguments.output.write_text(table(measured), encoding="utf-8")


def table(measured: dict[tuple[str, str] | None, list[float]]) -> str:
    """Markdown: per addition the Dice of both models, what it costs each, and what training with it gained."""
    clean = measured[None]
    rows = [["none", f"{clean[0]:.3f}", f"{clean[1]:.3f}", f"{clean[1] - clean[0]:+.3f}"]]
    found = [(key, dice) for key, dice in measured.items() if key is not None]
    for (room, name), (before, after) in sorted(found, key=lambda item: item[1][0] - item[1][1]):
        costs = (f"{before:.3f} ({before - clean[0]:+.3f})", f"{after:.3f} ({after - clean[1]:+.3f})")
        rows.append([f"{room}: {name.replace('_', ' ')}", *costs, f"{after - before:+.3f}"])
    return markdown_table(["addition", "before", "after", "gained"], rows)


if __name__ == "__main__":
    main()
