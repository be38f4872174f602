"""The abdomen of one invented patient: organs of typical size and place, different for every seed.

Coordinates are millimetres in the LPS sense (x to the patient's left, y to posterior, z up) with the origin
midway between the kidneys. Sizes and places follow the medians of abdominal CT; nothing is taken from an image.
Structures are drawn one over the other, from the inside of the body to its skin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import Organ
from LiverMRISegLib.phantom.contrast import Material
from LiverMRISegLib.phantom.shapes import Blend, Cut, Ellipsoid, Tube, jittered
from LiverMRISegLib.phantom.structures import Enclosure, Fill, Patient, Structure
from LiverMRISegLib.volume import Vector

LABELS = anatomy.PHANTOM


def make_patient(random: np.random.Generator) -> Patient:
    """A patient; the generator decides sizes, places, lesions and how full stomach and gallbladder are."""
    build = _Build(random)
    abdominal = (
        *_bowel(build),
        *_stomach(build),
        *_liver(build),
        *_spleen_and_kidneys(build),
        *_retroperitoneum(build),
    )
    fat = float(random.uniform(12, 26))
    trunk = (float(random.uniform(150, 164)) + fat / 3, float(random.uniform(100, 106)) + fat / 3)
    top = float(random.uniform(114, 124))
    domes = ((-66.0, -44.0, top), (76.0, -40.0, top - 9.0))
    return Patient(abdominal, (*_spine_and_muscles(build), *_thorax(build)), Enclosure(trunk, fat, domes))


class _Build:
    """Shapes with a patient's small deviations from the typical."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def ellipsoid(
        self, centre: Vector, radii: Vector, turns: Vector = (0.0, 0.0, 0.0), spread: float = 3.0
    ) -> Ellipsoid:
        """Moved by about `spread` mm, radii changed by about 4 % together and 3 % each."""
        moved = np.array(centre) + self.random.normal(0, spread, 3)
        scale = np.clip(self.random.normal(1, 0.04) * self.random.normal(1, 0.03, 3), 0.93, 1.12)
        turned = np.array(turns) + self.random.normal(0, 4.0, 3)
        return Ellipsoid(_vector(moved), _vector(np.array(radii) * scale), _vector(turned))

    def tube(self, path: Sequence[Vector], radii: Sequence[float], spread: float = 1.5) -> Tube:
        """Its points moved by about `spread` mm, its radii changed by about 6 % together."""
        scale = float(np.clip(self.random.normal(1, 0.06), 0.85, 1.15))
        return Tube(jittered(path, self.random, spread), tuple(radius * scale for radius in radii))


def _vector(values: np.ndarray) -> Vector:
    return (float(values[0]), float(values[1]), float(values[2]))


def _liver(build: _Build) -> list[Structure]:
    """Right lobe moulded by ribs, dome and kidney, left lobe over the stomach, vessels, at times lesions."""
    right = build.ellipsoid((-76, -40, 56), (68, 88, 86), (0, -12, -8))
    middle = build.ellipsoid((-30, -70, 76), (56, 50, 44), (0, -14, 0))
    left = build.ellipsoid((12, -88, 84), (56, 34, 30), (0, -16, 12))
    caudate = build.ellipsoid((-22, -42, 72), (18, 16, 26))
    # The visceral surface rises from the right to the left, and from the front to the back.
    lower = ((0.55, 0.12, -1.0), float(build.random.normal(-42, 4)))
    # Neither spine nor aorta is touched.
    medial = ((0.80, 0.60, 0.0), -13.0)
    liver = Cut(Blend((Cut(right, planes=(medial,)), middle, left, caudate), 22.0), planes=(lower,))
    veins = Blend((
        build.tube([(-24, -42, 108), (-60, -40, 96), (-98, -34, 70)], [5.5, 4, 2]),
        build.tube([(-24, -46, 108), (-46, -78, 92), (-62, -104, 66)], [5, 3.5, 2]),
        build.tube([(-22, -50, 108), (4, -82, 96), (28, -96, 86)], [4.5, 3, 1.5]),
    ), 3.0)  # fmt: skip
    portal = Blend((
        build.tube([(-38, -56, 58), (-64, -46, 62), (-96, -30, 52)], [6, 4.5, 2]),
        build.tube([(-64, -46, 62), (-86, -76, 50), (-104, -92, 40)], [4, 3, 1.5]),
        build.tube([(-42, -58, 60), (-18, -76, 72), (14, -92, 84)], [5, 4, 2]),
    ), 3.0)  # fmt: skip
    parts = [
        Structure(liver, (Fill(Material.LIVER),), anatomy.LIVER),
        Structure(veins, (Fill(Material.VEIN),), inside=Material.LIVER),
        Structure(portal, (Fill(Material.PORTAL_VEIN),), inside=Material.LIVER),
    ]
    for material, likely in ((Material.CYST, 0.6), (Material.TUMOUR, 0.5)):
        if build.random.random() < likely:
            place = (float(build.random.uniform(-105, -60)), float(build.random.uniform(-90, 0)), 70.0)
            radius = float(build.random.uniform(5, 16))
            shape = build.ellipsoid(place, (radius, radius, radius * 0.9), spread=10.0)
            parts.append(Structure(shape, (Fill(material),), inside=Material.LIVER))
    bladder = build.tube([(-52, -60, 36), (-64, -76, 22), (-74, -92, 4)], [4, 10, 12.5], spread=3.0)
    parts.append(Structure(bladder, (Fill(Material.BOWEL_WALL), Fill(Material.BILE, 1.5)), anatomy.GALLBLADDER))
    return parts


