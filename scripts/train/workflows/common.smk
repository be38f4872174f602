# What the workflows share: how a stage's script is called.
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir).parent


def quoted(*words):
    """A command of these words."""
    return " ".join(f"'{word}'" for word in words)


def call(script, settings, *flags, folder="configs"):
    """The command of a stage: its script, its settings in `folder`, more flags, and the flags for every stage."""
    file = SCRIPTS / folder / f"{settings}.yaml"
    return quoted(sys.executable, SCRIPTS / f"{script}.py", "--config", file, *flags, *config["flags"])
