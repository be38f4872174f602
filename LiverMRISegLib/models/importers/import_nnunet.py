"""A trained nnU-Net model as a package: the networks of its folds, with nnU-Net's preparation and tiling.

Of nnU-Net v1 only what STU-Net's trainers made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.io.dataclass_reader import shown
from LiverMRISegLib.models.importers import nnunet_v1
from LiverMRISegLib.models.importers.foreign import read_foreign, tensors_of
from LiverMRISegLib.models.importers.import_stunet import read_checkpoint
from LiverMRISegLib.models.importers.nnunet_architecture import (
    is_stunet,
    network_of_configuration,
    stunet_of_configuration,
)
from LiverMRISegLib.models.importers.nnunet_plans import (
    channels_of_dataset,
    check_supported,
    configuration_named,
    labels_of_dataset,
    modality_of,
    preparation_of,
    read_json,
)
from LiverMRISegLib.models.package.model_package import joined_members, save_package
from LiverMRISegLib.models.package.specification import NNUNET, InferenceSpec, ModelSpec, NetworkSpec

CHECKPOINT = "checkpoint_final.pth"
_PLANS, _DATASET, _ALL = "plans.json", "dataset.json", "fold_all"
# Prefixes that torch.compile and training on several GPUs put before the names.
_WRAPPERS = ("_orig_mod.", "module.")


def import_nnunet_model(
    source: Path, name: str, folder: Path, *, folds: Sequence[str] = (), checkpoint: str = CHECKPOINT
) -> Path:
    """Convert a trained-model folder (TRAINER__PLANS__CONFIGURATION) into the package `folder / name`.

    STU-Net's own trainers for nnU-Net v2 write such folders too; those for v1 write TRAINER__PLANS.

    Args:
        source: it contains plans.json (of v1: plans.pkl), dataset.json and fold_0, fold_1, ... or fold_all (of v1:
            all), each with a checkpoint.
        name: of the package.
        folder: the package's parent.
        folds: "0", "1", ... or "all"; by default every numbered fold, else fold_all.
        checkpoint: the file to read in each fold.

    Raises:
        ModelError: the folder is not a trained model, the kind of model is not supported, or a checkpoint is not safe.
        OutputError: the package already exists or cannot be written.
    """
    source = Path(source)
    if (source / nnunet_v1.PLANS).exists() and not (source / _PLANS).exists():
        return _import_first_version(source, name, folder, folds, checkpoint)
    plans, dataset = read_json(source / _PLANS), read_json(source / _DATASET)
    members = _members(source, folds, checkpoint)
    documents = [_document(member / checkpoint) for member in members]
    spec = _spec(source, name, plans, dataset, documents[0], members)
    states = [_state(document, member / checkpoint) for document, member in zip(documents, members, strict=True)]
    return save_package(spec, joined_members(states), folder / name, source=source)


def _import_first_version(source: Path, name: str, folder: Path, folds: Sequence[str], checkpoint: str) -> Path:
    """`import_nnunet_model` of a folder of nnU-Net v1."""
    file = nnunet_v1.CHECKPOINT if checkpoint == CHECKPOINT else checkpoint
    members = _members(source, folds, file, whole="all")
    if not (source / _DATASET).exists():
        raise ModelError(
            f"{source / _DATASET}: no such file; nnU-Net v1 leaves the names of the labels with the data: copy "
            "dataset.json of the task there"
        )
    with _naming(source / _DATASET):
        dataset = nnunet_v1.second_dataset(read_json(source / _DATASET))
    pickled = members[0] / f"{file}.pkl"
    with _naming(pickled):
        first = nnunet_v1.read_first_version(pickled)
    if not is_stunet(first.trainer):
        raise ModelError(
            f"{pickled}: its trainer is {first.trainer}; of nnU-Net v1 only models of STU-Net's trainers can be "
            "imported: train the others again in nnU-Net v2"
        )
    origin = _Origin(pickled, first.trainer, "3d", (0, 1, 2))
    spec = _spec_of(source, name, first.plans, dataset, first.configuration, origin, members)
    spec = replace(spec, preparation=replace(spec.preparation, resample_first=True))
    states = [read_checkpoint(member / file) for member in members]
    return save_package(spec, joined_members(states), folder / name, source=source)


def _members(source: Path, folds: Sequence[str], checkpoint: str, whole: str = _ALL) -> list[Path]:
    """The folders of the folds. Folds that were asked for are not searched: reading their checkpoint will tell.

    `whole`: the folder of the network that all data trained; it is taken where there are no numbered folds.
    """
    if folds:
        return [source / (whole if fold == "all" else f"fold_{fold}") for fold in folds]
    found = sorted(path for path in {*source.glob("fold_*"), source / whole} if (path / checkpoint).is_file())
    numbered = [path for path in found if path.name != whole]
    if not found:
        raise ModelError(
            f"{source}: no fold contains {checkpoint}; choose another file with --checkpoint, or copy the model again"
        )
    return numbered or found


def _document(path: Path) -> Mapping[str, Any]:
    document = read_foreign(path)
    if not isinstance(document, Mapping) or not isinstance(document.get("network_weights"), Mapping):
        raise ModelError(f"{path}: contains no 'network_weights'; is it an nnU-Net v2 checkpoint?")
    return document


def _state(document: Mapping[str, Any], source: Path) -> dict[str, np.ndarray]:
    """The tensors by name, each of them once."""
    from LiverMRISegLib.networks.nnunet_unets import once

    arrays = tensors_of(document["network_weights"], source)
    return dict(once({_unwrapped(key): array for key, array in arrays.items()}))


def _unwrapped(key: str) -> str:
    for wrapper in _WRAPPERS * 2:
        key = key.removeprefix(wrapper)
    return key


@dataclass(frozen=True)
class _Origin:
    """The file of the plans, who trained, the configuration's name, and the axes that may be mirrored."""

    plans: Path
    trainer: str
    configuration: str
    mirrored: tuple[int, ...]


