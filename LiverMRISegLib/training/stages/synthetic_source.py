"""The synthetic images of a stage: its label maps, those to train on and those to validate on, and what they become."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from LiverMRISegLib.data.batches import SyntheticStream
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.synthesis.generator import ImageMaker
from LiverMRISegLib.synthesis.structure_map_sources import load_structure_maps
from LiverMRISegLib.synthesis.structure_maps import StructureMap
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.validation import LabelledImage

logger = logging.getLogger(__name__)
# Far from the seeds of the images that are trained on.
_VALIDATION_SEED = 1_000_000


@dataclass(frozen=True)
class SyntheticSource:
    """Synthetic images to train on, and labelled ones of other bodies to validate on."""

    stream: SyntheticStream
    validation: list[LabelledImage]


def synthetic_source(data: DataConfig) -> SyntheticSource:
    """Read the label maps of `data.synthetic` and split them.

    Raises:
        InputError: a label map cannot be read, or a pattern finds none.
        UsageError: the grid is not that of the structure maps, or a validation body does not exist.
    """
    settings = data.synthetic
    maker, training, held_out = image_maker(data)
    seen = [body for body in held_out for _ in range(settings.validation_images)]
    samples = [maker.make(body, _VALIDATION_SEED + number) for number, body in enumerate(seen)]
    logger.info("label maps for synthetic images: %d to train on, %d to validate on", len(training), len(held_out))
    return SyntheticSource(
        SyntheticStream(training, maker, settings.batch, settings.partial),
        [LabelledImage(sample.image, sample.labels) for sample in samples],
    )


def image_maker(data: DataConfig) -> tuple[ImageMaker, list[StructureMap], list[StructureMap]]:
    """What makes the images, the bodies to train on and those held out; errors as in `synthetic_source`."""
    if len(set(data.spacing)) > 1 or data.orientation != "LPS":
        raise UsageError(
            "synthetic images need an isotropic data.spacing and data.orientation LPS, "
            f"not {data.spacing} and '{data.orientation}'"
        )
    settings = data.synthetic
    bodies = load_structure_maps(
        settings.folder, settings.sources, data.spacing[0], data.organs, partial=settings.partial, cache=data.cache
    )
    training, held_out = _split(bodies, settings.validation_bodies)
    randomization = replace(settings.randomization, patch=data.patch, spacing=data.spacing[0])
    return ImageMaker(data.organs, randomization, data.preparation, training), training, held_out


def _split(bodies: Sequence[StructureMap], held_out: Sequence[str]) -> tuple[list[StructureMap], list[StructureMap]]:
    names = {body.name for body in bodies}
    for name in held_out:
        if name not in names:
            raise UsageError(
                f"synthetic.validation_bodies: there is no body '{name}'; known are: {', '.join(sorted(names))}"
            )
    training = [body for body in bodies if body.name not in held_out]
    if not training:
        raise UsageError("synthetic.sources: no label map is left to train on; add some, or validate on fewer")
    return training, [body for body in bodies if body.name in held_out]
