"""Fit the trust score of a model to synthetic images of bodies that it did not learn from, and put it into its package.

fit_trust.py [--model NAME|PATH] [--recipe YAML ...] [--bodies YAML ...] [--images N] [--write] --output FOLDER
writes samples.csv (an organ of an image a line; the same command goes on where it was stopped, one with another model
or recipe begins anew) and trust.json (the part `trust` of model.json). --write puts it into model.json too; the weights
of the model are not touched.

The bodies are those of the recipe's `synthetic.validation_bodies` and those of --bodies that the recipe does not train
on. A model that began with another one has learnt from its bodies too: name the recipes of both, its own first. Half of
the images are made worse by one to three of the corruptions of `evaluate_robustness.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation.corruption import Pair, corrupted
from LiverMRISegLib.evaluation.trust_fit import Sample, as_csv, cross_validated, fit, from_csv, samples_of
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io.atomic import atomic_write_text, make_folder
from LiverMRISegLib.io.dataclass_reader import read_dataclass, to_plain
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.codec import to_json
from LiverMRISegLib.models.package.model_package import ModelPackage, rewrite
from LiverMRISegLib.models.package.specification import TRUST_SIGNS
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.synthesis.generator import ImageMaker
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource, label_maps_of, load_structure_maps
from LiverMRISegLib.synthesis.structure_maps import StructureMap
from LiverMRISegLib.training.configuration import read_config, read_settings
from LiverMRISegLib.training.script import exit_status_of
from LiverMRISegLib.training.stages.data_config import DataConfig, SyntheticConfig
from LiverMRISegLib.volume import Geometry, Volume

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent
# Voxels beyond the patch: several tiles overlap, as in real volumes.
_BEYOND = (0, 8, 16)
_FIRST_SEED = 7_000_000
_MOST_CORRUPTIONS = 3
_SET = "painted"


def data_of(recipe: Path) -> DataConfig:
    """The part `data` of a recipe of any stage."""
    return read_dataclass(DataConfig, read_settings(recipe).get("data") or {}, str(recipe))


def held_out_bodies(data: DataConfig, more: Sequence[Path], earlier: Sequence[DataConfig] = ()) -> list[StructureMap]:
    """The recipe's validation bodies and those of the files `more`; the bodies that were trained on are not read.

    `earlier`: the data of trainings that this one began with.
    """
    own, known = data.synthetic, {path for each in earlier for path in _named(each.synthetic, trained=True)}
    sources = [
        replace(source, labelmaps=str(Path(source.labelmaps).parent / f"{name}{source.label_ending}"))
        for source in own.sources
        for name in own.validation_bodies
    ]
    there = [source for source in sources if (own.folder / source.labelmaps).exists()]
    there = [alone for source in there for alone in _unseen(own.folder, source, known)]
    bodies = load_structure_maps(own.folder, there, data.spacing[0])
    trained_on = {path for each in (data, *earlier) for path in _named(each.synthetic)}
    for other in (read_config(SyntheticConfig, file) for file in more):
        unseen = [alone for source in other.sources for alone in _unseen(other.folder, source, trained_on)]
        bodies += load_structure_maps(other.folder, unseen, data.spacing[0])
    if not bodies:
        raise UsageError("no body is there that the recipe does not train on; name others with --bodies")
    return bodies


def _named(synthetic: SyntheticConfig, *, trained: bool = False) -> Iterator[Path]:
    """The label maps that it names, or those of them that are `trained` on."""
    for source in synthetic.sources:
        for path in synthetic.folder.glob(source.labelmaps):
            if not trained or path.name.removesuffix(source.label_ending) not in synthetic.validation_bodies:
                yield path.resolve()


def _unseen(folder: Path, source: StructureMapSource, trained_on: Collection[Path]) -> Iterator[StructureMapSource]:
    """The source of each of its label maps that was not trained on."""
    for path in label_maps_of(folder, source):
        if path.resolve() in trained_on:
            logger.warning("%s: left out, the recipe names it", path.name)
        else:
            yield replace(source, labelmaps=str(path.relative_to(folder)))


def painted(data: DataConfig, bodies: Sequence[StructureMap], first: int, last: int) -> Iterator[tuple[Pair, str, str]]:
    """Image and labels of the images `first` to `last`, the body's name, and what was done to the image."""
    z, y, x = (size + more for size, more in zip(data.patch, _BEYOND, strict=True))
    settings = replace(data.synthetic.randomization, patch=(z, y, x), spacing=data.spacing[0])
    maker = ImageMaker(data.organs, settings, data.preparation, bodies)
    geometry = Geometry((x, y, z), (data.spacing[0],) * 3)
    for number in range(first, last):
        body, random = bodies[number % len(bodies)], np.random.default_rng(number)
        sample = maker.make(body, _FIRST_SEED + number)
        name = f"{body.name} {number}"
        pair = Volume(sample.image, geometry, name), Volume(sample.labels, geometry, name)
        count = int(random.integers(1, _MOST_CORRUPTIONS + 1)) if number % 2 else 0
        changed, change = corrupted(*pair, count, random)
        yield changed, change, name