def _spec(
    source: Path,
    name: str,
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    first: Mapping[str, Any],
    members: Sequence[Path],
) -> ModelSpec:
    trainer, chosen = _trainer_and_configuration(source, first)
    with _naming(source / _PLANS):
        configuration = configuration_named(plans, chosen)
        check_supported(plans, configuration, chosen)
        mirrored = tuple(int(axis) for axis in first.get("inference_allowed_mirroring_axes") or ())
    origin = _Origin(source / _PLANS, trainer, chosen, mirrored)
    return _spec_of(source, name, plans, dataset, configuration, origin, members)


def _spec_of(
    source: Path,
    name: str,
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    configuration: Mapping[str, Any],
    origin: _Origin,
    members: Sequence[Path],
) -> ModelSpec:
    trainer = origin.trainer
    with _naming(source / _DATASET):
        channels, labels = channels_of_dataset(dataset), labels_of_dataset(dataset, name)
    with _naming(origin.plans):
        made = stunet_of_configuration(configuration, trainer) if is_stunet(trainer) else None
        network, kwargs = made or network_of_configuration(configuration)
        preparation = preparation_of(plans, configuration, channels)
        z, y, x = (int(size) for size in configuration["patch_size"])
        inference = InferenceSpec((z, y, x), mirror_axes=origin.mirrored, scheme=NNUNET)
    ends = {"in_channels": len(channels), "out_channels": len(labels) + 1}
    folds = [member.name for member in members]
    named = {"dataset": str(plans.get("dataset_name", "")), "plans": str(plans.get("plans_name", ""))}
    return ModelSpec(
        name=name,
        version="1.0",
        task=f"the labels of nnU-Net's data set {named['dataset']}",
        modality=modality_of(channels),
        sequences=(),
        labels=labels,
        network=NetworkSpec(network, {**ends, **kwargs}, len(folds)),
        preparation=preparation,
        inference=inference,
        provenance=(
            {
                "stage": "import_nnunet",
                "trainer": trainer,
                "configuration": origin.configuration,
                "folds": folds,
                **named,
            },
        ),
    )


def _trainer_and_configuration(source: Path, document: Mapping[str, Any]) -> tuple[str, str]:
    """Trainer and configuration, from the checkpoint, else from the folder's name."""
    parts = source.resolve().name.split("__")
    trainer, _, configuration = parts if len(parts) == 3 else ("", "", "")
    arguments = document.get("init_args")
    said = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    if not (said or configuration):
        raise ModelError(
            f"{source}: neither the checkpoint nor the folder's name gives the configuration; "
            "name the folder TRAINER__PLANS__CONFIGURATION as nnU-Net does"
        )
    return str(document.get("trainer_name") or trainer), str(said or configuration)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the name of the file before the errors that are raised inside."""
    try:
        yield
    except LiverMRISegError as error:
        raise ModelError(f"{path}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ModelError(
            f"{path}: was not written by nnU-Net, or was changed ({shown(error)}); copy the model again"
        ) from error
