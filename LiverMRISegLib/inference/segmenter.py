"""`Segmenter`: a model loaded once, and volumes in, segmentations out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.errors import DeviceMemoryError, ModelError, UsageError
from LiverMRISegLib.inference import quality
from LiverMRISegLib.inference.chosen_box import CONTEXT_MM, ChosenBox, cut_to
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.flag import BOX, MEMORY, Flag
from LiverMRISegLib.inference.memory_fallback import MemoryFallback
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import Prediction, labels_by, prepared_by, restored, score_slabs
from LiverMRISegLib.inference.progress import CancelToken, Progress, silent
from LiverMRISegLib.inference.region import body_of, region_of
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.inference.trust import signs_of, trust_flags, trust_of, trust_source
from LiverMRISegLib.measurement.label_shapes import volumes_ml
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import ABDOMEN, BODY
from LiverMRISegLib.preparation.scheme import AnyPrepared
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.version import __version__
from LiverMRISegLib.volume import Box, Volume

logger = logging.getLogger(__name__)
# How the progress of the whole divides among its parts.
_NETWORK_FROM, _NETWORK_TO = 0.05, 0.9
_LOOK_SECONDS = 0.1


class Segmenter:
    """A model ready to segment any number of volumes. Made by `Segmenter.load`.

    Any thread may call it; calls that come while another is under way wait for it, since an engine runs one at a time.
    """

    def __init__(self, package: ModelPackage, engine: Engine) -> None:
        self._fallback = MemoryFallback(package, engine)
        self._finder: Segmenter | None = None
        self._in_use = threading.RLock()

    @property
    def package(self) -> ModelPackage:
        """The model in use."""
        return self._fallback.package

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return self._fallback.engine

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_MODEL, device: str = "auto") -> Segmenter:
        """Load a model by its name in the catalog or its path.

        Raises:
            ModelError: no such model, or it is damaged, or it only makes features.
            UsageError: no such device.
        """
        package = load_model(name_or_path)
        if not package.spec.labels:
            raise ModelError(f"model {package.spec.name} segments nothing: {package.spec.task}")
        fallback = MemoryFallback.load(package, device, load_engine)
        made = cls(package, fallback.engine)
        made._fallback = fallback
        return made

    @property
    def organs(self) -> list[str]:
        """Names of the organs that this model segments."""
        return [organ.name for organ in self._labels.organs]

    @property
    def _labels(self) -> LabelSet:
        """Those of the model that was asked for: a smaller one that replaces it may number them differently."""
        return self._fallback.asked.spec.labels

    def segment(
        self,
        volume: Volume,
        *,
        further: Sequence[Volume] = (),
        organs: Sequence[str] | None = None,
        tta: bool = False,
        inside: ChosenBox | None = None,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> Segmentation:
        """Segment one volume.

        Args:
            volume: an image of any orientation and spacing.
            further: the other images of the case, on the same grid, for a model that takes several
                (`package.spec.preparation.images`). Result and flags are those of `volume`, the first.
            organs: keep only these; all of the model's by default.
            tta: average over mirrored copies, along the axes that the model allows.
            inside: a box; everything outside is background, and is not computed.
            progress: called with what happens, and the share that is done.
            cancel: its `cancel` stops the work.

        Raises:
            UsageError: the model has no such organ, or none is named, or it may not be mirrored for `tta`, or it takes
                more or fewer images.
            InputError: the images are on different grids, or contain NaN or infinite voxels; `inside` is outside.
            CancelledError: `cancel` was used.
            DeviceMemoryError: the memory is too small even after everything in `memory_fallback` was tried.
        """
        report, token = progress or silent, cancel or CancelToken()
        with self._turn(report, token):
            while True:
                try:
                    return self._segment(volume, further, organs, tta, inside, report, token)
                except DeviceMemoryError as error:
                    self._fallback.descend(error)

    @contextmanager
    def _turn(self, report: Progress, token: CancelToken) -> Iterator[None]:
        """Wait until no other thread segments; CancelledError if `token` is used meanwhile."""
        if not self._in_use.acquire(blocking=False):
            report("waiting for another volume", 0.0)
            while not self._in_use.acquire(timeout=_LOOK_SECONDS):
                token.check()
        try:
            yield
        finally:
            self._in_use.release()

    def _segment(
        self,
        volume: Volume,
        further: Sequence[Volume],
        organs: Sequence[str] | None,
        tta: bool,
        inside: ChosenBox | None,
        report: Progress,
        token: CancelToken,
    ) -> Segmentation:
        spec = self.package.spec
        labels = self._chosen(organs)
        if tta and not spec.inference.mirror_axes:
            raise UsageError(f"model {spec.name} was not trained with mirrored images: omit --tta")
        clock = _Clock()
        report("preparing", 0.0)
        prepared = prepared_by(spec, volume, further)
        clock.lap("prepare")
        watch = ScoreWatch(int(spec.network.kwargs["out_channels"]))
        tiles = partial(
            score_slabs,
            prepared,
            spec,
            self.engine,
            mirror=tta,
            progress=lambda text, done: report(text, _NETWORK_FROM + (_NETWORK_TO - _NETWORK_FROM) * done),
            cancel=token,
            watch=watch,
        )
        allowed = inside.mask_of(volume.geometry, volume.name) if inside is not None else None
        region = self.region(volume, prepared, token) if allowed is None else self._around(allowed, prepared)
        found = labels_by(
            lambda where: tiles(region=where), prepared, spec, region, volume.name,
            is_chosen=allowed is not None,
        )  # fmt: skip
        clock.lap("network")
        report("restoring the volume's own grid", _NETWORK_TO)
        labelmap = restored(found.channels, prepared, spec.labels)
        clock.lap("restore")
        token.check()
        cut = cut_to(labelmap, allowed) if allowed is not None else {}
        postprocess(labelmap, spec.labels, spec.postprocessing, volume.geometry)
        # The weights were fitted on whole organs: a box that cuts them has no score.
        signs = signs_of(watch, labelmap, prepared, spec) if allowed is None else {}
        signs = {organ.name: signs[organ.name] for organ in labels.organs if organ.name in signs}
        trust = trust_of(signs, spec.trust)
        labelmap = _renumbered(labelmap, spec.labels, labels)
        volumes = volumes_ml(labelmap, labels, volume.geometry.voxel_volume_ml)
        flags = [Flag(step, kind=MEMORY) for step in self._fallback.taken]
        flags += [*quality.flags(volume, labelmap, labels, spec), *trust_flags(trust, spec.trust)]
        names = [spec.labels[value].name for value in cut if volumes.get(spec.labels[value].name)]
        flags += [Flag("continues outside the box it was segmented in", name, BOX) for name in names]
        clock.lap("postprocess")
        report("done", 1.0)
        facts = {**self._provenance(clock, tta, found), "trust": trust_source(spec, is_in_box=allowed is not None)}
        return Segmentation(labelmap, labels, volume.geometry, volumes, flags, facts, volume, trust, signs)

    def region(self, volume: Volume, prepared: AnyPrepared, cancel: CancelToken | None = None) -> Box | None:
        """Where in the prepared image to look: the body, or around the organs that the model named for it finds.

        None for the whole image: the package names no region, or nothing was found.
        """
        spec = self.package.spec
        if not spec.inference.region:
            return None
        grid, least, margin = prepared.image.shape[-3:], spec.inference.patch, spec.inference.region_margin
        if spec.inference.region in (BODY, ABDOMEN):
            body = np.any([body_of(image) for image in prepared.image.reshape(-1, *grid)], axis=0)
            return region_of(body, grid, spec.preparation.spacing, margin, least)
        if self._finder is None:
            found = load_model(spec.inference.region)
            found = found.run_by(replace(found.spec.inference, region=""))  # it looks everywhere itself
            self._finder = Segmenter(found, load_engine(found, self.engine.device))
        labels = prepared.place(self._finder.segment(volume, cancel=cancel).labelmap)
        region = region_of(labels, grid, spec.preparation.spacing, margin, least)
        if region is None:
            logger.warning("%s: %s found no organ; all tiles are computed", volume.name, spec.inference.region)
        return region

    def _around(self, allowed: np.ndarray, prepared: AnyPrepared) -> Box | None:
        """Where in the prepared image to look for what is in `allowed` [Z, Y, X] of the volume."""
        spec = self.package.spec
        grid = prepared.image.shape[-3:]
        return region_of(prepared.place(allowed), grid, spec.preparation.spacing, CONTEXT_MM, spec.inference.patch)

    def _chosen(self, organs: Sequence[str] | None) -> LabelSet:
        own = self._labels
        if organs is None:
            return own
        if not organs:
            raise UsageError(f"no organ is named; model {self.package.spec.name} has: {', '.join(self.organs)}")
        chosen = [own.named(name) for name in organs]
        return LabelSet(own.name, {value: organ for value, organ in own.items() if organ in chosen})

    def _provenance(self, clock: _Clock, tta: bool, found: Prediction) -> dict[str, Any]:
        spec = self.package.spec
        return {
            "model": spec.name,
            "model version": spec.version,
            "model fingerprint": self.package.fingerprint,
            "engine": self.engine.name,
            "test-time mirroring": tta,
            "outlines drawn to the image": spec.inference.image_refinement,
            "region": _region_of(found, spec.inference.region),
            "livermriseg": __version__,
            "seconds": clock.seconds,
            "intended use": spec.intended_use,
        }


def _region_of(found: Prediction, asked: str) -> str:
    """Where the labels were looked for, in the end."""
    if found.region is None:
        return "the whole image"
    return BODY if asked == ABDOMEN and not found.is_second_look else asked


def _renumbered(labelmap: np.ndarray, own: LabelSet, wanted: LabelSet) -> np.ndarray:
    """A label map of `own` with the values of `wanted`; what is not in `wanted` is background."""
    table = np.zeros(256, np.uint8)
    numbers = own.mapping_to(wanted)
    table[list(numbers)] = list(numbers.values())
    return table[labelmap]


class _Clock:
    """Seconds per part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Record the seconds since the last part ended."""
        now = time.perf_counter()
        self.seconds[part] = round(now - self._last, 3)
        self._last = now
