"""What is bright and what is dark in the families of abdominal MR sequences, from textbooks, with wide tolerance.

A share of the randomised images draws its contrast around one of these, the others from anywhere: the network
then meets the common sequences often, and still learns to trust shape and place before brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.synthesis.structure_maps import STRUCTURES, Tissue

Range = tuple[float, float]


@dataclass(frozen=True)
class Family:
    """Intensity of each kind of tissue, 0 black to 1 brightest; a pair is a range to draw from."""

    liver: float
    spleen: float
    kidney: float
    pancreas: float
    artery: Range
    vein: Range
    bile: Range
    content: Range
    fat: float
    muscle: float
    bone: float
    bowel: float


FAMILIES = (
    # T2, and T2 with fat suppression, heavier and less heavily weighted
    Family(0.30, 0.62, 0.70, 0.45, (0.0, 0.6), (0.05, 0.95), (0.8, 1.0), (0.2, 1.0), 0.65, 0.18, 0.40, 0.50),
    # (in nine real T2-SPIR volumes fat under the skin has 0.32 to 0.55 of the liver's brightness, muscle 0.44 to 0.63,
    # the right kidney 1.8 to 2.4, the spleen 1.6 to 2.3)
    Family(0.38, 0.80, 0.86, 0.50, (0.0, 0.6), (0.05, 0.95), (0.8, 1.0), (0.2, 1.0), 0.16, 0.20, 0.22, 0.50),
    Family(0.27, 0.62, 0.68, 0.40, (0.0, 0.6), (0.10, 0.90), (0.8, 1.0), (0.2, 1.0), 0.11, 0.14, 0.15, 0.40),
    # diffusion
    Family(0.28, 0.82, 0.72, 0.42, (0.0, 0.1), (0.00, 0.30), (0.2, 0.8), (0.1, 0.6), 0.08, 0.13, 0.18, 0.40),
    # T1 in phase, opposed phase, with fat suppression
    Family(0.60, 0.42, 0.42, 0.62, (0.1, 0.3), (0.10, 0.35), (0.1, 0.7), (0.1, 0.5), 0.95, 0.42, 0.62, 0.42),
    Family(0.52, 0.44, 0.42, 0.58, (0.1, 0.3), (0.10, 0.35), (0.1, 0.7), (0.1, 0.5), 0.70, 0.44, 0.40, 0.42),
    Family(0.58, 0.40, 0.44, 0.66, (0.1, 0.3), (0.10, 0.35), (0.1, 0.7), (0.1, 0.5), 0.14, 0.38, 0.22, 0.42),
    # arterial, venous and hepatobiliary phase
    Family(0.42, 0.70, 0.85, 0.70, (0.8, 1.0), (0.20, 0.60), (0.1, 0.4), (0.1, 0.4), 0.14, 0.30, 0.24, 0.42),
    Family(0.64, 0.64, 0.84, 0.58, (0.7, 1.0), (0.70, 1.00), (0.1, 0.4), (0.1, 0.4), 0.14, 0.34, 0.26, 0.44),
    Family(0.88, 0.40, 0.55, 0.45, (0.1, 0.3), (0.10, 0.35), (0.2, 1.0), (0.1, 0.4), 0.13, 0.33, 0.24, 0.36),
)
# T2 counts double: dark liver among dark fat and muscle is the hardest.
_SHARES = np.array([2, 2, 2, 1, 1, 1, 1, 1, 1, 1]) / 13
_LIVER, _KIDNEYS, _SPLEEN, _PANCREAS, _AORTA, _CAVA = 1, [2, 3], 4, 5, 6, 7
_ADRENALS, _GALLBLADDER, _OESOPHAGUS, _STOMACH, _DUODENUM, _PORTAL = [8, 9], 10, 11, 12, 13, 14


def draw_contrast(random: np.random.Generator, spread: float = 0.1, relative_spread: float = 0.0) -> np.ndarray:
    """Mean intensity by structure value (`structure_maps`), float64 [STRUCTURES], around a family chosen at random.

    A structure strays by a standard deviation of `spread` + `relative_spread` x its mean. Where the spread is absolute,
    dark neighbours (liver, fat and muscle of T2 with fat suppression) often change their order; where it is relative,
    seldom.
    """
    family = FAMILIES[int(random.choice(len(FAMILIES), p=_SHARES))]
    means = random.uniform(0.1, 0.6, STRUCTURES)
    means[_LIVER], means[_KIDNEYS], means[_SPLEEN] = family.liver, family.kidney, family.spleen
    means[_PANCREAS], means[_ADRENALS] = family.pancreas, family.pancreas
    means[_AORTA] = random.uniform(*family.artery)
    means[[_CAVA, _PORTAL]] = random.uniform(*family.vein)
    means[_GALLBLADDER] = random.uniform(*family.bile)
    means[[_STOMACH, _DUODENUM]] = random.uniform(*family.content, 2)
    means[_OESOPHAGUS] = family.muscle + 0.1
    means[[Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]] = family.fat
    means[Tissue.WALL_MUSCLE] = family.muscle
    # Unlabelled soft tissue: muscle near the spine, bowel, heart, vessels.
    means[Tissue.INNER_SOFT] = random.uniform(min(family.muscle, family.bowel), max(family.muscle, family.bowel))
    means[Tissue.SKELETON] = family.bone
    means[Tissue.BRIGHT_CONTENT] = random.uniform(*family.content)
    # No numbers of their own are drawn for what `anatomy` adds, so that images without it stay as they were.
    means[Tissue.FLUID] = means[_GALLBLADDER]
    means[Tissue.HEART] = means[_AORTA]
    means[Tissue.DISC] = 0.7 * family.muscle + 0.3 * means[_GALLBLADDER]
    scale = random.uniform(0.7, 1.1)
    means = means * scale
    shift = random.normal(0, 1, STRUCTURES) * (spread + relative_spread * means)
    shift[_KIDNEYS[1]] = shift[_KIDNEYS[0]]
    return np.clip(means + shift, 0.01, 1.0)
