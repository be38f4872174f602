"""Learn from one labelled template and unlabelled volumes (SemiSAM-O1): one_label.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.one_label.rounds import OneLabelConfig, Round, run
from LiverMRISegLib.training.script import ONLY_PREVIEW, run_script


def tell(config: OneLabelConfig, rounds: list[Round]) -> str:
    """The last line, in words."""
    return ONLY_PREVIEW if config.loop.preview else f"{len(rounds)} rounds in {config.run_folder}"


if __name__ == "__main__":
    sys.exit(run_script(OneLabelConfig, run, tell))
