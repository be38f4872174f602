"""All targets, by their names."""

from __future__ import annotations

from fuzz.dicom_targets import DICOM_TARGETS
from fuzz.package_targets import PACKAGE_TARGETS
from fuzz.target import Target
from fuzz.volume_targets import VOLUME_TARGETS

TARGETS: dict[str, Target] = {target.name: target for target in (*VOLUME_TARGETS, *DICOM_TARGETS, *PACKAGE_TARGETS)}
