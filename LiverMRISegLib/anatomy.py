"""Organs, label sets and MR sequences: the one place that knows names, codes, colours and label values.

SNOMED CT codes and colours are those of 3D Slicer's terminology, so that a segmentation opened in Slicer looks like one
made there; the stomach alone has a colour of its own, since Slicer's is nearly that of the liver beside it.
"right" and "left" are the patient's.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from LiverMRISegLib.errors import UsageError

# In training: voxels whose label nobody knows. No loss counts them.
IGNORE = 255


@dataclass(frozen=True)
class Code:
    """A coded term: `value` in `scheme`, with its human-readable `meaning`."""

    value: str
    meaning: str
    scheme: str = "SCT"


ANATOMICAL_STRUCTURE = Code("123037004", "Anatomical Structure")
RIGHT = Code("24028007", "Right")
LEFT = Code("7771000", "Left")


@dataclass(frozen=True, eq=False)
class Organ:
    """One structure: `name`, SNOMED CT `type_code`, `color` (RGB, 0 to 255), `side` of a paired organ.

    Ours have lower-case names; a structure of a foreign model keeps the name it has there. Two are equal if they have
    one name, in whatever spelling: a file may write it in capitals, and under another value it has another colour.
    """

    name: str
    type_code: Code
    color: tuple[int, int, int]
    side: Code | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Organ) and _key(self.name) == _key(other.name)

    def __hash__(self) -> int:
        return hash(_key(self.name))

    @property
    def title(self) -> str:
        """The name as shown to people: "Right kidney"."""
        return self.name[0].upper() + self.name[1:]

    def means(self, other: Organ) -> bool:
        """Whether both are the same structure, whatever each is called."""
        return (self.type_code, self.side) == (other.type_code, other.side)

    @property
    def is_paired(self) -> bool:
        """Whether the organ exists on both sides."""
        return self.side is not None

    @property
    def terminology_entry(self) -> str:
        """Slicer's serialised terminology entry (category ^ type ^ modifier, then an empty anatomic context)."""
        category, kind = (f"{c.scheme}^{c.value}^{c.meaning}" for c in (ANATOMICAL_STRUCTURE, self.type_code))
        modifier = f"{self.side.scheme}^{self.side.value}^{self.side.meaning}" if self.side else "^^"
        context = "Segmentation category and type - 3D Slicer General Anatomy list"
        return f"{context}~{category}~{kind}~{modifier}~Anatomic codes - DICOM master list~^^~^^"


def id_of(name: str) -> str:
    """The ID of the segment of the structure called `name`: that of an organ stays when the segment is renamed."""
    return name.replace(" ", "_")


def _kidney(side: Code) -> Organ:
    return Organ(f"{side.meaning.lower()} kidney", Code("64033007", "Kidney"), (212, 126, 151), side)


def _adrenal(side: Code) -> Organ:
    return Organ(f"{side.meaning.lower()} adrenal gland", Code("23451007", "Adrenal gland"), (199, 27, 27), side)


LIVER = Organ("liver", Code("10200004", "Liver"), (221, 130, 101))
RIGHT_KIDNEY = _kidney(RIGHT)
LEFT_KIDNEY = _kidney(LEFT)
SPLEEN = Organ("spleen", Code("78961009", "Spleen"), (157, 108, 162))
PANCREAS = Organ("pancreas", Code("15776009", "Pancreas"), (249, 180, 111))
AORTA = Organ("aorta", Code("15825003", "Aorta"), (224, 97, 76))
INFERIOR_VENA_CAVA = Organ("inferior vena cava", Code("64131007", "Inferior vena cava"), (110, 165, 54))
RIGHT_ADRENAL_GLAND = _adrenal(RIGHT)
LEFT_ADRENAL_GLAND = _adrenal(LEFT)
GALLBLADDER = Organ("gallbladder", Code("28231008", "Gallbladder"), (139, 150, 98))
OESOPHAGUS = Organ("oesophagus", Code("32849002", "Esophagus"), (211, 171, 143))
STOMACH = Organ("stomach", Code("69695003", "Stomach"), (96, 176, 168))
DUODENUM = Organ("duodenum", Code("38848004", "Duodenum"), (255, 253, 229))
PORTAL_AND_SPLENIC_VEIN = Organ("portal and splenic vein", Code("32764006", "Portal vein"), (0, 151, 206))

ORGANS: tuple[Organ, ...] = (
    LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN, PANCREAS, AORTA, INFERIOR_VENA_CAVA, RIGHT_ADRENAL_GLAND,
    LEFT_ADRENAL_GLAND, GALLBLADDER, OESOPHAGUS, STOMACH, DUODENUM, PORTAL_AND_SPLENIC_VEIN,
)  # fmt: skip
# Not of the abdomen: the structure of the semi-supervised literature's heart benchmark, for training on it.
LEFT_ATRIUM = Organ("left atrium", Code("82471001", "Left atrium"), (206, 110, 84))
_BY_NAME = {organ.name: organ for organ in (*ORGANS, LEFT_ATRIUM)}
ORGAN_NAMES = tuple(_BY_NAME)
_ALIASES = {
    "esophagus": "oesophagus",
    "ivc": "inferior vena cava",
    "postcava": "inferior vena cava",
    "right adrenal": "right adrenal gland",
    "left adrenal": "left adrenal gland",
    "gall bladder": "gallbladder",
    "portal vein": "portal and splenic vein",
    "portal vein and splenic vein": "portal and splenic vein",
}
# The hues of structures that are not ours follow the golden ratio: neighbours in value never look alike.
_GOLDEN = 0.618034