def _spleen_and_kidneys(build: _Build) -> list[Structure]:
    hollow = build.ellipsoid((50, -28, 66), (34, 40, 68))
    spleen = Cut(build.ellipsoid((95, 4, 62), (48, 51, 58), (-18, 0, 24)), removed=(hollow,))
    parts = [Structure(spleen, (Fill(Material.SPLEEN),), anatomy.SPLEEN, rim=1.5)]
    for side, organ, height in ((-1, anatomy.RIGHT_KIDNEY, -7.0), (1, anatomy.LEFT_KIDNEY, 7.0)):
        parts.extend(_kidney(build, side, organ, height))
    return parts


def _kidney(build: _Build, side: int, organ: Organ, height: float) -> list[Structure]:
    """Upper pole nearer to the spine and farther back, hilum medial and in front."""
    turns = (-14.0, side * 14.0, side * 22.0)
    kidney = build.ellipsoid((side * 71, 2, height), (30.5, 27.5, 56), turns)
    x, y, z = kidney.centre
    pyramids = [
        Ellipsoid((x + side * 17 * across, y + 15 * back, z + rise), (7.5, 7.5, 8.5))
        for rise, across, back in (
            (34, 0, 0.1), (20, 0.9, 0.2), (20, -0.1, 0.9), (4, 1, -0.2), (4, 0.5, 0.9), (-12, 1, 0.3), (-12, -0.1, 0.9),
            (-26, 0.7, -0.3), (-34, 0.2, 0.4), (12, 0.5, -0.9), (-20, 0.2, -0.9),
        )
    ]  # fmt: skip
    sinus = Ellipsoid((x - side * 16, y - 7, z), (17, 8, 21), (0.0, 0.0, side * 25.0))
    pelvis = Ellipsoid((x - side * 14, y - 6, z - 1), (11, 4, 12), (0.0, 0.0, side * 25.0))
    medulla = Blend(tuple(pyramids), 1.0)
    return [
        Structure(kidney, (Fill(Material.RENAL_CORTEX),), organ, rim=5.0),
        Structure(medulla, (Fill(Material.RENAL_MEDULLA),), inside=Material.RENAL_CORTEX),
        Structure(sinus, (Fill(Material.VISCERAL_FAT),)),
        Structure(pelvis, (Fill(Material.URINE),), inside=Material.VISCERAL_FAT),
    ]


def _stomach(build: _Build) -> list[Structure]:
    full = float(build.random.uniform(0.75, 1.05))
    stomach = Blend((
        build.tube([(70, -30, 92), (66, -66, 70)], [36 * full, 32 * full], spread=3.0),
        build.tube([(66, -66, 68), (40, -94, 36), (4, -98, 24), (-22, -84, 25)],
                   [30 * full, 25 * full, 18 * full, 10], spread=3.0),
    ), 14.0)  # fmt: skip
    level = float(build.random.uniform(-84, -62))
    inside = Material.BOWEL_FLUID if build.random.random() < 0.6 else Material.BOWEL_CONTENT
    fills = (Fill(Material.BOWEL_WALL), Fill(inside, 3.5), Fill(Material.AIR, 3.5, above=level))
    return [Structure(stomach, fills, anatomy.STOMACH)]


