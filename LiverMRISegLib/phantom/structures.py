"""What an invented patient is made of: shapes with their fills, drawn one over the other, and the trunk around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.anatomy import Organ
from LiverMRISegLib.phantom.contrast import Material
from LiverMRISegLib.phantom.shapes import Shape
from LiverMRISegLib.volume import Vector


@dataclass(frozen=True)
class Fill:
    """`material` where a structure is deeper than `depth` mm; for gas, which rises in a lying patient, y < `above`."""

    material: Material
    depth: float = 0.0
    above: float = np.inf


@dataclass(frozen=True)
class Structure:
    """A shape, what fills it, and which organ's label it bears.

    `rim`: mm of fat around it, which separates it from what was drawn before. `inside`: draw only over this
    material, and leave the label: vessels and lesions within an organ.
    """

    shape: Shape
    fills: tuple[Fill, ...]
    organ: Organ | None = None
    rim: float = 0.0
    inside: Material | None = None


@dataclass(frozen=True)
class Enclosure:
    """What surrounds the organs: trunk of half axes `trunk` (x, y), its layers in mm, and the domes of the diaphragm.

    `domes`: (x, y, z) of the tops of the right and left dome.
    """

    trunk: tuple[float, float]
    fat: float
    domes: tuple[Vector, Vector]
    centre_y: float = -36.0
    wall: float = 11.0
    skin: float = 2.0


@dataclass(frozen=True)
class Patient:
    """Structures below the diaphragm, those drawn over diaphragm and wall, and the enclosure between the two."""

    abdominal: tuple[Structure, ...]
    axial: tuple[Structure, ...]
    enclosure: Enclosure
