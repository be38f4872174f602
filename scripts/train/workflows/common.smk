# What the workflows share: how a stage's script is called.
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir).parent


def call(script, settings, *flags):
    """The command of a stage: its script, its settings in configs/, more flags, and the flags for every stage."""
    words = [sys.executable, SCRIPTS / f"{script}.py", "--config", SCRIPTS / "configs" / f"{settings}.yaml"]
    return " ".join(f"'{word}'" for word in (*words, *flags, *config["flags"]))