def measured(
    segmenter: Segmenter, data: DataConfig, bodies: Callable[[], Sequence[StructureMap]], images: int, table: Path
) -> list[Sample]:
    """The samples of all images; `table` is written anew after each, and those it has are not made again."""
    samples = from_csv(table.read_text(encoding="utf-8"), str(table)) if table.exists() else []
    done = 1 + max((int(s.case.rsplit(" ", 1)[1]) for s in samples), default=-1)
    referred = LabelSet(_SET, {value: organ_named(organ) for value, organ in enumerate(data.organs, start=1)})
    if done >= images:
        return samples
    for (image, truth), change, name in painted(data, bodies(), done, images):
        result = segmenter.segment(image)
        samples += samples_of((_SET, name, change), result, truth.array, referred)
        atomic_write_text(table, as_csv(samples))
        logger.info("%s (%s): measured", name, change)
    return samples


def inputs_of(package: ModelPackage, files: Sequence[Path]) -> list[str]:
    """What the samples hang on: the model but for its trust, which --write changes, and what the files say."""
    model = to_json(replace(package.spec, trust=None), package.hashes)
    contents = [model, *(repr(read_settings(path)) for path in files)]
    return [hashlib.sha256(content.encode()).hexdigest() for content in contents]


def run(arguments: argparse.Namespace) -> None:
    """Measure, fit, write, tell."""
    make_folder(arguments.output)
    data, *earlier = [data_of(recipe) for recipe in arguments.recipe]
    package = load_model(arguments.model)
    segmenter = Segmenter.load(arguments.model)
    bodies = partial(held_out_bodies, data, arguments.bodies, earlier)
    with claimed_output(arguments.output, inputs_of(package, [*arguments.recipe, *arguments.bodies])):
        samples = measured(segmenter, data, bodies, arguments.images, arguments.output / "samples.csv")
    where = f"{len({s.case for s in samples})} synthetic images of bodies that the model did not learn from"
    spec = fit(samples, TRUST_SIGNS, where)
    atomic_write_text(arguments.output / "trust.json", json.dumps(to_plain(spec), indent=2) + "\n")
    found = cross_validated(samples, TRUST_SIGNS)
    logger.info(
        "%d outlines, %d below Dice 0.8; cross-validated: rank correlation %.3f, found at 10 %% false alarms %.0f %%, "
        "flagged %.0f %%, false alarms %.0f %%, mean error %.3f, first to check %.3f above the lowest (by chance %.3f)",
        found.outlines, found.poor, found.rank_correlation, 100 * found.sensitivity, 100 * found.flagged,
        100 * found.false_alarms, found.error, found.first_loss, found.chance_loss,
    )  # fmt: skip
    if arguments.write:
        rewrite(package, replace(package.spec, trust=spec))
        logger.info("%s: its model.json has the weights", package.path)


def main() -> int:
    """Read the command line and run; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--recipe", type=Path, nargs="+", default=[HERE / "recipes" / "liver_any_sequence.yaml"])
    parser.add_argument("--bodies", type=Path, nargs="*", default=[HERE / "configs" / "parts" / "whole_bodies.yaml"])
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--write", action="store_true", help="write the weights into the model's package, a folder")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    return exit_status_of(lambda: run(arguments), "stopped; the same command goes on where it was")


if __name__ == "__main__":
    sys.exit(main())
