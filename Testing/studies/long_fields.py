"""A model on painted bodies from neck to pelvis, in one look and with the second look at the abdomen.

long_fields.py [MODEL] [--data ../shared/data] [--images 8]

The bodies are whole-body label maps that the default model was not trained on (abdomen-any-sequence knows one of them),
the images are made by its recipe. Also the five flip angles of one volunteer, whose spleens can be checked by their
place.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import IGNORE, organ_named
from LiverMRISegLib.evaluation.robustness import dice
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.flag import PLACE
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.specification import ABDOMEN, BODY
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.synthesis.generator import ImageMaker
from LiverMRISegLib.synthesis.structure_map_sources import load_structure_maps
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.data_config import SyntheticConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.volume import Geometry, Volume

RECIPE = Path("scripts/train/recipes/liver_any_sequence.yaml")
SPACING = 3.0
# Half a metre high: from the neck to the pelvis.
PATCH = (168, 112, 168)
BODIES = Path("scripts/train/configs/parts/whole_bodies.yaml")
ORGANS = ("liver", "right kidney", "left kidney", "spleen", "pancreas", "gallbladder", "stomach")
# The whole height is to be seen.
UNCUT: dict[str, Any] = {"crop_probability": 0.0, "in_plane_crop_probability": 0.0}
_FIRST_SEED, _FEWEST_VOXELS = 9_500_000, 100
_GEOMETRY = Geometry(PATCH[::-1], (SPACING,) * 3)


def looks(model: str) -> dict[str, Segmenter]:
    """The model with tiles wherever the body is, and with the second look."""
    package = load_model(model)
    found = {}
    for region in (BODY, ABDOMEN):
        asked = package.run_by(replace(package.spec.inference, region=region))
        found[region] = Segmenter(asked, load_engine(asked, "cpu"))
    return found


def painted(data: Path, images: int) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Name, image and labels (1, 2, ... as ORGANS) of `images` of each body."""
    recipe = read_config(FinetuneConfig, RECIPE).data
    settings = replace(recipe.synthetic.randomization, patch=PATCH, spacing=SPACING, **UNCUT)
    settings = replace(settings, scanner=replace(settings.scanner, slab=0.0, wrap=0.0, oblique=0.0))
    maker = ImageMaker(ORGANS, settings, recipe.preparation)
    bodies = read_config(SyntheticConfig, BODIES).sources
    for place, body in enumerate(load_structure_maps(data, bodies, SPACING)):
        for number in range(images):
            sample = maker.make(body, _FIRST_SEED + 100 * place + number)
            yield f"{body.name} {number}", Volume(sample.image, _GEOMETRY), sample.labels


def on_painted(segmenters: dict[str, Segmenter], data: Path, images: int) -> None:
    """Print the Dice of every image, then the table: an organ a row, a look a column."""
    scores: dict[str, dict[str, list[float]]] = {region: defaultdict(list) for region in segmenters}
    for name, volume, labels in painted(data, images):
        for region, segmenter in segmenters.items():
            result = segmenter.segment(volume)
            known, line = labels != IGNORE, []
            for value, organ in enumerate(ORGANS, start=1):
                truth = labels == value
                if np.count_nonzero(truth) >= _FEWEST_VOXELS:
                    found = result.labelmap == result.labels.value_of(organ_named(organ))
                    scores[region][organ].append(dice(found & known, truth))
                    line.append(f"{organ} {scores[region][organ][-1]:.2f}")
            print(f"{name} {region} ({result.provenance['region']}): {', '.join(line)}", flush=True)
    rows = [[o, str(len(scores[BODY][o])), *(f"{statistics.fmean(s[o]):.3f}" for s in scores.values())] for o in ORGANS]
    print(markdown_table(["organ", "images", *segmenters], rows))


def on_flip_angles(segmenters: dict[str, Segmenter], data: Path) -> None:
    """Print how high each organ's centre is above the liver's, and its volume."""
    for path in sorted((data / "mr_t1_flip_angles").glob("*.nii.gz")):
        volume = read_volume(path)
        for region, segmenter in segmenters.items():
            result = segmenter.segment(volume)
            heights = {o: _height(result.labelmap, result.labels.value_of(organ_named(o)), volume) for o in ORGANS}
            lines = [f"{o} {heights[o] - heights['liver']:+.0f} mm, {result.volumes_ml[o]:.0f} mL" for o in ORGANS]
            flagged = [flag for flag in result.flags if flag.kind == PLACE]
            print(f"{path.name} {region}: {'; '.join(lines)}; {len(flagged)} organs flagged", flush=True)


def _height(labelmap: np.ndarray, value: int, volume: Volume) -> float:
    """Of the centre of a label, along the patient's axis, in mm."""
    centre = np.argwhere(labelmap == value).mean(axis=0)[::-1]
    return float(volume.geometry.world_of(centre)[2])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--images", type=int, default=8, help="of each painted body; 0 for the flip angles alone")
    arguments = parser.parse_args()
    segmenters = looks(arguments.model)
    on_flip_angles(segmenters, arguments.data)
    if arguments.images:
        on_painted(segmenters, arguments.data, arguments.images)


if __name__ == "__main__":
    main()
