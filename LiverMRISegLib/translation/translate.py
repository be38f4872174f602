"""The stage that translates labelled CT into an MR sequence: slices there, volumes back, with the CT's labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from tqdm import tqdm

from LiverMRISegLib.data.case_selection import Listed, choose_scans
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name, write_datalist
from LiverMRISegLib.errors import ModelError, OutputError, UsageError
from LiverMRISegLib.inference.engines.select import device_in_torch
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.io.unusable import UnusableVolumes
from LiverMRISegLib.networks.resnet_generator import ResnetGenerator
from LiverMRISegLib.preparation.interpolation import resize_cubic
from LiverMRISegLib.preparation.own_scheme import prepare
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output, files_of, hash_of_weights, keep_rows, kept_rows
from LiverMRISegLib.pseudo_labels.outputs import check_case_names
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import config_of_run
from LiverMRISegLib.translation.slices import DomainConfig, warn_of_units
from LiverMRISegLib.translation.train_translator import TranslatorConfig
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TranslateConfig(Checked):
    """Config of `scripts/train/translate.py`.

    A generator only knows convolutions and the statistics of its slice, so whole slices of any size are translated.
    """

    translator: Path = Path("runs/translator")
    """Run folder of `train_translator.py`, whose window and percentiles hold here too."""
    source: DomainConfig = field(default_factory=DomainConfig)
    """The volumes to translate."""
    sequence: str = "T2WI"
    """What the translations are called in the datalist."""
    output: Path = Path("runs/translated")
    """Folder for the translations and datalist.json."""
    device: str = "auto"
    """Device that computes: auto, cuda, mps or cpu."""
    batch: Annotated[int, Limits(1, 100_000)] = 4
    """Slices that are translated at once."""


def run(config: TranslateConfig) -> list[Path]:
    """Translate every scan; those done before by the same translator are left alone, unless the scan was changed.

    Returns:
        The paths of the translations.

    Raises:
        InputError, UsageError: scans that cannot be used, or none, or no such device here.
        ModelError: the translator was not trained, or the folder is another stage's.
        OutputError: a translation cannot be written.
    """
    device = device_in_torch(config.device)
    trained = config_of_run(TranslatorConfig, config.translator, "train_translator.py")
    generator = load_generator(config.translator, trained).to(device)
    scans = choose_scans(config.source.datalists, config.source.pool, needs_labels=config.source.labelled)
    check_case_names([replace(scan, sequence=config.sequence) for _, scan in scans])
    _check_meaning([datalist for datalist, _ in scans])
    _check_output(config)
    sources = [*config.source.datalists, *files_of(scan for _, scan in scans)]
    with claimed_output(config.output, [hash_of_weights(generator)], sources):
        unusable, made = UnusableVolumes(), list[Path]()
        for _, scan in tqdm(scans, "volumes", disable=None, dynamic_ncols=True):
            with unusable.noted():
                made.append(_translated(scan, generator, trained, device, config))
        unusable.raise_any(len(scans))
        write_datalist(_datalist(config, scans, made, trained.space), config.output / "datalist.json")
        return made


def _translated(
    scan: Scan, generator: torch.nn.Module, trained: TranslatorConfig, device: torch.device, config: TranslateConfig
) -> Path:
    """The path of its translation, which is made unless the same scan's is there."""
    path = config.output / f"{case_name(replace(scan, sequence=config.sequence))}.nii.gz"
    kept, image = path.with_name(path.name.replace(".nii.gz", ".csv")), hash_of(scan.image)
    if not path.exists() or kept_rows(kept, image) is None:
        volume = read_volume(scan.image)
        translated = translate_volume(volume, generator, trained, device, config.batch)
        body = volume.array > np.percentile(volume.array, 50)
        jumps = slice_jump(translated.array, body), slice_jump(volume.array, body)
        logger.info("%s: slice-to-slice jump %.2f, of the CT %.2f", path.name, *jumps)
        write_volume(translated, path)
        keep_rows(kept, image)
    return path


