"""Multi-domain matching (paper 004) on real MR of other contrasts and orientations: real_matching.py [--data DIR].

Ten axial T2 volumes with manual labels are the better domain. The worse ones are the first echoes of five coronal
gradient-echo acquisitions, whose kidneys are labelled in some slices, and one body in coronal T1 at five flip angles,
which has no labels: there the five warped label maps should be one. Nothing is trained.
"""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name, read_datalist, write_datalist
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.pseudo_labels import match_domains
from LiverMRISegLib.pseudo_labels.match_domains import MatchDomainsConfig
from LiverMRISegLib.pseudo_labels.registration import METRICS, warp_labels

_T2, _GRE, _T1 = "T2WI", "OutPhase", "T1WI"
_KIDNEYS, _LIVER = (2, 3), 1
_LABEL = "_label.nii.gz"


def make_list(data: Path, work: Path) -> Path:
    """The datalist of all volumes; the labels of the worse domains are not in it."""
    scans = [
        Scan(path.name.removesuffix(_LABEL), _T2, Path(str(path).replace(_LABEL, ".nii.gz")), path)
        for path in sorted((data / "mr_t2_liver_kidneys_spleen").glob(f"*{_LABEL}"))
    ]
    for sequence, pattern in ((_GRE, "mr_coronal_gre/*_e1.nii.gz"), (_T1, "mr_t1_flip_angles/*.nii.gz")):
        scans += [Scan(path.name.removesuffix(".nii.gz"), sequence, path) for path in sorted(data.glob(pattern))]
    work.mkdir(parents=True, exist_ok=True)
    values = {value: organ.name for value, organ in CHAOS.items()}
    write_datalist(Datalist("real MR", "as named in the folder", values, scans), work / "datalist.json")
    return work / "datalist.json"


def matched(listed: Path, work: Path, metric: str) -> dict[str, np.ndarray]:
    """The labels of every worse case, by its name; none at all for one that cannot be registered."""
    output = work / metric.replace(" ", "_")
    match_domains.run(MatchDomainsConfig(listed, (_T2,), (_GRE, _T1), output, metric, workers=0))  # type: ignore[arg-type]
    scans = read_datalist(output / "datalist.json").scans
    worse = [scan for scan in scans if scan.sequence != _T2]
    return {
        case_name(s): read_labelmap(s.labels).array if s.labels else np.zeros_like(read_volume(s.image).array)
        for s in worse
    }


def centred(listed: Path, matches: Path) -> dict[str, np.ndarray]:
    """The same source's labels where only the middles of the volumes are brought together."""
    scans = {case_name(scan): scan for scan in read_datalist(listed).scans}
    table = (matches / "matches.csv").read_text().splitlines()
    source = table[1].split(",")[1]  # without labels of their own all are matched with the one of mean volume
    found = {}
    for case in (name for name, scan in scans.items() if scan.sequence != _T2):
        fixed, moving = read_volume(scans[case].image), read_volume(scans[source].image)
        images = (replace(v, array=v.array.astype(np.float32)).to_sitk() for v in (fixed, moving))
        middle = sitk.CenteredTransformInitializerFilter.GEOMETRY
        start = sitk.CenteredTransformInitializer(*images, sitk.Euler3DTransform(), middle)
        found[case] = warp_labels(read_labelmap(scans[source].labels or Path()), start, fixed).array
    return found


def kidneys(labels: Mapping[str, np.ndarray], listed: Path) -> list[float]:
    """Dice of each kidney of the gradient-echo volumes, in the slices where one is labelled."""
    found = []
    for scan in read_datalist(listed).scans:
        if scan.sequence == _GRE:
            truth = read_labelmap(Path(str(scan.image).replace(".nii.gz", _LABEL))).array
            for kidney in _KIDNEYS:
                axis = int(np.argmin(truth.shape))
                slices = np.flatnonzero((truth == kidney).any(axis=tuple(a for a in range(3) if a != axis)))
                parts = (array.take(slices, axis=axis) == kidney for array in (labels[case_name(scan)], truth))
                found.append(dice(*parts))
    return found


def agreement(labels: Mapping[str, np.ndarray], listed: Path) -> list[float]:
    """Dice of the liver between every two flip angles."""
    names = [case_name(scan) for scan in read_datalist(listed).scans if scan.sequence == _T1]
    pairs = itertools.combinations(names, 2)
    return [dice(labels[a] == _LIVER, labels[b] == _LIVER) for a, b in pairs]


def main() -> None:
    """Match by both metrics and print the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/real_matching"))
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=METRICS)
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    listed = make_list(arguments.data.absolute(), work)
    found = {metric: matched(listed, work, metric) for metric in arguments.metrics}
    found = {"middles brought together": centred(listed, work / arguments.metrics[0].replace(" ", "_")), **found}
    rows = []
    for name, labels in found.items():
        scores = (100 * np.array(values) for values in (kidneys(labels, listed), agreement(labels, listed)))
        rows.append([name, *(f"{s.mean():.1f} ({s.std():.1f}), {s.min():.1f}" for s in scores)])
    print(markdown_table(["registration", "kidneys, gradient echo: Dice (SD), lowest", "liver, flip angles"], rows))


if __name__ == "__main__":
    main()
