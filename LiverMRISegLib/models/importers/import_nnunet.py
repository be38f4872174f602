"""A trained model of nnU-Net v2 as a package: the networks of its folds, prepared and tiled exactly as nnU-Net does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.models.importers.foreign import read_foreign
from LiverMRISegLib.models.importers.nnunet_architecture import network_of_configuration
from LiverMRISegLib.models.importers.nnunet_plans import (
    channels_of_dataset,
    check_supported,
    configuration_named,
    labels_of_dataset,
    modality_of,
    preparation_of,
    read_json,
)
from LiverMRISegLib.models.package.model_package import member_prefix, save_package
from LiverMRISegLib.models.package.specification import NNUNET, InferenceSpec, ModelSpec, NetworkSpec

CHECKPOINT = "checkpoint_final.pth"
_PLANS, _DATASET, _ALL = "plans.json", "dataset.json", "fold_all"
# Left before the names by torch.compile and by training on several GPUs.
_WRAPPERS = ("_orig_mod.", "module.")


def import_nnunet(
    source: Path, name: str, folder: Path, *, folds: Sequence[str] = (), checkpoint: str = CHECKPOINT
) -> Path:
    """Convert a trained-model folder (TRAINER__PLANS__CONFIGURATION) into the package `folder / name`.

    Args:
        source: it holds plans.json, dataset.json and fold_0, fold_1, ... or fold_all with a checkpoint each.
        name: of the package.
        folder: the package's parent.
        folds: "0", "1", ... or "all"; by default every numbered fold that is there, else fold_all.
        checkpoint: the file to take in each fold.

    Raises:
        ModelError: not such a folder, a kind of model that is not supported, or a checkpoint that may not be read.
        OutputError: the package exists already or cannot be written.
    """
    source = Path(source)
    plans, dataset = read_json(source / _PLANS), read_json(source / _DATASET)
    members = _members(source, folds, checkpoint)
    documents = [_document(member / checkpoint) for member in members]
    spec = _spec(source, name, plans, dataset, documents[0], [member.name for member in members])
    states = [_state(document) for document in documents]
    if len(states) == 1:
        return save_package(spec, states[0], folder / name)
    weights = {member_prefix(m) + key: tensor for m, state in enumerate(states) for key, tensor in state.items()}
    return save_package(spec, weights, folder / name)


def _members(source: Path, folds: Sequence[str], checkpoint: str) -> list[Path]:
    """The folders of the folds; whether each has its checkpoint is left to reading it where they were asked for."""
    if folds:
        return [source / f"fold_{fold}" for fold in folds]
    found = sorted(path for path in source.glob("fold_*") if (path / checkpoint).is_file())
    numbered = [path for path in found if path.name != _ALL]
    if not found:
        raise ModelError(f"{source}: no fold holds a {checkpoint}; choose another by --checkpoint, or copy it again")
    return numbered or found


def _document(path: Path) -> Mapping[str, Any]:
    document = read_foreign(path)
    if not isinstance(document, Mapping) or not isinstance(document.get("network_weights"), Mapping):
        raise ModelError(f"{path}: holds no 'network_weights'; is it a checkpoint of nnU-Net v2?")
    return document


def _state(document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors by name, every one once."""
    from LiverMRISegLib.networks.nnunet_unets import once

    named = {_unwrapped(key): tensor for key, tensor in document["network_weights"].items()}
    return {key: tensor.float().numpy() for key, tensor in once(named)}


def _unwrapped(key: str) -> str:
    for wrapper in _WRAPPERS * 2:
        key = key.removeprefix(wrapper)
    return key


def _spec(
    source: Path,
    name: str,
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    first: Mapping[str, Any],
    folds: list[str],
) -> ModelSpec:
    trainer, chosen = _trainer_and_configuration(source, first)
    with _naming(source / _DATASET):
        channels, labels = channels_of_dataset(dataset), labels_of_dataset(dataset, name)
    with _naming(source / _PLANS):
        configuration = configuration_named(plans, chosen)
        check_supported(plans, configuration, chosen)
        network, kwargs = network_of_configuration(configuration)
        preparation = preparation_of(plans, configuration, channels)
        z, y, x = (int(size) for size in configuration["patch_size"])
        mirrored = tuple(int(axis) for axis in first.get("inference_allowed_mirroring_axes") or ())
        inference = InferenceSpec((z, y, x), mirror_axes=mirrored, scheme=NNUNET)
    ends = {"in_channels": len(channels), "out_channels": len(labels) + 1}
    origin = {"dataset": str(plans.get("dataset_name", "")), "plans": str(plans.get("plans_name", ""))}
    return ModelSpec(
        name=name,
        version="1.0",
        task=f"the labels of nnU-Net's data set {origin['dataset']}",
        modality=modality_of(channels),
        sequences=(),
        labels=labels,
        network=NetworkSpec(network, {**ends, **kwargs}, len(folds)),
        preparation=preparation,
        inference=inference,
        provenance=({"stage": "import_nnunet", "trainer": trainer, "configuration": chosen, "folds": folds, **origin},),
    )


def _trainer_and_configuration(source: Path, document: Mapping[str, Any]) -> tuple[str, str]:
    """What the checkpoint says; the folder's name where it does not."""
    parts = source.resolve().name.split("__")
    trainer, _, configuration = parts if len(parts) == 3 else ("", "", "")
    arguments = document.get("init_args")
    said = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    if not (said or configuration):
        raise ModelError(
            f"{source}: neither the checkpoint nor the folder's name tells the configuration; "
            "name the folder TRAINER__PLANS__CONFIGURATION as nnU-Net does"
        )
    return str(document.get("trainer_name") or trainer), str(said or configuration)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors from within name the file that they are about."""
    try:
        yield
    except LiverMRISegError as error:
        raise ModelError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelError(f"{path}: is not as nnU-Net v2 writes it ({error!r}); copy the model again") from error