def _check_output(config: TranslateConfig) -> None:
    for path in config.output.glob("*.nii.gz"):
        if f"_{config.sequence}" not in path.name:
            raise OutputError(f"{config.output}: contains {path.name}, of another sequence; choose a folder for each")


def _check_meaning(datalists: Sequence[Datalist]) -> None:
    first = datalists[0]
    for other in datalists:
        if (dict(other.values), other.ignore) != (dict(first.values), first.ignore):
            raise UsageError(f"{first.name} and {other.name}: number their organs differently; translate them apart")


def load_generator(run_folder: Path, trained: TranslatorConfig) -> torch.nn.Module:
    """The trained generator from source to target, ready to use; ModelError if there is none."""
    state = checkpoints.load_newest(run_folder / "checkpoints")
    if state is None:
        raise ModelError(f"{run_folder}: contains no trained translator; run train_translator first")
    checkpoints.warn_unfinished(run_folder / "checkpoints", trained.loop.steps)
    generator = ResnetGenerator(1, trained.gan.width, trained.gan.blocks)
    generator.load_state_dict(state["method"]["networks"]["to_target"])
    return generator.eval().requires_grad_(False)


def translate_volume(
    volume: Volume,
    generator: torch.nn.Module,
    trained: TranslatorConfig,
    device: torch.device | str = "cpu",
    batch: int = 4,
) -> Volume:
    """A CT volume as the target sequence, int16 from 0 to 1000 on the CT's own grid."""
    domain = trained.source
    prepared = prepare(volume, domain.preparation(trained.spacing, trained.orientation or None))
    if domain.lacks_air(prepared.image):
        warn_of_units([volume.name], domain)
    image = torch.from_numpy(domain.in_range(prepared.image, trained.space))[:, None]
    padded, box = _padded(image)
    with torch.no_grad():
        parts = [generator(part.to(device)).cpu() for part in padded.split(batch)]
    translated = torch.cat(parts)[(slice(None), 0, *box)].numpy()
    # Linearly it would be blurred twice, here and on the way to the segmenter's grid; real MR is blurred once.
    fine = resize_cubic(translated, prepared.oriented.shape)
    np.clip(fine, -1, 1, out=fine)
    fine += 1
    fine *= 500
    whole = prepared.change.inverse.apply(np.round(fine, out=fine).astype(np.int16))
    return replace(volume, array=np.ascontiguousarray(whole), metadata={"modality": "MR"})


def slice_jump(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean change from slice to slice over that from row to row within `mask` [Z, Y, X]: above 1, slices flicker.

    Both in units of the image per voxel; compare with the same figure of the source.
    """
    across = np.abs(np.diff(image.astype(np.float32), axis=0))[mask[1:] & mask[:-1]]
    within = np.abs(np.diff(image.astype(np.float32), axis=1))[mask[:, 1:] & mask[:, :-1]]
    return float(across.mean() / max(float(within.mean()), 1e-6))


def _padded(image: torch.Tensor) -> tuple[torch.Tensor, tuple[slice, slice]]:
    """Slices [Z, 1, Y, X] with -1 around, so that both sides divide by 4; and the box of the image in them."""
    missing = [-n % 4 for n in image.shape[2:]]
    before = [m // 2 for m in missing]
    around = [before[1], missing[1] - before[1], before[0], missing[0] - before[0]]
    padded = torch.nn.functional.pad(image, around, value=-1.0)
    y, x = (slice(b, b + n) for b, n in zip(before, image.shape[2:], strict=True))
    return padded, (y, x)


def _datalist(config: TranslateConfig, scans: list[Listed], images: list[Path], space: str) -> Datalist:
    first = scans[0][0]
    translated = [
        Scan(
            scan.patient,
            config.sequence,
            image.absolute(),
            scan.labels and scan.labels.absolute(),
            "translated",
            series=scan.series,
        )
        for (_, scan), image in zip(scans, images, strict=True)
    ]
    licence = "; ".join(sorted({datalist.licence for datalist, _ in scans}))
    return Datalist(f"{first.name} as {config.sequence}", licence, first.values, translated, space, first.ignore)