def organ_named(name: str) -> Organ:
    """The organ called `name` ("right kidney", "kidney_right", "IVC"); UsageError lists the names if unknown."""
    organ = _known(name)
    if organ is None:
        raise UsageError(f"unknown organ '{name}'; known are: {', '.join(_BY_NAME)}")
    return organ


def structure_named(name: str, value: int = 1) -> Organ:
    """The organ called `name`, or, of any other name, a structure of that name coloured by its label `value`."""
    red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN % 1, 0.55, 0.9)
    color = (round(255 * red), round(255 * green), round(255 * blue))
    return _known(name) or Organ(name, ANATOMICAL_STRUCTURE, color)


def has_side(name: str) -> bool:
    """Whether a structure is that of one side, so that a mirrored image would teach it wrongly."""
    known = _known(name)
    return known.is_paired if known else not {"left", "right"}.isdisjoint(_key(name).split())


def _known(name: str) -> Organ | None:
    key = _key(name)
    return _BY_NAME.get(_ALIASES.get(key, key))


def _key(name: str) -> str:
    """Spellings of one name made equal: "Kidney_Right", "right-kidney", Slicer's "Kidney, Right" and "right kidney"."""
    words = re.sub("[_,-]", " ", name.lower()).split()
    return " ".join(words[-1:] + words[:-1] if words[-1:] in (["left"], ["right"]) else words)


class LabelSet(Mapping[int, Organ]):
    """Immutable mapping of label value to organ; 0 is background. `name` says which convention it is."""

    def __init__(self, name: str, organs: Mapping[int, Organ]) -> None:
        if any(value < 1 for value in organs):
            raise UsageError(f"label set '{name}': values must be positive, 0 is background")
        if len(set(organs.values())) != len(organs):
            raise UsageError(f"label set '{name}': an organ is listed twice")
        self.name = name
        self._organs = MappingProxyType(dict(sorted(organs.items())))
        self._values = {organ: value for value, organ in self._organs.items()}

    @classmethod
    def of(cls, name: str, organs: Iterable[Organ]) -> LabelSet:
        """The label set that numbers `organs` 1, 2, 3, ..."""
        return cls(name, dict(enumerate(organs, start=1)))

    def __getitem__(self, value: int) -> Organ:
        return self._organs[value]

    def __iter__(self) -> Iterator[int]:
        return iter(self._organs)

    def __len__(self) -> int:
        return len(self._organs)

    def __repr__(self) -> str:
        return f"LabelSet({self.name!r}, {{{', '.join(f'{v}: {o.name!r}' for v, o in self.items())}}})"

    @property
    def organs(self) -> tuple[Organ, ...]:
        """The organs in the order of their values."""
        return tuple(self._organs.values())

    def named(self, name: str) -> Organ:
        """The organ of this set called `name`, in any spelling; UsageError if this set lacks it."""
        wanted = _known(name)
        for organ in self.organs:
            if organ == wanted or _key(organ.name) == _key(name):
                return organ
        problem = f"{self.name} has no '{wanted.name}'" if wanted else f"unknown organ '{name}'"
        raise UsageError(f"{problem}; {self.name} has: {', '.join(o.name for o in self.organs)}")

    def value_of(self, organ: Organ) -> int:
        """The label value of `organ`; UsageError if this set lacks it."""
        if organ not in self._values:
            raise UsageError(f"'{organ.name}' is not in label set '{self.name}': {[o.name for o in self.organs]}")
        return self._values[organ]

    def mapping_to(self, other: LabelSet) -> dict[int, int]:
        """Own value -> the other set's value, for the organs that are in both."""
        return {value: other.value_of(organ) for value, organ in self.items() if organ in other.organs}


