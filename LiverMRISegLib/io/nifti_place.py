"""Where a NIfTI file says its voxels are: its qform and its sform, and which of the two is used.

The rule is nibabel's, and that of FSL, AFNI and MRtrix: the sform if it has a code, else the qform. Where the two
contradict each other, that is said aloud. Formulas: nifti1.h, "3D image (volume) orientation and location in space".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.volume_header import grid, is_perpendicular, no_place
from LiverMRISegLib.volume import IDENTITY, Geometry

# xyzt_units: what a unit of length is in mm. 0: not said.
UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_SCANNER = 1
# NIfTI's world is RAS, ours LPS.
_TO_LPS = np.array([[-1.0], [-1.0], [1.0]])
# Share of the smallest spacing by which a corner may differ, and of a length: both are more than float32 rounds away.
_SAME_CORNER, _SAME_LENGTH = 0.1, 1e-4


@dataclass(frozen=True)
class NiftiForms:
    """qform and sform as the file has them, in its unit of length, so that a mask can get the same.

    `handedness` is pixdim[0] (qfac), `spacing` pixdim[1..3], `rows` the sform [3, 4].
    """

    qform_code: int
    sform_code: int
    handedness: float
    spacing: tuple[float, float, float]
    quaternion: tuple[float, float, float]
    offset: tuple[float, float, float]
    rows: tuple[tuple[float, ...], ...]
    unit: int = 2

    def qform(self) -> np.ndarray:
        """The affine matrix [3, 4] of quaternion, offset and spacing, to RAS."""
        b, c, d = self.quaternion
        rest = 1.0 - (b * b + c * c + d * d)
        if rest < 1e-7:  # rounded: a rotation by 180 degrees
            a, (b, c, d) = 0.0, (v / np.sqrt(b * b + c * c + d * d) for v in (b, c, d))
        else:
            a = float(np.sqrt(rest))
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        turn[:, 2] *= -1.0 if self.handedness < 0 else 1.0
        return np.column_stack([turn * self.spacing, self.offset])

    def sform(self) -> np.ndarray:
        """The affine matrix [3, 4] to RAS."""
        return np.array(self.rows, np.float64)


def place_of(path: Path, forms: NiftiForms, size: tuple[int, int, int]) -> tuple[Geometry, list[str]]:
    """The grid in mm and LPS, and what a person should know of it.

    Without any code axes are taken as LPS, as ITK does; the caller says so.

    Raises:
        InputError: a place that is not finite, no positive spacing, or sheared axes without a sound qform.
    """
    factor = UNITS[forms.unit]
    grid(path, size, forms.spacing, (0, 0, 0), IDENTITY)
    qform = _finite(path, forms.qform()) if forms.qform_code > 0 and _check_quaternion(path, forms) else None
    sform = _finite(path, forms.sform()) if forms.sform_code > 0 else None
    chosen = sform if sform is not None else qform
    if chosen is None:
        return grid(path, size, [s * factor for s in forms.spacing], (0, 0, 0), IDENTITY), []
    notes = []
    if sform is not None and qform is not None:
        if not _is_sound(sform) and _is_sound(qform):
            chosen = qform
            notes.append("the axes of the file's sform are not perpendicular, its qform was used")
        else:
            notes.extend(_contradiction(qform, sform, size))
    lengths = np.linalg.norm(chosen[:, :3], axis=0)
    if not lengths.min() > 0:
        raise InputError(f"{path}: an axis of its sform has no length; correct the header or export it again")
    spacing = np.array(forms.spacing)
    if np.abs(lengths / spacing - 1).max() > _SAME_LENGTH:
        spacing = lengths
        notes.append("the file gives two voxel spacings (pixdim and sform), that of the sform was used")
    axes, origin = _TO_LPS * chosen[:, :3] / lengths, (_TO_LPS * chosen[:, 3:])[:, 0]
    return grid(path, size, list(spacing * factor), list(origin * factor), axes), notes


def forms_of(geometry: Geometry) -> NiftiForms:
    """Both forms of a grid, of the scanner's space. A qform cannot have shear: its axes are the nearest without."""
    axes = _TO_LPS * np.array(geometry.direction)
    u, _, v = np.linalg.svd(axes)
    turn = u @ v
    handedness = -1.0 if np.linalg.det(turn) < 0 else 1.0
    turn[:, 2] *= handedness
    affine = np.column_stack([axes * geometry.spacing, _TO_LPS[:, 0] * geometry.origin])
    rows = tuple(tuple(float(v) for v in row) for row in affine)
    offset = (rows[0][3], rows[1][3], rows[2][3])
    return NiftiForms(_SCANNER, _SCANNER, handedness, geometry.spacing, _quaternion(turn), offset, rows)


def _quaternion(turn: np.ndarray) -> tuple[float, float, float]:
    """b, c and d of a rotation; a, which is not negative, follows from them."""
    # The eigenvector of the largest eigenvalue (Bar-Itzhack 2000, J. Guid. Control Dyn. 23(6), 1085-1087).
    xx, yx, zx, xy, yy, zy, xz, yz, zz = turn.ravel()
    k = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [yz - zy, zx - xz, xy - yx, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(k / 3.0)
    b, c, d, a = vectors[:, -1]
    sign = -1.0 if a < 0 else 1.0
    return (float(sign * b), float(sign * c), float(sign * d))


def _check_quaternion(path: Path, forms: NiftiForms) -> bool:
    if not np.all(np.isfinite([*forms.quaternion, *forms.offset])):
        raise no_place(path)
    if sum(v * v for v in forms.quaternion) > 1.01:
        raise InputError(f"{path}: the quaternion of its qform is not a rotation; export it again")
    return True


def _finite(path: Path, affine: np.ndarray) -> np.ndarray:
    if not np.all(np.isfinite(affine)):
        raise no_place(path)
    return affine


def _is_sound(affine: np.ndarray) -> bool:
    lengths = np.linalg.norm(affine[:, :3], axis=0)
    return bool(lengths.min() > 0) and is_perpendicular(affine[:, :3] / lengths)


def _contradiction(qform: np.ndarray, sform: np.ndarray, size: tuple[int, int, int]) -> list[str]:
    """What to say if the two put a corner of the volume in different places."""
    ends = np.array([[x, y, z, 1] for x in (0, size[0] - 1) for y in (0, size[1] - 1) for z in (0, size[2] - 1)])
    apart = float(np.linalg.norm(ends @ (qform - sform).T, axis=1).max())
    if apart <= _SAME_CORNER * float(np.linalg.norm(sform[:, :3], axis=0).min()):
        return []
    mirrored = np.linalg.det(qform[:, :3]) * np.linalg.det(sform[:, :3]) < 0
    how = ", one is the mirror image of the other: check left and right" if mirrored else ", check the image's place"
    return [
        f"the file's qform and sform contradict each other by up to {apart:.0f} mm; "
        f"the sform was used, as most programs do{how}"
    ]
