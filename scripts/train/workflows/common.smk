# What the workflows share: how a stage's script is called.
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir).parent


def quoted(*words):
    """A command of these words."""
    return " ".join(f"'{word}'" for word in words)


def call(script, settings, *more, folder="configs", flags=None):
    """The command of a stage: its script, its settings in `folder`, more flags, and `flags`, by default the trainings'."""
    file = SCRIPTS / folder / f"{settings}.yaml"
    common = config["flags"] if flags is None else flags
    return quoted(sys.executable, SCRIPTS / f"{script}.py", "--config", file, *more, *common)
