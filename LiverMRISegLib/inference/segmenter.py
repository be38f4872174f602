"""`Segmenter`: a model loaded once, and volumes in, segmentations out."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.errors import DeviceMemoryError, InputError, ModelError, UsageError
from LiverMRISegLib.inference import quality
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.image_refinement import refine_outlines
from LiverMRISegLib.inference.memory_fallback import MemoryFallback
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.prediction import predict_slabs
from LiverMRISegLib.inference.progress import CancelToken, Progress, silent
from LiverMRISegLib.inference.region import body_of, is_cut, region_of
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import BODY
from LiverMRISegLib.preparation.label_grid import labels_of_slabs, nearest_labels_on_grid
from LiverMRISegLib.preparation.nnunet_scheme import NnUNetPrepared
from LiverMRISegLib.preparation.own_scheme import Prepared
from LiverMRISegLib.preparation.scheme import prepare_by_scheme
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.version import __version__
from LiverMRISegLib.volume import Box, Geometry, Volume

# How the progress of the whole divides among its parts.
logger = logging.getLogger(__name__)
_NETWORK_FROM, _NETWORK_TO = 0.05, 0.9


@dataclass(frozen=True)
class Segmentation:
    """The result for one volume, on its own grid.

    `labelmap` uint8 [Z, Y, X] holds the values of `labels`; `volumes_ml` and `flags` as `quality` finds them;
    `provenance` tells model, engine and seconds per part.
    """

    labelmap: np.ndarray
    labels: LabelSet
    geometry: Geometry
    volumes_ml: Mapping[str, float]
    flags: Sequence[str]
    provenance: Mapping[str, Any]
    source: Volume | None = field(default=None, repr=False)

    def save(self, path: str | Path) -> None:
        """Write to .nii.gz, .nii, .nrrd, .mha, .seg.nrrd or (for DICOM inputs) .dcm, whole or not at all.

        Raises:
            UsageError: unknown ending, or it cannot be written there.
        """
        from LiverMRISegLib.io import write_segmentation

        write_segmentation(Path(path), self.labelmap, self.labels, self.geometry, source=self.source)


class Segmenter:
    """A model ready to segment any number of volumes. Made by `Segmenter.load`."""

    def __init__(self, package: ModelPackage, engine: Engine) -> None:
        self._fallback = MemoryFallback(package, engine)
        self._finder: Segmenter | None = None

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
        """Of the model that was asked for: a smaller one that stands in for it may number them in another way."""
        return self._fallback.asked.spec.labels

    def segment(
        self,
        volume: Volume,
        *,
        further: Sequence[Volume] = (),
        organs: Sequence[str] | None = None,
        tta: bool = False,
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
            progress: told what happens, and how much of it is done.
            cancel: asks the work to stop.

        Raises:
            UsageError: the model has no such organ, or none is named, or it has no axis to mirror for `tta`, or takes
                more or fewer images.
            InputError: the images lie on different grids, or hold voxels that are no finite numbers.
            CancelledError: `cancel` was used.
            DeviceMemoryError: the memory is too small, after all that takes less of it was tried (`memory_fallback`).
        """
        while True:
            try:
                return self._segment(volume, further, organs, tta, progress or silent, cancel or CancelToken())
            except DeviceMemoryError as error:
                self._fallback.descend(error)

    def _segment(
        self,
        volume: Volume,
        further: Sequence[Volume],
        organs: Sequence[str] | None,
        tta: bool,
        report: Progress,
        token: CancelToken,
    ) -> Segmentation:
        spec = self.package.spec
        labels = self._chosen(organs)
        if tta and not spec.inference.mirror_axes:
            raise UsageError(f"model {spec.name} was not trained with mirrored images: leave --tta away")
        clock = _Clock()
        report("preparing", 0.0)
        prepared = prepare_by_scheme(volume, spec.preparation, further)
        if not np.isfinite(prepared.image).all():
            raise InputError(f"{volume.name}: holds voxels that are no finite numbers; replace them first")
        clock.lap("prepare")
        region = self._region(volume, prepared, token)
        channels = self._predicted(prepared, tta, region, report, token)
        if region is not None and is_cut(channels, prepared.image.shape[-3:], region):
            logger.info("%s: organs reach the edge of where they were looked for; all tiles are computed", volume.name)
            region = None
            channels = self._predicted(prepared, tta, region, report, token)
        clock.lap("network")
        report("restoring the volume's own grid", _NETWORK_TO)
        labelmap = prepared.restore(_renumbered(channels, spec.labels, spec.labels))
        clock.lap("restore")
        token.check()
        postprocess(labelmap, spec.labels, spec.postprocessing, volume.geometry)
        labelmap = _renumbered(labelmap, spec.labels, labels)
        volumes = quality.volumes_ml(labelmap, labels, volume.geometry.voxel_volume_ml)
        found = [*self._fallback.taken, *quality.flags(volume, labelmap, labels, spec)]
        clock.lap("postprocess")
        report("done", 1.0)
        facts = self._provenance(clock, tta, region)
        return Segmentation(labelmap, labels, volume.geometry, volumes, found, facts, volume)

    def _predicted(
        self,
        prepared: Prepared | NnUNetPrepared,
        tta: bool,
        region: Box | None,
        report: Progress,
        token: CancelToken,
    ) -> np.ndarray:
        """The network's channel of the highest logit, uint8 [Z, Y, X] of `prepared.shape`."""
        spec = self.package.spec
        slabs: Iterable[np.ndarray] = predict_slabs(
            prepared.image,
            self.engine,
            int(spec.network.kwargs["out_channels"]),
            spec.inference,
            mirror=tta,
            region=region,
            progress=lambda text, done: report(text, _NETWORK_FROM + (_NETWORK_TO - _NETWORK_FROM) * done),
            cancel=token,
        )
        if spec.inference.image_refinement:
            logits = np.concatenate(list(slabs), axis=1)
            report("drawing outlines to the image", _NETWORK_TO)
            slabs = [refine_outlines(logits, prepared.image.reshape(-1, *logits.shape[1:])[0])]
        if spec.inference.resample == "labels":
            coarse = np.concatenate([slab.argmax(axis=0).astype(np.uint8) for slab in slabs])
            return nearest_labels_on_grid(coarse, prepared.shape)
        z, y, x = prepared.image.shape[-3:]
        return labels_of_slabs(slabs, (z, y, x), prepared.shape, prepared.nearest_axis)

    def _region(self, volume: Volume, prepared: Prepared | NnUNetPrepared, token: CancelToken) -> Box | None:
        """The body, or where the model that the package names for it finds organs; None for the whole image."""
        spec = self.package.spec
        if not spec.inference.region:
            return None
        grid, least, margin = prepared.image.shape[-3:], spec.inference.patch, spec.inference.region_margin
        if spec.inference.region == BODY:
            body = np.any([body_of(image) for image in prepared.image.reshape(-1, *grid)], axis=0)
            return region_of(body, grid, spec.preparation.spacing, margin, least)
        if self._finder is None:
            found = load_model(spec.inference.region)
            found = found.run_by(replace(found.spec.inference, region=""))  # it looks everywhere itself
            self._finder = Segmenter(found, load_engine(found, self.engine.device))
        labels = prepared.place(self._finder.segment(volume, cancel=token).labelmap)
        region = region_of(labels, grid, spec.preparation.spacing, margin, least)
        if region is None:
            logger.warning("%s: %s found no organ; all tiles are computed", volume.name, spec.inference.region)
        return region

    def _chosen(self, organs: Sequence[str] | None) -> LabelSet:
        own = self._labels
        if organs is None:
            return own
        if not organs:
            raise UsageError(f"no organ was chosen; model {self.package.spec.name} has: {', '.join(self.organs)}")
        chosen = [own.named(name) for name in organs]
        return LabelSet(own.name, {value: organ for value, organ in own.items() if organ in chosen})

    def _provenance(self, clock: _Clock, tta: bool, region: Box | None) -> dict[str, Any]:
        spec = self.package.spec
        return {
            "model": spec.name,
            "model version": spec.version,
            "model fingerprint": self.package.fingerprint,
            "engine": self.engine.name,
            "test-time mirroring": tta,
            "outlines drawn to the image": spec.inference.image_refinement,
            "region": spec.inference.region if region is not None else "the whole image",
            "livermriseg": __version__,
            "seconds": clock.seconds,
            "intended use": spec.intended_use,
        }


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
        """Take down the seconds since the last part ended."""
        now = time.perf_counter()
        self.seconds[part] = round(now - self._last, 3)
        self._last = now
