"""The batches of a training: item number i is the whole batch of step i, made from (seed, i) alone.

So there are no epochs and no state: labelled and unlabelled cases come in endless streams of their own, a resumed
run sees the batches it would have seen, and several processes share one batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from LiverMRISegLib.data.augmentation import Augmenter, Patch
from LiverMRISegLib.data.case_cache import PreparedCase
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.synthesis.generator import ImageMaker
from LiverMRISegLib.synthesis.structure_maps import StructureMap

Sample = dict[str, torch.Tensor]
Batch = dict[str, Any]
_PREFETCH = 8
# Labels have 8 bits.
_LABELS = 256
# The number of the stream "labelled" in the seeds of its samples, and that of the shared places, not a stream's.
_LABELLED, _PLACES = 0, 1_000_003


class Stream(Protocol):
    """An endless series of samples; `batch` of them are used at each step, over all processes."""

    @property
    def inputs(self) -> list[str]:
        """What the samples are made of, by its content, in order."""

    @property
    def batch(self) -> int:
        """Samples per step."""

    def sample(self, index: int, seed: Sequence[int]) -> Sample:
        """Sample number `index`; everything random in it is drawn from `seed`."""


@dataclass(frozen=True)
class SharedPlaces:
    """Where patches are cut that a method pastes into each other: at the same part of every volume.

    Samples k and k + batch / 2 of both streams' batches share a place (BCP pairs them so). With probability
    `foreground` it is one where labelled sample k + batch / 2 shows a voxel of a class drawn evenly.
    """

    cases: Sequence[PreparedCase]
    batch: int
    patch: Patch
    foreground: float

    def centre(self, index: int, seed: int, shape: Sequence[int]) -> list[int]:
        """The centre of sample number `index` in a volume of `shape`; `seed` is the training's."""
        half = max(1, self.batch // 2)
        step, place = divmod(index, self.batch)
        random = np.random.default_rng((seed, _PLACES, step * half + place % half))
        shares = random.random(3)
        leader = step * self.batch + self.batch - half + place % half
        case = self.cases[_shuffled(leader, len(self.cases), (seed, _LABELLED))]
        if case.foreground and random.random() < self.foreground:
            voxels = case.foreground[int(random.choice(sorted(case.foreground)))]
            found = zip(voxels[int(random.integers(len(voxels)))], case.image.shape, self.patch, strict=True)
            shares = np.array([(v - p // 2) / max(1, n - p) for v, n, p in found]).clip(0, 1)
        sides = zip(shares, shape, self.patch, strict=True)
        return [p // 2 + round(share * (n - p)) if n > p else n // 2 for share, n, p in sides]


@dataclass(frozen=True)
class CaseStream:
    """Patches of prepared cases, each case once before any comes again.

    Samples hold "weak" and "strong" (float32 [1, Z, Y, X]: only moved; intensities changed too) and, where the cases
    have labels, "labels" (uint8 [Z, Y, X]). The last round(batch * foreground) samples of a batch are centred on
    a voxel of a class drawn evenly among those of the case (nnU-Net); of a batch of 1, this share of all batches is.
    With `places` these say where all patches are cut. With `partial` samples have "unlabelled", as in
    `SyntheticStream`: nothing, the labels are taken as complete.
    """

    cases: Sequence[PreparedCase]
    augmenter: Augmenter
    batch: int
    foreground: float = 0.33
    places: SharedPlaces | None = None
    partial: bool = False

    @property
    def inputs(self) -> list[str]:
        """As `Stream.inputs`."""
        return [case.key for case in self.cases]

    def sample(self, index: int, seed: Sequence[int]) -> Sample:
        """As `Stream.sample`."""
        random = np.random.default_rng(seed)
        case = self.cases[_shuffled(index, len(self.cases), seed)]
        centre = self._centre(case, index, random)
        if self.places is not None:
            centre = self.places.centre(index, seed[0], case.image.shape)
        place = self.augmenter.place(centre, random)
        weak = self.augmenter.cut(case.image, place)
        sample = {"weak": weak[None], "strong": self.augmenter.change_intensities(weak, random)[None]}
        if case.labels is not None:
            sample["labels"] = self.augmenter.cut(case.labels, place, is_labels=True)
            if self.partial:
                sample["unlabelled"] = _unlabelled(())
        return sample

    def _centre(self, case: PreparedCase, index: int, random: np.random.Generator) -> Sequence[int]:
        if case.foreground and self._wants_foreground(index, random):
            voxels = case.foreground[int(random.choice(sorted(case.foreground)))]
            return [int(v) for v in voxels[int(random.integers(len(voxels)))]]
        return [_anywhere(n, p, random) for n, p in zip(case.image.shape, self.augmenter.patch, strict=True)]

    def _wants_foreground(self, index: int, random: np.random.Generator) -> bool:
        if self.batch == 1:
            return bool(random.random() < self.foreground)
        return index % self.batch >= self.batch - round(self.batch * self.foreground)


@dataclass(frozen=True)
class JoinedStream:
    """Two streams whose samples follow each other in every batch."""

    first: Stream
    second: Stream

    @property
    def inputs(self) -> list[str]:
        """As `Stream.inputs`."""
        return self.first.inputs + self.second.inputs

    @property
    def batch(self) -> int:
        """As `Stream.batch`."""
        return self.first.batch + self.second.batch

    def sample(self, index: int, seed: Sequence[int]) -> Sample:
        """As `Stream.sample`."""
        step, place = divmod(index, self.batch)
        if place < self.first.batch:
            return self.first.sample(step * self.first.batch + place, seed)
        return self.second.sample(step * self.second.batch + place - self.first.batch, seed)


@dataclass(frozen=True)
class SyntheticStream:
    """Synthetic images, made from label maps (`ImageMaker`); samples as in `CaseStream`.

    With `partial` the samples have "unlabelled" too: bool [256], the values of organs that may be in the background.
    """

    bodies: Sequence[StructureMap]
    maker: ImageMaker
    batch: int
    partial: bool = False

    @property
    def inputs(self) -> list[str]:
        """As `Stream.inputs`."""
        parts = ((body.structures, body.texture) for body in self.bodies)
        return [hashlib.sha256(b"".join(p.tobytes() for p in pair if p is not None)).hexdigest() for pair in parts]

    def sample(self, index: int, seed: Sequence[int]) -> Sample:
        """As `Stream.sample`."""
        random = np.random.default_rng(seed)
        made = self.maker.make(self._body(random), int(random.integers(2**62)))
        image = torch.from_numpy(made.image)[None]
        sample = {"weak": image, "strong": image, "labels": torch.from_numpy(made.labels)}
        if self.partial:
            sample["unlabelled"] = _unlabelled(made.unlabelled)
        return sample

    def _body(self, random: np.random.Generator) -> StructureMap:
        weights = np.array([body.weight for body in self.bodies])
        if (weights == weights[0]).all():
            return self.bodies[int(random.integers(len(self.bodies)))]
        return self.bodies[int(random.choice(len(self.bodies), p=weights / weights.sum()))]


def _unlabelled(values: Sequence[int]) -> torch.Tensor:
    table = torch.zeros(_LABELS, dtype=torch.bool)
    table[list(values)] = True
    return table


def _anywhere(size: int, patch: int, random: np.random.Generator) -> int:
    """A centre from which the patch stays inside the image, where it fits."""
    if size <= patch:
        return size // 2
    return patch // 2 + int(random.integers(size - patch + 1))


def _shuffled(index: int, count: int, seed: Sequence[int]) -> int:
    """Item number `index` of endless shuffles of `count` things; `seed` begins with the stream's own number."""
    turn, place = divmod(index, count)
    return int(np.random.default_rng((*seed[:2], turn)).permutation(count)[place])


class StepBatches(Dataset[Batch]):
    """The batches of all steps: for each stream its stacked samples, and "seed", the step's own number.

    With several processes each takes every `world`-th sample of a batch, beginning with its `rank`.
    """

    def __init__(self, streams: Mapping[str, Stream], steps: int, seed: int, rank: int = 0, world: int = 1) -> None:
        for name, stream in streams.items():
            if stream.batch % world:
                raise UsageError(f"a batch of {stream.batch} {name} samples cannot be shared by {world} processes")
        self.streams, self.steps, self.seed, self.rank, self.world = streams, steps, seed, rank, world

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        batch: Batch = {"seed": (self.seed * 1_000_003 + step) * self.world + self.rank}
        for number, (name, stream) in enumerate(self.streams.items()):
            indices = range(step * stream.batch + self.rank, (step + 1) * stream.batch, self.world)
            samples = [stream.sample(index, (self.seed, number, index)) for index in indices]
            batch[name] = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
        return batch


def feed(batches: StepBatches, workers: int) -> Callable[[int], Iterator[Batch]]:
    """What `loop.train` takes: the batches from a step on, made by `workers` processes (0: by the caller's own)."""

    def from_step(step: int) -> Iterator[Batch]:
        """The batches from `step` to the last."""
        remaining = range(step, len(batches))
        ahead = _PREFETCH if workers else None
        # A loader draws a seed when it begins: not from torch's numbers, which a resumed run must find as they were.
        own = torch.Generator()
        loader = DataLoader(batches, None, sampler=remaining, num_workers=workers, prefetch_factor=ahead, generator=own)
        return iter(loader)

    return from_step