FLARE = LabelSet.of("FLARE", (
    LIVER, RIGHT_KIDNEY, SPLEEN, PANCREAS, AORTA, INFERIOR_VENA_CAVA, RIGHT_ADRENAL_GLAND, LEFT_ADRENAL_GLAND,
    GALLBLADDER, OESOPHAGUS, STOMACH, DUODENUM, LEFT_KIDNEY,
))  # fmt: skip
AMOS = LabelSet.of("AMOS", (
    SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, GALLBLADDER, OESOPHAGUS, LIVER, STOMACH, AORTA, INFERIOR_VENA_CAVA,
    PANCREAS, RIGHT_ADRENAL_GLAND, LEFT_ADRENAL_GLAND, DUODENUM,
))  # fmt: skip
BTCV = LabelSet.of("BTCV", (
    SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, GALLBLADDER, OESOPHAGUS, LIVER, STOMACH, AORTA, INFERIOR_VENA_CAVA,
    PORTAL_AND_SPLENIC_VEIN, PANCREAS, RIGHT_ADRENAL_GLAND, LEFT_ADRENAL_GLAND,
))  # fmt: skip
CHAOS = LabelSet.of("CHAOS", (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN))
# The grey values of CHAOS's own PNG label images.
CHAOS_PNG = LabelSet("CHAOS PNG", {63: LIVER, 126: RIGHT_KIDNEY, 189: LEFT_KIDNEY, 252: SPLEEN})
# A label map of the whole torso, made from CT; its 11 is bowel without an organ of ours.
TORSO = LabelSet.of("torso", (
    SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, GALLBLADDER, OESOPHAGUS, LIVER, STOMACH, AORTA, INFERIOR_VENA_CAVA, PANCREAS,
))  # fmt: skip
# SPL abdominal atlas; it joins stomach and duodenum (13), which is therefore nobody's label here.
SPL_ATLAS = LabelSet("SPL atlas", {
    3: LIVER, 4: SPLEEN, 6: PANCREAS, 7: AORTA, 8: INFERIOR_VENA_CAVA, 10: GALLBLADDER, 51: RIGHT_KIDNEY,
    52: LEFT_KIDNEY, 111: RIGHT_ADRENAL_GLAND, 112: LEFT_ADRENAL_GLAND, 12: PORTAL_AND_SPLENIC_VEIN,
})  # fmt: skip
# Label maps of bodies from head to foot, all that is inside the skin labelled; the other values are tissue, not organs.
WHOLE_BODY = LabelSet("whole body", {
    1: LIVER, 2: RIGHT_KIDNEY, 3: LEFT_KIDNEY, 4: SPLEEN, 5: PANCREAS, 6: GALLBLADDER, 7: STOMACH, 22: OESOPHAGUS,
})  # fmt: skip
# The alphabetical order of STU-Net's released 105-class checkpoints (label_orders.json of that project).
STUNET_105 = LabelSet("STU-Net 105", {
    1: LEFT_ADRENAL_GLAND, 2: RIGHT_ADRENAL_GLAND, 3: AORTA, 10: DUODENUM, 11: OESOPHAGUS, 15: GALLBLADDER,
    37: INFERIOR_VENA_CAVA, 38: LEFT_KIDNEY, 39: RIGHT_KIDNEY, 40: LIVER, 46: PANCREAS,
    47: PORTAL_AND_SPLENIC_VEIN, 77: SPLEEN, 78: STOMACH,
})  # fmt: skip
# TotalSegmentator's task `total_mr`, the organs of ours.
TOTAL_MR = LabelSet("total_mr", {
    1: SPLEEN, 2: RIGHT_KIDNEY, 3: LEFT_KIDNEY, 4: GALLBLADDER, 5: LIVER, 6: STOMACH, 7: PANCREAS,
    8: RIGHT_ADRENAL_GLAND, 9: LEFT_ADRENAL_GLAND, 12: OESOPHAGUS, 14: DUODENUM, 23: AORTA,
    24: INFERIOR_VENA_CAVA, 25: PORTAL_AND_SPLENIC_VEIN,
})  # fmt: skip
# TotalSegmentator's first version for CT (104 classes), the organs of ours.
TOTALSEGMENTATOR_V1 = LabelSet("TotalSegmentator v1", {
    1: SPLEEN, 2: RIGHT_KIDNEY, 3: LEFT_KIDNEY, 4: GALLBLADDER, 5: LIVER, 6: STOMACH, 7: AORTA,
    8: INFERIOR_VENA_CAVA, 9: PORTAL_AND_SPLENIC_VEIN, 10: PANCREAS, 11: RIGHT_ADRENAL_GLAND,
    12: LEFT_ADRENAL_GLAND, 42: OESOPHAGUS, 56: DUODENUM,
})  # fmt: skip
# The invented patients of `phantom`.
PHANTOM = LabelSet.of("phantom", ORGANS)
LABEL_SETS: Mapping[str, LabelSet] = MappingProxyType(
    {
        s.name: s
        for s in (
            FLARE,
            AMOS,
            BTCV,
            CHAOS,
            CHAOS_PNG,
            TORSO,
            SPL_ATLAS,
            WHOLE_BODY,
            STUNET_105,
            TOTAL_MR,
            TOTALSEGMENTATOR_V1,
            PHANTOM,
        )
    }
)


class Sequence(Enum):
    """The MR sequences of the papers; the value is the spelling used in datalists and model.json."""

    T1WI = "T1WI"
    T2WI = "T2WI"
    DWI = "DWI"
    GED1 = "GED1"
    GED2 = "GED2"
    GED3 = "GED3"
    GED4 = "GED4"
    IN_PHASE = "InPhase"
    OUT_PHASE = "OutPhase"
    C_PRE = "C+pre"
    C_ARTERIAL = "C+A"
    C_VENOUS = "C+V"
    C_DELAY = "C+Delay"
