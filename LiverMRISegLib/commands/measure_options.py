"""The options of `livermriseg measure`, and what --map, --unit and the pairs of images mean together."""

from __future__ import annotations

import argparse
from pathlib import Path

from LiverMRISegLib.commands.console import add_common_options, comma_separated
from LiverMRISegLib.commands.frames import frame_option
from LiverMRISegLib.commands.segment import add_model_options
from LiverMRISegLib.errors import UsageError

_RESERVED = ("water", "fat", "in-phase", "out-of-phase", "segmentation")


def add_options(parser: argparse.ArgumentParser) -> None:
    """All options of `measure`."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="VOLUME|SEGMENTATION",
        help="segmentation (NAME_seg.*, .seg.nrrd, DICOM SEG, any label map with --labels), volume, or folder of them",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="CSV", help="table; .dcm for a DICOM SR of one DICOM SEG"
    )
    _add_files(parser)
    _add_rules(parser)
    parser.add_argument("--organs", type=comma_separated, metavar="A,B", help="only these organs, e.g. liver,spleen")
    parser.add_argument(
        "--over-time", action="store_true",
        help="the cases are time points of one patient, in this order: also write differences, NAME_over_time.csv",
    )  # fmt: skip
    parser.add_argument(
        "--one-study", action="store_true",
        help="the cases are volumes of one study: say in both rows where two disagree on an organ (done with "
        "--series all)",
    )  # fmt: skip
    parser.add_argument("--series", metavar="UID|all", help="of a DICOM folder with several series: which, or all")
    parser.add_argument(
        "--frame", type=frame_option, metavar="N|all", help="frame of a 4D file, or all, each as a case"
    )
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout instead of tables")
    add_common_options(parser)


def _add_files(parser: argparse.ArgumentParser) -> None:
    where = "FILE, or for several cases a folder with CASE_NAME.* or CASE.*, or a pattern such as maps/{case}.nii.gz"
    parser.add_argument(
        "--map", action="append", default=[], type=_named, metavar="NAME=FILE", dest="maps",
        help=f"a map to measure, e.g. pdff=pdff.nii.gz; {where}. May be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--unit", action="append", default=[], type=_named, metavar="NAME=UNIT", dest="units",
        help="unit of a map in UCUM, e.g. adc=um2/s (known are pdff, r2*, t1, t2, t2*)",
    )  # fmt: skip
    parser.add_argument("--water", metavar="FILE", help="water image, for the fat fraction with --fat")
    parser.add_argument("--fat", metavar="FILE", help="fat image")
    parser.add_argument("--in-phase", metavar="FILE", help="in-phase image, for the fat fraction with --out-phase")
    parser.add_argument("--out-phase", metavar="FILE", help="out-of-phase image")
    parser.add_argument(
        "--segmentations", metavar="FILE", help=f"segmentations of the volumes, which are then not segmented: {where}"
    )
    parser.add_argument(
        "--labels", metavar="PACKAGE|FILE", help="what the values of the label maps mean, as for 'evaluate'"
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--erode",
        type=float,
        default=0.0,
        metavar="MM",
        help="leave out map voxels nearer than MM to an organ's surface",
    )
    parser.add_argument(
        "--outliers", type=float, metavar="K",
        help="leave out map values farther than K x 1.4826 MAD from the organ's median (vessels), e.g. 3",
    )  # fmt: skip


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE, e.g. pdff=pdff.nii.gz")
    return name.strip(), value.strip()


def map_places(arguments: argparse.Namespace) -> dict[str, str]:
    """Every map and image of a pair, by name; UsageError for a name twice or half a pair."""
    found: dict[str, str] = {}
    for name, place in arguments.maps:
        if name in found or name.lower() in _RESERVED:
            raise UsageError(f"--map {name}: is named twice, or a word with a meaning of its own; choose another name")
        found[name] = place
    for one, other in (("water", "fat"), ("in_phase", "out_phase")):
        given = [getattr(arguments, name) for name in (one, other)]
        if any(given) and not all(given):
            options = [f"--{name.replace('_', '-')}" for name in (one, other)]
            raise UsageError(f"a fat fraction needs both images; give {' and '.join(options)}")
        if all(given):
            names = {"in_phase": "in-phase", "out_phase": "out-of-phase"}
            found |= {names.get(name, name): place for name, place in zip((one, other), given, strict=True)}
    return found


def units_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The units that were given, by map; UsageError for a map that was not."""
    units = dict(arguments.units)
    known = {name for name, _ in arguments.maps} | {"image"}
    for name in units:
        if name not in known:
            raise UsageError(f"--unit {name}: there is no such map; maps are {', '.join(sorted(known))}")
    return units