def _retroperitoneum(build: _Build) -> list[Structure]:
    """Pancreas, duodenum, adrenals, portal and splenic vein, and small vessels without a label."""
    pancreas = Blend((
        build.tube([(-32, -58, 10), (-28, -58, 22), (-8, -70, 32)], [14, 14, 9]),
        build.tube([(-8, -70, 32), (24, -66, 44), (52, -42, 54), (78, -20, 60)], [8.5, 10, 9.5, 8]),
    ), 5.0)  # fmt: skip
    duodenum = build.tube(
        [
            (-24, -82, 26),
            (-46, -66, 28),
            (-52, -48, 8),
            (-48, -46, -24),
            (-24, -48, -36),
            (6, -50, -32),
            (26, -58, -10),
        ],
        [10, 12, 12, 12, 11, 10, 9],
    )
    splenic = build.tube([(84, -10, 62), (52, -34, 50), (22, -54, 42), (-8, -56, 32)], [3.2, 3.8, 4.3, 5.5], spread=1.0)
    portal = build.tube([(-8, -56, 30), (-22, -54, 44), (-38, -56, 58)], [6, 6.5, 6.5], spread=0.8)
    mesenteric = build.tube([(-8, -56, 28), (-8, -62, -8), (-6, -68, -70)], [5.5, 5, 4])
    artery = build.tube([(8, -26, 34), (4, -50, 18), (2, -58, -70)], [4, 3.8, 3])
    right_adrenal = Blend((
        build.tube([(-32, -24, 64), (-42, -4, 40)], [3.6, 2.8], spread=0.5),
        build.tube([(-32, -24, 64), (-29, -2, 44)], [3.6, 2.6], spread=0.5),
    ), 3.0)  # fmt: skip
    left_adrenal = Blend((
        build.tube([(32, -26, 52), (43, -10, 34)], [3.8, 3.0], spread=0.5),
        build.tube([(32, -26, 52), (29, -6, 36)], [3.8, 2.8], spread=0.5),
    ), 3.0)  # fmt: skip
    wall = (Fill(Material.BOWEL_WALL), Fill(Material.BOWEL_FLUID, 4.5))
    return [
        Structure(duodenum, wall, anatomy.DUODENUM, rim=1.0),
        Structure(pancreas, (Fill(Material.PANCREAS),), anatomy.PANCREAS, rim=1.5),
        Structure(artery, (Fill(Material.ARTERY),), rim=2.0),
        Structure(mesenteric, (Fill(Material.PORTAL_VEIN),)),
        Structure(Blend((splenic, portal), 3.0), (Fill(Material.PORTAL_VEIN),), anatomy.PORTAL_AND_SPLENIC_VEIN),
        Structure(right_adrenal, (Fill(Material.ADRENAL),), anatomy.RIGHT_ADRENAL_GLAND, rim=2.5),
        Structure(left_adrenal, (Fill(Material.ADRENAL),), anatomy.LEFT_ADRENAL_GLAND, rim=2.5),
    ]


def _bowel(build: _Build) -> list[Structure]:
    """Loops of small bowel, and the colon around them with gas in front."""
    random = build.random
    parts: list[Structure] = []
    for _ in range(30):
        start = np.array([random.uniform(-70, 80), random.uniform(-105, -45), random.uniform(-100, -25)])
        steps = np.cumsum(random.normal(0, 1, (3, 3)) * [26, 14, 14], axis=0)
        path = [_vector(start), *(_vector(start + step) for step in steps)]
        radius = float(random.uniform(10, 15))
        inside = Material.BOWEL_FLUID if random.random() < 0.5 else Material.BOWEL_CONTENT
        fills = (Fill(Material.BOWEL_WALL), Fill(inside, 2.5))
        parts.append(Structure(build.tube(path, [radius] * 4), fills, rim=1.5))
    return [*parts, *(_colon(build, path, radii) for path, radii in _COLON)]


# Ascending, transverse and descending: points and radii.
_COLON: tuple[tuple[tuple[Vector, ...], tuple[float, ...]], ...] = (
    (((-98, -40, -105), (-100, -44, -50), (-92, -58, -28)), (26, 25, 22)),
    (((-92, -62, -26), (-58, -104, -24), (0, -112, -26), (52, -104, 0), (96, -62, 24)), (20, 18, 17, 17, 17)),
    (((98, -56, 26), (112, -20, 4), (110, -14, -50), (104, -20, -105)), (17, 15, 14, 14)),
)


def _colon(build: _Build, path: Sequence[Vector], radii: Sequence[float]) -> Structure:
    level = float(np.mean([point[1] for point in path]) - build.random.uniform(2, 14))
    fills = (Fill(Material.BOWEL_WALL), Fill(Material.BOWEL_CONTENT, 2.5), Fill(Material.AIR, 2.5, above=level))
    return Structure(build.tube(path, radii, spread=4.0), fills, rim=1.5)


