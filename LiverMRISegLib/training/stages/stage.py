"""What every training stage does: read and prepare the data, build networks, train, write the model package."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from lightning_fabric import Fabric

from LiverMRISegLib.data.augmentation import Augmenter
from LiverMRISegLib.data.batches import CaseStream, JoinedStream, SharedPlaces, Stream
from LiverMRISegLib.data.case_cache import PreparedCase, PreparedCases
from LiverMRISegLib.data.case_selection import Pools, choose_pools
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.initial_weights import content_of, warn_of_other_images
from LiverMRISegLib.training.loop import RunResult
from LiverMRISegLib.training.methods.method import SegmentationMethod, Setup
from LiverMRISegLib.training.preview import preview
from LiverMRISegLib.training.run_folder import claimed_training, train_on
from LiverMRISegLib.training.stages.config import BEST, StageConfig
from LiverMRISegLib.training.stages.stage_package import check_stage_package, write_stage_package
from LiverMRISegLib.training.stages.synthetic_source import synthetic_source
from LiverMRISegLib.training.validation import LabelledImage, Validation

logger = logging.getLogger(__name__)
_PREVIEWED = 2  # cases of each pool

MakeMethod = Callable[[Setup], SegmentationMethod]


@dataclass(frozen=True)
class Needs:
    """What a method needs of its batches.

    `unlabelled`: unlabelled volumes. `same_place`: patches that it pastes into each other, cut at one place
    (`SharedPlaces`).
    """

    unlabelled: bool = False
    same_place: bool = False


def run_stage(config: StageConfig, make: MakeMethod, needs: Needs) -> RunResult:
    """Train what `make` makes, or resume it, and write the package `config.run_folder`/model.

    Args:
        config: of the stage.
        make: makes the method.
        needs: what the method needs.

    Raises:
        InputError, UsageError: data or names in the config that cannot be used.
        ModelError: a start that cannot be used.
        OutputError: run folder or cache cannot be written.
        TrainingError: the loss is not finite.
    """
    config.check_patch()
    fabric = make_fabric(config.loop)
    with claimed_training(config, config.run_folder, fabric):
        return _run(config, make, fabric, needs)


def _run(config: StageConfig, make: MakeMethod, fabric: Fabric, needs: Needs) -> RunResult:
    data = config.data
    if needs.unlabelled and data.synthetic.batch and data.synthetic.partial:
        raise UsageError(
            "synthetic.partial is for training without unlabelled volumes (finetune.py); set it to false here"
        )
    pools = choose_pools(
        data.datalists,
        data.labelled,
        data.unlabelled,
        data.fold,
        uses_labels=data.labelled_batch > 0,
        uses_unlabelled=needs.unlabelled,
    )
    # Preparing takes hours where there is much data: what would fail afterwards fails now.
    check_stage_package(config, pools)
    facts = [content_of(start) for start in config.starts]
    chosen = _few(pools) if config.loop.preview else pools
    with fabric.rank_zero_first():
        streams, images = _streams(config, chosen, needs)
    validation = Validation(
        images,
        data.organs,
        InferenceSpec(data.patch),
        data.validation_cases,
        data.validation_patches,
        config.loop.steps,
    )
    method = make(Setup(config.optimizer, validation, fabric, config.branch, config.loop.steps))
    if config.loop.preview:
        return _previewed(config, pools, chosen, streams, validation, method)
    if not images and config.checkpoint == BEST:
        logger.warning("there is nothing to validate on: the last weights are exported, not the best")
    for start in filter(None, config.starts if config.keep_heads else ()):
        warn_of_other_images(start, data.preparation, config.data.patch)
    result = train_on(streams, method, config.loop, config.run_folder, fabric, data.workers, facts)
    if fabric.is_global_zero:
        write_stage_package(config, pools, is_validated=bool(images))
    return result


def _few(pools: Pools) -> Pools:
    return Pools(pools.labelled[:_PREVIEWED], pools.unlabelled[:_PREVIEWED], pools.validation[:_PREVIEWED])


def _previewed(
    config: StageConfig,
    pools: Pools,
    few: Pools,
    streams: dict[str, Stream],
    validation: Validation,
    method: SegmentationMethod,
) -> RunResult:
    """What the training costs, from a few of its cases."""
    listed, at_hand = (len(p.labelled) + len(p.unlabelled) + len(p.validation) for p in (pools, few))
    count = config.loop.preview_cases or listed
    synthetic = len(validation.images) - len(few.validation)
    cache = PreparedCases(config.data.cache, config.data.preparation, config.data.organs)
    cases = cache.load_all([*few.labelled, *few.validation], labelled=True)
    cases += cache.load_all(few.unlabelled, labelled=config.data.pseudo_labels)
    size = sum(case.image.nbytes + (case.labels.nbytes if case.labels is not None else 0) for case in cases)
    cost = preview(
        method,
        streams,
        config.loop,
        method.fabric,
        config.run_folder,
        prepared_gb=size / 1e9 * count / max(1, at_hand),
        validation=validation,
        images=round(len(pools.validation) * count / max(1, listed)) + synthetic,
        shapes=[case.image.shape for case in cases],
    )
    return RunResult(config.run_folder, 0, float("nan"), cost.hours)


def _streams(config: StageConfig, pools: Pools, needs: Needs) -> tuple[dict[str, Stream], list[LabelledImage]]:
    """What is trained on, and what is validated on: scans and synthetic images."""
    data = config.data
    cache = PreparedCases(data.cache, data.preparation, data.organs)
    augmenter = Augmenter(data.augmentation, data.patch)
    teachers: list[Stream] = []
    places: SharedPlaces | None = None
    if data.labelled_batch:
        cases = cache.load_all(pools.labelled, labelled=True)
        places = SharedPlaces(cases, data.labelled_batch, data.patch, data.foreground) if needs.same_place else None
        is_partial = data.synthetic.batch > 0 and data.synthetic.partial
        teachers.append(CaseStream(cases, augmenter, data.labelled_batch, data.foreground, places, is_partial))
    synthetic = synthetic_source(data) if data.synthetic.batch else None
    if synthetic is not None:
        teachers.append(synthetic.stream)
    streams: dict[str, Stream] = {"labelled": teachers[0] if len(teachers) == 1 else JoinedStream(*teachers)}
    if needs.unlabelled:
        streams["unlabelled"] = _unlabelled(config, pools, cache, augmenter, places)
    held_out = [_image(case) for case in cache.load_all(pools.validation, labelled=True)]
    return streams, held_out + (synthetic.validation if synthetic is not None else [])


def _unlabelled(
    config: StageConfig, pools: Pools, cache: PreparedCases, augmenter: Augmenter, places: SharedPlaces | None
) -> CaseStream:
    data = config.data
    if not pools.unlabelled:
        raise UsageError(f"no unlabelled scan of split 'train' fits {data.unlabelled}; this method needs some")
    if data.unlabelled_batch < 1:
        raise UsageError(f"data.unlabelled_batch must be at least 1, not {data.unlabelled_batch}")
    bare = [scan for _, scan in pools.unlabelled if scan.labels is None]
    if data.pseudo_labels and bare:
        raise UsageError(f"{bare[0].image}: has no pseudo label; omit data.pseudo_labels or label it")
    others = cache.load_all(pools.unlabelled, labelled=data.pseudo_labels)
    return CaseStream(others, augmenter, data.unlabelled_batch, data.foreground, places)


def _image(case: PreparedCase) -> LabelledImage:
    if case.labels is None:
        raise UsageError(f"{case.name}: has no labels to validate on")
    return LabelledImage(case.image, case.labels, case.foreground)
