"""What every stage on datalists does: read and prepare the data, build networks, train, write the model package."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.data.augmentation import AugmentationConfig, Augmenter
from LiverMRISegLib.data.batches import CaseStream, JoinedStream, PaintedStream, Stream
from LiverMRISegLib.data.case_cache import PreparedCase, PreparedCases
from LiverMRISegLib.data.case_selection import FoldConfig, PoolConfig, Pools, choose_pools
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec, ModelSpec, NetworkSpec, PreparationSpec
from LiverMRISegLib.networks.factory import build_network
from LiverMRISegLib.networks.sizes import NNUNETS
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.generator import SampleMaker
from LiverMRISegLib.synthesis.structure_map_sources import BodySource, load_bodies
from LiverMRISegLib.training import checkpoints, loop
from LiverMRISegLib.training.configuration import to_plain
from LiverMRISegLib.training.initial_weights import (
    SAME_AS_START,
    content_of,
    licence_of,
    load_start,
    network_of,
    title_of,
    warn_of_other_images,
)
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.method import SegmentationMethod, Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.packaging import branch_weights, organ_rules, write_package
from LiverMRISegLib.training.run_folder import claim_run_folder, train_on
from LiverMRISegLib.training.validation import LabelledImage, Validation

logger = logging.getLogger(__name__)
_FREE_KEYS = (
    "branch",
    "name",
    "version",
    "resample",
    "image_refinement",
    "region",
    "region_margin",
    "data.workers",
    "data.cache",
)


@dataclass(frozen=True)
class PaintedConfig:
    """Images painted from label maps (domain randomisation) beside the labelled ones: `batch` of them per step.

    `data` is the folder that `sources` are looked for in. Patch and spacing are those of the stage.
    """

    batch: int = 0
    data: Path = Path("../shared/data")
    sources: tuple[BodySource, ...] = ()
    randomization: RandomizationConfig = field(default_factory=RandomizationConfig)


@dataclass(frozen=True)
class DataConfig:
    """Which volumes, how they are prepared and how patches of them are drawn. Triples are [Z, Y, X].

    `organs` get the values 1, 2, ... `orientation`: code, or empty to keep the files' own. `space`:
    "anatomy" trains on gradient magnitudes (paper 004), at the spacing of the translator. `labelled_batch` and
    `unlabelled_batch`: patches per step over all processes; where `labelled_batch` is 0 only `painted` images teach.
    `foreground`: share of patches centred on an organ. `pseudo_labels`: unlabelled volumes come with their label maps,
    for methods that trust these a little. `antialias`: as of `PreparationSpec`. `workers`: as of `train_on`.
    `cache`: folder of prepared volumes, shared by runs.
    """

    datalists: tuple[Path, ...] = ()
    organs: tuple[str, ...] = ("liver",)
    labelled: PoolConfig = field(default_factory=PoolConfig)
    unlabelled: PoolConfig = field(default_factory=PoolConfig)
    fold: FoldConfig = field(default_factory=FoldConfig)
    cache: Path = Path("runs/cache")
    spacing: tuple[float, float, float] = (3.0, 1.5, 1.5)
    orientation: str = "LPS"
    normalisation: str = "z-score"
    antialias: bool = False
    space: str = "intensity"
    patch: tuple[int, int, int] = (64, 128, 128)
    labelled_batch: int = 2
    unlabelled_batch: int = 2
    foreground: float = 0.33
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    painted: PaintedConfig = field(default_factory=PaintedConfig)
    pseudo_labels: bool = False
    workers: int = -1

    def __post_init__(self) -> None:
        paired = [organ for organ in self.organs if organ_named(organ).is_paired]
        # Codes name the axes x, y, z, arrays hold them as z, y, x; without a code left and right may be any axis.
        sides = {2 - i for i, letter in enumerate(self.orientation) if letter in "LR"} or {0, 1, 2}
        for axis in sides & set(self.augmentation.mirror_axes if paired else ()):
            raise UsageError(
                f"mirror_axes must not hold {axis} (left and right) when '{paired[0]}' is to be told apart"
            )
        if not self.labelled_batch and not self.painted.batch:
            raise UsageError("labelled_batch and painted.batch are both 0: there is nothing to learn labels from")

    @property
    def preparation(self) -> PreparationSpec:
        """The preparation in training and, by the model package, in inference."""
        return PreparationSpec(
            self.spacing, self.orientation or None, self.normalisation, antialias=self.antialias, space=self.space
        )


@dataclass(frozen=True)
class StageConfig:
    """What all stages on datalists have in common.

    `network`: "stunet-xxs" to "stunet-h", "stunet" with six `widths`, or nnU-Net's "plain-unet" and
    "residual-encoder-unet" with `widths`, `blocks` and `strides` of every stage, the first stride 1; or "start", the
    same as that of the start, whatever stands in these three. `start`: a model package or STU-Net checkpoint to begin
    from, empty for random weights; its heads are replaced unless `keep_heads`.
    `branch`: which network is validated and exported. `name` and `version`: of the package `run_folder`/model, and
    `resample` and `image_refinement` its way back to a volume's grid, `region` and `region_margin` where it looks
    (`InferenceSpec`).
    """

    run_folder: Path = Path("runs/training")
    data: DataConfig = field(default_factory=DataConfig)
    network: str = "stunet-s"
    widths: tuple[int, ...] = ()
    strides: tuple[tuple[int, int, int], ...] = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1))
    blocks: tuple[int, ...] = ()
    start: str = ""
    keep_heads: bool = False
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    branch: str = "average"
    name: str = "liver"
    version: str = "1.0"
    resample: str = "logits"
    image_refinement: bool = False
    region: str = ""
    region_margin: float = 30.0

    def network_spec(self, members: int = 1) -> NetworkSpec:
        """The network as the model package holds it: all arguments but deep supervision."""
        ends = {"in_channels": 1, "out_channels": len(self.data.organs) + 1}
        if self.network == SAME_AS_START:
            spec = network_of(self.start)
            return replace(spec, kwargs={**spec.kwargs, **ends}, members=members)
        kwargs: dict[str, Any] = {**ends, "strides": [list(s) for s in self.strides]}
        if self.network in NNUNETS:
            kwargs |= {"features": list(self.widths), "blocks": list(self.blocks)}
        elif self.widths:
            kwargs["widths"] = list(self.widths)
        return NetworkSpec(self.network, kwargs, members)

    def new_network(self, seed: int, *, deep_supervision: bool) -> torch.nn.Module:
        """The network with random weights of `seed`, and then those of `start`."""
        torch.manual_seed(seed)
        spec = self.network_spec()
        network = build_network(spec.name, deep_supervision=deep_supervision, **spec.kwargs)
        if self.start:
            load_start(network, self.start, self.data.organs if self.keep_heads else ())
        return network


MakeMethod = Callable[[Setup], SegmentationMethod]


def run_stage(config: StageConfig, make: MakeMethod, *, unlabelled: bool) -> RunResult:
    """Train what `make` makes, or go on with it, and write the package `config.run_folder`/model.

    Args:
        config: of the stage.
        make: makes the method.
        unlabelled: whether the method takes unlabelled volumes.

    Raises:
        InputError, UsageError: data or names in the config that cannot be used.
        OutputError: run folder or cache cannot be written.
        TrainingError: the loss is not finite.
    """
    fabric = loop.make_fabric(config.loop)
    data = config.data
    claim_run_folder(config, config.run_folder, fabric, _FREE_KEYS)
    pools = choose_pools(
        data.datalists,
        data.labelled,
        data.unlabelled,
        data.fold,
        uses_labels=data.labelled_batch > 0,
        uses_unlabelled=unlabelled,
    )
    with fabric.rank_zero_first():
        streams, images = _streams(config, pools, unlabelled=unlabelled)
    validation = Validation(images, data.organs, InferenceSpec(data.patch))
    method = make(Setup(config.optimizer, validation, fabric, config.branch, config.loop.steps))
    if not images:
        logger.warning("no scan of split 'validation': the last weights are taken, not the best")
    if config.start and config.keep_heads:
        warn_of_other_images(config.start, data.preparation)
    facts = [content_of(config.start)]
    result = train_on(streams, method, config.loop, config.run_folder, fabric, data.workers, facts)
    if fabric.is_global_zero:
        _export(config, pools)
    return result


def _streams(config: StageConfig, pools: Pools, *, unlabelled: bool) -> tuple[dict[str, Stream], list[LabelledImage]]:
    data = config.data
    cache = PreparedCases(data.cache, data.preparation, data.organs)
    augmenter = Augmenter(data.augmentation, data.patch)
    streams: dict[str, Stream] = {"labelled": _labelled(data, cache.load_all(pools.labelled, labelled=True), augmenter)}
    if unlabelled:
        if not pools.unlabelled:
            raise UsageError(f"no unlabelled scan of split 'train' fits {data.unlabelled}; this method needs some")
        if data.unlabelled_batch < 1:
            raise UsageError(f"data.unlabelled_batch must be at least 1, not {data.unlabelled_batch}")
        bare = [scan for _, scan in pools.unlabelled if scan.labels is None]
        if data.pseudo_labels and bare:
            raise UsageError(f"{bare[0].image}: has no pseudo label; leave data.pseudo_labels away or label it")
        others = cache.load_all(pools.unlabelled, labelled=data.pseudo_labels)
        streams["unlabelled"] = CaseStream(others, augmenter, data.unlabelled_batch, data.foreground)
    held_out = cache.load_all(pools.validation, labelled=True)
    return streams, [_image(case) for case in held_out]


def _image(case: PreparedCase) -> LabelledImage:
    if case.labels is None:
        raise UsageError(f"{case.name}: has no labels to validate on")
    return LabelledImage(case.image, case.labels)


def _labelled(data: DataConfig, cases: Sequence[PreparedCase], augmenter: Augmenter) -> Stream:
    """Patches of labelled cases, painted images, or both."""
    if not data.labelled_batch:
        return _painted(data)
    real = CaseStream(cases, augmenter, data.labelled_batch, data.foreground)
    return JoinedStream(real, _painted(data)) if data.painted.batch else real


def _painted(data: DataConfig) -> PaintedStream:
    if len(set(data.spacing)) > 1 or data.orientation != "LPS":
        raise UsageError(f"painted images need an isotropic spacing and orientation LPS, not {data.spacing}")
    bodies = load_bodies(data.painted.data, data.painted.sources, data.spacing[0], data.organs)
    settings = replace(data.painted.randomization, patch=data.patch, spacing=data.spacing[0])
    return PaintedStream(bodies, SampleMaker(data.organs, settings, data.preparation, bodies), data.painted.batch)


def _export(config: StageConfig, pools: Pools) -> None:
    folder = config.run_folder / "checkpoints"
    best = folder / checkpoints.BEST
    state = checkpoints.load(best) if pools.validation and best.exists() else checkpoints.load_newest(folder)
    if state is None:
        raise UsageError(f"{folder}: holds no checkpoint; loop.steps must be at least 1")
    members = branch_weights(state, config.branch)
    write_package(_specification(config, pools, state, len(members)), members, config.run_folder / "model")
    logger.info("%s written, from step %d", config.run_folder / "model", state["step"])


def _specification(config: StageConfig, pools: Pools, state: dict[str, Any], members: int) -> ModelSpec:
    used = [*pools.labelled, *pools.unlabelled]
    names: Sequence[str] = [organ_named(organ).name for organ in config.data.organs]
    data = sorted({f"{datalist.name} ({datalist.licence})" for datalist, _ in used})
    counts = {"labelled scans": len(pools.labelled), "unlabelled scans": len(pools.unlabelled)}
    plain = to_plain(config)
    shared = {key: value for key, value in plain.items() if key not in ("run_folder", "data", "start")}
    shared["start"] = title_of(config.start)
    return ModelSpec(
        name=config.name,
        version=config.version,
        task=f"{', '.join(names)} in MRI",
        modality="MR",
        sequences=tuple(sorted({scan.sequence for _, scan in used})),
        labels=LabelSet.of(config.name, [organ_named(organ) for organ in config.data.organs]),
        network=config.network_spec(members),
        preparation=config.data.preparation,
        inference=InferenceSpec(
            config.data.patch,
            mirror_axes=config.data.augmentation.mirror_axes,
            resample=config.resample,
            image_refinement=config.image_refinement,
            region=config.region,
            region_margin=config.region_margin,
        ),
        postprocessing=organ_rules(names),
        provenance=(
            {"stage": type(config).__name__, "step": int(state["step"]), "data": data, **counts, "config": shared},
        ),
        weights_license=_licences(config, pools),
    )


def _licences(config: StageConfig, pools: Pools) -> str:
    """Of everything that the weights were learnt from: the start, volumes, label maps that were painted; each once."""
    listed = sorted({datalist.licence for datalist, _ in [*pools.labelled, *pools.unlabelled]})
    painted = [source.licence for source in config.data.painted.sources] if config.data.painted.batch else []
    joined = licence_of(config.start) if config.start else ""
    for licence in [*listed, *painted]:
        if licence not in joined:
            joined = f"{joined}; {licence}" if joined else licence
    return joined
