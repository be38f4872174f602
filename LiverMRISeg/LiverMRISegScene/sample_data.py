"""Sample data for Slicer's Sample Data module: a study drawn by the core, without network and without patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import Sequence

_SEED = 1
SAMPLES = {f"LiverMRISegPhantom-{s.value}": s for s in (Sequence.T1WI, Sequence.T2WI, Sequence.GED4)}


def register(module_folder: Path) -> None:
    """Offer the drawn volumes in the Sample Data module; a volume is drawn when it is asked for."""
    import SampleData
    import slicer

    icon = module_folder / "Resources" / "Icons" / "LiverMRISeg.png"
    for name in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="LiverMRISeg",
            sampleName=name,
            thumbnailFileName=str(icon),
            uris="",  # nothing is downloaded, but SampleDataSource counts its uris and file names
            fileNames=name,
            nodeNames=name,
            customDownloader=lambda _source, name=name: add_sample(slicer.mrmlScene, name)[0],
        )


def add_sample(scene: Any, name: str) -> tuple[Any, Any]:
    """A drawn volume as a new node, and the `PhantomScan` it was made from (with its true label map)."""
    from LiverMRISegLib.phantom.study import make_study
    from LiverMRISegScene.volumes import add_volume

    sequence = SAMPLES[name]
    scan = make_study([sequence], seed=_SEED)[sequence]
    return add_volume(scene, scan.volume, name), scan
