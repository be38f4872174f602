"""nnU-Net v2's plans.json and dataset.json in our terms; whatever we cannot do in the same way is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, LabelSet, Organ, structure_named
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.models.package.specification import ANY_MODALITY, NNUNET, ChannelSpec, PreparationSpec

_MOST_LABELS = 255
_NORMALISATIONS = {
    "CTNormalization": "ct",
    "ZScoreNormalization": "z-score",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "unit-range",
}
_MASKED = "z-score-nonzero"
# The orientation of the array that a reader returns; None: as it is in the file.
_READERS: Mapping[str, str | None] = {"SimpleITKIO": None, "NibabelIO": None, "NibabelIOWithReorient": "RAS"}
_RESAMPLING = "resample_data_or_seg_to_shape"


def read_json(path: Path) -> dict[str, Any]:
    """One of the two files; ModelError if it is missing or no JSON object."""
    try:
        document = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(
            f"{path}: no such file; give the folder TRAINER__PLANS__CONFIGURATION that nnU-Net v2 trained into"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); copy the model again") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path}: does not contain a JSON object; copy the model again")
    return document


def configuration_named(plans: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The configuration `name` of plans.json with what it inherits from others; ModelError if there is none."""
    known = plans["configurations"]
    if name not in known:
        raise ModelError(f"has no configuration '{name}'; it has: {', '.join(known)}")
    if name in seen:
        raise ModelError(f"its configurations inherit in a circle: {', '.join(seen)}")
    own = dict(known[name])
    parent = own.pop("inherits_from", None)
    return {**configuration_named(plans, parent, (*seen, name)), **own} if parent else own


def check_supported(plans: Mapping[str, Any], configuration: Mapping[str, Any], name: str) -> None:
    """ModelError for kinds of models that cannot be run here; `configuration` is that of `name`."""
    manager = plans.get("label_manager", "LabelManager")
    if manager != "LabelManager":
        raise ModelError(f"its labels are made by {manager}; only nnU-Net's LabelManager is supported")
    if configuration.get("previous_stage"):
        raise ModelError(
            f"'{name}' is the second stage of a cascade, which needs the result of another model and is not supported; "
            "import 3d_fullres or 3d_lowres"
        )
    if len(configuration["patch_size"]) != 3:
        raise ModelError(f"'{name}' segments slice by slice (2d), which is not supported; import 3d_fullres")
    preprocessor = configuration.get("preprocessor_name", "DefaultPreprocessor")
    if preprocessor != "DefaultPreprocessor":
        raise ModelError(f"'{name}' is prepared by {preprocessor}; only nnU-Net's DefaultPreprocessor is supported")
    for what, orders in (("data", (1, 3)), ("probabilities", (1,))):
        _check_resampling(configuration, what, orders)


def _check_resampling(configuration: Mapping[str, Any], what: str, orders: Sequence[int]) -> None:
    function, options = (configuration[f"resampling_fn_{what}{end}"] for end in ("", "_kwargs"))
    if function != _RESAMPLING:
        raise ModelError(f"its {what} are resampled by {function}; only {_RESAMPLING} is supported")
    fits = options["order"] in orders and options.get("order_z", 0) == 0 and not options.get("is_seg")
    # Without it nnU-Net's function uses False; its plans always say null: the spacing decides.
    if not fits or options.get("force_separate_z", False) is not None:
        raise ModelError(f"its {what} are resampled with {dict(options)}, which is not supported")


