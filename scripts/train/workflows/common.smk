# What the workflows share: how a stage's script is called.
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir).parent


def quoted(*words):
    """A command of these words."""
    return " ".join(f"'{word}'" for word in words)


def previewed(*named):
    """The commands that say what trainings will cost, each with how many of its kind there are; nothing is trained."""
    return " && ".join(f"{quoted('echo', title)} && {command} --loop.preview" for title, command in named)


def call(script, settings, *more, folder="configs", flags=None):
    """The command of a stage: its script, its settings, more flags, and `flags`, by default the trainings'.

    `settings` is the name of a file in `folder`, or the path of one that ends with .yaml, as plan_training.py writes.
    """
    file = Path(settings) if str(settings).endswith(".yaml") else SCRIPTS / folder / f"{settings}.yaml"
    common = config["flags"] if flags is None else flags
    return quoted(sys.executable, SCRIPTS / f"{script}.py", "--config", file, *more, *common)
