"""Write a run as a model package: export_any_sequence.py --run RUN --output FOLDER [--metrics JSON]."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.export import export
from LiverMRISegLib.training.stages.any_sequence import AnySequenceConfig

logger = logging.getLogger(__name__)


def main() -> int:
    """Export the newest checkpoint of a run; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--output", type=Path, required=True, help="package to write: a new folder, or a .zip")
    parser.add_argument("--organs", help="offer only these organs, e.g. liver,spleen (all that were trained)")
    parser.add_argument("--background-offset", type=float, default=0.0, help="see LiverMRISegLib.training.export")
    parser.add_argument("--start-share", type=float, default=0.0, help="of the start's weights in those written")
    parser.add_argument("--body-tiles", action="store_true", help="compute only tiles where the body is: faster")
    parser.add_argument("--name", default="liver-any-sequence", help="of the model")
    parser.add_argument("--version", default="1.0")
    parser.add_argument("--metrics", type=Path, help="figures of evaluate_any_sequence.py to put into the package")
    arguments = parser.parse_args()
    try:
        checkpoints = sorted((arguments.run / "checkpoints").glob("step_*.pt"))
        if not checkpoints:
            raise ModelError(f"{arguments.run}: holds no checkpoint; train first")
        metrics = json.loads(arguments.metrics.read_text(encoding="utf-8")) if arguments.metrics else []
        config = read_config(AnySequenceConfig, arguments.run / "config.yaml")
        organs = arguments.organs.split(",") if arguments.organs else None
        export(
            config,
            checkpoints[-1],
            arguments.output,
            name=arguments.name,
            version=arguments.version,
            organs=organs,
            background_offset=arguments.background_offset,
            start_share=arguments.start_share,
            body_tiles=arguments.body_tiles,
            metrics=metrics,
        )
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    logger.info("%s written from %s", arguments.output, checkpoints[-1].name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