def preparation_of(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], channels: Sequence[str]
) -> PreparationSpec:
    """How the images of a case, named `channels`, are prepared; ModelError for what is not supported."""
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in _READERS:
        raise ModelError(f"its images are read by {reader}; supported are {', '.join(_READERS)}")
    forward = [int(axis) for axis in plans["transpose_forward"]]
    backward = [forward.index(axis) for axis in range(3)]
    if list(plans["transpose_backward"]) != backward:
        raise ModelError(f"transpose_backward {plans['transpose_backward']} does not undo transpose_forward {forward}")
    images = _images(plans, configuration, channels)
    z, y, x = (float(spacing) for spacing in configuration["spacing"])
    return PreparationSpec(
        (z, y, x),
        orientation=_READERS[reader],
        normalisation=images[0].normalisation,
        image_order=int(configuration["resampling_fn_data_kwargs"]["order"]),
        intensity=images[0].intensity,
        scheme=NNUNET,
        transpose=tuple(forward),
        channels=images if len(images) > 1 else (),
    )


def _images(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], channels: Sequence[str]
) -> tuple[ChannelSpec, ...]:
    schemes, masks = configuration["normalization_schemes"], configuration["use_mask_for_norm"]
    if not len(schemes) == len(masks) == len(channels):
        raise ModelError(
            f"normalises {len(schemes)} image(s) a case, dataset.json names {len(channels)} ({', '.join(channels)}); "
            "copy the model again"
        )
    images = []
    for number, (name, scheme, masked) in enumerate(zip(channels, schemes, masks, strict=True)):
        if scheme not in _NORMALISATIONS:
            raise ModelError(f"its images are normalised by {scheme}; supported are {', '.join(_NORMALISATIONS)}")
        normalisation = _NORMALISATIONS[scheme]
        intensity = _intensity(plans, number) if normalisation == "ct" else {}
        images.append(ChannelSpec(name, _MASKED if normalisation == "z-score" and masked else normalisation, intensity))
    return tuple(images)


def _intensity(plans: Mapping[str, Any], channel: int) -> dict[str, float]:
    found = plans["foreground_intensity_properties_per_channel"][str(channel)]
    names = {"low": "percentile_00_5", "high": "percentile_99_5", "mean": "mean", "std": "std"}
    return {ours: float(found[theirs]) for ours, theirs in names.items()}


def labels_of_dataset(dataset: Mapping[str, Any], name: str) -> LabelSet:
    """The labels of dataset.json, values and names kept, as a label set called `name`; "ignore" is left out.

    Raises:
        ModelError: regions instead of labels, values that are not 0, 1, 2, ..., or too many.
    """
    given = {label: value for label, value in dataset["labels"].items() if label != "ignore"}
    regions = [label for label, value in given.items() if isinstance(value, (list, tuple))]
    if regions:
        raise ModelError(f"'{regions[0]}' is a region of several labels; models of regions are not supported")
    names = {int(value): label for label, value in given.items()}
    if sorted(names) != list(range(len(given))) or len(given) - 1 > _MOST_LABELS:
        raise ModelError(
            f"labels must be 0 (background) to at most {_MOST_LABELS} without a gap, not {sorted(given.values())}"
        )
    organs: dict[int, Organ] = {}
    for value in range(1, len(names)):
        organ = structure_named(names[value] or "label", value)
        if organ in organs.values():
            organ = Organ(f"{names[value]} ({value})", ANATOMICAL_STRUCTURE, structure_named("", value).color)
        organs[value] = organ
    return LabelSet(name, organs)


def channels_of_dataset(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a case's images in the order of their numbers; ModelError if these are not 0, 1, ..."""
    given = dataset.get("channel_names") or dataset["modality"]
    numbered = {int(number): str(name) for number, name in given.items()}
    if not numbered or sorted(numbered) != list(range(len(given))):
        raise ModelError(f"channels must be numbered 0, 1, ... without a gap, not {', '.join(map(str, given))}")
    return tuple(numbered[number] for number in range(len(numbered)))


def modality_of(channels: Sequence[str]) -> str:
    """What all images of a case are by their names: "CT", "MR", else any."""
    found = {_modality(name.upper()) for name in channels}
    return found.pop() if len(found) == 1 else ANY_MODALITY


def _modality(name: str) -> str:
    return name if name in ("CT", "MR") else "MR" if name.startswith("MR") else ANY_MODALITY