def _thorax(build: _Build) -> list[Structure]:
    """Heart, oesophagus, and the great vessels, which cross the diaphragm."""
    heart = build.ellipsoid((20, -82, 152), (58, 44, 38), (0, 10, -20))
    chambers = Blend((build.ellipsoid((2, -76, 154), (24, 26, 28)), build.ellipsoid((38, -84, 152), (26, 22, 24))), 2.0)
    vena_cava = build.tube(
        [(-18, -36, -120), (-20, -30, -40), (-22, -28, 0), (-25, -34, 50), (-24, -44, 100), (-18, -62, 140)],
        [11, 11, 11.5, 12, 12, 12],
    )
    aorta = build.tube(
        [(4, -38, -120), (6, -26, -40), (8, -18, 0), (10, -12, 60), (15, 0, 110), (20, 12, 170)],
        [9, 9.5, 10.5, 11, 11.5, 12],
    )
    oesophagus = build.tube([(34, -44, 94), (20, -34, 104), (10, -24, 124), (4, -12, 170)], [9, 8, 7.5, 7.5])
    renal = [
        Structure(build.tube([(8, -20, 6), (side * 34, -6, 6 * side), (side * 56, -4, 7 * side)], [3.5, 3, 2.5]),
                  (Fill(Material.ARTERY),))
        for side in (-1, 1)
    ]  # fmt: skip
    renal_vein = build.tube([(-20, -30, 2), (8, -34, 8), (34, -14, 8), (54, -6, 7)], [4.5, 4, 4, 3.5])
    return [
        Structure(heart, (Fill(Material.MYOCARDIUM),)),
        Structure(chambers, (Fill(Material.ARTERY),), inside=Material.MYOCARDIUM),
        *renal,
        Structure(renal_vein, (Fill(Material.VEIN),)),
        Structure(oesophagus, (Fill(Material.BOWEL_WALL),), anatomy.OESOPHAGUS, rim=1.5),
        Structure(vena_cava, (Fill(Material.VEIN),), anatomy.INFERIOR_VENA_CAVA, rim=0.8),
        Structure(aorta, (Fill(Material.ARTERY),), anatomy.AORTA, rim=2.0),
    ]


def _spine_and_muscles(build: _Build) -> list[Structure]:
    parts: list[Structure] = []
    for side in (-1, 1):
        psoas = Tube(((side * 26, 12, 30), (side * 36, 10, -20), (side * 48, 0, -110)), (6, 17, 25))
        parts.append(Structure(psoas, (Fill(Material.MUSCLE),), rim=2.0))
        back = Ellipsoid((side * 34, 49, 20), (31, 19, 240))
        parts.append(Structure(back, (Fill(Material.MUSCLE),), rim=1.0))
        lumborum = Ellipsoid((side * 66, 34, -60), (22, 10, 62), (0.0, 0.0, side * -20.0))
        parts.append(Structure(lumborum, (Fill(Material.MUSCLE),), rim=1.0))
    crura = Blend((Tube(((-13, -14, 75), (-12, -10, 0)), (5, 4)), Tube(((24, -8, 80), (18, -8, -10)), (5, 4))), 2.0)
    column = Tube(tuple((0.0, y, z) for y, z in _COLUMN), (18,) * len(_COLUMN))
    arch = Tube(tuple((0.0, y + 29, z) for y, z in _COLUMN), (16,) * len(_COLUMN))
    canal = Tube(tuple((0.0, y + 26, z) for y, z in _COLUMN), (9,) * len(_COLUMN))
    cord = Tube(tuple((0.0, y + 26, z) for y, z in _COLUMN if z > -20), (4.5,) * sum(z > -20 for _, z in _COLUMN))
    parts += [
        Structure(crura, (Fill(Material.MUSCLE),)),
        Structure(arch, (Fill(Material.CORTICAL_BONE), Fill(Material.MARROW, 2.0))),
        Structure(column, (Fill(Material.CORTICAL_BONE), Fill(Material.DISC, 1.5))),
    ]
    phase = float(build.random.uniform(0, 33))
    for level in np.arange(-150 + phase, 200, 33):
        y = float(np.interp(level, [z for _, z in _COLUMN], [y for y, _ in _COLUMN]))
        half = Cut(Ellipsoid((0.0, y, float(level)), (22, 17.5, 60)), planes=_slab(float(level), 12.5))
        spinous = Ellipsoid((0.0, y + 48, float(level) - 8), (4, 15, 11))
        parts.append(Structure(half, (Fill(Material.CORTICAL_BONE), Fill(Material.MARROW, 1.2))))
        parts.append(Structure(spinous, (Fill(Material.CORTICAL_BONE), Fill(Material.MARROW, 1.5))))
    parts.append(Structure(canal, (Fill(Material.SPINAL_FLUID),)))
    parts.append(Structure(cord, (Fill(Material.SPINAL_CORD),), inside=Material.SPINAL_FLUID))
    return parts


# The spine's curve: y of the vertebral bodies' centres over z.
_COLUMN = ((0.0, -150.0), (4.0, -60.0), (16.0, 0.0), (24.0, 70.0), (36.0, 130.0), (44.0, 200.0))


def _slab(level: float, half: float) -> tuple[tuple[Vector, float], tuple[Vector, float]]:
    return (((0.0, 0.0, 1.0), level + half), ((0.0, 0.0, -1.0), half - level))
