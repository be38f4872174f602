"""Which MR sequence a series description, protocol or file name speaks of."""

from __future__ import annotations

import re

from LiverMRISegLib.anatomy import Sequence

# Looked for in this order, on lower-case text whose other signs became spaces: the telling words stand before the
# common ones, phases of contrast before the weighting that their names also hold. Vendors' names: DIXON, LAVA, VIBE,
# THRIVE and eTHRIVE are T1; HASTE, SSFSE, BLADE, PROPELLER and SPIR of the liver are T2.
_PATTERNS: tuple[tuple[Sequence, str], ...] = (
    (Sequence.GED1, r"\bged ?1\b"),
    (Sequence.GED2, r"\bged ?2\b"),
    (Sequence.GED3, r"\bged ?3\b"),
    (Sequence.GED4, r"\bged ?4\b|hepatobiliary|\bhbp\b|\bhb phase\b"),
    (Sequence.C_DELAY, r"\bc delay|delayed?\b|\bequilibrium\b|\blate phase\b"),
    (Sequence.C_ARTERIAL, r"\bc ?a\b|arterial|\bart\b|\bhap\b"),
    (Sequence.C_VENOUS, r"\bc ?v\b|portal|venous|\bpvp?\b|\bven\b"),
    (Sequence.C_PRE, r"\bc ?pre\b|\bpre ?contrast\b|\bpre\b|\bnative?\b|\bunenhanced\b"),
    (Sequence.DWI, r"\bdwi\b|\bdiff(usion)?\b|\bb ?\d{2,4}\b|\bep2d\b|\btrace ?w?\b"),
    (Sequence.IN_PHASE, r"\bin ?phase\b|\bip\b|\bdixon in\b"),
    (Sequence.OUT_PHASE, r"\bout( of)? ?phase\b|\bopp(osed)?( ?phase)?\b|\bop\b|\boop\b"),
    (Sequence.T2WI, r"\bt2 ?(w|wi|fs|fse|tse|spir|spair|star)?\b|\bhaste\b|\bssfse\b|\bblade\b|\bpropeller\b|\bspir\b"),
    (Sequence.T1WI, r"\bt1 ?(w|wi|fs|fse|tse|ffe|vibe|dual)?\b|\bvibe\b|\blava\b|\be?thrive\b|\bdixon\b|\bspgr\b"),
)


def guess_sequence(text: str) -> Sequence | None:
    """The sequence that `text` names, None where it names none.

    >>> guess_sequence("AX T2 HASTE fs")
    <Sequence.T2WI: 'T2WI'>
    """
    words = re.sub(r"[^a-z0-9]+", " ", text.lower())
    return next((sequence for sequence, pattern in _PATTERNS if re.search(pattern, words)), None)
