"""The report of a segmentation: one HTML file that contains everything, pictures included."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.inference.trust import first_to_check
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.measurement.maps import IMAGE
from LiverMRISegLib.measurement.organs import Measurements, OrganMeasurement
from LiverMRISegLib.pictures import three_planes_png
from LiverMRISegLib.volume import Volume

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmenter import Segmentation

_TRUST = "Trust: expected Dice"
_COLUMNS = ("Volume, mL", "Craniocaudal, mm", "Longest, mm", "Intensity, mean (SD)", "Median")
_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>LiverMRISeg report</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.15rem; margin: 0 0 .6rem }
.research { border-left: 4px solid #d9822b; padding: .3rem .8rem; margin: 1rem 0 1.5rem }
section { border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem; margin: 1.2rem 0 }
img { width: 100%; border-radius: 6px; display: block; margin-bottom: .8rem }
table { border-collapse: collapse; margin: .3rem 0 .8rem } td, th { padding: .15rem 1.2rem .15rem 0; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums } tr + tr td { border-top: 1px solid var(--line) }
.dot { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .5em }
.flag { margin: .2rem 0 } .flag::before { content: "\\26A0\\FE0E\\00a0\\00a0"; color: #d9822b }
details { opacity: .8; font-size: .9em } .wide { overflow-x: auto }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem }
</style></head><body>
<h1>LiverMRISeg</h1>
<p class="research"><strong>For research use only.</strong> Not a medical device; every outline must be looked at by a
person who can judge it.</p>
{% if cases|length > 1 %}
<section><h2>All cases: volumes in mL</h2>
<div class="wide"><table><tr><th>Case</th>{% for title in overview.columns %}<th>{{ title }}</th>{% endfor %}</tr>
{% for row in overview.rows %}<tr>
<td><a href="#case-{{ loop.index }}">{{ row.name }}</a></td>
{% for cell in row.volumes %}<td class="number">{{ cell }}</td>{% endfor %}<td>{{ row.first }}</td>
<td class="number">{{ row.flags }}</td></tr>
{% endfor %}</table></div></section>
{% endif %}
{% for case in cases %}
<section id="case-{{ loop.index }}"><h2>{{ case.name }}</h2>
<img alt="Three planes with the outlines of the organs" src="data:image/png;base64,{{ case.picture }}">
<div class="columns"><div><table><tr><th>Organ</th>{% for title in case.columns %}<th>{{ title }}</th>{% endfor %}</tr>
{% for organ in case.organs %}<tr>
<td><span class="dot" style="background:{{ organ.color }}"></span>{{ organ.title }}</td>
{% for cell in organ.cells %}<td class="number">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
<div>{% if case.first %}<p>Look at this organ first: <strong>{{ case.first }}</strong></p>{% endif %}
{% for flag in case.flags %}<p class="flag">{{ flag }}</p>{% else %}<p>No flags.</p>{% endfor %}</div></div>
<details><summary>Provenance</summary><table>
{% for key, value in case.provenance %}<tr><td>{{ key }}</td><td>{{ value }}</td></tr>{% endfor %}
</table></details></section>
{% endfor %}
{% if missing %}
<section><h2>Not in this report</h2>
{% for line in missing %}<p class="flag">{{ line }}</p>{% endfor %}</section>
{% endif %}
</body></html>
"""


@dataclass(frozen=True)
class ReportCase:
    """One segmented volume of a report; the picture is drawn at once, so that volume and label map can be let go."""

    name: str
    picture: bytes
    measurements: Measurements
    flags: Sequence[str]
    provenance: Mapping[str, Any]
    trust: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, volume: Volume, segmentation: Segmentation) -> ReportCase:
        """Draw the picture of a case, and measure its organs."""
        picture = three_planes_png(volume, segmentation.labelmap, segmentation.labels)
        found = segmentation
        return cls(name, picture, found.measure(), found.flags, found.provenance, found.trust)


def write_report(path: Path, cases: Sequence[ReportCase], missing: Sequence[str] = ()) -> None:
    """Write one self-contained HTML file about all cases, whole or not at all; OutputError if it cannot be written.

    `missing` says of each case that has nothing to show why that is so.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True).from_string(_TEMPLATE)
    shown = [_shown(case) for case in cases]
    atomic_write_text(path, template.render(cases=shown, overview=_overview(cases), missing=missing))


def _overview(cases: Sequence[ReportCase]) -> dict[str, Any]:
    """A line for each case, so that those to look at are found among many: volumes, lowest trust, number of flags."""
    volumes = [{found.organ: found.volume_ml for found in case.measurements.organs} for case in cases]
    organs = list(dict.fromkeys(organ for case in volumes for organ in case))
    rows = [
        {
            "name": case.name,
            "volumes": ["" if (ml := own.get(organ)) is None else f"{ml:.1f}" for organ in organs],
            "first": _first(case),
            "flags": len(case.flags),
        }
        for case, own in zip(cases, volumes, strict=True)
    ]
    return {"columns": [*(organ.title for organ in organs), "Look at first", "Flags"], "rows": rows}


def _first(case: ReportCase) -> str:
    """The organ to look at first, and its trust."""
    return next((f"{organ} (trust {score:.2f})" for organ, score in first_to_check(case.trust)), "")


def _shown(case: ReportCase) -> dict[str, Any]:
    organs = [
        {
            "title": found.organ.title,
            "color": "rgb({}, {}, {})".format(*found.organ.color),
            "cells": [*_cells(found), *([_trust(case, found.organ.name)] if case.trust else [])],
        }
        for found in case.measurements.organs
    ]
    columns = [*_COLUMNS, *([_TRUST] if case.trust else [])]
    for figure in case.measurements.derived:
        if figure.value is not None:
            cells = [f"{figure.value:.1f}", *[""] * (len(columns) - 1)]
            organs.append({"title": figure.name.capitalize(), "color": "transparent", "cells": cells})
    return {
        "name": case.name,
        "picture": base64.b64encode(case.picture).decode("ascii"),
        "columns": columns,
        "organs": organs,
        "first": _first(case),
        "flags": list(case.flags),
        "provenance": [(key, _words(value)) for key, value in case.provenance.items()],
    }


def _trust(case: ReportCase, organ: str) -> str:
    return f"{case.trust[organ]:.2f}" if organ in case.trust else ""


def _cells(organ: OrganMeasurement) -> list[str]:
    """As `_COLUMNS`; empty where there is no such figure."""
    if organ.volume_ml is None:
        return ["not found", *[""] * (len(_COLUMNS) - 1)]
    lengths = [organ.craniocaudal_mm, organ.longest_mm]
    cells = [f"{organ.volume_ml:.1f}", *("" if length is None else f"{length:.0f}" for length in lengths)]
    image = organ.statistics.get(IMAGE)
    if image is None or image.mean is None:
        return [*cells, "", ""]
    spread = "" if image.sd is None else f" ({image.sd:.3g})"
    return [*cells, f"{image.mean:.4g}{spread}", f"{image.median:.4g}"]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)
