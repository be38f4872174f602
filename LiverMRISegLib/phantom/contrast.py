"""How bright each tissue is in each MR sequence: typical relative signals, 0 (no signal) to about 1000.

They follow the textbook order of the tissues (fluid bright and liver dark in T2; liver bright and vessels dark in
the hepatobiliary phase), not any scanner's units. T1, T2, DWI and the contrast phases are with fat suppression.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

import numpy as np

from LiverMRISegLib.anatomy import Sequence


class Material(IntEnum):
    """What a point of the phantom consists of; the value is its number in a map of materials."""

    AIR = 0
    LUNG = 1
    SKIN = 2
    SUBCUTANEOUS_FAT = 3
    VISCERAL_FAT = 4
    MUSCLE = 5
    MARROW = 6
    CORTICAL_BONE = 7
    DISC = 8
    SPINAL_FLUID = 9
    SPINAL_CORD = 10
    LIVER = 11
    SPLEEN = 12
    RENAL_CORTEX = 13
    RENAL_MEDULLA = 14
    URINE = 15
    PANCREAS = 16
    ARTERY = 17
    VEIN = 18
    PORTAL_VEIN = 19
    BILE = 20
    BOWEL_WALL = 21
    BOWEL_FLUID = 22
    BOWEL_CONTENT = 23
    ADRENAL = 24
    MYOCARDIUM = 25
    CYST = 26
    TUMOUR = 27


# The one order of the columns below.
_PHASES = (
    Sequence.T1WI, Sequence.T2WI, Sequence.DWI, Sequence.IN_PHASE, Sequence.C_ARTERIAL, Sequence.C_VENOUS,
    Sequence.C_DELAY, Sequence.GED4,
)  # fmt: skip
# Water signal.  T1   T2  DWI in-ph art. ven. delay hepatobiliary
_WATER = MappingProxyType({
    Material.AIR:              (0, 0, 0, 0, 0, 0, 0, 0),
    Material.LUNG:             (40, 50, 15, 30, 70, 75, 65, 50),
    Material.SKIN:             (260, 180, 60, 260, 320, 380, 400, 300),
    Material.SUBCUTANEOUS_FAT: (80, 75, 25, 40, 85, 90, 90, 80),
    Material.VISCERAL_FAT:     (90, 85, 28, 50, 95, 105, 105, 85),
    Material.MUSCLE:           (360, 140, 70, 320, 380, 420, 430, 330),
    Material.MARROW:           (250, 210, 110, 150, 300, 350, 340, 230),
    Material.CORTICAL_BONE:    (50, 40, 10, 40, 55, 60, 60, 50),
    Material.DISC:             (270, 380, 110, 260, 280, 300, 320, 250),
    Material.SPINAL_FLUID:     (130, 950, 80, 120, 130, 130, 130, 110),
    Material.SPINAL_CORD:      (330, 460, 420, 320, 330, 340, 340, 300),
    Material.LIVER:            (520, 230, 150, 470, 560, 720, 660, 900),
    Material.SPLEEN:           (360, 470, 560, 310, 800, 760, 640, 380),
    Material.RENAL_CORTEX:     (450, 510, 420, 400, 980, 900, 780, 640),
    Material.RENAL_MEDULLA:    (350, 600, 460, 310, 520, 860, 780, 620),
    Material.URINE:            (150, 980, 90, 140, 150, 170, 500, 800),
    Material.PANCREAS:         (560, 330, 250, 470, 800, 680, 600, 430),
    Material.ARTERY:           (240, 90, 25, 220, 1080, 780, 640, 330),
    Material.VEIN:             (250, 110, 30, 230, 400, 800, 650, 330),
    Material.PORTAL_VEIN:      (250, 120, 30, 230, 560, 850, 650, 330),
    Material.BILE:             (180, 950, 130, 170, 180, 180, 190, 260),
    Material.BOWEL_WALL:       (390, 270, 240, 350, 520, 620, 580, 390),
    Material.BOWEL_FLUID:      (160, 870, 120, 150, 160, 160, 170, 150),
    Material.BOWEL_CONTENT:    (420, 330, 130, 360, 420, 420, 420, 400),
    Material.ADRENAL:          (370, 270, 280, 340, 600, 600, 520, 370),
    Material.MYOCARDIUM:       (380, 250, 130, 340, 550, 600, 560, 380),
    Material.CYST:             (150, 980, 100, 140, 150, 150, 150, 130),
    Material.TUMOUR:           (380, 400, 520, 350, 800, 600, 500, 430),
})  # fmt: skip
# Fat signal where fat is not suppressed (in and out of phase), by tissue; the others hold none.
_FAT = MappingProxyType({
    Material.SUBCUTANEOUS_FAT: 860.0, Material.VISCERAL_FAT: 820.0, Material.MARROW: 330.0, Material.LIVER: 30.0,
    Material.MUSCLE: 15.0, Material.PANCREAS: 60.0, Material.ADRENAL: 60.0,
})  # fmt: skip
# Sequences whose tissues look like those of a column above.
_LIKE = MappingProxyType({
    Sequence.OUT_PHASE: Sequence.IN_PHASE, Sequence.C_PRE: Sequence.T1WI, Sequence.GED1: Sequence.C_ARTERIAL,
    Sequence.GED2: Sequence.C_VENOUS, Sequence.GED3: Sequence.C_DELAY,
})  # fmt: skip


def water_signal(sequence: Sequence) -> np.ndarray:
    """Signal of water for each value of `Material` (float32)."""
    column = _PHASES.index(_LIKE.get(sequence, sequence))
    return np.array([_WATER[material][column] for material in Material], np.float32)


def fat_signal(sequence: Sequence) -> np.ndarray | None:
    """Signal of fat for each value of `Material`; None where fat is suppressed and counted with the water."""
    if sequence not in (Sequence.IN_PHASE, Sequence.OUT_PHASE):
        return None
    return np.array([_FAT.get(material, 0.0) for material in Material], np.float32)
