"""Which model suits a volume, by its modality and sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.channels import what_to_give
from LiverMRISegLib.models.catalog import CatalogEntry, find_model, list_models
from LiverMRISegLib.models.package.model_package import load_spec
from LiverMRISegLib.models.package.specification import ANY_MODALITY, ModelSpec
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.volume_kind import VolumeKind

_PERMISSIVE = ("apache", "mit", "bsd", "cc0", "cc-by", "cc by", "public domain")


@dataclass(frozen=True)
class ModelOffer:
    """A model of the catalog for a volume; `warning` is empty if it suits."""

    entry: CatalogEntry
    spec: ModelSpec
    warning: str = ""

    @property
    def matches_all(self) -> str:
        """All text that a search looks at, in lower case."""
        organs = " ".join(organ.name for organ in self.spec.labels.organs)
        words = (self.spec.name, self.entry.summary, self.spec.task, organs, *self.spec.sequences)
        return " ".join(words).lower()


def offers(kind: VolumeKind, search: str = "") -> list[ModelOffer]:
    """The models of the catalog that match all words of `search`.

    Those that suit the volume come first, and of these the ones that were made for a few sequences, its own among them.
    """
    found = [ModelOffer(entry, spec, _warning(spec, kind)) for entry, spec in _readable()]
    words = search.lower().split()
    chosen = [offer for offer in found if all(word in offer.matches_all for word in words)]
    return sorted(chosen, key=lambda offer: _place(offer, kind))


def _place(offer: ModelOffer, kind: VolumeKind) -> tuple[bool, int, bool, str]:
    spec, every = offer.spec, len(Sequence)
    meant = len(spec.sequences) if kind.sequence is not None and kind.sequence.value in spec.sequences else every
    return bool(offer.warning), meant, spec.name != DEFAULT_MODEL, spec.name


def what_others_have(offer: ModelOffer, others: list[ModelOffer]) -> str:
    """Which model that suits the volume too has more organs, if any does; for the user of a specialised one."""
    own = set(offer.spec.labels.organs)
    more = [o for o in others if not o.warning and set(o.spec.labels.organs) > own]
    if offer.warning or not more:
        return ""
    widest = max(more, key=lambda o: len(o.spec.labels.organs))
    names = [organ.name for organ in widest.spec.labels.organs if organ not in own]
    return _("{model} also has {organs}.").format(model=widest.entry.name, organs=", ".join(names))


def model_for(kind: VolumeKind, asked: str) -> str:
    """The most specialised model for the volume's sequence, or `asked` if no model is made for it.

    So contrast phases and non-contrast sequences of a patient go to their own models if the catalog has such models.
    """
    if kind.sequence is None:
        return asked
    specs = {entry.name: spec for entry, spec in _readable()}
    organs = set(specs[asked].labels.organs) if asked in specs else set()
    named = {
        name: len(spec.sequences)
        for name, spec in specs.items()
        if kind.sequence.value in spec.sequences
        and set(spec.labels.organs) >= organs
        and not spec.preparation.channels  # such a model takes more than the one volume
    }
    fewest = min(named.values(), default=0)
    best = sorted((name for name, count in named.items() if count == fewest), key=lambda n: (n != DEFAULT_MODEL, n))
    return asked if asked in best or not best else best[0]


def images_of(model: str) -> list[str]:
    """The names of the images that a model takes for each case; ModelError if there is no such model."""
    return [image.name for image in load_spec(find_model(model)).preparation.images]


def check_takes_one_image(model: str) -> None:
    """Raise ModelError if the model takes several images a case: a volume node is only one."""
    names = images_of(model)
    if len(names) > 1:
        text = _(
            "{model}: takes {count} images a case, but a volume of the scene is only one; "
            "save them as {files} and segment their folder"
        )
        raise ModelError(text.format(model=model, count=len(names), files=what_to_give(names)))


def needs_agreement(spec: ModelSpec) -> bool:
    """Whether the user must have seen the licence of the weights, since it does not permit every use."""
    text = spec.weights_license.lower().strip()
    return not text.startswith(_PERMISSIVE) or "-nc" in text or "noncommercial" in text


def details(offer: ModelOffer, size_mb: float) -> list[tuple[str, str]]:
    """What a user wants to know before choosing a model, as pairs of title and text."""
    spec = offer.spec
    measured = [_measured(entry) for entry in spec.metrics]
    return [
        (_("Model"), f"{spec.name} {spec.version}, {spec.task}"),
        (_("Organs"), ", ".join(organ.name for organ in spec.labels.organs)),
        (_("Sequences"), f"{spec.modality}: {', '.join(spec.sequences)}"),
        (_("Measured"), "; ".join(filter(None, measured)) or _("not stated by its authors")),
        (_("Licence of weights"), spec.weights_license),
        (_("Size"), f"{size_mb:.1f} MB"),
        (_("Use"), spec.intended_use),
    ]


def _measured(entry: Any) -> str:
    figures = [f"{name} {value:.3f}" for name, value in entry.items() if isinstance(value, float)]
    what = f"{entry.get('figure', 'figure')} on {entry.get('cases', '?')} of {entry.get('data set', '?')}"
    return f"{what}: {', '.join(figures)}" if figures else ""


def _readable() -> list[tuple[CatalogEntry, ModelSpec]]:
    """All models whose specification can be read; a broken one must not stop the others (`models list` shows it)."""
    found = []
    for entry in list_models():
        try:
            found.append((entry, load_spec(entry.path)))
        except ModelError:
            continue
    return found


def _warning(spec: ModelSpec, kind: VolumeKind) -> str:
    if spec.preparation.channels:
        text = _(
            "This model takes {count} images a case and cannot segment a single volume; segment a folder of {files}."
        )
        names = [image.name for image in spec.preparation.channels]
        return text.format(count=len(names), files=what_to_give(names))
    if kind.modality not in (None, spec.modality) and spec.modality != ANY_MODALITY:
        text = _("The volume is {found}; this model was made for {made_for}.")
        return text.format(found=kind.modality, made_for=spec.modality)
    if kind.sequence is not None and spec.sequences and kind.sequence.value not in spec.sequences:
        text = _("The volume looks like {found}; this model was trained for {trained}.")
        return text.format(found=kind.sequence.value, trained=", ".join(spec.sequences))
    return ""
