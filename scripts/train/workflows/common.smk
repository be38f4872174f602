# What the workflows share: how a stage's script is called, what comes before the first stage, and plans from the data.
import difflib
import hashlib
import sys
from pathlib import Path

import yaml

SCRIPTS = Path(workflow.basedir).parent


def check_keys():
    """WorkflowError where --config or --configfile gives a key that the workflow does not have: it would do nothing."""
    settings = Path(workflow.main_snakefile).with_suffix(".yaml")
    known = yaml.safe_load(settings.read_text(encoding="utf-8"))
    for key in config:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"
            raise WorkflowError(f"there is no setting '{key}'; {hint} (see {settings})")


check_keys()
# Every first stage takes it as ancient(PREVIEW): it waits for the preview, and is not done again when that is.
PREVIEW = Path(config["output"]) / "preview.txt"


def is_asked(key):
    """Whether a key is true, as a file of settings or --config says it."""
    word = str(config.get(key, False)).lower()
    if word not in ("true", "false"):
        raise WorkflowError(f"{key}: must be true or false, not {config[key]}")
    return word == "true"


HAS_PREVIEW, HAS_PLAN = is_asked("preview"), is_asked("plan")


def quoted(*words):
    """A command of these words."""
    return " ".join(f"'{word}'" for word in words)


# Behind it comes {params.command}: Snakemake repeats a stage whose parameters have changed, and another path of Python
# changes nothing. It compares only parameters that are made from wildcards alone, so the commands of stages are.
PYTHON = quoted(sys.executable)


def previewed(*named, reads):
    """The commands that say what stages will cost, each with a title; none of the stages is run.

    `reads` are commands that come first: they read the data, and name what a later stage could not use.
    """
    if not HAS_PREVIEW:
        return quoted("echo", "no preview (preview: false)")
    said = (f"{quoted('echo', title)} && {PYTHON} {command}" for title, command in named)
    return " && ".join([*(f"{PYTHON} {command}" for command in reads), *said])


def read_all(datalists, *more):
    """The command that reads every volume of these datalists which is trained on or labelled."""
    return call("../check_data", "check_data", "--datalists", *datalists, *more)


def read_test(*more):
    """The command that reads the volumes which the result is judged on; none if there are none."""
    if not config["test"]:
        return []
    split = config.get("test_split", "test")
    return [read_all([config["test"]], "--splits", split, "--needs-labels", *more)]


def config_file(settings, folder="configs"):
    """The path of a file of settings: a name in `folder`, or a path that ends with .yaml."""
    if str(settings).endswith(".yaml"):
        return Path(settings)
    known = sorted(path.stem for path in (SCRIPTS / folder).glob("*.yaml"))
    if str(settings) not in known:
        raise WorkflowError(f"there is no '{settings}' in {SCRIPTS / folder}; there are {', '.join(known)}")
    return SCRIPTS / folder / f"{settings}.yaml"


def call(script, settings, *more, folder="configs"):
    """The command of a stage, behind `PYTHON`: its script, its settings, and more flags.

    `settings` is the name of a file in `folder`, or the path of one that ends with .yaml, as plan_training.py writes.
    """
    return quoted(SCRIPTS / f"{script}.py", "--config", config_file(settings, folder), *more)


def training(script, settings, *more, folder="configs"):
    """The command of a training: `flags` first, so that what is said for one training or by the workflow overrides it."""
    return call(script, settings, *config["flags"], *more, folder=folder)


def scans_in(datalist, *sequences):
    """How many scans of split "train" a datalist has, of these sequences or of all."""
    from LiverMRISegLib.data.datalist import read_datalist

    return len(read_datalist(Path(datalist)).pool(split="train", sequences=sequences or None))


def settings_of(settings, folder="configs"):
    """The keys of a file of settings, those of its bases among them."""
    from LiverMRISegLib.errors import LiverMRISegError
    from LiverMRISegLib.training.configuration import read_settings

    try:
        return read_settings(config_file(settings, folder))
    except LiverMRISegError as error:
        raise WorkflowError(str(error))


def content_of(settings, folder="configs"):
    """What changes when a file of settings, or one of its bases, is edited; its name in the command is the same."""
    return hashlib.sha256(repr(settings_of(settings, folder)).encode()).hexdigest()[:12]


def planned(settings):
    """These settings, or with `plan` the file that rule plan makes from them and from the data."""
    if not HAS_PLAN:
        return settings
    return Path(config["output"]) / "plans" / f"{config_file(settings).stem}.yaml"


def plan_of(settings):
    """What a stage with these settings needs first: its plan, or nothing."""
    return [planned(settings)] if HAS_PLAN else []


def plan_command(settings, datalists, *more):
    """The command that plans a training with these settings from the labelled volumes of the datalists."""
    return call(
        "plan_training", "plan_training",
        "--base", config_file(settings),
        "--datalists", *datalists,
        "--output", Path(config["output"]) / "plans" / f"{config_file(settings).stem}.yaml",
        *more,
        *config["plan_flags"],
    )
