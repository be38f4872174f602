"""The one config tree of the synthetic images."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AnatomyConfig:
    """Probabilities of the additions (0: never) and how far they go, in mm and shares.

    `ascites`: fluid around liver and spleen, of about `ascites_depth` (3 voxels at most). `resection`: a part of the
    liver is gone, `resected_share` of it. `growth`: the liver reaches up to `growth_reach` further in one direction.
    `borders`: each large organ's border is moved in or out by up to `border_shift`. `nodular`: the liver's surface is
    uneven by up to `nodule_depth`. `bowel_gas`: gas and content change places. `background`: shapes where a body
    without CT knows nothing. `filling`: bowel and fat between the organs are those of another body. `outer_layers`:
    more fat, and arms, around the body. `spine`: vertebral bodies, discs, canal. `chest`: heart, lungs and effusions
    above the dome. `taller`: a body whose map ends above its organs goes on there as its last slice. `breath`: groups
    of slices are shifted in-plane by up to `breath_shift`, as in scans of several breath-holds.
    """

    ascites: float = 0.0
    ascites_depth: float = 10.0
    resection: float = 0.0
    resected_share: tuple[float, float] = (0.15, 0.5)
    growth: float = 0.0
    growth_reach: float = 45.0
    borders: float = 0.0
    border_shift: float = 6.0
    nodular: float = 0.0
    nodule_depth: float = 4.0
    bowel_gas: float = 0.0
    background: float = 0.0
    filling: float = 0.0
    outer_layers: float = 0.0
    spine: float = 0.0
    chest: float = 0.0
    taller: float = 0.0
    breath: float = 0.0
    breath_shift: float = 5.0


@dataclass(frozen=True)
class LookConfig:
    """Probabilities of the additions (0: never).

    `iron`: a very dark liver, often spleen and marrow too. `isointense`: the liver as bright as muscle or fat.
    `liver_like`: what lies beside the liver (bowel, its fat, stomach, heart, spleen) nearly as bright as it.
    `calm_bowel`: bowel, its content and fat stray from their means by a factor and stay dark in dark sequences.
    `vessel_trees`: branching vessels and bile ducts in the liver. `focal_lesions`: with rim, clustered or large.
    `organ_texture`: fine and coarse patterns within organs, of up to `texture_strength` (fat, cirrhosis).
    `kidney_pattern`: cortex, medulla and pelvis. `stomach_level`: gas above a level of content. `lung_vessels`.
    """

    iron: float = 0.0
    isointense: float = 0.0
    liver_like: float = 0.0
    calm_bowel: float = 0.0
    vessel_trees: float = 0.0
    focal_lesions: float = 0.0
    organ_texture: float = 0.0
    texture_strength: float = 0.35
    kidney_pattern: float = 0.0
    stomach_level: float = 0.0
    lung_vessels: float = 0.0


@dataclass(frozen=True)
class ScannerConfig:
    """Probabilities of the additions (0: never) and how far they go.

    `fat_failure`: fat turns bright where a smooth field is high. `coil`: brightness falls off away from a surface
    coil and towards the first and last slices, to the share `coil_darkest` at least. `motion`: edges are doubled or
    blurred by breathing, up to `motion_shift` mm. `ghosting`: copies shifted along the phase axis, of up to
    `ghost_strength` of the image. `truncation`: only `kept_share` of k-space along an axis, so that edges ring.
    `wrap`: the field of view is narrower than the body, which folds over. `slab`: only `slab_length` mm along z were
    scanned. `slice_gaps`: slices stand `slice_distance` mm apart and are thinner than that, along any axis.
    `nearest_return`: such an image comes back to the training grid without interpolation. `oblique`: slices tilted
    about one axis by up to `oblique_angle` degrees on top of the common rotation. `coil_end`: slices above the liver's
    dome, or below its tip, lie beyond the coil and are dark. `heavy_noise`: more noise than `noise`, up to
    `heaviest_noise`. `clean`: as most archives hold images, air is nothing and noise little, `clean_noise` at most and
    never heavy. `margins`: the patch is normalised as part of a volume of which up to `margin_share` is air beside it.
    `soft`: edges are wider than one mean over neighbours makes them. `jumps`: axial slices of `jump_thickness` mm, each
    taken in a breath of its own, up or down by a standard deviation of up to `jump` mm.
    """

    fat_failure: float = 0.0
    coil: float = 0.0
    coil_darkest: float = 0.15
    motion: float = 0.0
    motion_shift: float = 9.0
    ghosting: float = 0.0
    ghost_strength: float = 0.25
    truncation: float = 0.0
    kept_share: tuple[float, float] = (0.45, 0.85)
    wrap: float = 0.0
    slab: float = 0.0
    slab_length: tuple[float, float] = (40.0, 80.0)
    slice_gaps: float = 0.0
    slice_distance: tuple[float, float] = (5.0, 13.0)
    nearest_return: float = 0.0
    oblique: float = 0.0
    oblique_angle: float = 40.0
    coil_end: float = 0.0
    heavy_noise: float = 0.0
    heaviest_noise: float = 0.2
    clean: float = 0.0
    clean_noise: float = 0.012
    margins: float = 0.0
    margin_share: float = 0.5
    soft: float = 0.0
    jumps: float = 0.0
    jump: float = 5.0
    jump_thickness: tuple[float, float] = (5.0, 10.0)


@dataclass(frozen=True)
class RandomizationConfig:
    """How far the generator strays; mm, degrees, and intensities where a painted image spans 0 to 1.

    `family_probability`: how often the contrast is drawn around a family of MR sequences (`contrast_priors`)
    rather than from anywhere; `family_spread` and `family_relative_spread`: how far around. `slice_gain`: how
    unevenly bright neighbouring slices are, at most. `crop_probability`: of a partial field of view along z,
    `in_plane_crop_probability` along y and along x.
    """

    patch: tuple[int, int, int] = (80, 96, 96)
    spacing: float = 3.0
    rotation: float = 15.0
    scale: tuple[float, float] = (0.8, 1.2)
    shear: float = 0.1
    deformation: float = 12.0
    deformation_grid: int = 7
    texture: float = 0.5
    lesion_probability: float = 0.3
    vessel_probability: float = 0.6
    family_probability: float = 0.7
    family_spread: float = 0.1
    family_relative_spread: float = 0.0
    bias: float = 0.6
    slice_thickness: tuple[float, float] = (3.0, 10.0)
    thick_probability: float = 0.8
    noise: float = 0.08
    gamma: float = 0.6
    slice_gain: float = 0.15
    crop_probability: float = 0.6
    in_plane_crop_probability: float = 0.25
    shortest_field_of_view: float = 60.0
    anatomy: AnatomyConfig = field(default_factory=AnatomyConfig)
    look: LookConfig = field(default_factory=LookConfig)
    scanner: ScannerConfig = field(default_factory=ScannerConfig)
